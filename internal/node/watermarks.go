package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/gossip"
	"github.com/flotilla-mail/flotilla/cluster/group"
	"github.com/flotilla-mail/flotilla/cluster/ops"
	"github.com/flotilla-mail/flotilla/cluster/space"
)

const (
	// roomEvery is how often the free space is looked at.
	roomEvery = 2 * time.Second
	// Free space has to rise that many hundredths above a mark before the mark counts as left.
	aboveLow  = 2
	aboveFull = 1
	// ballastShare is the most of the disk that the ballast takes, in hundredths.
	ballastShare = 1
	ballastFile  = "BALLAST"
)

// Room is how much room a node's disk has (CLUSTER 5.5). Numbers cross the wire, for ever.
type Room uint8

// The kinds of room.
const (
	// RoomEnough: nothing is held back.
	RoomEnough Room = 0
	// RoomLow: what is led here moves away, and what would bring more in is refused here.
	RoomLow Room = 1
	// RoomFull: no entry of another leader is taken either.
	RoomFull Room = 2
)

// MarshalText implements encoding.TextMarshaler.
func (r Room) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

func (r Room) String() string {
	switch r {
	case RoomEnough:
		return "enough"
	case RoomLow:
		return "low"
	case RoomFull:
		return "full"
	}
	return fmt.Sprintf("room %d", uint8(r))
}

// watermarks know how much room the disk has.
type watermarks struct {
	marks Disk
	// statfs measures the disk; zeros when that cannot be done.
	statfs func() (free, total uint64)
	// ballast is a file that is given up when the disk is full; nothing when its path is empty.
	ballast string

	// pretended is a share of the disk, in hundredths and one more, that a test says is free; 0 for the truth.
	pretended atomic.Int64
	room      atomic.Uint32
	// refuses is set once what is led here had the chance to move away.
	refuses     atomic.Bool
	free, total atomic.Uint64

	failed string // what went wrong with the ballast at the last look; of who looks
}

func newWatermarks(cfg *Config) *watermarks {
	dir := cfg.Dir
	return &watermarks{marks: cfg.Disk, ballast: cfg.path(ballastFile),
		statfs: func() (free, total uint64) { return diskSpace(dir) }}
}

// space is what is free, and the disk's size.
func (w *watermarks) space() (free, total uint64) {
	free, total = w.statfs()
	if p := w.pretended.Load(); p > 0 {
		free = total / 100 * uint64(p-1) // #nosec G115 -- not negative
	}
	return free, total
}

// pretend lets the disk have that many hundredths free; a negative number ends that.
func (w *watermarks) pretend(hundredths int64) { w.pretended.Store(hundredths + 1) }

func (w *watermarks) now() Room { return Room(w.room.Load()) } // #nosec G115 -- a Room was stored

func (w *watermarks) full() bool { return w.now() == RoomFull }

// ballastSize is how large the ballast is to be on a disk.
func (w *watermarks) ballastSize(total uint64) uint64 {
	return min(w.marks.Ballast, total/100*ballastShare)
}

// judge says how much room there is, after there was before: a mark that was passed is left only with some room above it,
// and the lower one only when the ballast that was given up can be made again as well.
func (w *watermarks) judge(before Room, free, total uint64) Room {
	part := total / 100
	low, full := part*uint64(w.marks.Low), part*uint64(w.marks.Full)
	switch {
	case free < full, before == RoomFull && free < full+aboveFull*part+w.ballastSize(total):
		return RoomFull
	case free < low, before != RoomEnough && free < low+aboveLow*part:
		return RoomLow
	}
	return RoomEnough
}

// look measures the disk, and gives the ballast up or makes it. The room of a disk that cannot be measured stays.
func (w *watermarks) look() (before, now Room, err error) {
	before = w.now()
	free, total := w.space()
	if total == 0 {
		return before, before, nil
	}
	w.free.Store(free)
	w.total.Store(total)
	now = w.judge(before, free, total)
	w.room.Store(uint32(now))
	if now == RoomEnough {
		w.refuses.Store(false)
	}
	size := w.ballastSize(total)
	switch {
	case now == RoomFull:
		err = removeIfThere(w.ballast)
	case free >= total/100*uint64(w.marks.Full+aboveFull)+size:
		err = keepBallast(w.ballast, size)
	}
	return before, now, err
}

// keepBallast makes the file unless it is there; one of another size is made anew, and none at all for size 0.
func keepBallast(path string, size uint64) error {
	info, err := os.Stat(path)
	switch {
	case err == nil && uint64(info.Size()) == size: // #nosec G115 -- not negative
		return nil
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return err
	}
	if err := removeIfThere(path); err != nil || size == 0 {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	err = syscall.Fallocate(int(f.Fd()), 0, 0, int64(size)) // #nosec G115 -- a setting below a hundredth of a disk
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(fmt.Errorf("%s: %w", path, err), os.Remove(path))
	}
	return nil
}

// keepRoom looks at the disk until ctx ends.
func (n *Node) keepRoom(ctx context.Context) error {
	t := time.NewTicker(roomEvery)
	defer t.Stop()
	var moved time.Time
	for {
		n.lookAtRoom()
		if n.room.now() != RoomEnough && time.Since(moved) >= moveEvery {
			n.moveFromFull(ctx)
			moved = time.Now()
			n.room.refuses.Store(n.room.now() != RoomEnough)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

// lookAtRoom measures the disk and says what changed.
func (n *Node) lookAtRoom() {
	before, now, err := n.room.look()
	if n.room.failsAnew(err) {
		n.log.Warn("the ballast on the disk is not as it should be", "code", "FL-1073", "err", err)
	}
	if now == before {
		return
	}
	log := n.log.With("dir", n.cfg.Dir, "free", n.room.free.Load(), "of", n.room.total.Load())
	switch now {
	case RoomEnough:
		log.Info("the disk has room again")
	case RoomLow:
		log.Warn("the disk is nearly full: what is led here moves away, and mail for what stays is refused; make room, or a larger disk",
			"code", "FL-1074")
	case RoomFull:
		log.Error("the disk is full: nothing is taken from other nodes any more, and the ballast is given up; make room, or a larger disk",
			"code", "FL-1075")
	}
}

// failsAnew reports whether an error is not the one of the look before.
func (w *watermarks) failsAnew(err error) bool {
	text := ""
	if err != nil {
		text = err.Error()
	}
	anew := text != "" && text != w.failed
	w.failed = text
	return anew
}

// moveFromFull hands over what is led here, unless the others have no more room.
func (n *Node) moveFromFull(ctx context.Context) {
	move := n.disk.move.Load()
	if move == nil || elsewhere(n.self, n.gossip.Nodes(), n.room.short) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, moveEvery)
	defer cancel()
	if err := (*move)(ctx); err != nil && ctx.Err() == nil {
		n.log.Warn("not everything moved away from the full disk", "code", "FL-1076", "err", err)
	}
}

// short reports whether a node said that its disk has less room than the mark.
func (w *watermarks) short(o *gossip.Node) bool {
	l := &o.Load
	return l.DiskTotal > 0 && l.DiskFree < l.DiskTotal/100*uint64(w.marks.Low)
}

// DiskStatus is the disk of a node as it says it. Tags are for ever.
type DiskStatus struct {
	Room  Room   `wire:"1" json:"room"`
	Free  uint64 `wire:"2" json:"free"`
	Total uint64 `wire:"3" json:"total"`
}

// status is what is said of the disk, and in words what is wrong with it.
func (w *watermarks) status(dir string) (s DiskStatus, trouble string) {
	s = DiskStatus{Room: w.now(), Free: w.free.Load(), Total: w.total.Load()}
	switch s.Room {
	case RoomLow:
		trouble = fmt.Sprintf("the disk of %s is nearly full (%d MB free): it leads nothing that others can lead, and refuses mail for the rest", dir, s.Free>>20)
	case RoomFull:
		trouble = fmt.Sprintf("the disk of %s is full (%d MB free): its replicas take nothing more", dir, s.Free>>20)
	}
	return s, trouble
}

// guard lets the ops that bring something in be refused by the owner while its disk has no room for it. All others go on:
// what is deleted makes room.
func (n *Node) guard(tables [][]ops.Handler) [][]ops.Handler {
	for _, table := range tables {
		for i := range table {
			if table[i].Grows {
				n.guardOne(&table[i])
			}
		}
	}
	return tables
}

func (n *Node) guardOne(h *ops.Handler) {
	if update := h.Update; update != nil {
		h.Update = func(w space.Writer, q *ops.Request) ([]byte, error) {
			if n.room.refuses.Load() {
				return nil, n.noRoom()
			}
			return update(w, q)
		}
	}
	if serve := h.Serve; serve != nil {
		h.Serve = func(ctx context.Context, rep *space.Replica, q *ops.Request) ([]byte, error) {
			g := n.storage.host.Group(q.Group)
			if g != nil && g.State() == group.Leader && n.room.refuses.Load() {
				return nil, n.noRoom()
			}
			return serve(ctx, rep, q)
		}
	}
}

func (n *Node) noRoom() error {
	return cluster.Errorf(cluster.KindDiskFull, "the disk of %s, which owns the mailbox, is nearly full", n.self)
}
