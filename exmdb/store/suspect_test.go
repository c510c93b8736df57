package store

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

func TestOwnerMayNotAdminister(t *testing.T) {
	b := newBox(t, 100)
	b.as = exmdb.Identity{User: mapi.NewGUID(), Privileges: exmdb.PrivilegeOwner}
	refused(b, exmdb.OpSetQuota, &exmdb.SetQuotaRequest{}, exmdb.KindAccessDenied)
}

func TestMailboxMadeAgainRepeatsNoValidity(t *testing.T) {
	x := newBox(t, 0).folder(schema.Inbox).UIDValidity
	y := newBox(t, 0)
	y.now = y.now.Add(time.Hour)
	if y.folder(schema.Inbox).UIDValidity == x && x < 1000 {
		t.Fatalf("validity %d in both", x)
	}
}

func TestCopyOverQuotaCopiesNothing(t *testing.T) {
	t.Parallel()
	one := text("0123456789")
	n := uint64(stepMessages + 5)
	b := newBox(t, n*one.Recipe.Size()+uint64(stepMessages)*one.Recipe.Size())
	for range n {
		b.deliver(one)
	}
	_, err := try(b, exmdb.OpCopy, &exmdb.CopyRequest{Folder: schema.Inbox, Target: schema.Sent})
	if got := b.folder(schema.Sent).Messages; cluster.KindOf(err) != exmdb.KindOverQuota || got != 0 {
		t.Fatalf("%d copied of %d that do not fit, %v", got, n, err)
	}
}

func TestCopyIntoOwnFolderEnds(t *testing.T) {
	b := newBox(t, 0)
	for range stepMessages + 1 {
		b.deliver(text("x"))
	}
	q := &exmdb.CopyRequest{Folder: schema.Inbox, UIDs: []exmdb.UIDRange{{First: 1, Last: 1<<32 - 1}}, Target: schema.Inbox}
	for step := 0; ; step++ {
		r, err := try(b, exmdb.OpCopy, q)
		if err != nil || r.Next == 0 {
			return
		}
		if step == 4 {
			t.Fatalf("%d messages became %d and it goes on", stepMessages+1, b.folder(schema.Inbox).Messages)
		}
		q.UIDs[0].First = r.Next
	}
}

func TestNames(t *testing.T) {
	b := newBox(t, 0)
	mk := func(n string) *exmdb.CreateFolderRequest {
		return &exmdb.CreateFolderRequest{Parent: schema.IPMSubtree, Name: n}
	}
	call(b, exmdb.OpCreateFolder, mk("a/b"))
	if _, err := try(b, exmdb.OpCreateFolder, mk("a\u2215b")); err == nil {
		t.Error("a/b and a\u2215b are both one name in IMAP")
	}
	if _, err := try(b, exmdb.OpCreateFolder, mk(strings.Repeat("日", 200))); err != nil {
		t.Error(err)
	}
}

func TestUndefinedFlagBits(t *testing.T) {
	b := newBox(t, 0)
	b.deliver(text("x"))
	refused(b, exmdb.OpSetFlags, &exmdb.SetFlagsRequest{Folder: schema.Inbox, Mode: exmdb.FlagsAdd, Flags: exmdb.Flags{Bits: 1 << 12}}, cluster.KindBadRequest)
}

func TestMoveBuriesTheObject(t *testing.T) {
	b := newBox(t, 0)
	b.deliver(text("x"))
	call(b, exmdb.OpMove, &exmdb.CopyRequest{Folder: schema.Inbox, Target: schema.Sent})
	err := b.rep.View(context.Background(), b.id, space.ReadLease, func(r space.Reader) error {
		it := r.Iter(schema.TombstoneKey(schema.Inbox, 0), schema.TombstoneKey(schema.Inbox+1, 0))
		for it.Next() {
			var ts schema.Tombstone
			if err := schema.Decode(it.Value(), &ts); err != nil {
				return err
			}
			if ts.Objects.Len() != 1 {
				t.Errorf("tombstone of a move: %+v", ts)
			}
		}
		return it.Close()
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestChangedSinceAfterRestore(t *testing.T) {
	b := newBox(t, 0)
	lost := b.deliver(text("x")).ModSeq + 1000 // a modseq given out by the state that was lost
	if _, err := b.rep.Update(context.Background(), b.id, cluster.RequestID{}, func(w space.Writer) ([]byte, error) { return nil, RaiseEpoch(w, 1) }); err != nil {
		t.Fatal(err)
	}
	if r := call(b, exmdb.OpRows, &exmdb.RowsRequest{Folder: schema.Inbox, Since: lost}); len(r.Rows) != 1 {
		t.Fatal("CHANGEDSINCE with a modseq of before the restore hides a row")
	}
}

func TestLongPropertyIsContent(t *testing.T) {
	b := newBox(t, 0)
	var bag mapi.PropBag
	bag.Set(mapi.PidTagTransportHeaders, mapi.String(strings.Repeat("h", 20_000)))
	m := text("x")
	m.Props = bag.AppendWire(nil)
	b.deliver(m)
	if b.raw(schema.Inbox, 1).Bits&schema.RowBagContent == 0 {
		t.Error("a value of 20,000 bytes stays in the bag (MAILBOX 3: above 8 KiB is content)")
	}
	m.Props = []byte{1, 2, 3}
	refused(b, exmdb.OpDeliver, &exmdb.DeliverRequest{Message: m}, exmdb.KindBadContent)
}

func TestDeliveryWithoutTime(t *testing.T) {
	b := newBox(t, 0)
	call(b, exmdb.OpDeliver, &exmdb.DeliverRequest{Message: text("x")})
	if r := b.rows(schema.Inbox)[0]; r.Received.IsZero() {
		t.Error("INTERNALDATE is the zero time")
	}
}

func TestSizes(t *testing.T) {
	t.Parallel()
	b := newBox(t, 0)
	b.rep.Local.Record()
	logged := func(what string, fn func()) {
		n, before := 0, len(b.rep.Local.Log())
		fn()
		log := b.rep.Local.Log()[before:]
		for _, e := range log {
			n += len(e.Data)
		}
		t.Logf("%s: %d bytes in %d entries", what, n, len(log))
	}
	noise := func(n int, s uint64) []byte {
		p := make([]byte, n)
		for i := range p {
			s = s*6364136223846793005 + 1442695040888963407
			p[i] = byte(s >> 56)
		}
		return p
	}
	send := func(i int) {
		m := exmdb.NewMessage{Digest: noise(150, uint64(i)), Recipe: exmdb.Recipe{Prefix: noise(200, 7), Segments: []exmdb.Segment{{Raw: noise(4096, uint64(i)*99)}}}}
		call(b, exmdb.OpDeliver, &exmdb.DeliverRequest{Message: m, Received: b.now, Key: [32]byte{byte(i), byte(i >> 8), 1}})
	}
	for i := range 2000 {
		send(i)
	}
	logged("delivery of 4096 octets, prefix 200, digest 150", func() { send(3000) })
	all := []exmdb.UIDRange{{First: 1, Last: 2000}}
	for _, bits := range []exmdb.FlagBits{exmdb.FlagSeen, exmdb.FlagFlagged} {
		logged("SetFlags 2000", func() {
			call(b, exmdb.OpSetFlags, &exmdb.SetFlagsRequest{Folder: schema.Inbox, UIDs: all, Mode: exmdb.FlagsReplace, Flags: exmdb.Flags{Bits: bits}})
		})
	}
	logged("Copy 1000", func() {
		call(b, exmdb.OpCopy, &exmdb.CopyRequest{Folder: schema.Inbox, UIDs: all, Target: schema.Sent})
	})
	logged("Move 1000", func() {
		call(b, exmdb.OpMove, &exmdb.CopyRequest{Folder: schema.Inbox, UIDs: all, Target: schema.Sent})
	})
}
