package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"

	"github.com/flotilla-mail/flotilla/internal/archive"
)

var rewrite = flag.Bool("rewrite", false, "write what the commands print into testdata")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"flotilla": main})
}

// TestScripts runs the command line as an administrator does, without a cluster. `exits CODE flotilla …` wants that
// exit code; `answer STATUS BODY` is what the node behind $SERVER says from then on, and `asked TEXT` what it was
// asked last.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata", RequireExplicitExec: true, RequireUniqueNames: true, UpdateScripts: *rewrite,
		Setup: func(e *testscript.Env) error {
			n := &fakeNode{}
			n.say(http.StatusOK, `{"ok":true}`)
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				return err
			}
			server := &http.Server{Handler: n}
			served := make(chan error, 1)
			go func() { served <- server.Serve(l) }()
			e.Defer(func() {
				_ = server.Close() // Serve tells
				if err := <-served; !errors.Is(err, http.ErrServerClosed) {
					t.Error(err)
				}
			})
			e.Values[fakeKey{}] = n
			e.Setenv("SERVER", l.Addr().String())
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits": exits, "answer": answer, "asked": asked,
		},
	})
}

// exits runs a program and compares its exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM [ARG…]")
	}
	code := 0
	var ended *exec.ExitError
	switch err := ts.Exec(args[1], args[2:]...); {
	case errors.As(err, &ended):
		code = ended.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}

type fakeKey struct{}

// fakeNode answers every request of the admin API alike and remembers the last one.
type fakeNode struct {
	mu     sync.Mutex
	status int    // guarded by mu
	body   string // guarded by mu
	last   string // guarded by mu
}

func (n *fakeNode) say(status int, body string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.status, n.body = status, body
}

// ServeHTTP implements http.Handler.
func (n *fakeNode) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body json.RawMessage
	_ = json.NewDecoder(r.Body).Decode(&body) // many requests have none
	n.mu.Lock()
	n.last = strings.TrimSpace(fmt.Sprintf("%s %s %s", r.Method, r.URL.RequestURI(), body))
	if token := r.Header.Get("Authorization"); token != "" {
		n.last += " as " + token
	}
	status, answer := n.status, n.body
	n.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(answer)) // the script sees what came
}

func answer(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: answer STATUS BODY")
	}
	status, err := strconv.Atoi(args[0])
	if err != nil {
		ts.Fatalf("status: %v", err)
	}
	ts.Value(fakeKey{}).(*fakeNode).say(status, args[1])
}

func asked(ts *testscript.TestScript, neg bool, args []string) {
	n := ts.Value(fakeKey{}).(*fakeNode)
	n.mu.Lock()
	defer n.mu.Unlock()
	if same := len(args) == 1 && n.last == args[0]; same == neg {
		ts.Fatalf("the node was asked %q", n.last)
	}
}

// TestEveryCommandIsDocumented walks the commands: each says what it does, and each that does something shows how.
func TestEveryCommandIsDocumented(t *testing.T) {
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Short == "" {
			t.Errorf("%s does not say what it does", c.CommandPath())
		}
		cobras := strings.HasPrefix(c.CommandPath(), "flotilla completion")
		if !c.HasSubCommands() && !c.Hidden && !cobras && c.Example == "" {
			t.Errorf("%s has no example", c.CommandPath())
		}
		for _, below := range c.Commands() {
			walk(below)
		}
	}
	walk(newRoot())
}

func TestParseSize(t *testing.T) {
	for text, want := range map[string]uint64{"": 0, "0": 0, "1": 1, "50G": 50 << 30, "3k": 3 << 10, "7M": 7 << 20, "2T": 2 << 40} {
		if got, err := parseSize(text); err != nil || got != want {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"G", "-1", "1.5G", "50GB", "20000000T", "x"} {
		if _, err := parseSize(text); !errors.As(err, new(usageError)) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestBar(t *testing.T) {
	for _, c := range []struct {
		p    archive.Progress
		want string
	}{
		{archive.Progress{Folder: "Inbox", Messages: 7, Known: 3, Bytes: 1 << 20, Of: 4 << 20},
			"Inbox                    [#######.......................]  25% 10 messages, 1.0 of 4.0 MiB"},
		{archive.Progress{Folder: "Projects/Größe/of a very long name", Messages: 1, Bytes: 3 << 19},
			"…öße/of a very long name 1 message, 1.5 MiB"},
		{archive.Progress{Folder: "In\x1b[2Jbox"}, `In\x1b[2Jbox             0 messages, 0.0 MiB`},
		{archive.Progress{Messages: 1, Bytes: 9, Of: 8}, "                         [##############################] 100% 1 message, 0.0 of 0.0 MiB"},
	} {
		if got := bar(c.p); got != c.want {
			t.Errorf("got  %q\nwant %q", got, c.want)
		}
	}
}
