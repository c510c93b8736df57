package store

import (
	"encoding/binary"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/ops"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/internal/wire"
	"github.com/flotilla-mail/flotilla/placement"
)

// OpSetLevel raises the cluster's level; its number is for ever.
const OpSetLevel ops.ID = 1540

// SetLevelRequest asks for a level; zero is the newest that any registered node speaks.
type SetLevelRequest struct {
	Level placement.Level `wire:"1"`
}

// SetLevelAnswer is the cluster's level before and after.
type SetLevelAnswer struct {
	Before placement.Level `wire:"1"`
	Level  placement.Level `wire:"2"`
}

// SetLevel raises the cluster's level, once every registered node's program speaks the new one (CLUSTER 7.2). In the same
// space a node registers, so that none with an older program comes in between. A level never falls.
func SetLevel(w space.Writer, level placement.Level) (*SetLevelAnswer, error) {
	m, err := Load(w)
	if err != nil {
		return nil, err
	}
	if level == 0 {
		level = newest(m)
	}
	if level < m.Level {
		return nil, cluster.Errorf(cluster.KindUnsafe, "the cluster is at level %d: a level never falls", m.Level)
	}
	for i := range m.Nodes {
		n := &m.Nodes[i]
		if n.Status != placement.Removed && !n.Speaks().Has(level) {
			return nil, cluster.Errorf(cluster.KindUnsafe, "%s runs %s, which speaks %s and not %d: upgrade it first, or remove it with 'flotilla node remove %s'",
				n.ID, n.Version, n.Speaks(), level, n.ID)
		}
	}
	if level > m.Level {
		w.Set([]byte{prefixLevel}, binary.AppendUvarint(nil, uint64(level)))
	}
	return &SetLevelAnswer{Before: m.Level, Level: level}, nil
}

// newest is the newest level that a registered node speaks, at least the one that the cluster has.
func newest(m *placement.Map) placement.Level {
	level := m.Level
	for i := range m.Nodes {
		if n := &m.Nodes[i]; n.Status != placement.Removed {
			level = max(level, n.Speaks().Newest)
		}
	}
	return level
}

// mayRegister refuses a node whose program does not speak the cluster's level. One that was let in and has not started yet
// says nothing of its program: it registers when it starts.
func mayRegister(r space.Reader, n *placement.NodeState) error {
	have, err := number(r, []byte{prefixLevel})
	if err != nil {
		return err
	}
	if level := placement.Level(have); level != 0 && n.MaxLevel != 0 && !n.Speaks().Has(level) {
		return cluster.Errorf(cluster.KindUnsafe, "the cluster is at level %d, and the program of %s, %s, speaks %s: %s",
			level, n.ID, n.Version, n.Speaks(), n.Speaks().Remedy(level))
	}
	return nil
}

func levelHandlers() []ops.Handler {
	return []ops.Handler{{ID: OpSetLevel, Name: "SetLevel", Mode: ops.Write, Update: func(w space.Writer, q *ops.Request) ([]byte, error) {
		var r SetLevelRequest
		if err := decode(q, &r); err != nil {
			return nil, err
		}
		a, err := SetLevel(w, r.Level)
		if err != nil {
			return nil, err
		}
		return wire.Marshal(a), nil
	}}}
}
