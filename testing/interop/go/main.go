// Franz talks to a broker with franz-go: produce, consume by partition, administer.
// It prints one line per check; the first that fails ends it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

const records = 1000

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	server := os.Args[1]
	client := open(server)
	defer client.Close()
	admin := kadm.NewClient(client)

	topics(ctx, admin)
	codecs(ctx, server)
	acknowledgements(ctx, server)
	shapes(ctx, server)
	offsets(ctx, admin, server)
	configs(ctx, admin)
	cluster(ctx, admin)
	deletion(ctx, admin)
}

// copies is how many a topic gets: one on each broker.
func copies() int16 {
	return int16(len(strings.Split(os.Args[1], ",")))
}

func open(server string, options ...kgo.Opt) *kgo.Client {
	options = append(options, kgo.SeedBrokers(strings.Split(server, ",")...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	client, err := kgo.NewClient(options...)
	must("open a client", err)
	return client
}

// same ends the program unless the two look alike.
func same(name string, expected, actual any) {
	if fmt.Sprint(expected) != fmt.Sprint(actual) {
		fmt.Fprintf(os.Stderr, "failed: %s\nexpected: %v\nactual:   %v\n", name, expected, actual)
		os.Exit(1)
	}
	fmt.Println("ok:", name)
}

// comes waits a little for a change to be seen.
func comes(name string, expected any, call func() any) {
	deadline := time.Now().Add(10 * time.Second)
	for fmt.Sprint(call()) != fmt.Sprint(expected) && time.Now().Before(deadline) {
		time.Sleep(20 * time.Millisecond)
	}
	same(name, expected, call())
}

func must(what string, err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "failed: %s\nexpected: no error\nactual:   %v\n", what, err)
		os.Exit(1)
	}
}

// fails ends the program unless the error is the expected one.
func fails(name string, expected *kerr.Error, err error) {
	if !errors.Is(err, expected) {
		fmt.Fprintf(os.Stderr, "failed: %s\nexpected: %v\nactual:   %v\n", name, expected, err)
		os.Exit(1)
	}
	fmt.Println("ok:", name)
}

func create(ctx context.Context, admin *kadm.Client, name string, partitions int32) error {
	_, err := admin.CreateTopic(ctx, partitions, copies(), nil, name)
	return err
}

func topics(ctx context.Context, admin *kadm.Client) {
	must("create a topic", create(ctx, admin, "franz", 3))
	comes("a topic is created", 3, func() any {
		found, err := admin.ListTopics(ctx, "franz")
		must("list topics", err)
		return len(found["franz"].Partitions)
	})
	fails("it exists", kerr.TopicAlreadyExists, create(ctx, admin, "franz", 3))
	fails("no partitions", kerr.InvalidPartitions, create(ctx, admin, "refused", 0))
	_, err := admin.CreateTopic(ctx, 1, 9, nil, "refused")
	fails("more replicas than brokers", kerr.InvalidReplicationFactor, err)
	_, err = admin.CreatePartitions(ctx, 2, "franz")
	must("ask for more partitions", err)
	comes("it grows", 5, func() any {
		found, err := admin.ListTopics(ctx, "franz")
		must("list topics", err)
		return len(found["franz"].Partitions)
	})
	shrunk, err := admin.UpdatePartitions(ctx, 1, "franz")
	must("ask for fewer partitions", err)
	fails("it does not shrink", kerr.InvalidPartitions, shrunk["franz"].Err)
}

func values(prefix string) []*kgo.Record {
	made := make([]*kgo.Record, records)
	for number := range made {
		made[number] = &kgo.Record{Value: fmt.Appendf(nil, "%s %d", prefix, number)}
	}
	return made
}

// read gives records of a partition from a place on.
func read(ctx context.Context, server, topic string, from kgo.Offset, count int) []*kgo.Record {
	client := open(server, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: from}}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	defer client.Close()
	var found []*kgo.Record
	for len(found) < count {
		fetched := client.PollFetches(ctx)
		must("fetch "+topic, fetched.Err())
		found = append(found, fetched.Records()...)
	}
	return found
}

func write(ctx context.Context, server, topic string, sent []*kgo.Record, options ...kgo.Opt) {
	options = append(options, kgo.DefaultProduceTopic(topic), kgo.AllowAutoTopicCreation())
	client := open(server, options...)
	defer client.Close()
	must("produce to "+topic, client.ProduceSync(ctx, sent...).FirstErr())
}

func asText(found []*kgo.Record) (all []string) {
	for _, record := range found {
		all = append(all, fmt.Sprintf("%d %s", record.Offset, record.Value))
	}
	return all
}

func codecs(ctx context.Context, server string) {
	for name, codec := range map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	} {
		topic := "franz-" + name
		sent := values(name)
		write(ctx, server, topic, sent, kgo.ProducerBatchCompression(codec),
			kgo.ProducerLinger(5*time.Millisecond))
		found := read(ctx, server, topic, kgo.NewOffset().AtStart(), records)
		same("offsets and values through "+name+", idempotent", asText(sent), asText(found))
	}
}

func acknowledgements(ctx context.Context, server string) {
	for name, acks := range map[string]kgo.Acks{
		"0": kgo.NoAck(), "1": kgo.LeaderAck(), "all": kgo.AllISRAcks(),
	} {
		topic := "franz-acks-" + name
		sent := values(name)
		write(ctx, server, topic, sent, kgo.RequiredAcks(acks), kgo.DisableIdempotentWrite())
		found := read(ctx, server, topic, kgo.NewOffset().AtStart(), records)
		same("the last value with acks="+name, string(sent[records-1].Value),
			string(found[records-1].Value))
	}
}

func shapes(ctx context.Context, server string) {
	at := time.UnixMilli(1234)
	sent := &kgo.Record{Key: []byte("k"), Timestamp: at, Headers: []kgo.RecordHeader{
		{Key: "a", Value: []byte("1")}, {Key: "a"}, {Key: "b", Value: []byte{}},
	}}
	write(ctx, server, "franz-shapes", []*kgo.Record{sent})
	found := read(ctx, server, "franz-shapes", kgo.NewOffset().AtStart(), 1)[0]
	same("key, no value, headers and timestamp",
		fmt.Sprintf("%q %t %v %d", "k", true, sent.Headers, at.UnixMilli()),
		fmt.Sprintf("%q %t %v %d", found.Key, found.Value == nil, found.Headers,
			found.Timestamp.UnixMilli()))
}

func offsets(ctx context.Context, admin *kadm.Client, server string) {
	const topic = "franz-lz4"
	start, err := admin.ListStartOffsets(ctx, topic)
	must("list start offsets", err)
	end, err := admin.ListEndOffsets(ctx, topic)
	must("list end offsets", err)
	stable, err := admin.ListCommittedOffsets(ctx, topic)
	must("list committed offsets", err)
	same("beginning, end and what is stable", fmt.Sprint(0, records, records), fmt.Sprint(
		start[topic][0].Offset, end[topic][0].Offset, stable[topic][0].Offset))
	later, err := admin.ListOffsetsAfterMilli(ctx, time.Now().Add(time.Hour).UnixMilli(), topic)
	must("list offsets after a time", err)
	same("nothing is of the future: the end", records, later[topic][0].Offset)
	largest, err := admin.ListMaxTimestampOffsets(ctx, topic)
	must("list offsets of the largest timestamps", err)
	same("the largest timestamp is in the log", true,
		largest[topic][0].Err == nil && largest[topic][0].Offset >= 0)
	found := read(ctx, server, topic, kgo.NewOffset().At(990), 10)
	same("from an offset on", 990, found[0].Offset)
	found = read(ctx, server, topic, kgo.NewOffset().Relative(-5).AtEnd(), 5)
	same("from five before the end on", 995, found[0].Offset)
	found = read(ctx, server, topic, kgo.NewOffset().AfterMilli(1), 1)
	same("from a time on", 0, found[0].Offset)
	deleted, err := admin.DeleteRecords(ctx, kadm.Offsets{topic: {0: {
		Topic: topic, Partition: 0, At: 100, LeaderEpoch: -1}}})
	must("delete records", err)
	same("records are deleted", 100, deleted[topic][0].LowWatermark)
	found = read(ctx, server, topic, kgo.NewOffset().AtStart(), 1)
	same("reading begins behind them", 100, found[0].Offset)
	epochs, err := admin.OffsetForLeaderEpoch(ctx, kadm.OffsetForLeaderEpochRequest{topic: {0: 0}})
	must("ask for the end of an epoch", err)
	same("the end of the first epoch", records, epochs[topic][0].EndOffset)
}

func configs(ctx context.Context, admin *kadm.Client) {
	value := "54321"
	_, err := admin.AlterTopicConfigs(ctx, []kadm.AlterConfig{
		{Op: kadm.SetConfig, Name: "retention.ms", Value: &value}}, "franz")
	must("alter a configuration", err)
	comes("a configuration is set", value, func() any {
		found, err := admin.DescribeTopicConfigs(ctx, "franz")
		must("describe configurations", err)
		for _, config := range found[0].Configs {
			if config.Key == "retention.ms" {
				return config.MaybeValue()
			}
		}
		return "nothing"
	})
	wrong := "soon"
	answers, err := admin.AlterTopicConfigs(ctx, []kadm.AlterConfig{
		{Op: kadm.SetConfig, Name: "retention.ms", Value: &wrong}}, "franz")
	must("ask for a wrong value", err)
	fails("a wrong value", kerr.InvalidConfig, answers[0].Err)
}

func cluster(ctx context.Context, admin *kadm.Client) {
	found, err := admin.BrokerMetadata(ctx)
	must("ask for the brokers", err)
	same("all brokers are there", copies(), len(found.Brokers))
	same("the controller is one of them", true, slices.Contains(found.Brokers.NodeIDs(), found.Controller))
	versions, err := admin.ApiVersions(ctx)
	must("ask for API versions", err)
	own := versions[found.Controller]
	most, known := own.KeyMaxVersion(0)
	same("produce is served", fmt.Sprint(13, true), fmt.Sprint(most, known))
	dirs, err := admin.DescribeAllLogDirs(ctx, nil)
	must("describe log directories", err)
	same("log directories are described", true, len(dirs[found.Controller]) == 1)
	producers, err := admin.DescribeProducers(ctx, kadm.TopicsSet{"franz-zstd": {0: {}}})
	must("describe producers", err)
	same("the idempotent producer is shown", 1, len(producers["franz-zstd"].Partitions[0].ActiveProducers))
}

func deletion(ctx context.Context, admin *kadm.Client) {
	_, err := admin.DeleteTopic(ctx, "franz")
	must("delete a topic", err)
	comes("a topic is deleted", false, func() any {
		found, err := admin.ListTopics(ctx)
		must("list topics", err)
		return found.Has("franz")
	})
	_, err = admin.DeleteTopic(ctx, "franz")
	fails("what is not there is not deleted", kerr.UnknownTopicOrPartition, err)
}
