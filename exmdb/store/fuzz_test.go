package store

import (
	"testing"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// FuzzOps: whatever bytes an op is asked with, the answer is one or a refusal with a kind, and the books are kept. Views of tables
// are kept in little memory: of a million requests each asks for another, and a worker that is near the end of what it may hold
// collects garbage and does nothing else.
func FuzzOps(f *testing.F) {
	s := newFurnished(f)
	config := steady()
	config.TableCache = 1 << 20
	table := handlersOf(New(config))
	for _, r := range s.requests() {
		f.Add(uint16(r.op.ID), wire.Marshal(r.req))
	}
	f.Fuzz(func(t *testing.T, op uint16, payload []byte) {
		h, known := table[exmdb.OpID(op)]
		if !known {
			return
		}
		if _, fault := s.attempt(h, payload); fault != nil {
			t.Fatalf("%s of %x: %v", h.Name, payload, fault)
		}
	})
}
