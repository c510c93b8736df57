package node

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/ops"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/frontends/admin"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// The ops on the scratch space of a group, for ever. Only a node that was started for tests knows them: with them a test
// sees what a space promises, and no mail stands between.
const (
	opScratchPut  ops.ID = 2100
	opScratchGet  ops.ID = 2101
	opScratchOpen ops.ID = 2102 // makes the space
)

// scratchName begins the id of a scratch space; the group follows. No GUID that is drawn begins so.
const scratchName = "scratchspace"

const (
	maxScratchKey   = 256
	maxScratchValue = 64 << 10
	// scratchPatience is how long a node looks for the owner.
	scratchPatience = 30 * time.Second
)

func scratchSpace(g cluster.GroupID) cluster.SpaceID {
	var id cluster.SpaceID
	binary.BigEndian.PutUint32(id[copy(id[:], scratchName):], uint32(g))
	return id
}

func scratchGroup(id cluster.SpaceID) (g cluster.GroupID, ok bool) {
	if string(id[:len(scratchName)]) != scratchName {
		return 0, false
	}
	return cluster.GroupID(binary.BigEndian.Uint32(id[len(scratchName):])), true
}

// scratchPut sets a key to Value or, with Add, adds the number in Value to the one that is there. Tags are for ever.
type scratchPut struct {
	Key   []byte `wire:"1"`
	Value []byte `wire:"2"`
	Add   bool   `wire:"3"`
}

type scratchGet struct {
	Key []byte `wire:"1"`
}

type scratchValue struct {
	Value []byte `wire:"1"`
	Found bool   `wire:"2"`
}

func scratchHandlers() []ops.Handler {
	return []ops.Handler{
		{ID: opScratchPut, Name: "ScratchPut", Mode: ops.Write, Update: putScratch},
		{ID: opScratchGet, Name: "ScratchGet", Mode: ops.Read, View: getScratch},
		{ID: opScratchOpen, Name: "OpenScratch", Mode: ops.Create, Update: func(space.Writer, *ops.Request) ([]byte, error) { return nil, nil }},
	}
}

func putScratch(w space.Writer, r *ops.Request) ([]byte, error) {
	var q scratchPut
	if err := wire.Unmarshal(r.Payload, &q); err != nil {
		return nil, cluster.Errorf(cluster.KindBadRequest, "decode put: %v", err)
	}
	if len(q.Key) == 0 || len(q.Key) > maxScratchKey || len(q.Value) > maxScratchValue {
		return nil, cluster.Errorf(cluster.KindTooLarge, "a key of %d bytes with a value of %d: want 1 to %d, and at most %d",
			len(q.Key), len(q.Value), maxScratchKey, maxScratchValue)
	}
	if q.Add {
		sum, err := addScratch(w, &q)
		if err != nil {
			return nil, err
		}
		q.Value = sum
	}
	w.Set(q.Key, q.Value)
	return wire.Marshal(&scratchValue{Value: q.Value, Found: true}), nil
}

func addScratch(w space.Writer, q *scratchPut) ([]byte, error) {
	old, err := w.Get(q.Key)
	if err != nil {
		return nil, err
	}
	sum := int64(0)
	for _, text := range [][]byte{old, q.Value} {
		if text == nil {
			continue // absent is zero
		}
		n, err := strconv.ParseInt(string(text), 10, 64)
		if err != nil {
			return nil, cluster.Errorf(cluster.KindBadRequest, "%q is no number", text)
		}
		sum += n
	}
	return strconv.AppendInt(nil, sum, 10), nil
}

func getScratch(r space.Reader, req *ops.Request) ([]byte, error) {
	var q scratchGet
	if err := wire.Unmarshal(req.Payload, &q); err != nil {
		return nil, cluster.Errorf(cluster.KindBadRequest, "decode get: %v", err)
	}
	v, err := r.Get(q.Key)
	return wire.Marshal(&scratchValue{Value: v, Found: v != nil}), err
}

// scratches remembers the groups whose scratch space is there. The zero value is ready.
type scratches struct {
	mu   sync.Mutex
	open map[cluster.GroupID]bool // guarded by mu
}

func (s *scratches) isOpen(g cluster.GroupID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open[g]
}

func (s *scratches) opened(g cluster.GroupID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = make(map[cluster.GroupID]bool)
	}
	s.open[g] = true
}

// scratch performs an op on a group's scratch space, wherever its leader is.
func (n *Node) scratch(ctx context.Context, g cluster.GroupID, q *ops.Request, mode ops.Mode) (*admin.ScratchValue, error) {
	if !n.cfg.Staging {
		return nil, cluster.Errorf(exmdb.KindAccessDenied, "this node was not started by 'flotilla dev': it has no scratch space")
	}
	ctx, cancel := context.WithTimeout(ctx, scratchPatience)
	defer cancel()
	q.Space = scratchSpace(g)
	if !n.scratched.isOpen(g) {
		_, err := n.ops.Call(ctx, &ops.Request{Op: opScratchOpen, Space: q.Space}, ops.Create)
		if err != nil && !errors.Is(err, cluster.ErrExists) {
			return nil, fmt.Errorf("open scratch space of group %d: %w", g, err)
		}
		n.scratched.opened(g)
	}
	raw, err := n.ops.Call(ctx, q, mode)
	if err != nil {
		return nil, err
	}
	var v scratchValue
	if err := wire.Unmarshal(raw, &v); err != nil {
		return nil, fmt.Errorf("decode scratch value: %w", err)
	}
	return &admin.ScratchValue{Value: string(v.Value), Found: v.Found}, nil
}

// ScratchPut implements admin.Backend.
func (b backend) ScratchPut(ctx context.Context, group cluster.GroupID, key string, p admin.ScratchPut) (*admin.ScratchValue, error) {
	q := &ops.Request{Op: opScratchPut, Payload: wire.Marshal(&scratchPut{Key: []byte(key), Value: []byte(p.Value), Add: p.Add})}
	if p.ID != "" {
		id, err := hex.DecodeString(p.ID)
		if err != nil || len(id) != len(q.ID) {
			return nil, cluster.Errorf(cluster.KindBadRequest, "request id %q: want %d bytes in hex", p.ID, len(q.ID))
		}
		copy(q.ID[:], id)
	}
	return b.n.scratch(ctx, group, q, ops.Write)
}

// ScratchGet implements admin.Backend.
func (b backend) ScratchGet(ctx context.Context, group cluster.GroupID, key string) (*admin.ScratchValue, error) {
	return b.n.scratch(ctx, group, &ops.Request{Op: opScratchGet, Payload: wire.Marshal(&scratchGet{Key: []byte(key)})}, ops.Read)
}
