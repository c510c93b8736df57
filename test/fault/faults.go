package fault

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"github.com/flotilla-mail/flotilla/frontends/admin"
	"github.com/flotilla-mail/flotilla/internal/dev"
)

// Kind is a fault.
type Kind string

// The faults of one node.
const (
	Kill   Kind = "kill"   // SIGKILL, then started again
	Freeze Kind = "freeze" // SIGSTOP for five seconds
	Cut    Kind = "cut"    // no bytes to or from the other nodes for five seconds
)

// held is how long a node stays frozen or cut off.
const held = 5 * time.Second

// Busiest is the node that leads the group with the most operations.
func Busiest(ctx context.Context, c *dev.Cluster) (string, error) {
	groups, err := ReadGroups(ctx, c, false)
	if err != nil {
		return "", err
	}
	best, ops := "", uint64(0)
	for _, g := range groups {
		if g.Group != 0 && g.Leader != "" && g.Operations >= ops {
			best, ops = g.Leader, g.Operations
		}
	}
	if best == "" {
		return "", fmt.Errorf("no group has a leader")
	}
	return best, nil
}

// Inflict does one fault to a node and waits until the node serves clients again.
func Inflict(ctx context.Context, c *dev.Cluster, node string, k Kind) error {
	switch k {
	case Kill:
		if err := c.Kill(node); err != nil {
			return err
		}
		rest(ctx, time.Second)
		for c.Running(node) != 0 {
			rest(ctx, 10*time.Millisecond)
		}
		if err := c.Start(node); err != nil {
			return err
		}
	case Freeze:
		pid := c.Running(node)
		if pid == 0 {
			return fmt.Errorf("%s does not run", node)
		}
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			return err
		}
		rest(ctx, held)
		if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
			return err
		}
	case Cut:
		if err := fault(ctx, c, node, "cut"); err != nil {
			return err
		}
		rest(ctx, held)
		if err := fault(ctx, c, node, "clear"); err != nil {
			return err
		}
	}
	return c.ReadyNode(ctx, node, func(string) {})
}

func fault(ctx context.Context, c *dev.Cluster, node, kind string) error {
	for _, peer := range c.Names() {
		if peer == node {
			continue
		}
		if err := c.Admin(node).Do(ctx, "POST", "/v1/fault", admin.Fault{Kind: kind, Peer: peer}, nil); err != nil {
			return fmt.Errorf("%s on %s: %w", kind, node, err)
		}
	}
	return nil
}
