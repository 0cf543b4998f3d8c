#!/usr/bin/env bash
# End-to-end latency through librdkafka.
#   benches/end_to_end.sh milena|kafka DATA_DIRECTORY [SECONDS]
# Needs librdkafka's headers (librdkafka-dev) and Kafka's jars in target/kafka (see CONTRIBUTING.md).
set -euo pipefail
cd "$(dirname "$0")/.."
kind=$1
data=$2
seconds=${3:-10}
port=${PORT:-29192}
export MILENA_BOOTSTRAP=127.0.0.1:$port
mkdir -p "$data"
. benches/brokers.sh
cc -O2 -o "$data/latency" benches/librdkafka/latency.c -lrdkafka -lpthread

start "$kind"
until_it_works 0.2 target/release/milena topic create warm --if-not-exists --timeout 1
# A virtual machine that has just started is not what anybody runs: it gets time to compile.
"$data/latency" "$MILENA_BOOTSTRAP" warm 20000 5 >/dev/null
for rate in 1000 10000 50000; do
    target/release/milena topic create "rate-$rate" --if-not-exists >/dev/null
    echo "$kind $("$data/latency" "$MILENA_BOOTSTRAP" "rate-$rate" "$rate" "$seconds")"
done
stop
