import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** Clients of the broker under test, with a few settings each; several brokers have commas between. */
record Broker(String address) {
    private static final Duration READING = Duration.ofSeconds(30);

    /** Where each broker is. */
    List<String> addresses() {
        return List.of(address.split(","));
    }

    /** How many copies a topic gets: one on each broker. */
    short copies() {
        return (short) addresses().size();
    }

    private Properties properties(Map<String, ?> settings) {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", address);
        settings.forEach((key, value) -> properties.put(key, value.toString()));
        return properties;
    }

    Admin admin() {
        return Admin.create(properties(Map.of("default.api.timeout.ms", 30000)));
    }

    /** An Admin that gives up what is retriable after three seconds. */
    Admin hastyAdmin() {
        return Admin.create(properties(Map.of(
            "default.api.timeout.ms", 3000, "request.timeout.ms", 2000, "retries", 2)));
    }

    KafkaProducer<String, String> producer(Map<String, ?> settings) {
        return new KafkaProducer<>(
            properties(settings), new StringSerializer(), new StringSerializer());
    }

    KafkaProducer<byte[], byte[]> bytesProducer(Map<String, ?> settings) {
        return new KafkaProducer<>(
            properties(settings), new ByteArraySerializer(), new ByteArraySerializer());
    }

    KafkaConsumer<String, String> consumer(Map<String, ?> settings) {
        return new KafkaConsumer<>(
            properties(settings), new StringDeserializer(), new StringDeserializer());
    }

    private KafkaConsumer<byte[], byte[]> bytesConsumer() {
        return new KafkaConsumer<>(
            properties(Map.of()), new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    /** Creates a topic with a copy on each broker. */
    String topic(String name, int partitions, Map<String, String> configs) throws Exception {
        try (Admin admin = admin()) {
            NewTopic topic = new NewTopic(name, partitions, copies()).configs(configs);
            admin.createTopics(List.of(topic)).all().get();
        }
        return name;
    }

    /** Who leads a partition. */
    Node leader(String topic, int partition) throws Exception {
        try (Admin admin = admin()) {
            return admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic)
                .partitions().get(partition).leader();
        }
    }

    /** The first records of a partition as strings. */
    List<ConsumerRecord<String, String>> read(TopicPartition partition, int count) {
        try (KafkaConsumer<String, String> consumer = consumer(Map.of())) {
            return first(consumer, partition, count);
        }
    }

    /** The first records of a partition as bytes. */
    List<ConsumerRecord<byte[], byte[]>> readBytes(TopicPartition partition, int count) {
        try (KafkaConsumer<byte[], byte[]> consumer = bytesConsumer()) {
            return first(consumer, partition, count);
        }
    }

    private static <T> List<ConsumerRecord<T, T>> first(
            KafkaConsumer<T, T> consumer, TopicPartition partition, int count) {
        consumer.assign(List.of(partition));
        consumer.seekToBeginning(List.of(partition));
        return next(consumer, partition, count);
    }

    /** The next records of a consumer that come from a partition: at least so many, if they are. */
    static <T> List<ConsumerRecord<T, T>> next(
            KafkaConsumer<T, T> consumer, TopicPartition partition, int count) {
        long deadline = System.nanoTime() + READING.toNanos();
        List<ConsumerRecord<T, T>> found = new ArrayList<>();
        while (found.size() < count && System.nanoTime() < deadline) {
            found.addAll(consumer.poll(Duration.ofMillis(500)).records(partition));
        }
        return found;
    }

    static List<String> values(List<ConsumerRecord<String, String>> records) {
        return records.stream().map(ConsumerRecord::value).toList();
    }

    static List<Long> offsets(List<? extends ConsumerRecord<?, ?>> records) {
        List<Long> offsets = new ArrayList<>();
        records.forEach(record -> offsets.add(record.offset()));
        return offsets;
    }
}
