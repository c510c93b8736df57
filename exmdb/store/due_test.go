package store

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// dueList is the due index of a mailbox as tests see it.
type dueList map[string]space.Due

// noting is a writer that notes what is scheduled.
type noting struct {
	space.Writer
	list  dueList
	first bool
}

func (n noting) Level() uint64 {
	if n.first {
		return 1
	}
	return n.Writer.Level()
}

// note is w for a request. What comes from another space once wants a space's own writer.
func (b *box) note(w space.Writer, req any) space.Writer {
	if _, is := req.(*exmdb.TakeInRequest); is {
		return w
	}
	if q, is := req.(*exmdb.DeliverRequest); is && q.Source != (cluster.SpaceID{}) {
		return w
	}
	return noting{w, b.due, *b.first}
}

func dueName(d space.Due) string { return fmt.Sprintf("%d %d %x", d.At.UnixNano(), d.Op, d.Key) }

func (n noting) Schedule(d space.Due) {
	n.list[dueName(d)] = d
	n.Writer.Schedule(d)
}

func (n noting) Unschedule(d space.Due) {
	delete(n.list, dueName(d))
	n.Writer.Unschedule(d)
}

// next is the earliest work that is due.
func (l dueList) next(now time.Time) (first space.Due, found bool) {
	for _, d := range l {
		if !d.At.After(now) && (!found || d.At.Before(first.At)) {
			first, found = d, true
		}
	}
	return first, found
}

// work does what is due, until nothing is, and says how many steps that took.
func (b *box) work() (steps int) {
	b.t.Helper()
	for ; steps < 10_000; steps++ {
		if !b.workOnce() {
			return steps
		}
	}
	b.t.Fatal("there is always more to do")
	return 0
}

// workOnce does one step of what is due, if anything is.
func (b *box) workOnce() bool {
	b.t.Helper()
	d, found := b.due.next(b.now)
	if !found {
		return false
	}
	delete(b.due, dueName(d))
	_, err := b.rep.Update(context.Background(), b.id, cluster.RequestID{}, func(w space.Writer) ([]byte, error) {
		return nil, New(b.config).PerformDue(noting{w, b.due, *b.first}, d)
	})
	if err != nil {
		b.t.Fatalf("work %d: %v", d.Op, err)
	}
	return true
}

// letGo lets the time of everything that was deleted pass.
func (b *box) letGo() {
	b.t.Helper()
	b.now = b.now.Add(b.config.SoftDeleted + time.Second)
	b.work()
}

// TestWorkForWhatIsGone: work that falls due for a folder that is not there any more does nothing, and a key that names
// none is damage.
func TestWorkForWhatIsGone(t *testing.T) {
	b := newBox(t, 0)
	perform := func(op uint16, key []byte) error {
		_, err := b.rep.Update(context.Background(), b.id, cluster.RequestID{}, func(w space.Writer) ([]byte, error) {
			return nil, New(steady()).PerformDue(w, space.Due{At: b.now, Op: op, Key: key})
		})
		return err
	}
	numbers := map[uint16]bool{}
	for _, work := range dueWorks {
		if numbers[work.op] {
			t.Errorf("two works have number %d", work.op)
		}
		numbers[work.op] = true
		key := schema.AppendCounter(mapi.LocalFID(0x999).Counter())
		if work.op == DueQuotaWarning {
			key = nil
		}
		if work.op == DueSend {
			key = make([]byte, 8)
		}
		if work.op == DueConversation {
			key = make([]byte, 16)
		}
		if err := perform(work.op, key); err != nil {
			t.Errorf("work %d on nothing: %v", work.op, err)
		}
		if err := perform(work.op, []byte{1}); err == nil {
			t.Errorf("work %d took a key of one byte", work.op)
		}
	}
	if cluster.KindOf(perform(9999, nil)) != cluster.KindInternal {
		t.Error("work of no number was done")
	}
}
