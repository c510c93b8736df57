package fulltext

import (
	"encoding/binary"
	"errors"
	"io"
	"maps"
	"slices"

	"github.com/flotilla-mail/flotilla/internal/lsm"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

const (
	// batchBytes is about what a batch holds in memory before it is full, batchCount the most messages in it.
	batchBytes = 4 << 20
	batchCount = 4096
	// listBytes is about what a new list takes beside its term.
	listBytes = 96
)

// Batch gathers messages of one folder until Commit writes them as one run.
type Batch struct {
	ix     *Index
	box    Mailbox
	folder mapi.FID
	record folderRecord

	lists map[string]*postings // by field and term
	size  int
	count uint64
	uid   mapi.UID
	last  mapi.UID
	split *splitter
	key   []byte // field and term at hand
}

// postings are the messages that have a term, in the order in which they came.
type postings struct{ uids []uint32 }

// Begin begins a batch on top of what is indexed of a folder.
func (ix *Index) Begin(m Mailbox, f mapi.FID) (*Batch, error) {
	b := &Batch{ix: ix, box: m, folder: f, lists: make(map[string]*postings)}
	b.split = newSplitter(b.put)
	record, _, err := ix.record(ix.db, m, f)
	b.record = record
	return b, err
}

// record reads how far a folder is indexed.
func (ix *Index) record(from lsm.Reader, m Mailbox, f mapi.FID) (r folderRecord, found bool, err error) {
	if err := ix.Err(); err != nil {
		return r, false, err
	}
	stored, err := from.Get(folderKey(prefixFolder, m.Space, f))
	if err != nil || stored == nil {
		return folderRecord{next: 1}, false, ix.noticed(err)
	}
	r, err = decodeFolder(stored)
	return r, err == nil, ix.noticed(err)
}

// Synced is the stamp up to which the folder was indexed when the batch began, Last the highest UID indexed then.
func (b *Batch) Synced() mapi.Stamp { return b.record.synced }
func (b *Batch) Last() mapi.UID     { return b.record.last }

// Wasteful reports whether more than half of what is indexed is not in the folder any more, of which so many messages are: then
// it is worth beginning anew. What is indexed anew is not, whatever left before.
func (b *Batch) Wasteful(present uint64) bool {
	gone := b.record.added - min(b.record.added, present)
	return gone > wasteful && gone > b.record.added/2
}

// wasteful is how many messages may have left whatever the folder's size.
const wasteful = 1000

// Full reports whether the batch is to be committed before more is added.
func (b *Batch) Full() bool { return b.size >= batchBytes || b.count >= batchCount }

// Message says of which message the text is that follows.
func (b *Batch) Message(uid mapi.UID) {
	b.uid, b.last = uid, max(b.last, uid)
	b.count++
}

// Text adds text of a field of the message.
func (b *Batch) Text(f Field, text string) {
	b.key = append(b.key[:0], byte(f))
	_, _ = io.WriteString(writer{b.split}, text) // never fails
	b.split.end()
}

// writer lends a splitter the form that io.WriteString wants.
type writer struct{ *splitter }

// WriteString implements io.StringWriter without a copy of the whole.
func (w writer) WriteString(text string) (int, error) {
	var buf [512]byte
	for rest := text; rest != ""; {
		n := copy(buf[:], rest)
		_, _ = w.Write(buf[:n]) // never fails
		rest = rest[n:]
	}
	return len(text), nil
}

// Copy adds text of a field from r, as far as most bytes; of what is longer it notes that there is more.
func (b *Batch) Copy(f Field, r io.Reader, most int64) error {
	b.key = append(b.key[:0], byte(f))
	n, err := io.Copy(b.split, io.LimitReader(r, most))
	b.split.end()
	if n == most {
		b.Partial(f)
	}
	return err
}

// Partial notes that a field has text that is not indexed: the message is found whatever is searched for there.
func (b *Batch) Partial(f Field) {
	b.key = append(b.key[:0], byte(f))
	b.put([]byte(partial))
}

// put adds a term of the field that key begins with.
func (b *Batch) put(term []byte) {
	b.key = append(b.key[:1], term...)
	uid := uint32(b.uid)
	list := b.lists[string(b.key)]
	if list == nil {
		list = new(postings)
		b.lists[string(b.key)] = list
		b.size += len(b.key) + listBytes
	}
	if n := len(list.uids); n > 0 && list.uids[n-1] == uid {
		return
	}
	list.uids = append(list.uids, uid)
	b.size += uidLen
}

// Commit writes the batch: what it holds and that the folder is indexed up to a stamp.
func (b *Batch) Commit(synced mapi.Stamp) error {
	b.ix.write.Lock()
	defer b.ix.write.Unlock()
	r := &b.record
	batch := b.ix.db.NewBatch()
	defer batch.Close()
	var err error
	if b.count > 0 {
		err = b.write(batch, r.next)
		r.next++
	}
	r.synced, r.last, r.added = synced, max(r.last, b.last), r.added+b.count
	return errors.Join(err, batch.Set(folderKey(prefixFolder, b.box.Space, b.folder), r.encode()), batch.Commit(false))
}

func (b *Batch) write(batch *lsm.Batch, number uint64) error {
	err := batch.Set(runKey(prefixRun, b.box.Space, b.folder, number), binary.AppendUvarint(nil, b.count))
	w := newBlockWriter(batch, runKey(prefixTerm, b.box.Space, b.folder, number))
	for _, term := range slices.Sorted(maps.Keys(b.lists)) {
		err = orElse(err, w.put([]byte(term), b.lists[term].uids))
	}
	return orElse(err, w.flush())
}
