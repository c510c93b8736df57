package archive

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// importKey is the property of an imported message that says what it was made of. Its id is one of those that a store has for
// itself and that no transport carries (MS-OXCDATA 2.9); it is on disk for ever.
const importKey = mapi.Tag(0x66F0_0000) | mapi.Tag(mapi.TypeBinary)

// key is an import key: a hash of the source's content, and which of several equal ones it is.
type key [16]byte

// place is a list of messages: the messages of a folder or its associated ones, those that there are or the soft-deleted ones.
type place struct {
	folder     mapi.FID
	associated bool
	deleted    bool
}

// object names a message of a place.
func (at place) object(mid mapi.MID) exmdb.ObjectID {
	return exmdb.ObjectID{Folder: at.folder, Message: mid, Deleted: at.deleted}
}

// mark is a key as a message of the place bears it.
func (at place) mark(mine key) []byte {
	if at.deleted {
		return append(mine[:], deletedMark)
	}
	return mine[:]
}

// keys are the import keys in a place, and how often each content has come up in this import. Of half a message only a part
// was stored before an import was cut off: its key has one byte more.
type keys struct {
	have map[key]struct{}
	seen map[key]uint32
	half map[key]mapi.MID
}

// The bytes behind a key: halfMark of a message that is not whole yet, deletedMark of one that is stored to be soft-deleted. One
// of these that is not deleted was recovered since, or the import was cut off in between; either way it is there.
const (
	halfMark    = 0
	deletedMark = 1
)

// keysPage is how many rows of a table are read at once.
const keysPage = 1000

// keyed is the import key of content that comes into a place, and whether a message there has it. A source that has the same
// mail twice has it twice in the mailbox too, whichever of them an interrupted import had brought.
func (j *job) keyed(at place, content sum) (key, bool, error) {
	k := j.known[at]
	if k == nil {
		k = &keys{have: map[key]struct{}{}, seen: map[key]uint32{}, half: map[key]mapi.MID{}}
		if err := j.readKeys(at, k); err != nil {
			return key{}, false, err
		}
		j.known[at] = k
	}
	short := key(content[:len(key{})])
	mine := nth(content, k.seen[short])
	k.seen[short]++
	_, there := k.have[mine]
	return mine, there, nil
}

// nth is the key of the one of this number among equal contents.
func nth(content sum, n uint32) key {
	full := hashOf(content[:], binary.BigEndian.AppendUint32(nil, n))
	return key(full[:len(key{})])
}

// has notes that a place has a key.
func (j *job) has(at place, mine key) { j.known[at].have[mine] = struct{}{} }

// unseen takes back that content has come up.
func (j *job) unseen(at place, content sum) { j.known[at].seen[key(content[:len(key{})])]-- }

// dropHalf deletes what an import that was cut off has of a message, which now comes whole.
func (j *job) dropHalf(at place, mine key) error {
	mid, is := j.known[at].half[mine]
	if !is {
		return nil
	}
	_, err := do(j, exmdb.OpDeleteMessages, &exmdb.DeleteMessagesRequest{Folder: at.folder, Messages: []mapi.MID{mid}, Hard: true})
	if err == nil {
		delete(j.known[at].half, mine)
	}
	return err
}

// readKeys reads the import keys of a place.
func (j *job) readKeys(at place, k *keys) error {
	err := j.rows(place{folder: at.folder, associated: at.associated}, []mapi.Tag{importKey}, func(row *exmdb.TableRow) error {
		b, _ := row.Props.Get(importKey).(mapi.Binary)
		if len(b) == len(key{})+1 && b[len(key{})] == halfMark {
			k.half[key(b[:len(key{})])] = mapi.MID(row.ID.ID)
		}
		k.note(at, b)
		return nil
	})
	if err == nil && at.deleted {
		err = j.deleted(at, []mapi.Tag{importKey}, func(m *exmdb.DeletedMessage) error {
			b, _ := m.Props.Get(importKey).(mapi.Binary)
			k.note(at, b)
			return nil
		})
	}
	if err != nil {
		return fmt.Errorf("read what was imported before: %w", err)
	}
	return nil
}

// note takes the key of a message that is whole.
func (k *keys) note(at place, b mapi.Binary) {
	if len(b) < len(key{}) {
		return
	}
	if mine := key(b[:len(key{})]); bytes.Equal(b, at.mark(mine)) {
		k.have[mine] = struct{}{}
	}
}

// deleted calls fn for each message of a place in a soft-deleted set, in order of deletion.
func (j *job) deleted(at place, tags []mapi.Tag, fn func(*exmdb.DeletedMessage) error) error {
	req := &exmdb.DeletedRequest{Folder: at.folder, Tags: tags}
	for {
		page, err := do(j, exmdb.OpDeleted, req)
		if err != nil {
			return err
		}
		for i := range page.Messages {
			m := &page.Messages[i]
			req.After, req.AfterMessage = m.At, m.State.MID
			if m.State.Associated != at.associated {
				continue
			}
			if err := fn(m); err != nil {
				return err
			}
		}
		if !page.More || len(page.Messages) == 0 {
			return nil
		}
	}
}

// rows calls fn for each message of a place, in order of delivery, the oldest first. What comes meanwhile may be seen or not.
func (j *job) rows(at place, columns []mapi.Tag, fn func(*exmdb.TableRow) error) error {
	req := &exmdb.TableRowsRequest{Count: keysPage, Backward: true, From: exmdb.TablePosition{Origin: exmdb.TableEnd},
		Table: exmdb.TableRequest{Columns: columns, Spec: exmdb.TableSpec{Kind: exmdb.TableContents, Object: exmdb.ObjectID{Folder: at.folder}}}}
	if at.associated {
		req.Table.Spec.Kind = exmdb.TableAssociated
	}
	for {
		page, err := do(j, exmdb.OpTableRows, req)
		if err != nil {
			return err
		}
		if page.State.Working {
			req.Table.Resume = page.State.Resume
			continue
		}
		if len(page.Rows) == 0 {
			return nil
		}
		for i := len(page.Rows) - 1; i >= 0; i-- {
			if err := fn(&page.Rows[i]); err != nil {
				return err
			}
		}
		req.Table.Resume = nil
		req.From = exmdb.TablePosition{Origin: exmdb.TablePlace, Place: page.Before}
	}
}

func hashOf(parts ...[]byte) sum {
	h := sha256.New()
	for _, p := range parts {
		h.Write(p)
	}
	return sum(h.Sum(nil))
}
