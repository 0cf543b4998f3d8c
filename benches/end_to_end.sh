#!/usr/bin/env bash
# End-to-end latency through librdkafka, Milena and Apache Kafka one after the other.
#   benches/end_to_end.sh DIRECTORY [SECONDS]
# Needs librdkafka's headers (librdkafka-dev) and Kafka's jars in target/kafka (see CONTRIBUTING.md).
set -euo pipefail
cd "$(dirname "$0")/.."
directory=$1
seconds=${2:-10}
port=${PORT:-29192}
milena=target/release/milena
export MILENA_BOOTSTRAP=127.0.0.1:$port
mkdir -p "$directory"
cc -O2 -o "$directory/latency" benches/librdkafka/latency.c -lrdkafka -lpthread

measure() {
    until $milena topic create "warm-$RANDOM" --timeout 1 >/dev/null 2>&1; do
        kill -0 "$pid" || { tail -n 5 "$directory/out" >&2; exit 1; }
        sleep 0.2
    done
    # A virtual machine that has just started is not what anybody runs: it gets time to compile.
    $milena topic create warm >/dev/null
    "$directory/latency" "$MILENA_BOOTSTRAP" warm 20000 5 >/dev/null
    for rate in 1000 10000 50000; do
        $milena topic create "rate-$rate" >/dev/null
        echo "$1 $("$directory/latency" "$MILENA_BOOTSTRAP" "rate-$rate" "$rate" "$seconds")"
    done
    kill -9 "$pid"
    wait "$pid" 2>/dev/null || true
}
trap 'kill -9 "${pid:-}" 2>/dev/null || true' EXIT

$milena --set "log.dirs=$directory/milena" --log-level error --set http.listeners= \
    --set "listeners=PLAINTEXT://127.0.0.1:$port" >"$directory/out" 2>&1 &
pid=$!
measure milena

cat >"$directory/server.properties" <<P
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$((port + 1))
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$((port + 1))
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs=$directory/kafka
P
java -cp "target/kafka/*" kafka.tools.StorageTool format -t 4L6g3nShT-eMCtK--X86sw \
    -c "$directory/server.properties" --ignore-formatted >/dev/null 2>&1
java -Xms1g -Xmx1g -XX:+UseG1GC -cp "target/kafka/*" kafka.Kafka "$directory/server.properties" \
    >"$directory/out" 2>&1 &
pid=$!
measure kafka
