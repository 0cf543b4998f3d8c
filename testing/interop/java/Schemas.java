import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.ApiVersions;
import org.apache.kafka.clients.ClientUtils;
import org.apache.kafka.clients.CommonClientConfigs;
import org.apache.kafka.clients.GroupRebalanceConfig;
import org.apache.kafka.clients.Metadata;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ClassicGroupDescription;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.consumer.CloseOptions.GroupMembershipOperation;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.internals.AbstractCoordinator;
import org.apache.kafka.clients.consumer.internals.ConsumerNetworkClient;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.InconsistentGroupProtocolException;
import org.apache.kafka.common.errors.WakeupException;
import org.apache.kafka.common.internals.ClusterResourceListeners;
import org.apache.kafka.common.message.JoinGroupRequestData.JoinGroupRequestProtocol;
import org.apache.kafka.common.message.JoinGroupRequestData.JoinGroupRequestProtocolCollection;
import org.apache.kafka.common.message.JoinGroupResponseData.JoinGroupResponseMember;
import org.apache.kafka.common.metrics.Metrics;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.utils.LogContext;
import org.apache.kafka.common.utils.Time;
import org.apache.kafka.common.utils.Timer;

/**
 * What Confluent's Schema Registry asks of a broker, without its jars, which no public Maven
 * repository has: a store that is one compacted partition, read to the end that a written record
 * tells, and a leader that is elected by a group of a protocol type of its own, whose metadata and
 * assignments the broker does not understand.
 * Argument: the broker.
 */
final class Schemas {
    private static final String TOPIC = "_schemas";
    private static final TopicPartition PARTITION = new TopicPartition(TOPIC, 0);
    private static final String GROUP = "schema-registry";
    private static final int SUBJECTS = 20;
    private static final int VERSIONS = 50;

    private final Broker broker;

    private Schemas(Broker broker) {
        this.broker = broker;
    }

    public static void main(String[] arguments) throws Exception {
        new Schemas(new Broker(arguments[0])).run();
    }

    private void run() throws Exception {
        broker.topic(TOPIC, 1, Map.of("cleanup.policy", "compact"));
        try (Admin admin = broker.admin(); Registry first = new Registry("first");
                Registry second = new Registry("second")) {
            leaders(admin, first, second);
            stores(admin, first, second);
            successions(admin, first, second);
        }
    }

    private static String leader(Registry... registries) {
        return String.join(" ",
            List.of(registries).stream().map(it -> it.election.leader).toList());
    }

    private void leaders(Admin admin, Registry first, Registry second) throws Exception {
        first.election.stand();
        Check.comes("who is alone leads", "first", () -> leader(first));
        second.election.stand();
        Check.comes("the first in the alphabet leads both", "first first",
            () -> leader(first, second));
        ClassicGroupDescription group =
            admin.describeClassicGroups(List.of(GROUP)).all().get().get(GROUP);
        Check.same("their group is of their own type", "sr/v0 2",
            group.protocol() + "/" + group.protocolData() + " " + group.members().size());
        try (KafkaConsumer<String, String> stranger = broker.consumer(Map.of("group.id", GROUP))) {
            stranger.subscribe(List.of(TOPIC));
            Check.fails("a consumer is no member of it", InconsistentGroupProtocolException.class,
                () -> stranger.poll(Duration.ofSeconds(10)));
        }
    }

    private void stores(Admin admin, Registry first, Registry second) throws Exception {
        for (int version = 1; version <= VERSIONS; version++) {
            first.put("config/" + version % 2, "level " + version);
            for (int subject = 0; subject < SUBJECTS; subject++) {
                first.put("subject " + subject, "schema " + version);
            }
        }
        first.put("config/0", null);
        Map<String, String> expected = new HashMap<>(Map.of("config/1", "level 49"));
        for (int subject = 0; subject < SUBJECTS; subject++) {
            expected.put("subject " + subject, "schema " + VERSIONS);
        }
        Check.same("a leader reads what it wrote", expected, first.read());
        Check.same("so does a follower", expected, second.read());
        // Closed, for the cleaner leaves the segment alone that is written to.
        AlterConfigOp.OpType set = AlterConfigOp.OpType.SET;
        admin.incrementalAlterConfigs(Map.of(new ConfigResource(ConfigResource.Type.TOPIC, TOPIC),
            List.of(new AlterConfigOp(new ConfigEntry("segment.ms", "100"), set),
                new AlterConfigOp(new ConfigEntry("min.cleanable.dirty.ratio", "0"), set))))
            .all().get();
        Check.comes("what is old is compacted away", true, () -> {
            try (Registry fresh = new Registry("fresh")) {
                fresh.read();
                return fresh.records < SUBJECTS * VERSIONS / 2;
            }
        });
        try (Registry fresh = new Registry("fresh")) {
            Check.same("a new registry reads what is left", expected, fresh.read());
        }
        first.put("subject 0", "schema " + (VERSIONS + 1));
        expected.put("subject 0", "schema " + (VERSIONS + 1));
        Check.same("who had read goes on behind it", expected, second.read());
    }

    private void successions(Admin admin, Registry first, Registry second) throws Exception {
        first.election.leave(GroupMembershipOperation.LEAVE_GROUP);
        Check.comes("a leader that leaves is followed", "second", () -> leader(second));
        try (Registry third = new Registry("another")) {
            third.election.stand();
            Check.comes("who comes may be the new one", "another another",
                () -> leader(second, third));
            third.election.leave(GroupMembershipOperation.REMAIN_IN_GROUP);
            Check.comes("one that dies is followed too", "second", () -> leader(second));
        }
        second.election.leave(GroupMembershipOperation.LEAVE_GROUP);
        Check.comes("the group is empty then", 0, () -> admin.describeClassicGroups(
            List.of(GROUP)).all().get().get(GROUP).members().size());
    }

    /** A store, and a candidate for the leadership. */
    private final class Registry implements AutoCloseable {
        final Election election;
        /** How many records were read. */
        int records;
        private final KafkaProducer<String, String> producer;
        private final KafkaConsumer<String, String> consumer;
        private final Map<String, String> store = new HashMap<>();

        Registry(String name) {
            election = new Election(broker.address(), name);
            producer = broker.producer(Map.of("acks", "-1", "enable.idempotence", false,
                "retries", 0));
            consumer = broker.consumer(Map.of("group.id", "schema-registry-" + name,
                "enable.auto.commit", false, "auto.offset.reset", "earliest"));
            consumer.assign(List.of(PARTITION));
            consumer.seekToBeginning(List.of(PARTITION));
        }

        /** Writes a value, or that there is none, and gives its offset. */
        long put(String key, String value) throws Exception {
            return producer.send(new ProducerRecord<>(TOPIC, 0, key, value))
                .get(10, TimeUnit.SECONDS).offset();
        }

        /** Everything up to a record that says nothing and is written for this. */
        Map<String, String> read() throws Exception {
            long end = put("noop", null);
            long deadline = System.nanoTime() + 30_000_000_000L;
            while (consumer.position(PARTITION) <= end && System.nanoTime() < deadline) {
                consumer.poll(Duration.ofMillis(100)).forEach(this::take);
            }
            return Map.copyOf(store);
        }

        private void take(ConsumerRecord<String, String> record) {
            records++;
            if (record.value() == null) {
                store.remove(record.key());
            } else {
                store.put(record.key(), record.value());
            }
        }

        @Override
        public void close() {
            election.leave(GroupMembershipOperation.LEAVE_GROUP);
            producer.close();
            consumer.close();
        }
    }

    /** A member of the group; the one whose name is first in the alphabet becomes the leader. */
    private static final class Election extends AbstractCoordinator {
        private static final int SESSION_MS = 6000;
        private static final int HEARTBEAT_MS = 200;

        volatile String leader = "nobody";
        private final String name;
        private final Thread thread;
        private volatile boolean isOver;

        Election(String address, String name) {
            this(name, Time.SYSTEM, new LogContext(), new Metrics(), new ConsumerConfig(
                Map.of("bootstrap.servers", address, "client.id", name,
                    "key.deserializer", StringDeserializer.class,
                    "value.deserializer", StringDeserializer.class)));
        }

        private Election(String name, Time time, LogContext context, Metrics metrics,
                ConsumerConfig settings) {
            super(new GroupRebalanceConfig(SESSION_MS, 30_000, HEARTBEAT_MS, GROUP,
                java.util.Optional.empty(), null, 100, 1000), context,
                network(time, context, metrics, settings), metrics, "sr-" + name, time);
            this.name = name;
            thread = new Thread(this::run, "election-" + name);
            thread.setDaemon(true);
        }

        void stand() {
            thread.start();
        }

        private static ConsumerNetworkClient network(Time time, LogContext context, Metrics metrics,
                ConsumerConfig settings) {
            Metadata metadata =
                new Metadata(100, 1000, 300_000, context, new ClusterResourceListeners());
            metadata.bootstrap(ClientUtils.parseAndValidateAddresses(
                settings.getList(CommonClientConfigs.BOOTSTRAP_SERVERS_CONFIG), "use_all_dns_ips"));
            return new ConsumerNetworkClient(context, ClientUtils.createNetworkClient(settings,
                metrics, "sr", context, new ApiVersions(), time, 100, metadata, null, null),
                metadata, time, 100, 30_000, HEARTBEAT_MS);
        }

        private void run() {
            while (!isOver) {
                try {
                    if (coordinatorUnknown() && !ensureCoordinatorReady(time.timer(10_000))) {
                        continue;
                    }
                    if (rejoinNeededOrPending()) {
                        ensureActiveGroup();
                    }
                    pollHeartbeat(time.milliseconds());
                    client.poll(time.timer(50));
                } catch (WakeupException asked) {
                    // The loop looks whether it is over.
                }
            }
        }

        /** Goes, with a word about it or without; the second time it has gone. */
        void leave(GroupMembershipOperation how) {
            if (isOver) {
                return;
            }
            isOver = true;
            client.wakeup();
            try {
                thread.join();
                close(time.timer(5000), how);
                client.close();
            } catch (InterruptedException | IOException failed) {
                throw new IllegalStateException(failed);
            }
        }

        @Override
        protected String protocolType() {
            return "sr";
        }

        @Override
        protected JoinGroupRequestProtocolCollection metadata() {
            return new JoinGroupRequestProtocolCollection(List.of(new JoinGroupRequestProtocol()
                .setName("v0").setMetadata(name.getBytes(StandardCharsets.UTF_8))).iterator());
        }

        @Override
        protected boolean onJoinPrepare(Timer timer, int generation, String member) {
            leader = "nobody";
            return true;
        }

        @Override
        protected Map<String, ByteBuffer> onLeaderElected(String leaderId, String protocol,
                List<JoinGroupResponseMember> members, boolean skipped) {
            byte[] elected = members.stream()
                .map(member -> new String(member.metadata(), StandardCharsets.UTF_8))
                .min(String::compareTo).orElseThrow().getBytes(StandardCharsets.UTF_8);
            Map<String, ByteBuffer> assignments = new HashMap<>();
            members.forEach(it -> assignments.put(it.memberId(), ByteBuffer.wrap(elected)));
            return assignments;
        }

        @Override
        protected void onJoinComplete(int generation, String member, String protocol,
                ByteBuffer assignment) {
            leader = StandardCharsets.UTF_8.decode(assignment).toString();
        }
    }
}
