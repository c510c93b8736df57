package space

import (
	"context"
	"fmt"
	"sync"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/internal/lsm"
)

// Local is a Replicator without Raft: one replica, whose log is applied as soon as it is written. It serves tests
// of everything above a space, and can do to them what a group does on a bad day.
type Local struct {
	machine *Machine

	mu      sync.Mutex
	term    uint64       // guarded by mu
	leading bool         // guarded by mu
	index   uint64       // guarded by mu
	faults  []LocalFault // guarded by mu; the next parts meet them, one each
	late    []latePart   // guarded by mu
	keep    bool         // guarded by mu
	log     []LogEntry   // guarded by mu
	group   cluster.GroupID
}

// latePart is in the log and not committed.
type latePart struct {
	term uint64
	part []byte
}

// LocalFault is what happens to one part.
type LocalFault uint8

const (
	// FaultNone lets the part through.
	FaultNone LocalFault = iota
	// FaultVoidTerm commits the part in a later term than it was evaluated in: it is void.
	FaultVoidTerm
	// FaultOvertaken bumps nothing but answers VoidSequence, as if another effect had come first.
	FaultOvertaken
	// FaultLostAnswer commits the part and reports its outcome as unknown.
	FaultLostAnswer
	// FaultLostEntry reports an unknown outcome for a part that never commits.
	FaultLostEntry
	// FaultRefused refuses the part before anything is done.
	FaultRefused
	// FaultLate reports an unknown outcome for a part that commits right before the next one, or with the next election.
	FaultLate
)

// NewLocal makes a Local that leads in term 1, or in the term after what machine has applied.
func NewLocal(machine *Machine) *Local {
	at := machine.Applied()
	return &Local{machine: machine, term: at.Term + 1, leading: true, index: at.Index}
}

// LocalReplica is a Replica on one machine with no Raft below it.
type LocalReplica struct {
	*Replica
	Local *Local
}

// NewLocalReplica makes a replica on db, which the caller closes after it.
func NewLocalReplica(db *lsm.DB, config Config) (*LocalReplica, error) {
	m, err := OpenMachine(db, MachineConfig{})
	if err != nil {
		return nil, err
	}
	l := NewLocal(m)
	return &LocalReplica{New(m, l, config), l}, nil
}

// Close closes replica and machine.
func (l *LocalReplica) Close() error {
	l.Replica.Close()
	return l.Machine().Close()
}

// Fail makes the next parts meet faults, in order.
func (l *Local) Fail(faults ...LocalFault) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.faults = append(l.faults, faults...)
}

// Depose ends leadership; the owner of the Replica calls its LeadershipLost.
func (l *Local) Depose() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.leading = false
}

// Elect begins a new term, led here, with everything committed that was in the log.
func (l *Local) Elect() {
	l.mu.Lock()
	defer l.mu.Unlock()
	_ = l.settleLocked() // a machine that failed says so again at the next part
	l.term++
	l.leading = true
}

func (l *Local) settleLocked() error {
	for _, late := range l.late {
		if _, err := l.applyLocked(late.term, late.term, late.part); err != nil {
			return err
		}
	}
	l.late = nil
	return nil
}

// Record makes Local keep the entries it applies from here on; Log returns them.
func (l *Local) Record() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.keep = true
}

// Log returns the recorded entries.
func (l *Local) Log() []LogEntry {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]LogEntry(nil), l.log...)
}

// Lead implements Replicator.
func (l *Local) Lead(ctx context.Context) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := expired(ctx); err != nil {
		return 0, err
	}
	return l.term, l.leaderLocked()
}

// expired is KindDeadline where the caller waits no more.
func expired(ctx context.Context) error {
	if ctx.Err() == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", cluster.ErrDeadline, ctx.Err())
}

func (l *Local) leaderLocked() error {
	if l.leading {
		return nil
	}
	return &cluster.Error{Kind: cluster.KindNotLeader, Group: l.group, Term: l.term}
}

// BeginRead implements Replicator.
func (l *Local) BeginRead(ctx context.Context, mode ReadMode) (func() error, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := expired(ctx); err != nil {
		return nil, err
	}
	if mode != ReadLease {
		return func() error { return nil }, nil
	}
	term := l.term
	return func() error {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.term != term {
			return &cluster.Error{Kind: cluster.KindNotLeader, Group: l.group, Term: l.term}
		}
		return l.leaderLocked()
	}, l.leaderLocked()
}

// Propose implements Replicator.
func (l *Local) Propose(_ context.Context, term uint64, part []byte) (Outcome, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.leaderLocked(); err != nil {
		return 0, err
	}
	fault := FaultNone
	if len(l.faults) > 0 {
		fault, l.faults = l.faults[0], l.faults[1:]
	}
	if fault == FaultRefused {
		return 0, cluster.ErrOverloaded
	}
	if err := l.settleLocked(); err != nil {
		return 0, err
	}
	switch fault {
	case FaultOvertaken:
		return VoidSequence, nil
	case FaultLostEntry:
		return 0, cluster.ErrUnknownOutcome
	case FaultLate:
		l.late = append(l.late, latePart{term, part})
		return 0, cluster.ErrUnknownOutcome
	case FaultVoidTerm:
		l.term++
	}
	outcome, err := l.applyLocked(l.term, term, part)
	if err == nil && fault == FaultLostAnswer {
		return 0, cluster.ErrUnknownOutcome
	}
	return outcome, err
}

// applyLocked applies a part evaluated in one term in an entry of another.
func (l *Local) applyLocked(term, evaluated uint64, part []byte) (Outcome, error) {
	parts := [][]byte{part}
	e := LogEntry{Index: l.index + 1, Term: term, Data: AppendEntry(make([]byte, 0, EntrySize(parts)), evaluated, parts)}
	outcomes, err := l.machine.Apply([]LogEntry{e})
	if err != nil {
		return 0, err
	}
	l.index++
	if l.keep {
		l.log = append(l.log, e)
	}
	return outcomes[0][0], nil
}
