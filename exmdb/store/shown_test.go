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

// watcher shows a table, and asks for it again when an event of its folder says so.
type watcher struct {
	name  string
	who   *box
	req   exmdb.TableRequest
	scope []mapi.FID // nil for folders with what is in them, for all levels, and for what a search finds
	since mapi.Stamp
	shows string
	// changed counts how often the table was another.
	changed int
}

func (b *box) watch(name string, spec exmdb.TableSpec, columns ...mapi.Tag) *watcher {
	w := &watcher{name: name, who: b, req: exmdb.TableRequest{Spec: spec, Columns: columns}, scope: []mapi.FID{spec.Object.Folder},
		since: call(b, exmdb.OpMailboxInfo, &exmdb.Empty{}).Stamp}
	w.shows = w.read()
	return w
}

// ofAny has it wait for events of the whole mailbox.
func (w *watcher) ofAny() *watcher {
	w.scope = nil
	return w
}

// read is the whole table, or why there is none.
func (w *watcher) read() string {
	t := exmdb.Table{Caller: w.who, As: w.who.as}
	r, err := t.Rows(w.who.t.Context(), exmdb.TableRowsRequest{Table: w.req, From: beginning, Count: 10_000})
	if err != nil {
		return fmt.Sprint("refused: kind ", cluster.KindOf(err))
	}
	return fmt.Sprint(shownRows(r.Rows))
}

// look reads the events, and fails where one is told twice, or where the table is another one and there are none.
func (w *watcher) look() (ok bool) {
	w.who.t.Helper()
	r := call(w.who, exmdb.OpEvents, &exmdb.EventsRequest{Since: w.since, Folders: w.scope, Limit: exmdb.MaxEvents})
	once := make(map[string]bool)
	for i := range r.Events {
		e := &r.Events[i]
		if id := fmt.Sprint(e.Kind, e.Stamp, e.Folder, e.Message); once[id] {
			w.who.t.Errorf("%s: told twice of %+v", w.name, *e)
		} else {
			once[id] = true
		}
	}
	was, is := w.shows, w.read()
	if w.since, w.shows = r.Stamp, is; was == is {
		return true
	}
	w.changed++
	if ok = len(r.Events) > 0 || r.Overflow; !ok {
		w.who.t.Errorf("%s, to user %v: nothing is told, and %s\nhas become %s", w.name, w.who.as.User, was, is)
	}
	return ok
}

// TestWhoShowsATableIsTold: whatever becomes of a table, whoever shows it finds an event of its folder, whether that is there or
// soft-deleted; whoever shows folders with their counts, all levels, or what a search finds, an event of any.
func TestWhoShowsATableIsTold(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rounds, steps := 8, 200
	if testing.Short() {
		rounds = 2
	}
	moved := make(map[string]int)
	for round := range rounds {
		c := &restless{&chaos{box: newBox(t, 0), rng: rand.New(rand.NewPCG(seed, uint64(round)))}}
		member := c.asUser(mapi.NewGUID())
		grantTo(c.box, schema.IPMSubtree, member.as.User, exmdb.AllRights)
		found := c.searchBelow(schema.IPMSubtree, "found")
		call(c.box, exmdb.OpSetSearchCriteria, searching(found, exmdb.SearchRecursive, &mapi.BitMaskRestriction{Op: mapi.BitMaskEqualZero,
			Tag: mapi.PidTagMessageFlags, Mask: mapi.MessageFlagRead}, schema.IPMSubtree))
		for i := range 4 {
			c.folders = append(c.folders, c.newFolder(fmt.Sprint("top ", i)))
		}
		var all []*watcher
		for step := range steps {
			if err := c.shelving(); err != nil && !slices.Contains(treeRefusals, cluster.KindOf(err)) {
				t.Fatalf("seed %d, round %d, step %d: %v", seed, round, step, err)
			}
			for _, w := range all {
				if c.rng.IntN(3) == 0 && !w.look() {
					t.Fatalf("seed %d, round %d, step %d", seed, round, step)
				}
			}
			if len(all) < 20 || c.rng.IntN(8) == 0 {
				all = append(all, c.watchSome([]*box{c.box, member}[c.rng.IntN(2)], found))
				all = all[max(0, len(all)-20):]
			}
			for _, w := range all {
				moved[w.name] += w.changed
				if w.who == member {
					moved["a member's"] += w.changed
				}
				w.changed = 0
			}
		}
	}
	t.Log(moved)
	for _, name := range []string{"messages", "associated messages", "deleted messages", "deleted associated messages", "deleted folders", "deleted folders of all levels",
		"messages of a deleted folder", "folders", "what a search finds", "a member's"} {
		if moved[name] == 0 && !testing.Short() {
			t.Errorf("seed %d: no table of %s was ever another", seed, name)
		}
	}
}

// watchSome shows a table of a folder, which may be soft-deleted, or of what a search finds.
func (c *restless) watchSome(who *box, found mapi.FID) *watcher {
	fid := append(c.folders, schema.IPMSubtree)[c.rng.IntN(len(c.folders)+1)]
	folders := []mapi.Tag{mapi.PidTagDisplayName, mapi.PidTagSubfolders, mapi.PidTagDeletedOn}
	deep := listOf(exmdb.TableDeletedFolders, fid)
	deep.Depth = true
	gone := listOf(exmdb.TableContents, fid)
	gone.Object.Deleted = true
	switch c.rng.IntN(10) {
	case 0:
		return who.watch("deleted messages", deletedOf(fid), mapi.PidTagDeletedOn)
	case 1:
		return who.watch("deleted associated messages", listOf(exmdb.TableDeletedAssociated, fid), mapi.PidTagDeletedOn)
	case 2:
		return who.watch("folders", listOf(exmdb.TableHierarchy, fid), mapi.PidTagDisplayName, mapi.PidTagContentCount, mapi.PidTagSubfolders).ofAny()
	case 3:
		return who.watch("deleted folders of all levels", deep, folders...).ofAny()
	case 4:
		return who.watch("messages of a deleted folder", gone, mapi.PidTagSubject)
	case 5:
		return who.watch("messages", listOf(exmdb.TableContents, fid, asc(mapi.PidTagSubject)), mapi.PidTagMessageFlags, mapi.PidTagMessageSize,
			mapi.PidTagMessageStatus)
	case 6:
		return who.watch("associated messages", listOf(exmdb.TableAssociated, fid), mapi.PidTagSubject)
	case 7:
		return who.watch("what a search finds", listOf(exmdb.TableContents, found), mapi.PidTagSubject, mapi.PidTagMessageFlags).ofAny()
	}
	return who.watch("deleted folders", listOf(exmdb.TableDeletedFolders, fid), folders...)
}

// shelving is a client that deletes and recovers folders more than others do.
func (c *restless) shelving() error {
	switch fid := c.folderAt(); c.rng.IntN(8) {
	case 0, 1:
		_, err := try(c.box, exmdb.OpDeleteFolder, &exmdb.DeleteFolderRequest{Folder: fid, Recursive: true})
		return err
	case 2:
		_, err := try(c.box, exmdb.OpRecoverFolder, &exmdb.RecoverFolderRequest{Folder: fid, Parent: c.folderAt(), Name: fmt.Sprint(c.rng.IntN(9))})
		return err
	case 3:
		r, err := try(c.box, exmdb.OpCreateFolder, &exmdb.CreateFolderRequest{Parent: fid, Name: fmt.Sprint(c.rng.IntN(9))})
		if err == nil {
			c.folders = append(c.folders, r.Folder.FID)
		}
		return err
	}
	return c.step()
}
