package ops

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/internal/lsm"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

var here = cluster.SpaceID{1}

// nodes is a network of scripted nodes: each answers with the next of its script, and its last answer for ever.
type nodes struct {
	mu      sync.Mutex
	script  map[cluster.NodeID][]error
	asked   []cluster.NodeID
	ids     map[[16]byte]bool
	ages    []time.Duration
	owners  int    // calls to the node that was known to lead, as to it
	others  int    // calls to another one, as to one that may know
	took    func() // what happens while a node answers
	route   Route
	denied  error
	changed chan struct{}
	moved   int
}

func (n *nodes) CallOps(_ context.Context, node cluster.NodeID, _ Mode, frame []byte) ([]byte, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked = append(n.asked, node)
	var q Request
	if err := wire.Unmarshal(frame, &q); err != nil {
		return nil, err
	}
	n.ids[q.ID] = true
	n.ages = append(n.ages, q.Age)
	switch leads := node == n.route.Leader; {
	case leads && q.Owner:
		n.owners++
	case !leads && !q.Owner:
		n.others++
	}
	if n.took != nil {
		n.took()
	}
	s := n.script[node]
	if len(s) > 1 {
		n.script[node] = s[1:]
	}
	return []byte(node), s[0]
}

func (n *nodes) Route(context.Context, cluster.SpaceID) (Route, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.route, n.denied
}

func (n *nodes) Learn(_ cluster.GroupID, _ uint64, leader cluster.NodeID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if leader != "" {
		n.route.Leader = leader
	}
}

func (n *nodes) Moved(cluster.SpaceID, Route) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.moved++
}

func (n *nodes) Changed() <-chan struct{} { return n.changed }

func network(script map[cluster.NodeID][]error) (*nodes, *Client) {
	n := &nodes{script: script, ids: map[[16]byte]bool{}, changed: make(chan struct{}),
		route: Route{Group: 3, Leader: "n2", Replicas: []cluster.NodeID{"n2", "n3", "n4"}}}
	return n, NewClient("n1", NewServer(none{}, Events{}), n, n, &clocks{})
}

// clocks is a node's, set by hand.
type clocks struct {
	mono time.Duration
	wall time.Time
}

func (c *clocks) Mono() time.Duration { return c.mono }
func (c *clocks) Wall() time.Time     { return c.wall }

func (c *clocks) pass(d time.Duration) { c.mono, c.wall = c.mono+d, c.wall.Add(d) }

type none struct{}

func (none) Replica(cluster.GroupID) *space.Replica { return nil }

func call(c *Client, mode Mode, d time.Duration) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	return c.Call(ctx, &Request{Op: 7, Space: here}, mode)
}

func TestFollowsTheLeaderUnderOneRequestID(t *testing.T) {
	n, c := network(map[cluster.NodeID][]error{
		"n2": {cluster.ErrUnknownOutcome, &cluster.Error{Kind: cluster.KindNotLeader, Term: 5, Leader: "n4"}},
		"n3": {&cluster.Error{Kind: cluster.KindNotLeader, Term: 5, Leader: "n4"}},
		"n4": {cluster.ErrOverloaded, nil},
	})
	got, err := call(c, Write, 10*time.Second)
	if err != nil || string(got) != "n4" {
		t.Fatalf("%q, %v after %v", got, err, n.asked)
	}
	if len(n.ids) != 1 || n.ids[[16]byte{}] {
		t.Fatalf("%d request ids over the attempts %v", len(n.ids), n.asked)
	}
}

// TestWhoIsTakenForTheOwner: the leader that is known is asked as such, the others are tried.
func TestWhoIsTakenForTheOwner(t *testing.T) {
	n, c := network(map[cluster.NodeID][]error{"n2": {cluster.ErrUnavailable}, "n3": {cluster.ErrUnavailable},
		"n4": {&cluster.Error{Kind: cluster.KindNotLeader, Term: 5, Leader: "n4"}, nil}})
	if _, err := call(c, Write, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	if n.owners == 0 || n.others == 0 || n.owners+n.others != len(n.asked) {
		t.Errorf("of the calls to %v %d were to the owner, %d to others", n.asked, n.owners, n.others)
	}
}

// TestMisledIsTold of a caller that took this node for the leader, once another is known.
func TestMisledIsTold(t *testing.T) {
	for _, x := range []struct {
		owner  bool
		answer error
		told   bool
	}{
		{true, &cluster.Error{Kind: cluster.KindNotLeader, Group: 3, Leader: "n4"}, true},
		{false, &cluster.Error{Kind: cluster.KindNotLeader, Group: 3, Leader: "n4"}, false},
		{true, &cluster.Error{Kind: cluster.KindNotLeader, Group: 3}, false},
		{true, cluster.ErrUnavailable, false},
		{true, nil, false},
	} {
		told := false
		s := NewServer(one{openReplica(t, space.Config{})}, Events{Misled: func(g cluster.GroupID, leader cluster.NodeID) {
			told = g == 3 && leader == "n4"
		}}, []Handler{{ID: 1, Name: "ask", Mode: Serve, Serve: func(context.Context, *space.Replica, *Request) ([]byte, error) {
			return nil, x.answer
		}}})
		_, err := s.Handle(t.Context(), wire.Marshal(&Request{Op: 1, Space: here, Group: 3, Owner: x.owner}))
		if !errors.Is(err, x.answer) || told != x.told {
			t.Errorf("%+v: %v, told %v", x, err, told)
		}
	}
}

// TestDamageOfOneReplicaIsTriedElsewhere: no client is told of it, and an update may have happened.
func TestDamageOfOneReplicaIsTriedElsewhere(t *testing.T) {
	rep := openReplica(t, space.Config{})
	s := NewServer(one{rep}, Events{}, []Handler{
		{ID: 1, Name: "make", Mode: Create, Update: func(space.Writer, *Request) ([]byte, error) { return nil, nil }},
		{ID: 2, Name: "get", Mode: Read, View: func(space.Reader, *Request) ([]byte, error) {
			return nil, fmt.Errorf("read: %w", lsm.ErrCorrupt)
		}},
		{ID: 3, Name: "put", Mode: Write, Update: func(space.Writer, *Request) ([]byte, error) {
			return nil, fmt.Errorf("read: %w", lsm.ErrCorrupt)
		}},
	})
	for _, x := range []struct {
		op   ID
		kind cluster.Kind
	}{{2, cluster.KindUnavailable}, {3, cluster.KindUnknownOutcome}} {
		if _, err := s.Serve(t.Context(), &Request{Op: 1, Space: cluster.SpaceID{byte(x.op)}, Group: 3, ID: [16]byte{byte(x.op)}}); err != nil {
			t.Fatal(err)
		}
		_, err := s.Serve(t.Context(), &Request{Op: x.op, Space: cluster.SpaceID{byte(x.op)}, Group: 3, ID: [16]byte{9, byte(x.op)}})
		if cluster.KindOf(err) != x.kind || !cluster.Retryable(err) || !errors.Is(err, lsm.ErrCorrupt) {
			t.Errorf("op %d: %v", x.op, err)
		}
	}
}

// TestAgeOfARequestID holds that an id's age counts from the first attempt that may have happened, by the monotonic
// clock, and by the calendar where that says more; and that nothing else of a client's clocks crosses the wire.
func TestAgeOfARequestID(t *testing.T) {
	refused, lost := cluster.ErrOverloaded, cluster.ErrUnknownOutcome
	n, c := network(map[cluster.NodeID][]error{"n2": {refused, refused, lost, lost, lost, nil}})
	n.route.Replicas = n.route.Replicas[:1]
	clock := c.clock.(*clocks)
	clock.wall = time.Unix(1_700_000_000, 0)
	steps := []func(){
		func() { clock.pass(time.Hour) },
		func() { clock.wall = clock.wall.Add(-time.Hour) }, // set back
		func() { clock.pass(time.Minute) },
		func() { clock.mono += time.Minute; clock.wall = clock.wall.Add(-time.Hour) },
		func() { clock.wall = clock.wall.Add(2 * time.Hour) }, // the machine slept
		func() {},
	}
	n.took = func() {
		steps[0]()
		steps = steps[1:]
	}
	if _, err := call(c, Write, time.Minute); err != nil {
		t.Fatal(err)
	}
	want := []time.Duration{0, 0, 0, time.Minute, 2 * time.Minute, time.Hour + time.Minute}
	if !slices.Equal(n.ages, want) {
		t.Fatalf("ages %v, want %v", n.ages, want)
	}
}

// TestOnceWhateverTheClocks sends a write from a node by way of an owner that loses the answer and one that comes after
// it, their calendars each right or an hour off: it happens once. Its answer is remembered for as long as a client may
// ask, and an older id is refused.
func TestOnceWhateverTheClocks(t *testing.T) {
	offsets := []time.Duration{-time.Hour, 0, time.Hour}
	for _, client := range offsets {
		for _, first := range offsets {
			for _, next := range offsets {
				onceUnderClocks(t, client, first, next)
			}
		}
	}
}

func onceUnderClocks(t *testing.T, client, first, next time.Duration) {
	owner := first
	rep := openReplica(t, space.Config{Now: func() time.Time { return time.Now().Add(owner) }})
	runs := 0
	server := NewServer(one{rep}, Events{}, []Handler{
		{ID: 1, Name: "make", Mode: Create, Update: func(space.Writer, *Request) ([]byte, error) { return nil, nil }},
		{ID: 2, Name: "put", Mode: Write, Update: func(w space.Writer, q *Request) ([]byte, error) {
			runs++
			w.Set([]byte("k"), q.Payload)
			return []byte("done"), nil
		}},
	})
	c := NewClient("n1", nil, nil, nil, &clocks{})
	clock := c.clock.(*clocks)
	clock.wall = time.Now().Add(client)
	n := &served{server: server, arrived: func() { clock.pass(cluster.RequestWindow * 2 / 3) }}
	c.conn, c.router = n, &nodes{route: Route{Group: 3, Leader: "n2", Replicas: []cluster.NodeID{"n2"}}, changed: make(chan struct{})}
	if _, err := c.Call(t.Context(), &Request{Op: 1, Space: here}, Create); err != nil {
		t.Fatal(err)
	}
	lose := func() {
		rep.Local.Fail(space.FaultLostAnswer)
		n.lost = func() {
			rep.Local.Depose()
			rep.Local.Elect()
			owner = next
		}
	}
	lose()
	got, err := c.Call(t.Context(), &Request{Op: 2, Space: here}, Write)
	if err != nil || string(got) != "done" || runs != 1 {
		t.Errorf("client %v, owner %v, next %v: %q, %v after %d runs", client, first, next, got, err, runs)
	}
	lose()
	n.arrived = func() { clock.pass(cluster.RequestWindow + time.Second) }
	if _, err := c.Call(t.Context(), &Request{Op: 2, Space: here}, Write); !errors.Is(err, cluster.ErrStaleRequest) || runs != 2 {
		t.Errorf("client %v, owner %v, next %v: %v after %d runs beyond the window", client, first, next, err, runs)
	}
}

// served is a network to one server.
type served struct {
	server  *Server
	arrived func()
	lost    func() // told of the next unknown outcome
}

func (s *served) CallOps(ctx context.Context, _ cluster.NodeID, _ Mode, frame []byte) ([]byte, error) {
	s.arrived()
	resp, err := s.server.Handle(ctx, frame)
	if errors.Is(err, cluster.ErrUnknownOutcome) && s.lost != nil {
		s.lost()
		s.lost = nil
	}
	return resp, err
}

func TestRequestIDsAscendAndDiffer(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	var last Request
	for range 1000 {
		var q Request
		if err := q.drawID(now); err != nil {
			t.Fatal(err)
		}
		if q.ID == last.ID {
			t.Fatal("an id was drawn twice")
		}
		if now = now.Add(time.Millisecond); bytes.Compare(q.ID[:], last.ID[:]) < 0 {
			t.Fatalf("%x was drawn after %x", q.ID, last.ID)
		}
		last = q
	}
}

func TestARefusalIsFinal(t *testing.T) {
	refusal := cluster.Errorf(1008, "full")
	n, c := network(map[cluster.NodeID][]error{"n2": {refusal}})
	if _, err := call(c, Write, 10*time.Second); !errors.Is(err, refusal) || len(n.asked) != 1 {
		t.Fatalf("%v after %v", err, n.asked)
	}
}

// TestTheLastAttemptSpeaksForItself: what only says that the last attempt did nothing is no answer to a write that an
// earlier attempt may have done; to a read it is, and so is a refusal of the owner.
func TestTheLastAttemptSpeaksForItself(t *testing.T) {
	refusal := cluster.Errorf(1008, "full")
	for _, c := range []struct {
		mode  Mode
		last  error
		wants error
	}{
		{Write, cluster.ErrDeadline, cluster.ErrUnknownOutcome},
		{Write, cluster.ErrDiskFull, cluster.ErrUnknownOutcome},
		{Create, cluster.ErrNoMethod, cluster.ErrUnknownOutcome},
		{Write, refusal, refusal},
		{Read, cluster.ErrDeadline, cluster.ErrDeadline},
	} {
		n, client := network(map[cluster.NodeID][]error{"n2": {cluster.ErrUnknownOutcome, c.last}})
		n.route.Replicas = n.route.Replicas[:1]
		if _, err := call(client, c.mode, 10*time.Second); cluster.KindOf(err) != cluster.KindOf(c.wants) || len(n.asked) != 2 {
			t.Errorf("mode %d, unknown and then %v: %v after %d attempts", c.mode, c.last, err, len(n.asked))
		}
	}
	_, client := network(map[cluster.NodeID][]error{"n2": {cluster.ErrDeadline}})
	if _, err := call(client, Write, 10*time.Second); !errors.Is(err, cluster.ErrDeadline) {
		t.Errorf("a single attempt that did nothing: %v", err)
	}
}

func TestWithoutAnAnswerTheOutcomeIsUnknown(t *testing.T) {
	_, c := network(map[cluster.NodeID][]error{"n2": {cluster.ErrUnknownOutcome}, "n3": {cluster.ErrUnavailable}, "n4": {cluster.ErrUnavailable}})
	if _, err := call(c, Write, 200*time.Millisecond); cluster.KindOf(err) != cluster.KindUnknownOutcome {
		t.Fatalf("write: %v", err)
	}
	if _, err := call(c, Read, 200*time.Millisecond); cluster.KindOf(err) != cluster.KindUnavailable {
		t.Fatalf("read: %v", err)
	}
}

// silent is a node that takes calls and never answers; it keeps how they were given up.
type silent struct {
	modes []Mode
	after []time.Duration
}

func (s *silent) CallOps(ctx context.Context, _ cluster.NodeID, mode Mode, _ []byte) ([]byte, error) {
	began := time.Now()
	<-ctx.Done()
	s.modes, s.after = append(s.modes, mode), append(s.after, time.Since(began))
	return nil, fmt.Errorf("%w: %w", cluster.ErrUnknownOutcome, ctx.Err())
}

// TestASilentNodeCostsAnAttempt holds how long one attempt of each mode may take, and that ops that wait are given all
// of the caller's time in one.
func TestASilentNodeCostsAnAttempt(t *testing.T) {
	for _, c := range []struct {
		mode  Mode
		first time.Duration
	}{{Read, attemptLimit}, {Write, attemptLimit}, {Create, attemptLimit}, {Serve, serveLimit}, {Wait, time.Minute}} {
		synctest.Test(t, func(t *testing.T) {
			n, client := network(nil)
			s := &silent{}
			client.conn, n.changed = s, make(chan struct{})
			_, err := call(client, c.mode, time.Minute)
			if err == nil || s.modes[0] != c.mode || s.after[0] != c.first {
				t.Errorf("mode %d: attempts of %v as %v, then %v", c.mode, s.after, s.modes, err)
			}
			if c.mode == Wait && len(s.after) != 1 {
				t.Errorf("a wait was begun %d times", len(s.after))
			}
		})
	}
}

// TestOpsThatWaitComeByTheirOwnMethod: each door of a server takes its own ops only, or a budget would be no budget.
func TestOpsThatWaitComeByTheirOwnMethod(t *testing.T) {
	serve := func(context.Context, *space.Replica, *Request) ([]byte, error) { return []byte("served"), nil }
	s := NewServer(one{openReplica(t, space.Config{})}, Events{}, []Handler{
		{ID: 1, Name: "upload", Mode: Serve, Serve: serve}, {ID: 2, Name: "watch", Mode: Wait, Serve: serve}})
	doors := []func(context.Context, []byte) ([]byte, error){s.Handle, s.HandleWait}
	for i, right := range doors {
		frame := wire.Marshal(&Request{Op: ID(i + 1), Space: here, Group: 3})
		if got, err := right(t.Context(), frame); err != nil || string(got) != "served" {
			t.Errorf("op %d: %q, %v", i+1, got, err)
		}
		if _, err := doors[1-i](t.Context(), frame); !errors.Is(err, cluster.ErrBadRequest) {
			t.Errorf("op %d by the other method: %v", i+1, err)
		}
	}
	if _, err := s.HandleWait(t.Context(), []byte{0xff}); !errors.Is(err, cluster.ErrBadRequest) {
		t.Error(err)
	}
	if _, err := s.HandleWait(t.Context(), wire.Marshal(&Request{Op: 9})); !errors.Is(err, cluster.ErrNoMethod) {
		t.Error(err)
	}
}

func TestASpaceWithoutAPlaceIsDenied(t *testing.T) {
	n, c := network(nil)
	n.denied = cluster.ErrNoSpace
	if _, err := call(c, Read, 10*time.Second); !errors.Is(err, cluster.ErrNoSpace) || len(n.asked) != 0 {
		t.Fatalf("%v after %v", err, n.asked)
	}
}

// one is a node that leads a single group.
type one struct{ rep *space.LocalReplica }

func (o one) Replica(g cluster.GroupID) *space.Replica {
	if g == 3 {
		return o.rep.Replica
	}
	return nil
}

func openReplica(t *testing.T, config space.Config) *space.LocalReplica {
	t.Helper()
	db, err := lsm.Open(lsm.Options{Dir: "/state", FS: lsm.MemFS(), DisableWAL: true})
	if err != nil {
		t.Fatal(err)
	}
	rep, err := space.NewLocalReplica(db, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(rep.Close(), db.Close()); err != nil {
			t.Error(err)
		}
	})
	return rep
}

func TestServerRunsTheTable(t *testing.T) {
	rep := openReplica(t, space.Config{})
	runs := 0
	s := NewServer(one{rep}, Events{}, []Handler{
		{ID: 1, Name: "make", Mode: Create, Update: func(w space.Writer, _ *Request) ([]byte, error) { return nil, nil }},
		{ID: 2, Name: "put", Mode: Write, Update: func(w space.Writer, q *Request) ([]byte, error) {
			runs++
			w.Set([]byte("k"), q.Payload)
			return []byte("done"), nil
		}},
		{ID: 3, Name: "get", Mode: Read, View: func(r space.Reader, _ *Request) ([]byte, error) { return r.Get([]byte("k")) }},
	})
	ctx := context.Background()
	id := [16]byte{1}
	if _, err := s.Serve(ctx, &Request{Op: 1, Space: here, Group: 3}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		got, err := s.Serve(ctx, &Request{Op: 2, Space: here, Group: 3, ID: id, Payload: []byte("v")})
		if err != nil || string(got) != "done" {
			t.Fatalf("%q, %v", got, err)
		}
	}
	if got, err := s.Serve(ctx, &Request{Op: 3, Space: here, Group: 3}); err != nil || string(got) != "v" || runs != 1 {
		t.Fatalf("%q, %v, %d runs of one request", got, err, runs)
	}
	if _, err := s.Serve(ctx, &Request{Op: 9, Space: here, Group: 3}); !errors.Is(err, cluster.ErrNoMethod) {
		t.Fatal(err)
	}
	if _, err := s.Serve(ctx, &Request{Op: 3, Space: here, Group: 4}); !errors.Is(err, cluster.ErrNotLeader) {
		t.Fatal(err)
	}
	if _, err := s.Handle(ctx, []byte{0xff}); !errors.Is(err, cluster.ErrBadRequest) {
		t.Fatal(err)
	}
}

// TestPlacementEpoch holds that a space is created under the epoch of the request, and that under another nothing of it
// is read or changed: who knows an older has to look again, who knows a newer waits (CLUSTER 6.7).
func TestPlacementEpoch(t *testing.T) {
	rep := openReplica(t, space.Config{})
	runs := 0
	server := NewServer(one{rep}, Events{}, []Handler{
		{ID: 1, Name: "make", Mode: Create, Update: func(space.Writer, *Request) ([]byte, error) { return nil, nil }},
		{ID: 2, Name: "put", Mode: Write, Update: func(w space.Writer, q *Request) ([]byte, error) {
			runs++
			w.Set([]byte("k"), q.Payload)
			return []byte("done"), nil
		}},
		{ID: 3, Name: "get", Mode: Read, View: func(r space.Reader, _ *Request) ([]byte, error) {
			runs++
			return r.Get([]byte("k"))
		}},
	})
	serve := func(op ID, epoch uint64) error {
		_, err := server.Serve(t.Context(), &Request{Op: op, Space: here, Group: 3, Epoch: epoch})
		return err
	}
	if err := serve(1, 4); err != nil {
		t.Fatal(err)
	}
	spaces, err := rep.Spaces()
	if err != nil || len(spaces) != 1 || spaces[0].Epoch != 4 {
		t.Fatalf("created %+v, %v", spaces, err)
	}
	for _, op := range []ID{2, 3} {
		for epoch, want := range map[uint64]error{3: cluster.ErrNoSpace, 5: cluster.ErrMoving, 4: nil} {
			before := runs
			if err := serve(op, epoch); !errors.Is(err, want) || (runs > before) != (want == nil) {
				t.Errorf("op %d under epoch %d: %v after %d runs", op, epoch, err, runs-before)
			}
		}
	}
}

// TestRequestsThatWaitAreCounted holds a write in its function and sends more than the group takes.
func TestRequestsThatWaitAreCounted(t *testing.T) {
	rep := openReplica(t, space.Config{MaxBytes: 1000})
	began, end := make(chan struct{}), make(chan struct{})
	server := NewServer(one{rep}, Events{}, []Handler{
		{ID: 1, Name: "make", Mode: Create, Update: func(space.Writer, *Request) ([]byte, error) { return nil, nil }},
		{ID: 2, Name: "hold", Mode: Write, Update: func(space.Writer, *Request) ([]byte, error) {
			began <- struct{}{}
			<-end
			return nil, nil
		}},
	})
	serve := func(op ID, as, payload int) error {
		_, err := server.Serve(context.Background(), &Request{Op: op, Space: here, Group: 3, As: make([]byte, as), Payload: make([]byte, payload)})
		return err
	}
	if err := serve(1, 0, 0); err != nil {
		t.Fatal(err)
	}
	held := make(chan error, 1)
	go func() { held <- serve(2, 300, 300) }()
	<-began
	if err := serve(2, 0, 401); !errors.Is(err, cluster.ErrOverloaded) {
		t.Errorf("the second: %v", err)
	}
	close(end)
	if err := <-held; err != nil {
		t.Error(err)
	}
}
