package node

import (
	"os"
	"strings"
	"testing"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/placement"
)

func TestDataOfANewerLevelIsNotOpened(t *testing.T) {
	cfg := Config{Dir: t.TempDir()}
	if level, _, err := storedLevel(&cfg); err != nil || level != placement.FirstLevel || mayOpen(&cfg) != nil {
		t.Fatalf("a directory without a level: %d, %v, %v", level, err, mayOpen(&cfg))
	}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(levelPath(&cfg), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("1 v1.0\n")
	if err := mayOpen(&cfg); err != nil {
		t.Fatal(err)
	}
	write("9 v9.0\n")
	err := mayOpen(&cfg)
	if cluster.KindOf(err) != cluster.KindUnsafe {
		t.Fatal(err)
	}
	for _, named := range []string{cfg.Dir, "level 9 since v9.0", "speaks levels 1 to 2", "start v9.0 or a newer one", cfg.path("program", "current")} {
		if !strings.Contains(err.Error(), named) {
			t.Errorf("%q does not name %q", err, named)
		}
	}
	err = mayRead(&cfg, placement.Levels{Oldest: 3, Newest: 4}, 1, "")
	if cluster.KindOf(err) != cluster.KindUnsafe {
		t.Fatal(err)
	}
	for _, named := range []string{cfg.Dir, "is at level 1, and", "speaks levels 3 to 4", cfg.path("program", "current"), "flotilla node list", "flotilla upgrade --all"} {
		if !strings.Contains(err.Error(), named) {
			t.Errorf("%q does not name %q", err, named)
		}
	}
	if dir := cfg.path("groups"); holdsReplicas(dir) || os.MkdirAll(dir, 0o700) != nil || holdsReplicas(dir) ||
		os.Mkdir(cfg.path("groups", "g0"), 0o700) != nil || !holdsReplicas(dir) || !holdsReplicas(levelPath(&cfg)) {
		t.Error("a directory is empty until it has a replica")
	}
	write("nonsense")
	if err := mayOpen(&cfg); err == nil || cluster.KindOf(err) == cluster.KindUnsafe {
		t.Errorf("an unreadable level: %v", err)
	}
}

func TestProgramOfAnotherLevelTakesNoPart(t *testing.T) {
	heard := func(level placement.Level) map[cluster.NodeID]*hello {
		return map[cluster.NodeID]*hello{"n1": {}, "n2": {Level: level}}
	}
	for _, c := range []struct {
		speaks placement.Levels
		at     placement.Level
		want   string
	}{
		{placement.Levels{Oldest: 1, Newest: 1}, 0, ""}, // nobody reads a map
		{placement.Levels{Oldest: 1, Newest: 3}, 3, ""},
		{placement.Levels{Oldest: 1, Newest: 1}, 3, "at level 3, as n2 says, and this program, dev, speaks level 1: it is too old: install the release that the others run"},
		{placement.Levels{Oldest: 5, Newest: 6}, 3, "speaks levels 5 to 6: it is too new: install the release that the others run ('flotilla node list'"},
	} {
		err := levelRefused(heard(c.at), c.speaks)
		if (err == nil) != (c.want == "") || err != nil && (cluster.KindOf(err) != cluster.KindUnsafe || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s at %d: %v, want %q", c.speaks, c.at, err, c.want)
		}
	}
}
