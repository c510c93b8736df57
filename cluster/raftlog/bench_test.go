package raftlog

import (
	"fmt"
	"sync"
	"testing"

	"github.com/flotilla-mail/flotilla/cluster"
)

// BenchmarkStoreLogs appends on the real disk, synced: batches of one group, then one entry a time of several groups
// at once. An operation is one StoreLogs.
func BenchmarkStoreLogs(b *testing.B) {
	for _, k := range []Kind{Pebble, Bolt} {
		for _, c := range []struct{ groups, n, size int }{
			{1, 1, 1 << 10}, {1, 16, 1 << 10}, {1, 1, 256 << 10}, {8, 1, 1 << 10}, {32, 1, 1 << 10},
		} {
			name := fmt.Sprintf("%s/%dgroups/%dx%dK", [...]string{"pebble", "bolt"}[k], c.groups, c.n, c.size>>10)
			b.Run(name, func(b *testing.B) { benchStore(b, k, c.groups, c.n, c.size) })
		}
	}
}

func benchStore(b *testing.B, k Kind, groups, n, size int) {
	o := Options{Kind: k, Dir: b.TempDir(), Faults: &Faults{}}
	s := openStore(b, o)
	var logs []*Log
	for g := range groups {
		logs = append(logs, openLog(b, s, cluster.GroupID(g)))
	}
	before := o.Faults.Syncs.Load()
	b.SetBytes(int64(n * size))
	b.ResetTimer()
	var all sync.WaitGroup
	for g, l := range logs {
		all.Go(func() {
			next := uint64(1)
			for i := g; i < b.N; i += groups {
				if err := l.StoreLogs(entries(next, uint64(n), 1, size)); err != nil {
					b.Error(err)
					return
				}
				next += uint64(n)
				if next%256 == 1 {
					if err := l.TruncateTo(next - 64); next > 64 && err != nil {
						b.Error(err)
					}
				}
			}
		})
	}
	all.Wait()
	b.StopTimer()
	b.ReportMetric(float64(o.Faults.Syncs.Load()-before)/float64(b.N), "syncs/op")
	must(b, s.Close())
}
