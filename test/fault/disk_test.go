package fault

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-smtp"

	"github.com/flotilla-mail/flotilla/frontends/admin"
	"github.com/flotilla-mail/flotilla/internal/dev"
	"github.com/flotilla-mail/flotilla/internal/testkit"
	"github.com/flotilla-mail/flotilla/test/devtest"
)

// diskPatience is for what the nodes do by themselves, on a slow machine.
const diskPatience = time.Minute

// TestDisksFillUp: under mail one disk has little room, then none, then all have little, then all are well; at last one is
// stuck. The nodes are told how much is free, and how long a sync takes; the marks are those of a dev cluster.
func TestDisksFillUp(t *testing.T) {
	const boxes = 12
	c := devtest.StartGroups(t, boxes+1, 4)
	d := &disks{t: t, c: c, load: &Load{Cluster: c, Mailboxes: boxes, Connections: 4, Count: 300, Seed: 11, Think: 100 * time.Millisecond}}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- d.load.Run(ctx) }()
	d.mailsGoOn(ctx)

	node, err := Busiest(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	d.free(ctx, node, 1)
	d.leadsNothing(ctx, node, "is nearly full")
	d.mailsGoOn(ctx)
	d.free(ctx, node, 0)
	d.leadsNothing(ctx, node, "is full")
	if _, err := os.Stat(d.ballast(node)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the ballast of a full disk: %v", err)
	}
	d.mailsGoOn(ctx)

	user := fmt.Sprintf("u%d", boxes+1)
	if err := d.mail(user); err != nil {
		t.Fatal(err)
	}
	for _, n := range c.Names() {
		d.free(ctx, n, 1)
	}
	testkit.Eventually(t, diskPatience, func(context.Context) error {
		var refused *smtp.SMTPError
		if err := d.mail(user); !errors.As(err, &refused) || refused.Code != 452 || refused.EnhancedCode != (smtp.EnhancedCode{4, 3, 1}) {
			return fmt.Errorf("mail while all disks are nearly full: %v", err)
		}
		return nil
	})
	d.deletes(user)

	for _, n := range c.Names() {
		if err := c.Fault(ctx, n, admin.Fault{Kind: "clear"}); err != nil {
			t.Fatal(err)
		}
	}
	d.allWell(ctx)
	if err := d.mail(user); err != nil {
		t.Error(err)
	}
	d.stuck(ctx)
	d.load.Finish()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	report(t, c, d.load)
}

// disks is a cluster under mail whose disks are told to fill up.
type disks struct {
	t    *testing.T
	c    *dev.Cluster
	load *Load
}

func (d *disks) ballast(node string) string { return filepath.Join(d.c.Dir, node, "BALLAST") }

func (d *disks) free(ctx context.Context, node string, percent int) {
	d.t.Helper()
	if err := d.c.Fault(ctx, node, admin.Fault{Kind: "disk-free", Percent: percent}); err != nil {
		d.t.Fatal(err)
	}
}

// mailsGoOn waits for some more mails to be acknowledged.
func (d *disks) mailsGoOn(ctx context.Context) {
	d.t.Helper()
	want := d.load.Progress() + 30
	testkit.Eventually(d.t, diskPatience, func(context.Context) error {
		if got := d.load.Progress(); got < want {
			return fmt.Errorf("%d mails acknowledged, want %d", got, want)
		}
		return nil
	})
}

type diskState struct {
	Ready bool
	Nodes []struct {
		Node    string
		Ready   bool
		Trouble []string
	}
}

// leadsNothing waits until a node says that its disk is so, and leads no group; it is ready all the same.
func (d *disks) leadsNothing(ctx context.Context, node, text string) {
	d.t.Helper()
	testkit.Eventually(d.t, diskPatience, func(context.Context) error {
		groups, err := ReadGroups(ctx, d.c, false)
		if err != nil {
			return err
		}
		for _, g := range groups {
			if g.Leader == node || g.Leader == "" {
				return fmt.Errorf("group %d is led by %q", g.Group, g.Leader)
			}
		}
		var s diskState
		if err := d.c.Admin(node).Do(ctx, "GET", "/v1/status", nil, &s); err != nil {
			return err
		}
		for _, n := range s.Nodes {
			if said := strings.Contains(strings.Join(n.Trouble, ";"), text); !n.Ready || said != (n.Node == node) {
				return fmt.Errorf("%+v", n)
			}
		}
		return nil
	})
}

func (d *disks) allWell(ctx context.Context) {
	d.t.Helper()
	testkit.Eventually(d.t, diskPatience, func(context.Context) error {
		for _, n := range d.c.Names() {
			if _, err := os.Stat(d.ballast(n)); err != nil {
				return err
			}
		}
		var s diskState
		if err := d.c.Admin("n1").Do(ctx, "GET", "/v1/status", nil, &s); err != nil || !s.Ready {
			return fmt.Errorf("%w: %+v", err, s)
		}
		return nil
	})
}

// mail sends one to a user at the first node.
func (d *disks) mail(user string) error {
	client, err := smtp.Dial(fmt.Sprintf("%s:%d", dev.Host("n1"), d.c.Port(2525)))
	if err != nil {
		return err
	}
	defer client.Close()
	body := fmt.Sprintf("From: disk@example.org\r\nTo: %s@%s\r\nSubject: disk\r\n\r\n%d\r\n", user, dev.Domain, time.Now().UnixNano())
	return client.SendMail("disk@example.org", []string{user + "@" + dev.Domain}, strings.NewReader(body))
}

// deletes holds that what is there can be deleted while nothing can be added.
func (d *disks) deletes(user string) {
	t := d.t
	t.Helper()
	client, err := imapclient.DialInsecure(fmt.Sprintf("%s:%d", dev.Host("n1"), d.c.Port(2143)), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.Login(user+"@"+dev.Domain, dev.Password).Wait(); err != nil {
		t.Fatal(err)
	}
	box, err := client.Select("INBOX", nil).Wait()
	if err != nil || box.NumMessages == 0 {
		t.Fatalf("%d messages, %v", box.NumMessages, err)
	}
	const text = "Subject: none\r\n\r\nnone\r\n"
	add := client.Append("INBOX", int64(len(text)), nil)
	_, err = add.Write([]byte(text))
	if err = errors.Join(err, add.Close()); err != nil {
		t.Fatal(err)
	}
	var no *imap.Error
	if _, err := add.Wait(); !errors.As(err, &no) || no.Type != imap.StatusResponseTypeNo || no.Code != imap.ResponseCodeUnavailable {
		t.Errorf("APPEND: %v", err)
	}
	all := imap.SeqSet{imap.SeqRange{Start: 1, Stop: 0}}
	if err := client.Store(all, &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagDeleted}}, nil).Close(); err != nil {
		t.Errorf("STORE: %v", err)
	}
	if gone, err := client.Expunge().Collect(); err != nil || len(gone) != int(box.NumMessages) {
		t.Errorf("EXPUNGE: %d of %d, %v", len(gone), box.NumMessages, err)
	}
	if err := client.Logout().Wait(); err != nil {
		t.Error(err)
	}
}

// stuck lets a sync take longer than a process may wait for one: it ends, the others go on, and it comes back.
func (d *disks) stuck(ctx context.Context) {
	d.t.Helper()
	node, err := Busiest(ctx, d.c)
	if err != nil {
		d.t.Fatal(err)
	}
	if err := d.c.Fault(ctx, node, admin.Fault{Kind: "disk-slow", Value: 20 * time.Second}); err != nil {
		d.t.Fatal(err)
	}
	testkit.Eventually(d.t, diskPatience, func(context.Context) error {
		if d.c.Running(node) != 0 {
			return fmt.Errorf("%s runs", node)
		}
		return nil
	})
	log, err := os.ReadFile(filepath.Join(d.c.Dir, node, "log"))
	if err != nil || !strings.Contains(string(log), "FL-1006") {
		d.t.Errorf("%s ended without saying that its disk is stuck: %v", node, err)
	}
	d.mailsGoOn(ctx)
	if err := d.c.Start(node); err != nil {
		d.t.Fatal(err)
	}
	if err := d.c.ReadyNode(ctx, node, func(string) {}); err != nil {
		d.t.Fatal(err)
	}
}
