// Package upgrade brings another program to a cluster under load and takes it back.
//
// The old program is the newest release of deploy/RELEASES, or this tree under another name before there is one; the new
// one is this tree, built to speak two levels more than the old one, which no format uses yet. So the old one is two levels apart
// from the cluster at last, and so is a third one on the other side.
package upgrade

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/frontends/admin"
	"github.com/flotilla-mail/flotilla/internal/dev"
	"github.com/flotilla-mail/flotilla/internal/node"
	"github.com/flotilla-mail/flotilla/internal/probe"
	"github.com/flotilla-mail/flotilla/internal/rollout"
	"github.com/flotilla-mail/flotilla/internal/testkit"
	"github.com/flotilla-mail/flotilla/placement"
	"github.com/flotilla-mail/flotilla/test/devtest"
)

// patience is for what has to come, on a slow machine too.
const patience = 3 * time.Minute

const users = 3

// build links a program of a tree under a release's name. Stamps are what package version has for tests, as level=3.
func build(t *testing.T, tree, release string, claims ...string) string {
	t.Helper()
	const stamps = "github.com/flotilla-mail/flotilla/internal/version."
	path := filepath.Join(t.TempDir(), "flotilla-"+release)
	flags := "-s -w -X " + stamps + "release=" + release
	for _, claim := range claims {
		flags += " -X " + stamps + claim
	}
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-tags", "hashicorpmetrics", "-ldflags", flags, "-o", path, "./cmd/flotilla")
	cmd.Dir, cmd.Env = tree, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", release, err, out)
	}
	return path
}

// oldProgram is the newest release, a line "version commit" of deploy/RELEASES. A copy of the repository that was made without
// its history cannot build it, and takes this tree under another name, as when there is no release yet.
func oldProgram(t *testing.T) (path, release string) {
	t.Helper()
	root := testkit.Root(t)
	b, err := os.ReadFile(filepath.Join(root, "deploy", "RELEASES"))
	lines := strings.Fields(string(bytes.TrimSpace(b)))
	if err != nil || len(lines) < 2 {
		return build(t, root, "v0.0.0-old"), "v0.0.0-old"
	}
	release, commit := lines[len(lines)-2], lines[len(lines)-1]
	if exec.CommandContext(t.Context(), "git", "-C", root, "cat-file", "-e", commit+"^{commit}").Run() != nil {
		t.Logf("%s is not in the history that is here", release)
		return build(t, root, release+"-old"), release + "-old"
	}
	tree := filepath.Join(t.TempDir(), "tree")
	if out, err := exec.CommandContext(t.Context(), "git", "-C", root, "worktree", "add", "--detach", tree, commit).CombinedOutput(); err != nil {
		t.Fatalf("tree of %s: %v\n%s", release, err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("git", "-C", root, "worktree", "remove", "--force", tree).CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	})
	return build(t, tree, release), release
}

// site is a cluster with clients that go to the next node when one says goodbye.
type site struct {
	*dev.Cluster
	crew   *probe.Crew
	ledger devtest.Ledger
	// old are the levels that the old program speaks: it begins the cluster at the newest of them. raised is what the new one
	// raises it to.
	old    placement.Levels
	raised placement.Level
}

// spoken are the levels that a program says it speaks.
func spoken(ctx context.Context, t *testing.T, program string) placement.Levels {
	t.Helper()
	out, err := exec.CommandContext(ctx, program, "version", "--json").Output()
	var d node.Described
	if err := errors.Join(err, json.Unmarshal(out, &d)); err != nil {
		t.Fatalf("%s: %v: %s", program, err, out)
	}
	return d.Levels
}

func start(ctx context.Context, t *testing.T, program string) *site {
	t.Helper()
	s := &site{Cluster: devtest.StartOptions(t, dev.Options{Nodes: 3, Users: users, Groups: 3, Program: program})}
	s.crew = devtest.Crew(devtest.Roam(s.Cluster), 1, users)
	s.crew.Start(ctx)
	t.Cleanup(s.crew.Stop)
	return s
}

// unharmed fails the test if a client was told of an error, or could not get on.
func (s *site) unharmed(ctx context.Context, t *testing.T, during string) {
	t.Helper()
	if err := s.crew.Await(ctx, 2); err != nil {
		t.Fatalf("%s: %v", during, err)
	}
	for protocol, all := range s.ledger.Take(s.crew) {
		t.Logf("%s: %s: %d operations, %d moves, longest wait %v", during, protocol, all.Operations, all.Moves, all.Longest.Round(time.Millisecond))
		if len(all.Failures) > 0 {
			t.Errorf("%s: %s: %v", during, protocol, all.Failures)
		}
	}
}

// roll goes over to a program and looks whether every node runs it.
func (s *site) roll(ctx context.Context, t *testing.T, to rollout.Target, release string) {
	t.Helper()
	r := rollout.Rollout{API: s.Admin("n1"), Target: to, Patience: patience, Settle: 2 * time.Second, Look: 100 * time.Millisecond,
		Progress: func(node, step string) { t.Logf("%s %s", node, step) }}
	steps, err := r.Run(ctx)
	if err != nil || len(steps) != 3 || steps[2].Node != "n1" {
		t.Fatalf("%+v: %v", steps, err)
	}
	s.runs(t, release, s.old.Newest)
	s.unharmed(ctx, t, "to "+release)
}

// runs waits until every node runs the release and takes part in all of its groups: in one that is just being handed on to
// another node nobody does. The level is what it is at once.
func (s *site) runs(t *testing.T, release string, level placement.Level) {
	t.Helper()
	testkit.Eventually(t, patience, func(ctx context.Context) error {
		var u node.UpgradeState
		if err := s.Admin("n1").Do(ctx, "GET", "/v1/upgrade", nil, &u); err != nil {
			return err
		}
		if u.Level != level || u.Self != "n1" {
			t.Fatalf("level %d, asked %s", u.Level, u.Self)
		}
		for _, x := range u.Nodes {
			if x.Release != release {
				t.Fatalf("%+v, want %s", x, release)
			}
			if !x.Ready || len(x.Behind) > 0 {
				return fmt.Errorf("%+v", x)
			}
		}
		return nil
	})
}

// TestUpgrade: three nodes go over to a new program under load, back, over again, and the level rises. What clients are owed is
// devtest.Ledger's: no error beyond one silent retry, each mail there and shown once. `make upgrade-test`
// does all of it; the short form leaves the way back out.
func TestUpgrade(t *testing.T) {
	long := os.Getenv("FLOTILLA_UPGRADE") != ""
	ctx, cancel := context.WithTimeout(t.Context(), 6*patience)
	defer cancel()
	old, oldRelease := oldProgram(t)
	const newRelease = "v9.9.9-new"
	speaks := spoken(ctx, t, old)
	raised := speaks.Newest + 2
	next := build(t, testkit.Root(t), newRelease, fmt.Sprintf("level=%d", raised))
	s := start(ctx, t, old)
	s.old, s.raised = speaks, raised
	s.unharmed(ctx, t, "before")
	if err := rollout.Stage(ctx, s.Admin("n1"), next, nil); err != nil {
		t.Fatal(err)
	}
	refused(t, s.finalize(ctx), "") // the programs are all old: at their level it stays
	s.unharmed(ctx, t, "staging")
	s.mixed(ctx, t)
	s.roll(ctx, t, rollout.Staged, newRelease)
	if long {
		s.roll(ctx, t, rollout.Previous, oldRelease)
		s.roll(ctx, t, rollout.Staged, newRelease)
	}
	refused(t, s.finalize(ctx), "")
	s.runs(t, newRelease, raised)
	s.unharmed(ctx, t, "finalizing")
	back := rollout.Rollout{API: s.Admin("n1"), Target: rollout.Previous, Progress: func(string, string) {}}
	_, err := back.Run(ctx)
	refused(t, err, "no node has an earlier program")
	s.keptOut(ctx, t, []apart{
		{old, "speaks " + speaks.String(), "it is too old: install the release that the others run ('flotilla node list' names it)",
			fmt.Sprintf("is at level %d since v9.9.9-new", raised), "start v9.9.9-new or a newer one"},
		{build(t, testkit.Root(t), "v99.0.0-ahead", fmt.Sprintf("oldest=%d", raised+2), fmt.Sprintf("level=%d", raised+2)), fmt.Sprintf("speaks level %d", raised+2), "it is too new: install the release that the others run " +
			"('flotilla node list' names it)", fmt.Sprintf("is at level %d, and this program", raised), "'flotilla upgrade --all' and 'flotilla upgrade --finalize'"},
	})
	s.runs(t, newRelease, raised)
	s.unharmed(ctx, t, "programs two levels apart")
	s.ledger.Settle(ctx, t, s.crew, true, devtest.Roam(s.Cluster)(0, 2143))
	devtest.NoLateAnswers(ctx, t, s.Cluster)
}

func (s *site) finalize(ctx context.Context) error {
	return s.Admin("n1").Do(ctx, "POST", "/v1/upgrade/finalize", nil, nil)
}

// refused wants an error with a text, or none for an empty one.
func refused(t *testing.T, err error, text string) {
	t.Helper()
	if (err == nil) != (text == "") || err != nil && !strings.Contains(err.Error(), text) {
		t.Fatalf("%v, want %q", err, text)
	}
}

// mixed takes one node over by hand: the level cannot rise while the others run the old program.
func (s *site) mixed(ctx context.Context, t *testing.T) {
	t.Helper()
	testkit.Eventually(t, patience, func(ctx context.Context) error {
		return s.Admin("n1").Do(ctx, "POST", "/v1/upgrade/switch?node=n3&to=staged", nil, nil)
	})
	testkit.Eventually(t, patience, func(ctx context.Context) error {
		var u node.UpgradeState
		if err := s.Admin("n1").Do(ctx, "GET", "/v1/upgrade", nil, &u); err != nil {
			return err
		}
		for _, x := range u.Nodes {
			if x.Node == "n3" && (x.Newest != s.raised || !x.Ready || len(x.Behind) > 0) {
				return fmt.Errorf("%+v", x)
			}
		}
		return nil
	})
	refused(t, s.finalize(ctx), fmt.Sprintf("which speaks %s and not %d: upgrade it first", s.old, s.raised))
	s.unharmed(ctx, t, "two programs")
}

// apart is a program two levels apart from the cluster: which it speaks, what is to be done about it where the cluster is met,
// and what is said, and to be done, where its own data is.
type apart struct{ program, speaks, remedy, data, own string }

// keptOut lets programs come in each way there is: staged for an upgrade, on a machine with a token, on a node's data, and on a
// node's machine whose data was lost. They are refused, each time with the cause and what to run.
func (s *site) keptOut(ctx context.Context, t *testing.T, programs []apart) {
	t.Helper()
	token := devtest.Answer[admin.Token](t, s.Cluster, "node", "token", "--valid", "1h").Token
	for _, p := range programs {
		refused(t, rollout.Stage(ctx, s.Admin("n2"), p.program, nil), p.speaks+fmt.Sprintf(", and the cluster is at level %d: ", s.raised))
		p.ends(t, s.Cluster, 1, []string{fmt.Sprintf("the cluster is at level %d", s.raised), p.speaks, p.remedy, "flotilla join"}, "join", token, "--name", "n4",
			"--address", fmt.Sprintf("%s:%d", dev.Host("n4"), s.Port(7400)), "--data", filepath.Join(t.TempDir(), "n4"), "--config", filepath.Join(t.TempDir(), "n4.toml"))
	}
	if err := s.Stop(ctx, "n3"); err != nil {
		t.Fatal(err)
	}
	for _, p := range programs {
		p.ends(t, s.Cluster, 4, []string{p.data, p.speaks, p.own}, "serve", "--config", filepath.Join(s.Dir, "n3", "flotilla.toml"))
		p.ends(t, s.Cluster, 4, []string{fmt.Sprintf("the cluster is at level %d, as n", s.raised), p.speaks, p.remedy}, "serve", "--config", s.emptied(t, "n3"))
	}
	if err := errors.Join(s.Start("n3"), s.ReadyNode(ctx, "n3", func(string) {})); err != nil {
		t.Fatal(err)
	}
}

// ends runs a program's command that has to end with a code and say something.
func (p apart) ends(t *testing.T, c *dev.Cluster, code int, says []string, args ...string) {
	t.Helper()
	by := *c
	by.Program = p.program
	said := devtest.Run(t, &by, "", args...)
	for _, part := range says {
		if said.Code != code || !strings.Contains(said.Err, part) {
			t.Fatalf("%s %s, which %s: exit code %d: %s; want %d and %q", filepath.Base(p.program), args[0], p.speaks, said.Code, said.Err, code, part)
		}
	}
}

// emptied is the configuration of a node's machine that has its certificates and nothing else.
func (s *site) emptied(t *testing.T, node string) (config string) {
	t.Helper()
	was, is := filepath.Join(s.Dir, node), filepath.Join(t.TempDir(), node)
	config = filepath.Join(is, "flotilla.toml")
	b, err := os.ReadFile(filepath.Join(was, "flotilla.toml"))
	if err := errors.Join(err, os.CopyFS(filepath.Join(is, "tls"), os.DirFS(filepath.Join(was, "tls"))),
		os.WriteFile(config, bytes.ReplaceAll(b, []byte(was), []byte(is)), 0o600)); err != nil {
		t.Fatal(err)
	}
	return config
}
