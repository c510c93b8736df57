package raftlog

// Begin makes term the current one of a replica whose state did not come from its own log: it has voted for nobody.
func (s *Stable) Begin(term uint64) error {
	if err := s.Reset(); err != nil {
		return err
	}
	if term == 0 {
		return nil // of no term: the replica is empty
	}
	return s.SetUint64([]byte(raftCurrentTerm), term)
}
