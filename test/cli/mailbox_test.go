package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flotilla-mail/flotilla/exmdb/inspect"
	"github.com/flotilla-mail/flotilla/internal/dev"
)

// intoMailboxes looks into a mailbox through every node: whichever is asked, the owner answers.
func intoMailboxes(t *testing.T, c *site) {
	const carol = "carol@" + dev.Domain
	before := answer[inspect.Header](t, c, "mailbox", "inspect", carol)
	if err := send(c, "n2", "look at me", carol); err != nil {
		t.Fatal(err)
	}
	var first []string
	for _, node := range c.Names() {
		only := *c.Cluster
		only.Dir = filepath.Join(c.Dir, node) // where the command line finds the one node
		at := &site{&only}
		head := answer[inspect.Header](t, at, "mailbox", "inspect", carol)
		if head.Messages != before.Messages+1 || head.Stamp <= before.Stamp || head.Kind != "user" {
			t.Errorf("%s: %+v, was %+v", node, head, before)
		}
		page := answer[inspect.Items](t, at, "mailbox", "items", carol, "--limit", "1")
		if len(page.Items) != 1 || page.Items[0].Subject != "look at me" || page.Path != "Inbox" {
			t.Fatalf("%s: %+v", node, page)
		}
		item := page.Items[0].ID.String()
		all := []string{at.do(t, "mailbox", "folders", carol), at.do(t, "mailbox", "items", carol),
			at.do(t, "mailbox", "props", carol, "--item", item), at.do(t, "mailbox", "props", carol, "--folder", "Inbox"),
			at.do(t, "mailbox", "changes", carol), at.do(t, "mailbox", "rules", carol), at.do(t, "mailbox", "rights", carol)}
		for i, part := range []string{"IPF.Appointment", "look at me", "PidTagSubject", "PidTagContainerClass", item, "not away", "default"} {
			if !strings.Contains(all[i], part) || first != nil && all[i] != first[i] {
				t.Errorf("%s: no %q, or other than at the first node, in\n%s", node, part, all[i])
			}
		}
		first = all
	}
	c.refused(t, 1, "no folder", "mailbox", "items", carol, "--folder", "Nowhere")
	c.refused(t, 1, "not in the directory", "mailbox", "inspect", "nobody@"+dev.Domain)
}

// timeZones has the calendar of a user be on his clock: mail that comes, and files that are imported, name none.
func timeZones(t *testing.T, c *site) {
	const zoe = "zoe@" + dev.Domain
	if made := answer[object](t, c, "user", "add", zoe, "--zone", "Pacific Standard Time", "--password-stdin"); made.Zone != "America/Los_Angeles" {
		t.Errorf("made %+v", made)
	}
	c.refused(t, 1, "no time zone", "user", "zone", zoe, "Europe/Nowhere")
	c.do(t, "user", "zone", zoe, "Europe/Berlin")
	if shown := answer[object](t, c, "user", "show", zoe); shown.Zone != "Europe/Berlin" || !strings.Contains(c.do(t, "user", "show", zoe), "Europe/Berlin") {
		t.Errorf("shown %+v", shown)
	}
	event := func(uid, method, start string) string {
		return "BEGIN:VCALENDAR\r\n" + method + "BEGIN:VEVENT\r\nUID:" + uid + "\r\nSUMMARY:" + uid + "\r\nDTSTART:" + start + "\r\nORGANIZER:mailto:someone@example.org\r\n" +
			"ATTENDEE:mailto:" + zoe + "\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
	}
	if err := sendAs(c, "n2", "From: someone@example.org\r\nSubject: by mail\r\nMessage-ID: <zoe@example.org>\r\nContent-Type: text/calendar; method=REQUEST\r\n\r\n"+
		event("by mail", "METHOD:REQUEST\r\n", "20300710T090000"), zoe); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "by file.ics")
	if err := os.WriteFile(file, []byte(event("by file", "", "20300711T090000")), 0o600); err != nil {
		t.Fatal(err)
	}
	c.do(t, "mailbox", "import", zoe, file)
	want := map[string]string{"by mail": "2030-07-10T07:00:00Z", "by file": "2030-07-11T07:00:00Z"}
	for _, item := range answer[inspect.Items](t, c, "mailbox", "items", zoe, "--folder", "Calendar").Items {
		if props := c.do(t, "mailbox", "props", zoe, "--item", item.ID.String()); !strings.Contains(props, want[item.Subject]) || want[item.Subject] == "" {
			t.Errorf("%s does not begin at %q:\n%s", item.Subject, want[item.Subject], props)
		}
		delete(want, item.Subject)
	}
	if len(want) > 0 {
		t.Errorf("not in the calendar: %v", want)
	}
	c.do(t, "user", "remove", zoe, "--purge")
}
