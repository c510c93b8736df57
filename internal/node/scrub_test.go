package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/group"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/internal/testkit"
	"github.com/flotilla-mail/flotilla/placement"
)

// sums are what replicas found, one letter each: a sum, "!" for damage, "-" for no word, "?" for one that passed the entry
// without hashing, "." for one that still reads. A small letter has no vote.
func sums(text string) ([]group.Member, map[cluster.ServerID]*scrubFound) {
	var members []group.Member
	found := map[cluster.ServerID]*scrubFound{}
	for i, c := range text {
		m := group.Member{ID: cluster.ServerID(fmt.Sprintf("n%d", i+1)), Suffrage: group.Voter}
		f := &scrubFound{Server: m.ID, Index: 9, Applied: 9, Done: true, Sum: []byte(strings.ToUpper(string(c)))}
		switch {
		case c == '!':
			f.Sum, f.Err, f.Damaged = nil, "garbled", true
		case c == '?':
			f.Index = 0
		case c == '.':
			f.Done = false
		case c >= 'a':
			m.Suffrage = group.Nonvoter
		}
		members = append(members, m)
		if c != '-' {
			found[m.ID] = f
		}
	}
	return members, found
}

func TestOnlyAMajorityTellsOthersDamaged(t *testing.T) {
	for _, tt := range []struct{ sums, state, odd string }{
		{"AAA", scrubAgree, ""}, {"A", scrubAgree, ""}, {"AAAaa", scrubAgree, ""},
		{"AAB", scrubRepaired, "n3"}, {"A!A", scrubRepaired, "n2"}, {"AAABC", scrubRepaired, "n4 n5"}, {"AAAab", scrubRepaired, "n5"},
		{"AA!!", scrubDiffer, ""}, {"A!-", scrubDiffer, ""}, {"ABC", scrubDiffer, ""}, {"!!!", scrubDiffer, ""}, {"AB", scrubDiffer, ""},
		{"A!", scrubDiffer, ""}, {"Aab", scrubRepaired, "n3"}, {"AB-", scrubDiffer, ""},
		{"AA-", scrubIncomplete, ""}, {"A--", scrubIncomplete, ""}, {"AA?", scrubIncomplete, ""}, {"AA.", scrubIncomplete, ""},
		{"---", scrubIncomplete, ""}, {"AAB-", scrubDiffer, ""}, {"AAAB-", scrubRepaired, "n4"},
	} {
		members, found := sums(tt.sums)
		j := judge(3, 9, members, found)
		if got := strings.Trim(fmt.Sprint(j.odd), "[]"); j.state != tt.state || got != tt.odd {
			t.Errorf("%s: %s, given up %q; want %s, %q", tt.sums, j.state, got, tt.state, tt.odd)
		}
		if j.state == scrubDiffer && !strings.Contains(j.text, "flotilla groups rebuild 3 NODE") {
			t.Errorf("%s: %q names no command", tt.sums, j.text)
		}
	}
}

func TestWhoseWordIsWaitedFor(t *testing.T) {
	for _, tt := range []struct {
		found scrubFound
		want  bool
	}{
		{scrubFound{}, false}, {scrubFound{Applied: 8}, false}, {scrubFound{Applied: 9, Index: 9}, false},
		{scrubFound{Applied: 9, Index: 9, Done: true}, true}, {scrubFound{Applied: 12}, true}, {scrubFound{Applied: 12, Index: 11}, true},
	} {
		if got := tt.found.settled(9); got != tt.want {
			t.Errorf("%+v: settled %v", tt.found, got)
		}
	}
}

func TestScrubsAreSpread(t *testing.T) {
	every := 7 * 24 * time.Hour
	begin := time.Unix(1_700_000_000, 0)
	days := map[int]int{}
	for id := cluster.GroupID(0); id < 64; id++ {
		at := begin
		for scrubSlot(id, at, every) == scrubSlot(id, begin, every) {
			at = at.Add(time.Hour)
		}
		if at.Sub(begin) > every {
			t.Errorf("group %d waits for %v", id, at.Sub(begin))
		}
		days[int(at.Sub(begin)/(24*time.Hour))]++
	}
	for day, n := range days {
		if day < 7 && (n < 4 || n > 16) {
			t.Errorf("day %d: %d of 64 groups", day, n)
		}
	}
}

func TestRebuildKeepsAMajority(t *testing.T) {
	g := &placement.Group{ID: 2}
	for _, node := range []string{"n1", "n2", "n3"} {
		g.Replicas = append(g.Replicas, placement.Replica{Server: cluster.NewServerID(cluster.NodeID(node), 1),
			Suffrage: placement.Voter, State: placement.Created})
	}
	status := func(up ...string) (all []Status) {
		for i := range g.Replicas {
			node := g.Replicas[i].Server.Node()
			s := Status{Node: node, Groups: []GroupStatus{{Group: 2, Server: g.Replicas[i].Server, State: "follower", CaughtUp: true}}}
			if !slices.Contains(up, string(node)) {
				s.Err = "does not answer"
			}
			all = append(all, s)
		}
		return all
	}
	if err := mayRebuild(g, "n2", status("n1", "n2", "n3")); err != nil {
		t.Error(err)
	}
	if err := mayRebuild(g, "n2", status("n1", "n3")); err != nil {
		t.Error(err)
	}
	if err := mayRebuild(g, "n2", status("n1", "n2")); cluster.KindOf(err) != cluster.KindUnsafe {
		t.Errorf("the last two: %v", err)
	}
	behind := status("n1", "n2", "n3")
	behind[2].Groups[0].CaughtUp = false
	if err := mayRebuild(g, "n2", behind); cluster.KindOf(err) != cluster.KindUnsafe {
		t.Errorf("with one behind: %v", err)
	}
}

// spoilTables flips a byte in the middle of each table of a replica's state.
func spoilTables(n *Node, id cluster.GroupID) error {
	if err := n.storage.host.Group(id).Replica().Machine().Flush(); err != nil {
		return err
	}
	tables, err := filepath.Glob(n.cfg.path("groups", fmt.Sprintf("g%d", id), "state-*", "*.sst"))
	if err == nil && len(tables) == 0 {
		err = fmt.Errorf("group %d has no table", id)
	}
	for _, path := range tables {
		b, rerr := os.ReadFile(path)
		if rerr != nil {
			return rerr
		}
		b[len(b)/3] ^= 1
		if err := os.WriteFile(path, b, 0o600); err != nil {
			return err
		}
	}
	return err
}

// skipWrite lets a replica take the entry of a write for applied: it lacks then what the entry does, and no checksum tells.
// Another entry may come before the write: then it is tried again.
func skipWrite(t *testing.T, all map[cluster.NodeID]*Node, n *Node, id cluster.GroupID) {
	t.Helper()
	r := n.storage.host.Group(id).Replica()
	for i := 0; ; i++ {
		at := r.Machine().Applied()
		if _, err := r.Machine().Apply([]space.LogEntry{{Index: at.Index + 1, Term: at.Term}}); err != nil {
			t.Fatal(err)
		}
		value := fmt.Sprintf("skipped %d", i)
		writeTo(t, all, id, value)
		leader, _ := pair(t, all, id)
		if err := r.Machine().WaitApplied(t.Context(), leader.storage.host.Group(id).Replica().Machine().Applied().Index); err != nil {
			t.Fatal(err)
		}
		var has []byte
		err := r.View(t.Context(), cluster.SpaceID{1, byte(id)}, space.ReadLocal, func(r space.Reader) (err error) {
			has, err = r.Get([]byte("k"))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if string(has) != value {
			return
		}
	}
}

// writeTo puts a value into a space of a group, wherever its leader is.
func writeTo(t *testing.T, all map[cluster.NodeID]*Node, id cluster.GroupID, value string) {
	t.Helper()
	box := cluster.SpaceID{1, byte(id)}
	testkit.Eventually(t, patience, func(ctx context.Context) error {
		leader, _ := pair(t, all, id)
		r := leader.storage.host.Group(id).Replica()
		_, err := r.Create(ctx, box, 1, cluster.RequestID{}, func(space.Writer) ([]byte, error) { return nil, nil })
		if err != nil && !errors.Is(err, cluster.ErrExists) {
			return err
		}
		_, err = r.Update(ctx, box, cluster.RequestID{}, func(w space.Writer) ([]byte, error) {
			w.Set([]byte("k"), []byte(value))
			return nil, nil
		})
		return err
	})
}

// scrubbed scrubs a group by way of a node until there is a verdict: a leadership that moves leaves none.
func scrubbed(t *testing.T, n *Node, id cluster.GroupID) (run *scrubRun) {
	t.Helper()
	b := backend{n}
	testkit.Eventually(t, patience, func(ctx context.Context) error {
		began := time.Now()
		if err := b.ScrubGroup(ctx, id); err != nil {
			return err
		}
		for {
			state, err := b.ScrubState(ctx, id)
			if err != nil {
				return err
			}
			if run = state.(*scrubRun); run.Began.After(began) && run.State != scrubRunning {
				break
			}
			if pause(ctx, 20*time.Millisecond); ctx.Err() != nil || time.Since(began) > 20*time.Second {
				return fmt.Errorf("no verdict: %+v", run)
			}
		}
		if run.State == scrubIncomplete {
			return fmt.Errorf("%+v", run)
		}
		return nil
	})
	return run
}

// TestScrubFindsAndMends: groups that are well agree. A replica that lacks an entry differs from the others, one whose
// tables have lost a bit cannot read them: both are given up and made again.
func TestScrubFindsAndMends(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for half a minute")
	}
	t.Parallel()
	all, logs := startThreeWith(t, func(c *Config) { c.seedBytes = 1 })
	for id := range cluster.GroupID(3) {
		writeTo(t, all, id, "v")
		if run := scrubbed(t, all["n2"], id); run.State != scrubAgree || len(run.Replicas) != 3 || run.Index == 0 {
			t.Errorf("group %d, which is well: %+v", id, run)
		}
	}
	_, n := pair(t, all, 1)
	before := n.storage.host.Group(1).Self()
	_, spoilt := pair(t, all, 2)
	spoiltBefore := spoilt.storage.host.Group(2).Self()
	if err := spoilTables(spoilt, 2); err != nil {
		t.Fatal(err)
	}
	skipWrite(t, all, n, 1)
	if run := scrubbed(t, all["n1"], 1); run.State != scrubRepaired || !slices.Equal(run.Lost, []cluster.ServerID{before}) {
		t.Errorf("a replica lacks an entry: %+v", run)
	}
	scrubbed(t, all["n3"], 2)
	whole(t, all, 1, n, before, true)
	whole(t, all, 2, spoilt, spoiltBefore, true)
	told := 0
	for _, log := range logs {
		told += strings.Count(log.String(), "code=FL-1060 group=1 ")
	}
	if told != 1 {
		t.Errorf("one replica differed, %d were given up", told)
	}
	if !strings.Contains(logs[n.self].String(), `msg="new replica seeded" node=`+string(n.self)+" group=1 ") {
		t.Error("the new replica was not seeded")
	}
	before = all["n3"].storage.host.Group(2).Self()
	if err := (backend{all["n1"]}).RebuildReplica(t.Context(), 2, "n3"); err != nil {
		t.Fatal(err)
	}
	whole(t, all, 2, all["n3"], before, true)
}
