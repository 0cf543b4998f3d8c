import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.admin.AbortTransactionSpec;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ListTransactionsOptions;
import org.apache.kafka.clients.admin.ProducerState;
import org.apache.kafka.clients.admin.TransactionDescription;
import org.apache.kafka.clients.admin.TransactionListing;
import org.apache.kafka.clients.admin.TransactionState;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.ConsumerGroupMetadata;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.InvalidProducerEpochException;
import org.apache.kafka.common.errors.InvalidTxnStateException;
import org.apache.kafka.common.errors.ProducerFencedException;
import org.apache.kafka.common.errors.TimeoutException;
import org.apache.kafka.common.errors.TransactionalIdNotFoundException;

/** The Java producer's transactions, what readers see of them, and what the Admin says. */
final class Transactions {
    private final Broker broker;
    private final Admin admin;

    private Transactions(Broker broker, Admin admin) {
        this.broker = broker;
        this.admin = admin;
    }

    public static void main(String[] arguments) throws Exception {
        Broker broker = new Broker(arguments[0]);
        try (Admin admin = broker.admin()) {
            Transactions suite = new Transactions(broker, admin);
            suite.outcomes();
            suite.severalPartitions();
            suite.interleaved();
            suite.fencing();
            suite.groupOffsets("classic");
            suite.groupOffsets("consumer");
            suite.refusedOffsets();
            suite.timeouts();
            suite.administered();
            suite.hanging();
        }
    }

    private KafkaProducer<String, String> producer(String id, Map<String, ?> settings) {
        Map<String, Object> all = new HashMap<>(settings);
        all.put("transactional.id", id);
        return broker.producer(all);
    }

    private KafkaProducer<String, String> begun(String id) {
        KafkaProducer<String, String> producer = producer(id, Map.of());
        producer.initTransactions();
        producer.beginTransaction();
        return producer;
    }

    private TopicPartition topic(String name) throws Exception {
        return new TopicPartition(broker.topic(name, 3, Map.of()), 0);
    }

    private static void send(KafkaProducer<String, String> producer, TopicPartition to,
            String... values) {
        for (String value : values) {
            producer.send(new ProducerRecord<>(to.topic(), to.partition(), null, value));
        }
        producer.flush();
    }

    /** What a reader finds up to where it may read now. */
    private List<String> seen(TopicPartition partition, String isolation) {
        try (KafkaConsumer<String, String> consumer =
                broker.consumer(Map.of("isolation.level", isolation))) {
            consumer.assign(List.of(partition));
            consumer.seekToBeginning(List.of(partition));
            long end = consumer.endOffsets(List.of(partition)).get(partition);
            List<String> found = new java.util.ArrayList<>();
            long deadline = System.nanoTime() + 30_000_000_000L;
            while (consumer.position(partition) < end && System.nanoTime() < deadline) {
                consumer.poll(Duration.ofMillis(100)).forEach(it -> found.add(it.value()));
            }
            return found;
        }
    }

    private List<String> committed(TopicPartition partition) {
        return seen(partition, "read_committed");
    }

    private List<String> all(TopicPartition partition) {
        return seen(partition, "read_uncommitted");
    }

    private long end(TopicPartition partition, String isolation) {
        try (KafkaConsumer<String, String> consumer =
                broker.consumer(Map.of("isolation.level", isolation))) {
            return consumer.endOffsets(List.of(partition)).get(partition);
        }
    }

    private void outcomes() throws Exception {
        TopicPartition to = topic("outcomes");
        try (KafkaProducer<String, String> producer = begun("outcomes")) {
            send(producer, to, "a", "b");
            Check.same("what is open is seen by who reads everything", List.of("a", "b"), all(to));
            Check.same("and not by who reads what is committed", List.of(), committed(to));
            Check.same("whose end is the last stable offset", "2 0",
                end(to, "read_uncommitted") + " " + end(to, "read_committed"));
            producer.commitTransaction();
            Check.comes("what is committed is seen", List.of("a", "b"), () -> committed(to));
            Check.same("with its marker behind it", 3L, end(to, "read_committed"));
            producer.beginTransaction();
            send(producer, to, "c", "d");
            producer.abortTransaction();
            Check.comes("what is aborted is behind the last stable offset", 6L,
                () -> end(to, "read_committed"));
            Check.same("and is not seen", List.of("a", "b"), committed(to));
            Check.same("except by who reads everything", List.of("a", "b", "c", "d"), all(to));
            producer.beginTransaction();
            producer.commitTransaction();
            producer.beginTransaction();
            producer.abortTransaction();
            Check.same("an empty transaction writes nothing", 6L, end(to, "read_uncommitted"));
            producer.beginTransaction();
            send(producer, to, "e");
            producer.commitTransaction();
            Check.comes("and the next one is as ever", List.of("a", "b", "e"),
                () -> committed(to));
        }
    }

    private void severalPartitions() throws Exception {
        TopicPartition zero = topic("several");
        TopicPartition one = new TopicPartition("several", 1);
        TopicPartition two = new TopicPartition("several", 2);
        try (KafkaProducer<String, String> producer = begun("several")) {
            for (int round = 0; round < 20; round++) {
                send(producer, zero, "z" + round);
                send(producer, one, "o" + round);
                if (round % 4 == 3) {
                    producer.abortTransaction();
                } else {
                    producer.commitTransaction();
                }
                producer.beginTransaction();
            }
            send(producer, two, "t");
            producer.commitTransaction();
        }
        Check.comes("the last one is seen", List.of("t"), () -> committed(two));
        List<String> numbers = java.util.stream.IntStream.range(0, 20)
            .filter(round -> round % 4 != 3).mapToObj(round -> "" + round).toList();
        Check.comes("all of a transaction is committed or aborted", numbers,
            () -> committed(zero).stream().map(it -> it.substring(1)).toList());
        Check.comes("in every partition", numbers,
            () -> committed(one).stream().map(it -> it.substring(1)).toList());
    }

    private void interleaved() throws Exception {
        TopicPartition to = topic("interleaved");
        try (KafkaProducer<String, String> slow = begun("slow");
                KafkaProducer<String, String> quick = begun("quick");
                KafkaProducer<String, String> plain = broker.producer(Map.of())) {
            send(quick, to, "q1");
            send(slow, to, "s1");
            send(plain, to, "p1");
            quick.commitTransaction();
            Check.comes("who reads what is committed stops at the first that is open",
                List.of("q1"), () -> committed(to));
            quick.beginTransaction();
            send(quick, to, "q2");
            quick.abortTransaction();
            send(slow, to, "s2");
            slow.commitTransaction();
            Check.comes("and sees the rest in the order of the log",
                List.of("q1", "s1", "p1", "s2"), () -> committed(to));
        }
    }

    private void fencing() throws Exception {
        TopicPartition to = topic("fencing");
        KafkaProducer<String, String> old = begun("fencing");
        send(old, to, "old");
        try (KafkaProducer<String, String> young = producer("fencing", Map.of())) {
            young.initTransactions();
            Check.comes("a younger producer ends what the older one left open", 2L,
                () -> end(to, "read_committed"));
            Check.fails("and the older one cannot commit", ProducerFencedException.class, () -> {
                old.commitTransaction();
                return "a commit";
            });
            young.beginTransaction();
            send(young, to, "young");
            young.commitTransaction();
            Check.comes("but the younger one can", List.of("young"), () -> committed(to));
        }
        old.close(Duration.ZERO);
        KafkaProducer<String, String> sender = begun("fencing");
        try (KafkaProducer<String, String> young = producer("fencing", Map.of())) {
            young.initTransactions();
            Check.fails("nor does an older one write", InvalidProducerEpochException.class,
                () -> sender.send(new ProducerRecord<>(to.topic(), 0, null, "late")).get());
        }
        sender.close(Duration.ZERO);
        Check.same("nothing of it is there", List.of("old", "young"), all(to));
    }

    private Map<TopicPartition, OffsetAndMetadata> offsets(String group) throws Exception {
        return admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get();
    }

    private void groupOffsets(String protocol) throws Exception {
        String group = "group-" + protocol;
        TopicPartition from = topic("from-" + protocol);
        TopicPartition to = topic("to-" + protocol);
        try (KafkaProducer<String, String> plain = broker.producer(Map.of())) {
            send(plain, from, "1", "2", "3");
        }
        try (Member member = new Member(broker, Map.of("group.id", group,
                "group.protocol", protocol)).to(from.topic());
                KafkaProducer<String, String> producer = begun(group)) {
            Member.settle(protocol + ": three are read", 3, member.records::size, member);
            ConsumerGroupMetadata who = member.consumer.groupMetadata();
            Map<TopicPartition, OffsetAndMetadata> three =
                Map.of(from, new OffsetAndMetadata(3, "three"));
            send(producer, to, "1", "2", "3");
            producer.sendOffsetsToTransaction(three, who);
            Check.same(protocol + ": offsets of an open transaction are not committed", Map.of(),
                offsets(group));
            Check.fails(protocol + ": a reader of the group waits for them",
                TimeoutException.class,
                () -> member.consumer.committed(Set.of(from), Duration.ofSeconds(2)));
            producer.abortTransaction();
            Check.same(protocol + ": nor those of an aborted one", Map.of(), offsets(group));
            producer.beginTransaction();
            send(producer, to, "4", "5", "6");
            producer.sendOffsetsToTransaction(three, who);
            producer.commitTransaction();
            Check.comes(protocol + ": but those of a committed one", three, () -> offsets(group));
            Check.same(protocol + ": as the member finds", three,
                member.consumer.committed(Set.of(from)));
            producer.beginTransaction();
            producer.sendOffsetsToTransaction(Map.of(from, new OffsetAndMetadata(2)), who);
            producer.commitTransaction();
            Check.comes(protocol + ": also where it has nothing else",
                Map.of(from, new OffsetAndMetadata(2)), () -> offsets(group));
        }
        Check.comes(protocol + ": with what was written", List.of("4", "5", "6"),
            () -> committed(to));
    }

    private void refusedOffsets() throws Exception {
        TopicPartition from = topic("refused");
        try (KafkaProducer<String, String> plain = broker.producer(Map.of())) {
            send(plain, from, "1", "2", "3");
        }
        Map<TopicPartition, OffsetAndMetadata> offsets = Map.of(from, new OffsetAndMetadata(3));
        for (String protocol : List.of("classic", "consumer")) {
            String group = "refused-" + protocol;
            ConsumerGroupMetadata gone;
            try (Member member = new Member(broker, Map.of("group.id", group,
                    "group.protocol", protocol)).to(from.topic())) {
                Member.settle(protocol + ": a member reads", 3, member.records::size, member);
                gone = member.consumer.groupMetadata();
            }
            try (Member member = new Member(broker, Map.of("group.id", group,
                    "group.protocol", protocol)).to(from.topic());
                    KafkaProducer<String, String> producer = begun(group)) {
                Member.settle(protocol + ": another one reads", 3, member.records::size, member);
                Check.fails(protocol + ": who is no member any more does not commit",
                    CommitFailedException.class, () -> {
                        producer.sendOffsetsToTransaction(offsets, gone);
                        return "a commit";
                    });
                producer.abortTransaction();
                Check.same(protocol + ": nothing is committed", Map.of(), offsets(group));
            }
        }
    }

    private TransactionDescription described(String id) throws Exception {
        return admin.describeTransactions(List.of(id)).description(id).get();
    }

    /** A broker may look for such transactions every ten seconds only. */
    private void comesLate(String name, Object expected, java.util.concurrent.Callable<?> call)
            throws Exception {
        long deadline = System.nanoTime() + 40_000_000_000L;
        while (!expected.equals(call.call()) && System.nanoTime() < deadline) {
            Thread.sleep(20);
        }
        Check.same(name, expected, call.call());
    }

    private void timeouts() throws Exception {
        TopicPartition to = topic("timeouts");
        try (KafkaProducer<String, String> producer =
                producer("timeouts", Map.of("transaction.timeout.ms", 1000))) {
            producer.initTransactions();
            producer.beginTransaction();
            send(producer, to, "late");
            comesLate("a transaction that is open for too long is aborted",
                TransactionState.COMPLETE_ABORT, () -> described("timeouts").state());
            Check.comes("nobody waits for it", 2L, () -> end(to, "read_committed"));
            Check.same("or sees it", List.of(), committed(to));
            Check.fails("and its producer cannot commit it", InvalidTxnStateException.class,
                () -> {
                    producer.commitTransaction();
                    return "a commit";
                });
        }
        try (KafkaProducer<String, String> producer = begun("timeouts")) {
            send(producer, to, "again");
            producer.commitTransaction();
        }
        Check.comes("but another one goes on", List.of("again"), () -> committed(to));
        try (KafkaProducer<String, String> producer =
                producer("eternal", Map.of("transaction.timeout.ms", 900_001))) {
            Check.fails("a timeout that is too long", KafkaException.class, () -> {
                producer.initTransactions();
                return "a producer";
            });
        }
    }

    private String listed(String id, ListTransactionsOptions options) throws Exception {
        return admin.listTransactions(options).all().get().stream()
            .filter(listing -> listing.transactionalId().equals(id))
            .map(TransactionListing::state).toList().toString();
    }

    private ProducerState active(TopicPartition partition, long producerId) throws Exception {
        return admin.describeProducers(List.of(partition)).partitionResult(partition).get()
            .activeProducers().stream().filter(it -> it.producerId() == producerId)
            .findFirst().get();
    }

    private void administered() throws Exception {
        TopicPartition to = topic("administered");
        KafkaProducer<String, String> producer = begun("administered");
        send(producer, to, "0");
        producer.commitTransaction();
        Check.comes("a transaction is complete", "[CompleteCommit]",
            () -> listed("administered", new ListTransactionsOptions()));
        producer.beginTransaction();
        send(producer, to, "1", "2");
        Check.same("one that is open is listed", "[Ongoing]",
            listed("administered", new ListTransactionsOptions()));
        Check.same("by its state", "[Ongoing]", listed("administered",
            new ListTransactionsOptions().filterStates(Set.of(TransactionState.ONGOING))));
        Check.same("not by another", "[]", listed("administered",
            new ListTransactionsOptions().filterStates(Set.of(TransactionState.EMPTY))));
        Check.same("by how long it has been open", "[]", listed("administered",
            new ListTransactionsOptions().filterOnDuration(600_000)));
        Check.same("by a pattern", "[Ongoing]", listed("administered",
            new ListTransactionsOptions().filterOnTransactionalIdPattern("admin.*")));
        Check.same("not by another", "[]", listed("administered",
            new ListTransactionsOptions().filterOnTransactionalIdPattern("admin")));
        TransactionDescription found = described("administered");
        Check.same("it is described", "Ongoing 60000 [" + to + "]", found.state() + " "
            + found.transactionTimeoutMs() + " " + found.topicPartitions());
        Check.same("by its producer", "[Ongoing]", listed("administered",
            new ListTransactionsOptions().filterProducerIds(Set.of(found.producerId()))));
        Check.that("since when it is open", Math.abs(
            found.transactionStartTimeMs().getAsLong() - System.currentTimeMillis()) < 60_000,
            found);
        ProducerState state = active(to, found.producerId());
        Check.same("its producer is active in the partition",
            found.producerEpoch() + " 1 OptionalLong[2]", state.producerEpoch() + " "
                + state.lastSequence() + " " + state.currentTransactionStartOffset());
        admin.fenceProducers(List.of("administered")).all().get();
        Check.comes("fencing aborts it and leaves nothing open", "[Empty]",
            () -> listed("administered", new ListTransactionsOptions()));
        Check.fails("and fences its producer", ProducerFencedException.class, () -> {
            producer.commitTransaction();
            return "a commit";
        });
        producer.close(Duration.ZERO);
        Check.same("only the first is seen", List.of("0"), committed(to));
        Check.fails("an unknown one", TransactionalIdNotFoundException.class,
            () -> described("nobody"));
    }

    private void hanging() throws Exception {
        TopicPartition to = topic("hanging");
        KafkaProducer<String, String> producer = begun("hanging");
        send(producer, to, "1");
        TransactionDescription found = described("hanging");
        ProducerState state = active(to, found.producerId());
        admin.abortTransaction(new AbortTransactionSpec(to, found.producerId(),
            (short) state.producerEpoch(), state.coordinatorEpoch().orElse(0))).all().get();
        Check.comes("one partition's part is aborted by an operator", 2L,
            () -> end(to, "read_committed"));
        Check.same("and is not seen", List.of(), committed(to));
        Check.same("nothing is open there", "OptionalLong.empty",
            active(to, found.producerId()).currentTransactionStartOffset().toString());
        producer.close(Duration.ZERO);
    }
}
