package space

import (
	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/internal/lsm"
)

// state is what a space holds while its header is hdr, for the functions of one round. They must not see an effect
// that is applied while they run (one of unknown outcome, or the next leader's): what they read of it and of what was
// before would contradict each other. A snapshot would do, and costs as much as the functions; so the engine is read
// as it is, and each read is checked for having come before the next effect on the space.
type state struct {
	m     *Machine
	db    *lsm.DB
	space cluster.SpaceID
	hdr   *header // nil: the space was never here
	seen  uint64  // Machine.commits when hdr was last known to be current
	err   error   // errOvertaken, or of the engine, for good
}

// errOvertaken makes a round run again. No caller sees it.
var errOvertaken = cluster.Errorf(cluster.KindInternal, "an effect was applied to the space meanwhile")

func (s *state) open(m *Machine, db *lsm.DB, space cluster.SpaceID) error {
	*s = state{m: m, db: db, space: space, seen: m.commits.Load()}
	s.hdr, s.err = readHeader(db, space)
	return s.err
}

// Get implements lsm.Reader.
func (s *state) Get(key []byte) ([]byte, error) {
	value, err := s.db.Get(key)
	if late := s.stands(); late != nil {
		return nil, late
	}
	return value, err
}

// NewIter implements lsm.Reader; who reads the iterator asks stands first.
func (s *state) NewIter(lo, hi []byte) *lsm.Iter { return s.db.NewIter(lo, hi) }

// stands is nil if whatever was read before the call belongs to the state. While no batch has become visible since
// that was last known, it does; otherwise the header tells.
func (s *state) stands() error {
	commits := s.m.commits.Load()
	if s.err != nil || commits == s.seen && commits&1 == 0 {
		return s.err
	}
	hdr, err := readHeader(s.db, s.space)
	if err == nil && !hdr.equal(s.hdr) {
		err = errOvertaken
	}
	s.err, s.seen = err, commits
	return err
}

// show makes a batch visible, and known to states.
func (m *Machine) show(b *lsm.Batch) error {
	m.commits.Add(1)
	defer m.commits.Add(1)
	return b.Commit(false)
}
