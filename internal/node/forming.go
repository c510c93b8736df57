package node

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
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
	// Leads says that this replica leads the system group.
	Leads bool `wire:"5"`
	// Holds says that the node has replicas of mailbox groups, so that there was a system group.
	Holds bool `wire:"6"`
}

func (n *Node) hello() *hello {
	h := &hello{Nodes: n.nodesHash(), Holds: holdsMailboxes(n.cfg.path("groups"))}
	g := n.storage.host.Group(cluster.SystemGroup)
	if g == nil {
		return h
	}
	h.Server = g.Self()
	for _, m := range g.Members() {
		h.Members = append(h.Members, m.ID)
	}
	h.Formed = len(h.Members) > 0
	h.Leads = g.State() == group.Leader
	return h
}

// holdsMailboxes looks for replicas of mailbox groups in the folder of groups.
func holdsMailboxes(dir string) bool {
	entries, err := os.ReadDir(dir)
	return err == nil && slices.ContainsFunc(entries, func(e fs.DirEntry) bool {
		return e.Name() != fmt.Sprintf("g%d", cluster.SystemGroup) && strings.HasPrefix(e.Name(), "g")
	})
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

// form opens the system replica and sees to it that the system group exists and can be read here: it is bootstrapped
// only when all named nodes answer that they know of none and were set up alike; when any has one, this node is let in
// by the one that leads it.
func (n *Node) form(ctx context.Context) error {
	for {
		if err := n.openSystem(ctx); err != nil {
			return err
		}
		for !n.hello().Formed {
			if err := n.tryForm(ctx); err != nil {
				return err
			}
			if pause(ctx, 200*time.Millisecond); ctx.Err() != nil {
				return fmt.Errorf("the cluster did not form: %s", *n.progress.Load())
			}
		}
		n.say("waiting for the system group to have a leader")
		if replaced, err := n.awaitSystem(ctx); !replaced || err != nil {
			return err
		}
		why := n.damages.known(cluster.SystemGroup)
		if why == nil {
			why = errors.New("another replica took its place while it was away")
		}
		if err := n.dropSystem(ctx, why); err != nil {
			return err
		}
	}
}

// askAll asks every node; those that do not answer are left out. This one's own word is among the answers.
func (n *Node) askAll(ctx context.Context) map[cluster.NodeID]*hello {
	all := map[cluster.NodeID]*hello{n.self: n.hello()}
	var mu sync.Mutex // guards all
	var wg sync.WaitGroup
	for _, p := range n.peers {
		if p.ID == n.self {
			continue
		}
		wg.Go(func() {
			if h, err := n.askHello(ctx, p.ID); err == nil {
				mu.Lock()
				defer mu.Unlock()
				all[p.ID] = h
			}
		})
	}
	wg.Wait()
	return all
}

// tryForm asks every named node once, and begins the system group if that is this node's to do.
func (n *Node) tryForm(ctx context.Context) error {
	all := n.askAll(ctx)
	for id, h := range all {
		if h.Nodes != n.nodesHash() {
			return fmt.Errorf("node %s was set up with another list of nodes: run the same 'flotilla setup --nodes …' on all of them", id)
		}
	}
	text, begin := forming(n.self, n.peers, all)
	if !begin {
		n.say("%s", text)
		return nil
	}
	return n.bootstrap(ctx, all)
}

// forming says in words what this node, whose replica has no membership, waits for; or that nobody has the system group
// and it may begin.
func forming(self cluster.NodeID, peers []Peer, all map[cluster.NodeID]*hello) (text string, begin bool) {
	var silent []string
	formed, holds := false, cluster.NodeID("")
	for _, p := range peers {
		h := all[p.ID]
		switch {
		case h == nil || h.Server == "":
			silent = append(silent, string(p.ID))
		case h.Formed && slices.Contains(h.Members, all[self].Server):
			return "joining the system group", false
		case h.Leads:
			return fmt.Sprintf("the system group goes on without this node's copy: waiting to be let in by %s", p.ID), false
		}
		formed = formed || h != nil && h.Formed
		if h != nil && h.Holds && holds == "" {
			holds = p.ID
		}
	}
	missing := fmt.Sprintf("waiting for %s (%d of %d nodes here)", strings.Join(silent, ", "), len(peers)-len(silent), len(peers))
	switch {
	case formed && len(silent) > 0:
		return "the system group has no leader to let this node's copy in: " + missing, false
	case formed:
		return "the system group has no leader yet that could let this node's copy in", false
	case len(silent) > 0:
		return missing, false
	case holds != "":
		return fmt.Sprintf("%s has mailboxes, but no node has the system group they belong to: not beginning another", holds), false
	}
	return "", true
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

// awaitSystem waits until the system group's spaces can be read here; the leader makes them first. It reports whether
// this replica was replaced while it was away, or is damaged: then it waits in vain.
func (n *Node) awaitSystem(ctx context.Context) (replaced bool, err error) {
	look := time.NewTicker(time.Second)
	defer look.Stop()
	before := false // a leader that was deposed a moment ago may not know all members: two looks have to agree
	for {
		brief, cancel := context.WithTimeout(ctx, time.Second)
		err := n.view.Refresh(brief)
		cancel()
		if err == nil && n.view.Map().Level != 0 && n.view.Map().Group(cluster.SystemGroup) != nil {
			return false, nil
		}
		if n.damages.known(cluster.SystemGroup) != nil {
			return true, nil
		}
		if ctx.Err() != nil {
			return false, fmt.Errorf("the system group is not readable: %w", errors.Join(err, ctx.Err()))
		}
		select {
		case <-look.C:
			now := n.replacedBy(ctx) != ""
			if now && before {
				return true, nil
			}
			before = now
		default:
			pause(ctx, 50*time.Millisecond)
		}
	}
}

// initSystem makes the system group's spaces; the leader of the system group does, every time, which does no harm.
func (n *Node) initSystem(ctx context.Context, g *group.Group) error {
	rep := g.Replica()
	for _, id := range []cluster.SpaceID{store.Space, builtin.Space} {
		_, err := rep.Create(ctx, id, 1, cluster.RequestID{}, func(space.Writer) ([]byte, error) { return nil, nil })
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
