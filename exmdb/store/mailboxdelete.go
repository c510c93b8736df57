package store

import (
	"bytes"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// A mailbox is deleted for good: its header says so from the first step on, and nothing else in it is there for anybody. Then
// its content is let go in bounded steps, and its records as one range. What was scheduled or meant to go out finds that there
// is nothing to do. Then the space is taken out of the map and dropped; its id is never used again.

// DuePurgeMailbox is the work at a time that goes on with the deletion of a mailbox. It has no key. The number is on disk.
const DuePurgeMailbox uint16 = 7

// DueDropMailbox is the work at a time that takes the space of a deleted mailbox out of its group. It is none of the store's:
// it ends with the space, this work included. It has no key. The number is on disk.
const DueDropMailbox uint16 = 8

// stepContent bounds the content that one step lets go: where it is applied, each is a look-up and two writes, as much as the step of
// any other deletion does with a hundred messages.
const stepContent = 500

// deletion is the op that meets deleted mailboxes too.
func (s *Store) deletion() Handler {
	op := exmdb.OpDeleteMailbox.OpInfo
	return Handler{OpInfo: op, access: rightAdminister.access(), Run: func(w space.Writer, as *exmdb.Identity, b []byte) ([]byte, error) {
		if err := decode(b, &exmdb.Empty{}); err != nil {
			return nil, err
		}
		v := view{r: w, as: as, config: s.config}
		if err := v.hold(rightAdminister); err != nil {
			return nil, err
		}
		done, err := purgeMailbox(w)
		if err != nil {
			return nil, opError(op, err)
		}
		return wire.Marshal(&exmdb.DeleteMailboxResponse{Done: done}), nil
	}}
}

// purgeMailbox is one step. What is left is scheduled, so it ends even if nobody asks again.
func purgeMailbox(w space.Writer) (done bool, err error) {
	var h schema.Header
	found, err := load(w, schema.HeaderKey(), &h)
	if err != nil {
		return false, err
	}
	if !found {
		return false, cluster.Errorf(exmdb.KindNoMailbox, "mailbox does not exist")
	}
	if h.Deleted.IsZero() {
		h.Deleted, h.Quota, h.QuotaWarn, h.QuotaSend = w.Now(), 0, 0, 0
		w.Set(schema.HeaderKey(), wire.Marshal(&h))
	}
	more, err := letContentGo(w)
	if err != nil || more {
		if more {
			w.Schedule(space.Due{At: w.Now(), Op: DuePurgeMailbox})
		}
		return false, err
	}
	w.DeleteRange([]byte{schema.PrefixHeader + 1}, []byte{schema.EndOfPrefixes})
	w.Schedule(space.Due{At: w.Now(), Op: DueDropMailbox})
	return true, nil
}

// Deleted reports whether a space is that of a deleted mailbox.
func Deleted(r space.Reader) (bool, error) {
	var h schema.Header
	found, err := load(r, schema.HeaderKey(), &h)
	return found && !h.Deleted.IsZero(), err
}

// letContentGo lets go of some of what the mailbox holds, however often, and reports whether there is more.
func letContentGo(w space.Writer) (more bool, err error) {
	first := schema.ContentKey(space.Hash{})
	it := w.Iter(first, []byte{schema.PrefixContent + 1})
	var held []space.Hash
	for it.Next() {
		if more = len(held) == stepContent; more {
			break
		}
		held = append(held, space.Hash(bytes.Clone(it.Key()[1:])))
	}
	if err := it.Close(); err != nil || len(held) == 0 {
		return false, err
	}
	for _, h := range held {
		w.Unref(h)
	}
	w.DeleteRange(first, append(schema.ContentKey(held[len(held)-1]), 0))
	return more, nil
}

// gone reports whether the mailbox is deleted.
func (v *view) gone() bool { return !v.header.Deleted.IsZero() }

// afterlife is a demand of an op that may come to a deleted mailbox too.
func (r right) afterlife() access { return access{right: r, afterlife: true} }

// errGone is what everybody else is told of one.
func errGone(box mapi.MailboxID) error {
	return cluster.Errorf(exmdb.KindNoMailbox, "mailbox %v is deleted", box)
}
