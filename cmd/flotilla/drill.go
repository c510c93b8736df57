package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/frontends/admin/adminclient"
	"github.com/flotilla-mail/flotilla/internal/node"
)

// errTooLong ends a drill whose clients waited longer than they ought to.
var errTooLong = errors.New("clients were told of errors, or waited longer than they ought to")

func drillCommand(g *global) *cobra.Command {
	c := &cobra.Command{Use: "drill", Short: "Strike a node on purpose and measure what clients notice",
		Long: `Strike the node that leads a group, and measure how long clients of another node wait by IMAP, SMTP, LMTP and as an
administrator, in a mailbox that is made for it in that group and removed afterwards. Every drill is remembered.

Refused, with exit code 4, while the node cannot be spared ('flotilla check --without'). Exit code 1 when a client was told of
an error, or waited longer than the target: 300 ms for a drain, 2 s for a process that ends, 4 s for a partition.`}
	c.AddCommand(
		drillVerb(g, "kill-leader", "End the process of the node at once; it begins anew by itself"),
		drillVerb(g, "drain", "Drain the node as for an upgrade, and take it back into service"),
		drillVerb(g, "partition", "Cut the node off from the others for five seconds"),
		drillHistory(g))
	return c
}

func drillVerb(g *global, kind, short string) *cobra.Command {
	var group uint32
	var yes bool
	c := &cobra.Command{
		Use: kind, Short: short, Example: "  flotilla drill " + kind + " --group 3 --yes", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if !yes {
				return usageError{errors.New("this strikes a node that serves: say --yes")}
			}
			return strike(c, g, kind, "/v1/drills/"+kind+"/"+strconv.FormatUint(uint64(group), 10))
		},
	}
	c.Flags().Uint32Var(&group, "group", 0, "the mailbox group whose leader is struck (default: one that another node leads)")
	c.Flags().BoolVar(&yes, "yes", false, "do it")
	return c
}

// drillPatience is how long a drill is looked for that struck the node that was asked.
const drillPatience = 2 * time.Minute

// strike does a drill and shows what came of it. The node that is asked may be the one that is struck, when it leads every group:
// then the answer is lost, and is in the history.
func strike(c *cobra.Command, g *global, kind, path string) error {
	var before []node.DrillReport
	client, err := g.client()
	if err == nil {
		err = client.Do(c.Context(), "GET", "/v1/drills", nil, &before)
	}
	if err != nil {
		return err
	}
	r := new(node.DrillReport)
	err = client.Do(c.Context(), "POST", path, nil, r)
	var refused *adminclient.Refused
	if errors.Is(err, adminclient.ErrUnreachable) || errors.As(err, &refused) && refused.Kind == cluster.KindUnknownOutcome {
		r, err = newDrill(c.Context(), g, kind, before, err)
	}
	if err != nil {
		return err
	}
	if err := showDrill(c, g, r); err != nil || r.Within {
		return err
	}
	return errTooLong
}

// newDrill waits for a drill that was not in the history before.
func newDrill(ctx context.Context, g *global, kind string, before []node.DrillReport, lost error) (*node.DrillReport, error) {
	ctx, cancel := context.WithTimeout(ctx, drillPatience)
	defer cancel()
	for {
		var now []node.DrillReport
		client, err := g.client()
		if err == nil {
			err = client.Do(ctx, "GET", "/v1/drills", nil, &now)
		}
		for i := range now {
			same := func(b node.DrillReport) bool { return b.By == now[i].By && b.At.Equal(now[i].At) }
			if err == nil && now[i].Kind == kind && !slices.ContainsFunc(before, same) {
				return &now[i], nil
			}
		}
		if nap(ctx, moveEvery) != nil {
			return nil, lost
		}
	}
}

func showDrill(c *cobra.Command, g *global, r *node.DrillReport) error {
	if g.json {
		return json.NewEncoder(c.OutOrStdout()).Encode(r)
	}
	w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
	showDrills(w, &[]node.DrillReport{*r})
	return w.Flush()
}

func drillHistory(g *global) *cobra.Command {
	return &cobra.Command{
		Use: "history", Short: "Show the drills that were done, and what clients noticed", Example: "  flotilla drill history --json", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return call(c, g, "GET", "/v1/drills", nil, showDrills) },
	}
}

func showDrills(w *tabwriter.Writer, all *[]node.DrillReport) {
	fmt.Fprintf(w, "TIME\tDRILL\tNODE\tGROUP\tSEEN FROM\tLONGEST WAIT\tTARGET\tBACK AFTER\t\n")
	for i := range *all {
		r := &(*all)[i]
		var gaps, failures []string
		for _, p := range r.Gaps {
			gaps = append(gaps, fmt.Sprintf("%s %v", p.Protocol, p.Longest.Round(time.Millisecond)))
			failures = append(failures, p.Failures...)
		}
		verdict := ""
		if !r.Within {
			verdict = " MISSED"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%s\t%v%s\t%v\t\n", moment(r.At), r.Kind, r.Node, r.Group, r.By, strings.Join(gaps, ", "), r.Target, verdict,
			r.Back.Round(100*time.Millisecond))
		for _, f := range failures {
			fmt.Fprintf(w, "  %s\n", f)
		}
	}
}
