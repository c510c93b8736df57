package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/group"
	"github.com/flotilla-mail/flotilla/cluster/raftlog"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/directory/builtin"
	"github.com/flotilla-mail/flotilla/internal/lsm"
	"github.com/flotilla-mail/flotilla/internal/mailflow/queue"
	"github.com/flotilla-mail/flotilla/placement/store"

	mailbox "github.com/flotilla-mail/flotilla/exmdb/store"
)

// Offline is a node that does not run, for who recovers groups that have lost their quorum for good.
type Offline struct {
	cfg     Config
	node    *Node // holds the stores; nothing of it is started
	offline *group.Offline
}

// OpenOffline opens a node's data. It is refused while the node runs, and to root where the data is another user's.
func OpenOffline(cfg Config, log *slog.Logger) (*Offline, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if err := mayUse(&cfg); err != nil {
		return nil, err
	}
	n := &Node{cfg: cfg, self: cluster.NodeID(cfg.Node), log: log, exit: os.Exit}
	s := &n.storage
	s.shared, s.disk = lsm.NewShared(lsm.Budget{CacheBytes: cfg.BlockCache}), &lsm.Faults{}
	o := &Offline{cfg: cfg, node: n}
	if err := o.open(); err != nil {
		return nil, errors.Join(err, o.Close())
	}
	o.offline = group.NewOffline(group.Config{Node: n.self, Dir: cfg.path("groups"), Log: s.log, SystemLog: s.system,
		Stable: s.stable, Shared: s.shared})
	return o, nil
}

func (o *Offline) open() (err error) {
	s := &o.node.storage
	kind := raftlog.Pebble
	if o.cfg.LogStore == "bolt" {
		kind = raftlog.Bolt
	}
	options := raftlog.Options{Dir: o.cfg.path("raft", "log"), Kind: kind, Shared: s.shared, Faults: s.disk}
	if s.log, err = raftlog.Open(options); err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	options.Dir, options.Kind = o.cfg.path("raft", "system"), raftlog.Bolt
	if s.system, err = raftlog.Open(options); err != nil {
		return fmt.Errorf("open system log: %w", err)
	}
	if s.stable, err = raftlog.OpenStable(raftlog.StableOptions{Dir: o.cfg.path("raft", "votes"), Faults: s.disk}); err != nil {
		return fmt.Errorf("open votes: %w", err)
	}
	return nil
}

// Close closes the data again.
func (o *Offline) Close() error { return o.node.storage.close(context.Background()) }

// Groups lists the groups that the node has a replica of.
func (o *Offline) Groups() ([]cluster.GroupID, error) { return o.offline.Groups() }

// Survey says what the node holds of a group.
func (o *Offline) Survey(id cluster.GroupID) (*group.Survivor, error) { return o.offline.Survey(id) }

// Recover lets a group go on from what this node holds, alone, and writes that down. The map learns of it when the node
// starts.
func (o *Offline) Recover(ctx context.Context, id cluster.GroupID, now time.Time) (*group.Survivor, error) {
	before, err := o.Survey(id)
	if err != nil {
		return nil, err
	}
	after, err := o.offline.Recover(ctx, id, renewMailboxes)
	if err != nil {
		return nil, err
	}
	return after, o.audit(now, before, after)
}

// recoveryAudit is the file of the forced recoveries of this node's groups, one JSON record a line.
const recoveryAudit = "recoveries.json"

func (o *Offline) audit(now time.Time, before, after *group.Survivor) error {
	line, err := json.Marshal(map[string]any{"time": now.UTC(), "group": after.Group, "epoch": after.Recovery, "replica": after.Server,
		"replaces": before.Server, "members_before": before.Members, "last_before": before.Last, "last_term_before": before.LastTerm})
	if err != nil {
		return err
	}
	f, err := os.OpenFile(o.cfg.path(recoveryAudit), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("record of the recovery: %w", err)
	}
	_, err = f.Write(append(line, '\n'))
	return errors.Join(err, f.Sync(), f.Close())
}

// renewMailboxes raises the epoch of every mailbox of a group: its clients saw what is lost (MAILBOX 2).
func renewMailboxes(ctx context.Context, r *space.Replica, recovery uint32) error {
	spaces, err := r.Machine().Spaces()
	if err != nil {
		return err
	}
	for _, s := range spaces {
		if s.State != space.Active || !isMailbox(s.ID) {
			continue
		}
		_, err := r.Update(ctx, s.ID, cluster.RequestID{}, func(w space.Writer) ([]byte, error) {
			err := mailbox.RaiseEpoch(w, uint64(recovery))
			if cluster.KindOf(err) == exmdb.KindNoMailbox {
				err = nil // a space that was made, and its mailbox not yet
			}
			return nil, err
		})
		if err != nil {
			return fmt.Errorf("raise the epoch of mailbox %s: %w", s.ID, err)
		}
	}
	return nil
}

// isMailbox tells mailboxes from the other spaces that a group may have.
func isMailbox(id cluster.SpaceID) bool {
	_, isQueue := queue.GroupOf(id)
	_, isScratch := scratchGroup(id)
	return !isQueue && !isScratch && id != store.Space && id != builtin.Space
}
