package store

import (
	"fmt"
	"testing"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// byTurns puts n messages into folders by turns, many in each effect, and says which MIDs they got.
func (b *box) byTurns(n int, fids ...mapi.FID) map[mapi.FID][]mapi.GlobalCounter {
	b.t.Helper()
	var mids map[mapi.FID][]mapi.GlobalCounter
	for done := 0; done < n; {
		some := min(n-done, 200)
		got := map[mapi.FID][]mapi.GlobalCounter{}
		b.update(func(t *tx) error {
			clear(got)
			for i := range some {
				fid := fids[(done+i)%len(fids)]
				m := text(fmt.Sprint(done + i))
				r, err := appendMessage(t, &exmdb.AppendRequest{Folder: fid, Message: m})
				if err != nil {
					return err
				}
				got[fid] = append(got[fid], r.MID.Counter())
			}
			return nil
		})
		if mids == nil {
			mids = map[mapi.FID][]mapi.GlobalCounter{}
		}
		for fid, list := range got {
			mids[fid] = append(mids[fid], list...)
		}
		done += some
	}
	return mids
}

// append puts a message into a folder.
func (b *box) append(fid mapi.FID) mapi.MID {
	b.t.Helper()
	return call(b, exmdb.OpAppend, &exmdb.AppendRequest{Folder: fid, Message: text("x")}).MID
}

// TestFoldersDrawTheirOwnMIDs: what is in a folder is a few ranges whatever comes into others meanwhile, and twice as much is
// one range more. Who was told of all up to any state is told of the rest, in pages of any size.
func TestFoldersDrawTheirOwnMIDs(t *testing.T) {
	if testing.Short() {
		t.Skip("more than a block of messages")
	}
	b := newBox(t, 0)
	work := b.newBelow(schema.IPMSubtree, "Work")
	*b.first = true
	b.byTurns(300, schema.Inbox, work)
	*b.first = false
	states := []*mirror{b.truth()}
	mids := b.byTurns(200, schema.Inbox, work)
	states = append(states, b.truth())
	turns := []mapi.FID{schema.Inbox, schema.Inbox, schema.Inbox, schema.Inbox, schema.Inbox, schema.Inbox, work}
	for fid, list := range b.byTurns(schema.MIDBlockLength+1000, turns...) {
		mids[fid] = append(mids[fid], list...)
	}
	states = append(states, b.truth())
	for fid, list := range b.byTurns(100, work) {
		mids[fid] = append(mids[fid], list...)
	}
	for fid, list := range mids {
		if n := len(mapi.GLOBSETOf(list).Ranges()); n > 3 {
			t.Errorf("%d messages of folder %#x are %d ranges", len(list), uint64(fid), n)
		}
	}
	now := b.truth()
	for _, m := range states {
		for _, limit := range []uint32{1999, 10_000} {
			m := m.clone()
			from := m.since
			for m.follow(b, limit, true) {
			}
			if wrong := m.compare(now); len(wrong) > 0 {
				t.Errorf("from %d in pages of %d: %d wrong, %s", from, limit, len(wrong), wrong[0])
			}
		}
	}
	b.audit("afterwards")
	call(b, exmdb.OpDeleteFolder, &exmdb.DeleteFolderRequest{Folder: work, Hard: true})
	b.work()
	b.audit("without the folder")
}

// TestRangesEndWithTheEpoch: of a range that was drawn before a restore more may have been given out than is known.
func TestRangesEndWithTheEpoch(t *testing.T) {
	b := newBox(t, 0)
	before := b.deliver(text("before")).MID
	was := call(b, exmdb.OpMailboxInfo, &exmdb.Empty{})
	b.raiseEpoch()
	after := b.deliver(text("after")).MID
	now := call(b, exmdb.OpMailboxInfo, &exmdb.Empty{})
	if after.Counter() <= mapi.GlobalCounter(was.Stamp) || after.Counter() < before.Counter()+schema.MIDBlockLength {
		t.Fatalf("%#x after %#x", uint64(after), uint64(before))
	}
	long := call(b, exmdb.OpLongTermIDs, &exmdb.LongTermIDsRequest{IDs: []uint64{uint64(before), uint64(after)}}).GIDs
	if long[0].Replica != was.ReplicaGUID || long[1].Replica != now.ReplicaGUID || was.ReplicaGUID == now.ReplicaGUID {
		t.Fatalf("%+v of %v and %v", long, was.ReplicaGUID, now.ReplicaGUID)
	}
	b.audit("afterwards")
}

// TestNobodyBringsWhatIsNotDrawn: a number that lies waiting in a folder's range is no client's, whether the folder is there or
// soft-deleted; one that was drawn of it is free once its message is gone.
func TestNobodyBringsWhatIsNotDrawn(t *testing.T) {
	b := newBox(t, 0)
	work := b.newBelow(schema.IPMSubtree, "Work")
	b.append(work)
	mid := b.append(work)
	waits := mapi.NewMID(mapi.LocalReplica, mid.Counter()+1)
	bring := func(mid mapi.MID) *exmdb.CreateMessageRequest {
		return &exmdb.CreateMessageRequest{Folder: schema.Drafts, MID: mid}
	}
	refused(b, exmdb.OpCreateMessage, bring(waits), cluster.KindBadRequest)
	refused(b, exmdb.OpCreateMessage, bring(mid), cluster.KindBadRequest)
	call(b, exmdb.OpDeleteMessages, &exmdb.DeleteMessagesRequest{Folder: work, Messages: []mapi.MID{mid}, Hard: true})
	b.create(bring(mid))
	if next := b.append(work); next != waits {
		t.Fatalf("%#x drawn, not %#x", uint64(next), uint64(waits))
	}
	waits++
	call(b, exmdb.OpDeleteFolder, &exmdb.DeleteFolderRequest{Folder: work})
	refused(b, exmdb.OpCreateMessage, bring(waits), cluster.KindBadRequest)
	call(b, exmdb.OpRecoverFolder, &exmdb.RecoverFolderRequest{Folder: work, Parent: schema.IPMSubtree})
	if next := b.append(work); next != waits {
		t.Fatalf("%#x drawn, not %#x", uint64(next), uint64(waits))
	}
	b.audit("afterwards")
}

// TestFirstLevelHasNoRanges: an owner whose group is not at the level draws MIDs of the counter, and writes nothing that the
// program before does not know.
func TestFirstLevelHasNoRanges(t *testing.T) {
	b := newBox(t, 0)
	*b.first = true
	mid := b.deliver(text("x")).MID
	row := b.rowOf(mid)
	if row.Came != 0 || row.CN != mapi.Stamp(mid.Counter())+1 {
		t.Fatalf("%+v", row)
	}
	call(b, exmdb.OpDeleteMessages, &exmdb.DeleteMessagesRequest{Folder: schema.Inbox, Messages: []mapi.MID{mid}, Hard: true})
	b.view(func(v *view) error {
		c, err := v.folderCounts(schema.Inbox)
		if err != nil {
			return err
		}
		var ts schema.Tombstone
		found, err := load(v.r, schema.TombstoneKey(schema.Inbox, c.Tombstone), &ts)
		if !found || ts.Came != nil || c.MIDLast != 0 || c.MIDEnd != 0 {
			t.Errorf("%+v %+v", ts, c)
		}
		return err
	})
}
