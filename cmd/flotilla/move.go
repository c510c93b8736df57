package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/frontends/admin"
	"github.com/flotilla-mail/flotilla/frontends/admin/adminclient"
	"github.com/flotilla-mail/flotilla/internal/clock"
)

func mailboxMove(g *global) *cobra.Command {
	var to string
	var wait, abort bool
	c := &cobra.Command{Use: "move ADDRESS", Short: "Move a mailbox to another group of machines, while it is used",
		Long: `Moves a mailbox to a group of the cluster ('flotilla groups' lists them), or to one that a node leads. The mailbox stays in
use; at the end there is a pause of well below a second. Sessions, UIDs, change numbers and sync states stay as they are. A
move goes on whoever fails meanwhile; without --wait the command returns once it has begun.`,
		Example: `  flotilla mailbox move alice@example.org --to 3 --wait
  flotilla mailbox move alice@example.org --to n2
  flotilla mailbox move alice@example.org --abort`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, a []string) error {
			path := adminclient.Path("v1", "mailboxes", a[0], "move")
			switch {
			case abort == (to != ""):
				return usageError{fmt.Errorf("say where to with --to, or --abort")}
			case abort:
				return call(c, g, "DELETE", path, nil, showMove)
			case wait:
				return moveAndWait(c, g, path, to)
			}
			return call(c, g, "POST", path, admin.MoveRequest{To: to}, showMove)
		}}
	c.Flags().StringVar(&to, "to", "", "number of a group, or name of a node")
	c.Flags().BoolVar(&wait, "wait", false, "wait until the mailbox is there, and say how far it is")
	c.Flags().BoolVar(&abort, "abort", false, "give the move up; the mailbox stays where it is")
	return c
}

func mailboxMoves(g *global) *cobra.Command {
	return &cobra.Command{Use: "moves", Short: "List the mailboxes that are on their way to another group", Args: cobra.NoArgs,
		Example: "  flotilla mailbox moves\n  flotilla mailbox moves --json",
		RunE: func(c *cobra.Command, _ []string) error {
			return call(c, g, "GET", "/v1/moves", nil, func(w *tabwriter.Writer, all *[]admin.Move) {
				if len(*all) > 0 {
					fmt.Fprintf(w, "MAILBOX\tFROM\tTO\tSINCE\tSTATE\tCAUSE\t\n")
				}
				for i := range *all {
					m := &(*all)[i]
					fmt.Fprintf(w, "%s\t%d\t%d\t%s\t%s\t%s\t\n", m.Mailbox, m.From, m.To, moment(m.Since), moveWords(m), m.Cause)
				}
			})
		}}
}

func showMove(w *tabwriter.Writer, m *admin.Move) {
	fmt.Fprintf(w, "mailbox\t%s\t\ngroup\t%d\t\nmove\t%s\t\n", m.Mailbox, m.Group, moveWords(m))
}

func moveWords(m *admin.Move) string {
	switch {
	case m.State != "copying":
		if m.Trouble != "" {
			return m.State + ": " + m.Trouble
		}
		return m.State
	case !m.Whole:
		return fmt.Sprintf("to group %d: %d KiB copied", m.To, m.Copied>>10)
	case m.Attempt > 1:
		return fmt.Sprintf("to group %d: %d KiB copied, %d changes behind, attempt %d", m.To, m.Copied>>10, m.Behind, m.Attempt)
	}
	return fmt.Sprintf("to group %d: %d KiB copied, %d changes behind", m.To, m.Copied>>10, m.Behind)
}

// moveEvery is how often a waiting command asks how a move stands.
const moveEvery = 200 * time.Millisecond

// moveAndWait begins a move and returns when the mailbox lives where it was to, or the move was given up.
func moveAndWait(c *cobra.Command, g *global, path, to string) error {
	client, err := g.client()
	if err != nil {
		return err
	}
	var m admin.Move
	if err := client.Do(c.Context(), "POST", path, admin.MoveRequest{To: to}, &m); err != nil {
		return err
	}
	target, trouble, said := m.To, "", ""
	for m.State != admin.MoveNone {
		if words := moveWords(&m); words != said {
			fmt.Fprintln(c.ErrOrStderr(), words)
			said = words
		}
		if m.Trouble != "" {
			trouble = m.Trouble
		}
		if err := nap(c.Context(), moveEvery); err != nil {
			return err
		}
		if m, err = moveNow(c.Context(), g, path); err != nil {
			return err
		}
	}
	if m.Group != target {
		return cluster.Errorf(cluster.KindUnavailable, "the mailbox stays in group %d: %s", m.Group, cmp.Or(trouble, "the move was given up"))
	}
	return printMove(c, g, &m)
}

// moveNow asks again while no node answers: one of them may have died meanwhile.
func moveNow(ctx context.Context, g *global, path string) (m admin.Move, err error) {
	for tries := 0; ; tries++ {
		client, cerr := g.client()
		if err = cerr; err == nil {
			if err = client.Do(ctx, "GET", path, nil, &m); err == nil {
				return m, nil
			}
		}
		if tries == 50 || nap(ctx, moveEvery) != nil {
			return m, err
		}
	}
}

func nap(ctx context.Context, d time.Duration) error { return clock.System{}.Sleep(ctx, d) }

func printMove(c *cobra.Command, g *global, m *admin.Move) error {
	if g.json {
		b, err := json.Marshal(m)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(c.OutOrStdout(), "%s\n", b)
		return err
	}
	w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
	showMove(w, m)
	return w.Flush()
}

func groupsCreate(g *global) *cobra.Command {
	var q admin.GrowRequest
	c := &cobra.Command{Use: "create", Short: "Make another Raft group for mailboxes",
		Long: `Asks for one Raft group more: for mailboxes that no rule speaks of, or with --domain or --mailbox for what that rule speaks of.
A group that was merged and is empty is taken into use again; else the policy's 'groups' is raised, and the group is made when
nothing more urgent is to be done. It gets new mailboxes while it has the fewest, and others from groups that are too large or
too busy for the policy ('max-group', 'max-ops').`,
		Example: "  flotilla groups create\n  flotilla groups create --domain example.org --json",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if q.Domain != "" && q.Mailbox != "" {
				return usageError{fmt.Errorf("a rule is for a domain or for a mailbox")}
			}
			return call(c, g, "POST", "/v1/groups", q, func(w *tabwriter.Writer, a *admin.Grown) {
				if a.Reopened != 0 {
					fmt.Fprintf(w, "group %d takes mailboxes again\n", a.Reopened)
				} else {
					fmt.Fprintln(w, "a group is made; 'flotilla placement plan' says what comes first")
				}
			})
		}}
	c.Flags().StringVar(&q.Domain, "domain", "", "for what the rule for this domain speaks of")
	c.Flags().StringVar(&q.Mailbox, "mailbox", "", "for this mailbox, which has a rule")
	return c
}

func groupsMerge(g *global) *cobra.Command {
	var into uint32
	var undo bool
	c := &cobra.Command{Use: "merge GROUP", Short: "Move all mailboxes of a Raft group into another",
		Long: `Moves all mailboxes of a Raft group into another, one after the other and while they are used; 'flotilla mailbox moves' shows the
one that is on its way, 'flotilla groups' how many are left. The group gets no new mailboxes; it stays, empty, and 'flotilla groups
create' takes it into use again. With --undo it keeps those that it still has.`,
		Example: "  flotilla groups merge 5 --into 2\n  flotilla groups merge 5 --undo",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, a []string) error {
			if undo == (into != 0) {
				return usageError{fmt.Errorf("say which group with --into, or --undo")}
			}
			if undo {
				return call(c, g, "DELETE", adminclient.Path("v1", "groups", a[0], "into"), nil, showNothing)
			}
			return call(c, g, "PUT", adminclient.Path("v1", "groups", a[0], "into", fmt.Sprint(into)), nil, showNothing)
		}}
	c.Flags().Uint32Var(&into, "into", 0, "number of the group that gets the mailboxes")
	c.Flags().BoolVar(&undo, "undo", false, "merge no further")
	return c
}
