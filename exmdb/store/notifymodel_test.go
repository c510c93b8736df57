package store

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// mirror is a mailbox as somebody knows it who has only read events since it was made.
type mirror struct {
	since    mapi.Stamp
	folders  map[mapi.FID]mapi.FID // to the parent
	messages map[mapi.MID]mapi.FID
	told     map[uint64]mapi.Stamp // of a folder or message
	counts   map[mapi.FID][2]uint32
	// whole are the stamps as of which folders were read that came with messages in them.
	whole map[mapi.FID]mapi.Stamp
	wrong []string
}

func (m *mirror) clone() *mirror {
	return &mirror{m.since, maps.Clone(m.folders), maps.Clone(m.messages), maps.Clone(m.told), maps.Clone(m.counts), maps.Clone(m.whole), slices.Clone(m.wrong)}
}

func (m *mirror) wrongf(e *exmdb.Event, format string, args ...any) {
	m.wrong = append(m.wrong, fmt.Sprintf(format, args...)+fmt.Sprintf(": %+v after %d", *e, m.since))
}

// truth is what a mailbox is, with the stamp of each thing in it.
func (b *box) truth() *mirror {
	b.t.Helper()
	m := &mirror{folders: map[mapi.FID]mapi.FID{}, messages: map[mapi.MID]mapi.FID{}, told: map[uint64]mapi.Stamp{}, counts: map[mapi.FID][2]uint32{}, whole: map[mapi.FID]mapi.Stamp{}}
	b.view(func(v *view) error {
		m.since = v.counters.Stamp
		return v.each([]byte{schema.PrefixFolder}, []byte{schema.PrefixFolder + 1}, schema.ParseFolderKey, func(fid mapi.FID, _ []byte) error {
			f, err := v.folder(fid)
			if err != nil {
				return err
			}
			c, err := v.folderCounts(fid)
			if err != nil {
				return err
			}
			m.folders[fid], m.told[uint64(fid)], m.counts[fid] = mapi.LocalFID(f.Parent), f.CN, [2]uint32{c.Messages, c.Unseen}
			for _, key := range []rowKeys{schema.RowKey, schema.AssociatedKey} {
				err := v.scanRows(key, fid, nil, func(_ mapi.UID, stored []byte) (bool, error) {
					var row schema.Row
					err := row.UnmarshalWire(stored)
					m.messages[row.MID], m.told[uint64(row.MID)] = fid, row.ModSeq
					return true, err
				})
				if err != nil {
					return err
				}
			}
			return nil
		})
	})
	return m
}

// follow takes one page of events. live says that nothing is told of what came and went.
func (m *mirror) follow(b *box, limit uint32, live bool) (more bool) {
	b.t.Helper()
	r := call(b, exmdb.OpEvents, &exmdb.EventsRequest{Since: m.since, Limit: limit})
	if r.Overflow {
		m.wrong = append(m.wrong, fmt.Sprintf("overflow after %d", m.since))
	}
	last := m.since
	for i := range r.Events {
		e := &r.Events[i]
		if e.Stamp <= m.since || e.Stamp > r.Stamp || e.Stamp < last {
			m.wrongf(e, "out of order in a page up to %d", r.Stamp)
		}
		last = e.Stamp
		if e.Message != 0 {
			m.message(e, live)
		} else {
			m.folder(b, e, live)
		}
	}
	if r.More && r.Stamp <= m.since {
		m.wrong = append(m.wrong, fmt.Sprintf("no way on from %d", m.since))
		return false
	}
	m.since = r.Stamp
	return r.More
}

func (m *mirror) message(e *exmdb.Event, live bool) {
	if e.OldMessage != 0 && e.Kind == exmdb.EventMoved && e.Stamp > m.whole[e.OldFolder] {
		delete(m.messages, e.OldMessage)
	}
	if e.Stamp <= m.whole[e.Folder] {
		return
	}
	at, known := m.messages[e.Message]
	switch e.Kind {
	case exmdb.EventCreated, exmdb.EventMoved, exmdb.EventCopied:
		if known {
			m.wrongf(e, "known already")
		}
		m.messages[e.Message], m.told[uint64(e.Message)] = e.Folder, e.Stamp
	case exmdb.EventModified:
		if !known || at != e.Folder || m.told[uint64(e.Message)] >= e.Stamp {
			m.wrongf(e, "known %t in %#x, told at %d", known, uint64(at), m.told[uint64(e.Message)])
		}
		m.told[uint64(e.Message)] = e.Stamp
	case exmdb.EventDeleted:
		if live && !known || known && at != e.Folder {
			m.wrongf(e, "known %t in %#x", known, uint64(at))
		}
		delete(m.messages, e.Message)
	default:
		m.wrongf(e, "kind")
	}
}

func (m *mirror) empty(fid mapi.FID) {
	maps.DeleteFunc(m.messages, func(_ mapi.MID, at mapi.FID) bool { return at == fid })
}

func (m *mirror) folder(b *box, e *exmdb.Event, live bool) {
	parent, known := m.folders[e.Folder]
	if e.Deleted {
		if live && known {
			m.wrongf(e, "it is there")
		}
		return
	}
	switch e.Kind {
	case exmdb.EventCreated, exmdb.EventCopied:
		if known {
			m.wrongf(e, "known already")
		}
		m.empty(e.Folder)
		if e.Whole {
			now := b.truth()
			m.whole[e.Folder] = now.since
			for mid, at := range now.messages {
				if at == e.Folder {
					m.messages[mid], m.told[uint64(mid)] = at, now.told[uint64(mid)]
				}
			}
		}
	case exmdb.EventMoved:
		if !known || live && parent != e.OldParent || e.OldFolder != e.Folder {
			m.wrongf(e, "known %t below %#x", known, uint64(parent))
		}
	case exmdb.EventModified:
		if !known {
			m.wrongf(e, "unknown")
		}
	case exmdb.EventDeleted:
		if live && !known {
			m.wrongf(e, "unknown")
		}
		delete(m.folders, e.Folder)
		delete(m.counts, e.Folder)
		m.empty(e.Folder)
		return
	}
	if len(e.Tags) == 0 {
		m.told[uint64(e.Folder)] = e.Stamp
	}
	m.folders[e.Folder] = e.Parent
	m.counts[e.Folder] = [2]uint32{e.Total, e.Unread}
}

// compare says how the mirror differs from what the mailbox is.
func (m *mirror) compare(now *mirror) []string {
	wrong := slices.Clone(m.wrong)
	if !maps.Equal(m.folders, now.folders) {
		wrong = append(wrong, fmt.Sprintf("folders %x, there are %x", m.folders, now.folders))
	}
	if !maps.Equal(m.counts, now.counts) {
		wrong = append(wrong, fmt.Sprintf("counts %v, there are %v", m.counts, now.counts))
	}
	if !maps.Equal(m.messages, now.messages) {
		wrong = append(wrong, fmt.Sprintf("messages %x, there are %x", m.messages, now.messages))
	}
	for id, s := range now.told {
		if m.told[id] < s {
			wrong = append(wrong, fmt.Sprintf("%#x changed at %d, told at %d", id, s, m.told[id]))
		}
	}
	return wrong
}

// restless is a client that does to folders what chaos leaves out.
type restless struct{ *chaos }

func (c *restless) step() error {
	switch fid := c.folderAt(); c.rng.IntN(20) {
	case 0:
		r, err := try(c.box, exmdb.OpCreateFolder, &exmdb.CreateFolderRequest{Parent: fid, Name: fmt.Sprint(c.rng.IntN(9))})
		if err == nil {
			c.folders = append(c.folders, r.Folder.FID)
		}
		return err
	case 1, 2:
		_, err := try(c.box, exmdb.OpMoveFolder, &exmdb.MoveFolderRequest{Folder: fid, Parent: c.folderAt(), Name: fmt.Sprint(c.rng.IntN(9))})
		return err
	case 3:
		return c.copyFolder(fid)
	case 4:
		_, err := try(c.box, exmdb.OpEmptyFolder, &exmdb.EmptyFolderRequest{Folder: fid, Hard: c.rng.IntN(2) == 0, Associated: c.rng.IntN(2) == 0, Folders: c.rng.IntN(4) == 0})
		return err
	case 5:
		_, err := try(c.box, exmdb.OpWriteProps, &exmdb.WritePropsRequest{Object: exmdb.ObjectID{Folder: fid}, Set: bagOf(mapi.PidTagComment, mapi.String(fmt.Sprint(c.rng.IntN(5))))})
		return err
	case 6:
		return c.granted(fid)
	case 7:
		_, err := try(c.box, exmdb.OpMove, &exmdb.CopyRequest{Folder: fid, UIDs: []exmdb.UIDRange{{First: 1, Last: mapi.UID(1 + c.rng.IntN(30))}}, Target: c.folderAt()})
		return err
	case 8:
		if c.rng.IntN(3) == 0 {
			_, err := try(c.box, exmdb.OpRecoverFolder, &exmdb.RecoverFolderRequest{Folder: fid, Parent: c.folderAt(), Name: fmt.Sprint(c.rng.IntN(9))})
			return err
		}
		_, err := try(c.box, exmdb.OpDeleteFolder, &exmdb.DeleteFolderRequest{Folder: fid, Recursive: true, Hard: c.rng.IntN(5) == 0})
		return err
	}
	return c.chaos.step()
}

func (c *restless) copyFolder(fid mapi.FID) error {
	q := &exmdb.CopyFolderRequest{Folder: fid, Parent: c.folderAt(), Name: fmt.Sprint(c.rng.IntN(9)), Recursive: c.rng.IntN(2) == 0}
	for {
		r, err := try(c.box, exmdb.OpCopyFolder, q)
		if err != nil || r.Done {
			if err == nil {
				c.folders = append(c.folders, r.Folder)
			}
			return err
		}
		q.Task = r.Task
	}
}

// granted makes messages with MIDs of a range that was given out before others.
func (c *restless) granted(fid mapi.FID) error {
	r := call(c.box, exmdb.OpLocalReplicaIDs, &exmdb.LocalReplicaIDsRequest{Count: 4})
	c.mids = append(c.mids, c.deliver(text("between")).MID)
	for i := range mapi.GlobalCounter(3) {
		mid := mapi.NewMID(mapi.LocalReplica, r.First+2-i)
		if _, err := try(c.box, exmdb.OpCreateMessage, &exmdb.CreateMessageRequest{Folder: fid, MID: mid, Message: c.chaos.edit(0)}); err != nil {
			return err
		}
		c.mids = append(c.mids, mid)
	}
	return nil
}

// TestEventsMakeTheMailbox: whatever clients do, who was told of all since some state knows what the mailbox is: whether he
// reads at once, lags behind, or begins with any state that there was, and in pages of any size. Nothing is told twice.
func TestEventsMakeTheMailbox(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rounds, steps := 12, 150
	if testing.Short() {
		rounds = 3
	}
	for round := range rounds {
		c := &restless{&chaos{box: newBox(t, 0), rng: rand.New(rand.NewPCG(seed, uint64(round)))}}
		c.folders = []mapi.FID{schema.Inbox, schema.Drafts, schema.Sent}
		live := c.truth()
		lazy, first := live.clone(), live.clone()
		states := []*mirror{first}
		for i := range steps {
			if err := c.step(); err != nil && !slices.Contains(treeRefusals, cluster.KindOf(err)) {
				t.Fatalf("seed %d, round %d, step %d: %v", seed, round, i, err)
			}
			for live.follow(c.box, 10_000, true) {
			}
			c.match(live, seed, round, i, "at once")
			lazy.follow(c.box, uint32(1+c.rng.IntN(4)), false)
			if c.rng.IntN(8) == 0 {
				states = append(states, c.truth())
			}
			if c.rng.IntN(40) == 0 {
				for lazy.follow(c.box, 3, false) {
				}
				c.match(lazy, seed, round, i, "behind")
			}
		}
		for _, m := range states {
			for _, limit := range []uint32{1, uint32(2 + c.rng.IntN(20)), 10_000} {
				m := m.clone()
				from := m.since
				for m.follow(c.box, limit, false) {
				}
				c.match(m, seed, round, steps, fmt.Sprintf("from %d in pages of %d", from, limit))
			}
		}
	}
}

func (c *restless) match(m *mirror, seed uint64, round, step int, how string) {
	c.t.Helper()
	if wrong := m.compare(c.truth()); len(wrong) > 0 {
		for _, w := range wrong[:min(len(wrong), 8)] {
			c.t.Errorf("seed %d, round %d, step %d, %s: %s", seed, round, step, how, w)
		}
		c.t.FailNow()
	}
}
