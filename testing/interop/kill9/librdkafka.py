#!/usr/bin/env python3
"""An idempotent librdkafka producer that never stops while the broker is killed.

Argument: the broker. It prints `ready` after its first acknowledged record, sends numbers until its
input ends, and prints `acked PARTITION OFFSET NUMBER` for each that was acknowledged and
`failed NUMBER REASON` for each that was not. Topics come and go meanwhile.
"""

import itertools
import sys
import threading
import time

from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient, NewTopic

SERVER, TOPIC, PARTITIONS = sys.argv[1], "kept", 4
ended = threading.Event()


def wait_for_end():
    sys.stdin.read()
    ended.set()


def churn(admin):
    """Makes and deletes topics, so that some kills hit that."""
    for number in itertools.count():
        name = f"passing-{number}"
        for futures in (lambda: admin.create_topics([NewTopic(name, 3, 1)], request_timeout=2),
                        lambda: admin.delete_topics([name], request_timeout=2)):
            try:
                futures()[name].result(3)
            except (KafkaException, TimeoutError):
                pass  # the broker was killed
        if ended.wait(0.05):
            return


def delivered(error, message):
    if error is None:
        print("acked", message.partition(), message.offset(), message.value().decode())
    else:
        print("failed", message.value().decode(), error)


def main():
    admin = AdminClient({"bootstrap.servers": SERVER, "log_level": 0})
    # Small segments, so that some kills hit a roll.
    topic = NewTopic(TOPIC, PARTITIONS, 1, config={"segment.bytes": str(1 << 20)})
    admin.create_topics([topic])[TOPIC].result(10)
    producer = Producer({
        "bootstrap.servers": SERVER, "enable.idempotence": True, "acks": "all", "linger.ms": 1,
        "retry.backoff.ms": 20, "reconnect.backoff.ms": 10, "reconnect.backoff.max.ms": 50,
        "message.timeout.ms": 120000, "log_level": 0})
    producer.produce(TOPIC, "0", partition=0, on_delivery=delivered)
    producer.flush(10)
    print("ready", flush=True)
    threading.Thread(target=wait_for_end, daemon=True).start()
    threading.Thread(target=churn, args=(admin,), daemon=True).start()
    number = 1
    while not ended.is_set():
        for _ in range(50):
            try:
                producer.produce(TOPIC, str(number), partition=number % PARTITIONS,
                                 on_delivery=delivered)
                number += 1
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
        time.sleep(0.002)
    left = producer.flush(120)
    if left:
        print("failed", left, "records in flight at the end")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
