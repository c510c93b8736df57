package group

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/raftlog"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/internal/lsm"
	"github.com/hashicorp/raft"
)

// Offline works on the replicas of a node that does not run, for groups that have lost their quorum for good (CLUSTER 7.3).
type Offline struct{ h *Host }

// NewOffline takes what it needs of a Host's configuration: Node, Dir, FS, Log, SystemLog, Stable and Shared.
func NewOffline(cfg Config) *Offline {
	cfg.Defaults()
	return &Offline{&Host{cfg: cfg, busy: map[cluster.GroupID]bool{}, free: make(chan struct{})}}
}

// Survivor is what a node still holds of a group.
type Survivor struct {
	Group    cluster.GroupID
	Server   cluster.ServerID
	Recovery uint32 // the epoch it belongs to
	Members  []Member
	// Term is the replica's, LastTerm and Last are the end of its log, Applied is how far its state is without it.
	Term, LastTerm, Last, Applied uint64
	// LastAt is when the last entry came, zero when the log is empty.
	LastAt time.Time
	// Unfinished: a recovery of it was begun, and goes on when it is asked for again.
	Unfinished bool
}

// Groups lists the groups that the node has a replica of, by number.
func (o *Offline) Groups() ([]cluster.GroupID, error) {
	names, err := o.h.cfg.FS.List(o.h.cfg.Dir)
	if err != nil {
		return nil, err
	}
	var all []cluster.GroupID
	for _, name := range names {
		var id cluster.GroupID
		if n, err := fmt.Sscanf(name, "g%d", &id); n != 1 || err != nil {
			continue
		}
		if ident, err := o.h.dir(id).readIdentity(); err == nil && ident == nil {
			continue
		}
		all = append(all, id)
	}
	slices.Sort(all)
	return all, nil
}

// offlineReplica is a replica's files, open.
type offlineReplica struct {
	dir    replicaDir
	ident  identity
	active activeState
	next   uint64 // number of the next state
	db     *lsm.DB
	m      *space.Machine
	log    *raftlog.Log
	stable *stableGuard
}

// open opens the files of a replica and holds them against each other.
func (o *Offline) open(id cluster.GroupID) (r *offlineReplica, err error) {
	dir := o.h.dir(id)
	ident, err := dir.readIdentity()
	if err == nil && ident == nil {
		err = ErrNoReplica
	}
	if err != nil {
		return nil, err
	}
	r = &offlineReplica{dir: dir, ident: *ident}
	if r.active, err = dir.active(); err != nil {
		return nil, err
	}
	highest, err := dir.clean(r.active.name)
	if err != nil {
		return nil, err
	}
	r.next = highest + 1
	if r.db, err = o.h.openPlain(dir.join(r.active.name)); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.close())
		}
	}()
	if r.m, err = space.OpenMachine(r.db, space.MachineConfig{}); err != nil {
		return nil, err
	}
	if r.log, err = o.h.logStore(id).Group(id); err != nil {
		return nil, err
	}
	a := r.m.Applied()
	stable := o.h.cfg.Stable.Group(id)
	err = raftlog.Check(r.log, stable, raftlog.State{Server: cluster.NewServerID(o.h.cfg.Node, ident.incarnation),
		Log: ident.logStore, Stable: ident.stableStore, Index: a.Index, Term: a.Term, Snapshot: r.active.origin})
	if err == nil {
		r.stable, err = newStableGuard(stable)
	}
	return r, err
}

func (r *offlineReplica) close() error {
	var err error
	if r.m != nil {
		err = r.m.Close()
	}
	return errors.Join(err, r.db.Close())
}

// Survey says what the node holds of a group.
func (o *Offline) Survey(id cluster.GroupID) (s *Survivor, err error) {
	if p, err := readPending(o.h.dir(id)); err != nil || p != nil {
		s = &Survivor{Group: id, Unfinished: true}
		if p != nil {
			s.Server, s.Recovery = cluster.NewServerID(o.h.cfg.Node, p.incarnation), p.recovery
			s.Term, s.LastTerm, s.Last, s.Applied = p.term, p.term, p.index, p.index
		}
		return s, err
	}
	r, err := o.open(id)
	if err != nil {
		return nil, fmt.Errorf("group %d: %w", id, err)
	}
	defer func() { err = errors.Join(err, r.close()) }()
	a := r.m.Applied()
	s = &Survivor{Group: id, Server: cluster.NewServerID(o.h.cfg.Node, r.ident.incarnation), Recovery: r.ident.recovery,
		Term: r.stable.term(), Applied: a.Index, LastTerm: a.Term, Last: a.Index}
	if a.Index > 0 {
		if s.Members, err = membersApplied(a); err != nil {
			return nil, err
		}
	}
	last, err := r.log.LastIndex()
	if err != nil {
		return nil, err
	}
	for i := a.Index + 1; i <= last; i++ {
		var e raft.Log
		if err := r.log.GetLog(i, &e); err != nil {
			return nil, err
		}
		s.Last, s.LastTerm, s.LastAt = e.Index, e.Term, e.AppendedAt
		if e.Type == raft.LogConfiguration {
			if s.Members, err = decodeRaftMembers(e.Data); err != nil {
				return nil, err
			}
		}
	}
	if s.LastAt.IsZero() && last > 0 {
		var e raft.Log
		if err := r.log.GetLog(last, &e); err != nil {
			return nil, err
		}
		s.LastAt = e.AppendedAt
	}
	return s, nil
}

// sequenceStep is by how much the sequence of every space is raised: beyond every effect that was lost.
const sequenceStep = 1 << 20

// Recover makes of what the node holds of a group a replica that is the group's only member, under a new server id and in a
// new recovery epoch. All entries of its log count, committed or not: some client may have been told so. renew is given the
// group's spaces, which nobody reads yet, to do what theirs need. What is on disk is exchanged at the end, by one file; a
// recovery that was interrupted after it goes on when it is asked for again.
func (o *Offline) Recover(ctx context.Context, id cluster.GroupID, renew func(context.Context, *space.Replica, uint32) error) (*Survivor, error) {
	dir := o.h.dir(id)
	p, err := readPending(dir)
	if err != nil {
		return nil, err
	}
	if p == nil {
		if p, err = o.prepare(ctx, id, renew); err != nil {
			return nil, fmt.Errorf("recover group %d: %w", id, err)
		}
	}
	if err := o.finish(dir, id, p); err != nil {
		return nil, fmt.Errorf("recover group %d: %w", id, err)
	}
	return o.Survey(id)
}

// prepare makes the new state beside the old one, and then says so.
func (o *Offline) prepare(ctx context.Context, id cluster.GroupID, renew func(context.Context, *space.Replica, uint32) error) (*adopted, error) {
	r, err := o.open(id)
	if err != nil {
		return nil, err
	}
	p := &adopted{name: stateName(r.next), recovery: r.ident.recovery + 1, suffrage: r.ident.suffrage}
	tmp := r.dir.join(p.name + tmpSuffix)
	_, err = r.m.Checkpoint(tmp)
	if err == nil {
		p.incarnation, err = drawIncarnation()
	}
	if err == nil {
		err = o.rebuild(ctx, r, tmp, p, renew)
	}
	if err := errors.Join(err, r.close()); err != nil {
		return nil, err
	}
	if err := syncDir(r.dir.fs, tmp); err != nil {
		return nil, err
	}
	if err := r.dir.fs.Rename(tmp, r.dir.join(p.name)); err != nil {
		return nil, err
	}
	if err := syncDir(r.dir.fs, r.dir.path); err != nil {
		return nil, err
	}
	return p, writePending(r.dir, p)
}

// rebuild applies the whole log to a copy of the state and makes it that of a group of one.
func (o *Offline) rebuild(ctx context.Context, r *offlineReplica, path string, p *adopted, renew func(context.Context, *space.Replica, uint32) error) (err error) {
	db, err := o.h.openPlain(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	m, err := space.OpenMachine(db, space.MachineConfig{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	if err := applyLog(m, r.log); err != nil {
		return err
	}
	a := m.Applied()
	if a.Index == 0 {
		return cluster.Errorf(cluster.KindUnavailable, "the group has not begun here: there is nothing to recover")
	}
	term := max(r.stable.term(), a.Term) + 1
	self := Member{ID: cluster.NewServerID(o.h.cfg.Node, p.incarnation), Suffrage: Voter}
	if _, err := m.Apply([]space.LogEntry{{Index: a.Index + 1, Term: term, Configuration: appendMembers(nil, []Member{self})}}); err != nil {
		return err
	}
	if err := m.RaiseSequences(sequenceStep); err != nil {
		return err
	}
	if err := renewSpaces(ctx, m, p, renew); err != nil {
		return err
	}
	if err := m.Flush(); err != nil {
		return err
	}
	p.index, p.term = m.Applied().Index, m.Applied().Term
	return nil
}

func renewSpaces(ctx context.Context, m *space.Machine, p *adopted, renew func(context.Context, *space.Replica, uint32) error) error {
	rep := space.New(m, space.NewLocal(m), space.Config{})
	defer rep.Close()
	g, err := m.Group()
	if err != nil {
		return err
	}
	g.RecoveryEpoch = max(g.RecoveryEpoch+1, uint64(p.recovery))
	p.recovery = uint32(g.RecoveryEpoch)
	if err := rep.SetGroup(ctx, g); err != nil {
		return err
	}
	return renew(ctx, rep, p.recovery)
}

// applyLog applies every entry that the state lacks.
func applyLog(m *space.Machine, log *raftlog.Log) error {
	last, err := log.LastIndex()
	if err != nil {
		return err
	}
	for i := m.Applied().Index + 1; i <= last; i++ {
		var l raft.Log
		if err := log.GetLog(i, &l); err != nil {
			return err
		}
		e := space.LogEntry{Index: l.Index, Term: l.Term}
		switch l.Type {
		case raft.LogCommand:
			e.Data = l.Data
		case raft.LogConfiguration:
			members, err := decodeRaftMembers(l.Data)
			if err != nil {
				return err
			}
			e.Configuration = appendMembers(nil, members)
		}
		if _, err := m.Apply([]space.LogEntry{e}); err != nil {
			return err
		}
	}
	return nil
}

// finish makes the new state the replica's. It may be done again.
func (o *Offline) finish(dir replicaDir, id cluster.GroupID, p *adopted) error {
	if err := o.h.checkAdopted(dir, *p); err != nil {
		return err
	}
	if _, err := o.h.makeReplica(dir, id, ReplicaConfig{Suffrage: p.suffrage}, *p); err != nil {
		return err
	}
	if err := removeIfThere(dir.fs, dir.join(recoveringFile)); err != nil {
		return err
	}
	return syncDir(dir.fs, dir.path)
}

// recoveringFile says that the state it names takes the place of the replica's, whatever IDENTITY and ACTIVE say: one line,
// name · index · term · incarnation · recovery epoch · suffrage.
const recoveringFile = "RECOVERING"

func writePending(dir replicaDir, p *adopted) error {
	return replaceFile(dir.fs, dir.path, recoveringFile,
		fmt.Appendf(nil, "%s %d %d %d %d %d\n", p.name, p.index, p.term, p.incarnation, p.recovery, p.suffrage))
}

// readPending returns nil when no recovery is under way.
func readPending(dir replicaDir) (*adopted, error) {
	b, err := readFile(dir.fs, dir.join(recoveringFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	p := new(adopted)
	n, err := fmt.Sscan(strings.TrimSuffix(string(b), "\n"), &p.name, &p.index, &p.term, &p.incarnation, &p.recovery, &p.suffrage)
	if _, ok := stateNumber(p.name); n != 6 || err != nil || !ok {
		return nil, cluster.Errorf(cluster.KindDamaged, "%s: holds %q", dir.join(recoveringFile), b)
	}
	return p, nil
}

// unfinished refuses to start a replica whose recovery was interrupted.
func unfinished(dir replicaDir, id cluster.GroupID) error {
	p, err := readPending(dir)
	if err == nil && p != nil {
		err = cluster.Errorf(cluster.KindUnavailable, "the recovery of group %d was interrupted: run 'flotilla groups recover %d' again", id, id)
	}
	return err
}

// RecoveryEpoch counts the forced recoveries that the replica's data has gone through.
func (g *Group) RecoveryEpoch() uint32 { return g.ident.recovery }

// Stored is the node's replica of a group as its files name it, before it is opened: its recovery epoch, and whether it
// ever had an entry. It is empty when the node has none.
func (h *Host) Stored(id cluster.GroupID) (self cluster.ServerID, recovery uint32, begun bool, err error) {
	ident, err := h.dir(id).readIdentity()
	if err != nil || ident == nil {
		return "", 0, false, err
	}
	log, err := h.logStore(id).Group(id)
	if err != nil {
		return "", 0, false, err
	}
	last, err := log.LastIndex()
	floor, _ := log.Floor()
	return cluster.NewServerID(h.cfg.Node, ident.incarnation), ident.recovery, last > 0 || floor.Index > 0, err
}
