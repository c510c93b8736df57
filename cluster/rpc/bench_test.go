package rpc

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/flotilla-mail/flotilla/cluster"
)

// BenchmarkCall measures an echo of n bytes to another node on the loopback, and to the own.
func BenchmarkCall(b *testing.B) {
	var ended atomic.Int32
	f := newFleet(b)
	n1 := f.start("n1", ServerConfig{}, table(&ended))
	f.start("n2", ServerConfig{}, table(&ended))
	ctx := b.Context()
	for _, to := range []cluster.NodeID{"n1", "n2"} {
		for _, size := range []int{64, 16 << 10, 256 << 10} {
			req := make([]byte, size)
			b.Run(fmt.Sprintf("to=%s/size=%d/callers=1", to, size), func(b *testing.B) {
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					echo(ctx, b, n1, to, req)
				}
			})
			b.Run(fmt.Sprintf("to=%s/size=%d/callers=32", to, size), func(b *testing.B) {
				b.SetBytes(int64(size))
				b.ReportAllocs()
				b.SetParallelism(16)
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						echo(ctx, b, n1, to, req)
					}
				})
			})
		}
	}
}

func echo(ctx context.Context, b *testing.B, n *node, to cluster.NodeID, req []byte) {
	resp, err := n.client.Call(ctx, to, methodEcho, req)
	if err != nil || len(resp) != len(req) {
		b.Error(len(resp), err)
	}
}
