package oxcfxics

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// AppendIDSET adds a serialized IDSET whose replicas are named by GUID (MS-OXCFXICS 2.2.2.4.2): the form of the state
// that a client keeps.
func AppendIDSET(dst []byte, s mapi.IDSET) []byte {
	for _, r := range s.Replicas() {
		dst = AppendGLOBSET(append(dst, r.Replica[:]...), r.Set)
	}
	return dst
}

// ParseIDSET reads the form with GUIDs, all of b. A replica that is named twice has what both say.
func ParseIDSET(b []byte) (mapi.IDSET, error) {
	return parseIDSET(b, 16, func(name []byte) (mapi.GUID, error) { return mapi.GUID(name), nil })
}

// AppendIDSETByReplicaID adds a serialized IDSET whose replicas are named by the short numbers that a mailbox gave them
// (MS-OXCFXICS 2.2.2.4.1): the form of deletions on their way to the client. A replica without number is an error.
func AppendIDSETByReplicaID(dst []byte, s mapi.IDSET, number func(mapi.GUID) (mapi.ReplicaID, bool)) ([]byte, error) {
	type part struct {
		id  mapi.ReplicaID
		set mapi.GLOBSET
	}
	parts := make([]part, 0, len(s.Replicas()))
	for _, r := range s.Replicas() {
		id, ok := number(r.Replica)
		if !ok {
			return nil, fmt.Errorf("replica %v has no number: %w", r.Replica, mapi.ErrBadGLOBSET)
		}
		parts = append(parts, part{id, r.Set})
	}
	slices.SortFunc(parts, func(a, b part) int { return cmp.Compare(a.id, b.id) })
	for _, p := range parts {
		dst = AppendGLOBSET(binary.LittleEndian.AppendUint16(dst, uint16(p.id)), p.set)
	}
	return dst, nil
}

// ParseIDSETByReplicaID reads the form with numbers, all of b. A number that the mailbox never gave is an error.
func ParseIDSETByReplicaID(b []byte, replica func(mapi.ReplicaID) (mapi.GUID, bool)) (mapi.IDSET, error) {
	return parseIDSET(b, 2, func(name []byte) (mapi.GUID, error) {
		id := mapi.ReplicaID(binary.LittleEndian.Uint16(name))
		g, ok := replica(id)
		if !ok {
			return g, fmt.Errorf("replica id %d: %w", id, mapi.ErrBadGLOBSET)
		}
		return g, nil
	})
}

// parseIDSET reads sets behind names of so many bytes.
func parseIDSET(b []byte, size int, replica func(name []byte) (mapi.GUID, error)) (mapi.IDSET, error) {
	var parts []mapi.ReplicaSet
	for len(b) > 0 {
		if len(b) < size {
			return mapi.IDSET{}, fmt.Errorf("replica in %d bytes: %w", len(b), mapi.ErrBadGLOBSET)
		}
		g, err := replica(b[:size])
		if err != nil {
			return mapi.IDSET{}, err
		}
		set, rest, err := ParseGLOBSET(b[size:])
		if err != nil {
			return mapi.IDSET{}, err
		}
		parts = append(parts, mapi.ReplicaSet{Replica: g, Set: set})
		b = rest
	}
	return mapi.IDSETOfReplicas(parts), nil
}
