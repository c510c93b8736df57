package rpc

import (
	"encoding/binary"
	"fmt"
	"io"
	"sync"
	"time"
)

// A yamux stream carries either one exchange after the other (call) or one conversation (stream). Both begin
// with a request head: len u32 | method u16 | form u8 | timeout u64 in microseconds, 0 for none; then len bytes.
// All that follows in either direction are messages: len u32 | type u8; then len bytes. A call is answered with
// one messageDone or messageError and the stream then takes the next request. A conversation goes on with
// messageData both ways, messageDone or messageError being the last of a direction. Little endian.
const (
	requestHead = 15
	messageHead = 5
)

// Forms of a request.
const (
	formCall   uint8 = 1
	formStream uint8 = 2
)

// Types of a message.
const (
	messageData  uint8 = 1
	messageDone  uint8 = 2 // of a call: the answer; of a stream: the end, empty
	messageError uint8 = 3 // an error as transport.AppendError codes it
)

type request struct {
	size    int
	method  uint16
	form    uint8
	timeout time.Duration // 0 is none
}

func (r request) append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(r.size))
	b = binary.LittleEndian.AppendUint16(b, r.method)
	b = append(b, r.form)
	return binary.LittleEndian.AppendUint64(b, uint64(r.timeout.Microseconds()))
}

// readRequest reads a head; io.EOF means that the peer is done with the stream.
func readRequest(r io.Reader, scratch []byte) (request, error) {
	b := scratch[:requestHead]
	if _, err := io.ReadFull(r, b); err != nil {
		return request{}, err
	}
	size, timeout := binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint64(b[7:])
	q := request{size: int(size), method: binary.LittleEndian.Uint16(b[4:]), form: b[6]}
	switch {
	case size > MaxMessage:
		return q, fmt.Errorf("request of %d bytes, at most %d", size, MaxMessage)
	case q.form != formCall && q.form != formStream:
		return q, fmt.Errorf("request of unknown form %d", q.form)
	case timeout > uint64(maxTimeout.Microseconds()):
		return q, fmt.Errorf("timeout of %d µs is out of range", timeout)
	}
	q.timeout = time.Duration(timeout) * time.Microsecond
	return q, nil
}

// maxTimeout is beyond any deadline that means something.
const maxTimeout = 1000 * time.Hour

func appendMessageHead(b []byte, kind uint8, size int) []byte {
	return append(binary.LittleEndian.AppendUint32(b, uint32(size)), kind)
}

// readMessage reads one message whole. io.EOF means that the peer ended the stream between messages.
func readMessage(r io.Reader) (kind uint8, payload []byte, err error) {
	var head [messageHead]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	size := binary.LittleEndian.Uint32(head[:])
	kind = head[4]
	switch {
	case size > MaxMessage:
		return 0, nil, fmt.Errorf("message of %d bytes, at most %d", size, MaxMessage)
	case kind < messageData || kind > messageError:
		return 0, nil, fmt.Errorf("message of unknown type %d", kind)
	}
	payload = make([]byte, size)
	if _, err := io.ReadFull(r, payload); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return 0, nil, err
	}
	return kind, payload, nil
}

// joinLimit is up to what size a head and its payload are copied together to be one write.
const joinLimit = 64 << 10

// writeJoined writes a head (at the beginning of a buffer with room) and its payload.
func writeJoined(w io.Writer, head, payload []byte) error {
	if len(payload) <= joinLimit {
		_, err := w.Write(append(head, payload...))
		return err
	}
	if _, err := w.Write(head); err != nil {
		return err
	}
	_, err := w.Write(payload)
	return err
}

// heads are the buffers that writeJoined joins in.
type heads struct{ pool sync.Pool }

func (h *heads) get() *[]byte {
	if b, ok := h.pool.Get().(*[]byte); ok {
		return b
	}
	b := make([]byte, 0, joinLimit+requestHead)
	return &b
}

func (h *heads) put(b *[]byte) { h.pool.Put(b) }
