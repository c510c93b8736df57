// Command flotilla is the one program: the node, the dev cluster and the administrator's commands.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/frontends/admin/adminclient"
	"github.com/flotilla-mail/flotilla/internal/version"
)

// Exit codes (DESIGN 6).
const (
	exitRefused     = 1
	exitUsage       = 2
	exitUnreachable = 3
	exitUnsafe      = 4
)

// exitRestart tells systemd to start the service again (RestartForceExitStatus).
const exitRestart = 75

// restartError ends a node whose next program could not take its place: the supervisor is to start it.
type restartError struct{ error }

// usageError is a mistake in the command line itself.
type usageError struct{ error }

func main() { os.Exit(run()) }

// run performs the command line and returns the exit code.
func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := newRoot().ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, "flotilla:", err)
	if outOfReach(err) {
		fmt.Fprintln(os.Stderr, "'flotilla status' shows which nodes answer, 'flotilla groups' which groups have a leader")
	}
	return exitCode(err)
}

// outOfReach reports whether a node has answered and whoever it asked in turn has not: nothing was done.
func outOfReach(err error) bool {
	var refused *adminclient.Refused
	return errors.As(err, &refused) && (refused.Kind == cluster.KindUnavailable || refused.Kind == cluster.KindNotLeader)
}

func exitCode(err error) int {
	var usage usageError
	var refused *adminclient.Refused
	var restart restartError
	switch {
	case errors.As(err, &restart):
		return exitRestart
	case errors.As(err, &usage):
		return exitUsage
	case errors.Is(err, adminclient.ErrUnreachable), outOfReach(err):
		return exitUnreachable
	case errors.Is(err, errNotSafe), cluster.KindOf(err) == cluster.KindUnsafe, errors.As(err, &refused) && refused.Kind == cluster.KindUnsafe:
		return exitUnsafe
	}
	return exitRefused
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "flotilla",
		Short: "An Exchange-compatible mailbox store that runs as a fleet of Raft groups",
		Long: `Flotilla is an Exchange-compatible mailbox store that runs as a fleet of Raft groups.

Exit codes: 0 done, 1 refused, 2 a mistake in the command line, 3 no node answers, or none of those that would have to,
4 not safe now.`,
		Version:       version.Get().String(),
		SilenceErrors: true, SilenceUsage: true,
		Example: `  flotilla dev                                 three nodes on this machine, to try out
  flotilla status                              how the nodes are
  flotilla user add alice@example.org          make a user; the password is asked for`,
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w\nSee '%s --help'", err, c.CommandPath())}
	})
	g := &global{}
	f := root.PersistentFlags()
	f.StringVar(&g.dir, "dir", "", "folder of the node, or of a dev cluster (default: ./data/dev if there is one, else /var/lib/flotilla)")
	f.StringVar(&g.server, "server", "", "admin port of a node, host or host:port, instead of --dir")
	f.StringVar(&g.token, "token", "", "token for --server, from admin.token in the node's folder (default: $FLOTILLA_TOKEN)")
	f.BoolVar(&g.json, "json", false, "answer in JSON")
	root.AddCommand(serveCommand(), devCommand(g), setupCommand(), joinCommand(), nodeCommand(g), configCommand(), statusCommand(g),
		groupsCommand(g), domainCommand(g), userCommand(g), mailboxCommand(g), aliasCommand(g), groupCommand(g), queueCommand(g), manCommand(root))
	root.AddCommand(clusterCommand(g), drainCommand(g), undrainCommand(g), checkCommand(g), placementCommand(g), upgradeCommand(g), drillCommand(g), versionCommand(g), selftestCommand(g))
	root.InitDefaultCompletionCmd() // else it is added later, and strict would not see it
	strict(root, g)
	return root
}

// strict makes mistakes in the arguments of a command, and of those below it, usage errors. A noun without a verb shows
// its help; with a verb that it does not have it is a mistake too, where cobra would show help and call that done.
func strict(c *cobra.Command, g *global) {
	if !c.Runnable() {
		c.SuggestionsMinimumDistance = 2
		c.Args, c.RunE = cobra.ArbitraryArgs, func(c *cobra.Command, a []string) error {
			if len(a) == 0 {
				return c.Help()
			}
			text := fmt.Sprintf("%s has no command %q", c.CommandPath(), a[0])
			if other := neighbour(c, a[0]); other != "" {
				text += ": " + other + "?"
			} else if similar := c.SuggestionsFor(a[0]); len(similar) > 0 {
				text += ": " + strings.Join(similar, " or ") + "?"
			}
			return usageError{fmt.Errorf("%s\nSee '%s --help'", text, c.CommandPath())}
		}
	} else if c.Args != nil {
		c.Args = args(c.Args)
	}
	completeNames(c, g)
	for _, below := range c.Commands() {
		strict(below, g)
	}
}

// neighbour is a verb that a noun does not have and that of the next name has, as groups beside group; empty when there is none.
func neighbour(c *cobra.Command, verb string) string {
	if !c.HasParent() {
		return ""
	}
	for _, o := range c.Parent().Commands() {
		if o == c || !strings.HasPrefix(o.Name(), c.Name()) && !strings.HasPrefix(c.Name(), o.Name()) {
			continue
		}
		for _, v := range o.Commands() {
			if v.Name() == verb {
				return v.CommandPath()
			}
		}
	}
	return ""
}

// takesFile reports whether an argument of the command is a file, as its line of use says.
func takesFile(c *cobra.Command) bool {
	return slices.ContainsFunc(strings.Fields(c.Use), func(w string) bool { return w == "FILE" || w == "PATH" || w == "DIR" })
}

// args checks the number of arguments as a usage error; an empty one names nothing.
func args(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(c *cobra.Command, a []string) error {
		err := check(c, a)
		if err == nil && len(a) > 0 && a[0] == "" {
			err = errors.New("the first argument is empty") // a variable of a script that was not set
		}
		if err != nil {
			return usageError{fmt.Errorf("%w\nUsage: %s", err, c.UseLine())}
		}
		return nil
	}
}
