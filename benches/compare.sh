#!/usr/bin/env bash
# Milena beside Apache Kafka 4.3.1 on this machine, one after the other, same driver, same requests.
#   benches/compare.sh milena|kafka DATA_DIRECTORY
# Kafka's jars are expected in target/kafka (see CONTRIBUTING.md); everything stays on loopback.
set -euo pipefail
cd "$(dirname "$0")/.."
kind=$1
data=$2
port=${PORT:-29092}
load="target/release/load -b 127.0.0.1:$port"
seconds=${SECONDS_EACH:-4}
mkdir -p "$data"
. benches/brokers.sh

# The first topic is made by the first attempt that gets an answer.
began=$(now_ms)
start "$kind"
until_it_works 0.002 $load create first -p 1
until_it_works 0.002 $load touch first -p 1
echo "empty directory: exec to first acknowledged record: $(($(now_ms) - began)) ms"
sleep 8
before=$(awk '{print $14 + $15}' "/proc/$pid/stat")
sleep 5
after=$(awk '{print $14 + $15}' "/proc/$pid/stat")
echo "idle: $(($(awk '/VmRSS/ {print $2}' "/proc/$pid/status") / 1024)) MiB resident," \
    "$((after - before)) ticks of 10 ms in 5 s"
load="$load --pid $pid"
$load create one -p 16 >/dev/null
echo "one record, 1 connection:   $($load produce one --seconds "$seconds")"
echo "one record, 1 connection:   $($load produce one --seconds "$seconds")"
echo "one record, 16 connections: $($load produce one -c 16 -p 16 --seconds "$seconds")"
echo "16 kB batches:              $($load produce one -r 150 --seconds "$seconds")"
echo "900 kB batches:             $($load produce one -r 8000 --seconds "$seconds")"
# Old segments go at once, so that their pages are used again and the machine gives no new ones.
recycled="-c segment.bytes=33554432 -c retention.bytes=67108864 -c file.delete.delay.ms=0"
$load create small -p 1 $recycled >/dev/null
$load create large -p 1 $recycled >/dev/null
echo "16 kB, pages used again:    $($load produce small -r 150 --seconds "$seconds")"
echo "900 kB, pages used again:   $($load produce large -r 8000 --seconds "$seconds")"
echo "fetch, 1 connection:        $($load fetch one --seconds "$seconds")"
$load create durable -p 1 -c flush.messages=1 >/dev/null
echo "durable, 16 connections:    $($load produce durable -c 16 --seconds "$seconds")"
echo "1,000 partitions:           $($load create thousand -p 1000)"
echo "  one record to each:       $($load touch thousand -p 1000)"
stop
load="target/release/load -b 127.0.0.1:$port"
began=$(now_ms)
start "$kind"
until_it_works 0.002 $load touch first -p 1
echo "kill -9, $(du -sm "$data/logs" | cut -f 1) MiB in 1,020 partitions:" \
    "exec to first acknowledged record: $(($(now_ms) - began)) ms"
stop
