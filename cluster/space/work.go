package space

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

const intentFormat = 1

// MaxTarget is the longest name of an intent's target, in bytes.
const MaxTarget = 255

// appendIntent codes what the key does not say.
func appendIntent(dst []byte, in Intent) []byte {
	dst = wire.AppendUvarint(append(dst, intentFormat), uint64(in.Op))
	return wire.AppendBytes(dst, in.Payload)
}

// numbered is an intent in the outbox.
type numbered struct {
	Intent
	number uint64
}

func decodeIntent(key, value []byte) (n numbered, err error) {
	kr := wire.NewReader(key)
	kr.Byte()
	n.Target = string(kr.Take(int(kr.Byte())))
	if b := kr.Take(8); len(b) == 8 {
		n.number = binary.BigEndian.Uint64(b)
	}
	if err := kr.Close(); err != nil {
		return n, damaged("outbox", key, err)
	}
	r := wire.NewReader(value)
	if f := r.Byte(); r.Err() == nil && f != intentFormat {
		return n, fmt.Errorf("%w: intent %d", ErrUnknownEntry, f)
	}
	op := r.Uvarint()
	if op > 0xFFFF {
		r.Fail(wire.ErrOverflow)
	}
	n.Op = uint16(op)
	n.Payload = append([]byte(nil), r.Bytes()...)
	if err := r.Close(); err != nil {
		return n, damaged("intent", key, err)
	}
	return n, nil
}

// outboxLane begins the keys of all intents for one target, which sort by number behind it.
func outboxLane(target string) []byte {
	return append([]byte{reservedOutbox, byte(len(target))}, target...)
}

func outboxKey(target string, number uint64) []byte {
	return binary.BigEndian.AppendUint64(outboxLane(target), number)
}

func markKey(source cluster.SpaceID) []byte {
	return append([]byte{reservedMark}, source[:]...)
}

// dueKey sorts by time, then op, then key.
func dueKey(d Due) []byte {
	k := appendTime([]byte{reservedDue}, d.At.UnixNano())
	return append(binary.BigEndian.AppendUint16(k, d.Op), d.Key...)
}

func parseDue(key []byte) (d Due, err error) {
	if len(key) < 1+8+2 {
		return d, damaged("due index", key, errSize)
	}
	d.At = time.Unix(0, parseTime(key[1:9])).UTC()
	d.Op = binary.BigEndian.Uint16(key[9:11])
	d.Key = append([]byte(nil), key[11:]...)
	return d, nil
}

// Once reports whether the work that source numbered so was already done here, and notes it as done if not. A
// performer calls it in the Update at the target, and does nothing when it reports true. Numbers of one source
// must come in ascending order, as Pump brings them (CLUSTER 2.1). The mark never expires.
func Once(w Writer, source cluster.SpaceID, number uint64) (done bool, err error) {
	sw, ok := w.(*writer)
	if !ok {
		return false, cluster.Errorf(cluster.KindInternal, "%T is no space's writer", w)
	}
	key := markKey(source)
	b, err := sw.get(key)
	if err != nil {
		return false, err
	}
	if b != nil && len(b) != 8 {
		return false, damaged("outbox mark", key, errSize)
	}
	if b != nil && binary.BigEndian.Uint64(b) >= number {
		return true, nil
	}
	if sw.room(len(key) + 8) {
		sw.over.set(key, binary.BigEndian.AppendUint64(nil, number))
	}
	return false, nil
}

// Take reports whether d is still scheduled and unschedules it: what runs d does so in the Update that has its
// effect, so that it happens once (CLUSTER 2.2).
func Take(w Writer, d Due) (bool, error) {
	sw, ok := w.(*writer)
	if !ok {
		return false, cluster.Errorf(cluster.KindInternal, "%T is no space's writer", w)
	}
	b, err := sw.get(dueKey(d))
	if err != nil || b == nil {
		return false, err
	}
	w.Unschedule(d)
	return true, nil
}
