package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/flotilla-mail/flotilla/internal/node"
)

func statusCommand(g *global) *cobra.Command {
	type status struct {
		Cluster string
		Ready   bool
		Nodes   []struct {
			Node, Version, Progress, Error string
			Ready, Draining                bool
			Trouble                        []string
			Gossip                         *heardLine
		}
		Sites []siteLine `json:"data_centres"`
	}
	return &cobra.Command{
		Use: "status", Short: "Show how the nodes are",
		Example: "  flotilla status\n  flotilla status --json",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return call(c, g, "GET", "/v1/status", nil, func(w *tabwriter.Writer, s *status) {
				fmt.Fprintf(w, "NODE\tSTATE\tLEADS\tWRITES/S\tDISK FREE\tVERSION\t\n")
				for _, n := range s.Nodes {
					state := n.Progress
					if n.Error != "" {
						state = "does not answer: " + n.Error + n.Gossip.said()
					}
					load := n.Gossip.load()
					if n.Error != "" || n.Gossip != nil && !n.Gossip.Alive {
						load = noLoad // what it last said of itself is not so any more
					}
					if n.Gossip != nil && n.Gossip.Gateway {
						state += "; gateway"
					}
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\t\n", n.Node, strings.Join(append([]string{state}, n.Trouble...), "; "), load, n.Version)
				}
				showSites(w, s.Sites)
			})
		},
	}
}

// heardLine is what the nodes tell each other of one.
type heardLine struct {
	Alive     bool
	State     string
	Since     time.Time
	Gateway   bool
	Leads     int
	Entries   float64 `json:"entries_per_second"`
	DiskFree  float64 `json:"disk_free"`
	DiskTotal float64 `json:"disk_total"`
}

// siteLine is a data centre beside that of the node that was asked.
type siteLine struct {
	DC       string
	Heard    bool
	Since    time.Time
	Gateways []string
}

func showSites(w io.Writer, sites []siteLine) {
	if len(sites) == 0 {
		return
	}
	fmt.Fprintf(w, "\nDATA CENTRE\tHEARD\tGATEWAYS\t\n")
	for _, s := range sites {
		heard := "since "
		if !s.Heard {
			heard = "not since "
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t\n", s.DC, heard+s.Since.Local().Format(time.DateTime), strings.Join(s.Gateways, " "))
	}
}

// said is what the nodes tell each other of one that does not answer, which may be a moment behind.
func (h *heardLine) said() string {
	if h == nil {
		return ""
	}
	return fmt.Sprintf(" (by gossip: %s since %s)", h.State, h.Since.Local().Format(time.DateTime))
}

// noLoad leaves the three columns empty.
const noLoad = "\t\t"

// load fills three columns, which are empty while nothing was heard.
func (h *heardLine) load() string {
	if h == nil || h.DiskTotal == 0 {
		return noLoad
	}
	return fmt.Sprintf("%d\t%.0f\t%.1f GiB, %.0f%%", h.Leads, h.Entries, h.DiskFree/(1<<30), 100*h.DiskFree/h.DiskTotal)
}

func groupsCommand(g *global) *cobra.Command {
	type group struct {
		Group, Term, Applied, Mailboxes uint64
		Leader                          string
		Into                            uint64
		Replicas                        []struct {
			Node, State string
			Applied     uint64
			CaughtUp    bool   `json:"caught_up"`
			Seeded      uint64 `json:"seeded"`
			SeedTotal   uint64 `json:"seed_total"`
		}
	}
	var hash bool
	cmd := &cobra.Command{
		Use: "groups", Short: "Show the Raft groups: term, leader, replicas, mailboxes",
		Example: "  flotilla groups\n  flotilla groups --json --hash",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			path := "/v1/groups"
			if hash {
				path += "?hash"
			}
			return call(c, g, "GET", path, nil, func(w *tabwriter.Writer, all *[]group) {
				fmt.Fprintf(w, "GROUP\tTERM\tLEADER\tAPPLIED\tMAILBOXES\tREPLICAS\t\n")
				for _, x := range *all {
					var reps []string
					for _, r := range x.Replicas {
						at := fmt.Sprint(r.Applied)
						if r.SeedTotal > 0 {
							at = fmt.Sprintf("%d of %d MB", r.Seeded>>20, r.SeedTotal>>20)
						}
						reps = append(reps, r.Node+":"+at)
					}
					boxes := fmt.Sprint(x.Mailboxes)
					if x.Into != 0 {
						boxes += fmt.Sprintf(", go to %d", x.Into)
					}
					fmt.Fprintf(w, "%d\t%d\t%s\t%d\t%s\t%s\t\n", x.Group, x.Term, x.Leader, x.Applied, boxes, strings.Join(reps, " "))
				}
			})
		},
	}
	cmd.AddCommand(groupsScrub(g), groupsRebuild(g), groupsRecover(g), groupsMerge(g), groupsCreate(g))
	cmd.Flags().BoolVar(&hash, "hash", false, "with --json: hash the content of every replica, to compare them")
	return cmd
}

// done is the answer of a command that has nothing to show.
type done struct{ OK bool }

func showNothing(*tabwriter.Writer, *done) {}

func configCommand() *cobra.Command {
	c := &cobra.Command{Use: "config", Short: "Look at the configuration"}
	c.AddCommand(&cobra.Command{
		Use: "default", Short: "Print every setting with its default and what it means",
		Example: "  flotilla config default > flotilla.toml",
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return node.Defaults().Write(c.OutOrStdout()) },
	}, &cobra.Command{
		Use: "check FILE", Short: "Check a configuration file",
		Example: "  flotilla config check /etc/flotilla/flotilla.toml",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, a []string) error {
			_, err := node.ReadConfig(a[0])
			return err
		},
	})
	return c
}

func setupCommand() *cobra.Command {
	cfg := node.Defaults()
	var nodes []string
	var secretFile, config string
	c := &cobra.Command{
		Use:   "setup",
		Short: "Prepare this machine as a node of a cluster",
		Long: `Prepare this machine: write its configuration and its certificates. Run the same line on every machine, with the same
secret; only --node differs, and it may be left out where the machine's host name is one of --nodes. A node is a host,
whose first label names it, host:port or name=host:port; the port is 7400 unless it is given. Running it again changes
nothing. Then start the node with 'systemctl enable --now flotilla'.`,
		Example: `  (umask 077; flotilla setup secret > secret)      # once; copy it to the three machines
  flotilla setup --nodes a,b,c --secret-file secret --domain example.org
  flotilla setup --nodes a=10.0.0.1,b=10.0.0.2,c=10.0.0.3 --node a --secret-file secret --domain example.org`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := nameNodes(&cfg, nodes); err != nil {
				return usageError{fmt.Errorf("--nodes: %w", err)}
			}
			secret, err := readSecret(secretFile, c.InOrStdin())
			if err != nil {
				return err
			}
			if err := node.Setup(cfg, secret, config); err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "%s is set up: configuration %s, data %s.\n%s", cfg.Node, config, cfg.Dir, nextSteps(cfg.Dir, config))
			return nil
		},
	}
	f := c.Flags()
	f.StringSliceVar(&nodes, "nodes", nil, "the nodes of the cluster, host or name=host:port, the same on every machine")
	f.StringVar(&cfg.Node, "node", "", "this machine's name among them (default: its host name)")
	f.StringVar(&cfg.Dir, "data", cfg.Dir, "folder of all data")
	f.StringVar(&cfg.External, "external-name", "", "host name under which clients reach this machine")
	f.StringVar(&cfg.DC, "dc", "", "data centre label")
	f.StringVar(&cfg.Zone, "zone", "", "zone label")
	f.StringSliceVar(&cfg.Domains, "domain", nil, "mail domains to begin with")
	f.StringVar(&secretFile, "secret-file", "", "file with the cluster's secret (default: standard input)")
	f.StringVar(&config, "config", "/etc/flotilla/flotilla.toml", "configuration file to write")
	c.AddCommand(&cobra.Command{
		Use: "secret", Short: "Draw the secret of a new cluster",
		Example: "  (umask 077; flotilla setup secret > secret)",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := node.NewSecret()
			if err == nil {
				fmt.Fprintln(c.OutOrStdout(), s)
			}
			return err
		},
	})
	return c
}

// nextSteps is what is left to do on a machine that has been set up: the service runs as a user of its own, who has to own the data.
func nextSteps(dir, config string) string {
	return fmt.Sprintf("Give it to the service: chown -R flotilla:flotilla %s; chown root:flotilla %s\nStart it with: systemctl enable --now flotilla\n", dir, config)
}

// nameNodes takes over the list of nodes, and where this machine, if it is not named, listens for the others.
func nameNodes(cfg *node.Config, nodes []string) error {
	if len(nodes) == 0 {
		return errors.New("every node's host is wanted, the same on all machines")
	}
	named := cfg.Node != ""
	for _, n := range nodes {
		full, err := node.NodeAddress(n)
		if err != nil {
			return err
		}
		cfg.Nodes = append(cfg.Nodes, full)
	}
	if err := nameMachine(cfg); err != nil {
		return err
	}
	for _, n := range cfg.Nodes {
		if addr, is := strings.CutPrefix(n, cfg.Node+"="); is {
			cfg.Listen.Node = addr[strings.LastIndexByte(addr, ':'):]
			return nil
		}
	}
	if !named {
		return fmt.Errorf("none is this machine's host name, %q: say with --node which it is", cfg.Node)
	}
	return nil // the configuration says what is wrong with the name
}

func readSecret(path string, stdin io.Reader) (string, error) {
	if path != "" {
		b, err := os.ReadFile(path)
		if err != nil {
			return "", fmt.Errorf("read secret: %w", err)
		}
		return string(b), nil
	}
	b, err := io.ReadAll(io.LimitReader(stdin, 4096))
	return string(b), err
}

func manCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use: "man DIR", Short: "Write the manual pages into a folder",
		Example: "  flotilla man /usr/local/share/man/man8",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, a []string) error {
			if err := os.MkdirAll(a[0], 0o755); err != nil {
				return fmt.Errorf("make folder: %w", err)
			}
			root.DisableAutoGenTag = true // it says a day, and by what the page was made
			return writePages(root, a[0])
		},
	}
}

// writePages writes the page of a command and those of the commands below it. They are the same on every day: the page's
// date, which the generator cannot leave out, is taken away.
func writePages(c *cobra.Command, dir string) error {
	var page bytes.Buffer
	day := time.Time{}
	if err := doc.GenMan(c, &doc.GenManHeader{Section: "8", Source: "Flotilla", Date: &day}, &page); err != nil {
		return fmt.Errorf("page of %s: %w", c.CommandPath(), err)
	}
	text := bytes.Replace(page.Bytes(), []byte(day.Format("Jan 2006")), nil, 1)
	name := strings.ReplaceAll(c.CommandPath(), " ", "-") + ".8"
	if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
		return fmt.Errorf("write page: %w", err)
	}
	for _, below := range c.Commands() {
		if !below.IsAvailableCommand() || below.IsAdditionalHelpTopicCommand() {
			continue
		}
		if err := writePages(below, dir); err != nil {
			return err
		}
	}
	return nil
}
