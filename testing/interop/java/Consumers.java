import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.LongStream;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.NoOffsetForPartitionException;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.consumer.OffsetOutOfRangeException;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.TopicPartition;

/** A Java consumer with partitions of its own choosing finds what it asks for. */
final class Consumers {
    private static final int COUNT = 1000;
    /** The timestamp of the first record; each later one is 10 ms later. */
    private static final long EPOCH = 1_700_000_000_000L;

    private final Broker broker;
    private final TopicPartition partition;

    private Consumers(Broker broker) throws Exception {
        this.broker = broker;
        partition = new TopicPartition(broker.topic("numbers", 2, Map.of(
            "retention.ms", "-1")), 0);
        try (KafkaProducer<String, String> producer = broker.producer(Map.of())) {
            for (int number = 0; number < COUNT; number++) {
                producer.send(new ProducerRecord<>(
                    "numbers", 0, EPOCH + 10L * number, "" + number, "" + number));
            }
        }
    }

    public static void main(String[] arguments) throws Exception {
        Consumers suite = new Consumers(new Broker(arguments[0]));
        suite.offsets();
        suite.seeking();
        suite.timestamps();
        suite.bounds();
        suite.outOfRange();
        suite.waiting();
        suite.severalPartitions();
        suite.metadata();
    }

    private KafkaConsumer<String, String> assigned(Map<String, ?> settings) {
        KafkaConsumer<String, String> consumer = broker.consumer(settings);
        consumer.assign(List.of(partition));
        return consumer;
    }

    private List<Long> next(KafkaConsumer<String, String> consumer, int count) {
        return Broker.offsets(Broker.next(consumer, partition, count));
    }

    private static List<Long> range(long from, long to) {
        return LongStream.range(from, to).boxed().toList();
    }

    private void offsets() {
        TopicPartition empty = new TopicPartition("numbers", 1);
        try (KafkaConsumer<String, String> consumer = assigned(Map.of())) {
            Check.same("beginning offsets", Map.of(partition, 0L, empty, 0L),
                consumer.beginningOffsets(List.of(partition, empty)));
            Check.same("end offsets", Map.of(partition, (long) COUNT, empty, 0L),
                consumer.endOffsets(List.of(partition, empty)));
        }
        Map<String, ?> committed = Map.of("isolation.level", "read_committed");
        try (KafkaConsumer<String, String> consumer = assigned(committed)) {
            Check.same("end offsets, read_committed", Map.of(partition, (long) COUNT),
                consumer.endOffsets(List.of(partition)));
            consumer.seekToBeginning(List.of(partition));
            Check.same("all records, read_committed", range(0, COUNT), next(consumer, COUNT));
        }
    }

    private void seeking() {
        try (KafkaConsumer<String, String> consumer = assigned(Map.of("max.poll.records", 10))) {
            consumer.seek(partition, 500);
            Check.same("a poll gives max.poll.records from where was sought", range(500, 510),
                next(consumer, 10));
            Check.same("the position follows", 510L, consumer.position(partition));
            consumer.seekToBeginning(List.of(partition));
            Check.same("back to the beginning", 0L, consumer.position(partition));
            Check.same("and read there", range(0, 10), next(consumer, 10));
            consumer.seekToEnd(List.of(partition));
            Check.same("to the end", (long) COUNT, consumer.position(partition));
            Check.that("nothing is behind the end",
                consumer.poll(Duration.ofMillis(300)).isEmpty(), "records");
            Check.same("the position stays there", (long) COUNT, consumer.position(partition));
            Check.same("no lag is left", 0L, consumer.currentLag(partition).getAsLong());
            consumer.seek(partition, COUNT - 1);
            Check.same("the last record", range(COUNT - 1, COUNT), next(consumer, 1));
        }
    }

    private void timestamps() {
        TopicPartition empty = new TopicPartition("numbers", 1);
        try (KafkaConsumer<String, String> consumer = assigned(Map.of())) {
            for (int number : new int[] {0, 1, 333, COUNT - 1}) {
                for (long less : new long[] {0, 9}) {
                    OffsetAndTimestamp found = consumer.offsetsForTimes(
                        Map.of(partition, EPOCH + 10L * number - less)).get(partition);
                    Check.same("the offset for the time of record " + number + " less " + less,
                        number + " at " + (EPOCH + 10L * number),
                        found.offset() + " at " + found.timestamp());
                }
            }
            Check.same("no record is later than the last", null, consumer.offsetsForTimes(
                Map.of(partition, EPOCH + 10L * COUNT)).get(partition));
            Check.same("no time in an empty partition", null,
                consumer.offsetsForTimes(Map.of(empty, 0L)).get(empty));
        }
    }

    private void bounds() {
        Map<String, ?> small = Map.of("fetch.max.bytes", 1, "max.partition.fetch.bytes", 1);
        try (KafkaConsumer<String, String> consumer = assigned(small)) {
            consumer.seekToBeginning(List.of(partition));
            Check.same("limits of one byte still make progress", range(0, COUNT),
                next(consumer, COUNT));
        }
        try (KafkaConsumer<String, String> consumer = assigned(Map.of("max.poll.records", 5))) {
            consumer.seekToBeginning(List.of(partition));
            next(consumer, 5);
            consumer.pause(List.of(partition));
            Check.that("a paused partition gives nothing",
                consumer.poll(Duration.ofMillis(200)).isEmpty(), "records");
            consumer.resume(List.of(partition));
            Check.same("and goes on where it was", range(5, 10), next(consumer, 5));
        }
    }

    private void outOfRange() {
        Map<String, ?> none = Map.of("auto.offset.reset", "none");
        try (KafkaConsumer<String, String> consumer = assigned(none)) {
            Check.fails("no position and auto.offset.reset=none",
                NoOffsetForPartitionException.class,
                () -> consumer.poll(Duration.ofSeconds(10)));
            consumer.seek(partition, COUNT + 50);
            Check.fails("an offset out of range and auto.offset.reset=none",
                OffsetOutOfRangeException.class, () -> {
                    for (int attempt = 0; attempt < 20; attempt++) {
                        consumer.poll(Duration.ofMillis(500));
                    }
                    return "nothing";
                });
        }
        Map<String, ?> earliest = Map.of("auto.offset.reset", "earliest");
        try (KafkaConsumer<String, String> consumer = assigned(earliest)) {
            consumer.seek(partition, COUNT + 50);
            Check.same("auto.offset.reset=earliest begins anew", 0L, next(consumer, 1).get(0));
        }
        try (KafkaConsumer<String, String> consumer = assigned(Map.of())) {
            consumer.seek(partition, COUNT + 50);
            consumer.poll(Duration.ofSeconds(2));
            Check.same("auto.offset.reset=latest goes to the end", (long) COUNT,
                consumer.position(partition));
        }
    }

    private void waiting() throws Exception {
        TopicPartition waited = new TopicPartition(broker.topic("waited", 1, Map.of()), 0);
        Map<String, ?> patient = Map.of("fetch.max.wait.ms", 5_000);
        try (KafkaConsumer<String, String> consumer = broker.consumer(patient);
                KafkaProducer<String, String> producer = broker.producer(Map.of())) {
            consumer.assign(List.of(waited));
            consumer.seekToBeginning(List.of(waited));
            consumer.poll(Duration.ofMillis(500));
            long sentAt = System.nanoTime();
            producer.send(new ProducerRecord<>("waited", 0, "k", "v")).get();
            List<ConsumerRecord<String, String>> found = Broker.next(consumer, waited, 1);
            long waitedMs = (System.nanoTime() - sentAt) / 1_000_000;
            Check.same("a fetch that waits gives the record that comes", List.of("v"),
                Broker.values(found));
            Check.that("and gives it at once", waitedMs < 3_000, waitedMs + " ms");
        }
    }

    private void severalPartitions() throws Exception {
        String topic = broker.topic("spread", 12, Map.of());
        List<TopicPartition> partitions = LongStream.range(0, 12)
            .mapToObj(number -> new TopicPartition(topic, (int) number)).toList();
        try (KafkaProducer<String, String> producer = broker.producer(Map.of())) {
            for (int number = 0; number < 1200; number++) {
                producer.send(new ProducerRecord<>(topic, number % 12, null, "" + number));
            }
        }
        Set<Integer> values = new TreeSet<>();
        Map<String, ?> settings = Map.of("auto.offset.reset", "earliest", "max.poll.records", 70);
        try (KafkaConsumer<String, String> consumer = broker.consumer(settings)) {
            consumer.assign(partitions);
            long deadline = System.nanoTime() + 30_000_000_000L;
            while (values.size() < 1200 && System.nanoTime() < deadline) {
                consumer.poll(Duration.ofMillis(500))
                    .forEach(record -> values.add(Integer.parseInt(record.value())));
            }
            consumer.assign(partitions.subList(0, 3));
            consumer.seek(partitions.get(1), 99);
            Check.same("fewer partitions in the same session", List.of(99L), Broker.offsets(
                Broker.next(consumer, partitions.get(1), 1)));
        }
        Check.same("every record of twelve partitions, once", 1200, values.size());
    }

    private void metadata() {
        try (KafkaConsumer<String, String> consumer = broker.consumer(Map.of())) {
            Check.same("partitionsFor", 2, consumer.partitionsFor("numbers").size());
            Map<String, List<PartitionInfo>> topics = consumer.listTopics();
            Check.same("listTopics", 12, topics.get("spread").size());
        }
    }
}
