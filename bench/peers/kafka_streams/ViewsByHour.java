import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Properties;
import java.util.UUID;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

/** Views by hour and channel, exactly_once_v2, repeats removed by id, both stores in memory with their changelogs. */
public final class ViewsByHour {
    private static final int HOUR = "2024-07-01T10".length();
    private static final AtomicLong SEEN = new AtomicLong();

    /** Reads the whole topic twice, each time as a new application; the second time, with a warm JVM, counts. */
    public static void main(String[] arguments) throws Exception {
        long count = Long.parseLong(arguments[2]);
        readAll(arguments[0], arguments[1], count);
        System.out.println(readAll(arguments[0], arguments[1], count));
        System.out.flush();
        Runtime.getRuntime().halt(0);
    }

    private static String readAll(String bootstrap, String topic, long count) throws Exception {
        SEEN.set(0);
        StreamsBuilder builder = new StreamsBuilder();
        builder.addStateStore(Stores.keyValueStoreBuilder(
            Stores.inMemoryKeyValueStore("ids"), Serdes.String(), Serdes.Short()));
        builder.addStateStore(Stores.keyValueStoreBuilder(
            Stores.inMemoryKeyValueStore("views"), Serdes.String(), Serdes.Long()));
        builder.<byte[], byte[]>stream(topic).process(Count::new, "ids", "views");
        try (KafkaStreams streams = new KafkaStreams(builder.build(), settings(bootstrap))) {
            streams.start();
            await(1);
            long before = SEEN.get();
            long began = System.nanoTime();
            long processor = processorNanos();
            await(count);
            double counted = SEEN.get() - before;
            return String.format(Locale.ROOT, "{\"per_second\": %f, \"per_core\": %f, \"rss_mb\": %f}",
                counted / ((System.nanoTime() - began) / 1e9), counted / ((processorNanos() - processor) / 1e9),
                peakMegabytes());
        }
    }

    private static void await(long count) throws InterruptedException {
        while (SEEN.get() < count) {
            Thread.sleep(1);
        }
    }

    private static Properties settings(String bootstrap) throws IOException {
        Properties settings = new Properties();
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, "views-" + UUID.randomUUID());
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, bootstrap);
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        settings.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 1);
        settings.put(StreamsConfig.STATE_DIR_CONFIG, Files.createTempDirectory("streams-").toString());
        settings.put(StreamsConfig.DEFAULT_KEY_SERDE_CLASS_CONFIG, Serdes.ByteArraySerde.class);
        settings.put(StreamsConfig.DEFAULT_VALUE_SERDE_CLASS_CONFIG, Serdes.ByteArraySerde.class);
        settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");
        settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_POLL_RECORDS_CONFIG), 5000);
        return settings;
    }

    private static long processorNanos() {
        return ((com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean())
            .getProcessCpuTime();
    }

    private static double peakMegabytes() throws IOException {
        for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
            if (line.startsWith("VmHWM:")) {
                return Double.parseDouble(line.replaceAll("[^0-9]", "")) / 1024;
            }
        }
        return 0;
    }

    private static final class Count implements Processor<byte[], byte[], Void, Void> {
        private static final JsonFactory JSON = new JsonFactory();
        private KeyValueStore<String, Short> ids;
        private KeyValueStore<String, Long> views;

        @Override
        public void init(ProcessorContext<Void, Void> context) {
            ids = context.getStateStore("ids");
            views = context.getStateStore("views");
        }

        @Override
        public void process(Record<byte[], byte[]> event) {
            if (!"page.viewed.v1".equals(header(event, "ce_type"))) {
                return;
            }
            if (ids.putIfAbsent(header(event, "ce_id"), (short) 1) == null) {
                String cell = header(event, "ce_time").substring(0, HOUR) + channel(event.value());
                Long known = views.get(cell);
                views.put(cell, known == null ? 1 : known + 1);
            }
            SEEN.incrementAndGet();
        }

        private static String header(Record<byte[], byte[]> event, String name) {
            return new String(event.headers().lastHeader(name).value(), StandardCharsets.UTF_8);
        }

        private static String channel(byte[] body) {
            try (JsonParser parser = JSON.createParser(body)) {
                while (parser.nextToken() != null) {
                    if (parser.currentToken() == JsonToken.FIELD_NAME && "channel".equals(parser.currentName())) {
                        return parser.nextTextValue();
                    }
                }
                return "direct";
            } catch (IOException problem) {
                throw new UncheckedIOException(problem);
            }
        }
    }
}
