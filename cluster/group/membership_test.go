package group

import (
	"context"
	"testing"

	"github.com/flotilla-mail/flotilla/cluster/transport"
)

// A replica may be asked to lead while its vote is being taken: the others have not heard of that yet, and elect it. It
// commits the change, cannot lead any more, and follows on.
func TestLeaderThatLosesItsVoteFollows(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 4, nil)
	defer w.dump()
	old := w.holding("1")
	rest := w.others(old)
	asked := rest[0]
	for _, nd := range rest[1:] {
		old.faults.Cut(nd.id, transport.Both)
	}
	ctx, cancel := context.WithCancel(within(t))
	demoted := make(chan error, 1)
	go func() { demoted <- old.group(1).Demote(ctx, asked.group(1).Self()) }()
	eventually(t, "the vote is being taken", func() bool {
		return suffrageOf(asked.group(1).Members(), asked.group(1).Self()) == Nonvoter
	})
	if !asked.group(1).trans.stand() {
		t.Fatal("does not stand")
	}
	eventually(t, "it leads", func() bool { return asked.noted("leader of 1 planned=false") > 0 })
	eventually(t, "it leads no more", func() bool { return asked.noted("lost 1") > 0 })
	cancel()
	<-demoted // known or not
	old.faults.Clear("")
	next := w.leaderAmong(1, asked)
	next.mustPut(1, "a", "2")
	asked.awaitValue(1, "a", "2")
	if s := asked.group(1).State(); s != Follower {
		t.Errorf("it is %s", s)
	}
	for _, nd := range []*node{next, asked} {
		if suffrageOf(nd.group(1).Members(), asked.group(1).Self()) != Nonvoter {
			t.Errorf("%s does not know of it", nd.id)
		}
	}
}
