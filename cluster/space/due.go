package space

import (
	"context"
	"fmt"
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
}

// NewDueRunner makes a runner; Run starts it.
func NewDueRunner(r *Replica, performer DuePerformer, config WorkConfig) *DueRunner {
	return &DueRunner{r: r, performer: performer, config: config.Defaults()}
}

// Run does what is due until ctx ends. It may be called again afterwards, but not twice at once.
func (d *DueRunner) Run(ctx context.Context) {
	d.lanes = d.config.lanes(d.run)
	d.r.serve(ctx, d.lanes)
}

func (d *DueRunner) run(ctx context.Context, which lane) (time.Time, error) {
	if which == (lane{}) {
		return d.config.Now().Add(d.config.Rescan), d.r.eachWithWork(reservedDue, func(id cluster.SpaceID, first []byte) error {
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

// runSpace does what is due now, each once; what fails is tried again with the next run. It returns when more is due.
func (d *DueRunner) runSpace(ctx context.Context, id cluster.SpaceID) (time.Time, error) {
	now := d.config.Now()
	list, next, err := d.dueUntil(ctx, id, now)
	if err != nil {
		return time.Time{}, err
	}
	for _, due := range list {
		if oneErr := d.performOne(ctx, id, due); oneErr != nil && err == nil {
			err = oneErr
		}
	}
	return next, err
}

func (d *DueRunner) performOne(ctx context.Context, id cluster.SpaceID, due Due) error {
	ctx, cancel := context.WithTimeout(ctx, d.config.Timeout)
	defer cancel()
	if err := d.performer.PerformDue(ctx, id, due); err != nil {
		return fmt.Errorf("due op %d: %w", due.Op, err)
	}
	return nil
}

// dueUntil reads what is due at now, and when the first of the rest is.
func (d *DueRunner) dueUntil(ctx context.Context, id cluster.SpaceID, now time.Time) (list []Due, next time.Time, err error) {
	err = d.r.View(ctx, id, ReadLease, func(v Reader) error {
		list, next = nil, time.Time{}
		it := v.(*reader).iter([]byte{reservedDue}, []byte{reservedDue + 1})
		for it.Next() {
			due, err := parseDue(it.Key())
			if err != nil {
				return err
			}
			if due.At.After(now) || len(list) == dueAtOnce {
				next = due.At
				break
			}
			list = append(list, due)
		}
		return it.Close()
	})
	return list, next, err
}
