// Package store holds the ops of a mailbox as functions over a transaction.
//
// It knows records and what an op makes of them: who gets which UID, MID and stamp, what is counted, what vanishes. It
// never knows groups, nodes or protocols, does no I/O beside its space, and keeps nothing between two ops. Invariants:
// every number is drawn in the transaction that uses it; counts equal what a recount would give; the bytes under one
// UID never change; a stamp moves only when MAILBOX 2 says so.
package store

import (
	"fmt"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// Handler is an op as it runs: one of Write and Read is set.
type Handler struct {
	exmdb.OpInfo
	// Run computes a write's effect; View answers a read. req and the answer are coded by internal/wire.
	Run  func(w space.Writer, as *exmdb.Identity, req []byte) ([]byte, error)
	View func(r space.Reader, as *exmdb.Identity, req []byte) ([]byte, error)
}

// Handlers is the table of ops that read or write a mailbox's space.
func Handlers() []Handler {
	return []Handler{
		write(exmdb.OpCreateMailbox, createMailbox),
		read(exmdb.OpMailboxInfo, mailboxInfo),
		write(exmdb.OpSetQuota, setQuota),
		read(exmdb.OpListFolders, listFolders),
		read(exmdb.OpFolder, oneFolder),
		write(exmdb.OpCreateFolder, createFolder),
		write(exmdb.OpMoveFolder, moveFolder),
		write(exmdb.OpDeleteFolder, deleteFolder),
		write(exmdb.OpSubscribe, subscribe),
		write(exmdb.OpDeliver, deliver),
		write(exmdb.OpAppend, appendMessage),
		read(exmdb.OpRows, rows),
		read(exmdb.OpUIDs, uids),
		read(exmdb.OpReadBytes, readBytes),
		write(exmdb.OpSetFlags, setFlags),
		write(exmdb.OpCopy, copyMessages),
		write(exmdb.OpMove, moveMessages),
		write(exmdb.OpExpunge, expunge),
		read(exmdb.OpChanges, changes),
	}
}

func write[Q, R any](op exmdb.Op[Q, R], fn func(*tx, *Q) (*R, error)) Handler {
	return Handler{OpInfo: op.OpInfo, Run: func(w space.Writer, as *exmdb.Identity, req []byte) ([]byte, error) {
		q := new(Q)
		if err := decode(op.OpInfo, req, q); err != nil {
			return nil, err
		}
		t := &tx{view: view{r: w, as: as}, w: w, counts: make(map[mapi.FID]*schema.FolderCounts)}
		if err := t.open(op.ID == exmdb.OpCreateMailbox.ID); err != nil {
			return nil, err
		}
		resp, err := fn(t, q)
		if err != nil {
			return nil, err
		}
		t.flush()
		return wire.Marshal(resp), nil
	}}
}

func read[Q, R any](op exmdb.Op[Q, R], fn func(*view, *Q) (*R, error)) Handler {
	return Handler{OpInfo: op.OpInfo, View: func(r space.Reader, as *exmdb.Identity, req []byte) ([]byte, error) {
		q := new(Q)
		if err := decode(op.OpInfo, req, q); err != nil {
			return nil, err
		}
		v := &view{r: r, as: as}
		if err := v.open(false); err != nil {
			return nil, err
		}
		resp, err := fn(v, q)
		if err != nil {
			return nil, err
		}
		return wire.Marshal(resp), nil
	}}
}

func decode(op exmdb.OpInfo, req []byte, q any) error {
	if err := wire.Unmarshal(req, q); err != nil {
		return cluster.Errorf(cluster.KindBadRequest, "request of %s: %v", op.Name, err)
	}
	return nil
}

// view is a mailbox being read by someone.
type view struct {
	r        space.Reader
	as       *exmdb.Identity
	header   schema.Header
	counters schema.Counters
}

// open reads what every op needs. Only creation finds a mailbox without a header.
func (v *view) open(creating bool) error {
	if err := mayUse(v.as); err != nil {
		return err
	}
	ok, err := get(v.r, schema.HeaderKey(), &v.header)
	if err != nil {
		return err
	}
	if ok == creating {
		if creating {
			return cluster.Errorf(exmdb.KindMailboxExists, "the mailbox exists")
		}
		return cluster.Errorf(exmdb.KindNoMailbox, "no such mailbox")
	}
	_, err = get(v.r, schema.CountersKey(), &v.counters)
	return err
}

// get reads a record; ok is false when it is absent.
func get(r space.Reader, key []byte, into any) (ok bool, err error) {
	b, err := r.Get(key)
	if err != nil || b == nil {
		return false, err
	}
	return true, schema.Decode(b, into)
}

// folder reads a folder's record and counts.
func (v *view) folder(f mapi.FID) (*schema.Folder, *schema.FolderCounts, error) {
	rec, counts := new(schema.Folder), new(schema.FolderCounts)
	ok, err := get(v.r, schema.FolderKey(f), rec)
	if err != nil {
		return nil, nil, err
	}
	if !ok || f.Replica() != mapi.LocalReplica {
		return nil, nil, cluster.Errorf(exmdb.KindNoFolder, "no folder %#x", uint64(f))
	}
	ok, err = get(v.r, schema.FolderCountsKey(f), counts)
	if err == nil && !ok {
		err = fmt.Errorf("folder %#x has no counts: %w", uint64(f), schema.ErrBadRecord)
	}
	return rec, counts, err
}

// row reads one message's row.
func (v *view) row(f mapi.FID, uid mapi.UID) (*schema.Row, error) {
	row := new(schema.Row)
	ok, err := get(v.r, schema.RowKey(f, uint64(uid)), row)
	if err == nil && !ok {
		err = cluster.Errorf(exmdb.KindNoMessage, "no message with UID %d in folder %#x", uid, uint64(f))
	}
	return row, err
}

// tx is a mailbox being changed. Counters and folder counts are read once, changed in memory, and written by flush.
type tx struct {
	view
	w        space.Writer
	counts   map[mapi.FID]*schema.FolderCounts
	keywords *keywords
}

// flush writes what the op moved.
func (t *tx) flush() {
	t.w.Set(schema.CountersKey(), wire.Marshal(&t.counters))
	for f, c := range t.counts {
		t.w.Set(schema.FolderCountsKey(f), wire.Marshal(c))
	}
}

// countsOf is a folder's counts, to be changed.
func (t *tx) countsOf(f mapi.FID) (*schema.FolderCounts, error) {
	if c := t.counts[f]; c != nil {
		return c, nil
	}
	_, c, err := t.folder(f)
	if err == nil {
		t.counts[f] = c
	}
	return c, err
}

// draw gives out n values of the mailbox's one counter and returns the first.
func (t *tx) draw(n uint64) mapi.GlobalCounter {
	first := t.counters.Global + 1
	t.counters.Global += mapi.GlobalCounter(n)
	return first
}

// stamp gives out the next stamp.
func (t *tx) stamp() mapi.Stamp {
	t.counters.Stamp = mapi.Stamp(t.draw(1))
	return t.counters.Stamp
}

// mayUse is the seam of folder rights: until they are kept, the owner and the system may do everything and others
// nothing.
func mayUse(as *exmdb.Identity) error {
	if as.Privileges&(exmdb.PrivilegeSystem|exmdb.PrivilegeOwner) == 0 {
		return cluster.Errorf(exmdb.KindAccessDenied, "the mailbox is another's")
	}
	return nil
}
