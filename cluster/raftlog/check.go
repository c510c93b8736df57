package raftlog

import (
	"errors"
	"fmt"

	"github.com/flotilla-mail/flotilla/cluster"
)

// Cause says what is wrong with a replica's log, term or vote. The numbers reach logs and metrics as names only.
type Cause string

// The causes of damage, in the order in which Check looks for them.
const (
	CauseNoFloor      Cause = "no floor record"            // the state was made with a log that is not there
	CauseOtherReplica Cause = "other replica"              // the log is that of another incarnation
	CauseOtherLog     Cause = "other log store"            // the log's files were made again
	CauseOtherStable  Cause = "other stable store"         // the file with term and vote was made again
	CauseBadEntry     Cause = "entry does not check"       // bytes are not what was written
	CauseLostEnd      Cause = "log lost its end"           // it ends before what is known to have been synced
	CauseGap          Cause = "gap between state and log"  // the log begins behind what the state has applied
	CauseLogBehind    Cause = "log ends before the state"  // what the state has applied is not in the log
	CauseTermDiffers  Cause = "state and log differ"       // another term at the same index
	CauseNoTerm       Cause = "no term"                    // the state has applied entries, but no term is known
	CauseTermBehind   Cause = "term behind the log"        // an older term file came back
	CauseVote         Cause = "vote does not fit the term" // a vote without its term, or of a later one
)

// DamagedError says that a replica must not take part any more: it rejoins as another one (CLUSTER 5.3). Its kind is
// cluster.KindDamaged.
type DamagedError struct {
	Group  cluster.GroupID
	Cause  Cause
	Detail string
}

func (e *DamagedError) Error() string {
	return fmt.Sprintf("group %d: %s: %s", e.Group, e.Cause, e.Detail)
}

// Unwrap makes cluster.KindOf and errors.Is find the kind.
func (e *DamagedError) Unwrap() error { return cluster.ErrDamaged }

func damaged(g cluster.GroupID, c Cause, format string, args ...any) *DamagedError {
	return &DamagedError{Group: g, Cause: c, Detail: fmt.Sprintf(format, args...)}
}

func asDamaged(err error) (*DamagedError, bool) {
	var d *DamagedError
	return d, errors.As(err, &d)
}

// asDamage gives an error of bytes that are not what was written the kind Damaged.
func asDamage(err error) error {
	if !errors.Is(err, errCoding) && !isCorrupt(err) || errors.Is(err, cluster.ErrDamaged) {
		return err
	}
	return fmt.Errorf("%w: %w", cluster.ErrDamaged, err)
}

// readError tells bytes that do not check, which are the group's damage, from a disk that does not answer, which is
// the end of the process.
func (l *Log) readError(index uint64, err error) error {
	if errors.Is(err, errCoding) || isCorrupt(err) {
		return damaged(l.group, CauseBadEntry, "entry %d: %v", index, err)
	}
	return l.store.fail(fmt.Errorf("read entry %d of group %d: %w", index, l.group, err))
}

// State is what a group's state knows of itself when a replica is started.
type State struct {
	Server cluster.ServerID
	// Log and Stable are the identities recorded when the replica was made.
	Log, Stable Identity
	// Index and Term are the last entry whose effect the state holds, as reopened.
	Index, Term uint64
	// Snapshot is the index of the snapshot or seed that the state came from, 0 when it was built from the log.
	Snapshot uint64
}

// Check compares a replica's state with its log, term and vote, and returns a *DamagedError when they do not belong
// together (CLUSTER 5.3). It also ends the deletion of a log that an installed snapshot made obsolete, if a crash
// interrupted it. It runs before Raft is started.
func Check(l *Log, st *Stable, s State) error {
	for _, check := range []func(*Log, *Stable, State) error{
		checkIdentity, checkEnd, checkSpan, checkTerms, checkEntries, checkStable,
	} {
		if err := check(l, st, s); err != nil {
			return err
		}
	}
	return nil
}

func checkIdentity(l *Log, st *Stable, s State) error {
	floor, known := l.Floor()
	switch {
	case l.damage() != nil:
		return l.damage()
	case !known:
		return damaged(l.group, CauseNoFloor, "state has applied %d", s.Index)
	case floor.Server != s.Server:
		return damaged(l.group, CauseOtherReplica, "log is of %q, state of %q", floor.Server, s.Server)
	case l.Identity() != s.Log:
		return damaged(l.group, CauseOtherLog, "log is %x, state was made with %x", l.Identity(), s.Log)
	case st.Identity() != s.Stable:
		return damaged(l.group, CauseOtherStable, "stable store is %x, state was made with %x", st.Identity(), s.Stable)
	}
	return nil
}

func (l *Log) damage() error {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.damaged == nil {
		return nil
	}
	return l.damaged
}

// checkEnd holds the log against its mark.
func checkEnd(l *Log, _ *Stable, _ State) error {
	k, ok := l.store.marks.of(l.group)
	now, floor := l.spanNow(), l.floorNow()
	if !ok || k.last <= floor.Index {
		return nil
	}
	if k.last > now.last {
		return damaged(l.group, CauseLostEnd, "ends at %d, was synced up to %d", max(now.last, floor.Index), k.last)
	}
	e, err := l.read(k.last)
	if err != nil {
		return err
	}
	if k.term != 0 && e.log.Term != k.term {
		return damaged(l.group, CauseLostEnd, "entry %d is of term %d, was synced with term %d", k.last, e.log.Term, k.term)
	}
	return nil
}

// checkSpan holds the log's ends against the applied index.
func checkSpan(l *Log, _ *Stable, s State) error {
	now, floor := l.spanNow(), l.floorNow()
	end := max(now.last, floor.Index)
	switch {
	case floor.Index > s.Index:
		return damaged(l.group, CauseGap, "log begins after %d, state has applied %d", floor.Index, s.Index)
	case now.first != 0 && now.first != floor.Index+1:
		return damaged(l.group, CauseGap, "log begins at %d, its floor is %d", now.first, floor.Index)
	case end >= s.Index:
		return nil
	case !s.fresh():
		return damaged(l.group, CauseLogBehind, "log ends at %d, state has applied %d", end, s.Index)
	}
	return l.supersede(s)
}

// fresh reports that the state stands exactly where a snapshot put it. Raft empties the log only after the state was
// switched, so a crash may leave one that ends before the snapshot, or conflicts with it.
func (s State) fresh() bool { return s.Snapshot != 0 && s.Index == s.Snapshot }

// supersede replaces the log by an empty one behind the snapshot.
func (l *Log) supersede(s State) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	return l.reset(Floor{Server: s.Server, Index: s.Index, Term: s.Term})
}

// checkTerms holds the terms that state and log know of the applied index against each other.
func checkTerms(l *Log, _ *Stable, s State) error {
	now, floor := l.spanNow(), l.floorNow()
	term := s.Term
	if s.Index == floor.Index && floor.Term != 0 {
		term = floor.Term
	}
	if now.first != 0 && now.first <= s.Index && s.Index <= now.last {
		e, err := l.read(s.Index)
		if err != nil {
			return err
		}
		term = e.log.Term
	}
	switch {
	case term == s.Term:
		return nil
	case s.fresh():
		return l.supersede(s)
	}
	return damaged(l.group, CauseTermDiffers, "index %d is of term %d in the log, %d in the state", s.Index, term, s.Term)
}

// checkEntries reads what raft is about to apply: it ends the process with an entry that it cannot read.
func checkEntries(l *Log, _ *Stable, s State) error {
	now := l.spanNow()
	if now.first == 0 {
		return nil
	}
	for index := max(now.first, s.Index+1); index <= now.last; index++ {
		if _, err := l.read(index); err != nil {
			return err
		}
	}
	return nil
}

func checkStable(l *Log, st *Stable, s State) error {
	v, err := st.votes()
	if err != nil {
		return err
	}
	logTerm := max(s.Term, l.spanNow().lastTerm)
	switch {
	case v.term == 0 && (logTerm > 0 || v.hasVote):
		return damaged(l.group, CauseNoTerm, "state has applied %d in term %d", s.Index, s.Term)
	case v.term < logTerm:
		return damaged(l.group, CauseTermBehind, "term is %d, log and state have reached %d", v.term, logTerm)
	case v.hasCandidate && !v.hasVote:
		return damaged(l.group, CauseVote, "a candidate is known, the term of the vote is not")
	case v.voteTerm > v.term:
		return damaged(l.group, CauseVote, "vote is of term %d, current is %d", v.voteTerm, v.term)
	}
	return nil
}
