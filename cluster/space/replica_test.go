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
	"github.com/flotilla-mail/flotilla/internal/testkit"
)

// gated is a Replicator whose proposals wait until they are let through.
type gated struct {
	*Local
	arrived chan int // size of each proposal
	pass    chan struct{}
}

func (g *gated) Propose(ctx context.Context, term uint64, part []byte) (Outcome, error) {
	g.arrived <- len(part)
	select {
	case <-g.pass:
		return g.Local.Propose(ctx, term, part)
	case <-ctx.Done():
		return 0, cluster.ErrUnknownOutcome
	}
}

func openGated(t *testing.T, config Config) (*Replica, *gated) {
	r := openLocal(t, Config{})
	create(t, r.Replica, spaceN(1))
	g := &gated{r.Local, make(chan int), make(chan struct{})}
	gr := New(r.Machine(), g, config)
	t.Cleanup(gr.Close)
	return gr, g
}

type outcome struct {
	answer string
	err    error
}

func start(ctx context.Context, r *Replica, id cluster.RequestID, fn UpdateFunc) <-chan outcome {
	done := make(chan outcome, 1)
	go func() {
		b, err := r.Update(ctx, spaceN(1), id, fn)
		done <- outcome{string(b), err}
	}()
	return done
}

// waitFor waits for a state that no call waits for.
func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	testkit.Eventually(t, 20*time.Second, func(context.Context) error {
		if !ok() {
			return errors.New("waiting for " + what)
		}
		return nil
	})
}

func (r *Replica) callers() (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, q := range r.queues {
		for _, w := range append(q.running[:len(q.running):len(q.running)], q.waiting...) {
			n += w.callers
		}
	}
	return n
}

func TestWaitingUpdatesAreCombined(t *testing.T) {
	var mu sync.Mutex
	var rounds []int
	r, g := openGated(t, Config{Events: Events{Committed: func(_ cluster.SpaceID, updates, _ int) {
		mu.Lock()
		defer mu.Unlock()
		rounds = append(rounds, updates)
	}}})
	first := start(t.Context(), r, cluster.RequestID{}, appendName("first", nil))
	<-g.arrived
	var rest []<-chan outcome
	refused := errors.New("no")
	for i := range 10 {
		says := error(nil)
		if i%5 == 2 {
			says = refused
		}
		rest = append(rest, start(t.Context(), r, cluster.RequestID{}, appendName(fmt.Sprint(i), says)))
	}
	waitFor(t, "all to wait", func() bool { return r.callers() == 11 })
	g.pass <- struct{}{}
	<-g.arrived
	g.pass <- struct{}{}
	check(t, (<-first).err)
	for i, done := range rest {
		if err := (<-done).err; (i%5 == 2) != errors.Is(err, refused) || (i%5 != 2 && err != nil) {
			t.Fatalf("update %d: %v", i, err)
		}
	}
	if n := len(bytes.Fields([]byte(get(t, r, spaceN(1), "names")))); n != 9 || fmt.Sprint(rounds) != "[1 8]" {
		t.Fatalf("%d names, rounds %v", n, rounds)
	}
}

func TestCombiningIsBoundedByBytes(t *testing.T) {
	r, g := openGated(t, Config{CombineBytes: 10 << 10})
	first := start(t.Context(), r, cluster.RequestID{}, set("k", "v"))
	<-g.arrived
	var rest []<-chan outcome
	for i := range 8 {
		rest = append(rest, start(t.Context(), r, cluster.RequestID{}, func(w Writer) ([]byte, error) {
			w.Set([]byte{'k', byte(i)}, incompressible(4<<10))
			return nil, nil
		}))
	}
	waitFor(t, "all to wait", func() bool { return r.callers() == 9 })
	g.pass <- struct{}{}
	for range 4 {
		if n := <-g.arrived; n > 10<<10 {
			t.Fatalf("part of %d bytes", n)
		}
		g.pass <- struct{}{}
	}
	check(t, (<-first).err)
	for _, done := range rest {
		check(t, (<-done).err)
	}
}

// TestLargeUpdateRunsAlone combines an update that is nearly as large as may be with one before it; what is too large on
// its own is refused all the same.
func TestLargeUpdateRunsAlone(t *testing.T) {
	r, g := openGated(t, Config{})
	const value = 64<<10 - 100 // and its key and frame; 256 of them fit an effect
	writing := func(name byte, values, size int) UpdateFunc {
		return func(w Writer) ([]byte, error) {
			for i := range values {
				w.Set([]byte{name, byte(i >> 8), byte(i)}, make([]byte, size))
			}
			return nil, nil
		}
	}
	ahead := start(t.Context(), r, cluster.RequestID{}, set("k", "v"))
	<-g.arrived
	var rest []<-chan outcome
	for i, fn := range []UpdateFunc{
		writing('a', 1, value/2), writing('b', 256, value), writing('c', 257, value), writing('d', 1, value/2),
	} {
		rest = append(rest, start(t.Context(), r, cluster.RequestID{}, fn))
		waitFor(t, "it to wait", func() bool { return r.callers() == i+2 })
	}
	close(g.pass)
	over := make(chan struct{})
	defer close(over)
	go func() {
		for {
			select {
			case <-g.arrived:
			case <-over:
				return
			}
		}
	}()
	check(t, (<-ahead).err)
	for i, kind := range []cluster.Kind{0, 0, cluster.KindTooLarge, 0} {
		wantOutcome(t, <-rest[i], kind)
	}
}

func TestSecondArrivalJoinsTheFirst(t *testing.T) {
	r, g := openGated(t, Config{})
	id := requestN(1)
	runs := 0
	fn := func(w Writer) ([]byte, error) {
		runs++
		w.Set([]byte("k"), []byte("v"))
		return fmt.Append(nil, "run ", runs), nil
	}
	impatient, cancel := context.WithCancel(t.Context())
	a := start(impatient, r, id, fn)
	<-g.arrived
	b := start(t.Context(), r, id, fn)
	waitFor(t, "the second to join", func() bool { return r.callers() == 2 })
	cancel()
	if got := <-a; !kindIs(got.err, cluster.KindUnknownOutcome) {
		t.Fatalf("the first, gone: %+v", got)
	}
	g.pass <- struct{}{}
	if got := <-b; got.err != nil || got.answer != "run 1" || runs != 1 {
		t.Fatalf("the second: %+v after %d runs", got, runs)
	}
}

func TestWaitingUpdateIsTakenOut(t *testing.T) {
	r, g := openGated(t, Config{})
	first := start(t.Context(), r, cluster.RequestID{}, set("k", "v"))
	<-g.arrived
	ctx, cancel := context.WithCancel(t.Context())
	second := start(ctx, r, requestN(1), set("k", "never"))
	waitFor(t, "the second to wait", func() bool { return r.callers() == 2 })
	cancel()
	if got := <-second; !kindIs(got.err, cluster.KindDeadline) {
		t.Fatalf("the second: %+v", got)
	}
	g.pass <- struct{}{}
	check(t, (<-first).err)
	if got := get(t, r, spaceN(1), "k"); got != "v" {
		t.Fatalf("holds %q", got)
	}
}

// TestWaitingUpdateRunsForTheSecond lets the first caller of an update that has not begun go: the update happens all
// the same, for the other.
func TestWaitingUpdateRunsForTheSecond(t *testing.T) {
	r, g := openGated(t, Config{})
	ahead := start(t.Context(), r, cluster.RequestID{}, set("k", "v"))
	<-g.arrived
	impatient, cancel := context.WithCancel(t.Context())
	first := start(impatient, r, requestN(1), set("k", "w"))
	waitFor(t, "the first", func() bool { return r.callers() == 2 })
	second := start(t.Context(), r, requestN(1), set("k", "w"))
	waitFor(t, "the second", func() bool { return r.callers() == 3 })
	cancel()
	wantKind(t, (<-first).err, cluster.KindUnknownOutcome)
	close(g.pass)
	<-g.arrived
	check(t, (<-ahead).err)
	check(t, (<-second).err)
	if got := get(t, r, spaceN(1), "k"); got != "w" {
		t.Fatalf("holds %q", got)
	}
}

// TestAnsweredCallersKeepNoRound combines an update that was answered before with one whose caller gives up.
func TestAnsweredCallersKeepNoRound(t *testing.T) {
	r, g := openGated(t, Config{})
	known := start(t.Context(), r, requestN(1), set("k", "v"))
	<-g.arrived
	g.pass <- struct{}{}
	check(t, (<-known).err)
	ahead := start(t.Context(), r, cluster.RequestID{}, set("k", "w"))
	<-g.arrived
	again := start(t.Context(), r, requestN(1), set("k", "v"))
	waitFor(t, "the retry", func() bool { return r.callers() == 2 })
	ctx, cancel := context.WithCancel(t.Context())
	other := start(ctx, r, cluster.RequestID{}, set("k", "x"))
	waitFor(t, "the other", func() bool { return r.callers() == 3 })
	g.pass <- struct{}{}
	check(t, (<-ahead).err)
	<-g.arrived
	check(t, (<-again).err)
	cancel()
	wantKind(t, (<-other).err, cluster.KindUnknownOutcome)
	waitFor(t, "the round to end", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.queues) == 0
	})
}

func TestAbandonedRoundEnds(t *testing.T) {
	r, g := openGated(t, Config{})
	ctx, cancel := context.WithCancel(t.Context())
	done := start(ctx, r, cluster.RequestID{}, set("k", "v"))
	<-g.arrived
	cancel()
	if got := <-done; !kindIs(got.err, cluster.KindUnknownOutcome) {
		t.Fatalf("%+v", got)
	}
	waitFor(t, "the round to end", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.queues) == 0 && r.waiting == 0 && r.bytes == 0
	})
}

func TestCloseEndsUpdates(t *testing.T) {
	r, g := openGated(t, Config{})
	running := start(t.Context(), r, cluster.RequestID{}, set("k", "v"))
	<-g.arrived
	waiting := start(t.Context(), r, cluster.RequestID{}, set("k", "v"))
	waitFor(t, "both", func() bool { return r.callers() == 2 })
	go r.Close()
	if got := <-running; got.err == nil {
		t.Fatal("closed replica reported success")
	}
	if got := <-waiting; got.err == nil {
		t.Fatal("closed replica reported success")
	}
	r.Close()
	_, err := r.Update(t.Context(), spaceN(1), cluster.RequestID{}, set("k", "v"))
	wantKind(t, err, cluster.KindUnavailable)
}

func TestAdmission(t *testing.T) {
	over := 0
	r, g := openGated(t, Config{MaxWaiting: 2, Events: Events{Overloaded: func(cluster.SpaceID) { over++ }}})
	a := start(t.Context(), r, cluster.RequestID{}, set("k", "v"))
	<-g.arrived
	b := start(t.Context(), r, cluster.RequestID{}, set("k", "v"))
	waitFor(t, "both", func() bool { return r.callers() == 2 })
	_, err := r.Update(t.Context(), spaceN(1), cluster.RequestID{}, set("k", "v"))
	wantKind(t, err, cluster.KindOverloaded)
	if over != 1 {
		t.Fatalf("%d refusals reported", over)
	}
	g.pass <- struct{}{}
	<-g.arrived
	g.pass <- struct{}{}
	check(t, (<-a).err)
	check(t, (<-b).err)
}

// doing starts an update of a request of so many bytes.
func doing(ctx context.Context, r *Replica, size int) <-chan outcome {
	done := make(chan outcome, 1)
	go func() {
		_, err := r.Do(ctx, Update{Space: spaceN(1), Size: size, Func: set("k", "v")})
		done <- outcome{err: err}
	}()
	return done
}

func TestAdmissionCountsBytesThatWait(t *testing.T) {
	node := NewBudget(20 << 10)
	r, g := openGated(t, Config{MaxBytes: 10 << 10, Node: node})
	_, err := r.Do(t.Context(), Update{Space: spaceN(2), Size: 99, Func: set("k", "v")})
	wantKind(t, err, cluster.KindNoSpace) // and gave its bytes back
	running := doing(t.Context(), r, 6<<10)
	<-g.arrived
	refused := func(r *Replica, size int) {
		t.Helper()
		_, err := r.Do(t.Context(), Update{Space: spaceN(1), Size: size, Func: func(Writer) ([]byte, error) {
			t.Error("ran although refused")
			return nil, nil
		}})
		wantKind(t, err, cluster.KindOverloaded)
	}
	refused(r, 6<<10)
	ctx, cancel := context.WithCancel(t.Context())
	waiting := doing(ctx, r, 2<<10)
	waitFor(t, "the small one", func() bool { return r.callers() == 2 })
	refused(r, 2<<10)
	cancel()
	wantKind(t, (<-waiting).err, cluster.KindDeadline)
	waiting = doing(t.Context(), r, 2<<10)
	waitFor(t, "another small one", func() bool { return r.callers() == 2 })

	other := New(r.Machine(), g.Local, Config{MaxBytes: 1 << 20, Node: node})
	t.Cleanup(other.Close)
	refused(other, 13<<10) // the group's own would do
	_, err = other.Do(t.Context(), Update{Space: spaceN(2), Creates: true, Size: 4 << 10, Func: set("k", "v")})
	check(t, err)

	g.pass <- struct{}{}
	<-g.arrived // the small one
	g.pass <- struct{}{}
	check(t, (<-running).err)
	check(t, (<-waiting).err)
	if n := node.Used(); n != 0 || r.held != 0 || other.held != 0 {
		t.Fatalf("%d bytes are held by nobody, %d and %d of the groups", n, r.held, other.held)
	}
	alone := doing(t.Context(), r, 1<<20)
	<-g.arrived
	refused(r, 1)
	g.pass <- struct{}{}
	check(t, (<-alone).err)
}

func TestTimeNeverGoesBack(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	r := openLocal(t, Config{Now: func() time.Time { return now }})
	create(t, r.Replica, spaceN(1))
	now = now.Add(-time.Hour)
	var seen time.Time
	update(t, r.Replica, spaceN(1), func(w Writer) ([]byte, error) {
		seen = w.Now()
		w.Set([]byte("k"), nil)
		return nil, nil
	})
	if want := now.Add(time.Hour); !seen.Equal(want) {
		t.Fatalf("effect at %v, want %v", seen, want)
	}
}

func TestCreateIsRemembered(t *testing.T) {
	r := openLocal(t, Config{})
	id := requestN(1)
	for range 2 {
		got, err := r.Create(t.Context(), spaceN(1), 1, id, set("k", "v"))
		if err != nil || string(got) != "set k" {
			t.Fatalf("create: %q, %v", got, err)
		}
	}
	_, err := r.Create(t.Context(), spaceN(1), 1, requestN(2), set("k", "v"))
	wantKind(t, err, cluster.KindExists)
	check(t, r.Drop(t.Context(), spaceN(1)))
	check(t, r.Drop(t.Context(), spaceN(1)))
	_, err = r.Create(t.Context(), spaceN(1), 1, id, set("k", "v"))
	wantKind(t, err, cluster.KindExists)
}

func TestUpdateThatChangesNothing(t *testing.T) {
	r := openLocal(t, Config{})
	create(t, r.Replica, spaceN(1))
	read := func(w Writer) ([]byte, error) { return w.Get([]byte("made")) }
	before := r.Machine().Applied().Index
	if got := update(t, r.Replica, spaceN(1), read); string(got) != "yes" {
		t.Fatalf("answer %q", got)
	}
	if r.Machine().Applied().Index != before {
		t.Fatal("nothing was replicated")
	}
	r.Local.Depose()
	_, err := r.Update(t.Context(), spaceN(1), cluster.RequestID{}, read)
	wantKind(t, err, cluster.KindNotLeader)
}

// overtaking lets another update through before a read begins.
type overtaking struct {
	*Local
	before func()
}

func (o *overtaking) BeginRead(ctx context.Context, mode ReadMode) (func() error, error) {
	if f := o.before; f != nil {
		o.before = nil
		f()
	}
	return o.Local.BeginRead(ctx, mode)
}

func TestReadOnlyUpdateIsRunAgainWhenOvertaken(t *testing.T) {
	r := openLocal(t, Config{})
	create(t, r.Replica, spaceN(1))
	o := &overtaking{Local: r.Local, before: func() { update(t, r.Replica, spaceN(1), set("made", "anew")) }}
	late := New(r.Machine(), o, Config{})
	t.Cleanup(late.Close)
	got := update(t, late, spaceN(1), func(w Writer) ([]byte, error) { return w.Get([]byte("made")) })
	if string(got) != "anew" {
		t.Fatalf("answered %q, which was over when it was asked", got)
	}
}

func TestUploadThenRefer(t *testing.T) {
	r := openLocal(t, Config{})
	a, b := spaceN(1), spaceN(2)
	create(t, r.Replica, a)
	create(t, r.Replica, b)
	body := incompressible(10 * MaxChunk)
	upload := func() (names []Hash) {
		u, err := r.Upload(t.Context())
		check(t, err)
		for at := 0; at < len(body); at += MaxChunk {
			h, err := u.Put(t.Context(), body[at:at+MaxChunk])
			check(t, err)
			names = append(names, h)
		}
		check(t, u.Close())
		return names
	}
	r.Local.Fail(FaultNone, FaultVoidTerm)
	names := upload()
	hold := func(w Writer) ([]byte, error) {
		for _, h := range names {
			w.Ref(h)
		}
		return nil, nil
	}
	update(t, r.Replica, a, hold)
	var logged int
	r.Local.Record()
	upload() // held already: only named
	update(t, r.Replica, b, hold)
	for _, e := range r.Local.Log() {
		logged += len(e.Data)
	}
	if logged > 4<<10 {
		t.Fatalf("%d bytes replicated for content that the group has", logged)
	}
	var got []byte
	check(t, r.View(t.Context(), b, ReadLease, func(v Reader) error {
		for _, h := range names {
			chunk, err := v.Content(h)
			if err != nil {
				return err
			}
			got = append(got, chunk...)
		}
		return nil
	}))
	if !bytes.Equal(got, body) {
		t.Fatal("content is not what was uploaded")
	}
}

func TestMissingContentIsTheCallersError(t *testing.T) {
	r, g := openGated(t, Config{})
	first := start(t.Context(), r, cluster.RequestID{}, set("k", "v"))
	<-g.arrived
	bad := start(t.Context(), r, cluster.RequestID{}, func(w Writer) ([]byte, error) {
		w.Ref(sampleHash(1))
		return nil, nil
	})
	good := start(t.Context(), r, cluster.RequestID{}, set("l", "w"))
	waitFor(t, "both", func() bool { return r.callers() == 3 })
	close(g.pass)
	<-g.arrived
	<-g.arrived // once more, without the bad one
	check(t, (<-first).err)
	check(t, (<-good).err)
	wantKind(t, (<-bad).err, cluster.KindContentMissing)
}

func TestPutContentIsSentOnce(t *testing.T) {
	r := openLocal(t, Config{})
	body := incompressible(100 << 10)
	r.Local.Record()
	for i := range 20 {
		_, err := r.Create(t.Context(), spaceN(i+1), 1, cluster.RequestID{}, func(w Writer) ([]byte, error) {
			h := w.PutContent(body)
			if b, err := w.Content(h); err != nil || !bytes.Equal(b, body) {
				return nil, errors.New("own content is not seen")
			}
			return nil, nil
		})
		check(t, err)
	}
	logged := 0
	for _, e := range r.Local.Log() {
		logged += len(e.Data)
	}
	if logged > len(body)+8<<10 {
		t.Fatalf("%d bytes replicated for one body of %d", logged, len(body))
	}
	_, err := r.Update(t.Context(), spaceN(1), cluster.RequestID{}, func(w Writer) ([]byte, error) {
		w.PutContent(body)
		w.PutContent(body[1:])
		return nil, nil
	})
	wantKind(t, err, cluster.KindTooLarge)
}

func TestCollectDropsWhatNobodyHolds(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	r := openLocal(t, Config{Now: func() time.Time { return now }})
	a, b := spaceN(1), spaceN(2)
	put := func(body string) UpdateFunc {
		return func(w Writer) ([]byte, error) { w.PutContent([]byte(body)); return nil, nil }
	}
	create(t, r.Replica, a)
	create(t, r.Replica, b)
	update(t, r.Replica, a, put("a's"))
	update(t, r.Replica, a, put("both's"))
	update(t, r.Replica, b, put("both's"))
	u, err := r.Upload(t.Context())
	check(t, err)
	_, err = u.Put(t.Context(), []byte("nobody's"))
	check(t, err)
	check(t, u.Wait())
	check(t, r.Drop(t.Context(), a))
	holds := func(want ...bool) {
		t.Helper()
		for i, body := range []string{"a's", "both's", "nobody's"} {
			got, err := r.HasContent(HashOf([]byte(body)))
			check(t, err)
			if got != want[i] {
				t.Fatalf("%s content: %v", body, got)
			}
		}
	}
	_, err = r.Collect(t.Context())
	check(t, err)
	holds(false, true, true)
	now = now.Add(time.Hour)
	_, err = r.Collect(t.Context())
	check(t, err)
	holds(false, true, false)
	if n, err := r.Collect(t.Context()); n != 0 || err != nil {
		t.Fatalf("nothing is left to collect: %d, %v", n, err)
	}
}

func TestStagedEffectLosesAPiece(t *testing.T) {
	r := openLocal(t, Config{Window: 1})
	id := spaceN(1)
	create(t, r.Replica, id)
	r.Local.Fail(FaultNone, FaultVoidTerm, FaultNone, FaultLostEntry)
	body := incompressible(900 << 10)
	big := func(w Writer) ([]byte, error) {
		for i := range 9 {
			w.Set([]byte{'k', byte(i)}, body[i*100<<10:(i+1)*100<<10])
		}
		return nil, nil
	}
	// The second piece is void: all run again; then a piece is lost: nothing visible happened.
	_, err := r.Update(t.Context(), id, cluster.RequestID{}, big)
	wantKind(t, err, cluster.KindUnavailable)
	if got := get(t, r.Replica, id, "k\x00"); got != "<absent>" {
		t.Fatal("a part of a staged effect is visible")
	}
	r.Local.Fail(FaultNone, FaultNone, FaultNone, FaultNone, FaultOvertaken)
	update(t, r.Replica, id, big)
	if got := get(t, r.Replica, id, "k\x08"); len(got) != 100<<10 {
		t.Fatal("the staged effect is not there")
	}
}
