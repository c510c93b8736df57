package dev

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/frontends/admin"
	"github.com/flotilla-mail/flotilla/frontends/admin/adminclient"
	"github.com/flotilla-mail/flotilla/internal/node"
	"github.com/flotilla-mail/flotilla/internal/testkit"
)

// made is a cluster that has been set up; its program is a script that does nothing until it is stopped.
func made(t *testing.T, nodes int) *Cluster {
	t.Helper()
	program := filepath.Join(t.TempDir(), "flotilla")
	if err := os.WriteFile(program, []byte("#!/bin/sh\necho started \"$@\"\nwhile :; do sleep 0.05; done\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	c := &Cluster{Options{Dir: t.TempDir(), Nodes: nodes, Groups: 4, Plaintext: true, PortShift: 300, Program: program}}
	if err := c.Setup(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, n := range c.Names() {
			if err := c.Kill(n); err != nil {
				t.Error(err)
			}
		}
	})
	return c
}

func TestSetupMakesAProductionCluster(t *testing.T) {
	c := made(t, 3)
	for _, name := range c.Names() {
		cfg, err := node.ReadConfig(filepath.Join(c.Dir, name, "flotilla.toml"))
		if err != nil {
			t.Fatal(err)
		}
		host := Host(name)
		if cfg.Node != name || cfg.External != host || !cfg.Staging || !cfg.Plaintext || cfg.Groups != 4 || cfg.Replicas != 3 ||
			cfg.Listen.IMAP != host+":2443" || !slices.Equal(cfg.Domains, []string{Domain}) {
			t.Errorf("%s: %+v", name, cfg)
		}
	}
	ca, err := os.ReadFile(filepath.Join(c.Dir, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := os.ReadFile(filepath.Join(c.Dir, "n3", "tls", "ca.pem"))
	if err != nil || string(ca) != string(theirs) {
		t.Fatalf("the nodes trust different roots: %v", err)
	}
	if err := c.Setup(); err != nil {
		t.Fatalf("once more: %v", err)
	}
}

func TestOpenFindsWhatWasMade(t *testing.T) {
	c := made(t, 5)
	if err := os.RemoveAll(filepath.Join(c.Dir, "n4")); err != nil { // its data was thrown away: the cluster has five nodes still
		t.Fatal(err)
	}
	got, err := Open(c.Dir, c.Program)
	if err != nil || got.Options != c.Options {
		t.Fatalf("%+v, %v; want %+v", got, err, c.Options)
	}
	if _, err := Open(t.TempDir(), ""); !errors.Is(err, ErrNone) {
		t.Fatalf("an empty folder: %v", err)
	}
}

// A node that has joined is one of the cluster's, and none of those that formed it: their configuration stays as it is.
func TestNodesThatJoined(t *testing.T) {
	c := made(t, 3)
	fourth := filepath.Join(c.Dir, "n4")
	if err := os.CopyFS(fourth, os.DirFS(filepath.Join(c.Dir, "n3"))); err != nil {
		t.Fatal(err)
	}
	got, err := Open(c.Dir, c.Program)
	if err != nil || got.Nodes != 3 || got.Joined != 1 || !slices.Equal(got.Names(), []string{"n1", "n2", "n3", "n4"}) {
		t.Fatalf("%+v, %v", got, err)
	}
	before, err := os.ReadFile(c.configPath("n1"))
	if err != nil {
		t.Fatal(err)
	}
	again := &Cluster{Options{Dir: c.Dir, Nodes: 3}}
	if err := again.Reconcile(func(option string) bool { return option == "nodes" }); err != nil || again.Joined != 1 {
		t.Fatalf("%+v, %v", again, err)
	}
	if err := again.Setup(); err != nil {
		t.Fatal(err)
	}
	if after, err := os.ReadFile(c.configPath("n1")); err != nil || string(after) != string(before) {
		t.Errorf("n1 is set up anew: %v", err)
	}
	if name, err := again.Join(t.Context(), "no token", ""); err == nil || name != "n5" || again.Joined != 1 {
		t.Errorf("%s, %v", name, err)
	}
}

func TestReconcile(t *testing.T) {
	c := made(t, 5)
	asked := func(o Options, given ...string) (*Cluster, error) {
		o.Dir = c.Dir
		x := &Cluster{o}
		return x, x.Reconcile(func(option string) bool { return slices.Contains(given, option) })
	}
	defaults := Options{Nodes: 3, Groups: 3}
	got, err := asked(defaults)
	if err != nil || got.Nodes != 5 || got.Groups != 4 || !got.Plaintext || got.PortShift != 300 {
		t.Fatalf("nothing asked for: %+v, %v", got, err)
	}
	same := Options{Nodes: 5, Groups: 4, Plaintext: true, PortShift: 300}
	if _, err := asked(same, "nodes", "groups", "plaintext", "port-shift"); err != nil {
		t.Fatalf("the same: %v", err)
	}
	for option, o := range map[string]Options{"nodes": {Nodes: 3}, "groups": {Groups: 16}, "plaintext": {}, "port-shift": {PortShift: 1},
		"dc": {Nodes: 5, DCs: "a,b"}} {
		if _, err := asked(o, option); err == nil || !strings.Contains(err.Error(), "--"+option+"=") || strings.Count(err.Error(), "--") != 2 {
			t.Errorf("%s: %v", option, err)
		}
	}
	fresh := &Cluster{Options{Dir: t.TempDir(), Nodes: 7}}
	if err := fresh.Reconcile(func(string) bool { return true }); err != nil || fresh.Nodes != 7 {
		t.Fatalf("a new folder: %v, %d", err, fresh.Nodes)
	}
}

func TestDataCentresOfNodes(t *testing.T) {
	c := &Cluster{Options{Dir: t.TempDir(), Nodes: 4, Groups: 1, DCs: "a,a,b"}}
	if err := c.Setup(); err != nil {
		t.Fatal(err)
	}
	have, err := Open(c.Dir, "")
	if err != nil || have.DCs != "a,a,b,a" {
		t.Fatalf("%+v, %v", have, err)
	}
	again := &Cluster{Options{Dir: c.Dir, Nodes: 4, Groups: 1, DCs: "a,a,b"}}
	if err := again.Reconcile(func(string) bool { return true }); err != nil {
		t.Errorf("the same: %v", err)
	}
}

func TestStartStopKill(t *testing.T) {
	c := made(t, 2)
	if err := c.Start("n1"); err != nil {
		t.Fatal(err)
	}
	pid := c.Running("n1")
	if pid == 0 || c.Running("n2") != 0 {
		t.Fatalf("n1 is process %d, n2 %d", pid, c.Running("n2"))
	}
	if err := c.Start("n1"); err != nil || c.Running("n1") != pid {
		t.Fatalf("started twice: %v", err)
	}
	testkit.Eventually(t, time.Minute, func(context.Context) error {
		if log, err := os.ReadFile(filepath.Join(c.Dir, "n1", "log")); err != nil || !strings.Contains(string(log), "started serve --config "+filepath.Join(c.Dir, "n1", "flotilla.toml")) {
			return fmt.Errorf("log %q, %v", log, err)
		}
		return nil
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := c.Stop(ctx, "n1"); err != nil || c.Running("n1") != 0 {
		t.Fatalf("stop: %v, still %d", err, c.Running("n1"))
	}
	if err := c.Start("n2"); err != nil {
		t.Fatal(err)
	}
	if err := c.Kill("n2"); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, time.Minute, func(context.Context) error {
		if c.Running("n2") != 0 {
			return errors.New("n2 lives")
		}
		return nil
	})
	if err := errors.Join(c.Stop(ctx, "n2"), c.Kill("n2"), c.StopAll(ctx)); err != nil {
		t.Fatalf("nodes that do not run: %v", err)
	}
}

// TestAttend: whoever looks after a cluster also stops what has joined it meanwhile, and is done when others have stopped all.
func TestAttend(t *testing.T) {
	c, all := made(t, 1), made(t, 2)
	if err := os.Rename(filepath.Join(all.Dir, "n2"), filepath.Join(c.Dir, "n2")); err != nil {
		t.Fatal(err)
	}
	for _, n := range []string{"n1", "n2"} {
		if err := c.Start(n); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	looked, enough := context.WithTimeout(ctx, 2*attendEvery)
	defer enough()
	if c.Attend(looked); ctx.Err() != nil || c.Joined != 1 || !c.AnyRuns() {
		t.Fatalf("%d have joined, %v", c.Joined, ctx.Err())
	}
	if err := c.StopAll(ctx); err != nil {
		t.Fatal(err)
	}
	if c.Attend(ctx); ctx.Err() != nil || c.AnyRuns() {
		t.Errorf("nodes run: %v, %v", c.AnyRuns(), ctx.Err())
	}
}

// A process that was given the number of a node that is gone is none of ours.
func TestRunningIsNotFooledByOldNumbers(t *testing.T) {
	c := made(t, 1)
	path := filepath.Join(c.Dir, "n1", "pid")
	for _, pid := range []string{fmt.Sprint(syscall.Getppid()), "0", "-1", "1", "x", "99999999"} {
		if err := os.WriteFile(path, []byte(pid+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		if got := c.Running("n1"); got != 0 {
			t.Errorf("%q is taken for n1", pid)
		}
	}
}

// voice is the admin socket of a node.
type voice struct {
	mu     sync.Mutex
	asked  []string // guarded by mu
	answer func(r *http.Request) (int, string)
}

func (v *voice) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body json.RawMessage
	_ = json.NewDecoder(r.Body).Decode(&body) // many requests have none
	v.mu.Lock()
	v.asked = append(v.asked, strings.TrimSpace(r.Method+" "+r.URL.Path+" "+string(body)))
	v.mu.Unlock()
	code, text := http.StatusOK, `{"ok":true}`
	if v.answer != nil {
		code, text = v.answer(r)
	}
	w.WriteHeader(code)
	_, _ = w.Write([]byte(text)) // the test sees what came
}

func (v *voice) heard() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	all := v.asked
	v.asked = nil
	return all
}

func speak(t *testing.T, c *Cluster, name string, v *voice) {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(c.Dir, name, "admin.sock"))
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: v}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		_ = s.Close() // Serve tells
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
}

func TestFaultsReachTheNode(t *testing.T) {
	c := made(t, 3)
	v := &voice{}
	speak(t, c, "n2", v)
	for _, x := range []struct {
		f    admin.Fault
		want []string
	}{
		{admin.Fault{Kind: "cut"}, []string{`{"kind":"cut","peer":"n1"}`, `{"kind":"cut","peer":"n3"}`}},
		{admin.Fault{Kind: "latency", Value: 5, Peer: "n3"}, []string{`{"kind":"latency","value":5,"peer":"n3"}`}},
		{admin.Fault{Kind: "clock", Value: 7}, []string{`{"kind":"clock","value":7}`}},
		{admin.Fault{Kind: "disk-full"}, []string{`{"kind":"disk-full"}`}},
		{admin.Fault{Kind: "clear"}, []string{`{"kind":"clear"}`}},
		{admin.Fault{Kind: "clear", Peer: "n1"}, []string{`{"kind":"clear","peer":"n1"}`}},
	} {
		err := c.Fault(t.Context(), "n2", x.f)
		heard := v.heard()
		for i := range x.want {
			x.want[i] = "POST /v1/fault " + x.want[i]
		}
		if err != nil || !slices.Equal(heard, x.want) {
			t.Errorf("%+v: %v, %v", x.f, heard, err)
		}
	}
	for _, f := range []admin.Fault{{Kind: "cut", Peer: "n2"}, {Kind: "clock", Value: 7, Peer: "n1"}} {
		if err := c.Fault(t.Context(), "n2", f); err == nil || len(v.heard()) > 0 {
			t.Errorf("%+v was sent", f)
		}
	}
}

func TestFaultsOfALoneNode(t *testing.T) {
	c := made(t, 1)
	v := &voice{}
	speak(t, c, "n1", v)
	if err := c.Fault(t.Context(), "n1", admin.Fault{Kind: "cut"}); err == nil || !strings.Contains(err.Error(), "only node") {
		t.Errorf("cut off from nobody: %v", err)
	}
	if err := c.Fault(t.Context(), "n1", admin.Fault{Kind: "disk-full"}); err != nil || len(v.heard()) != 1 {
		t.Errorf("its own disk: %v", err)
	}
}

func TestReadyWaitsAndSaysForWhat(t *testing.T) {
	c := made(t, 1)
	if err := c.Start("n1"); err != nil {
		t.Fatal(err)
	}
	asked := 0
	speak(t, c, "n1", &voice{answer: func(*http.Request) (int, string) {
		if asked++; asked < 3 {
			return http.StatusServiceUnavailable, `{"error":"not ready: waiting for n2"}`
		}
		return http.StatusOK, `{"ok":true}`
	}})
	short, end := context.WithCancel(t.Context())
	if err := c.Ready(short, func(string) { end() }); err == nil || err.Error() != "n1: not ready: waiting for n2" {
		t.Errorf("waited in vain: %v", err)
	}
	asked = 0
	var said []string
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := c.Ready(ctx, func(s string) { said = append(said, s) }); err != nil || len(said) != 2 || said[0] != "n1: not ready: waiting for n2" {
		t.Fatalf("%v, %q", err, said)
	}
	if err := c.Kill("n1"); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, time.Minute, func(ctx context.Context) error {
		if err := c.Ready(ctx, func(string) {}); err == nil || !strings.Contains(err.Error(), "n1 ended") {
			return fmt.Errorf("a node that has ended: %v", err)
		}
		return nil
	})
}

func TestAddUsersTwice(t *testing.T) {
	c := made(t, 1)
	c.Users = 2
	v := &voice{answer: func(*http.Request) (int, string) { return http.StatusConflict, `{"error":"taken","kind":1021}` }}
	speak(t, c, "n1", v)
	if err := c.AddUsers(t.Context(), func(string) {}); err != nil {
		t.Fatalf("users that are there: %v", err)
	}
	heard := v.heard()
	if len(heard) != 5 || !slices.ContainsFunc(heard, func(s string) bool { return strings.Contains(s, `"address":"u2@example.test"`) }) {
		t.Fatalf("%q", heard)
	}
	v.answer = func(*http.Request) (int, string) { return http.StatusBadRequest, `{"error":"no"}` }
	var refused *adminclient.Refused
	if err := c.AddUsers(t.Context(), func(string) {}); !errors.As(err, &refused) {
		t.Fatalf("refused users: %v", err)
	}
}

// TestEnded: a process that its parent has not waited for yet does not run any more.
func TestEnded(t *testing.T) {
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("cat") // reads until the pipe is closed
	cmd.Stdin = in
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if ended(cmd.Process.Pid) {
		t.Error("it runs, and has ended")
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, time.Minute, func(context.Context) error {
		if !ended(cmd.Process.Pid) {
			return errors.New("it has ended, and runs")
		}
		return nil
	})
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if ended(cmd.Process.Pid) {
		t.Error("a process that is gone waits for its parent")
	}
}
