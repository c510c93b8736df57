package store

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/ops"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/internal/wire"
	"github.com/flotilla-mail/flotilla/placement"
)

// The ops on tokens and on what the administrator wants of a node, for ever.
const (
	OpDrawToken     ops.ID = 1520
	OpUseToken      ops.ID = 1521
	OpSetNodeStatus ops.ID = 1522
	OpNodeAddress   ops.ID = 1523
)

// TokenID finds a token. It is derived from the token's secret, and says nothing of it.
type TokenID [8]byte

// Token is what the cluster keeps of a one-time token: enough to know it again, not to use it.
type Token struct {
	// Hash is that of the secret.
	Hash  [sha256.Size]byte `wire:"1"`
	Until time.Time         `wire:"2"`
	// Key is the hash of the public key of the machine that used the token first, Node the name that it took with it.
	Key  [sha256.Size]byte `wire:"3"`
	Node cluster.NodeID    `wire:"4"`
	Used time.Time         `wire:"5"`
	// Replaces is the node whose place the machine takes, name and all; empty for a new one.
	Replaces cluster.NodeID `wire:"6"`
	Unknown  wire.Unknown
}

const (
	// tokenKept is how long after its end a token is remembered, so that it is told from one that never was, and a
	// machine whose answer was lost can ask again.
	tokenKept = 7 * 24 * time.Hour
	// maxTokens bounds those that are remembered.
	maxTokens = 1000
)

// DrawTokenRequest makes a token known.
type DrawTokenRequest struct {
	ID    TokenID           `wire:"1"`
	Hash  [sha256.Size]byte `wire:"2"`
	Valid time.Duration     `wire:"3"`
	// Replaces is the node whose place the machine takes.
	Replaces cluster.NodeID `wire:"4"`
}

// DrawTokenAnswer says how long it is good.
type DrawTokenAnswer struct {
	Until time.Time `wire:"1"`
}

// UseTokenRequest is a machine that wants to become a node.
type UseTokenRequest struct {
	ID   TokenID           `wire:"1"`
	Hash [sha256.Size]byte `wire:"2"`
	// Key is the hash of the machine's public key, which it has proved to hold.
	Key [sha256.Size]byte `wire:"3"`
	// Node is what the map will have of it.
	Node placement.NodeState `wire:"4"`
}

// TokenRefusal says why a token was not taken. Numbers cross the wire, for ever.
type TokenRefusal uint8

// The refusals.
const (
	TokenTaken TokenRefusal = 0 // none: the machine is a node from here on
	// TokenUnknown: no such token was drawn, or long ago.
	TokenUnknown TokenRefusal = 1
	// TokenExpired: its time was over.
	TokenExpired TokenRefusal = 2
	// TokenUsed: another machine, or this one under another name, has used it.
	TokenUsed TokenRefusal = 3
	// NameTaken: the cluster has a node of that name.
	NameTaken TokenRefusal = 4
	// NameRemoved: the cluster had one, whose certificate may still be about.
	NameRemoved TokenRefusal = 5
	// LevelUnknown: the machine's program does not speak the cluster's level.
	LevelUnknown TokenRefusal = 6
	// NameOther: the token is for a machine that takes a node's place under its name, which By is.
	NameOther TokenRefusal = 7
)

// UseTokenAnswer says what became of it. Of a token that was not taken it names when it ended, and who has used it.
type UseTokenAnswer struct {
	Refusal TokenRefusal   `wire:"1"`
	Until   time.Time      `wire:"2"`
	By      cluster.NodeID `wire:"3"`
	// Level is the cluster's.
	Level placement.Level `wire:"4"`
}

// NodeAddressRequest is where a node of the map is reached from now on.
type NodeAddressRequest struct {
	Node    cluster.NodeID `wire:"1"`
	Address string         `wire:"2"`
	Gossip  string         `wire:"3"`
}

// NodeStatusRequest is the administrator's word on a node.
type NodeStatusRequest struct {
	Node   cluster.NodeID       `wire:"1"`
	Status placement.NodeStatus `wire:"2"`
	// Force removes a node that has replicas of mailbox groups: its machine is gone for good.
	Force bool `wire:"3"`
	// Successor, with placement.Removing, is the node that takes over what this one holds; empty for whichever have room.
	Successor cluster.NodeID `wire:"4"`
}

func tokenKey(id TokenID) []byte { return append([]byte{prefixToken}, id[:]...) }

func getToken(r space.Reader, id TokenID) (*Token, error) {
	v, err := r.Get(tokenKey(id))
	if err != nil || v == nil {
		return nil, err
	}
	t := new(Token)
	if err := wire.Unmarshal(v, t); err != nil {
		return nil, fmt.Errorf("token %x: %w", id, err)
	}
	return t, nil
}

// DrawToken makes a token known, and forgets those that ended long ago.
func DrawToken(w space.Writer, q *DrawTokenRequest) (*DrawTokenAnswer, error) {
	now, kept := w.Now(), 0
	err := each(w, prefixToken, func(k, v []byte) error {
		var t Token
		if err := wire.Unmarshal(v, &t); err != nil {
			return fmt.Errorf("token %x: %w", k[1:], err)
		}
		if t.Until.Add(tokenKept).Before(now) {
			w.Delete(k)
		} else {
			kept++
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case kept >= maxTokens:
		return nil, cluster.Errorf(cluster.KindOverloaded, "%d tokens are known: wait until some of them have ended", kept)
	case q.Valid <= 0:
		return nil, cluster.Errorf(cluster.KindBadRequest, "a token that is valid for %v", q.Valid)
	}
	if q.Replaces != "" {
		if err := replaceable(w, q.Replaces); err != nil {
			return nil, err
		}
	}
	t := Token{Hash: q.Hash, Until: now.Add(q.Valid), Replaces: q.Replaces}
	w.Set(tokenKey(q.ID), wire.Marshal(&t))
	return &DrawTokenAnswer{Until: t.Until}, nil
}

// replaceable refuses a node whose place no machine can take.
func replaceable(r space.Reader, node cluster.NodeID) error {
	switch n, err := getNode(r, node); {
	case err != nil:
		return err
	case n == nil:
		return cluster.Errorf(cluster.KindBadRequest, "%s is no node of the cluster", node)
	case n.Status == placement.Removed:
		return cluster.Errorf(cluster.KindBadRequest, "%s was removed, which is for good: let the machine join under another name", node)
	}
	return nil
}

// UseToken takes a token and, in the same effect, makes its machine a node of the map: one that has not registered yet.
// The machine that used a token may use it again, for its answer may have been lost; nothing is changed then.
func UseToken(w space.Writer, q *UseTokenRequest) (*UseTokenAnswer, error) {
	t, err := getToken(w, q.ID)
	switch {
	case err != nil:
		return nil, err
	case t == nil || subtle.ConstantTimeCompare(t.Hash[:], q.Hash[:]) != 1:
		return &UseTokenAnswer{Refusal: TokenUnknown}, nil
	}
	again := t.Node == q.Node.ID && subtle.ConstantTimeCompare(t.Key[:], q.Key[:]) == 1
	answer, err := judge(w, t, &q.Node, again)
	if err != nil || answer.Refusal != TokenTaken || again {
		return answer, err
	}
	t.Key, t.Node, t.Used = q.Key, q.Node.ID, w.Now()
	w.Set(tokenKey(q.ID), wire.Marshal(t))
	if old, err := getNode(w, q.Node.ID); err != nil {
		return nil, err
	} else if old != nil {
		q.Node.Roles = old.Roles // until it says itself what it does
	}
	return answer, PutNode(w, q.Node)
}

// judge says whether a machine may use a token of the right secret; again is the machine that has used it.
func judge(w space.Writer, t *Token, machine *placement.NodeState, again bool) (*UseTokenAnswer, error) {
	answer := &UseTokenAnswer{Until: t.Until, By: t.Node}
	old, err := getNode(w, machine.ID)
	level, lerr := number(w, []byte{prefixLevel})
	answer.Level = placement.Level(level)
	switch {
	case err != nil || lerr != nil:
		return nil, errors.Join(err, lerr)
	case t.Node != "" && !again:
		answer.Refusal = TokenUsed
	case !again && t.Until.Before(w.Now()):
		answer.Refusal = TokenExpired
	case !machine.Speaks().Has(answer.Level):
		answer.Refusal = LevelUnknown
	case t.Replaces != "" && t.Replaces != machine.ID:
		answer.Refusal, answer.By = NameOther, t.Replaces
	case old != nil && old.Status == placement.Removed:
		answer.Refusal = NameRemoved
	case t.Replaces == "" && !again && (old != nil || inSystem(w, machine.ID)):
		answer.Refusal = NameTaken
	}
	return answer, nil
}

// inSystem reports whether a node that never registered was there when the cluster formed.
func inSystem(r space.Reader, node cluster.NodeID) bool {
	g, err := getGroup(r, cluster.SystemGroup)
	return err == nil && g.Replica(node) != nil
}

func getNode(r space.Reader, id cluster.NodeID) (*placement.NodeState, error) {
	v, err := r.Get(nodeKey(id))
	if err != nil || v == nil {
		return nil, err
	}
	n := new(placement.NodeState)
	if err := wire.Unmarshal(v, n); err != nil {
		return nil, fmt.Errorf("node %s: %w", id, err)
	}
	return n, nil
}

// MoveNode writes where a node of the map is reached: a node says so before it can read the map, since nobody who does not
// reach it can bring its copy of the map up to date. Of a node that the map does not have, or that was removed, it says nothing.
func MoveNode(w space.Writer, q *NodeAddressRequest) error {
	n, err := getNode(w, q.Node)
	if err != nil || n == nil || n.Status == placement.Removed || n.Address == q.Address && n.Gossip == q.Gossip {
		return err
	}
	n.Address, n.Gossip = q.Address, q.Gossip
	w.Set(nodeKey(n.ID), wire.Marshal(n))
	return nil
}

// SetNodeStatus writes the administrator's word. A removed node stays so: its certificate must never open anything again.
func SetNodeStatus(w space.Writer, q *NodeStatusRequest) error {
	n, err := getNode(w, q.Node)
	switch {
	case err != nil:
		return err
	case n == nil:
		return cluster.Errorf(cluster.KindBadRequest, "%s is no node of the cluster", q.Node)
	case n.Status == q.Status && n.Successor == q.Successor:
		return nil
	case n.Status == placement.Removed:
		return cluster.Errorf(cluster.KindBadRequest, "%s was removed, which is for good: let its machine join under another name", q.Node)
	}
	if q.Successor != "" {
		if err := mayFollow(w, q); err != nil {
			return err
		}
	}
	if q.Status == placement.Removed && !q.Force {
		if err := emptyNode(w, q.Node); err != nil {
			return err
		}
	}
	n.Status, n.Successor = q.Status, q.Successor
	w.Set(nodeKey(n.ID), wire.Marshal(n))
	return nil
}

// mayFollow refuses a successor that cannot hold anything.
func mayFollow(r space.Reader, q *NodeStatusRequest) error {
	to, err := getNode(r, q.Successor)
	if err != nil {
		return err
	}
	if to == nil {
		return cluster.Errorf(cluster.KindBadRequest, "%s is no node of the cluster", q.Successor)
	}
	if q.Successor == q.Node || to.Status != placement.Active || to.Roles&placement.RoleStore == 0 {
		return cluster.Errorf(cluster.KindBadRequest, "%s cannot take over what %s holds: it is no active node that stores", q.Successor, q.Node)
	}
	return nil
}

// emptyNode refuses a node that has replicas of mailbox groups.
func emptyNode(r space.Reader, node cluster.NodeID) error {
	m, err := Load(r)
	if err != nil {
		return err
	}
	held := 0
	for i := range m.Groups {
		if m.Groups[i].ID != cluster.SystemGroup && m.Groups[i].Replica(node) != nil {
			held++
		}
	}
	if held > 0 {
		return cluster.Errorf(cluster.KindUnsafe,
			"%s has replicas of %d groups: others are to have them before it is removed; --force when its machine is gone for good", node, held)
	}
	return nil
}

// tokenHandlers are the rows about tokens and nodes.
func tokenHandlers() []ops.Handler {
	return []ops.Handler{
		{ID: OpDrawToken, Name: "DrawToken", Mode: ops.Write, Update: func(w space.Writer, q *ops.Request) ([]byte, error) {
			var r DrawTokenRequest
			if err := decode(q, &r); err != nil {
				return nil, err
			}
			a, err := DrawToken(w, &r)
			if err != nil {
				return nil, err
			}
			return wire.Marshal(a), nil
		}},
		{ID: OpUseToken, Name: "UseToken", Mode: ops.Write, Update: func(w space.Writer, q *ops.Request) ([]byte, error) {
			var r UseTokenRequest
			if err := decode(q, &r); err != nil {
				return nil, err
			}
			a, err := UseToken(w, &r)
			if err != nil {
				return nil, err
			}
			return wire.Marshal(a), nil
		}},
		{ID: OpSetNodeStatus, Name: "SetNodeStatus", Mode: ops.Write, Update: func(w space.Writer, q *ops.Request) ([]byte, error) {
			var r NodeStatusRequest
			if err := decode(q, &r); err != nil {
				return nil, err
			}
			return nil, SetNodeStatus(w, &r)
		}},
		{ID: OpNodeAddress, Name: "NodeAddress", Mode: ops.Write, Update: func(w space.Writer, q *ops.Request) ([]byte, error) {
			var r NodeAddressRequest
			if err := decode(q, &r); err != nil {
				return nil, err
			}
			return nil, MoveNode(w, &r)
		}},
	}
}
