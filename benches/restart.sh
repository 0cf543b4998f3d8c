#!/usr/bin/env bash
# How soon a broker that was killed under load serves again, and what many partitions cost.
#   benches/restart.sh milena|kafka DATA_DIRECTORY PARTITIONS GIB
#   benches/restart.sh many DATA_DIRECTORY PARTITIONS
# Kafka's jars are expected in target/kafka (see CONTRIBUTING.md); everything stays on loopback.
set -euo pipefail
cd "$(dirname "$0")/.."
kind=$1
data=$2
partitions=$3
port=${PORT:-29292}
milena=target/release/milena
load="target/release/load -b 127.0.0.1:$port"
export MILENA_BOOTSTRAP=127.0.0.1:$port
mkdir -p "$data"
now_ms() { date +%s%N | cut -c 1-13; }

start() {
    if [ "$kind" = kafka ]; then
        java -Xms1g -Xmx1g -XX:+UseG1GC -cp "target/kafka/*" kafka.Kafka "$data/server.properties" \
            >"$data/out" 2>&1 &
    else
        $milena --set "log.dirs=$data/logs" --log-level error --set http.listeners= \
            --set "listeners=PLAINTEXT://127.0.0.1:$port" >"$data/out" 2>&1 &
    fi
    pid=$!
}

serving() { # until a record is acknowledged
    until $load touch "$1" -p 1 >/dev/null 2>&1; do
        kill -0 "$pid" || { tail -n 5 "$data/out" >&2; exit 1; }
        sleep 0.002
    done
}
trap 'kill -9 "${pid:-}" 2>/dev/null || true' EXIT

resident_kib() { awk '/^RssAnon/ {print $2}' "/proc/$pid/status"; }

if [ "$kind" = many ]; then
    ulimit -n 4096
    start
    until $milena topic create first >/dev/null 2>&1; do sleep 0.01; done
    serving first
    before=$(resident_kib)
    echo "create: $($load create many -p "$partitions")"
    echo "one record to each: $($load touch many -p "$partitions")"
    echo "descriptors: $(find "/proc/$pid/fd" -mindepth 1 | wc -l) of $(ulimit -n)"
    sleep 15
    after=$(resident_kib)
    echo "anonymous memory of an idle partition: $(((after - before) * 1024 / partitions)) bytes"
    echo "resident: $(awk '/^VmRSS/ {print int($2 / 1024)}' "/proc/$pid/status") MiB"
    kill -9 "$pid"
    wait "$pid" 2>/dev/null || true
    began=$(now_ms)
    start
    serving first
    echo "kill -9, exec to first acknowledged record: $(($(now_ms) - began)) ms"
    exit
fi

gib=$4
if [ "$kind" = kafka ] && [ ! -f "$data/server.properties" ]; then
    cat >"$data/server.properties" <<P
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$((port + 1))
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$((port + 1))
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs=$data/logs
P
    java -cp "target/kafka/*" kafka.tools.StorageTool format -t 4L6g3nShT-eMCtK--X86sw \
        -c "$data/server.properties" >/dev/null 2>&1
fi
start
until $milena topic create first --timeout 2 >/dev/null 2>&1; do sleep 0.1; done
serving first
$load create filled -p "$partitions" >/dev/null
while [ "$(du -sm "$data/logs" | cut -f 1)" -lt $((gib * 1024)) ]; do
    $milena bench produce --topic filled --prepared 800 --producers 16 --seconds 2 --json >/dev/null
    # Connections take the first partitions: the others are written by turns.
    $milena bench produce --topic filled -p "$partitions" --rate 400000 --size 1000 --seconds 4 \
        --json >/dev/null
done
$milena bench produce --topic filled -p "$partitions" --rate 50000 --seconds 60 --timeout 2 --json \
    >/dev/null 2>&1 &
loading=$!
sleep 3
kill -9 "$pid"
wait "$pid" 2>/dev/null || true
kill -9 "$loading" 2>/dev/null || true
wait "$loading" 2>/dev/null || true
began=$(now_ms)
start
serving first
first=$(($(now_ms) - began))
$load touch filled -p "$partitions" >/dev/null
echo "$kind: kill -9 under load, $(du -sm "$data/logs" | cut -f 1) MiB in $partitions partitions:" \
    "exec to first acknowledged record $first ms, to one in each partition $(($(now_ms) - began)) ms"
