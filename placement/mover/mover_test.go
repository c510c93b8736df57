package mover

import (
	"context"
	"errors"
	"flag"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/placement"
	"github.com/flotilla-mail/flotilla/placement/store"
)

var (
	firstSeed = flag.Uint64("seed", 0, "first seed of the model; 0 draws one")
	seeds     = flag.Int("seeds", 40, "how many seeds the model plays")
)

// TestModel moves a space to and fro while clients write to it, insist and ask again; carriers die at any step, groups lose
// leaders, entries and answers, and what nobody needs is collected. Each acknowledged write is there once and in order, each
// answer is the first (CLUSTER 7.1).
func TestModel(t *testing.T) {
	first := *firstSeed
	if first == 0 {
		first = uint64(time.Now().UnixNano())
	}
	n := *seeds
	if testing.Short() {
		n = 10
	}
	moved := 0
	for seed := first; seed < first+uint64(n); seed++ {
		w := newWorld(t, seed)
		t.Logf("seed %d", seed)
		w.crash = true
		for range 20 {
			w.client()
		}
		for range 4 {
			before := w.place().Epoch
			w.carry(3 - w.place().Group)
			w.compare()
			if w.place().Epoch > before {
				moved++
			}
			for range w.rng.IntN(10) {
				w.client()
			}
		}
	}
	if moved < n {
		t.Errorf("of %d moves %d came to something", 4*n, moved)
	}
}

// TestOutboxMoves has what a space wants from others done after the move, once and in order.
func TestOutboxMoves(t *testing.T) {
	w := newWorld(t, 1)
	for range 30 {
		w.client()
	}
	w.carry(2)
	if w.place().Group != 2 {
		t.Skip("the move was called off") // by the seed
	}
	w.compare()
	var o outbox
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		space.NewPump(w.groups[2].Replica, &o, space.WorkConfig{}).Run(ctx)
	}()
	var want []string
	for _, x := range w.sent {
		want = append(want, x.value)
	}
	deadline := time.After(time.Minute)
	for !slices.Equal(o.list(), want) {
		select {
		case <-deadline:
			t.Fatalf("done %v, want %v", o.list(), want)
		case <-time.After(time.Millisecond):
		}
	}
	cancel()
	<-done
}

// TestSweep forgets what steps that came late left behind, and only that.
func TestSweep(t *testing.T) {
	w := newWorld(t, 1)
	late := space.MoveID{9}
	w.must(w.groups[1].BeginMove(t.Context(), w.box, 1, late))
	start, err := w.groups[1].MoveStart(w.box, late)
	w.must(err)
	w.must(w.groups[2].Arrive(t.Context(), w.box, 2, late, start))
	for g := range cluster.GroupID(3) {
		New(Config{Group: g, Replica: w.groups[g].Replica, Ops: w, Map: w}).sweep(t.Context())
	}
	here, err := w.groups[1].MoveStatus(w.box)
	w.must(err)
	there, err := w.groups[2].MoveStatus(w.box)
	w.must(err)
	if here.Move != (space.MoveID{}) || there.State != space.Moved {
		t.Fatalf("after the sweep: %+v, %+v", here, there)
	}
	w.carry(2)
	w.compare()
}

// TestUploadsAreKept moves an upload that nothing refers to yet to a group that has the content, but is about to let go of
// it: there it is kept as if it had been uploaded anew.
func TestUploadsAreKept(t *testing.T) {
	w := newWorld(t, 1)
	body := w.content(5)
	upload := func(g cluster.GroupID, id cluster.SpaceID) {
		u, err := w.groups[g].UploadFor(t.Context(), id)
		w.must(err)
		_, err = u.Put(t.Context(), body)
		w.must(errors.Join(err, u.Close()))
	}
	upload(2, cluster.SpaceID{2}) // somebody's, who does not come back
	w.now = w.now.Add(40 * time.Minute)
	upload(1, w.box)
	mv := w.step(store.OpStartMove, store.MoveRequest{Space: w.box, ID: placement.MoveID{3}, To: 2})
	New(Config{Group: 1, Replica: w.groups[1].Replica, Ops: w, Map: w}).carry(t.Context(), mv)
	if w.place().Group != 2 {
		t.Fatalf("it is in %+v", w.place())
	}
	w.now = w.now.Add(40 * time.Minute)
	_, err := w.groups[2].Collect(t.Context())
	w.must(err)
	if has, err := w.groups[2].HasContent(space.HashOf(body)); err != nil || !has {
		t.Fatalf("the upload is there: %v, %v", has, err)
	}
}

// TestSequences: what a group says of its spaces is what happens to them; one that has left is not among them.
func TestSequences(t *testing.T) {
	w := newWorld(t, 1)
	for range 20 {
		w.client()
	}
	w.calm()
	w.client()
	for g, want := range map[cluster.GroupID]map[cluster.SpaceID]uint64{1: {w.box: w.effects}, 2: {}} {
		if got, err := Sequences(t.Context(), w, g); err != nil || !maps.Equal(got, want) {
			t.Errorf("group %d: %v, %v; want %v", g, got, err, want)
		}
	}
}

// TestRun carries a move that the map gets while the movers of both groups run.
func TestRun(t *testing.T) {
	w := newWorld(t, 1)
	v := &followed{w: w, changed: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan placement.Move, 1)
	var done []chan struct{}
	for _, g := range []cluster.GroupID{1, 2} {
		m := New(Config{Group: g, Replica: w.groups[g].Replica, Ops: w, Map: v,
			Events: Events{Ended: func(m *placement.Move, _ time.Duration) { ended <- *m }}})
		stopped := make(chan struct{})
		done = append(done, stopped)
		go func() {
			defer close(stopped)
			m.Run(ctx)
		}()
	}
	w.step(store.OpStartMove, store.MoveRequest{Space: w.box, ID: placement.MoveID{5}, To: 2})
	close(v.changed)
	select {
	case m := <-ended:
		if m.State != placement.MoveFlipped || w.place().Group != 2 {
			t.Errorf("it ended as %+v", m)
		}
	case <-time.After(time.Minute):
		t.Error("the move does not end")
	}
	cancel()
	for _, stopped := range done {
		<-stopped
	}
}

// followed is a map that several goroutines read.
type followed struct {
	w       *world
	changed chan struct{}
}

func (f *followed) Map() *placement.Map {
	var m *placement.Map
	f.w.must(f.w.groups[0].View(context.WithoutCancel(f.w.Context()), store.Space, space.ReadLocal, func(r space.Reader) (err error) {
		m, err = store.Load(r)
		return err
	}))
	return m
}

// Changed tells once; after that it is left to the movers to look.
func (f *followed) Changed() <-chan struct{} {
	select {
	case <-f.changed:
		return nil
	default:
		return f.changed
	}
}
