package space

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
)

// Performer carries out intents at their targets (CLUSTER 2.1).
type Performer interface {
	// Perform does what in asks for, under (source, number): at the target it calls Once in the Update that does
	// it. Nil means done, here or before, or given up for good; any error means the intent is tried again, and
	// those behind it for the same target wait. A target name must lead to the same space each time, and no two
	// names to one space.
	Perform(ctx context.Context, source cluster.SpaceID, number uint64, in Intent) error
}

// WorkConfig is what a Pump or a DueRunner may be told; zero fields mean their defaults.
type WorkConfig struct {
	// Now is the clock; time.Now when nil.
	Now func() time.Time
	// Workers is how many works run at once. Default 8.
	Workers int
	// Timeout ends one work that takes too long. Default 30 s.
	Timeout time.Duration
	// Retry is the pause after a failure; it doubles up to RetryMost. Defaults 100 ms and 30 s.
	Retry, RetryMost time.Duration
	// Rescan is how often all spaces are looked through for work that was not announced. Default 1 min.
	Rescan time.Duration
	// Failed reports a failure; what failed is tried again. It may be nil.
	Failed func(space cluster.SpaceID, err error)
}

// Defaults fills in what is zero.
func (c WorkConfig) Defaults() WorkConfig {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Workers <= 0 {
		c.Workers = 8
	}
	defaults := []struct {
		field *time.Duration
		value time.Duration
	}{
		{&c.Timeout, 30 * time.Second}, {&c.Retry, 100 * time.Millisecond},
		{&c.RetryMost, 30 * time.Second}, {&c.Rescan, time.Minute},
	}
	for _, d := range defaults {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	return c
}

// pause is how long to wait after so many failures in a row.
func (c *WorkConfig) pause(fails int) time.Duration {
	return min(c.Retry<<min(fails-1, 16), c.RetryMost)
}

// lanes makes the runner of a Pump or a DueRunner.
func (c WorkConfig) lanes(run func(context.Context, lane) (time.Time, error)) *lanes {
	l := &lanes{now: c.Now, workers: c.Workers, pause: c.pause, run: run}
	if c.Failed != nil {
		l.failed = func(which lane, err error) { c.Failed(which.space, err) }
	}
	l.init()
	return l
}

// serve runs lanes until ctx ends. The lane without space looks through all of them.
func (r *Replica) serve(ctx context.Context, l *lanes) {
	l.due(lane{}, l.now())
	stop := r.onWork(func(id cluster.SpaceID) { l.due(lane{space: id}, l.now()) })
	defer stop()
	l.loop(ctx)
}

// onWork calls fn for each space that may have new outbox or due entries, until stop is called.
func (r *Replica) onWork(fn func(cluster.SpaceID)) (stop func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.workers = append(r.workers[:len(r.workers):len(r.workers)], &fn)
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		var kept []*func(cluster.SpaceID)
		for _, w := range r.workers {
			if w != &fn {
				kept = append(kept, w)
			}
		}
		r.workers = kept
	}
}

// Pump performs the intents in the outboxes of a group's spaces, in order for each target, and then deletes them.
// It runs where the group is led; two that run at once, around a change of leader, do no harm.
type Pump struct {
	r         *Replica
	performer Performer
	config    WorkConfig
	lanes     *lanes
}

// NewPump makes a pump; Run starts it.
func NewPump(r *Replica, performer Performer, config WorkConfig) *Pump {
	return &Pump{r: r, performer: performer, config: config.Defaults()}
}

// Run performs intents until ctx ends. It may be called again afterwards, but not twice at once.
func (p *Pump) Run(ctx context.Context) {
	p.lanes = p.config.lanes(p.run)
	p.r.serve(ctx, p.lanes)
}

func (p *Pump) run(ctx context.Context, which lane) (time.Time, error) {
	switch {
	case which == lane{}:
		return p.config.Now().Add(p.config.Rescan), p.r.eachWithWork(ctx, reservedOutbox, func(id cluster.SpaceID, _ []byte) error {
			p.lanes.due(lane{space: id}, p.config.Now())
			return nil
		})
	case which.target == "":
		return time.Time{}, p.findTargets(ctx, which.space)
	}
	for {
		more, err := p.perform(ctx, which)
		if err != nil || !more {
			return time.Time{}, err
		}
	}
}

// eachWithWork calls fn with the first key behind the reserved prefix of every active space that has one. A new leader has
// not applied all that the one before it committed, and nobody announces that later: so this is a read like any other, which waits
// for it.
func (r *Replica) eachWithWork(ctx context.Context, prefix byte, fn func(id cluster.SpaceID, first []byte) error) error {
	end, err := r.repl.BeginRead(ctx, ReadLease)
	if err != nil {
		return err
	}
	if err := r.eachApplied(prefix, fn); err != nil {
		return err
	}
	return end()
}

func (r *Replica) eachApplied(prefix byte, fn func(id cluster.SpaceID, first []byte) error) error {
	spaces, err := r.Spaces()
	if err != nil {
		return err
	}
	for _, s := range spaces {
		if s.State != Active {
			continue
		}
		first, err := r.machine.firstKey(s.ID, prefix)
		if err == nil && first != nil {
			err = fn(s.ID, first)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// firstKey returns the lowest of the space's keys that begin with prefix, nil when it has none.
func (m *Machine) firstKey(id cluster.SpaceID, prefix byte) (first []byte, err error) {
	db, release, err := m.engine()
	if err != nil {
		return nil, err
	}
	defer release()
	it := db.NewIter(dataKey(id, []byte{prefix}), dataKey(id, []byte{prefix + 1}))
	if it.First() {
		first = bytes.Clone(it.Key()[dataStart:])
	}
	return first, it.Close()
}

// findTargets starts a lane for each target that the space's outbox names.
func (p *Pump) findTargets(ctx context.Context, id cluster.SpaceID) error {
	err := p.r.View(ctx, id, ReadLease, func(v Reader) error {
		it := v.(*reader).iter([]byte{reservedOutbox}, []byte{reservedOutbox + 1})
		for ok := it.Next(); ok; {
			n, err := decodeIntent(it.Key(), it.Value())
			if err != nil {
				return err
			}
			p.lanes.due(lane{id, n.Target}, p.config.Now())
			ok = it.SeekGE(prefixEnd(outboxLane(n.Target)))
		}
		return it.Close()
	})
	return unlessGone(err)
}

// unlessGone is err, but nil where the space was dropped or has moved away: what there was to do has gone with it.
func unlessGone(err error) error {
	if err != nil && cluster.KindOf(err) == cluster.KindNoSpace {
		return nil
	}
	return err
}

// performAtOnce and performBytes bound how many intents are read, performed and then deleted together.
const (
	performAtOnce = 16
	performBytes  = 1 << 20
)

// perform does the oldest intents of a lane and deletes those that were done. It reports whether there may be more.
func (p *Pump) perform(ctx context.Context, which lane) (more bool, err error) {
	list, more, err := p.oldest(ctx, which)
	if err != nil {
		return false, err
	}
	done := 0
	for _, n := range list {
		if err = p.performOne(ctx, which.space, n); err != nil {
			break
		}
		done++
	}
	if done == 0 {
		return false, err
	}
	_, derr := p.r.Update(ctx, which.space, cluster.RequestID{}, func(w Writer) ([]byte, error) {
		sw := w.(*writer)
		for _, n := range list[:done] {
			sw.over.delete(outboxKey(n.Target, n.number))
		}
		return nil, nil
	})
	if err == nil {
		err = derr
	}
	return more, err
}

func (p *Pump) performOne(ctx context.Context, source cluster.SpaceID, n numbered) error {
	ctx, cancel := context.WithTimeout(ctx, p.config.Timeout)
	defer cancel()
	if err := p.performer.Perform(ctx, source, n.number, n.Intent); err != nil {
		return fmt.Errorf("intent %d for %s: %w", n.number, n.Target, err)
	}
	return nil
}

// oldest reads the lowest intents of a lane, and whether there are more behind them.
func (p *Pump) oldest(ctx context.Context, which lane) (list []numbered, more bool, err error) {
	err = p.r.View(ctx, which.space, ReadLease, func(v Reader) error {
		list, more = nil, false
		size := 0
		origins, err := v.(*reader).origins()
		if err != nil {
			return err
		}
		lo := outboxLane(which.target)
		it := v.(*reader).iter(lo, prefixEnd(lo))
		for it.Next() {
			if len(list) == performAtOnce || size > performBytes {
				more = true
				break
			}
			n, err := decodeIntent(it.Key(), it.Value())
			if err != nil {
				return err
			}
			n.Origin = originOf(origins, n.number)
			list = append(list, n)
			size += len(n.Payload)
		}
		return it.Close()
	})
	return list, more, unlessGone(err)
}

// Discard empties the space's outbox inside an update: a restored space must not repeat what it once sent
// (CLUSTER 2.1).
func Discard(w Writer) error {
	sw, ok := w.(*writer)
	if !ok {
		return cluster.Errorf(cluster.KindInternal, "%T is no space's writer", w)
	}
	sw.over.deleteRange([]byte{reservedOutbox}, []byte{reservedOutbox + 1})
	return nil
}

// intentNumber numbers the intents of one effect by place; the next effect's are higher.
func intentNumber(sequence uint64, place int) uint64 {
	return (sequence+1)<<intentShift | uint64(place)
}

// IntentSequence is the sequence of the effect that wrote the intent of this number.
func IntentSequence(number uint64) uint64 { return number >> intentShift }
