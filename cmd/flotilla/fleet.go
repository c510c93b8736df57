package main

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// errNotSafe ends a command that has shown why what was asked about is not safe now.
var errNotSafe = errors.New("not safe now")

// atNode is a path with the node that an argument names: without one it is the node that is asked.
func atNode(path string, a []string) string {
	node := ""
	if len(a) > 0 {
		node = a[0]
	}
	return path + "?" + url.Values{"node": {node}}.Encode()
}

// drained is the report of a drain.
type drained struct {
	Node       string
	HandedOver int `json:"handed_over"`
	Kept       []uint64
	Listeners  time.Duration `json:"listeners_ns"`
	Leaders    time.Duration `json:"leaders_ns"`
	Sessions   time.Duration `json:"sessions_ns"`
	Slowest    time.Duration `json:"slowest_hand_over_ns"`
	Trouble    string
}

func drainCommand(g *global) *cobra.Command {
	var force bool
	c := &cobra.Command{
		Use: "drain [NODE]", Short: "Take a node out of service: hand over what it leads and end its clients' sessions in order",
		Long: `Take a node out of service: its listeners close, what it leads is handed over, and its clients' sessions end in their
protocols' own words. The node goes on as a replica until it is stopped, started again, or taken back by 'flotilla undrain'.
'flotilla node drain' is for longer: it holds over starts, and the node goes on serving clients.
Without a name it is the node that is asked; any node can be asked to drain another.

Refused, with exit code 4, while no other node is ready or a group would be left without a majority.`,
		Example: "  flotilla drain\n  flotilla drain n2 --json",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, a []string) error {
			path := atNode("/v1/drain", a)
			if force {
				path += "&force"
			}
			return call(c, g, "POST", path, nil, showDrained)
		},
	}
	c.Flags().BoolVar(&force, "force", false, "drain even if mailboxes will be out of reach")
	return c
}

func showDrained(w *tabwriter.Writer, r *drained) {
	fmt.Fprintf(w, "%s is drained: %d groups handed over in %v (the slowest in %v), sessions ended in %v.\n", r.Node, r.HandedOver,
		r.Leaders.Round(time.Millisecond), r.Slowest.Round(time.Millisecond), r.Sessions.Round(time.Millisecond))
	if r.Trouble != "" {
		fmt.Fprintf(w, "Not in order: %s\n", r.Trouble)
	}
}

func undrainCommand(g *global) *cobra.Command {
	return &cobra.Command{
		Use: "undrain [NODE]", Short: "Take a drained node back into service",
		Long:    "Take a drained node back into service: its listeners open, and the planner gives it groups to lead again.",
		Example: "  flotilla undrain n2",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, a []string) error {
			return call(c, g, "POST", atNode("/v1/undrain", a), nil, showNothing)
		},
	}
}

// checked is the report of a check.
type checked struct {
	Without            string
	Safe               bool
	Problems, Warnings []string
	Nodes              []struct {
		Node, Error string
		Ready       bool
		DiskFree    float64       `json:"disk_free"`
		ClockOffset time.Duration `json:"clock_offset_ns"`
	}
	Slowest *struct {
		Group uint64
		Took  time.Duration `json:"took_ns"`
	} `json:"slowest_group"`
}

func checkCommand(g *global) *cobra.Command {
	var without string
	c := &cobra.Command{
		Use: "check", Short: "Say whether a node can be taken away now",
		Long: `Say whether a node can be taken away now: whether every group keeps a majority that has caught up, whether another
node serves, whether the others have room on their disks, and how certificates, clocks, replicas and the slowest group are.
Without --without the cluster is looked at as it is.

Exit code 0 when nothing speaks against it, 4 when something does.`,
		Example: "  flotilla check --without n2\n  flotilla check --json",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			r, err := answerOf(c, g, "GET", "/v1/check?"+url.Values{"without": {without}}.Encode(), nil, showChecked)
			if err == nil && !r.Safe {
				return errNotSafe
			}
			return err
		},
	}
	c.Flags().StringVar(&without, "without", "", "the node that is to be taken away")
	return c
}

func showChecked(w *tabwriter.Writer, r *checked) {
	fmt.Fprintf(w, "NODE\tSTATE\tDISK FREE\tCLOCK\t\n")
	for _, n := range r.Nodes {
		state := "not in service"
		switch {
		case n.Error != "":
			state = "does not answer"
		case n.Ready:
			state = "ready"
		}
		fmt.Fprintf(w, "%s\t%s\t%.0f%%\t%+v\t\n", n.Node, state, 100*n.DiskFree, n.ClockOffset.Round(time.Millisecond))
	}
	if r.Slowest != nil {
		fmt.Fprintf(w, "\nSlowest group: %d, whose majority answers in %v.\n", r.Slowest.Group, r.Slowest.Took.Round(10*time.Microsecond))
	}
	for _, s := range r.Warnings {
		fmt.Fprintf(w, "Warning: %s\n", s)
	}
	for _, s := range r.Problems {
		fmt.Fprintf(w, "Problem: %s\n", s)
	}
	what := strings.TrimSpace("Safe " + map[bool]string{true: "", false: "without " + r.Without}[r.Without == ""])
	if !r.Safe {
		what = "Not s" + what[1:]
	}
	fmt.Fprintf(w, "%s.\n", what)
}

func clusterCommand(g *global) *cobra.Command {
	c := &cobra.Command{Use: "cluster", Short: "What all nodes share",
		Long: "What all nodes share. How they are is shown by 'flotilla status', which ones there are by 'flotilla node list'."}
	c.AddCommand(&cobra.Command{
		Use: "rotate-key", Short: "Give all nodes another key for their gossip",
		Long: `Give all nodes another key for what they tell each other of who is there and who leads. A machine that was a node and was
removed still has the key of before: from then on it hears nothing and can tell nothing. Clients notice nothing.

Refused, with exit code 4, while a node does not answer: until all have taken the key both are good, and to run the command
again finishes what it began.`,
		Example: "  flotilla node remove n3\n  flotilla cluster rotate-key        # when 'flotilla node list' shows it as removed",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return call(c, g, "POST", "/v1/gossip/key", nil, func(w *tabwriter.Writer, r *struct{ Nodes []string }) {
				fmt.Fprintf(w, "%s have another gossip key, and the one before is good nowhere any more.\n", strings.Join(r.Nodes, ", "))
			})
		},
	})
	return c
}
