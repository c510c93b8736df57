package mapi

import (
	"bytes"
	"cmp"
	"errors"
	"slices"

	"github.com/flotilla-mail/flotilla/internal/wire"
)

// ReplicaSet is the part of an IDSET that belongs to one replica.
type ReplicaSet struct {
	Replica GUID    `wire:"1"`
	Set     GLOBSET `wire:"2"`
}

// IDSET is a set of ids or change numbers of several replicas (MS-OXCFXICS 2.2.2.4). Replicas ascend by their bytes
// and none is empty. Sharing is as with GLOBSET.
type IDSET struct{ replicas []ReplicaSet }

// IDSETOf is the set of one replica.
func IDSETOf(replica GUID, s GLOBSET) IDSET {
	if s.IsEmpty() {
		return IDSET{}
	}
	return IDSET{[]ReplicaSet{{replica, s}}}
}

// IDSETOfReplicas is the set of the parts, which come in any order; of a replica that is named twice it has what both
// say. The slice is sorted.
func IDSETOfReplicas(parts []ReplicaSet) IDSET {
	slices.SortStableFunc(parts, func(a, b ReplicaSet) int { return bytes.Compare(a.Replica[:], b.Replica[:]) })
	var s IDSET
	for len(parts) > 0 {
		n := 1
		for n < len(parts) && parts[n].Replica == parts[0].Replica {
			n++
		}
		set := parts[0].Set
		if n > 1 {
			var ranges []GlobRange
			for _, p := range parts[:n] {
				ranges = append(ranges, p.Set.ranges...)
			}
			set = GLOBSETOfRanges(ranges)
		}
		if !set.IsEmpty() {
			s.replicas = append(s.replicas, ReplicaSet{parts[0].Replica, set})
		}
		parts = parts[n:]
	}
	return s
}

// IDSETOfIDs is the set of the ids, which come in any order; the slice is sorted.
func IDSETOfIDs(ids []GID) IDSET {
	slices.SortFunc(ids, func(a, b GID) int {
		return cmp.Or(bytes.Compare(a.Replica[:], b.Replica[:]), cmp.Compare(a.Counter, b.Counter))
	})
	var s IDSET
	for _, id := range ids {
		if n := len(s.replicas); n == 0 || s.replicas[n-1].Replica != id.Replica {
			s.replicas = append(s.replicas, ReplicaSet{Replica: id.Replica})
		}
		s.replicas[len(s.replicas)-1].Set.Add(id.Counter)
	}
	return s
}

func (s IDSET) find(replica GUID) (int, bool) {
	return slices.BinarySearchFunc(s.replicas, replica, func(r ReplicaSet, g GUID) int { return bytes.Compare(r.Replica[:], g[:]) })
}

// Replicas are the parts in order; the caller does not change them.
func (s IDSET) Replicas() []ReplicaSet { return s.replicas }

// Of is what s holds of a replica.
func (s IDSET) Of(replica GUID) GLOBSET {
	if i, found := s.find(replica); found {
		return s.replicas[i].Set
	}
	return GLOBSET{}
}

// Put makes set what s holds of a replica.
func (s *IDSET) Put(replica GUID, set GLOBSET) {
	i, found := s.find(replica)
	switch {
	case found && set.IsEmpty():
		s.replicas = slices.Delete(s.replicas, i, i+1)
	case found:
		s.replicas[i].Set = set
	case !set.IsEmpty():
		s.replicas = slices.Insert(s.replicas, i, ReplicaSet{replica, set})
	}
}

// Add puts one id into s.
func (s *IDSET) Add(id GID) { s.AddRange(id.Replica, id.Counter, id.Counter) }

// AddRange puts a replica's counters low to high into s, both included.
func (s *IDSET) AddRange(replica GUID, low, high GlobalCounter) {
	i, found := s.find(replica)
	if !found {
		s.replicas = slices.Insert(s.replicas, i, ReplicaSet{Replica: replica})
	}
	s.replicas[i].Set.AddRange(low, high)
}

// Contains reports whether id is in s.
func (s IDSET) Contains(id GID) bool { return s.Of(id.Replica).Contains(id.Counter) }

// IsEmpty reports whether nothing is in s.
func (s IDSET) IsEmpty() bool { return len(s.replicas) == 0 }

// Len is how many ids are in s.
func (s IDSET) Len() uint64 {
	n := uint64(0)
	for _, r := range s.replicas {
		n += r.Set.Len()
	}
	return n
}

// Clone shares nothing with s.
func (s IDSET) Clone() IDSET {
	out := IDSET{slices.Clone(s.replicas)}
	for i := range out.replicas {
		out.replicas[i].Set = out.replicas[i].Set.Clone()
	}
	return out
}

// Union is what is in s or t.
func (s IDSET) Union(t IDSET) IDSET {
	var out IDSET
	a, b := s.replicas, t.replicas
	for len(a) > 0 || len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && bytes.Compare(a[0].Replica[:], b[0].Replica[:]) < 0:
			out.replicas, a = append(out.replicas, ReplicaSet{a[0].Replica, a[0].Set.Clone()}), a[1:]
		case len(a) == 0 || a[0].Replica != b[0].Replica:
			out.replicas, b = append(out.replicas, ReplicaSet{b[0].Replica, b[0].Set.Clone()}), b[1:]
		default:
			out.replicas = append(out.replicas, ReplicaSet{a[0].Replica, a[0].Set.Union(b[0].Set)})
			a, b = a[1:], b[1:]
		}
	}
	return out
}

// Intersect is what is in both.
func (s IDSET) Intersect(t IDSET) IDSET {
	var out IDSET
	for _, r := range s.replicas {
		out.Put(r.Replica, r.Set.Intersect(t.Of(r.Replica)))
	}
	return out
}

// Minus is what is in s and not in t.
func (s IDSET) Minus(t IDSET) IDSET {
	var out IDSET
	for _, r := range s.replicas {
		out.Put(r.Replica, r.Set.Minus(t.Of(r.Replica)))
	}
	return out
}

// Covers reports whether everything in t is in s.
func (s IDSET) Covers(t IDSET) bool {
	return !slices.ContainsFunc(t.replicas, func(r ReplicaSet) bool { return !s.Of(r.Replica).Covers(r.Set) })
}

// Equal reports whether the same is in both.
func (s IDSET) Equal(t IDSET) bool {
	return slices.EqualFunc(s.replicas, t.replicas, func(a, b ReplicaSet) bool { return a.Replica == b.Replica && a.Set.Equal(b.Set) })
}

// AppendWire adds our own form, for records and calls between nodes. The forms that clients see are oxcfxics'.
func (s IDSET) AppendWire(dst []byte) []byte {
	for _, r := range s.replicas {
		dst = wire.AppendBytes(append(dst, r.Replica[:]...), r.Set.AppendWire(nil))
	}
	return dst
}

// UnmarshalWire reads what AppendWire wrote.
func (s *IDSET) UnmarshalWire(b []byte) error {
	s.replicas = nil
	in := wire.NewReader(b)
	for in.Len() > 0 {
		r := ReplicaSet{Replica: takeGUID(in)}
		err := r.Set.UnmarshalWire(in.Bytes())
		n := len(s.replicas)
		ascends := n == 0 || bytes.Compare(s.replicas[n-1].Replica[:], r.Replica[:]) < 0
		if err != nil || r.Set.IsEmpty() || !ascends {
			in.Fail(ErrBadGLOBSET)
			break
		}
		s.replicas = append(s.replicas, r)
	}
	if err := in.Close(); err != nil {
		s.replicas = nil
		return errors.Join(ErrBadGLOBSET, err)
	}
	return nil
}
