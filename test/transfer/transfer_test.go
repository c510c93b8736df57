// Package transfer imports and exports mailboxes of a cluster of real processes by the command line, while their owners die.
package transfer

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/frontends/admin/adminclient"
	"github.com/flotilla-mail/flotilla/internal/clock"
	"github.com/flotilla-mail/flotilla/internal/dev"
	"github.com/flotilla-mail/flotilla/test/devtest"
)

const mails = 500

// TestOwnerDies: while mails are imported the node that owns the mailbox dies, which may be the one that the command line asks.
// The import goes on by itself and brings every mail once; an archive of the mailbox, imported into another while that one's
// owner is away, is the same mails again.
func TestOwnerDies(t *testing.T) {
	c := devtest.StartGroups(t, 0, 3)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	dir := t.TempDir()
	source, archive := filepath.Join(dir, "in.mbox"), filepath.Join(dir, "alice.flotilla")
	want := write(t, source)
	alice, bob := "alice@"+dev.Domain, "bob@"+dev.Domain

	victim := owner(ctx, t, c, alice)
	im := begin(ctx, t, c, "import", alice, source)
	waitFor(ctx, t, func() bool { return messages(ctx, c, alice) > mails/10 })
	if err := c.Kill(victim); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s died when %d mails were there", victim, messages(ctx, c, alice))
	im.done(t, mails, 0)
	begin(ctx, t, c, "import", alice, source).done(t, 0, mails)
	begin(ctx, t, c, "export", alice, archive).done(t, mails, 0)
	begin(ctx, t, c, "import", bob, archive).done(t, mails, 0)
	if err := c.Start(victim); err != nil {
		t.Fatal(err)
	}
	if err := c.Ready(ctx, func(string) {}); err != nil {
		t.Fatal(err)
	}
	back := filepath.Join(dir, "back")
	begin(ctx, t, c, "export", bob, back, "--format", "mbox").done(t, mails, 0)
	got, err := os.ReadFile(filepath.Join(back, "Inbox.mbox"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%d bytes came back of %d", len(got), len(want))
	}
}

// write writes the mails, as an export writes them.
func write(t *testing.T, path string) []byte {
	t.Helper()
	var b bytes.Buffer
	at := time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC)
	for i := range mails {
		status := "O"
		if i%2 == 0 {
			status = "RO"
		}
		fmt.Fprintf(&b, "From MAILER-DAEMON %s\nStatus: %s\nX-Status: \nX-Keywords: \nSubject: mail %d\n\n%s\n\n",
			at.Add(time.Duration(i)*time.Minute).Format(time.ANSIC), status, i, strings.Repeat("text ", i%900))
	}
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// transfer is a command that runs.
type transfer struct {
	cmd         *exec.Cmd
	out, errors bytes.Buffer
}

func begin(ctx context.Context, t *testing.T, c *dev.Cluster, verb string, args ...string) *transfer {
	t.Helper()
	x := &transfer{cmd: exec.CommandContext(ctx, c.Program, append([]string{"mailbox", verb, "--json", "--dir", c.Dir}, args...)...)}
	x.cmd.Stdout, x.cmd.Stderr = &x.out, &x.errors
	if err := x.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return x
}

// done waits for the end and wants so many messages carried and so many known.
func (x *transfer) done(t *testing.T, messages, known int) {
	t.Helper()
	err := x.cmd.Wait()
	lines := strings.Split(strings.TrimSpace(x.out.String()), "\n")
	var last struct {
		Messages, Known, Failed int
		Done                    bool
	}
	if jerr := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil || jerr != nil || !last.Done {
		t.Fatalf("%v, %v: %s%s", err, jerr, x.out.String(), x.errors.String())
	}
	// An op whose answer got lost with its node is not done again, so every mail counts once.
	if last.Messages != messages || last.Known != known || last.Failed != 0 {
		t.Fatalf("%+v, want %d and %d", last, messages, known)
	}
}

// state is what the admin API says of a mailbox.
type state struct {
	Owner string
	Info  struct{ Messages int }
}

func ask(ctx context.Context, c *dev.Cluster, address string) (s state, err error) {
	for _, n := range c.Names() {
		if c.Running(n) != 0 {
			limited, cancel := context.WithTimeout(ctx, 10*time.Second)
			err = c.Admin(n).Do(limited, "GET", adminclient.Path("v1", "objects", address, "mailbox"), nil, &s)
			cancel()
			if err == nil {
				return s, nil
			}
		}
	}
	return s, err
}

func owner(ctx context.Context, t *testing.T, c *dev.Cluster, address string) (node string) {
	t.Helper()
	waitFor(ctx, t, func() bool {
		s, err := ask(ctx, c, address)
		node = s.Owner
		return err == nil && node != ""
	})
	return node
}

func messages(ctx context.Context, c *dev.Cluster, address string) int {
	s, _ := ask(ctx, c, address) // while nobody answers there are none
	return s.Info.Messages
}

func waitFor(ctx context.Context, t *testing.T, is func() bool) {
	t.Helper()
	for !is() {
		if err := (clock.System{}).Sleep(ctx, 20*time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
}
