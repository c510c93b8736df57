package main

import (
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/flotilla-mail/flotilla/frontends/admin"
	"github.com/flotilla-mail/flotilla/frontends/admin/adminclient"
	"github.com/flotilla-mail/flotilla/internal/node"
)

func nodeCommand(g *global) *cobra.Command {
	c := &cobra.Command{Use: "node", Short: "The nodes of the cluster: let one in, list, drain, replace, remove",
		Long: `The nodes of the cluster. A new machine joins with a token that any node draws. A node that is to go is removed, or
replaced by another: what it holds is made elsewhere first.`}
	c.AddCommand(nodeToken(g), nodeList(g),
		nodeWant(g, "drain", admin.NodeDraining, "Let a node lead nothing and be given nothing, until undrained",
			"The node keeps what it holds and goes on serving clients: for maintenance. 'flotilla drain' ends its clients' sessions as well."),
		nodeWant(g, "undrain", admin.NodeActive, "Take back what drain or remove asked for", "A node that is removed already stays so."),
		nodeRemove(g), nodeReplace(g))
	return c
}

func nodeToken(g *global) *cobra.Command {
	var q admin.TokenRequest
	c := &cobra.Command{
		Use: "token", Short: "Draw a one-time token with which a new machine joins",
		Long: `Draw a token for one new machine. It says whom to ask and how to know them, and is good once, within the time given; the
cluster keeps only a hash of it. Treat it as a password until it is used: 'flotilla join' gets for it all that a node
has.`,
		Example: `  flotilla node token
  flotilla node token --valid 10m
  flotilla node token --replace n3     # its machine is lost; a new one is to be n3
  flotilla node token --json | jq -r .token`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return call(c, g, "POST", "/v1/nodes/tokens", q, func(w *tabwriter.Writer, t *admin.Token) {
				name := "NAME"
				if q.Replace != "" {
					name = q.Replace
				}
				fmt.Fprintf(w, "%s\n\nGood once, until %s. On the new machine:\n\n  flotilla join TOKEN --name %s\n", t.Token, moment(t.Until), name)
			})
		},
	}
	c.Flags().DurationVar(&q.Valid, "valid", time.Hour, "how long the token is good")
	c.Flags().StringVar(&q.Replace, "replace", "", "the token is for a machine that takes the place of this node, which does not answer any more")
	return c
}

func nodeList(g *global) *cobra.Command {
	type line struct {
		Node, Status, Successor, Roles, Address, DC, Zone, Version, Error string
		Replicas, Votes, Leads                                            int
		MinLevel                                                          int `json:"min_level"`
		MaxLevel                                                          int `json:"max_level"`
		Ready                                                             bool
		Seen                                                              time.Time
	}
	return &cobra.Command{
		Use: "list", Short: "List the nodes: what is wanted of them, where they are, what they hold",
		Example: "  flotilla node list\n  flotilla node list --json", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return call(c, g, "GET", "/v1/nodes", nil, func(w *tabwriter.Writer, all *[]line) {
				fmt.Fprintf(w, "NODE\tSTATUS\tROLES\tADDRESS\tPLACE\tVERSION\tLEVEL\tREPLICAS\tVOTES\tLEADS\tSEEN\t\n")
				for _, l := range *all {
					seen := "now"
					if l.Error != "" || l.Seen.IsZero() {
						seen = moment(l.Seen)
					} else if !l.Ready {
						seen = "now, not ready"
					}
					if l.Successor != "" {
						l.Status += " for " + l.Successor
					}
					place := strings.Trim(l.DC+"/"+l.Zone, "/")
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%d-%d\t%d\t%d\t%d\t%s\t\n", l.Node, l.Status, dash(l.Roles), l.Address, dash(place), dash(l.Version),
						l.MinLevel, l.MaxLevel, l.Replicas, l.Votes, l.Leads, seen)
				}
			})
		},
	}
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func nodeWant(g *global, verb, want, short, long string) *cobra.Command {
	return &cobra.Command{
		Use: verb + " NODE", Short: short, Long: long, Example: "  flotilla node " + verb + " n3", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, a []string) error { return setNode(c, g, a[0], want, "") },
	}
}

func setNode(c *cobra.Command, g *global, name, want, successor string) error {
	path := adminclient.Path("v1", "nodes", name, want)
	if successor != "" {
		path += "?successor=" + url.QueryEscape(successor)
	}
	return call(c, g, "PUT", path, nil, func(w *tabwriter.Writer, _ *done) {
		if want == admin.NodeRemoving {
			fmt.Fprintf(w, "%s is removed when others have what it holds: 'flotilla node list' shows that, 'flotilla placement plan' what is next.\n", name)
		}
	})
}

func nodeRemove(g *global) *cobra.Command {
	var force bool
	c := &cobra.Command{
		Use: "remove NODE", Short: "Take a node out of the cluster for good",
		Long: `Take a node out of the cluster for good. What it holds is made on other nodes first; 'flotilla node list' shows it as
removing until that is done, and 'flotilla node undrain' takes it back until then. From then on no node speaks to its
machine, and its name is not given again. Its machine keeps the cluster's keys on its disk: stop it and erase that.
'flotilla cluster rotate-key' makes the one of the gossip worthless.

--force cuts the node off at once; what it held is made again from the other copies. Refused, with exit code 4, where a
group would have no majority without it.`,
		Example: "  flotilla node remove n3\n  flotilla node remove n3 --force", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, a []string) error {
			want := admin.NodeRemoving
			if force {
				want = admin.NodeRemoved
			}
			return setNode(c, g, a[0], want, "")
		},
	}
	c.Flags().BoolVar(&force, "force", false, "cut it off at once: its machine is gone for good")
	return c
}

func nodeReplace(g *global) *cobra.Command {
	return &cobra.Command{
		Use: "replace NODE SUCCESSOR", Short: "Let another node take over what a node holds, and take that out for good",
		Long: `Let a node that has joined take over all that another one holds; then that one is removed, as by 'flotilla node remove'.

Where a machine is lost and a new one is to have its name, draw a token with 'flotilla node token --replace NODE' instead.`,
		Example: "  flotilla node replace n3 n4", Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, a []string) error { return setNode(c, g, a[0], admin.NodeRemoving, a[1]) },
	}
}

func joinCommand() *cobra.Command {
	cfg := node.Defaults()
	var address, config string
	c := &cobra.Command{
		Use: "join TOKEN", Short: "Make this machine a node of a cluster that is there",
		Long: `Make this machine a node of the cluster that a token is for ('flotilla node token' on any of its nodes prints one): write
its configuration and its certificates. With - in place of TOKEN it is read from standard input. Run again with the same
token and name it goes on where it was; no other machine can use the token then.

The configuration is that of 'flotilla config default' with what this command was told; change it before the node is
started, if need be. Then start the node with 'systemctl enable --now flotilla'.`,
		Example: `  flotilla join aervwtg4x…7a --name d
  flotilla join - --name d --address 10.0.0.4 --dc b < token`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, a []string) error {
			token := a[0]
			if token == "-" {
				b, err := io.ReadAll(io.LimitReader(c.InOrStdin(), 8<<10))
				if err != nil {
					return fmt.Errorf("read token: %w", err)
				}
				token = string(b)
			}
			if err := nameMachine(&cfg); err != nil {
				return err
			}
			done, err := node.Join(c.Context(), cfg, token, address, config)
			if err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "%s\n%s", done, nextSteps(cfg.Dir, config))
			return nil
		},
	}
	f := c.Flags()
	f.StringVar(&cfg.Node, "name", "", "this machine's name in the cluster (default: its host name)")
	f.StringVar(&address, "address", "", "where the other nodes reach it, host or host:port (default: the address from which it reaches them, port 7400)")
	f.StringVar(&cfg.Dir, "data", cfg.Dir, "folder of all data")
	f.StringVar(&cfg.External, "external-name", "", "host name under which clients reach this machine")
	f.StringVar(&cfg.DC, "dc", "", "data centre label")
	f.StringVar(&cfg.Zone, "zone", "", "zone label")
	f.StringSliceVar(&cfg.Roles, "role", cfg.Roles, "what it does: store (holds mailboxes), frontend (serves clients)")
	f.StringVar(&config, "config", "/etc/flotilla/flotilla.toml", "configuration file to write")
	return c
}

// nameMachine names the machine after its host unless it was named.
func nameMachine(cfg *node.Config) error {
	if cfg.Node != "" {
		return nil
	}
	host, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("host name: %w", err)
	}
	host, _, _ = strings.Cut(host, ".")
	cfg.Node = strings.ToLower(host)
	return nil
}
