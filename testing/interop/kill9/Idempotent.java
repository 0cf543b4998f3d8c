import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.producer.Callback;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * The Java client's counterpart of {@code librdkafka.py}: an idempotent producer that never stops
 * while the broker is killed, and that says the same.
 */
final class Idempotent {
    private static final String TOPIC = "kept";
    private static final int PARTITIONS = 4;

    private final CountDownLatch ended = new CountDownLatch(1);
    private final PrintStream out =
        new PrintStream(new BufferedOutputStream(System.out, 1 << 16), false);

    private Idempotent() {}

    public static void main(String[] arguments) throws Exception {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", arguments[0]);
        properties.put("linger.ms", "1");
        properties.put("acks", "all");
        properties.put("delivery.timeout.ms", "120000");
        properties.put("request.timeout.ms", "5000");
        properties.put("retry.backoff.ms", "20");
        properties.put("reconnect.backoff.ms", "10");
        properties.put("reconnect.backoff.max.ms", "50");
        new Idempotent().run(properties);
    }

    private void run(Properties properties) throws Exception {
        try (Admin admin = Admin.create(properties);
                KafkaProducer<String, String> producer = new KafkaProducer<>(
                    properties, new StringSerializer(), new StringSerializer())) {
            // Small segments, so that some kills hit a roll.
            admin.createTopics(List.of(new NewTopic(TOPIC, PARTITIONS, (short) 1)
                .configs(Map.of("segment.bytes", "1048576")))).all().get();
            send(producer, 0);
            producer.flush();
            out.println("ready");
            out.flush();
            background(this::waitForEnd);
            background(() -> churn(admin));
            int number = 1;
            while (!ended.await(2, TimeUnit.MILLISECONDS)) {
                for (int sent = 0; sent < 50; sent++) {
                    send(producer, number);
                    number++;
                }
            }
            producer.flush();
            synchronized (out) {
                out.flush();
            }
        }
    }

    private static void background(Runnable work) {
        Thread thread = new Thread(work);
        thread.setDaemon(true);
        thread.start();
    }

    private void waitForEnd() {
        try {
            System.in.readAllBytes();
        } catch (IOException broken) {
            // Whoever started this is gone.
        }
        ended.countDown();
    }

    private void send(KafkaProducer<String, String> producer, int number) {
        String value = Integer.toString(number);
        Callback callback = (metadata, error) -> {
            synchronized (out) {
                if (error == null) {
                    out.println(
                        "acked " + metadata.partition() + " " + metadata.offset() + " " + value);
                } else {
                    out.println("failed " + value + " " + error);
                }
            }
        };
        producer.send(new ProducerRecord<>(TOPIC, number % PARTITIONS, null, value), callback);
    }

    /** Makes and deletes topics, so that some kills hit that. */
    private void churn(Admin admin) {
        try {
            for (int number = 0; !ended.await(50, TimeUnit.MILLISECONDS); number++) {
                String name = "passing-" + number;
                try {
                    admin.createTopics(List.of(new NewTopic(name, 3, (short) 1))).all()
                        .get(3, TimeUnit.SECONDS);
                    admin.deleteTopics(List.of(name)).all().get(3, TimeUnit.SECONDS);
                } catch (ExecutionException | TimeoutException killed) {
                    // The broker was killed; the next topic has another name.
                }
            }
        } catch (InterruptedException stopped) {
            Thread.currentThread().interrupt();
        }
    }
}
