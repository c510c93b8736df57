// Command flotilla is the one program: the node, the dev cluster and the administrator's commands.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

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

// usageError is a mistake in the command line itself.
type usageError struct{ error }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := newRoot().ExecuteContext(ctx)
	stop()
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "flotilla:", err)
	os.Exit(exitCode(err))
}

func exitCode(err error) int {
	var usage usageError
	switch {
	case errors.As(err, &usage):
		return exitUsage
	case errors.Is(err, adminclient.ErrUnreachable):
		return exitUnreachable
	}
	return exitRefused
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "flotilla",
		Short:         "An Exchange-compatible mailbox store that runs as a fleet of Raft groups",
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
	f.StringVar(&g.server, "server", "", "admin port of a node, host:port, instead of --dir")
	f.StringVar(&g.token, "token", "", "token for --server (default: $FLOTILLA_TOKEN)")
	f.BoolVar(&g.json, "json", false, "answer in JSON")
	root.AddCommand(serveCommand(), devCommand(g), setupCommand(), configCommand(), statusCommand(g), groupsCommand(g),
		drainCommand(g), domainCommand(g), userCommand(g), aliasCommand(g), listCommand(g), manCommand(root))
	return root
}

// args checks the number of arguments as a usage error.
func args(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(c *cobra.Command, a []string) error {
		if err := check(c, a); err != nil {
			return usageError{fmt.Errorf("%w\nUsage: %s", err, c.UseLine())}
		}
		return nil
	}
}
