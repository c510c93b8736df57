package group

import (
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"pgregory.net/rapid"
)

const ms = time.Millisecond

var three = []cluster.ServerID{"a.1", "b.1", "c.1"}

func leaseIn(term uint64, now time.Duration) *lease {
	l := &lease{self: "a.1"}
	l.begin(term, now)
	return l
}

func TestLeaseCountsFromTheSendTime(t *testing.T) {
	l := leaseIn(3, 0)
	if l.holds(three, 0) {
		t.Fatal("a new leader holds a lease before anyone has confirmed it")
	}
	// Asked at 100 ms, the answer read 5 s later out of a socket buffer: CLUSTER 8, "a leader frozen 5 s".
	if !l.confirm(3, "b.1", 100*ms) {
		t.Fatal("confirmation refused")
	}
	if l.holds(three, 5100*ms) {
		t.Fatal("an answer that lay in a buffer renewed the lease")
	}
	if !l.holds(three, 100*ms+LeaseLength-1) {
		t.Fatal("the lease ended early")
	}
	if l.holds(three, 100*ms+LeaseLength) {
		t.Fatal("the lease ended late")
	}
}

func TestLeaseRefusesWhatIsNotItsTerm(t *testing.T) {
	l := leaseIn(3, 50*ms)
	for name, ok := range map[string]bool{
		"older term":   l.confirm(2, "b.1", 100*ms),
		"newer term":   l.confirm(4, "b.1", 100*ms),
		"before floor": l.confirm(3, "b.1", 49*ms),
	} {
		if ok {
			t.Errorf("%s counted", name)
		}
	}
	if l.holds(three, 100*ms) {
		t.Fatal("lease without a confirmation")
	}
	var unused lease
	if unused.confirm(0, "b.1", 1) || unused.holds(three, 1) {
		t.Fatal("a lease that never began holds")
	}
}

func TestLeaseAfterDropAndEnd(t *testing.T) {
	l := leaseIn(3, 0)
	l.confirm(3, "b.1", 100*ms)
	l.drop(200 * ms)
	if l.holds(three, 200*ms) {
		t.Fatal("holds after a drop")
	}
	if l.confirm(3, "b.1", 150*ms) {
		t.Fatal("an answer to a request from before the drop counted")
	}
	l.confirm(3, "b.1", 210*ms)
	if !l.holds(three, 220*ms) {
		t.Fatal("cannot be renewed after a drop")
	}
	l.end()
	l.confirm(3, "c.1", 230*ms)
	if l.holds(three, 230*ms) {
		t.Fatal("holds after it was handed over")
	}
	if _, ok := l.quorumSince(three, 230*ms); !ok {
		t.Fatal("after the hand-over failed a read index must still be possible")
	}
	l.begin(5, 300*ms)
	l.confirm(5, "b.1", 310*ms)
	if !l.holds(three, 310*ms) {
		t.Fatal("no lease in the next term that was won")
	}
}

func TestLeaseQuorums(t *testing.T) {
	l := leaseIn(1, 0)
	l.confirm(1, "b.1", 10*ms)
	l.confirm(1, "c.1", 20*ms)
	l.confirm(1, "d.1", 30*ms)
	cases := []struct {
		voters []cluster.ServerID
		since  time.Duration
		ok     bool
	}{
		{nil, 0, false},
		{[]cluster.ServerID{"a.1"}, 40 * ms, true},
		{[]cluster.ServerID{"a.1", "b.1"}, 10 * ms, true},
		{[]cluster.ServerID{"a.1", "x.1"}, 0, false},
		{three, 20 * ms, true},
		{[]cluster.ServerID{"a.1", "b.1", "x.1"}, 10 * ms, true},
		{[]cluster.ServerID{"a.1", "x.1", "y.1"}, 0, false},
		{[]cluster.ServerID{"b.1", "c.1", "d.1"}, 20 * ms, true}, // a leader that is no voter any more
		{[]cluster.ServerID{"a.1", "b.1", "c.1", "d.1", "x.1"}, 20 * ms, true},
		{[]cluster.ServerID{"a.1", "b.1", "c.2", "d.2", "x.1"}, 0, false}, // other incarnations do not count
	}
	for _, c := range cases {
		since, ok := l.quorumSince(c.voters, 40*ms)
		if since != c.since || ok != c.ok {
			t.Errorf("%v: since %v %v, want %v %v", c.voters, since, ok, c.since, c.ok)
		}
	}
}

func TestClockWatch(t *testing.T) {
	var w clockWatch
	wall := time.Unix(1_700_000_000, 0)
	steps := []struct {
		mono, wall time.Duration
		jumped     bool
	}{
		{0, 0, false},
		{100 * ms, 100 * ms, false},
		{200 * ms, 290 * ms, false},   // a correction below the limit
		{300 * ms, 390 * ms, false},   // is followed
		{400 * ms, 5490 * ms, true},   // the machine was paused for 5 s
		{500 * ms, 5590 * ms, false},  // once
		{600 * ms, 5590 * ms, false},  // 100 ms is not more than 100 ms
		{700 * ms, -4000 * ms, true},  // set back
		{800 * ms, -3900 * ms, false}, // from there on
	}
	for i, s := range steps {
		if got := w.jumped(s.mono, wall.Add(s.wall)); got != s.jumped {
			t.Errorf("step %d: jumped = %v", i, got)
		}
	}
}

func TestTenureWait(t *testing.T) {
	if got := newTenure(4, 100*ms, handOver{}).remaining(100 * ms); got < LeaseLength {
		t.Errorf("elected without a hand-over: waits %v", got)
	}
	if got := newTenure(4, 100*ms, handOver{}).remaining(100*ms + electionWait); got != 0 {
		t.Errorf("after the wait: %v more", got)
	}
	for term, skips := range map[uint64]bool{3: false, 4: true, 5: false, 6: false} {
		got := newTenure(term, 100*ms, handOver{term: 3, from: "b.1"}).remaining(100*ms) == 0
		if got != skips {
			t.Errorf("handed over in term 3, elected in %d: skips = %v", term, got)
		}
	}
	if (handOver{}).skipsWait(1) {
		t.Error("no hand-over, elected in term 1: skips")
	}
}

// TestLeaseNeverOverlaps runs random elections on a simulated cluster: at no moment may a leader answer a lease
// read after the leader of a later term may have answered anything.
func TestLeaseNeverOverlaps(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		w := newLeaseWorld(rapid.SampledFrom([]int{1, 2, 3, 4, 5}).Draw(r, "nodes"))
		for range rapid.IntRange(1, 120).Draw(r, "steps") {
			w.step(r)
			w.check(r)
		}
	})
}

// leaseWorld is a cluster reduced to terms, votes and confirmations. True time is now; each node measures it with
// its own clock.
type leaseWorld struct {
	now   time.Duration
	ids   []cluster.ServerID
	nodes []*leaseNode
	asks  []leaseAsk
}

type leaseNode struct {
	term   uint64 // highest seen, in which it votes at most once
	lead   tenure
	lease  lease
	leads  bool
	handed handOver
}

// leaseAsk is a confirmation on its way; once it was answered the answer may lie in a buffer for any time.
type leaseAsk struct {
	from, to int
	term     uint64
	sent     time.Duration
	answered bool
}

func newLeaseWorld(n int) *leaseWorld {
	w := &leaseWorld{}
	for i := range n {
		id := cluster.ServerID(string(rune('a'+i)) + ".1")
		w.ids = append(w.ids, id)
		w.nodes = append(w.nodes, &leaseNode{lease: lease{self: id}})
	}
	return w
}

func (w *leaseWorld) step(r *rapid.T) {
	w.now += time.Duration(rapid.IntRange(0, 200).Draw(r, "pass")) * ms
	i := rapid.IntRange(0, len(w.nodes)-1).Draw(r, "node")
	j := rapid.IntRange(0, len(w.nodes)-1).Draw(r, "other")
	n := w.nodes[i]
	switch rapid.SampledFrom([]string{"ask", "ask", "answer", "answer", "deliver", "deliver", "elect", "hand over"}).Draw(r, "what") {
	case "ask":
		if n.leads && i != j {
			w.asks = append(w.asks, leaseAsk{from: i, to: j, term: n.lead.term, sent: w.now})
		}
	case "answer":
		w.answer(i)
	case "deliver":
		w.deliver(r)
	case "elect":
		w.elect(r, i)
	case "hand over":
		if n.leads && i != j && n.lead.remaining(w.now) == 0 {
			n.lease.end()
			w.nodes[j].handed = handOver{term: n.lead.term, from: w.ids[i]}
		}
	}
}

func (w *leaseWorld) answer(i int) {
	for k := range w.asks {
		if a := &w.asks[k]; a.to == i && !a.answered && w.nodes[i].term == a.term {
			a.answered = true
		}
	}
}

func (w *leaseWorld) deliver(r *rapid.T) {
	if len(w.asks) == 0 {
		return
	}
	k := rapid.IntRange(0, len(w.asks)-1).Draw(r, "ask")
	a := w.asks[k]
	w.asks = append(w.asks[:k], w.asks[k+1:]...)
	if a.answered {
		w.nodes[a.from].lease.confirm(a.term, w.ids[a.to], a.sent)
	}
}

func (w *leaseWorld) elect(r *rapid.T, i int) {
	n := w.nodes[i]
	term := n.term + 1
	votes := 0
	for k, v := range w.nodes {
		if k != i && !rapid.Bool().Draw(r, "reached") {
			continue
		}
		if v.term < term {
			v.term, v.leads = term, false
			votes++
		}
	}
	n.leads = false
	if votes > len(w.nodes)/2 {
		n.leads = true
		n.lead = newTenure(term, w.now, n.handed)
		n.lease.begin(term, w.now)
	}
}

// check looks at every pair of leaders, deposed or not: a deposed one does not know it yet.
func (w *leaseWorld) check(r *rapid.T) {
	answers := uint64(0) // the highest term in which something may have been answered by now
	for _, n := range w.nodes {
		if n.lead.term > answers && n.lead.remaining(w.now) == 0 {
			answers = n.lead.term
		}
	}
	for i, n := range w.nodes {
		if n.lease.term < answers && n.lease.holds(w.ids, w.now) {
			r.Fatalf("at %v %s reads under a lease of term %d while term %d answers", w.now, w.ids[i], n.lease.term, answers)
		}
	}
}
