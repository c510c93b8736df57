package imap

import (
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

var rewrite = flag.Bool("rewrite", false, "write what the server says into the scripts")

// TestScripts plays the dialogues in testdata. A script's lines are:
//
//	# comment
//	C: a line the client sends
//	S: a line the server answers
//	! action, see (*script).act
//
// After the last line of a command the runner reads up to its tagged answer; "! read N" reads N lines more.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(text))
			if *rewrite {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != string(text) {
				t.Errorf("dialogue differs, -want +got:\n%s", diffLines(string(text), got))
			}
		})
	}
}

// script is a dialogue being played.
type script struct {
	ts    *testServer
	c     *client
	out   strings.Builder
	tag   string
	left  int // octets of a literal still to be sent
	inCmd bool
}

func play(t *testing.T, text string) string {
	s := &script{ts: startServer(t, func(c *Config) {
		if strings.Contains(text, "# config: all-folders") {
			c.AllFolders = true
		}
		if strings.Contains(text, "# config: no-plaintext") {
			c.AllowPlaintext, c.TLS = false, testTLS(t)
		}
		c.MaxMessage = 1 << 20
	})}
	s.c = s.ts.dial()
	greeting := s.c.line()
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, "S: "):
			continue
		case strings.HasPrefix(line, "C: "), strings.HasPrefix(line, "! "):
			if greeting != "" {
				s.record(greeting)
				greeting = ""
			}
		}
		s.out.WriteString(line + "\n")
		if rest, ok := strings.CutPrefix(line, "C: "); ok {
			s.say(rest)
		}
		if rest, ok := strings.CutPrefix(line, "! "); ok {
			s.act(strings.Fields(rest))
		}
	}
	return s.out.String()
}

func (s *script) record(lines ...string) {
	for _, l := range lines {
		s.out.WriteString("S: " + l + "\n")
	}
}

// say sends a line and reads what follows it.
func (s *script) say(line string) {
	if !s.inCmd {
		s.tag, _, _ = strings.Cut(line, " ")
		s.inCmd = true
	}
	s.c.send(line + "\r\n")
	if s.left > 0 {
		s.left -= len(line) + 2
		if s.left >= 0 {
			return
		}
		line = line[len(line)+2+s.left:]
		s.left = 0
		line = strings.TrimSuffix(line, "\r\n")
	}
	if strings.HasSuffix(line, "}") {
		size := line[strings.LastIndexByte(line, '{')+1 : len(line)-1]
		nonSync := strings.HasSuffix(size, "+")
		s.left, _ = strconv.Atoi(strings.TrimSuffix(size, "+"))
		if nonSync {
			return
		}
		if !s.readUntilReady() {
			s.left = 0
		}
		return
	}
	s.readUntilReady()
}

// readUntilReady reads up to a continuation request, or the command's end if it is refused.
func (s *script) readUntilReady() bool {
	for {
		line := s.c.line()
		s.record(line)
		if strings.HasPrefix(line, "+") {
			return true
		}
		if strings.HasPrefix(line, s.tag+" ") {
			s.inCmd = false
			return false
		}
	}
}

// act does what another session, or the world, does meanwhile.
func (s *script) act(words []string) {
	b := s.ts.box
	switch words[0] {
	case "read":
		n, _ := strconv.Atoi(words[1])
		for range n {
			s.record(s.c.line())
		}
	case "deliver": // folder, subject
		b.deliver(unspace(words[1]), "Return-Path: <bob@example.test>\r\n", simpleMail(words[2]))
	case "mail": // folder, name of a message in testdata
		text, err := os.ReadFile("testdata/" + words[2] + ".eml")
		if err != nil {
			s.ts.t.Fatal(err)
		}
		b.deliver(unspace(words[1]), "", strings.ReplaceAll(string(text), "\n", "\r\n"))
	case "flag": // folder, UID, flag
		s.other(exmdb.OpSetFlags.OpInfo, &exmdb.SetFlagsRequest{Folder: b.named(unspace(words[1])).FID, UIDs: uids(words[2]),
			Mode: exmdb.FlagsAdd, Flags: exmdb.Flags{Keywords: words[3:]}}, &exmdb.SetFlagsResponse{})
	case "expunge": // folder, UID
		s.other(exmdb.OpExpunge.OpInfo, &exmdb.ExpungeRequest{Folder: b.named(unspace(words[1])).FID, UIDs: uids(words[2]),
			All: true}, &exmdb.ExpungeResponse{})
	case "stale": // the tombstones up to now are forgotten
		b.mu.Lock()
		b.floor = b.counter + 1
		b.mu.Unlock()
	case "fail": // op, kind
		kind, _ := strconv.Atoi(words[2])
		b.mu.Lock()
		b.fail = func(op exmdb.OpInfo) error {
			if op.Name == words[1] {
				return &cluster.Error{Kind: cluster.Kind(kind), Text: "secret internal text"}
			}
			return nil
		}
		b.mu.Unlock()
	case "between": // op, action: done between the first call of op and the second
		calls := 0
		b.mu.Lock()
		b.fail = func(op exmdb.OpInfo) error {
			if op.Name != words[1] {
				return nil
			}
			if calls++; calls != 2 {
				return nil
			}
			s.act(words[2:])
			b.mu.Lock()
			now := b.fail // the action may have been to fail
			b.mu.Unlock()
			return now(op)
		}
		b.mu.Unlock()
	case "heal":
		b.mu.Lock()
		b.fail = nil
		b.mu.Unlock()
	case "quota":
		b.quota, _ = strconv.ParseUint(words[1], 10, 64)
	case "step":
		b.step, _ = strconv.Atoi(words[1])
	case "page":
		n, _ := strconv.Atoi(words[1])
		b.page = uint32(n)
	case "close":
		if line, err := s.c.tryLine(); err == nil {
			s.record(line, "(still open)")
		}
	default:
		s.ts.t.Fatalf("unknown action %q", words)
	}
}

func (s *script) other(op exmdb.OpInfo, req, resp any) {
	if err := s.ts.box.Call(s.ts.t.Context(), exmdb.System, mapi.MailboxID{2}, op, req, resp); err != nil {
		s.ts.t.Fatal(err)
	}
}

func unspace(name string) string { return strings.ReplaceAll(name, "_", " ") }

func uids(text string) []exmdb.UIDRange {
	n, _ := strconv.Atoi(text)
	return []exmdb.UIDRange{{First: mapi.UID(n), Last: mapi.UID(n)}}
}

func simpleMail(subject string) string {
	return "From: Bob <bob@example.test>\r\nTo: alice@example.test\r\nSubject: " + subject +
		"\r\nDate: Mon, 2 Mar 2026 08:00:00 +0100\r\nMessage-ID: <" + subject + "@example.test>\r\n\r\nHello " + subject + ".\r\n"
}

// diffLines shows the lines around the first difference.
func diffLines(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	i := 0
	for i < len(w) && i < len(g) && w[i] == g[i] {
		i++
	}
	var out strings.Builder
	for _, l := range w[max(0, i-3):i] {
		out.WriteString("  " + l + "\n")
	}
	for _, l := range w[i:min(i+5, len(w))] {
		out.WriteString("- " + l + "\n")
	}
	for _, l := range g[i:min(i+5, len(g))] {
		out.WriteString("+ " + l + "\n")
	}
	return out.String()
}

// TestEveryCommandHasAScript walks the command table.
func TestEveryCommandHasAScript(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.txt")
	var all strings.Builder
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	used := map[string]bool{}
	for line := range strings.Lines(all.String()) {
		if words := strings.Fields(line); len(words) > 2 && words[0] == "C:" {
			used[upper(words[2])] = true
			if len(words) > 3 {
				used[upper(words[2]+" "+words[3])] = true
			}
		}
	}
	for name, cmd := range commandTable() {
		if !used[name] {
			t.Errorf("%s has no script", name)
		}
		if cmd.spec == "" || cmd.in == 0 {
			t.Errorf("%s: row is not complete", name)
		}
	}
}
