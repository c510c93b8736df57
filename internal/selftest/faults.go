package selftest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"

	"github.com/flotilla-mail/flotilla/frontends/admin"
	"github.com/flotilla-mail/flotilla/internal/clock"
	"github.com/flotilla-mail/flotilla/internal/dev"
)

// Kind is what may happen to a node of a dev cluster.
type Kind string

// The faults.
const (
	Kill      Kind = "kill"       // SIGKILL, then started again
	Freeze    Kind = "freeze"     // SIGSTOP for a while
	Cut       Kind = "cut"        // no bytes to or from the other nodes for a while
	CutIn     Kind = "cut-in"     // nothing from them
	CutOut    Kind = "cut-out"    // nothing to them
	Latency   Kind = "latency"    // every byte to them is late
	Clock     Kind = "clock"      // the calendar is an hour off, forward or back
	DiskLow   Kind = "disk-low"   // hardly any room is left: leaders go, and mail is refused for now
	DiskSlow  Kind = "disk-slow"  // each sync takes 200 ms longer
	DiskStuck Kind = "disk-stuck" // syncs do not end; the process does, and is started again
	DiskFull  Kind = "disk-full"  // writes end with ENOSPC; so does the process
	TornTail  Kind = "torn-tail"  // killed in the middle of a write of the log, and started again
)

// kinds has what each fault does. Whatever shows that it took effect is looked for, and its absence is an error: a fault
// that does nothing would show that nothing is wrong.
var kinds = []struct {
	kind Kind
	do   func(ctx context.Context, v *victim) error
}{
	{Kill, func(ctx context.Context, v *victim) error { return v.restart(ctx, nil) }},
	{Freeze, func(ctx context.Context, v *victim) error { return v.freeze(ctx) }},
	{Cut, forAWhile(admin.Fault{Kind: "cut"}, nil)},
	{CutIn, forAWhile(admin.Fault{Kind: "cut-in"}, nil)},
	{CutOut, forAWhile(admin.Fault{Kind: "cut-out"}, nil)},
	{Latency, forAWhile(admin.Fault{Kind: "latency", Value: 50 * time.Millisecond}, nil)},
	{Clock, jump},
	{DiskLow, forAWhile(admin.Fault{Kind: "disk-free", Percent: 1}, says("FL-1074"))},
	{DiskSlow, forAWhile(admin.Fault{Kind: "disk-slow", Value: slowSync}, syncsSlowly)},
	{DiskStuck, untilItEnds(admin.Fault{Kind: "disk-slow", Value: 20 * time.Second}, "FL-1006")},
	{DiskFull, untilItEnds(admin.Fault{Kind: "disk-full"}, "no space left on device")},
	{TornTail, tornTail},
}

// slowSync is what a sync takes longer on a slow disk.
const slowSync = 200 * time.Millisecond

// Kinds lists the faults there are.
func Kinds() []Kind {
	var all []Kind
	for _, k := range kinds {
		all = append(all, k.kind)
	}
	return all
}

// held is how long a fault lasts that does not end by itself.
const held = 5 * time.Second

// Inflict does one fault to a node and waits until the node serves clients again.
func Inflict(ctx context.Context, c *dev.Cluster, node string, k Kind) error {
	for _, f := range kinds {
		if f.kind != k {
			continue
		}
		v, err := newVictim(c, node)
		if err == nil {
			err = f.do(ctx, v)
		}
		if err != nil {
			return fmt.Errorf("%s %s: %w", k, node, err)
		}
		return v.ready(ctx)
	}
	return fmt.Errorf("there is no fault %q", k)
}

// rest pauses for d or until ctx ends, which the caller looks at next.
func rest(ctx context.Context, d time.Duration) { _ = clock.System{}.Sleep(ctx, d) }

// freeze stops the process for a while.
func (v *victim) freeze(ctx context.Context) error {
	pid := v.Running(v.node)
	if pid == 0 {
		return errors.New("it does not run")
	}
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		return err
	}
	rest(ctx, held)
	return syscall.Kill(pid, syscall.SIGCONT)
}

// forAWhile sets a fault by the node's own hook and clears it again, whether ctx has ended or not. shown, if there is one, waits
// for what shows that it took effect.
func forAWhile(f admin.Fault, shown func(ctx context.Context, v *victim) error) func(context.Context, *victim) error {
	return func(ctx context.Context, v *victim) error {
		if err := v.Fault(ctx, v.node, f); err != nil {
			return err
		}
		over := time.Now().Add(held)
		var err error
		if shown != nil {
			err = shown(ctx, v)
		}
		if rest(ctx, time.Until(over)); err != nil {
			err = fmt.Errorf("it has not taken effect: %w", err)
		}
		return errors.Join(err, v.clear(ctx))
	}
}

func jump(ctx context.Context, v *victim) error {
	by := time.Hour
	if time.Now().UnixNano()%2 == 0 {
		by = -by
	}
	return forAWhile(admin.Fault{Kind: "clock", Value: by}, nil)(ctx, v)
}

// untilItEnds sets a fault that a process to which something is written does not outlive, holds that it ended for that reason,
// which it gives in its log, and starts the node again.
func untilItEnds(f admin.Fault, reason string) func(context.Context, *victim) error {
	return func(ctx context.Context, v *victim) error {
		unanswered := v.Fault(ctx, v.node, f) // it may end before it has answered
		soon, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		if err := v.gone(soon); err != nil {
			return errors.Join(unanswered, fmt.Errorf("it has not taken effect: %w", err), v.clear(ctx))
		}
		err := says(reason)(soon, v)
		if err != nil {
			err = fmt.Errorf("it ended for another reason: %w", err)
		}
		return errors.Join(err, v.Start(v.node))
	}
}

// Victim is the node that leads most groups, for every other fault one in turn. While no group has a leader, as on a machine whose
// disk is slow for every node, it waits.
func Victim(ctx context.Context, c *dev.Cluster, n int) (string, error) {
	names := c.Names()
	if n%2 == 1 {
		return names[n%len(names)], nil
	}
	var node string
	err := await(ctx, func() error {
		groups, err := ReadGroups(ctx, c, false)
		if err == nil {
			node, err = groups.Busiest()
		}
		return err
	})
	return node, err
}

// chosen are the kinds that a list names, all of them without one.
func chosen(names []Kind) ([]Kind, error) {
	if len(names) == 0 {
		return Kinds(), nil
	}
	for _, n := range names {
		if !slices.Contains(Kinds(), n) {
			return nil, fmt.Errorf("there is no fault %q: %v", n, Kinds())
		}
	}
	return names, nil
}
