package raftlog

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/internal/lsm"
	"github.com/hashicorp/raft"
)

// replica is a log of entries 11 to 20 behind a truncation at 10, in terms 1 and 2, and a state that belongs to it.
type replica struct {
	store  *Store
	log    *Log
	stable *Stable
	state  State
}

func newReplica(t *testing.T, k Kind) *replica {
	t.Helper()
	r := &replica{store: openStore(t, setup(t, k))}
	r.log = openLog(t, r.store, testGroup)
	stable, err := OpenStable(StableOptions{Dir: t.TempDir()})
	must(t, err)
	r.stable = stable.Group(testGroup)
	must(t, r.log.StoreLogs(entries(1, 15, 1, 10)))
	must(t, r.log.StoreLogs(entries(16, 5, 2, 10)))
	must(t, r.log.TruncateTo(10))
	must(t, r.stable.SetUint64([]byte(raftCurrentTerm), 2))
	r.state = State{Server: testServer, Log: r.log.Identity(), Stable: r.stable.Identity(), Index: 14, Term: 1}
	t.Cleanup(func() {
		must(t, r.store.Close())
		must(t, stable.Close())
	})
	return r
}

// checks has a row for each condition of Check: what was done to a sound replica, and the cause it must name.
var checks = []struct {
	name  string
	spoil func(t *testing.T, r *replica)
	want  Cause
}{
	{"sound", func(*testing.T, *replica) {}, ""},
	{"state at the floor", func(_ *testing.T, r *replica) { r.state.Index = 10 }, ""},
	{"state at the end", func(_ *testing.T, r *replica) { r.state.Index, r.state.Term = 20, 2 }, ""},
	{"voted", func(t *testing.T, r *replica) {
		must(t, r.stable.SetUint64([]byte(raftVoteTerm), 2))
		must(t, r.stable.Set([]byte(raftVoteCand), []byte("n2")))
	}, ""},
	{"crash between the two keys of the first vote", func(t *testing.T, r *replica) {
		must(t, r.stable.SetUint64([]byte(raftVoteTerm), 2))
	}, ""},
	{"truncated to the end", func(t *testing.T, r *replica) {
		must(t, r.log.TruncateTo(20))
		r.state.Index, r.state.Term = 20, 2
	}, ""},
	{"snapshot behind the log", func(_ *testing.T, r *replica) {
		r.state.Index, r.state.Snapshot, r.state.Term = 50, 50, 2
	}, ""},
	{"snapshot against a conflicting log", func(_ *testing.T, r *replica) {
		r.state.Index, r.state.Snapshot, r.state.Term = 18, 18, 1
	}, ""},
	{"removed", func(t *testing.T, r *replica) {
		must(t, r.store.Remove(testGroup))
		l, err := r.store.Group(testGroup)
		must(t, err)
		r.log = l
	}, CauseNoFloor},
	{"other incarnation", func(_ *testing.T, r *replica) { r.state.Server = "n1.2" }, CauseOtherReplica},
	{"other log", func(_ *testing.T, r *replica) { r.state.Log[3]++ }, CauseOtherLog},
	{"other stable store", func(_ *testing.T, r *replica) { r.state.Stable[3]++ }, CauseOtherStable},
	{"lost end", func(t *testing.T, r *replica) {
		must(t, r.store.marks.write())
		must(t, r.store.engine.deleteRange(testGroup, 19, 20, nil))
		r.log.span = span{}
		must(t, r.log.load())
	}, CauseLostEnd},
	{"end of another term", func(t *testing.T, r *replica) {
		must(t, r.store.marks.write())
		r.store.marks.known[testGroup] = mark{last: 20, term: 9}
	}, CauseLostEnd},
	{"state before the floor", func(_ *testing.T, r *replica) { r.state.Index = 9 }, CauseGap},
	{"first entries gone", func(t *testing.T, r *replica) {
		must(t, r.store.engine.deleteRange(testGroup, 11, 12, nil))
		r.log.span = span{}
		must(t, r.log.load())
	}, CauseGap},
	{"state behind the end", func(_ *testing.T, r *replica) { r.state.Index, r.state.Term = 21, 2 }, CauseLogBehind},
	{"log emptied", func(t *testing.T, r *replica) { must(t, r.log.DeleteRange(11, 20)) }, CauseLogBehind},
	{"other term in the log", func(_ *testing.T, r *replica) { r.state.Term = 2 }, CauseTermDiffers},
	{"other term at the floor", func(_ *testing.T, r *replica) { r.state.Index, r.state.Term = 10, 2 }, CauseTermDiffers},
	{"bad entry to be applied", func(t *testing.T, r *replica) {
		must(t, r.store.engine.append(testGroup, 17, [][]byte{[]byte("not an entry, but long enough")}, nil))
	}, CauseBadEntry},
	{"entry to be applied is gone", func(t *testing.T, r *replica) {
		must(t, r.store.engine.deleteRange(testGroup, 17, 17, nil))
	}, CauseBadEntry},
	{"bad entry that was applied", func(t *testing.T, r *replica) {
		must(t, r.store.engine.append(testGroup, 12, [][]byte{[]byte("not an entry, but long enough")}, nil))
	}, ""},
	{"no term", func(t *testing.T, r *replica) { must(t, r.stable.Reset()) }, CauseNoTerm},
	{"old term", func(t *testing.T, r *replica) {
		must(t, r.stable.SetUint64([]byte(raftCurrentTerm), 1))
	}, CauseTermBehind},
	{"candidate without term", func(t *testing.T, r *replica) {
		must(t, r.stable.Set([]byte(raftVoteCand), []byte("n2")))
	}, CauseVote},
	{"vote of the future", func(t *testing.T, r *replica) {
		must(t, r.stable.SetUint64([]byte(raftVoteTerm), 3))
	}, CauseVote},
	{"bad entry at the end", func(t *testing.T, r *replica) {
		must(t, r.store.engine.append(testGroup, 20, [][]byte{[]byte("not an entry, but long enough")}, nil))
		r.log.span = span{}
		must(t, r.log.load())
	}, CauseBadEntry},
}

func TestCheck(t *testing.T) {
	eachKind(t, func(t *testing.T, k Kind) {
		for _, c := range checks {
			t.Run(c.name, func(t *testing.T) {
				r := newReplica(t, k)
				c.spoil(t, r)
				err := Check(r.log, r.stable, r.state)
				var d *DamagedError
				switch {
				case c.want == "" && err != nil:
					t.Fatal(err)
				case c.want == "":
					resume(t, r)
				case !errors.As(err, &d) || d.Cause != c.want:
					t.Fatalf("got %v, want %q", err, c.want)
				case cluster.KindOf(err) != cluster.KindDamaged:
					t.Fatalf("kind %d", cluster.KindOf(err))
				}
			})
		}
	})
}

// resume appends behind a replica that Check let start, and checks once more.
func resume(t *testing.T, r *replica) {
	t.Helper()
	last, err := r.log.LastIndex()
	must(t, err)
	next := max(last, r.state.Index) + 1
	must(t, r.log.StoreLogs(entries(next, 3, 2, 10)))
	must(t, Check(r.log, r.stable, r.state))
}

// TestSnapshotWipe does what hashicorp/raft does after a snapshot at 50 was installed: all entries are deleted, then
// the log goes on at 51.
func TestSnapshotWipe(t *testing.T) {
	eachKind(t, func(t *testing.T, k Kind) {
		r := newReplica(t, k)
		must(t, r.store.marks.write())
		must(t, r.log.DeleteRange(11, 20))
		r.state.Index, r.state.Snapshot, r.state.Term = 50, 50, 2
		must(t, Check(r.log, r.stable, r.state))
		must(t, r.log.StoreLogs(entries(51, 2, 2, 10)))
		must(t, Check(r.log, r.stable, r.state))
		r.state.Index = 52
		must(t, Check(r.log, r.stable, r.state))
		if f, _ := r.log.Floor(); f.Index != 50 || f.Server != testServer {
			t.Fatalf("floor %+v", f)
		}
		if len(content(t, r.log)) != 2 {
			t.Fatal("entries behind the snapshot")
		}
	})
}

func TestMissingMarks(t *testing.T) {
	for _, spoil := range []func(o Options) error{
		func(o Options) error { return o.FS.Remove("log/MARKS") },
		func(o Options) error { return lsm.WriteFile(o.FS, "log/MARKS", []byte("FLmk garbage")) },
	} {
		o := setup(t, Pebble)
		s := openStore(t, o)
		must(t, openLog(t, s, testGroup).StoreLogs(entries(1, 3, 1, 3)))
		must(t, s.Close())
		must(t, spoil(o))
		if _, err := Open(o); !errors.Is(err, cluster.ErrDamaged) {
			t.Fatalf("open without sound marks: %v", err)
		}
	}
}

func TestStable(t *testing.T) {
	dir := t.TempDir()
	open := func() *StableStore {
		s, err := OpenStable(StableOptions{Dir: dir})
		must(t, err)
		return s
	}
	s := open()
	for g := cluster.GroupID(0); g < 20; g++ {
		st := s.Group(g)
		if _, err := st.GetUint64([]byte(raftCurrentTerm)); err == nil || err.Error() != "not found" {
			t.Fatalf("absent term: %v", err)
		}
		must(t, st.SetUint64([]byte(raftCurrentTerm), uint64(g)+100))
		must(t, st.Set([]byte(raftVoteCand), []byte("n2")))
	}
	id := s.Group(3).Identity()
	must(t, s.Group(5).Reset())
	must(t, s.Close())
	s = open()
	for g := cluster.GroupID(0); g < 20; g++ {
		v, err := s.Group(g).GetUint64([]byte(raftCurrentTerm))
		if g == 5 {
			if err == nil || err.Error() != "not found" {
				t.Fatalf("after reset: %d, %v", v, err)
			}
			continue
		}
		if err != nil || v != uint64(g)+100 {
			t.Fatalf("group %d: term %d, %v", g, v, err)
		}
	}
	if s.Group(3).Identity() != id || s.Group(11).Identity() != id || s.Group(4).Identity() == id {
		t.Fatal("identities do not follow the files")
	}
	must(t, s.Close())
	must(t, os.Remove(filepath.Join(dir, "stable-3.bolt")))
	s = open()
	if s.Group(3).Identity() == id {
		t.Fatal("a new file has the old identity")
	}
	must(t, s.Close())
}

// TestRaftSeesExistingState asks hashicorp/raft itself whether it understands the stores.
func TestRaftSeesExistingState(t *testing.T) {
	eachKind(t, func(t *testing.T, k Kind) {
		r := newReplica(t, k)
		snaps := raft.NewDiscardSnapshotStore()
		has, err := raft.HasExistingState(r.log, r.stable, snaps)
		if err != nil || !has {
			t.Fatalf("existing state: %v, %v", has, err)
		}
		fresh := openLog(t, r.store, testGroup+1)
		has, err = raft.HasExistingState(fresh, r.stable.store.Group(testGroup+1), snaps)
		if err != nil || has {
			t.Fatalf("no state: %v, %v", has, err)
		}
	})
}

// TestFailurePolicy fills the disk: Fatal hears of it once, and nothing is accepted afterwards.
func TestFailurePolicy(t *testing.T) {
	eachKind(t, func(t *testing.T, k Kind) {
		o := setup(t, k)
		o.Faults = &Faults{}
		var fatal []error
		o.Fatal = func(err error) { fatal = append(fatal, err) }
		s := openStore(t, o)
		l := openLog(t, s, testGroup)
		must(t, l.StoreLogs(entries(1, 3, 1, 3)))
		o.Faults.NoSpace.Store(true)
		err := l.StoreLogs(entries(4, 3, 1, 3))
		if err == nil || len(fatal) != 1 {
			t.Fatalf("full disk: %v, Fatal heard %v", err, fatal)
		}
		if k == Bolt && !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("cause is lost: %v", err)
		}
		o.Faults.NoSpace.Store(false)
		for _, err := range []error{
			l.StoreLogs(entries(4, 1, 1, 3)), l.TruncateTo(1), l.DeleteRange(2, 3), l.Init(testServer, 0, 0),
		} {
			if err == nil || err.Error() != s.Failure().Error() {
				t.Fatalf("after the failure: %v", err)
			}
		}
		if len(fatal) != 1 {
			t.Fatalf("Fatal heard %d errors", len(fatal))
		}
		if last, err := l.LastIndex(); last != 3 || err != nil {
			t.Fatalf("last %d, %v", last, err)
		}
		if err := s.Close(); k == Pebble && err == nil {
			t.Fatal("a failed engine closed cleanly")
		}
	})
}

func TestStableFailurePolicy(t *testing.T) {
	faults := &Faults{}
	calls := 0
	s, err := OpenStable(StableOptions{Dir: t.TempDir(), Faults: faults, Fatal: func(error) { calls++ }})
	must(t, err)
	faults.NoSpace.Store(true)
	for range 2 {
		if err := s.Group(1).Set([]byte("k"), []byte("v")); !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
		faults.NoSpace.Store(false)
	}
	if calls != 1 {
		t.Fatalf("Fatal called %d times", calls)
	}
	must(t, s.Close())
}

// TestSharedSync has many groups append together on a slow disk: the syncs must be far fewer than the appends.
func TestSharedSync(t *testing.T) {
	o := setup(t, Pebble)
	o.Faults = &Faults{}
	o.SlowSync = time.Millisecond
	var mu sync.Mutex
	done, waiting, slow := 0, 0, make(chan struct{}, 1)
	o.Events.SyncDone = func(i SyncInfo) {
		mu.Lock()
		defer mu.Unlock()
		done++
		waiting = max(waiting, i.Waiting)
	}
	o.Events.SyncSlow = func(time.Duration) {
		select {
		case slow <- struct{}{}:
		default:
		}
	}
	s := openStore(t, o)
	const groups, rounds = 32, 10
	var logs []*Log
	for g := range groups {
		logs = append(logs, openLog(t, s, cluster.GroupID(g)))
	}
	o.Faults.SyncDelay.Store(int64(5 * time.Millisecond))
	before := o.Faults.Syncs.Load()
	if at := s.LastAppend(); !at.IsZero() {
		t.Errorf("stored something at %v", at)
	}
	began := time.Now()
	var all sync.WaitGroup
	for _, l := range logs {
		all.Go(func() {
			for i := range uint64(rounds) {
				if err := l.StoreLogs(entries(i+1, 1, 1, 100)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if at := s.LastAppend(); at.Before(began) || at.After(time.Now()) {
		t.Errorf("last append at %v, began at %v", at, began)
	}
	syncs := o.Faults.Syncs.Load() - before
	if done != groups*rounds || syncs > groups*rounds/4 {
		t.Fatalf("%d appends took %d syncs", done, syncs)
	}
	if waiting < 2 {
		t.Fatal("no append saw another")
	}
	select {
	case <-slow:
	case <-time.After(10 * time.Second):
		t.Fatal("a slow sync went unreported")
	}
	must(t, s.Close())
}

// TestMarksRise waits for the marks to follow the log by themselves.
func TestMarksRise(t *testing.T) {
	o := setup(t, Pebble)
	o.MarkEvery = time.Millisecond
	s := openStore(t, o)
	l := openLog(t, s, testGroup)
	must(t, l.StoreLogs(entries(1, 9, 4, 3)))
	deadline := time.After(10 * time.Second)
	for {
		content, err := lsm.ReadFile(o.FS, "log/MARKS")
		must(t, err)
		known, err := decodeMarks(content)
		must(t, err)
		if known[testGroup] == (mark{last: 9, term: 4}) {
			break
		}
		select {
		case <-deadline:
			t.Fatalf("marks stay at %v", known)
		case <-time.After(time.Millisecond):
		}
	}
	must(t, s.Close())
	if err := s.Close(); !errors.Is(err, ErrClosed) {
		t.Fatal(err)
	}
	if _, err := s.Group(1); !errors.Is(err, ErrClosed) {
		t.Fatal(err)
	}
}

// TestGarbledStoresAreDamaged: a store that does not open says whether its files are damaged or could not be read.
func TestGarbledStoresAreDamaged(t *testing.T) {
	garble := func(pattern string) {
		files, err := filepath.Glob(pattern)
		if must(t, err); len(files) == 0 {
			t.Fatalf("no %s", pattern)
		}
		for _, f := range files {
			must(t, os.WriteFile(f, bytes.Repeat([]byte("garbage "), 1<<12), 0o600))
		}
	}
	votes := StableOptions{Dir: t.TempDir()}
	st, err := OpenStable(votes)
	must(t, err)
	must(t, st.Close())
	garble(filepath.Join(votes.Dir, "stable-3.bolt"))
	if _, err := OpenStable(votes); !errors.Is(err, cluster.ErrDamaged) {
		t.Errorf("votes: %v", err)
	}
	for kind, pattern := range map[Kind]string{Pebble: "pebble/MANIFEST-*", Bolt: "*.bolt"} {
		o := Options{Dir: t.TempDir(), Kind: kind}
		s := openStore(t, o)
		must(t, openLog(t, s, testGroup).StoreLogs(entries(1, 3, 1, 3)))
		must(t, s.Close())
		garble(filepath.Join(o.Dir, pattern))
		if _, err := Open(o); !errors.Is(err, cluster.ErrDamaged) {
			t.Errorf("%s: %v", pattern, err)
		}
	}
	plain := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(plain, nil, 0o600))
	if _, err := Open(Options{Dir: plain}); err == nil || errors.Is(err, cluster.ErrDamaged) {
		t.Errorf("a file in the folder's place: %v", err)
	}
}
