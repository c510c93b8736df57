package store

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/query"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"
)

// searchSource is the messages in the folders that a search folder searches. Those of a static search are among those it
// found: they had arrived when it began and have not been edited since, so that what it searches them for is as it was. It
// implements query.Source; the criteria's restriction is asked with that of the table (within).
type searchSource struct {
	*view
	criteria *schema.SearchCriteria
	// parts are the searched folders, in the order of the criteria; nil where one is gone or not for the caller.
	parts []*messageSource
	at    map[mapi.FID]*messageSource
	// print tells the parts and how the caller sees them from others; own says that read state is his own.
	print [sha256.Size]byte
	own   bool
}

func (v *view) searchSource(fid mapi.FID) (query.Source, error) {
	f, err := v.folder(fid)
	if err != nil {
		return nil, err
	}
	if f.Criteria == nil {
		return newFixedSource(f.CN, nil), nil
	}
	s := &searchSource{view: v, criteria: f.Criteria, at: make(map[mapi.FID]*messageSource)}
	searched, err := v.searchedFolders(f.Criteria)
	if err != nil {
		return nil, err
	}
	var facts []byte
	for counter := range searched.Each {
		fid := mapi.LocalFID(mapi.GlobalCounter(counter))
		part, err := s.part(fid)
		if err != nil {
			return nil, err
		}
		if s.parts = append(s.parts, part); part == nil {
			continue
		}
		s.at[fid], s.own = part, s.own || part.own != nil
		facts = binary.BigEndian.AppendUint64(facts, counter)
		facts = binary.BigEndian.AppendUint32(facts, uint32(v.rights[fid]))
	}
	s.print = sha256.Sum256(facts)
	return s, nil
}

// part is a searched folder, nil if there is nothing of it for the caller.
func (s *searchSource) part(fid mapi.FID) (*messageSource, error) {
	c, err := s.folderCounts(fid)
	if err == nil {
		err = s.inFolder(fid, toRead)
	}
	if kind := cluster.KindOf(err); err != nil && (kind == exmdb.KindNoFolder || kind == exmdb.KindAccessDenied) {
		return nil, nil
	}
	if err != nil || c.Search {
		return nil, err
	}
	return s.messageSource(fid, false, c)
}

// within is the specification of a table with the criteria's restriction in front of its own. One that is malformed is
// left as it is, to be refused as everywhere.
func (s *searchSource) within(spec *exmdb.TableSpec) *exmdb.TableSpec {
	out := *spec
	if out.Restriction = s.criteria.Restriction; len(spec.Restriction) == 0 {
		return &out
	}
	criteria, err := oxcdata.ParseRestriction(s.criteria.Restriction)
	own, err2 := oxcdata.ParseRestriction(spec.Restriction)
	if orElse(err, err2) != nil {
		return spec
	}
	out.Restriction = oxcdata.AppendRestriction(nil, mapi.AndRestriction{criteria, own})
	return &out
}

// appendKey adds what names the objects in the cache of views, for this caller where what he sees is his own.
func (s *searchSource) appendKey(key []byte) []byte {
	key = binary.BigEndian.AppendUint64(key, uint64(s.criteria.Stamp))
	key = append(key, s.print[:]...)
	if s.criteria.Dynamic {
		key = append(key, searchOfNow)
	}
	if s.whole && !s.own {
		return append(key, tableOfAll)
	}
	return append(append(key, tableOfOne), s.as.User[:]...)
}

// searchOfNow marks the key of a dynamic search.
const searchOfNow = 'd'

// among reports whether a message may have been found.
func (s *searchSource) among(row *schema.Row) bool {
	return s.criteria.Dynamic || row.CN <= s.criteria.Stamp
}

// Stamp implements query.Source.
func (s *searchSource) Stamp() mapi.Stamp {
	newest := s.criteria.Stamp
	for _, part := range s.at {
		newest = max(newest, part.Stamp())
	}
	return newest
}

// Len implements query.Source.
func (s *searchSource) Len() int {
	n := 0
	for _, part := range s.at {
		n += part.Len()
	}
	return n
}

// Scan implements query.Source; its marks count the parts, which the criteria name in the same order in every state, and the
// UIDs in each.
func (s *searchSource) Scan(from query.Mark, fn func(query.Row, query.Mark) (bool, error)) error {
	more := true
	for i := int(from.Major); i < len(s.parts) && more; i++ {
		at := query.Mark{Minor: from.Minor}
		if from = (query.Mark{}); s.parts[i] == nil {
			continue
		}
		err := s.parts[i].Scan(at, func(r query.Row, next query.Mark) (_ bool, err error) {
			if !s.among(&r.(*tableRow).shown.(*shownMessage).m.row) {
				r = nil
			}
			more, err = fn(r, query.Mark{Major: uint64(i), Minor: next.Minor})
			return more, err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// searchTouched is up to how many objects are looked at again one by one: what moves more is better served by a new table.
const searchTouched = 20_000

// Since implements query.Source: what was touched in all folders, put in order.
func (s *searchSource) Since(after mapi.Stamp, fn func(query.Touched) (bool, error)) error {
	var all []query.Touched
	for _, part := range s.at {
		err := part.Since(after, func(t query.Touched) (bool, error) {
			if len(all) == searchTouched {
				return false, query.ErrForgotten
			}
			all = append(all, query.Touched{Stamp: t.Stamp, ID: t.ID})
			return true, nil
		})
		if err != nil {
			return err
		}
	}
	slices.SortFunc(all, func(a, b query.Touched) int { return cmp.Or(cmp.Compare(a.Stamp, b.Stamp), cmp.Compare(a.ID, b.ID)) })
	for _, t := range all {
		var err error
		if t.Row, err = s.Row(t.ID); err != nil {
			return err
		}
		if more, err := fn(t); err != nil || !more {
			return err
		}
	}
	return nil
}

// Row implements query.Source.
func (s *searchSource) Row(id uint64) (query.Row, error) {
	fid, m, err := s.findRow(id)
	if err != nil || m == nil {
		return nil, err
	}
	if s.at[fid] == nil || m.associated() || !s.among(&m.row) || !s.shows(fid, &m.row) {
		return nil, nil
	}
	return s.messageRow(fid, m), nil
}

// searchFeed is what a client is told of a search folder's table: unlike the source it is moved by whatever happens to
// folders, since one that is searched may have gone.
type searchFeed struct {
	*searchSource
	folders mapi.Stamp
}

func (s *searchSource) feed() (*searchFeed, error) {
	at, err := s.hierarchyStamp()
	return &searchFeed{s, at}, err
}

// Stamp implements query.Source.
func (s *searchFeed) Stamp() mapi.Stamp { return max(s.searchSource.Stamp(), s.folders) }

// Since implements query.Source.
func (s *searchFeed) Since(after mapi.Stamp, fn func(query.Touched) (bool, error)) error {
	if after < s.folders {
		return query.ErrForgotten
	}
	return s.searchSource.Since(after, fn)
}
