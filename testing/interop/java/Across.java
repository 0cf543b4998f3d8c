import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Consumer;
import java.util.stream.IntStream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewPartitionReassignment;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.ElectionType;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.ElectionNotNeededException;

/**
 * Transactions over partitions that are led by brokers of two kinds, with a coordinator of either,
 * and with leaders that change in the middle. Arguments: the brokers, a topic to make, the id of a
 * broker of each kind, the id of a third one.
 */
final class Across {
    private static final TopicPartition COORDINATOR = new TopicPartition("__transaction_state", 0);
    /** What a reader of committed records finds shall not change any more after so long. */
    private static final Duration QUIET = Duration.ofSeconds(1);

    private final Broker broker;
    private final Admin admin;
    private final String topic;
    private final List<Integer> ids;
    /** What was committed, for each partition. */
    private final List<List<String>> expected = List.of(new ArrayList<>(), new ArrayList<>());

    private Across(Broker broker, Admin admin, String topic, List<Integer> ids) {
        this.broker = broker;
        this.admin = admin;
        this.topic = topic;
        this.ids = ids;
    }

    public static void main(String[] arguments) throws Exception {
        Broker broker = new Broker(arguments[0]);
        List<Integer> ids =
            IntStream.range(2, 5).mapToObj(at -> Integer.valueOf(arguments[at])).toList();
        try (Admin admin = broker.admin()) {
            Across suite = new Across(broker, admin, arguments[1], ids);
            suite.create();
            int first = ids.get(0);
            int second = ids.get(1);
            for (int coordinator : List.of(first, second)) {
                suite.lead(COORDINATOR, coordinator);
                suite.outcomes(coordinator);
            }
            for (int from : List.of(first, second)) {
                int to = from == first ? second : first;
                suite.movedCoordinator(from, to);
                suite.movedLeader(from, to);
            }
        }
    }

    private TopicPartition partition(int index) {
        return new TopicPartition(topic, index);
    }

    /** The nodes with this one first, which makes it the preferred leader. */
    private List<Integer> order(int first) {
        List<Integer> order = new ArrayList<>(List.of(first));
        ids.stream().filter(id -> id != first).forEach(order::add);
        return order;
    }

    /** A partition that each of the two leads, and a coordinator. */
    private void create() throws Exception {
        Map<Integer, List<Integer>> replicas = Map.of(0, order(ids.get(0)), 1, order(ids.get(1)));
        admin.createTopics(List.of(new NewTopic(topic, replicas))).all().get();
        try (KafkaProducer<String, String> producer = producer("across")) {
            producer.initTransactions();
        }
        for (int index : List.of(0, 1)) {
            int leader = ids.get(index);
            Check.comes("node " + leader + " leads partition " + index, leader,
                () -> leader(partition(index)));
        }
    }

    private KafkaProducer<String, String> producer(String id) {
        return broker.producer(Map.of("transactional.id", id));
    }

    private int leader(TopicPartition partition) throws Exception {
        return admin.describeTopics(List.of(partition.topic())).allTopicNames().get()
            .get(partition.topic()).partitions().get(partition.partition()).leader().id();
    }

    private void lead(TopicPartition partition, int id) throws Exception {
        admin.alterPartitionReassignments(
            Map.of(partition, Optional.of(new NewPartitionReassignment(order(id))))).all().get();
        Check.comes(partition + " is moved to node " + id, id, () -> {
            admin.electLeaders(ElectionType.PREFERRED, Set.of(partition)).partitions().get().get(
                partition).filter(error -> !(error instanceof ElectionNotNeededException))
                .ifPresent(error -> { throw new IllegalStateException(error); });
            return leader(partition);
        });
    }

    /** Sends a value to both partitions and waits until it is there. */
    private void send(KafkaProducer<String, String> producer, String value) {
        for (int index : List.of(0, 1)) {
            producer.send(new ProducerRecord<>(topic, index, null, value));
        }
        producer.flush();
    }

    private void commit(KafkaProducer<String, String> producer, String... values) {
        producer.commitTransaction();
        expected.forEach(partition -> partition.addAll(List.of(values)));
    }

    /** Both partitions have what was committed, and nothing else, for those who read committed. */
    private void found(String name) throws Exception {
        for (int index : List.of(0, 1)) {
            Check.comes(name + ", partition " + index, expected.get(index), () -> seen(index));
        }
    }

    private List<String> seen(int index) {
        List<String> values = new ArrayList<>();
        Map<String, String> committed = Map.of("isolation.level", "read_committed");
        try (KafkaConsumer<String, String> consumer = broker.consumer(committed)) {
            TopicPartition partition = partition(index);
            consumer.assign(List.of(partition));
            consumer.seekToBeginning(List.of(partition));
            long end = consumer.endOffsets(List.of(partition)).get(partition);
            long deadline = System.nanoTime() + 10 * QUIET.toNanos();
            while (consumer.position(partition) < end && System.nanoTime() < deadline) {
                consumer.poll(QUIET).records(partition).forEach(one -> values.add(one.value()));
            }
        }
        return values;
    }

    /** Commits, aborts, and offsets that are committed with records. */
    private void outcomes(int coordinator) throws Exception {
        String by = " by node " + coordinator;
        try (KafkaProducer<String, String> producer = producer("across")) {
            producer.initTransactions();
            for (int round = 0; round < 5; round++) {
                String value = "committed " + round + by;
                producer.beginTransaction();
                send(producer, value);
                commit(producer, value);
                producer.beginTransaction();
                send(producer, "aborted " + round + by);
                producer.abortTransaction();
            }
            found("transactions are decided" + by);
            String group = "across-" + coordinator;
            producer.beginTransaction();
            send(producer, "offset" + by);
            Map<TopicPartition, OffsetAndMetadata> offsets =
                Map.of(partition(0), new OffsetAndMetadata(7));
            try (KafkaConsumer<String, String> one = broker.consumer(Map.of("group.id", group))) {
                producer.sendOffsetsToTransaction(offsets, one.groupMetadata());
            }
            commit(producer, "offset" + by);
            Check.comes("with offsets" + by, 7L, () -> admin.listConsumerGroupOffsets(group)
                .partitionsToOffsetAndMetadata().get().get(partition(0)).offset());
            found("and their records" + by);
        }
    }

    /** The coordinator changes to one of the other kind while a transaction is open. */
    private void movedCoordinator(int from, int to) throws Exception {
        String how = "begun at node " + from + " and decided at node " + to;
        moved(how, COORDINATOR, from, to);
    }

    /** The leader of a partition does. */
    private void movedLeader(int from, int to) throws Exception {
        String how = "written at node " + from + " and at node " + to;
        moved(how, partition(0), from, to);
    }

    private void moved(String how, TopicPartition what, int from, int to) throws Exception {
        lead(what, from);
        try (KafkaProducer<String, String> producer = producer("across")) {
            producer.initTransactions();
            Consumer<String> half = value -> {
                producer.beginTransaction();
                send(producer, value);
            };
            half.accept(how + ", first");
            lead(what, to);
            send(producer, how + ", second");
            commit(producer, how + ", first", how + ", second");
            found("a transaction " + how + " is committed");
            lead(what, from);
            half.accept(how + ", never");
            lead(what, to);
            producer.abortTransaction();
            found("one " + how + " is aborted");
        }
    }
}
