package main

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// How much garbage may come, in hundredths of what is live, before the collector runs. A node holds much memory without
// pointers, in caches and write buffers, which costs the collector nothing: half of Go's default takes a third off a busy
// node's memory. A node at rest with many groups has much that is live and makes little garbage: there a fifth is enough. With
// a tenth, marking was a quarter of what 256 groups at rest take.
const (
	gcBusy = 50
	gcRest = 20
	// gcLook is how often that is judged: less than gcQuiet in this time, in hundredths of what is live, is rest.
	gcLook  = 5 * time.Second
	gcQuiet = 25
)

// tuneCollector keeps to that until the context ends.
func tuneCollector(ctx context.Context) {
	debug.SetGCPercent(gcBusy)
	tick := time.NewTicker(gcLook)
	defer tick.Stop()
	samples := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/heap/allocs:bytes"}}
	for now, before := gcBusy, uint64(0); ; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		metrics.Read(samples)
		live, allocated := samples[0].Value.Uint64(), samples[1].Value.Uint64()
		want := gcBusy
		if allocated-before < live*gcQuiet/100 {
			want = gcRest
		}
		before = allocated
		if want != now {
			debug.SetGCPercent(want)
			now = want
		}
	}
}
