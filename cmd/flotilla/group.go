package main

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/flotilla-mail/flotilla/frontends/admin"
	"github.com/flotilla-mail/flotilla/internal/invariant"
)

func groupCommand(g *global) *cobra.Command {
	c := &cobra.Command{Use: "group", Short: "Groups: distribution lists, and those whom rights are given to together",
		Long: `A group is an address that leads to its members: people, other groups, and addresses elsewhere. A right that is given to
a group is its members', also of the groups in it, for as long as they are in it.

The groups of the cluster's machines are shown by 'flotilla groups'.`}
	member := func(use, short string, change func(m []string) admin.Change) *cobra.Command {
		return &cobra.Command{Use: use + " GROUP MEMBER…", Short: short, Args: cobra.MinimumNArgs(2),
			Example: "  flotilla group " + use + " team@example.org carol@example.org",
			RunE: func(c *cobra.Command, a []string) error {
				return call(c, g, "PATCH", objectPath(a[0]), change(a[1:]), func(*tabwriter.Writer, *object) {})
			}}
	}
	c.AddCommand(groupCreate(g), groupShow(g), objectList(g, "group", "kind=list", "List the groups"), groupSenders(g),
		member("add", "Add members", func(m []string) admin.Change { return admin.Change{AddMembers: m} }),
		member("remove", "Take members out", func(m []string) admin.Change { return admin.Change{RemoveMembers: m} }),
		&cobra.Command{Use: "delete GROUP", Short: "Delete a group; what was given to it ends", Args: cobra.ExactArgs(1),
			Example: "  flotilla group delete team@example.org",
			RunE: func(c *cobra.Command, a []string) error {
				return call(c, g, "DELETE", objectPath(a[0]), nil, showNothing)
			}})
	return c
}

// policies are who may send to a group, for help and completion.
var policies = []cobra.Completion{"anyone", "internal", "members", "named"}

const policyHelp = "who may send to it: anyone, internal (who has signed in), members, or named (only who is allowed by name)"

func groupCreate(g *global) *cobra.Command {
	o := admin.NewObject{Kind: "list"}
	c := &cobra.Command{Use: "create ADDRESS [MEMBER…]", Short: "Make a group", Args: cobra.MinimumNArgs(1),
		Example: `  flotilla group create team@example.org alice@example.org bob@example.org
  flotilla group create staff@example.org team@example.org --name "All staff" --senders members`,
		RunE: func(c *cobra.Command, a []string) error {
			o.Address, o.Members = a[0], a[1:]
			return call(c, g, "POST", "/v1/objects", o, showObject)
		}}
	c.Flags().StringVar(&o.Name, "name", "", "display name")
	c.Flags().StringSliceVar(&o.Aliases, "alias", nil, "further addresses")
	c.Flags().StringVar(&o.Senders, "senders", "", policyHelp)
	completes(c, "senders", policies)
	return c
}

// completes lets the shell offer the values of a flag.
func completes(c *cobra.Command, flag string, values []cobra.Completion) {
	if err := c.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		invariant.Failf("completion of --%s: %v", flag, err)
	}
}

func groupShow(g *global) *cobra.Command {
	var rights bool
	c := &cobra.Command{Use: "show GROUP", Short: "Show a group with its members, or its rights", Args: cobra.ExactArgs(1),
		Example: "  flotilla group show team@example.org --json\n  flotilla group show team@example.org --rights",
		RunE: func(c *cobra.Command, a []string) error {
			if rights {
				return call(c, g, "GET", objectPath(a[0], "rights"), nil, showStanding)
			}
			return call(c, g, "GET", objectPath(a[0]), nil, showObject)
		}}
	c.Flags().BoolVar(&rights, "rights", false, "show who may send to it and as it, and what it has")
	return c
}

func groupSenders(g *global) *cobra.Command {
	var allow, disallow []string
	c := &cobra.Command{Use: "senders GROUP [POLICY]", Short: "Say who may send to a group",
		Long: `Says who may send to a group. Whom --allow names, a user or a group, may whatever the policy is. Only who has signed in is
known: a sender that just says who it is may send where anyone may.

Policies: anyone; internal, everybody who has signed in; members; named, nobody but whom --allow names.`,
		Example: `  flotilla group senders team@example.org members --allow boss@example.org
  flotilla group senders team@example.org --disallow boss@example.org`,
		Args: cobra.RangeArgs(1, 2),
		ValidArgsFunction: func(_ *cobra.Command, a []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			if len(a) == 1 {
				return policies, cobra.ShellCompDirectiveNoFileComp
			}
			return nil, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(c *cobra.Command, a []string) error {
			if len(a) == 1 && len(allow)+len(disallow) == 0 {
				return usageError{fmt.Errorf("name a policy, or somebody with --allow or --disallow")}
			}
			for method, list := range map[string][]string{"PUT": allow, "DELETE": disallow} {
				for _, who := range list {
					if err := call(c, g, method, objectPath(a[0], "grants", admin.RightSender, who), nil, showNothing); err != nil {
						return err
					}
				}
			}
			if len(a) == 1 {
				return nil
			}
			return call(c, g, "PUT", objectPath(a[0], "senders", a[1]), nil, showNothing)
		}}
	c.Flags().StringSliceVar(&allow, "allow", nil, "let a user or a group send, whatever the policy")
	c.Flags().StringSliceVar(&disallow, "disallow", nil, "take that back")
	return c
}

// mailboxRights are the rights that one user has of another, as commands.
var mailboxRights = []struct{ name, given, taken, long string }{
	{admin.RightFullAccess, "Let somebody use a mailbox as its owner does", "Take full access back",
		"Full access is everything that the owner may do, but not to send under the owner's address: that is send-as."},
	{admin.RightSendAs, "Let somebody send under the addresses of a user or group", "Take send-as back",
		"Mail that is sent so does not show who sent it."},
	{admin.RightSendOnBehalf, "Let somebody send on behalf of a user", "Take send-on-behalf back",
		"Mail that is sent so shows both. The owner of the mailbox can give this too, to a delegate."},
}

func userGrant(g *global) *cobra.Command {
	c := &cobra.Command{Use: "grant", Short: "Give rights in a mailbox to a user or a group"}
	for _, r := range mailboxRights {
		c.AddCommand(rightCommand(g, "grant", "PUT", r.name, r.given, r.long))
	}
	return c
}

func userRevoke(g *global) *cobra.Command {
	c := &cobra.Command{Use: "revoke", Short: "Take rights in a mailbox back, in sessions that are open too"}
	for _, r := range mailboxRights {
		c.AddCommand(rightCommand(g, "revoke", "DELETE", r.name, r.taken, r.long))
	}
	return c
}

func rightCommand(g *global, verb, method, right, short, long string) *cobra.Command {
	return &cobra.Command{Use: right + " MAILBOX WHO", Short: short, Long: short + ".\n\n" + long + " WHO is a user or a group.", Args: cobra.ExactArgs(2),
		Example: fmt.Sprintf("  flotilla user %s %s sales@example.org alice@example.org", verb, right),
		RunE: func(c *cobra.Command, a []string) error {
			return call(c, g, method, objectPath(a[0], "grants", right, a[1]), nil, showNothing)
		}}
}

// showStanding prints who has what, and leaves out what nobody has.
func showStanding(w *tabwriter.Writer, r *admin.Rights) {
	for _, x := range []struct {
		what string
		who  []string
	}{
		{"full access", r.FullAccess}, {"send as", r.SendAs}, {"send on behalf", r.SendOnBehalf}, {"senders", strings.Fields(r.Senders)},
		{"allowed", r.Allowed}, {"is in", r.Groups}, {"has full access to", r.FullAccessTo}, {"sends as", r.SendAsOf},
	} {
		if len(x.who) > 0 {
			fmt.Fprintf(w, "%s\t%s\n", x.what, strings.Join(x.who, " "))
		}
	}
}
