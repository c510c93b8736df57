package cli

import (
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
