package node

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
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

// strangeAtLast is how often in a row a node is told that it is none before it believes so: a map may be a moment old.
const strangeAtLast = 10

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
	// Stranger says that the map of this node, which reads one, has no node of the asker's name.
	Stranger bool `wire:"7"`
	// Recovery is the recovery epoch of the node's copy of the system group (CLUSTER 7.3).
	Recovery uint32 `wire:"8"`
	// Level is that of the node's map, 0 of one that reads none: a program that does not speak it takes no part (CLUSTER 7.2).
	Level placement.Level `wire:"9"`
}

func (n *Node) hello() *hello {
	h := &hello{Nodes: n.nodesHash(), Holds: holdsMailboxes(n.cfg.path("groups")), Level: n.view.Map().Level}
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
	h.Recovery = recoveryOf(g)
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
	if err := n.refuseOld(ctx); err != nil {
		return err
	}
	for {
		if err := n.openSystem(ctx); err != nil {
			return err
		}
		for strange := 0; !n.hello().Formed; {
			err := n.tryForm(ctx)
			if strange++; !errors.As(err, new(*strangerError)) {
				strange = 0
			}
			if err != nil && (strange == 0 || strange == strangeAtLast) {
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
		if err := n.outlived(ctx); err != nil {
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
	for _, p := range n.everyone() {
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
	if err := levelRefused(all, levels()); err != nil {
		return err
	}
	if n.isBarred() {
		return n.removedError()
	}
	if by := knownNot(all); by != "" {
		return &strangerError{node: n.self, by: by}
	}
	if id := unlike(n.peers, all, n.nodesHash()); id != "" && !n.cfg.Joined {
		return fmt.Errorf("node %s was set up with another list of nodes: run the same 'flotilla setup --nodes …' on all of them; "+
			"to a cluster that is there a node is added with 'flotilla node token' and 'flotilla join'", id)
	}
	text, begin := forming(n.self, n.peers, all)
	if begin && n.cfg.Joined {
		text, begin = "no node has the system group, and one that joined later does not begin it", false
	}
	if !begin {
		if why := n.hindrance(all); why != "" {
			text += "; " + why
		}
		n.say("%s", text)
		return nil
	}
	return n.bootstrap(ctx, all)
}

// strangerError says that the cluster is there and has no node of this name.
type strangerError struct{ node, by cluster.NodeID }

func (e *strangerError) Error() string {
	return fmt.Sprintf("the cluster that %s leads has no node %s: draw a token with 'flotilla node token' on %s, remove this node's configuration and data, and run 'flotilla join' here",
		e.by, e.node, e.by)
}

// knownNot is a node that leads the system group and does not know this one, empty when there is none.
func knownNot(all map[cluster.NodeID]*hello) cluster.NodeID {
	for id, h := range all {
		if h.Leads && h.Stranger {
			return id
		}
	}
	return ""
}

// unlike is one of the nodes with which this one would begin a cluster that was set up with another list, empty when
// there is none, or when the cluster has begun: nodes that joined it have longer lists than those before them.
func unlike(peers []Peer, all map[cluster.NodeID]*hello, nodes [32]byte) cluster.NodeID {
	for _, h := range all {
		if h.Formed {
			return ""
		}
	}
	for _, p := range peers {
		if h := all[p.ID]; h != nil && h.Nodes != nodes {
			return p.ID
		}
	}
	return ""
}

// forming says in words what this node, whose replica has no membership, waits for; or that nobody has the system group
// and it may begin.
func forming(self cluster.NodeID, peers []Peer, all map[cluster.NodeID]*hello) (text string, begin bool) {
	var silent []string
	formed, holds := false, cluster.NodeID("")
	nodes := namedAndHeard(peers, all)
	for _, id := range nodes {
		h := all[id]
		switch {
		case h == nil || h.Server == "":
			silent = append(silent, string(id))
		case h.Formed && slices.Contains(h.Members, all[self].Server):
			return "joining the system group", false
		case h.Leads:
			return fmt.Sprintf("the system group goes on without this node's copy: waiting to be let in by %s", id), false
		}
		formed = formed || h != nil && h.Formed
		if h != nil && h.Holds && holds == "" {
			holds = id
		}
	}
	missing := fmt.Sprintf("waiting for %s (%d of %d nodes here)", strings.Join(silent, ", "), len(nodes)-len(silent), len(nodes))
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

// namedAndHeard are the nodes of the configuration, and after them others that have answered: they joined later.
func namedAndHeard(peers []Peer, all map[cluster.NodeID]*hello) []cluster.NodeID {
	var ids []cluster.NodeID
	for _, p := range peers {
		ids = append(ids, p.ID)
	}
	for _, id := range slices.Sorted(maps.Keys(all)) {
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// bootstrap is done by the first node in order of name; the others learn the membership from it.
func (n *Node) bootstrap(ctx context.Context, all map[cluster.NodeID]*hello) error {
	voters := []cluster.ServerID{all[n.self].Server}
	for _, p := range n.peers {
		if p.ID != n.self {
			voters = append(voters, all[p.ID].Server)
		}
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
			if n.isBarred() {
				return false, n.removedError()
			}
			if why := n.hindrance(nil); why != "" {
				n.say("waiting for the system group to have a leader; %s", why)
			}
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
		return nil, errors.Join(store.Init(w, levels().Newest), store.AdoptGroup(w, system), store.InitPolicy(w, n.cfg.policy()))
	})
	if err != nil {
		return fmt.Errorf("begin the placement map: %w", err)
	}
	return n.initDomains(ctx)
}
