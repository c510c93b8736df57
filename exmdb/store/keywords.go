package store

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
)

const (
	// maxKeywords bounds the name table of a mailbox; names are kept for ever.
	maxKeywords = 1000
	// maxRowKeywords bounds the keywords of a message.
	maxRowKeywords = 100
)

// keywordTable is the name table of a mailbox (MAILBOX 4).
type keywordTable struct {
	names map[uint16]string
	ids   map[string]uint16 // by folded name
	order []string          // by id
}

func foldKeyword(name string) string { return strings.ToLower(name) }

func (v *view) keywordTable() (*keywordTable, error) {
	if v.keywords != nil {
		return v.keywords, nil
	}
	table := &keywordTable{names: make(map[uint16]string), ids: make(map[string]uint16)}
	it := v.r.Iter([]byte{schema.PrefixKeyword}, []byte{schema.PrefixKeyword + 1})
	var err error
	for it.Next() && err == nil {
		var k schema.Keyword
		var id uint16
		if id, err = schema.ParseKeywordKey(it.Key()); err == nil {
			err = schema.Decode(it.Value(), &k)
		}
		table.add(id, k.Name)
	}
	if cerr := it.Close(); err == nil {
		err = cerr
	}
	v.keywords = table
	return table, err
}

func (kt *keywordTable) add(id uint16, name string) {
	kt.names[id] = name
	kt.ids[foldKeyword(name)] = id
	kt.order = append(kt.order, name)
}

// keywordIDs gives the ids of names; removing does not make names.
func (t *tx) keywordIDs(names []string, mode exmdb.FlagMode) ([]uint16, error) {
	if mode != exmdb.FlagsRemove {
		return t.internKeywords(names)
	}
	if len(names) == 0 {
		return nil, nil
	}
	table, err := t.keywordTable()
	if err != nil {
		return nil, err
	}
	var ids []uint16
	for _, name := range names {
		if id, known := table.ids[foldKeyword(name)]; known {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

// internKeywords gives the ids of names, making those that are new.
func (t *tx) internKeywords(names []string) ([]uint16, error) {
	if len(names) == 0 {
		return nil, nil
	}
	if len(names) > maxRowKeywords {
		return nil, cluster.Errorf(exmdb.KindKeywordLimit, "%d keywords at once", len(names))
	}
	table, err := t.keywordTable()
	if err != nil {
		return nil, err
	}
	var ids []uint16
	for _, name := range names {
		id, known := table.ids[foldKeyword(name)]
		if !known {
			if id, err = t.newKeyword(table, name); err != nil {
				return nil, err
			}
		}
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

func (t *tx) newKeyword(table *keywordTable, name string) (uint16, error) {
	if name == "" || len(name) > maxKeyword || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
		return 0, cluster.Errorf(cluster.KindBadRequest, "malformed keyword of %d bytes", len(name))
	}
	if t.counters.Keyword >= maxKeywords {
		return 0, cluster.Errorf(exmdb.KindKeywordLimit, "mailbox knows %d keywords", t.counters.Keyword)
	}
	t.counters.Keyword++
	t.set(schema.KeywordKey(t.counters.Keyword), &schema.Keyword{Name: name})
	table.add(t.counters.Keyword, name)
	return t.counters.Keyword, nil
}

// keywordNames are the names of a row's keywords.
func (v *view) keywordNames(ids []uint16) ([]string, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	table, err := v.keywordTable()
	if err != nil {
		return nil, err
	}
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = table.names[id]
	}
	return names, nil
}
