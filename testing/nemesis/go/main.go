// Producing is an idempotent producer at a steady rate, until its input ends. It says of every
// record, times in nanoseconds since 1970: ok|info KEY VALUE OFFSET INVOKED COMPLETED.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

type producing struct {
	client     *kgo.Client
	topic      string
	partitions int64
	size       int
	last       int64
	lock       sync.Mutex
	out        *bufio.Writer
}

func main() {
	arguments := os.Args[1:]
	client, err := kgo.NewClient(
		kgo.SeedBrokers(strings.Split(arguments[0], ",")...),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerLinger(5*time.Millisecond),
		kgo.RecordDeliveryTimeout(120*time.Second),
		kgo.ProduceRequestTimeout(5*time.Second),
		kgo.RequestTimeoutOverhead(time.Second),
		kgo.RetryBackoffFn(func(int) time.Duration { return 50 * time.Millisecond }),
		kgo.MetadataMinAge(50*time.Millisecond),
		kgo.MaxBufferedRecords(200_000),
	)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	one := &producing{
		client:     client,
		topic:      arguments[1],
		partitions: number(arguments[2]),
		size:       int(number(arguments[4])),
		out:        bufio.NewWriterSize(os.Stdout, 1<<16),
	}
	one.run(number(arguments[3]), number(arguments[5]))
}

func number(text string) int64 {
	value, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return value
}

func (one *producing) run(rate, first int64) {
	ended := make(chan struct{})
	go func() {
		// An error says the same: whoever started this is gone.
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(ended)
	}()
	began := time.Now()
	tick := time.NewTicker(5 * time.Millisecond)
	var sent int64
	for going := true; going; {
		select {
		case <-ended:
			going = false
		case <-tick.C:
			for due := time.Since(began).Microseconds() * rate / 1_000_000; sent < due; sent++ {
				one.send(first + sent)
			}
		}
	}
	// What does not arrive in time fails by its own timeout, and is told like the rest.
	_ = one.client.Flush(context.Background())
	one.client.Close()
	one.lock.Lock()
	defer one.lock.Unlock()
	one.out.Flush()
}

func (one *producing) send(value int64) {
	payload := bytes.Repeat([]byte("."), max(one.size, 8))
	binary.BigEndian.PutUint64(payload, uint64(value))
	partition := value % one.partitions
	// Invocations are told apart by their times.
	one.last = max(time.Now().UnixNano(), one.last+1)
	invoked := one.last
	record := &kgo.Record{Topic: one.topic, Partition: int32(partition), Value: payload}
	one.client.TryProduce(context.Background(), record, func(record *kgo.Record, err error) {
		outcome, offset := "ok", record.Offset
		if err != nil {
			outcome, offset = "info", -1
		}
		one.lock.Lock()
		defer one.lock.Unlock()
		fmt.Fprintln(one.out, outcome, partition, value, offset, invoked, time.Now().UnixNano())
	})
}
