package store

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// begun is a search that was begun, with a stamp from before and one from after.
type begun struct {
	fid           mapi.FID
	before, after mapi.Stamp
}

// searcher is a client who begins searches, and does to their folders whatever there is.
type searcher struct {
	*box
	rng      *rand.Rand
	searches []mapi.FID
	begun    []begun
	// whole are the stamps with which folders last came back: what was told of them before is not told again.
	whole map[mapi.FID]mapi.Stamp
}

func (c *searcher) stampOf() mapi.Stamp {
	return call(c.box, exmdb.OpMailboxInfo, &exmdb.Empty{}).Stamp
}

func (c *searcher) step() error {
	fid := c.searches[c.rng.IntN(len(c.searches))]
	switch c.rng.IntN(9) {
	case 0:
		c.searches = append(c.searches, c.searchBelow(schema.IPMSubtree, fmt.Sprint("search ", len(c.searches))))
	case 1:
		c.deliver(text("x"))
	case 2:
		_, err := try(c.box, exmdb.OpDeleteFolder, &exmdb.DeleteFolderRequest{Folder: fid, Hard: c.rng.IntN(6) == 0})
		return err
	case 3:
		_, err := try(c.box, exmdb.OpRecoverFolder, &exmdb.RecoverFolderRequest{Folder: fid, Parent: schema.IPMSubtree})
		if err == nil {
			c.whole[fid] = c.stampOf()
		}
		return err
	case 4:
		_, err := try(c.box, exmdb.OpCopyFolder, &exmdb.CopyFolderRequest{Folder: fid, Parent: schema.Inbox, Name: fmt.Sprint(c.rng.IntN(100))})
		return err
	case 5:
		_, err := try(c.box, exmdb.OpSetSearchCriteria, &exmdb.SetSearchCriteriaRequest{Folder: fid, Flags: exmdb.SearchStop})
		return err
	default:
		b := begun{fid: fid, before: c.stampOf()}
		flags := static
		if c.rng.IntN(3) == 0 {
			flags = exmdb.SearchRestart
		}
		_, err := try(c.box, exmdb.OpSetSearchCriteria, searching(fid, flags, textIn(mapi.PidTagSubject, "x"), schema.Inbox))
		if b.after = c.stampOf(); err == nil {
			c.begun = append(c.begun, b)
		}
		return err
	}
	return nil
}

// TestSearchesAreToldOnce: whoever reads events from any state, in pages of any size, is told of each search that began since in
// a folder that is there, once, and between what was before and behind it.
func TestSearchesAreToldOnce(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rounds := 6
	if testing.Short() {
		rounds = 2
	}
	expected := []cluster.Kind{exmdb.KindNoFolder, exmdb.KindNoCriteria, exmdb.KindFolderExists}
	for round := range rounds {
		c := &searcher{box: newBox(t, 0), rng: rand.New(rand.NewPCG(seed, uint64(round))), whole: map[mapi.FID]mapi.Stamp{}}
		c.searches = []mapi.FID{c.searchBelow(finder, "one"), c.searchBelow(finder, "two")}
		states := []mapi.Stamp{c.stampOf()}
		for i := range 60 {
			if err := c.step(); err != nil && !slices.Contains(expected, cluster.KindOf(err)) {
				t.Fatalf("seed %d, round %d, step %d: %v", seed, round, i, err)
			}
			if i%7 == 0 {
				states = append(states, c.stampOf())
			}
		}
		for _, since := range states {
			for _, limit := range []uint32{1, uint32(2 + c.rng.IntN(9)), 10_000} {
				c.check(t, since, limit)
			}
		}
		if t.Failed() {
			t.Fatalf("seed %d, round %d", seed, round)
		}
	}
}

// check reads the events since a state.
func (c *searcher) check(t *testing.T, since mapi.Stamp, limit uint32) {
	t.Helper()
	there := make(map[mapi.FID]bool)
	for _, f := range call(c.box, exmdb.OpListFolders, &exmdb.ListFoldersRequest{}).Folders {
		there[f.FID] = true
	}
	var want []begun
	for _, b := range c.begun {
		if b.before >= since && there[b.fid] && b.after > c.whole[b.fid] {
			want = append(want, b)
		}
	}
	told := 0
	for from, more := since, true; more; {
		r := call(c.box, exmdb.OpEvents, &exmdb.EventsRequest{Since: from, Limit: limit})
		for _, e := range r.Events {
			if e.Kind != exmdb.EventSearchComplete {
				continue
			}
			if told == len(want) || e.Folder != want[told].fid || e.Stamp <= want[told].before || e.Stamp > want[told].after || e.Counts {
				t.Errorf("from %d in pages of %d: event %d is %+v, of the searches %+v", since, limit, told, e, want)
				return
			}
			told++
		}
		from, more = r.Stamp, r.More
	}
	if told != len(want) {
		t.Errorf("from %d in pages of %d: %d searches are told of, %d began", since, limit, told, len(want))
	}
}

// TestSearchCompleteIsForWhoSees: who does not see the search folder is not told, and a subscription to a folder gets those of
// that folder.
func TestSearchCompleteIsForWhoSees(t *testing.T) {
	b := newBox(t, 0)
	fid := b.searchBelow(schema.IPMSubtree, "s")
	seeing, other := b.asUser(mapi.NewGUID()), b.asUser(mapi.NewGUID())
	grantTo(b, fid, seeing.as.User, exmdb.RightFolderVisible)
	grantTo(b, schema.Inbox, other.as.User, exmdb.RightFolderVisible)
	since := call(b, exmdb.OpMailboxInfo, &exmdb.Empty{}).Stamp
	call(b, exmdb.OpSetSearchCriteria, searching(fid, static, mapi.AndRestriction{}, schema.Inbox))
	notices := func(who *box, about mapi.FID, folders ...mapi.FID) (n int) {
		s := exmdb.Subscription{Kinds: exmdb.EventSearchComplete, Folder: about}
		for _, e := range call(who, exmdb.OpEvents, &exmdb.EventsRequest{Since: since, Folders: folders}).Events {
			if s.Wants(&e) == exmdb.EventSearchComplete {
				n++
			}
		}
		return n
	}
	for what, got := range map[string][2]int{
		"the owner":             {notices(b, 0), 1},
		"who sees the folder":   {notices(seeing, fid, fid), 1},
		"who does not":          {notices(other, 0), 0},
		"of the folder above":   {notices(b, schema.IPMSubtree, schema.IPMSubtree), 0},
		"of the folder in view": {notices(b, fid, fid), 1},
		"of another folder":     {notices(b, schema.Inbox, schema.Inbox), 0},
	} {
		if got[0] != got[1] {
			t.Errorf("%s is told %d times, want %d", what, got[0], got[1])
		}
	}
	call(b, exmdb.OpSetSearchCriteria, &exmdb.SetSearchCriteriaRequest{Folder: fid, Flags: exmdb.SearchStatic})
	if n := notices(b, 0); n != 1 {
		t.Errorf("told %d times where nothing began anew", n)
	}
}
