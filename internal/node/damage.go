package node

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/group"
	"github.com/flotilla-mail/flotilla/cluster/raftlog"
	"github.com/flotilla-mail/flotilla/internal/lsm"
)

// isDamage tells bytes that are not what was written from a disk that does not answer and from what a newer release has
// written: only for the first is a replica given up.
func isDamage(err error) bool {
	return errors.Is(err, cluster.ErrDamaged) || errors.Is(err, lsm.ErrCorrupt)
}

// damages remembers which replicas were found damaged while they ran, until they are given up. The zero value is ready.
type damages struct {
	mu sync.Mutex
	of map[cluster.GroupID]error // guarded by mu
}

// note keeps the first damage of a replica.
func (d *damages) note(id cluster.GroupID, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.of == nil {
		d.of = make(map[cluster.GroupID]error)
	}
	if d.of[id] == nil {
		d.of[id] = err
	}
}

// known is what is wrong with a group's replica, nil when nothing is.
func (d *damages) known(id cluster.GroupID) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.of[id]
}

func (d *damages) forget(id cluster.GroupID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.of, id)
}

// show adds the damaged replicas to those that are open, and says of those that are why they are about to be given up.
func (d *damages) show(open []GroupStatus) []GroupStatus {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(d.of)) {
		i := slices.IndexFunc(open, func(g GroupStatus) bool { return g.Group == id })
		if i < 0 {
			i, open = len(open), append(open, GroupStatus{Group: id})
		}
		open[i].State, open[i].Fenced = group.Fenced.String(), d.of[id].Error()
	}
	return open
}

// fenced is told of a replica that has stopped. When its disk is full the process ends: it could not write what it needs
// to go on (CLUSTER 5.5).
func (n *Node) fenced(id cluster.GroupID, err error) {
	n.log.Error("replica stopped", "code", "FL-1002", "group", id, "err", err)
	if errors.Is(err, syscall.ENOSPC) {
		n.fatal("FL-1037", "the disk is full under the state of a group: the process ends", err)
		return
	}
	if isDamage(err) {
		n.damages.note(id, err)
	}
	n.poke()
}

// logDamaged is told of an entry that does not read back: the replica cannot give it to the others.
func (n *Node) logDamaged(err *raftlog.DamagedError) {
	n.damages.note(err.Group, err)
	n.poke()
}

// damagedMark is the file that a store whose damage was met at work leaves for the next start.
const damagedMark = "DAMAGED"

// storeFailed ends the process after a store has failed. A damaged one would fail again: it is marked.
func (n *Node) storeFailed(dir string, err error) {
	if isDamage(err) {
		err = errors.Join(err, os.WriteFile(filepath.Join(dir, damagedMark), []byte(err.Error()+"\n"), 0o600))
	}
	n.fatal("FL-1001", "the disk failed: the process ends so that no half-written log is used", err)
}

// openStore opens a store of logs or votes. A damaged one is put aside, for whoever wants to look at it, and an empty
// one takes its place: replicas that had their log or votes in it do not start again, and are made anew from the others.
func openStore[T any](n *Node, dir string, open func() (T, error)) (T, error) {
	mark, err := os.ReadFile(filepath.Join(dir, damagedMark))
	if err == nil {
		return openEmpty(n, dir, errors.New(string(mark)), open)
	}
	s, err := open()
	if isDamage(err) {
		return openEmpty(n, dir, err, open)
	}
	return s, err
}

func openEmpty[T any](n *Node, dir string, why error, open func() (T, error)) (none T, err error) {
	aside := dir + ".damaged-" + time.Now().UTC().Format("20060102T150405.000")
	n.log.Error("logs or votes are damaged: they are put aside, and the replicas that had them are made again from the others; 'flotilla groups' shows when they are back",
		"code", "FL-1030", "aside", aside, "err", why)
	if err := os.Rename(dir, aside); err != nil {
		return none, fmt.Errorf("put damaged store aside: %w", err)
	}
	return open()
}
