package node

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/gossip"
	"github.com/flotilla-mail/flotilla/cluster/ops"
	"github.com/flotilla-mail/flotilla/cluster/space"
)

// fakeDisk is one of a hundred megabytes, of which a test says how many are free.
type fakeDisk struct{ free atomic.Uint64 }

const megabyte = 1 << 20

func fakeMarks(t *testing.T, free uint64) (*watermarks, *fakeDisk) {
	d := new(fakeDisk)
	d.free.Store(free)
	return &watermarks{marks: Disk{Low: 10, Full: 3, Ballast: 256 * megabyte}, ballast: filepath.Join(t.TempDir(), ballastFile),
		statfs: func() (uint64, uint64) { return d.free.Load() * megabyte, 100 * megabyte }}, d
}

// TestMarksHaveTwoSides: what passed a mark does not come back over it with the next byte that is freed.
func TestMarksHaveTwoSides(t *testing.T) {
	w, d := fakeMarks(t, 50)
	for _, step := range []struct {
		free    uint64
		want    Room
		ballast bool
	}{
		{50, RoomEnough, true}, {10, RoomEnough, true}, {9, RoomLow, true}, {11, RoomLow, true}, {12, RoomEnough, true},
		{2, RoomFull, false}, {3, RoomFull, false}, {4, RoomFull, false}, {5, RoomLow, true}, {4, RoomLow, true}, {3, RoomLow, true},
		{11, RoomLow, true}, {13, RoomEnough, true}, {0, RoomFull, false}, {90, RoomEnough, true},
	} {
		d.free.Store(step.free)
		if _, now, err := w.look(); err != nil || now != step.want {
			t.Fatalf("%d%% free: %v %v, want %v", step.free, now, err, step.want)
		}
		info, err := os.Stat(w.ballast)
		if (err == nil) != step.ballast || err == nil && info.Size() != megabyte {
			t.Fatalf("%d%% free: ballast %v %v", step.free, info, err)
		}
	}
	d.free.Store(5)
	w.pretend(2)
	if _, now, _ := w.look(); now != RoomFull {
		t.Errorf("pretended 2%%: %v", now)
	}
	w.pretend(-1)
	w.statfs = func() (uint64, uint64) { return 0, 0 }
	if _, now, err := w.look(); now != RoomFull || err != nil {
		t.Errorf("a disk that cannot be measured: %v, %v", now, err)
	}
}

func TestBallastThatCannotBeMade(t *testing.T) {
	w, _ := fakeMarks(t, 50)
	w.ballast = filepath.Join(w.ballast, "no", "folder")
	_, now, err := w.look()
	if now != RoomEnough || err == nil || !w.failsAnew(err) || w.failsAnew(err) || w.failsAnew(nil) || !w.failsAnew(err) {
		t.Errorf("%v, %v", now, err)
	}
	w, _ = fakeMarks(t, 50)
	w.marks.Ballast = 0
	if _, _, err := w.look(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(w.ballast); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a ballast of nothing: %v", err)
	}
}

// TestLeadershipsLeaveAFullDisk: first they have the chance to move, then what stayed refuses.
func TestLeadershipsLeaveAFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, moves, codes, log := slowNode(t, errors.New("group 4 has no other voter"))
		var disk *fakeDisk
		n.room, disk = fakeMarks(t, 50)
		n.run("room", n.keepRoom)
		step := func(free uint64, d time.Duration, want Room, refuses bool, moved int32) {
			t.Helper()
			disk.free.Store(free)
			time.Sleep(d)
			synctest.Wait()
			if n.room.now() != want || n.room.refuses.Load() != refuses || moves.Load() != moved {
				t.Fatalf("%d%% free: %v, refuses %v, %d moves; want %v, %v, %d", free, n.room.now(), n.room.refuses.Load(), moves.Load(), want, refuses, moved)
			}
		}
		step(50, time.Minute, RoomEnough, false, 0)
		step(8, roomEvery, RoomLow, true, 1)
		step(8, moveEvery, RoomLow, true, 2)
		step(2, roomEvery, RoomFull, true, 2)
		step(11, roomEvery, RoomLow, true, 2)
		step(20, roomEvery, RoomEnough, false, 2)
		step(20, time.Minute, RoomEnough, false, 2)
		n.cancel()
		n.wg.Wait()
		for _, code := range []string{"FL-1074", "FL-1075", "FL-1076", "the disk has room again"} {
			if !strings.Contains(log.String(), code) {
				t.Errorf("the log lacks %s: %s", code, log.String())
			}
		}
		if len(*codes) != 0 {
			t.Errorf("ended with %v", *codes)
		}
	})
}

func TestNothingMovesFromOneFullDiskToAnother(t *testing.T) {
	w, _ := fakeMarks(t, 5)
	node := func(id cluster.NodeID, free, total uint64) gossip.Node {
		return gossip.Node{ID: id, Alive: true, Meta: gossip.Meta{State: gossip.StateServing}, Load: gossip.Load{DiskFree: free, DiskTotal: total}}
	}
	for name, c := range map[string]struct {
		others []gossip.Node
		want   bool
	}{
		"both have none":      {[]gossip.Node{node("n2", 5, 100), node("n3", 9*megabyte, 100*megabyte)}, true},
		"one has":             {[]gossip.Node{node("n2", 5, 100), node("n3", 50, 100)}, false},
		"nothing known of it": {[]gossip.Node{node("n2", 0, 0)}, false},
		"itself only":         {[]gossip.Node{node("n1", 5, 100)}, false},
	} {
		if got := elsewhere("n1", c.others, w.short); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	order := rank([]gossip.Node{node("n2", 5, 100), node("n3", 50, 100)}, w.short, time.Now())
	if got := order(1, []cluster.ServerID{"n2.1", "n3.1"}); got[0] != "n3.1" {
		t.Errorf("ranked %v", got)
	}
}

// TestOnlyWhatGrowsIsRefused: deletions are what makes room.
func TestOnlyWhatGrowsIsRefused(t *testing.T) {
	n := &Node{self: "n1"}
	n.room, _ = fakeMarks(t, 5)
	ran := 0
	update := func(space.Writer, *ops.Request) ([]byte, error) { ran++; return nil, nil }
	table := n.guard([][]ops.Handler{{{ID: 1, Update: update, Grows: true}, {ID: 2, Update: update}}})[0]
	for _, c := range []struct {
		refuses bool
		grows   error
	}{{false, nil}, {true, cluster.ErrDiskFull}, {false, nil}} {
		n.room.refuses.Store(c.refuses)
		_, err := table[0].Update(nil, nil)
		if !errors.Is(err, c.grows) || (err == nil) != (c.grows == nil) {
			t.Errorf("refuses %v: %v", c.refuses, err)
		}
		if _, err := table[1].Update(nil, nil); err != nil {
			t.Errorf("refuses %v: what does not grow: %v", c.refuses, err)
		}
	}
	if ran != 5 {
		t.Errorf("%d ran", ran)
	}
}

func TestAFullDiskIsSaid(t *testing.T) {
	w, d := fakeMarks(t, 50)
	for free, want := range map[uint64]string{50: "", 8: "nearly full (8 MB free)", 2: "is full (2 MB free)"} {
		d.free.Store(free)
		w.room.Store(0)
		if _, _, err := w.look(); err != nil {
			t.Fatal(err)
		}
		s, trouble := w.status("/var/lib/flotilla")
		if (trouble == "") != (want == "") || !strings.Contains(trouble, want) || s.Free != free*megabyte {
			t.Errorf("%d%%: %+v %q", free, s, trouble)
		}
	}
	b, err := json.Marshal(DiskStatus{Room: RoomLow, Free: 1, Total: 2})
	if err != nil || string(b) != `{"room":"low","free":1,"total":2}` {
		t.Errorf("%s %v", b, err)
	}
	seen := newWatched()
	seen.l.nodes[1].Disk.Room = RoomLow
	if alive := seen.pass(0).Alive; alive["n2"] || !alive["n1"] {
		t.Errorf("may lead: %v", alive)
	}
}
