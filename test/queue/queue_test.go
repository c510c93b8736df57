// Package queue lets a group of a cluster of real processes lose its quorum while mail comes in for it and for others.
//
// With five nodes and three copies of each group, two killed nodes take some groups with them and leave the others, and
// the system group, alive.
package queue

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/flotilla-mail/flotilla/frontends/admin/adminclient"
	"github.com/flotilla-mail/flotilla/internal/dev"
	"github.com/flotilla-mail/flotilla/internal/testkit"
	"github.com/flotilla-mail/flotilla/test/devtest"
	"github.com/flotilla-mail/flotilla/test/fault"
)

// entry is a mail in the queue as the admin API shows it.
type entry struct {
	ID              string
	Waiting, Failed int
}

func listed(ctx context.Context, c *dev.Cluster, node string) ([]entry, error) {
	var l struct {
		Entries []entry
		Silent  []int
	}
	err := c.Admin(node).Do(ctx, "GET", "/v1/queue", nil, &l)
	return l.Entries, err
}

// outage is which nodes are killed, what that does, and who is there to tell.
type outage struct {
	killed      []string
	alive       string // a node that is not killed
	dead, lives string // users whose mailboxes are in a group without and in one with a quorum
}

// plan finds two nodes without which one group has no quorum and another still has.
func plan(t *testing.T, c *dev.Cluster, users []string) outage {
	t.Helper()
	groups, err := fault.ReadGroups(t.Context(), c, false)
	if err != nil {
		t.Fatal(err)
	}
	at := make(map[string]uint64)
	for _, u := range users {
		var m struct{ Group uint64 }
		if err := c.Admin("n1").Do(t.Context(), "GET", adminclient.Path("v1", "objects", u+"@"+dev.Domain, "mailbox"), nil, &m); err != nil {
			t.Fatal(err)
		}
		at[u] = m.Group
	}
	names := c.Names()
	for i, a := range names {
		for _, b := range names[i+1:] {
			o := outage{killed: []string{a, b}}
			for _, u := range users {
				left := slices.DeleteFunc(copies(groups, at[u]), func(n string) bool { return n == a || n == b })
				switch len(left) {
				case 1:
					o.dead = u
				default:
					o.lives = u
				}
			}
			o.alive = names[slices.IndexFunc(names, func(n string) bool { return n != a && n != b })]
			if o.dead != "" && o.lives != "" {
				return o
			}
		}
	}
	t.Fatalf("no two nodes are enough to stop one group and not another: %+v", groups)
	return outage{}
}

func copies(groups fault.Groups, id uint64) []string {
	var names []string
	for _, g := range groups {
		for _, r := range g.Replicas {
			if g.Group == id {
				names = append(names, r.Node)
			}
		}
	}
	return names
}

// leader is the node that leads a group, as far as a node knows.
func leader(ctx context.Context, c *dev.Cluster, id string) (string, error) {
	groups, err := fault.ReadGroups(ctx, c, false)
	for _, g := range groups {
		if fmt.Sprint(g.Group) == id && g.Leader != "" {
			return g.Leader, nil
		}
	}
	return "", errors.Join(err, fmt.Errorf("group %s has no leader", id))
}

// compose makes mail number n: some with a Message-ID, some without, one with content that has to be brought apart.
func compose(n int) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "From: s@example.org\r\nSubject: mail %d\r\n", n)
	if n%2 == 0 {
		fmt.Fprintf(&b, "Message-ID: <%d@example.org>\r\n", n)
	}
	b.WriteString("\r\n")
	lines := 10
	if n == 1 {
		lines = 20_000
	}
	for i := range lines {
		fmt.Fprintf(&b, "line %d of mail %d\r\n", i, n)
	}
	return b.Bytes()
}

func send(addr string, body []byte, users ...string) error {
	client, err := smtp.Dial(addr)
	if err != nil {
		return err
	}
	defer client.Close()
	var to []string
	for _, u := range users {
		to = append(to, u+"@"+dev.Domain)
	}
	if err := client.SendMail("s@example.org", to, bytes.NewReader(body)); err != nil {
		return err
	}
	return client.Quit()
}

const mails = 6

// TestTheRestIsDeliveredOnce: mail to two recipients, of whom one cannot be delivered to, is answered 250; the nodes
// that hold the rest are killed while it waits and while it is delivered; in the end both have each mail once.
func TestTheRestIsDeliveredOnce(t *testing.T) {
	var users []string
	for i := range 10 {
		users = append(users, fmt.Sprintf("u%d", i+1))
	}
	c := devtest.StartNodes(t, 5, len(users), 5)
	o := plan(t, c, users)
	t.Logf("killing %v: %s stays without a quorum, %s lives", o.killed, o.dead, o.lives)
	for _, n := range o.killed {
		if err := c.Kill(n); err != nil {
			t.Fatal(err)
		}
	}
	sent := make(chan error, mails)
	for n := range mails {
		go func() {
			sent <- send(fmt.Sprintf("%s:%d", dev.Host(o.alive), c.Port(2525)), compose(n), o.lives, o.dead)
		}()
	}
	for range mails {
		if err := <-sent; err != nil {
			t.Fatalf("mail of which one recipient could be delivered to: %v", err)
		}
	}
	waiting, err := listed(t.Context(), c, o.alive)
	if err != nil || len(waiting) != mails {
		t.Fatalf("%d mails wait, %v: %+v", len(waiting), err, waiting)
	}
	counted(t, c, len(users)+3)

	// Who holds the mail dies, and comes back to a cluster that has all its groups again.
	holder, _, _ := strings.Cut(waiting[0].ID, "-")
	crash(t, c, holder)
	for _, n := range o.killed {
		restart(t, c, n)
	}
	for _, e := range waiting {
		retry(t, c, o.alive, e.ID)
	}
	// And dies once more when the first mail has come through.
	testkit.Eventually(t, 2*time.Minute, func(context.Context) error { return arrived(c, o.alive, o.dead, 1) })
	crash(t, c, holder)
	testkit.Eventually(t, 3*time.Minute, func(ctx context.Context) error {
		left, err := listed(ctx, c, o.alive)
		if err == nil && len(left) > 0 {
			err = fmt.Errorf("still in the queue: %+v", left)
		}
		return err
	})
	for _, u := range []string{o.lives, o.dead} {
		for _, node := range c.Names() {
			once(t, c, node, u)
		}
	}
}

// crash kills the leader of a group and starts it again.
func crash(t *testing.T, c *dev.Cluster, group string) {
	t.Helper()
	var node string
	testkit.Eventually(t, time.Minute, func(ctx context.Context) (err error) {
		node, err = leader(ctx, c, group)
		return err
	})
	if err := c.Kill(node); err != nil {
		t.Fatal(err)
	}
	restart(t, c, node)
}

func restart(t *testing.T, c *dev.Cluster, node string) {
	t.Helper()
	testkit.Eventually(t, time.Minute, func(context.Context) error {
		if c.Running(node) != 0 {
			return fmt.Errorf("%s still runs", node)
		}
		return c.Start(node)
	})
}

func retry(t *testing.T, c *dev.Cluster, node, id string) {
	t.Helper()
	testkit.Eventually(t, 2*time.Minute, func(ctx context.Context) error {
		err := c.Admin(node).Do(ctx, "POST", adminclient.Path("v1", "queue", id, "retry"), nil, nil)
		var refused *adminclient.Refused
		if errors.As(err, &refused) && refused.Status == 404 {
			return nil // delivered already
		}
		return err
	})
}

func arrived(c *dev.Cluster, node, user string, atLeast int) error {
	found, err := fault.Read(c, node, user)
	if err == nil && len(found) < atLeast {
		err = fmt.Errorf("%d mails have arrived", len(found))
	}
	return err
}

// once wants every mail in a mailbox, and none twice.
func once(t *testing.T, c *dev.Cluster, node, user string) {
	t.Helper()
	var found fault.Found
	testkit.Eventually(t, 2*time.Minute, func(context.Context) (err error) { // a node that was just started may not answer yet
		found, err = fault.Read(c, node, user)
		return err
	})
	for n := range mails {
		if copies := found[n]; len(copies) != 1 || copies[0].Sum != sha256.Sum256(compose(n)) {
			t.Errorf("%s at %s has mail %d as %v", user, node, n, copies)
		}
	}
	if len(found) != mails {
		t.Errorf("%s at %s has %d mails of %d", user, node, len(found), mails)
	}
}

// counted wants the queue's spaces to be no mailboxes.
func counted(t *testing.T, c *dev.Cluster, want int) {
	t.Helper()
	groups, err := fault.ReadGroups(t.Context(), c, false)
	if err != nil {
		t.Fatal(err)
	}
	got := 0
	for _, g := range groups {
		got += g.Mailboxes
	}
	if got != want {
		t.Errorf("%d mailboxes in all groups, there are %d", got, want)
	}
}
