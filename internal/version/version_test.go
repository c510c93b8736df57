package version

import (
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestGet(t *testing.T) {
	got := Get()
	first, last := TestLevels()
	if first != 0 || last != 0 || got.Release != "dev" || got.Go != runtime.Version() || got.Platform != runtime.GOOS+"/"+runtime.GOARCH {
		t.Fatalf("%+v", got)
	}
	if want := "dev (" + runtime.Version() + ", "; !strings.HasPrefix(got.String(), want) {
		t.Fatalf("%q does not begin with %q", got.String(), want)
	}
}

// TestLinkerStamp builds a program the way the Makefile does; the name in its flags is text that no compiler checks.
func TestLinkerStamp(t *testing.T) {
	const name = "github.com/flotilla-mail/flotilla/internal/version.release"
	const level = "github.com/flotilla-mail/flotilla/internal/version.level"
	const oldest = "github.com/flotilla-mail/flotilla/internal/version.oldest"
	bin := filepath.Join(t.TempDir(), "stamp")
	build := exec.Command("go", "build", "-ldflags", "-X "+name+"=v9.9 -X "+level+"=7 -X "+oldest+"=5", "-o", bin, "./testdata/stamp")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := exec.Command(bin).Output()
	if err != nil || string(out) != "v9.9 5 7" {
		t.Fatalf("%q, %v", out, err)
	}
}
