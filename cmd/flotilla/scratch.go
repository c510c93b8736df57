package main

import (
	"fmt"
	"strconv"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/flotilla-mail/flotilla/frontends/admin"
	"github.com/flotilla-mail/flotilla/frontends/admin/adminclient"
)

func scratchPath(group uint32, key string) string {
	return "/v1" + adminclient.Path("scratch", strconv.FormatUint(uint64(group), 10), key)
}

func devPut(g *global) *cobra.Command {
	var group uint32
	var p admin.ScratchPut
	c := &cobra.Command{
		Use: "put KEY VALUE", Short: "Write into a group's scratch space, to see what a cluster keeps",
		Long: `Write a value into the scratch space of a group. Each group of a dev cluster has one, replicated as a mailbox is. The
value is shown once most nodes have it on disk.`,
		Example: "  flotilla dev put greeting hello --group 2\n  flotilla dev put count 1 --add",
		Args:    cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, a []string) error {
			p.Value = a[1]
			return call(c, g, "PUT", scratchPath(group, a[0]), &p, func(w *tabwriter.Writer, v *admin.ScratchValue) {
				fmt.Fprintln(w, v.Value)
			})
		},
	}
	c.Flags().Uint32Var(&group, "group", 1, "the group; 0 is the system group")
	c.Flags().BoolVar(&p.Add, "add", false, "add the number VALUE to the one that is there")
	c.Flags().StringVar(&p.ID, "id", "", "request id, 32 hex digits: with the same one, at whichever node, it happens once")
	return c
}

func devGet(g *global) *cobra.Command {
	var group uint32
	c := &cobra.Command{
		Use: "get KEY", Short: "Read from a group's scratch space",
		Example: "  flotilla dev get greeting --group 2",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, a []string) error {
			found := true
			err := call(c, g, "GET", scratchPath(group, a[0]), nil, func(w *tabwriter.Writer, v *admin.ScratchValue) {
				if found = v.Found; found {
					fmt.Fprintln(w, v.Value)
				}
			})
			if err == nil && !found {
				err = fmt.Errorf("%s is not in the scratch space of group %d", a[0], group)
			}
			return err
		},
	}
	c.Flags().Uint32Var(&group, "group", 1, "the group; 0 is the system group")
	return c
}
