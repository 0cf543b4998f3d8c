import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.time.Instant;
import java.util.Arrays;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.producer.Callback;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * An idempotent producer at a steady rate, until its input ends. It says of every record, times in
 * nanoseconds since 1970: {@code ok|info KEY VALUE OFFSET INVOKED COMPLETED}.
 */
final class Producing {
    private final CountDownLatch ended = new CountDownLatch(1);
    private final PrintStream out =
        new PrintStream(new BufferedOutputStream(System.out, 1 << 16), false);
    private final String topic;
    private final int partitions;
    private final int size;
    private long last;

    private Producing(String topic, int partitions, int size) {
        this.topic = topic;
        this.partitions = partitions;
        this.size = size;
    }

    public static void main(String[] arguments) throws Exception {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", arguments[0]);
        properties.put("acks", "all");
        properties.put("linger.ms", "5");
        properties.put("delivery.timeout.ms", "120000");
        properties.put("request.timeout.ms", "5000");
        properties.put("max.block.ms", "120000");
        properties.put("buffer.memory", "134217728");
        properties.put("retry.backoff.ms", "10");
        properties.put("retry.backoff.max.ms", "100");
        properties.put("reconnect.backoff.ms", "10");
        properties.put("reconnect.backoff.max.ms", "100");
        Producing producing = new Producing(
            arguments[1], Integer.parseInt(arguments[2]), Integer.parseInt(arguments[4]));
        long rate = Long.parseLong(arguments[3]);
        producing.run(properties, rate, Long.parseLong(arguments[5]));
    }

    private void run(Properties properties, long rate, long first) throws Exception {
        Thread waiting = new Thread(this::waitForEnd);
        waiting.setDaemon(true);
        waiting.start();
        try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(
                properties, new ByteArraySerializer(), new ByteArraySerializer())) {
            long began = System.nanoTime();
            long sent = 0;
            while (!ended.await(5, TimeUnit.MILLISECONDS)) {
                long due = (System.nanoTime() - began) / 1_000 * rate / 1_000_000;
                for (; sent < due; sent++) {
                    send(producer, first + sent);
                }
            }
        }
        synchronized (out) {
            out.flush();
        }
    }

    private void waitForEnd() {
        try {
            System.in.readAllBytes();
        } catch (IOException broken) {
            // Whoever started this is gone.
        }
        ended.countDown();
    }

    private static long now() {
        Instant now = Instant.now();
        return now.getEpochSecond() * 1_000_000_000 + now.getNano();
    }

    private void send(KafkaProducer<byte[], byte[]> producer, long value) {
        byte[] payload = new byte[Math.max(size, Long.BYTES)];
        Arrays.fill(payload, (byte) '.');
        ByteBuffer.wrap(payload).putLong(value);
        int partition = (int) (value % partitions);
        // Invocations are told apart by their times.
        last = Math.max(now(), last + 1);
        long invoked = last;
        Callback callback = (metadata, error) -> {
            boolean isThere = error == null;
            // A retry of what had already arrived may be answered without an offset.
            long offset = isThere && metadata.hasOffset() ? metadata.offset() : -1;
            synchronized (out) {
                out.println((isThere ? "ok " : "info ") + partition + " " + value + " " + offset
                    + " " + invoked + " " + now());
            }
        };
        producer.send(new ProducerRecord<>(topic, partition, null, payload), callback);
    }
}
