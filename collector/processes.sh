#!/bin/sh
# The servers of docker-compose.otel.yml as processes of this machine, without containers: Collector (single.yaml),
# Jaeger, Prometheus, Loki and Alertmanager, on loopback alone; no Grafana. Ctrl-C or SIGTERM ends all of them in order,
# a second one at once.
#
#   processes.sh [FOLDER]
#
# FOLDER gets a folder of data for each server, `logs` and `settings`. By default it is otelext/pipeline in
# $XDG_DATA_HOME or ~/.local/share. The programs are looked for on PATH: otelcol (or otelcol-contrib), jaeger,
# prometheus, loki and alertmanager; PATH=$(make -s stack ARGS='--print path'):$PATH builds and names them.
#
# Variables: those of .env.example, and of collector/README.md all but addresses and ports. The ports are these; a
# second pipeline on one machine needs others, and another folder.
set -eu
umask 077
ports='
    OTLP_GRPC_PORT=4317 OTLP_HTTP_PORT=4318 COLLECTOR_HEALTH_PORT=13133 COLLECTOR_SELF_PORT=4319
    JAEGER_PORT=16686 JAEGER_GRPC_PORT=16685 JAEGER_OTLP_PORT=14317 JAEGER_HEALTH_PORT=14133 JAEGER_METRICS_PORT=14269
    PROMETHEUS_PORT=9090 ALERTMANAGER_PORT=9093 LOKI_PORT=3100 LOKI_GRPC_PORT=9095'

fail() {
    echo "processes.sh: $1" >&2
    exit "${2:-1}"
}

case "$#${1:-}" in
    1-h | 1--help)
        sed -n '2,/^set/s/^# \{0,1\}//p' "$0"
        echo "$ports" && exit
        ;;
    0 | 1[!-]*) ;;
    *) fail "it takes one folder; --help says more" 2 ;;
esac

missing=
for program in curl jaeger prometheus loki alertmanager; do
    command -v "$program" >/dev/null || missing="$missing $program"
done
otelcol=$(command -v otelcol || command -v otelcol-contrib) || missing="$missing otelcol"
[ -z "$missing" ] || fail "not on PATH:$missing (--help says how to get the servers)"

# get URL: 0 when it answers with success, 7 where nobody listens, as curl has it
get() {
    curl --silent --fail --noproxy '*' --max-time 5 --output /dev/null "$1"
}

for port in $ports; do
    name=${port%=*}
    eval "port=\${$name:=${port#*=}}"
    status=0
    get "http://127.0.0.1:$port/" || status=$?
    [ "$status:${port#0}" = "7:$port" ] || fail "port $port is taken, or is none: give another in $name"
done

collector=$(cd "$(dirname "$0")" && pwd)
backends=$collector/backends
folder=${1:-${XDG_DATA_HOME:-$HOME/.local/share}/otelext/pipeline}
for name in collector jaeger prometheus loki alertmanager logs settings; do
    mkdir -p "$folder/$name"
done
folder=$(cd "$folder" && pwd)
keep=${TELEMETRY_RETENTION:-720h}
webhook=${ALERT_WEBHOOK_URL_FILE:-/dev/null}
[ "${webhook#/}" != "$webhook" ] || webhook=$PWD/$webhook

# These two take no variables in their files: adapted FILE SED_SCRIPT...
adapted() {
    file=$1
    shift
    sed "$@" "$backends/$file" >"$folder/settings/${file#*/}"
}
quoted() { printf %s "$1" | sed 's/[&|\\]/\\&/g'; }
adapted prometheus/prometheus.yml -e "s|localhost:9090|127.0.0.1:$PROMETHEUS_PORT|" \
    -e "s|alertmanager:9093|127.0.0.1:$ALERTMANAGER_PORT|" -e "s|jaeger:14269|127.0.0.1:$JAEGER_METRICS_PORT|" \
    -e "s|loki:3100|127.0.0.1:$LOKI_PORT|" -e "s|- \(rules/.*\)|- '$(quoted "$backends")/prometheus/\1'|"
adapted alertmanager/alertmanager.yml "s|/run/secrets/alert_webhook_url|'$(quoted "$webhook")'|"

running= # the newest first: the Collector, which sends to all others, is started last and stopped first
stop() {
    trap 'kill -KILL ${running:-} 2>/dev/null || :' HUP INT TERM
    for pid in $running; do
        kill "$pid" 2>/dev/null || : # on a terminal Ctrl-C has reached it already
        wait "$pid" || :
    done
}
trap stop EXIT
trap 'exit 0' HUP INT TERM

# start NAME COMMAND...
start() {
    name=$1
    shift
    "$@" >"$folder/logs/$name.log" 2>&1 </dev/null &
    running="$! $running"
    eval "name_$!=$name"
}

check() {
    for pid in $running; do
        kill -0 "$pid" 2>/dev/null || {
            eval "name=\$name_$pid"
            tail -n 4 "$folder/logs/$name.log" >&2
            fail "$name has ended; $folder/logs/$name.log says why, and its first error counts"
        }
    done
    sleep 1
}

start jaeger env GOMEMLIMIT=900MiB OTELEXT_JAEGER_OTLP_ENDPOINT="127.0.0.1:$JAEGER_OTLP_PORT" \
    OTELEXT_JAEGER_QUERY_ENDPOINT="127.0.0.1:$JAEGER_PORT" \
    OTELEXT_JAEGER_QUERY_GRPC_ENDPOINT="127.0.0.1:$JAEGER_GRPC_PORT" \
    OTELEXT_JAEGER_HEALTH_ENDPOINT="127.0.0.1:$JAEGER_HEALTH_PORT" OTELEXT_JAEGER_METRICS_PORT="$JAEGER_METRICS_PORT" \
    OTELEXT_JAEGER_SPAN_METRICS_ENDPOINT="http://127.0.0.1:$PROMETHEUS_PORT" OTELEXT_JAEGER_STORAGE="$folder/jaeger" \
    OTELEXT_JAEGER_UI="$backends/jaeger/ui.json" OTELEXT_JAEGER_RETENTION="$keep" \
    jaeger --config="$backends/jaeger/jaeger.yaml" --config="$backends/jaeger/${JAEGER_STORE:-badger}.yaml"
start prometheus prometheus --config.file="$folder/settings/prometheus.yml" --storage.tsdb.path="$folder/prometheus" \
    --storage.tsdb.retention.time="$keep" --web.listen-address="127.0.0.1:$PROMETHEUS_PORT" --web.enable-otlp-receiver \
    --enable-feature=exemplar-storage
start loki env GOMEMLIMIT=900MiB loki -config.file="$backends/loki/loki.yaml" -common.path-prefix="$folder/loki" \
    -common.storage.filesystem.chunk-directory="$folder/loki/chunks" \
    -common.storage.filesystem.rules-directory="$folder/loki/rules" -store.retention="$keep" \
    -server.http-listen-address=127.0.0.1 -server.http-listen-port="$LOKI_PORT" \
    -server.grpc-listen-address=127.0.0.1 -server.grpc-listen-port="$LOKI_GRPC_PORT"
start alertmanager alertmanager --config.file="$folder/settings/alertmanager.yml" \
    --storage.path="$folder/alertmanager" --web.listen-address="127.0.0.1:$ALERTMANAGER_PORT" --cluster.listen-address=
start collector env GOMEMLIMIT=614MiB OTELEXT_COLLECTOR_STORAGE="$folder/collector" OTELEXT_COLLECTOR_HOST=127.0.0.1 \
    OTELEXT_COLLECTOR_GRPC_PORT="$OTLP_GRPC_PORT" OTELEXT_COLLECTOR_HTTP_PORT="$OTLP_HTTP_PORT" \
    OTELEXT_COLLECTOR_HEALTH_PORT="$COLLECTOR_HEALTH_PORT" OTELEXT_COLLECTOR_SELF_PORT="$COLLECTOR_SELF_PORT" \
    OTELEXT_COLLECTOR_TRACES_ENDPOINT="127.0.0.1:$JAEGER_OTLP_PORT" \
    OTELEXT_COLLECTOR_METRICS_ENDPOINT="http://127.0.0.1:$PROMETHEUS_PORT/api/v1/otlp/v1/metrics" \
    OTELEXT_COLLECTOR_LOGS_ENDPOINT="http://127.0.0.1:$LOKI_PORT/otlp/v1/logs" \
    OTELEXT_COLLECTOR_ALLOWED_ATTRIBUTES="$collector/allowed_attributes.yaml" \
    "$otelcol" --config="$collector/single.yaml"

echo "The servers start, in $folder; Loki takes 15 seconds."
for ready in "$JAEGER_HEALTH_PORT/status" "$PROMETHEUS_PORT/-/ready" "$ALERTMANAGER_PORT/-/ready" "$LOKI_PORT/ready" \
    "$COLLECTOR_HEALTH_PORT/"; do
    until get "http://127.0.0.1:$ready"; do check; done
done
cat <<EOF
OTLP          http://127.0.0.1:$OTLP_HTTP_PORT, over gRPC http://127.0.0.1:$OTLP_GRPC_PORT
Jaeger        http://127.0.0.1:$JAEGER_PORT
Prometheus    http://127.0.0.1:$PROMETHEUS_PORT
Loki          http://127.0.0.1:$LOKI_PORT
Alertmanager  http://127.0.0.1:$ALERTMANAGER_PORT
Everything is ready. Ctrl-C ends it.
EOF
while :; do check; done
