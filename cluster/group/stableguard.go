package group

import (
	"sync"
	"sync/atomic"

	"github.com/hashicorp/raft"
)

// The names under which raft keeps term and vote.
const (
	keyCurrentTerm  = "CurrentTerm"
	keyLastVoteTerm = "LastVoteTerm"
)

// stableGuard is a replica's term and vote. It never lets the term fall: raft's heartbeat path writes the term beside
// its main loop, and may write an older one last. What it has seen is also what a ConfirmTerms is answered from,
// since a replica that has voted in a later term must not confirm an earlier one (CLUSTER 4.1).
type stableGuard struct {
	raft.StableStore
	mu   sync.Mutex // one term written at a time
	seen atomic.Uint64
	// term and vote as they were when the replica was opened.
	openedTerm, openedVote uint64
}

func newStableGuard(below raft.StableStore) (*stableGuard, error) {
	g := &stableGuard{StableStore: below}
	for key, opened := range map[string]*uint64{keyCurrentTerm: &g.openedTerm, keyLastVoteTerm: &g.openedVote} {
		term, err := below.GetUint64([]byte(key))
		if err != nil && err.Error() != "not found" { // raft's own convention
			return nil, err
		}
		if err == nil {
			*opened = term
			g.seen.Store(max(term, g.seen.Load()))
		}
	}
	return g, nil
}

// stored is the current term, and the latest that the replica voted in, as they were on disk at its start.
func (g *stableGuard) stored() (term, vote uint64) { return g.openedTerm, g.openedVote }

// term is the highest term the replica has been in or voted in.
func (g *stableGuard) term() uint64 { return g.seen.Load() }

// SetUint64 implements raft.StableStore.
func (g *stableGuard) SetUint64(key []byte, value uint64) error {
	name := string(key)
	if name != keyCurrentTerm && name != keyLastVoteTerm {
		return g.StableStore.SetUint64(key, value)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if value < g.seen.Load() {
		if name == keyCurrentTerm {
			return nil
		}
	} else {
		g.seen.Store(value) // before it is on disk: from here on nothing older is confirmed
	}
	return g.StableStore.SetUint64(key, value)
}
