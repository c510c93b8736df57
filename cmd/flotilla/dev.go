package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/flotilla-mail/flotilla/frontends/admin"
	"github.com/flotilla-mail/flotilla/internal/dev"
)

func devCommand(g *global) *cobra.Command {
	o := dev.Options{}
	var detach bool
	c := &cobra.Command{
		Use:   "dev",
		Short: "Run a cluster of three nodes on this machine, to try out",
		Long: `Run three node processes on 127.0.0.1, 127.0.0.2 and 127.0.0.3 with the domain example.test and the users alice,
bob and carol (password "flotilla"). Data is kept under ./data/dev, so that a second start goes on where the first
ended, with the nodes and groups that the first made. Ctrl-C stops the nodes; with --detach they go on until 'flotilla dev stop'.`,
		Example: `  flotilla dev
  flotilla dev --users 50 --detach
  kill -9 $(cat data/dev/n2/pid)
  flotilla dev start n2`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var err error
			if o.Dir, err = g.devDir(); err != nil {
				return err
			}
			if o.Program, err = os.Executable(); err != nil {
				return err
			}
			cluster := &dev.Cluster{Options: o}
			if cluster.Nodes < 1 || cluster.Nodes > 9 {
				return usageError{fmt.Errorf("--nodes %d: want 1 to 9", cluster.Nodes)}
			}
			if cluster.Frontends < 0 || cluster.Frontends >= cluster.Nodes {
				return usageError{fmt.Errorf("--frontends %d of %d nodes: some have to hold the mailboxes", cluster.Frontends, cluster.Nodes)}
			}
			if err := cluster.Reconcile(c.Flags().Changed); err != nil {
				return err
			}
			return runDev(c.Context(), c.OutOrStdout(), cluster, detach)
		},
	}
	f := c.Flags()
	f.IntVar(&o.Nodes, "nodes", 3, "number of nodes")
	f.IntVar(&o.Frontends, "frontends", 0, "so many of the nodes, the last ones, only serve clients and hold no mailboxes")
	f.IntVar(&o.Users, "users", 0, "make users u1, u2, … as well")
	f.IntVar(&o.Groups, "groups", 3, "mailbox groups to make")
	f.StringVar(&o.DCs, "dc", "", "data centres of the nodes, in order: a,a,b puts n3 into another than n1 and n2")
	f.BoolVar(&o.Plaintext, "plaintext", false, "allow sign-in without TLS")
	f.IntVar(&o.PortShift, "port-shift", 0, "add this to every port")
	f.BoolVar(&detach, "detach", false, "return when every node is ready, and leave the nodes running")
	c.AddCommand(devStop(g), devStart(g), devJoin(g), devFault(g), devPut(g), devGet(g))
	return c
}

func runDev(ctx context.Context, out io.Writer, c *dev.Cluster, detach bool) error {
	if err := c.Setup(); err != nil {
		return err
	}
	for _, n := range c.Names() {
		if err := c.Start(n); err != nil {
			return err
		}
	}
	progress := progressLine(out)
	start, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	err := c.Ready(start, progress)
	if err == nil {
		err = c.AddUsers(ctx, progress)
	}
	progress("")
	if err == nil {
		banner(out, c, detach)
		if detach {
			return nil
		}
		c.Attend(ctx)
		if c.AnyRuns() {
			fmt.Fprintln(out, "\nStopping the nodes …")
		} else {
			fmt.Fprintln(out, "\nNo node runs any more.")
		}
	}
	if detach && err != nil {
		return err
	}
	end, stop := context.WithTimeout(context.Background(), 40*time.Second)
	defer stop()
	if serr := c.StopAll(end); err == nil {
		err = serr
	}
	return err
}

// progressLine shows what is waited for: on a terminal in one line, elsewhere a line for each change.
func progressLine(out io.Writer) func(string) {
	f, ok := out.(*os.File)
	last := ""
	var mu sync.Mutex
	if ok && term.IsTerminal(int(f.Fd())) {
		return func(s string) {
			mu.Lock()
			defer mu.Unlock()
			fmt.Fprintf(out, "\r\x1b[K%s", s)
		}
	}
	return func(s string) {
		mu.Lock()
		defer mu.Unlock()
		if s != last && s != "" {
			fmt.Fprintln(out, s)
		}
		last = s
	}
}

func banner(out io.Writer, c *dev.Cluster, detach bool) {
	var b strings.Builder
	fmt.Fprintf(&b, "\nFlotilla runs: %d nodes, data in %s\n\n", len(c.Names()), c.Dir)
	for _, n := range c.Names() {
		fmt.Fprintf(&b, "  %s  %s  log %s/%s/log\n", n, dev.Host(n), c.Dir, n)
	}
	fmt.Fprintf(&b, "\n  SMTP %d   submission %d / %d (TLS)   LMTP %d   IMAP %d / %d (TLS)   HTTPS %d   admin %d\n",
		c.Port(2525), c.Port(2587), c.Port(2465), c.Port(2424), c.Port(2143), c.Port(2993), c.Port(2443), c.Port(2808))
	users := "alice, bob, carol"
	if c.Users > 0 {
		users += fmt.Sprintf(", u1 … u%d", c.Users)
	}
	fmt.Fprintf(&b, "  users %s @%s, password %q; trust root %s/ca.pem\n", users, dev.Domain, dev.Password, c.Dir)
	names, program := c.Names(), os.Args[0]
	if usual, err := filepath.Abs(defaultDev); err != nil || usual != c.Dir {
		program += " --dir " + c.Dir
	}
	fmt.Fprintf(&b, `
Try:
  printf 'Subject: hello\r\n\r\nhi\r\n' | curl -sS smtp://127.0.0.1:%[1]d --mail-from me@example.org --mail-rcpt alice@%[2]s -T -
  curl -sS --cacert %[3]s/ca.pem -u alice@%[2]s:%[4]s 'imaps://%[5]s:%[6]d/INBOX' -X 'FETCH 1:* (UID FLAGS ENVELOPE)'
  kill -9 $(cat %[3]s/%[7]s/pid)     and both again; then: %[8]s dev start %[7]s
  %[8]s status
  %[8]s groups
  %[8]s mailbox items alice@%[2]s --folder Inbox
`, c.Port(2525), dev.Domain, c.Dir, dev.Password, dev.Host(names[len(names)-1]), c.Port(2993), names[len(names)/2], program)
	if detach {
		b.WriteString("\nThe nodes go on running: 'flotilla dev stop' ends them.\n")
	} else {
		b.WriteString("\nCtrl-C stops the nodes.\n")
	}
	fmt.Fprint(out, b.String())
}

// devNodes is the running dev cluster with the nodes meant by the arguments: all when there are none.
func devNodes(g *global, names []string) (*dev.Cluster, []string, error) {
	dir, err := g.devDir()
	if err != nil {
		return nil, nil, err
	}
	program, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	c, err := dev.Open(dir, program)
	if err != nil {
		return nil, nil, err
	}
	if len(names) == 0 {
		return c, c.Names(), nil
	}
	for _, n := range names {
		if !contains(c.Names(), n) {
			return nil, nil, usageError{fmt.Errorf("%s is no node of the dev cluster: it has %s", n, strings.Join(c.Names(), ", "))}
		}
	}
	return c, names, nil
}

func contains(all []string, s string) bool {
	for _, a := range all {
		if a == s {
			return true
		}
	}
	return false
}

func devStop(g *global) *cobra.Command {
	return &cobra.Command{
		Use: "stop [NODE…]", Short: "Stop the dev cluster, or some of its nodes",
		Example: "  flotilla dev stop\n  flotilla dev stop n2",
		RunE: func(c *cobra.Command, names []string) error {
			cl, names, err := devNodes(g, names)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(c.Context(), 40*time.Second)
			defer cancel()
			errs := make(chan error, len(names))
			for _, n := range names {
				go func() { errs <- cl.Stop(ctx, n) }()
			}
			for range names {
				if e := <-errs; e != nil {
					err = e
				}
			}
			return err
		},
	}
}

func devStart(g *global) *cobra.Command {
	return &cobra.Command{
		Use: "start [NODE…]", Short: "Start nodes of the dev cluster again",
		Example: "  flotilla dev start n2",
		RunE: func(c *cobra.Command, names []string) error {
			cl, names, err := devNodes(g, names)
			if err != nil {
				return err
			}
			for _, n := range names {
				if err := cl.Start(n); err != nil {
					return err
				}
			}
			ctx, cancel := context.WithTimeout(c.Context(), time.Minute)
			defer cancel()
			for _, n := range names {
				if err := cl.ReadyNode(ctx, n, func(string) {}); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func devJoin(g *global) *cobra.Command {
	var dc string
	c := &cobra.Command{
		Use: "join", Short: "Let one more node join the running dev cluster, with a token as on a machine of its own",
		Example: "  flotilla dev join\n  flotilla node list",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cl, _, err := devNodes(g, nil)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(c.Context(), time.Minute)
			defer cancel()
			client, err := g.client()
			if err != nil {
				return err
			}
			var t admin.Token
			if err := client.Do(ctx, "POST", "/v1/nodes/tokens", admin.TokenRequest{}, &t); err != nil {
				return err
			}
			name, err := cl.Join(ctx, t.Token, dc)
			if err == nil {
				err = cl.Start(name)
			}
			if err != nil {
				return err
			}
			progress := progressLine(c.OutOrStdout())
			if err := cl.ReadyNode(ctx, name, progress); err != nil {
				return err
			}
			progress("")
			fmt.Fprintf(c.OutOrStdout(), "%s has joined: %s, log %s/%s/log\n", name, dev.Host(name), cl.Dir, name)
			return nil
		},
	}
	c.Flags().StringVar(&dc, "dc", "", "data centre of the node")
	return c
}

func devFault(g *global) *cobra.Command {
	var peer string
	c := &cobra.Command{
		Use: "fault NODE FAULT", Short: "Break something on a node of the dev cluster",
		Long: `Break something on a node of the dev cluster, until 'clear' mends it or the node is started again:

  cut, cut-in, cut-out  nothing passes between it and the others, or nothing that it is sent, or that it sends
  latency=50ms          what it sends takes so much longer
  clock=+1h             its clock is off by so much
  disk-full             its disk takes nothing more
  disk-free=8%          its disk seems to have so much room left
  disk-slow=50ms        each write to its disk takes so much longer
  die-at=STEP           its process ends right before a step of what goes on by itself, freeze-at=STEP stops it there
  clear                 nothing is broken any more`,
		Example: "  flotilla dev fault n1 cut --peer n3\n  flotilla dev fault n1 clear",
		Args:    cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, a []string) error {
			named := []string{a[0]}
			if peer != "" {
				named = append(named, peer)
			}
			cl, _, err := devNodes(g, named)
			if err != nil {
				return err
			}
			f, err := parseFault(a[1])
			if err != nil {
				return usageError{fmt.Errorf("%s: %w: want cut, cut-in, cut-out, latency=TIME, clock=TIME, disk-full, disk-free=PERCENT, disk-slow=TIME, die-at=STEP, freeze-at=STEP or clear", a[1], err)}
			}
			f.Peer = peer
			return cl.Fault(c.Context(), a[0], f)
		},
	}
	c.Flags().StringVar(&peer, "peer", "", "with the cuts, latency and clear: only between the node and this one (default: every other)")
	return c
}

// parseFault reads a fault as it is written on the command line.
func parseFault(text string) (f admin.Fault, err error) {
	kind, value, has := strings.Cut(text, "=")
	f.Kind = kind
	switch kind {
	case "latency", "clock", "disk-slow":
		f.Value, err = time.ParseDuration(value)
	case "die-at", "freeze-at":
		f.Step = value
	case "disk-free":
		f.Percent, err = strconv.Atoi(strings.TrimSuffix(value, "%"))
		if err == nil && (f.Percent < 0 || f.Percent > 100) {
			err = errors.New("no percentage")
		}
	default:
		if has {
			err = errors.New("takes no value")
		}
	}
	return f, err
}
