package sim

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/store"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/selftest/history"
	"github.com/flotilla-mail/flotilla/internal/wire"
	"github.com/flotilla-mail/flotilla/placement"
)

// Options say what a run consists of. The zero value of each field means its default.
type Options struct {
	// Seed decides the faults, the delays and what the clients do.
	Seed uint64
	// Dir is where the files of terms and votes are, which are real ones; best in memory.
	Dir string
	// Groups, Boxes and Clients are how many there are, of mailboxes: 2, 3 and 5.
	Groups, Boxes, Clients int
	// Rounds is how often there is trouble, for Trouble, and then peace in which all is compared: 2 and 4 s.
	Rounds  int
	Trouble time.Duration
}

// Defaults fills in what is zero.
func (o Options) Defaults() Options {
	for _, f := range []struct {
		field *int
		value int
	}{{&o.Groups, 2}, {&o.Boxes, 3}, {&o.Clients, 5}, {&o.Rounds, 2}} {
		if *f.field == 0 {
			*f.field = f.value
		}
	}
	if o.Trouble == 0 {
		o.Trouble = 4 * time.Second
	}
	return o
}

// Result is what a run left.
type Result struct {
	Records []history.Record
	// Log says what happened to the nodes, in order.
	Log []string
	// Faults is how many faults there were, Moves how many mailboxes moved to another group, Virtual how long the run took
	// in its own time.
	Faults, Moves int
	Virtual       time.Duration
}

// run is one simulation.
type run struct {
	Options
	w        *World
	log      *history.Log
	load     *load
	watchers []*watcher
	faults   atomic.Int64
	fleet    sync.Mutex // held while nodes are added or removed
}

// Run simulates a cluster under faults and load. It must be called in a bubble of testing/synctest, where time passes only
// when everybody waits. An error means that the cluster itself broke: what it did to mailboxes is in the records.
func Run(o Options) (*Result, error) {
	o = o.Defaults()
	r := &run{Options: o, log: history.NewLog()}
	began := time.Now()
	var err error
	if r.w, err = newWorld(o.Dir, o.Groups, rand.New(rand.NewPCG(o.Seed, 2))); err == nil {
		err = r.play()
	}
	if r.w == nil {
		return nil, err
	}
	err = errors.Join(err, r.w.close(), r.w.fault)
	return &Result{Records: r.log.Records(), Log: r.w.log, Faults: int(r.faults.Load()), Moves: r.w.moves[placement.MoveFlipped], Virtual: time.Since(began)}, err
}

func (r *run) play() error {
	if err := r.rest(context.Background()); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	boxes, err := r.makeBoxes()
	if err != nil {
		return err
	}
	r.load = newLoad(r.w, r.log, boxes)
	ctx, stop := context.WithCancel(context.Background())
	var work sync.WaitGroup
	defer work.Wait()
	defer stop()
	for i, b := range boxes {
		v := r.load.newWatcher(i, b, r.source(100+i))
		r.watchers = append(r.watchers, v)
		work.Go(func() { v.run(ctx) })
	}
	for round := range r.Rounds {
		if err := r.war(ctx, round); err != nil {
			return err
		}
		if err := r.peace(ctx, round+1); err != nil {
			return err
		}
	}
	return nil
}

// source is a stream of the seed.
func (r *run) source(n int) *rand.Rand { return rand.New(rand.NewPCG(r.Seed, uint64(n))) }

func (r *run) makeBoxes() ([]*mailbox, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var all []*mailbox
	for i := range r.Boxes {
		b := &mailbox{name: fmt.Sprintf("b%d", i+1), owner: exmdb.Identity{User: mapi.NewGUID(), Privileges: exmdb.PrivilegeOwner}}
		b.id = mapi.NewMailboxID()
		b.id[0] = byte(i)
		_, err := r.w.all()[0].process().caller.CreateMailbox(ctx, b.id, &exmdb.CreateMailboxRequest{Kind: exmdb.MailboxUser, Owner: b.owner.User})
		if err != nil {
			return nil, fmt.Errorf("create mailbox: %w", err)
		}
		all = append(all, b)
	}
	return all, nil
}

// war lets clients work while faults come and go.
func (r *run) war(ctx context.Context, round int) error {
	ctx, cancel := context.WithTimeout(ctx, r.Trouble)
	defer cancel()
	var work sync.WaitGroup
	for i := range r.Clients {
		c := &user{load: r.load, name: fmt.Sprintf("c%d", i+1), rng: r.source(1000*(round+1) + i)}
		work.Go(func() { c.run(ctx) })
	}
	errs := make([]error, 2)
	for i := range errs {
		t := &trouble{run: r, rng: r.source(10*(round+1) + i)}
		work.Go(func() { errs[i] = t.make(ctx) })
	}
	work.Wait()
	return errors.Join(errs[0], errs[1], r.heal())
}

// settling is how long after the end of all trouble whatever is late may come.
const settling = 8 * time.Second

// peace waits until the cluster has come to rest and all replicas have everything, and notes what each shows.
func (r *run) peace(ctx context.Context, point int) error {
	wait(ctx, settling)
	if err := r.rest(ctx); err != nil {
		return err
	}
	m := r.w.newestMap()
	for i := range m.Groups {
		if err := r.hash(ctx, &m.Groups[i]); err != nil {
			return err
		}
	}
	handlers := store.New(store.Defaults()).Handlers()
	changes := &handlers[slices.IndexFunc(handlers, func(h store.Handler) bool { return h.ID == exmdb.OpChanges.ID })]
	for _, b := range r.load.boxes {
		for _, rep := range m.Group(r.place(b)).Replicas {
			if err := r.final(ctx, r.w.node(rep.Server.Node()), b, changes, point); err != nil {
				return err
			}
		}
	}
	for _, v := range r.watchers {
		rec := v.view(point)
		rec.Call = r.log.Now()
		rec.Return = rec.Call
		r.log.Put(rec)
	}
	return nil
}

// hash compares the replicas of a group once they stand at one index.
func (r *run) hash(ctx context.Context, g *placement.Group) error {
	ctx, cancel := context.WithTimeout(ctx, settling)
	defer cancel()
	for {
		at := map[uint64]bool{}
		for _, rep := range g.Replicas {
			at[r.replica(g.ID, rep.Server.Node()).Machine().Applied().Index] = true
		}
		if len(at) == 1 {
			break
		}
		if ctx.Err() != nil {
			return fmt.Errorf("replicas of group %d do not catch up: %s", g.ID, r.w.standing(g.ID))
		}
		wait(ctx, 100*time.Millisecond)
	}
	for _, rep := range g.Replicas {
		index, sum, err := r.replica(g.ID, rep.Server.Node()).Machine().Hash(ctx)
		if err != nil {
			return err
		}
		now := r.log.Now()
		r.log.Put(history.Record{Client: "judge", Op: history.Replica, Node: string(rep.Server.Node()), Group: uint64(g.ID), Index: index,
			Hash: hex.EncodeToString(sum[:8]), Call: now, Return: now, Outcome: history.OK})
	}
	return nil
}

// replica is a node's of a group, which is there: the cluster is at rest.
func (r *run) replica(g cluster.GroupID, node cluster.NodeID) *space.Replica {
	return r.w.node(node).process().Replica(g)
}

// final reads a mailbox from the replica of one node, behind a read index.
func (r *run) final(ctx context.Context, nd *node, b *mailbox, changes *store.Handler, point int) error {
	ctx, cancel := context.WithTimeout(ctx, settling)
	defer cancel()
	rec := history.Record{Client: "judge", Op: history.Final, Box: b.name, Node: string(nd.id), Point: point, Outcome: history.OK}
	id := cluster.SpaceID(b.id)
	var err error
	r.log.Do(rec, func(rec *history.Record) {
		resp := new(exmdb.ChangesResponse)
		err = r.replica(r.place(b), nd.id).View(ctx, id, space.ReadIndex, func(s space.Reader) error {
			raw, err := changes.View(s, &b.owner, wire.Marshal(changesSince(0)))
			if err != nil {
				return err
			}
			return wire.Unmarshal(raw, resp)
		})
		rec.State = stateOf(resp)
	})
	if err != nil {
		return fmt.Errorf("read %s at %s in peace: %w", b.name, nd.id, err)
	}
	return nil
}
