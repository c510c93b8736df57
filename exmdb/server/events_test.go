package server

import (
	"context"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// following begins to wait for the events of a mailbox and returns where the answer comes.
func following(ctx context.Context, h *host, since mapi.Stamp) <-chan error {
	done := make(chan error, 1)
	go func() {
		resp, err := try(ctx, h, h.owner, exmdb.OpEvents, &exmdb.EventsRequest{Since: since, Wait: 1 << 30})
		if err == nil && len(resp.Events) == 0 {
			err = cluster.Errorf(cluster.KindInternal, "an answer without events: %+v", resp)
		}
		done <- err
	}()
	return done
}

// waiting is how many goroutines wait for a space to move.
func waiting() int {
	b := make([]byte, 64<<20)
	return strings.Count(string(b[:runtime.Stack(b, true)]), "infoOrChange(")
}

// untilWaiting returns when so many wait.
func untilWaiting(ctx context.Context, t testing.TB, n int) {
	t.Helper()
	for waiting() < n {
		if ctx.Err() != nil {
			t.Fatalf("%d wait, not %d", waiting(), n)
		}
		runtime.Gosched()
	}
}

// TestEventsWakeWhoWaits: a delivery wakes all who wait for the mailbox, and the same stamp is answered at once by then.
func TestEventsWakeWhoWaits(t *testing.T) {
	h := newHost(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	since := call(h, h.owner, exmdb.OpMailboxInfo, &exmdb.Empty{}).Stamp
	var all []<-chan error
	for range 20 {
		all = append(all, following(ctx, h, since))
	}
	untilWaiting(ctx, t, 20)
	call(h, exmdb.System, exmdb.OpDeliver, mail(10))
	for _, done := range append(all, following(ctx, h, since)) {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	for _, as := range []exmdb.Identity{{}, {User: mapi.NewGUID()}} {
		if _, err := try(ctx, h, as, exmdb.OpEvents, &exmdb.EventsRequest{Since: since}); cluster.KindOf(err) != exmdb.KindAccessDenied {
			t.Errorf("%+v is told: %v", as, err)
		}
	}
	if _, err := h.Serve(ctx, h.request(95, nil, []byte{0xff, 0xff})); cluster.KindOf(err) != cluster.KindBadRequest {
		t.Errorf("a malformed request: %v", err)
	}
}

// memory is what is in use after what nobody holds has gone.
func memory() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

// BenchmarkEventsWaiting is what it takes to have many wait, and to tell all of a delivery: many of one mailbox, or one of
// each of many.
func BenchmarkEventsWaiting(b *testing.B) {
	const many = 10_000
	for name, boxes := range map[string]int{"one-mailbox": 1, "mailbox-each": many} {
		b.Run(name, func(b *testing.B) {
			h := newHost(b)
			hosts := []*host{h}
			for len(hosts) < boxes {
				other := *h
				other.box = mapi.NewMailboxID()
				call(&other, exmdb.System, exmdb.OpCreateMailbox, &exmdb.CreateMailboxRequest{Kind: exmdb.MailboxUser, Owner: h.owner.User})
				hosts = append(hosts, &other)
			}
			ctx, cancel := context.WithTimeout(b.Context(), 10*time.Minute)
			defer cancel()
			since := make([]mapi.Stamp, boxes)
			for i, one := range hosts {
				since[i] = call(one, h.owner, exmdb.OpMailboxInfo, &exmdb.Empty{}).Stamp
			}
			before := memory()
			all := make([]<-chan error, many)
			for i := range all {
				all[i] = following(ctx, hosts[i%boxes], since[i%boxes])
			}
			untilWaiting(ctx, b, many)
			each := float64(memory()-before) / many
			b.ResetTimer()
			for i, one := range hosts {
				m := mail(10)
				m.Key = [32]byte{1, byte(i), byte(i >> 8)}
				call(one, exmdb.System, exmdb.OpDeliver, m)
			}
			for _, done := range all {
				if err := <-done; err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(each, "B/waiting")
			b.ReportMetric(float64(b.Elapsed().Microseconds())/many, "µs/told")
		})
	}
}
