// Package recover drills what CLUSTER 7.3 promises: two of three nodes are lost for good, the third goes on.
package recover

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/flotilla-mail/flotilla/internal/dev"
	"github.com/flotilla-mail/flotilla/internal/testkit"
	"github.com/flotilla-mail/flotilla/test/devtest"
	"github.com/flotilla-mail/flotilla/test/rejoin"
)

const groups = 3

// epochStep is how far a recovery raises UIDNEXT (MAILBOX 2).
const epochStep = 1 << 20

// TestTwoOfThreeAreLost: mail is readable and comes in again at the third, no number is given out twice, the destroyed nodes
// are refused with what they had, and join with nothing.
func TestTwoOfThreeAreLost(t *testing.T) {
	c := devtest.StartGroups(t, 0, groups)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	for _, user := range []string{"alice", "bob", "carol"} {
		devtest.Send(t, c, "n1", user, "before", "Text.\r\n")
	}
	before := look(t, c, "n3", "alice")
	recovers := func(code int, text, stdin string, args ...string) {
		t.Helper()
		said := devtest.Run(t, c, stdin, append([]string{"groups", "recover", "--dir", filepath.Join(c.Dir, "n3")}, args...)...)
		if said.Code != code || !strings.Contains(said.Err, text) {
			t.Errorf("recover %v: exit code %d: %s", args, said.Code, said.Err)
		}
	}
	recovers(4, "the node runs: stop it first", "")
	for _, n := range c.Names() {
		if err := c.Kill(n); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range c.Names() {
		gone(ctx, t, c, n)
	}
	if out := flotilla(t, c, false, "groups", "recover", "--dir", filepath.Join(c.Dir, "n3")); strings.Count(out, "n1.") != groups+1 {
		t.Fatalf("what n3 has:\n%s", out)
	}
	recovers(1, "nothing was changed", "yes\n", "--all") // it asks for another word
	recovers(2, "name groups, or --all", "", "--all", "1")
	recovers(1, "group 9 has no replica here: nothing was changed", "", "1", "9", "--yes")
	recovers(2, "want a number", "", "one")
	out := flotilla(t, c, false, "groups", "recover", "--all", "--yes", "--json", "--dir", filepath.Join(c.Dir, "n3"))
	if strings.Count(out, `"epoch":1`) != groups+1 {
		t.Fatalf("recovered:\n%s", out)
	}
	start(ctx, t, c, "n3")
	after := look(t, c, "n3", "alice")
	if after.UIDValidity != before.UIDValidity || after.UIDNext < before.UIDNext+epochStep || after.NumMessages != before.NumMessages {
		t.Fatalf("alice's mailbox was %+v and is %+v", before, after)
	}
	for _, user := range []string{"alice", "bob", "carol"} {
		devtest.Send(t, c, "n3", user, "after", "Text.\r\n")
		if now := look(t, c, "n3", user); now.NumMessages != 2 {
			t.Fatalf("%s has %d mails", user, now.NumMessages)
		}
	}
	if b, err := os.ReadFile(filepath.Join(c.Dir, "n3", "recoveries.json")); err != nil || strings.Count(string(b), "\n") != groups+1 {
		t.Fatalf("audit: %s, %v", b, err)
	}
	refused(ctx, t, c, "n1")
	// Once told, a node knows it for ever: with the survivor out of reach the two destroyed ones are no quorum of what was.
	if err := c.Kill("n3"); err != nil {
		t.Fatal(err)
	}
	gone(ctx, t, c, "n3")
	if err := os.Remove(filepath.Join(c.Dir, "n1", "log")); err != nil {
		t.Fatal(err)
	}
	refused(ctx, t, c, "n1")
	start(ctx, t, c, "n3")
	refused(ctx, t, c, "n2")
	for _, n := range []string{"n1", "n2"} {
		dir := filepath.Join(c.Dir, n)
		if err := errors.Join(os.RemoveAll(filepath.Join(dir, "groups")), os.RemoveAll(filepath.Join(dir, "raft"))); err != nil {
			t.Fatal(err)
		}
		start(ctx, t, c, n)
	}
	testkit.Eventually(t, 2*time.Minute, func(ctx context.Context) error {
		now, err := rejoin.ReadGroups(ctx, c, "n1")
		if err != nil {
			return err
		}
		for _, g := range now {
			if err := g.Whole(); err != nil {
				return err
			}
		}
		return nil
	})
	if now := look(t, c, "n1", "alice"); now.NumMessages != 2 || now.UIDValidity != before.UIDValidity {
		t.Fatalf("alice's mailbox at n1 is %+v", now)
	}
}

func start(ctx context.Context, t *testing.T, c *dev.Cluster, node string) {
	t.Helper()
	if err := c.Start(node); err != nil {
		t.Fatal(err)
	}
	if err := c.ReadyNode(ctx, node, func(string) {}); err != nil {
		t.Fatalf("%s: %v", node, err)
	}
}

func gone(ctx context.Context, t *testing.T, c *dev.Cluster, node string) {
	t.Helper()
	testkit.Eventually(t, time.Minute, func(context.Context) error {
		if c.Running(node) != 0 {
			return fmt.Errorf("%s runs", node)
		}
		return ctx.Err()
	})
}

// refused starts a node with what it had before the recovery: it ends, and says what to do.
func refused(ctx context.Context, t *testing.T, c *dev.Cluster, node string) {
	t.Helper()
	if err := c.Start(node); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, time.Minute, func(context.Context) error {
		b, err := os.ReadFile(filepath.Join(c.Dir, node, "log"))
		if want := "mv " + filepath.Join(c.Dir, node, "groups"); err == nil && !strings.Contains(string(b), want) {
			return fmt.Errorf("%s does not say %q", node, want)
		}
		return err
	})
	gone(ctx, t, c, node)
}

func flotilla(t *testing.T, c *dev.Cluster, refused bool, args ...string) string {
	t.Helper()
	out, err := exec.Command(c.Program, args...).CombinedOutput()
	if (err != nil) != refused {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
	return string(out)
}

// look selects an inbox.
func look(t *testing.T, c *dev.Cluster, node, user string) (box *imap.SelectData) {
	t.Helper()
	testkit.Eventually(t, time.Minute, func(context.Context) error {
		client, err := imapclient.DialInsecure(fmt.Sprintf("%s:%d", dev.Host(node), c.Port(2143)), nil)
		if err != nil {
			return err
		}
		defer client.Close()
		if err := client.Login(user+"@"+dev.Domain, dev.Password).Wait(); err != nil {
			return err
		}
		box, err = client.Select("INBOX", &imap.SelectOptions{ReadOnly: true}).Wait()
		return err
	})
	return box
}
