package store

import (
	"slices"
	"strings"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// setFlags changes flags of any number of messages in one effect (MAILBOX 4).
func setFlags(t *tx, q *exmdb.SetFlagsRequest) (*exmdb.SetFlagsResponse, error) {
	if q.Mode < exmdb.FlagsReplace || q.Mode > exmdb.FlagsRemove {
		return nil, cluster.Errorf(cluster.KindBadRequest, "flag mode %d", q.Mode)
	}
	counts, err := t.countsOf(q.Folder)
	if err != nil {
		return nil, err
	}
	ids, err := t.flagKeywords(q)
	if err != nil {
		return nil, err
	}
	resp := &exmdb.SetFlagsResponse{}
	_, err = t.eachRow(q.Folder, q.UIDs, 0, func(uid mapi.UID, row *schema.Row) error {
		if q.Conditional && row.ModSeq > q.UnchangedSince {
			resp.Modified = addUID(resp.Modified, uid)
			return nil
		}
		bits, keywords := wanted(row, q, ids)
		if bits == row.Bits && slices.Equal(keywords, row.Keywords) {
			return nil
		}
		s := t.restamp(q.Folder, uid, counts, row, bits, keywords)
		if resp.Changed++; resp.First == 0 {
			resp.First = s
		}
		resp.Last = s
		return nil
	})
	return resp, err
}

// flagKeywords finds the ids of the keywords meant; removing names that do not exist is nothing.
func (t *tx) flagKeywords(q *exmdb.SetFlagsRequest) ([]uint16, error) {
	if q.Mode == exmdb.FlagsRemove {
		return t.knownKeywords(q.Flags.Keywords)
	}
	return t.keywordIDs(q.Flags.Keywords)
}

// wanted is what bits and keywords become. \Draft of a received mail stays as it is.
func wanted(row *schema.Row, q *exmdb.SetFlagsRequest, ids []uint16) (schema.RowBits, []uint16) {
	mask := schema.RowFlagMask
	if row.Bits&schema.RowBorn == 0 {
		mask &^= schema.RowBits(exmdb.FlagDraft)
	}
	set := schema.RowBits(q.Flags.Bits) & mask
	switch q.Mode {
	case exmdb.FlagsAdd:
		return row.Bits | set, merged(row.Keywords, ids)
	case exmdb.FlagsRemove:
		return row.Bits &^ set, without(row.Keywords, ids)
	}
	return row.Bits&^mask | set, ids
}

func merged(a, b []uint16) []uint16 {
	all := append(slices.Clone(a), b...)
	slices.Sort(all)
	return slices.Compact(all)
}

func without(a, b []uint16) []uint16 {
	return slices.DeleteFunc(slices.Clone(a), func(id uint16) bool { return slices.Contains(b, id) })
}

// Flags by what they are in MAPI: \Seen moves readCN, \Deleted is a status that moves only modseq, the rest are
// properties that Outlook sees as content (MAILBOX 2, 4).
const (
	readBits   = schema.RowBits(exmdb.FlagSeen)
	statusBits = schema.RowBits(exmdb.FlagDeleted)
)

// Values of PidTagLastVerbExecuted and PidTagIconIndex (MS-OXOMSG 2.2.1.4, 2.2.1.10).
const (
	verbReply, iconReplied     = 102, 0x105
	verbForward, iconForwarded = 104, 0x106
)

// restamp writes new bits and keywords and moves the stamps that they ask for.
func (t *tx) restamp(f mapi.FID, uid mapi.UID, c *schema.FolderCounts, row *schema.Row, bits schema.RowBits, keywords []uint16) mapi.Stamp {
	changed := bits ^ row.Bits
	old := [3]mapi.Stamp{row.CN, row.ReadCN, row.ModSeq}
	s := t.stamp()
	kinds := schema.ChangeStatus
	if changed&readBits != 0 {
		row.ReadCN = s
		kinds |= schema.ChangeRead
	}
	if changed&^(readBits|statusBits) != 0 || !slices.Equal(keywords, row.Keywords) {
		row.CN, row.ChangeKey = s, nil
		kinds |= schema.ChangeContent
	}
	row.ModSeq = s
	t.count(c, row, -1)
	row.Bits, row.Keywords = bits, keywords
	setVerb(row, changed)
	t.count(c, row, 1)
	c.ContentSeq = s
	for _, o := range old {
		if o != 0 && o != row.CN && o != row.ReadCN && o != row.ModSeq {
			t.w.Delete(schema.ChangeKey(f, o))
		}
	}
	t.w.Set(schema.RowKey(f, uint64(uid)), row.AppendWire(nil))
	t.w.Set(schema.ChangeKey(f, s), wire.Marshal(&schema.Change{Kinds: kinds, UID: uid}))
	return s
}

// setVerb keeps last verb and icon in step with \Answered and $Forwarded.
func setVerb(row *schema.Row, changed schema.RowBits) {
	flags := row.Bits.Flags()
	if exmdb.FlagBits(changed)&(exmdb.FlagAnswered|exmdb.FlagForwarded) == 0 {
		return
	}
	switch {
	case exmdb.FlagBits(changed)&flags&exmdb.FlagForwarded != 0:
		row.Verb, row.Icon = verbForward, iconForwarded
	case flags&exmdb.FlagAnswered != 0:
		row.Verb, row.Icon = verbReply, iconReplied
	case flags&exmdb.FlagForwarded != 0:
		row.Verb, row.Icon = verbForward, iconForwarded
	default:
		row.Verb, row.Icon = 0, 0
	}
}

// keywords is the mailbox's name table, read once for a transaction.
type keywords struct {
	ids map[string]uint16 // by name in lower case
}

// MaxKeywords bounds the names of one mailbox; maxKeyword one name.
const (
	MaxKeywords = 1000
	maxKeyword  = 255
)

func (t *tx) keywordTable() (*keywords, error) {
	if t.keywords != nil {
		return t.keywords, nil
	}
	names, err := t.keywordNames()
	if err != nil {
		return nil, err
	}
	t.keywords = &keywords{ids: make(map[string]uint16, len(names))}
	for id, name := range names {
		t.keywords.ids[strings.ToLower(name)] = id
	}
	return t.keywords, nil
}

// keywordNames reads the table id to name.
func (v *view) keywordNames() (map[uint16]string, error) {
	names := make(map[uint16]string)
	it := v.r.Iter([]byte{schema.PrefixKeyword}, []byte{schema.PrefixKeyword + 1})
	var err error
	for err == nil && it.Next() {
		var rec schema.Keyword
		var id uint16
		if id, err = schema.ParseKeywordKey(it.Key()); err == nil {
			err = schema.Decode(it.Value(), &rec)
		}
		names[id] = rec.Name
	}
	return names, joined(err, it.Close())
}

func joined(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// keywordIDs finds or makes the ids of names, ascending.
func (t *tx) keywordIDs(names []string) ([]uint16, error) {
	var ids []uint16
	for _, name := range names {
		table, err := t.keywordTable()
		if err != nil {
			return nil, err
		}
		id, ok := table.ids[strings.ToLower(name)]
		if !ok {
			if name == "" || len(name) > maxKeyword || len(table.ids) >= MaxKeywords {
				return nil, cluster.Errorf(exmdb.KindKeywordLimit, "keyword %.40q: a mailbox takes %d names of up to %d bytes", name, MaxKeywords, maxKeyword)
			}
			t.counters.Keyword++
			id = t.counters.Keyword
			table.ids[strings.ToLower(name)] = id
			t.w.Set(schema.KeywordKey(id), wire.Marshal(&schema.Keyword{Name: name}))
		}
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

// knownKeywords finds the ids of those names that have one.
func (t *tx) knownKeywords(names []string) ([]uint16, error) {
	var ids []uint16
	for _, name := range names {
		table, err := t.keywordTable()
		if err != nil {
			return nil, err
		}
		if id, ok := table.ids[strings.ToLower(name)]; ok {
			ids = append(ids, id)
		}
	}
	return ids, nil
}
