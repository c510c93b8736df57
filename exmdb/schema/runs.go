package schema

import (
	"errors"
	"slices"

	"github.com/flotilla-mail/flotilla/internal/wire"
)

// Run is Count numbers from First on, Step apart. Numbers drawn one after the other for one purpose lie evenly, not
// always side by side: a delivery draws a MID and a stamp from one counter.
type Run struct{ First, Step, Count uint64 }

// Runs are numbers in the order they were added, as few runs as that allows.
type Runs []Run

// Add puts one number at the end.
func (rs Runs) Add(n uint64) Runs {
	if len(rs) == 0 {
		return Runs{{First: n, Count: 1}}
	}
	last := &rs[len(rs)-1]
	end := last.First + last.Step*(last.Count-1)
	if n > end && (last.Count == 1 || n-end == last.Step) {
		last.Step = n - end
		last.Count++
		return rs
	}
	return append(rs, Run{First: n, Count: 1})
}

// Each calls yield with every number; it is a range function.
func (rs Runs) Each(yield func(uint64) bool) {
	for _, r := range rs {
		for i := range r.Count {
			if !yield(r.First + i*r.Step) {
				return
			}
		}
	}
}

// Len is how many numbers there are.
func (rs Runs) Len() uint64 {
	n := uint64(0)
	for _, r := range rs {
		n += r.Count
	}
	return n
}

// Above is each number and n.
func (rs Runs) Above(n uint64) Runs {
	above := slices.Clone(rs)
	for i := range above {
		above[i].First += n
	}
	return above
}

// Join is both, the runs of other behind.
func (rs Runs) Join(other Runs) Runs { return append(slices.Clone(rs), other...) }

// AppendWire implements wire.Marshaler.
func (rs Runs) AppendWire(dst []byte) []byte {
	for _, r := range rs {
		dst = wire.AppendUvarint(dst, r.First)
		dst = wire.AppendUvarint(dst, r.Count)
		if r.Count > 1 {
			dst = wire.AppendUvarint(dst, r.Step)
		}
	}
	return dst
}

// maxRun bounds what one run of a damaged record can expand to.
const maxRun = 1 << 32

// UnmarshalWire implements wire.Unmarshaler.
func (rs *Runs) UnmarshalWire(b []byte) error {
	*rs = nil
	in := wire.NewReader(b)
	for in.Len() > 0 {
		r := Run{First: in.Uvarint(), Count: in.Uvarint()}
		if r.Count > 1 {
			r.Step = in.Uvarint()
		}
		if r.Count == 0 || r.Count > maxRun || r.Count > 1 && (r.Step == 0 || r.Step > (1<<63)/r.Count) {
			in.Fail(ErrBadRecord)
		}
		*rs = append(*rs, r)
	}
	if err := in.Err(); err != nil {
		return errors.Join(ErrBadRecord, err)
	}
	return nil
}
