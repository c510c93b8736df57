package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/placement"
	"github.com/flotilla-mail/flotilla/placement/store"
)

// dropSurplus destroys what this node has of groups that the map has elsewhere now. Its own map may be from before it was
// given what it has, when it has just started; so the map is read again behind a read index. And the files go only when
// the group's leader does not count them among its members, and more than half of its voters are there.
func (k *keeper) dropSurplus(ctx context.Context) error {
	n := k.n
	have, err := n.surplus(n.view.Map())
	if err != nil || len(have) == 0 {
		return err
	}
	m, err := n.mapNow(ctx)
	if err != nil {
		return fmt.Errorf("look for what was moved elsewhere: %w", err)
	}
	if have, err = n.surplus(m); err != nil || len(have) == 0 {
		return err
	}
	all := n.allStatus(ctx)
	for _, id := range have {
		if why := mayDrop(m.Group(id), n.self, all); why != nil {
			n.log.Debug("a replica that is elsewhere now stays", "group", id, "err", why)
			continue
		}
		if err := n.storage.host.Destroy(ctx, id); err != nil {
			return err
		}
		n.damages.forget(id)
		n.log.Info("replica removed: others have the group", "group", id)
	}
	return nil
}

// mapNow is the map, not older than the call.
func (n *Node) mapNow(ctx context.Context) (m *placement.Map, err error) {
	err = systemReplica{n}.View(ctx, store.Space, space.ReadIndex, func(r space.Reader) (err error) {
		m, err = store.Load(r)
		return err
	})
	return m, err
}

// surplus are the mailbox groups of which this node has something and the map has nothing on it. What the map does not
// know at all is nobody's to remove.
func (n *Node) surplus(m *placement.Map) ([]cluster.GroupID, error) {
	var ids []cluster.GroupID
	for _, g := range n.storage.host.Groups() {
		ids = append(ids, g.ID())
	}
	entries, err := os.ReadDir(n.cfg.path("groups"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, e := range entries {
		var id cluster.GroupID
		if _, err := fmt.Sscanf(e.Name(), "g%d", &id); err == nil && e.Name() == fmt.Sprintf("g%d", id) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return slices.DeleteFunc(slices.Compact(ids), func(id cluster.GroupID) bool {
		g := m.Group(id)
		return id == cluster.SystemGroup || g == nil || slices.ContainsFunc(g.Replicas, func(r placement.Replica) bool {
			return r.Server.Node() == n.self
		})
	}), nil
}

// mayDrop is why the replica on a node has to stay, nil when the group does without it.
func mayDrop(g *placement.Group, node cluster.NodeID, all []Status) error {
	var leader *GroupStatus
	for i := range all {
		for j := range all[i].Groups {
			r := &all[i].Groups[j]
			if all[i].Err == "" && r.Group == g.ID && r.runs() && r.Leader == r.Server && (leader == nil || r.Term > leader.Term) {
				leader = r
			}
		}
	}
	if leader == nil {
		return fmt.Errorf("group %d has no leader: %w", g.ID, cluster.ErrUnavailable)
	}
	if slices.ContainsFunc(leader.Members, func(s cluster.ServerID) bool { return s.Node() == node }) {
		return fmt.Errorf("group %d: its leader counts the replica on %s still: %w", g.ID, node, cluster.ErrUnavailable)
	}
	return mayRebuild(g, node, all)
}
