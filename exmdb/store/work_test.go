package store

import (
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// expunge removes messages of a folder, those with \Deleted or all, and says in how many steps.
func (b *box) expunge(fid mapi.FID, all bool) (steps int) {
	b.t.Helper()
	for q := (&exmdb.ExpungeRequest{Folder: fid, All: all}); ; {
		r := call(b, exmdb.OpExpunge, q)
		if steps++; r.Next == 0 {
			return steps
		}
		q.UIDs = []exmdb.UIDRange{{First: r.Next, Last: schema.EndOfUIDs - 1}}
	}
}

// heavy is a mail in many pieces.
func heavy(seed, pieces int) exmdb.NewMessage {
	m := exmdb.NewMessage{Recipe: exmdb.Recipe{Segments: []exmdb.Segment{{Raw: []byte("Subject: x\r\n\r\n")}}}}
	for i := range pieces {
		b := fmt.Appendf(nil, "piece %d of mail %d", i, seed)
		m.Inline = append(m.Inline, b)
		m.Recipe.Segments = append(m.Recipe.Segments, exmdb.Segment{Octets: uint64(len(b)),
			Chunks: []exmdb.ChunkRef{{Hash: sha256.Sum256(b), Size: uint32(len(b))}}})
	}
	return m
}

// measured runs a step and returns how far beyond its bounds it went.
func (b *box) measured(step func(t *tx) error) (beyond int) {
	b.t.Helper()
	b.update(func(t *tx) error {
		err := step(t)
		beyond = -t.measure(bounds{}).keys
		return err
	})
	return beyond
}

// TestStepsAreBoundedByWork: whatever deletes many messages ends a step by what it has read and written, not by their
// number alone: mail in a hundred pieces goes in many more steps than mail in one, and none is longer than the bounds and one
// message more.
func TestStepsAreBoundedByWork(t *testing.T) {
	const mails, pieces = 100, 100
	least := mails * pieces * 2 / toDestroy.keys // a piece takes at least one read and one delete
	fill := func(t *testing.T) (*box, mapi.FID) {
		b := newBox(t, 0)
		work := b.newBelow(schema.IPMSubtree, "Work")
		for i := range mails {
			call(b, exmdb.OpAppend, &exmdb.AppendRequest{Folder: work, Message: heavy(i, pieces)})
		}
		return b, work
	}
	for name, begin := range map[string]func(t *testing.T, b *box, work mapi.FID) func(*tx) (more bool, err error){
		"empty": func(_ *testing.T, _ *box, work mapi.FID) func(*tx) (bool, error) {
			req := &exmdb.EmptyFolderRequest{Folder: work, Hard: true}
			return func(t *tx) (bool, error) {
				resp, err := emptyFolder(t, req)
				if err != nil {
					return false, err
				}
				req.Cursor = resp.Cursor
				return !resp.Done, nil
			}
		},
		"age-out": func(_ *testing.T, b *box, work mapi.FID) func(*tx) (bool, error) {
			b.empty(exmdb.EmptyFolderRequest{Folder: work})
			b.now = b.now.Add(15 * 24 * time.Hour)
			return func(t *tx) (bool, error) {
				err := t.ageOut(work)
				return t.counts[work].Retained > 0, err
			}
		},
		"purge of what is deleted": func(_ *testing.T, b *box, work mapi.FID) func(*tx) (bool, error) {
			b.empty(exmdb.EmptyFolderRequest{Folder: work})
			return func(t *tx) (bool, error) {
				resp, err := t.purgeAllDeleted(work)
				if err != nil {
					return false, err
				}
				return resp.More, nil
			}
		},
		"purge of a folder": func(t *testing.T, b *box, work mapi.FID) func(*tx) (bool, error) {
			first := b.measured(func(t *tx) error {
				_, err := deleteFolder(t, &exmdb.DeleteFolderRequest{Folder: work, Hard: true})
				return err
			})
			if first > 3*pieces {
				t.Errorf("the first step went %d keys beyond its bounds", first)
			}
			return func(t *tx) (more bool, err error) {
				err = t.purgeStep(work)
				if err == nil {
					more, err = load(t.r, schema.PurgeKey(work), &schema.Purge{})
				}
				return more, err
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, work := fill(t)
			step := begin(t, b, work)
			steps := 0
			for more := true; more; steps++ {
				if beyond := b.measured(func(t *tx) (err error) { more, err = step(t); return err }); beyond > 3*pieces {
					t.Fatalf("step %d went %d keys beyond its bounds", steps+1, beyond)
				}
			}
			if steps < least-1 || steps > 4*least {
				t.Errorf("%d steps, want at least %d", steps, least)
			}
			b.due = dueList{}
			b.checkEmpty()
		})
	}
}

// TestExpungeLooksAtSomeRowsOnly: a step that finds nothing to expunge ends too, and says where to go on.
func TestExpungeLooksAtSomeRowsOnly(t *testing.T) {
	t.Parallel()
	b := newBox(t, 0)
	n := stepScanned + 100
	b.fill(schema.Inbox, n)
	b.flags(exmdb.FlagsAdd, exmdb.FlagDeleted, nil, mapi.UID(n))
	first := call(b, exmdb.OpExpunge, &exmdb.ExpungeRequest{Folder: schema.Inbox})
	if first.Next != stepScanned+1 || len(first.Vanished) != 0 {
		t.Fatalf("%+v", first)
	}
	if steps := b.expunge(schema.Inbox, false); steps != 2 || b.folder(schema.Inbox).Messages != uint32(n-1) {
		t.Errorf("%d steps left %d messages", steps, b.folder(schema.Inbox).Messages)
	}
}
