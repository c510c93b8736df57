package node

import (
	"bytes"
	"context"
	"log/slog"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/gossip"
	"github.com/flotilla-mail/flotilla/cluster/raftlog"
	"github.com/flotilla-mail/flotilla/cluster/transport"
	"github.com/flotilla-mail/flotilla/placement"
)

var gossipTestKey = bytes.Repeat([]byte{7}, gossipKeyBytes)

// TestOthersAreToldWhatANodeDoes: starting, ready, draining, and gone on purpose.
func TestOthersAreToldWhatANodeDoes(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	n := &Node{self: "n1", cfg: Defaults(), log: slog.New(slog.DiscardHandler),
		trust: &trust{cluster: transport.ClusterID("c"), gossip: gossipKeys{used: gossipTestKey}}}
	n.cfg.Listen.Gossip, n.cfg.Listen.Node = "127.0.0.1:0", ":7400"
	if err := n.makeGossip(); err != nil {
		t.Fatal(err)
	}
	if err := n.gossip.Start(ctx); err != nil {
		t.Fatal(err)
	}
	changed := make(chan gossip.Node, 100)
	other, err := gossip.New(gossip.Config{Node: "n2", Bind: "127.0.0.1:0", Cluster: "c", Key: gossipTestKey, Meta: gossip.Meta{DC: n.cfg.DC},
		Seeds:  func() []string { return []string{n.gossip.Addr()} },
		Events: gossip.Events{NodeUp: func(o gossip.Node) { changed <- o }, NodeDown: func(o gossip.Node) { changed <- o }}})
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(ctx); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := other.Close(ctx); err != nil {
			t.Error(err)
		}
	}()
	await := func(state string, alive bool) {
		t.Helper()
		for {
			select {
			case o := <-changed:
				if h := heardOf(&o); o.ID == "n1" && h.State == state && h.Alive == alive {
					if h.Address != "127.0.0.1:7400" {
						t.Errorf("address %q", h.Address)
					}
					return
				}
			case <-ctx.Done():
				t.Fatalf("nobody heard that the node is %s", state)
			}
		}
	}
	await("starting", true)
	n.ready.Store(true)
	n.tellState()
	await("ready", true)
	n.draining.Store(true)
	n.ready.Store(false)
	n.tellState()
	n.tellState()
	await("draining", true)
	if err := n.gossip.Close(ctx); err != nil {
		t.Fatal(err)
	}
	await("leaving", false)
	n.draining.Store(false)
	n.tellState() // too late, and no harm
}

func TestLoadIsOfTheTimeBetweenTwoQuestions(t *testing.T) {
	var m loadMeter
	at := time.Unix(1000, 0)
	ask := func(passed, cpu time.Duration) (l gossip.Load) {
		at = at.Add(passed)
		m.rates(&l, at, cpu)
		return l
	}
	m.wrote(raftlog.SyncInfo{Entries: 50, Bytes: 5000})
	if l := ask(0, time.Hour); l.Entries != 0 || l.Bytes != 0 || l.CPU != 0 {
		t.Errorf("at the first question: %+v", l)
	}
	m.wrote(raftlog.SyncInfo{Entries: 3, Bytes: 100})
	m.wrote(raftlog.SyncInfo{Entries: 1, Bytes: 300})
	if l := ask(2*time.Second, time.Hour+time.Duration(runtime.NumCPU())*time.Second); l.Entries != 2 || l.Bytes != 200 || l.CPU != 0.5 {
		t.Errorf("after two seconds: %+v", l)
	}
	if l := ask(time.Second, 0); l.Entries != 0 || l.CPU != 0 {
		t.Errorf("of an idle node: %+v", l)
	}
	if free, total := diskSpace(t.TempDir()); free == 0 || total < free {
		t.Errorf("%d of %d bytes are free", free, total)
	}
	if free, total := diskSpace("/does/not/exist"); free != 0 || total != 0 {
		t.Errorf("%d of %d bytes of nothing are free", free, total)
	}
	before := cpuUsed()
	for x := 0; cpuUsed() == before; x++ {
		if x > 1<<30 {
			t.Fatal("work takes no time")
		}
	}
}

func TestStatusTellsWhatWasHeard(t *testing.T) {
	since := time.Unix(5000, 0)
	nodes := []gossip.Node{
		{ID: "n1", Addr: "10.0.0.1:7401", Alive: true, Since: since, Meta: gossip.Meta{NodeAddress: ":7400", State: gossip.StateServing, Version: "1.2", DC: "north"}, Gateway: true,
			Load: gossip.Load{Leaders: 3, Mailboxes: 9, Entries: 12.5, Bytes: 4000, CPU: 0.25, DiskFree: 10, DiskTotal: 40}},
		{ID: "n2", Addr: "10.0.0.2:7401", Since: since, Meta: gossip.Meta{NodeAddress: "0.0.0.0:7400", State: gossip.StateServing}},
		{ID: "n3", Addr: "10.0.0.3:7401", Since: since, Meta: gossip.Meta{NodeAddress: "mail3.example:7400", State: gossip.StateLeaving}},
		{ID: "n4", Addr: "[fe80::1]:7401", Alive: true, Meta: gossip.Meta{NodeAddress: "[::]:7400"}},
		{ID: "n5", Addr: "10.0.0.5:7401", Meta: gossip.Meta{NodeAddress: "no address"}},
		{ID: "n6", Addr: "10.0.0.6:7401", Meta: gossip.Meta{NodeAddress: ":7400", DC: "south", State: gossip.StateServing}},
	}
	s := clusterStatus{Nodes: []Status{{Node: "n1"}, {Node: "n2"}, {Node: "n3"}, {Node: "n9"}, {Node: "n4"}, {Node: "n5"}, {Node: "n6"}}}
	all := s.Nodes
	addHeard(&s, nodes, []gossip.Site{{DC: "north", Heard: true, Since: since, Gateways: []cluster.NodeID{"n1"}}, {DC: "south", Since: since}})
	if len(s.Sites) != 2 || !s.Sites[0].Heard || s.Sites[0].Gateways[0] != "n1" || s.Sites[1].Heard || s.Sites[1].DC != "south" {
		t.Errorf("data centres: %+v", s.Sites)
	}
	if want := (heard{Alive: true, State: "ready", Since: since, Address: "10.0.0.1:7400", Version: "1.2", DC: "north", Gateway: true, Leads: 3, Mailboxes: 9,
		Entries: 12.5, Bytes: 4000, CPU: 0.25, DiskFree: 10, DiskTotal: 40}); *all[0].Gossip != want {
		t.Errorf("n1: %+v", all[0].Gossip)
	}
	for i, want := range map[int][2]string{1: {"silent", "10.0.0.2:7400"}, 2: {"leaving", "mail3.example:7400"},
		4: {"starting", "[fe80::1]:7400"}, 5: {"silent", ""}, 6: {"unheard", "10.0.0.6:7400"}} {
		if h := all[i].Gossip; h.State != want[0] || h.Address != want[1] {
			t.Errorf("%s: %+v", all[i].Node, h)
		}
	}
	if all[3].Gossip != nil {
		t.Error("something was heard of a node that nobody knows")
	}
}

// TestWhereOtherNodesListen: by the map, which knows data centres; by the configuration until the map was read.
func TestWhereOtherNodesListen(t *testing.T) {
	n := &Node{self: "a1", cfg: Config{DC: "a"}, peers: []Peer{{"a1", "10.0.0.1:7400"}, {"a2", "a2.example:7400"}, {"b1", "10.1.0.1:7400"}, {"x", "10.2.0.1:7400"}}}
	others := []placement.NodeState{
		{ID: "a2", DC: "a", Address: "a2.example:7400", Gossip: ":7946"}, {ID: "a3", DC: "a", Address: "10.0.0.3:7400", Gossip: "0.0.0.0:7947"},
		{ID: "b1", DC: "b", Address: "10.1.0.1:7400", Gossip: "10.1.0.9:7946"}, {ID: "b2", DC: "b", Address: ":7400", Gossip: ":7946"},
	}
	if got, want := n.gossipSeeds("7946", others), []string{"a2.example:7946", "10.0.0.3:7947", "10.2.0.1:7946"}; !slices.Equal(got, want) {
		t.Errorf("seeds %v, want %v", got, want)
	}
	if got, want := n.gossipSeeds("7946", nil), []string{"a2.example:7946", "10.1.0.1:7946", "10.2.0.1:7946"}; !slices.Equal(got, want) {
		t.Errorf("without a map the seeds are %v, want %v", got, want)
	}
	if got, want := n.gossipRemote(others), []gossip.Peer{{ID: "b1", DC: "b", Addr: "10.1.0.9:7946"}, {ID: "b2", DC: "b"}}; !slices.Equal(got, want) {
		t.Errorf("remote %v, want %v", got, want)
	}
	if got := n.otherNodes(); got != nil {
		t.Errorf("before there is a map: %v", got)
	}
}

func TestTheAddressThatTheOthersAreTold(t *testing.T) {
	n := &Node{self: "a", ctx: t.Context(), peers: []Peer{{"a", "10.0.0.1:7400"}, {"b", "127.0.0.1:7400"}}}
	for bind, want := range map[string]string{"0.0.0.0:7946": "10.0.0.1", "10.9.9.9:7946": "10.0.0.1", "[::1]:7946": "", "nonsense": ""} {
		if got := n.ownAddress(bind); got.IsValid() != (want != "") || want != "" && got.String() != want {
			t.Errorf("bound to %s: %v, want %q", bind, got, want)
		}
	}
	n.peers[0].Address = "name.example:7400"
	if got := n.ownAddress("10.9.9.9:7946"); got.IsValid() {
		t.Errorf("a node with a name, bound to an address: %v", got)
	}
	if got := n.ownAddress("0.0.0.0:7946"); got.IsValid() {
		t.Errorf("the way to the others leads over loopback: %v", got)
	}
}

func TestNothingIsGainedByMovingToASlowDisk(t *testing.T) {
	node := func(id cluster.NodeID, alive, slow bool) gossip.Node {
		return gossip.Node{ID: id, Alive: alive, Load: gossip.Load{SlowDisk: slow}}
	}
	for name, c := range map[string]struct {
		nodes []gossip.Node
		want  bool
	}{
		"alone":                {[]gossip.Node{node("n1", true, true)}, false},
		"nothing heard":        {nil, false},
		"all slow":             {[]gossip.Node{node("n1", true, true), node("n2", true, true), node("n3", true, true)}, true},
		"one is well":          {[]gossip.Node{node("n1", true, true), node("n2", true, true), node("n3", true, false)}, false},
		"the well one is gone": {[]gossip.Node{node("n2", true, true), node("n3", false, false)}, true},
	} {
		if got := elsewhere("n1", c.nodes, slowDiskOf); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
