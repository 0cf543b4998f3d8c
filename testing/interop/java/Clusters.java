import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ExecutionException;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp.OpType;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.AlterConfigsOptions;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.DescribeClusterResult;
import org.apache.kafka.clients.admin.DescribeConfigsOptions;
import org.apache.kafka.clients.admin.FeatureMetadata;
import org.apache.kafka.clients.admin.ListConfigResourcesOptions;
import org.apache.kafka.clients.admin.LogDirDescription;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.ProducerState;
import org.apache.kafka.clients.admin.QuorumInfo;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.ElectionType;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.ElectionNotNeededException;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.common.errors.InvalidRequestException;
import org.apache.kafka.common.errors.TimeoutException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;

/** Configurations and the state of the cluster as the Java Admin sees and changes them. */
final class Clusters {
    private static final ConfigResource TOPIC =
        new ConfigResource(ConfigResource.Type.TOPIC, "configured");
    private static final ConfigResource ALL_BROKERS =
        new ConfigResource(ConfigResource.Type.BROKER, "");

    private final Broker broker;
    private final Admin admin;
    private final int node;

    private Clusters(Broker broker, Admin admin) throws Exception {
        this.broker = broker;
        this.admin = admin;
        node = admin.describeCluster().nodes().get().iterator().next().id();
        admin.createTopics(List.of(new NewTopic("configured", 2, broker.copies())
            .configs(Map.of("retention.ms", "100000")))).all().get();
    }

    public static void main(String[] arguments) throws Exception {
        Broker broker = new Broker(arguments[0]);
        try (Admin admin = broker.admin()) {
            Clusters suite = new Clusters(broker, admin);
            suite.cluster();
            suite.describedConfigs();
            suite.alteredConfigs();
            suite.refusedConfigs();
            suite.brokerConfigs();
            suite.listedConfigs();
            suite.features();
            suite.logDirs();
            suite.producers();
            suite.quorum();
            suite.elections();
            suite.reassignments();
        }
    }

    private void cluster() throws Exception {
        DescribeClusterResult cluster = admin.describeCluster();
        Collection<Node> nodes = cluster.nodes().get();
        Check.that("the controller is a broker", nodes.stream()
            .anyMatch(it -> it.id() == controller(cluster)), nodes);
        Check.same("brokers are where they were found", Set.copyOf(broker.addresses()),
            nodes.stream().map(it -> it.host() + ":" + it.port()).collect(Collectors.toSet()));
        Check.that("none is fenced", nodes.stream().noneMatch(Node::isFenced), nodes);
        String id = cluster.clusterId().get();
        Check.that("the cluster's id is a UUID in base 64", id.matches("[A-Za-z0-9_-]{22}"), id);
    }

    private static int controller(DescribeClusterResult cluster) {
        try {
            return cluster.controller().get().id();
        } catch (InterruptedException | ExecutionException none) {
            return -1;
        }
    }

    private Map<String, ConfigEntry> configs(ConfigResource resource) throws Exception {
        DescribeConfigsOptions options =
            new DescribeConfigsOptions().includeSynonyms(true).includeDocumentation(true);
        Config config = admin.describeConfigs(List.of(resource), options).all().get()
            .get(resource);
        Map<String, ConfigEntry> found = new TreeMap<>();
        config.entries().forEach(entry -> found.put(entry.name(), entry));
        return found;
    }

    private static String shown(ConfigEntry entry) {
        return entry.value() + " " + entry.source() + " " + entry.type()
            + (entry.isReadOnly() ? " read-only" : "") + (entry.isSensitive() ? " secret" : "")
            + " " + entry.synonyms().stream()
                .map(it -> it.name() + "=" + it.value() + "@" + it.source()).toList();
    }

    private void describedConfigs() throws Exception {
        Map<String, ConfigEntry> found = configs(TOPIC);
        Check.same("an overridden configuration and where it would come from",
            "100000 DYNAMIC_TOPIC_CONFIG LONG [retention.ms=100000@DYNAMIC_TOPIC_CONFIG]",
            shown(found.get("retention.ms")));
        Check.same("a default", "delete DEFAULT_CONFIG LIST "
            + "[log.cleanup.policy=delete@DEFAULT_CONFIG]", shown(found.get("cleanup.policy")));
        Check.same("a topic has 33 configurations", 33, found.size());
        Check.that("they are explained", found.get("retention.ms").documentation().length() > 20,
            found.get("retention.ms").documentation());
        DescribeConfigsOptions plain = new DescribeConfigsOptions();
        ConfigEntry entry = admin.describeConfigs(List.of(TOPIC), plain).all().get().get(TOPIC)
            .get("retention.ms");
        Check.same("without synonyms if none were asked for", "100000 DYNAMIC_TOPIC_CONFIG LONG []",
            shown(entry));
        Check.fails("configurations of an unknown topic", UnknownTopicOrPartitionException.class,
            () -> configs(new ConfigResource(ConfigResource.Type.TOPIC, "nowhere")));
    }

    private static AlterConfigOp op(OpType type, String key, String value) {
        return new AlterConfigOp(new ConfigEntry(key, value), type);
    }

    private Object alter(ConfigResource resource, AlterConfigOp... ops) throws Exception {
        return admin.incrementalAlterConfigs(Map.of(resource, List.of(ops))).all().get();
    }

    private String value(ConfigResource resource, String key) throws Exception {
        return configs(resource).get(key).value();
    }

    private void alteredConfigs() throws Exception {
        alter(TOPIC, op(OpType.SET, "retention.ms", "200000"),
            op(OpType.SET, "max.message.bytes", "5000"));
        Check.comes("two configurations are set", "200000 5000",
            () -> value(TOPIC, "retention.ms") + " " + value(TOPIC, "max.message.bytes"));
        alter(TOPIC, op(OpType.DELETE, "max.message.bytes", null));
        Check.comes("one goes back to its default", "1048588",
            () -> value(TOPIC, "max.message.bytes"));
        alter(TOPIC, op(OpType.APPEND, "cleanup.policy", "compact"));
        Check.comes("a list grows", "delete,compact",
            () -> value(TOPIC, "cleanup.policy"));
        alter(TOPIC, op(OpType.SUBTRACT, "cleanup.policy", "delete"));
        Check.comes("a list shrinks", "compact",
            () -> value(TOPIC, "cleanup.policy"));
        alter(TOPIC, op(OpType.DELETE, "cleanup.policy", null));
        Check.comes("and is its default again", "delete", () -> value(TOPIC, "cleanup.policy"));
        admin.incrementalAlterConfigs(
            Map.of(TOPIC, List.of(op(OpType.SET, "retention.ms", "7"))),
            new AlterConfigsOptions().validateOnly(true)).all().get();
        Check.same("validating changes nothing", "200000", value(TOPIC, "retention.ms"));
    }

    private void refusedConfigs() throws Exception {
        Check.fails("an unknown key", InvalidConfigurationException.class,
            () -> alter(TOPIC, op(OpType.SET, "no.such", "1")));
        Check.fails("a value that is no number", InvalidConfigurationException.class,
            () -> alter(TOPIC, op(OpType.SET, "retention.ms", "soon")));
        Check.fails("a value that is not in the list", InvalidConfigurationException.class,
            () -> alter(TOPIC, op(OpType.SET, "compression.type", "best")));
        Check.fails("appending to what is no list", InvalidConfigurationException.class,
            () -> alter(TOPIC, op(OpType.APPEND, "retention.ms", "1")));
        Check.fails("one key twice", InvalidRequestException.class,
            () -> alter(TOPIC, op(OpType.SET, "retention.ms", "1"),
                op(OpType.SET, "retention.ms", "2")));
        Check.fails("altering an unknown topic", UnknownTopicOrPartitionException.class,
            () -> alter(new ConfigResource(ConfigResource.Type.TOPIC, "nowhere"),
                op(OpType.SET, "retention.ms", "1")));
        Check.same("refused changes change nothing", "200000", value(TOPIC, "retention.ms"));
    }

    private void brokerConfigs() throws Exception {
        ConfigResource own = new ConfigResource(ConfigResource.Type.BROKER, "" + node);
        Check.same("a broker's own configuration", "" + node + " STATIC_BROKER_CONFIG",
            configs(own).get("node.id").value() + " " + configs(own).get("node.id").source());
        Check.that("it is read-only", configs(own).get("node.id").isReadOnly(), "not");
        alter(ALL_BROKERS, op(OpType.SET, "message.max.bytes", "2000000"));
        Check.comes("a default of all brokers is a topic's default",
            "2000000 DYNAMIC_DEFAULT_BROKER_CONFIG",
            () -> shownSource(TOPIC, "max.message.bytes"));
        alter(own, op(OpType.SET, "message.max.bytes", "3000000"));
        Check.comes("a broker's own value comes before it",
            "3000000 DYNAMIC_BROKER_CONFIG", () -> shownSource(TOPIC, "max.message.bytes"));
        Check.same("and all of them are shown",
            "[message.max.bytes=3000000@DYNAMIC_BROKER_CONFIG,"
                + " message.max.bytes=2000000@DYNAMIC_DEFAULT_BROKER_CONFIG,"
                + " message.max.bytes=1048588@DEFAULT_CONFIG]",
            configs(own).get("message.max.bytes").synonyms().stream()
                .map(it -> it.name() + "=" + it.value() + "@" + it.source()).toList().toString());
        alter(own, op(OpType.DELETE, "message.max.bytes", null));
        alter(ALL_BROKERS, op(OpType.DELETE, "message.max.bytes", null));
        Check.comes("both go away again", "1048588 DEFAULT_CONFIG",
            () -> shownSource(TOPIC, "max.message.bytes"));
        Check.fails("what is read-only is not altered", InvalidRequestException.class,
            () -> alter(own, op(OpType.SET, "node.id", "9")));
        Check.fails("a broker's value that is no number", InvalidRequestException.class,
            () -> alter(ALL_BROKERS, op(OpType.SET, "message.max.bytes", "much")));
    }

    private String shownSource(ConfigResource resource, String key) throws Exception {
        ConfigEntry entry = configs(resource).get(key);
        return entry.value() + " " + entry.source();
    }

    private void listedConfigs() throws Exception {
        Collection<ConfigResource> all = admin.listConfigResources(
            Set.of(ConfigResource.Type.TOPIC), new ListConfigResourcesOptions()).all().get();
        Check.that("resources with configurations are listed", all.contains(TOPIC), all);
    }

    private void features() throws Exception {
        FeatureMetadata features = admin.describeFeatures().featureMetadata().get();

        Check.that("metadata.version is finalized",
            features.finalizedFeatures().get("metadata.version").maxVersionLevel() > 20,
            features);
        Check.that("what is finalized is supported", features.finalizedFeatures().entrySet()
            .stream().allMatch(it -> features.supportedFeatures().containsKey(it.getKey())),
            features);
    }

    private void logDirs() throws Exception {
        TopicPartition partition = new TopicPartition("configured", 0);
        try (KafkaProducer<byte[], byte[]> producer = broker.bytesProducer(Map.of())) {
            producer.send(new ProducerRecord<>("configured", 0, null, new byte[4000])).get();
        }
        Map<String, LogDirDescription> dirs =
            admin.describeLogDirs(List.of(node)).allDescriptions().get().get(node);
        LogDirDescription dir = dirs.values().iterator().next();
        Check.same("one log directory without an error", "1 null",
            dirs.size() + " " + dir.error());
        Check.same("its partition is as long as what was sent", 4000L + 61 + 9,
            dir.replicaInfos().get(partition).size());
        Check.same("nothing lags, nothing moves", "0 false",
            dir.replicaInfos().get(partition).offsetLag() + " "
                + dir.replicaInfos().get(partition).isFuture());
        Check.that("the disk has room",
            dir.totalBytes().getAsLong() > dir.usableBytes().getAsLong()
                && dir.usableBytes().getAsLong() > 0, dir);
    }

    private void producers() throws Exception {
        TopicPartition partition = new TopicPartition("configured", 1);
        try (KafkaProducer<byte[], byte[]> producer = broker.bytesProducer(Map.of())) {
            for (int number = 0; number < 3; number++) {
                producer.send(new ProducerRecord<>("configured", 1, null, new byte[1])).get();
            }
            List<ProducerState> states = admin.describeProducers(List.of(partition))
                .partitionResult(partition).get().activeProducers();
            Check.same("one producer is active", 1, states.size());
            ProducerState state = states.get(0);
            Check.same("its epoch, its last sequence, no transaction", "0 2 OptionalLong.empty",
                state.producerEpoch() + " " + state.lastSequence() + " "
                    + state.currentTransactionStartOffset());
            Check.that("its last time is now",
                Math.abs(state.lastTimestamp() - System.currentTimeMillis()) < 60_000,
                state.lastTimestamp());
        }
        Check.fails("producers of an unknown partition", TimeoutException.class,
            () -> {
                try (Admin hasty = broker.hastyAdmin()) {
                    return hasty.describeProducers(
                        List.of(new TopicPartition("configured", 9))).all().get();
                }
            });
    }

    private void quorum() throws Exception {
        QuorumInfo quorum = admin.describeMetadataQuorum().quorumInfo().get();
        Check.same("all brokers are voters", (int) broker.copies(), quorum.voters().size());
        Check.that("one of them leads the quorum", quorum.voters().stream()
            .anyMatch(it -> it.replicaId() == quorum.leaderId()), quorum);
        Check.that("its log has an end and an epoch",
            quorum.leaderEpoch() > 0 && quorum.highWatermark() > 0
                && quorum.voters().stream()
                    .anyMatch(it -> it.logEndOffset() >= quorum.highWatermark()), quorum);
    }

    private void elections() throws Exception {
        TopicPartition known = new TopicPartition("configured", 0);
        TopicPartition unknown = new TopicPartition("configured", 9);
        for (ElectionType type : ElectionType.values()) {
            Map<TopicPartition, Optional<Throwable>> results =
                admin.electLeaders(type, Set.of(known, unknown)).partitions().get();
            Check.same(type + " election where there is a leader",
                ElectionNotNeededException.class, results.get(known).get().getClass());
            Check.same(type + " election of an unknown partition",
                UnknownTopicOrPartitionException.class, results.get(unknown).get().getClass());
        }
        Check.same("electing every preferred leader changes none", Map.of(),
            admin.electLeaders(ElectionType.PREFERRED, null).partitions().get());
    }

    private void reassignments() throws Exception {
        Check.same("no partition is being reassigned", Map.of(),
            admin.listPartitionReassignments().reassignments().get());
    }
}
