// Package space asks a cluster of real processes for what a space promises, without mail between: a write that was
// acknowledged has happened once, and a read finds the last one, whatever happens to the nodes.
package space

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/frontends/admin"
	"github.com/flotilla-mail/flotilla/frontends/admin/adminclient"
	"github.com/flotilla-mail/flotilla/internal/dev"
	"github.com/flotilla-mail/flotilla/internal/testkit"
	"github.com/flotilla-mail/flotilla/internal/testkit/linear"
	"github.com/flotilla-mail/flotilla/test/devtest"
)

const (
	// patience is for what has to come, on a slow machine too.
	patience = time.Minute
	// attempt is how long one node is asked before another is.
	attempt = 3 * time.Second
	// moves is how many writes of each kind have to pass between two faults.
	moves = 100
)

// The groups that are written to. They are led by different nodes, as a rule.
const (
	counterGroup  cluster.GroupID = 1
	registerGroup cluster.GroupID = 2
)

// TestSpaces shares one cluster among the parts.
func TestSpaces(t *testing.T) {
	c := devtest.StartGroups(t, 0, 3)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	t.Run("kill", func(t *testing.T) { testKill(ctx, t, c) })
	t.Run("heard", func(t *testing.T) { testHeard(ctx, t, c) })
	t.Run("slow disk", func(t *testing.T) { testSlowDisk(ctx, t, c) })
}

// client asks one node, and the next one when that does not answer.
type client struct {
	nodes []*adminclient.Client
	at    int
}

func newClient(c *dev.Cluster, at int) *client {
	all := &client{at: at}
	for _, n := range c.Names() {
		all.nodes = append(all.nodes, c.Admin(n))
	}
	return all
}

func path(g cluster.GroupID, key string) string {
	return "/v1" + adminclient.Path("scratch", g.String(), key)
}

// once asks the node whose turn it is; after an error it is the next one's.
func (c *client) once(ctx context.Context, method, path string, body any) (v admin.ScratchValue, err error) {
	ctx, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	if err = c.nodes[c.at].Do(ctx, method, path, body, &v); err != nil {
		c.at = (c.at + 1) % len(c.nodes)
	}
	return v, err
}

// put asks until a node has acknowledged, always under one request id.
func (c *client) put(ctx context.Context, g cluster.GroupID, key string, p admin.ScratchPut) (admin.ScratchValue, error) {
	var id [16]byte
	rand.Read(id[:]) //nolint:errcheck // crypto/rand.Read never fails
	p.ID = hex.EncodeToString(id[:])
	for {
		v, err := c.once(ctx, "PUT", path(g, key), &p)
		var refused *adminclient.Refused
		if err == nil || ctx.Err() != nil || errors.As(err, &refused) && refused.Status < 500 {
			return v, err
		}
		rest(ctx, 20*time.Millisecond)
	}
}

func rest(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// traffic is what the clients do while nodes die.
type traffic struct {
	cluster *dev.Cluster
	stop    atomic.Bool
	wg      sync.WaitGroup
	history *linear.History
	counted atomic.Int64 // increments acknowledged
	noted   atomic.Int64 // writes and reads of the register that ended
	errs    chan error
}

// count increments the counter, from a client that prefers one node.
func (w *traffic) count(ctx context.Context, at int) {
	c := newClient(w.cluster, at)
	for !w.stop.Load() {
		if _, err := c.put(ctx, counterGroup, "count", admin.ScratchPut{Value: "1", Add: true}); err != nil {
			w.errs <- fmt.Errorf("increment: %w", err)
			return
		}
		w.counted.Add(1)
		rest(ctx, 5*time.Millisecond)
	}
}

// register reads and writes the register. A write is one op from its first attempt to its acknowledgement.
func (w *traffic) register(ctx context.Context, number, at int, rng *mathrand.Rand) {
	c := newClient(w.cluster, at)
	for n := 0; !w.stop.Load(); n++ {
		if rng.IntN(2) == 0 {
			value := fmt.Sprintf("%d-%d", number, n)
			w.history.Run(number, linear.Op{Write: true, Value: value}, func() (string, linear.Outcome) {
				if _, err := c.put(ctx, registerGroup, "register", admin.ScratchPut{Value: value}); err != nil {
					w.errs <- fmt.Errorf("put: %w", err)
					return "", linear.Unknown
				}
				return "", linear.Done
			})
		} else {
			w.history.Run(number, linear.Op{}, func() (string, linear.Outcome) {
				v, err := c.once(ctx, "GET", path(registerGroup, "register"), nil)
				if err != nil {
					return "", linear.Never
				}
				return v.Value, linear.Done
			})
		}
		w.noted.Add(1)
		rest(ctx, time.Duration(5+rng.IntN(10))*time.Millisecond)
	}
}

// goesOn waits until both kinds of traffic have moved on.
func (w *traffic) goesOn(t *testing.T, when string) {
	t.Helper()
	counted, noted := w.counted.Load()+moves, w.noted.Load()+moves
	testkit.Eventually(t, patience, func(context.Context) error {
		select {
		case err := <-w.errs:
			t.Fatal(err)
		default:
		}
		if c, n := w.counted.Load(), w.noted.Load(); c < counted || n < noted {
			return fmt.Errorf("%s: %d of %d increments, %d of %d reads and writes", when, c, counted, n, noted)
		}
		return nil
	})
}

// testKill kills each node once with SIGKILL while clients at all nodes count, and read and write a register.
func testKill(ctx context.Context, t *testing.T, c *dev.Cluster) {
	seed := mathrand.Uint64()
	t.Logf("seed %d", seed)
	w := &traffic{cluster: c, history: linear.NewHistory(), errs: make(chan error, 100)}
	for at := range c.Nodes {
		w.wg.Go(func() { w.count(ctx, at) })
		for k := range 2 {
			number := 2*at + k
			w.wg.Go(func() { w.register(ctx, number, at, mathrand.New(mathrand.NewPCG(seed, uint64(number)))) })
		}
	}
	for _, node := range c.Names() {
		w.goesOn(t, "before "+node+" is killed")
		if err := c.Kill(node); err != nil {
			t.Fatal(err)
		}
		testkit.Eventually(t, patience, func(context.Context) error {
			if pid := c.Running(node); pid != 0 {
				return fmt.Errorf("%s runs as %d", node, pid)
			}
			return nil
		})
		w.goesOn(t, "without "+node)
		if err := c.Start(node); err != nil {
			t.Fatal(err)
		}
		ready, cancel := context.WithTimeout(ctx, patience)
		err := c.ReadyNode(ready, node, func(string) {})
		if cancel(); err != nil {
			t.Fatal(err)
		}
	}
	w.goesOn(t, "with all nodes")
	w.stop.Store(true)
	w.wg.Wait()
	select {
	case err := <-w.errs:
		t.Error(err)
	default:
	}
	t.Logf("%d increments acknowledged", w.counted.Load())
	want := strconv.FormatInt(w.counted.Load(), 10)
	for at := range c.Nodes {
		v, err := newClient(c, at).once(ctx, "GET", path(counterGroup, "count"), nil)
		if err != nil || v.Value != want {
			t.Errorf("asked at n%d the counter is %q, %v; %s increments were acknowledged", at+1, v.Value, err, want)
		}
	}
	w.history.Check(t, patience)
}

// status is what is read here of `flotilla status`.
type status struct {
	Ready bool
	Nodes []struct {
		Node    string
		Trouble []string
		Gossip  struct {
			Alive     bool
			State     string
			Address   string
			DiskTotal uint64 `json:"disk_total"`
			Leads     int
		}
	}
}

// testHeard: what the gossip says of each node reaches the status at every node.
func testHeard(ctx context.Context, t *testing.T, c *dev.Cluster) {
	for _, at := range c.Names() {
		testkit.Eventually(t, patience, func(context.Context) error {
			var s status
			if err := c.Admin(at).Do(ctx, "GET", "/v1/status", nil, &s); err != nil {
				return err
			}
			leads := 0
			for _, n := range s.Nodes {
				h := n.Gossip
				if leads += h.Leads; !h.Alive || h.State != "ready" || h.DiskTotal == 0 || h.Address != dev.Host(n.Node)+":"+strconv.Itoa(c.Port(7400)) {
					return fmt.Errorf("%s has heard of %s: %+v", at, n.Node, h)
				}
			}
			if !s.Ready || len(s.Nodes) != c.Nodes || leads != 4 {
				return fmt.Errorf("%s: %d nodes lead %d groups: %+v", at, len(s.Nodes), leads, s)
			}
			return nil
		})
	}
}

// testSlowDisk: a node whose syncs take more than a second gives away what it leads, says so, and goes on.
func testSlowDisk(ctx context.Context, t *testing.T, c *dev.Cluster) {
	slow := leaderOf(ctx, t, c, counterGroup)
	if err := c.Fault(ctx, slow, admin.Fault{Kind: "disk-slow", Value: 1200 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	w := &traffic{cluster: c, errs: make(chan error, 100)}
	for at := range c.Nodes {
		w.wg.Go(func() { w.count(ctx, at) })
	}
	testkit.Eventually(t, patience, func(context.Context) error {
		if leader := leaderOf(ctx, t, c, counterGroup); leader == "" || leader == slow {
			return fmt.Errorf("group %d is led by %q", counterGroup, leader)
		}
		var s status
		if err := c.Admin(slow).Do(ctx, "GET", "/v1/status", nil, &s); err != nil {
			return err
		}
		for _, n := range s.Nodes {
			if n.Node == slow && len(n.Trouble) == 0 {
				return fmt.Errorf("%s says nothing of its disk", slow)
			}
		}
		return nil
	})
	if err := c.Fault(ctx, slow, admin.Fault{Kind: "clear"}); err != nil {
		t.Fatal(err)
	}
	w.stop.Store(true)
	w.wg.Wait()
	if w.counted.Load() == 0 || len(w.errs) > 0 {
		t.Errorf("%d increments acknowledged, %d errors", w.counted.Load(), len(w.errs))
	}
	if c.Running(slow) == 0 {
		t.Errorf("%s has ended", slow)
	}
}

func leaderOf(ctx context.Context, t *testing.T, c *dev.Cluster, g cluster.GroupID) string {
	t.Helper()
	var groups []struct {
		Group  cluster.GroupID
		Leader string
	}
	if err := c.Admin("n1").Do(ctx, "GET", "/v1/groups", nil, &groups); err != nil {
		t.Fatal(err)
	}
	for _, x := range groups {
		if x.Group == g {
			return x.Leader
		}
	}
	t.Fatalf("there is no group %d", g)
	return ""
}
