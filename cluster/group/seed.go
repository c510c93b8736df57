package group

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/transport"
	"github.com/hashicorp/raft"
)

// SeedProgress is how far the state of a new replica has come.
type SeedProgress struct {
	Group cluster.GroupID
	From  cluster.NodeID
	// Bytes of Total are here.
	Bytes, Total int64
}

// seeding is a seed under way.
type seeding struct {
	h     *Host
	id    cluster.GroupID
	dir   replicaDir
	name  string // of the state directory to be
	from  atomic.Pointer[cluster.NodeID]
	bytes atomic.Int64
	total atomic.Int64
}

// Seeds lists the seeds under way, by group.
func (h *Host) Seeds() []SeedProgress {
	h.mu.RLock()
	defer h.mu.RUnlock()
	var all []SeedProgress
	for id, s := range h.seeds {
		p := SeedProgress{Group: id, Bytes: s.bytes.Load(), Total: s.total.Load()}
		if from := s.from.Load(); from != nil {
			p.From = *from
		}
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b SeedProgress) int { return int(a.Group) - int(b.Group) })
	return all
}

// Seed makes a replica of a group, of which the node holds none, from the files of another's state, and leaves it to be
// opened (CLUSTER 5.4). It asks the nodes of from in turn. What has arrived before it was stopped, here or there, is not
// sent again. It reports false when the state is so small that raft may send it.
func (h *Host) Seed(ctx context.Context, id cluster.GroupID, rc ReplicaConfig, from []cluster.NodeID) (bool, error) {
	s, err := h.beginSeed(id)
	if err != nil {
		return false, err
	}
	defer h.endSeed(id)
	var errs []error
	for _, node := range from {
		head, err := s.fetch(ctx, node)
		if errors.Is(err, errSeedSmall) {
			return false, nil
		}
		if err == nil {
			err = h.adopt(s.dir, id, rc, adopted{name: s.name, index: head.lastIndex, term: head.lastTerm})
		}
		if err == nil {
			h.spawn(func() { h.holdUntilCaughtUp(id, head) })
			return true, nil
		}
		errs = append(errs, fmt.Errorf("seed group %d from %s: %w", id, node, err))
		if ctx.Err() != nil {
			break
		}
	}
	return false, errors.Join(errs...)
}

func (h *Host) beginSeed(id cluster.GroupID) (*seeding, error) {
	dir := h.dir(id)
	if ident, err := dir.readIdentity(); err != nil || ident != nil {
		return nil, errors.Join(err, fmt.Errorf("seed group %d: %w", id, cluster.ErrExists))
	}
	if h.cfg.DiskFull() {
		return nil, fmt.Errorf("seed group %d: %w", id, h.diskFull())
	}
	s := &seeding{h: h, id: id, dir: dir, name: stateName(1)}
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.closed:
		return nil, errClosing
	case h.seeds[id] != nil || h.groups[id] != nil:
		return nil, fmt.Errorf("seed group %d: %w", id, cluster.ErrExists)
	}
	if h.seeds == nil {
		h.seeds = map[cluster.GroupID]*seeding{}
	}
	h.seeds[id] = s
	return s, nil
}

func (h *Host) endSeed(id cluster.GroupID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.seeds, id)
}

func (s *seeding) files() snapshotFiles {
	return s.dir.files(s.name + tmpSuffix)
}

// fetch gets the state from a node, as far as it is not here, and gives its directory its name.
func (s *seeding) fetch(ctx context.Context, node cluster.NodeID) (*snapshotHeader, error) {
	s.from.Store(&node)
	have, err := s.have()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stream, err := s.h.cfg.Net.OpenStream(ctx, node, s.id, seedHeader())
	if err != nil {
		return nil, err
	}
	defer stream.Close()
	defer context.AfterFunc(ctx, func() { stream.Close() })()
	moving := &movingStream{stream, streamIdle}
	if _, err := moving.Write(encodeHave(have)); err != nil {
		return nil, err
	}
	if err := stream.CloseWrite(); err != nil {
		return nil, err
	}
	offer, err := readOffer(moving)
	if err != nil {
		return nil, err
	}
	held := make(chan struct{})
	go func() {
		defer close(held)
		s.h.holdWhile(ctx, s.id, &offer.head, cancel)
	}()
	err = s.receive(moving, offer, have)
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	cancel(nil)
	<-held
	if err != nil {
		return nil, err
	}
	return &offer.head, s.finish()
}

// prepare makes the folder that files arrive in. One that was whole, and was not adopted before the process ended, is
// looked at again.
func (s *seeding) prepare() error {
	f := s.files()
	if err := s.dir.create(); err != nil {
		return err
	}
	if _, err := f.fs.Stat(f.dir); err == nil {
		return f.fs.RemoveAll(s.dir.join(s.name))
	}
	if _, err := f.fs.Stat(s.dir.join(s.name)); err == nil {
		return f.fs.Rename(s.dir.join(s.name), f.dir)
	}
	return f.fs.MkdirAll(f.dir, 0o755)
}

// have lists the files that are here whole, and removes what is not.
func (s *seeding) have() ([]hadFile, error) {
	if err := s.prepare(); err != nil {
		return nil, err
	}
	f := s.files()
	names, err := f.fs.List(f.dir)
	if err != nil {
		return nil, err
	}
	var have []hadFile
	for _, name := range names {
		if strings.HasSuffix(name, partSuffix) {
			if err := f.fs.Remove(f.fs.PathJoin(f.dir, name)); err != nil {
				return nil, err
			}
			continue
		}
		info, err := f.fs.Stat(f.fs.PathJoin(f.dir, name))
		if err != nil {
			return nil, err
		}
		sum, err := f.sum(name)
		if err != nil {
			return nil, err
		}
		have = append(have, hadFile{streamFile{name, info.Size()}, sum})
	}
	return have, nil
}

// receive writes the files that the source sends, once those that it does not have are away.
func (s *seeding) receive(from io.Reader, offer *seedOffer, have []hadFile) error {
	s.total.Store(offer.head.size)
	s.bytes.Store(0)
	f := s.files()
	wanted := map[string]bool{}
	for _, w := range offer.files {
		wanted[w.name] = true
	}
	for _, had := range have {
		if wanted[had.name] {
			s.bytes.Add(had.size)
			continue
		}
		if err := f.fs.Remove(f.fs.PathJoin(f.dir, had.name)); err != nil {
			return err
		}
	}
	target := &seedTarget{snapshotFiles: f, s: s}
	w := newStreamWriter(target)
	n, err := io.CopyBuffer(struct{ io.Writer }{w}, from, make([]byte, streamBuffer))
	switch {
	case err != nil:
		return errors.Join(err, w.abort(), target.abandon())
	case n > 0:
		err = w.finish()
	}
	if err == nil {
		err = errors.Join(target.settle(), target.settle())
	}
	if err != nil {
		return errors.Join(err, w.abort(), target.abandon())
	}
	return s.complete(offer.files)
}

// complete reports whether every file is here.
func (s *seeding) complete(files []streamFile) error {
	f := s.files()
	for _, want := range files {
		info, err := f.fs.Stat(f.fs.PathJoin(f.dir, want.name))
		if err != nil {
			return fmt.Errorf("seed: %w", err)
		}
		if info.Size() != want.size {
			return fmt.Errorf("seed: %s has %d bytes, the source has %d", want.name, info.Size(), want.size)
		}
	}
	return nil
}

// finish gives the directory its name, once it is durable.
func (s *seeding) finish() error {
	f := s.files()
	if err := syncDir(f.fs, f.dir); err != nil {
		return err
	}
	if err := f.fs.Rename(f.dir, s.dir.join(s.name)); err != nil {
		return err
	}
	return syncDir(f.fs, s.dir.path)
}

// partSuffix is of a file that is not whole.
const partSuffix = ".part"

// seedTarget writes files that get their names when they have arrived whole and are durable. One is made durable while
// the next arrives.
type seedTarget struct {
	snapshotFiles
	s      *seeding
	last   *arriving // the file that arrives, or did
	before *arriving // the one before it
}

// arriving is a file without its name.
type arriving struct {
	name    string
	durable chan error // tells how making it durable ended, once it is closed
}

// Create implements fileTarget. That the next file begins says that the one before was whole.
func (t *seedTarget) Create(name string) (io.WriteCloser, error) {
	if err := t.settle(); err != nil {
		return nil, err
	}
	w, err := t.snapshotFiles.Create(name + partSuffix)
	if err != nil {
		return nil, err
	}
	t.last = &arriving{name: name, durable: make(chan error, 1)}
	if info, err := t.fs.Stat(t.fs.PathJoin(t.dir, name)); err == nil {
		t.s.bytes.Add(-info.Size()) // counted as here, and sent again
	}
	return countedFile{w, t.s, t.last}, nil
}

// settle names the file before the last, which may still be on its way to the disk.
func (t *seedTarget) settle() error {
	a := t.before
	t.before, t.last = t.last, nil
	if a == nil {
		return nil
	}
	if err := <-a.durable; err != nil {
		return err
	}
	return t.fs.Rename(t.fs.PathJoin(t.dir, a.name+partSuffix), t.fs.PathJoin(t.dir, a.name))
}

// abandon waits for what is still being made durable. The file that was arriving has been closed.
func (t *seedTarget) abandon() error {
	var err error
	for _, a := range []*arriving{t.before, t.last} {
		if a != nil {
			err = errors.Join(err, <-a.durable)
		}
	}
	return err
}

type countedFile struct {
	io.WriteCloser
	s *seeding
	a *arriving
}

// Close begins to make the file durable.
func (c countedFile) Close() error {
	go func() { c.a.durable <- c.WriteCloser.Close() }() // waited for by settle or abandon
	return nil
}

func (c countedFile) Write(p []byte) (int, error) {
	n, err := c.WriteCloser.Write(p)
	c.s.bytes.Add(int64(n))
	return n, err
}

const (
	// holdEvery is how often the log is asked to be held.
	holdEvery = time.Second
	// holdPatience is how long an answer to that may take.
	holdPatience = 5 * time.Second
)

// errSeedOvertaken: the leader's log begins behind what is being seeded.
var errSeedOvertaken = cluster.Errorf(cluster.KindUnavailable, "the log was shortened beyond the seed: it begins anew")

// holdWhile keeps asking the members to hold their logs until ctx ends; when the leader has not, it cancels.
func (h *Host) holdWhile(ctx context.Context, id cluster.GroupID, head *snapshotHeader, cancel context.CancelCauseFunc) {
	t := time.NewTicker(holdEvery)
	defer t.Stop()
	for {
		if !h.askHolds(ctx, id, head) {
			cancel(errSeedOvertaken)
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// holdUntilCaughtUp holds the logs while a seeded replica is let in and catches up.
func (h *Host) holdUntilCaughtUp(id cluster.GroupID, head *snapshotHeader) {
	t := time.NewTicker(holdEvery)
	defer t.Stop()
	for {
		at := *head
		if g := h.Group(id); g != nil {
			if g.caughtUp.Load() {
				return
			}
			at.lastIndex = g.machine.Applied().Index
		}
		if !h.askHolds(h.ctx, id, &at) {
			return // raft sends a snapshot
		}
		select {
		case <-h.ctx.Done():
			return
		case <-t.C:
		}
	}
}

// askHolds asks every member to hold its log, whoever of them leads, and reports false when the leader's begins too late.
func (h *Host) askHolds(ctx context.Context, id cluster.GroupID, head *snapshotHeader) bool {
	ok := true
	for _, m := range head.members {
		node := m.ID.Node()
		if node == h.cfg.Node {
			continue
		}
		leads, first, err := h.askHold(ctx, node, id, head.lastIndex)
		if err == nil && leads && first > head.lastIndex+1 {
			ok = false
		}
	}
	return ok
}

func (h *Host) askHold(ctx context.Context, node cluster.NodeID, id cluster.GroupID, index uint64) (leads bool, first uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, holdPatience)
	defer cancel()
	call, err := h.cfg.Net.Send(ctx, transport.Message{To: node, Class: transport.Control, Group: id, Kind: kindHold,
		Payload: [][]byte{appendU64(nil, index)}})
	if err != nil {
		return false, 0, err
	}
	b, _, err := call.Wait(ctx)
	if err != nil {
		return false, 0, err
	}
	r := &reader{b: b}
	flags := r.u8()
	leads, first = flags&holdLeads != 0, r.u64()
	if flags&holdCommits != 0 {
		h.pace.commitThere()
	}
	return leads, first, r.done()
}

func appendU64(b []byte, v uint64) []byte { return binary.LittleEndian.AppendUint64(b, v) }

// adopted is a state directory that another replica has filled, and where it stands.
type adopted struct {
	name        string
	index, term uint64
	recovery    uint32
	incarnation uint64 // of the replica to be; 0 draws one
	suffrage    Suffrage
}

// adopt makes a state that is there, whole and durable, that of a new replica under a new server id. Raft starts from it
// as after an installed snapshot. The identity is written last: without it there is no replica.
func (h *Host) adopt(dir replicaDir, id cluster.GroupID, rc ReplicaConfig, a adopted) error {
	if err := h.claim(id); err != nil {
		return err
	}
	defer h.unclaim(id)
	if err := h.checkAdopted(dir, a); err != nil {
		return errors.Join(err, dir.fs.RemoveAll(dir.join(a.name)))
	}
	_, err := h.makeReplica(dir, id, rc, a)
	return err
}

// checkAdopted opens the state once, and compares it with what its source said.
func (h *Host) checkAdopted(dir replicaDir, a adopted) error {
	db, err := h.openPlain(dir.join(a.name))
	if err != nil {
		return err
	}
	return errors.Join(checkReceived(db, &raft.SnapshotMeta{Index: a.index, Term: a.term}), db.Close())
}
