import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;

/**
 * Exactly-once copies: consume, transform, produce and commit in transactions, by copiers that die
 * in the middle. Arguments: the broker, the number of records, the session of a member of a classic
 * group in milliseconds, and the protocols of the group.
 */
final class Copies {
    private static final int PARTITIONS = 4;
    private static final int BATCH = 200;
    /** Each copier but the last one ends after so many parts of all records. */
    private static final int LIVES = 4;
    private static final Duration POLL = Duration.ofMillis(100);
    private static final long LIMIT_NS = 300_000_000_000L;

    private final Broker broker;
    private final int count;
    private final String session;
    private final String protocol;
    private final String source;
    private final String target;
    private int retries;

    private Copies(Broker broker, int count, String session, String protocol) throws Exception {
        this.broker = broker;
        this.count = count;
        this.session = session;
        this.protocol = protocol;
        source = broker.topic("source-" + protocol, PARTITIONS, Map.of());
        target = broker.topic("target-" + protocol, PARTITIONS, Map.of());
    }

    public static void main(String[] arguments) throws Exception {
        checker();
        Broker broker = new Broker(arguments[0]);
        for (int at = 3; at < arguments.length; at++) {
            new Copies(broker, Integer.parseInt(arguments[1]), arguments[2], arguments[at]).run();
        }
    }

    private void run() throws Exception {
        try (KafkaProducer<String, String> producer = broker.producer(Map.of())) {
            for (int number = 0; number < count; number++) {
                producer.send(new ProducerRecord<>(
                    source, number % PARTITIONS, null, "" + number));
            }
        }
        long deadline = System.nanoTime() + LIMIT_NS;
        int lives = 0;
        for (int life = 1; life < LIVES; life++) {
            lives += copied(count * life / LIVES, true, deadline) ? 1 : 0;
        }
        Check.same(protocol + ": copiers died in the middle", LIVES - 1, lives);
        Check.that(protocol + ": another one finished", copied(count, false, deadline), "not");
        int seen = 0;
        for (int number = 0; number < PARTITIONS; number++) {
            List<String> expected = new ArrayList<>();
            for (int value = number; value < count; value += PARTITIONS) {
                expected.add(transformed("" + value));
            }
            List<String> found = found(new TopicPartition(target, number), "read_committed");
            Check.same(protocol + ": partition " + number + " is the source's, once, in order",
                "nothing", fault(expected, found));
            seen += found(new TopicPartition(target, number), "read_uncommitted").size();
        }
        Check.that(protocol + ": what the dead ones had written was aborted", seen > count, seen);
        System.out.println(protocol + ": " + count + " records; " + (seen - count)
            + " aborted; " + retries + " times begun anew");
    }

    private static String transformed(String value) {
        return "<" + value + ">";
    }

    /** Copies with a new copier after each failure until there is so much, or time is over. */
    private boolean copied(int until, boolean dies, long deadline) {
        while (System.nanoTime() < deadline) {
            try (Copier copier = new Copier()) {
                return copier.copy(until, dies, deadline);
            } catch (KafkaException failed) {
                // Fenced, timed out, or the broker went away: another one begins anew.
                retries++;
            }
        }
        return false;
    }

    /** How much of the source the group has committed. */
    private long done() {
        Map<TopicPartition, Long> positions = new HashMap<>();
        try (KafkaConsumer<String, String> reader =
                broker.consumer(Map.of("group.id", "copiers-" + protocol))) {
            java.util.Set<TopicPartition> all = new java.util.HashSet<>();
            for (int number = 0; number < PARTITIONS; number++) {
                all.add(new TopicPartition(source, number));
            }
            reader.committed(all).forEach((partition, offset) ->
                positions.put(partition, offset == null ? 0 : offset.offset()));
        }
        return positions.values().stream().mapToLong(Long::longValue).sum();
    }

    /** A member of the group and its producer. */
    private final class Copier implements AutoCloseable {
        private final KafkaProducer<String, String> producer = broker.producer(Map.of(
            "transactional.id", "copier-" + protocol, "transaction.timeout.ms", 10_000));
        private final Member member = new Member(broker, settings()).to(source);

        private Map<String, Object> settings() {
            Map<String, Object> settings = new HashMap<>(Map.of(
                "group.id", "copiers-" + protocol, "group.protocol", protocol,
                "max.poll.records", BATCH, "isolation.level", "read_committed"));
            if (protocol.equals("classic")) {
                settings.put("session.timeout.ms", session);
                settings.put("heartbeat.interval.ms", 200);
            }
            return settings;
        }

        /** Whether there is so much now; the last transaction is left open by who dies. */
        boolean copy(int until, boolean dies, long deadline) {
            producer.initTransactions();
            long begun = done();
            while (begun < until && System.nanoTime() < deadline) {
                ConsumerRecords<String, String> records = member.consumer.poll(POLL);
                if (records.isEmpty()) {
                    continue;
                }
                producer.beginTransaction();
                for (ConsumerRecord<String, String> record : records) {
                    producer.send(new ProducerRecord<>(target, record.partition(), null,
                        transformed(record.value())));
                }
                producer.sendOffsetsToTransaction(records.nextOffsets(),
                    member.consumer.groupMetadata());
                begun += records.count();
                if (dies && begun >= until) {
                    producer.flush();
                    return true;
                }
                producer.commitTransaction();
            }
            return begun >= until;
        }

        /** Without a word about what is open. */
        @Override
        public void close() {
            producer.close(Duration.ZERO);
            member.close();
        }
    }

    private List<String> found(TopicPartition partition, String isolation) {
        List<String> found = new ArrayList<>();
        try (KafkaConsumer<String, String> consumer =
                broker.consumer(Map.of("isolation.level", isolation))) {
            consumer.assign(List.of(partition));
            consumer.seekToBeginning(List.of(partition));
            long end = consumer.endOffsets(List.of(partition)).get(partition);
            long deadline = System.nanoTime() + 60_000_000_000L;
            while (consumer.position(partition) < end && System.nanoTime() < deadline) {
                consumer.poll(POLL).forEach(it -> found.add(it.value()));
            }
        }
        return found;
    }

    /** The first difference of a copy. */
    static String fault(List<String> expected, List<String> found) {
        for (int at = 0; at < Math.max(expected.size(), found.size()); at++) {
            String wanted = at < expected.size() ? expected.get(at) : null;
            String came = at < found.size() ? found.get(at) : null;
            if (wanted == null || !wanted.equals(came)) {
                String kind = came == null || wanted == null ? "end"
                    : found.subList(0, at).contains(came) ? "doubled"
                    : expected.contains(came) ? "lost or out of order" : "foreign";
                return kind + " at " + at + ": " + came + " instead of " + wanted;
            }
        }
        return "nothing";
    }

    /** A checker that finds nothing would pass every broker. */
    private static void checker() {
        List<String> good = List.of("a", "b", "c");
        Check.same("the checker passes what is good", "nothing", fault(good, good));
        for (List<String> bad : List.of(List.of("a", "b"), List.of("b", "c"),
                List.of("a", "a", "b", "c"), List.of("b", "a", "c"), List.of("a", "x", "b", "c"),
                List.of("a", "b", "c", "c"), List.<String>of())) {
            Check.that("the checker finds " + bad, !fault(good, bad).equals("nothing"), bad);
        }
    }
}
