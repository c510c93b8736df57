// Package join lets a fourth machine join a cluster of processes with a token, and holds that it serves at once, that the
// token is good for nobody else, and that nothing is lost when an old node dies afterwards.
package join

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/flotilla-mail/flotilla/frontends/admin"
	"github.com/flotilla-mail/flotilla/internal/dev"
	"github.com/flotilla-mail/flotilla/internal/testkit"
	"github.com/flotilla-mail/flotilla/test/devtest"
)

const patience = time.Minute

func TestFourthNodeJoins(t *testing.T) {
	c := devtest.StartGroups(t, 0, 3)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	token := draw(t, c, "n2")
	name, err := c.Join(ctx, token, "")
	if err != nil || name != "n4" {
		t.Fatal(name, err)
	}
	if err := c.Start(name); err != nil {
		t.Fatal(err)
	}
	if err := c.ReadyNode(ctx, name, func(string) {}); err != nil {
		t.Fatal(err)
	}
	devtest.Send(t, c, "n4", "alice", "first", "hello\r\n")
	awaitMail(t, c, "n1", 1)
	for _, at := range []string{"n1", "n4"} {
		testkit.Eventually(t, patience, func(ctx context.Context) error { return listed(ctx, c, at) })
	}
	refused(t, c, token)

	if err := c.Kill("n2"); err != nil {
		t.Fatal(err)
	}
	devtest.Send(t, c, "n4", "alice", "second", "hello\r\n")
	devtest.Send(t, c, "n1", "alice", "third", "hello\r\n")
	awaitMail(t, c, "n4", 3)
	awaitMail(t, c, "n3", 3)
	// The node that joined finds its cluster again by itself.
	if err := errors.Join(c.Stop(ctx, "n4"), c.Start("n2"), c.Start("n4"), c.ReadyNode(ctx, "n4", func(string) {})); err != nil {
		t.Fatal(err)
	}
	awaitMail(t, c, "n4", 3)
	moved(ctx, t, c)
	removed(ctx, t, c)
}

// moved lets n4 come back at another address: it says so itself, and the others follow.
func moved(ctx context.Context, t *testing.T, c *dev.Cluster) {
	t.Helper()
	path := filepath.Join(c.Dir, "n4", "flotilla.toml")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	was, is := fmt.Sprintf("%s:%d", dev.Host("n4"), c.Port(7400)), fmt.Sprintf("127.0.0.44:%d", c.Port(7400))
	if err := errors.Join(c.Stop(ctx, "n4"), os.WriteFile(path, bytes.ReplaceAll(b, []byte(was), []byte(is)), 0o600),
		c.Start("n4"), c.ReadyNode(ctx, "n4", func(string) {})); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, patience, func(ctx context.Context) error {
		all, err := nodes(ctx, c, "n1")
		if n4 := all["n4"]; err == nil && (n4.Address != is || !n4.Ready) {
			err = fmt.Errorf("n1 lists %+v", n4)
		}
		return err
	})
	awaitMail(t, c, "n4", 3)
}

func draw(t *testing.T, c *dev.Cluster, at string) string {
	t.Helper()
	only := *c
	only.Dir = filepath.Join(c.Dir, at) // where the command line finds the one node
	return devtest.Answer[admin.Token](t, &only, "node", "token", "--valid", "1h").Token
}

// awaitMail waits until alice has as many mails, read at a node.
func awaitMail(t *testing.T, c *dev.Cluster, at string, want int) {
	t.Helper()
	testkit.Eventually(t, patience, func(context.Context) error {
		found, err := count(c, at)
		if err == nil && found != want {
			err = fmt.Errorf("alice has %d mails at %s, want %d", found, at, want)
		}
		return err
	})
}

func count(c *dev.Cluster, at string) (found int, err error) {
	client, err := imapclient.DialInsecure(fmt.Sprintf("%s:%d", dev.Host(at), c.Port(2143)), nil)
	if err != nil {
		return 0, err
	}
	defer client.Close()
	if err := client.Login("alice@"+dev.Domain, dev.Password).Wait(); err != nil {
		return 0, err
	}
	box, err := client.Select("INBOX", &imap.SelectOptions{ReadOnly: true}).Wait()
	if err != nil {
		return 0, err
	}
	return int(box.NumMessages), client.Logout().Wait()
}

type line struct {
	Node, Status, Version, Address string
	Replicas, Votes                int
	Ready                          bool
}

func nodes(ctx context.Context, c *dev.Cluster, at string) (map[string]line, error) {
	var raw json.RawMessage
	if err := c.Admin(at).Do(ctx, "GET", "/v1/nodes", nil, &raw); err != nil {
		return nil, err
	}
	var all []line
	err := json.Unmarshal(raw, &all)
	byName := map[string]line{}
	for _, l := range all {
		byName[l.Node] = l
	}
	return byName, err
}

// listed wants n4 to be a node like the others, with a copy of the system group, of which an odd number votes.
func listed(ctx context.Context, c *dev.Cluster, at string) error {
	all, err := nodes(ctx, c, at)
	if err != nil {
		return err
	}
	if n4 := all["n4"]; len(all) != 4 || n4.Status != "active" || !n4.Ready || n4.Version == "" || n4.Replicas < 1 {
		return fmt.Errorf("%s lists %+v", at, all)
	}
	var raw json.RawMessage
	if err := c.Admin(at).Do(ctx, "GET", "/v1/groups", nil, &raw); err != nil {
		return err
	}
	var groups []struct {
		Group  int
		Placed []struct{ Votes bool }
	}
	if err := json.Unmarshal(raw, &groups); err != nil {
		return err
	}
	votes := 0
	for _, p := range groups[0].Placed {
		if p.Votes {
			votes++
		}
	}
	if groups[0].Group != 0 || len(groups[0].Placed) != 4 || votes%2 != 1 {
		return fmt.Errorf("system group: %+v", groups[0])
	}
	return nil
}

// refused lets another machine come with the used token, with a new one under a name that is taken, and with what is no token.
func refused(t *testing.T, c *dev.Cluster, token string) {
	t.Helper()
	for _, x := range []struct{ name, token, text string }{
		{"n5", token, "the token was used by the machine that is n4 now: draw another for this one with 'flotilla node token'"},
		{"n3", draw(t, c, "n4"), "the cluster has a node n3: choose another --name"},
		{"n5", token[:len(token)-2], "flotilla node token"},
		{"n5", "wrong", "flotilla node token"},
	} {
		dir := t.TempDir()
		said := devtest.Run(t, c, x.token, "join", "-", "--name", x.name, "--address", "127.0.0.5:7400", "--data", filepath.Join(dir, "data"),
			"--config", filepath.Join(dir, "flotilla.toml"))
		if said.Code != 1 || !strings.Contains(said.Err, x.text) {
			t.Errorf("%s: exit code %d: %s; want %q", x.name, said.Code, said.Err, x.text)
		}
		if _, err := os.Stat(filepath.Join(dir, "flotilla.toml")); err == nil {
			t.Errorf("%s was refused, and has a configuration", x.name)
		}
	}
}

// removed takes n4 out: no node speaks to it any more, it is told why, and it sends clients and administrators elsewhere.
func removed(ctx context.Context, t *testing.T, c *dev.Cluster) {
	t.Helper()
	testkit.Eventually(t, patience, func(context.Context) error {
		if said := devtest.Run(t, c, "", "node", "remove", "n4", "--force", "--dir", c.Dir); said.Code != 0 {
			return fmt.Errorf("exit code %d: %s", said.Code, said.Err)
		}
		return nil
	})
	testkit.Eventually(t, patience, func(ctx context.Context) error {
		var s struct {
			Nodes []struct{ Node, Error string }
		}
		if err := c.Admin("n4").Do(ctx, "GET", "/v1/status", nil, &s); err != nil {
			return err
		}
		for _, n := range s.Nodes {
			if n.Node != "n4" && !strings.Contains(n.Error, "n4 was removed") {
				return fmt.Errorf("%s to n4: %q", n.Node, n.Error)
			}
		}
		return nil
	})
	n4 := filepath.Join(c.Dir, "n4")
	testkit.Eventually(t, patience, func(context.Context) error {
		if said := devtest.Run(t, c, "", "node", "list", "--dir", n4); said.Code != 1 || !strings.Contains(said.Err, "n4 was removed from the cluster: ask another node") {
			return fmt.Errorf("exit code %d: %s%s", said.Code, said.Out, said.Err)
		}
		return nil
	})
	if said := devtest.Run(t, c, "", "undrain", "--dir", n4); said.Code != 1 || !strings.Contains(said.Err, "n4 was removed") {
		t.Errorf("undrain: exit code %d: %s%s", said.Code, said.Out, said.Err)
	}
	testkit.Eventually(t, patience, func(ctx context.Context) error {
		if err := c.Admin("n4").Do(ctx, "GET", "/healthz/ready", nil, nil); err == nil || !strings.Contains(err.Error(), "not ready: n4 was removed") {
			return fmt.Errorf("ready: %w", err)
		}
		if conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.44:%d", c.Port(2143))); err == nil {
			return errors.Join(errors.New("its IMAP port is open"), conn.Close())
		}
		return nil
	})
	if err := errors.Join(c.Stop(ctx, "n4"), c.Start("n4")); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, patience, func(context.Context) error {
		if c.Running("n4") != 0 {
			return errors.New("n4 runs again")
		}
		return nil
	})
	if b, err := os.ReadFile(filepath.Join(c.Dir, "n4", "log")); err != nil || !bytes.Contains(b, []byte("flotilla: n4 was removed from the cluster")) {
		t.Errorf("n4 does not say why it ended: %v", err)
	}
	devtest.Send(t, c, "n2", "alice", "fourth", "hello\r\n")
	awaitMail(t, c, "n1", 4)
}
