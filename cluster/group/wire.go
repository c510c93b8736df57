package group

import (
	"encoding/binary"
	"errors"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/transport"
)

// The frames of this package. Numbers are for ever: add at the end, never reuse.
const (
	kindHeartbeat transport.Kind = 16 // AppendEntries without position, control class, fast path
	kindAppend    transport.Kind = 17 // AppendEntries, bulk class
	kindVote      transport.Kind = 18
	kindPreVote   transport.Kind = 19
	kindTimeout   transport.Kind = 20 // TimeoutNow
	kindConfirm   transport.Kind = 21 // ConfirmTerms of many groups (CLUSTER 4.1)
	kindReadIndex transport.Kind = 22 // a follower asks for a read index (CLUSTER 4.3)
	kindHandOver  transport.Kind = 23 // "I answer nothing in term T any more" (CLUSTER 4.2)
	kindSuspect   transport.Kind = 24 // evidence of death and log positions (CLUSTER 6.4)
	kindIdentity  transport.Kind = 25 // which replica of a group does the node hold
	kindCompare   transport.Kind = 26 // what was heard of a server that starts (CLUSTER 6.3)
	kindDeclare   transport.Kind = 27 // what the sender's servers are bound to
	kindHold      transport.Kind = 32 // a node that is being seeded asks to keep the log (CLUSTER 5.4)
)

var errShort = errors.New("message is cut short")

// reader decodes little endian fields; it keeps its first error and turns later reads into zeros.
type reader struct {
	b   []byte
	err error
}

func (r *reader) take(n int) []byte {
	if r.err != nil {
		return nil
	}
	if n < 0 || n > len(r.b) {
		r.err = errShort
		return nil
	}
	p := r.b[:n:n]
	r.b = r.b[n:]
	return p
}

func (r *reader) u8() uint8 {
	if p := r.take(1); p != nil {
		return p[0]
	}
	return 0
}

func (r *reader) u16() uint16 {
	if p := r.take(2); p != nil {
		return binary.LittleEndian.Uint16(p)
	}
	return 0
}

func (r *reader) u32() uint32 {
	if p := r.take(4); p != nil {
		return binary.LittleEndian.Uint32(p)
	}
	return 0
}

func (r *reader) u64() uint64 {
	if p := r.take(8); p != nil {
		return binary.LittleEndian.Uint64(p)
	}
	return 0
}

// id reads a server id; the result does not alias the input.
func (r *reader) id() cluster.ServerID { return cluster.ServerID(r.take(int(r.u8()))) }

// done reports the first error, or that something follows the message.
func (r *reader) done() error {
	if r.err == nil && len(r.b) > 0 {
		return errors.New("bytes after the message")
	}
	return r.err
}

func appendID(b []byte, id cluster.ServerID) []byte {
	b = append(b, byte(len(id)))
	return append(b, id...)
}
