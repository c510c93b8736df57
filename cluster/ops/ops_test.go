package ops

import (
	"context"
	"errors"
	"sync"
	"testing"
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
	route   Route
	denied  error
	changed chan struct{}
	moved   int
}

func (n *nodes) CallOps(_ context.Context, node cluster.NodeID, frame []byte) ([]byte, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked = append(n.asked, node)
	var q Request
	if err := wire.Unmarshal(frame, &q); err != nil {
		return nil, err
	}
	n.ids[q.ID] = true
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
	return n, NewClient("n1", NewServer(none{}, Events{}), n, n)
}

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

func TestARefusalIsFinal(t *testing.T) {
	refusal := cluster.Errorf(1008, "full")
	n, c := network(map[cluster.NodeID][]error{"n2": {refusal}})
	if _, err := call(c, Write, 10*time.Second); !errors.Is(err, refusal) || len(n.asked) != 1 {
		t.Fatalf("%v after %v", err, n.asked)
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

func TestServerRunsTheTable(t *testing.T) {
	db, err := lsm.Open(lsm.Options{Dir: "/state", FS: lsm.MemFS(), DisableWAL: true})
	if err != nil {
		t.Fatal(err)
	}
	rep, err := space.NewLocalReplica(db, space.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := rep.Close(); err != nil {
			t.Error(err)
		}
	}()
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
	id, err := NewRequestID(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Serve(ctx, &Request{Op: 1, Space: here, Group: 3}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		got, err := s.Serve(ctx, &Request{Op: 2, Space: here, Group: 3, ID: id.ID, Created: id.Created, Payload: []byte("v")})
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
