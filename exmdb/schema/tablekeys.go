package schema

import (
	"bytes"
	"cmp"
	"encoding/binary"

	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// TimePlace is where a message stands in its folder's order of delivery: by time, then by UID.
type TimePlace struct {
	Received mapi.FileTime
	UID      mapi.UID
}

// Compare orders as keys do.
func (p TimePlace) Compare(q TimePlace) int {
	return cmp.Or(cmp.Compare(p.Received, q.Received), cmp.Compare(p.UID, q.UID))
}

// timePlaceBytes is how long a TimePlace is in a key.
const timePlaceBytes = 12

// AppendBytes adds the place as bytes that order as places do.
func (p TimePlace) AppendBytes(dst []byte) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(dst, uint64(p.Received)), uint32(p.UID))
}

// ParseTimePlace reads what AppendBytes made.
func ParseTimePlace(b []byte) (TimePlace, error) {
	if len(b) != timePlaceBytes {
		return TimePlace{}, ErrBadKey
	}
	return TimePlace{mapi.FileTime(binary.BigEndian.Uint64(b)), mapi.UID(binary.BigEndian.Uint32(b[8:]))}, nil
}

// TimeKey is present for every row of a folder under RowKey: the order in which a table shows them that is not sorted.
func TimeKey(f mapi.FID, p TimePlace) []byte { return p.AppendBytes(folderKey(PrefixTime, f)) }

// TimeBlockKey is where a block of that order begins; its value is how many messages there are from there up to where
// the next begins, so that a message is found by its number without counting those in front of it.
func TimeBlockKey(f mapi.FID, p TimePlace) []byte {
	return p.AppendBytes(folderKey(PrefixTimeBlock, f))
}

// TimeSpanKey is where a span of blocks begins, at the beginning of a block. Its value is as that of TimeBlockKey, and nought in
// the last span, which has what the others have not.
func TimeSpanKey(f mapi.FID, p TimePlace) []byte {
	return p.AppendBytes(folderKey(PrefixTimeSpan, f))
}

// KeptOrdersKey holds which other orders of a folder's messages are in use.
func KeptOrdersKey(f mapi.FID) []byte { return folderKey(PrefixKeptOrders, f) }

// KeptOrders are the orders of a folder's messages that somebody has waited for. Each replica keeps them ready on its own disk;
// nothing hangs on it, and a program that does not know them makes an order anew.
type KeptOrders struct {
	Orders []KeptOrder `wire:"1"`
	// Shown is the day on which it was last noted that somebody is shown the folder in a table, from 1970 on, UTC.
	Shown   uint32 `wire:"2"`
	Unknown wire.Unknown
}

// KeptOrder is one of them.
type KeptOrder struct {
	Sort mapi.SortOrderSet `wire:"1"`
	// Used is the day on which it was last asked to be kept, from 1970 on, UTC.
	Used    uint32 `wire:"2"`
	Unknown wire.Unknown
}

// ParseTimeKey reads the place of a key of any of the three kinds.
func ParseTimeKey(k []byte) (TimePlace, error) {
	if len(k) != 7+timePlaceBytes {
		return TimePlace{}, ErrBadKey
	}
	return ParseTimePlace(k[7:])
}

// AppendTimeCount is the value of TimeBlockKey and TimeSpanKey.
func AppendTimeCount(n uint32) []byte { return binary.AppendUvarint(nil, uint64(n)) }

// ParseTimeCount reads what AppendTimeCount made.
func ParseTimeCount(b []byte) (uint32, error) {
	n, size := binary.Uvarint(b)
	if size != len(b) || n > 1<<32-1 || !bytes.Equal(AppendTimeCount(uint32(n)), b) {
		return 0, ErrBadRecord
	}
	return uint32(n), nil
}
