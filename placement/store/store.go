// Package store keeps the placement map in its space of the system group.
//
// Its functions run inside space.Update and space.View; it knows the records' keys, never who carries a change out.
// Invariants: a group id and a space id are given once; a replica's state only rises; counts of spaces move in the
// effect that places or removes one.
package store

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/internal/wire"
	"github.com/flotilla-mail/flotilla/placement"
)

// Space is the placement map's space in the system group: a fixed id, so that a node finds it before it knows
// anything else.
var Space = cluster.SpaceID{'f', 'l', 'o', 't', 'i', 'l', 'l', 'a', '.', 'p', 'l', 'a', 'c', 'e', 0, 1}

// Key prefixes, for ever.
const (
	prefixGroup = 'g' // group id, 4 bytes big-endian → placement.Group
	prefixNode  = 'n' // node name → placement.NodeState
	prefixPlace = 's' // space id → placement.Place
	prefixCount = 'c' // group id → number of spaces, uvarint
	prefixLevel = 'l' // → placement.Level, uvarint
	prefixToken = 't' // token id, 8 bytes → Token
)

// ErrConflict says that the map is not as the step expected: plan again.
var ErrConflict = errors.New("placement map changed")

func groupKey(prefix byte, id cluster.GroupID) []byte {
	return binary.BigEndian.AppendUint32([]byte{prefix}, uint32(id))
}

func nodeKey(id cluster.NodeID) []byte { return append([]byte{prefixNode}, id...) }

func placeKey(id cluster.SpaceID) []byte { return append([]byte{prefixPlace}, id[:]...) }

// Load reads the map, without the places.
func Load(r space.Reader) (*placement.Map, error) {
	m := &placement.Map{Sequence: r.Sequence()}
	err := each(r, prefixGroup, func(_, v []byte) error {
		var g placement.Group
		if err := wire.Unmarshal(v, &g); err != nil {
			return err
		}
		m.Groups = append(m.Groups, g)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read groups: %w", err)
	}
	err = each(r, prefixNode, func(_, v []byte) error {
		var n placement.NodeState
		if err := wire.Unmarshal(v, &n); err != nil {
			return err
		}
		m.Nodes = append(m.Nodes, n)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read nodes: %w", err)
	}
	if m.Moves, err = Moves(r); err != nil {
		return nil, err
	}
	level, err := number(r, []byte{prefixLevel})
	m.Level = placement.Level(level)
	return m, err
}

func each(r space.Reader, prefix byte, fn func(k, v []byte) error) error {
	it := r.Iter([]byte{prefix}, []byte{prefix + 1})
	var err error
	for err == nil && it.Next() {
		err = fn(it.Key(), it.Value())
	}
	return errors.Join(err, it.Close())
}

func number(r space.Reader, key []byte) (uint64, error) {
	v, err := r.Get(key)
	if err != nil || v == nil {
		return 0, err
	}
	n, size := binary.Uvarint(v)
	if size <= 0 {
		return 0, fmt.Errorf("placement key %q: not a number", key)
	}
	return n, nil
}

// Init writes the level of a new cluster; it does nothing when there is one.
func Init(w space.Writer, level placement.Level) error {
	have, err := number(w, []byte{prefixLevel})
	if err != nil || have != 0 {
		return err
	}
	w.Set([]byte{prefixLevel}, binary.AppendUvarint(nil, uint64(level)))
	return nil
}

// PutNode registers a node or what changed of it. Status, weight and successor are kept: they are the administrator's word.
// One whose program does not speak the cluster's level is refused.
func PutNode(w space.Writer, n placement.NodeState) error {
	if err := mayRegister(w, &n); err != nil {
		return err
	}
	was, err := getNode(w, n.ID)
	if err != nil {
		return err
	}
	if was != nil {
		n.Status, n.Weight, n.Successor, n.Unknown = was.Status, was.Weight, was.Successor, was.Unknown
	}
	if n.Status == 0 {
		n.Status = placement.Active
	}
	w.Set(nodeKey(n.ID), wire.Marshal(&n))
	return nil
}

// CreateGroup adds a group, whose id, home and sites are given, with a first replica of each server, all voters.
func CreateGroup(w space.Writer, g placement.Group, servers []cluster.ServerID) error {
	old, err := w.Get(groupKey(prefixGroup, g.ID))
	if err != nil {
		return err
	}
	if old != nil {
		return fmt.Errorf("create group %d: %w", g.ID, ErrConflict)
	}
	for _, s := range servers {
		g.Replicas = append(g.Replicas, placement.Replica{
			Server: s, Suffrage: placement.Voter, State: placement.Assigned, Initial: true})
	}
	putGroup(w, &g)
	return nil
}

func putGroup(w space.Writer, g *placement.Group) {
	w.Set(groupKey(prefixGroup, g.ID), wire.Marshal(g))
}

func getGroup(r space.Reader, id cluster.GroupID) (*placement.Group, error) {
	v, err := r.Get(groupKey(prefixGroup, id))
	if err != nil {
		return nil, err
	}
	if v == nil {
		return nil, fmt.Errorf("group %d: %w", id, ErrConflict)
	}
	g := new(placement.Group)
	if err := wire.Unmarshal(v, g); err != nil {
		return nil, fmt.Errorf("group %d: %w", id, err)
	}
	return g, nil
}

// AdoptGroup records the system group, whose replicas were there before the map was.
func AdoptGroup(w space.Writer, g placement.Group) error {
	old, err := w.Get(groupKey(prefixGroup, g.ID))
	if err != nil || old != nil {
		return err
	}
	putGroup(w, &g)
	return nil
}

// SetReplicaState raises a replica's state. A replica in that state or beyond stays as it is.
func SetReplicaState(w space.Writer, q *ReplicaStateRequest) error {
	g, err := getGroup(w, q.Group)
	if err != nil {
		return err
	}
	if r := g.Server(q.Actual); g.Server(q.Server) == nil && r != nil && r.State >= q.State {
		return nil // said before, by a node whose map lags
	}
	return changeReplica(w, q.Group, q.Server, func(r *placement.Replica) {
		if r.State == placement.Assigned && q.Actual != "" {
			r.Server = q.Actual
		}
		r.State = max(r.State, q.State)
	})
}

// SetSuffrage records that a replica votes, or no longer does.
func SetSuffrage(w space.Writer, id cluster.GroupID, server cluster.ServerID, s placement.Suffrage) error {
	return changeReplica(w, id, server, func(r *placement.Replica) { r.Suffrage = s })
}

func changeReplica(w space.Writer, id cluster.GroupID, server cluster.ServerID, change func(*placement.Replica)) error {
	g, err := getGroup(w, id)
	if err != nil {
		return err
	}
	r := g.Server(server)
	if r == nil {
		return fmt.Errorf("group %d, replica %s: %w", id, server, ErrConflict)
	}
	was := *r
	change(r)
	if was.State != r.State || was.Suffrage != r.Suffrage || was.Server != r.Server {
		putGroup(w, g)
	}
	return nil
}

// AddReplica assigns another copy of a group, as a learner. A node is assigned one at a time.
func AddReplica(w space.Writer, id cluster.GroupID, r placement.Replica) error {
	g, err := getGroup(w, id)
	if err != nil {
		return err
	}
	if o := g.Replica(r.Server.Node()); o != nil && o.State != placement.Lost || r.Replaces != "" && g.Server(r.Replaces) == nil {
		return fmt.Errorf("group %d, replica %s: %w", id, r.Server, ErrConflict)
	}
	r.Suffrage, r.State = placement.Nonvoter, placement.Assigned
	g.Replicas = append(g.Replicas, r)
	putGroup(w, g)
	return nil
}

// AdmitReplica takes a replica into the map that its node has made by itself, as a learner. Those that the node had of
// the group before are lost from here on: they must never start again.
func AdmitReplica(w space.Writer, id cluster.GroupID, server cluster.ServerID) error {
	g, err := getGroup(w, id)
	if err != nil {
		return err
	}
	if g.Server(server) != nil {
		return nil
	}
	r := placement.Replica{Server: server, Suffrage: placement.Nonvoter, State: placement.Created}
	for i := range g.Replicas {
		if o := &g.Replicas[i]; o.Server.Node() == server.Node() {
			o.State, r.Replaces, r.Cause = placement.Lost, o.Server, placement.CauseLost
		}
	}
	g.Replicas = append(g.Replicas, r)
	putGroup(w, g)
	return nil
}

// RemoveReplica takes a copy out of the map, after Raft has taken it out of the group.
func RemoveReplica(w space.Writer, id cluster.GroupID, server cluster.ServerID) error {
	g, err := getGroup(w, id)
	if err != nil {
		return err
	}
	kept := g.Replicas[:0]
	for _, r := range g.Replicas {
		if r.Server != server {
			kept = append(kept, r)
		}
	}
	g.Replicas = kept
	putGroup(w, g)
	return nil
}

// PlaceSpace says where a new space lives: in the group that holds the fewest, of those made for what the policy wants of
// it. A space that has a place keeps it, and that place is returned.
func PlaceSpace(w space.Writer, q *PlaceSpaceRequest) (placement.Place, error) {
	id := q.Space
	p, ok, err := Lookup(w, id)
	if err != nil || ok {
		return p, err
	}
	policy, err := LoadPolicy(w)
	if err != nil {
		return p, err
	}
	group, err := emptiest(w, policy.ClassOf(id, q.Domain))
	if err != nil {
		return p, err
	}
	n, err := number(w, groupKey(prefixCount, group))
	if err != nil {
		return p, err
	}
	p = placement.Place{Group: group, Epoch: 1}
	w.Set(placeKey(id), wire.Marshal(&p))
	w.Set(groupKey(prefixCount, group), binary.AppendUvarint(nil, n+1))
	return p, nil
}

// emptiest is the mailbox group of a class with the fewest spaces; ties go to the lower number.
func emptiest(r space.Reader, class placement.Class) (cluster.GroupID, error) {
	m, err := Load(r)
	if err != nil {
		return 0, err
	}
	counts, err := Counts(r)
	if err != nil {
		return 0, err
	}
	var best cluster.GroupID
	for i := range m.Groups {
		id := m.Groups[i].ID
		if id != cluster.SystemGroup && m.Groups[i].Class() == class && m.Groups[i].Into == 0 && (best == cluster.SystemGroup || counts[id] < counts[best]) {
			best = id
		}
	}
	if best == cluster.SystemGroup && class != (placement.Class{}) {
		return 0, cluster.Errorf(cluster.KindUnavailable, "there is no group yet with home %q and sites %q", class.Home, class.Sites)
	}
	if best == cluster.SystemGroup {
		return 0, cluster.Errorf(cluster.KindUnavailable, "the cluster has no mailbox groups yet")
	}
	return best, nil
}

// Lookup says where a space lives; ok is false when it has no place.
func Lookup(r space.Reader, id cluster.SpaceID) (p placement.Place, ok bool, err error) {
	v, err := r.Get(placeKey(id))
	if err != nil || v == nil {
		return p, false, err
	}
	return p, true, wire.Unmarshal(v, &p)
}

// RemoveSpace ends a place, before the space is dropped: what drops it is remembered in the space itself.
func RemoveSpace(w space.Writer, q *RemoveSpaceRequest) error {
	p, ok, err := Lookup(w, q.Space)
	if err != nil || !ok {
		return err
	}
	if p.Epoch != q.Epoch {
		return cluster.Errorf(cluster.KindMoving, "space %s is in its place under epoch %d, not %d", q.Space, p.Epoch, q.Epoch)
	}
	n, err := number(w, groupKey(prefixCount, p.Group))
	if err != nil {
		return err
	}
	w.Delete(placeKey(q.Space))
	w.Set(groupKey(prefixCount, p.Group), binary.AppendUvarint(nil, max(n, 1)-1))
	return nil
}

// Counts is the number of spaces in every group.
func Counts(r space.Reader) (map[cluster.GroupID]int, error) {
	counts := make(map[cluster.GroupID]int)
	err := each(r, prefixCount, func(k, v []byte) error {
		n, size := binary.Uvarint(v)
		if len(k) != 5 || size <= 0 {
			return fmt.Errorf("placement key %q: not a count", k)
		}
		counts[cluster.GroupID(binary.BigEndian.Uint32(k[1:]))] = int(n)
		return nil
	})
	return counts, err
}
