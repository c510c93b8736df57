package store

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"
)

// shownTable is a table as a client shows it who reads it once and then follows its events.
type shownTable struct {
	name  string
	table exmdb.Table
	req   exmdb.TableRequest
	since mapi.Stamp
	rows  []exmdb.TableRow
	// reloads and followed count how often it was read again, and how many events it followed.
	reloads, followed int
}

func (b *box) showTable(name string, spec exmdb.TableSpec, columns ...mapi.Tag) *shownTable {
	s := &shownTable{name: name, table: exmdb.Table{Caller: b, As: b.as}, req: exmdb.TableRequest{Spec: spec, Columns: columns}}
	s.since, s.rows = s.read(b)
	return s
}

// read reads the whole table.
func (s *shownTable) read(b *box) (mapi.Stamp, []exmdb.TableRow) {
	b.t.Helper()
	at := call(b, exmdb.OpMailboxInfo, &exmdb.Empty{}).Stamp
	r, err := s.table.Rows(context.Background(), exmdb.TableRowsRequest{Table: s.req, From: exmdb.TablePosition{Origin: exmdb.TableBeginning}, Count: 10_000})
	if err != nil {
		b.t.Fatalf("%s: %v", s.name, err)
	}
	return at, r.Rows
}

func (s *shownTable) at(id exmdb.TableRowID) int {
	return slices.IndexFunc(s.rows, func(r exmdb.TableRow) bool { return r.ID == id })
}

// follow does what the events say.
func (s *shownTable) follow(b *box) {
	b.t.Helper()
	r, err := s.table.Events(context.Background(), exmdb.TableEventsRequest{Table: s.req, Since: s.since})
	if err != nil {
		b.t.Fatalf("%s: %v", s.name, err)
	}
	if r.Reload {
		s.reloads++
		s.since, s.rows = s.read(b)
		return
	}
	s.since = max(s.since, r.State.Stamp)
	for i := range r.Events {
		s.one(b, &r.Events[i])
	}
}

func (s *shownTable) one(b *box, e *exmdb.TableEvent) {
	b.t.Helper()
	s.followed++
	at := s.at(e.Row.ID)
	switch {
	case e.Kind == exmdb.TableRowModified && at < 0, e.Kind == exmdb.TableRowAdded && at >= 0:
		b.t.Errorf("%s: row %#x is at %d: kind %d", s.name, e.Row.ID.ID, at, e.Kind)
	case at >= 0:
		s.rows = slices.Delete(s.rows, at, at+1)
	}
	if e.Kind == exmdb.TableRowDeleted {
		return
	}
	behind := 0
	if !e.First {
		if behind = s.at(e.Behind) + 1; behind == 0 {
			b.t.Errorf("%s: row %#x is to be behind %#x, which is not there", s.name, e.Row.ID.ID, e.Behind.ID)
		}
	}
	s.rows = slices.Insert(s.rows, behind, e.Row)
}

// match compares what is shown with the table.
func (s *shownTable) match(b *box) bool {
	b.t.Helper()
	_, want := s.read(b)
	same := slices.EqualFunc(s.rows, want, func(x, y exmdb.TableRow) bool { return x.ID == y.ID && sameBag(x.Props, y.Props) })
	if !same {
		b.t.Errorf("%s: shows %v, there are %v", s.name, shownRows(s.rows), shownRows(want))
	}
	return same
}

func shownRows(rows []exmdb.TableRow) (list []string) {
	for i := range rows {
		list = append(list, fmt.Sprintf("%x.%d %x", mapi.MID(rows[i].ID.ID).Counter(), rows[i].ID.Instance, rows[i].Props.AppendWire(nil)))
	}
	return list
}

func inOrder(tag mapi.Tag, d uint8) mapi.SortOrderSet {
	return mapi.SortOrderSet{Orders: []mapi.SortOrder{{Tag: tag, Direction: mapi.SortDirection(d)}}}
}

// TestTableEventsMakeTheTable: whatever clients do, who read a table once and does what its events say shows the table.
func TestTableEventsMakeTheTable(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rounds, steps := 5, 120
	if testing.Short() {
		rounds = 2
	}
	unread := oxcdata.AppendRestriction(nil, &mapi.BitMaskRestriction{Op: mapi.BitMaskEqualZero, Tag: mapi.PidTagMessageFlags, Mask: mapi.MessageFlagRead})
	for round := range rounds {
		c := &restless{&chaos{box: newBox(t, 0), rng: rand.New(rand.NewPCG(seed, uint64(round)))}}
		c.folders = []mapi.FID{schema.Inbox, schema.Drafts, schema.Sent}
		inbox, top := exmdb.ObjectID{Folder: schema.Inbox}, exmdb.ObjectID{Folder: schema.IPMSubtree}
		shown := []*shownTable{
			c.showTable("in order of delivery", exmdb.TableSpec{Kind: exmdb.TableContents, Object: inbox}, mapi.PidTagMid, mapi.PidTagMessageFlags),
			c.showTable("by size", exmdb.TableSpec{Kind: exmdb.TableContents, Object: inbox, Sort: inOrder(mapi.PidTagMessageSize, 0)}, mapi.PidTagMessageSize),
			c.showTable("unread", exmdb.TableSpec{Kind: exmdb.TableContents, Object: inbox, Restriction: unread}, mapi.PidTagMessageFlags),
			c.showTable("associated", exmdb.TableSpec{Kind: exmdb.TableAssociated, Object: inbox}, mapi.PidTagMid),
			c.showTable("deleted", exmdb.TableSpec{Kind: exmdb.TableDeleted, Object: inbox}, mapi.PidTagMid, mapi.PidTagDeletedOn),
			c.showTable("deleted, by size", exmdb.TableSpec{Kind: exmdb.TableDeleted, Object: inbox, Sort: inOrder(mapi.PidTagMessageSize, 1)}, mapi.PidTagMessageSize),
			c.showTable("deleted folders", exmdb.TableSpec{Kind: exmdb.TableDeletedFolders, Object: top, Depth: true}, mapi.PidTagDisplayName, mapi.PidTagDeletedOn, mapi.PidTagSubfolders),
			c.showTable("folders", exmdb.TableSpec{Kind: exmdb.TableHierarchy, Object: top}, mapi.PidTagDisplayName, mapi.PidTagContentCount, mapi.PidTagSubfolders),
			c.showTable("all folders", exmdb.TableSpec{Kind: exmdb.TableHierarchy, Object: top, Depth: true}, mapi.PidTagDisplayName, mapi.PidTagContentUnreadCount, mapi.PidTagDepth),
			c.showTable("folders by count", exmdb.TableSpec{Kind: exmdb.TableHierarchy, Object: top, Sort: inOrder(mapi.PidTagContentCount, 1)}, mapi.PidTagContentCount),
		}
		for i := range steps {
			if err := c.step(); err != nil && !slices.Contains(treeRefusals, cluster.KindOf(err)) {
				t.Fatalf("seed %d, round %d, step %d: %v", seed, round, i, err)
			}
			if there := c.plainTable(t, shown[0].req.Spec); len(there) > 0 && c.rng.IntN(6) == 0 {
				call(c.box, exmdb.OpDeleteMessages, &exmdb.DeleteMessagesRequest{Folder: schema.Inbox, Messages: []mapi.MID{mapi.MID(there[0])}})
			}
			for _, s := range shown {
				if c.rng.IntN(3) == 0 {
					continue
				}
				if s.follow(c.box); !s.match(c.box) || t.Failed() {
					t.Fatalf("seed %d, round %d, step %d", seed, round, i)
				}
			}
		}
		for _, s := range shown {
			t.Logf("%s: %d rows, %d events followed, read again %d times", s.name, len(s.rows), s.followed, s.reloads)
			if s.followed == 0 && s.name != "associated" && s.name != "deleted folders" {
				t.Errorf("seed %d, round %d: %s was read again %d times and followed no event", seed, round, s.name, s.reloads)
			}
		}
	}
}
