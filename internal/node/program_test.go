package node

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flotilla-mail/flotilla/cluster"
)

// script is a program that says what it is as flotilla does.
func script(release, oldest, newest string) string {
	return `#!/bin/sh
echo '{"release":"` + release + `","levels":{"oldest":` + oldest + `,"newest":` + newest + `}}'
`
}

func take(t *testing.T, p programs, text string) string {
	t.Helper()
	sum := sha256.Sum256([]byte(text))
	name, err := p.add(strings.NewReader(text), hex.EncodeToString(sum[:]))
	if err != nil || name != nameOf(sum[:]) {
		t.Fatalf("%s: %v", name, err)
	}
	return name
}

func TestProgramsAreTakenInWhole(t *testing.T) {
	p := programs{filepath.Join(t.TempDir(), "program")}
	name := take(t, p, script("v1", "1", "1"))
	info, err := os.Stat(p.path(name))
	if err != nil || info.Mode().Perm() != 0o755 {
		t.Fatalf("%v, %v", info, err)
	}
	if _, err := p.add(strings.NewReader("other"), strings.TrimPrefix(name, programName)); cluster.KindOf(err) != cluster.KindBadRequest {
		t.Errorf("a wrong checksum: %v", err)
	}
	if _, err := p.add(strings.NewReader(""), ""); cluster.KindOf(err) != cluster.KindTooLarge {
		t.Errorf("nothing: %v", err)
	}
	left, err := os.ReadDir(p.dir)
	if err != nil || len(left) != 1 {
		t.Errorf("%v, %v", left, err)
	}
	if err := os.WriteFile(p.path(name), []byte("changed"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := p.whole(name); cluster.KindOf(err) != cluster.KindUnsafe {
		t.Errorf("a changed program: %v", err)
	}
}

func TestProgramsThatDoNotFit(t *testing.T) {
	p := programs{filepath.Join(t.TempDir(), "program")}
	ctx := context.Background()
	if d, err := p.fit(ctx, take(t, p, script("v2", "1", "2")), 2); err != nil || d.Release != "v2" {
		t.Fatalf("%+v, %v", d, err)
	}
	for text, kind := range map[string]cluster.Kind{
		script("v1", "1", "1"): cluster.KindUnsafe, // older than the level
		script("v3", "3", "4"): cluster.KindUnsafe, // does not know it any more
		"#!/bin/sh\necho {}\n": cluster.KindBadRequest,
		"#!/bin/sh\nexit 1\n":  cluster.KindBadRequest,
		"not a program":        cluster.KindBadRequest,
	} {
		if _, err := p.fit(ctx, take(t, p, text), 2); cluster.KindOf(err) != kind {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestLinks(t *testing.T) {
	dir := t.TempDir()
	p := programs{filepath.Join(dir, "program")}
	if got := CurrentProgram(dir); got != "" {
		t.Fatalf("a folder without programs starts %s", got)
	}
	if err := errors.Join(linkInstalled(p.dir), linkInstalled(p.dir)); err != nil {
		t.Fatal(err)
	}
	// What was installed is not one of the folder's.
	if to, err := os.Readlink(p.path(linkCurrent)); err != nil || !filepath.IsAbs(to) || CurrentProgram(dir) != "" {
		t.Fatalf("%s, %v, starts %q", to, err, CurrentProgram(dir))
	}
	n := &Node{cfg: Config{Dir: dir}}
	old, next, other := take(t, p, "old"), take(t, p, "new"), take(t, p, "other")
	if err := errors.Join(p.link(linkStaged, next), n.swap(linkStaged, next, old)); err != nil {
		t.Fatal(err)
	}
	is := func(current, previous, staged string) {
		t.Helper()
		for link, want := range map[string]string{linkCurrent: current, linkPrevious: previous, linkStaged: staged} {
			if got, err := p.linked(link); err != nil || got != want {
				t.Errorf("%s leads to %q, %v; want %q", link, got, err, want)
			}
		}
	}
	is(next, old, next)
	if _, err := os.Stat(p.path(other)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a program that no link names: %v", err)
	}
	if err := n.swap(linkPrevious, old, next); err != nil {
		t.Fatal(err)
	}
	is(old, "", next)
	if err := errors.Join(n.swap(linkStaged, next, old), n.settleProgram(), n.settleProgram()); err != nil {
		t.Fatal(err)
	}
	is(next, "", next)
	if CurrentProgram(dir) != p.path(next) {
		t.Errorf("starts %s", CurrentProgram(dir))
	}
	if _, err := os.Stat(p.path(old)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the way back after it was given up: %v", err)
	}
}
