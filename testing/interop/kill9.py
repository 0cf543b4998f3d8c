#!/usr/bin/env python3
"""kill -9 at random moments under an idempotent librdkafka producer with acks=all.

    python3 testing/interop/kill9.py ROUNDS [SEED]

Every acknowledged record must be there afterwards, once, and in the order of its producer.
Needs the package confluent-kafka and target/release/milena.
"""

import atexit
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

PARTITIONS = 4
TOPIC = "kept"


def start(directory, port):
    """Starts the broker and returns it with the port it listens on."""
    broker = subprocess.Popen(
        ["target/release/milena", "--set", f"log.dirs={directory}", "--log-level", "error",
         "--set", f"listeners=PLAINTEXT://127.0.0.1:{port}", "--set", "http.listeners="],
        stdout=subprocess.PIPE, text=True)
    atexit.register(broker.kill)
    for line in broker.stdout:
        found = re.search(r"PLAINTEXT://127\.0\.0\.1:(\d+)", line)
        if found:
            threading.Thread(target=broker.stdout.read, daemon=True).start()
            return broker, int(found.group(1))
    sys.exit("the broker did not start")


def main():
    rounds = int(sys.argv[1])
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(1 << 32)
    print(f"{rounds} rounds, seed {seed}", flush=True)
    dice = random.Random(seed)
    directory = tempfile.mkdtemp()
    broker, port = start(directory, 0)
    server = f"127.0.0.1:{port}"
    admin = AdminClient({"bootstrap.servers": server})
    admin.create_topics([NewTopic(TOPIC, PARTITIONS, 1)])[TOPIC].result(10)

    acknowledged = {partition: [] for partition in range(PARTITIONS)}
    failed = 0

    def delivered(error, message):
        nonlocal failed
        if error is None:
            acknowledged[message.partition()].append((message.offset(), int(message.value())))
        else:
            failed += 1

    producer = Producer({
        "bootstrap.servers": server, "enable.idempotence": True, "acks": "all", "linger.ms": 1,
        "retry.backoff.ms": 20, "reconnect.backoff.ms": 10, "reconnect.backoff.max.ms": 50,
        "message.timeout.ms": 60000, "log_level": 0})
    number = 0
    for _ in range(rounds):
        until = time.monotonic() + dice.uniform(0.05, 0.6)
        while time.monotonic() < until:
            for _ in range(50):
                try:
                    producer.produce(TOPIC, value=str(number), partition=number % PARTITIONS,
                                     on_delivery=delivered)
                    number += 1
                except BufferError:
                    producer.poll(0.1)
            producer.poll(0.001)
        os.kill(broker.pid, signal.SIGKILL)
        broker.wait()
        broker, _ = start(directory, port)
    left = producer.flush(60)
    total = sum(len(records) for records in acknowledged.values())
    print(f"sent {number}, acknowledged {total}, failed {failed}, in flight {left}", flush=True)

    faults = []
    consumer = Consumer({"bootstrap.servers": server, "group.id": "none",
                         "enable.auto.commit": False, "enable.partition.eof": True})
    for partition, records in acknowledged.items():
        consumer.assign([TopicPartition(TOPIC, partition, 0)])
        found = {}
        seen = []
        while True:
            message = consumer.poll(20)
            if message is None:
                faults.append(f"partition {partition}: nothing came for 20 s")
                break
            if message.error():
                if message.error().code() == KafkaError._PARTITION_EOF:
                    break
                sys.exit(str(message.error()))
            found[message.offset()] = int(message.value())
            seen.append(int(message.value()))
        faults += [f"partition {partition}: {value} is not at offset {offset}"
                   for offset, value in records if found.get(offset) != value]
        if len(seen) != len(set(seen)):
            faults.append(f"partition {partition}: {len(seen) - len(set(seen))} duplicates")
        if seen != sorted(seen):
            faults.append(f"partition {partition}: out of order")
    consumer.close()
    broker.kill()
    broker.wait()
    shutil.rmtree(directory)
    if left or failed or not total:
        faults.append(f"{left} records in flight and {failed} failed at the end")
    for fault in faults[:20]:
        print("FAULT", fault)
    print(f"{rounds} kills, {total} acknowledged records, {len(faults)} faults")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
