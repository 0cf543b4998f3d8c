// End to end through librdkafka: from the moment a record is due to the moment a consumer in the
// same process has it, and to the moment it is acknowledged (`acked_…`). Open loop: a record that is late because the broker or the client stalled
// counts from when it was due.
//
//   cc -O2 -o latency latency.c -lrdkafka -lpthread
//   ./latency HOST:PORT TOPIC RATE SECONDS

#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { VALUE_BYTES = 100, WARM_UP_SECONDS = 2, PATIENCE_MS = 10000 };

static int64_t *waits_us, *acked_us;
static int64_t total, warm_up;
static volatile int64_t received;
static volatile int is_over;

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static void fail(const char *what, const char *why) {
    fprintf(stderr, "latency: %s: %s\n", what, why);
    exit(1);
}

// A record was acknowledged; its number came along as the opaque.
static void delivered(rd_kafka_t *producer, const rd_kafka_message_t *message, void *opaque) {
    int64_t due;
    (void)producer, (void)opaque;
    if (message->err != 0)
        return;
    memcpy(&due, message->payload, 8);
    acked_us[(intptr_t)message->_private] = (now_ns() - due) / 1000;
}

static rd_kafka_t *client(rd_kafka_type_t type, const char *broker, const char *const *settings) {
    char why[512];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    if (type == RD_KAFKA_PRODUCER)
        rd_kafka_conf_set_dr_msg_cb(conf, delivered);
    if (rd_kafka_conf_set(conf, "bootstrap.servers", broker, why, sizeof why) != RD_KAFKA_CONF_OK)
        fail("bootstrap.servers", why);
    for (; settings[0] != NULL; settings += 2)
        if (rd_kafka_conf_set(conf, settings[0], settings[1], why, sizeof why) != RD_KAFKA_CONF_OK)
            fail(settings[0], why);
    rd_kafka_t *made = rd_kafka_new(type, conf, why, sizeof why);
    if (made == NULL)
        fail("client", why);
    return made;
}

static void *consume(void *argument) {
    rd_kafka_topic_t *topic = argument;
    int64_t idle_since = now_ns();
    while (received < total && now_ns() - idle_since < PATIENCE_MS * 1000000LL) {
        rd_kafka_message_t *message = rd_kafka_consume(topic, 0, 100);
        if (message == NULL)
            continue;
        if (message->err == 0 && message->len == VALUE_BYTES) {
            int64_t due, index;
            memcpy(&due, message->payload, 8);
            memcpy(&index, (char *)message->payload + 8, 8);
            waits_us[index] = (now_ns() - due) / 1000;
            received++;
            idle_since = now_ns();
        }
        rd_kafka_message_destroy(message);
    }
    return NULL;
}

static void *poll_deliveries(void *producer) {
    while (!is_over)
        rd_kafka_poll(producer, 100);
    return NULL;
}

static int ascending(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void print_quantiles(const char *prefix, int64_t *waits, int64_t count) {
    const double quantiles[] = {0.5, 0.9, 0.99, 0.999};
    qsort(waits, count, sizeof *waits, ascending);
    for (int index = 0; index < 4; index++)
        printf(", \"%sp%g_us\": %lld", prefix, quantiles[index] * 100,
               (long long)waits[(int64_t)(quantiles[index] * (count - 1))]);
    printf(", \"%smax_us\": %lld", prefix, (long long)waits[count - 1]);
}

int main(int count, char **arguments) {
    if (count != 5)
        fail("usage", "latency HOST:PORT TOPIC RATE SECONDS");
    const char *broker = arguments[1], *name = arguments[2];
    int64_t rate = atoll(arguments[3]), seconds = atoll(arguments[4]);
    warm_up = rate * WARM_UP_SECONDS;
    total = warm_up + rate * seconds;
    waits_us = malloc(total * sizeof *waits_us);
    acked_us = malloc(total * sizeof *acked_us);
    for (int64_t index = 0; index < total; index++)
        waits_us[index] = acked_us[index] = PATIENCE_MS * 1000LL;

    const char *producing[] = {"linger.ms", "0", "acks", "all", "enable.idempotence", "true", NULL};
    const char *consuming[] = {"group.id", "latency", "enable.auto.commit", "false", NULL};
    rd_kafka_t *producer = client(RD_KAFKA_PRODUCER, broker, producing);
    rd_kafka_t *consumer = client(RD_KAFKA_CONSUMER, broker, consuming);
    rd_kafka_topic_t *to = rd_kafka_topic_new(producer, name, NULL);
    rd_kafka_topic_t *from = rd_kafka_topic_new(consumer, name, NULL);

    // The consumer begins behind what is there, which it can only know of a topic that is there.
    int64_t low, high;
    for (int tries = 0;; tries++) {
        rd_kafka_resp_err_t error =
            rd_kafka_query_watermark_offsets(consumer, name, 0, &low, &high, 2000);
        if (error == 0)
            break;
        if (tries == 20)
            fail(name, rd_kafka_err2str(error));
    }
    if (rd_kafka_consume_start(from, 0, high) != 0)
        fail("consume", rd_kafka_err2str(rd_kafka_last_error()));
    pthread_t thread, deliveries;
    pthread_create(&thread, NULL, consume, from);
    pthread_create(&deliveries, NULL, poll_deliveries, producer);

    char value[VALUE_BYTES] = {0};
    const struct timespec full = {0, 1000000};
    int64_t began = now_ns();
    for (int64_t index = 0; index < total; index++) {
        int64_t due = began + index * 1000000000LL / rate;
        struct timespec at = {due / 1000000000LL, due % 1000000000LL};
        if (due > now_ns())
            clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
        memcpy(value, &due, 8);
        memcpy(value + 8, &index, 8);
        while (rd_kafka_produce(to, 0, RD_KAFKA_MSG_F_COPY, value, sizeof value, NULL, 0,
                                (void *)(intptr_t)index) != 0)
            clock_nanosleep(CLOCK_MONOTONIC, 0, &full, NULL);
    }
    rd_kafka_flush(producer, PATIENCE_MS);
    pthread_join(thread, NULL);

    is_over = 1;
    pthread_join(deliveries, NULL);

    int64_t measured = total - warm_up;
    printf("{\"rate\": %lld, \"records\": %lld, \"lost\": %lld", (long long)rate,
           (long long)measured, (long long)(total - received));
    print_quantiles("", waits_us + warm_up, measured);
    print_quantiles("acked_", acked_us + warm_up, measured);
    printf("}\n");
    return received == total ? 0 : 1;
}
