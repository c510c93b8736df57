package group

import (
	"errors"
	"fmt"
	"io"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/internal/invariant"
	"github.com/hashicorp/raft"
)

// fsm is the state machine as raft sees it.
type fsm struct{ g *Group }

var (
	_ raft.BatchingFSM = fsm{}
)

// Apply implements raft.FSM.
func (f fsm) Apply(l *raft.Log) interface{} { return f.ApplyBatch([]*raft.Log{l})[0] }

// ApplyBatch implements raft.BatchingFSM. After an error the group is fenced and nothing is applied any more; the
// entries stay in the log (CLUSTER 5.5).
func (f fsm) ApplyBatch(logs []*raft.Log) []interface{} {
	responses := make([]interface{}, len(logs))
	outcomes, err := f.apply(logs)
	if err != nil {
		f.g.fence(err)
		for i := range responses {
			responses[i] = err
		}
		return responses
	}
	for i, l := range logs {
		responses[i] = outcomes[i]
		if l.Type == raft.LogConfiguration {
			f.g.configurationApplied()
		}
	}
	return responses
}

func (f fsm) apply(logs []*raft.Log) (outcomes [][]space.Outcome, err error) {
	if err := f.g.fenced(); err != nil {
		return nil, err
	}
	defer func() {
		if r := recover(); r != nil {
			v, ok := r.(invariant.Violation)
			if !ok {
				panic(r)
			}
			err = v
		}
	}()
	entries := make([]space.LogEntry, len(logs))
	for i, l := range logs {
		entries[i] = space.LogEntry{Index: l.Index, Term: l.Term}
		if l.Type != raft.LogConfiguration {
			entries[i].Data = l.Data
			continue
		}
		members, err := decodeRaftMembers(l.Data)
		if err != nil {
			return nil, err
		}
		entries[i].Configuration = appendMembers(nil, members)
	}
	return f.g.machine.Apply(entries)
}

// Snapshot implements raft.FSM: the state is its own snapshot, once it is flushed.
func (f fsm) Snapshot() (raft.FSMSnapshot, error) {
	return flushed{g: f.g, index: f.g.machine.Applied().Index}, nil
}

type flushed struct {
	g     *Group
	index uint64
}

// Persist implements raft.FSMSnapshot: raft truncates the log right after it, so it waits for the disk.
func (p flushed) Persist(sink raft.SnapshotSink) error {
	if err := p.g.machine.Flush(); err != nil {
		return errors.Join(err, sink.Cancel())
	}
	if d := p.g.machine.DurableApplied(); d < p.index {
		return errors.Join(fmt.Errorf("state is durable up to %d, snapshot is of %d", d, p.index), sink.Cancel())
	}
	return sink.Close()
}

// Release implements raft.FSMSnapshot.
func (p flushed) Release() {}

// Restore implements raft.FSM: it switches to a snapshot that has been received. The stream is the snapshot's name.
func (f fsm) Restore(source io.ReadCloser) error {
	name, err := io.ReadAll(io.LimitReader(source, 64))
	if err == nil {
		err = f.g.snaps.switchTo(string(name))
	}
	if err != nil {
		f.g.fence(fmt.Errorf("switch to snapshot: %w", err))
		return err
	}
	return nil
}

// membersApplied decodes what the state knows of the membership.
func membersApplied(a space.Applied) ([]Member, error) {
	if len(a.Configuration) == 0 {
		return nil, cluster.Errorf(cluster.KindDamaged, "state has applied %d without a membership", a.Index)
	}
	return decodeMembers(a.Configuration)
}
