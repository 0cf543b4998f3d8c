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
. benches/brokers.sh

of_process() { awk -v key="$1:" '$1 == key {print $2}' "/proc/$pid/status"; }

if [ "$kind" = many ]; then
    ulimit -n 4096
    start milena
    until_it_works 0.01 $milena topic create first --if-not-exists --timeout 1
    until_it_works 0.01 $load touch first -p 1
    before=$(of_process RssAnon)
    echo "create: $($load create many -p "$partitions")"
    echo "one record to each: $($load touch many -p "$partitions")"
    echo "descriptors: $(find "/proc/$pid/fd" -mindepth 1 | wc -l) of $(ulimit -n)"
    sleep 15
    after=$(of_process RssAnon)
    echo "anonymous memory of an idle partition: $(((after - before) * 1024 / partitions)) bytes"
    echo "resident: $(($(of_process VmRSS) / 1024)) MiB"
    stop
    began=$(now_ms)
    start milena
    until_it_works 0.002 $load touch first -p 1
    echo "kill -9, exec to first acknowledged record: $(($(now_ms) - began)) ms"
    stop
    exit
fi

gib=$4
start "$kind"
until_it_works 0.1 $milena topic create first --if-not-exists --timeout 2
until_it_works 0.1 $load touch first -p 1
$load create filled -p "$partitions" >/dev/null
while [ "$(du -sm "$data/logs" | cut -f 1)" -lt $((gib * 1024)) ]; do
    # All partitions by turns, as fast as it goes.
    $milena bench produce --topic filled -p "$partitions" --rate 1000000 --size 1000 --seconds 4 \
        --json >/dev/null
done
$milena bench produce --topic filled -p "$partitions" --rate 50000 --seconds 60 --timeout 2 --json \
    >/dev/null 2>&1 &
loading=$!
sleep 3
stop
kill -9 "$loading" 2>/dev/null || true
wait "$loading" 2>/dev/null || true
began=$(now_ms)
start "$kind"
until_it_works 0.002 $load touch first -p 1
first=$(($(now_ms) - began))
$load touch filled -p "$partitions" >/dev/null
echo "$kind: kill -9 under load, $(du -sm "$data/logs" | cut -f 1) MiB in $partitions partitions:" \
    "exec to first acknowledged record $first ms, to one in each partition $(($(now_ms) - began)) ms"
stop
