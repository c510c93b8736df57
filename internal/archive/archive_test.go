package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/exmdb/store"
	"github.com/flotilla-mail/flotilla/internal/auth"
	"github.com/flotilla-mail/flotilla/internal/convert/object"
	"github.com/flotilla-mail/flotilla/internal/convert/oxcical"
	"github.com/flotilla-mail/flotilla/internal/formats/mime"
	"github.com/flotilla-mail/flotilla/internal/mailflow/deliver"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/testkit"
	"github.com/flotilla-mail/flotilla/internal/testkit/mailboxes"
	"github.com/flotilla-mail/flotilla/internal/testkit/mails"
)

// site is a group of mailboxes in memory.
type site struct {
	*mailboxes.Group
	t testing.TB
}

func newSite(t testing.TB) *site {
	config := store.Defaults()
	config.MaxMessage = exmdb.MaxMessage
	return &site{mailboxes.New(t, config), t}
}

func (s *site) mailbox(quota uint64) mapi.MailboxID {
	return s.Create(&exmdb.CreateMailboxRequest{Kind: exmdb.MailboxUser, Owner: mapi.NewGUID(), Quota: quota})
}

func (s *site) job(box mapi.MailboxID, format, path string) Job {
	return Job{Caller: s, Mailbox: box, Format: format, Path: path, Spool: s.t.TempDir(), Warn: func(what string, err error) { s.t.Logf("%s: %v", what, err) }}
}

// in imports, out exports; both want nothing to fail.
func (s *site) in(j Job) Progress  { return s.run(Import, j) }
func (s *site) out(j Job) Progress { return s.run(Export, j) }

func (s *site) run(do func(context.Context, Job) (Progress, error), j Job) Progress {
	s.t.Helper()
	p, err := do(s.t.Context(), j)
	if err != nil || p.Failed > 0 {
		s.t.Fatalf("%s of %s: %+v, %v", j.Format, j.Path, p, err)
	}
	return p
}

// mail is what IMAP shows of a message.
type mail struct {
	folder, octets, keywords string
	flags                    exmdb.FlagBits
	received                 time.Time
}

// mails are all mails of a mailbox, in order.
func (s *site) mails(box mapi.MailboxID) []mail {
	s.t.Helper()
	j := &job{Job: s.job(box, "", ""), ctx: s.t.Context()}
	var err error
	if j.tree, err = readTree(s.t.Context(), s, box); err != nil {
		s.t.Fatal(err)
	}
	var list []mail
	for _, f := range j.tree.list {
		err := j.mails(f, func(row *exmdb.Row) error {
			var b bytes.Buffer
			slices.Sort(row.Flags.Keywords)
			err := j.octets(&b, f.FID, row)
			list = append(list, mail{j.tree.path(f.FID), b.String(), strings.Join(row.Flags.Keywords, "|"), row.Flags.Bits, row.Received})
			return err
		})
		if err != nil {
			s.t.Fatal(err)
		}
	}
	slices.SortFunc(list, func(a, b mail) int {
		return strings.Compare(a.folder+a.octets+a.received.String(), b.folder+b.octets+b.received.String())
	})
	return list
}

// append stores a mail as IMAP does.
func (s *site) append(box mapi.MailboxID, folder mapi.FID, octets string, flags exmdb.Flags, received time.Time) {
	s.t.Helper()
	in := &deliver.Deliverer{Caller: s, Limit: exmdb.MaxMessage, Spool: os.TempDir()}
	message, err := in.Ingest(s.t.Context(), &auth.Principal{Mailbox: box}, strings.NewReader(octets), int64(len(octets)))
	if err != nil {
		s.t.Fatal(err)
	}
	_, err = exmdb.Do(s.t.Context(), s, exmdb.System, box, exmdb.OpAppend, &exmdb.AppendRequest{Folder: folder,
		Message: message, Flags: flags, Received: received})
	if err != nil {
		s.t.Fatal(err)
	}
}

// corpus are mails as the world sends them.
func corpus(t testing.TB) [][]byte {
	t.Helper()
	list := [][]byte{
		[]byte("Subject: separators\r\n\r\nFrom here on\r\n\r\nFrom there 10:00\r\n>From quoted\r\n\r\n\r\n"),
		[]byte("Subject: cr\r\n\r\nends in cr\r\r\nand \r inside\r\n"),
		[]byte("Status: mine\r\nSubject: a field of that name\r\n\r\n\r\n"),
		[]byte("Subject: long\r\n\r\n" + strings.Repeat(strings.Repeat("x", 99_998)+"\r\n", 8)),
	}
	for _, m := range mails.Corpus(t) {
		if strings.HasPrefix(m.Family, "mails-") { // whole mails; the conversion's own tests take all
			list = append(list, mime.Normalize(m.Octets))
		}
	}
	return list
}

// fill gives a mailbox the corpus, in folders with difficult names and under flags of every kind.
func (s *site) fill(box mapi.MailboxID) {
	s.t.Helper()
	j := &job{Job: s.job(box, "", ""), ctx: s.t.Context()}
	var err error
	if j.tree, err = readTree(s.t.Context(), s, box); err != nil {
		s.t.Fatal(err)
	}
	folders := []mapi.FID{schema.Inbox, schema.Sent}
	for _, path := range []string{"Projects/v1.2 & more", "Projects/Größe\u2215Höhe", ".hidden", "Inbox/Below"} {
		f, err := j.ensure(path, "")
		if err != nil {
			s.t.Fatal(err)
		}
		folders = append(folders, f.FID)
	}
	for i, octets := range corpus(s.t) {
		flags := exmdb.Flags{Bits: exmdb.FlagBits(i) & 0x3F}
		if i%3 == 0 {
			flags.Keywords = []string{"Red Category", "$Label1"}[:1+i%2]
		}
		at := time.Date(2024, 2, 29, 23, 59, i%60, 0, time.UTC)
		s.append(box, folders[i%len(folders)], string(octets), flags, at)
		if i%7 == 0 { // twice the same
			s.append(box, folders[i%len(folders)], string(octets), flags, at)
		}
	}
}

// TestMailFormats: a mailbox goes through each format that mail programs have, and comes back with its folders, octets, times
// and flags; a second import of the same stores nothing.
func TestMailFormats(t *testing.T) {
	s := newSite(t)
	box := s.mailbox(0)
	s.fill(box)
	want := s.mails(box)
	for _, format := range []string{"mbox", "maildir", "eml", "archive"} {
		t.Run(format, func(t *testing.T) {
			s := &site{s.Group, t}
			path := filepath.Join(t.TempDir(), "out")
			if p := s.out(s.job(box, format, path)); p.Messages != len(want) {
				t.Fatalf("%+v, %d mails", p, len(want))
			}
			back := s.mailbox(0)
			if p := s.in(s.job(back, format, path)); p.Messages != len(want) || p.Known != 0 {
				t.Fatalf("%+v, %d mails", p, len(want))
			}
			expected := as(format, want)
			sameMails(t, s.mails(back), expected)
			if p := s.in(s.job(back, format, path)); p.Messages != 0 || p.Known != len(want) {
				t.Errorf("again: %+v", p)
			}
			sameMails(t, s.mails(back), expected)
		})
	}
}

// as are mails as a format gives them back: files of one mail have no flags, in an mbox each mail ends in a line end.
func as(format string, list []mail) []mail {
	list = slices.Clone(list)
	for i := range list {
		m := &list[i]
		switch {
		case format == "eml":
			m.flags, m.keywords = 0, ""
		case format == "mbox" && !strings.HasSuffix(m.octets, "\r\n"):
			m.octets += "\r\n"
		}
	}
	return list
}

func sameMails(t *testing.T, got, want []mail) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d mails, want %d", len(got), len(want))
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("mail %d: got %+v\nwant %+v", i, got[i], want[i])
		}
	}
}

// TestInterrupted: an import that is cut off after each message in turn, or whose answers are lost, brings everything once in
// the end.
func TestInterrupted(t *testing.T) {
	s := newSite(t)
	box := s.mailbox(0)
	s.fill(box)
	want := s.mails(box)
	for _, format := range []string{"mbox", "maildir", "archive"} {
		t.Run(format, func(t *testing.T) {
			s := &site{s.Group, t}
			path := filepath.Join(t.TempDir(), "out")
			s.out(s.job(box, format, path))
			back := s.mailbox(0)
			for cuts := 0; ; cuts++ {
				ctx, cut := context.WithCancel(t.Context())
				calls := 0
				j := s.job(back, format, path)
				j.Caller = &cutter{Caller: s, after: 20 + cuts*7, calls: &calls, cut: cut}
				s.Break()
				_, err := Import(ctx, j)
				cut()
				if err == nil {
					break
				}
				if !errors.Is(err, context.Canceled) || cuts > 100 {
					t.Fatalf("cut %d: %v", cuts, err)
				}
			}
			sameMails(t, s.mails(back), as(format, want))
		})
	}
}

// cutter cuts a job off after so many calls.
type cutter struct {
	exmdb.Caller
	after int
	calls *int
	cut   context.CancelFunc
}

// Call implements exmdb.Caller.
func (c *cutter) Call(ctx context.Context, as exmdb.Identity, box mapi.MailboxID, op exmdb.OpInfo, req, resp any) error {
	if *c.calls++; *c.calls > c.after {
		c.cut()
		return ctx.Err()
	}
	return c.Caller.Call(ctx, as, box, op, req, resp)
}

// TestItems: cards, calendars and messages in TNEF come back as they were.
func TestItems(t *testing.T) {
	root := testkit.Root(t)
	for _, c := range []struct{ format, file, suffix string }{
		{"vcard", "internal/convert/oxvcard/testdata/cards.txtar", ".vcf"},
		{"ical", "internal/convert/oxcical/testdata/calendars.txtar", ".ics"},
	} {
		t.Run(c.format, func(t *testing.T) {
			s := newSite(t)
			a, err := txtar.ParseFile(filepath.Join(root, c.file))
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			source := filepath.Join(dir, "source")
			if err := os.Mkdir(source, 0o700); err != nil {
				t.Fatal(err)
			}
			const nth = 6 // the conversions' own tests take all
			for i := 0; i < len(a.Files); i += nth {
				f := &a.Files[i]
				if err := os.WriteFile(filepath.Join(source, fmt.Sprintf("%03d%s", i, c.suffix)), f.Data, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			box, back := s.mailbox(0), s.mailbox(0)
			first, err := Import(t.Context(), s.job(box, c.format, source))
			if err != nil || first.Messages < len(a.Files)*9/10/nth {
				t.Fatalf("%+v of %d, %v", first, len(a.Files), err)
			}
			again, err := Import(t.Context(), s.job(box, c.format, source))
			if err != nil || again.Messages != 0 || again.Known != first.Messages+first.Known || again.Failed != first.Failed {
				t.Fatalf("%+v, then %+v, %v", first, again, err)
			}
			once, twice, tnef := filepath.Join(dir, "once"), filepath.Join(dir, "twice"), filepath.Join(dir, "tnef")
			s.out(s.job(box, c.format, once))
			s.in(s.job(back, c.format, once))
			s.out(s.job(back, c.format, twice))
			sameFiles(t, once, twice)
			j := s.job(box, "tnef", tnef)
			s.out(j)
			j.Mailbox = s.mailbox(0)
			s.in(j)
			thrice := s.job(j.Mailbox, c.format, filepath.Join(dir, "thrice"))
			s.out(thrice)
			sameFiles(t, once, thrice.Path)
		})
	}
}

// TestZone: days and times that name no zone are in that of the job; what comes out again names none either.
func TestZone(t *testing.T) {
	s := newSite(t)
	dir := t.TempDir()
	source := filepath.Join(dir, "a.ics")
	const text = "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:%s\r\nDTSTART%s\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
	both := fmt.Sprintf(text, "day", ";VALUE=DATE:20240710") + fmt.Sprintf(text, "time", ":20240710T090000")
	if err := os.WriteFile(source, []byte(both), 0o600); err != nil {
		t.Fatal(err)
	}
	for zone, want := range map[string][]string{
		"": {"2024-07-10T00:00:00Z", "2024-07-10T09:00:00Z"}, "UTC": {"2024-07-10T00:00:00Z", "2024-07-10T09:00:00Z"},
		"Europe/Berlin": {"2024-07-09T22:00:00Z", "2024-07-10T07:00:00Z"}, "W. Europe Standard Time": {"2024-07-09T22:00:00Z", "2024-07-10T07:00:00Z"},
	} {
		j := s.job(s.mailbox(0), "", source)
		j.Zone = zone
		if p := s.in(j); p.Messages != 2 {
			t.Fatalf("%q: %+v", zone, p)
		}
		if got := s.starts(j.Mailbox); !slices.Equal(got, want) {
			t.Errorf("%q: begin %v, want %v", zone, got, want)
		}
		j.Path = filepath.Join(t.TempDir(), "b.ics")
		j.Folder = "Calendar"
		s.out(j)
		b, err := os.ReadFile(j.Path)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range []string{"DTSTART;VALUE=DATE:20240710\r\n", "DTSTART:20240710T090000\r\n"} {
			if !strings.Contains(string(b), line) {
				t.Errorf("%q: no %q in\n%s", zone, line, b)
			}
		}
	}
}

// TestMeetingsOfOthers: a meeting of somebody else's is not the mailbox owner's because it is in his calendar.
func TestMeetingsOfOthers(t *testing.T) {
	s := newSite(t)
	source := filepath.Join(t.TempDir(), "a.ics")
	const text = "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTART:20240710T090000Z\r\nORGANIZER:mailto:other@example.test\r\n" +
		"ATTENDEE;PARTSTAT=ACCEPTED:mailto:me@example.test\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
	if err := os.WriteFile(source, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for own, organized := range map[string]bool{"me@example.test": false, "other@example.test": true} {
		j := s.job(s.mailbox(0), "", source)
		j.Own = []string{"alias@example.test", own}
		if p := s.in(j); p.Messages != 1 {
			t.Fatalf("%s: %+v", own, p)
		}
		if got := s.calendar(j.Mailbox, func(m *object.Message) string { return fmt.Sprint(oxcical.Organized(m)) }); !slices.Equal(got, []string{fmt.Sprint(organized)}) {
			t.Errorf("%s organizes it: %v", own, got)
		}
	}
}

// TestZoneOfMail: a mail about a meeting is read in the job's zone too.
func TestZoneOfMail(t *testing.T) {
	s := newSite(t)
	source := filepath.Join(t.TempDir(), "a.eml")
	text := "From: o@example.test\r\nContent-Type: text/calendar; method=REQUEST\r\n\r\nBEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nBEGIN:VEVENT\r\nUID:u\r\n" +
		"DTSTART:20240710T090000\r\nORGANIZER:mailto:o@example.test\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
	if err := os.WriteFile(source, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for zone, want := range map[string]int{"": 9, "Europe/Berlin": 7} {
		j := s.job(s.mailbox(0), "", source)
		j.Zone = zone
		s.in(j)
		if got := s.startOf(j.Mailbox); got.UTC().Hour() != want {
			t.Errorf("%q: begins %v", zone, got)
		}
	}
}

// startOf is when the one mail in the Inbox says that a meeting begins.
func (s *site) startOf(box mapi.MailboxID) time.Time {
	s.t.Helper()
	rows, err := exmdb.Do(s.t.Context(), s, exmdb.System, box, exmdb.OpRows, &exmdb.RowsRequest{Folder: schema.Inbox, Fields: exmdb.RowMeta})
	if err != nil || len(rows.Rows) != 1 {
		s.t.Fatal(err, rows)
	}
	m, err := exmdb.Do(s.t.Context(), s, exmdb.System, box, exmdb.OpReadMessage, &exmdb.ReadMessageRequest{Object: exmdb.ObjectID{Message: rows.Rows[0].MID}})
	if err != nil {
		s.t.Fatal(err)
	}
	at, _ := m.Content.Props.Get(mapi.PidTagStartDate).(mapi.FileTime)
	return at.Time()
}

// starts are when the appointments of a mailbox begin.
func (s *site) starts(box mapi.MailboxID) []string {
	s.t.Helper()
	return s.calendar(box, func(m *object.Message) string {
		at, _ := m.LidTime(mapi.PidLidAppointmentStartWhole)
		return at.Time().Format(time.RFC3339)
	})
}

// calendar is what is said of each item in the calendar of a mailbox, sorted.
func (s *site) calendar(box mapi.MailboxID, say func(*object.Message) string) []string {
	s.t.Helper()
	j := s.job(box, "ical", "")
	run, err := begin(s.t.Context(), &j, formatOf(&j, nil))
	if err != nil {
		s.t.Fatal(err)
	}
	var list []string
	err = run.exportItems(run.tree.find("Calendar"), func(_ *exmdb.ReadMessageResponse, m *object.Message) (int64, error) {
		list = append(list, say(m))
		return 0, nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	slices.Sort(list)
	return list
}

// sameFiles wants the same files in two folders, with the same lines but for those in which a store says when it made
// something.
func sameFiles(t *testing.T, a, b string) {
	t.Helper()
	read := func(dir string) map[string]string {
		files := map[string]string{}
		err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			raw, err := os.ReadFile(path)
			lines := slices.DeleteFunc(strings.Split(string(raw), "\r\n"), func(line string) bool {
				name, _, _ := strings.Cut(line, ":")
				return slices.Contains([]string{"CREATED", "LAST-MODIFIED", "REV", "DTSTAMP"}, name) || line == "PRIORITY:5" // the default
			})
			slices.Sort(lines) // no order of components says anything
			files[strings.TrimPrefix(path, dir)] = strings.Join(lines, "\n")
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return files
	}
	x, y := read(a), read(b)
	maps.DeleteFunc(x, func(name, text string) bool { // a request is mail, so a folder made for it by TNEF is no calendar
		_, there := y[name]
		return !there && strings.Contains(text, "\nMETHOD:")
	})
	if len(x) != len(y) {
		t.Fatalf("%d and %d files", len(x), len(y))
	}
	for name := range x {
		if x[name] != y[name] {
			t.Errorf("%s:\n%s\n%s", name, x[name], y[name])
		}
	}
}

// TestRefused: what cannot be done is refused with the reason, and leaves no files behind.
func TestRefused(t *testing.T) {
	s := newSite(t)
	box, dir := s.mailbox(0), t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, c := range []struct {
		path string
		want error
		text string
	}{
		{filepath.Join(dir, "none.mbox"), ErrInput, "no such file"},
		{file("a.mbox", "Subject: x\n\n"), ErrInput, "no mbox"},
		{file("a.txt", "x"), ErrJob, "say one of archive"},
		{file("a.flotilla", "PK\x03\x04 this is something else"), ErrInput, "no archive"},
		{file("b.flotilla", magic), errDamaged, "cut off"},
		{file("a.vcf", "no card"), ErrInput, "nothing of the format"},
	} {
		if _, err := Import(t.Context(), s.job(box, "", c.path)); !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v", c.path, err)
		}
	}
	j := s.job(box, "ical", file("a.ics", "BEGIN:VCALENDAR\nEND:VCALENDAR\n"))
	j.Zone = "Europe/Nowhere"
	if _, err := Import(t.Context(), j); !errors.Is(err, ErrJob) || !strings.Contains(err.Error(), "no time zone") {
		t.Errorf("zone that nobody knows: %v", err)
	}
	j = s.job(box, "archive", filepath.Join(dir, "a.flotilla"))
	if _, err := Export(t.Context(), j); !errors.Is(err, os.ErrExist) {
		t.Errorf("over a file: %v", err)
	}
	j.Path, j.Folder = filepath.Join(dir, "new.flotilla"), "Nowhere"
	if _, err := Export(t.Context(), j); cluster.KindOf(err) != exmdb.KindNoFolder || exists(j.Path) {
		t.Errorf("of no folder: %v", err)
	}
	j.Folder = ""
	s.append(box, schema.Inbox, "Subject: x\r\n\r\n", exmdb.Flags{}, time.Time{})
	calls := 0
	ctx, cut := context.WithCancel(t.Context())
	defer cut()
	j.Caller = &cutter{Caller: s, after: 70, calls: &calls, cut: cut}
	if _, err := Export(ctx, j); err == nil || exists(j.Path) || exists(j.Path+part) {
		t.Errorf("cut off: %v", err)
	}
}

// TestQuota: an import stops where the mailbox is full and says so; what came before is there.
func TestQuota(t *testing.T) {
	s := newSite(t)
	box := s.mailbox(300_000)
	var file bytes.Buffer
	for i := range 10 {
		fmt.Fprintf(&file, "From a@b Mon Jan  1 00:00:00 2024\nSubject: %d\n\n%s\n\n", i, strings.Repeat("x", 50_000))
	}
	path := filepath.Join(t.TempDir(), "a.mbox")
	if err := os.WriteFile(path, file.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := Import(t.Context(), s.job(box, "", path))
	if cluster.KindOf(err) != exmdb.KindOverQuota || p.Messages == 0 || p.Messages > 6 || len(s.mails(box)) != p.Messages {
		t.Fatalf("%+v, %v", p, err)
	}
	if _, err := exmdb.Do(t.Context(), s, exmdb.System, box, exmdb.OpSetQuota, &exmdb.SetQuotaRequest{}); err != nil {
		t.Fatal(err)
	}
	if again := s.in(s.job(box, "", path)); again.Known != p.Messages || again.Messages != 10-p.Messages {
		t.Fatalf("%+v after %+v", again, p)
	}
}

// TestDamaged: an archive of which a byte is another, or that ends too early, is refused where it is damaged; nothing panics.
func TestDamaged(t *testing.T) {
	s := newSite(t)
	box, dir := s.mailbox(0), t.TempDir()
	for i := range 3 {
		s.append(box, schema.Inbox, fmt.Sprintf("Subject: %d\r\n\r\ntext\r\n", i), exmdb.Flags{}, time.Time{})
	}
	whole := filepath.Join(dir, "whole.flotilla")
	s.out(s.job(box, "", whole))
	raw, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "bad.flotilla")
	for i := 0; i < len(raw); i += len(raw)/40 + 1 {
		flipped := bytes.Clone(raw)
		flipped[i] ^= 0x10
		for _, bad := range [][]byte{flipped, raw[:i]} {
			if err := os.WriteFile(path, bad, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := Import(t.Context(), s.job(s.mailbox(0), "", path)); !errors.Is(err, ErrInput) && !errors.Is(err, errDamaged) {
				t.Errorf("byte %d: %v", i, err)
			}
		}
	}
}

func FuzzUnpacker(f *testing.F) {
	var b bytes.Buffer
	p, err := newPacker(&b)
	if err != nil {
		f.Fatal(err)
	}
	if err := errors.Join(p.record(frameHead, &head{Program: "x"}), p.frame(frameOctets, bytes.Repeat([]byte("a"), 1000)), p.record(frameEnd, &endRecord{})); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		defer testkit.Bounded(t)()
		u, err := newUnpacker(bytes.NewReader(b))
		if err != nil {
			return
		}
		defer u.close()
		for err == nil {
			var rec messageRecord
			_, _ = io.Copy(io.Discard, &octets{u: u}) // what is damaged is met again
			err = u.read(frameRecord, &rec)
		}
	})
}
