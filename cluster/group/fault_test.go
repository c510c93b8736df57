package group

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/cluster/transport"
	"github.com/flotilla-mail/flotilla/internal/lsm"
	"github.com/hashicorp/raft"
)

// brief is a context for an attempt that is expected to fail.
func brief(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), d)
}

// A leader that is cut off must not answer from its past: not while it is alone, not when its replies arrive at last.
func TestDeposedLeaderReadsNothingStale(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3, func(c *Config) { c.Heartbeat = 5 * time.Second }) // raft's timers would take longer
	defer w.dump()
	old := w.form(1)
	old.create(1)
	old.mustPut(1, "a", "1")
	old.mustGet(1, space.ReadLease, "a", "1")
	began := time.Now()
	old.faults.Cut("", transport.Both)
	next := w.leaderAmong(1, old)
	next.mustPut(1, "a", "2")
	t.Logf("a write elsewhere %v after the cut", time.Since(began))
	if next.noted("stood 1") == 0 || next.noted(fmt.Sprintf("dead %s silent", old.id)) == 0 {
		t.Error("the silence of the leader was not judged by the survivors")
	}
	ctx, cancel := brief(300 * time.Millisecond)
	if v, err := old.get(ctx, 1, space.ReadLease, "a"); err == nil {
		t.Fatalf("the leader that is cut off answered %q", v)
	}
	cancel()
	old.faults.Clear("")
	eventually(t, "the old leader sees the new value", func() bool {
		ctx, cancel := brief(100 * time.Millisecond)
		defer cancel()
		for _, mode := range []space.ReadMode{space.ReadLease, space.ReadIndex} {
			v, err := old.get(ctx, 1, mode, "a")
			if err == nil && v != "2" {
				t.Fatalf("mode %d: a deposed leader answered %q", mode, v)
			}
			if err == nil {
				return true
			}
		}
		return false
	})
}

// What a cut-off leader had in its log and nobody else is gone, and says so only as "unknown".
func TestLateEntryOfADeposedLeaderIsVoid(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3, nil)
	defer w.dump()
	old := w.form(1)
	old.create(1)
	old.mustPut(1, "a", "1")
	old.faults.Cut("", transport.Both)
	ctx, cancel := brief(patience)
	defer cancel()
	lost := make(chan error, 1)
	go func() { lost <- old.put(ctx, 1, "a", "lost") }()
	next := w.leaderAmong(1, old)
	next.mustPut(1, "b", "2")
	if kind := cluster.KindOf(<-lost); kind != cluster.KindUnknownOutcome {
		t.Errorf("the write of the cut-off leader ended with kind %d", kind)
	}
	old.faults.Clear("")
	eventually(t, "the old leader follows", func() bool {
		ctx, cancel := brief(time.Second)
		defer cancel()
		v, err := old.get(ctx, 1, space.ReadIndex, "b")
		return err == nil && v == "2"
	})
	next = w.leader(1)
	next.mustGet(1, space.ReadLease, "a", "1")
	// An entry evaluated in an earlier term and committed in a later one does nothing (CLUSTER 1.3).
	g := next.group(1)
	part := captured(t, next)
	outcome, err := g.queue.propose(within(t), 1, part)
	if err != nil || outcome != space.VoidTerm {
		t.Errorf("a part of an earlier term: outcome %d, %v", outcome, err)
	}
	next.mustGet(1, space.ReadLease, "a", "1")
}

// captured is the part of an update that would write "late" to key "a".
func captured(t *testing.T, nd *node) []byte {
	t.Helper()
	c := &capture{Replicator: nd.group(1)}
	r := space.New(nd.group(1).machine, c, space.Config{})
	defer r.Close()
	_, err := r.Update(within(t), spaceOf(1), cluster.RequestID{}, func(w space.Writer) ([]byte, error) {
		w.Set([]byte("a"), []byte("late"))
		return nil, nil
	})
	if err == nil || c.part == nil {
		t.Fatalf("no part was captured: %v", err)
	}
	return c.part
}

type capture struct {
	space.Replicator
	part []byte
}

func (c *capture) Propose(_ context.Context, _ uint64, part []byte) (space.Outcome, error) {
	c.part = append([]byte(nil), part...)
	return 0, cluster.ErrUnavailable
}

func TestClockJumpDropsTheLease(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3, nil)
	defer w.dump()
	leader := w.form(1)
	leader.create(1)
	leader.mustGet(1, space.ReadLease, "a", "")
	g := leader.group(1)
	term, _ := g.lead.term()
	leader.clock.step(150 * time.Millisecond)
	if g.lead.holds(term) || leader.noted("clock jumped") != 1 {
		t.Error("the lease survived a jump of the clock")
	}
	leader.mustGet(1, space.ReadLease, "a", "")
}

func TestStrictReads(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3, func(c *Config) { c.StrictReads = true })
	defer w.dump()
	leader := w.holding("1")
	leader.mustGet(1, space.ReadLease, "a", "1")
	follower := w.others(leader)[0]
	if _, err := follower.get(within(t), 1, space.ReadLease, "a"); cluster.KindOf(err) != cluster.KindNotLeader {
		t.Errorf("a follower's answer to a strict read: %v", err)
	}
	leader.faults.Cut("", transport.Both)
	ctx, cancel := brief(200 * time.Millisecond)
	defer cancel()
	if _, err := leader.get(ctx, 1, space.ReadLease, "a"); err == nil {
		t.Error("a strict read was answered without a quorum")
	}
}

func TestPlannedHandOverSkipsTheWait(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3, nil)
	defer w.dump()
	leader := w.holding("1")
	if leader.noted("leader of 1 planned=true") != 0 {
		t.Fatal("the first leader did not wait")
	}
	term := leader.group(1).Term()
	target := w.others(leader)[0]
	began := time.Now()
	if err := leader.group(1).Transfer(within(t), target.group(1).Self()); err != nil {
		t.Fatal(err)
	}
	target.mustPut(1, "a", "2")
	t.Logf("a write at the successor %v after the hand-over began", time.Since(began))
	if target.noted("leader of 1 planned=true") != 1 || target.group(1).Term() != term+1 {
		t.Errorf("the successor leads in term %d and waited", target.group(1).Term())
	}
	leader.group(1).lead.mu.Lock()
	if leader.group(1).lead.lease.holds(leader.group(1).voters(), leader.clock.Mono()) {
		t.Error("the predecessor holds a lease")
	}
	leader.group(1).lead.mu.Unlock()
	// A leader that still waits itself gives no such word: the lease before it may not have ended.
	g := target.group(1)
	g.lead.mu.Lock()
	g.lead.now.quiet = target.clock.Mono() + time.Hour
	g.lead.mu.Unlock()
	if err := g.Transfer(within(t), leader.group(1).Self()); err != nil {
		t.Fatal(err)
	}
	w.leaderAmong(1, target).mustPut(1, "a", "3")
	if leader.noted("leader of 1 planned=true") != 0 {
		t.Error("the successor of a leader that waited did not wait")
	}
}

// A hand-over that fails leaves a leader without a lease, and with reads that ask.
func TestFailedHandOverEndsTheLease(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3, nil)
	defer w.dump()
	leader := w.holding("1")
	g, target := leader.group(1), w.others(leader)[0]
	term, _ := g.lead.term()
	if err := g.promise(within(t), target.group(1).Self(), term); err != nil {
		t.Fatal(err)
	}
	if leader.mustGet(1, space.ReadLease, "a", "1"); g.lead.holds(term) {
		t.Error("a lease in the term in which it was given up")
	}
	leader.mustPut(1, "a", "2")
	leader.mustGet(1, space.ReadLease, "a", "2")
}

// A successor that is not heard is refused before anything is held up for it.
func TestNoHandOverToASilentSuccessor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3, nil)
	defer w.dump()
	leader := w.form(1)
	leader.create(1)
	target := w.others(leader)[0]
	target.faults.Cut("", transport.Both)
	eventually(t, "silence is noticed", func() bool {
		return cluster.KindOf(leader.group(1).canTakeOver(target.group(1).Self())) == cluster.KindUnavailable
	})
	term := leader.group(1).Term()
	if err := leader.group(1).Transfer(within(t), target.group(1).Self()); cluster.KindOf(err) != cluster.KindUnavailable {
		t.Fatalf("hand-over to a node that is cut off: %v", err)
	}
	leader.mustPut(1, "a", "1")
	if leader.group(1).Term() != term {
		t.Error("the leader gave up its term")
	}
}

// A successor that falls silent while the group waits for it is given up, at whatever point that is, and the leader leads on in
// its term.
func TestSuccessorFallsSilent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3, nil)
	defer w.dump()
	leader := w.holding("1")
	g, target := leader.group(1), w.others(leader)[0]
	term, _ := g.lead.term()
	to := target.group(1).Self()
	target.faults.Cut("", transport.Both)
	leader.mustPut(1, "a", "2") // which the successor lacks
	for what, err := range map[string]error{"the promise": g.promise(within(t), to, term), "the take-over": g.handTo(within(t), to, term)} {
		if cluster.KindOf(err) != cluster.KindUnavailable {
			t.Errorf("%s, without a successor: %v", what, err)
		}
	}
	leader.mustPut(1, "a", "3")
	leader.mustGet(1, space.ReadLease, "a", "3")
	if g.Term() != term {
		t.Error("the leader gave up its term")
	}
}

func TestUpdatesSurviveHandOvers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3, nil)
	defer w.dump()
	w.form(1).create(1)
	ctx, cancel := context.WithCancel(within(t))
	var wg sync.WaitGroup
	for c := range 4 {
		wg.Go(func() { count(t, ctx, w, c) })
	}
	for range 4 {
		leader := w.leader(1)
		leader.mustPut(1, "x", "y")
		if err := leader.group(1).Transfer(within(t), ""); err != nil {
			t.Error(err)
		}
	}
	cancel()
	wg.Wait()
}

// A read behind a read index meets a change of leader as a pause, on every replica and without anybody asking again.
func TestReadIndexOutlivesHandOversAndAKill(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3, nil)
	defer w.dump()
	leader := w.holding("1")
	ctx, cancel := context.WithCancel(within(t))
	reader := w.others(leader)[0]
	var reads int
	done := make(chan error, 1)
	go func() {
		for ctx.Err() == nil {
			if v, err := reader.get(ctx, 1, space.ReadIndex, "a"); ctx.Err() == nil && (err != nil || v != "1") {
				done <- fmt.Errorf("read %d: %q, %w", reads, v, err)
				return
			}
			reads++
		}
		done <- nil
	}()
	for range 4 {
		if err := w.leader(1).group(1).Transfer(within(t), ""); err != nil {
			t.Error(err)
		}
	}
	if w.leader(1) == reader {
		if err := reader.group(1).Transfer(within(t), ""); err != nil {
			t.Error(err)
		}
	}
	killed := w.leaderAmong(1, reader)
	killed.stop()
	w.leaderAmong(1, killed)
	cancel()
	if err := <-done; err != nil || reads == 0 {
		t.Errorf("%d reads, then %v", reads, err)
	}
}

// count writes 1, 2, 3 … under a key of its own wherever the leader is, retrying by request id, and checks at the end
// that each was written once.
func count(t *testing.T, ctx context.Context, w *world, client int) {
	key := fmt.Appendf(nil, "count-%d", client)
	done := 0
	for n := 1; ctx.Err() == nil; n++ {
		id := cluster.RequestID{ID: [16]byte{byte(client + 1), byte(n), byte(n >> 8)}, Drawn: time.Now()}
		if !increment(ctx, w, key, id) {
			break
		}
		done = n
	}
	got, err := w.leader(1).get(within(t), 1, space.ReadLease, string(key))
	if err != nil || got != fmt.Sprint(done) && got != fmt.Sprint(done+1) {
		t.Errorf("client %d: %q after %d acknowledged, %v", client, got, done, err)
	}
}

func increment(ctx context.Context, w *world, key []byte, id cluster.RequestID) bool {
	for ctx.Err() == nil {
		for _, nd := range w.nodes {
			_, err := nd.group(1).Replica().Update(ctx, spaceOf(1), id, func(w space.Writer) ([]byte, error) {
				b, err := w.Get(key)
				var n int
				fmt.Sscan(string(b), &n) //nolint:errcheck // absent is zero
				w.Set(key, fmt.Append(nil, n+1))
				return nil, err
			})
			if err == nil {
				return true
			}
		}
	}
	return false
}

func TestTransferAll(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3, nil)
	defer w.dump()
	for id := range cluster.GroupID(6) {
		w.form(id)
	}
	drained := w.nodes[0]
	wanted := func(_ cluster.GroupID, voters []cluster.ServerID) []cluster.ServerID {
		slices.Sort(voters)
		slices.Reverse(voters)
		return voters
	}
	for _, x := range drained.host.TransferAll(within(t), wanted) {
		if x.Err != nil || x.Took <= 0 {
			t.Errorf("%+v", x)
			continue
		}
		if to := w.leader(x.Group); to.group(x.Group).Self() != wanted(0, drained.group(x.Group).voters())[0] {
			t.Errorf("group %d went to %s", x.Group, to.group(x.Group).Self())
		}
	}
	for _, g := range drained.host.Groups() {
		if g.State() == Leader {
			t.Errorf("group %d is still led here", g.ID())
		}
		w.leader(g.ID())
	}
}

// Both survivors may stand at once; one of them leads in the end, and nothing is lost.
func TestBothSurvivorsStandAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3, nil)
	defer w.dump()
	leader := w.holding("1")
	for _, nd := range w.others(leader) {
		if !nd.group(1).trans.stand() {
			t.Fatal("did not stand")
		}
	}
	leader.stop()
	next := w.leader(1)
	next.mustGet(1, space.ReadLease, "a", "1")
	next.mustPut(1, "a", "2")
}

func TestSnapshotInstall(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3, tinyLog)
	defer w.dump()
	leader := w.holding("1")
	away := w.others(leader)[0]
	away.stop()
	leader = w.leaderAmong(1, away)
	for i := range 50 {
		leader.mustPut(1, fmt.Sprintf("key-%d", i), strings.Repeat("x", 3000)) // large enough to be kept apart
	}
	leader.truncate(1)
	away.start()
	away.open(1)
	away.awaitValue(1, "key-49", strings.Repeat("x", 3000))
	eventually(t, "the snapshot is reported", func() bool { return away.noted("snapshot 1") == 1 })
	leader.mustPut(1, "after", "1") // an entry right behind the snapshot, into an emptied log
	away.awaitValue(1, "after", "1")
	away.mustGet(1, space.ReadLocal, "a", "1")
	if names, err := away.fs.List(away.dir("groups/g1")); err != nil || len(names) != 3 {
		t.Errorf("the replica's directory holds %v, %v", names, err)
	}
	// It starts from what it received, crash or not.
	away.crash(rand.New(rand.NewPCG(1, 2)))
	away.start()
	away.open(1)
	away.awaitValue(1, "after", "1")
	if away.noted("snapshot 1") != 1 {
		t.Error("another snapshot was needed after a crash")
	}
}

func tinyLog(c *Config) { c.LogBytes, c.LogKeepBytes = 1, 1 }

// truncate cuts a node's log as far as it may be.
func (nd *node) truncate(id cluster.GroupID) {
	nd.w.t.Helper()
	if err := nd.group(id).truncate(time.Now()); err != nil {
		nd.w.t.Fatal(err)
	}
}

func (nd *node) awaitValue(id cluster.GroupID, key, want string) {
	nd.w.t.Helper()
	eventually(nd.w.t, fmt.Sprintf("%s reads %s", nd.id, key), func() bool {
		ctx, cancel := brief(time.Second)
		defer cancel()
		g := nd.group(id)
		if g == nil {
			return false
		}
		v, err := nd.get(ctx, id, space.ReadIndex, key)
		return err == nil && v == want
	})
}

// stateFiles does something to the files of a state whose name begins with text.
func (nd *node) stateFiles(text string, do func(path string) error) error {
	dir := nd.dir("groups/g1/state-000000000001")
	names, err := nd.fs.List(dir)
	found := false
	for _, name := range names {
		if strings.HasPrefix(name, text) {
			found = true
			err = errors.Join(err, do(dir+"/"+name))
		}
	}
	if !found {
		err = errors.Join(err, fmt.Errorf("%s holds no %s…", dir, text))
	}
	return err
}

func TestDamagedReplicaDoesNotStart(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(nd *node) error{
		"log gone":   func(nd *node) error { return nd.fs.RemoveAll(nd.dir("log")) },
		"votes gone": func(nd *node) error { return os.RemoveAll(nd.stable) },
		"one vote file gone": func(nd *node) error {
			return os.Remove(filepath.Join(nd.stable, "stable-1.bolt"))
		},
		"state gone, log truncated":  func(nd *node) error { return nd.fs.RemoveAll(nd.dir("groups/g1/state-000000000001")) },
		"state without its manifest": func(nd *node) error { return nd.stateFiles("MANIFEST", nd.fs.Remove) },
		"state garbled": func(nd *node) error {
			return nd.stateFiles("00", func(path string) error {
				return lsm.WriteFile(nd.fs, path, bytes.Repeat([]byte("garbage "), 1<<10))
			})
		},
		"tail of the log": func(nd *node) error {
			dir := nd.dir("log/pebble")
			names, err := nd.fs.List(dir)
			newest := ""
			for _, name := range names {
				if strings.HasSuffix(name, ".log") && name > newest {
					newest = name
				}
			}
			if err != nil {
				return err
			}
			b, err := readFile(nd.fs, dir+"/"+newest)
			if err != nil || len(b) < 64 {
				return fmt.Errorf("%s of %d bytes: %w", newest, len(b), err)
			}
			for i := range 16 { // where the last entry is
				b[len(b)-40+i] ^= 0x55
			}
			return lsm.WriteFile(nd.fs, dir+"/"+newest, b)
		},
		"pointer gone":  func(nd *node) error { return nd.fs.Remove(nd.dir("groups/g1/ACTIVE")) },
		"other replica": func(nd *node) error { return nd.fs.Rename(nd.dir("groups/g1"), nd.dir("groups/g9")) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1, tinyLog)
			nd := w.form(1)
			nd.create(1)
			nd.mustPut(1, "a", "1")
			if strings.HasSuffix(name, "truncated") {
				nd.truncate(1)
			}
			id := cluster.GroupID(1)
			if name == "other replica" {
				id = 9
			}
			nd.stop()
			if err := damage(nd); err != nil {
				t.Fatal(err)
			}
			nd.start()
			_, err := nd.host.Open(within(t), id, ReplicaConfig{Create: true})
			if cluster.KindOf(err) != cluster.KindDamaged {
				t.Fatalf("opened: %v", err)
			}
			if nd.group(id) != nil {
				t.Error("a damaged replica runs")
			}
			if name == "tail of the log" && !strings.Contains(err.Error(), "log lost its end") {
				t.Errorf("the cause is not named: %v", err)
			}
			t.Log(err)
		})
	}
}

func TestDamagedReplicaRejoinsAsAnother(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3, nil)
	defer w.dump()
	leader := w.holding("1")
	lost := w.others(leader)[0]
	before := lost.group(1).Self()
	if err := lost.host.Destroy(within(t), 1); err != nil {
		t.Fatal(err)
	}
	if _, err := lost.host.Open(within(t), 1, ReplicaConfig{}); cluster.KindOf(err) != cluster.KindUnavailable || !errors.Is(err, ErrNoReplica) {
		t.Fatalf("a replica that was destroyed: %v", err)
	}
	eventually(t, "silence of the lost replica alone", func() bool {
		gone, _ := leader.group(1).Silence(before)
		there, leads := leader.group(1).Silence(w.others(leader)[1].group(1).Self())
		return leads && gone > 2*time.Second && there < time.Second
	})
	if _, leads := w.others(leader)[1].group(1).Silence(before); leads {
		t.Error("a follower judges silence")
	}
	after := lost.open(1).Self()
	if after == before || after.Node() != lost.id {
		t.Fatalf("the new replica is %s, the old was %s", after, before)
	}
	g := leader.group(1)
	if id, err := leader.host.Identity(within(t), lost.id, 1); err != nil || id != after {
		t.Fatalf("identity %q, %v", id, err)
	}
	for _, step := range []func(context.Context, cluster.ServerID) error{g.AddNonvoter} {
		if err := step(within(t), after); err != nil {
			t.Fatal(err)
		}
	}
	lost.awaitValue(1, "a", "1")
	eventually(t, "answers of a learner", func() bool {
		silent, leads := g.Silence(after)
		return leads && silent < time.Second
	})
	if err := g.Remove(within(t), before); err != nil {
		t.Fatal(err)
	}
	if err := g.Promote(within(t), after); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{g.Remove(within(t), g.Self()), g.Demote(within(t), g.Self()), g.Promote(within(t), before),
		lost.group(1).AddNonvoter(within(t), before), g.AddNonvoter(within(t), "x y")} {
		if err == nil {
			t.Error("a change that must be refused was made")
		}
	}
	if got := suffrageOf(g.Members(), after); got != Voter || len(g.Members()) != 3 {
		t.Errorf("members are %v", g.Members())
	}
	// With the new voter there is a quorum without the third node.
	w.others(leader)[1].stop()
	w.leader(1).mustPut(1, "a", "2")
}

// After a power cut of all three everything acknowledged is there; after an orderly stop nothing is applied again.
func TestRestart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3, nil)
	defer w.dump()
	leader := w.form(1)
	leader.create(1)
	rng := rand.New(rand.NewPCG(3, 4))
	for round := range 2 {
		leader = w.leader(1)
		for i := range 30 {
			leader.mustPut(1, fmt.Sprintf("key-%d-%d", round, i), fmt.Sprint(round))
			if i == 15 && round == 1 {
				if err := leader.group(1).machine.Flush(); err != nil {
					t.Fatal(err)
				}
			}
		}
		var wg sync.WaitGroup
		for _, nd := range w.nodes {
			wg.Go(func() { nd.crash(rng) })
			wg.Wait()
		}
		for _, nd := range w.nodes {
			nd.start()
			nd.open(1)
		}
	}
	leader = w.leader(1)
	for round := range 2 {
		for i := range 30 {
			leader.mustGet(1, space.ReadLease, fmt.Sprintf("key-%d-%d", round, i), fmt.Sprint(round))
		}
	}
	follower := w.others(leader)[0]
	follower.awaitValue(1, "key-1-29", "1")
	applied := follower.group(1).machine.Applied().Index
	follower.stop()
	follower.start()
	g := follower.open(1)
	if d := g.machine.DurableApplied(); d < applied {
		t.Errorf("an orderly stop at %d left %d", applied, d)
	}
	follower.awaitValue(1, "key-1-29", "1")
}

// A replica that meets an entry it does not know stops; it never skips.
func TestUnknownEntryFencesTheGroup(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3, nil)
	defer w.dump()
	leader := w.form(1)
	other := w.form(2)
	leader.create(1)
	other.create(2)
	f := leader.group(1).raft.Apply([]byte{99, 1, 2, 3}, 0)
	if err := f.Error(); err == nil {
		if _, failed := f.Response().(error); !failed {
			t.Errorf("answered %v", f.Response())
		}
	}
	// The next leader commits it, and stops too; the third alone has no quorum to learn that it is committed.
	eventually(t, "two replicas have stopped", func() bool {
		stopped := 0
		for _, nd := range w.nodes {
			nd.mu.Lock()
			if nd.fenced[1] != nil && nd.group(1).raft.State() == raft.Shutdown {
				stopped++
			}
			nd.mu.Unlock()
		}
		return stopped >= 2
	})
	if s := leader.group(1).Stats(); s.State != Fenced || s.State.String() != "fenced" || s.Fenced == nil {
		t.Errorf("a fenced replica says of itself: %+v", s)
	}
	if err := leader.put(within(t), 1, "a", "1"); err == nil {
		t.Error("a fenced group took a write")
	}
	if _, err := leader.get(within(t), 1, space.ReadLocal, "a"); cluster.KindOf(err) != cluster.KindUnavailable {
		t.Errorf("a fenced replica answered: %v", err)
	}
	w.leader(2).mustPut(2, "a", "1")
}

func TestBootstrapOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil)
	nd := w.form(1)
	self := nd.group(1).Self()
	if err := nd.host.Bootstrap(within(t), 1, []cluster.ServerID{self}); cluster.KindOf(err) != cluster.KindExists {
		t.Errorf("a second bootstrap: %v", err)
	}
	if _, err := nd.host.Open(within(t), 1, ReplicaConfig{}); cluster.KindOf(err) != cluster.KindExists {
		t.Errorf("a second open: %v", err)
	}
	if err := nd.host.Bootstrap(within(t), 7, []cluster.ServerID{self}); cluster.KindOf(err) != cluster.KindUnavailable {
		t.Errorf("bootstrap of a group that is not open: %v", err)
	}
	nd.open(3)
	if err := nd.host.Bootstrap(within(t), 3, []cluster.ServerID{"n9.0000000000000001"}); cluster.KindOf(err) != cluster.KindBadRequest {
		t.Errorf("bootstrap without oneself: %v", err)
	}
	if s := nd.group(3).Stats(); s.State != Follower || s.Term != 0 || s.Leader != "" {
		t.Errorf("an empty replica: %+v", s)
	}
	nd.create(1)
	nd.mustPut(1, "a", "1") // one voter is a quorum
	nd.mustGet(1, space.ReadIndex, "a", "1")
}

// Under load operations share entries.
func TestConcurrentUpdatesShareEntries(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3, nil)
	defer w.dump()
	leader := w.form(1)
	const clients, each = 32, 20
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			id := cluster.SpaceID{3, byte(c)}
			r := leader.group(1).Replica()
			if _, err := r.Create(within(t), id, 1, cluster.RequestID{}, func(space.Writer) ([]byte, error) { return nil, nil }); err != nil {
				t.Error(err)
			}
			for i := range each {
				_, err := r.Update(within(t), id, cluster.RequestID{}, func(w space.Writer) ([]byte, error) {
					w.Set([]byte("k"), fmt.Append(nil, i))
					return nil, nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	s := leader.group(1).Stats()
	t.Logf("%d parts in %d entries", s.Parts, s.Entries)
	if s.Parts != clients*(each+1) || s.Entries*2 > s.Parts {
		t.Errorf("%d parts in %d entries", s.Parts, s.Entries)
	}
}

// raft's own way of taking a snapshot is not used, and must not truncate anything either.
func TestRaftSnapshotFlushes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil)
	nd := w.form(1)
	nd.create(1)
	nd.mustPut(1, "a", "1")
	g := nd.group(1)
	if err := g.raft.Snapshot().Error(); err != nil {
		t.Fatal(err)
	}
	if g.machine.DurableApplied() != g.machine.Applied().Index {
		t.Error("the state is not durable")
	}
	if first, err := g.log.FirstIndex(); first != 1 || err != nil {
		t.Errorf("the log begins at %d, %v", first, err)
	}
	if g.raft.State() != raft.Leader {
		t.Error("leads no more")
	}
}

// TestBereft: with a node goes the leader of those who follow it, and what those wait for who follow nobody, if it votes.
func TestBereft(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3, nil)
	defer w.dump()
	leader := w.form(1)
	g, other := leader.group(1), w.others(leader)[0].group(1).self
	for _, c := range []struct {
		leader cluster.ServerID
		node   cluster.NodeID
		want   bool
	}{
		{other, other.Node(), true}, {other, g.self.Node(), false}, {other, "elsewhere", false},
		{"", other.Node(), true}, {"", "elsewhere", false},
	} {
		if got := g.bereft(c.leader, c.node); got != c.want {
			t.Errorf("leader %q without %s: %v", c.leader, c.node, got)
		}
	}
}
