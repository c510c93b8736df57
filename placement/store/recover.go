package store

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/ops"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/internal/wire"
	"github.com/flotilla-mail/flotilla/placement"
)

// OpRecoverGroup tells the map of a group that went on from one replica after its quorum was lost, for ever.
const OpRecoverGroup ops.ID = 1550

// prefixRecovery is of the audit of forced recoveries: group id, epoch → Recovery.
const prefixRecovery = 'r'

// Recovery is the record of a forced recovery (CLUSTER 7.3). Tags are for ever.
type Recovery struct {
	Group cluster.GroupID `wire:"1"`
	// Server is the group's only replica from here on, Epoch its recovery epoch, Index where it begins.
	Server cluster.ServerID `wire:"2"`
	Epoch  uint32           `wire:"3"`
	Index  uint64           `wire:"4"`
	// At is when the map learnt of it, Dropped the replicas that it had before.
	At      time.Time          `wire:"5"`
	Dropped []cluster.ServerID `wire:"6"`
}

// RecoverGroup makes a recovered replica the only voter of its group. Those of before are lost, which gives their nodes, if
// they come back, a successor. Of two that say so for one epoch the second is refused: each has gone on without the other.
func RecoverGroup(w space.Writer, q *Recovery) error {
	g, err := getGroup(w, q.Group)
	if err != nil {
		return err
	}
	switch {
	case g.RecoveryEpoch == q.Epoch && g.Server(q.Server) != nil:
		return nil // said before
	case g.RecoveryEpoch >= q.Epoch:
		return cluster.Errorf(cluster.KindUnsafe, "group %d was recovered before, in epoch %d: replica %s of epoch %d cannot be used",
			q.Group, g.RecoveryEpoch, q.Server, q.Epoch)
	}
	audit := *q
	audit.At = w.Now()
	kept := []placement.Replica{{Server: q.Server, Suffrage: placement.Voter, State: placement.Created}}
	for _, r := range g.Replicas {
		audit.Dropped = append(audit.Dropped, r.Server)
		if r.Server.Node() != q.Server.Node() {
			r.State, r.Suffrage = placement.Lost, placement.Nonvoter // Raft does not count it any more
			kept = append(kept, r)
		}
	}
	g.RecoveryEpoch, g.Replicas = q.Epoch, kept
	putGroup(w, g)
	w.Set(recoveryKey(q.Group, q.Epoch), wire.Marshal(&audit))
	return nil
}

func recoveryKey(id cluster.GroupID, epoch uint32) []byte {
	return binary.BigEndian.AppendUint32(groupKey(prefixRecovery, id), epoch)
}

// Recoveries lists the forced recoveries that there have been, by group and epoch.
func Recoveries(r space.Reader) (all []Recovery, err error) {
	err = each(r, prefixRecovery, func(_, v []byte) error {
		var one Recovery
		if err := wire.Unmarshal(v, &one); err != nil {
			return err
		}
		all = append(all, one)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read recoveries: %w", err)
	}
	return all, nil
}

func recoveryHandlers() []ops.Handler {
	return []ops.Handler{
		{ID: OpRecoverGroup, Name: "RecoverGroup", Mode: ops.Write, Update: func(w space.Writer, q *ops.Request) ([]byte, error) {
			var r Recovery
			if err := decode(q, &r); err != nil {
				return nil, err
			}
			return nil, RecoverGroup(w, &r)
		}},
	}
}
