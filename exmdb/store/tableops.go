package store

import (
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/query"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"
)

// tableHandlers are the ops on tables.
func (s *Store) tableHandlers() []Handler {
	onTable := may(in("Table", toRead))
	return []Handler{
		read(s, exmdb.OpTableRows, onTable, tableRows),
		read(s, exmdb.OpTableSeek, onTable, tableSeek),
		read(s, exmdb.OpTableFind, onTable, tableFind),
		read(s, exmdb.OpTableChanges, onTable, tableChanges),
		read(s, exmdb.OpTableColumns, onTable, tableColumns),
		write(s, exmdb.OpSetSearchCriteria, may(in("Folder", toOwn)), setSearchCriteria),
		read(s, exmdb.OpSearchCriteria, may(in("Folder", toSee)), searchCriteria),
		read(s, exmdb.OpNarrow, may(in("Folder", toRead)), narrow),
		write(s, exmdb.OpKeepOrder, onTable, keepOrder),
	}
}

// onTable refuses a caller who may not read a table: of messages and what is in them he needs g, of soft-deleted ones what
// recovers them, of the rest that he sees the folder.
func (v *view) onTable(s *exmdb.TableSpec, g grant) error {
	switch s.Kind {
	case exmdb.TableContents, exmdb.TableAssociated:
		if s.Object.Deleted {
			return orElse(v.onShelved(s.Object.Folder), v.inFolder(s.Object.Folder, g))
		}
		return v.inFolder(s.Object.Folder, g)
	case exmdb.TableDeleted, exmdb.TableDeletedAssociated:
		return v.inFolder(s.Object.Folder, toDelete)
	case exmdb.TableDeletedFolders:
		return v.onDeletedFolders(s.Object.Folder)
	case exmdb.TableAttachments, exmdb.TableRecipients:
		if s.Object.Deleted {
			return v.onDeleted(&s.Object, g)
		}
		return v.onMessage(s.Object.Message, g)
	}
	return v.inFolder(s.Object.Folder, toSee)
}

const (
	// tableCache and tableStep are the defaults of Config.
	tableCache = 64 << 20
	tableStep  = 20 * time.Millisecond
	// budgetRows is how often the clock is looked at.
	budgetRows = 32
)

// budget ends a step of a long scan after a time, and not before it has looked at some rows.
func (v *view) budget() query.Budget {
	return budgetUntil(time.Now().Add(v.config.TableStep))
}

func budgetUntil(end time.Time) query.Budget {
	rows := 0
	return func() bool {
		rows++
		return rows%budgetRows != 0 || time.Now().Before(end)
	}
}

// newestFirst is the order of a contents table for which none is asked.
var newestFirst = mapi.SortOrderSet{Orders: []mapi.SortOrder{{Tag: mapi.PidTagMessageDeliveryTime, Direction: mapi.SortDescending}}}

// table is what a request asks about, nil while it is still being made; the state then says how far it is.
func (v *view) table(req *exmdb.TableRequest) (*query.Asked, exmdb.TableState, error) {
	state := exmdb.TableState{Sequence: v.r.Sequence()}
	order := mapi.SortOrderSet{}
	if req.Spec.Kind == exmdb.TableContents {
		order = newestFirst
	}
	src, err := v.source(&req.Spec)
	if err != nil {
		return nil, state, err
	}
	search, searched := src.(*searchSource)
	asked := &req.Spec
	if searched {
		asked = search.within(asked)
	}
	spec, err := query.Compile(asked, order)
	if err != nil {
		return nil, state, err
	}
	narrowSource(src, asked, spec)
	a := &query.Asked{Source: src, Spec: spec, Budget: v.budget(), Sequence: state.Sequence}
	if err := a.Want(req); err != nil {
		return nil, state, err
	}
	var done int
	if a.Table, done, err = v.shown(&req.Spec, spec, src, a.Budget); err != nil {
		return nil, state, err
	}
	if a.Table == nil {
		state.Stamp, state.Working, state.Done, state.Of = src.Stamp(), true, uint32(done), uint32(src.Len())
		return nil, state, nil
	}
	if searched {
		a.Source, err = search.feed()
	}
	if err == nil {
		a.Keep, err = v.wantsKept(spec, src)
	}
	return a, state, err
}

// narrowSource lets a source scan only what may pass the restriction, where the full-text index knows that. Rows that are
// counted have to be looked at in any case.
func narrowSource(src query.Source, asked *exmdb.TableSpec, s *query.Spec) {
	if len(asked.Restriction) == 0 || s.Counts() {
		return
	}
	r, err := oxcdata.ParseRestriction(asked.Restriction)
	if err != nil {
		return // query.Compile has said so
	}
	switch src := src.(type) {
	case *messageSource:
		src.text = restrictionText(r)
	case *searchSource:
		for _, part := range src.at {
			part.text = restrictionText(r)
		}
	}
}

// shown is the table of a specification: as it is indexed, out of the cache, or made at once where rows are few.
func (v *view) shown(of *exmdb.TableSpec, s *query.Spec, src query.Source, budget query.Budget) (query.Table, int, error) {
	if m, is := src.(*messageSource); is {
		descending, only := s.Orders(mapi.PidTagMessageDeliveryTime)
		if only && !m.associated && !v.confined[m.fid] {
			return &timeTable{messageSource: m, descending: descending}, 0, nil
		}
	}
	var made *query.View
	var done int
	var err error
	if key, from := v.tableKey(of, s, src); key != "" {
		made, done, err = v.tables.View(key, s, from, budget, v.keptOrder(s, src))
	} else {
		made, err = query.Build(s, src)
	}
	if made == nil || err != nil {
		return nil, done, err
	}
	return made.Shown(s), 0, nil
}

// callersOwn are properties of messages that may differ from one caller to another.
var callersOwn = map[uint16]bool{mapi.PidTagMessageFlags.ID(): true, mapi.PidTagRead.ID(): true, mapi.PidTagAccess.ID(): true}

// tableKey names the objects of a table in the cache, for this caller where what he sees is his own, and gives them as
// everybody sees them who has the key; empty if nothing says when such a table changes.
func (v *view) tableKey(of *exmdb.TableSpec, s *query.Spec, src query.Source) (string, query.Source) {
	box, at := v.mailbox(), of.Object.Folder
	key := append(box[:], byte(of.Kind))
	key = binary.BigEndian.AppendUint64(key, uint64(at))
	key = binary.BigEndian.AppendUint32(key, v.header.Epoch)
	switch src := src.(type) {
	case *messageSource:
		if src.forAll(s) {
			return string(append(key, tableOfAll)), src.shared()
		}
		return string(src.appendKey(key)), src
	case *deletedSource:
		if src.forAll(s) {
			return string(append(key, tableOfAll)), &deletedSource{src.shared()}
		}
		return string(src.appendKey(key)), src
	case *searchSource:
		return string(src.appendKey(key)), src
	case *folderSource:
		kept := v.whole && src.deleted == nil
		s.Tags(func(t mapi.Tag) { kept = kept && !moving[t] })
		if of.Depth {
			key = append(key, 1)
		}
		if kept {
			return string(key), src
		}
	}
	return "", src
}

// forAll reports whether everybody who sees all messages of the folder is shown the same rows.
func (s *messageSource) forAll(spec *query.Spec) bool {
	own := spec.Headings()
	spec.Tags(func(t mapi.Tag) { own = own || callersOwn[t.ID()] })
	return !s.confined[s.fid] && !own || s.whole && s.own == nil
}

// appendKey adds who the caller is and what he may see to what names the objects in the cache.
func (s *messageSource) appendKey(key []byte) []byte {
	if key = append(key, tableOfOne); s.own != nil {
		key[len(key)-1] = tableOfReader
	}
	key = append(key, s.as.User[:]...)
	return binary.BigEndian.AppendUint32(key, uint32(s.rights[s.fid]))
}

// Who shares a table of messages: all who see all of them, one who does not, or one whose read state is his own.
const (
	tableOfAll    = 'a'
	tableOfOne    = 'o'
	tableOfReader = 'r'
)

// answer answers a request about a table, or says how far the table is: one that was kept, and cannot be read any more, is made anew.
func answer[R any](v *view, req *exmdb.TableRequest, made func(a *query.Asked) (*R, error), working func(exmdb.TableState) *R) (*R, error) {
	a, state, err := v.table(req)
	if a != nil {
		resp, err := made(a)
		if !errors.Is(err, query.ErrNotKept) {
			return resp, err
		}
		state.Stamp, state.Working, state.Of = a.Source.Stamp(), true, uint32(a.Source.Len())
	}
	return working(state), err
}

// tableRows is OpTableRows.
func tableRows(v *view, req *exmdb.TableRowsRequest) (*exmdb.TableRowsResponse, error) {
	return answer(v, &req.Table, func(a *query.Asked) (*exmdb.TableRowsResponse, error) { return a.Rows(req) },
		func(state exmdb.TableState) *exmdb.TableRowsResponse { return &exmdb.TableRowsResponse{State: state} })
}

// tableSeek is OpTableSeek.
func tableSeek(v *view, req *exmdb.TableSeekRequest) (*exmdb.TableSeekResponse, error) {
	return answer(v, &req.Table, func(a *query.Asked) (*exmdb.TableSeekResponse, error) { return a.Seek(req) },
		func(state exmdb.TableState) *exmdb.TableSeekResponse { return &exmdb.TableSeekResponse{State: state} })
}

// tableFind is OpTableFind.
func tableFind(v *view, req *exmdb.TableFindRequest) (*exmdb.TableFindResponse, error) {
	return answer(v, &req.Table, func(a *query.Asked) (*exmdb.TableFindResponse, error) { return a.Find(req) },
		func(state exmdb.TableState) *exmdb.TableFindResponse {
			state.Resume = slices.Clone(req.Table.Resume)
			return &exmdb.TableFindResponse{State: state}
		})
}

// tableChanges is OpTableChanges.
func tableChanges(v *view, req *exmdb.TableChangesRequest) (*exmdb.TableChangesResponse, error) {
	return answer(v, &req.Table, func(a *query.Asked) (*exmdb.TableChangesResponse, error) { return a.Changes(req) },
		func(state exmdb.TableState) *exmdb.TableChangesResponse {
			return &exmdb.TableChangesResponse{State: state}
		})
}

// columnRows is how many rows are looked at to learn which properties there are.
const columnRows = 100

// tableColumns is OpTableColumns: what the first rows have.
func tableColumns(v *view, req *exmdb.TableColumnsRequest) (*exmdb.TableColumnsResponse, error) {
	src, err := v.source(&req.Table.Spec)
	if err != nil {
		return nil, err
	}
	tags, left := make(map[mapi.Tag]bool), columnRows
	err = src.Scan(query.Mark{}, func(r query.Row, _ query.Mark) (bool, error) {
		if r == nil {
			return true, nil
		}
		bag, err := r.(*tableRow).some(nil)
		if err != nil {
			return false, err
		}
		for _, p := range bag.All() {
			tags[p.Tag] = true
		}
		left--
		return left > 0, nil
	})
	resp := &exmdb.TableColumnsResponse{State: exmdb.TableState{Stamp: src.Stamp(), Sequence: v.r.Sequence()}}
	for t := range tags {
		resp.Tags = append(resp.Tags, t)
	}
	slices.Sort(resp.Tags)
	return resp, err
}
