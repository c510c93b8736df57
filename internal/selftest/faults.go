package selftest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
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

// kinds has what each fault does.
var kinds = []struct {
	kind Kind
	do   func(ctx context.Context, c *dev.Cluster, node string) error
}{
	{Kill, func(ctx context.Context, c *dev.Cluster, node string) error { return restart(ctx, c, node, nil) }},
	{Freeze, freeze},
	{Cut, forAWhile(admin.Fault{Kind: "cut"})},
	{CutIn, forAWhile(admin.Fault{Kind: "cut-in"})},
	{CutOut, forAWhile(admin.Fault{Kind: "cut-out"})},
	{Latency, forAWhile(admin.Fault{Kind: "latency", Value: 50 * time.Millisecond})},
	{Clock, jump},
	{DiskLow, forAWhile(admin.Fault{Kind: "disk-free", Percent: 2})},
	{DiskSlow, forAWhile(admin.Fault{Kind: "disk-slow", Value: 200 * time.Millisecond})},
	{DiskStuck, untilItEnds(admin.Fault{Kind: "disk-slow", Value: 20 * time.Second})},
	{DiskFull, untilItEnds(admin.Fault{Kind: "disk-full"})},
	{TornTail, func(ctx context.Context, c *dev.Cluster, node string) error { return restart(ctx, c, node, tear) }},
}

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
		if err := f.do(ctx, c, node); err != nil {
			return fmt.Errorf("%s %s: %w", k, node, err)
		}
		return c.ReadyNode(ctx, node, func(string) {})
	}
	return fmt.Errorf("there is no fault %q", k)
}

// rest pauses for d or until ctx ends, which the caller looks at next.
func rest(ctx context.Context, d time.Duration) { _ = clock.System{}.Sleep(ctx, d) }

// restart kills a node, does something to what it left behind, and starts it again.
func restart(ctx context.Context, c *dev.Cluster, node string, between func(dir string) error) error {
	if err := c.Kill(node); err != nil {
		return err
	}
	rest(ctx, time.Second)
	if err := gone(ctx, c, node); err != nil {
		return err
	}
	if between != nil {
		if err := between(filepath.Join(c.Dir, node)); err != nil {
			return err
		}
	}
	return c.Start(node)
}

// gone waits until a node's process is.
func gone(ctx context.Context, c *dev.Cluster, node string) error {
	for c.Running(node) != 0 {
		if ctx.Err() != nil {
			return fmt.Errorf("it has not ended: %w", ctx.Err())
		}
		rest(ctx, 10*time.Millisecond)
	}
	return nil
}

// tear leaves at the end of each log what a write leaves that was cut off: octets that are no record.
func tear(dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "raft", "*", "pebble", "*.log"))
	if err != nil {
		return err
	}
	newest := map[string]string{} // by folder; names are numbers of one length
	for _, name := range files {
		folder := filepath.Dir(name)
		newest[folder] = max(newest[folder], name)
	}
	if len(newest) == 0 {
		return fmt.Errorf("no log in %s", dir)
	}
	for _, name := range newest {
		if err := appendNoise(name); err != nil {
			return err
		}
	}
	return nil
}

func appendNoise(name string) error {
	noise := make([]byte, 300)
	if _, err := rand.Read(noise); err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(noise)
	return errors.Join(err, f.Close())
}

func freeze(ctx context.Context, c *dev.Cluster, node string) error {
	pid := c.Running(node)
	if pid == 0 {
		return errors.New("it does not run")
	}
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		return err
	}
	rest(ctx, held)
	return syscall.Kill(pid, syscall.SIGCONT)
}

// forAWhile sets a fault by the node's own hook and clears it again, whether ctx has ended or not.
func forAWhile(f admin.Fault) func(context.Context, *dev.Cluster, string) error {
	return func(ctx context.Context, c *dev.Cluster, node string) error {
		if err := c.Fault(ctx, node, f); err != nil {
			return err
		}
		rest(ctx, held)
		return clearAll(ctx, c, node)
	}
}

// clearAll ends the faults of a node that runs.
func clearAll(ctx context.Context, c *dev.Cluster, node string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	return c.Fault(ctx, node, admin.Fault{Kind: "clear"})
}

func jump(ctx context.Context, c *dev.Cluster, node string) error {
	by := time.Hour
	if time.Now().UnixNano()%2 == 0 {
		by = -by
	}
	return forAWhile(admin.Fault{Kind: "clock", Value: by})(ctx, c, node)
}

// patience is how long a node may take to end by itself.
const patience = 20 * time.Second

// untilItEnds sets a fault that a process does not outlive and starts the node again. A node to which nothing was written
// meanwhile does not notice, and goes on.
func untilItEnds(f admin.Fault) func(context.Context, *dev.Cluster, string) error {
	return func(ctx context.Context, c *dev.Cluster, node string) error {
		if err := c.Fault(ctx, node, f); err != nil {
			return err
		}
		soon, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		if gone(soon, c, node) == nil {
			return c.Start(node)
		}
		if err := clearAll(ctx, c, node); err != nil && c.Running(node) != 0 {
			return err
		}
		return c.Start(node)
	}
}

// Victim is the node that leads most groups, for every other fault one in turn.
func Victim(ctx context.Context, c *dev.Cluster, n int) (string, error) {
	names := c.Names()
	if n%2 == 1 {
		return names[n%len(names)], nil
	}
	groups, err := ReadGroups(ctx, c, false)
	if err != nil {
		return "", err
	}
	return groups.Busiest()
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
