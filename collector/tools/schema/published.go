package main

import (
	"time"

	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/exporter/exporterhelper"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/kafka/configkafka"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/stanza/adapter"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/stanza/operator/input/tcp"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/stanza/operator/input/udp"
)

// published are components whose modules can't be had in this version: their own keys are those that they document,
// and what they share with others comes from the shared packages of this version.
var published = []*part{
	{
		kind: "receiver", name: "kafka", source: "kafkareceiver, the same in v0.149.0 and v0.155.0",
		fresh: func() any {
			return &kafkaReceiver{
				ClientConfig:   configkafka.NewDefaultClientConfig(),
				ConsumerConfig: configkafka.NewDefaultConsumerConfig(),
			}
		},
	},
	{
		kind: "exporter", name: "elasticsearch", source: "elasticsearchexporter, config.schema.yaml after v0.145.0",
		fresh: func() any {
			return &elasticsearchExporter{
				ClientConfig: confighttp.NewDefaultClientConfig(),
				Queue:        configoptional.Some(exporterhelper.NewDefaultQueueConfig()),
			}
		},
	},
	{
		kind: "receiver", name: "tcp_log", source: "pkg/stanza v0.152.0, tcp_input",
		fresh: func() any { return &tcpLogReceiver{Input: *tcp.NewConfig()} },
	},
	{
		kind: "receiver", name: "udp_log", source: "pkg/stanza v0.152.0, udp_input",
		fresh: func() any { return &udpLogReceiver{Input: *udp.NewConfig()} },
	},
	{
		kind: "extension", name: "zpages", source: "zpagesextension v0.152.0",
		fresh: func() any {
			server := confighttp.NewDefaultServerConfig()
			server.NetAddr.Endpoint = "localhost:55679"
			return &zpagesExtension{ServerConfig: server}
		},
	},
	{kind: "connector", name: "forward", source: "forwardconnector v0.152.0", fresh: func() any { return &struct{}{} }},
	{kind: "receiver", name: "nop", source: "nopreceiver v0.152.0", fresh: func() any { return &struct{}{} }},
}

type switched struct {
	Enabled bool `mapstructure:"enabled"`
}

type kafkaReceiver struct {
	configkafka.ClientConfig   `mapstructure:",squash"`
	configkafka.ConsumerConfig `mapstructure:",squash"`

	Logs     kafkaTopics               `mapstructure:"logs"`
	Metrics  kafkaTopics               `mapstructure:"metrics"`
	Profiles kafkaTopics               `mapstructure:"profiles"`
	Traces   kafkaTopics               `mapstructure:"traces"`
	Backoff  configretry.BackOffConfig `mapstructure:"error_backoff"`
	Headers  struct {
		Extract bool     `mapstructure:"extract_headers"`
		Names   []string `mapstructure:"headers"`
	} `mapstructure:"header_extraction"`
	Marking struct {
		After            bool `mapstructure:"after"`
		OnError          bool `mapstructure:"on_error"`
		OnPermanentError bool `mapstructure:"on_permanent_error"`
	} `mapstructure:"message_marking"`
	Telemetry struct {
		Metrics struct {
			Delay switched `mapstructure:"kafka_receiver_records_delay"`
		} `mapstructure:"metrics"`
	} `mapstructure:"telemetry"`
}

type kafkaTopics struct {
	Encoding      string   `mapstructure:"encoding"`
	ExcludeTopics []string `mapstructure:"exclude_topics"`
	Topics        []string `mapstructure:"topics"`
}

type elasticsearchExporter struct {
	confighttp.ClientConfig `mapstructure:",squash"`

	Queue         configoptional.Optional[exporterhelper.QueueBatchConfig] `mapstructure:"sending_queue"`
	APIKey        configopaque.String                                      `mapstructure:"api_key"`
	Password      configopaque.String                                      `mapstructure:"password"`
	User          string                                                   `mapstructure:"user"`
	FilterPath    string                                                   `mapstructure:"bulk_response_filter_path"`
	CloudID       string                                                   `mapstructure:"cloudid"`
	Endpoints     []string                                                 `mapstructure:"endpoints"`
	IncludeSource *bool                                                    `mapstructure:"include_source_on_error"`
	MetadataKeys  []string                                                 `mapstructure:"metadata_keys"`
	Pipeline      string                                                   `mapstructure:"pipeline"`
	Workers       int                                                      `mapstructure:"num_workers"`
	Index         string                                                   `mapstructure:"logs_index"`
	MetricsIndex  string                                                   `mapstructure:"metrics_index"`
	TracesIndex   string                                                   `mapstructure:"traces_index"`
	LogsID        switched                                                 `mapstructure:"logs_dynamic_id"`
	TracesID      switched                                                 `mapstructure:"traces_dynamic_id"`
	LogsPipeline  switched                                                 `mapstructure:"logs_dynamic_pipeline"`
	LogsDynamic   switched                                                 `mapstructure:"logs_dynamic_index"`
	Dynamic       switched                                                 `mapstructure:"metrics_dynamic_index"`
	TracesDynamic switched                                                 `mapstructure:"traces_dynamic_index"`
	// Deprecated long before this version, and perhaps gone in it.
	Batcher  map[string]any `mapstructure:"batcher"`
	Discover struct {
		Interval time.Duration `mapstructure:"interval"`
		OnStart  bool          `mapstructure:"on_start"`
	} `mapstructure:"discover"`
	Flush struct {
		Bytes    int           `mapstructure:"bytes"`
		Interval time.Duration `mapstructure:"interval"`
	} `mapstructure:"flush"`
	Logstash struct {
		switched  `mapstructure:",squash"`
		Date      string `mapstructure:"date_format"`
		Separator string `mapstructure:"prefix_separator"`
	} `mapstructure:"logstash_format"`
	Mapping struct {
		Allowed []string `mapstructure:"allowed_modes"`
		Mode    string   `mapstructure:"mode"`
	} `mapstructure:"mapping"`
	Retry struct {
		switched `mapstructure:",squash"`
		Initial  time.Duration `mapstructure:"initial_interval"`
		Max      time.Duration `mapstructure:"max_interval"`
		Requests int           `mapstructure:"max_requests"`
		Retries  int           `mapstructure:"max_retries"`
		OnStatus []int         `mapstructure:"retry_on_status"`
	} `mapstructure:"retry"`
	Telemetry struct {
		FailedInput      bool          `mapstructure:"log_failed_docs_input"`
		FailedInputLimit time.Duration `mapstructure:"log_failed_docs_input_rate_limit"`
		RequestBody      bool          `mapstructure:"log_request_body"`
		ResponseBody     bool          `mapstructure:"log_response_body"`
	} `mapstructure:"telemetry"`
}

type tcpLogReceiver struct {
	Input              tcp.Config `mapstructure:",squash"`
	adapter.BaseConfig `mapstructure:",squash"`
}

type udpLogReceiver struct {
	Input              udp.Config `mapstructure:",squash"`
	adapter.BaseConfig `mapstructure:",squash"`
}

type zpagesExtension struct {
	confighttp.ServerConfig `mapstructure:",squash"`
	Expvar                  switched `mapstructure:"expvar"`
}
