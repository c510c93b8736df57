package archive

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/testkit/objects"
)

// TestJudge: Python's mailbox module finds in an mbox and in a Maildir what was exported.
func TestJudge(t *testing.T) {
	s := newSite(t)
	box, dir := s.mailbox(0), t.TempDir()
	var want []string
	for i := range 32 {
		folder, name := schema.Inbox, "Inbox"
		if i%3 == 0 {
			folder, name = schema.Drafts, "Drafts"
		}
		flags := exmdb.Flags{Bits: exmdb.FlagBits(i)}
		s.append(box, folder, fmt.Sprintf("Subject: mail %d\r\n\r\nFrom here\r\n\r\nFrom there 10:00\r\n", i), flags, time.Time{})
		unix, dirFlags := "", ""
		for _, f := range []struct {
			bit       exmdb.FlagBits
			unix, dir string
		}{{exmdb.FlagAnswered, "A", "R"}, {exmdb.FlagDeleted, "D", "T"}, {exmdb.FlagFlagged, "F", "F"}, {exmdb.FlagSeen, "R", "S"}, {exmdb.FlagDraft, "T", "D"}} {
			if flags.Bits&f.bit != 0 {
				unix, dirFlags = unix+f.unix, dirFlags+f.dir
			}
		}
		letters := strings.Split(dirFlags, "")
		slices.Sort(letters)
		want = append(want, fmt.Sprintf("mbox|%s|mail %d|%s", name, i, unix), fmt.Sprintf("maildir|%s|mail %d|%s", name, i, strings.Join(letters, "")))
	}
	s.out(s.job(box, "mbox", filepath.Join(dir, "mbox")))
	s.out(s.job(box, "maildir", filepath.Join(dir, "maildir")))
	got := strings.Split(strings.TrimSpace(string(objects.Judge(t, "mailbox", "testdata/judge.py", []byte(dir)))), "\n")
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestForeign: what other programs have written.
func TestForeign(t *testing.T) {
	s := newSite(t)
	box, dir := s.mailbox(0), t.TempDir()
	put := func(path, text string) {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("Maildir/new/1.a", "Subject: new\n\n")
	put("Maildir/cur/2.b:2,RS", "Subject: read\n\n")
	put("Maildir/cur/3.c", "Subject: no info\n\n")
	put("Maildir/tmp/4.d", "Subject: not whole\n\n")
	put("Maildir/.Sent/cur/5.e:2,Sab", "Subject: sent\n\n")
	put("Maildir/.Sent/dovecot-keywords", "0 Work\n1 $Forwarded2\n")
	put("Maildir/.Trash/cur/6.f:2,S", "Subject: gone\n\n")
	put("Maildir/.Lists.Gr&APYA3w-e/cur/7.g:2,", "Subject: list\n\n")
	put("Maildir/.notes/readme", "no folder of mail")
	put("old/spam.mbox", "From x Mon Jan  1 00:00:00 2024\nSubject: old\nX-Keywords: Junk Other\nStatus: RO\nX-Status: AF\n\nFrom the start\n")
	s.in(s.job(box, "", filepath.Join(dir, "Maildir")))
	s.in(s.job(box, "mbox", filepath.Join(dir, "old")))
	var got []string
	for _, m := range s.mails(box) {
		subject, _, _ := strings.Cut(strings.TrimPrefix(m.octets, "Subject: "), "\r\n")
		got = append(got, fmt.Sprintf("%s: %s %#x %s", m.folder, subject, m.flags, m.keywords))
	}
	want := []string{"Deleted Items: gone 0x1 ", "Inbox: new 0x0 ", "Inbox: no info 0x0 ", "Inbox: read 0x3 ", "Junk Email: old 0x7 Junk|Other",
		"Lists/Größe: list 0x0 ", "Sent Items: sent 0x1 $Forwarded2|Work"}
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestFolderOfTasks: a folder that is made for items is of their kind.
func TestFolderOfTasks(t *testing.T) {
	s := newSite(t)
	box, dir := s.mailbox(0), t.TempDir()
	path := filepath.Join(dir, "todo.ics")
	if err := os.WriteFile(path, []byte("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VTODO\r\nUID:1\r\nSUMMARY:x\r\nEND:VTODO\r\nEND:VCALENDAR\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.in(s.job(box, "", path))
	j := s.job(box, "", path)
	j.Folder = "Work/To do"
	s.in(j)
	all, err := readTree(t.Context(), s, box)
	if err != nil {
		t.Fatal(err)
	}
	for path, class := range map[string]string{"Tasks": "IPF.Task", "Work/To do": "IPF.Task"} {
		if f := all.find(path); f == nil || f.Class != class || f.Messages != 1 {
			t.Errorf("%s: %+v", path, f)
		}
	}
}

// TestBigItem: a card whose picture is long is stored with the picture as content, and comes back.
func TestBigItem(t *testing.T) {
	s := newSite(t)
	box, dir := s.mailbox(0), t.TempDir()
	path := filepath.Join(dir, "a.vcf")
	card := "BEGIN:VCARD\r\nVERSION:4.0\r\nFN:Big\r\nN:Big;;;;\r\nPHOTO:data:image/jpeg;base64," + strings.Repeat("QUJD", 300_000) + "\r\nEND:VCARD\r\n"
	if err := os.WriteFile(path, []byte(card), 0o600); err != nil {
		t.Fatal(err)
	}
	s.in(s.job(box, "", path))
	rows := must(s, exmdb.OpTableRows, box, &exmdb.TableRowsRequest{Count: 9, From: exmdb.TablePosition{Origin: exmdb.TableBeginning},
		Table: exmdb.TableRequest{Columns: []mapi.Tag{mapi.PidTagMessageSize}, Spec: exmdb.TableSpec{Kind: exmdb.TableContents, Object: exmdb.ObjectID{Folder: mapi.LocalFID(0x13)}}}})
	if size, _ := rows.Rows[0].Props.Get(mapi.PidTagMessageSize).(mapi.Integer32); len(rows.Rows) != 1 || size < 900_000 {
		t.Fatalf("%d contacts, %d bytes", len(rows.Rows), size)
	}
	s.out(s.job(box, "", filepath.Join(dir, "b.vcf")))
	raw, err := os.ReadFile(filepath.Join(dir, "b.vcf"))
	if text := strings.ReplaceAll(string(raw), "\r\n ", ""); err != nil || !strings.Contains(text, strings.Repeat("QUJD", 300_000)) {
		t.Errorf("%d bytes came back, %v", len(raw), err)
	}
}
