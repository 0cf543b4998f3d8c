#!/usr/bin/env python3
"""aiokafka: producer, consumer groups, transactions. Argument: the broker.

It goes its own way where others follow Java: its own coordinator, assignors and transaction
manager, and older versions of most requests.
"""

import asyncio
import os
import sys
import time

from aiokafka import (AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener,
                      OffsetAndMetadata, TopicPartition)
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.errors import IllegalStateError, NoError, ProducerFenced, TopicAlreadyExistsError

import check

SERVER = sys.argv[1]
CODECS = [None, "gzip", "snappy", "lz4", "zstd"]
PARTITIONS = 4
COUNT = 200
LIMIT = 150


async def fails(name, kind, awaitable):
    """The call must raise this."""
    try:
        came = await awaitable
    except kind:
        print(f"ok: {name}", flush=True)
        return
    except Exception as raised:  # whatever it is, it is shown
        came = raised
    sys.exit(f"failed: {name}\nexpected: {kind.__name__}\nactual:   {came!r}")


async def comes(name, expected, call):
    """The awaited call must give this before long."""
    deadline = time.monotonic() + 30
    actual = await call()
    while actual != expected and time.monotonic() < deadline:
        await asyncio.sleep(0.02)
        actual = await call()
    check.same(name, expected, actual)


async def read(partition, count, **settings):
    """The first records of a partition; fewer where there are no more for a while."""
    consumer = AIOKafkaConsumer(bootstrap_servers=SERVER, auto_offset_reset="earliest", **settings)
    async with consumer:
        consumer.assign([partition])
        found = []
        deadline = time.monotonic() + 10
        while len(found) < count and time.monotonic() < deadline:
            found += (await consumer.getmany(partition, timeout_ms=500)).get(partition, [])
    return found


def values(records):
    return [record.value.decode() for record in records]


async def topics(admin):
    for expected in [NoError, TopicAlreadyExistsError]:
        answer = await admin.create_topics([NewTopic("aio", PARTITIONS, check.COPIES)])
        ((_, code, _),) = answer.topic_errors
        check.same(f"making a topic is answered {expected.__name__}", expected.errno, code)


async def records():
    for codec in CODECS:
        partition = TopicPartition(f"aio-{codec}", 0)
        sent = [f"{codec} {number}" for number in range(500)]
        producer = AIOKafkaProducer(bootstrap_servers=SERVER, compression_type=codec, linger_ms=10,
                                    enable_idempotence=codec is not None)
        async with producer:
            waiting = [await producer.send(partition.topic, value.encode(), key=b"k", partition=0,
                                           headers=[("number", value.encode())])
                       for value in sent]
            offsets = [record.offset for record in await asyncio.gather(*waiting)]
        check.same(f"500 records through {codec} are acknowledged", list(range(500)), offsets)
        found = await read(partition, 500)
        check.same("and come back", sent, values(found))
        check.same("with their headers", (("number", sent[0].encode()),), found[0].headers)


class Listener(ConsumerRebalanceListener):
    """Counts what is taken away."""

    revoked = 0

    async def on_partitions_revoked(self, revoked):
        self.revoked += len(revoked)

    async def on_partitions_assigned(self, assigned):
        pass


def member(group, assignor, **settings):
    return AIOKafkaConsumer(
        bootstrap_servers=SERVER, group_id=group, auto_offset_reset="earliest",
        enable_auto_commit=False, partition_assignment_strategy=[assignor],
        heartbeat_interval_ms=300, **settings)


async def fill(topic):
    producer = AIOKafkaProducer(bootstrap_servers=SERVER)
    async with producer:
        for number in range(COUNT):
            await producer.send(topic, str(number).encode(), partition=number % PARTITIONS)


async def collect(consumer, count):
    """At least so many records, unless they do not come."""
    found = []
    deadline = time.monotonic() + 30
    while len(found) < count and time.monotonic() < deadline:
        for part in (await consumer.getmany(timeout_ms=200)).values():
            found += part
    return found


async def groups(admin):
    await fill("aio")
    for assignor in [RoundRobinPartitionAssignor, RangePartitionAssignor, StickyPartitionAssignor]:
        group = f"aio-{assignor.name}"
        first, listener = member(group, assignor), Listener()
        first.subscribe(["aio"], listener=listener)
        await first.start()
        found = await collect(first, COUNT)
        check.same(f"{assignor.name}: one member reads everything", list(range(COUNT)),
                   sorted(map(int, values(found))))
        await first.commit()
        second = member(group, assignor)
        second.subscribe(["aio"])
        await second.start()

        async def shares():
            return [len(first.assignment()), len(second.assignment())]

        await comes(f"{assignor.name}: two members share", [2, 2], shares)
        check.same("nothing is read by both", set(), first.assignment() & second.assignment())
        check.same("what was taken away was told", True, listener.revoked >= 2)
        (partition, *_) = second.assignment()
        check.same("the second knows what was committed", COUNT // PARTITIONS,
                   await second.committed(partition))
        await first.stop()

        async def share():
            return len(second.assignment())

        await comes(f"{assignor.name}: who stays takes over", PARTITIONS, share)
        await second.commit({partition: OffsetAndMetadata(7, "note")})
        await second.stop()
        offsets = await admin.list_consumer_group_offsets(group)
        check.same("offsets and their metadata are kept", (7, "note"),
                   tuple(offsets[partition])[:2])
    listed = {name for name, _ in await admin.list_consumer_groups()}
    check.same("groups are listed", True, {"aio-roundrobin", "aio-range", "aio-sticky"} <= listed)


async def static_member():
    """One that comes back under its name within its session has what it had, and nobody rejoins."""
    settings = {"group_instance_id": "fixed", "session_timeout_ms": 20000}
    first = member("aio-static", RangePartitionAssignor, **settings)
    other, listener = member("aio-static", RangePartitionAssignor), Listener()
    first.subscribe(["aio"])
    await first.start()
    other.subscribe(["aio"], listener=listener)
    await other.start()

    async def shares():
        return [len(first.assignment()), len(other.assignment())]

    await comes("a static member shares", [2, 2], shares)
    had, revoked = first.assignment(), listener.revoked
    await first.stop()
    again = member("aio-static", RangePartitionAssignor, **settings)
    again.subscribe(["aio"])
    await again.start()
    check.same("a static member comes back to what it had", had, again.assignment())
    check.same("and nobody else noticed", revoked, listener.revoked)
    await again.stop()
    await other.stop()


async def transactions():
    partition = TopicPartition("aio-txn", 0)
    producer = AIOKafkaProducer(bootstrap_servers=SERVER, transactional_id="aio")
    await producer.start()
    async with producer.transaction():
        await producer.send_and_wait(partition.topic, b"committed", partition=0)
    await producer.begin_transaction()
    await producer.send_and_wait(partition.topic, b"aborted", partition=0)
    check.same("what is open is read uncommitted only", ["committed", "aborted"],
               values(await read(partition, 2)))
    await producer.abort_transaction()
    async with producer.transaction():
        await producer.send(partition.topic, b"last", partition=0)
    check.same("what was aborted is not read", ["committed", "last"],
               values(await read(partition, 2, isolation_level="read_committed")))

    await producer.begin_transaction()
    await producer.send_and_wait(partition.topic, b"of the fenced", partition=0)
    successor = AIOKafkaProducer(bootstrap_servers=SERVER, transactional_id="aio")
    await successor.start()
    await fails("a producer is fenced by its successor", (ProducerFenced, IllegalStateError),
                producer.commit_transaction())
    await producer.stop()
    async with successor.transaction():
        await successor.send(partition.topic, b"of the successor", partition=0)
    await successor.stop()
    check.same("and what it left is aborted", ["committed", "last", "of the successor"],
               values(await read(partition, 3, isolation_level="read_committed")))


async def copies():
    """Consume, transform, produce: offsets are committed with the records, or neither is."""
    group = "aio-copier"
    consumer = member(group, RangePartitionAssignor, isolation_level="read_committed")
    consumer.subscribe(["aio"])
    await consumer.start()
    producer = AIOKafkaProducer(bootstrap_servers=SERVER, transactional_id="aio-copier")
    await producer.start()
    done = aborted = 0
    deadline = time.monotonic() + 60
    while done < COUNT and time.monotonic() < deadline:
        parts = await consumer.getmany(timeout_ms=200, max_records=37)
        if not parts:
            continue
        await producer.begin_transaction()
        for partition, part in parts.items():
            for record in part:
                await producer.send("aio-copy", record.value, partition=partition.partition)
        offsets = {partition: part[-1].offset + 1 for partition, part in parts.items()}
        await producer.send_offsets_to_transaction(offsets, group)
        if aborted < 2:
            aborted += 1
            await producer.abort_transaction()
            for partition, part in parts.items():
                consumer.seek(partition, part[0].offset)
            continue
        await producer.commit_transaction()
        done += sum(map(len, parts.values()))
    await producer.stop()
    committed = [await consumer.committed(TopicPartition("aio", number))
                 for number in range(PARTITIONS)]
    check.same("a copier's offsets are committed", [COUNT // PARTITIONS] * PARTITIONS, committed)
    await consumer.stop()
    for number in range(PARTITIONS):
        expected = [str(value) for value in range(number, COUNT, PARTITIONS)]
        found = await read(TopicPartition("aio-copy", number), len(expected),
                           isolation_level="read_committed")
        check.same(f"partition {number} is copied once, in order", expected, values(found))


async def main():
    admin = AIOKafkaAdminClient(bootstrap_servers=SERVER)
    await admin.start()
    await topics(admin)
    await records()
    await groups(admin)
    await static_member()
    await admin.create_topics([NewTopic("aio-copy", PARTITIONS, check.COPIES)])
    await transactions()
    await copies()
    await admin.close()


async def bounded():
    """Ends the process where a check fails: asyncio would bury its words under those of tasks."""
    try:
        await asyncio.wait_for(main(), LIMIT)
    except (SystemExit, TimeoutError) as ended:
        print(ended or "it took too long", file=sys.stderr, flush=True)
        os._exit(1)


if __name__ == "__main__":
    asyncio.run(bounded())
