#!/usr/bin/env bash
# A consumer group of fifty librdkafka consumers, and one more.
#   benches/group.sh milena|kafka DATA_DIRECTORY [MEMBERS]
# Needs Kafka's jars in target/kafka (see CONTRIBUTING.md).
set -euo pipefail
cd "$(dirname "$0")/.."
kind=$1
data=$2
members=${3:-50}
port=${PORT:-29392}
export MILENA_BOOTSTRAP=127.0.0.1:$port
mkdir -p "$data"
. benches/brokers.sh
start "$kind"
until_it_works 0.2 target/release/milena topic create group -p 100 --if-not-exists --timeout 1
# The first group makes the topic of offsets, and lets a virtual machine compile.
for round in 1 2 3; do
    echo "$kind $(target/release/group -b "$MILENA_BOOTSTRAP" -g "group-$round" -m "$members")"
done
stop
