#!/usr/bin/env bash
# Transactions of one record each from one librdkafka producer.
#   benches/transactions.sh milena|kafka|mock DATA_DIRECTORY [COUNT]
# `mock` is the cluster inside of librdkafka: the most that the client can do.
# Needs librdkafka's headers (librdkafka-dev) and Kafka's jars in target/kafka (see CONTRIBUTING.md).
set -euo pipefail
cd "$(dirname "$0")/.."
kind=$1
data=$2
count=${3:-5000}
port=${PORT:-29292}
export MILENA_BOOTSTRAP=127.0.0.1:$port
mkdir -p "$data"
cc -O2 -o "$data/transactions" benches/librdkafka/transactions.c -lrdkafka -lpthread
if [ "$kind" = mock ]; then
    echo "$kind $("$data/transactions" mock mock "$count")"
    exit
fi
. benches/brokers.sh
start "$kind"
until_it_works 0.2 target/release/milena topic create transactions --if-not-exists --timeout 1
# A virtual machine that has just started is not what anybody runs: it gets time to compile.
"$data/transactions" "$MILENA_BOOTSTRAP" transactions $((count / 2)) >/dev/null
echo "$kind $("$data/transactions" "$MILENA_BOOTSTRAP" transactions "$count" "$pid")"
stop
