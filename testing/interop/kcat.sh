#!/usr/bin/env bash
# kcat (librdkafka) against a fresh broker: produce, consume, list, every codec, kill -9.
# Installs kcat from the distribution's packages where it is missing, and fails where it cannot.
set -euo pipefail
cd "$(dirname "$0")/../.."

if ! command -v kcat >/dev/null; then
    apt-get update -qq && apt-get install -y -qq kcat >/dev/null
fi

milena=${MILENA_BIN:-target/release/milena}
[ -x "$milena" ] || { echo "build first: cargo build --release -p milena" >&2; exit 1; }
work=$(mktemp -d)
broker=""
cleanup() {
    [ -n "$broker" ] && kill -9 "$broker" 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT

start() { # start LISTEN_PORT; sets broker and server
    : >"$work/screen"
    "$milena" --set "log.dirs=$work/data" --set "listeners=PLAINTEXT://127.0.0.1:$1" \
        --set http.listeners= >"$work/screen" 2>>"$work/log" &
    broker=$!
    for _ in $(seq 1 200); do
        server=$(sed -n 's#.*PLAINTEXT://\(127.0.0.1:[0-9]*\).*#\1#p' "$work/screen" | head -n 1)
        [ -n "$server" ] && return
        kill -0 "$broker" 2>/dev/null || { cat "$work/log" >&2; exit 1; }
        sleep 0.05
    done
    echo "the broker did not start" >&2
    exit 1
}

passed=0
check() { # check NAME EXPECTED ACTUAL
    if [ "$2" != "$3" ]; then
        printf 'failed: %s\nexpected: %s\nactual:   %s\n' "$1" "$2" "$3" >&2
        exit 1
    fi
    passed=$((passed + 1))
    echo "ok: $1"
}

start 0
echo 'k:v' | kcat -b "$server" -t one -P -K: -H name=value
check "key, value and header come back" "k v name=value 0" \
    "$(kcat -b "$server" -t one -C -e -q -f '%k %s %h %o\n')"
check "the topic is listed" "1" "$(kcat -b "$server" -L | grep -c 'topic "one" with 1 partitions')"
check "the end offset is found" "1" "$(kcat -b "$server" -Q -t one:0:-1 | grep -o '[0-9]*$')"
want=$(seq 1 20000 | md5sum)
for codec in none gzip snappy lz4 zstd; do
    seq 1 20000 | kcat -b "$server" -t "codec-$codec" -P -z "$codec"
    check "20,000 records through $codec" "$want" \
        "$(kcat -b "$server" -t "codec-$codec" -C -e -q | md5sum)"
done
seq 1 20000 | kcat -b "$server" -t acked -P -X acks=all -X enable.idempotence=true
port=${server##*:}
kill -9 "$broker"
wait "$broker" 2>/dev/null || true
start "$port"
check "acknowledged records survive kill -9" "$want" \
    "$(kcat -b "$server" -t acked -C -e -q | md5sum)"
check "what was compressed survives it too" "$want" \
    "$(kcat -b "$server" -t codec-zstd -C -e -q | md5sum)"
echo "$passed passed, 0 failed"
