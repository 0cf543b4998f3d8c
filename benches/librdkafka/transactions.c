// Transactions of one record each, one after the other, from one producer of librdkafka.
//
//   cc -O2 -o transactions transactions.c -lrdkafka -lpthread
//   ./transactions HOST:PORT|mock TOPIC COUNT [BROKER_PID]
//
// `mock` is the cluster inside of librdkafka, which answers at once and keeps nothing: what it
// shows is the most that this client can do.

#include <librdkafka/rdkafka.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { VALUE_BYTES = 100, WARM_UP = 300, PATIENCE_MS = 30000 };

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static void fail(const char *what, const char *why) {
    fprintf(stderr, "transactions: %s: %s\n", what, why);
    exit(1);
}

static void set(rd_kafka_conf_t *conf, const char *name, const char *value) {
    char why[512];
    if (rd_kafka_conf_set(conf, name, value, why, sizeof why) != RD_KAFKA_CONF_OK)
        fail(name, why);
}

static void check(const char *what, rd_kafka_error_t *error) {
    if (error != NULL)
        fail(what, rd_kafka_error_string(error));
}

// Seconds of processor time that a process has used, to a nanosecond per thread.
static double cpu_seconds(const char *pid) {
    char path[64];
    clockid_t clock;
    struct timespec used;
    if (pid == NULL)
        return 0;
    // The clock of another process, as clock_getcpuclockid(3) makes it.
    clock = (clockid_t)((~(unsigned)atoi(pid) << 3) | 2);
    snprintf(path, sizeof path, "process %s", pid);
    if (clock_gettime(clock, &used) != 0)
        fail(path, "its processor time cannot be read");
    return used.tv_sec + used.tv_nsec / 1e9;
}

// A producer with no callback for deliveries looks for them only every 10 ms.
static void delivered(rd_kafka_t *producer, const rd_kafka_message_t *message, void *opaque) {
    (void)producer;
    (void)opaque;
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR)
        fail("delivery", rd_kafka_err2str(message->err));
}

static void run(rd_kafka_t *producer, const char *topic) {
    static char value[VALUE_BYTES];
    check("begin", rd_kafka_begin_transaction(producer));
    rd_kafka_resp_err_t code =
        rd_kafka_producev(producer, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(0),
                          RD_KAFKA_V_VALUE(value, sizeof value), RD_KAFKA_V_END);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        fail("produce", rd_kafka_err2str(code));
    check("commit", rd_kafka_commit_transaction(producer, PATIENCE_MS));
}

int main(int count, char **arguments) {
    if (count < 4)
        fail("usage", "transactions HOST:PORT|mock TOPIC COUNT [BROKER_PID]");
    const char *topic = arguments[2], *pid = count > 4 ? arguments[4] : NULL;
    long transactions = atol(arguments[3]);
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    if (strcmp(arguments[1], "mock") == 0)
        set(conf, "test.mock.num.brokers", "1");
    else
        set(conf, "bootstrap.servers", arguments[1]);
    set(conf, "transactional.id", "one");
    set(conf, "linger.ms", "0");
    rd_kafka_conf_set_dr_msg_cb(conf, delivered);
    char why[512];
    rd_kafka_t *producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    if (producer == NULL)
        fail("producer", why);
    check("init", rd_kafka_init_transactions(producer, PATIENCE_MS));
    for (int index = 0; index < WARM_UP; index++)
        run(producer, topic);
    double cpu = cpu_seconds(pid);
    int64_t began = now_ns();
    for (long index = 0; index < transactions; index++)
        run(producer, topic);
    double seconds = (now_ns() - began) / 1e9;
    printf("%.0f transactions/s", transactions / seconds);
    if (pid != NULL)
        printf(", %.0f us of broker CPU each", (cpu_seconds(pid) - cpu) / transactions * 1e6);
    printf(" (librdkafka %s)\n", rd_kafka_version_str());
    rd_kafka_destroy(producer);
    return 0;
}
