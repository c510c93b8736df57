package space

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
)

// DuePerformer runs work at its time (CLUSTER 2.2).
type DuePerformer interface {
	// PerformDue does d and unschedules it: its Update calls Take and does nothing when that reports false.
	// Whatever is still scheduled afterwards is run again; after an error, with a pause.
	PerformDue(ctx context.Context, space cluster.SpaceID, d Due) error
}

// DueRunner runs what is due in a group's spaces. It runs where the group is led.
type DueRunner struct {
	r         *Replica
	performer DuePerformer
	config    WorkConfig
	lanes     *lanes

	mu    sync.Mutex
	aside map[cluster.SpaceID]aside // guarded by mu; only spaces with failures. Their lanes own what is in it
}

// aside holds, by key of the due index, the works of a space that failed. They are stepped over until their pauses end,
// so that they hold up nothing behind them.
type aside map[string]setback

type setback struct {
	fails int
	until time.Time
}

// NewDueRunner makes a runner; Run starts it.
func NewDueRunner(r *Replica, performer DuePerformer, config WorkConfig) *DueRunner {
	return &DueRunner{r: r, performer: performer, config: config.Defaults()}
}

// Run does what is due until ctx ends. It may be called again afterwards, but not twice at once.
func (d *DueRunner) Run(ctx context.Context) {
	d.lanes = d.config.lanes(d.run)
	d.aside = nil
	d.r.serve(ctx, d.lanes)
}

func (d *DueRunner) run(ctx context.Context, which lane) (time.Time, error) {
	if which == (lane{}) {
		return d.config.Now().Add(d.config.Rescan), d.r.eachWithWork(ctx, reservedDue, func(id cluster.SpaceID, first []byte) error {
			due, err := parseDue(first)
			if err == nil {
				d.lanes.due(lane{space: id}, due.At)
			}
			return err
		})
	}
	return d.runSpace(ctx, which.space)
}

// dueAtOnce is how many due works of a space are read together.
const dueAtOnce = 64

// runSpace does what is due now, each once; what fails is tried again after a pause. It returns when more is due.
func (d *DueRunner) runSpace(ctx context.Context, id cluster.SpaceID) (time.Time, error) {
	list, failed, next, err := d.dueUntil(ctx, id, d.config.Now())
	if err != nil {
		return time.Time{}, err
	}
	for _, due := range list {
		key := string(dueKey(due))
		err := d.performOne(ctx, id, due)
		if ctx.Err() != nil {
			return time.Time{}, nil // it failed for that, or not at all; who leads next does it
		}
		if err == nil {
			delete(failed, key)
			continue
		}
		if d.config.Failed != nil {
			d.config.Failed(id, err)
		}
		fails := failed[key].fails + 1
		failed[key] = setback{fails, d.config.Now().Add(d.config.pause(fails))}
		next = sooner(next, failed[key].until)
	}
	d.setAside(id, failed)
	return next, nil
}

// sooner is the earlier of two times, of which zero is none.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}

func (d *DueRunner) setAside(id cluster.SpaceID, failed aside) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(failed) == 0 {
		delete(d.aside, id)
		return
	}
	if d.aside == nil {
		d.aside = make(map[cluster.SpaceID]aside)
	}
	d.aside[id] = failed
}

func (d *DueRunner) performOne(ctx context.Context, id cluster.SpaceID, due Due) error {
	ctx, cancel := context.WithTimeout(ctx, d.config.Timeout)
	defer cancel()
	if err := d.performer.PerformDue(ctx, id, due); err != nil {
		return fmt.Errorf("due op %d: %w", due.Op, err)
	}
	return nil
}

// dueUntil reads what is due at now and not set aside, what of that is still scheduled, and when there is more to do.
func (d *DueRunner) dueUntil(ctx context.Context, id cluster.SpaceID, now time.Time) (list []Due, failed aside, next time.Time, err error) {
	d.mu.Lock()
	was := d.aside[id]
	d.mu.Unlock()
	err = d.r.View(ctx, id, ReadLease, func(v Reader) error {
		list, failed, next = nil, aside{}, time.Time{}
		it := v.(*reader).iter([]byte{reservedDue}, []byte{reservedDue + 1})
		for it.Next() {
			due, err := parseDue(it.Key())
			if err != nil {
				return err
			}
			key := string(it.Key())
			if due.At.After(now) || len(list) == dueAtOnce {
				next = sooner(next, due.At)
				was.rest(key, failed)
				break
			}
			set, ok := was[key]
			if ok {
				failed[key] = set
			}
			if set.until.After(now) {
				next = sooner(next, set.until)
				continue
			}
			list = append(list, due)
		}
		return it.Close()
	})
	return list, failed, next, unlessGone(err)
}

// rest copies what stands at key or behind it.
func (a aside) rest(key string, to aside) {
	for k, set := range a {
		if k >= key {
			to[k] = set
		}
	}
}
