package main

import (
	"reflect"
	"runtime"
	"runtime/debug"
	"strings"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/service"
	"go.opentelemetry.io/collector/service/telemetry/otelconftelemetry"
	legacy "go.opentelemetry.io/contrib/otelconf/v0.2.0"
)

// part is a component, or `service`, with the keys of its configuration.
type part struct {
	kind, name string
	aliases    []string
	// signals it supports, with their stability; of a connector pairs such as traces_to_metrics.
	signals map[string]string
	// source is the module and version that the keys are from.
	source string
	// fresh makes a configuration that holds the defaults.
	fresh  func() any
	keys   *key
	doubts []string
}

// built describes the component that a NewFactory makes.
func built(kind string, newFactory any) *part {
	factory := reflect.ValueOf(newFactory).Call(nil)[0].Interface().(component.Factory)
	p := &part{
		kind:    kind,
		name:    factory.Type().String(),
		signals: signals(factory),
		source:  module(runtime.FuncForPC(reflect.ValueOf(newFactory).Pointer()).Name()),
		fresh:   func() any { return factory.CreateDefaultConfig() },
	}
	if holder, ok := factory.(interface{ DeprecatedAlias() component.Type }); ok {
		if alias := holder.DeprecatedAlias().String(); alias != "" {
			p.aliases = []string{alias}
		}
	}
	return p
}

// theService is the section that is no component: pipelines, extensions and the Collector's own telemetry.
func theService() *part {
	return &part{
		kind:   "service",
		source: module("go.opentelemetry.io/collector/service.Config"),
		fresh: func() any {
			return &service.Config{Telemetry: otelconftelemetry.NewFactory().CreateDefaultConfig()}
		},
	}
}

// legacyTelemetry is the older form of the Collector's own telemetry, which it takes where the present one doesn't fit.
type legacyTelemetry struct {
	Telemetry struct {
		Logs struct {
			Processors []legacy.LogRecordProcessor `mapstructure:"processors"`
		} `mapstructure:"logs"`
		Metrics struct {
			Readers []legacy.MetricReader `mapstructure:"readers"`
		} `mapstructure:"metrics"`
		Traces struct {
			Processors []legacy.SpanProcessor `mapstructure:"processors"`
		} `mapstructure:"traces"`
	} `mapstructure:"telemetry"`
}

// The scrapers of host_metrics, and what its configuration keeps them in once they are read.
var scrapers = []string{
	"cpu", "disk", "filesystem", "load", "memory", "network", "nfs", "paging", "process", "processes", "system",
}

// read finds the keys.
func (p *part) read() {
	config := p.fresh()
	p.keys = (&reflection{}).of(reflect.ValueOf(config))
	switch p.kind + "/" + p.name {
	case "service/":
		merge(p.keys, (&reflection{}).of(reflect.ValueOf(&legacyTelemetry{})))
	case "receiver/host_metrics":
		p.keys.children["scrapers"] = p.scrapers(config)
	}
	t := trial{name: p.kind + "/" + p.name, unmarshal: func(config map[string]any) error {
		return confmap.NewFromStringMap(config).Unmarshal(p.fresh())
	}}
	t.of(p.keys, nil)
	p.doubts = t.doubts
	if p.kind == "receiver" && p.name == "prometheus" {
		discover(p.keys)
	}
}

func (p *part) scrapers(config any) *key {
	given := map[string]any{}
	for _, name := range scrapers {
		given[name] = map[string]any{}
	}
	if err := confmap.NewFromStringMap(map[string]any{"scrapers": given}).Unmarshal(config); err != nil {
		panic(err)
	}
	k := &key{children: map[string]*key{}}
	read := reflect.ValueOf(config).Elem().FieldByName("Scrapers")
	for _, name := range read.MapKeys() {
		r := reflection{names: []string{"scrapers"}}
		k.children[name.Interface().(component.Type).String()] = r.of(read.MapIndex(name))
	}
	return k
}

// discoveries are Prometheus's, which this program leaves out when it is compiled, and contrib's Collector has.
const discoveries = "aws azure consul digitalocean dns docker dockerswarm ec2 ecs elasticache eureka file gce hetzner " +
	"http ionos kubernetes kuma lightsail linode marathon msk nerve nomad openstack outscale ovhcloud puppetdb rds " +
	"scaleway serverset stackit triton uyuni vultr"

func discover(k *key) {
	scrape := k.children["config"].children["scrape_configs"].items
	for _, name := range strings.Fields(discoveries) {
		scrape.children[name+"_sd_configs"] = &key{items: scalar("any")}
	}
	scrape.children["static_configs"] = &key{items: &key{children: map[string]*key{
		"labels": {values: scalar("string")}, "targets": {items: scalar("string")},
	}}}
}

// signals tells them by the factory's methods, such as TracesStability and TracesToMetricsStability.
func signals(factory component.Factory) map[string]string {
	found := map[string]string{}
	v := reflect.ValueOf(factory)
	for i := range v.NumMethod() {
		method := v.Type().Method(i)
		name, ok := strings.CutSuffix(method.Name, "Stability")
		if !ok || name == "" || method.Type.NumIn() != 1 {
			continue
		}
		level, ok := v.Method(i).Call(nil)[0].Interface().(component.StabilityLevel)
		if ok && level != component.StabilityLevelUndefined {
			found[strings.ToLower(strings.ReplaceAll(name, "To", "_to_"))] = strings.ToLower(level.String())
		}
	}
	return found
}

// module names the module and version that a function or type is from.
func module(symbol string) string {
	info, _ := debug.ReadBuildInfo()
	best := &debug.Module{}
	for _, dependency := range info.Deps {
		after, ok := strings.CutPrefix(symbol, dependency.Path)
		if ok && strings.ContainsAny(after[:1], "/.") && len(dependency.Path) > len(best.Path) {
			best = dependency
		}
	}
	return best.Path + " " + best.Version
}
