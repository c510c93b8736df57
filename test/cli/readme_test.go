package cli

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/flotilla-mail/flotilla/internal/testkit"
)

// readme performs the tour of README.md as it is written there. Only what a test cannot have is put in the place of
// the tour's: ports of its own, and a folder outside the tree.
func readme(t *testing.T, c *site) {
	text, err := os.ReadFile(filepath.Join(testkit.Root(t), "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, tour, ok := strings.Cut(string(text), "Leave it running")
	tour, _, more := strings.Cut(tour, "## ")
	if !ok || !more {
		t.Fatal("README.md has no tour")
	}
	dir := t.TempDir()
	for path, target := range map[string]string{"data/dev": c.Dir, "bin/flotilla": c.Program} {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(path)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, filepath.Join(dir, path)); err != nil {
			t.Fatal(err)
		}
	}
	wants := []string{"250 2.0.0 Stored", "Subject: hello", "still here", "n3    ready", "n4 has joined"}
	blocks := regexp.MustCompile("(?s)```\n(.*?)```").FindAllStringSubmatch(tour, -1)
	if len(blocks) != len(wants) {
		t.Fatalf("the tour has %d blocks of commands, the test knows %d", len(blocks), len(wants))
	}
	for i, b := range blocks {
		script := regexp.MustCompile(`(127\.0\.0\.\d:)(\d+)`).ReplaceAllStringFunc(b[1], func(at string) string {
			host, port, _ := strings.Cut(at, ":")
			var n int
			if _, err := fmt.Sscan(port, &n); err != nil {
				t.Fatal(err)
			}
			return fmt.Sprintf("%s:%d", host, c.Port(n))
		})
		if strings.Contains(script, "still here") { // "and do both again on the two that are left"
			script += strings.ReplaceAll(blocks[1][1], "127.0.0.3:2993", c.addr("n3", 2993))
		}
		if out := inTour(t, dir, script); !strings.Contains(out, wants[i]) {
			t.Fatalf("%s\n%s", script, out)
		}
	}
	afterTour(t, c, string(text), dir)
}

// inTour performs commands as somebody types them who has built the tree in dir.
func inTour(t *testing.T, dir, script string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", script)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "HOME="+dir)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, script, out)
	}
	return string(out)
}

// firstItem is the id that README.md says the first mail of a mailbox has.
const firstItem = "1-1000"

// afterTour performs what README.md goes on with. Other tests have been here: the id and the group are those of now.
func afterTour(t *testing.T, c *site, text, dir string) {
	itemsOf := func(user string) []string {
		return regexp.MustCompile(`(?m)^1-[0-9a-f]+`).FindAllString(c.do(t, "mailbox", "items", user, "--folder", "Inbox"), -1)
	}
	group := "3"
	if box := answer[mailbox](t, c, "user", "show", "alice@example.test", "--mailbox"); box.Group == 3 {
		group = "1"
	}
	inTour(t, dir, `mkdir -p Maildir/cur Maildir/new Maildir/tmp
printf 'From: a@example.org\nSubject: kept\n\nhi\n' > Maildir/cur/1:2,S
printf 'BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Anna\r\nN:;Anna;;;\r\nEND:VCARD\r\n' > contacts.vcf
bin/flotilla user add fresh@example.test --kind room
bin/flotilla mailbox import fresh@example.test Maildir --format maildir`)
	if first := itemsOf("fresh@example.test"); len(first) != 1 || first[0] != firstItem || !strings.Contains(text, "--item "+firstItem+"\n") {
		t.Errorf("the first mail of a mailbox is %q, README.md says otherwise", first)
	}
	known := strings.NewReplacer(firstItem, itemsOf("alice@example.test")[0], "--to 3", "--to "+group)
	for title, want := range map[string]string{"Looking into a mailbox": "group    " + group, "Meetings and rooms": "kind     room", "Mail in and out": "1 message imported, 0 there already"} {
		_, section, ok := strings.Cut(text, "## "+title+"\n")
		section, _, more := strings.Cut(section, "\n## ")
		if !ok || !more {
			t.Fatalf("README.md has no section %q", title)
		}
		said := ""
		for _, b := range regexp.MustCompile("(?s)```\n(.*?)```").FindAllStringSubmatch(section, -1) {
			said += inTour(t, dir, known.Replace(b[1]))
		}
		if !strings.Contains(said, want) {
			t.Errorf("%s: no %q in\n%s", title, want, said)
		}
	}
}
