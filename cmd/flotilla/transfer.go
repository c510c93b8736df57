package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/client"
	"github.com/flotilla-mail/flotilla/frontends/admin/adminclient"
	"github.com/flotilla-mail/flotilla/internal/archive"
	"github.com/flotilla-mail/flotilla/internal/archive/adminops"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

func mailboxImport(g *global) *cobra.Command {
	var zone string
	do := func(ctx context.Context, j archive.Job) (archive.Progress, error) {
		j.Zone = cmp.Or(zone, j.Zone, localZone())
		return archive.Import(ctx, j)
	}
	c := transferCommand(g, &cobra.Command{Use: "import ADDRESS PATH", Short: "Bring mail, calendars, contacts or an archive from files into a mailbox",
		Long: `Brings what is at PATH into a mailbox, while it is used. The format goes by the name of PATH, or --format says it:

  archive   a .flotilla file of 'flotilla mailbox export': everything, as it was
  mbox      a file of mails, or a folder of such files
  maildir   a Maildir with its folders (Maildir++)
  eml       a file of one mail, or a folder of such files and folders
  tnef      a file of one message (winmail.dat), or a folder of such files and folders
  ical      a file of events, tasks and journal entries, or a folder of such files
  vcard     a file of contacts and lists, or a folder of such files

Times, flags, read state and keywords are kept where the format has them. Folders that are not there are made. Mail of a single
file goes to the Inbox and items to the folder of their kind, unless --folder says where.

Whole days, and times of a calendar that name no time zone, are meant to be on the clock of whoever looks at them: --zone says which
that is. Without it that is the mailbox's own ('flotilla user zone'), and where it has none this machine's (TZ, else /etc/localtime), or
UTC where that has none with a name.

Nothing is brought twice: the same import again passes over what it has brought before. So if one was stopped, by Ctrl-C, a full
mailbox or a node that died, give the same command again. What cannot be read is named and passed over; the exit code is 1 then.`,
		Example: `  flotilla mailbox import alice@example.org Inbox.mbox
  flotilla mailbox import alice@example.org ~/Maildir --format maildir
  flotilla mailbox import alice@example.org contacts.vcf --folder Contacts/Friends
  flotilla mailbox import alice@example.org calendar.ics --zone Europe/Berlin
  flotilla mailbox import alice@example.org alice.flotilla --json`}, do, "imported")
	c.Flags().StringVar(&zone, "zone", "", "time zone of calendars that name none, as Europe/Berlin (default the mailbox's, else this machine's)")
	return c
}

// localZone is the name of this machine's time zone, UTC where it has none that everybody knows: Go itself keeps only "Local".
func localZone() string {
	name, set := os.LookupEnv("TZ")
	if !set {
		if target, err := os.Readlink("/etc/localtime"); err == nil {
			_, name, _ = strings.Cut(target, "/zoneinfo/")
		}
	}
	name = strings.TrimPrefix(name, ":")
	if _, err := time.LoadLocation(name); err != nil || name == "" || name == "Local" {
		return "UTC"
	}
	return name
}

func mailboxExport(g *global) *cobra.Command {
	return transferCommand(g, &cobra.Command{Use: "export ADDRESS PATH", Short: "Write a mailbox, or a folder of it, into files",
		Long: `Writes a mailbox, or with --folder a folder and what is below it, to PATH, while it is used. The format goes by the name of
PATH, or --format says it:

  archive   a .flotilla file with everything, to be imported into this or another mailbox
  mbox      a .mbox file with all mails, or a folder with a file for each folder
  maildir   a Maildir with its folders (Maildir++)
  eml       a folder with a file for each mail
  tnef      a folder with a file for each message
  ical      an .ics file with all calendars and tasks, or a folder with a file for each
  vcard     a .vcf file with all contacts, or a folder with a file for each folder of them

Files that are there are not written over. A Maildir, eml and tnef go on where an export was stopped.`,
		Example: `  flotilla mailbox export alice@example.org alice.flotilla
  flotilla mailbox export alice@example.org ./mail --format mbox
  flotilla mailbox export alice@example.org calendar.ics --folder Calendar
  flotilla mailbox export alice@example.org ./Maildir --format maildir --json`}, archive.Export, "exported")
}

// transferCommand is an import or an export.
func transferCommand(g *global, c *cobra.Command, do func(context.Context, archive.Job) (archive.Progress, error), done string) *cobra.Command {
	var format, folder string
	c.Args = cobra.ExactArgs(2)
	c.Flags().StringVar(&format, "format", "", strings.Join(archive.Formats(), ", "))
	c.Flags().StringVar(&folder, "folder", "", "path of a folder of the mailbox, as Inbox/Projects")
	c.RunE = func(c *cobra.Command, a []string) error {
		job, err := transferJob(c.Context(), g, a[0])
		if err != nil {
			return err
		}
		job.Path, job.Format, job.Folder = a[1], format, folder
		show := newMeter(c, g)
		job.Progress, job.Warn = show.progress, show.warn
		p, err := do(c.Context(), *job)
		return show.end(p, err, done)
	}
	return c
}

// transferJob is a job on the mailbox of an address.
func transferJob(ctx context.Context, g *global, address string) (*archive.Job, error) {
	c, err := g.client()
	if err != nil {
		return nil, err
	}
	var o struct {
		Mailbox mapi.MailboxID
		Zone    string
		Address string
		Aliases []string
	}
	if err := c.Do(ctx, "GET", adminclient.Path("v1", "objects", address), nil, &o); err != nil {
		return nil, err
	}
	if o.Mailbox.IsZero() {
		return nil, cluster.Errorf(exmdb.KindNoMailbox, "%s has no mailbox", address)
	}
	way := &adminops.Ops{Address: address, Connect: g.client}
	return &archive.Job{Caller: client.Client{Ops: way}, Mailbox: o.Mailbox, Zone: o.Zone, Own: append([]string{o.Address}, o.Aliases...)}, nil
}

// Times between two signs of progress.
const (
	drawEvery   = 100 * time.Millisecond
	reportEvery = time.Second
)

// meter shows how far a job is: as a bar on a terminal, as lines of JSON, or not at all.
type meter struct {
	cmd      *cobra.Command
	json     bool
	terminal bool
	width    int
	last     time.Time
	drawn    bool
}

func newMeter(c *cobra.Command, g *global) *meter {
	m := &meter{cmd: c, json: g.json, last: time.Now()}
	if f, ok := c.ErrOrStderr().(*os.File); ok && !g.json {
		m.terminal = term.IsTerminal(int(f.Fd()))
	}
	return m
}

// report is a line of JSON; the last one of a job has Done or Error.
type report struct {
	archive.Progress
	Done  bool   `json:"done"`
	Error string `json:"error,omitempty"`
}

func (m *meter) progress(p archive.Progress) {
	switch {
	case m.json && time.Since(m.last) >= reportEvery:
		m.last = time.Now()
		_ = json.NewEncoder(m.cmd.OutOrStdout()).Encode(report{Progress: p}) // the last line says whether somebody reads
	case m.terminal && time.Since(m.last) >= drawEvery:
		m.last = time.Now()
		m.draw(bar(p))
	}
}

// draw puts a line in the place of the one before.
func (m *meter) draw(line string) {
	clear := strings.Repeat(" ", max(0, m.width-len([]rune(line))))
	m.width, m.drawn = len([]rune(line)), true
	fmt.Fprintf(m.cmd.ErrOrStderr(), "\r%s%s", line, clear)
}

// clear takes the bar away, for a line that stays.
func (m *meter) clear() {
	if m.drawn {
		m.draw("")
		fmt.Fprint(m.cmd.ErrOrStderr(), "\r")
		m.drawn = false
	}
}

const barWidth = 30

// bar shows progress in one line; without an end that is known there is no bar in it.
func bar(p archive.Progress) string {
	folder := []rune(plain(p.Folder))
	if len(folder) > 24 {
		folder = append([]rune("…"), folder[len(folder)-23:]...)
	}
	mib := func(n int64) float64 { return float64(n) / (1 << 20) }
	if p.Of <= 0 {
		return fmt.Sprintf("%-24s %s, %.1f MiB", string(folder), count(p.Messages+p.Known, "message"), mib(p.Bytes))
	}
	part := min(float64(p.Bytes)/float64(p.Of), 1)
	full := int(part * barWidth)
	return fmt.Sprintf("%-24s [%s%s] %3.0f%% %s, %.1f of %.1f MiB", string(folder), strings.Repeat("#", full),
		strings.Repeat(".", barWidth-full), part*100, count(p.Messages+p.Known, "message"), mib(p.Bytes), mib(max(p.Of, p.Bytes)))
}

func (m *meter) warn(what string, err error) {
	m.clear()
	fmt.Fprintf(m.cmd.ErrOrStderr(), "flotilla: %s: %v\n", plain(what), err)
}

// end says what was done, and makes an error of what was not.
func (m *meter) end(p archive.Progress, err error, done string) error {
	m.clear()
	words := fmt.Sprintf("%s %s, %d there already, %d passed over", count(p.Messages, "message"), done, p.Known, p.Failed)
	switch {
	case errors.Is(err, archive.ErrJob):
		return usageError{err}
	case err != nil && p.Messages+p.Known+p.Failed > 0:
		err = fmt.Errorf("%s; then it stopped, and the same command goes on from there: %w", words, err)
	case err == nil && p.Failed > 0:
		err = errors.New(words)
	}
	if m.json {
		last := report{Progress: p, Done: err == nil}
		if err != nil {
			last.Error = err.Error()
		}
		return errors.Join(err, json.NewEncoder(m.cmd.OutOrStdout()).Encode(last))
	}
	if err == nil {
		fmt.Fprintf(m.cmd.OutOrStdout(), "%s.\n", words)
	}
	return err
}
