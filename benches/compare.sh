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
now_ms() { date +%s%N | cut -c 1-13; }

start() {
    if [ "$kind" = milena ]; then
        target/release/milena --set "log.dirs=$data/logs" --log-level error \
            --set "listeners=PLAINTEXT://127.0.0.1:$port" --set http.listeners= >"$data/out" 2>&1 &
    else
        java -Xms1g -Xmx1g -XX:+UseG1GC -cp "target/kafka/*" kafka.Kafka "$data/server.properties" \
            >"$data/out" 2>&1 &
    fi
    pid=$!
}

first_ack() { # from exec to an acknowledged record, in milliseconds
    local began
    began=$(now_ms)
    start
    until $load touch "$1" -p 1 >/dev/null 2>&1; do
        kill -0 "$pid" || { tail -n 5 "$data/out" >&2; exit 1; }
        sleep 0.002
    done
    echo "kill -9, $(du -sm "$data/logs" | cut -f 1) MiB in 1,020 partitions:" \
        "exec to first acknowledged record: $(($(now_ms) - began)) ms"
}

stop() {
    kill -9 "$pid"
    wait "$pid" 2>/dev/null || true
}
trap 'kill -9 "${pid:-}" 2>/dev/null || true' EXIT

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

# The first topic is made by the first attempt that gets an answer.
start_empty() {
    local began
    began=$(now_ms)
    start
    until $load create first -p 1 >/dev/null 2>&1; do sleep 0.002; done
    until $load touch first -p 1 >/dev/null 2>&1; do sleep 0.002; done
    echo "empty directory: exec to first acknowledged record: $(($(now_ms) - began)) ms"
}

start_empty
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
echo "fetch, 1 connection:        $($load fetch one --seconds "$seconds")"
$load create durable -p 1 -c flush.messages=1 >/dev/null
echo "durable, 16 connections:    $($load produce durable -c 16 --seconds "$seconds")"
echo "1,000 partitions:           $($load create thousand -p 1000)"
echo "  one record to each:       $($load touch thousand -p 1000)"
stop
load="target/release/load -b 127.0.0.1:$port"
first_ack first
stop
