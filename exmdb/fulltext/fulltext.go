// Package fulltext is the full-text index of the mailboxes that have a replica on this node: which messages of a folder
// may contain a string. It knows text, fields and UIDs; it never knows how a message is stored, nor who may see it.
//
// Invariants: what is found holds every indexed message that contains the string under any of the foldings that IMAP and
// MAPI compare by, and may hold more, so whoever needs to know looks at the messages named; everything here is derived
// from what the replica applied and may be lost at any time; a folder is indexed up to a stamp that is written in one
// batch with what it stands for. docs/design/search.md says how, and what it costs. Spec: CLUSTER 5.1.
package fulltext

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/internal/lsm"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// Field is a part of a message that is searched by itself.
type Field uint8

// The fields. Numbers reach the disk of one node only, under formatVersion.
const (
	// Subject, From and To are what those header fields and the properties of that meaning say; To is Cc and Bcc too.
	Subject Field = iota
	From
	To
	// Body is what the text parts show, decoded, and the body of what is no mail.
	Body
	// Header is the other fields of the message's header, Part the headers of the parts below it.
	Header
	Part
	// Attachment is the names of attachments.
	Attachment
	fields
)

// Fields is a set of fields.
type Fields uint8

// In is the set of the fields given.
func In(list ...Field) Fields {
	var set Fields
	for _, f := range list {
		set |= 1 << f
	}
	return set
}

// Options say where an Index is.
type Options struct {
	Dir string
	// FS holds the files; nil is the operating system's. Shared is what the databases of a node have in common.
	FS     lsm.FS
	Shared *lsm.Shared
	// Failed is called once, with the error after which nothing is indexed or found any more; it must be quick.
	Failed func(err error)
}

// memTable is small: what is indexed comes in batches that a mailbox does not wait for.
const memTable = 4 << 20

// formatVersion is of keys, values and of how text becomes terms. Another one begins anew.
const formatVersion = 7

// Index is the indexes of all folders on a node. Reading may go on concurrently; writing is one caller's at a time.
type Index struct {
	db     *lsm.DB
	write  sync.Mutex
	broken atomic.Pointer[error]
	failed func(error)
	recent recent
}

// Open opens or makes an Index. One that is damaged, or of another version, is removed and begun anew.
func Open(o Options) (*Index, error) {
	if o.FS == nil {
		o.FS = lsm.OSFS()
	}
	ix, err := open(o)
	if err == nil || !errors.Is(err, lsm.ErrCorrupt) {
		return ix, err
	}
	if err := o.FS.RemoveAll(o.Dir); err != nil {
		return nil, fmt.Errorf("remove a damaged full-text index: %w", err)
	}
	return open(o)
}

// errOther marks an index that does not read as this program writes it.
var errOther = fmt.Errorf("%w: full-text index of another version", lsm.ErrCorrupt)

func open(o Options) (*Index, error) {
	ix := &Index{failed: o.Failed}
	db, err := lsm.Open(lsm.Options{Dir: o.Dir, FS: o.FS, Shared: o.Shared, DisableWAL: true, MemTableSize: memTable, StopWrites: 2,
		Events: lsm.Events{Failed: ix.fail, Corrupt: ix.fail}})
	if err != nil {
		return nil, fmt.Errorf("full-text index: %w", err)
	}
	ix.db = db
	if err := ix.begin(); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return ix, nil
}

// begin checks the version, or writes it into what is empty. An index that was found damaged says so in its place.
func (ix *Index) begin() error {
	stored, err := ix.db.Get(versionKey())
	switch {
	case err != nil:
		return err
	case stored == nil:
		return ix.putVersion(formatVersion)
	case len(stored) != 1 || stored[0] != formatVersion:
		return errOther
	}
	return nil
}

func (ix *Index) putVersion(v byte) error {
	b := ix.db.NewBatch()
	defer b.Close()
	return errors.Join(b.Set(versionKey(), []byte{v}), b.Commit(false))
}

// fail ends the use of the index; the engine calls it with its locks held.
func (ix *Index) fail(err error) {
	if ix.broken.CompareAndSwap(nil, &err) && ix.failed != nil {
		ix.failed(err)
	}
}

// Err is why the index is of no use any more, nil while it is.
func (ix *Index) Err() error {
	if err := ix.broken.Load(); err != nil {
		return fmt.Errorf("full-text index: %w", *err)
	}
	return nil
}

// noticed ends the use of the index after an error that its own data caused.
func (ix *Index) noticed(err error) error {
	if errors.Is(err, lsm.ErrCorrupt) {
		ix.fail(err)
	}
	return err
}

// damaged is the version of an index that is not to be opened again.
const damaged = 0

// ErrFailed marks the error of closing an index that had failed before.
var ErrFailed = errors.New("full-text index had failed")

// Close flushes and closes. What is read at the time must have ended. A damaged index is begun anew by the next Open.
func (ix *Index) Close() error {
	var err error
	if bad := ix.Err(); bad != nil {
		err = ErrFailed
		if ix.db.Failure() == nil && errors.Is(bad, lsm.ErrCorrupt) {
			err = errors.Join(err, ix.putVersion(damaged))
		}
	}
	return errors.Join(err, ix.db.Close())
}

// Size is what the index takes on disk, in bytes.
func (ix *Index) Size() uint64 { return ix.db.Size() }

// Flush makes what is indexed outlast the process.
func (ix *Index) Flush() error { return ix.db.Flush() }

// Mailbox names the state that a mailbox is indexed from: its space, and the replica GUID of its epoch, with which
// stamps of another past are told apart (MAILBOX 2).
type Mailbox struct {
	Space cluster.SpaceID
	Past  mapi.GUID
}

// Adopt makes the index be of the mailbox's past, forgetting what it holds of another.
func (ix *Index) Adopt(m Mailbox) error {
	ix.write.Lock()
	defer ix.write.Unlock()
	past, err := ix.db.Get(spaceKey(m.Space))
	if err != nil || string(past) == string(m.Past[:]) {
		return ix.noticed(err)
	}
	b := ix.db.NewBatch()
	defer b.Close()
	return errors.Join(forget(b, m.Space), b.Set(spaceKey(m.Space), m.Past[:]), b.Commit(false))
}

// Drop forgets a mailbox, if there is anything of it.
func (ix *Index) Drop(id cluster.SpaceID) error {
	ix.write.Lock()
	defer ix.write.Unlock()
	if past, err := ix.db.Get(spaceKey(id)); err != nil || past == nil {
		return ix.noticed(err)
	}
	b := ix.db.NewBatch()
	defer b.Close()
	return errors.Join(forget(b, id), b.Commit(false))
}

func forget(b *lsm.Batch, id cluster.SpaceID) error {
	err := b.Delete(spaceKey(id))
	for _, prefix := range []byte{prefixFolder, prefixRun, prefixTerm} {
		lo := append([]byte{prefix}, id[:]...)
		err = errors.Join(err, b.DeleteRange(lo, after(lo)))
	}
	return err
}

// DropFolder forgets a folder, which is then indexed from the beginning.
func (ix *Index) DropFolder(m Mailbox, f mapi.FID) error {
	ix.write.Lock()
	defer ix.write.Unlock()
	b := ix.db.NewBatch()
	defer b.Close()
	return errors.Join(forgetFolder(b, m.Space, f), b.Commit(false))
}

func forgetFolder(b *lsm.Batch, id cluster.SpaceID, f mapi.FID) error {
	err := b.Delete(folderKey(prefixFolder, id, f))
	for _, prefix := range []byte{prefixRun, prefixTerm} {
		lo := folderKey(prefix, id, f)
		err = errors.Join(err, b.DeleteRange(lo, after(lo)))
	}
	return err
}

// Spaces lists the mailboxes of which there is something.
func (ix *Index) Spaces() ([]cluster.SpaceID, error) {
	var list []cluster.SpaceID
	it := ix.db.NewIter([]byte{prefixSpace}, []byte{prefixSpace + 1})
	for ok := it.First(); ok; ok = it.Next() {
		list = append(list, cluster.SpaceID(it.Key()[1:]))
	}
	return list, ix.noticed(it.Close())
}

// Folders lists the folders of a mailbox of which there is something.
func (ix *Index) Folders(id cluster.SpaceID) ([]mapi.FID, error) {
	var list []mapi.FID
	lo := append([]byte{prefixFolder}, id[:]...)
	it := ix.db.NewIter(lo, after(lo))
	for ok := it.First(); ok; ok = it.Next() {
		list = append(list, folderOf(it.Key()))
	}
	return list, ix.noticed(it.Close())
}
