import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.concurrent.Callable;
import java.util.function.Consumer;
import org.apache.kafka.clients.consumer.CloseOptions;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.SubscriptionPattern;
import org.apache.kafka.common.TopicPartition;

/** A member of a group that notes what it is given, what is taken away, and what it reads. */
final class Member implements ConsumerRebalanceListener, AutoCloseable {
    private static final Duration POLL = Duration.ofMillis(20);
    private static final long SETTLING_NS = 60_000_000_000L;

    final KafkaConsumer<String, String> consumer;
    /** Every record in the order in which it came. */
    final List<ConsumerRecord<String, String>> records = new ArrayList<>();
    /** How often partitions were taken away, or were lost. */
    int revocations;

    /** A consumer that does not commit by itself and begins at the beginning. */
    Member(Broker broker, Map<String, ?> settings) {
        Map<String, Object> all = new HashMap<>(Map.of(
            "enable.auto.commit", false, "auto.offset.reset", "earliest"));
        all.putAll(settings);
        consumer = broker.consumer(all);
    }

    Member to(String... topics) {
        consumer.subscribe(List.of(topics), this);
        return this;
    }

    Member toPattern(String pattern) {
        consumer.subscribe(new SubscriptionPattern(pattern), this);
        return this;
    }

    @Override
    public void onPartitionsAssigned(Collection<TopicPartition> partitions) {}

    @Override
    public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
        revocations += partitions.isEmpty() ? 0 : 1;
    }

    @Override
    public void onPartitionsLost(Collection<TopicPartition> partitions) {
        revocations += partitions.isEmpty() ? 0 : 1;
    }

    void poll() {
        consumer.poll(POLL).forEach(records::add);
    }

    /** What it has, as `topic-partition`s in their order. */
    String assigned() {
        return new TreeSet<>(consumer.assignment().stream().map(Object::toString).toList())
            .toString();
    }

    List<Long> offsets(TopicPartition partition) {
        return records.stream().filter(record -> record.partition() == partition.partition()
            && record.topic().equals(partition.topic())).map(ConsumerRecord::offset).toList();
    }

    int generation() {
        return consumer.groupMetadata().generationId();
    }

    /** Goes away without a word, as one that is killed. */
    void vanish() {
        consumer.close(CloseOptions.timeout(Duration.ZERO)
            .withGroupMembershipOperation(CloseOptions.GroupMembershipOperation.REMAIN_IN_GROUP));
    }

    @Override
    public void close() {
        consumer.close();
    }

    /** Polls all of them until the call gives this. */
    static void settle(String name, Object expected, Callable<?> call, Member... members)
            throws Exception {
        long deadline = System.nanoTime() + SETTLING_NS;
        while (!expected.equals(call.call()) && System.nanoTime() < deadline) {
            for (Member member : members) {
                member.poll();
            }
        }
        Check.same(name, expected, call.call());
    }

    /** Polls all of them until one throws, and gives that. */
    static Exception failure(Consumer<Member> step, Member... members) {
        long deadline = System.nanoTime() + SETTLING_NS;
        while (System.nanoTime() < deadline) {
            for (Member member : members) {
                try {
                    step.accept(member);
                } catch (RuntimeException thrown) {
                    return thrown;
                }
            }
        }
        return new IllegalStateException("none of them failed");
    }
}
