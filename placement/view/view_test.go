package view

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/internal/lsm"
	"github.com/flotilla-mail/flotilla/placement"
	"github.com/flotilla-mail/flotilla/placement/store"
	"pgregory.net/rapid"
)

// replica is a node's replica of the system group without Raft; the test says what it can answer.
type replica struct {
	t   testing.TB
	rep *space.LocalReplica

	mu    sync.Mutex
	fails map[space.ReadMode]error // guarded by mu
	asked []space.ReadMode         // guarded by mu
	stop  chan struct{}
}

func newReplica(t testing.TB) *replica {
	t.Helper()
	db, err := lsm.Open(lsm.Options{Dir: "/state", FS: lsm.MemFS(), DisableWAL: true})
	if err != nil {
		t.Fatal(err)
	}
	rep, err := space.NewLocalReplica(db, space.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(rep.Close(), db.Close()); err != nil {
			t.Error(err)
		}
	})
	r := &replica{t: t, rep: rep, fails: map[space.ReadMode]error{}, stop: make(chan struct{})}
	_, err = rep.Create(context.Background(), store.Space, 1, cluster.RequestID{}, func(w space.Writer) ([]byte, error) {
		return nil, store.Init(w, placement.FirstLevel)
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *replica) do(fn func(w space.Writer) error) {
	r.t.Helper()
	_, err := r.rep.Update(context.Background(), store.Space, cluster.RequestID{}, func(w space.Writer) ([]byte, error) { return nil, fn(w) })
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *replica) group(id cluster.GroupID, servers ...cluster.ServerID) {
	r.t.Helper()
	r.do(func(w space.Writer) error { return store.CreateGroup(w, placement.Group{ID: id}, servers) })
}

func (r *replica) fail(mode space.ReadMode, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fails[mode] = err
}

// reads is how often the replica was asked in a mode.
func (r *replica) reads(mode space.ReadMode) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range r.asked {
		if m == mode {
			n++
		}
	}
	return n
}

// View implements System.
func (r *replica) View(ctx context.Context, id cluster.SpaceID, mode space.ReadMode, fn space.ViewFunc) error {
	r.mu.Lock()
	r.asked = append(r.asked, mode)
	err := r.fails[mode]
	r.mu.Unlock()
	if err != nil {
		return err
	}
	return r.rep.View(ctx, id, mode, fn)
}

var errStopped = errors.New("replica is stopped")

// WaitApplied implements System.
func (r *replica) WaitApplied(ctx context.Context, id cluster.SpaceID, after uint64) (seq uint64, err error) {
	for {
		changed, forget := r.rep.Machine().Changed(id)
		defer forget() // as many as there are changes
		err := r.rep.View(ctx, id, space.ReadLocal, func(v space.Reader) error {
			seq = v.Sequence()
			return nil
		})
		if err != nil || seq > after {
			return seq, err
		}
		select {
		case <-changed:
		case <-r.stop:
			return seq, errStopped
		case <-ctx.Done():
			return seq, ctx.Err()
		}
	}
}

// await waits for a change until cond holds.
func await(t *testing.T, v *View, what string, cond func() bool) {
	t.Helper()
	late := time.NewTimer(30 * time.Second)
	defer late.Stop()
	for {
		changed := v.Changed()
		if cond() {
			return
		}
		select {
		case <-changed:
		case <-late.C:
			t.Fatalf("did not come: %s", what)
		}
	}
}

// TestItFollowsTheMap: every change arrives, in order and once, until the replica stops; another Run goes on from there.
func TestItFollowsTheMap(t *testing.T) {
	r := newReplica(t)
	v := New(r)
	if m := v.Map(); m.Sequence != 0 || m.Group(1) != nil {
		t.Fatalf("a map before the first was read: %+v", m)
	}
	var seen []uint64
	v.OnMap = func(m *placement.Map) { seen = append(seen, m.Sequence) }
	ended := make(chan error, 1)
	go func() { ended <- v.Run(t.Context()) }()
	for id := cluster.GroupID(1); id <= 5; id++ {
		r.group(id, "n1.1")
		await(t, v, "the new group", func() bool { return v.Map().Group(id) != nil })
	}
	close(r.stop)
	if err := <-ended; !errors.Is(err, errStopped) {
		t.Fatalf("run ended with %v", err)
	}
	if !slices.IsSorted(seen) || len(slices.Compact(slices.Clone(seen))) != len(seen) {
		t.Errorf("maps %v", seen)
	}
	r.group(6, "n1.1")
	r.stop = make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { ended <- v.Run(ctx) }()
	await(t, v, "what changed meanwhile", func() bool { return v.Map().Group(6) != nil })
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Fatalf("run ended with %v", err)
	}
}

// TestTheMapNeverGoesBack: a replica that was made anew is behind for a while.
func TestTheMapNeverGoesBack(t *testing.T) {
	old, fresh := newReplica(t), newReplica(t)
	old.group(1, "n1.1")
	old.group(2, "n1.1")
	v := New(old)
	if err := v.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	had := v.Map()
	v.system = fresh
	fresh.group(1, "n1.1")
	if err := v.Refresh(t.Context()); err != nil || v.Map() != had {
		t.Fatalf("%v: the map is of %d, was of %d", err, v.Map().Sequence, had.Sequence)
	}
	for id := cluster.GroupID(2); id <= 4; id++ {
		fresh.group(id, "n1.1")
	}
	if err := v.Refresh(t.Context()); err != nil || v.Map().Group(4) == nil {
		t.Fatalf("%v: the map is of %d", err, v.Map().Sequence)
	}
	fresh.fail(space.ReadLocal, cluster.ErrUnavailable)
	if err := v.Refresh(t.Context()); !errors.Is(err, cluster.ErrUnavailable) {
		t.Fatalf("refresh of a replica that cannot be read: %v", err)
	}
}

// TestHints has a row for each hint that may come after «term 5, n1».
func TestHints(t *testing.T) {
	for _, tt := range []struct {
		term  uint64
		node  cluster.NodeID
		fresh bool
		want  Leader
	}{
		{4, "n2", false, Leader{5, "n1"}},
		{4, "", false, Leader{5, "n1"}},
		{5, "n1", false, Leader{5, "n1"}},
		{5, "", false, Leader{5, "n1"}},
		{5, "n2", true, Leader{5, "n2"}},
		{6, "", true, Leader{6, ""}},
		{6, "n1", true, Leader{6, "n1"}},
		{7, "n3", true, Leader{7, "n3"}},
	} {
		v := New(nil)
		if !v.Learn(1, 5, "n1") {
			t.Fatal("the first hint was not new")
		}
		changed := v.Changed()
		fresh := v.Learn(1, tt.term, tt.node)
		told := false
		select {
		case <-changed:
			told = true
		default:
		}
		if fresh != tt.fresh || told != tt.fresh || v.Leader(1) != tt.want || v.Leaders()[1] != tt.want {
			t.Errorf("term %d, %q: new %v, told %v, leader %v; want %v", tt.term, tt.node, fresh, told, v.Leader(1), tt.want)
		}
		if v.Leader(2) != (Leader{}) {
			t.Error("another group has a leader")
		}
	}
}

// TestHintsInAnyOrder: hints of one history, in whatever order and how often they come, end with the newest leader.
func TestHintsInAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type hint struct {
			term uint64
			node cluster.NodeID
		}
		var hints []hint
		last := uint64(rapid.IntRange(1, 8).Draw(t, "terms"))
		for term := uint64(1); term <= last; term++ {
			leader := cluster.NodeID(fmt.Sprintf("n%d", rapid.IntRange(1, 3).Draw(t, "leader")))
			hints = append(hints, hint{term, leader}, hint{term, ""}, hint{term, leader})
		}
		want := hints[len(hints)-1]
		v := New(nil)
		term := uint64(0)
		for _, h := range rapid.Permutation(hints).Draw(t, "order") {
			v.Learn(7, h.term, h.node)
			if got := v.Leader(7).Term; got < term || got < h.term {
				t.Fatalf("term %d after hint %v", got, h)
			}
			term = v.Leader(7).Term
		}
		if got := v.Leader(7); got.Term != want.term || got.Node != want.node {
			t.Fatalf("leader %v, want %v", got, want)
		}
	})
}

// TestRoutes: a place is looked up once, here first and behind a read index only when it is not known here; and kept
// until its group denies it.
func TestRoutes(t *testing.T) {
	r := newReplica(t)
	r.group(1, "n1.1", "n2.1", "n3.1")
	r.do(func(w space.Writer) error {
		return store.SetReplicaState(w, &store.ReplicaStateRequest{Group: 1, Server: "n2.1", State: placement.Lost})
	})
	v := New(r)
	if err := v.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	id := cluster.SpaceID{1}
	if _, err := v.Route(t.Context(), id); !errors.Is(err, cluster.ErrNoSpace) || r.reads(space.ReadIndex) != 1 {
		t.Fatalf("a space that is nowhere: %v, %d reads behind an index", err, r.reads(space.ReadIndex))
	}
	r.do(func(w space.Writer) error {
		_, err := store.PlaceSpace(w, &store.PlaceSpaceRequest{Space: id})
		return err
	})
	v.Learn(1, 3, "n3")
	want := Route{Place: placement.Place{Group: 1, Epoch: 1}, Leader: "n3", Replicas: []cluster.NodeID{"n1", "n3"}}
	for range 2 {
		if got, err := v.Route(t.Context(), id); err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("%+v, %v; want %+v", got, err, want)
		}
	}
	local := r.reads(space.ReadLocal)
	if _, err := v.Route(t.Context(), id); err != nil || r.reads(space.ReadLocal) != local || r.reads(space.ReadIndex) != 1 {
		t.Error("a place that is known was looked up again")
	}
	v.Moved(id, placement.Place{Group: 1, Epoch: 0}) // an answer from before the place was
	if _, err := v.Route(t.Context(), id); err != nil || r.reads(space.ReadLocal) != local {
		t.Errorf("an older denial was believed: %v", err)
	}
	v.Moved(id, want.Place)
	if _, err := v.Route(t.Context(), id); err != nil || r.reads(space.ReadLocal) != local+1 {
		t.Errorf("a denied place was not looked up again: %v", err)
	}
}

// TestMovedSpaceIsRoutedAnew: a flip in the map ends the place that is remembered, though nobody denied it.
func TestMovedSpaceIsRoutedAnew(t *testing.T) {
	r := newReplica(t)
	r.group(1, "n1.1")
	v, q := New(r), &store.MoveRequest{Space: cluster.SpaceID{1}, ID: placement.MoveID{1}, To: 2, Attempt: 1}
	r.do(func(w space.Writer) error {
		_, err := store.PlaceSpace(w, &store.PlaceSpaceRequest{Space: q.Space})
		return err
	})
	if got, err := v.Route(t.Context(), q.Space); err != nil || got.Place.Group != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
	r.group(2, "n2.1")
	for _, step := range []func(space.Writer, *store.MoveRequest) (placement.Move, error){store.StartMove, store.FlipMove} {
		r.do(func(w space.Writer) error {
			_, err := step(w, q)
			return err
		})
	}
	changed := v.Changed()
	if err := v.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-changed
	if got, err := v.Route(t.Context(), q.Space); err != nil || got.Place.Group != 2 || got.Place.Epoch != 2 {
		t.Fatalf("after the flip %+v, %v", got, err)
	}
	if m := v.Map().Move(q.Space); m == nil || m.State != placement.MoveFlipped || v.Map().Move(cluster.SpaceID{2}) != nil {
		t.Fatalf("the map's moves are %+v", v.Map().Moves)
	}
}

// TestALaggingReplicaDeniesNothing: what cannot be read here, or is not here yet, is asked behind a read index.
func TestALaggingReplicaDeniesNothing(t *testing.T) {
	r := newReplica(t)
	r.group(1, "n1.1")
	r.do(func(w space.Writer) error {
		_, err := store.PlaceSpace(w, &store.PlaceSpaceRequest{Space: cluster.SpaceID{1}})
		return err
	})
	v := New(r)
	r.fail(space.ReadLocal, cluster.ErrUnavailable)
	if got, err := v.Route(t.Context(), cluster.SpaceID{1}); err != nil || got.Place.Group != 1 || got.Leader != "" || got.Replicas != nil {
		t.Fatalf("%+v, %v", got, err)
	}
	r.fail(space.ReadIndex, cluster.ErrUnavailable)
	if _, err := v.Route(t.Context(), cluster.SpaceID{2}); !errors.Is(err, cluster.ErrUnavailable) {
		t.Fatalf("without any replica: %v", err)
	}
	r.fail(space.ReadLocal, context.Canceled)
	if _, err := v.Route(t.Context(), cluster.SpaceID{2}); !errors.Is(err, context.Canceled) {
		t.Fatalf("the caller has gone: %v", err)
	}
}
