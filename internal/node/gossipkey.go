package node

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/rpc"
	"github.com/flotilla-mail/flotilla/placement"
)

// gossipKeyBytes is the length of a key that gossip is encrypted with.
const gossipKeyBytes = 32

// The files of the gossip's keys in <dir>/tls: the one that is sent with, and others that are accepted, one behind the other.
const (
	gossipKeyFile      = "gossip.key"
	gossipAcceptedFile = "gossip.accepted"
)

// gossipKeys are those that a node has.
type gossipKeys struct {
	used     []byte
	accepted [][]byte
}

// readAccepted reads the keys that are accepted; mostly there are none.
func readAccepted(dir string) ([][]byte, error) {
	path := filepath.Join(dir, gossipAcceptedFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read keys of the gossip: %w", err)
	}
	if len(b)%gossipKeyBytes != 0 {
		return nil, fmt.Errorf("%s is not whole: remove it, and run 'flotilla cluster rotate-key' when the node is up", path)
	}
	return slices.Collect(slices.Chunk(b, gossipKeyBytes)), nil
}

// write keeps the keys. Whatever of it a crash leaves, the key in use and the one before are read again.
func (k *gossipKeys) write(dir string) error {
	used, accepted := filepath.Join(dir, gossipKeyFile), filepath.Join(dir, gossipAcceptedFile)
	if len(k.accepted) == 0 {
		return errors.Join(writeFile(used, k.used, 0o600), removeIfThere(accepted), syncDir(dir))
	}
	if err := writeFile(accepted, slices.Concat(k.accepted...), 0o600); err != nil {
		return err
	}
	return writeFile(used, k.used, 0o600)
}

// keyStep is what a node is asked to do with a key. Numbers are for ever.
type keyStep uint8

// The steps.
const (
	keyTold     keyStep = 0 // nothing: say which one is in use
	keyAccepted keyStep = 1 // accept it
	keyUsed     keyStep = 2 // send with it
	keyAlone    keyStep = 3 // and accept no other
)

// gossipKeyRequest is a step. Tags are for ever.
type gossipKeyRequest struct {
	Step keyStep `wire:"1"`
	Key  []byte  `wire:"2"`
}

// gossipKeyAnswer has the key that is in use behind the step.
type gossipKeyAnswer struct {
	Key []byte `wire:"1"`
}

const (
	// rotateTime is how long a change of the key may take, stepTime how long a node may take for a step.
	rotateTime = 45 * time.Second
	stepTime   = 10 * time.Second
)

var methodGossipKey = rpc.Method{ID: 31, Name: "key of the gossip"}

// stepped are the keys behind a step.
func (k *gossipKeys) stepped(step keyStep, key []byte) *gossipKeys {
	if step == keyAlone {
		return &gossipKeys{used: key}
	}
	next := &gossipKeys{used: k.used}
	others := append(slices.Clone(k.accepted), key, k.used)
	if step == keyUsed {
		next.used = key
	}
	for _, o := range others {
		known := func(a []byte) bool { return bytes.Equal(a, o) }
		if !known(next.used) && !slices.ContainsFunc(next.accepted, known) {
			next.accepted = append(next.accepted, o)
		}
	}
	return next
}

// stepGossipKey is a node's part: what it answers is on its disk.
func (n *Node) stepGossipKey(_ context.Context, q *gossipKeyRequest) (*gossipKeyAnswer, error) {
	n.keys.Lock()
	defer n.keys.Unlock()
	dir := n.cfg.path("tls")
	t, err := readTrust(dir)
	if err != nil {
		return nil, err
	}
	if q.Step == keyTold {
		return &gossipKeyAnswer{t.gossip.used}, nil
	}
	if len(q.Key) != gossipKeyBytes || q.Step > keyAlone {
		return nil, cluster.Errorf(cluster.KindBadRequest, "step %d with a key of %d bytes", q.Step, len(q.Key))
	}
	next := t.gossip.stepped(q.Step, q.Key)
	if err := next.write(dir); err != nil {
		return nil, err
	}
	if q.Step == keyAlone {
		n.log.Info("the gossip has another key")
	}
	return &gossipKeyAnswer{next.used}, n.gossip.SetKeys(next.used, next.accepted)
}

// RotateGossipKey implements admin.FleetBackend.
func (b backend) RotateGossipKey(ctx context.Context) (any, error) {
	key := make([]byte, gossipKeyBytes)
	if _, err := rand.Read(key); err != nil {
		return nil, fmt.Errorf("draw key: %w", err)
	}
	ctx, cancel := detached(ctx, rotateTime)
	defer cancel()
	var nodes []cluster.NodeID
	for _, step := range []keyStep{keyAccepted, keyUsed, keyAlone} {
		m, err := b.n.mapNow(ctx) // whoever joined meanwhile takes part
		if err != nil {
			return nil, err
		}
		nodes = membersOf(m)
		if err := b.n.stepAll(ctx, nodes, &gossipKeyRequest{step, key}); err != nil {
			return nil, err
		}
	}
	return map[string]any{"nodes": nodes}, nil
}

// stepAll has all nodes take a step, and says who has not.
func (n *Node) stepAll(ctx context.Context, nodes []cluster.NodeID, q *gossipKeyRequest) error {
	ctx, cancel := context.WithTimeout(ctx, stepTime)
	defer cancel()
	var late []string
	for id, err := range n.askKeys(ctx, nodes, q, func(*gossipKeyAnswer) {}) {
		late = append(late, fmt.Sprintf("%s has not taken the new key: %v", id, err))
	}
	if len(late) == 0 {
		return nil
	}
	slices.Sort(late)
	return cluster.Errorf(cluster.KindUnsafe, "%s; the key before stays good: run 'flotilla cluster rotate-key' again when all nodes answer, "+
		"or remove those that will not", strings.Join(late, "; "))
}

// membersOf are the nodes of the map but for those that were removed.
func membersOf(m *placement.Map) (ids []cluster.NodeID) {
	for i := range m.Nodes {
		if m.Nodes[i].Status != placement.Removed {
			ids = append(ids, m.Nodes[i].ID)
		}
	}
	return ids
}

// askKeys asks nodes side by side, and returns who has not answered.
func (n *Node) askKeys(ctx context.Context, nodes []cluster.NodeID, q *gossipKeyRequest, answered func(*gossipKeyAnswer)) map[cluster.NodeID]error {
	failed := make(map[cluster.NodeID]error)
	var mu sync.Mutex // guards failed, and calls of answered
	var wg sync.WaitGroup
	for _, id := range nodes {
		wg.Go(func() {
			a, err := askNode[gossipKeyAnswer](ctx, n, id, methodGossipKey, q)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed[id] = err
				return
			}
			answered(a)
		})
	}
	wg.Wait()
	return failed
}

// adoptEvery is how often a node that has just started asks which key the others use, until enough of them answer.
const adoptEvery = 5 * time.Second

// adoptGossipKey takes up the key that the others use, should this node's be of before: its tls was made again from the secret.
func (n *Node) adoptGossipKey(ctx context.Context) error {
	for {
		nodes := membersOf(n.view.Map())
		uses := make(map[string]int)
		brief, cancel := context.WithTimeout(ctx, adoptEvery)
		n.askKeys(brief, nodes, &gossipKeyRequest{Step: keyTold}, func(a *gossipKeyAnswer) { uses[string(a.Key)]++ })
		cancel()
		if key, decided := mostUsed(uses, len(nodes)); decided {
			return n.useGossipKey(ctx, []byte(key))
		}
		if pause(ctx, adoptEvery); ctx.Err() != nil {
			return nil
		}
	}
}

// mostUsed is the key that more than half of so many nodes use.
func mostUsed(uses map[string]int, nodes int) (key string, decided bool) {
	for k, count := range uses {
		if 2*count > nodes {
			return k, true
		}
	}
	return "", false
}

// useGossipKey sends with a key from now on, unless it is the one in use already. What was in use is still accepted: somebody may be
// changing keys.
func (n *Node) useGossipKey(ctx context.Context, key []byte) error {
	own, err := n.stepGossipKey(ctx, &gossipKeyRequest{Step: keyTold})
	if err != nil || bytes.Equal(own.Key, key) {
		return err
	}
	n.log.Info("taking up the key of the gossip that the other nodes use")
	_, err = n.stepGossipKey(ctx, &gossipKeyRequest{keyUsed, key})
	return err
}
