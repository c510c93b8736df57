// Package fleet runs clusters of real processes as their administrator does, by the command line alone: groups and mailboxes
// go elsewhere, nodes are struck, replaced and given other programs, machines come that are none of the cluster's. After each
// step mail comes in and is read.
package fleet

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/frontends/admin"
	"github.com/flotilla-mail/flotilla/internal/dev"
	"github.com/flotilla-mail/flotilla/internal/probe"
	"github.com/flotilla-mail/flotilla/internal/testkit"
	"github.com/flotilla-mail/flotilla/test/devtest"
)

// patience is for what has to come, on a slow machine too.
const patience = 3 * time.Minute

// alice and bob are users of every dev cluster.
const (
	alice = "alice@" + dev.Domain
	bob   = "bob@" + dev.Domain
)

// site is a cluster, and how many mails each of its first users was sent.
type site struct {
	*dev.Cluster
	sent int
}

// TestFleet shares one cluster among the parts, which run in this order: n4 takes the place of n3 on the way.
func TestFleet(t *testing.T) {
	t.Parallel()
	s := &site{Cluster: devtest.StartNodes(t, 4, 0, 2)}
	for _, x := range []struct {
		name string
		run  func(*testing.T, *site)
	}{
		{"explain", explains}, {"move", moves}, {"create and merge", createsAndMerges}, {"selftest", selftests},
		{"cut off", cutsOff}, {"replace", replaces}, {"check", checks}, {"gossip key", rotatesKey}, {"broken programs", brokenPrograms}, {"upgrade", upgrades},
	} {
		if !t.Run(x.name, func(t *testing.T) { x.run(t, s) }) {
			return // what follows would fail for reasons of its own
		}
	}
}

// mail lets one more come to each of three users at a node, and reads all at another.
func (s *site) mail(t *testing.T, at, read string) {
	t.Helper()
	s.sent++
	for _, user := range []string{"alice", "bob", "carol"} {
		devtest.Send(t, s.Cluster, at, user, fmt.Sprintf("mail %d", s.sent), "Text.\r\n")
		testkit.Eventually(t, patience, func(ctx context.Context) error {
			n, err := probe.Count(ctx, func(ctx context.Context) (net.Conn, error) {
				return probe.Plain(ctx, fmt.Sprintf("%s:%d", dev.Host(read), s.Port(2143)))
			}, user+"@"+dev.Domain, dev.Password)
			if err == nil && n != s.sent {
				err = fmt.Errorf("%s has %d mails at %s, %d were sent", user, n, read, s.sent)
			}
			return err
		})
	}
}

// ready waits until a node serves.
func (s *site) ready(t *testing.T, node string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := s.ReadyNode(ctx, node, func(string) {}); err != nil {
		t.Fatal(err)
	}
}

// halt stops a node in order.
func (s *site) halt(t *testing.T, node string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := s.Stop(ctx, node); err != nil {
		t.Fatal(err)
	}
}

// start starts a node and waits until it serves.
func (s *site) start(t *testing.T, node string) {
	t.Helper()
	if err := s.Start(node); err != nil {
		t.Fatal(err)
	}
	s.ready(t, node)
}

// folder is where a node is found on its own.
func (s *site) folder(node string) string { return filepath.Join(s.Dir, node) }

// home is the group that a user's mailbox lives in, as the explanation has it.
func (s *site) home(t *testing.T, address string) int {
	t.Helper()
	return devtest.Answer[struct{ Group int }](t, s.Cluster, "placement", "explain", address).Group
}

func explains(t *testing.T, s *site) {
	s.mail(t, "n1", "n2")
	box := devtest.Answer[struct {
		Address, Why string
		Group        int
		Where        struct {
			Leader        string
			Copies, Rules []string
		}
	}](t, s.Cluster, "placement", "explain", alice)
	if box.Address != alice || box.Group == 0 || box.Why == "" || len(box.Where.Copies) != 3 || len(box.Where.Rules) == 0 {
		t.Errorf("%+v", box)
	}
	group := fmt.Sprint(box.Group)
	for _, text := range []string{devtest.Do(t, s.Cluster, "placement", "explain", alice), devtest.Do(t, s.Cluster, "placement", "explain", group)} {
		for _, part := range []string{"Group " + group + ", led by n", "Copies:", "Policy:"} {
			if !strings.Contains(text, part) {
				t.Errorf("no %q in\n%s", part, text)
			}
		}
	}
	devtest.Refused(t, s.Cluster, 1, "not in the directory", "placement", "explain", "nobody@"+dev.Domain)
	devtest.Refused(t, s.Cluster, 1, "no group 99", "placement", "explain", "99")
	devtest.Refused(t, s.Cluster, 2, "Usage:", "placement", "explain")
}

func moves(t *testing.T, s *site) {
	from := s.home(t, alice)
	to, back := fmt.Sprint(3-from), fmt.Sprint(from)
	if m := devtest.Answer[admin.Move](t, s.Cluster, "mailbox", "move", alice, "--to", to, "--wait"); fmt.Sprint(m.Group) != to || m.State != admin.MoveNone {
		t.Errorf("%+v", m)
	}
	s.mail(t, "n2", "n3")
	devtest.Refused(t, s.Cluster, 1, "lives in group "+to+" already", "mailbox", "move", alice, "--to", to)
	devtest.Refused(t, s.Cluster, 1, "no group 99", "mailbox", "move", alice, "--to", "99")
	if m := devtest.Answer[admin.Move](t, s.Cluster, "mailbox", "move", alice, "--abort"); m.State != admin.MoveNone || fmt.Sprint(m.Group) != to {
		t.Errorf("without a move, abort: %+v", m)
	}
	devtest.Refused(t, s.Cluster, 2, "say where to", "mailbox", "move", alice)
	if text := devtest.Do(t, s.Cluster, "mailbox", "move", alice, "--to", back, "--wait"); !strings.Contains(text, "group    "+back) {
		t.Errorf("moved back:\n%s", text)
	}
	if all := devtest.Answer[[]admin.Move](t, s.Cluster, "mailbox", "moves"); len(all) > 0 {
		t.Errorf("%+v", all)
	}
	s.mail(t, "n3", "n1")
}

// fleetGroup is a group in the answer of `flotilla groups --json`.
type fleetGroup struct {
	Group, Mailboxes int
	Leader           string
	Placed           []struct {
		Server string
		Votes  bool
	}
}

// awaitGroups waits until the groups are as a condition wants them.
func (s *site) awaitGroups(t *testing.T, is func(map[int]fleetGroup) error) {
	t.Helper()
	testkit.Eventually(t, patience, func(context.Context) error {
		by := map[int]fleetGroup{}
		for _, g := range devtest.Answer[[]fleetGroup](t, s.Cluster, "groups") {
			by[g.Group] = g
		}
		return is(by)
	})
}

func createsAndMerges(t *testing.T, s *site) {
	if made := devtest.Answer[admin.Grown](t, s.Cluster, "groups", "create"); made.Reopened != 0 {
		t.Errorf("%+v", made)
	}
	s.awaitGroups(t, func(by map[int]fleetGroup) error {
		if g := by[3]; g.Leader == "" || len(g.Placed) != 3 {
			return fmt.Errorf("group 3 is %+v", g)
		}
		return nil
	})
	devtest.Do(t, s.Cluster, "mailbox", "move", bob, "--to", "3", "--wait")
	s.mail(t, "n1", "n3")
	devtest.Do(t, s.Cluster, "groups", "merge", "3", "--into", "1")
	devtest.Refused(t, s.Cluster, 1, "group", "groups", "merge", "3", "--into", "3")
	devtest.Refused(t, s.Cluster, 1, "group", "groups", "merge", "0", "--into", "1")
	devtest.Refused(t, s.Cluster, 1, "group", "groups", "merge", "1", "--into", "99")
	devtest.Refused(t, s.Cluster, 2, "say which group", "groups", "merge", "3")
	s.awaitGroups(t, func(by map[int]fleetGroup) error {
		if by[3].Mailboxes > 0 {
			return fmt.Errorf("%d mailboxes are left", by[3].Mailboxes)
		}
		return nil
	})
	if at := s.home(t, bob); at != 1 {
		t.Errorf("bob's mailbox is in group %d", at)
	}
	s.mail(t, "n2", "n1")
	if text := devtest.Do(t, s.Cluster, "groups", "create"); !strings.Contains(text, "group 3 takes mailboxes again") {
		t.Errorf("created again: %s", text)
	}
	devtest.Refused(t, s.Cluster, 2, "for a domain or for a mailbox", "groups", "create", "--domain", dev.Domain, "--mailbox", bob)
}

func selftests(t *testing.T, s *site) {
	history := filepath.Join(t.TempDir(), "history")
	args := []string{"selftest", "--duration", "3s", "--clients", "6", "--mailboxes", "4", "--history", history}
	if text := devtest.Do(t, s.Cluster, args...); !strings.Contains(text, "Nothing is wrong.") || !strings.Contains(text, history) {
		t.Errorf("selftest:\n%s", text)
	}
	if v := devtest.Answer[struct{ Operations, Mails int }](t, s.Cluster, "selftest", "verify", history); v.Operations == 0 || v.Mails == 0 {
		t.Errorf("%+v", v)
	}
	devtest.Refused(t, s.Cluster, 1, "exists", args...)
	if text := devtest.Do(t, s.Cluster, "user", "list"); strings.Contains(text, "selftest-") {
		t.Errorf("mailboxes of the self-test are left:\n%s", text)
	}
	s.mail(t, "n4", "n2")
}

// cutsOff does the drill that test/drain leaves out: a node without the others for five seconds. It is the one that was asked, so that
// another leads the drill, and its answer is lost.
func cutsOff(t *testing.T, s *site) {
	testkit.Eventually(t, patience, func(context.Context) error {
		leader := ""
		for _, g := range devtest.Answer[[]fleetGroup](t, s.Cluster, "groups") {
			if g.Group == 1 {
				leader = g.Leader
			}
		}
		said := devtest.Run(t, s.Cluster, "", "drill", "partition", "--group", "1", "--yes", "--dir", s.folder(leader))
		if said.Code > 1 { // not safe yet
			return fmt.Errorf("exit code %d: %s", said.Code, said.Err)
		}
		if !strings.Contains(said.Out, "partition  "+leader) || !strings.Contains(said.Out, "imap") || (said.Code == 1) != strings.Contains(said.Err, "longer than they ought to") {
			t.Errorf("exit code %d: %s%s", said.Code, said.Out, said.Err)
		}
		return nil
	})
	s.mail(t, "n1", "n3")
}

// replaces lets n4 take over what n3 holds. Nothing of it is lost, and n3 is no node any more.
func replaces(t *testing.T, s *site) {
	devtest.Refused(t, s.Cluster, 1, "n9", "node", "replace", "n9", "n4")
	devtest.Refused(t, s.Cluster, 1, "n9", "node", "replace", "n3", "n9")
	devtest.Refused(t, s.Cluster, 2, "Usage:", "node", "replace", "n3")
	devtest.Do(t, s.Cluster, "node", "replace", "n3", "n4")
	type line struct{ Node, Status, Successor string }
	testkit.Eventually(t, patience, func(context.Context) error {
		for _, n := range devtest.Answer[[]line](t, s.Cluster, "node", "list") {
			if n.Node == "n3" && n.Status != "removed" {
				return fmt.Errorf("%+v", n)
			}
		}
		return nil
	})
	s.awaitGroups(t, func(by map[int]fleetGroup) error {
		for _, g := range by {
			on4 := false
			for _, p := range g.Placed {
				on4 = on4 || strings.HasPrefix(p.Server, "n4.")
				if strings.HasPrefix(p.Server, "n3.") {
					return fmt.Errorf("group %d is still on n3: %+v", g.Group, g)
				}
			}
			if !on4 || len(g.Placed) != 3 {
				return fmt.Errorf("group %d: %+v", g.Group, g)
			}
		}
		return nil
	})
	if text := devtest.Do(t, s.Cluster, "node", "list"); !strings.Contains(text, "removed") {
		t.Errorf("node list:\n%s", text)
	}
	devtest.Refused(t, s.Cluster, 1, "removed", "node", "undrain", "n3")
	s.halt(t, "n3")
	s.mail(t, "n4", "n2")
}

// checks asks whether n2 can be spared, while all are there and while n4 is not.
func checks(t *testing.T, s *site) {
	testkit.Eventually(t, patience, func(context.Context) error {
		said := devtest.Run(t, s.Cluster, "", "check", "--without", "n2", "--dir", s.Dir)
		if said.Code != 0 || !strings.Contains(said.Out, "Safe without n2.") {
			return fmt.Errorf("exit code %d: %s%s", said.Code, said.Out, said.Err)
		}
		return nil
	})
	s.halt(t, "n4")
	said := devtest.Run(t, s.Cluster, "", "check", "--without", "n2", "--json", "--dir", s.Dir)
	if said.Code != 4 || !strings.Contains(said.Out, `"safe":false`) || !strings.Contains(said.Out, "voters without n2, which is no majority") {
		t.Errorf("exit code %d: %s%s", said.Code, said.Out, said.Err)
	}
	devtest.Refused(t, s.Cluster, 4, "Not safe without n2.", "check", "--without", "n2")
	devtest.Refused(t, s.Cluster, 4, "which is no majority", "drain", "n2")
	devtest.Refused(t, s.Cluster, 4, "which is no majority", "node", "remove", "n2", "--force")
	devtest.Refused(t, s.Cluster, 3, "stage on n4: unavailable", "upgrade", "--all", "--binary", s.Program)
	devtest.Refused(t, s.Cluster, 4, "n4 has not taken the new key", "cluster", "rotate-key")
	devtest.Refused(t, s.Cluster, 1, "n9", "check", "--without", "n9")
	s.mail(t, "n1", "n2")
	s.start(t, "n4")
}

// rotatesKey makes the gossip's key that the removed n3 has worthless. A node that has it again takes up the new one.
func rotatesKey(t *testing.T, s *site) {
	if text := devtest.Do(t, s.Cluster, "cluster", "rotate-key"); !strings.Contains(text, "n1, n2, n4 have another gossip key") {
		t.Errorf("rotate-key: %s", text)
	}
	before, now := s.gossipKey(t, "n3"), s.gossipKey(t, "n1")
	for _, n := range []string{"n2", "n4"} {
		if s.gossipKey(t, n) != now || now == before {
			t.Errorf("%s has the key %x, n1 %x, n3 %x", n, s.gossipKey(t, n), now, before)
		}
		if _, err := os.Stat(filepath.Join(s.folder(n), "tls", "gossip.accepted")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s accepts others: %v", n, err)
		}
	}
	s.halt(t, "n2")
	if err := os.WriteFile(filepath.Join(s.folder("n2"), "tls", "gossip.key"), []byte(before), 0o600); err != nil {
		t.Fatal(err)
	}
	s.start(t, "n2")
	type gossip struct {
		Nodes []struct {
			Node   string
			Gossip *struct{ Alive bool }
		}
	}
	testkit.Eventually(t, patience, func(context.Context) error {
		for _, n := range devtest.Answer[gossip](t, s.Cluster, "status").Nodes {
			if n.Gossip == nil || !n.Gossip.Alive {
				return fmt.Errorf("n1 does not hear %s", n.Node)
			}
		}
		return nil
	})
	if s.gossipKey(t, "n2") != now {
		t.Error("n2 still has the key of before")
	}
	s.mail(t, "n2", "n4")
}

func (s *site) gossipKey(t *testing.T, node string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(s.folder(node), "tls", "gossip.key"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
