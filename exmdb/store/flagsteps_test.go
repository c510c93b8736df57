package store

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// fill puts n messages without a body into a folder, a few thousand in an effect.
func (b *box) fill(fid mapi.FID, n int) {
	b.t.Helper()
	for n > 0 {
		some := min(n, 10_000)
		n -= some
		b.update(func(t *tx) error {
			c, err := t.edit(fid)
			for i := 0; i < some && err == nil; i++ {
				row := schema.Row{Object: t.object(), Received: mapi.FileTimeOf(t.now)}
				t.counters.Messages++
				_, err = t.place(fid, c, &row)
			}
			return err
		})
	}
}

// update runs fn as an op of the system.
func (b *box) update(fn func(t *tx) error) {
	b.t.Helper()
	_, err := b.rep.Update(context.Background(), b.id, cluster.RequestID{}, func(w space.Writer) ([]byte, error) {
		t, err := New(steady()).begin(w, &exmdb.System, rightAdminister)
		if err != nil {
			return nil, err
		}
		if err := fn(t); err != nil {
			return nil, err
		}
		return nil, t.end()
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

// TestFlagsOfAnyNumberGoInSteps: each step fits an effect, even with as many keywords as a message may have.
func TestFlagsOfAnyNumberGoInSteps(t *testing.T) {
	b := newBox(t, 0)
	n := 2*stepFlags + 10
	b.fill(schema.Inbox, n)
	req := &exmdb.SetFlagsRequest{Folder: schema.Inbox, Mode: exmdb.FlagsAdd, Flags: exmdb.Flags{Bits: exmdb.FlagSeen | exmdb.FlagDeleted}}
	for i := range maxRowKeywords {
		req.Flags.Keywords = append(req.Flags.Keywords, fmt.Sprint("keyword", i))
	}
	var changed uint32
	last := mapi.Stamp(0)
	for steps := 1; ; steps++ {
		r := call(b, exmdb.OpSetFlags, req)
		changed += r.Changed
		if r.First <= last || r.Last-r.First != mapi.Stamp(r.Changed-1) {
			t.Fatalf("step %d has the stamps %d to %d behind %d", steps, r.First, r.Last, last)
		}
		last = r.Last
		if r.Next == 0 {
			if steps != n/stepFlags+1 {
				t.Errorf("%d steps", steps)
			}
			break
		}
		req.UIDs = []exmdb.UIDRange{{First: r.Next, Last: schema.EndOfUIDs - 1}}
	}
	if f := b.folder(schema.Inbox); changed != uint32(n) || f.Unseen != 0 || f.Deleted != uint32(n) {
		t.Fatalf("%d of %d changed: %+v", changed, n, f)
	}
}

// TestModifiedGoesInSteps: what a conditional change leaves alone is told in answers that can be remembered.
func TestModifiedGoesInSteps(t *testing.T) {
	b := newBox(t, 0)
	n := 2*stepRanges + 2
	b.fill(schema.Inbox, n)
	was := b.folder(schema.Inbox).ContentSeq
	var odd []exmdb.UIDRange
	for uid := mapi.UID(1); int(uid) <= n; uid += 2 {
		odd = addUID(odd, uid)
	}
	for some := range slices.Chunk(odd, stepFlags) {
		call(b, exmdb.OpSetFlags, &exmdb.SetFlagsRequest{Folder: schema.Inbox, UIDs: some, Mode: exmdb.FlagsAdd, Flags: exmdb.Flags{Bits: exmdb.FlagFlagged}})
	}
	req := &exmdb.SetFlagsRequest{Folder: schema.Inbox, Mode: exmdb.FlagsAdd, Flags: exmdb.Flags{Bits: exmdb.FlagSeen},
		Conditional: true, UnchangedSince: was}
	var kept []exmdb.UIDRange
	for {
		r := call(b, exmdb.OpSetFlags, req)
		if len(r.Modified) > stepRanges {
			t.Fatalf("%d ranges in one answer", len(r.Modified))
		}
		kept = append(kept, r.Modified...)
		if r.Next == 0 {
			break
		}
		req.UIDs = []exmdb.UIDRange{{First: r.Next, Last: schema.EndOfUIDs - 1}}
	}
	if len(kept) != len(odd) || b.folder(schema.Inbox).Unseen != uint32(len(odd)) {
		t.Fatalf("%d were kept of %d", len(kept), len(odd))
	}
}

// TestTwoThousandFlagsAreTwoEntries: marking a list as read is an entry of the log or two, whatever else is in the rows.
func TestTwoThousandFlagsAreTwoEntries(t *testing.T) {
	b := newBox(t, 0)
	b.correspond(2000)
	b.flags(exmdb.FlagsAdd, 0, []string{"important", "project"}, 1, 2, 3)
	before := b.folder(schema.Inbox).Unseen
	b.rep.Local.Record()
	r := call(b, exmdb.OpSetFlags, &exmdb.SetFlagsRequest{Folder: schema.Inbox, Mode: exmdb.FlagsAdd,
		Flags: exmdb.Flags{Bits: exmdb.FlagSeen | exmdb.FlagFlagged, Keywords: []string{"seen by all"}}})
	log := b.rep.Local.Log()
	size := 0
	for i := range log {
		size += len(log[i].Data)
	}
	if len(log) > 2 || r.Changed != 2000 || r.Next != 0 || before == 0 || b.folder(schema.Inbox).Unseen != 0 {
		t.Errorf("%d entries of %d bytes for %+v", len(log), size, r)
	}
}
