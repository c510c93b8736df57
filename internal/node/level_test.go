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
	for _, named := range []string{cfg.Dir, "level 9 since v9.0", "speaks level 1", "start v9.0 or a newer one", cfg.path("program", "current")} {
		if !strings.Contains(err.Error(), named) {
			t.Errorf("%q does not name %q", err, named)
		}
	}
	write("nonsense")
	if err := mayOpen(&cfg); err == nil || cluster.KindOf(err) == cluster.KindUnsafe {
		t.Errorf("an unreadable level: %v", err)
	}
}
