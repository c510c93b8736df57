package main

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/flotilla-mail/flotilla/frontends/admin"
)

func placementCommand(g *global) *cobra.Command {
	c := &cobra.Command{Use: "placement", Short: "Where mailboxes and groups live: the policy, the plan, and why",
		Long: `Where mailboxes and groups live. The policy says in words what is wanted; the planner brings the cluster there one step
at a time, never taking a group below a safe majority. 'flotilla groups' shows what is, 'placement plan' what comes
next, 'placement explain' why.`}
	c.AddCommand(policyCommand(g), placementPlanCommand(g), placementExplain(g), &cobra.Command{
		Use: "rebalance", Short: "Have the planner look now",
		Long: `Have the planner look now instead of a moment later. It does nothing that it would not do by itself: what it does is
said by the policy, and shown by 'flotilla placement plan'.`,
		Example: "  flotilla placement rebalance",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return call(c, g, "POST", "/v1/placement/rebalance", nil, showNothing)
		},
	})
	return c
}

// placementPolicy is the policy as a node shows it.
type placementPolicy struct {
	Text  string
	Rules []struct {
		Domain, Mailbox, Home string
		Sites                 []string
		Groups                int
	}
	Weights map[string]uint32
}

func policyCommand(g *global) *cobra.Command {
	c := &cobra.Command{Use: "policy", Short: "What is asked of placement"}
	show := &cobra.Command{Use: "show", Short: "Show the policy, the rules for domains and mailboxes, and weights of nodes",
		Example: "  flotilla placement policy show --json",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return call(c, g, "GET", "/v1/placement/policy", nil, showPolicy)
		}}
	var q admin.PolicyChange
	set := &cobra.Command{Use: "set SETTING=VALUE…", Short: "Change the policy, or the rule for a domain or a mailbox",
		Long: `Change the policy. What the cluster cannot follow is refused.

  replicas=3|5           voting copies of every group
  groups=16              mailbox groups; more are made, none is merged
  survive=node|zone|site what two copies never share, as long as that can be avoided
  home=SITE              where groups should be led; empty for anywhere
  sites=SITE,SITE        where copies may be; empty for anywhere
  max-group=200G         a larger group gives mailboxes to others; when all are as large, another is made; 0 for never
  max-ops=2000           the same for a group that does so many operations a second
  grace=30m              how long a node may be silent before its copies are made elsewhere
  weight.NODE=100        a node's share of copies and leaderships against others

A site is the data centre that nodes are set up with (--dc). A rule for a domain or a mailbox takes home, sites and
groups; it says where their mailboxes live. Those that live elsewhere are moved, one after the other and while they are used;
'flotilla placement plan' shows it.`,
		Example: `  flotilla placement policy set survive=site grace=1h
  flotilla placement policy set --domain example.org home=fra sites=fra,muc groups=4
  flotilla placement policy set --mailbox anna@example.org home=muc
  flotilla placement policy set --domain example.org --remove`,
		Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, a []string) error {
			wrong := slices.IndexFunc(a, func(s string) bool { return !strings.Contains(s, "=") })
			switch {
			case wrong >= 0:
				return usageError{fmt.Errorf("%q is not SETTING=VALUE", a[wrong])}
			case (len(a) == 0) != q.Remove:
				return usageError{fmt.Errorf("name settings, or a rule with --remove")}
			}
			q.Pairs = a
			return call(c, g, "PATCH", "/v1/placement/policy", q, showPolicy)
		}}
	set.Flags().StringVar(&q.Domain, "domain", "", "the rule for a domain")
	set.Flags().StringVar(&q.Mailbox, "mailbox", "", "the rule for a mailbox")
	set.Flags().BoolVar(&q.Remove, "remove", false, "end the rule")
	c.AddCommand(show, set)
	return c
}

func showPolicy(w *tabwriter.Writer, p *placementPolicy) {
	fmt.Fprintln(w, p.Text)
	for _, r := range p.Rules {
		of := "mailbox " + r.Mailbox
		if r.Domain != "" {
			of = "domain " + r.Domain
		}
		fmt.Fprintf(w, "%s:\thome=%s\tsites=%s\tgroups=%d\t\n", of, r.Home, strings.Join(r.Sites, ","), r.Groups)
	}
	var nodes []string
	for n := range p.Weights {
		nodes = append(nodes, n)
	}
	slices.Sort(nodes)
	for _, n := range nodes {
		fmt.Fprintf(w, "weight.%s=%d\t\n", n, p.Weights[n])
	}
}

func placementPlanCommand(g *global) *cobra.Command {
	type plan struct {
		Policy string
		Notes  []string
		Steps  []struct {
			Step, Why string
			Failed    int
		}
	}
	return &cobra.Command{Use: "plan", Short: "Show what the planner does next; asking does nothing",
		Example: "  flotilla placement plan\n  flotilla placement plan --json",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return call(c, g, "GET", "/v1/placement/plan", nil, func(w *tabwriter.Writer, p *plan) {
				fmt.Fprintf(w, "Policy: %s\n", p.Policy)
				for _, n := range p.Notes {
					fmt.Fprintln(w, n)
				}
				if len(p.Steps) == 0 {
					fmt.Fprintln(w, "Nothing is to be done.")
				}
				for i, s := range p.Steps {
					tried := ""
					if s.Failed > 0 {
						tried = fmt.Sprintf(" (tried %d times in vain)", s.Failed)
					}
					fmt.Fprintf(w, "%d. %s, because %s%s\n", i+1, s.Step, s.Why, tried)
				}
			})
		}}
}

// explained is where a group is, and why.
type explained struct {
	Group                      int
	Leader                     string
	Copies, Rules, Waits, Next []string
}

func (e *explained) show(w *tabwriter.Writer) {
	fmt.Fprintf(w, "Group %d, led by %s\n", e.Group, e.Leader)
	for _, part := range []struct {
		title string
		lines []string
	}{{"Copies", e.Copies}, {"Policy", e.Rules}, {"Waits", e.Waits}, {"Next", e.Next}} {
		for i, line := range part.lines {
			if title := part.title + ":"; i == 0 {
				fmt.Fprintf(w, "%s\t%s\n", title, line)
			} else {
				fmt.Fprintf(w, "\t%s\n", line)
			}
		}
	}
}

func placementExplain(g *global) *cobra.Command {
	type mailbox struct {
		Address, Why string
		Group        int
		Where        explained
	}
	return &cobra.Command{Use: "explain MAILBOX|GROUP", Short: "Say where a mailbox or a group is, why, and what is planned",
		Example: "  flotilla placement explain anna@example.org\n  flotilla placement explain 3 --json",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, a []string) error {
			if _, err := strconv.ParseUint(a[0], 10, 32); err == nil {
				return call(c, g, "GET", "/v1/placement/groups/"+a[0], nil, func(w *tabwriter.Writer, e *explained) { e.show(w) })
			}
			return call(c, g, "GET", "/v1/placement/mailboxes/"+url.PathEscape(a[0]), nil, func(w *tabwriter.Writer, m *mailbox) {
				fmt.Fprintf(w, "%s lives in group %d: %s.\n", m.Address, m.Group, m.Why)
				m.Where.show(w)
			})
		}}
}
