package group

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/internal/lsm"
)

func TestForgotten(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		files standing
		heard pledge
		want  string
	}{
		"nothing heard":            {standing{term: 3, vote: 3, index: 10}, pledge{}, ""},
		"all there":                {standing{term: 3, vote: 3, index: 10}, pledge{term: 3, index: 10, vote: 3}, ""},
		"more than heard":          {standing{term: 4, vote: 4, index: 12}, pledge{term: 3, index: 10, vote: 3}, ""},
		"cut by a later leader":    {standing{term: 4, vote: 3, index: 7}, pledge{term: 3, index: 10, vote: 3}, ""},
		"voted itself before that": {standing{term: 5, vote: 5, index: 10}, pledge{term: 5, index: 10, vote: 3}, ""},
		"entries":                  {standing{term: 3, vote: 3, index: 9}, pledge{term: 3, index: 10}, "entry 10 in term 3, its files end with entry 9"},
		"entries of a later term":  {standing{term: 2, vote: 2, index: 20}, pledge{term: 3, index: 10}, "entry 10 in term 3, its files end in term 2"},
		"a vote":                   {standing{term: 4, vote: 3, index: 10}, pledge{term: 3, index: 10, vote: 4}, "voted in term 4, its files know of no vote after term 3"},
		"everything":               {standing{}, pledge{term: 1, index: 1}, "entry 1 in term 1"},
	} {
		got := c.files.forgotten(c.heard)
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestEnoughVoters(t *testing.T) {
	t.Parallel()
	for n, want := range map[int][2]int{2: {1, 1}, 3: {2, 1}, 4: {2, 2}, 5: {3, 2}, 7: {4, 3}} {
		p := &probation{voters: make([]cluster.ServerID, n-1)}
		all, some := p.enough()
		if all != want[0] || some != want[1] {
			t.Errorf("%d voters: %d and %d, want %v", n, all, some, want)
		}
		quorum := n/2 + 1
		if others := n - 1; others-all >= quorum-1 {
			t.Errorf("%d voters: %d others without a word can make a quorum with this one", n, others-all)
		}
		if some+1 < quorum {
			t.Errorf("%d voters: %d with this one are no quorum", n, some)
		}
	}
}

func TestPledgesFile(t *testing.T) {
	t.Parallel()
	files := lsm.MemFS()
	p := &pledges{}
	if err := p.load(files, "/PLEDGES"); err != nil {
		t.Fatal(err)
	}
	p.note(3, "n2.2", pledge{term: 4, index: 5, vote: 6})
	p.note(3, "n2.2", pledge{term: 4, index: 4}) // late
	p.note(3, "n1.1", pledge{term: 9, index: 9}) // its own
	p.note(8, "n3.3", pledge{vote: 1})
	if err := p.store(files, "/PLEDGES", "n1"); err != nil {
		t.Fatal(err)
	}
	b, err := readFile(files, "/PLEDGES")
	if err != nil {
		t.Fatal(err)
	}
	const want = "464c504701" + "5257283b" + "0a0e0803" + "12046e322e32" + "180420052806" + "0a0a0808" + "12046e332e33" + "2801"
	if got := hex.EncodeToString(b); got != want {
		t.Errorf("the file is %s", got)
	}
	read := &pledges{}
	if err := read.load(files, "/PLEDGES"); err != nil {
		t.Fatal(err)
	}
	if got := read.get(3, "n2.2"); got != (pledge{4, 5, 6}) {
		t.Errorf("read %v", got)
	}
	if got := read.get(3, "n1.1"); got != (pledge{}) {
		t.Errorf("its own came back: %v", got)
	}
	read.prune(3, []Member{{"n9.9", Voter}})
	read.forget(8)
	if got := read.get(3, "n2.2"); got != (pledge{}) || len(read.groups()) != 1 {
		t.Errorf("what left is still known: %v, groups %v", got, read.groups())
	}
	for i := range b {
		bad := append([]byte(nil), b...)
		bad[i] ^= 1
		if _, err := decodePledges(bad); err == nil {
			t.Errorf("byte %d changed: no error", i)
		}
	}
}

// picture keeps a node's files as a snapshot of its machine would: what is synced now. The node is at rest.
func (nd *node) picture() (restore func()) {
	t := nd.w.t
	t.Helper()
	files := nd.fs.(*lsm.CrashFS).CrashClone(rand.New(rand.NewPCG(1, 2)), 0)
	votes := t.TempDir()
	copyDir(t, nd.stable, votes)
	return func() { nd.fs, nd.stable = files, votes }
}

func copyDir(t testing.TB, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, e.Name()), b, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// refused starts a node with the files of a picture, waits until its replica is fenced as an old one, which may be before it is
// open, and checks that it took no part.
func (nd *node) refused(restore func(), what string) {
	t := nd.w.t
	t.Helper()
	self := nd.group(1).Self()
	nd.stop()
	restore()
	nd.start()
	g, err := nd.host.Open(within(t), 1, ReplicaConfig{Create: true})
	if err == nil {
		eventually(t, "the old directory is refused", func() bool { return g.State() == Fenced })
		err = g.Stats().Fenced
	}
	if cluster.KindOf(err) != cluster.KindDamaged {
		t.Fatalf("refused as %v", err)
	}
	for _, text := range []string{"an old copy of the data directory came back", what, "flotilla groups recover"} {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%q does not say %q", err, text)
		}
	}
	if said := nd.host.pledges.get(1, self); said != (pledge{}) {
		t.Errorf("it promised %v", said)
	}
	t.Log(err)
}

// A follower, and then a leader, comes back with the files it had yesterday.
func TestDirectoryFromYesterdayIsDamaged(t *testing.T) {
	t.Parallel()
	for _, which := range []string{"follower", "leader"} {
		t.Run(which, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 3, nil)
			defer w.dump()
			leader := w.holding("1")
			old := leader
			if which == "follower" {
				old = w.others(leader)[0]
				old.awaitValue(1, "a", "1")
			}
			yesterday := old.picture()
			leader.mustPut(1, "a", "2")
			for _, nd := range w.others(leader) {
				nd.awaitValue(1, "a", "2")
			}
			old.refused(yesterday, "it acknowledged entry")
			w.leaderAmong(1, old).mustGet(1, space.ReadIndex, "a", "2")
		})
	}
}

// What one heard of a directory's acknowledgements, the other knows a second later: also without the only one that needed
// them, nothing is forgotten.
func TestOldDirectoryWithoutItsLeader(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3, nil)
	defer w.dump()
	leader := w.holding("1")
	old, witness := w.others(leader)[0], w.others(leader)[1]
	old.awaitValue(1, "a", "1")
	g := old.group(1)
	before := old.host.pledges.get(1, g.self)
	yesterday := old.picture()
	leader.mustPut(1, "a", "2")
	old.awaitValue(1, "a", "2")
	eventually(t, "the word of what it acknowledged", func() bool {
		said := old.host.pledges.get(1, g.self)
		return witness.host.pledges.get(1, g.self) == said && said.index > before.index
	})
	leader.stop()
	old.refused(yesterday, "by the word of "+string(witness.id))
}

// A replica that gave a vote and comes back from before it.
func TestForgottenVoteIsDamage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3, nil)
	defer w.dump()
	leader := w.form(1)
	leader.create(1)
	old := w.others(leader)[0]
	eventually(t, "it has what there is", func() bool {
		last := leader.group(1).Stats().Commit
		return old.group(1).Stats().Applied == last && leader.group(1).Stats().Commit == last
	})
	yesterday := old.picture()
	next := w.others(leader)[1].group(1).Self()
	g := old.group(1)
	before := old.host.pledges.get(1, g.self).vote
	if err := leader.group(1).Transfer(within(t), next); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a vote that the candidate heard of", func() bool {
		return w.others(leader)[1].host.pledges.get(1, g.self).vote > before
	})
	old.refused(yesterday, "it voted in term")
}

// All at once, as after a power cut, and with what they had heard of each other: none waits for another that waits.
func TestAllStartAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3, nil)
	defer w.dump()
	w.holding("1")
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	for _, nd := range w.nodes {
		nd.host.storePledges()
		nd.crash(rand.New(rand.NewPCG(seed, 1)))
	}
	var wg sync.WaitGroup
	for _, nd := range w.nodes {
		nd.start()
	}
	for _, nd := range w.nodes {
		wg.Go(func() { nd.open(1) })
	}
	wg.Wait()
	for _, nd := range w.nodes {
		if len(nd.host.pledges.groups()) != 1 {
			t.Errorf("%s has forgotten what it heard", nd.id)
		}
		eventually(t, fmt.Sprintf("%s takes part", nd.id), func() bool { return nd.noted("compared 1 with all") == 1 })
	}
	w.leader(1).mustGet(1, space.ReadLease, "a", "1")
	again := w.nodes[0]
	again.stop()
	again.start()
	again.open(1)
	eventually(t, "it takes part again", func() bool { return again.noted("compared 1 with all") == 2 })
	for _, nd := range w.nodes {
		nd.mu.Lock()
		t.Logf("%s compared for %v", nd.id, nd.compared) // the last is a restart beside nodes that run
		nd.mu.Unlock()
	}
}

// With one node gone for good another may be restarted: it waits a while for the word of all, and then goes on by the word
// of the one with whom it is a quorum.
func TestRestartWithOnePeerDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3, nil)
	defer w.dump()
	leader := w.form(1)
	leader.create(1)
	gone, again := w.others(leader)[0], w.others(leader)[1]
	gone.stop()
	leader.mustPut(1, "a", "1")
	again.stop()
	again.start()
	g := again.open(1)
	if len(g.Stats().Awaits) == 0 {
		t.Error("it takes part at once")
	}
	if err := g.probation.await(within(t), leader.id); cluster.KindOf(err) != cluster.KindUnavailable {
		t.Errorf("asked before it has compared: %v", err)
	}
	eventually(t, "the replica takes part", func() bool { return g.probation.ended() })
	w.leader(1).mustPut(1, "a", "2")
	if again.noted("compared 1 without "+string(gone.id)) != 1 {
		t.Error("it did not say that it goes on without a word of the other")
	}
	if took := time.Since(g.probation.began); took < probationGrace {
		t.Errorf("went on after %v", took)
	}
	if got := g.Stats().Awaits; len(got) > 0 {
		t.Errorf("still awaits %v", got)
	}
}

// A single node has nobody to ask, and a replica that was only just made has nothing to forget.
func TestNobodyToCompareWith(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil)
	defer w.dump()
	nd := w.form(1)
	nd.create(1)
	nd.mustPut(1, "a", "1")
	nd.stop()
	nd.start()
	if g := nd.open(1); len(g.Stats().Awaits) > 0 || g.Waiting() != 0 {
		t.Errorf("awaits %v, for %v", g.Stats().Awaits, g.Waiting())
	}
	if g := nd.open(2); g.Waiting() != 0 {
		t.Errorf("a replica that was only just made waits for %v", g.Waiting())
	}
	w.leader(1).mustGet(1, space.ReadLease, "a", "1")
}

// While a node is away its group moves to others: nobody is left who could say what its replica promised.
func TestGroupMovedOnMeanwhile(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3, nil)
	defer w.dump()
	leader := w.holding("1")
	away, second := w.others(leader)[0], w.others(leader)[1]
	away.awaitValue(1, "a", "1")
	self := away.group(1).Self()
	away.stop()
	next := w.addNode("n4")
	for _, nd := range []*node{next, w.addNode("n5")} {
		fresh := nd.open(1).Self()
		for _, step := range []func(context.Context, cluster.ServerID) error{leader.group(1).AddNonvoter, leader.group(1).Promote} {
			nd.await(step, fresh)
		}
	}
	next.awaitValue(1, "a", "1")
	if err := leader.group(1).Remove(within(t), second.group(1).Self()); err != nil {
		t.Fatal(err)
	}
	if err := leader.group(1).Transfer(within(t), next.group(1).Self()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the new node leads", func() bool { return next.group(1).State() == Leader })
	next.await(next.group(1).Remove, leader.group(1).Self())
	for _, nd := range []*node{leader, second} {
		if err := nd.host.Destroy(within(t), 1); err != nil {
			t.Fatal(err)
		}
	}
	away.start()
	g := away.open(1)
	eventually(t, "the replica gives up", func() bool { return g.State() == Fenced })
	if err := g.Stats().Fenced; !errors.Is(err, ErrOutlived) || cluster.KindOf(err) != cluster.KindDamaged {
		t.Errorf("fenced as %v", err)
	}
	if said := away.host.pledges.get(1, self); said != (pledge{}) {
		t.Errorf("it promised %v", said)
	}
	next.mustPut(1, "a", "2")
}

// Whether there is hope is a matter of how many are left.
func TestOutlived(t *testing.T) {
	voters := []cluster.ServerID{"n2.1", "n3.1", "n4.1", "n5.1"}
	for _, c := range []struct {
		heard, gone, members string
		want                 bool
	}{
		{"", "", "n2.1 n3.1 n4.1 n5.1", false},
		{"", "", "n2.1 n3.1", false},
		{"", "", "n2.1 n3.2", true},
		{"n3", "", "n2.1", false},
		{"n3", "n2", "n2.1", true},
		{"", "n2 n3", "n2.1 n3.1 n4.1 n5.1", false},
		{"", "n2 n3 n4", "n2.1 n3.1 n4.1 n5.1", true},
		{"n4", "n2 n3 n4", "n2.1 n3.1 n4.1 n5.1", false},
	} {
		p := &probation{voters: voters, heard: map[cluster.NodeID]bool{}, gone: map[cluster.NodeID]bool{}}
		for _, n := range strings.Fields(c.heard) {
			p.heard[cluster.NodeID(n)] = true
		}
		for _, n := range strings.Fields(c.gone) {
			p.gone[cluster.NodeID(n)] = true
		}
		there := func(s cluster.ServerID) bool { return strings.Contains(c.members, string(s)) }
		if got := p.outlived(there); got != c.want {
			t.Errorf("heard of %q, %q are gone, the map has %q: %v", c.heard, c.gone, c.members, got)
		}
		p.over = true
		if p.outlived(there) {
			t.Error("outlived after it took part")
		}
	}
}

// await repeats a change of members until it is made.
func (nd *node) await(step func(context.Context, cluster.ServerID) error, of cluster.ServerID) {
	nd.w.t.Helper()
	eventually(nd.w.t, "a change of members", func() bool { return step(within(nd.w.t), of) == nil })
}

// The files of before the group began come back: there is nobody in them to ask, so whoever speaks is asked.
func TestDirectoryFromBeforeTheGroup(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3, nil)
	defer w.dump()
	var voters []cluster.ServerID
	for _, nd := range w.nodes {
		voters = append(voters, nd.open(1).Self())
	}
	old := w.nodes[2]
	yesterday := old.picture()
	if err := w.nodes[0].host.Bootstrap(within(t), 1, voters); err != nil {
		t.Fatal(err)
	}
	leader := w.leader(1)
	leader.create(1)
	leader.mustPut(1, "a", "1")
	old.awaitValue(1, "a", "1")
	if leader == old {
		if err := leader.group(1).Transfer(within(t), w.nodes[0].group(1).Self()); err != nil {
			t.Fatal(err)
		}
	}
	old.refused(yesterday, "by the word of")
}

// A replica that its own host starts anew compares with what the process knows.
func TestStartedAnewByItsHost(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3, nil)
	defer w.dump()
	leader := w.form(1)
	leader.create(1)
	nd := w.others(leader)[0]
	w.others(leader)[1].stop()
	leader.mustPut(1, "a", "1")
	nd.awaitValue(1, "a", "1")
	if err := nd.host.CloseGroup(within(t), 1); err != nil {
		t.Fatal(err)
	}
	if g := nd.open(1); len(g.Stats().Awaits) > 0 {
		t.Error("asks others for what its own process knows")
	}
	w.leader(1).mustPut(1, "a", "2")
}
