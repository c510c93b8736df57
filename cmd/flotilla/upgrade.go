package main

import (
	"errors"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

// finalized is the answer of a finalize.
type finalized struct {
	Before, Level uint64
	Groups        []uint64
}

func upgradeCommand(g *global) *cobra.Command {
	var finalize bool
	c := &cobra.Command{
		Use: "upgrade", Short: "Raise the level of formats after every node runs a new program",
		Long: `With --finalize the cluster's level becomes the newest that the nodes' programs speak: from then on formats of that
level are written, and an older program refuses to start on the data. Refused, with exit code 4, while the program of a
registered node does not speak it.`,
		Example: "  flotilla upgrade --finalize",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if !finalize {
				return usageError{errors.New("say --finalize")}
			}
			return call(c, g, "POST", "/v1/upgrade/finalize", nil, showFinalized)
		},
	}
	c.Flags().BoolVar(&finalize, "finalize", false, "raise the level: there is no way back to an older program then")
	return c
}

func showFinalized(w *tabwriter.Writer, f *finalized) {
	if f.Level == f.Before {
		fmt.Fprintf(w, "The cluster is at level %d already: the program brings no new formats.\n", f.Level)
		return
	}
	fmt.Fprintf(w, "The cluster is at level %d now, it was %d: %d groups have it in their logs.\n", f.Level, f.Before, len(f.Groups))
}
