package group

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/transport"
	"github.com/hashicorp/raft"
)

// oneWay is a network that takes nothing and counts what it should have taken.
type oneWay struct {
	network
	incarnation uint64
	sends       int
}

var errOneWay = errors.New("this network takes nothing")

func (n *oneWay) Send(context.Context, transport.Message) (*transport.Call, error) {
	n.sends++
	return nil, errOneWay
}

func (n *oneWay) PeerState(node cluster.NodeID) (transport.PeerState, bool) {
	return transport.PeerState{Node: node, Incarnation: n.incarnation}, true
}

// TestNothingNewIsNotSent: an append that says what its follower has acknowledged is answered without it; any that says more,
// or whose follower may have forgotten, is sent.
func TestNothingNewIsNotSent(t *testing.T) {
	const to = cluster.ServerID("n2.1")
	long := func(d time.Duration) time.Time { return time.Now().Add(-d - time.Second) }
	for name, x := range map[string]struct {
		change func(a *raft.AppendEntriesRequest, p *pipeline, n *oneWay)
		sent   bool
	}{
		"the same":     {func(*raft.AppendEntriesRequest, *pipeline, *oneWay) {}, false},
		"nothing told": {func(_ *raft.AppendEntriesRequest, p *pipeline, _ *oneWay) { p.told.Store(nil) }, true},
		"an entry": {func(a *raft.AppendEntriesRequest, _ *pipeline, _ *oneWay) {
			a.Entries = []*raft.Log{{Index: 8, Term: 3, Type: raft.LogCommand, Data: []byte("x")}}
		}, true},
		"more is committed": {func(a *raft.AppendEntriesRequest, _ *pipeline, _ *oneWay) { a.LeaderCommitIndex++ }, true},
		"after more":        {func(a *raft.AppendEntriesRequest, _ *pipeline, _ *oneWay) { a.PrevLogEntry++ }, true},
		"another term":      {func(a *raft.AppendEntriesRequest, _ *pipeline, _ *oneWay) { a.Term++ }, true},
		"another process":   {func(_ *raft.AppendEntriesRequest, _ *pipeline, n *oneWay) { n.incarnation++ }, true},
		"long ago": {func(_ *raft.AppendEntriesRequest, p *pipeline, _ *oneWay) {
			was := *p.told.Load()
			was.at = long(repeatEvery)
			p.told.Store(&was)
		}, true},
		"silent": {func(_ *raft.AppendEntriesRequest, p *pipeline, _ *oneWay) { p.t.heard[to] = long(raftLease) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			n := &oneWay{incarnation: 5}
			tr := newRaftTransport(t.Context(), "n1.1", 1, n)
			tr.pledge = func(cluster.ServerID, pledge) {}
			tr.heard[to] = time.Now()
			p := newPipeline(tr, to)
			defer func() {
				if err := errors.Join(p.Close(), tr.Close()); err != nil {
					t.Error(err)
				}
			}()
			p.told.Store(&told{term: 3, index: 7, commit: 6, incarnation: 5, at: time.Now()})
			a := &raft.AppendEntriesRequest{RPCHeader: header("n1.1"), Term: 3, PrevLogEntry: 7, PrevLogTerm: 3, LeaderCommitIndex: 6}
			x.change(a, p, n)
			f, err := p.AppendEntries(a, new(raft.AppendEntriesResponse))
			if x.sent {
				if !errors.Is(err, errOneWay) || n.sends != 1 {
					t.Fatalf("%d sent, %v", n.sends, err)
				}
				return
			}
			if err != nil || n.sends != 0 {
				t.Fatalf("%d sent, %v", n.sends, err)
			}
			select {
			case got := <-p.Consumer():
				if r := got.Response(); got != f || got.Error() != nil || !r.Success || r.Term != a.Term || r.LastLog != a.PrevLogEntry {
					t.Errorf("answered with %+v, %v", r, got.Error())
				}
			case <-within(t).Done():
				t.Error("no answer")
			}
		})
	}
}
