package storescript

import (
	"errors"
	"slices"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

var shownCommands = []command{
	{"tableevents", 2, "tableevents FEED PATH|MESSAGE [changes=yes] " + tableKeys + ": follows what became of the rows since the feed was asked last, and holds the outcome against the table", false, (*run).tableEvents},
	{"columns", -2, "columns PATH|MESSAGE TAG…: which of the properties rows of the table have " + tableKeys, false, (*run).columns},
}

// shownTable is a table as a client shows it who reads it once and then follows what he is told.
type shownTable struct {
	since mapi.Stamp
	rows  []exmdb.TableRow
}

// readTable reads the whole of a table, as of a stamp that it is at least as new as.
func (r *run) readTable(t *exmdb.Table, req exmdb.TableRequest) (*shownTable, error) {
	info, err := do(r, exmdb.OpMailboxInfo, &exmdb.Empty{})
	if err != nil {
		return nil, err
	}
	s := &shownTable{since: info.Stamp}
	from := exmdb.TablePosition{Origin: exmdb.TableBeginning}
	for {
		resp, err := t.Rows(r.cmd.ctx, exmdb.TableRowsRequest{Table: req, From: from, Count: 500})
		if err != nil {
			return nil, err
		}
		s.rows = append(s.rows, resp.Rows...)
		if len(resp.Rows) == 0 {
			return s, nil
		}
		from = exmdb.TablePosition{Origin: exmdb.TablePlace, Place: resp.After}
	}
}

func (s *shownTable) at(id exmdb.TableRowID) int {
	return slices.IndexFunc(s.rows, func(row exmdb.TableRow) bool { return row.ID == id })
}

// put does what is told of one row: it goes from where it was, and stands behind another.
func (s *shownTable) put(row exmdb.TableRow, gone, first bool, behind exmdb.TableRowID) error {
	if at := s.at(row.ID); at >= 0 {
		s.rows = slices.Delete(s.rows, at, at+1)
	}
	if gone {
		return nil
	}
	at := 0
	if !first {
		if at = s.at(behind) + 1; at == 0 {
			return mistake("row %v is to be behind %v, which is not there", row.ID, behind)
		}
	}
	s.rows = slices.Insert(s.rows, at, row)
	return nil
}

// same holds the rows against those of the table.
func (s *shownTable) same(as *shownTable) error {
	if len(s.rows) != len(as.rows) {
		return mistake("%d rows are shown of %d", len(s.rows), len(as.rows))
	}
	for i := range s.rows {
		a, b := &s.rows[i], &as.rows[i]
		if a.ID != b.ID || string(a.Props.AppendWire(nil)) != string(b.Props.AppendWire(nil)) {
			return mistake("row %d is shown as %v, and is %v", i, a, b)
		}
	}
	return nil
}

func (r *run) tableEvents() error {
	t, req, err := r.tableRequestOf(r.cmd.words[1])
	if err != nil {
		return err
	}
	follow := r.followEvents
	if r.cmd.is("changes") {
		follow = r.followChanges
	}
	key := "table " + r.cmd.words[0]
	shown, known := r.marks[key].(*shownTable)
	if !known {
		shown, err = r.readTable(t, req)
		r.marks[key] = shown
		return err
	}
	counts, err := follow(t, req, shown)
	if err != nil {
		return err
	}
	now, err := r.readTable(t, req)
	if err != nil {
		return err
	}
	r.marks[key] = now
	if counts == nil {
		r.say("to be read again")
		return nil
	}
	r.sayCounts(counts, "nothing happened")
	return shown.same(now)
}

var rowWords = map[exmdb.TableEventKind]string{exmdb.TableRowAdded: "added", exmdb.TableRowDeleted: "deleted", exmdb.TableRowModified: "modified"}

// followEvents does what notifications say; without counts the table is to be read again.
func (r *run) followEvents(t *exmdb.Table, req exmdb.TableRequest, s *shownTable) (map[string]int, error) {
	resp, err := t.Events(r.cmd.ctx, exmdb.TableEventsRequest{Table: req, Since: s.since})
	if err != nil || resp.Reload {
		return nil, err
	}
	counts := make(map[string]int)
	for i := range resp.Events {
		e := &resp.Events[i]
		was := s.at(e.Row.ID) >= 0
		if e.Kind == exmdb.TableRowAdded == was && e.Kind != exmdb.TableRowDeleted {
			return nil, mistake("row %v is told as %s, and was there: %v", e.Row.ID, rowWords[e.Kind], was)
		}
		if e.Kind != exmdb.TableRowDeleted || was {
			counts[rowWords[e.Kind]]++
		}
		if err := s.put(e.Row, e.Kind == exmdb.TableRowDeleted, e.First, e.Behind); err != nil {
			return nil, err
		}
	}
	return counts, nil
}

// followChanges does what the table's changes say: what is gone goes first, then each row stands behind the one that the table
// has in front of it.
func (r *run) followChanges(t *exmdb.Table, req exmdb.TableRequest, s *shownTable) (map[string]int, error) {
	resp, err := t.Changes(r.cmd.ctx, exmdb.TableChangesRequest{Table: req, Since: s.since})
	if err != nil || resp.Reload {
		return nil, err
	}
	counts := make(map[string]int)
	s.rows = slices.DeleteFunc(s.rows, func(row exmdb.TableRow) bool {
		gone := slices.Contains(resp.Gone, row.ID.ID)
		if gone {
			counts["gone"]++
		}
		return gone
	})
	for i := range resp.Rows {
		if err := s.put(resp.Rows[i].Row, true, false, exmdb.TableRowID{}); err != nil {
			return nil, err
		}
	}
	for i := range resp.Rows {
		c := &resp.Rows[i]
		if err := s.put(c.Row, false, c.First, c.Behind); err != nil {
			return nil, err
		}
		counts[map[bool]string{true: "new", false: "changed"}[c.New]]++
	}
	return counts, nil
}

func (r *run) columns() error {
	t, req, err := r.tableRequest()
	tags, err2 := r.tags(r.cmd.words[1:])
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	resp, err := t.Columns(r.cmd.ctx, exmdb.TableColumnsRequest{Table: req})
	if err != nil {
		return err
	}
	for i, tag := range tags {
		r.say("%s %s", r.cmd.words[i+1], map[bool]string{true: "is in rows", false: "is in none"}[slices.Contains(resp.Tags, tag)])
	}
	return nil
}
