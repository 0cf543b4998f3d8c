# Starting the brokers that are compared: sourced by the scripts beside it, which set `port` and
# `data`. `pid` is the broker that runs.

now_ms() { date +%s%N | cut -c 1-13; }

# start milena|kafka, on the data that is there or on none
start() {
    if [ "$1" = kafka ]; then
        format_kafka
        java -Xms1g -Xmx1g -XX:+UseG1GC -cp "target/kafka/*" kafka.Kafka "$data/server.properties" \
            >"$data/out" 2>&1 &
    else
        target/release/milena --set "log.dirs=$data/logs" --log-level error \
            --set http.listeners= --set "listeners=PLAINTEXT://127.0.0.1:$port" \
            --set log.retention.check.interval.ms=500 \
            >"$data/out" 2>&1 &
    fi
    pid=$!
}

format_kafka() {
    [ ! -f "$data/server.properties" ] || return 0
    cat >"$data/server.properties" <<P
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$((port + 1))
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$((port + 1))
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs=$data/logs
log.retention.check.interval.ms=500
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
P
    java -cp "target/kafka/*" kafka.tools.StorageTool format -t 4L6g3nShT-eMCtK--X86sw \
        -c "$data/server.properties" >/dev/null 2>&1
}

# until SECONDS COMMAND…: tries again every so often, while the broker runs
until_it_works() {
    local pause=$1
    shift
    until "$@" >/dev/null 2>&1; do
        kill -0 "$pid" || { tail -n 5 "$data/out" >&2; exit 1; }
        sleep "$pause"
    done
}

stop() {
    kill -9 "$pid"
    wait "$pid" 2>/dev/null || true
}

# AWAKE=1: processes of the lowest priority keep the processors from going idle, so that what a
# virtual machine pays for waking one is not counted.
awake=()
if [ -n "${AWAKE:-}" ]; then
    for _ in $(seq "$(nproc)"); do
        nice -n 19 bash -c 'while :; do :; done' &
        awake+=($!)
    done
fi
trap 'kill -9 ${pid:-} "${awake[@]}" 2>/dev/null || true' EXIT
