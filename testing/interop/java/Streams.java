import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.LongStream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.LongDeserializer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.CloseOptions;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.processor.StateRestoreListener;
import org.apache.kafka.streams.state.KeyValueStore;

/**
 * Kafka Streams counts words exactly once: through a repartition topic that it purges, into a
 * store that it restores from a compacted changelog. Nothing is cached, so that every count of a
 * word must come out once and in order. Arguments: the broker, and a directory for the stores.
 */
final class Streams {
    private static final String APPLICATION = "counting";
    private static final String CHANGELOG = APPLICATION + "-store-changelog";
    private static final String REPARTITION = APPLICATION + "-words-repartition";
    private static final int PARTITIONS = 2;
    private static final int WORDS_IN_LINE = 5;
    private static final int LINES = 2000;
    private static final int VOCABULARY = 100;
    private static final long LIMIT_NS = 90_000_000_000L;

    private final Broker broker;
    private final String directory;
    /** Lines that were written so far; each has its own words. */
    private int lines;
    /** Records that were read back into stores. */
    private final AtomicLong restored = new AtomicLong();
    /** Whether the next line that is counted makes its thread fail. */
    private final AtomicBoolean isPoisoned = new AtomicBoolean();

    private Streams(Broker broker, String directory) {
        this.broker = broker;
        this.directory = directory;
    }

    public static void main(String[] arguments) throws Exception {
        checker();
        new Streams(new Broker(arguments[0]), arguments[1]).run();
    }

    private void run() throws Exception {
        broker.topic("lines", PARTITIONS, Map.of());
        broker.topic("counts", PARTITIONS, Map.of());
        try (Admin admin = broker.admin()) {
            KafkaStreams first = instance("first");
            first.start();
            write();
            counted("one instance");
            // A thread may fail before anything of its transaction has left the producer: again then.
            for (int times = 0; times == 0 || times < 10 && written() == counts(); times++) {
                isPoisoned.set(true);
                write();
                counted("a thread that failed and was replaced");
                Check.same("it did fail", false, isPoisoned.get());
            }
            first.close(Duration.ofSeconds(30));
            topics(admin);

            first.cleanUp();
            restored.set(0);
            KafkaStreams wiped = instance("first");
            wiped.start();
            write();
            counted("an instance whose stores were wiped");
            Check.that("they were restored from what compaction had left",
                restored.get() >= VOCABULARY && restored.get() < lines * WORDS_IN_LINE / 2,
                restored.get());

            KafkaStreams second = instance("second");
            second.start();
            Check.comes("another instance joins", KafkaStreams.State.RUNNING, second::state);
            write();
            counted("two instances");
            wiped.close(CloseOptions.timeout(Duration.ofSeconds(30))
                .withGroupMembershipOperation(CloseOptions.GroupMembershipOperation.LEAVE_GROUP));
            write();
            counted("the one that is left");
            second.close(Duration.ofSeconds(30));
            Check.that("what the failed thread had written was aborted",
                written() > counts(), "nothing was");
        }
    }

    private Topology topology() {
        Materialized<String, Long, KeyValueStore<Bytes, byte[]>> store =
            Materialized.<String, Long, KeyValueStore<Bytes, byte[]>>as("store")
                .withKeySerde(Serdes.String()).withValueSerde(Serdes.Long())
                // Closed often, for the cleaner leaves the segment alone that is written to.
                .withLoggingEnabled(Map.of("segment.ms", "500", "min.cleanable.dirty.ratio", "0",
                    "max.compaction.lag.ms", "1000"));
        StreamsBuilder builder = new StreamsBuilder();
        builder.stream("lines", Consumed.with(Serdes.String(), Serdes.String()))
            .flatMapValues(line -> Arrays.asList(line.split(" ")))
            .groupBy((key, word) -> word,
                Grouped.with("words", Serdes.String(), Serdes.String()))
            .count(store).toStream()
            .peek((word, count) -> {
                if (count % 100 == 50 && isPoisoned.compareAndSet(true, false)) {
                    throw new IllegalStateException("poisoned");
                }
            })
            .to("counts", Produced.with(Serdes.String(), Serdes.Long()));
        return builder.build();
    }

    private KafkaStreams instance(String name) {
        Properties settings = new Properties();
        settings.putAll(Map.of(
            "bootstrap.servers", broker.address(), "application.id", APPLICATION,
            "client.id", name, "state.dir", directory + "/" + name,
            "processing.guarantee", "exactly_once_v2", "replication.factor", 1,
            "statestore.cache.max.bytes", 0, "repartition.purge.interval.ms", 500,
            "num.stream.threads", 2));
        settings.put("consumer.auto.offset.reset", "earliest");
        // Instances do not take their leave when they stop, so that others wait for their sessions.
        settings.put("consumer.session.timeout.ms", 6000);
        settings.put("consumer.heartbeat.interval.ms", 500);
        KafkaStreams streams = new KafkaStreams(topology(), settings);
        streams.setUncaughtExceptionHandler(
            failed -> StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse.REPLACE_THREAD);
        streams.setGlobalStateRestoreListener(new StateRestoreListener() {
            @Override
            public void onRestoreStart(TopicPartition from, String store, long begin, long end) {}

            @Override
            public void onBatchRestored(TopicPartition from, String store, long end, long count) {}

            @Override
            public void onRestoreEnd(TopicPartition from, String store, long count) {
                restored.addAndGet(count);
            }
        });
        return streams;
    }

    private static String word(long number) {
        return "word" + number % VOCABULARY;
    }

    private void write() {
        try (KafkaProducer<String, String> producer = broker.producer(Map.of())) {
            for (int end = lines + LINES; lines < end; lines++) {
                long from = (long) lines * WORDS_IN_LINE;
                List<String> words =
                    LongStream.range(from, from + WORDS_IN_LINE).mapToObj(Streams::word).toList();
                producer.send(new ProducerRecord<>(
                    "lines", lines % PARTITIONS, null, String.join(" ", words)));
            }
        }
    }

    private int counts() {
        return lines * WORDS_IN_LINE;
    }

    /** Every word's counts must come out as 1, 2, 3 and so on, and nothing else. */
    private void counted(String by) {
        Map<String, List<Long>> expected = new TreeMap<>();
        for (long number = 0; number < counts(); number++) {
            List<Long> ofWord = expected.computeIfAbsent(word(number), it -> new ArrayList<>());
            ofWord.add(ofWord.size() + 1L);
        }
        Map<String, List<Long>> found = new TreeMap<>();
        for (ConsumerRecord<String, Long> record : read(counts())) {
            found.computeIfAbsent(record.key(), it -> new ArrayList<>()).add(record.value());
        }
        Check.same("every word is counted once by " + by, "nothing", fault(expected, found));
    }

    private static String fault(Map<String, List<Long>> expected, Map<String, List<Long>> found) {
        for (Map.Entry<String, List<Long>> counts : expected.entrySet()) {
            List<Long> came = found.getOrDefault(counts.getKey(), List.of());
            if (!counts.getValue().equals(came)) {
                int at = 0;
                while (at < came.size() && came.get(at) == at + 1) {
                    at++;
                }
                return counts.getKey() + " has " + came.size() + " of " + counts.getValue().size()
                    + " counts, and behind " + at + " comes "
                    + (at < came.size() ? came.get(at) : "nothing");
            }
        }
        return expected.keySet().equals(found.keySet()) ? "nothing" : "foreign words";
    }

    /** A checker that finds nothing would pass every broker. */
    private static void checker() {
        Map<String, List<Long>> good = Map.of("a", List.of(1L, 2L, 3L));
        Check.same("the checker passes what is good", "nothing", fault(good, good));
        for (Map<String, List<Long>> bad : List.of(Map.<String, List<Long>>of(),
                Map.of("a", List.of(1L, 2L)), Map.of("a", List.of(1L, 2L, 2L, 3L)),
                Map.of("a", List.of(2L, 1L, 3L)), Map.of("a", List.of(1L, 2L, 3L, 4L)),
                Map.of("a", List.of(1L, 2L, 3L), "b", List.of(1L)))) {
            Check.that("the checker finds " + bad, !fault(good, bad).equals("nothing"), bad);
        }
    }

    /** The counts from the first on: so many, unless they do not come, and what comes with them. */
    private List<ConsumerRecord<String, Long>> read(int count) {
        List<ConsumerRecord<String, Long>> found = new ArrayList<>();
        try (KafkaConsumer<String, Long> consumer = new KafkaConsumer<>(
                Map.of("bootstrap.servers", broker.address(), "isolation.level", "read_committed",
                    "auto.offset.reset", "earliest"),
                new StringDeserializer(), new LongDeserializer())) {
            consumer.assign(partitions("counts"));
            long deadline = System.nanoTime() + LIMIT_NS;
            while (found.size() < count && System.nanoTime() < deadline) {
                consumer.poll(Duration.ofMillis(100)).forEach(found::add);
            }
            consumer.poll(Duration.ofMillis(300)).forEach(found::add);
        }
        return found;
    }

    /** How many counts were written, committed or not. */
    private int written() {
        int count = 0;
        try (KafkaConsumer<String, Long> consumer = new KafkaConsumer<>(
                Map.of("bootstrap.servers", broker.address()),
                new StringDeserializer(), new LongDeserializer())) {
            List<TopicPartition> all = partitions("counts");
            consumer.assign(all);
            consumer.seekToBeginning(all);
            Map<TopicPartition, Long> ends = consumer.endOffsets(all);
            long deadline = System.nanoTime() + LIMIT_NS;
            while (System.nanoTime() < deadline && all.stream()
                    .anyMatch(it -> consumer.position(it) < ends.get(it))) {
                count += consumer.poll(Duration.ofMillis(100)).count();
            }
        }
        return count;
    }

    private static List<TopicPartition> partitions(String topic) {
        return LongStream.range(0, PARTITIONS)
            .mapToObj(number -> new TopicPartition(topic, (int) number)).toList();
    }

    /** What it made of its own topics, and what the broker made of them. */
    private void topics(Admin admin) throws Exception {
        ConfigResource changelog = new ConfigResource(ConfigResource.Type.TOPIC, CHANGELOG);
        Check.same("the changelog is compacted", "compact", admin.describeConfigs(
            List.of(changelog)).all().get().get(changelog).get("cleanup.policy").value());
        Map<TopicPartition, OffsetSpec> starts = new HashMap<>();
        partitions(REPARTITION).forEach(it -> starts.put(it, OffsetSpec.earliest()));
        Check.that("what was repartitioned is purged", admin.listOffsets(starts).all().get()
            .values().stream().allMatch(start -> start.offset() > 0), starts);
        long deadline = System.nanoTime() + LIMIT_NS;
        int kept = changes();
        // The last segment is not compacted, and with both of them that may be all that is left.
        while (kept >= counts() / 2 && System.nanoTime() < deadline) {
            kept = changes();
        }
        Check.that("compaction removes old counts", kept < counts() / 2,
            kept + " of " + counts());
    }

    /** How many records the changelog has, without those that were aborted. */
    private int changes() {
        int count = 0;
        HashSet<String> words = new HashSet<>();
        try (KafkaConsumer<String, byte[]> consumer = new KafkaConsumer<>(
                Map.of("bootstrap.servers", broker.address(),
                    "isolation.level", "read_committed"),
                new StringDeserializer(), new ByteArrayDeserializer())) {
            List<TopicPartition> all = partitions(CHANGELOG);
            consumer.assign(all);
            consumer.seekToBeginning(all);
            Map<TopicPartition, Long> ends = consumer.endOffsets(all);
            long deadline = System.nanoTime() + LIMIT_NS;
            while (System.nanoTime() < deadline && all.stream()
                    .anyMatch(it -> consumer.position(it) < ends.get(it))) {
                ConsumerRecords<String, byte[]> records = consumer.poll(Duration.ofMillis(100));
                count += records.count();
                records.forEach(record -> words.add(record.key()));
            }
        }
        if (words.size() != VOCABULARY) {
            Check.same("every word is in the changelog", VOCABULARY, words.size());
        }
        return count;
    }
}
