package store

import (
	"context"
	"fmt"
	"testing"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcfxics"
)

// BenchmarkSync prints what a download costs in folders of several sizes: that of one change is to be the same in all.
// "whole" is with the client's state as a front-end keeps it, "op" what the owner does for it.
func BenchmarkSync(b *testing.B) {
	for _, n := range []int{1000, 10_000, 100_000, 400_000} {
		if n > 10_000 && testing.Short() {
			continue
		}
		b.Run(fmt.Sprint(n), func(b *testing.B) { benchmarkSync(b, n) })
	}
}

// inSync is a mailbox and a client's state of its Inbox.
type inSync struct {
	*box
	scope exmdb.SyncScope
	state oxcfxics.State
	mids  []mapi.MID
}

func benchmarkSync(b *testing.B, n int) {
	x := &inSync{box: newDiskBox(b), scope: exmdb.SyncScope{Flags: syncAll | exmdb.SyncByDeliveryTime}}
	x.correspond(n)
	b.Run("first", func(b *testing.B) {
		for range b.N {
			x.state = oxcfxics.State{}
			x.mids = x.mids[:0]
			got := x.sync(schema.Inbox, x.scope, &x.state, 0)
			x.mids = got.mids()
			b.ReportMetric(float64(got.pages), "pages")
		}
	})
	b.Run("compare all", func(b *testing.B) {
		for range b.N {
			b.StopTimer()
			x.edit(0)
			x.update((*tx).forgetTombstones)
			b.StartTimer()
			x.told(b, 1)
		}
	})
	x.each(b, "nothing", 0, func(int) {})
	x.each(b, "one change", 1, x.edit)
	x.each(b, "one read", 0, func(i int) { x.mark(i, exmdb.FlagSeen) })
	x.each(b, "one delivery", 1, func(int) { call(x.box, exmdb.OpDeliver, &exmdb.DeliverRequest{Message: text("x"), Received: x.now}) })
	x.scope.Restriction = subjectHas("meeting")
	x.sync(schema.Inbox, x.scope, &x.state, 0)
	x.each(b, "one change of a restriction", 1, x.edit)
}

// edit changes a message, another one each time; mark does so by a flag.
func (x *inSync) edit(i int) { x.mark(i, exmdb.FlagFlagged) }

func (x *inSync) mark(i int, flag exmdb.FlagBits) {
	q := &exmdb.MarkMessagesRequest{Folder: schema.Inbox, Messages: []mapi.MID{x.mids[i*7919%len(x.mids)]}, Mode: exmdb.FlagsAdd, Flags: exmdb.Flags{Bits: flag}}
	if r := call(x.box, exmdb.OpMarkMessages, q); r.Changed == 0 { // an earlier run has done so
		q.Mode = exmdb.FlagsRemove
		call(x.box, exmdb.OpMarkMessages, q)
	}
}

// told downloads and fails unless there are so many changes.
func (x *inSync) told(b *testing.B, want int) {
	b.Helper()
	if got := x.sync(schema.Inbox, x.scope, &x.state, 0); len(got.Changes) != want {
		b.Fatalf("%d changes, want %d", len(got.Changes), want)
	}
}

// each measures a download after something was done, and the owner's part of it.
func (x *inSync) each(b *testing.B, name string, want int, do func(i int)) {
	i := 0
	b.Run(name+"/whole", func(b *testing.B) {
		for range b.N {
			b.StopTimer()
			do(i)
			i++
			b.StartTimer()
			x.told(b, want)
		}
	})
	do(i)
	b.Run(name+"/op", func(b *testing.B) {
		s := exmdb.SyncContentsRequest{Folder: schema.Inbox, Scope: x.scope, Seen: x.state.Seen, SeenFAI: x.state.SeenFAI, Read: x.state.Read, Holds: true}
		for range b.N {
			resp, err := exmdb.Do(context.Background(), x.box, x.as, mapi.MailboxID(x.id), exmdb.OpSyncContents, &s)
			if err != nil || len(resp.Changes) != want || resp.More {
				b.Fatal(len(resp.Changes), err)
			}
		}
	})
	x.told(b, want)
}
