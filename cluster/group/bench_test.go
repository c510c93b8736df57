package group

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
)

// BenchmarkCommit commits updates of 1 KiB on three nodes in this process, on disk and synced. Each client has a space
// of its own; clients are spread over the groups, and their leaders over the nodes.
func BenchmarkCommit(b *testing.B) {
	for _, groups := range []int{1, 16} {
		for _, clients := range []int{1, 16, 64, 256} {
			b.Run(fmt.Sprintf("groups=%d/clients=%d", groups, clients), func(b *testing.B) {
				benchmarkCommit(b, groups, clients)
			})
		}
	}
}

type benchClient struct {
	g     *Group
	space cluster.SpaceID
}

func benchWorld(b *testing.B, groups, clients int) (*world, []benchClient) {
	w := newWorldOn(b, 3, benchDir(b), func(c *Config) {
		c.Heartbeat = 0
		if n, err := strconv.Atoi(os.Getenv("FLOTILLA_BENCH_INFLIGHT")); err == nil {
			c.GroupEntriesInFlight = n
		}
	})
	var cs []benchClient
	leaders := make([]*node, groups)
	for i := range leaders {
		leaders[i] = w.form(cluster.GroupID(i + 1))
	}
	for i := range clients {
		g := leaders[i%groups].group(cluster.GroupID(i%groups + 1))
		c := benchClient{g: g, space: cluster.SpaceID{2, byte(i), byte(i >> 8)}}
		_, err := g.Replica().Create(within(b), c.space, 1, cluster.RequestID{}, func(space.Writer) ([]byte, error) { return nil, nil })
		if err != nil {
			b.Fatal(err)
		}
		cs = append(cs, c)
	}
	return w, cs
}

func (c benchClient) update(ctx context.Context, n int64, value []byte) error {
	_, err := c.g.Replica().Update(ctx, c.space, cluster.RequestID{}, func(w space.Writer) ([]byte, error) {
		w.Set(fmt.Appendf(nil, "key-%d", n%1000), value)
		return nil, nil
	})
	return err
}

func benchmarkCommit(b *testing.B, groups, clients int) {
	w, cs := benchWorld(b, groups, clients)
	defer w.dump()
	value := make([]byte, 1024)
	for i := range value {
		value[i] = byte(i * i >> 3) // does not compress to nothing
	}
	entries, parts := w.sent()
	for _, nd := range w.nodes {
		nd.mu.Lock()
		nd.measured, nd.syncs = true, nil
		nd.mu.Unlock()
	}
	var next atomic.Int64
	took := make([][]time.Duration, clients)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	b.ResetTimer()
	var wg sync.WaitGroup
	for i, c := range cs {
		wg.Go(func() {
			for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
				began := time.Now()
				if err := c.update(ctx, n, value); err != nil {
					b.Error(err)
					return
				}
				took[i] = append(took[i], time.Since(began))
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	entries2, parts2 := w.sent()
	reportSyncs(b, w)
	all := slices.Concat(took...)
	slices.Sort(all)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
	b.ReportMetric(float64(parts2-parts)/float64(max(1, entries2-entries)), "parts/entry")
	b.ReportMetric(float64(all[len(all)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds()), "p99-µs")
}

func (w *world) sent() (entries, parts uint64) {
	for _, nd := range w.nodes {
		for _, g := range nd.host.Groups() {
			e, p := g.queue.sent()
			entries, parts = entries+e, parts+p
		}
	}
	return entries, parts
}

// BenchmarkLeaseRead reads one key under the lease.
func BenchmarkLeaseRead(b *testing.B) {
	w, cs := benchWorld(b, 1, 1)
	defer w.dump()
	c := cs[0]
	if err := c.update(within(b), 1, []byte("value")); err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	read := func() error {
		return c.g.Replica().View(ctx, c.space, space.ReadLease, func(r space.Reader) error {
			_, err := r.Get([]byte("key-1"))
			return err
		})
	}
	for b.Loop() {
		if err := read(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkFailover stops the leader's process, as far as its peers can see, and measures how long until another
// one answers a write.
func BenchmarkFailover(b *testing.B) {
	w := newWorld(b, 3, nil)
	defer w.dump()
	leader := w.form(1)
	leader.create(1)
	var total, worst time.Duration
	for range b.N {
		began := time.Now()
		if err := leader.net.Close(within(b)); err != nil {
			b.Fatal(err)
		}
		next := w.leaderAmong(1, leader)
		next.mustPut(1, "a", "1")
		took := time.Since(began)
		total, worst = total+took, max(worst, took)
		leader.stop()
		leader.start()
		leader.open(1)
		eventually(b, "the node has caught up", func() bool { return leader.group(1).caughtUp.Load() })
		leader = next
	}
	b.ReportMetric(float64(total.Milliseconds())/float64(b.N), "ms/failover")
	b.ReportMetric(float64(worst.Milliseconds()), "worst-ms")
}

func benchDir(b *testing.B) string {
	if os.Getenv("FLOTILLA_BENCH_MEM") != "" {
		return ""
	}
	return b.TempDir()
}

// reportSyncs tells how the log was written: how long a StoreLogs takes, and how many were under way together.
func reportSyncs(b *testing.B, w *world) {
	var took []time.Duration
	waiting, entries := 0, 0
	for _, nd := range w.nodes {
		nd.mu.Lock()
		for _, s := range nd.syncs {
			took = append(took, s.Took)
			waiting, entries = waiting+s.Waiting, entries+s.Entries
		}
		nd.mu.Unlock()
	}
	if len(took) == 0 {
		return
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "sync-p50-µs")
	b.ReportMetric(float64(waiting)/float64(len(took)), "syncs-together")
	b.ReportMetric(float64(entries)/float64(len(took)), "entries/sync")
}
