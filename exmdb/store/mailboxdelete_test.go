package store

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// TestDeletedMailbox: with the first step nobody has anything of it; what it holds is let go a step at a time, asked for or by
// itself; what was to be done or sent does nothing more.
func TestDeletedMailbox(t *testing.T) {
	for name, asked := range map[string]bool{"asked for": true, "by itself": false} {
		t.Run(name, func(t *testing.T) {
			b := newBox(t, 0)
			later := b.written(mapi.PidTagDeferredSendTime, mapi.FileTimeOf(b.now.Add(time.Hour)))
			b.submit(later)
			b.submit(b.written())
			going := b.outgoing()[0]
			contents := stepContent + 5
			b.update(func(tx *tx) error {
				for i := range contents {
					h := tx.w.PutContent(fmt.Appendf(nil, "content %d", i))
					tx.w.Set(schema.ContentKey(h), []byte{1 + byte(i%2)})
				}
				return nil
			})
			r := call(b, exmdb.OpDeleteMailbox, &exmdb.Empty{})
			if r.Done {
				t.Error("all was let go in one step")
			}
			refused(b, exmdb.OpMailboxInfo, &exmdb.Empty{}, exmdb.KindNoMailbox)
			refused(b, exmdb.OpDeliver, &exmdb.DeliverRequest{Message: text("x")}, exmdb.KindNoMailbox)
			refused(b, exmdb.OpCreateMailbox, &exmdb.CreateMailboxRequest{Kind: exmdb.MailboxUser}, cluster.KindExists)
			if !call(b, exmdb.OpOutgoing, &exmdb.OutgoingRequest{Number: 1}).Gone || going.Gone {
				t.Error("something still goes out")
			}
			call(b, exmdb.OpFinishOutgoing, &exmdb.OutgoingRequest{Number: 1})
			if !asked {
				b.work()
			} else if r = call(b, exmdb.OpDeleteMailbox, &exmdb.Empty{}); !r.Done {
				t.Error("two steps were not enough")
			}
			b.now = b.now.Add(2 * time.Hour)
			b.work() // nothing of what was left is an error
			b.holdsNothing(contents)
			if r = call(b, exmdb.OpDeleteMailbox, &exmdb.Empty{}); !r.Done {
				t.Error("said again, it is not done any more")
			}
		})
	}
}

// holdsNothing: there is nothing but the header, and no content.
func (b *box) holdsNothing(contents int) {
	b.t.Helper()
	err := b.rep.View(b.t.Context(), b.id, space.ReadLease, func(r space.Reader) error {
		it := r.Iter([]byte{0}, []byte{schema.EndOfPrefixes})
		for it.Next() {
			if !bytes.Equal(it.Key(), schema.HeaderKey()) {
				b.t.Errorf("%x is left", it.Key())
			}
		}
		return it.Close()
	})
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.rep.Collect(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
	for i := range contents {
		h := space.HashOf(fmt.Appendf(nil, "content %d", i))
		err := b.rep.View(b.t.Context(), b.id, space.ReadLease, func(r space.Reader) error {
			if _, err := r.Content(h); err == nil {
				b.t.Errorf("content %d is still there", i)
			}
			return nil
		})
		if err != nil {
			b.t.Fatal(err)
		}
	}
}
