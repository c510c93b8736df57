package mapi

import (
	"cmp"
	"errors"
	"iter"
	"slices"
	"sort"

	"github.com/flotilla-mail/flotilla/internal/invariant"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// GlobRange is the counters Low to High, both included.
type GlobRange struct{ Low, High GlobalCounter }

// GLOBSET is a set of counters of one replica (MS-OXCFXICS 2.2.2.6), held as ranges that ascend and do not touch, so
// a folder's 400,000 messages that were numbered in a row are one range. Adding at the end is cheap, in the middle it
// moves what is behind; whoever has many numbers in no order uses GLOBSETOf. A copy shares its ranges: one of the two
// is not added to, or is a Clone.
type GLOBSET struct{ ranges []GlobRange }

// ErrBadGLOBSET says that bytes are no GLOBSET or IDSET.
var ErrBadGLOBSET = errors.New("malformed set of ids")

// GLOBSETOf is the set of the counters, which come in any order; the slice is sorted.
func GLOBSETOf(counters []GlobalCounter) GLOBSET {
	slices.Sort(counters)
	var s GLOBSET
	for _, c := range counters {
		s.Add(c)
	}
	return s
}

// GLOBSETOfRanges is the set of the ranges, which come in any order and may overlap; the slice is taken over.
func GLOBSETOfRanges(ranges []GlobRange) GLOBSET {
	slices.SortFunc(ranges, func(a, b GlobRange) int { return cmp.Compare(a.Low, b.Low) })
	s := GLOBSET{ranges: ranges[:0]}
	for _, r := range ranges {
		s.AddRange(r.Low, r.High)
	}
	return s
}

// Ranges are the ranges in order; the caller does not change them.
func (s GLOBSET) Ranges() []GlobRange { return s.ranges }

// Clone shares nothing with s.
func (s GLOBSET) Clone() GLOBSET { return GLOBSET{slices.Clone(s.ranges)} }

// IsEmpty reports whether nothing is in s.
func (s GLOBSET) IsEmpty() bool { return len(s.ranges) == 0 }

// Len is how many counters are in s.
func (s GLOBSET) Len() uint64 {
	n := uint64(0)
	for _, r := range s.ranges {
		n += uint64(r.High-r.Low) + 1
	}
	return n
}

// Highest is the largest counter in s, nought if there is none.
func (s GLOBSET) Highest() GlobalCounter {
	if len(s.ranges) == 0 {
		return 0
	}
	return s.ranges[len(s.ranges)-1].High
}

// All yields every counter, ascending. A set that a client sent may stand for 2^48 of them in a few bytes: such a set
// is walked by its ranges.
func (s GLOBSET) All() iter.Seq[GlobalCounter] {
	return func(yield func(GlobalCounter) bool) {
		for _, r := range s.ranges {
			for c := r.Low; c <= r.High; c++ {
				if !yield(c) {
					return
				}
			}
		}
	}
}

// from is the place of the first range that ends at or behind c.
func (s GLOBSET) from(c GlobalCounter) int {
	i, _ := slices.BinarySearchFunc(s.ranges, c, func(r GlobRange, c GlobalCounter) int { return cmp.Compare(r.High, c) })
	return i
}

// Contains reports whether c is in s.
func (s GLOBSET) Contains(c GlobalCounter) bool {
	i := s.from(c)
	return i < len(s.ranges) && s.ranges[i].Low <= c
}

// Add puts c into s.
func (s *GLOBSET) Add(c GlobalCounter) { s.AddRange(c, c) }

// AddRange puts low to high into s, both included.
func (s *GLOBSET) AddRange(low, high GlobalCounter) {
	if low > high || high > MaxGlobalCounter {
		invariant.Failf("mapi: range %#x to %#x of counters", low, high)
	}
	n := len(s.ranges)
	if n == 0 || low > s.ranges[n-1].High+1 {
		s.ranges = append(s.ranges, GlobRange{low, high})
		return
	}
	first := s.from(max(low, 1) - 1)
	last := first
	for ; last < n && s.ranges[last].Low <= high+1; last++ {
		low, high = min(low, s.ranges[last].Low), max(high, s.ranges[last].High)
	}
	if last == first+1 {
		s.ranges[first] = GlobRange{low, high}
		return
	}
	s.ranges = slices.Replace(s.ranges, first, last, GlobRange{low, high})
}

// Union is what is in s or t. Ranges that lie between two of the other set are copied as they are.
func (s GLOBSET) Union(t GLOBSET) GLOBSET {
	out := GLOBSET{make([]GlobRange, 0, len(s.ranges)+len(t.ranges))}
	a, b := s.ranges, t.ranges
	for len(a) > 0 || len(b) > 0 {
		if len(a) == 0 || len(b) > 0 && b[0].Low < a[0].Low {
			a, b = b, a
		}
		n := len(a)
		if len(b) > 0 {
			n = sort.Search(len(a), func(i int) bool { return a[i].Low > b[0].Low })
		}
		out.AddRange(a[0].Low, a[0].High)
		if n > 1 && out.Highest()+1 < a[1].Low {
			out.ranges = append(out.ranges, a[1:n]...)
		} else {
			n = 1
		}
		a = a[n:]
	}
	return out
}

// Intersect is what is in both. What lies between two ranges of a small set is passed over in a large one.
func (s GLOBSET) Intersect(t GLOBSET) GLOBSET {
	var out GLOBSET
	a, b := s.ranges, t.ranges
	for len(a) > 0 && len(b) > 0 {
		if a[0].High < b[0].Low {
			a = a[GLOBSET{a}.from(b[0].Low):]
			continue
		}
		if b[0].High < a[0].Low {
			b = b[GLOBSET{b}.from(a[0].Low):]
			continue
		}
		if low, high := max(a[0].Low, b[0].Low), min(a[0].High, b[0].High); low <= high {
			out.ranges = append(out.ranges, GlobRange{low, high})
		}
		if a[0].High < b[0].High {
			a = a[1:]
			continue
		}
		b = b[1:]
	}
	return out
}

// Minus is what is in s and not in t.
func (s GLOBSET) Minus(t GLOBSET) GLOBSET {
	out := GLOBSET{make([]GlobRange, 0, len(s.ranges))}
	b := t.ranges
	for _, r := range s.ranges {
		low := r.Low
		if len(b) > 0 && b[0].High < low {
			b = b[GLOBSET{b}.from(low):]
		}
		cut := b
		for ; len(cut) > 0 && cut[0].Low <= r.High; cut = cut[1:] {
			if cut[0].Low > low {
				out.ranges = append(out.ranges, GlobRange{low, cut[0].Low - 1})
			}
			low = cut[0].High + 1
		}
		if low <= r.High {
			out.ranges = append(out.ranges, GlobRange{low, r.High})
		}
	}
	return out
}

// Covers reports whether everything in t is in s.
func (s GLOBSET) Covers(t GLOBSET) bool {
	i := 0
	for _, r := range t.ranges {
		for i < len(s.ranges) && s.ranges[i].High < r.High {
			i++
		}
		if i == len(s.ranges) || s.ranges[i].Low > r.Low {
			return false
		}
	}
	return true
}

// Equal reports whether the same is in both.
func (s GLOBSET) Equal(t GLOBSET) bool { return slices.Equal(s.ranges, t.ranges) }

// AppendWire adds our own form, for records and calls between nodes: for each range how far its low end lies behind
// the high end before, and its length. The form that clients see is oxcfxics'.
func (s GLOBSET) AppendWire(dst []byte) []byte {
	end := GlobalCounter(0)
	for _, r := range s.ranges {
		dst = wire.AppendUvarint(wire.AppendUvarint(dst, uint64(r.Low-end)), uint64(r.High-r.Low))
		end = r.High
	}
	return dst
}

// UnmarshalWire reads what AppendWire wrote.
func (s *GLOBSET) UnmarshalWire(b []byte) error {
	s.ranges = nil
	r := wire.NewReader(b)
	end := uint64(0)
	for first := true; r.Len() > 0; first = false {
		gap, length := r.Uvarint(), r.Uvarint()
		if limit := uint64(MaxGlobalCounter); gap > limit-end || length > limit-end-gap || !first && gap < 2 {
			r.Fail(ErrBadGLOBSET)
			break
		}
		low := end + gap
		end = low + length
		s.ranges = append(s.ranges, GlobRange{GlobalCounter(low), GlobalCounter(end)})
	}
	if err := r.Close(); err != nil {
		s.ranges = nil
		return errors.Join(ErrBadGLOBSET, err)
	}
	return nil
}
