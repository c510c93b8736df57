package selftest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/flotilla-mail/flotilla/frontends/admin/adminclient"
	"github.com/flotilla-mail/flotilla/internal/dev"
)

// Groups is `flotilla groups --json`, with hashes where they were asked for.
type Groups []struct {
	Group, Term uint64
	Leader      string
	Mailboxes   int
	Entries     uint64
	Operations  uint64
	Replicas    []struct {
		Node      string
		Applied   uint64
		Hash      string
		HashIndex uint64 `json:"hash_index"`
	}
}

// ReadGroups asks the first node of a dev cluster that answers.
func ReadGroups(ctx context.Context, c *dev.Cluster, hash bool) (Groups, error) {
	var all []*adminclient.Client
	for _, n := range c.Names() {
		all = append(all, c.Admin(n))
	}
	return readGroups(ctx, all, hash)
}

func readGroups(ctx context.Context, nodes []*adminclient.Client, hash bool) (Groups, error) {
	path := "/v1/groups"
	if hash {
		path += "?hash"
	}
	var errs []error
	for _, n := range nodes {
		var raw json.RawMessage
		err := n.Do(ctx, "GET", path, nil, &raw)
		if err == nil {
			var g Groups
			return g, json.Unmarshal(raw, &g)
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// Busiest is the node that leads the mailbox group with the most operations.
func (gs Groups) Busiest() (string, error) {
	best, ops := "", uint64(0)
	for _, g := range gs {
		if g.Group != 0 && g.Leader != "" && g.Operations >= ops {
			best, ops = g.Leader, g.Operations
		}
	}
	if best == "" {
		return "", errors.New("no group has a leader")
	}
	return best, nil
}

// Differ says which replicas do not show one hash at one index. Each group is to have so many.
func (gs Groups) Differ(replicas int) error {
	for _, g := range gs {
		if len(g.Replicas) < replicas {
			return fmt.Errorf("group %d shows %d replicas", g.Group, len(g.Replicas))
		}
		for _, r := range g.Replicas {
			if r.Hash == "" || r.Hash != g.Replicas[0].Hash {
				return fmt.Errorf("group %d: %s has %s at %d, %s has %s at %d", g.Group,
					g.Replicas[0].Node, g.Replicas[0].Hash, g.Replicas[0].HashIndex, r.Node, r.Hash, r.HashIndex)
			}
		}
	}
	return nil
}

// Contradict reports that two replicas show different hashes at one index, which they never may.
func (gs Groups) Contradict() bool {
	type place struct{ group, index uint64 }
	shown := map[place]string{}
	for _, g := range gs {
		for _, r := range g.Replicas {
			at := place{g.Group, r.HashIndex}
			if was, ok := shown[at]; r.Hash != "" && ok && was != r.Hash {
				return true
			} else if r.Hash != "" {
				shown[at] = r.Hash
			}
		}
	}
	return false
}

// sameHashes reads the groups until all replicas show one hash at one index. When ctx ends before, the error says what
// differed, and the groups are as they were last read.
func sameHashes(ctx context.Context, replicas int, read func() (Groups, error)) (Groups, error) {
	var groups Groups
	var differ error
	for {
		now, err := read()
		if err == nil {
			groups, differ = now, now.Differ(replicas)
			err = differ
		}
		switch {
		case err == nil:
			return groups, nil
		case ctx.Err() == nil:
			rest(ctx, 200*time.Millisecond)
		case differ != nil: // the last reading was cut short, and says nothing
			return groups, differ
		default:
			return groups, err
		}
	}
}

// SameHashes waits until the replicas of every group of a dev cluster show one hash at one index; it returns what differed
// when ctx ended before.
func SameHashes(ctx context.Context, c *dev.Cluster) error {
	_, err := sameHashes(ctx, min(3, c.Nodes), func() (Groups, error) { return ReadGroups(ctx, c, true) })
	return err
}
