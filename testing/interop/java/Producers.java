import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Future;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.InvalidRecordException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.InvalidTimestampException;
import org.apache.kafka.common.errors.InvalidTopicException;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.apache.kafka.common.errors.TimeoutException;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.record.TimestampType;

/** What the Java producer sends must come back as it was sent. */
final class Producers {
    private final Broker broker;

    private Producers(Broker broker) {
        this.broker = broker;
    }

    public static void main(String[] arguments) throws Exception {
        Producers suite = new Producers(new Broker(arguments[0]));
        suite.acknowledgements();
        suite.idempotence();
        suite.codecs();
        suite.recodedByTheBroker();
        suite.shapes();
        suite.partitionsAndTimestamps();
        suite.logAppendTime();
        suite.sizes();
        suite.refusals();
        suite.autoCreation();
    }

    private static List<String> numbered(int count) {
        return IntStream.range(0, count).mapToObj(number -> "value " + number).toList();
    }

    private static List<RecordMetadata> send(
            KafkaProducer<String, String> producer, TopicPartition to, List<String> values)
            throws Exception {
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        for (String value : values) {
            sent.add(producer.send(
                new ProducerRecord<>(to.topic(), to.partition(), null, null, value)));
        }
        producer.flush();
        List<RecordMetadata> answers = new ArrayList<>();
        for (Future<RecordMetadata> future : sent) {
            answers.add(future.get());
        }
        return answers;
    }

    private void acknowledgements() throws Exception {
        for (String acks : List.of("0", "1", "all")) {
            TopicPartition to =
                new TopicPartition(broker.topic("acks-" + acks, 1, Map.of()), 0);
            Map<String, ?> settings = Map.of("acks", acks, "enable.idempotence", false);
            try (KafkaProducer<String, String> producer = broker.producer(settings)) {
                List<RecordMetadata> answers = send(producer, to, numbered(100));
                if (acks.equals("0")) {
                    Check.that("acks=0 gives no offset", !answers.get(7).hasOffset(), answers);
                } else {
                    Check.same("acks=" + acks + " gives the offsets",
                        LongStream.range(0, 100).boxed().toList(),
                        answers.stream().map(RecordMetadata::offset).toList());
                }
            }
            Check.same("acks=" + acks + " is read back", numbered(100),
                Broker.values(broker.read(to, 100)));
        }
    }

    private void idempotence() throws Exception {
        String topic = broker.topic("idempotent", 3, Map.of());
        int count = 6000;
        try (KafkaProducer<String, String> producer = broker.producer(Map.of("linger.ms", 1))) {
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (int number = 0; number < count; number++) {
                sent.add(producer.send(new ProducerRecord<>(
                    topic, number % 3, null, Integer.toString(number))));
            }
            for (Future<RecordMetadata> future : sent) {
                future.get();
            }
            Check.same("the producer knows the partitions", 3,
                producer.partitionsFor(topic).size());
        }
        for (int partition = 0; partition < 3; partition++) {
            int first = partition;
            Check.same("idempotent records are in order in partition " + partition,
                IntStream.range(0, count / 3).mapToObj(at -> "" + (first + 3 * at)).toList(),
                Broker.values(broker.read(new TopicPartition(topic, partition), count / 3)));
        }
    }

    private void codecs() throws Exception {
        List<String> values = new ArrayList<>(numbered(2000));
        values.add("long ".repeat(20_000));
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
            TopicPartition to =
                new TopicPartition(broker.topic("codec-" + codec, 1, Map.of()), 0);
            Map<String, ?> settings =
                Map.of("compression.type", codec, "linger.ms", 20, "batch.size", 65536);
            try (KafkaProducer<String, String> producer = broker.producer(settings)) {
                send(producer, to, values);
            }
            Check.same(values.size() + " records through " + codec, values,
                Broker.values(broker.read(to, values.size())));
        }
    }

    private void recodedByTheBroker() throws Exception {
        for (String codec : List.of("uncompressed", "gzip", "snappy", "lz4", "zstd")) {
            TopicPartition to = new TopicPartition(
                broker.topic("recoded-" + codec, 1, Map.of("compression.type", codec)), 0);
            Map<String, ?> settings = Map.of("compression.type", "lz4", "linger.ms", 20);
            try (KafkaProducer<String, String> producer = broker.producer(settings)) {
                send(producer, to, numbered(500));
            }
            Check.same("lz4 into a topic with compression.type=" + codec, numbered(500),
                Broker.values(broker.read(to, 500)));
        }
    }

    private static String shown(byte[] bytes) {
        return bytes == null ? "null" : '"' + new String(bytes, StandardCharsets.UTF_8) + '"';
    }

    private static String shown(ConsumerRecord<byte[], byte[]> record) {
        StringBuilder text = new StringBuilder(shown(record.key()) + "=" + shown(record.value()));
        for (Header header : record.headers()) {
            text.append(' ').append(header.key()).append(':').append(shown(header.value()));
        }
        return text.toString();
    }

    private void shapes() throws Exception {
        TopicPartition to = new TopicPartition(broker.topic("shapes", 1, Map.of()), 0);
        byte[] empty = new byte[0];
        byte[] text = "Grüße".getBytes(StandardCharsets.UTF_8);
        try (KafkaProducer<byte[], byte[]> producer = broker.bytesProducer(Map.of())) {
            producer.send(new ProducerRecord<>(to.topic(), 0, null, null));
            producer.send(new ProducerRecord<>(to.topic(), 0, empty, empty));
            producer.send(new ProducerRecord<>(to.topic(), 0, text, null));
            List<Header> headers = List.of(new RecordHeader("a", text),
                new RecordHeader("a", text), new RecordHeader("none", null),
                new RecordHeader("", empty));
            producer.send(new ProducerRecord<>(to.topic(), 0, null, null, text, headers));
        }
        Check.same("null and empty keys and values, headers of one name",
            List.of("null=null", "\"\"=\"\"", "\"Grüße\"=null",
                "null=\"Grüße\" a:\"Grüße\" a:\"Grüße\" none:null :\"\""),
            broker.readBytes(to, 4).stream().map(Producers::shown).toList());
    }

    private void partitionsAndTimestamps() throws Exception {
        String topic = broker.topic("timestamps", 4, Map.of());
        long now = System.currentTimeMillis();
        List<Long> times = List.of(0L, 1_000L, now - 86_400_000L, now, now + 60_000L);
        TopicPartition to = new TopicPartition(topic, 3);
        List<String> answers = new ArrayList<>();
        try (KafkaProducer<String, String> producer = broker.producer(Map.of())) {
            for (long time : times) {
                RecordMetadata answer =
                    producer.send(new ProducerRecord<>(topic, 3, time, null, "v")).get();
                answers.add(answer.topic() + "-" + answer.partition() + " " + answer.timestamp());
            }
        }
        Check.same("answers name partition and timestamp",
            times.stream().map(time -> topic + "-3 " + time).toList(), answers);
        List<ConsumerRecord<String, String>> found = broker.read(to, times.size());
        Check.same("explicit timestamps come back", times,
            found.stream().map(ConsumerRecord::timestamp).toList());
        Check.same("they are of the producer", TimestampType.CREATE_TIME,
            found.get(0).timestampType());
    }

    private void logAppendTime() throws Exception {
        TopicPartition to = new TopicPartition(broker.topic(
            "appended", 1, Map.of("message.timestamp.type", "LogAppendTime")), 0);
        long before = System.currentTimeMillis();
        long answered;
        try (KafkaProducer<String, String> producer =
                broker.producer(Map.of("compression.type", "gzip"))) {
            answered =
                producer.send(new ProducerRecord<>(to.topic(), 0, 5L, null, "v")).get().timestamp();
        }
        ConsumerRecord<String, String> found = broker.read(to, 1).get(0);
        Check.same("LogAppendTime is the record's", TimestampType.LOG_APPEND_TIME,
            found.timestampType());
        Check.same("the producer is told the time of the log", found.timestamp(), answered);
        Check.that("it is the broker's clock",
            found.timestamp() >= before && found.timestamp() <= System.currentTimeMillis(),
            found.timestamp());
    }

    private void sizes() throws Exception {
        TopicPartition to = new TopicPartition(broker.topic(
            "sizes", 1, Map.of("max.message.bytes", "10000")), 0);
        Map<String, ?> settings = Map.of("batch.size", 0);
        try (KafkaProducer<byte[], byte[]> producer = broker.bytesProducer(settings)) {
            Check.fails("a batch above max.message.bytes", RecordTooLargeException.class,
                () -> producer.send(
                    new ProducerRecord<>(to.topic(), 0, null, new byte[10_000])).get());
            producer.send(new ProducerRecord<>(to.topic(), 0, null, new byte[9_000])).get();
            Check.same("the producer goes on after it", 1L,
                producer.send(new ProducerRecord<>(to.topic(), 0, null, new byte[1])).get()
                    .offset());
        }
        TopicPartition large = new TopicPartition(broker.topic("large", 1, Map.of()), 0);
        byte[] value = new byte[1_000_000];
        Arrays.fill(value, (byte) 7);
        try (KafkaProducer<byte[], byte[]> producer = broker.bytesProducer(Map.of())) {
            producer.send(new ProducerRecord<>(large.topic(), 0, null, value)).get();
        }
        Check.that("a record of 1,000,000 bytes",
            Arrays.equals(value, broker.readBytes(large, 1).get(0).value()), "other bytes");
        TopicPartition many = new TopicPartition(broker.topic("halved", 1, Map.of(
            "max.message.bytes", "20000")), 0);
        Map<String, ?> batches = Map.of("batch.size", 60_000, "linger.ms", 50);
        try (KafkaProducer<String, String> producer = broker.producer(batches)) {
            List<String> values =
                IntStream.range(0, 60).mapToObj(number -> number + " ".repeat(900)).toList();
            send(producer, many, values);
            Check.same("too large batches are split by the client and arrive in order", values,
                Broker.values(broker.read(many, 60)));
        }
    }

    private void refusals() throws Exception {
        String compacted = broker.topic("compacted", 1, Map.of("cleanup.policy", "compact"));
        String strict = broker.topic("strict", 1, Map.of("min.insync.replicas", "2"));
        String plain = broker.topic("punctual", 1, Map.of());
        long late = System.currentTimeMillis() + 7_200_000L;
        Map<String, ?> settings = Map.of(
            "retries", 0, "acks", "all", "enable.idempotence", false, "max.block.ms", 3000);
        try (KafkaProducer<String, String> producer = broker.producer(settings)) {
            Check.fails("no key in a compacted topic", InvalidRecordException.class,
                () -> producer.send(new ProducerRecord<>(compacted, 0, null, "v")).get());
            Check.same("min.insync.replicas asks for no more replicas than there are", 0L,
                producer.send(new ProducerRecord<>(strict, 0, null, "v")).get().offset());
            Check.fails("a timestamp two hours ahead", InvalidTimestampException.class,
                () -> producer.send(new ProducerRecord<>(plain, 0, late, null, "v")).get());
            Check.fails("a topic's name that is not legal", InvalidTopicException.class,
                () -> producer.send(new ProducerRecord<>("a name", "v")).get());
            Check.fails("a partition that is not there", TimeoutException.class,
                () -> producer.send(new ProducerRecord<>(plain, 9, null, "v")).get());
            Check.same("a good record after all of them", 0L,
                producer.send(new ProducerRecord<>(plain, 0, null, "v")).get().offset());
        }
    }

    private void autoCreation() throws Exception {
        try (KafkaProducer<String, String> producer = broker.producer(Map.of())) {
            Check.same("a topic is created by the first record to it", 0L,
                producer.send(new ProducerRecord<>("made-by-a-record", "k", "v")).get().offset());
        }
    }
}
