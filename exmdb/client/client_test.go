package client

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/ops"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// deliver puts one mail into the mailbox; a second run of it would be a second mail.
func (f *fleet) deliver(ctx context.Context) (*exmdb.DeliverResponse, error) {
	return exmdb.Do(ctx, f.Client, exmdb.System, f.box, exmdb.OpDeliver, &exmdb.DeliverRequest{Received: time.Unix(1.8e9, 0),
		Message: exmdb.NewMessage{Recipe: exmdb.Recipe{Segments: []exmdb.Segment{{Raw: []byte("Subject: once\r\n\r\n")}}}}})
}

func (f *fleet) info() *exmdb.MailboxInfo {
	f.t.Helper()
	info, err := exmdb.Do(f.within(), f.Client, f.owner, f.box, exmdb.OpMailboxInfo, &exmdb.Empty{})
	if err != nil {
		f.t.Fatal(err)
	}
	return info
}

// silent is a node that performs a call and says nothing; when has it do something in between.
func silent(performs bool, when func(node cluster.NodeID)) hook {
	return func(ctx context.Context, node cluster.NodeID, serve func() ([]byte, error)) ([]byte, error) {
		if performs {
			if _, err := serve(); err != nil {
				return nil, err
			}
		}
		when(node)
		<-ctx.Done()
		return nil, cluster.ErrUnknownOutcome
	}
}

func elects(f *fleet, next cluster.NodeID) func(cluster.NodeID) {
	return func(cluster.NodeID) { f.elect(next) }
}

func says(err error) hook {
	return func(context.Context, cluster.NodeID, func() ([]byte, error)) ([]byte, error) { return nil, err }
}

func notLeader(hint cluster.NodeID) hook {
	return says(&cluster.Error{Kind: cluster.KindNotLeader, Group: 3, Term: 7, Leader: hint})
}

// TestADeliveryHappensOnce is one write through everything that may come between its caller and the owner: it is
// stored once, and answered.
func TestADeliveryHappensOnce(t *testing.T) {
	lost := cluster.ErrUnknownOutcome
	for _, c := range []struct {
		what  string
		hooks func(*fleet) []hook
		asked int // calls over the network, at least
	}{
		{"a quiet day", func(*fleet) []hook { return nil }, 1},
		{"the owner performs it, goes silent, and another leads", func(f *fleet) []hook {
			return []hook{silent(true, elects(f, "n3"))}
		}, 2},
		{"the owner goes silent before it performs it, and another leads", func(f *fleet) []hook {
			return []hook{silent(false, elects(f, "n3"))}
		}, 2},
		{"the owner performs it, goes silent, and this node leads", func(f *fleet) []hook {
			return []hook{silent(true, elects(f, "n1"))}
		}, 1},
		{"the answer is lost, and again", func(*fleet) []hook {
			drop := func(_ context.Context, _ cluster.NodeID, serve func() ([]byte, error)) ([]byte, error) {
				_, err := serve()
				return nil, errors.Join(lost, err)
			}
			return []hook{drop, drop, drop}
		}, 4},
		{"the effect is committed under a leader that does not know it", func(f *fleet) []hook {
			f.rep.Local.Fail(space.FaultLostAnswer)
			return nil
		}, 2},
		{"the effect is lost with its leader", func(f *fleet) []hook {
			f.rep.Local.Fail(space.FaultLostEntry)
			return []hook{func(_ context.Context, _ cluster.NodeID, serve func() ([]byte, error)) ([]byte, error) {
				_, err := serve()
				f.elect("n3")
				return nil, err
			}}
		}, 2},
		{"nodes name each other as the leader", func(f *fleet) []hook {
			return []hook{notLeader("n3"), notLeader("n2"), notLeader("n3"), notLeader("n9"), says(cluster.ErrUnavailable), notLeader("")}
		}, 7},
		{"overload and no quorum for a while", func(*fleet) []hook {
			return []hook{says(cluster.ErrOverloaded), says(cluster.ErrUnavailable), says(cluster.ErrOverloaded)}
		}, 4},
	} {
		t.Run(c.what, func(t *testing.T) {
			f := newFleet(t)
			f.next(c.hooks(f)...)
			got, err := f.deliver(f.within())
			if err != nil || got.UID != 1 {
				t.Fatalf("%+v, %v", got, err)
			}
			calls := f.calls()
			for _, a := range calls {
				if a.id == ([16]byte{}) || a.id != calls[0].id || a.mode != ops.Write {
					t.Errorf("attempts of one write: %+v", calls)
				}
			}
			if len(calls) < c.asked {
				t.Errorf("%d attempts, want %d", len(calls), c.asked)
			}
			if n := f.info().Messages; n != 1 {
				t.Errorf("%d messages are stored", n)
			}
		})
	}
}

// TestTwoCallsAreTwo: what joins attempts is the request id, which each call draws for itself.
func TestTwoCallsAreTwo(t *testing.T) {
	f := newFleet(t)
	for range 2 {
		if _, err := f.deliver(f.within()); err != nil {
			t.Fatal(err)
		}
	}
	if calls := f.calls(); len(calls) != 2 || calls[0].id == calls[1].id || f.info().Messages != 2 {
		t.Errorf("%+v, %d messages", calls, f.info().Messages)
	}
}

// TestTheCallersTimeIsOver: a write that may have happened is reported as that, one that did not as not done; neither
// waits for the owner to come back.
func TestTheCallersTimeIsOver(t *testing.T) {
	f := newFleet(t)
	ctx, cancel := context.WithCancel(t.Context())
	f.next(silent(true, func(cluster.NodeID) { cancel() }))
	if _, err := f.deliver(ctx); cluster.KindOf(err) != cluster.KindUnknownOutcome {
		t.Errorf("performed and silent: %v", err)
	}
	f.rep.Local.Depose()
	ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := f.deliver(ctx)
	if kind := cluster.KindOf(err); kind != cluster.KindUnavailable && kind != cluster.KindDeadline {
		t.Errorf("nobody leads: %v", err)
	}
}

// TestRefusalsAreTheMailboxes: what the cluster says of spaces is said of mailboxes, and a refusal is not tried again.
func TestRefusalsAreTheMailboxes(t *testing.T) {
	f := newFleet(t)
	req := &exmdb.CreateMailboxRequest{Kind: exmdb.MailboxUser, Owner: f.owner.User}
	if _, err := f.CreateMailbox(f.within(), f.box, req); cluster.KindOf(err) != exmdb.KindMailboxExists || f.placed != 2 {
		t.Errorf("created twice: %v, placed %d times", err, f.placed)
	}
	before := len(f.calls())
	full := says(cluster.Errorf(exmdb.KindTooBig, "full"))
	f.next(full)
	if _, err := f.deliver(f.within()); cluster.KindOf(err) != exmdb.KindTooBig || len(f.calls()) != before+1 {
		t.Errorf("a refusal: %v after %d calls", err, len(f.calls())-before)
	}
	f.next(func(context.Context, cluster.NodeID, func() ([]byte, error)) ([]byte, error) {
		return []byte{0xff}, nil
	})
	if _, err := f.deliver(f.within()); err == nil {
		t.Error("an answer that does not decode was taken")
	}
	if err := f.rep.Drop(t.Context(), cluster.SpaceID(f.box)); err != nil {
		t.Fatal(err)
	}
	if _, err := f.deliver(f.within()); cluster.KindOf(err) != exmdb.KindNoMailbox {
		t.Errorf("a mailbox that is gone: %v", err)
	}
	if g, err := f.Locality(t.Context(), f.box); err != nil || g != 3 {
		t.Errorf("locality %d, %v", g, err)
	}
}

// TestAWatchFollowsTheOwner waits for a change under one owner that comes under the next.
func TestAWatchFollowsTheOwner(t *testing.T) {
	f := newFleet(t)
	at := f.info().Sequence
	begun := make(chan struct{})
	f.next(func(_ context.Context, _ cluster.NodeID, serve func() ([]byte, error)) ([]byte, error) {
		close(begun)
		return serve()
	})
	moved := make(chan error, 1)
	go func() {
		resp, err := exmdb.Do(f.within(), f.Client, f.owner, f.box, exmdb.OpWatch, &exmdb.WatchRequest{After: at})
		if err == nil && resp.Sequence <= at {
			err = errors.New("the watch ended without a change")
		}
		moved <- err
	}()
	<-begun
	f.elect("n3")
	if _, err := exmdb.Do(f.within(), f.Client, f.owner, f.box, exmdb.OpCreateFolder,
		&exmdb.CreateFolderRequest{Parent: schema.IPMSubtree, Name: "new"}); err != nil {
		t.Fatal(err)
	}
	if err := <-moved; err != nil {
		t.Fatal(err)
	}
}

// chunks uploads data and returns the references.
func (f *fleet) chunks(ctx context.Context, data ...[]byte) ([]exmdb.ChunkRef, error) {
	up, err := f.Upload(ctx, f.owner, f.box)
	if err != nil {
		return nil, err
	}
	var refs []exmdb.ChunkRef
	for _, d := range data {
		own := bytes.Clone(d)
		ref, err := up.Put(ctx, own)
		if err != nil {
			return nil, errors.Join(err, up.Close(ctx))
		}
		clear(own) // the caller may use the chunk again
		refs = append(refs, ref)
	}
	return refs, up.Close(ctx)
}

// TestUploadsAreSentAgain loses owners and answers under an upload: every chunk is held in the end, and each was of the
// bytes that were given.
func TestUploadsAreSentAgain(t *testing.T) {
	f := newFleet(t)
	var data [][]byte
	for i := range 12 {
		data = append(data, bytes.Repeat([]byte{byte(i), byte(i + 1)}, 1000+i))
	}
	lose := says(cluster.ErrUnknownOutcome)
	other := silent(false, func(node cluster.NodeID) {
		f.elect(map[cluster.NodeID]cluster.NodeID{"n2": "n3", "n3": "n2"}[node])
	})
	f.next(nil, lose, other, lose, notLeader(""), says(cluster.ErrOverloaded), lose)
	refs, err := f.chunks(f.within(), data...)
	if err != nil {
		t.Fatal(err)
	}
	for i, ref := range refs {
		held, err := f.rep.HasContent(ref.Hash)
		if err != nil || !held || ref.Hash != sha256.Sum256(data[i]) || int(ref.Size) != len(data[i]) {
			t.Errorf("chunk %d: held %t, %v; %+v", i, held, err, ref)
		}
	}
	for _, a := range f.calls() {
		if a.mode != ops.Serve {
			t.Errorf("a chunk went as %+v", a)
		}
	}
}

// TestUploadsHaveBounds: a window of chunks, their size, the caller's time, and what follows the first that is refused.
func TestUploadsHaveBounds(t *testing.T) {
	f := newFleet(t)
	for _, d := range [][]byte{nil, make([]byte, exmdb.MaxChunk+1)} {
		if _, err := f.chunks(f.within(), d); cluster.KindOf(err) != cluster.KindTooLarge {
			t.Errorf("a chunk of %d bytes: %v", len(d), err)
		}
	}
	hang := func(ctx context.Context, _ cluster.NodeID, _ func() ([]byte, error)) ([]byte, error) {
		<-ctx.Done()
		return nil, cluster.ErrUnknownOutcome
	}
	for range uploadWindow {
		f.next(hang)
	}
	up, err := f.Upload(f.within(), f.owner, f.box)
	if err != nil {
		t.Fatal(err)
	}
	for i := range uploadWindow {
		if _, err := up.Put(t.Context(), []byte{byte(i)}); err != nil {
			t.Fatal(err)
		}
	}
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := up.Put(short, []byte("one more")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a chunk beyond the window: %v", err)
	}
	if err := up.Close(short); !errors.Is(err, context.Canceled) {
		t.Errorf("closed when the time was over: %v", err)
	}
	refusal := cluster.Errorf(exmdb.KindAccessDenied, "no")
	f.next(says(refusal))
	if up, err = f.Upload(f.within(), f.owner, f.box); err != nil {
		t.Fatal(err)
	}
	for err == nil { // until the refusal of the first is known
		_, err = up.Put(f.within(), []byte("chunk"))
	}
	if !errors.Is(err, refusal) || !errors.Is(up.Close(f.within()), refusal) {
		t.Errorf("after a refusal: %v", err)
	}
}

// deadlines is a Caller that keeps how long each call may take.
type deadlines struct {
	mu  sync.Mutex
	all []time.Duration // guarded by mu; 0 is without end
}

func (d *deadlines) Call(ctx context.Context, q *ops.Request, _ ops.Mode) ([]byte, error) {
	left := time.Duration(0)
	if at, ok := ctx.Deadline(); ok {
		left = time.Until(at)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.all = append(d.all, left)
	return wire.Marshal(&exmdb.Empty{}), nil
}

// TestEveryCallHasAnEnd: two minutes when the caller sets none, what he sets up to the life of a request id, and for a
// watch whatever he likes.
func TestEveryCallHasAnEnd(t *testing.T) {
	box := [16]byte{1}
	calls := map[string]func(context.Context, Client) error{
		"write": func(ctx context.Context, c Client) error {
			return c.Call(ctx, exmdb.System, box, exmdb.OpDeliver.OpInfo, &exmdb.DeliverRequest{}, &exmdb.DeliverResponse{})
		},
		"read": func(ctx context.Context, c Client) error {
			return c.Call(ctx, exmdb.System, box, exmdb.OpMailboxInfo.OpInfo, &exmdb.Empty{}, &exmdb.MailboxInfo{})
		},
		"create": func(ctx context.Context, c Client) error {
			_, err := c.CreateMailbox(ctx, box, &exmdb.CreateMailboxRequest{})
			return err
		},
		"upload": func(ctx context.Context, c Client) error {
			up, err := c.Upload(ctx, exmdb.System, box)
			if err != nil {
				return err
			}
			_, err = up.Put(ctx, []byte("chunk"))
			return errors.Join(err, up.Close(ctx))
		},
		"watch": func(ctx context.Context, c Client) error {
			return c.Call(ctx, exmdb.System, box, exmdb.OpWatch.OpInfo, &exmdb.WatchRequest{}, &exmdb.WatchResponse{})
		},
	}
	for _, c := range []struct{ has, want, watch time.Duration }{
		{0, defaultDeadline, 0},
		{time.Minute, time.Minute, time.Minute},
		{3 * time.Minute, 3 * time.Minute, 3 * time.Minute},
		{2 * time.Hour, cluster.RequestWindow, 2 * time.Hour},
	} {
		for what, call := range calls {
			ctx, cancel := t.Context(), context.CancelFunc(func() {})
			if c.has > 0 {
				ctx, cancel = context.WithTimeout(ctx, c.has)
			}
			d := &deadlines{}
			if err := call(ctx, Client{Ops: d}); err != nil {
				t.Errorf("%s: %v", what, err)
			}
			cancel()
			want := c.want
			if what == "watch" {
				want = c.watch
			}
			for _, got := range d.all {
				if got > want || got < want-30*time.Second {
					t.Errorf("%s under a deadline of %v may take %v, want %v", what, c.has, got, want)
				}
			}
		}
	}
}
