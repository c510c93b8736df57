package imapwire

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// Number takes a 32-bit number.
func (d *Decoder) Number() uint32 { return uint32(d.number(32)) }

// NzNumber takes a 32-bit number above zero.
func (d *Decoder) NzNumber() uint32 {
	n := d.Number()
	if n == 0 {
		d.Fail("expected a number above zero")
	}
	return n
}

// Number64 takes a number of at most 63 bits.
func (d *Decoder) Number64() uint64 { return d.number(63) }

func (d *Decoder) number(bits int) uint64 {
	var n uint64
	digits := 0
	for c := d.Peek(); isDigit(c) && d.err == nil; c = d.Peek() {
		v := uint64(c - '0')
		if n > (1<<bits-1-v)/10 {
			d.Fail("number is too large")
			return 0
		}
		n = n*10 + v
		digits++
		d.skip()
	}
	if digits == 0 {
		d.Fail("expected a number")
	}
	return n
}

// Range is First to Last, both included. Zero stands for "*", the highest number in use.
type Range struct{ First, Last uint32 }

// NumSet is a sequence-set as written; Saved is the "$" of RFC 5182.
type NumSet struct {
	Ranges []Range
	Saved  bool
}

// NumSet takes a sequence-set.
func (d *Decoder) NumSet() NumSet {
	if d.TrySpecial('$') {
		return NumSet{Saved: true}
	}
	var set NumSet
	for d.err == nil {
		r := Range{First: d.seqNumber()}
		r.Last = r.First
		if d.TrySpecial(':') {
			r.Last = d.seqNumber()
		}
		set.Ranges = append(set.Ranges, r)
		if !d.TrySpecial(',') {
			break
		}
	}
	return set
}

func (d *Decoder) seqNumber() uint32 {
	if d.TrySpecial('*') {
		return 0
	}
	return d.NzNumber()
}

// Resolve puts highest in the place of "*" and gives ranges that ascend and do not touch. With highest zero, in an
// empty mailbox, "*" stands for nothing.
func (s NumSet) Resolve(highest uint32) []Range {
	out := make([]Range, 0, len(s.Ranges))
	for _, r := range s.Ranges {
		if r.First == 0 {
			r.First = highest
		}
		if r.Last == 0 {
			r.Last = highest
		}
		if r.First == 0 || r.Last == 0 {
			continue
		}
		if r.First > r.Last {
			r.First, r.Last = r.Last, r.First
		}
		out = append(out, r)
	}
	return Merge(out)
}

// Highest is the largest number written in the set, zero if only "*" is.
func (s NumSet) Highest() uint32 {
	var n uint32
	for _, r := range s.Ranges {
		n = max(n, r.First, r.Last)
	}
	return n
}

// Merge sorts ranges and joins those that touch, in place.
func Merge(ranges []Range) []Range {
	slices.SortFunc(ranges, func(a, b Range) int {
		switch {
		case a.First < b.First:
			return -1
		case a.First > b.First:
			return 1
		}
		return 0
	})
	out := ranges[:0]
	for _, r := range ranges {
		if n := len(out); n > 0 && uint64(r.First) <= uint64(out[n-1].Last)+1 {
			out[n-1].Last = max(out[n-1].Last, r.Last)
			continue
		}
		out = append(out, r)
	}
	return out
}

// AppendRanges appends ranges as a sequence-set.
func AppendRanges(b []byte, ranges []Range) []byte {
	for i, r := range ranges {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendUint(b, uint64(r.First), 10)
		if r.Last != r.First {
			b = append(b, ':')
			b = strconv.AppendUint(b, uint64(r.Last), 10)
		}
	}
	return b
}

const (
	dateLayout     = "_2-Jan-2006"
	dateTimeLayout = "_2-Jan-2006 15:04:05 -0700"
)

// Date takes a date, quoted or not; the time is midnight UTC.
func (d *Decoder) Date() time.Time {
	return d.time(dateLayout, "a date such as 17-Jul-1996", d.AString)
}

// DateTime takes a quoted date-time.
func (d *Decoder) DateTime() time.Time {
	return d.time(dateTimeLayout, `a date-time such as "17-Jul-1996 02:44:25 -0700"`, d.String)
}

func (d *Decoder) time(layout, what string, read func() string) time.Time {
	text := read()
	if d.err != nil {
		return time.Time{}
	}
	t, err := time.Parse(layout, strings.TrimPrefix(text, " "))
	if err != nil {
		d.Fail("expected %s", what)
	}
	return t
}

// AppendDateTime appends t as a quoted date-time.
func AppendDateTime(b []byte, t time.Time) []byte {
	b = append(b, '"')
	if t.Day() < 10 {
		b = append(b, ' ')
	}
	b = strconv.AppendInt(b, int64(t.Day()), 10)
	b = t.AppendFormat(b, "-Jan-2006 15:04:05 -0700")
	return append(b, '"')
}
