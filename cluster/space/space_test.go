package space

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/internal/lsm"
)

func openDB(t testing.TB) *lsm.DB {
	t.Helper()
	o := lsm.StateOptions("state")
	o.FS = lsm.MemFS()
	db, err := lsm.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func openLocal(t testing.TB, config Config) *LocalReplica {
	t.Helper()
	r, err := NewLocalReplica(openDB(t), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func spaceN(n int) (id cluster.SpaceID) {
	id[0], id[15] = byte(n), byte(n)
	return id
}

// requestN is drawn now.
func requestN(n int) cluster.RequestID {
	return cluster.RequestID{ID: requestIDN(n), Drawn: time.Now()}
}

func requestIDN(n int) requestID { return requestID{byte(n), byte(n >> 8)} }

func set(key, value string) UpdateFunc {
	return func(w Writer) ([]byte, error) {
		w.Set([]byte(key), []byte(value))
		return []byte("set " + key), nil
	}
}

func create(t testing.TB, r *Replica, id cluster.SpaceID) {
	t.Helper()
	if _, err := r.Create(t.Context(), id, 1, cluster.RequestID{}, set("made", "yes")); err != nil {
		t.Fatal(err)
	}
}

func update(t testing.TB, r *Replica, id cluster.SpaceID, fn UpdateFunc) []byte {
	t.Helper()
	b, err := r.Update(t.Context(), id, cluster.RequestID{}, fn)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func get(t testing.TB, r *Replica, id cluster.SpaceID, key string) (value string) {
	t.Helper()
	err := r.View(t.Context(), id, ReadLease, func(v Reader) error {
		b, err := v.Get([]byte(key))
		value = string(b)
		if err == nil && b == nil {
			value = "<absent>"
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func wantKind(t testing.TB, err error, kind cluster.Kind) {
	t.Helper()
	var e *cluster.Error
	if !errors.As(err, &e) || e.Kind != kind {
		t.Fatalf("got %v, want an error of kind %d", err, kind)
	}
}

func TestUpdateAndView(t *testing.T) {
	r := openLocal(t, Config{})
	a, b := spaceN(1), spaceN(2)
	create(t, r.Replica, a)
	_, err := r.Update(t.Context(), b, cluster.RequestID{}, set("k", "v"))
	wantKind(t, err, cluster.KindNoSpace)
	create(t, r.Replica, b)
	if got := update(t, r.Replica, a, set("k", "in a")); string(got) != "set k" {
		t.Fatalf("answer %q", got)
	}
	update(t, r.Replica, b, set("k", "in b"))
	if x, y := get(t, r.Replica, a, "k"), get(t, r.Replica, b, "k"); x != "in a" || y != "in b" {
		t.Fatalf("read %q and %q", x, y)
	}
	_, err = r.Create(t.Context(), a, 1, cluster.RequestID{}, set("x", "y"))
	wantKind(t, err, cluster.KindExists)
}

func TestRefusedUpdateLeavesNothing(t *testing.T) {
	r := openLocal(t, Config{})
	id := spaceN(1)
	create(t, r.Replica, id)
	refused := errors.New("mailbox is full")
	_, err := r.Update(t.Context(), id, cluster.RequestID{}, func(w Writer) ([]byte, error) {
		w.Set([]byte("k"), []byte("v"))
		w.PutContent([]byte("body"))
		return nil, refused
	})
	if !errors.Is(err, refused) {
		t.Fatalf("got %v", err)
	}
	if got := get(t, r.Replica, id, "k"); got != "<absent>" {
		t.Fatalf("refused update wrote %q", got)
	}
	_, err = r.Update(t.Context(), id, cluster.RequestID{}, func(w Writer) ([]byte, error) {
		w.Set([]byte{ReservedPrefix, 1}, nil)
		return nil, nil
	})
	wantKind(t, err, cluster.KindInternal)
}

func TestVoidIsRunAgain(t *testing.T) {
	r := openLocal(t, Config{})
	id := spaceN(1)
	create(t, r.Replica, id)
	r.Local.Fail(FaultVoidTerm, FaultOvertaken)
	runs := 0
	update(t, r.Replica, id, func(w Writer) ([]byte, error) {
		runs++
		w.Set([]byte("runs"), fmt.Append(nil, runs))
		return nil, nil
	})
	if got := get(t, r.Replica, id, "runs"); got != "3" || runs != 3 {
		t.Fatalf("%d runs, stored %s", runs, got)
	}
}

func TestRequestIsAnsweredOnce(t *testing.T) {
	r := openLocal(t, Config{})
	id := spaceN(1)
	create(t, r.Replica, id)
	req := requestN(1)
	count := func(w Writer) ([]byte, error) {
		b, err := w.Get([]byte("n"))
		b = append(b, 'x')
		w.Set([]byte("n"), b)
		return b, err
	}
	r.Local.Fail(FaultLostAnswer)
	_, err := r.Update(t.Context(), id, req, count)
	wantKind(t, err, cluster.KindUnknownOutcome)
	for range 3 {
		got, err := r.Update(t.Context(), id, req, count)
		if err != nil || string(got) != "x" {
			t.Fatalf("retry: %q, %v", got, err)
		}
	}
	req.Drawn = req.Drawn.Add(-cluster.RequestWindow)
	_, err = r.Update(t.Context(), id, req, count)
	wantKind(t, err, cluster.KindStaleRequest)
}

func TestStagedEffect(t *testing.T) {
	r := openLocal(t, Config{})
	id := spaceN(1)
	create(t, r.Replica, id)
	r.Local.Record()
	body := incompressible(2000 << 10)
	big := func(i int) []byte { return body[i*100<<10 : (i+1)*100<<10] }
	update(t, r.Replica, id, func(w Writer) ([]byte, error) {
		for i := range 20 {
			w.Set(fmt.Appendf(nil, "big%02d", i), big(i))
		}
		return nil, nil
	})
	if got := get(t, r.Replica, id, "big19"); !bytes.Equal([]byte(got), big(19)) {
		t.Fatal("staged effect is not what was written")
	}
	for _, e := range r.Local.Log() {
		if len(e.Data) > MaxEntry {
			t.Fatalf("entry of %d bytes", len(e.Data))
		}
	}
	_, err := r.Update(t.Context(), id, cluster.RequestID{}, func(w Writer) ([]byte, error) {
		for i := range 200 {
			w.Set(fmt.Appendf(nil, "big%03d", i), big(i%20))
		}
		return nil, nil
	})
	wantKind(t, err, cluster.KindTooLarge)
}

func incompressible(n int) []byte {
	b := make([]byte, n)
	x := uint64(88172645463325252)
	for i := range b {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = byte(x)
	}
	return b
}

func TestWaitSequence(t *testing.T) {
	r := openLocal(t, Config{})
	id := spaceN(1)
	create(t, r.Replica, id)
	type result struct {
		seq uint64
		err error
	}
	results := make(chan result, 1)
	wait := func(after uint64) {
		go func() {
			seq, err := r.WaitSequence(context.Background(), id, after)
			results <- result{seq, err}
		}()
	}
	wait(1)
	update(t, r.Replica, id, set("k", "v"))
	if got := <-results; got.err != nil || got.seq != 2 {
		t.Fatalf("watch: %+v", got)
	}
	wait(2)
	r.Local.Depose()
	r.LeadershipLost()
	wantKind(t, (<-results).err, cluster.KindNotLeader)
}

// TestWaitThatEndsBeforeItWaits: a wait whose time is over before it begins has waited in vain, and has not failed.
func TestWaitThatEndsBeforeItWaits(t *testing.T) {
	r := openLocal(t, Config{})
	id := spaceN(1)
	create(t, r.Replica, id)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := r.WaitSequence(ctx, id, 1)
	wantKind(t, err, cluster.KindDeadline)
}

// TestReplicaWaitApplied: a follower waits for what it applies, also of a space that is not there yet; the wait of one that is closed ends.
func TestReplicaWaitApplied(t *testing.T) {
	r := openLocal(t, Config{})
	id := spaceN(1)
	type result struct {
		seq uint64
		err error
	}
	wait := func(ctx context.Context, after uint64) <-chan result {
		done := make(chan result, 1)
		go func() {
			seq, err := r.WaitApplied(ctx, id, after)
			done <- result{seq, err}
		}()
		waitFor(t, "somebody to wait", func() bool { return r.Machine().watchers() == 1 })
		return done
	}
	first := wait(t.Context(), 0)
	create(t, r.Replica, id)
	if got := <-first; got.err != nil || got.seq != 1 {
		t.Fatalf("space that was made: %+v", got)
	}
	second := wait(t.Context(), 1)
	update(t, r.Replica, id, set("k", "v"))
	if got := <-second; got.err != nil || got.seq != 2 {
		t.Fatalf("update: %+v", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	given := wait(ctx, 2)
	cancel()
	if got := <-given; !errors.Is(got.err, context.Canceled) {
		t.Fatalf("wait that was given up: %+v", got)
	}
	ended := wait(t.Context(), 2)
	check(t, r.Machine().Close())
	wantKind(t, (<-ended).err, cluster.KindUnavailable)
}

// watchers counts the spaces that somebody watches.
func (m *Machine) watchers() int {
	m.waitMu.Lock()
	defer m.waitMu.Unlock()
	return len(m.watches)
}

// TestClosedMachineEndsWaits closes a machine under those who wait for it, as the replacement of a replica does.
func TestClosedMachineEndsWaits(t *testing.T) {
	r := openLocal(t, Config{})
	id := spaceN(1)
	create(t, r.Replica, id)
	m := r.Machine()
	changed, _ := m.Changed(id)
	ended := make(chan error, 2)
	go func() { ended <- m.WaitApplied(context.Background(), 99) }()
	go func() {
		_, err := r.WaitSequence(context.Background(), id, 1)
		ended <- err
	}()
	waitFor(t, "both to wait", func() bool {
		m.waitMu.Lock()
		defer m.waitMu.Unlock()
		return len(m.indexes) == 1 && m.watches[id] != nil && m.watches[id].waiting == 2
	})
	check(t, m.Close())
	<-changed
	wantKind(t, <-ended, cluster.KindUnavailable)
	wantKind(t, <-ended, cluster.KindUnavailable)
	after, _ := m.Changed(id)
	<-after
	if n := m.watchers(); n != 0 {
		t.Fatalf("%d spaces are watched", n)
	}
}

// TestWatchesAreForgotten watches many spaces that never change.
func TestWatchesAreForgotten(t *testing.T) {
	r := openLocal(t, Config{})
	m := r.Machine()
	ctx, cancel := context.WithCancel(t.Context())
	for i := range 20 {
		create(t, r.Replica, spaceN(i+1))
	}
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			if seq, err := r.WaitSequence(ctx, spaceN(i%20+1), 99); err == nil {
				t.Errorf("sequence %d", seq)
			}
		})
	}
	waitFor(t, "all to watch", func() bool { return m.watchers() == 20 })
	changed, forget := m.Changed(spaceN(1))
	update(t, r.Replica, spaceN(1), set("k", "v"))
	<-changed
	again, forgetAgain := m.Changed(spaceN(1))
	forget() // of a watch that has ended: not of the next one
	select {
	case <-again:
		t.Fatal("nothing has changed")
	default:
	}
	update(t, r.Replica, spaceN(1), set("k", "w"))
	<-again
	forgetAgain()
	cancel()
	wg.Wait()
	if n := m.watchers(); n != 0 {
		t.Fatalf("%d spaces are watched by nobody", n)
	}
}

// TestCreateTakesTheEpoch creates spaces under an epoch, in one part and in pieces; a refused one leaves nothing of it.
func TestCreateTakesTheEpoch(t *testing.T) {
	r := openLocal(t, Config{})
	body := incompressible(400 << 10)
	for i, fn := range []UpdateFunc{
		set("k", "v"),
		func(w Writer) ([]byte, error) {
			for n := range 4 {
				w.Set([]byte{'k', byte(n)}, body[n*100<<10:(n+1)*100<<10])
			}
			return nil, nil
		},
	} {
		_, err := r.Create(t.Context(), spaceN(i+1), 7, cluster.RequestID{}, func(w Writer) ([]byte, error) {
			if w.Epoch() != 7 {
				t.Errorf("created under epoch %d", w.Epoch())
			}
			return fn(w)
		})
		check(t, err)
	}
	spaces, err := r.Spaces()
	check(t, err)
	for _, s := range spaces {
		if s.Epoch != 7 {
			t.Errorf("%+v", s)
		}
		update(t, r.Replica, s.ID, func(w Writer) ([]byte, error) {
			if w.Epoch() != 7 {
				t.Errorf("updated under epoch %d", w.Epoch())
			}
			return nil, nil
		})
	}
	if len(spaces) != 2 {
		t.Fatalf("%d spaces", len(spaces))
	}
}

// TestWatchEndsWhenTheSpaceHasMoved lets a space come back under another epoch between two looks at it.
func TestWatchEndsWhenTheSpaceHasMoved(t *testing.T) {
	r := openLocal(t, Config{})
	id, m := spaceN(1), r.Machine()
	create(t, r.Replica, id)
	ended := make(chan error, 1)
	go func() {
		_, err := r.WaitSequence(context.Background(), id, 1)
		ended <- err
	}()
	waitFor(t, "the watch", func() bool {
		m.waitMu.Lock()
		defer m.waitMu.Unlock()
		return m.watches[id] != nil
	})
	hdr, err := readHeader(m.db, id)
	check(t, err)
	// The watch may not have read the header yet, so its change is repeated until it is met.
	waitFor(t, "the watch to end", func() bool {
		hdr.epoch++
		b := m.db.NewBatch()
		check(t, b.Set(headerKey(id), appendHeader(nil, hdr)))
		check(t, b.Commit(false))
		check(t, b.Close())
		m.wake([]cluster.SpaceID{id})
		return len(ended) == 1
	})
	wantKind(t, <-ended, cluster.KindMoving)
}
