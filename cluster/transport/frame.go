package transport

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/flotilla-mail/flotilla/cluster"
)

// A frame is len u32 | kind u8 | flags u8 | group u32 | request id u64 | payload, little endian; len counts what
// follows it. A request id is unique on its connection; an answer repeats it.
const (
	frameHeader = 18
	frameFixed  = frameHeader - 4 // part of the header that len counts
)

// Kinds below FirstKind.
const (
	kindPing Kind = 1 // request of the transport itself; the answer is what makes silence measurable
)

// Flags of a frame. Unknown flags are refused: a new one needs a new version.
const (
	flagAnswer  uint8 = 1 << 0
	flagRefused uint8 = 1 << 1 // with flagAnswer: the payload is an error (error.go)
	flagsKnown        = flagAnswer | flagRefused
)

type frameHead struct {
	size  int // of the payload
	kind  Kind
	flags uint8
	group cluster.GroupID
	id    uint64
}

func (h frameHead) append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(h.size+frameFixed))
	b = append(b, byte(h.kind), h.flags)
	b = binary.LittleEndian.AppendUint32(b, uint32(h.group))
	return binary.LittleEndian.AppendUint64(b, h.id)
}

// readHead reads one header; maxPayload is the connection's limit. io.EOF means that the peer closed between
// two frames.
func readHead(r io.Reader, scratch []byte, maxPayload int) (frameHead, error) {
	b := scratch[:frameHeader]
	if _, err := io.ReadFull(r, b); err != nil {
		return frameHead{}, err
	}
	size := int64(binary.LittleEndian.Uint32(b)) - frameFixed
	h := frameHead{
		size:  int(size),
		kind:  Kind(b[4]),
		flags: b[5],
		group: cluster.GroupID(binary.LittleEndian.Uint32(b[6:])),
		id:    binary.LittleEndian.Uint64(b[10:]),
	}
	switch {
	case size < 0:
		return h, fmt.Errorf("frame of %d bytes is shorter than its header", size+frameFixed)
	case size > int64(maxPayload):
		return h, fmt.Errorf("frame of %d bytes, at most %d", size, maxPayload)
	case h.kind == 0:
		return h, fmt.Errorf("frame of kind 0")
	case h.flags&^flagsKnown != 0:
		return h, fmt.Errorf("frame with unknown flags %#x", h.flags)
	case h.flags == flagRefused:
		return h, fmt.Errorf("refusal that is not an answer")
	}
	return h, nil
}
