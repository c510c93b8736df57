package gossip

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/flotilla-mail/flotilla/cluster"
)

func TestMain(m *testing.M) {
	// Shutdown of a pool does not wait for the probe it has out. That probe ends with its own
	// deadline, which memberlist stretches to eight intervals while it doubts its own health,
	// longer than goleak waits.
	probe := goleak.IgnoreTopFunction("github.com/hashicorp/memberlist.(*Memberlist).probeNode")
	goleak.VerifyTestMain(m, goleak.Cleanup(os.Exit), probe)
}

// member is a Gossip and what its owner was told.
type member struct {
	*Gossip
	mu        sync.Mutex
	conflicts map[string][]string // guarded by mu
	down      map[cluster.NodeID]Node
	loads     map[cluster.NodeID]Load
	hints     map[cluster.GroupID]cluster.NodeID
	sites     map[string]bool
	up        map[cluster.NodeID]Node
}

func testKey() []byte { return bytes.Repeat([]byte{7}, keySize) }

func quick() Tuning {
	return Tuning{
		PushPull: 300 * time.Millisecond, Gossip: 20 * time.Millisecond, Probe: 100 * time.Millisecond,
		ProbeWait: 50 * time.Millisecond, Rejoin: 200 * time.Millisecond,
	}
}

func quickGateways() Gateways {
	return Gateways{Review: 20 * time.Millisecond, Settle: 200 * time.Millisecond}
}

func start(t *testing.T, name cluster.NodeID, change func(*Config)) *member {
	t.Helper()
	m := &member{
		conflicts: map[string][]string{}, down: map[cluster.NodeID]Node{},
		loads: map[cluster.NodeID]Load{}, hints: map[cluster.GroupID]cluster.NodeID{}, sites: map[string]bool{},
		up: map[cluster.NodeID]Node{},
	}
	c := Config{
		Node: name, Bind: "127.0.0.1:0", Cluster: "test", Key: testKey(), LAN: quick(), WAN: quick(), Gateways: quickGateways(),
		Meta: Meta{DC: "dc1", NodeAddress: string(name) + ":7400", State: StateServing}, Events: m.events(),
	}
	if change != nil {
		change(&c)
	}
	g, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	m.Gossip = g
	if err := g.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := g.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return m
}

func (m *member) events() Events {
	locked := func(f func()) {
		m.mu.Lock()
		defer m.mu.Unlock()
		f()
	}
	return Events{
		Hint:     func(g cluster.GroupID, _ uint64, leader cluster.NodeID) { locked(func() { m.hints[g] = leader }) },
		NodeUp:   func(n Node) { locked(func() { m.up[n.ID] = n; delete(m.down, n.ID) }) },
		NodeDown: func(n Node) { locked(func() { m.down[n.ID] = n }) },
		Conflict: func(name string, addrs []string) { locked(func() { m.conflicts[name] = addrs }) },
		Site:     func(s Site) { locked(func() { m.sites[s.DC] = s.Heard }) },
		Load:     func(id cluster.NodeID, l Load) { locked(func() { m.loads[id] = l }) },
	}
}

func seeds(of ...*member) func(*Config) {
	return func(c *Config) {
		var addrs []string
		for _, m := range of {
			addrs = append(addrs, m.Addr())
		}
		c.Seeds = func() []string { return addrs }
	}
}

func startAll(t *testing.T, n int, change func(*Config)) []*member {
	t.Helper()
	all := make([]*member, n)
	for i := range all {
		all[i] = start(t, cluster.NodeID(fmt.Sprintf("n%d", i+1)), func(c *Config) {
			if i > 0 {
				seeds(all[0])(c)
			}
			if change != nil {
				change(c)
			}
		})
	}
	for _, m := range all {
		eventually(t, "all alive", func() bool { return m.alive() == n })
	}
	return all
}

func (m *member) node(id cluster.NodeID) Node {
	n, _ := m.know.get(id)
	return n
}

func (m *member) alive() int {
	n := 0
	for _, node := range m.Nodes() {
		if node.Alive {
			n++
		}
	}
	return n
}

func (m *member) leads(group cluster.GroupID, term uint64, leader cluster.NodeID) func() bool {
	return func() bool {
		l, at, ok := m.Leader(group)
		return ok && l == leader && at == term
	}
}

func (m *member) heard(f func() bool) func() bool {
	return func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		return f()
	}
}

const patience = 2 * time.Minute

// eventually waits on a condition that others bring about over the network.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick, limit := time.NewTicker(5*time.Millisecond), time.After(patience)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

func TestMembersHintsLoadsAndMeta(t *testing.T) {
	t.Parallel()
	all := startAll(t, 5, nil)
	for g := range cluster.GroupID(300) {
		who := all[int(g)%5]
		who.Announce(g, 3, who.config.Node)
	}
	all[1].SetLoad(Load{Groups: 9, DiskFree: 1 << 40})
	meta := all[2].config.Meta
	meta.State = StateDraining
	if err := all[2].SetMeta(meta); err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		for g := range cluster.GroupID(300) {
			eventually(t, "hint", m.leads(g, 3, all[int(g)%5].config.Node))
		}
		eventually(t, "meta", func() bool { return m.node("n3").Meta.State == StateDraining })
		eventually(t, "load", func() bool { return m.node("n2").Load.Groups == 9 })
	}
	eventually(t, "load told", all[0].heard(func() bool { return all[0].loads["n2"].DiskFree == 1<<40 }))
	eventually(t, "hint told", all[0].heard(func() bool { return all[0].hints[1] == "n2" }))

	all[1].Announce(1, 4, "")
	eventually(t, "resigned", all[0].leads(1, 3, ""))
	all[3].Announce(1, 4, "n4")
	for _, m := range all {
		eventually(t, "next leader", m.leads(1, 4, "n4"))
	}
}

// TestPushPullCarriesLostBroadcasts joins a node after every broadcast was spent.
func TestPushPullCarriesLostBroadcasts(t *testing.T) {
	t.Parallel()
	all := startAll(t, 3, nil)
	all[0].Announce(7, 2, "n1")
	spent := func() bool {
		all[0].know.mu.Lock()
		defer all[0].know.mu.Unlock()
		return len(all[0].know.boxes[lan].hints) == 0
	}
	eventually(t, "broadcasts spent", spent)
	late := start(t, "late", seeds(all[0]))
	eventually(t, "hint by push/pull", late.leads(7, 2, "n1"))
}

// crash ends the member without a word to anybody.
func (m *member) crash(t *testing.T) {
	t.Helper()
	m.Gossip.mu.Lock()
	m.closed = true
	pools, stop := m.pools, m.stop
	m.Gossip.mu.Unlock()
	stop()
	m.workers.Wait()
	for _, p := range pools {
		if p == nil {
			continue
		}
		if err := p.list.Shutdown(); err != nil {
			t.Fatal(err)
		}
		p.workers.Wait()
	}
	if err := m.mux.close(); err != nil {
		t.Fatal(err)
	}
	close(m.done)
}

func TestCrashAndLeaveAreSeen(t *testing.T) {
	t.Parallel()
	all := startAll(t, 3, nil)
	all[2].crash(t)
	eventually(t, "crash", all[0].heard(func() bool { _, ok := all[0].down["n3"]; return ok }))
	if err := all[1].Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "leave", all[0].heard(func() bool { return all[0].down["n2"].Meta.State == StateLeaving }))
	if err := all[1].Start(t.Context()); !errors.Is(err, cluster.ErrUnavailable) {
		t.Errorf("start after close: %v", err)
	}
	if err := all[1].SetMeta(all[1].config.Meta); !errors.Is(err, cluster.ErrUnavailable) {
		t.Errorf("meta after close: %v", err)
	}
}

// TestStrangersStayOut: another key, or another cluster's label, is refused by the member that was asked to join.
func TestStrangersStayOut(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Config){
		"key":   func(c *Config) { c.Key = bytes.Repeat([]byte{8}, keySize) },
		"label": func(c *Config) { c.Cluster = "other" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			refused := make(chan string, 64)
			first := start(t, "n1", nil)
			stranger := start(t, "n2", func(c *Config) {
				seeds(first)(c)
				c.Events.Log = func(_, text string) {
					if strings.HasPrefix(text, "join ") {
						select {
						case refused <- text:
						default:
						}
					}
				}
				change(c)
			})
			for range 2 {
				select {
				case <-refused:
				case <-time.After(patience):
					t.Fatal("joining was not refused")
				}
			}
			if first.alive() != 1 || stranger.alive() != 1 {
				t.Errorf("members %v and %v", first.Nodes(), stranger.Nodes())
			}
		})
	}
}

func TestOldKeyIsAcceptedWhileChanging(t *testing.T) {
	t.Parallel()
	newKey := bytes.Repeat([]byte{8}, keySize)
	first := start(t, "n1", func(c *Config) { c.OldKeys = [][]byte{newKey} })
	second := start(t, "n2", func(c *Config) {
		seeds(first)(c)
		c.Key, c.OldKeys = newKey, [][]byte{testKey()}
	})
	eventually(t, "both", func() bool { return first.alive() == 2 && second.alive() == 2 })
}

// TestKeyIsChangedWhileRunning: all accept a new key, all send with it, all forget the former; they hear each other all the time,
// and who has the former alone is heard no more.
func TestKeyIsChangedWhileRunning(t *testing.T) {
	t.Parallel()
	newKey := bytes.Repeat([]byte{8}, keySize)
	all := startAll(t, 3, nil)
	for term, step := range []struct {
		key      []byte
		accepted [][]byte
	}{{testKey(), [][]byte{newKey}}, {newKey, [][]byte{testKey()}}, {newKey, nil}} {
		for _, m := range all {
			if err := m.SetKeys(step.key, step.accepted); err != nil {
				t.Fatal(err)
			}
			group := cluster.GroupID(100*term + 1)
			all[0].Announce(group, uint64(term+1), "n1")
			eventually(t, "n2 hears n1", all[1].leads(group, uint64(term+1), "n1"))
		}
	}
	all[2].Announce(7, 1, "n3")
	eventually(t, "n1 hears n3", all[0].leads(7, 1, "n3"))
	if err := all[0].SetKeys(newKey[:16], nil); !errors.Is(err, cluster.ErrBadRequest) {
		t.Errorf("a short key: %v", err)
	}
	refused := make(chan struct{}, 64)
	former := start(t, "n4", func(c *Config) {
		seeds(all...)(c)
		c.Events.Log = func(_, text string) {
			if strings.HasPrefix(text, "join ") {
				select {
				case refused <- struct{}{}:
				default:
				}
			}
		}
	})
	for range 3 {
		select {
		case <-refused:
		case <-time.After(patience):
			t.Fatal("the former key was not refused")
		}
	}
	if former.alive() != 1 || all[0].alive() != 3 {
		t.Errorf("members %v and %v", former.Nodes(), all[0].Nodes())
	}
}

func TestConflictIsTold(t *testing.T) {
	t.Parallel()
	all := startAll(t, 2, nil)
	twin := start(t, "n2", seeds(all[0]))
	eventually(t, "conflict", all[0].heard(func() bool {
		addrs := strings.Join(all[0].conflicts["n2"], " ")
		return strings.Contains(addrs, all[1].Addr()) && strings.Contains(addrs, twin.Addr())
	}))
}

func TestLoopbackAddressesOfADevCluster(t *testing.T) {
	t.Parallel()
	first := start(t, "n1", nil)
	_, port, _ := strings.Cut(first.Addr(), ":")
	second := start(t, "n2", func(c *Config) { c.Bind = "127.0.0.2:" + port; seeds(first)(c) })
	eventually(t, "both", func() bool { return first.alive() == 2 && second.alive() == 2 })
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	good := Config{Node: "n1", Bind: "127.0.0.1:0", Cluster: "c", Key: testKey()}
	for name, change := range map[string]func(*Config){
		"no key":    func(c *Config) { c.Key = nil },
		"short key": func(c *Config) { c.Key = c.Key[:16] },
		"name":      func(c *Config) { c.Node = "N 1" },
		"host name": func(c *Config) { c.Bind = "localhost:1" },
		"cluster":   func(c *Config) { c.Cluster = "" },
		"meta":      func(c *Config) { c.Meta.External = strings.Repeat("x", maxMeta) },
	} {
		c := good
		change(&c)
		if _, err := New(c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	g, err := New(good)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.SetMeta(Meta{DC: "elsewhere"}); !errors.Is(err, cluster.ErrBadRequest) {
		t.Errorf("another data centre: %v", err)
	}
	if err := g.Close(t.Context()); err != nil {
		t.Errorf("close before start: %v", err)
	}
}
