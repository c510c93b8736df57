package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/flotilla-mail/flotilla/frontends/admin"
	"github.com/flotilla-mail/flotilla/frontends/admin/adminclient"
	"github.com/flotilla-mail/flotilla/internal/directory"
)

// object is a directory object as the API shows it.
type object struct {
	GUID, Address, Name, Mailbox string
	Kind                         directory.Kind
	Aliases, Members             []string
	Disabled                     bool
	Quota                        uint64
	Zone                         string
}

func objectPath(address string, rest ...string) string {
	return adminclient.Path(append([]string{"v1", "objects", address}, rest...)...)
}

func domainCommand(g *global) *cobra.Command {
	c := &cobra.Command{Use: "domain", Short: "Mail domains of the cluster"}
	one := func(use, short, method string) *cobra.Command {
		return &cobra.Command{Use: use + " DOMAIN", Short: short, Example: "  flotilla domain " + use + " example.org", Args: cobra.ExactArgs(1),
			RunE: func(c *cobra.Command, a []string) error {
				return call(c, g, method, adminclient.Path("v1", "domains", a[0]), nil, showNothing)
			}}
	}
	type domain struct{ Name string }
	c.AddCommand(one("add", "Make a domain ours", "PUT"), one("remove", "Give a domain up", "DELETE"),
		&cobra.Command{Use: "list", Short: "List the domains", Example: "  flotilla domain list --json", Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error {
			return call(c, g, "GET", "/v1/domains", nil, func(w *tabwriter.Writer, all *[]domain) {
				for _, d := range *all {
					fmt.Fprintln(w, d.Name)
				}
			})
		}})
	return c
}

func userCommand(g *global) *cobra.Command {
	c := &cobra.Command{Use: "user", Short: "Users and their mailboxes"}
	c.AddCommand(userAdd(g), userRemove(g), userShow(g), objectList(g, "user", "mailbox", "List who has a mailbox, rooms and equipment too"), userPassword(g), userQuota(g), userBooking(g), userZone(g), userGrant(g), userRevoke(g),
		userSwitch(g, "disable", "Bar a user from signing in; mail is still delivered", true),
		userSwitch(g, "enable", "Let a user sign in again", false))
	return c
}

// userKinds are the kinds of object that user add makes: lists are made by group add.
var userKinds = []string{"user", "shared", "room", "equipment", "resource", "archive", "public"}

func userAdd(g *global) *cobra.Command {
	var o admin.NewObject
	var fromStdin bool
	var quota string
	c := &cobra.Command{
		Use: "add NAME@DOMAIN", Short: "Make a user with a mailbox",
		Example: `  flotilla user add alice@example.org --name "Alice Example" --quota 50G
  echo secret | flotilla user add bob@example.org --password-stdin
  flotilla user add blue@example.org --kind room --name "Blue room" --zone Europe/Berlin`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, a []string) (err error) {
			o.Address = a[0]
			if !slices.Contains(userKinds, o.Kind) {
				return usageError{fmt.Errorf("kind %q: want one of %s", o.Kind, strings.Join(userKinds, ", "))}
			}
			if o.Quota, err = parseSize(quota); err != nil {
				return err
			}
			if o.Kind == "user" {
				if !fromStdin {
					if err := mayBeMade(c, g, o); err != nil {
						return err
					}
				}
				if o.Password, err = readPassword(c.InOrStdin(), fromStdin); err != nil {
					return err
				}
			}
			return call(c, g, "POST", "/v1/objects", o, showObject)
		},
	}
	f := c.Flags()
	f.StringVar(&o.Name, "name", "", "display name")
	f.StringVar(&o.Kind, "kind", "user", "one of "+strings.Join(userKinds, ", "))
	f.StringVar(&o.Booking, "booking", "", bookingHelp)
	f.StringVar(&o.Zone, "zone", "", "time zone of days and times that name none, as Europe/Berlin or \"W. Europe Standard Time\"; none is UTC")
	f.StringVar(&quota, "quota", "", "storage limit, for example 50G")
	f.StringVar(&o.Language, "language", "", "language of the folder names")
	f.StringSliceVar(&o.Aliases, "alias", nil, "further addresses")
	f.BoolVar(&fromStdin, "password-stdin", false, "read the password from standard input")
	return c
}

// mayBeMade asks the node before anybody types a password in vain.
func mayBeMade(c *cobra.Command, g *global, o admin.NewObject) error {
	client, err := g.client()
	if err != nil {
		return err
	}
	o.Check = true
	return client.Do(c.Context(), "POST", "/v1/objects", o, nil)
}

func showObject(w *tabwriter.Writer, o *object) {
	fmt.Fprintf(w, "address\t%s\nname\t%s\nkind\t%v\nguid\t%s\nmailbox\t%s\n", o.Address, o.Name, o.Kind, o.GUID, o.Mailbox)
	if len(o.Aliases) > 0 {
		fmt.Fprintf(w, "aliases\t%s\n", strings.Join(o.Aliases, " "))
	}
	if len(o.Members) > 0 {
		fmt.Fprintf(w, "members\t%s\n", strings.Join(o.Members, " "))
	}
	if o.Quota > 0 {
		fmt.Fprintf(w, "quota\t%s\n", sizeWords(o.Quota))
	}
	if o.Zone != "" {
		fmt.Fprintf(w, "zone\t%s\n", o.Zone)
	}
	if o.Disabled {
		fmt.Fprintf(w, "disabled\tyes\n")
	}
}

func userRemove(g *global) *cobra.Command {
	var purge bool
	c := &cobra.Command{Use: "remove ADDRESS", Short: "Remove a user from the directory", Args: cobra.ExactArgs(1),
		Long: `Removes a user from the directory: sign-in, mail to the addresses, and rights end at once. The mailbox stays as it is, and
nothing leads to it. With --purge it is deleted for good, with all that is in it; that cannot be taken back.`,
		Example: "  flotilla user remove alice@example.org\n  flotilla user remove alice@example.org --purge",
		RunE: func(c *cobra.Command, a []string) error {
			path := objectPath(a[0])
			if purge {
				path += "?purge"
			}
			return call(c, g, "DELETE", path, nil, showNothing)
		}}
	c.Flags().BoolVar(&purge, "purge", false, "delete the mailbox for good")
	return c
}

func userShow(g *global) *cobra.Command {
	var mailbox, rights bool
	c := &cobra.Command{Use: "show ADDRESS", Short: "Show a user, his mailbox, or who has rights in it", Args: cobra.ExactArgs(1),
		Example: "  flotilla user show alice@example.org\n  flotilla user show alice@example.org --mailbox --json\n  flotilla user show alice@example.org --rights",
		RunE: func(c *cobra.Command, a []string) error {
			switch {
			case rights && mailbox:
				return usageError{errors.New("--rights or --mailbox, not both")}
			case rights:
				return call(c, g, "GET", objectPath(a[0], "rights"), nil, showStanding)
			case !mailbox:
				return call(c, g, "GET", objectPath(a[0]), nil, showObject)
			}
			type box struct {
				Mailbox, Owner string
				Group          uint64
				Info           struct{ Messages, Used, Quota, Folders uint64 }
			}
			return call(c, g, "GET", objectPath(a[0], "mailbox"), nil, func(w *tabwriter.Writer, b *box) {
				fmt.Fprintf(w, "mailbox\t%s\ngroup\t%d\nowner\t%s\nmessages\t%d\nused\t%d\nquota\t%s\n",
					b.Mailbox, b.Group, b.Owner, b.Info.Messages, b.Info.Used, sizeWords(b.Info.Quota))
			})
		}}
	c.Flags().BoolVar(&mailbox, "mailbox", false, "show the mailbox: group, owner, counts")
	c.Flags().BoolVar(&rights, "rights", false, "show who has rights in the mailbox, and the rights and groups the user has")
	return c
}

func objectList(g *global, noun, which, short string) *cobra.Command {
	return &cobra.Command{Use: "list", Short: short, Args: cobra.NoArgs, Example: "  flotilla " + noun + " list\n  flotilla " + noun + " list --json",
		RunE: func(c *cobra.Command, _ []string) error {
			return call(c, g, "GET", "/v1/objects?"+which, nil, func(w *tabwriter.Writer, all *[]object) {
				if len(*all) > 0 {
					fmt.Fprintf(w, "ADDRESS\tNAME\tKIND\tALIASES\t\n")
				}
				for _, o := range *all {
					fmt.Fprintf(w, "%s\t%s\t%v\t%s\t\n", o.Address, o.Name, o.Kind, strings.Join(o.Aliases, " "))
				}
			})
		}}
}

func userPassword(g *global) *cobra.Command {
	var fromStdin bool
	c := &cobra.Command{Use: "password ADDRESS", Short: "Set a user's password", Args: cobra.ExactArgs(1),
		Example: "  flotilla user password alice@example.org",
		RunE: func(c *cobra.Command, a []string) error {
			p, err := readPassword(c.InOrStdin(), fromStdin)
			if err != nil {
				return err
			}
			return call(c, g, "PATCH", objectPath(a[0]), admin.Change{Password: &p}, func(*tabwriter.Writer, *object) {})
		}}
	c.Flags().BoolVar(&fromStdin, "password-stdin", false, "read the password from standard input")
	return c
}

func userQuota(g *global) *cobra.Command {
	return &cobra.Command{Use: "quota ADDRESS SIZE", Short: "Set a storage limit; 0 is none", Args: cobra.ExactArgs(2),
		Long: `Sets the storage limit of a mailbox: a number of bytes, or one with K, M, G or T, powers of 1024. 0 is none. What the owner is told
before it is reached, and when, [limits] of flotilla.toml says.`,
		Example: "  flotilla user quota alice@example.org 50G\n  flotilla user quota alice@example.org 0",
		RunE: func(c *cobra.Command, a []string) error {
			n, err := parseSize(a[1])
			if err != nil {
				return err
			}
			return call(c, g, "PATCH", objectPath(a[0]), admin.Change{Quota: &n}, func(*tabwriter.Writer, *object) {})
		}}
}

const bookingHelp = "what is done with requests for meetings: auto (rooms and equipment answer them, all others enter them as tentative), tentative, or off"

func userBooking(g *global) *cobra.Command {
	return &cobra.Command{Use: "booking ADDRESS auto|tentative|off", Short: "Say what is done with requests for meetings", Args: cobra.ExactArgs(2),
		Long: `Says what a mailbox does by itself with mail about meetings. With auto, a room or a piece of equipment accepts what is asked
of it when it is free and declines when it is not, and all others enter requests as tentative. With tentative all do that.
With off requests are mail, and the calendar is left alone.`,
		Example: "  flotilla user booking blue@example.org tentative",
		RunE: func(c *cobra.Command, a []string) error {
			return call(c, g, "PATCH", objectPath(a[0]), admin.Change{Booking: &a[1]}, func(*tabwriter.Writer, *object) {})
		}}
}

func userZone(g *global) *cobra.Command {
	return &cobra.Command{Use: "zone ADDRESS ZONE", Short: "Set the time zone of a mailbox", Args: cobra.ExactArgs(2),
		Long: `Sets the time zone of a mailbox, by its name in the tz database or in Windows: whole days, and times of a calendar that name no time
zone, are meant to be on the clock of whoever looks at them, and in mail that comes and in files that are imported from now on they are taken to
be on this one. Without a zone, which an empty name makes so, that is UTC.`,
		Example: "  flotilla user zone alice@example.org Europe/Berlin\n  flotilla user zone bob@example.org \"Pacific Standard Time\"\n  flotilla user zone alice@example.org \"\"",
		RunE: func(c *cobra.Command, a []string) error {
			return call(c, g, "PATCH", objectPath(a[0]), admin.Change{Zone: &a[1]}, func(*tabwriter.Writer, *object) {})
		}}
}

func userSwitch(g *global, use, short string, disabled bool) *cobra.Command {
	return &cobra.Command{Use: use + " ADDRESS", Short: short, Args: cobra.ExactArgs(1),
		Example: "  flotilla user " + use + " alice@example.org",
		RunE: func(c *cobra.Command, a []string) error {
			return call(c, g, "PATCH", objectPath(a[0]), admin.Change{Disabled: &disabled}, func(*tabwriter.Writer, *object) {})
		}}
}

func aliasCommand(g *global) *cobra.Command {
	c := &cobra.Command{Use: "alias", Short: "Further addresses of a user or list"}
	one := func(use, short string, change func(alias string) admin.Change) *cobra.Command {
		return &cobra.Command{Use: use + " ALIAS ADDRESS", Short: short, Args: cobra.ExactArgs(2),
			Example: "  flotilla alias " + use + " sales@example.org alice@example.org",
			RunE: func(c *cobra.Command, a []string) error {
				return call(c, g, "PATCH", objectPath(a[1]), change(a[0]), func(*tabwriter.Writer, *object) {})
			}}
	}
	c.AddCommand(
		one("add", "Let an address lead to a user or list", func(a string) admin.Change { return admin.Change{AddAliases: []string{a}} }),
		one("remove", "Take an address away", func(a string) admin.Change { return admin.Change{RemoveAliases: []string{a}} }))
	return c
}

// readPassword reads a line from standard input, or asks twice on the terminal.
func readPassword(stdin io.Reader, fromStdin bool) (string, error) {
	if fromStdin {
		line, err := bufio.NewReader(stdin).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", fmt.Errorf("read password: %w", err)
		}
		return someone(strings.TrimRight(line, "\r\n"))
	}
	fd := int(os.Stdin.Fd())
	if !term.IsTerminal(fd) {
		return "", usageError{errors.New("there is no terminal to ask for a password on: use --password-stdin")}
	}
	var p [2][]byte
	for i, prompt := range []string{"Password: ", "Again: "} {
		fmt.Fprint(os.Stderr, prompt)
		var err error
		p[i], err = term.ReadPassword(fd)
		fmt.Fprintln(os.Stderr)
		if err != nil {
			return "", fmt.Errorf("read password: %w", err)
		}
	}
	if string(p[0]) != string(p[1]) {
		return "", errors.New("the two passwords differ")
	}
	return someone(string(p[0]))
}

// someone refuses the empty password, which is nobody's.
func someone(password string) (string, error) {
	if password == "" {
		return "", usageError{errors.New("the password is empty")}
	}
	return password, nil
}

// sizeWords is what parseSize reads, as short as it can be said exactly.
func sizeWords(n uint64) string {
	if n == 0 {
		return "none"
	}
	unit := ""
	for _, u := range []string{"K", "M", "G", "T"} {
		if n%1024 != 0 {
			break
		}
		n, unit = n/1024, u
	}
	return strconv.FormatUint(n, 10) + unit
}

// parseSize reads a number of bytes with an optional K, M, G or T (powers of 1024).
func parseSize(s string) (uint64, error) {
	if s == "" {
		return 0, nil
	}
	shift := map[byte]int{'K': 10, 'M': 20, 'G': 30, 'T': 40}[strings.ToUpper(s)[len(s)-1]]
	digits := s
	if shift > 0 {
		digits = s[:len(s)-1]
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || n<<shift>>shift != n {
		return 0, usageError{fmt.Errorf("size %q: want a number of bytes, or one with K, M, G or T", s)}
	}
	return n << shift, nil
}
