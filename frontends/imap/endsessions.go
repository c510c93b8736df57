package imap

import "github.com/flotilla-mail/flotilla/internal/auth"

// EndSessions ends the sessions of whom over names, between two commands or in IDLE, and returns how many.
func (s *Server) EndSessions(over func(*auth.Principal) bool) int {
	s.mu.Lock()
	conns := s.connsLocked()
	s.mu.Unlock()
	ended := 0
	for _, c := range conns {
		if p := c.user.Load(); p != nil && over(p) {
			c.over.Store(true)
			c.drain()
			ended++
		}
	}
	return ended
}
