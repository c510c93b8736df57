package group

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/internal/lsm"
)

// watchedFS counts the files that a seed writes and those of a checkpoint that are read, and lets them fail.
type watchedFS struct {
	lsm.FS
	mu                sync.Mutex
	written, read     int // guarded by mu
	mayWrite, mayRead int // guarded by mu
}

var errKilled = errors.New("killed")

func (w *watchedFS) allow(write, read int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.written, w.read, w.mayWrite, w.mayRead = 0, 0, write, read
}

func (w *watchedFS) Create(name string, c lsm.WriteCategory) (lsm.File, error) {
	if strings.HasSuffix(name, partSuffix) {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.written++; w.written > w.mayWrite {
			return nil, errKilled
		}
	}
	return w.FS.Create(name, c)
}

func (w *watchedFS) Open(name string, opts ...lsm.OpenOption) (lsm.File, error) {
	if strings.Contains(name, "/"+sendPrefix) {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.read++; w.read > w.mayRead {
			return nil, errKilled
		}
	}
	return w.FS.Open(name, opts...)
}

// GetDiskUsage says that there is room: memory has no answer of its own.
func (w *watchedFS) GetDiskUsage(string) (lsm.DiskUsage, error) {
	return lsm.DiskUsage{AvailBytes: 1 << 30, TotalBytes: 2 << 30}, nil
}

// seedWorld is a group of three whose states lie in several tables, and a fourth node without a replica.
func seedWorld(t *testing.T, tune func(*Config)) (w *world, leader, fourth *node, fs map[cluster.NodeID]*watchedFS) {
	t.Helper()
	fs = map[cluster.NodeID]*watchedFS{}
	w = newWorld(t, 3, func(c *Config) {
		if fs[c.Node] == nil {
			fs[c.Node] = &watchedFS{FS: c.FS, mayWrite: 1 << 20, mayRead: 1 << 20}
		}
		c.FS, c.SeedBytes = fs[c.Node], 1
		if tune != nil {
			tune(c)
		}
	})
	t.Cleanup(w.dump)
	leader = w.form(1)
	leader.create(1)
	value := strings.Repeat("v", 1000)
	for i := range 5 {
		for j := range 3 {
			leader.mustPut(1, fmt.Sprintf("k%d.%d", i, j), value)
		}
		for _, nd := range w.nodes {
			nd.awaitValue(1, fmt.Sprintf("k%d.2", i), value)
			if err := nd.group(1).machine.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	return w, leader, w.addNode("n4"), fs
}

func (nd *node) seed(from ...*node) (bool, error) {
	var ids []cluster.NodeID
	for _, f := range from {
		ids = append(ids, f.id)
	}
	return nd.host.Seed(within(nd.w.t), 1, ReplicaConfig{}, ids)
}

// join opens the seeded replica, makes it a voter, and holds that it caught up without a snapshot of raft's.
func (nd *node) join(leader *node) {
	t := nd.w.t
	t.Helper()
	g, err := nd.host.Open(within(t), 1, ReplicaConfig{})
	if err != nil {
		t.Fatal(err)
	}
	if len(g.Members()) != 3 || g.machine.Applied().Index == 0 {
		t.Fatalf("seeded with %v at %d", g.Members(), g.machine.Applied().Index)
	}
	leader.mustPut(1, "after", "the seed")
	if err := leader.group(1).AddNonvoter(within(t), g.Self()); err != nil {
		t.Fatal(err)
	}
	nd.awaitValue(1, "after", "the seed")
	if err := leader.group(1).Promote(within(t), g.Self()); err != nil {
		t.Fatal(err)
	}
	nd.awaitValue(1, "k0.0", strings.Repeat("v", 1000))
	if n := nd.noted("snapshot 1"); n > 0 {
		t.Fatal("raft sent a snapshot")
	}
	sameHash(t, leader, nd)
}

func sameHash(t testing.TB, a, b *node) {
	t.Helper()
	eventually(t, "the same content on both", func() bool {
		i, x, err := a.group(1).machine.Hash(within(t))
		j, y, err2 := b.group(1).machine.Hash(within(t))
		if errors.Join(err, err2) != nil {
			t.Fatal(err, err2)
		}
		return i == j && x == y
	})
}

func TestSeededReplicaJoins(t *testing.T) {
	t.Parallel()
	w, leader, fourth, _ := seedWorld(t, tinyLog)
	for _, nd := range w.nodes[:3] {
		nd.truncate(1)
	}
	if ok, err := fourth.seed(w.others(leader)[0], leader); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if _, err := fourth.seed(leader); !errors.Is(err, cluster.ErrExists) {
		t.Errorf("over a replica: %v", err)
	}
	fourth.join(leader)
	if err := fourth.host.CloseGroup(within(t), 1); err != nil {
		t.Fatal(err)
	}
	if _, err := fourth.host.Open(within(t), 1, ReplicaConfig{}); err != nil {
		t.Errorf("started again: %v", err)
	}
}

func TestSmallStateIsNotSeeded(t *testing.T) {
	t.Parallel()
	_, leader, fourth, _ := seedWorld(t, func(c *Config) { c.SeedBytes = 1 << 30 })
	if ok, err := fourth.seed(leader); ok || err != nil {
		t.Fatal(ok, err)
	}
	if g := fourth.open(1); len(g.Members()) != 0 {
		t.Fatal("the replica is not empty")
	}
}

// TestSeedGoesOnWhereItWas: killed at its target, a seed does not send again what has arrived, except what is spoilt.
func TestSeedGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	w, leader, fourth, fs := seedWorld(t, nil)
	source := w.others(leader)[0]
	fs["n4"].allow(1<<20, 0)
	probe := &seedOffer{}
	meta, files, release, err := source.group(1).snaps.checkpoint()
	if err != nil {
		t.Fatal(err)
	}
	if probe.files, err = files.Files(); err != nil || meta.Index == 0 || len(probe.files) < 6 {
		t.Fatal(probe.files, err)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	const had = 4
	fs["n4"].allow(had, 0)
	if ok, err := fourth.seed(source); ok || !errors.Is(err, errKilled) {
		t.Fatal(ok, err)
	}
	fourth.stop()
	fourth.start()
	spoilt := false
	dir := fourth.host.dir(1)
	names, err := dir.fs.List(dir.join(stateName(1) + tmpSuffix))
	if err != nil || len(names) != had-1 && len(names) != had {
		t.Fatalf("arrived: %v, %v", names, err)
	}
	for _, name := range names {
		if path := dir.fs.PathJoin(dir.join(stateName(1)+tmpSuffix), name); !spoilt && strings.HasSuffix(name, ".sst") {
			b, err := readFile(dir.fs, path)
			if err != nil {
				t.Fatal(err)
			}
			b[len(b)/2] ^= 1
			if err := writeFile(dir.fs, path, b); err != nil {
				t.Fatal(err)
			}
			spoilt = true
		}
	}
	fs["n4"].allow(1<<20, 0)
	if ok, err := fourth.seed(source); !ok || err != nil {
		t.Fatal(ok, err)
	}
	fs["n4"].mu.Lock()
	again := fs["n4"].written
	fs["n4"].mu.Unlock()
	if saved := len(probe.files) - again; saved < 1 {
		t.Errorf("%d of %d files were sent again", again, len(probe.files))
	}
	fourth.join(leader)
}

// TestSeedFromAnother: what the first source cannot send, the next one does.
func TestSeedFromAnother(t *testing.T) {
	t.Parallel()
	w, leader, fourth, fs := seedWorld(t, nil)
	first := w.others(leader)[0]
	fs[first.id].allow(1<<20, 2)
	if ok, err := fourth.seed(first); ok || err == nil {
		t.Fatal(ok, err)
	}
	if ok, err := fourth.seed(first, leader); !ok || err != nil {
		t.Fatal(ok, err)
	}
	fourth.join(leader)
}

func TestLogIsHeldForASeed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, func(c *Config) {
		tinyLog(c)
		c.FS = &watchedFS{FS: c.FS, mayWrite: 1 << 20, mayRead: 1 << 20}
	})
	leader := w.form(1)
	other := w.others(leader)[0]
	leader.create(1)
	leader.mustPut(1, "a", "1")
	held := leader.group(1).machine.Applied().Index
	head := &snapshotHeader{lastIndex: held, members: leader.group(1).Members()}
	if !other.host.askHolds(within(t), 1, head) {
		t.Fatal("the log does not reach back")
	}
	other.host.pace.told.Store(0)
	other.host.pace.here = func() time.Time { return time.Time{} }
	eventually(t, "word of the leader's commits", func() bool {
		leader.mustPut(1, "a", "1")
		return other.host.askHolds(within(t), 1, head) && other.host.pace.commits()
	})
	for i := range 5 {
		leader.mustPut(1, "b", fmt.Sprint(i))
	}
	leader.truncate(1)
	if first, err := leader.group(1).log.FirstIndex(); err != nil || first > held {
		t.Fatalf("log begins at %d, held from %d: %v", first, held, err)
	}
	s := leader.group(1).snaps
	if got := s.heldForSeeds(time.Now(), 10, 100); got != held {
		t.Errorf("held from %d, want %d", got, held)
	}
	if got := s.heldForSeeds(time.Now(), 101, 100); got != ^uint64(0) {
		t.Errorf("a log without room is held from %d", got)
	}
	leader.mustPut(1, "b", "last")
	leader.truncate(1)
	if other.host.askHolds(within(t), 1, head) {
		t.Error("the seed was overtaken, and nobody says so")
	}
	if _, err := leader.group(1).holdLog("n9", 7, time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	if got := s.heldForSeeds(time.Now(), 1, 100); got != held {
		t.Errorf("an old wish counts: held from %d", got)
	}
}

// TestOvertakenSeedEnds: the leader's log begins behind the source's checkpoint.
func TestOvertakenSeedEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, tinyLog)
	leader := w.form(1)
	leader.create(1)
	for i := range 5 {
		leader.mustPut(1, "a", fmt.Sprint(i))
	}
	leader.truncate(1)
	second := w.addNode("n2")
	ctx, cancel := context.WithCancelCause(within(t))
	eventually(t, "a connection", func() bool {
		_, _, err := second.host.askHold(ctx, leader.id, 1, 1)
		return err == nil
	})
	second.host.holdWhile(ctx, 1, &snapshotHeader{lastIndex: 1, members: leader.group(1).Members()}, cancel)
	if err := context.Cause(ctx); !errors.Is(err, errSeedOvertaken) {
		t.Fatal(err)
	}
}

func TestSeedIsRefused(t *testing.T) {
	t.Parallel()
	w, leader, fourth, _ := seedWorld(t, nil)
	fifth := w.addNode("n5")
	eventually(t, "a connection", func() bool {
		_, err := fourth.host.Identity(within(t), fifth.id, 1)
		return err != nil && !strings.Contains(err.Error(), "connect")
	})
	if ok, err := fourth.seed(fifth); ok || cluster.KindOf(err) != cluster.KindUnavailable {
		t.Errorf("of a node without a replica: %v, %v", ok, err)
	}
	s, err := fourth.net.OpenStream(within(t), leader.id, 1, []byte{seedMark, seedVersion + 1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := readOffer(s); cluster.KindOf(err) != cluster.KindBadRequest {
		t.Errorf("of a later version: %v", err)
	}
}

func TestSeedFormsAreForEver(t *testing.T) {
	have := encodeHave([]hadFile{{streamFile{"a.sst", 7}, 9}})
	if got := fmt.Sprintf("%x", have); got != "010000000700000000000000090000000500612e737374"+got[46:] || len(have) != 27 {
		t.Errorf("have: %s", got)
	}
	back, err := decodeHave(have)
	if err != nil || back["a.sst"] != (hadFile{streamFile{"a.sst", 7}, 9}) {
		t.Error(back, err)
	}
	for i := range have {
		bad := bytes.Clone(have)
		bad[i] ^= 4
		if _, err := decodeHave(bad); err == nil {
			t.Errorf("a bit flipped in byte %d is not seen", i)
		}
	}
}

func FuzzReadOffer(f *testing.F) {
	o := seedOffer{files: []streamFile{{"a.sst", 7}}, head: snapshotHeader{from: "n1.1", to: "n2.0", group: 1, term: 2, lastIndex: 3,
		lastTerm: 2, memberIndex: 1, size: 7, members: []Member{{"n1.1", Voter}}}}
	f.Add(o.encode())
	f.Add([]byte{seedSmall})
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := readOffer(bytes.NewReader(b))
		if err == nil && got == nil {
			t.Fatal("neither an offer nor an error")
		}
		if _, err := decodeHave(b); err == nil && len(b) < 8 {
			t.Fatal("a list out of nothing")
		}
	})
}
