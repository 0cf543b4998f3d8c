import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.CreateTopicsOptions;
import org.apache.kafka.clients.admin.CreateTopicsResult;
import org.apache.kafka.clients.admin.ListOffsetsResult.ListOffsetsResultInfo;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicCollection;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionInfo;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.common.errors.InvalidPartitionsException;
import org.apache.kafka.common.errors.InvalidReplicaAssignmentException;
import org.apache.kafka.common.errors.InvalidReplicationFactorException;
import org.apache.kafka.common.errors.InvalidTopicException;
import org.apache.kafka.common.errors.OffsetOutOfRangeException;
import org.apache.kafka.common.errors.PolicyViolationException;
import org.apache.kafka.common.errors.TimeoutException;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.errors.UnknownTopicIdException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;

/** Topics, partitions and records as the Java Admin makes, shows and removes them. */
final class Topics {
    private final Broker broker;
    private final Admin admin;
    private final int node;

    private Topics(Broker broker, Admin admin) throws Exception {
        this.broker = broker;
        this.admin = admin;
        node = admin.describeCluster().nodes().get().iterator().next().id();
    }

    public static void main(String[] arguments) throws Exception {
        Broker broker = new Broker(arguments[0]);
        try (Admin admin = broker.admin()) {
            Topics suite = new Topics(broker, admin);
            suite.creation();
            suite.refusedCreation();
            suite.description();
            suite.deletion();
            suite.morePartitions();
            suite.offsets();
            suite.deletedRecords();
        }
    }

    private static NewTopic topic(String name, int partitions, int replicas) {
        return new NewTopic(name, partitions, (short) replicas);
    }

    private Object create(NewTopic topic) throws Exception {
        return admin.createTopics(List.of(topic)).all().get();
    }

    /** A topic that was just made; the broker that is asked may hear of it a moment later. */
    private TopicDescription describe(String name) throws Exception {
        return Check.once(() -> described(name));
    }

    private TopicDescription described(String name) throws Exception {
        return admin.describeTopics(List.of(name)).allTopicNames().get().get(name);
    }

    private void creation() throws Exception {
        NewTopic plain = topic("plain", 3, broker.copies()).configs(Map.of("retention.ms", "123456"));
        CreateTopicsResult result = admin.createTopics(List.of(plain));
        Check.same("a created topic has its partitions", 3, result.numPartitions("plain").get());
        Check.same("and its replicas", (int) broker.copies(), result.replicationFactor("plain").get());
        Check.same("and its configuration", "123456",
            result.config("plain").get().get("retention.ms").value());
        Check.same("and an id that is found again", describe("plain").topicId(),
            result.topicId("plain").get());
        NewTopic defaults = new NewTopic("defaults", Optional.empty(), Optional.empty());
        Check.same("defaults are one partition", 1,
            admin.createTopics(List.of(defaults)).numPartitions("defaults").get());
        create(new NewTopic("assigned", Map.of(0, List.of(node), 1, List.of(node))));
        Check.same("a topic with an assignment", 2, describe("assigned").partitions().size());
        admin.createTopics(List.of(topic("tried", 2, broker.copies())),
            new CreateTopicsOptions().validateOnly(true)).all().get();
        Check.comes("topics are listed, not those that were only validated",
            Set.of("plain", "defaults", "assigned"), () -> {
                Set<String> names = admin.listTopics().names().get();
                names.retainAll(Set.of("plain", "defaults", "assigned", "tried"));
                return names;
            });
        CreateTopicsResult mixed =
            admin.createTopics(List.of(topic("good", 1, broker.copies()), topic("plain", 1, broker.copies())));
        mixed.values().get("good").get();
        Check.fails("one of two exists already", TopicExistsException.class,
            () -> mixed.values().get("plain").get());
    }

    private void refusedCreation() {
        Check.fails("0 partitions", InvalidPartitionsException.class,
            () -> create(topic("refused", 0, 1)));
        Check.fails("0 replicas", InvalidReplicationFactorException.class,
            () -> create(topic("refused", 1, 0)));
        Check.fails("more replicas than brokers", InvalidReplicationFactorException.class,
            () -> create(topic("refused", 1, 9)));
        Check.fails("an unknown configuration", InvalidConfigurationException.class,
            () -> create(topic("refused", 1, 1).configs(Map.of("no.such", "1"))));
        Check.fails("a value of the wrong type", InvalidConfigurationException.class,
            () -> create(topic("refused", 1, 1).configs(Map.of("retention.ms", "soon"))));
        Check.fails("a value out of bounds", InvalidConfigurationException.class,
            () -> create(topic("refused", 1, 1).configs(Map.of("segment.bytes", "-4"))));
        for (String name : List.of("a name", ".", "..", "x".repeat(250), "ä")) {
            String shown = name.length() > 20 ? "a name of 250 characters" : "'" + name + "'";
            Check.fails("a topic called " + shown, InvalidTopicException.class,
                () -> create(topic(name, 1, 1)));
        }
        Check.fails("a name that collides with another's metrics", InvalidTopicException.class,
            () -> {
                create(topic("one.metric", 1, 1));
                return create(topic("one_metric", 1, 1));
            });
        Check.fails("an assignment to a broker that is not there",
            InvalidReplicaAssignmentException.class,
            () -> create(new NewTopic("refused", Map.of(0, List.of(node + 7)))));
        Check.fails("an assignment of one broker twice", InvalidReplicaAssignmentException.class,
            () -> create(new NewTopic("refused", Map.of(0, List.of(node, node)))));
        Check.fails("an assignment with a gap", InvalidReplicaAssignmentException.class,
            () -> create(new NewTopic("refused", Map.of(1, List.of(node)))));
    }

    private void description() throws Exception {
        TopicDescription plain = describe("plain");
        TopicPartitionInfo last = plain.partitions().get(2);
        List<Integer> replicas = last.replicas().stream().map(it -> it.id()).toList();
        Check.same("a description names leader, replicas, ISR and no ELR",
            "2 " + replicas.get(0) + " " + broker.copies() + " " + replicas
                + " [] [] internal false",
            last.partition() + " " + last.leader().id() + " " + replicas.size() + " "
                + last.isr().stream().map(it -> it.id()).toList() + " " + last.elr()
                + " " + last.lastKnownElr() + " internal " + plain.isInternal());
        Uuid id = plain.topicId();
        Check.same("a description by id", "plain", admin.describeTopics(
            TopicCollection.ofTopicIds(List.of(id))).allTopicIds().get().get(id).name());
        Check.fails("a description of an unknown topic", UnknownTopicOrPartitionException.class,
            () -> described("nowhere"));
        Check.fails("a description of an unknown id", UnknownTopicIdException.class,
            () -> admin.describeTopics(TopicCollection.ofTopicIds(List.of(Uuid.randomUuid())))
                .allTopicIds().get());
    }

    private void deletion() throws Exception {
        create(topic("gone", 2, broker.copies()));
        create(topic("gone-by-id", 1, broker.copies()));
        Uuid first = describe("gone").topicId();
        Uuid id = describe("gone-by-id").topicId();
        admin.deleteTopics(List.of("gone")).all().get();
        admin.deleteTopics(TopicCollection.ofTopicIds(List.of(id))).all().get();
        Check.comes("deleted topics are gone, by name and by id", Set.of(), () -> {
            Set<String> names = admin.listTopics().names().get();
            names.retainAll(Set.of("gone", "gone-by-id"));
            return names;
        });
        Check.fails("deleting what is not there", UnknownTopicOrPartitionException.class,
            () -> admin.deleteTopics(List.of("gone")).all().get());
        Check.fails("deleting an unknown id", UnknownTopicIdException.class,
            () -> admin.deleteTopics(TopicCollection.ofTopicIds(List.of(id))).all().get());
        create(topic("gone", 1, broker.copies()));
        Check.that("a topic of the same name has another id",
            !first.equals(describe("gone").topicId()), first);
        send("gone", 0, 1, 1);
        Check.same("and is empty before its first record", 1,
            broker.read(new TopicPartition("gone", 0), 1).size());
    }

    private Object grow(String name, NewPartitions partitions) throws Exception {
        return admin.createPartitions(Map.of(name, partitions)).all().get();
    }

    private void morePartitions() throws Exception {
        create(topic("growing", 2, 1));
        grow("growing", NewPartitions.increaseTo(5));
        Check.comes("a topic grows", 5, () -> describe("growing").partitions().size());
        grow("growing", NewPartitions.increaseTo(6, List.of(List.of(node))));
        Check.comes("with an assignment too", 6, () -> describe("growing").partitions().size());
        send("growing", 5, 1, 1);
        Check.same("its new partition takes records", 1,
            broker.read(new TopicPartition("growing", 5), 1).size());
        Check.fails("it does not shrink", InvalidPartitionsException.class,
            () -> grow("growing", NewPartitions.increaseTo(3)));
        Check.fails("nor stay", InvalidPartitionsException.class,
            () -> grow("growing", NewPartitions.increaseTo(6)));
        Check.fails("an assignment of the wrong length", InvalidReplicaAssignmentException.class,
            () -> grow("growing", NewPartitions.increaseTo(8, List.of(List.of(node)))));
        Check.fails("an unknown topic does not grow", UnknownTopicOrPartitionException.class,
            () -> grow("nowhere", NewPartitions.increaseTo(8)));
    }

    private void send(String name, int partition, int count, long timestamp) {
        try (KafkaProducer<String, String> producer = broker.producer(Map.of())) {
            for (int number = 0; number < count; number++) {
                producer.send(new ProducerRecord<>(
                    name, partition, timestamp + number, "" + number, "" + number));
            }
        }
    }

    private String at(TopicPartition partition, OffsetSpec spec) throws Exception {
        ListOffsetsResultInfo found =
            admin.listOffsets(Map.of(partition, spec)).partitionResult(partition).get();
        return found.offset() + " " + found.timestamp() + " " + found.leaderEpoch();
    }

    private void offsets() throws Exception {
        create(topic("times", 2, broker.copies()).configs(Map.of("retention.ms", "-1")));
        TopicPartition partition = new TopicPartition("times", 0);
        TopicPartition empty = new TopicPartition("times", 1);
        send("times", 0, 100, 1_000_000);
        send("times", 0, 10, 500_000);
        Check.same("the earliest offset", "0 -1 Optional[0]",
            at(partition, OffsetSpec.earliest()));
        Check.same("the latest offset", "110 -1 Optional[0]",
            at(partition, OffsetSpec.latest()));
        Check.same("the offset of the largest timestamp", "99 1000099 Optional[0]",
            at(partition, OffsetSpec.maxTimestamp()));
        Check.same("the offset for a time", "50 1000050 Optional[0]",
            at(partition, OffsetSpec.forTimestamp(1_000_050)));
        Check.same("the offset for a time before all", "0 1000000 Optional[0]",
            at(partition, OffsetSpec.forTimestamp(7)));
        Check.same("no offset for a time after all", "-1 -1 Optional.empty",
            at(partition, OffsetSpec.forTimestamp(1_000_100)));
        Check.same("the earliest local offset", "0 -1 Optional[0]",
            at(partition, OffsetSpec.earliestLocal()));
        Check.same("no offset is tiered", "-1 -1 Optional.empty",
            at(partition, OffsetSpec.latestTiered()));
        Check.same("nothing waits to be tiered", "-1 -1 Optional.empty",
            at(partition, OffsetSpec.earliestPendingUpload()));
        Check.same("the earliest of an empty partition", "0 -1 Optional[0]",
            at(empty, OffsetSpec.earliest()));
        Check.same("the largest timestamp of an empty partition", "-1 -1 Optional.empty",
            at(empty, OffsetSpec.maxTimestamp()));
        Check.fails("offsets of an unknown partition", TimeoutException.class,
            () -> {
                try (Admin hasty = broker.hastyAdmin()) {
                    return hasty.listOffsets(Map.of(
                        new TopicPartition("times", 9), OffsetSpec.latest())).all().get();
                }
            });
    }

    private long deleteBefore(TopicPartition partition, long offset) throws Exception {
        return admin.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(offset)))
            .lowWatermarks().get(partition).get().lowWatermark();
    }

    private void deletedRecords() throws Exception {
        create(topic("trimmed", 1, broker.copies()));
        TopicPartition partition = new TopicPartition("trimmed", 0);
        send("trimmed", 0, 20, System.currentTimeMillis());
        Check.same("records before 5 are deleted", 5L, deleteBefore(partition, 5));
        Check.same("the earliest offset follows", "5 -1 Optional[0]",
            at(partition, OffsetSpec.earliest()));
        Check.same("reading begins there", 5L, broker.read(partition, 15).get(0).offset());
        Check.same("deleting less changes nothing", 5L, deleteBefore(partition, 3));
        Check.fails("deleting what was not written", OffsetOutOfRangeException.class,
            () -> deleteBefore(partition, 21));
        Check.same("-1 deletes all", 20L, deleteBefore(partition, -1));
        Check.same("nothing is left", "20 -1 Optional[0]", at(partition, OffsetSpec.earliest()));
        create(topic("kept", 1, broker.copies()).configs(Map.of("cleanup.policy", "compact")));
        Check.fails("a compacted topic's records are not deleted", PolicyViolationException.class,
            () -> deleteBefore(new TopicPartition("kept", 0), 0));
    }
}
