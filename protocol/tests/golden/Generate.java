import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HexFormat;
import java.util.TreeMap;
import org.apache.kafka.common.errors.UnsupportedVersionException;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.ObjectSerializationCache;

/**
 * Writes golden bytes with Kafka's own classes.
 *
 * Reads lines "file message version hex" of sampled messages, lets Kafka read and write them, and
 * writes per file lines "message version sample hex" with the bytes that Kafka wrote, and lines
 * "message version default hex" with a message of which nothing was set, where Kafka can write one.
 */
public class Generate {
    private static final String[] PACKAGES = {
        "org.apache.kafka.common.message.",
        "org.apache.kafka.common.metadata.",
        "org.apache.kafka.coordinator.group.generated.",
        "org.apache.kafka.coordinator.transaction.generated.",
        "org.apache.kafka.coordinator.share.generated.",
    };

    public static void main(String[] args) throws Exception {
        TreeMap<String, StringBuilder> files = new TreeMap<>();
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            String[] words = line.split(" ", -1);
            short version = Short.parseShort(words[2]);
            StringBuilder file = files.computeIfAbsent(words[0], name -> new StringBuilder());
            String name = words[1] + " " + version;
            Message message = create(words[1]);
            try {
                file.append(name + " default " + write(message, version) + "\n");
            } catch (UnsupportedVersionException | NullPointerException e) {
                // Something must be set in this version.
            }
            message = create(words[1]);
            ByteBuffer sample = ByteBuffer.wrap(HexFormat.of().parseHex(words[3]));
            message.read(new ByteBufferAccessor(sample), version);
            if (sample.hasRemaining()) {
                throw new IllegalStateException(line + " has bytes left over");
            }
            file.append(name + " sample " + write(message, version) + "\n");
        }
        for (var file : files.entrySet()) {
            Files.writeString(Path.of(args[0], file.getKey() + ".txt"), file.getValue());
        }
    }

    private static Message create(String name) throws Exception {
        for (String prefix : PACKAGES) {
            for (String suffix : new String[] {"", "Data"}) {
                try {
                    return (Message) Class.forName(prefix + name + suffix)
                        .getDeclaredConstructor().newInstance();
                } catch (ClassNotFoundException e) {
                    // It is in another package.
                }
            }
        }
        throw new ClassNotFoundException(name);
    }

    private static String write(Message message, short version) {
        ObjectSerializationCache cache = new ObjectSerializationCache();
        ByteBuffer bytes = ByteBuffer.allocate(message.size(cache, version));
        message.write(new ByteBufferAccessor(bytes), cache, version);
        if (bytes.hasRemaining()) {
            throw new IllegalStateException(message + " is smaller than it said");
        }
        return HexFormat.of().formatHex(bytes.array());
    }
}
