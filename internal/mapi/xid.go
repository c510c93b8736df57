package mapi

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
)

// XID names a change: the GUID of the replica that made it and that replica's number of it, 1 to 8 bytes, big endian
// (MS-OXCFXICS 2.2.2.2). A change key is an XID; ours are 22 bytes long.
type XID struct {
	Namespace GUID
	// Local is kept as it came, because the change keys of foreign clients are kept verbatim (MAILBOX 1).
	Local string
}

// maxLocal bounds the local part; longer ones are not change numbers.
const maxLocal = 8

// ErrBadXID says that bytes are no change key or predecessor change list.
var ErrBadXID = errors.New("malformed change key or predecessor change list")

// ChangeKey is the XID of a change made in a replica.
func ChangeKey(replica GUID, cn CN) XID {
	return XID{Namespace: replica, Local: string(AppendGlobalCounter(nil, GlobalCounter(cn)))}
}

// Append adds the wire form.
func (x XID) Append(dst []byte) []byte { return append(append(dst, x.Namespace[:]...), x.Local...) }

// ParseXID reads the wire form, all of b.
func ParseXID(b []byte) (XID, error) {
	var x XID
	if len(b) <= len(x.Namespace) || len(b) > len(x.Namespace)+maxLocal {
		return x, fmt.Errorf("change key of %d bytes: %w", len(b), ErrBadXID)
	}
	copy(x.Namespace[:], b)
	x.Local = string(b[len(x.Namespace):])
	return x, nil
}

// compareLocal orders local parts as big-endian numbers.
func compareLocal(a, b string) int {
	var x, y [maxLocal]byte
	copy(x[maxLocal-len(a):], a)
	copy(y[maxLocal-len(b):], b)
	return bytes.Compare(x[:], y[:])
}

// PCL is a predecessor change list (MS-OXCFXICS 2.2.2.3): for each replica that ever changed the object the newest
// change known, ascending by namespace.
type PCL []XID

func (p PCL) find(ns GUID) (int, bool) {
	return slices.BinarySearchFunc(p, ns, func(x XID, g GUID) int { return bytes.Compare(x.Namespace[:], g[:]) })
}

// Add returns the list with x in it; an older change of the same replica gives way. p is not changed.
func (p PCL) Add(x XID) PCL {
	i, found := p.find(x.Namespace)
	if !found {
		return slices.Insert(slices.Clone(p), i, x)
	}
	if compareLocal(p[i].Local, x.Local) >= 0 {
		return p
	}
	p = slices.Clone(p)
	p[i] = x
	return p
}

// Merge is the union of both lists, the newer change of each replica.
func (p PCL) Merge(q PCL) PCL {
	for _, x := range q {
		p = p.Add(x)
	}
	return p
}

// Includes reports whether x, or a later change of the same replica, is in the list.
func (p PCL) Includes(x XID) bool {
	i, found := p.find(x.Namespace)
	return found && compareLocal(p[i].Local, x.Local) >= 0
}

// Covers reports whether every change of q is included: then q's version of the object is not newer anywhere.
func (p PCL) Covers(q PCL) bool {
	return !slices.ContainsFunc(q, func(x XID) bool { return !p.Includes(x) })
}

// PCLOrder says how two versions of an object stand to each other by what went into them.
type PCLOrder int

// The orders.
const (
	// PCLEqual: the same changes went into both.
	PCLEqual PCLOrder = iota
	// PCLNewer: all of the other's changes are included, and more.
	PCLNewer
	// PCLOlder: the other includes all changes, and more.
	PCLOlder
	// PCLConflict: each has a change that the other lacks (MS-OXCFXICS 3.1.5.6).
	PCLConflict
)

// Compare says how the version with p stands to the version with q.
func (p PCL) Compare(q PCL) PCLOrder {
	switch newer, older := p.Covers(q), q.Covers(p); {
	case newer && older:
		return PCLEqual
	case newer:
		return PCLNewer
	case older:
		return PCLOlder
	}
	return PCLConflict
}

// Append adds the wire form: each XID behind its size in one byte.
func (p PCL) Append(dst []byte) []byte {
	for _, x := range p {
		dst = append(dst, byte(len(x.Namespace)+len(x.Local)))
		dst = x.Append(dst)
	}
	return dst
}

// ParsePCL reads the wire form. Entries out of order, which some clients send, are sorted and merged.
func ParsePCL(b []byte) (PCL, error) {
	var p PCL
	for len(b) > 0 {
		n := int(b[0])
		if n > len(b)-1 {
			return nil, fmt.Errorf("entry of %d bytes: %w", n, ErrBadXID)
		}
		x, err := ParseXID(b[1 : 1+n])
		if err != nil {
			return nil, err
		}
		p = append(p, x)
		b = b[1+n:]
	}
	slices.SortStableFunc(p, func(x, y XID) int {
		if order := bytes.Compare(x.Namespace[:], y.Namespace[:]); order != 0 {
			return order
		}
		return compareLocal(y.Local, x.Local)
	})
	return slices.CompactFunc(p, func(x, y XID) bool { return x.Namespace == y.Namespace }), nil
}
