package group

import (
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/internal/lsm"
	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

func TestStableGuard(t *testing.T) {
	below := raft.NewInmemStore()
	g, err := newStableGuard(below)
	if err != nil || g.term() != 0 {
		t.Fatal(g.term(), err)
	}
	set := func(key string, term uint64) {
		t.Helper()
		if err := g.SetUint64([]byte(key), term); err != nil {
			t.Fatal(err)
		}
	}
	set(keyCurrentTerm, 5)
	set(keyLastVoteTerm, 6)
	set(keyCurrentTerm, 4) // a heartbeat of an older leader, written last
	if term, _ := below.GetUint64([]byte(keyCurrentTerm)); term != 5 || g.term() != 6 {
		t.Errorf("term fell to %d, seen %d", term, g.term())
	}
	set("other", 1)
	again, err := newStableGuard(below)
	if err != nil || again.term() != 6 {
		t.Errorf("reopened at %d, %v", again.term(), err)
	}
}

func TestReplicaDir(t *testing.T) {
	fs := lsm.MemFS()
	d := replicaDir{fs: fs, path: "/g1"}
	if i, err := d.readIdentity(); i != nil || err != nil {
		t.Fatal(i, err)
	}
	if err := d.create(); err != nil {
		t.Fatal(err)
	}
	want := identity{group: 1, incarnation: 2, suffrage: Voter}
	if err := errors.Join(d.activate(activeState{"state-000000000003", 77}), d.writeIdentity(want)); err != nil {
		t.Fatal(err)
	}
	if i, err := d.readIdentity(); err != nil || *i != want {
		t.Fatal(i, err)
	}
	a, err := d.active()
	if err != nil || a.name != "state-000000000003" || a.origin != 77 {
		t.Fatal(a, err)
	}
	for _, name := range []string{"state-000000000003", "state-000000000002", "state-000000000005.tmp", "state-000000000004", "send-9"} {
		if err := fs.MkdirAll(d.join(name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	highest, err := d.clean(a.name)
	if err != nil || highest != 5 {
		t.Errorf("highest %d, %v", highest, err)
	}
	names, err := fs.List(d.path)
	if err != nil || len(names) != 3 {
		t.Errorf("left: %v %v", names, err)
	}
	for _, bad := range []string{"", "state-1 0\n", "elsewhere 0\n", "state-000000000003\n", "state-000000000003 x\n"} {
		if err := replaceFile(fs, d.path, activeFile, []byte(bad)); err != nil {
			t.Fatal(err)
		}
		if _, err := d.active(); cluster.KindOf(err) != cluster.KindDamaged {
			t.Errorf("ACTIVE %q: %v", bad, err)
		}
	}
	if err := replaceFile(fs, d.path, identityFile, []byte("junk")); err != nil {
		t.Fatal(err)
	}
	if _, err := d.readIdentity(); cluster.KindOf(err) != cluster.KindDamaged {
		t.Errorf("junk is an identity: %v", err)
	}
}

func TestMembers(t *testing.T) {
	for name, members := range map[string][]Member{
		"twice":    {{"n1.1", Voter}, {"n1.1", Voter}},
		"no voter": {{"n1.1", Nonvoter}},
		"name":     {{"N 1.1", Voter}},
		"witness":  {{"n1.1", Voter}, {"n2.1", Witness}},
	} {
		if _, err := decodeMembers(appendMembers(nil, members)); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	m := someMembers()
	if got := membersOf(configurationOf(m)); len(got) != 3 || got[2] != m[2] {
		t.Errorf("through raft: %v", got)
	}
	if v := votersOf(m); len(v) != 2 || suffrageOf(m, v[0]) != Voter || suffrageOf(m, "x.1") != 0 {
		t.Errorf("voters %v", v)
	}
	for _, s := range []Suffrage{Voter, Nonvoter, Witness, 9} {
		if s.String() == "" {
			t.Error("suffrage without a name")
		}
	}
}

func TestRanking(t *testing.T) {
	a, b := cluster.ServerID("n1.1"), cluster.ServerID("n2.2")
	for _, c := range []struct {
		p, o   position
		before bool
	}{
		{position{term: 2, index: 1}, position{term: 1, index: 9}, true},
		{position{term: 2, index: 8}, position{term: 2, index: 9}, false},
		{position{term: 2, index: 9}, position{term: 2, index: 9}, true}, // by id
	} {
		if got := c.p.before(c.o, a, b); got != c.before {
			t.Errorf("%+v before %+v: %v", c.p, c.o, got)
		}
		if c.p.before(c.o, a, b) == c.o.before(c.p, b, a) {
			t.Errorf("%+v and %+v have no order", c.p, c.o)
		}
	}
}

// TestSecondStandsLaterForMany: the first has time to write down a vote for each group that has lost its leader.
func TestSecondStandsLaterForMany(t *testing.T) {
	const each = 13 * time.Millisecond // what a group was seen to take beside other load
	for _, groups := range []int{1, 22, 86, 256} {
		if first := standAfter(0, groups); first != 0 {
			t.Errorf("of %d groups the first stands after %v", groups, first)
		}
		second, third := standAfter(1, groups), standAfter(2, groups)
		if second < max(standStep, time.Duration(groups)*each) || third < 2*second {
			t.Errorf("of %d groups the second stands after %v, the third after %v", groups, second, third)
		}
	}
}

func TestDeathNeedsTwo(t *testing.T) {
	report := func(e evidence) map[cluster.NodeID]suspicion {
		return map[cluster.NodeID]suspicion{"n2": {evidence: e}}
	}
	for _, c := range []struct {
		own     evidence
		reports map[cluster.NodeID]suspicion
		agreed  bool
	}{
		{noEvidence, report(refused), false},
		{silent, nil, false},
		{silent, report(noEvidence), false},
		{silent, report(silent), true},
		{refused, report(silent), true},
		{refused, report(noEvidence), false},
		{replaced, nil, true},
	} {
		d := &deathCase{own: c.own, reports: c.reports}
		if got := d.agreedLocked(); got != c.agreed {
			t.Errorf("%s with %v: %v", c.own, c.reports, got)
		}
	}
}

func TestRaftLogger(t *testing.T) {
	var lines []string
	l := newRaftLogger(hclog.Warn, func(level hclog.Level, text string) { lines = append(lines, level.String()+" "+text) })
	l.Debug("not this")
	l.Info("nor this")
	l.With("a", 1).Named("raft").Warn("odd", "b", hclog.Fmt("%03d", 2), "c")
	l.Error("bad", "err", errors.New("x"))
	l.StandardLogger(nil).Print("nowhere")
	want := "warn odd a=1 b=002 c=|error bad err=x"
	if got := strings.Join(lines, "|"); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestConfigRefuses(t *testing.T) {
	for name, c := range map[string]Config{
		"no name":      {},
		"no directory": {Node: "n1"},
		"no stores":    {Node: "n1", Dir: "/x"},
	} {
		if _, err := New(c); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// A full disk under a state ends the process: who runs the host has to be able to tell it from other reasons.
func TestFullDiskFencesByItsName(t *testing.T) {
	t.Parallel()
	disk := &lsm.Faults{}
	w := newWorld(t, 1, func(c *Config) { c.FS = disk.Wrap(c.FS) })
	nd := w.form(1)
	nd.create(1)
	nd.mustPut(1, "a", "1")
	disk.NoSpace.Store(true)
	if err := nd.group(1).machine.Flush(); err == nil {
		t.Fatal("flushed to a full disk")
	}
	eventually(t, "the replica is fenced", func() bool { return nd.group(1).State() == Fenced })
	nd.mu.Lock()
	why := nd.fenced[1]
	nd.mu.Unlock()
	if s := nd.group(1).Stats(); !errors.Is(why, syscall.ENOSPC) || !errors.Is(s.Fenced, syscall.ENOSPC) {
		t.Errorf("fenced because of %v, says that it is because of %v", why, s.Fenced)
	}
	disk.NoSpace.Store(false)
}
