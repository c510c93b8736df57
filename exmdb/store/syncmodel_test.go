package store

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcfxics"
)

// known is what a client knows of a message.
type known struct {
	cn, readCN mapi.Stamp
	read       bool
	associated bool
}

// plainFolder is a folder the plain way: what of it is in scope, and what there is.
func (b *box) plainFolder(fid mapi.FID, flags exmdb.SyncFlags, word string) (in map[mapi.MID]known, all map[mapi.MID]bool) {
	b.t.Helper()
	in, all = map[mapi.MID]known{}, map[mapi.MID]bool{}
	err := b.rep.View(context.Background(), b.id, space.ReadLease, func(r space.Reader) error {
		v, err := New(b.config).open(r, &b.as, rightRead)
		if err != nil {
			return err
		}
		own, err := v.reader(fid)
		if err != nil {
			return err
		}
		for _, key := range []rowKeys{schema.RowKey, schema.AssociatedKey} {
			err := v.scanRows(key, fid, nil, func(uid mapi.UID, stored []byte) (bool, error) {
				m := &message{uid: uid}
				if err := m.row.UnmarshalWire(stored); err != nil {
					return false, err
				}
				all[m.row.MID] = true
				subject, _ := v.show(fid, m).value(mapi.PidTagSubject)
				text, _ := subject.Value.(mapi.String)
				kind := exmdb.SyncNormal
				if m.associated() {
					kind = exmdb.SyncAssociated
				}
				if flags&kind != 0 && strings.Contains(strings.ToLower(string(text)), word) {
					in[m.row.MID] = known{m.row.CN, own.readCN(&m.row), own.seen(&m.row), m.associated()}
				}
				return true, nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return in, all
}

// modelClient synchronises one scope, and is compared with what it should be told.
type modelClient struct {
	*box
	fid   mapi.FID
	scope exmdb.SyncScope
	word  string
	limit uint32
	state oxcfxics.State
	has   map[mapi.MID]known
	// compared: the next download compares all, in the order in which messages came.
	compared bool
}

func (c *modelClient) check() {
	c.t.Helper()
	now, all := c.plainFolder(c.fid, c.scope.Flags, c.word)
	got := c.sync(c.fid, c.scope, &c.state, c.limit)
	told := map[mapi.MID]bool{}
	var order []mapi.MID
	for i := range got.Changes {
		m := &got.Changes[i]
		id := m.State.MID
		before, had := c.has[id]
		is, there := now[id]
		if !there || told[id] || had && before.cn == is.cn || m.State.CN != is.cn || m.New == had || m.State.Flags.Bits&exmdb.FlagSeen != 0 != is.read {
			c.t.Fatalf("told of %+v, known %+v, is %+v", m, before, is)
		}
		if told[id] = true; !is.associated {
			order = append(order, id)
		}
	}
	var deleted, left, read, unread []mapi.MID
	for id, before := range c.has {
		is, there := now[id]
		switch {
		case !all[id]:
			deleted = append(deleted, id)
		case !there:
			left = append(left, id)
		case told[id]:
		case before.cn != is.cn:
			c.t.Fatalf("not told of %#x, known %+v, is %+v", id, before, is)
		case before.readCN != is.readCN && is.read:
			read = append(read, id)
		case before.readCN != is.readCN:
			unread = append(unread, id)
		}
	}
	for id := range now {
		if _, had := c.has[id]; !had && !told[id] {
			c.t.Fatalf("not told of the new message %#x", id)
		}
	}
	if c.scope.Flags&exmdb.SyncReadState == 0 {
		read, unread = nil, nil
	}
	if !got.Deleted.Equal(c.idsOf(deleted...)) || !got.NoLongerInScope.Equal(c.idsOf(left...)) {
		c.t.Fatalf("deleted %v, no longer in scope %v; want %x and %x", got.Deleted, got.NoLongerInScope, deleted, left)
	}
	if !got.Read.Equal(c.idsOf(read...)) || !got.Unread.Equal(c.idsOf(unread...)) {
		c.t.Fatalf("flags %x limit %d user %v word %q told %v read %v, unread %v; want %x and %x", c.scope.Flags, c.limit, c.as.User, c.word, told, got.Read, got.Unread, read, unread)
	}
	if !c.compared {
		c.checkOrder(order)
	}
	c.compared = false
	c.has = now
	if !c.state.Given.Equal(c.idsOf(keysOf(now)...)) {
		c.t.Fatalf("the client is taken to have %v, it has %x", c.state.Given, keysOf(now))
	}
}

func keysOf(m map[mapi.MID]known) (list []mapi.MID) {
	for id := range m {
		list = append(list, id)
	}
	return list
}

// checkOrder: by time of delivery, the newest first, where that is asked for.
func (c *modelClient) checkOrder(order []mapi.MID) {
	c.t.Helper()
	if c.scope.Flags&exmdb.SyncByDeliveryTime == 0 {
		return
	}
	byTime := slices.SortedStableFunc(slices.Values(order), func(a, b mapi.MID) int {
		return cmp.Compare(c.rowOf(b).Received, c.rowOf(a).Received)
	})
	for i := range order {
		if c.rowOf(order[i]).Received != c.rowOf(byTime[i]).Received {
			c.t.Fatalf("order %x, by time %x", order, byTime)
		}
	}
}

// forgetTombstones drops all tombstones, as age does.
func (t *tx) forgetTombstones() error {
	t.w.DeleteRange([]byte{schema.PrefixTombstone}, []byte{schema.PrefixTombstone + 1})
	t.counters.Floor = t.counters.Stamp
	return nil
}

// TestSyncAgainstModel: clients of every scope, with pages of every size, are told exactly what is different from what they
// know, whatever happens to the folder, to the tombstones and to the epoch.
func TestSyncAgainstModel(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 4))
	for _, perUser := range []bool{false, true} {
		b := newBox(t, 0)
		call(b, exmdb.OpSetReadState, &exmdb.SetReadStateRequest{PerUser: perUser})
		work := b.newBelow(schema.IPMSubtree, "Work")
		var clients []*modelClient
		for i, flags := range []exmdb.SyncFlags{syncAll, syncAll | exmdb.SyncByDeliveryTime, exmdb.SyncNormal, exmdb.SyncAssociated | exmdb.SyncReadState, syncAll | exmdb.SyncWhole} {
			for _, word := range []string{"", "a "} {
				asked := *b
				asked.as = exmdb.Identity{User: mapi.GUID{byte(1 + i%2)}, Privileges: exmdb.PrivilegeSystem}
				c := &modelClient{box: &asked, fid: work, word: word, limit: uint32(rng.IntN(4)), scope: exmdb.SyncScope{Flags: flags}}
				if word != "" {
					c.scope.Restriction = subjectHas(word)
				}
				clients = append(clients, c)
			}
		}
		for range 150 {
			*b.first = rng.IntN(4) == 0
			doer := clients[rng.IntN(len(clients))]
			doer.now = doer.now.Add(1)
			b.churnAs(rng, work, doer)
			event := rng.IntN(40)
			switch event {
			case 0:
				b.update((*tx).forgetTombstones)
			case 1:
				b.raiseEpoch()
			}
			for _, c := range clients {
				c.compared = c.compared || event < 2
			}
			if rng.IntN(3) == 0 {
				clients[rng.IntN(len(clients))].check()
			}
		}
		for _, c := range clients {
			c.check()
			c.quiet(work, c.scope, &c.state)
		}
	}
}

// churnAs is churn by who a client is.
func (b *box) churnAs(rng *rand.Rand, fid mapi.FID, c *modelClient) {
	as := b.as
	b.as = c.as
	b.churn(rng, fid)
	b.as = as
}

func (b *box) raiseEpoch() {
	b.t.Helper()
	if _, err := b.rep.Update(context.Background(), b.id, cluster.RequestID{}, func(w space.Writer) ([]byte, error) { return nil, RaiseEpoch(w, 1) }); err != nil {
		b.t.Fatal(err)
	}
}
