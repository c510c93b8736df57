package transport

import "sync/atomic"

// Stats counts since the start, over all frame connections.
type Stats struct {
	FramesOut, FramesIn uint64
	// Flushes counts how often a writer ran out of queued frames; FramesOut/Flushes is what coalescing gained.
	Flushes uint64
	// Writes counts system calls, BytesOut what they wrote (ciphertext).
	Writes, BytesOut uint64
	Dials, Accepts   uint64
	Rejected         uint64
}

type stats struct {
	framesOut, framesIn, flushes, writes, bytesOut, dials, accepts, rejected atomic.Uint64
}

// Stats returns the counters.
func (t *Transport) Stats() Stats {
	s := &t.stats
	return Stats{
		FramesOut: s.framesOut.Load(), FramesIn: s.framesIn.Load(), Flushes: s.flushes.Load(),
		Writes: s.writes.Load(), BytesOut: s.bytesOut.Load(),
		Dials: s.dials.Load(), Accepts: s.accepts.Load(), Rejected: s.rejected.Load(),
	}
}
