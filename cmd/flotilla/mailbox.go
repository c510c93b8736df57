package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/flotilla-mail/flotilla/exmdb/inspect"
	"github.com/flotilla-mail/flotilla/frontends/admin/adminclient"
	"github.com/flotilla-mail/flotilla/internal/invariant"
)

// mailboxFlags are the flags of the commands that look into a mailbox: what they say goes into the request under their
// names.
var mailboxFlags = map[string]func(c *cobra.Command, name string){
	"folder":     textFlag("path (Inbox/Projects) or id (1-d) of a folder"),
	"item":       textFlag("id of a message"),
	"attachment": textFlag("number of an attachment of the item; 0/2 is in the message attached as 0"),
	"embedded":   switchFlag("the message inside the attachment, instead of the attachment"),
	"limit": func(c *cobra.Command, name string) {
		c.Flags().Uint16(name, inspect.DefaultLimit, "how many to show, 1000 at most")
	},
	"after": textFlag("go on where the answer before ended"),
	"since": func(c *cobra.Command, name string) {
		c.Flags().Uint64(name, 0, "the stamp after which changes are wanted")
	},
	"associated": switchFlag("associated messages, which hold settings, instead of the others"),
	"deleted":    switchFlag("what was deleted and can be recovered, instead of the others"),
	"bodies":     switchFlag("show texts, data and long values too"),
}

func textFlag(usage string) func(*cobra.Command, string) {
	return func(c *cobra.Command, name string) { c.Flags().String(name, "", usage) }
}

func switchFlag(usage string) func(*cobra.Command, string) {
	return func(c *cobra.Command, name string) { c.Flags().Bool(name, false, usage) }
}

// mailboxVerb is a command that looks into a mailbox.
type mailboxVerb struct {
	verb, short, long, example string
	flags                      []string
	run                        func(c *cobra.Command, g *global, path string) error
}

var mailboxVerbs = []mailboxVerb{
	{verb: "inspect", short: "Show a mailbox as a whole: kind, counts, quotas, stamps, delegates", run: showing(showHeader),
		example: "  flotilla mailbox inspect alice@example.org --json"},
	{verb: "folders", short: "List the folders with their counts and stamps", flags: []string{"deleted"}, run: showing(showFolders),
		example: "  flotilla mailbox folders alice@example.org\n  flotilla mailbox folders alice@example.org --deleted"},
	{verb: "items", short: "List the messages of a folder, a page at a time", flags: []string{"folder", "limit", "after", "associated", "deleted"},
		run: showing(showItems), long: "List the messages of a folder, the newest first, a page at a time: those of the Inbox unless a folder is named.",
		example: `  flotilla mailbox items alice@example.org --folder "Sent Items" --limit 10
  flotilla mailbox items alice@example.org --folder Inbox --associated
  flotilla mailbox items alice@example.org --deleted --json`},
	{verb: "props", short: "Show the properties of the mailbox, of a folder or of a message, by name",
		flags: []string{"folder", "item", "attachment", "embedded", "bodies"}, run: showing(showProps),
		long: `Show properties by name: those of the mailbox itself, of a folder, of a message with its recipients and attachments, or of an
attachment.`,
		example: `  flotilla mailbox props alice@example.org
  flotilla mailbox props alice@example.org --folder Calendar
  flotilla mailbox props alice@example.org --item 1-2f4
  flotilla mailbox props alice@example.org --item 1-2f4 --attachment 0 --bodies --json`},
	{verb: "changes", short: "Show what has moved since a stamp", flags: []string{"folder", "since", "limit"}, run: showing(showChanges),
		long: `Show what has moved in a mailbox, or in one folder, since a stamp: folders whose own properties changed, messages that are
new or changed, and UIDs that vanished. Stamps come from 'flotilla mailbox inspect' and from the answers themselves.`,
		example: "  flotilla mailbox changes alice@example.org --since 1234\n  flotilla mailbox changes alice@example.org --folder Inbox --since 1234 --json"},
	{verb: "rules", short: "Show what a mailbox does by itself: rules, out-of-office, junk", flags: []string{"folder", "bodies"}, run: showing(showRules),
		long:    "Show what a mailbox does by itself: the rules of a folder, the Inbox unless one is named, out-of-office and junk.",
		example: "  flotilla mailbox rules alice@example.org\n  flotilla mailbox rules alice@example.org --bodies"},
	{verb: "rights", short: "Show who may do what in folders", flags: []string{"folder"}, run: showing(showRights),
		long:    "Show who may do what, in one folder or in all.",
		example: "  flotilla mailbox rights alice@example.org\n  flotilla mailbox rights alice@example.org --folder Calendar --json"},
}

func mailboxCommand(g *global) *cobra.Command {
	c := &cobra.Command{Use: "mailbox", Short: "Look into a mailbox, move it, fill it from files or write it into some",
		Long: `Look into a mailbox, wherever its owner is. Nothing is changed, and nothing becomes read. What messages and replies say is
shown only with --bodies. 'move' moves a mailbox to another group of machines, 'import' and 'export' carry mail from and to files.`}
	c.AddCommand(mailboxMove(g), mailboxMoves(g), mailboxImport(g), mailboxExport(g))
	for i := range mailboxVerbs {
		c.AddCommand(mailboxVerbs[i].command(g))
	}
	return c
}

func (v *mailboxVerb) command(g *global) *cobra.Command {
	c := &cobra.Command{Use: v.verb + " ADDRESS", Short: v.short, Long: v.long, Example: v.example, Args: cobra.ExactArgs(1)}
	for _, name := range v.flags {
		mailboxFlags[name](c, name)
	}
	c.RunE = func(c *cobra.Command, a []string) error {
		q := url.Values{}
		for _, name := range v.flags {
			if f := c.Flags().Lookup(name); f.Changed {
				q.Set(name, f.Value.String())
			}
		}
		path := adminclient.Path("v1", "mailboxes", a[0], v.verb)
		if len(q) > 0 {
			path += "?" + q.Encode()
		}
		return v.run(c, g, path)
	}
	return c
}

// showing is a command that asks for a path and shows the answer.
func showing[T any](show func(*tabwriter.Writer, *T)) func(*cobra.Command, *global, string) error {
	return func(c *cobra.Command, g *global, path string) error { return call(c, g, "GET", path, nil, show) }
}

func showHeader(w *tabwriter.Writer, h *inspect.Header) {
	row(w, "mailbox\t%v\t\nkind\t%s\t\nowner\t%v\t\nreplica\t%v\t\nepoch\t%d\t\ncreated\t%s\t\n", h.Mailbox, h.Kind, h.Owner, h.Replica, h.Epoch, moment(h.Created))
	row(w, "folders\t%d\t\nmessages\t%d\t\nused\t%d\t\ndeleted\t%d\t\n", h.Folders, h.Messages, h.Used, h.Deleted)
	row(w, "quota\t%s\t\n", quotaWords(h))
	row(w, "stamp\t%d\t\nfloor\t%d\t\nsequence\t%d\t\naway\t%s\t\n", h.Stamp, h.Floor, h.Sequence, h.Away)
	if h.PerUserRead {
		row(w, "read state\teach user's own\t\n")
	}
	for _, d := range h.Delegates {
		var may []string
		if d.OnBehalf {
			may = append(may, "sends on behalf")
		}
		if d.SeePrivate {
			may = append(may, "sees private items")
		}
		row(w, "delegate\t%s: %s\t\n", cmp.Or(d.Name, d.User.String()), cmp.Or(strings.Join(may, ", "), "folders only"))
	}
	for _, r := range h.Receive {
		row(w, "receives\t%s: %s\t\n", cmp.Or(r.Class, "any class"), r.Path)
	}
}

func quotaWords(h *inspect.Header) string {
	return fmt.Sprintf("%s (sending stops at %s, warning at %s)", sizeWords(h.Quota), sizeWords(h.QuotaSend), sizeWords(h.QuotaWarn))
}

func showFolders(w *tabwriter.Writer, f *inspect.Folders) {
	if len(f.Folders) > 0 {
		row(w, "ID\tMESSAGES\tUNREAD\tSIZE\tCN\tCONTENT\tCLASS\tPATH\t\n")
	}
	for i := range f.Folders {
		x := &f.Folders[i]
		row(w, "%v\t%d\t%d\t%d\t%d\t%d\t%s\t%s\t\n", x.ID, x.Messages, x.Unread, x.Size, x.CN, x.ContentSeq, x.Class, x.Path)
	}
	if len(f.Deleted) > 0 {
		row(w, "ID\tMESSAGES\tSIZE\tDELETED\tCLASS\tNAME\t\n")
	}
	for _, x := range f.Deleted {
		row(w, "%v\t%d\t%d\t%s\t%s\t%s\t\n", x.ID, x.Messages, x.Size, moment(x.At), x.Class, x.Name)
	}
}

func showItems(w *tabwriter.Writer, page *inspect.Items) {
	if len(page.Items) > 0 {
		row(w, "ID\tUID\tRECEIVED\tSIZE\tCN\tMODSEQ\tFLAGS\tFROM\tSUBJECT\t\n")
	}
	for i := range page.Items {
		x := &page.Items[i]
		row(w, "%v\t%d\t%s\t%d\t%d\t%d\t%s\t%s\t%s\t\n", x.ID, x.UID, moment(x.Received), x.Size, x.CN, x.ModSeq,
			cmp.Or(strings.Join(x.Flags, " "), "-"), cmp.Or(x.From, "-"), cmp.Or(x.Subject, "("+x.Class+")"))
	}
	if page.After != "" {
		row(w, "%d of %d in %s; go on with --after %s\n", len(page.Items), page.Total, page.Path, page.After)
	}
}

func showProps(w *tabwriter.Writer, p *inspect.Props) {
	row(w, "%s, cn %d\n", p.Object, p.CN)
	showBag(w, "", p.Props)
	for i := range p.Recipients {
		row(w, "recipient %d\n", i)
		showBag(w, "  ", p.Recipients[i])
	}
	for i := range p.Attachments {
		what := "attachment"
		if p.Attachments[i].Message {
			what = "attached message"
		}
		row(w, "%s %d\n", what, p.Attachments[i].Number)
		showBag(w, "  ", p.Attachments[i].Props)
	}
}

func showBag(w *tabwriter.Writer, indent string, props []inspect.Prop) {
	for _, p := range props {
		value, hidden := "", ""
		if p.Hidden != "" {
			hidden = fmt.Sprintf("(%d bytes; %s)", p.Size, p.Hidden)
		}
		if p.Value != nil {
			value = inJSON(p.Value)
		}
		row(w, "%s%s\t%s\t%s\t\n", indent, p.Tag, p.Name, strings.TrimSpace(value+" "+hidden))
	}
}

// inJSON is a value that came as JSON, as it came.
func inJSON(v any) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // it is read by people
	if err := e.Encode(v); err != nil {
		invariant.Failf("a value that came as JSON is none: %v", err)
	}
	return strings.TrimSpace(b.String())
}

func showChanges(w *tabwriter.Writer, c *inspect.Changes) {
	row(w, "since %d, now %d\n", c.Since, c.Stamp)
	for i := range c.Folders {
		f := &c.Folders[i]
		own := ""
		if f.Own {
			own = fmt.Sprintf(", itself changed by %d", f.CN)
		}
		row(w, "%s (%v)%s\n", f.Path, f.ID, own)
		for _, x := range f.Messages {
			row(w, "  %d\t%v\tuid %d\t%s\t\n", x.ModSeq, x.ID, x.UID, cmp.Or(strings.Join(x.Flags, " "), "-"))
		}
		for _, v := range f.Vanished {
			row(w, "  gone\tuid %d:%d\t\t\t\n", v[0], v[1])
		}
		if f.More {
			row(w, "  more: --folder %v --since %d\n", f.ID, f.Next)
		}
	}
}

func showRules(w *tabwriter.Writer, r *inspect.Rules) {
	for i := range r.Rules {
		x := &r.Rules[i]
		kind := "rule"
		if x.Extended {
			kind = "extended rule"
		}
		row(w, "%s %d of %s, sequence %d: %s (%s)\n", kind, x.ID, r.Path, x.Sequence, x.Name, cmp.Or(strings.Join(x.State, ", "), "off"))
		row(w, "  if %s\n", x.Condition)
		for _, a := range x.Actions {
			row(w, "  then %s\n", a)
		}
		if x.Bad != "" {
			row(w, "  does not run: %s\n", x.Bad)
		}
	}
	row(w, "out of office: %s\n", r.Away.State)
	showReply(w, "inside", r.Away.Internal)
	showReply(w, "outside", r.Away.External)
	j := &r.Junk
	if !j.On {
		row(w, "junk: not filed\n")
		return
	}
	row(w, "junk: from level %d; trusts contacts: %v; only safe senders: %v\n", j.Threshold, j.TrustContacts, j.OnlySafe)
	for _, list := range []struct {
		name    string
		entries []string
	}{{"safe senders", j.SafeSenders}, {"safe recipients", j.SafeRecipients}, {"blocked", j.Blocked}} {
		if len(list.entries) > 0 {
			row(w, "%s: %s\n", list.name, strings.Join(list.entries, " "))
		}
	}
}

func showReply(w *tabwriter.Writer, to string, r *inspect.Reply) {
	if r != nil && (r.Plain != "" || r.HTML != "") {
		row(w, "  %s: %s\n", to, strconv.Quote(cmp.Or(r.Plain, r.HTML)))
	}
}

func showRights(w *tabwriter.Writer, r *inspect.Rights) {
	row(w, "FOLDER\tMEMBER\tRIGHTS\t\n")
	for i := range r.Folders {
		for _, m := range r.Folders[i].Members {
			row(w, "%s\t%s\t%s\t\n", r.Folders[i].Path, cmp.Or(m.Name, m.User.String()), cmp.Or(strings.Join(m.Rights, " "), "none"))
		}
	}
}
