package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/group"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/placement"
	"github.com/flotilla-mail/flotilla/placement/store"
)

// What a running node does about groups that were recovered without their quorum (CLUSTER 7.3): it tells the map of those
// that go on here, and does not start on what a recovery elsewhere has left behind.

// recoveryOf is the recovery epoch of a replica: that of its data, or of the group as far as it has caught up.
func recoveryOf(g *group.Group) uint32 {
	epoch := g.RecoveryEpoch()
	if record, err := g.Replica().Machine().Group(); err == nil {
		epoch = max(epoch, uint32(record.RecoveryEpoch))
	}
	return epoch
}

// recovered tells the map that a mailbox group goes on from this node's replica alone.
func (k *keeper) recovered(ctx context.Context, g *placement.Group, open *group.Group) error {
	q := recoveryRecord(open)
	if err := k.n.mapOp(ctx, store.OpRecoverGroup, q); err != nil {
		return fmt.Errorf("tell of the recovery of group %d: %w", g.ID, err)
	}
	if k.givenUp[q.Server] {
		return nil
	}
	k.givenUp[q.Server] = true // told of once
	k.n.log.Warn("a group goes on from one replica, without those that it had", "code", "FL-1065", "group", g.ID,
		"replica", q.Server, "epoch", q.Epoch)
	return nil
}

func recoveryRecord(g *group.Group) *store.Recovery {
	return &store.Recovery{Group: g.ID(), Server: g.Self(), Epoch: g.RecoveryEpoch(), Index: g.Replica().Machine().Applied().Index}
}

// recoverSystem does so with the system group, which this node's replica leads.
func (n *Node) recoverSystem(ctx context.Context, g *group.Group) error {
	if g.RecoveryEpoch() == 0 {
		return nil
	}
	told := false
	_, err := g.Replica().Update(ctx, store.Space, cluster.RequestID{}, func(w space.Writer) ([]byte, error) {
		m, err := store.Load(w)
		if err != nil {
			return nil, err
		}
		if have := m.Group(cluster.SystemGroup); have == nil || have.RecoveryEpoch >= g.RecoveryEpoch() {
			return nil, nil
		}
		told = true
		return nil, store.RecoverGroup(w, recoveryRecord(g))
	})
	if err == nil && told {
		n.log.Warn("a group goes on from one replica, without those that it had", "code", "FL-1065", "group", cluster.SystemGroup,
			"replica", g.Self(), "epoch", g.RecoveryEpoch())
	}
	return err
}

const (
	// recoveryAsked is how long a node that starts waits for the others to say whether they went on without it.
	recoveryAsked = time.Second
	// recoveryLook is how often a node that runs asks.
	recoveryLook = 2 * time.Second
)

// refuseOld refuses to start on a copy of the system group that another node has gone on without, or with a program that does
// not speak the cluster's level, before it can take part in anything. Nodes that do not answer are asked again while the node runs.
func (n *Node) refuseOld(ctx context.Context) error {
	self, epoch, begun, err := n.storage.host.Stored(cluster.SystemGroup)
	if err != nil || !begun {
		return nil // what is wrong with it is found when it is opened
	}
	if by, err := n.storedOutlived(self); by != "" || err != nil {
		return errors.Join(n.oldError(by), err)
	}
	ctx, cancel := context.WithTimeout(ctx, recoveryAsked)
	defer cancel()
	for {
		all := n.askAll(ctx)
		all[n.self] = &hello{Server: self, Recovery: epoch, Formed: true}
		if err := levelRefused(all, levels()); err != nil {
			return err
		}
		if by := outlivedBy(n.self, all); by != "" {
			return n.noteOutlived(by, self)
		}
		if len(all) >= len(n.everyone()) || ctx.Err() != nil {
			return nil
		}
		pause(ctx, 50*time.Millisecond)
	}
}

// outlived is why this node's copy of the system group must not be used any more, nil when it may.
func (n *Node) outlived(ctx context.Context) error {
	all := n.askAll(ctx)
	if by := outlivedBy(n.self, all); by != "" {
		return n.noteOutlived(by, all[n.self].Server)
	}
	return nil
}

// outlivedFile is in the folder of groups, and goes aside with it: a node wrote it that has heard of a recovery without its
// copy of the system group, which takes no part any more, whoever of the others can be reached at a later start. One line:
// the copy's server id, and the node that went on.
const outlivedFile = "OUTLIVED"

// noteOutlived notes for ever that another node has gone on without this one's copy of the system group, and says what to do.
func (n *Node) noteOutlived(by cluster.NodeID, self cluster.ServerID) error {
	return errors.Join(n.oldError(by), writeFile(n.cfg.path("groups", outlivedFile), fmt.Appendf(nil, "%s %s\n", self, by), 0o600))
}

// storedOutlived is the node of which an earlier run has noted that; empty when there is none, or when the copy is another by
// now, for instance because this node was recovered itself.
func (n *Node) storedOutlived(self cluster.ServerID) (by cluster.NodeID, err error) {
	path := n.cfg.path("groups", outlivedFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	old, rest, ok := strings.Cut(strings.TrimSpace(string(b)), " ")
	by = cluster.NodeID(rest)
	if !ok || !by.Valid() {
		return "", cluster.Errorf(cluster.KindDamaged, "%s holds %q", path, b)
	}
	if cluster.ServerID(old) != self {
		return "", nil
	}
	return by, nil
}

// outlivedBy is a node whose copy of the system group was recovered without this node's, which is none of its members.
func outlivedBy(self cluster.NodeID, all map[cluster.NodeID]*hello) cluster.NodeID {
	own := all[self]
	if own == nil || !own.Formed {
		return "" // it has nothing yet
	}
	for id, h := range all {
		if id != self && h.Recovery > own.Recovery && !slices.Contains(h.Members, own.Server) {
			return id
		}
	}
	return ""
}

func (n *Node) oldError(by cluster.NodeID) error {
	if by == "" {
		return nil
	}
	dir := n.cfg.Dir
	return cluster.Errorf(cluster.KindDamaged, "the cluster was recovered on %s without this node, whose data is of before: it takes no part any more. "+
		"Look whether it holds mail that the recovery has lost; then run 'mkdir %s/before && mv %s/groups %s/raft %s/before/' and start the node: "+
		"it gets everything from the others", by, dir, dir, dir, dir)
}

// watchRecovery ends the process when another node turns out to have gone on without this one.
func (n *Node) watchRecovery(ctx context.Context) error {
	t := time.NewTicker(recoveryLook)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		if err := n.outlived(ctx); err != nil {
			n.fatal("FL-1066", "the data of this node was given up by a recovery: the process ends", err)
			return nil
		}
	}
}
