// Package oxcfxics puts what change synchronisation remembers on the wire and takes it off: sets of ids and change
// numbers and the state that is made of them (MS-OXCFXICS 2.2.1.1, 2.2.2, 3.1.5.4). The sets themselves, change keys and
// predecessor change lists with their bytes are mapi's; the stream of changes is the front-end's.
//
// Decoding never panics and allocates a small multiple of its input, however many ids that stands for; errors are
// mapi.ErrBadGLOBSET.
package oxcfxics

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// Commands of a serialized GLOBSET (MS-OXCFXICS 2.2.2.6). A push of n bytes is the command n.
const (
	cmdEnd     = 0x00
	cmdPushMax = 0x06
	cmdBitmask = 0x42
	cmdPop     = 0x50
	cmdRange   = 0x52
)

// counterSize is how many bytes a counter has.
const counterSize = 6

// bits is how many counters behind its start a bitmask can name.
const bits = 8

// AppendGLOBSET adds the serialized form.
func AppendGLOBSET(dst []byte, s mapi.GLOBSET) []byte {
	return append(appendBelow(dst, s.Ranges(), 0), cmdEnd)
}

// high is the upper n bytes of a counter.
func high(c mapi.GlobalCounter, n int) mapi.GlobalCounter { return c >> (8 * (counterSize - n)) }

// common is how many upper bytes two counters share.
func common(a, b mapi.GlobalCounter) int {
	n := 0
	for n < counterSize && high(a, n+1) == high(b, n+1) {
		n++
	}
	return n
}

// appendBytes adds the bytes of c behind the first from.
func appendBytes(dst []byte, c mapi.GlobalCounter, from int) []byte {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(c))
	return append(dst, b[8-counterSize+from:]...)
}

// appendBelow adds ranges that share the first depth bytes, which are on the stack.
func appendBelow(dst []byte, ranges []mapi.GlobRange, depth int) []byte {
	if depth == counterSize-1 {
		return appendLastByte(dst, ranges)
	}
	for len(ranges) > 0 {
		n := 0
		for n < len(ranges) && high(ranges[n].High, depth+1) == high(ranges[0].Low, depth+1) {
			n++
		}
		switch n {
		case 0, 1: // alone under its next byte, or across several
			dst = appendRange(dst, ranges[0], depth)
			ranges = ranges[1:]
		default:
			shared := common(ranges[0].Low, ranges[n-1].High)
			dst = appendPush(dst, ranges[0].Low, depth, shared)
			dst = append(appendBelow(dst, ranges[:n], shared), cmdPop)
			ranges = ranges[n:]
		}
	}
	return dst
}

// appendPush puts the bytes from to end of c on the stack.
func appendPush(dst []byte, c mapi.GlobalCounter, from, end int) []byte {
	dst = appendBytes(append(dst, byte(end-from)), c, from)
	return dst[:len(dst)-(counterSize-end)]
}

// appendRange adds one range. A push that completes a counter adds it and leaves the stack as it was.
func appendRange(dst []byte, r mapi.GlobRange, depth int) []byte {
	if r.Low == r.High {
		return appendPush(dst, r.Low, depth, counterSize)
	}
	shared := common(r.Low, r.High)
	if shared-depth > 2 { // shorter with a push and a pop around it
		dst = appendPush(dst, r.Low, depth, shared)
		return append(appendRange(dst, r, shared), cmdPop)
	}
	return appendBytes(appendBytes(append(dst, cmdRange), r.Low, depth), r.High, depth)
}

// appendLastByte adds ranges that differ in their last byte only: several that lie close as a bitmask.
func appendLastByte(dst []byte, ranges []mapi.GlobRange) []byte {
	for len(ranges) > 0 {
		start, mask, n := ranges[0].Low, byte(0), 0
		for ; n < len(ranges) && ranges[n].High <= start+bits; n++ {
			for c := max(ranges[n].Low, start+1); c <= ranges[n].High; c++ {
				mask |= 1 << (c - start - 1)
			}
		}
		if n < 2 {
			dst = appendRange(dst, ranges[0], counterSize-1)
			ranges = ranges[1:]
			continue
		}
		dst = append(dst, cmdBitmask, byte(start), mask)
		ranges = ranges[n:]
	}
	return dst
}

// decoder reads one GLOBSET.
type decoder struct {
	b      []byte
	stack  []byte // the common bytes
	pushed []int  // how many of them each push brought
	ranges []mapi.GlobRange
}

// ParseGLOBSET reads the serialized form and gives what lies behind it.
func ParseGLOBSET(b []byte) (s mapi.GLOBSET, rest []byte, err error) {
	d := decoder{b: b}
	for {
		command, err := d.take(1)
		if err != nil {
			return mapi.GLOBSET{}, nil, err
		}
		if command[0] == cmdEnd {
			return mapi.GLOBSETOfRanges(d.ranges), d.b, nil
		}
		if err := d.do(command[0]); err != nil {
			return mapi.GLOBSET{}, nil, err
		}
	}
}

func (d *decoder) take(n int) ([]byte, error) {
	if n > len(d.b) {
		return nil, fmt.Errorf("%d bytes where %d belong: %w", len(d.b), n, mapi.ErrBadGLOBSET)
	}
	b := d.b[:n]
	d.b = d.b[n:]
	return b, nil
}

func (d *decoder) do(command byte) error {
	switch {
	case command <= cmdPushMax:
		return d.push(int(command))
	case command == cmdPop:
		return d.pop()
	case command == cmdBitmask:
		return d.bitmask()
	case command == cmdRange:
		return d.span()
	}
	return fmt.Errorf("command %#x: %w", command, mapi.ErrBadGLOBSET)
}

// counter is the one whose bytes are on the stack and in tail.
func (d *decoder) counter(tail []byte) mapi.GlobalCounter {
	var b [counterSize]byte
	copy(b[copy(b[:], d.stack):], tail)
	return mapi.ParseGlobalCounter(b)
}

// add keeps a range. There may be hundreds of thousands: room is made for twice as many at a time, since to copy them is most of
// the work.
func (d *decoder) add(r mapi.GlobRange) {
	if n := len(d.ranges); n == cap(d.ranges) {
		d.ranges = slices.Grow(d.ranges, n+1)
	}
	d.ranges = append(d.ranges, r)
}

func (d *decoder) push(n int) error {
	b, err := d.take(n)
	switch {
	case err != nil:
		return err
	case len(d.stack)+n > counterSize:
		return fmt.Errorf("push of %d bytes upon %d: %w", n, len(d.stack), mapi.ErrBadGLOBSET)
	case len(d.stack)+n == counterSize:
		c := d.counter(b)
		d.add(mapi.GlobRange{Low: c, High: c})
		return nil
	}
	d.stack = append(d.stack, b...)
	d.pushed = append(d.pushed, n)
	return nil
}

func (d *decoder) pop() error {
	last := len(d.pushed) - 1
	if last < 0 {
		return fmt.Errorf("pop from an empty stack: %w", mapi.ErrBadGLOBSET)
	}
	d.stack = d.stack[:len(d.stack)-d.pushed[last]]
	d.pushed = d.pushed[:last]
	return nil
}

func (d *decoder) span() error {
	n := counterSize - len(d.stack)
	b, err := d.take(2 * n)
	if err != nil {
		return err
	}
	r := mapi.GlobRange{Low: d.counter(b[:n]), High: d.counter(b[n:])}
	if r.Low > r.High {
		return fmt.Errorf("range from %#x down to %#x: %w", r.Low, r.High, mapi.ErrBadGLOBSET)
	}
	d.add(r)
	return nil
}

func (d *decoder) bitmask() error {
	b, err := d.take(2)
	if err != nil {
		return err
	}
	if len(d.stack) != counterSize-1 {
		return fmt.Errorf("bitmask upon %d bytes: %w", len(d.stack), mapi.ErrBadGLOBSET)
	}
	start := d.counter(b[:1])
	open := mapi.GlobRange{Low: start, High: start}
	for bit := range bits {
		c := start + 1 + mapi.GlobalCounter(bit)
		if b[1]&(1<<bit) == 0 {
			continue
		}
		if high(c, counterSize-1) != high(start, counterSize-1) {
			return fmt.Errorf("bitmask beyond its byte: %w", mapi.ErrBadGLOBSET)
		}
		if c == open.High+1 {
			open.High = c
			continue
		}
		d.add(open)
		open = mapi.GlobRange{Low: c, High: c}
	}
	d.add(open)
	return nil
}
