#!/bin/sh
# Stands in for Go: "compiles" within milliseconds, fails or waits when told to, and writes down how it was called.
# $FAKE_GO is a folder of the test: `calls` is written; `fails` and `waits` name the tool whose
# build does so, and `lacks` one whose modules can't be had.

if [ "$1" = env ]; then
    version=${FAKE_GO_VERSION-go1.99.0}
    # A switch of toolchains, as Go does it when GOTOOLCHAIN is not `local`.
    [ "$GOTOOLCHAIN" = local ] || version=${FAKE_GO_FETCHES-$version}
    printf '{"GOVERSION": "%s", "GOARCH": "%s", "GOFLAGS": "%s"}\n' "$version" "$GOARCH" "$GOFLAGS"
    exit
fi

case $PWD in
*.building-*) tool=collector ;;
*) tool=$(basename "$PWD") ;;
esac
echo "$1 $tool GOTOOLCHAIN=$GOTOOLCHAIN GOPROXY=$GOPROXY GOSUMDB=$GOSUMDB CGO_ENABLED=$CGO_ENABLED $*" >>"$FAKE_GO/calls"

case $1 in
list)
    [ "$(cat "$FAKE_GO/lacks" 2>/dev/null)" != "$tool" ] || { echo 'module lookup: not found' >&2; exit 1; }
    echo fmt
    echo os
    ;;
run)
    cmp go.mod "$FAKE_GO/builder.mod" >&2 && mkdir dist
    ;;
build)
    if [ "$(cat "$FAKE_GO/waits" 2>/dev/null)" = "$tool" ]; then
        echo fmt >&2
        sleep 600 & # as Go's compilers are children of Go
        echo $! >"$FAKE_GO/started"
        read -r _ <"$FAKE_GO/gate"
        kill $!
    fi
    if [ "$(cat "$FAKE_GO/fails" 2>/dev/null)" = "$tool" ]; then
        seq -f 'line %g of the compiler' 100 >&2
        exit 1
    fi
    [ "$tool" != collector ] || cmp go.mod "$FAKE_GO/go.mod" >&2 || exit 1
    while [ "$1" != -o ]; do shift; done
    case $tool in
    alertmanager) programs='alertmanager amtool' ;;
    prometheus) programs='prometheus promtool' ;;
    collector) programs= && echo "$tool" >"$2" ;;
    *) programs=$tool ;;
    esac
    for program in $programs; do echo "$program" >"$2/$program"; done
    ;;
esac
