import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.message.ProduceRequestData;
import org.apache.kafka.common.message.ProduceRequestData.PartitionProduceData;
import org.apache.kafka.common.message.ProduceRequestData.TopicProduceData;
import org.apache.kafka.common.message.ProduceRequestData.TopicProduceDataCollection;
import org.apache.kafka.common.protocol.ApiKeys;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.record.internal.SimpleRecord;
import org.apache.kafka.common.requests.AbstractResponse;
import org.apache.kafka.common.requests.ProduceRequest;
import org.apache.kafka.common.requests.ProduceResponse;
import org.apache.kafka.common.requests.RequestHeader;

/**
 * Leaves two transactions open for others to find: one of a producer that died, and one that
 * hangs, for it was written without asking its coordinator, who will never end it. Both are behind
 * a record that is not in a transaction, and before one. Arguments: the broker, the topic of each.
 */
final class Open {
    private static final long HOUR_MS = 3_600_000;
    /** No coordinator gives it out so soon. */
    private static final long STRANGER = 987_654;
    /** The last version of Produce that does not add partitions by itself. */
    private static final short VERSION = 11;

    private Open() {}

    public static void main(String[] arguments) throws Exception {
        Broker broker = new Broker(arguments[0]);
        for (String topic : List.of(arguments[1], arguments[2])) {
            broker.topic(topic, 1, Map.of());
            write(broker, topic, "before");
        }
        KafkaProducer<String, String> dead =
            broker.producer(Map.of("transactional.id", "dead", "transaction.timeout.ms", 600_000));
        dead.initTransactions();
        dead.beginTransaction();
        dead.send(new ProducerRecord<>(arguments[1], 0, null, "open")).get();
        Check.same("a transaction is begun without its coordinator", 0,
            hang(broker, arguments[2]));
        for (String topic : List.of(arguments[1], arguments[2])) {
            write(broker, topic, "behind");
        }
        // Without a word about what is open.
        Runtime.getRuntime().halt(0);
    }

    private static void write(Broker broker, String topic, String value) throws Exception {
        try (KafkaProducer<String, String> producer = broker.producer(Map.of())) {
            producer.send(new ProducerRecord<>(topic, 0, null, value)).get();
        }
    }

    /** Writes a record whose time is long ago, and gives what the broker says. */
    private static int hang(Broker broker, String topic) throws Exception {
        SimpleRecord record = new SimpleRecord(
            System.currentTimeMillis() - HOUR_MS, null, "hanging".getBytes());
        TopicProduceData data = new TopicProduceData().setName(topic).setPartitionData(List.of(
            new PartitionProduceData().setIndex(0).setRecords(MemoryRecords
                .withTransactionalRecords(Compression.NONE, STRANGER, (short) 0, 0, record))));
        ProduceRequest request = ProduceRequest.builder(new ProduceRequestData()
            .setTransactionalId("stranger").setAcks((short) -1).setTimeoutMs(10_000)
            .setTopicData(new TopicProduceDataCollection(List.of(data).iterator())), true)
            .build(VERSION);
        RequestHeader header = new RequestHeader(ApiKeys.PRODUCE, VERSION, "stranger", 1);
        ByteBuffer bytes = request.serializeWithHeader(header);
        Node leader = broker.leader(topic, 0);
        try (Socket socket = new Socket(leader.host(), leader.port())) {
            DataOutputStream out = new DataOutputStream(socket.getOutputStream());
            out.writeInt(bytes.remaining());
            out.write(bytes.array(), bytes.arrayOffset() + bytes.position(), bytes.remaining());
            DataInputStream in = new DataInputStream(socket.getInputStream());
            ByteBuffer answer = ByteBuffer.wrap(in.readNBytes(in.readInt()));
            ProduceResponse response =
                (ProduceResponse) AbstractResponse.parseResponse(answer, header);
            return response.data().responses().find(topic, Uuid.ZERO_UUID)
                .partitionResponses().get(0).errorCode();
        }
    }
}
