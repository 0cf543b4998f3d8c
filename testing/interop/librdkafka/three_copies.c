/* Linked into librdkafka's test runner with --wrap: the topics that its tests create with one copy
 * are created with three. */

enum { COPIES = 3 };

void __real_test_create_topic(void *, const char *, int, int);
void __real_test_create_topic_wait_exists(void *, const char *, int, int, int);
void __real_test_admin_create_topic(void *, const char *, int, int, const char **);

static int raised(int copies) {
    return copies == 1 ? COPIES : copies;
}

void __wrap_test_create_topic(void *client, const char *name, int partitions, int copies) {
    __real_test_create_topic(client, name, partitions, raised(copies));
}

void __wrap_test_create_topic_wait_exists(void *client, const char *name, int partitions,
                                          int copies, int timeout_ms) {
    __real_test_create_topic_wait_exists(client, name, partitions, raised(copies), timeout_ms);
}

void __wrap_test_admin_create_topic(void *client, const char *name, int partitions, int copies,
                                    const char **configs) {
    __real_test_admin_create_topic(client, name, partitions, raised(copies), configs);
}
