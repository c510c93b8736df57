package group

import (
	"testing"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/transport"
)

// patientRaft leaves nothing to raft's own timers: a group that has no leader gets none by them while a test waits.
func patientRaft(c *Config) { c.Heartbeat = 10 * patience }

// patientWorld is three nodes so, with one group that has a space.
func patientWorld(t *testing.T) (w *world, leader *node) {
	t.Helper()
	t.Parallel()
	w = newWorld(t, 3, patientRaft)
	t.Cleanup(w.dump)
	leader = w.form(1)
	leader.create(1)
	return w, leader
}

// TestVoterThatTakesPartIsAskedAtOnce: who stands while the other voter has just started and answers nobody is not answered, and
// is elected in that same campaign when the voter takes part.
func TestVoterThatTakesPartIsAskedAtOnce(t *testing.T) {
	w, leader := patientWorld(t)
	leader.mustPut(1, "a", "1")
	old, term := leader.group(1).Leader()
	back, stands := w.others(leader)[0], w.others(leader)[1]
	eventually(t, "all have the same log", func() bool { // else the shorter one is refused
		last := leader.group(1).raft.LastIndex()
		return back.group(1).raft.LastIndex() == last && stands.group(1).raft.LastIndex() == last
	})
	back.stop()
	leader.stop()
	back.start()
	back.open(1)
	stands.group(1).standFor(old, term) // or has already, if the other's word was there
	if next := w.leader(1); next != stands || next.group(1).Term() != term+1 {
		t.Errorf("%s leads in term %d, want %s in %d", next.id, next.group(1).Term(), stands.id, term+1)
	}
	w.leader(1).mustPut(1, "a", "2")
}

// TestDeathIsToldAgain: the leader's node goes while the other survivor's is away, and is gone before that has opened its replica:
// one was not told of it, the other did not ask whom it bereaves.
func TestDeathIsToldAgain(t *testing.T) {
	w, leader := patientWorld(t)
	leader.mustPut(1, "a", "1")
	back, stays := w.others(leader)[0], w.others(leader)[1]
	back.stop()
	leader.stop()
	known := func(nd *node) func() bool {
		return func() bool {
			nd.host.deaths.mu.Lock()
			defer nd.host.deaths.mu.Unlock()
			c := nd.host.deaths.cases[leader.id]
			return c != nil && c.own == refused
		}
	}
	eventually(t, "it is known that the leader is gone", known(stays))
	back.start()
	eventually(t, "it is known that the leader is gone", known(back))
	back.open(1)
	w.leader(1).mustPut(1, "a", "2")
}

// apart stops the leader and lets its survivors not hear each other.
func (w *world) apart(gone *node) (survivors []*node) {
	survivors = w.others(gone)
	survivors[0].faults.Cut(survivors[1].id, transport.Both)
	gone.stop()
	return survivors
}

// campaign lets a node's replica stand for that leader; what it returns is closed when that is over.
func (nd *node) campaign(leader cluster.ServerID, term uint64, rank int) <-chan struct{} {
	over := make(chan struct{})
	nd.host.spawn(func() {
		defer close(over)
		nd.group(1).campaign(leader, term, standAfter(rank+1, 1))
	})
	return over
}

func (nd *node) awaitCampaign(term uint64) {
	nd.w.t.Helper()
	g := nd.group(1)
	eventually(nd.w.t, "a candidate", func() bool { return g.State() == Candidate && g.raft.CurrentTerm() == term })
}

// TestSplitVoteIsRepeated: candidates who have voted for themselves refuse each other, and stand again at once.
func TestSplitVoteIsRepeated(t *testing.T) {
	w, leader := patientWorld(t)
	leader.mustPut(1, "a", "1")
	old, term := leader.group(1).Leader()
	survivors := w.apart(leader)
	for rank, nd := range survivors {
		nd.campaign(old, term, rank)
		nd.awaitCampaign(term + 1)
	}
	survivors[0].faults.Clear("")
	w.leader(1).mustPut(1, "a", "2")
}

// TestRefusedCandidateIsFollowed: a survivor with the shorter log has stood first. The one that refused it leads, although it is
// in another term by now than the one in which it was to stand.
func TestRefusedCandidateIsFollowed(t *testing.T) {
	w, leader := patientWorld(t)
	behind, ahead := w.others(leader)[0], w.others(leader)[1]
	behind.faults.Cut(leader.id, transport.Both)
	leader.mustPut(1, "a", "1")
	eventually(t, "one survivor is ahead", func() bool {
		return ahead.group(1).machine.Applied().Index > behind.group(1).machine.Applied().Index
	})
	old, term := leader.group(1).Leader()
	leader.stop()
	if !behind.group(1).trans.stand() {
		t.Fatal("does not stand")
	}
	eventually(t, "refused", func() bool { return behind.group(1).trans.refusedIn(term + 1) })
	ahead.campaign(old, term, 0)
	if next := w.leader(1); next != ahead {
		t.Fatalf("%s leads", next.id)
	}
	ahead.mustPut(1, "a", "2")
}

// TestResign: a campaign ends in the next term, without a vote; who leads or follows a leader does not listen.
func TestResign(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3, patientRaft)
	defer w.dump()
	leader := w.form(1)
	old, term := leader.group(1).Leader()
	for _, nd := range w.nodes {
		eventually(t, "all know the leader", func() bool { now, _ := nd.group(1).Leader(); return now == old })
		if !nd.group(1).trans.resign(term) {
			t.Fatal("was not asked")
		}
	}
	if leader.group(1).State() != Leader || leader.group(1).Term() != term {
		t.Fatal("the leader gave up")
	}
	candidate := w.apart(leader)[0]
	g := candidate.group(1)
	if !g.standFor(old, term) {
		t.Fatal("does not stand")
	}
	candidate.awaitCampaign(term + 1)
	if !g.trans.resign(term+1) || g.State() != Follower || g.Term() != term+2 {
		t.Errorf("%v in term %d after term %d", g.State(), g.Term(), term+1)
	}
	if vote, err := g.stable.GetUint64([]byte(keyLastVoteTerm)); vote != term+1 || err != nil {
		t.Errorf("it voted in term %d, %v", vote, err)
	}
}

// TestStandsAFewTimes: a replica that nobody votes for does not go on for ever.
func TestStandsAFewTimes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3, patientRaft)
	defer w.dump()
	leader := w.form(1)
	old, term := leader.group(1).Leader()
	follower := w.others(leader)[0]
	eventually(t, "the leader is known", func() bool { now, _ := follower.group(1).Leader(); return now == old })
	alone := w.apart(leader)[0]
	g := alone.group(1)
	over := alone.campaign(old, term, 0)
	alone.awaitCampaign(term + 1)
	if g.standAgain() {
		t.Error("stands again while nobody has answered")
	}
	eventually(t, "the campaign ends", func() bool {
		g.trans.refused.Store(g.raft.CurrentTerm()) // as if the other had refused
		select {
		case <-over:
			return true
		default:
			return false
		}
	})
	if n := alone.noted("stood 1"); n != 1+standTries {
		t.Errorf("stood %d times, want %d", n, 1+standTries)
	}
}
