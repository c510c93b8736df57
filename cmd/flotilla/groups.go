package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/flotilla-mail/flotilla/frontends/admin/adminclient"
)

// scrubLine is how the latest scrub of a group is going.
type scrubLine struct {
	Group    uint64 `json:"group"`
	Index    uint64 `json:"index"`
	State    string `json:"state"`
	Replicas []struct {
		Server string `json:"server"`
		Done   bool   `json:"done"`
		Bytes  uint64 `json:"bytes"`
		Total  uint64 `json:"total,omitempty"`
		Error  string `json:"error,omitempty"`
	} `json:"replicas"`
	Lost  []string  `json:"lost,omitempty"`
	Text  string    `json:"text,omitempty"`
	Began time.Time `json:"began"`
}

func groupsScrub(g *global) *cobra.Command {
	var all, wait bool
	c := &cobra.Command{Use: "scrub [GROUP]", Short: "Compare the replicas of a group, byte for byte, and mend what differs",
		Long: `Every replica of the group reads all it holds as of one moment, checks each content against its name, and tells the leader
the hash of the whole. A replica that differs from the majority is given up and made again from the others. Where no
majority agrees nothing is given up: the answer says so and the exit code is 1.

It happens by itself as well, see [scrub] in flotilla.toml.`,
		Example: "  flotilla groups scrub 3 --wait\n  flotilla groups scrub --all --wait --json",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, a []string) error {
			if all == (len(a) == 1) {
				return usageError{fmt.Errorf("name a group, or --all")}
			}
			client, err := g.client()
			if err != nil {
				return err
			}
			groups, err := whichGroups(c.Context(), client, a)
			if err != nil {
				return err
			}
			return scrubGroups(c, g, client, groups, wait)
		}}
	c.Flags().BoolVar(&all, "all", false, "all groups, one after the other")
	c.Flags().BoolVar(&wait, "wait", false, "wait until it is done, and show what was found")
	return c
}

// whichGroups are those named, or all.
func whichGroups(ctx context.Context, client *adminclient.Client, named []string) ([]uint64, error) {
	if len(named) > 0 {
		id, err := strconv.ParseUint(named[0], 10, 32)
		if err != nil {
			return nil, usageError{fmt.Errorf("group %q: want a number", named[0])}
		}
		return []uint64{id}, nil
	}
	var all []struct{ Group uint64 }
	if err := client.Do(ctx, "GET", "/v1/groups", nil, &all); err != nil {
		return nil, err
	}
	ids := make([]uint64, len(all))
	for i := range all {
		ids[i] = all[i].Group
	}
	return ids, nil
}

func scrubPath(id uint64) string { return fmt.Sprintf("/v1/groups/%d/scrub", id) }

func scrubGroups(c *cobra.Command, g *global, client *adminclient.Client, groups []uint64, wait bool) error {
	found := []scrubLine{}
	var bad []error
	for _, id := range groups {
		var before, now scrubLine
		if err := client.Do(c.Context(), "GET", scrubPath(id), nil, &before); err != nil {
			return err
		}
		if err := client.Do(c.Context(), "POST", scrubPath(id), nil, nil); err != nil {
			return err
		}
		if !wait {
			continue
		}
		now, err := awaitScrub(c, client, &before, !g.json)
		if err != nil {
			return err
		}
		if found = append(found, now); now.State != "agree" && now.State != "repaired" {
			bad = append(bad, fmt.Errorf("group %d: %s", id, now.Text))
		}
	}
	if !wait && !g.json {
		fmt.Fprintln(c.OutOrStdout(), "It is asked for, and mends what differs. With --wait this command shows what is found.")
	}
	return errors.Join(showScrubs(c, g, found), errors.Join(bad...))
}

// scrubAskedAgain is after how many looks a scrub that has not begun is asked for again: who leads the group meanwhile does not know
// what his predecessor was asked.
const scrubAskedAgain = 8

// awaitScrub waits for the scrub after another, and says on standard error how far it is.
func awaitScrub(c *cobra.Command, client *adminclient.Client, before *scrubLine, tell bool) (now scrubLine, err error) {
	t := time.NewTicker(time.Second / 4)
	defer t.Stop()
	said := ""
	for looks := 1; ; looks++ {
		now = scrubLine{}
		if err := client.Do(c.Context(), "GET", scrubPath(before.Group), nil, &now); err != nil {
			return now, err
		}
		begun := now.Began.After(before.Began)
		if begun && now.State != "running" {
			return now, nil
		}
		if !begun && looks%scrubAskedAgain == 0 {
			if err := client.Do(c.Context(), "POST", scrubPath(before.Group), nil, nil); err != nil {
				return now, err
			}
		}
		if line := now.progress(); tell && line != said {
			fmt.Fprintln(c.ErrOrStderr(), line)
			said = line
		}
		select {
		case <-t.C:
		case <-c.Context().Done():
			return now, c.Context().Err()
		}
	}
}

// progress is a line for those who wait.
func (s *scrubLine) progress() string {
	var parts []string
	for _, r := range s.Replicas {
		part := fmt.Sprintf("%s %d MB", r.Server, r.Bytes>>20)
		if r.Total > 0 {
			part += fmt.Sprintf(" of about %d", r.Total>>20)
		}
		parts = append(parts, part)
	}
	return fmt.Sprintf("group %d: %s", s.Group, strings.Join(parts, ", "))
}

func showScrubs(c *cobra.Command, g *global, found []scrubLine) error {
	if g.json {
		return json.NewEncoder(c.OutOrStdout()).Encode(found)
	}
	if len(found) == 0 {
		return nil
	}
	w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "GROUP\tRESULT\tENTRY\tGIVEN UP\t\n")
	for _, s := range found {
		fmt.Fprintf(w, "%d\t%s\t%d\t%s\t%s\n", s.Group, s.State, s.Index, strings.Join(s.Lost, " "), s.Text)
	}
	return w.Flush()
}

func groupsRebuild(g *global) *cobra.Command {
	return &cobra.Command{Use: "rebuild GROUP NODE", Short: "Give up a replica and make it again from the others",
		Long: `Gives up the replica of a group on a node: its data is removed and made again from the others. Refused, with exit code 4,
where the others are no majority. A scrub does this by itself with what differs from the majority.`,
		Example: "  flotilla groups rebuild 3 n2",
		Args:    cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, a []string) error {
			if _, err := strconv.ParseUint(a[0], 10, 32); err != nil {
				return usageError{fmt.Errorf("group %q: want a number", a[0])}
			}
			return call(c, g, "DELETE", "/v1"+adminclient.Path("groups", a[0], "replicas", a[1]), nil, showNothing)
		}}
}
