package gossip

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
)

// world is several data centres in one process. A node is called by its data centre and a number.
type world struct {
	mu      sync.Mutex
	members map[cluster.NodeID]*member // guarded by mu; those that run, and those that crashed
}

func dcOf(id cluster.NodeID) string { return strings.TrimRight(string(id), "0123456789") }

// remote is what the system group's map would say: every node but those of the own data centre.
func (w *world) remote(dc string) []Peer {
	w.mu.Lock()
	defer w.mu.Unlock()
	var peers []Peer
	for id, m := range w.members {
		if dcOf(id) != dc {
			peers = append(peers, Peer{ID: id, DC: dcOf(id), Addr: m.Addr()})
		}
	}
	return peers
}

func (w *world) seeds(dc string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var addrs []string
	for id, m := range w.members {
		if dcOf(id) == dc {
			addrs = append(addrs, m.Addr())
		}
	}
	return addrs
}

// calm is quick, but for many nodes on a slow machine: who answers late is not found dead there.
func calm() Tuning {
	return Tuning{
		PushPull: 400 * time.Millisecond, Gossip: 50 * time.Millisecond, Probe: 500 * time.Millisecond,
		ProbeWait: 400 * time.Millisecond, Rejoin: 400 * time.Millisecond,
	}
}

func (w *world) start(t *testing.T, id cluster.NodeID, change func(*Config)) *member {
	t.Helper()
	m := start(t, id, func(c *Config) {
		c.Meta.DC, c.LAN, c.WAN = dcOf(id), calm(), calm()
		c.Gateways.Review = 100 * time.Millisecond
		c.Seeds = func() []string { return w.seeds(dcOf(id)) }
		c.Remote = func() []Peer { return w.remote(dcOf(id)) }
		if change != nil {
			change(c)
		}
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	w.members[id] = m
	return m
}

func startWorld(t *testing.T, change func(*Config), ids ...cluster.NodeID) *world {
	t.Helper()
	w := &world{members: map[cluster.NodeID]*member{}}
	for _, id := range ids {
		w.start(t, id, change)
	}
	return w
}

func (m *member) nodesBy(which func(Node) bool) string {
	var names []string
	for _, n := range m.Nodes() {
		if which(n) {
			names = append(names, string(n.ID))
		}
	}
	return strings.Join(names, " ")
}

func (m *member) sitesHeard() string {
	var names []string
	for _, s := range m.Sites() {
		if s.Heard {
			names = append(names, s.DC)
		}
	}
	return strings.Join(names, " ")
}

// sees waits until each of the members finds exactly these nodes alive and these among them gateways.
func (w *world) sees(t *testing.T, alive, gateways string, at ...cluster.NodeID) {
	t.Helper()
	for _, id := range at {
		m := w.members[id]
		eventually(t, fmt.Sprintf("%s sees %s, gateways %s", id, alive, gateways), func() bool {
			return m.nodesBy(func(n Node) bool { return n.Alive }) == alive && m.nodesBy(func(n Node) bool { return n.Gateway }) == gateways
		})
	}
}

// quiet waits until nobody has anything to tell: what was told has gone round no more than it had to.
func (w *world) quiet(t *testing.T) {
	t.Helper()
	for _, m := range w.members {
		eventually(t, "nothing left to tell", func() bool {
			m.know.mu.Lock()
			defer m.know.mu.Unlock()
			left := 0
			for _, o := range m.know.boxes {
				if o.members > 1 { // or there is nobody to tell, and memberlist does not ask
					left += len(o.hints) + len(o.records)
				}
			}
			return left == 0
		})
	}
}

// cut parts the data centre from all others, in both directions; with nothing it ends that.
func (w *world) cut(dc string) {
	addrs := w.seeds(dc)
	for id, m := range w.members {
		inside := dcOf(id) == dc
		drop := func(addr string) bool { return inside != slices.Contains(addrs, addr) }
		if m.mux.cut.Store(&drop); dc == "" {
			m.mux.cut.Store(nil)
		}
	}
}

var three = []cluster.NodeID{"a1", "a2", "a3", "b1", "b2", "c1"}

// TestFactsCrossDataCentres: what any node says reaches every other, whoever are the gateways; a1 may be none.
func TestFactsCrossDataCentres(t *testing.T) {
	t.Parallel()
	w := startWorld(t, func(c *Config) {
		if c.Node == "a1" {
			c.Meta.Gateway = GatewayNever
		}
	}, three...)
	w.sees(t, "a1 a2 a3 b1 b2 c1", "a2 a3 b1 b2 c1", three...)
	for i, id := range three {
		m := w.members[id]
		m.Announce(cluster.GroupID(i), 7, id)
		m.SetLoad(Load{Groups: uint32(10 + i)})
		meta := m.config.Meta
		meta.State, meta.Version = StateDraining, "9."+string(id)
		if err := m.SetMeta(meta); err != nil {
			t.Fatal(err)
		}
	}
	for _, at := range three {
		m := w.members[at]
		for i, id := range three {
			eventually(t, fmt.Sprintf("%s hears of %s", at, id), func() bool {
				n := m.node(id)
				return m.leads(cluster.GroupID(i), 7, id)() && n.Load.Groups == uint32(10+i) && n.Addr == w.members[id].Addr() &&
					n.Meta.Version == "9."+string(id) && n.Meta.State == StateDraining && n.Meta.NodeAddress == string(id)+":7400"
			})
		}
	}
	w.quiet(t)
	b := w.members["b2"]
	eventually(t, "b2 hears a and c", func() bool { return b.sitesHeard() == "a c" })
	eventually(t, "the gateways of a", func() bool {
		s := b.Sites()[0]
		return slices.Equal(s.Gateways, []cluster.NodeID{"a2", "a3"}) && !s.Since.IsZero()
	})
	eventually(t, "told of c", b.heard(func() bool { return b.sites["c"] && b.up["c1"].Meta.Version == "9.c1" && b.up["c1"].Alive }))
}

// TestAnotherTakesOver: a gateway dies and comes back. Meanwhile its place is taken; the others are told of it by the
// one that is left.
func TestAnotherTakesOver(t *testing.T) {
	t.Parallel()
	w := startWorld(t, nil, "a1", "a2", "a3", "b1")
	all := []cluster.NodeID{"a1", "a2", "a3", "b1"}
	w.sees(t, "a1 a2 a3 b1", "a1 a2 b1", all...)
	addr := w.members["a1"].Addr()
	w.members["a1"].crash(t)
	w.sees(t, "a2 a3 b1", "a2 a3 b1", all[1:]...)
	if n := w.members["b1"].node("a1"); n.Alive || n.Meta.State != StateServing || n.Load.Groups != 0 {
		t.Errorf("b1 knows a1 as %+v", n)
	}
	b := w.members["b1"]
	eventually(t, "told of a1", b.heard(func() bool { _, down := b.down["a1"]; return down }))
	w.members["a3"].Announce(4, 2, "a3")
	eventually(t, "hint", w.members["b1"].leads(4, 2, "a3"))

	w.start(t, "a1", func(c *Config) { c.Bind = addr })
	w.sees(t, "a1 a2 a3 b1", "a1 a2 b1", all...)
	if err := w.members["a2"].Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.sees(t, "a1 a3 b1", "a1 a3 b1", "a1", "a3", "b1")
	if n := w.members["b1"].node("a2"); n.Meta.State != StateLeaving {
		t.Errorf("b1 knows a2 as %+v", n)
	}
}

// TestDataCentreCutOff: neither side finds the other dead, only out of hearing; what each learns meanwhile meets after.
func TestDataCentreCutOff(t *testing.T) {
	t.Parallel()
	w := startWorld(t, nil, three...)
	w.sees(t, "a1 a2 a3 b1 b2 c1", "a1 a2 b1 b2 c1", three...)
	w.members["a3"].Announce(1, 4, "a3")
	w.members["c1"].Announce(2, 8, "c1")
	eventually(t, "hint of a", w.members["c1"].leads(1, 4, "a3"))
	eventually(t, "hint of c", w.members["a3"].leads(2, 8, "c1"))

	w.cut("c")
	w.sees(t, "a1 a2 a3 b1 b2", "a1 a2 b1 b2", "a1", "a2", "a3", "b1", "b2")
	w.sees(t, "c1", "c1", "c1")
	for id, want := range map[cluster.NodeID]string{"a3": "b", "b2": "a", "c1": ""} {
		eventually(t, "hears "+want, func() bool { return w.members[id].sitesHeard() == want })
	}
	eventually(t, "told of c", w.members["a3"].heard(func() bool { heard, told := w.members["a3"].sites["c"]; return told && !heard }))
	if _, lost := w.members["a3"].know.get("c1"); lost {
		t.Error("a3 has found c1 dead")
	}
	w.members["a3"].Announce(1, 5, "") // resigned in its term, 4
	w.members["b2"].Announce(1, 5, "b2")
	w.members["c1"].Announce(2, 9, "c1")
	if !w.members["c1"].leads(1, 4, "a3")() {
		t.Error("the cut does not hold")
	}

	w.cut("")
	w.sees(t, "a1 a2 a3 b1 b2 c1", "a1 a2 b1 b2 c1", three...)
	for _, id := range three {
		eventually(t, "the newer hints", func() bool { return w.members[id].leads(1, 5, "b2")() && w.members[id].leads(2, 9, "c1")() })
	}
	w.quiet(t)
}

// TestOneDataCentreHasNoGateway: one port with one pool, and nothing said beyond what it has always been.
func TestOneDataCentreHasNoGateway(t *testing.T) {
	t.Parallel()
	w := startWorld(t, nil, "a1", "a2", "a3")
	all := []cluster.NodeID{"a1", "a2", "a3"}
	w.members["a2"].SetLoad(Load{Groups: 5})
	w.sees(t, "a1 a2 a3", "", all...)
	for _, id := range all {
		m := w.members[id]
		eventually(t, "load", func() bool { return m.node("a2").Load.Groups == 5 })
		if s := (&steering{g: m.Gossip}); s.should(nil) {
			t.Errorf("%s wants to be a gateway", id)
		}
		m.mux.mu.Lock()
		if len(m.mux.branches) != 1 || m.pool(wan) != nil || len(m.Sites()) != 0 {
			t.Errorf("%s has %d pools and knows the data centres %v", id, len(m.mux.branches), m.Sites())
		}
		m.mux.mu.Unlock()
		_, records, err := decodeMessage(m.know.state())
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range records {
			if r.Addr != "" || r.Meta.DC != "" || r.Gateway {
				t.Errorf("%s tells %+v", id, r)
			}
		}
	}
}

// TestGatewaysEndWithTheOtherDataCentre: when the map has no other any more, and its nodes have left.
func TestGatewaysEndWithTheOtherDataCentre(t *testing.T) {
	t.Parallel()
	w := startWorld(t, nil, "a1", "a2", "b1")
	w.sees(t, "a1 a2 b1", "a1 a2 b1", "a1", "a2", "b1")
	b := w.members["b1"]
	w.mu.Lock()
	delete(w.members, "b1")
	w.mu.Unlock()
	if err := b.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.sees(t, "a1 a2", "", "a1", "a2")
	for _, id := range []cluster.NodeID{"a1", "a2"} {
		eventually(t, "no second pool", func() bool { return w.members[id].pool(wan) == nil })
	}
}
