// Package sim is a cluster in one process and in virtual time: the real groups, logs and mailboxes of each node over a
// network and disks that exist only in memory.
//
// It knows how a node's process is put together and what may happen to machines and cables; what a mailbox should look
// like afterwards is the history's to say. docs/design/simulation.md says what is real in it and what is not.
package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/transport"
	"github.com/flotilla-mail/flotilla/internal/testkit/simnet"
	"github.com/flotilla-mail/flotilla/placement"
)

// World is the cluster.
type World struct {
	dir       string
	authority *transport.Authority
	network   *simnet.Network
	began     time.Time
	// mailboxGroups is how many groups of mailboxes the policy asks for, seedBytes from which size on a copy is seeded.
	mailboxGroups int
	seedBytes     uint64
	// finalized is when the cluster's level is raised, from the beginning on: before that owners write the first level's formats.
	finalized time.Duration

	mu     sync.Mutex
	nodes  []*node                     // that are in the cluster, or on their way in or out; guarded by mu
	made   int                         // nodes there have been; guarded by mu
	log    []string                    // guarded by mu
	fault  error                       // what a process found that must not be; guarded by mu
	deadly map[cluster.SpaceID]*death  // guarded by mu
	moves  map[placement.MoveState]int // that have ended; guarded by mu
}

// death is the step of a space's move at which the node that carries it dies.
type death struct {
	step   string
	struck chan *node
}

const (
	// firstNodes is how many nodes a cluster begins with.
	firstNodes = 3
	// latestFinalize is up to when a cluster of which the level is raised while it runs is at the first.
	latestFinalize = 15 * time.Second
)

// newWorld makes machines and starts a process on each.
func newWorld(dir string, groups int, rng *rand.Rand) (*World, error) {
	id, err := transport.NewClusterID()
	if err != nil {
		return nil, err
	}
	w := &World{dir: dir, network: simnet.New(rng), began: time.Now(), mailboxGroups: groups,
		deadly: map[cluster.SpaceID]*death{}, moves: map[placement.MoveState]int{}}
	if rng.IntN(2) == 0 {
		w.seedBytes = 1
	}
	if rng.IntN(2) == 0 {
		w.finalized = time.Duration(rng.Int64N(int64(latestFinalize)))
	}
	if w.authority, err = transport.NewAuthority(id, 24*time.Hour); err != nil {
		return nil, err
	}
	for range firstNodes {
		w.add()
	}
	for _, nd := range w.all() {
		if err := nd.start(); err != nil {
			return w, err
		}
	}
	return w, w.form()
}

// add makes a machine.
func (w *World) add() *node {
	w.mu.Lock()
	w.made++
	nd := newNode(w, cluster.NodeID(fmt.Sprintf("n%d", w.made)))
	w.nodes = append(w.nodes, nd)
	w.mu.Unlock()
	w.introduce()
	return nd
}

// introduce tells all processes which nodes there are.
func (w *World) introduce() {
	names := w.names()
	for _, nd := range w.all() {
		if p := nd.process(); p != nil {
			p.net.SetPeers(names)
		}
	}
}

// form gives the system group its membership; all else follows from there.
func (w *World) form() error {
	var voters []cluster.ServerID
	for _, nd := range w.all() {
		voters = append(voters, nd.process().host.Group(cluster.SystemGroup).Self())
	}
	return w.all()[0].process().host.Bootstrap(context.Background(), cluster.SystemGroup, voters)
}

// all are the nodes.
func (w *World) all() []*node {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.nodes)
}

func (w *World) names() []cluster.NodeID {
	var all []cluster.NodeID
	for _, nd := range w.all() {
		all = append(all, nd.id)
	}
	return all
}

func (w *World) node(id cluster.NodeID) *node {
	for _, nd := range w.all() {
		if nd.id == id {
			return nd
		}
	}
	return nil
}

// newestMap is the newest that a process has.
func (w *World) newestMap() *placement.Map {
	m := new(placement.Map)
	for _, nd := range w.all() {
		if p := nd.process(); p != nil && p.view.Map().Sequence >= m.Sequence {
			m = p.view.Map()
		}
	}
	return m
}

// bury ends the machines of nodes that were removed from the cluster.
func (w *World) bury(rng *rand.Rand) error {
	m := w.newestMap()
	for _, nd := range w.all() {
		if s := m.Node(nd.id); s == nil || s.Status != placement.Removed {
			continue
		}
		w.note("%s was removed, and is no more", nd.id)
		nd.mu.Lock()
		nd.gone = true
		nd.mu.Unlock()
		w.mu.Lock()
		w.nodes = slices.DeleteFunc(slices.Clone(w.nodes), func(o *node) bool { return o == nd })
		w.mu.Unlock()
		if _, err := nd.crash(rng, false); err != nil {
			return err
		}
		w.introduce()
	}
	return nil
}

// arrow ends the carrier of a move at the step that was chosen for it, and says so to who chose it.
func (p *process) arrow(m *placement.Move, step string) error {
	w := p.node.w
	w.mu.Lock()
	defer w.mu.Unlock()
	d := w.deadly[m.Space]
	if d == nil || d.step != step {
		return nil
	}
	delete(w.deadly, m.Space)
	d.struck <- p.node // of its own size, and once
	return cluster.Errorf(cluster.KindUnavailable, "the node dies at step %s of a move", step)
}

func (w *World) ended(m *placement.Move) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.moves[m.State]++
}

// note writes what happened, and when, for whoever looks for the cause of a violation.
func (w *World) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.log = append(w.log, fmt.Sprintf("%9.4f ", time.Since(w.began).Seconds())+fmt.Sprintf(format, args...))
}

// broken notes what must not be.
func (w *World) broken(format string, args ...any) {
	w.note(format, args...)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fault = errors.Join(w.fault, fmt.Errorf(format, args...))
}

// close ends all processes.
func (w *World) close() error {
	var wg sync.WaitGroup
	nodes := w.all()
	errs := make([]error, len(nodes))
	for i, nd := range nodes {
		p := nd.process()
		if p == nil {
			continue
		}
		nd.setProcess(nil)
		wg.Go(func() { errs[i] = p.close() })
	}
	wg.Wait()
	return errors.Join(errs...)
}
