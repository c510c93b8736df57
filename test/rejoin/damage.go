// Package rejoin damages what one node of a cluster of processes has on disk, again and again while mail comes in, and
// holds that the node comes back by itself and that nothing is lost.
//
// It knows a node's folder as an administrator does, and what `flotilla groups` shows; it never looks inside a node.
package rejoin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/flotilla-mail/flotilla/internal/dev"
)

// Group is a group in the answer of `flotilla groups --json`.
type Group struct {
	Group  int
	Leader string
	Placed []Placed
	// Replicas are those that run.
	Replicas []struct {
		Server   string
		CaughtUp bool `json:"caught_up"`
	}
}

// Placed is a replica that the placement map knows.
type Placed struct {
	Server string
	Votes  bool
	State  string
}

// ReadGroups asks a node.
func ReadGroups(ctx context.Context, c *dev.Cluster, node string) (map[int]Group, error) {
	var raw json.RawMessage
	if err := c.Admin(node).Do(ctx, "GET", "/v1/groups", nil, &raw); err != nil {
		return nil, err
	}
	var all []Group
	if err := json.Unmarshal(raw, &all); err != nil {
		return nil, err
	}
	groups := map[int]Group{}
	for _, g := range all {
		groups[g.Group] = g
	}
	return groups, nil
}

// Server is the replica of the group that the map has on a node.
func (g *Group) Server(node string) string {
	for _, p := range g.Placed {
		if strings.HasPrefix(p.Server, node+".") {
			return p.Server
		}
	}
	return ""
}

// Whole reports what the group lacks: three copies that were made, vote, run and have caught up, and a leader.
func (g *Group) Whole() error {
	runs := map[string]bool{}
	for _, r := range g.Replicas {
		runs[r.Server] = r.CaughtUp
	}
	if len(g.Placed) != 3 || len(g.Replicas) != 3 || g.Leader == "" {
		return fmt.Errorf("group %d: leader %q, placed %v, running %v", g.Group, g.Leader, g.Placed, g.Replicas)
	}
	for _, p := range g.Placed {
		if !p.Votes || p.State != "created" || !runs[p.Server] {
			return fmt.Errorf("group %d: %+v, running %v", g.Group, p, g.Replicas)
		}
	}
	return nil
}

// Damage is something that happens to a stopped node's folder.
type Damage struct {
	Name string
	// Do is given the node's folder.
	Do func(dir string) error
	// Lost are the groups whose replica on the node has to come back under another id; the others keep theirs, except
	// those of which Either says that both are right.
	Lost, Either func(group int) bool
}

func never(int) bool       { return false }
func always(int) bool      { return true }
func system(g int) bool    { return g == 0 }
func mailboxes(g int) bool { return g != 0 }

func only(groups ...int) func(int) bool {
	return func(g int) bool { return slices.Contains(groups, g) }
}

// each does something to every file or folder that a pattern matches; there must be one.
func each(pattern string, do func(path string) error) func(dir string) error {
	return func(dir string) error {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err == nil && len(found) == 0 {
			err = fmt.Errorf("nothing is %s", pattern)
		}
		for _, path := range found {
			err = errors.Join(err, do(path))
		}
		return err
	}
}

func remove(pattern string) func(dir string) error { return each(pattern, os.RemoveAll) }

func garble(pattern string) func(dir string) error {
	return each(pattern, func(path string) error {
		b, err := os.ReadFile(path)
		for i := range b {
			b[i] ^= 0x55
		}
		return errors.Join(err, os.WriteFile(path, b, 0o600))
	})
}

// spoilEvery is how far apart the bytes are that Spoil flips: each block of a table has one.
const spoilEvery = 4 << 10

// Spoil flips bytes in the tables and contents of a node's mailbox groups, in place, and names the groups that had any.
func Spoil(dir string) (groups []int) {
	for g := 1; ; g++ {
		state := filepath.Join(dir, "groups", fmt.Sprintf("g%d", g))
		if _, err := os.Stat(state); err != nil {
			return groups
		}
		done := false
		for _, kind := range []string{"*.sst", "*.blob"} {
			found, err := filepath.Glob(filepath.Join(state, "state-*", kind))
			for _, path := range found {
				done = done || err == nil && spoil(path) == nil
			}
		}
		if done {
			groups = append(groups, g)
		}
	}
}

// spoil leaves the end of a file as it is, where a table has its index.
func spoil(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err // compacted away meanwhile
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	var b [1]byte
	for at := info.Size() / 8; at < info.Size()*3/4 && err == nil; at += spoilEvery {
		if _, err = f.ReadAt(b[:], at); err == nil {
			b[0] ^= 0x10
			_, err = f.WriteAt(b[:], at)
		}
	}
	return errors.Join(err, f.Close())
}

// both does one thing after the other.
func both(do ...func(string) error) func(dir string) error {
	return func(dir string) error {
		var all []error
		for _, d := range do {
			all = append(all, d(dir))
		}
		return errors.Join(all...)
	}
}

// everything empties a node's folder but for certificates and configuration, and what the test itself reads.
func everything(dir string) error {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		switch e.Name() {
		case "tls", "flotilla.toml", "log", "pid":
		default:
			err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
		}
	}
	return err
}

// data is what a node has of its groups.
var data = []string{"groups", "raft"}

// save copies a node's data; the answer puts it back in place of what is there then.
func save(dir, to string) (restore func(dir string) error, err error) {
	for _, d := range data {
		err = errors.Join(err, os.CopyFS(filepath.Join(to, d), os.DirFS(filepath.Join(dir, d))))
	}
	return func(dir string) error {
		var err error
		for _, d := range data {
			err = errors.Join(err, os.RemoveAll(filepath.Join(dir, d)), os.CopyFS(filepath.Join(dir, d), os.DirFS(filepath.Join(to, d))))
		}
		return err
	}, err
}
