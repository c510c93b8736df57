package group

import (
	"slices"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
)

// LeaseLength is L of CLUSTER 4: how long a lease lasts from the send time of the requests that earned it, and how
// long a new leader keeps silent. It is one constant for the cluster: nodes that disagree read stale data.
const LeaseLength = 500 * time.Millisecond

const (
	// electionWait is what a new leader waits: L, and one per cent for clocks that run at different rates.
	electionWait = LeaseLength + LeaseLength/100
	// clockJump is how far wall and monotonic clock may drift apart between two looks before leases are dropped.
	clockJump = 100 * time.Millisecond
)

// Clock is what leases are measured with. Mono never steps back and may stand still while a machine is paused;
// Wall is the calendar, which does not.
type Clock interface {
	Mono() time.Duration
	Wall() time.Time
}

// lease is the right to read without asking, of one replica in one term (CLUSTER 4.1). It is pure: the owner
// brings the clock readings and the lock.
type lease struct {
	self     cluster.ServerID
	term     uint64
	floor    time.Duration                      // confirmations of requests sent earlier are void
	ended    bool                               // handed over: no more leases in this term (CLUSTER 4.2)
	contacts map[cluster.ServerID]time.Duration // when the latest confirmed request was sent
}

// begin starts a term that self won; nothing is confirmed in it yet.
func (l *lease) begin(term uint64, now time.Duration) {
	l.term, l.floor, l.ended = term, now, false
	l.contacts = make(map[cluster.ServerID]time.Duration)
}

// confirm notes that server, asked at sent, was in l's term when it answered. Answers of another term, or to
// requests from before the floor, count nothing.
func (l *lease) confirm(term uint64, server cluster.ServerID, sent time.Duration) bool {
	if term != l.term || l.contacts == nil || sent < l.floor {
		return false
	}
	if old, ok := l.contacts[server]; ok && old >= sent {
		return false
	}
	l.contacts[server] = sent
	return true
}

// drop makes everything confirmed so far, and everything asked before now, count nothing.
func (l *lease) drop(now time.Duration) {
	l.floor = now
	clear(l.contacts)
}

// end gives up the lease for the rest of the term.
func (l *lease) end() { l.ended = true }

// quorumSince is the latest send time such that a quorum of voters has confirmed a request sent then or later. Self
// counts as asked now: it knows its own term.
func (l *lease) quorumSince(voters []cluster.ServerID, now time.Duration) (time.Duration, bool) {
	if len(voters) == 0 || l.contacts == nil {
		return 0, false
	}
	var buf [8]time.Duration
	times := buf[:0]
	for _, v := range voters {
		if v == l.self {
			times = append(times, now)
		} else if sent, ok := l.contacts[v]; ok {
			times = append(times, sent)
		}
	}
	quorum := len(voters)/2 + 1
	if len(times) < quorum {
		return 0, false
	}
	slices.Sort(times)
	return times[len(times)-quorum], true
}

// holds reports whether a read may be answered at now.
func (l *lease) holds(voters []cluster.ServerID, now time.Duration) bool {
	if l.ended {
		return false
	}
	since, ok := l.quorumSince(voters, now)
	return ok && now-since < LeaseLength
}

// clockWatch compares two clocks. A machine that was paused, or set to another time, shows as a step between them.
type clockWatch struct {
	seen   bool
	offset time.Duration // wall minus monotonic at the last look
}

// jumped reports a step of more than clockJump since the last look. Slow corrections of the wall clock, which
// move it less than that between two looks, are followed.
func (w *clockWatch) jumped(mono time.Duration, wall time.Time) bool {
	offset := time.Duration(wall.UnixNano()) - mono
	step := offset - w.offset
	first := !w.seen
	w.seen, w.offset = true, offset
	return !first && (step > clockJump || step < -clockJump)
}

// tenure is one won election, as far as CLUSTER 1.4 and 4.2 care.
type tenure struct {
	term uint64
	// quiet is when the predecessor's lease has certainly ended; zero after a planned hand-over.
	quiet time.Duration
	// applied: the barrier of this term has been applied here.
	applied bool
}

// remaining is how long the leader still has to keep silent after its barrier.
func (t tenure) remaining(now time.Duration) time.Duration { return max(0, t.quiet-now) }

// handOver is a predecessor's word that it answers nothing in term any more, given to the server it named as its
// successor (CLUSTER 4.2).
type handOver struct {
	term uint64
	from cluster.ServerID
}

// skipsWait reports whether a leader elected in term may answer at once: only in the very next term, since in any
// later one another leader may have held a lease.
func (h handOver) skipsWait(term uint64) bool { return h.term != 0 && term == h.term+1 }

// newTenure is the state right after self learnt, at now, that it leads in term.
func newTenure(term uint64, now time.Duration, h handOver) tenure {
	if h.skipsWait(term) {
		return tenure{term: term}
	}
	return tenure{term: term, quiet: now + electionWait}
}
