// Package dev runs a whole cluster on one machine, for trying out and for tests: three processes on 127.0.0.1,
// 127.0.0.2, 127.0.0.3 with the same ports, and a domain with a few users (DESIGN 6).
//
// It knows processes, folders and the admin API; it never looks inside a node. What it starts is set up in the same
// way as a production cluster is: by a secret and a list of nodes.
package dev

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/flotilla-mail/flotilla/frontends/admin"
	"github.com/flotilla-mail/flotilla/frontends/admin/adminclient"
	"github.com/flotilla-mail/flotilla/internal/clock"
	"github.com/flotilla-mail/flotilla/internal/node"
)

// Options say what cluster to run.
type Options struct {
	// Dir holds the nodes' folders.
	Dir string
	// Nodes is how many form the cluster; Users how many users u1, u2, … beside alice, bob and carol.
	Nodes, Users int
	// Frontends is how many of those, the last ones, only serve clients and hold no mailboxes.
	Frontends int
	// Joined is how many nodes have joined it since.
	Joined int
	// Groups is how many mailbox groups to make.
	Groups int
	// DCs are the data centres of the nodes, as "a,a,b", in order and again from the first; empty puts all in one.
	DCs       string
	Plaintext bool
	// SoftDeleted is how long deleted messages and folders can be recovered; zero leaves that to the nodes.
	SoftDeleted time.Duration
	// PortShift is added to every port, so that several clusters fit on one machine.
	PortShift int
	// Program is the path of the flotilla binary.
	Program string
	// Lock, when set, is a file that every node's process keeps open, by which a lock on the cluster's ports lasts as long as one of
	// them runs.
	Lock *os.File
}

// Domain and Password of the users that a dev cluster has.
const (
	Domain   = "example.test"
	Password = "flotilla"
)

// Cluster is a cluster in a folder.
type Cluster struct{ Options }

// Names are the nodes' names.
func (c *Cluster) Names() []string {
	names := make([]string, c.Nodes+c.Joined)
	for i := range names {
		names[i] = nodeName(i + 1)
	}
	return names
}

func nodeName(n int) string { return "n" + strconv.Itoa(n) }

// Host is a node's address.
func Host(name string) string { return "127.0.0." + strings.TrimPrefix(name, "n") }

// Port is a service's port in this cluster.
func (c *Cluster) Port(port int) int { return port + c.PortShift }

// ErrNone says that a folder holds no cluster.
var ErrNone = errors.New("no dev cluster here: start one with 'flotilla dev'")

// Open finds the cluster in a folder.
func Open(dir, program string) (*Cluster, error) {
	path := filepath.Join(dir, "n1", "flotilla.toml")
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", dir, ErrNone)
	}
	cfg, err := node.ReadConfig(path)
	if err != nil {
		return nil, err
	}
	_, port, _ := strings.Cut(cfg.Listen.Node, ":")
	n, err := strconv.Atoi(port)
	c := &Cluster{Options{Dir: dir, Program: program, Nodes: len(cfg.Nodes), PortShift: n - 7400,
		Groups: cfg.Groups, Plaintext: cfg.Plaintext}}
	c.countJoined()
	dcs := make([]string, c.Nodes)
	for i, name := range c.founders() {
		cfg, cerr := node.ReadConfig(filepath.Join(dir, name, "flotilla.toml"))
		if dcs[i] = cfg.DC; errors.Is(cerr, fs.ErrNotExist) {
			dcs[i] = dcs[0] // its data was thrown away, and with it where it was
		} else if cerr != nil {
			return nil, cerr
		}
		if cerr == nil && !cfg.HasRole(node.RoleStore) {
			c.Frontends++
		}
	}
	c.DCs = written(dcs)
	return c, err
}

// countJoined looks for nodes that have joined since.
func (c *Cluster) countJoined() {
	for exists(filepath.Join(c.Dir, nodeName(c.Nodes+c.Joined+1), "flotilla.toml")) {
		c.Joined++
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// written is a list of data centres as DCs has it.
func written(dcs []string) string {
	if len(slices.Compact(slices.Clone(dcs))) == 1 {
		return dcs[0]
	}
	return strings.Join(dcs, ",")
}

// dcs is the data centre of each node.
func (c *Cluster) dcs() []string {
	given, all := strings.Split(c.DCs, ","), make([]string, c.Nodes)
	for i := range all {
		all[i] = given[i%len(given)]
	}
	return all
}

// Reconcile takes over what the cluster in Dir was made with, when there is one. given reports which of the options
// "nodes", "frontends", "groups", "dc", "plaintext" and "port-shift" somebody asked for: one that is otherwise there is refused, since
// it would have no effect.
func (c *Cluster) Reconcile(given func(option string) bool) error {
	have, err := Open(c.Dir, c.Program)
	if errors.Is(err, ErrNone) {
		return nil
	}
	if err != nil {
		return err
	}
	var differ []string
	for _, x := range []struct {
		option    string
		asked, is any
	}{
		{"nodes", c.Nodes, have.Nodes}, {"frontends", c.Frontends, have.Frontends}, {"groups", c.Groups, have.Groups},
		{"dc", written(c.dcs()), have.DCs},
		{"plaintext", c.Plaintext, have.Plaintext}, {"port-shift", c.PortShift, have.PortShift},
	} {
		if given(x.option) && x.asked != x.is {
			differ = append(differ, fmt.Sprintf("--%s=%v (it has %v)", x.option, x.asked, x.is))
		}
	}
	if len(differ) > 0 {
		return fmt.Errorf("the cluster in %s was made otherwise: %s. Leave that out, name another --dir, or remove the folder",
			c.Dir, strings.Join(differ, ", "))
	}
	c.Frontends, c.Joined = have.Frontends, have.Joined
	c.Nodes, c.Groups, c.DCs, c.Plaintext, c.PortShift = have.Nodes, have.Groups, have.DCs, have.Plaintext, have.PortShift
	return nil
}

// Setup writes the folders of a new cluster; nodes that are there stay as they are.
func (c *Cluster) Setup() error {
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return fmt.Errorf("make %s: %w", c.Dir, err)
	}
	path := filepath.Join(c.Dir, "secret")
	secret, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		var s string
		if s, err = node.NewSecret(); err == nil {
			secret = []byte(s)
			err = os.WriteFile(path, secret, 0o600)
		}
	}
	if err != nil {
		return fmt.Errorf("secret: %w", err)
	}
	for _, name := range c.founders() {
		if err := c.setupNode(name, string(secret)); err != nil {
			return err
		}
	}
	ca, err := os.ReadFile(filepath.Join(c.Dir, "n1", "tls", "ca.pem"))
	if err == nil {
		err = os.WriteFile(filepath.Join(c.Dir, "ca.pem"), ca, 0o644)
	}
	if err != nil {
		return fmt.Errorf("trust root: %w", err)
	}
	return nil
}

func (c *Cluster) setupNode(name, secret string) error {
	cfg := c.config(name)
	cfg.DC = c.dcs()[slices.Index(c.Names(), name)]
	if slices.Index(c.Names(), name) >= c.Nodes-c.Frontends {
		cfg.Roles = []string{node.RoleFrontend}
	}
	for _, n := range c.founders() {
		cfg.Nodes = append(cfg.Nodes, n+"="+c.address(n))
	}
	return node.Setup(cfg, secret, c.configPath(name))
}

// founders are the nodes that form the cluster.
func (c *Cluster) founders() []string { return c.Names()[:c.Nodes] }

// address is where the others reach a node.
func (c *Cluster) address(name string) string { return fmt.Sprintf("%s:%d", Host(name), c.Port(7400)) }

func (c *Cluster) configPath(name string) string {
	return filepath.Join(c.Dir, name, "flotilla.toml")
}

// Join lets the next machine join the cluster with a token, in a data centre; it is not started. The token may be any
// that a node of the cluster has drawn.
func (c *Cluster) Join(ctx context.Context, token, dc string) (name string, err error) {
	name = nodeName(c.Nodes + c.Joined + 1)
	cfg := c.config(name)
	cfg.DC = dc
	if _, err := node.Join(ctx, cfg, token, c.address(name), c.configPath(name)); err != nil {
		return name, err
	}
	c.Joined++
	return name, nil
}

// config is a node's, but for what differs between one that forms the cluster and one that joins it.
func (c *Cluster) config(name string) node.Config {
	cfg := node.Defaults()
	cfg.Node, cfg.External, cfg.Cluster = name, Host(name), "mail."+Domain
	cfg.Dir, cfg.Zone = filepath.Join(c.Dir, name), name
	cfg.BlockCache = 32 << 20 // several nodes share what memory somebody's own machine can spare
	// The disk is somebody's own, and rarely empty.
	cfg.Disk = node.Disk{Low: 2, Full: 1, Ballast: 1 << 20}
	cfg.Groups, cfg.Staging, cfg.Plaintext = c.Groups, true, c.Plaintext
	if c.Nodes-c.Frontends < cfg.Replicas {
		cfg.Replicas = 1 // two copies would stop when either does
	}
	cfg.Domains = []string{Domain}
	if c.SoftDeleted > 0 {
		cfg.Limits.SoftDeleted = node.Duration(c.SoftDeleted)
	}
	at := func(port int) string { return fmt.Sprintf("%s:%d", Host(name), c.Port(port)) }
	cfg.Listen = node.Listen{Node: at(7400), Gossip: at(7946), SMTP: at(2525), Submission: at(2587), Submissions: at(2465),
		LMTP: at(2424), IMAP: at(2143), IMAPS: at(2993), HTTP: at(2080), HTTPS: at(2443), Admin: at(2808)}
	return cfg
}

// Start starts one node; a node that runs is left alone.
func (c *Cluster) Start(name string) error {
	dir := filepath.Join(c.Dir, name)
	if c.Running(name) != 0 {
		return nil
	}
	log, err := os.OpenFile(filepath.Join(dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open log of %s: %w", name, err)
	}
	program := c.Program
	if current := node.CurrentProgram(dir); current != "" {
		program = current // an upgrade has chosen it, as the systemd unit starts it in production
	}
	cmd := exec.Command(program, "serve", "--config", filepath.Join(dir, "flotilla.toml"))
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if c.Lock != nil {
		cmd.ExtraFiles = []*os.File{c.Lock}
	}
	if err := cmd.Start(); err != nil {
		return errors.Join(fmt.Errorf("start %s: %w", name, err), log.Close())
	}
	pid := fmt.Sprintf("%d\n", cmd.Process.Pid)
	err = os.WriteFile(filepath.Join(dir, "pid"), []byte(pid), 0o644)
	go func() { _ = cmd.Wait() }() // reaps the child; how it ended is in its log
	return errors.Join(err, log.Close())
}

// Running is the process id of a node, 0 when it does not run.
func (c *Cluster) Running(name string) int {
	b, err := os.ReadFile(filepath.Join(c.Dir, name, "pid"))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || pid <= 1 || syscall.Kill(pid, 0) != nil {
		return 0
	}
	cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err == nil && len(cmdline) > 0 && !serves(strings.Split(string(cmdline), "\x00"), name) {
		return 0 // the number was given to another process; one that is about to end has no words any more
	}
	if ended(pid) {
		return 0
	}
	return pid
}

// AnyRuns reports whether one of the nodes runs.
func (c *Cluster) AnyRuns() bool {
	return slices.ContainsFunc(c.Names(), func(name string) bool { return c.Running(name) != 0 })
}

// attendEvery is how often Attend looks.
const attendEvery = 500 * time.Millisecond

// Attend waits until ctx ends, or until no node runs any more. Nodes that join meanwhile are the cluster's from then on.
func (c *Cluster) Attend(ctx context.Context) {
	for c.AnyRuns() && ctx.Err() == nil {
		wait(ctx, attendEvery)
		c.countJoined()
	}
}

// serves reports whether a command line is one that Start made for the node.
func serves(args []string, name string) bool {
	i := slices.Index(args, "--config")
	return i > 0 && args[i-1] == "serve" && strings.HasSuffix(args[i+1], filepath.Join(name, "flotilla.toml"))
}

// ended reports whether a process waits for its parent only. While one of its threads is on its way out of the kernel
// it holds the locks of its files. How many are left is read from proc_pid_stat(5), field 20: a listing of the threads
// is cut short when one of them goes meanwhile.
func ended(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest) // from field 3 on
	return len(fields) > 17 && fields[0] == "Z" && (fields[17] == "0" || fields[17] == "1")
}

// Stop ends one node in order and waits for its process.
func (c *Cluster) Stop(ctx context.Context, name string) error {
	pid := c.Running(name)
	if pid == 0 {
		return nil
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop %s: %w", name, err)
	}
	for c.Running(name) != 0 {
		if ctx.Err() != nil {
			return errors.Join(fmt.Errorf("%s did not stop in time and was killed", name), syscall.Kill(pid, syscall.SIGKILL))
		}
		wait(ctx, 20*time.Millisecond)
	}
	return nil
}

// Kill ends one node at once, as a crash would.
func (c *Cluster) Kill(name string) error {
	if pid := c.Running(name); pid != 0 {
		return syscall.Kill(pid, syscall.SIGKILL)
	}
	return nil
}

func wait(ctx context.Context, d time.Duration) { _ = clock.System{}.Sleep(ctx, d) }

// Admin is the admin API of a node.
func (c *Cluster) Admin(name string) *adminclient.Client {
	return adminclient.Socket(filepath.Join(c.Dir, name, "admin.sock"))
}

// Fault breaks something on a node, for tests (DESIGN 6). What is of the network is between the node and f.Peer, or
// every other node when that is empty; the rest is the node's alone.
func (c *Cluster) Fault(ctx context.Context, name string, f admin.Fault) error {
	peers := []string{f.Peer}
	network := strings.HasPrefix(f.Kind, "cut") || f.Kind == "latency"
	switch {
	case f.Peer == name:
		return fmt.Errorf("%s has no connection to itself", name)
	case f.Peer != "" && !network && f.Kind != "clear":
		return fmt.Errorf("%s is the node's alone: leave the peer out", f.Kind)
	case network && f.Peer == "":
		peers = slices.DeleteFunc(c.Names(), func(n string) bool { return n == name })
	}
	if len(peers) == 0 {
		return fmt.Errorf("%s is the only node: there is none that %s could come between", name, f.Kind)
	}
	for _, f.Peer = range peers {
		if err := c.Admin(name).Do(ctx, "POST", "/v1/fault", f, nil); err != nil {
			return err
		}
	}
	return nil
}

// Ready waits until every node serves clients; progress is told what they wait for.
func (c *Cluster) Ready(ctx context.Context, progress func(string)) error {
	for _, name := range c.Names() {
		if err := c.ReadyNode(ctx, name, progress); err != nil {
			return err
		}
	}
	return nil
}

// ReadyNode waits until one node serves clients. When ctx ends first, the error is what the node waited for.
func (c *Cluster) ReadyNode(ctx context.Context, name string, progress func(string)) error {
	var waits *adminclient.Refused
	for {
		if c.Running(name) == 0 {
			return fmt.Errorf("%s ended; the last lines of its log (%s):\n%s", name, filepath.Join(c.Dir, name, "log"), c.tail(name))
		}
		err := c.Admin(name).Do(ctx, "GET", "/healthz/ready", nil, nil)
		if err == nil {
			return nil
		}
		if r := new(adminclient.Refused); errors.As(err, &r) {
			waits = r
			progress(name + ": " + r.Text)
		}
		switch {
		case ctx.Err() != nil && waits != nil:
			return fmt.Errorf("%s: %w", name, waits)
		case ctx.Err() != nil:
			return fmt.Errorf("%s is not ready: %w", name, err)
		}
		wait(ctx, 100*time.Millisecond)
	}
}

func (c *Cluster) tail(name string) string {
	b, err := os.ReadFile(filepath.Join(c.Dir, name, "log"))
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-2000):])
}

// AddUsers makes the users that are not there yet; progress may be called from several goroutines.
func (c *Cluster) AddUsers(ctx context.Context, progress func(string)) error {
	names := []string{"alice", "bob", "carol"}
	for i := range c.Users {
		names = append(names, "u"+strconv.Itoa(i+1))
	}
	// A node that is not the leader learns of a change with the next one, or half a second later: side by side the
	// users do not wait for each other.
	var g errgroup.Group
	g.SetLimit(16)
	var made atomic.Int64
	for _, n := range names {
		g.Go(func() error {
			err := c.addUser(ctx, n)
			progress(fmt.Sprintf("users: %d of %d", made.Add(1), len(names)))
			return err
		})
	}
	return g.Wait()
}

func (c *Cluster) addUser(ctx context.Context, n string) error {
	err := c.Admin("n1").Do(ctx, "POST", "/v1/objects", admin.NewObject{Kind: "user", Address: n + "@" + Domain,
		Name: strings.ToUpper(n[:1]) + n[1:], Password: Password}, nil)
	var r *adminclient.Refused
	if err == nil || errors.As(err, &r) && r.Status == http.StatusConflict {
		return nil
	}
	return fmt.Errorf("add user %s: %w", n, err)
}

// StopAll ends every node, all at a time.
func (c *Cluster) StopAll(ctx context.Context) error {
	names := c.Names()
	errs := make(chan error, len(names))
	for _, name := range names {
		go func() { errs <- c.Stop(ctx, name) }()
	}
	var all []error
	for range names {
		all = append(all, <-errs)
	}
	return errors.Join(all...)
}
