package fulltext

import (
	"maps"
	"math/bits"
	"slices"

	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// Set is UIDs, a bit each in chunks of 65,536.
type Set struct{ chunks map[uint16]*chunk }

type chunk [1 << 10]uint64

// NewSet is an empty Set.
func NewSet() *Set { return &Set{make(map[uint16]*chunk)} }

// Add puts a UID in.
func (s *Set) Add(uid mapi.UID) { s.chunk(uid)[uid>>6&(1<<10-1)] |= 1 << (uid & 63) }

func (s *Set) chunk(of mapi.UID) *chunk {
	c := s.chunks[uint16(of>>16)]
	if c == nil {
		c = new(chunk)
		s.chunks[uint16(of>>16)] = c
	}
	return c
}

// AddAll puts the UIDs from first to last in.
func (s *Set) AddAll(first, last mapi.UID) {
	for at := uint64(first); at <= uint64(last); {
		end := min(at|63, uint64(last)) // of the word
		ones := ^uint64(0) >> (63 - (end - at)) << (at & 63)
		s.chunk(mapi.UID(at))[at>>6&(1<<10-1)] |= ones
		at = end + 1
	}
}

// Has reports whether a UID is in.
func (s *Set) Has(uid mapi.UID) bool {
	c := s.chunks[uint16(uid>>16)]
	return c != nil && c[uid>>6&(1<<10-1)]&(1<<(uid&63)) != 0
}

func (s *Set) clone() *Set {
	out := NewSet()
	out.Union(s)
	return out
}

// Union puts in what o has.
func (s *Set) Union(o *Set) {
	for at, theirs := range o.chunks {
		mine := s.chunks[at]
		if mine == nil {
			mine = new(chunk)
			s.chunks[at] = mine
		}
		for i, w := range theirs {
			mine[i] |= w
		}
	}
}

// Intersect takes out what o does not have.
func (s *Set) Intersect(o *Set) {
	for at, mine := range s.chunks {
		theirs := o.chunks[at]
		if theirs == nil {
			delete(s.chunks, at)
			continue
		}
		for i, w := range theirs {
			mine[i] &= w
		}
	}
}

// Len is how many UIDs there are.
func (s *Set) Len() int {
	n := 0
	for _, c := range s.chunks {
		for _, w := range c {
			n += bits.OnesCount64(w)
		}
	}
	return n
}

// Each calls fn with the UIDs in order until it says stop.
func (s *Set) Each(fn func(uid mapi.UID) (more bool)) {
	for _, at := range slices.Sorted(maps.Keys(s.chunks)) {
		for i, w := range s.chunks[at] {
			for ; w != 0; w &= w - 1 {
				if !fn(mapi.UID(at)<<16 | mapi.UID(i)<<6 | mapi.UID(bits.TrailingZeros64(w))) {
					return
				}
			}
		}
	}
}
