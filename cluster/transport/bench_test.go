package transport

import (
	"fmt"
	"testing"

	"github.com/flotilla-mail/flotilla/cluster"
)

// BenchmarkRequest measures a request and its empty answer between two nodes on the loopback.
func BenchmarkRequest(b *testing.B) {
	n := newNetwork(b)
	n1, _ := n.pair(func(tr *Transport) {
		tr.Handle(kindOrder, func(in Inbound) { in.Respond() })
		tr.HandleFast(kindHold, func(in Inbound) { in.Respond() })
	})
	ctx := b.Context()
	send := func(b *testing.B, m Message) {
		call, err := n1.Send(ctx, m)
		if err == nil {
			_, _, err = call.Wait(ctx)
		}
		if err != nil {
			b.Error(err)
		}
	}
	for _, c := range []struct {
		name  string
		kind  Kind
		class Class
		size  int
	}{
		{"fast/size=64", kindHold, Control, 64},
		{"plain/size=64", kindOrder, Control, 64},
		{"plain/size=16384", kindOrder, Bulk, 16 << 10},
		{"plain/size=262144", kindOrder, Bulk, 256 << 10},
	} {
		payload := [][]byte{make([]byte, c.size)}
		for _, callers := range []int{1, 64} {
			b.Run(fmt.Sprintf("%s/callers=%d", c.name, callers), func(b *testing.B) {
				b.SetBytes(int64(c.size))
				b.ReportAllocs()
				if callers == 1 {
					for b.Loop() {
						send(b, Message{To: "n2", Class: c.class, Group: 1, Kind: c.kind, Payload: payload})
					}
					return
				}
				b.SetParallelism(callers / 2)
				b.RunParallel(func(pb *testing.PB) {
					for g := cluster.GroupID(0); pb.Next(); g++ {
						send(b, Message{To: "n2", Class: c.class, Group: g % 64, Kind: c.kind, Payload: payload})
					}
				})
			})
		}
	}
}
