package node

import (
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/gossip"
)

// heardNode is what the gossip says of a node.
func heardNode(id cluster.NodeID, alive bool, since time.Time) gossip.Node {
	return gossip.Node{ID: id, Alive: alive, Since: since}
}

// TestSilenceIsTheGossips: who does not answer the controller is silent only if nobody hears it, and for as long as the
// gossip says, or as this controller has seen.
func TestSilenceIsTheGossips(t *testing.T) {
	w := newWatched()
	if seen := w.pass(3); len(seen.Silent) != 0 || seen.Holds["n2"] != 1 {
		t.Fatalf("all answer: silent %v, holds %v", seen.Silent, seen.Holds)
	}
	w.l.nodes[1].Err = "no answer"
	if seen := w.pass(3); seen.Silent["n2"] != 3*time.Second || len(seen.Holds) != 2 {
		t.Errorf("the gossip knows nothing: silent %v, holds %v", seen.Silent, seen.Holds)
	}
	w.l.heard = []gossip.Node{heardNode("n2", true, w.l.at)}
	if seen := w.pass(1); len(seen.Silent) != 0 {
		t.Errorf("others hear it: silent %v", seen.Silent)
	}
	w.l.heard[0] = heardNode("n2", false, w.l.at.Add(-time.Hour))
	if seen := w.pass(1); seen.Silent["n2"] != time.Hour+time.Second {
		t.Errorf("it has been gone for an hour: silent %v", seen.Silent)
	}
	w.l.nodes[1].Err = ""
	if seen := w.pass(0); len(seen.Silent) != 0 {
		t.Errorf("it is back: silent %v", seen.Silent)
	}
}

// TestSteadyTakesLonger: a replica that is new on its node waits for its vote.
func TestSteadyTakesLonger(t *testing.T) {
	w := newWatched()
	if seen := w.pass(9); !seen.CaughtUp["n3.1"] || seen.Steady["n3.1"] {
		t.Errorf("after 9 s: caught up %v, steady %v", seen.CaughtUp["n3.1"], seen.Steady["n3.1"])
	}
	if seen := w.pass(1); !seen.Steady["n3.1"] {
		t.Error("not steady after 10 s")
	}
}

// TestOpsAreAveraged: a burst counts little at first, and another leader begins anew.
func TestOpsAreAveraged(t *testing.T) {
	o, at := newObserver(), time.Unix(1000, 0)
	g := &GroupStatus{Group: 4, Server: "n1.1"}
	rate := 0.0
	for range 600 {
		g.Parts += 100
		at = at.Add(time.Second)
		before := rate
		if rate = o.rate(at, g); rate < before || rate > 100 {
			t.Fatalf("%v after %v", rate, before)
		}
	}
	if rate < 95 {
		t.Errorf("%v in a second after ten minutes of 100", rate)
	}
	g.Server, g.Parts = "n2.1", 7
	if got := o.rate(at.Add(time.Second), g); got != rate {
		t.Errorf("another leader: %v, was %v", got, rate)
	}
}
