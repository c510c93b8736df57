package store

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// readersOf are owners for two users of a public folder, served by one store.
func readersOf(users ...*box) []*owner {
	first := users[0].newOwner(0)
	owners := []*owner{first}
	for _, u := range users[1:] {
		o := u.newOwner(0)
		o.serve(first.store)
		owners = append(owners, o)
	}
	return owners
}

func unread(spec exmdb.TableSpec) exmdb.TableSpec {
	return restricted(spec, &mapi.BitMaskRestriction{Op: mapi.BitMaskEqualZero, Tag: mapi.PidTagMessageFlags, Mask: mapi.MessageFlagRead})
}

// TestTablesOfReaders holds tables of a folder whose read state is each user's own against all its messages, filtered and
// sorted as that user sees them, while others change it and each reads what he likes.
func TestTablesOfReaders(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	b := newBox(t, 0)
	call(b, exmdb.OpSetReadState, &exmdb.SetReadStateRequest{PerUser: true})
	news := b.newBelow(schema.IPMSubtree, "News")
	users := []*box{b.asUser(mapi.NewGUID()), b.asUser(mapi.NewGUID())}
	for _, u := range users {
		grantTo(b, news, u.as.User, roleReviewer)
	}
	owners := readersOf(users...)
	specs := []exmdb.TableSpec{contentsOf(news), contentsOf(news, asc(mapi.PidTagSubject)), unread(contentsOf(news)),
		unread(contentsOf(news, desc(mapi.PidTagSubject))), contentsOf(news, asc(mapi.PidTagMessageFlags), desc(mapi.PidTagMessageSize))}
	rounds := 60
	if testing.Short() {
		rounds = 15
	}
	for range rounds {
		for range rnd.IntN(8) {
			b.churn(rnd, news)
		}
		for range rnd.IntN(4) {
			first := mapi.UID(1 + rnd.IntN(40))
			call(users[rnd.IntN(2)], exmdb.OpSetFlags, &exmdb.SetFlagsRequest{Folder: news, UIDs: []exmdb.UIDRange{{First: first, Last: first + mapi.UID(rnd.IntN(5))}},
				Mode: exmdb.FlagMode(2 + rnd.IntN(2)), Flags: exmdb.Flags{Bits: exmdb.FlagSeen}})
		}
		who, spec := rnd.IntN(2), specs[rnd.IntN(len(specs))]
		users[who].now = b.now
		want := users[who].plainTable(t, spec)
		if got := rowIDs(owners[who].readTable(spec, 1+rnd.Uint32N(15))); !slices.Equal(got, want) {
			t.Fatalf("user %d is shown %x by %+v, want %x", who, got, spec, want)
		}
	}
}

// scans counts requests that had to go on with a scan.
func (o *owner) scans(spec exmdb.TableSpec) int {
	o.t.Helper()
	o.calls = 0
	if _, err := o.tables().Seek(o.t.Context(), exmdb.TableSeekRequest{Table: exmdb.TableRequest{Spec: spec}, From: beginning}); err != nil {
		o.t.Fatal(err)
	}
	return o.calls - 1
}

// TestTablesAreKeptForReaders: an order that has nothing to do with what is read is made once for all users; what has is
// made once for each, and kept up when he reads.
func TestTablesAreKeptForReaders(t *testing.T) {
	b, news, anna, bob := newPublic(t)
	b.fill(news, 2000)
	config := steady()
	config.TableStep = time.Nanosecond
	owners := readersOf(anna, bob)
	slow := New(config)
	owners[0].serve(slow)
	owners[1].serve(slow)
	bySize, notRead := contentsOf(news, asc(mapi.PidTagMessageSize)), unread(contentsOf(news))
	if n := owners[0].scans(bySize); n < 5 {
		t.Fatalf("a view of 2000 rows was made in %d steps", n)
	}
	if n := owners[1].scans(bySize); n != 0 {
		t.Errorf("the same view took another user %d steps", n)
	}
	for i, o := range owners {
		if n := o.scans(notRead); n < 5 {
			t.Errorf("what user %d has not read was made in %d steps", i, n)
		}
	}
	anna.mark(news, exmdb.FlagsAdd, exmdb.FlagSeen, 5, 6, 900)
	for i, spec := range []exmdb.TableSpec{notRead, bySize} {
		for who, o := range owners {
			if n := o.scans(spec); n > 1 {
				t.Errorf("after three messages were read, table %d took user %d %d steps", i, who, n)
			}
		}
	}
	if got := len(owners[0].readTable(notRead, 1000)); got != 1997 {
		t.Errorf("%d are unread", got)
	}
	since := anna.folder(news).ContentSeq
	anna.mark(news, exmdb.FlagsAdd, exmdb.FlagSeen, 7)
	for who, want := range [][2]int{{0, 1}, {0, 0}} {
		resp, err := owners[who].tables().Changes(t.Context(), exmdb.TableChangesRequest{Table: exmdb.TableRequest{Spec: notRead}, Since: since})
		if err != nil || resp.Reload || len(resp.Rows) != want[0] || len(resp.Gone) != want[1] {
			t.Errorf("user %d is told %+v, %v", who, resp, err)
		}
	}
	for first := mapi.UID(1); first <= 2000; first += stepFlags {
		call(bob, exmdb.OpSetFlags, &exmdb.SetFlagsRequest{Folder: news, Mode: exmdb.FlagsAdd, Flags: exmdb.Flags{Bits: exmdb.FlagSeen},
			UIDs: []exmdb.UIDRange{{First: first, Last: first + stepFlags - 1}}})
	}
	resp, err := owners[1].tables().Rows(t.Context(), exmdb.TableRowsRequest{Table: exmdb.TableRequest{Spec: notRead}, From: beginning, Count: 10})
	if err != nil || len(resp.Rows) != 0 {
		t.Errorf("%+v, %v", resp, err)
	}
}
