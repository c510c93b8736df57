package transport

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/flotilla-mail/flotilla/cluster"
)

// maxErrorText bounds what of an error's text is sent.
const maxErrorText = 4096

var (
	errClosing    = errors.New("this node is closing")
	errLinkClosed = errors.New("connection closed")
)

// AppendError codes err for the wire: kind u16 | group u32 | term u64 | leader (u8 length) | text (u16 length). A
// *cluster.Error in the chain gives kind and fields. An operation that its deadline or its caller interrupted has
// an unknown outcome, anything else is KindInternal. The text is for people; only the numbers have meaning.
func AppendError(b []byte, err error) []byte {
	e := asClusterError(err)
	text := e.Text
	if len(text) > maxErrorText {
		text = text[:maxErrorText]
	}
	leader := e.Leader
	if len(leader) > 255 {
		leader = ""
	}
	b = binary.LittleEndian.AppendUint16(b, uint16(e.Kind))
	b = binary.LittleEndian.AppendUint32(b, uint32(e.Group))
	b = binary.LittleEndian.AppendUint64(b, e.Term)
	b = append(b, byte(len(leader)))
	b = append(b, leader...)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(text)))
	return append(b, text...)
}

func asClusterError(err error) *cluster.Error {
	var e *cluster.Error
	if errors.As(err, &e) {
		c := *e
		c.Text = err.Error()
		return &c
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return &cluster.Error{Kind: cluster.KindUnknownOutcome, Text: err.Error()}
	}
	return &cluster.Error{Kind: cluster.KindInternal, Text: err.Error()}
}

// DecodeError reads what AppendError wrote. What does not decode is itself an error of KindInternal, so the
// result is never nil.
func DecodeError(b []byte) *cluster.Error {
	d := decoder{b: b}
	e := &cluster.Error{
		Kind:  cluster.Kind(d.u16()),
		Group: cluster.GroupID(d.u32()),
		Term:  d.u64(),
	}
	e.Leader = cluster.NodeID(d.bytes(int(d.u8())))
	e.Text = string(d.bytes(int(d.u16())))
	if err := d.finish(); err != nil || e.Kind == 0 {
		return cluster.Errorf(cluster.KindInternal, "the peer's error does not decode (%d bytes)", len(b))
	}
	return e
}

// unavailable is the error of something that was certainly not sent.
func unavailable(node cluster.NodeID, err error) error {
	return fmt.Errorf("%w: node %s: %w", cluster.ErrUnavailable, node, err)
}

// unknownOutcome is the error of something that may have been received.
func unknownOutcome(node cluster.NodeID, err error) error {
	return fmt.Errorf("%w: node %s: %w", cluster.ErrUnknownOutcome, node, err)
}

// decoder keeps its first error and turns later reads into zeros.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) bytes(n int) []byte {
	if d.bad || n > len(d.b) {
		d.bad = true
		return nil
	}
	p := d.b[:n]
	d.b = d.b[n:]
	return p
}

func (d *decoder) u8() uint8 {
	if p := d.bytes(1); p != nil {
		return p[0]
	}
	return 0
}

func (d *decoder) u16() uint16 {
	if p := d.bytes(2); p != nil {
		return binary.LittleEndian.Uint16(p)
	}
	return 0
}

func (d *decoder) u32() uint32 {
	if p := d.bytes(4); p != nil {
		return binary.LittleEndian.Uint32(p)
	}
	return 0
}

func (d *decoder) u64() uint64 {
	if p := d.bytes(8); p != nil {
		return binary.LittleEndian.Uint64(p)
	}
	return 0
}

// finish reports a short or overlong input.
func (d *decoder) finish() error {
	if d.bad {
		return errors.New("message is cut short")
	}
	if len(d.b) > 0 {
		return fmt.Errorf("%d bytes after the message", len(d.b))
	}
	return nil
}
