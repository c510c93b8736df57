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
	"sync"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/transport"
)

// World is the cluster.
type World struct {
	dir       string
	authority *transport.Authority
	network   *network
	groups    []cluster.GroupID
	nodes     []*node
	began     time.Time

	mu    sync.Mutex
	log   []string // guarded by mu
	fault error    // what a process found that must not be; guarded by mu
}

// newWorld makes machines and starts a process on each.
func newWorld(dir string, nodes, groups int, rng *rand.Rand) (*World, error) {
	id, err := transport.NewClusterID()
	if err != nil {
		return nil, err
	}
	w := &World{dir: dir, network: newNetwork(rng), began: time.Now()}
	if w.authority, err = transport.NewAuthority(id, 24*time.Hour); err != nil {
		return nil, err
	}
	for i := range groups {
		w.groups = append(w.groups, cluster.GroupID(i+1))
	}
	for i := range nodes {
		w.nodes = append(w.nodes, newNode(w, cluster.NodeID(fmt.Sprintf("n%d", i+1))))
	}
	for _, nd := range w.nodes {
		if err := nd.start(); err != nil {
			return w, err
		}
	}
	return w, w.form()
}

// form gives each group its membership.
func (w *World) form() error {
	for i, g := range w.groups {
		var voters []cluster.ServerID
		for _, nd := range w.nodes {
			voters = append(voters, nd.proc.host.Group(g).Self())
		}
		if err := w.nodes[i%len(w.nodes)].proc.host.Bootstrap(context.Background(), g, voters); err != nil {
			return err
		}
	}
	return nil
}

func (w *World) names() []cluster.NodeID {
	var all []cluster.NodeID
	for _, nd := range w.nodes {
		all = append(all, nd.id)
	}
	return all
}

func (w *World) node(id cluster.NodeID) *node {
	for _, nd := range w.nodes {
		if nd.id == id {
			return nd
		}
	}
	return nil
}

// groupOf is where a mailbox is: its id says it.
func (w *World) groupOf(id cluster.SpaceID) cluster.GroupID {
	return w.groups[int(id[0])%len(w.groups)]
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
	errs := make([]error, len(w.nodes))
	for i, nd := range w.nodes {
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
