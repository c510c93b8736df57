// Package upgrade brings another program to a cluster under load and takes it back.
//
// The old program is the newest release of deploy/RELEASES, or this tree under another name before there is one, and then the
// newest release that does not speak this tree's newest level; the new one is this tree, built to speak two levels more, which
// no format uses yet. So the old one is two levels apart from the cluster at last, and so is a third one on the other side.
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
	"slices"
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

const (
	newRelease   = "v9.9.9-new"
	aheadRelease = "v99.0.0-ahead"
	// newLevel is what the new program claims to speak, aheadLevel the only one of the program that is too new.
	newLevel   = placement.NewestLevel + 2
	aheadLevel = newLevel + 2
)

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

// program is one of a release, with the levels that it says it speaks.
type program struct {
	path, release string
	speaks        placement.Levels
}

// described asks a program what it is.
func described(t *testing.T, path, release string) program {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), path, "version", "--json").Output()
	if err != nil {
		t.Fatalf("version of %s: %v", release, err)
	}
	var d struct {
		Levels struct{ Oldest, Newest placement.Level }
	}
	if err := json.Unmarshal(out, &d); err != nil || d.Levels.Newest == 0 {
		t.Fatalf("version of %s: %v: %s", release, err, out)
	}
	return program{path, release, placement.Levels{Oldest: d.Levels.Oldest, Newest: d.Levels.Newest}}
}

// oldPrograms are the newest release, a line "version commit" of deploy/RELEASES, and, if asked for, the newest that does not
// speak the newest level. A copy of the repository that was made without its history cannot build them, and takes this tree
// under another name, as when there is no release yet.
func oldPrograms(t *testing.T, lower bool) (programs []program) {
	t.Helper()
	root := testkit.Root(t)
	b, err := os.ReadFile(filepath.Join(root, "deploy", "RELEASES"))
	if err != nil || len(bytes.TrimSpace(b)) == 0 {
		return []program{described(t, build(t, root, "v0.0.0-old"), "v0.0.0-old")}
	}
	lines := strings.Split(string(bytes.TrimSpace(b)), "\n")
	for _, line := range slices.Backward(lines) {
		release, commit, _ := strings.Cut(line, " ")
		p, ok := released(t, root, release, commit)
		if !ok && len(programs) == 0 {
			return []program{described(t, build(t, root, release+"-old"), release+"-old")}
		}
		if !ok {
			return programs
		}
		reached := p.speaks.Newest < placement.NewestLevel
		if len(programs) == 0 || reached {
			programs = append(programs, p)
		}
		if reached || !lower {
			return programs
		}
	}
	return programs
}

// released builds a release from its commit, if that is in the history that is here.
func released(t *testing.T, root, release, commit string) (p program, ok bool) {
	t.Helper()
	if exec.CommandContext(t.Context(), "git", "-C", root, "cat-file", "-e", commit+"^{commit}").Run() != nil {
		t.Logf("%s is not in the history that is here", release)
		return program{}, false
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
	return described(t, build(t, tree, release), release), true
}

// site is a cluster with clients that go to the next node when one says goodbye.
type site struct {
	*dev.Cluster
	old    program
	began  placement.Level // the level that the old program began the cluster at
	crew   *probe.Crew
	ledger devtest.Ledger
}

func start(ctx context.Context, t *testing.T, old program) *site {
	t.Helper()
	s := &site{Cluster: devtest.StartOptions(t, dev.Options{Nodes: 3, Users: users, Groups: 3, Program: old.path}), old: old}
	var u node.UpgradeState
	if err := s.Admin("n1").Do(ctx, "GET", "/v1/upgrade", nil, &u); err != nil || !old.speaks.Has(u.Level) {
		t.Fatalf("%s, which speaks %s, began a cluster at level %d: %v", old.release, old.speaks, u.Level, err)
	}
	s.began = u.Level
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
	s.runs(t, release, s.began)
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
	root := testkit.Root(t)
	next := build(t, root, newRelease, fmt.Sprintf("level=%d", newLevel))
	ahead := described(t, build(t, root, aheadRelease, fmt.Sprintf("oldest=%d", aheadLevel), fmt.Sprintf("level=%d", aheadLevel)), aheadRelease)
	for _, old := range oldPrograms(t, long) {
		t.Run(old.release, func(t *testing.T) { upgrade(t, old, ahead, next, long) })
	}
}

// upgrade takes a cluster of an old program to the next one, and holds that what is too old or too far ahead then stays out.
func upgrade(t *testing.T, old, ahead program, next string, long bool) {
	ctx, cancel := context.WithTimeout(t.Context(), 6*patience)
	defer cancel()
	s := start(ctx, t, old)
	s.unharmed(ctx, t, "before")
	if err := rollout.Stage(ctx, s.Admin("n1"), next, nil); err != nil {
		t.Fatal(err)
	}
	refused(t, s.finalize(ctx), "") // the programs are all old: the level stays
	s.runs(t, old.release, s.began)
	s.unharmed(ctx, t, "staging")
	s.mixed(ctx, t)
	s.roll(ctx, t, rollout.Staged, newRelease)
	if long {
		s.roll(ctx, t, rollout.Previous, old.release)
		s.roll(ctx, t, rollout.Staged, newRelease)
	}
	refused(t, s.finalize(ctx), "")
	s.runs(t, newRelease, newLevel)
	s.unharmed(ctx, t, "finalizing")
	back := rollout.Rollout{API: s.Admin("n1"), Target: rollout.Previous, Progress: func(string, string) {}}
	_, err := back.Run(ctx)
	refused(t, err, "no node has an earlier program")
	s.keptOut(ctx, t, []apart{
		{old, "it is too old: install the release that the others run ('flotilla node list' names it)",
			fmt.Sprintf("is at level %d since %s", newLevel, newRelease), "start " + newRelease + " or a newer one"},
		{ahead, "it is too new: install the release that the others run ('flotilla node list' names it)",
			fmt.Sprintf("is at level %d, and this program", newLevel), "'flotilla upgrade --all' and 'flotilla upgrade --finalize'"},
	})
	s.runs(t, newRelease, newLevel)
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
			if x.Node == "n3" && (x.Newest != newLevel || !x.Ready || len(x.Behind) > 0) {
				return fmt.Errorf("%+v", x)
			}
		}
		return nil
	})
	refused(t, s.finalize(ctx), fmt.Sprintf("which speaks %s and not %d: upgrade it first", s.old.speaks, newLevel))
	s.unharmed(ctx, t, "two programs")
}

// apart is a program two levels apart from the cluster: what is to be done about it where the cluster is met, and what is said,
// and to be done, where its own data is.
type apart struct {
	program
	remedy, data, own string
}

// keptOut lets programs come in each way there is: staged for an upgrade, on a machine with a token, on a node's data, and on a
// node's machine whose data was lost. They are refused, each time with the cause and what to run.
func (s *site) keptOut(ctx context.Context, t *testing.T, programs []apart) {
	t.Helper()
	token := devtest.Answer[admin.Token](t, s.Cluster, "node", "token", "--valid", "1h").Token
	at := fmt.Sprintf("the cluster is at level %d", newLevel)
	for _, p := range programs {
		speaks := "speaks " + p.speaks.String()
		refused(t, rollout.Stage(ctx, s.Admin("n2"), p.path, nil), speaks+", and "+at+": ")
		p.ends(t, s.Cluster, 1, []string{at, speaks, p.remedy, "flotilla join"}, "join", token, "--name", "n4",
			"--address", fmt.Sprintf("%s:%d", dev.Host("n4"), s.Port(7400)), "--data", filepath.Join(t.TempDir(), "n4"), "--config", filepath.Join(t.TempDir(), "n4.toml"))
	}
	if err := s.Stop(ctx, "n3"); err != nil {
		t.Fatal(err)
	}
	for _, p := range programs {
		speaks := "speaks " + p.speaks.String()
		p.ends(t, s.Cluster, 4, []string{p.data, speaks, p.own}, "serve", "--config", filepath.Join(s.Dir, "n3", "flotilla.toml"))
		p.ends(t, s.Cluster, 4, []string{at + ", as n", speaks, p.remedy}, "serve", "--config", s.emptied(t, "n3"))
	}
	if err := errors.Join(s.Start("n3"), s.ReadyNode(ctx, "n3", func(string) {})); err != nil {
		t.Fatal(err)
	}
}

// ends runs a program's command that has to end with a code and say something.
func (p apart) ends(t *testing.T, c *dev.Cluster, code int, says []string, args ...string) {
	t.Helper()
	by := *c
	by.Program = p.path
	said := devtest.Run(t, &by, "", args...)
	for _, part := range says {
		if said.Code != code || !strings.Contains(said.Err, part) {
			t.Fatalf("%s %s, which speaks %s: exit code %d: %s; want %d and %q", filepath.Base(p.path), args[0], p.speaks, said.Code, said.Err, code, part)
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
