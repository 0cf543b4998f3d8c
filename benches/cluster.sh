#!/usr/bin/env bash
# Three brokers, everything kept three times: Milena or Apache Kafka 4.3.1 on this machine, same
# driver, same requests.
#   benches/cluster.sh milena|kafka DATA_DIRECTORY
# Needs librdkafka's headers (librdkafka-dev) and Kafka's jars in target/kafka (see CONTRIBUTING.md).
set -euo pipefail
cd "$(dirname "$0")/.."
kind=$1
data=$2
port=${PORT:-29392}
seconds=${SECONDS_EACH:-5}
mkdir -p "$data"
cc -O2 -o "$data/latency" benches/librdkafka/latency.c -lrdkafka -lpthread

pids=()
trap 'kill -9 "${pids[@]}" 2>/dev/null || true' EXIT
voters="1@127.0.0.1:$((port + 11)),2@127.0.0.1:$((port + 12)),3@127.0.0.1:$((port + 13))"

# properties NODE: the same settings for both
properties() {
    cat <<P
process.roles=broker,controller
node.id=$1
controller.quorum.voters=$voters
listeners=PLAINTEXT://127.0.0.1:$((port + $1)),CONTROLLER://127.0.0.1:$((port + 10 + $1))
advertised.listeners=PLAINTEXT://127.0.0.1:$((port + $1))
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs=$data/logs$1
min.insync.replicas=2
log.retention.check.interval.ms=500
P
}

start() {
    local file="$data/$1.properties"
    properties "$1" >"$file"
    if [ "$kind" = kafka ]; then
        java -cp "target/kafka/*" kafka.tools.StorageTool format -t 4L6g3nShT-eMCtK--X86sw \
            -c "$file" >/dev/null 2>&1
        java -Xms1g -Xmx1g -XX:+UseG1GC -cp "target/kafka/*" kafka.Kafka "$file" \
            >"$data/out$1" 2>&1 &
    else
        echo "http.listeners=" >>"$file"
        target/release/milena serve --config "$file" --log-level error >"$data/out$1" 2>&1 &
    fi
    pids+=($!)
}

now_ms() { date +%s%N | cut -c 1-13; }

until_it_works() {
    until "$@" >/dev/null 2>&1; do
        kill -0 "${pids[@]}" || { tail -n 5 "$data"/out? >&2; exit 1; }
        sleep 0.01
    done
}

resident_mib() {
    local all=0
    for pid in "${pids[@]}"; do
        all=$((all + $(awk '/VmRSS/ {print $2}' "/proc/$pid/status")))
    done
    echo $((all / 1024))
}

began=$(now_ms)
for node in 1 2 3; do start "$node"; done
bootstrap=127.0.0.1:$((port + 1))
load="target/release/load -b $bootstrap"
until_it_works $load create first -p 6 -r 3
echo "exec to a topic with three copies: $(($(now_ms) - began)) ms"
sleep 10
echo "idle: $(resident_mib) MiB resident in all three"

load="$load --pid $(IFS=,; echo "${pids[*]}")"
# Old segments go at once, so that their pages are used again and the machine gives no new ones.
recycled="-c segment.bytes=33554432 -c retention.bytes=67108864 -c file.delete.delay.ms=0"
$load create one -p 6 -r 3 >/dev/null
$load create warm -p 1 -r 3 >/dev/null
$load create large -p 6 -r 3 $recycled >/dev/null
# A virtual machine that has just started is not what anybody runs: it gets time to compile.
$load produce one -c 6 -p 6 --seconds 10 >/dev/null
$load produce large -c 6 -p 6 -r 150 --seconds 10 >/dev/null
"$data/latency" "$bootstrap" warm 5000 10 >/dev/null

for _ in 1 2 3; do
    echo "one record, 6 connections: $($load produce one -c 6 -p 6 --seconds "$seconds")"
    echo "16 kB, 6 connections:      $($load produce large -c 6 -p 6 -r 150 --seconds "$seconds")"
    echo "900 kB, 6 connections:     $($load produce large -c 6 -p 6 -r 8000 --seconds "$seconds")"
done
# The quicker of the two has written ten times as much by now, and its disk would be busy with that.
sync
for round in 1 2 3; do
    $load create "rate-$round" -p 1 -r 3 >/dev/null
    echo "5,000 records/s:           $("$data/latency" "$bootstrap" "rate-$round" 5000 10)"
done
echo "afterwards: $(resident_mib) MiB resident in all three"
