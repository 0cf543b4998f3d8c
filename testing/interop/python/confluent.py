#!/usr/bin/env python3
"""confluent-kafka (librdkafka): producer, consumer with assigned partitions and in groups,
transactions, AdminClient.

Argument: the broker.
"""

import sys
import time

from confluent_kafka import (OFFSET_BEGINNING, OFFSET_END, Consumer, IsolationLevel, KafkaError,
                             KafkaException, Producer, TopicCollection, TopicPartition)
from confluent_kafka.admin import (AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource,
                                   NewPartitions, NewTopic, OffsetSpec, ResourceType)

import check

SERVER = sys.argv[1]


def is_code(code):
    return lambda raised: isinstance(raised, KafkaException) and raised.args[0].code() == code


def done(futures):
    """The result of the only future of an answer."""
    (future,) = futures.values()
    return future.result(20)


def consumer(**settings):
    # librdkafka wants a group's name even where there is no group.
    return Consumer({"bootstrap.servers": SERVER, "group.id": "none", "enable.auto.commit": False,
                     "enable.partition.eof": True, **settings})


def read(partition, count, **settings):
    """Records from a place on."""
    reader = consumer(**settings)
    reader.assign([partition])
    found = []
    deadline = time.monotonic() + 30
    while len(found) < count and time.monotonic() < deadline:
        message = reader.poll(1)
        if message is not None and message.error() is None:
            found.append(message)
    reader.close()
    return found


def produce(topic, values, **settings):
    """Sends values to partition 0 and gives their offsets."""
    offsets = []

    def delivered(error, message):
        if error is not None:
            raise KafkaException(error)
        offsets.append(message.offset())

    producer = Producer({"bootstrap.servers": SERVER, "linger.ms": 5, **settings})
    for value in values:
        producer.produce(topic, value, partition=0, on_delivery=delivered)
    check.same(f"nothing of {topic} stays in flight", 0, producer.flush(30))
    return offsets


def topics(admin):
    done(admin.create_topics([NewTopic("rd", 2, check.COPIES, config={"retention.ms": "900000"})]))
    check.comes("a topic is created", 2, lambda: len(
        admin.list_topics(timeout=10).topics["rd"].partitions))
    check.fails("it exists", is_code(KafkaError.TOPIC_ALREADY_EXISTS),
                lambda: done(admin.create_topics([NewTopic("rd", 2, check.COPIES)])))
    check.fails("an unknown configuration", is_code(KafkaError.INVALID_CONFIG), lambda: done(
        admin.create_topics([NewTopic("refused", 1, 1, config={"no.such": "1"})])))
    done(admin.create_partitions([NewPartitions("rd", 3)]))
    check.comes("it grows", 3, lambda: len(
        done(admin.describe_topics(TopicCollection(["rd"]))).partitions))
    check.fails("it does not shrink", is_code(KafkaError.INVALID_PARTITIONS),
                lambda: done(admin.create_partitions([NewPartitions("rd", 2)])))


def configs(admin):
    resource = ConfigResource(ResourceType.TOPIC, "rd", incremental_configs=[
        ConfigEntry("max.message.bytes", "77777", incremental_operation=AlterConfigOpType.SET)])
    done(admin.incremental_alter_configs([resource]))
    found = done(admin.describe_configs([ConfigResource(ResourceType.TOPIC, "rd")]))
    check.same("a configuration is set, another kept", ("77777", "900000"),
               (found["max.message.bytes"].value, found["retention.ms"].value))
    wrong = ConfigResource(ResourceType.TOPIC, "rd", incremental_configs=[
        ConfigEntry("retention.ms", "soon", incremental_operation=AlterConfigOpType.SET)])
    check.fails("a wrong value", is_code(KafkaError.INVALID_CONFIG),
                lambda: done(admin.incremental_alter_configs([wrong])))
    old = ConfigResource(ResourceType.TOPIC, "rd", set_config={"retention.ms": "5000"})
    done(admin.alter_configs([old]))
    found = done(admin.describe_configs([ConfigResource(ResourceType.TOPIC, "rd")]))
    check.same("AlterConfigs replaces all of them", ("1048588", "5000"),
               (found["max.message.bytes"].value, found["retention.ms"].value))


def records():
    values = [f"number {number}".encode() for number in range(3000)]
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"]:
        topic = f"rd-{codec}"
        offsets = produce(topic, values, **{"compression.type": codec, "enable.idempotence": True})
        check.same(f"offsets through {codec}, idempotent", list(range(3000)), offsets)
        found = read(TopicPartition(topic, 0, OFFSET_BEGINNING), 3000)
        check.same(f"values through {codec}", values, [message.value() for message in found])
    for acks in ["0", "1", "all"]:
        produce(f"rd-acks-{acks}", values[:100], acks=acks)
        found = read(TopicPartition(f"rd-acks-{acks}", 0, OFFSET_BEGINNING), 100)
        check.same(f"values with acks={acks}", values[:100], [m.value() for m in found])
    producer = Producer({"bootstrap.servers": SERVER})
    producer.produce("rd", None, key="k", partition=1, timestamp=1234,
                     headers=[("a", b"1"), ("a", None), ("b", b"")])
    producer.flush(10)
    message = read(TopicPartition("rd", 1, OFFSET_BEGINNING), 1)[0]
    check.same("key, no value, headers and timestamp",
               (b"k", None, [("a", b"1"), ("a", None), ("b", b"")], 1234),
               (message.key(), message.value(), message.headers(), message.timestamp()[1]))


def places():
    reader = consumer()
    partition = TopicPartition("rd-zstd", 0)
    check.same("beginning and end", (0, 3000), reader.get_watermark_offsets(partition, timeout=10))
    first = read(TopicPartition("rd-zstd", 0, OFFSET_BEGINNING), 1)[0].timestamp()[1]
    found = reader.offsets_for_times([TopicPartition("rd-zstd", 0, first)], timeout=10)
    check.same("an offset for a time", 0, found[0].offset)
    found = reader.offsets_for_times([TopicPartition("rd-zstd", 0, first + 10**9)], timeout=10)
    check.same("no offset for the future", OFFSET_END, found[0].offset)
    reader.close()
    found = read(TopicPartition("rd-zstd", 0, 2990), 10, **{"isolation.level": "read_committed"})
    check.same("from an offset on", list(range(2990, 3000)), [m.offset() for m in found])
    reader = consumer(**{"auto.offset.reset": "error"})
    reader.assign([TopicPartition("rd-zstd", 0, 4000)])
    message = reader.poll(20)
    check.same("an offset out of range", KafkaError._AUTO_OFFSET_RESET, message.error().code())
    reader.close()


def offsets(admin):
    partition = TopicPartition("rd-lz4", 0)
    for name, spec, expected in [("earliest", OffsetSpec.earliest(), 0),
                                 ("latest", OffsetSpec.latest(), 3000)]:
        for level in [IsolationLevel.READ_UNCOMMITTED, IsolationLevel.READ_COMMITTED]:
            found = done(admin.list_offsets({partition: spec}, isolation_level=level))
            check.same(f"the {name} offset, {level.name}", expected, found.offset)
    found = done(admin.list_offsets({partition: OffsetSpec.max_timestamp()}))
    check.same("the offset of the largest timestamp is in the log", True, 0 <= found.offset < 3000)
    found = done(admin.delete_records([TopicPartition("rd-lz4", 0, 1000)]))
    check.same("records are deleted", 1000, found.low_watermark)
    check.same("reading begins behind them", 1000,
               read(TopicPartition("rd-lz4", 0, OFFSET_BEGINNING), 1)[0].offset())


def settled(members, expected):
    """Polls the members until they have so many partitions each; gives the records that came."""
    found = []
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if [len(member.assignment()) for member in members] == expected:
            return found
        for member in members:
            message = member.poll(0.05)
            if message is not None and message.error() is None:
                found.append(message)
    sys.exit(f"failed: {expected} partitions were not given: "
             f"{[member.assignment() for member in members]}")


def groups(admin):
    done(admin.create_topics([NewTopic("rd-shared", 4, check.COPIES)]))
    check.comes("a topic is there", 4, lambda: len(
        admin.list_topics(timeout=10).topics["rd-shared"].partitions))
    for protocol in ["classic", "consumer"]:
        group = f"rd-{protocol}"
        settings = {"group.id": group, "group.protocol": protocol, "enable.partition.eof": False,
                    "auto.offset.reset": "earliest"}
        first, second = consumer(**settings), consumer(**settings)
        first.subscribe(["rd-shared"])
        settled([first], [4])
        second.subscribe(["rd-shared"])
        settled([first, second], [2, 2])
        print(f"ok: two members of a {protocol} group share", flush=True)
        second.close()
        settled([first], [4])
        print(f"ok: one of a {protocol} group takes over", flush=True)
        place = TopicPartition("rd-shared", 1, 5)
        first.commit(offsets=[place], asynchronous=False)
        check.same(f"a {protocol} group commits", 5, first.committed([place], 10)[0].offset)
        description = admin.describe_consumer_groups([group])[group].result(10)
        check.same(f"a {protocol} group is described", ("STABLE", 1, 4), (
            description.state.name, len(description.members),
            len(description.members[0].assignment.topic_partitions)))
        first.close()
        check.comes(f"a {protocol} group is deleted", None,
                    lambda: done(admin.delete_consumer_groups([group])))


def transactions():
    settings = {"isolation.level": "read_committed"}
    producer = Producer({"bootstrap.servers": SERVER, "transactional.id": "rd"})
    producer.init_transactions(30)
    reader = consumer(**{"group.id": "rd-copy", "auto.offset.reset": "earliest"})
    reader.subscribe(["rd-none"])
    settled([reader], [1])
    place = TopicPartition("rd-none", 0, 100)
    for outcome in [producer.abort_transaction, producer.commit_transaction]:
        producer.begin_transaction()
        for number in range(10):
            producer.produce("rd-copied", f"{outcome.__name__} {number}", partition=0)
        producer.send_offsets_to_transaction([place], reader.consumer_group_metadata(), 30)
        outcome(30)
    check.same("offsets are committed with a transaction", 100,
               reader.committed([place], 30)[0].offset)
    found = read(TopicPartition("rd-copied", 0, OFFSET_BEGINNING), 10, **settings)
    check.same("what is committed is read",
               [f"commit_transaction {number}".encode() for number in range(10)],
               [message.value() for message in found])
    younger = Producer({"bootstrap.servers": SERVER, "transactional.id": "rd"})
    producer.begin_transaction()
    producer.produce("rd-copied", "late", partition=0)
    producer.flush(10)
    younger.init_transactions(30)
    check.fails("an older producer is fenced", is_code(KafkaError._FENCED),
                lambda: producer.commit_transaction(30))
    reader.close()


def main():
    admin = AdminClient({"bootstrap.servers": SERVER})
    topics(admin)
    configs(admin)
    records()
    places()
    offsets(admin)
    groups(admin)
    transactions()
    cluster = admin.describe_cluster().result(10)
    found = [node.id for node in cluster.nodes]
    check.same("all brokers are there", check.COPIES, len(found))
    check.same("the controller is one of them", True, cluster.controller.id in found)
    done(admin.delete_topics(["rd"]))
    check.comes("a topic is deleted", False, lambda: "rd" in admin.list_topics(timeout=10).topics)
    check.fails("what is not there is not deleted",
                is_code(KafkaError.UNKNOWN_TOPIC_OR_PART),
                lambda: done(admin.delete_topics(["rd"])))


if __name__ == "__main__":
    main()
