package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

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
			r, err := answerOf(c, g, "POST", "/v1/drills/"+kind+"/"+strconv.FormatUint(uint64(group), 10), nil, func(w *tabwriter.Writer, r *node.DrillReport) {
				showDrills(w, &[]node.DrillReport{*r})
			})
			if err == nil && !r.Within {
				return errTooLong
			}
			return err
		},
	}
	c.Flags().Uint32Var(&group, "group", 0, "the mailbox group whose leader is struck (default: one that another node leads)")
	c.Flags().BoolVar(&yes, "yes", false, "do it")
	return c
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
