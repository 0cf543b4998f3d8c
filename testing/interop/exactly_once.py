#!/usr/bin/env python3
"""An exactly-once copy under kill -9 of the broker and of the copier, judged by a checker.

    exactly_once.py MILENA DIRECTORY [--records N] [--broker-every S] [--copier-every S]
                    [--batch N] [--seed N]
    exactly_once.py --self-test

Records of `input` are consumed by a group, and written to `output` in transactions that commit the
group's offsets too. In the end `output`, read committed, must be `input`: nothing lost, nothing
doubled, nothing torn, and in each partition in the same order. Needs confluent-kafka.
"""

import argparse
import collections
import os
import random
import re
import signal
import subprocess
import sys
import time

PARTITIONS = 4


def judge(inputs, outputs):
    """Faults of an output. Both are lists of (partition, value) in the order of each partition;
    a value is `partition:number:transaction mark`."""
    faults = []
    counts = collections.Counter(value for _, value in outputs)
    for value, count in counts.items():
        if count > 1:
            faults.append(f"{value} is there {count} times")
    missing = {value for _, value in inputs} - set(counts)
    strange = set(counts) - {value for _, value in inputs}
    faults += [f"{value} is lost" for value in sorted(missing)[:10]]
    if len(missing) > 10:
        faults.append(f"{len(missing)} are lost")
    faults += [f"{value} was never written" for value in sorted(strange)[:10]]
    order = {}
    for partition, value in outputs:
        source, number = value.split(":")
        number = int(number)
        if partition != int(source):
            faults.append(f"{value} is in partition {partition}")
        if number <= order.get(partition, -1):
            faults.append(f"{value} comes after {order[partition]} in partition {partition}")
        order[partition] = number
    return faults


def self_test():
    """A checker that finds nothing would be believed."""
    good = [(p, f"{p}:{n}") for p in range(2) for n in range(5)]
    assert judge(good, good) == []
    bad = {
        "lost": [row for row in good if row[1] != "1:3"],
        "times": good + [(0, "0:4")],
        "never written": good + [(0, "0:9")],
        "comes after": [(0, "0:1"), (0, "0:0")] + good[2:],
        "in partition": [(1, "0:0")] + good[1:],
    }
    for word, outputs in bad.items():
        assert any(word in fault for fault in judge(good, outputs)), word
    print("the checker finds what it is shown")


def copier(bootstrap, batch):
    """One copier, until it is killed or has nothing left to do for a while."""
    from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

    consumer = Consumer({
        "bootstrap.servers": bootstrap, "group.id": "copier", "enable.auto.commit": False,
        "auto.offset.reset": "earliest", "isolation.level": "read_committed",
        "session.timeout.ms": 6000, "group.instance.id": "copier-1",
    })
    producer = Producer({
        "bootstrap.servers": bootstrap, "transactional.id": "copier", "linger.ms": 0,
        "transaction.timeout.ms": 10000,
    })
    producer.init_transactions(60)
    consumer.subscribe(["input"])
    while True:
        messages = [m for m in consumer.consume(batch, 0.2) if not m.error()]
        if not messages:
            continue
        try:
            producer.begin_transaction()
            for message in messages:
                producer.produce("output", message.value(), partition=message.partition())
            next_offsets = {}
            for message in messages:
                key = (message.topic(), message.partition())
                next_offsets[key] = message.offset() + 1
            offsets = [TopicPartition(t, p, o) for (t, p), o in next_offsets.items()]
            producer.send_offsets_to_transaction(
                offsets, consumer.consumer_group_metadata(), 60)
            producer.commit_transaction(60)
        except KafkaException as error:
            print(f"copier begins anew: {error}", file=sys.stderr, flush=True)
            if error.args[0].txn_requires_abort():
                try:
                    producer.abort_transaction(60)
                except KafkaException:
                    pass
            # What was consumed and not committed is consumed again by the next one.
            os._exit(1)


class Broker:
    def __init__(self, milena, directory):
        self.milena, self.directory, self.process = milena, directory, None

    def start(self, port):
        self.process = subprocess.Popen(
            [self.milena, "serve", "--set", f"log.dirs={self.directory}",
             "--set", f"listeners=PLAINTEXT://127.0.0.1:{port}", "--set", "http.listeners=",
             "--set", "group.initial.rebalance.delay.ms=0", "--log-level", "info"],
            stdout=subprocess.PIPE, stderr=open(self.directory + ".log", "ab"), text=True)
        for line in self.process.stdout:
            found = re.search(r"127\.0\.0\.1:(\d+)", line)
            if found:
                return int(found.group(1))
        raise SystemExit("the broker does not start: see " + self.directory + ".log")

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()


def read(bootstrap, topic, isolation):
    """Everything in a topic, partition by partition."""
    from confluent_kafka import Consumer, TopicPartition

    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "reader",
                         "isolation.level": isolation, "enable.partition.eof": True})
    rows = []
    for partition in range(PARTITIONS):
        consumer.assign([TopicPartition(topic, partition, 0)])
        at_end = False
        while not at_end:
            for message in consumer.consume(10000, 1.0):
                if message.error():
                    at_end = True
                else:
                    rows.append((partition, message.value().decode()))
    consumer.close()
    return rows


def committed(bootstrap):
    from confluent_kafka import Consumer, KafkaException, TopicPartition

    # Who reads committed waits for a moment without a transaction, of which there are few.
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "copier",
                         "isolation.level": "read_uncommitted"})
    asked = [TopicPartition("input", p) for p in range(PARTITIONS)]
    try:
        offsets = consumer.committed(asked, 10)
    except KafkaException:
        return 0
    finally:
        consumer.close()
    return sum(max(at.offset, 0) for at in offsets)


def run(options):
    from confluent_kafka import Producer
    from confluent_kafka.admin import AdminClient, NewTopic

    dice = random.Random(options.seed)
    os.makedirs(options.directory, exist_ok=True)
    broker = Broker(options.milena, os.path.join(options.directory, "data"))
    port = broker.start(0)
    bootstrap = f"127.0.0.1:{port}"
    admin = AdminClient({"bootstrap.servers": bootstrap})
    topics = [NewTopic(name, PARTITIONS, 1) for name in ("input", "output")]
    for made in admin.create_topics(topics).values():
        made.result()
    producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True,
                         "linger.ms": 20, "queue.buffering.max.messages": 1000000})
    inputs = []
    for number in range(options.records // PARTITIONS):
        for partition in range(PARTITIONS):
            value = f"{partition}:{number}"
            inputs.append((partition, value))
            while True:
                try:
                    producer.produce("input", value, partition=partition)
                    break
                except BufferError:
                    producer.poll(0.1)
    assert producer.flush(120) == 0

    def copy():
        return subprocess.Popen([sys.executable, __file__, "--copier", bootstrap, str(options.batch)])

    running = copy()
    kills = {"broker": 0, "copier": 0}
    began = time.monotonic()
    next_broker = began + options.broker_every * dice.uniform(0.5, 1.5)
    next_copier = began + options.copier_every * dice.uniform(0.5, 1.5)
    done, looked = 0, began
    while done < len(inputs):
        now = time.monotonic()
        if now - began > options.timeout:
            broker.kill()
            running.kill()
            raise SystemExit(f"only {done} of {len(inputs)} were copied in {options.timeout} s")
        if now >= next_broker:
            broker.kill()
            broker.start(port)
            kills["broker"] += 1
            next_broker = now + options.broker_every * dice.uniform(0.5, 1.5)
        if now >= next_copier or running.poll() is not None:
            if running.poll() is None:
                running.kill()
                kills["copier"] += 1
            running.wait()
            running = copy()
            next_copier = now + options.copier_every * dice.uniform(0.5, 1.5)
        if now - looked > 1:
            done, looked = committed(bootstrap), now
            print(f"{done} of {len(inputs)} copied, {kills['broker']} kills of the broker, "
                  f"{kills['copier']} of the copier", flush=True)
        time.sleep(0.05)
    running.kill()
    running.wait()
    outputs = read(bootstrap, "output", "read_committed")
    everything = len(read(bootstrap, "output", "read_uncommitted"))
    broker.kill()
    faults = judge(inputs, outputs)
    print(f"{len(inputs)} records copied in {time.monotonic() - began:.0f} s under "
          f"{kills['broker']} kills of the broker and {kills['copier']} of the copier; "
          f"{everything - len(outputs)} aborted records in between; {len(faults)} faults")
    for fault in faults[:20]:
        print("  " + fault)
    raise SystemExit(1 if faults else 0)


def main():
    if sys.argv[1:2] == ["--self-test"]:
        return self_test()
    if sys.argv[1:2] == ["--copier"]:
        return copier(sys.argv[2], int(sys.argv[3]))
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("milena")
    parser.add_argument("directory")
    parser.add_argument("--records", type=int, default=100000)
    parser.add_argument("--broker-every", type=float, default=4)
    parser.add_argument("--copier-every", type=float, default=7)
    parser.add_argument("--batch", type=int, default=100, help="records in a transaction")
    parser.add_argument("--timeout", type=float, default=900)
    parser.add_argument("--seed", type=int, default=1)
    self_test()
    return run(parser.parse_args())


if __name__ == "__main__":
    main()
