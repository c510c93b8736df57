package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/group"
	"github.com/flotilla-mail/flotilla/internal/node"
)

// survivorLine is what a node holds of a group.
type survivorLine struct {
	Group    cluster.GroupID  `json:"group"`
	Server   cluster.ServerID `json:"server"`
	Epoch    uint32           `json:"epoch"`
	Voters   []string         `json:"voters"`
	Term     uint64           `json:"term"`
	LastTerm uint64           `json:"last_term"`
	Last     uint64           `json:"last"`
	Applied  uint64           `json:"applied"`
	LastAt   *time.Time       `json:"last_at,omitempty"`
	Error    string           `json:"error,omitempty"`
}

func lineOf(s *group.Survivor) survivorLine {
	l := survivorLine{Group: s.Group, Server: s.Server, Epoch: s.Recovery, Term: s.Term, LastTerm: s.LastTerm, Last: s.Last, Applied: s.Applied}
	for _, m := range s.Members {
		if m.Suffrage == group.Voter {
			l.Voters = append(l.Voters, string(m.ID))
		}
	}
	if !s.LastAt.IsZero() {
		l.LastAt = &s.LastAt
	}
	if s.Unfinished {
		l.Error = "its recovery was interrupted, and goes on"
	}
	return l
}

func groupsRecover(g *global) *cobra.Command {
	var all, yes bool
	var config string
	c := &cobra.Command{Use: "recover [GROUP...]", Short: "Go on from what this node has of groups whose majority is lost for good",
		Long: `For disasters only: when more than half of the nodes of a group are destroyed for good, the group goes on from what one
survivor has. Stop the node first, and run this as the user whose data it is (runuser -u flotilla -- flotilla groups recover …).
Without groups it only shows what this node has of each.

Run it so on every survivor, and compare: recover each group on the one whose last entry is highest, by its term and then by
its number, and on no other. What the destroyed nodes had acknowledged beyond that entry is lost. Group 0, the system group,
holds users and the map of mailboxes: recover it first if it is lost as well, on the same node.

The group goes on under new ids and in a new epoch: replicas of before never join it again, mail clients start their
synchronisation anew, and no number that they saw is given out twice. A line is added to recoveries.json in the node's
folder. Then start the node; when others join, the group grows back by itself.`,
		Example: "  flotilla groups recover --dir /var/lib/flotilla\n  flotilla groups recover --all --dir /var/lib/flotilla",
		RunE: func(c *cobra.Command, a []string) error {
			if all && len(a) > 0 {
				return usageError{errors.New("name groups, or --all")}
			}
			cfg, err := node.ReadConfig(g.nodeConfig(config))
			if err != nil {
				return err
			}
			o, err := node.OpenOffline(cfg, slog.New(slog.DiscardHandler))
			if err != nil {
				return err
			}
			r := recovery{c: c, g: g, o: o, yes: yes, all: all}
			return errors.Join(r.run(a), o.Close())
		}}
	c.Flags().BoolVar(&all, "all", false, "every group that this node has a replica of")
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	c.Flags().StringVar(&config, "config", "/etc/flotilla/flotilla.toml", "configuration file, where --dir has none")
	return c
}

// nodeConfig is the configuration of a node that need not run.
func (g *global) nodeConfig(fallback string) string {
	if path := filepath.Join(g.dir, "flotilla.toml"); g.dir != "" && exists(path) {
		return path
	}
	return fallback
}

// recovery is one run of the command.
type recovery struct {
	c        *cobra.Command
	g        *global
	o        *node.Offline
	yes, all bool
}

func (r *recovery) run(named []string) error {
	here, err := r.o.Groups()
	if err != nil {
		return err
	}
	slices.Sort(here)
	ids, chosen := here, here
	if !r.all {
		if chosen, err = groupNumbers(named); err != nil {
			return err
		}
	}
	if len(chosen) > 0 {
		ids = chosen
	}
	lines := make([]survivorLine, len(ids))
	for i, id := range ids {
		s, err := r.o.Survey(id)
		if err != nil {
			lines[i] = survivorLine{Group: id, Error: err.Error()}
			continue
		}
		lines[i] = lineOf(s)
	}
	if len(chosen) == 0 {
		return r.show(lines)
	}
	for _, id := range chosen {
		if !slices.Contains(here, id) {
			return fmt.Errorf("group %d has no replica here: nothing was changed", id)
		}
	}
	if err := r.confirm(lines); err != nil {
		return err
	}
	return r.recover(chosen)
}

func (r *recovery) recover(ids []cluster.GroupID) error {
	var lines []survivorLine
	var errs []error
	for _, id := range ids {
		s, err := r.o.Recover(r.c.Context(), id, time.Now())
		if err != nil {
			errs = append(errs, err)
			continue
		}
		lines = append(lines, lineOf(s))
	}
	return errors.Join(append(errs, r.show(lines))...)
}

func groupNumbers(named []string) ([]cluster.GroupID, error) {
	var ids []cluster.GroupID
	for _, n := range named {
		id, err := strconv.ParseUint(n, 10, 32)
		if err != nil {
			return nil, usageError{fmt.Errorf("group %q: want a number", n)}
		}
		ids = append(ids, cluster.GroupID(id))
	}
	return ids, nil
}

// confirm shows what is there and what will be lost, and asks.
func (r *recovery) confirm(lines []survivorLine) error {
	if r.yes {
		return nil
	}
	out := r.c.ErrOrStderr()
	if err := showSurvivors(out, lines); err != nil {
		return err
	}
	fmt.Fprintf(out, "\nWhatever the other replicas had acknowledged after these entries is lost, and they never join again.\nType 'recover' to go on: ")
	answer, err := bufio.NewReader(r.c.InOrStdin()).ReadString('\n')
	if err != nil && err != io.EOF {
		return fmt.Errorf("read answer: %w", err)
	}
	if strings.TrimSpace(answer) != "recover" {
		return errors.New("nothing was changed")
	}
	return nil
}

func (r *recovery) show(lines []survivorLine) error {
	if r.g.json {
		return json.NewEncoder(r.c.OutOrStdout()).Encode(lines)
	}
	return showSurvivors(r.c.OutOrStdout(), lines)
}

func showSurvivors(out io.Writer, lines []survivorLine) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "GROUP\tTERM\tLAST ENTRY\tOF TERM\tAPPLIED\tCAME\tEPOCH\tVOTERS\t\n")
	for _, l := range lines {
		came := ""
		if l.LastAt != nil {
			came = l.LastAt.Local().Format(time.DateTime)
		}
		fmt.Fprintf(w, "%d\t%d\t%d\t%d\t%d\t%s\t%d\t%s\t%s\n", l.Group, l.Term, l.Last, l.LastTerm, l.Applied, came, l.Epoch,
			strings.Join(l.Voters, " "), l.Error)
	}
	return w.Flush()
}
