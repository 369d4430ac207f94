#!/bin/sh
# Copies what the services of docker-compose.otel.yml keep, and puts it back; docs/upkeep.md says when and why.
#
#   volumes.sh backup FOLDER [SERVICE...]     writes FOLDER/SERVICE.tar for each; without services, for every store
#   volumes.sh restore FOLDER [SERVICE...]    fills empty volumes; without services, from every archive
#
# A server stands still while its volume is copied. Those that ran are started again, whatever happens.
set -eu
umask 077

# Lends its tar and its find; it is there anyway.
image=prom/prometheus:v3.16.0
composition=$(dirname "$0")/../../docker-compose.otel.yml
project=${COMPOSE_PROJECT_NAME:-otelext}

fail() {
    echo "volumes.sh: $1" >&2
    exit 1
}

# Else every volume would be missing, for which there is another reason then.
need_docker() {
    command -v docker >/dev/null || fail "there is no docker on PATH"
    docker compose version >/dev/null 2>&1 || fail "docker has no command compose: install its plugin"
    docker version >/dev/null || fail "docker reaches no daemon"
}

# on_volume SERVICE[:ro] PROGRAM ARGUMENTS..., with the volume at /data
on_volume() {
    service=${1%:ro}
    options=${1#"$service"}
    program=$2
    shift 2
    docker run --rm --interactive --network none --user 0:0 --volume "${project}_$service:/data$options" \
        --entrypoint "$program" "$image" "$@"
}

# Docker makes a new volume of any name that it doesn't know.
need_volumes() {
    for service in "$@"; do
        docker volume inspect "${project}_$service" >/dev/null || fail "$service has no volume ${project}_$service"
    done
}

backup() {
    [ $# -gt 0 ] || set -- prometheus jaeger loki alertmanager grafana
    need_volumes "$@"
    mkdir -p "$folder"
    running=$(docker compose --file "$composition" ps --quiet "$@")
    # shellcheck disable=SC2086  # several containers
    trap 'rm -f "$folder"/*.tar.part; [ -z "$running" ] || docker start $running >/dev/null' EXIT
    trap 'exit 1' HUP INT TERM
    # shellcheck disable=SC2086
    [ -z "$running" ] || docker stop $running >/dev/null
    for service in "$@"; do
        on_volume "$service:ro" tar -C /data -cf - . </dev/null >"$folder/$service.tar.part" ||
            fail "$service could not be copied; the archives are those of before"
    done
    for service in "$@"; do
        mv "$folder/$service.tar.part" "$folder/$service.tar"
    done
}

restore() {
    if [ $# -eq 0 ]; then
        for archive in "$folder"/*.tar; do
            set -- "$@" "$(basename "$archive" .tar)"
        done
    fi
    for service in "$@"; do
        [ -r "$folder/$service.tar" ] || fail "there is no $folder/$service.tar"
    done
    need_volumes "$@"
    for service in "$@"; do
        # Folders don't count: some images bring empty ones along.
        found=$(on_volume "$service:ro" find /data -type f </dev/null)
        [ -z "$found" ] || fail "the volume of $service holds files; nothing was restored"
    done
    for service in "$@"; do
        on_volume "$service" tar -C /data -xpf - <"$folder/$service.tar" ||
            fail "$service was restored in part; remove its volume and begin again"
    done
}

case "${1:-} ${2:+folder}" in
    "backup folder" | "restore folder")
        action=$1
        folder=$2
        shift 2
        need_docker
        "$action" "$@"
        ;;
    *)
        sed -n '4,5s/^# *//p' "$0" >&2
        exit 2
        ;;
esac
