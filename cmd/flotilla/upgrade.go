package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/flotilla-mail/flotilla/internal/node"
	"github.com/flotilla-mail/flotilla/internal/rollout"
)

// upgradeFlags say what `flotilla upgrade` is to do.
type upgradeFlags struct {
	all, revert, here, finalize, force bool
	binary                             string
	patience, settle                   time.Duration
}

// check finds flags that do not go together.
func (o *upgradeFlags) check() error {
	switch {
	case o.here && (!o.revert || o.all || o.finalize):
		return errors.New("--here goes with --revert alone: it is of this machine's node")
	case o.finalize && (o.all || o.revert || o.binary != ""):
		return errors.New("--finalize stands alone")
	case o.revert && o.binary != "":
		return errors.New("--revert goes back to what ran before: leave --binary out")
	case !o.all && !o.revert && !o.finalize:
		return errors.New("say --all, --revert or --finalize")
	}
	return nil
}

func upgradeCommand(g *global) *cobra.Command {
	var o upgradeFlags
	c := &cobra.Command{
		Use: "upgrade", Short: "Bring another program to the cluster, one node at a time, without downtime",
		Long: `Bring another program to the cluster.

--all goes through the nodes, the one that is asked last: each is checked as by 'flotilla check --without', drained, goes
over to the staged program, and is waited for until it is ready and has caught up; then it is watched for a while. At
the first regression it stops, with exit code 1; run again, it goes on. With --binary the program is staged first.

--revert goes back in the same way, to the program that each node ran before. Nodes of both programs work together for as
long as wanted. A node whose program does not get as far as being told to go back is sent back on its own machine, by
--revert --here: the next start of the node is that of the program before.

--finalize gives up the way back, and raises the level of the formats that are written to the newest that all nodes'
programs speak. It is refused, with exit code 4, while the program of a registered node does not.`,
		Example: `  flotilla upgrade --all --binary ./flotilla-1.1
  flotilla upgrade status
  flotilla upgrade --all --revert
  flotilla upgrade --revert --here && systemctl restart flotilla    # on the machine of a node that does not start
  flotilla upgrade --finalize`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := o.check(); err != nil {
				return usageError{err}
			}
			switch {
			case o.finalize:
				return call(c, g, "POST", "/v1/upgrade/finalize", nil, showFinalized)
			case o.here:
				return revertHere(c, g)
			}
			return rollOut(c, g, &o)
		},
	}
	f := c.Flags()
	f.BoolVar(&o.all, "all", false, "every node, one at a time")
	f.StringVar(&o.binary, "binary", "", "the program to stage first (default: what is staged)")
	f.BoolVar(&o.revert, "revert", false, "back to the program that ran before")
	f.BoolVar(&o.here, "here", false, "with --revert: this machine's node (--dir) alone, which does not answer")
	f.DurationVar(&o.patience, "patience", 5*time.Minute, "how long a node may take until it is ready and has caught up")
	f.DurationVar(&o.settle, "settle", 5*time.Second, "how long it is watched then")
	f.BoolVar(&o.finalize, "finalize", false, "raise the level: there is no way back to an older program then")
	f.BoolVar(&o.force, "force", false, "even if a node cannot be spared: its mailboxes are out of reach meanwhile")
	c.AddCommand(upgradeStage(g), upgradeStatus(g))
	return c
}

// upgradeLook is how often a node that goes over is looked at.
const upgradeLook = 300 * time.Millisecond

// revertHere sends the node back whose data is on this machine.
func revertHere(c *cobra.Command, g *global) error {
	dir := g.dir
	if dir == "" {
		dir = "/var/lib/flotilla"
	}
	path, err := node.RevertHere(dir)
	if err != nil {
		return err
	}
	if g.json {
		return json.NewEncoder(c.OutOrStdout()).Encode(map[string]string{"program": path})
	}
	fmt.Fprintf(c.OutOrStdout(), "The node in %s starts with %s from now on. Start it: systemctl restart flotilla\n", dir, path)
	return nil
}

func rollOut(c *cobra.Command, g *global, o *upgradeFlags) error {
	client, err := g.client()
	if err != nil {
		return err
	}
	said := c.OutOrStdout()
	if g.json {
		said = c.ErrOrStderr()
	}
	if o.binary != "" {
		if err := rollout.Stage(c.Context(), client, o.binary, nil); err != nil {
			return err
		}
		fmt.Fprintln(said, "The program is on every node.")
	}
	r := rollout.Rollout{API: client, Target: rollout.Staged, Force: o.force, Patience: o.patience, Settle: o.settle, Look: upgradeLook,
		Progress: func(node, step string) { fmt.Fprintf(said, "%s %s\n", node, step) }}
	if o.revert {
		r.Target = rollout.Previous
	}
	steps, err := r.Run(c.Context())
	if g.json {
		err = errors.Join(err, json.NewEncoder(c.OutOrStdout()).Encode(map[string]any{"steps": steps, "done": err == nil}))
	}
	if err == nil && !o.revert {
		fmt.Fprintln(said, "Every node runs the program. 'flotilla upgrade --revert' goes back, 'flotilla upgrade --finalize' gives that up.")
	}
	return err
}

// finalized is the answer of a finalize.
type finalized struct {
	Before, Level uint64
	Groups        []uint64
}

func showFinalized(w *tabwriter.Writer, f *finalized) {
	if f.Level == f.Before {
		fmt.Fprintf(w, "The way back is given up. The cluster stays at level %d: the program brings no new formats.\n", f.Level)
		return
	}
	fmt.Fprintf(w, "The cluster is at level %d now, it was %d: %d groups have it in their logs.\n", f.Level, f.Before, len(f.Groups))
}

func upgradeStage(g *global) *cobra.Command {
	return &cobra.Command{
		Use: "stage PATH", Short: "Bring a program to every node, without starting it",
		Long: `Bring a program to every node, over the connections between them, with its checksum. Each node tries whether it runs there
and speaks the cluster's level.`,
		Example: "  flotilla upgrade stage ./flotilla-1.1",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, a []string) error {
			client, err := g.client()
			if err != nil {
				return err
			}
			var answer struct {
				Program string `json:"program"`
				Release string `json:"release"`
				Nodes   int    `json:"nodes"`
			}
			if err := rollout.Stage(c.Context(), client, a[0], &answer); err != nil {
				return err
			}
			if g.json {
				return json.NewEncoder(c.OutOrStdout()).Encode(answer)
			}
			fmt.Fprintf(c.OutOrStdout(), "%s is staged on %d nodes.\n", answer.Release, answer.Nodes)
			return nil
		},
	}
}

func upgradeStatus(g *global) *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Show which program each node runs and could go over to",
		Example: "  flotilla upgrade status --json",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return call(c, g, "GET", "/v1/upgrade", nil, func(w *tabwriter.Writer, u *node.UpgradeState) {
				fmt.Fprintf(w, "NODE\tRUNS\tLEVELS\tSTAGED\tBEFORE\tSTATE\t\n")
				for i := range u.Nodes {
					showProgram(w, &u.Nodes[i])
				}
				fmt.Fprintf(w, "The cluster is at level %d.\n", u.Level)
			})
		},
	}
}

func showProgram(w io.Writer, s *node.ProgramState) {
	state := s.Progress
	if s.Err != "" {
		state = "does not answer: " + s.Err
	}
	fmt.Fprintf(w, "%s\t%s %s\t%d-%d\t%s\t%s\t%s\t\n", s.Node, s.Release, short(s.Running), s.Oldest, s.Newest, short(s.Staged), short(s.Previous), state)
}

// short is enough of a program's name to tell it from others.
func short(name string) string {
	sum := name[strings.LastIndexByte(name, '-')+1:]
	return sum[:min(8, len(sum))]
}

func versionCommand(g *global) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Say which program this is, and which levels of formats it speaks",
		Example: "  flotilla version --json",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			d := node.Describe()
			if g.json {
				return json.NewEncoder(c.OutOrStdout()).Encode(d)
			}
			fmt.Fprintf(c.OutOrStdout(), "flotilla %s, levels %d to %d\n", d.Info, d.Levels.Oldest, d.Levels.Newest)
			return nil
		},
	}
}
