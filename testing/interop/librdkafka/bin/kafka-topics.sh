#!/usr/bin/env bash
# Apache Kafka's tool for topics; what is created with one copy is created with three.
arguments=()
previous=
for argument in "$@"; do
    [ "$previous" = --replication-factor ] && argument=3
    arguments+=("$argument")
    previous=$argument
done
exec "$KAFKA_PATH/bin/kafka-run-class.sh" org.apache.kafka.tools.TopicCommand "${arguments[@]}"
