package node

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/group"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/internal/directory/builtin"
	"github.com/flotilla-mail/flotilla/internal/wire"
	"github.com/flotilla-mail/flotilla/placement"
	"github.com/flotilla-mail/flotilla/placement/store"
)

// hello is what a node says of itself while the cluster forms (CLUSTER 6.2). Tags are for ever.
type hello struct {
	// Server is the node's replica of the system group.
	Server cluster.ServerID `wire:"1"`
	// Formed says that this replica has a membership; Members is it.
	Formed  bool               `wire:"2"`
	Members []cluster.ServerID `wire:"3"`
	// Nodes is the hash of the node names this node was set up with.
	Nodes [32]byte `wire:"4"`
}

func (n *Node) hello() *hello {
	h := &hello{Nodes: n.nodesHash()}
	g := n.storage.host.Group(cluster.SystemGroup)
	if g == nil {
		return h
	}
	h.Server = g.Self()
	for _, m := range g.Members() {
		h.Members = append(h.Members, m.ID)
	}
	h.Formed = len(h.Members) > 0
	return h
}

// nodesHash names the set of nodes this node was set up with.
func (n *Node) nodesHash() [32]byte {
	var names []string
	for _, p := range n.peers {
		names = append(names, string(p.ID))
	}
	slices.Sort(names)
	return sha256.Sum256([]byte(strings.Join(names, "\n")))
}

// form opens the system replica and sees to it that the system group exists: it is bootstrapped only when all named
// nodes answer that they know of none and were set up alike; when any has one, this node waits to be let in.
func (n *Node) form(ctx context.Context) error {
	g, err := n.storage.host.Open(ctx, cluster.SystemGroup, group.ReplicaConfig{Create: true})
	if errors.Is(err, cluster.ErrDamaged) {
		return fmt.Errorf("%w\nThis node's copy of the system group cannot be used. Its data can be rebuilt from the others: move %s away and start again",
			err, n.cfg.path("groups"))
	}
	if err != nil {
		return err
	}
	for !n.hello().Formed {
		done, err := n.tryForm(ctx, g)
		if err != nil {
			return err
		}
		if !done {
			pause(ctx, 300*time.Millisecond)
		}
		if ctx.Err() != nil {
			return fmt.Errorf("the cluster did not form: %s", *n.progress.Load())
		}
	}
	n.say("waiting for the system group to have a leader")
	return n.awaitSystem(ctx)
}

// tryForm asks every named node once.
func (n *Node) tryForm(ctx context.Context, g *group.Group) (bool, error) {
	all := map[cluster.NodeID]*hello{n.self: n.hello()}
	var silent []string
	for _, p := range n.peers {
		if p.ID == n.self {
			continue
		}
		h, err := n.askHello(ctx, p.ID)
		if err != nil {
			silent = append(silent, string(p.ID))
			continue
		}
		all[p.ID] = h
	}
	for id, h := range all {
		switch {
		case h.Nodes != n.nodesHash():
			return false, fmt.Errorf("node %s was set up with another list of nodes: run the same 'flotilla setup --nodes …' on all of them", id)
		case h.Formed && !slices.Contains(h.Members, g.Self()):
			n.say("the cluster has formed without this copy of the system group: waiting to be let in by %s", id)
			return false, nil
		case h.Formed:
			n.say("joining the system group")
			return true, nil
		case h.Server == "":
			silent = append(silent, string(id))
		}
	}
	if len(silent) > 0 {
		slices.Sort(silent)
		n.say("waiting for %s (%d of %d nodes here)", strings.Join(silent, ", "), len(n.peers)-len(silent), len(n.peers))
		return false, nil
	}
	return true, n.bootstrap(ctx, all)
}

// bootstrap is done by the first node in order of name; the others learn the membership from it.
func (n *Node) bootstrap(ctx context.Context, all map[cluster.NodeID]*hello) error {
	voters := make([]cluster.ServerID, 0, len(all))
	for _, h := range all {
		voters = append(voters, h.Server)
	}
	slices.Sort(voters)
	if voters[0].Node() != n.self {
		n.say("waiting for %s to begin the system group", voters[0].Node())
		pause(ctx, 100*time.Millisecond)
		return nil
	}
	n.say("beginning the system group with %d nodes", len(voters))
	return n.storage.host.Bootstrap(ctx, cluster.SystemGroup, voters)
}

func (n *Node) askHello(ctx context.Context, p cluster.NodeID) (*hello, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	b, err := n.storage.client.Call(ctx, p, methodHello, nil)
	if err != nil {
		return nil, err
	}
	h := new(hello)
	return h, wire.Unmarshal(b, h)
}

// awaitSystem waits until the system group's spaces can be read here; the leader makes them first.
func (n *Node) awaitSystem(ctx context.Context) error {
	for {
		err := n.view.Refresh(ctx)
		if err == nil && n.view.Map().Level != 0 && n.view.Map().Group(cluster.SystemGroup) != nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("the system group is not readable: %w", errors.Join(err, ctx.Err()))
		}
		pause(ctx, 50*time.Millisecond)
	}
}

// initSystem makes the system group's spaces; the leader of the system group does, every time, which does no harm.
func (n *Node) initSystem(ctx context.Context, g *group.Group) error {
	rep := g.Replica()
	for _, id := range []cluster.SpaceID{store.Space, builtin.Space} {
		_, err := rep.Create(ctx, id, cluster.RequestID{}, func(space.Writer) ([]byte, error) { return nil, nil })
		if err != nil && !errors.Is(err, cluster.ErrExists) {
			return fmt.Errorf("make system space: %w", err)
		}
	}
	system := placement.Group{ID: cluster.SystemGroup}
	for _, m := range g.Members() {
		system.Replicas = append(system.Replicas, placement.Replica{Server: m.ID,
			Suffrage: placement.Suffrage(m.Suffrage), State: placement.Created, Initial: true})
	}
	_, err := rep.Update(ctx, store.Space, cluster.RequestID{}, func(w space.Writer) ([]byte, error) {
		return nil, errors.Join(store.Init(w, placement.FirstLevel), store.AdoptGroup(w, system))
	})
	if err != nil {
		return fmt.Errorf("begin the placement map: %w", err)
	}
	return n.initDomains(ctx)
}
