#!/usr/bin/env python3
"""kafka-python: producer, consumer with assigned partitions and in groups, admin. Argument: the broker."""

import sys
import time

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, OffsetAndMetadata, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, NewPartitions, NewTopic
from kafka.errors import (InvalidPartitionsError, InvalidReplicationFactorError,
                          TopicAlreadyExistsError, UnknownTopicOrPartitionError)

import check

SERVER = sys.argv[1]
CODECS = [None, "gzip", "snappy", "lz4", "zstd"]


def is_a(kind):
    return lambda raised: isinstance(raised, kind)


def read(partition, count, **settings):
    """The first records of a partition."""
    consumer = KafkaConsumer(bootstrap_servers=SERVER, **settings)
    consumer.assign([partition])
    consumer.seek_to_beginning(partition)
    found = []
    deadline = time.monotonic() + 30
    while len(found) < count and time.monotonic() < deadline:
        found += consumer.poll(timeout_ms=500).get(partition, [])
    consumer.close()
    return found


def topics(admin):
    admin.create_topics([NewTopic("py", 2, check.COPIES, topic_configs={"retention.ms": "900000"})])
    check.comes("a topic is created", True, lambda: "py" in admin.list_topics())
    described = admin.describe_topics(["py"])[0]
    check.same("and described", ("py", 2),
               (described["name"], len(described["partitions"])))
    check.fails("it exists", is_a(TopicAlreadyExistsError),
                lambda: admin.create_topics([NewTopic("py", 2, check.COPIES)]))
    check.fails("more replicas than brokers", is_a(InvalidReplicationFactorError),
                lambda: admin.create_topics([NewTopic("refused", 1, 9)]))
    admin.create_partitions({"py": NewPartitions(4)})
    check.comes("it grows", 4, lambda: len(admin.describe_topics(["py"])[0]["partitions"]))
    check.fails("it does not shrink", is_a(InvalidPartitionsError),
                lambda: admin.create_partitions({"py": NewPartitions(1)}))


def values(codec):
    return [f"{codec} {number}".encode() for number in range(500)]


def records():
    for codec in CODECS:
        partition = TopicPartition(f"py-{codec}", 0)
        producer = KafkaProducer(bootstrap_servers=SERVER, compression_type=codec, linger_ms=20,
                                 acks="all")
        sent = [producer.send(partition.topic, value, partition=0) for value in values(codec)]
        producer.flush()
        check.same(f"offsets through {codec}", list(range(500)),
                   [future.get(10).offset for future in sent])
        producer.close()
        check.same(f"values through {codec}", values(codec),
                   [record.value for record in read(partition, 500)])
    producer = KafkaProducer(bootstrap_servers=SERVER, acks=1, enable_idempotence=False)
    producer.send("py", None, key=b"k", partition=3, timestamp_ms=1234,
                  headers=[("a", b"1"), ("a", b""), ("b", b"\xff")]).get(10)
    producer.close()
    record = read(TopicPartition("py", 3), 1)[0]
    check.same("key, no value, headers and timestamp",
               (b"k", None, [("a", b"1"), ("a", b""), ("b", b"\xff")], 1234),
               (record.key, record.value, list(record.headers), record.timestamp))


def places():
    partition = TopicPartition("py-gzip", 0)
    consumer = KafkaConsumer(bootstrap_servers=SERVER, isolation_level="read_committed")
    consumer.assign([partition])
    check.same("beginning and end", ({partition: 0}, {partition: 500}),
               (consumer.beginning_offsets([partition]), consumer.end_offsets([partition])))
    consumer.seek(partition, 490)
    found = []
    while len(found) < 10:
        found += consumer.poll(timeout_ms=5000).get(partition, [])
    check.same("from an offset on", list(range(490, 500)), [record.offset for record in found])
    check.same("the position", 500, consumer.position(partition))
    first = read(partition, 1)[0].timestamp
    check.same("an offset for a time", 0,
               consumer.offsets_for_times({partition: first})[partition].offset)
    check.same("no offset for the future", None,
               consumer.offsets_for_times({partition: first + 10**9})[partition])
    check.same("partitions of a topic", {0, 1, 2, 3}, consumer.partitions_for_topic("py"))
    consumer.close()


def groups(admin):
    members = [KafkaConsumer(bootstrap_servers=SERVER, group_id="py-group",
                             enable_auto_commit=False, auto_offset_reset="earliest",
                             heartbeat_interval_ms=200) for _ in range(2)]

    def settled(members, expected):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            for member in members:
                member.poll(timeout_ms=50)
            if [len(member.assignment()) for member in members] == expected:
                break
        return [len(member.assignment()) for member in members]

    for member in members:
        member.subscribe(["py"])
    check.same("the first has everything", [4], settled(members[:1], [4]))
    check.same("two members share", [2, 2], settled(members, [2, 2]))
    members.pop().close()
    check.same("one takes over", [4], settled(members, [4]))
    place = TopicPartition("py", 1)
    members[0].commit({place: OffsetAndMetadata(5, "five", -1)})
    check.same("an offset is committed", 5, members[0].committed(place))
    check.same("the group is listed", True,
               "py-group" in str(admin.list_groups()))
    members[0].close()
    check.same("its offsets are listed", 5,
               admin.list_group_offsets({"py-group": None})["py-group"][place].offset)


def main():
    admin = KafkaAdminClient(bootstrap_servers=SERVER)
    topics(admin)
    records()
    places()
    groups(admin)
    topic = ConfigResource(ConfigResourceType.TOPIC, "py")
    found = admin.describe_configs([topic])["topic"]["py"]["retention.ms"]
    check.same("a configuration and its source", ("900000", "DYNAMIC_TOPIC_CONFIG"),
               (found["value"], found["config_source"]))
    cluster = admin.describe_cluster()
    found = [broker["broker_id"] for broker in cluster["brokers"]]
    check.same("all brokers are there", check.COPIES, len(found))
    check.same("the controller is one of them", True, cluster["controller_id"] in found)
    trimmed = TopicPartition("py-gzip", 0)
    check.same("the log begins later", 100,
               admin.delete_records({trimmed: 100})[trimmed]["low_watermark"])
    check.same("records are deleted", 100, read(trimmed, 1)[0].offset)
    admin.delete_topics(["py"])
    check.comes("a topic is deleted", False, lambda: "py" in admin.list_topics())
    check.fails("what is not there is not deleted", is_a(UnknownTopicOrPartitionError),
                lambda: admin.delete_topics(["py"]))
    admin.close()


if __name__ == "__main__":
    main()
