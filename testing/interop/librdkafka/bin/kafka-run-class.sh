#!/usr/bin/env bash
# A class of Apache Kafka, as its distribution's script of this name runs it.
exec java -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \
    -cp "$KAFKA_PATH/libs/*:${CLASSPATH:-}" "$@"
