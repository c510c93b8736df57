package queue

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/internal/mailflow"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// spaceName begins the id of every queue's space; the number of its group follows. No mailbox has such an id: the bits
// that make a GUID a random one are others.
const spaceName = "flotilla.que"

// SpaceOf is the space of a group's queue. It is in that group by definition, so that the placement map says nothing
// about it.
func SpaceOf(g cluster.GroupID) cluster.SpaceID {
	var id cluster.SpaceID
	binary.BigEndian.PutUint32(id[copy(id[:], spaceName):], uint32(g))
	return id
}

// GroupOf is the group whose queue a space is; ok is false for other spaces.
func GroupOf(id cluster.SpaceID) (g cluster.GroupID, ok bool) {
	if string(id[:len(spaceName)]) != spaceName {
		return 0, false
	}
	return cluster.GroupID(binary.BigEndian.Uint32(id[len(spaceName):])), true
}

// EntryID names a mail in the queue.
type EntryID struct {
	Group  cluster.GroupID `wire:"1"`
	Number uint64          `wire:"2"`
}

// String is the group and the number, in base 36.
func (e EntryID) String() string {
	return e.Group.String() + "-" + strconv.FormatUint(e.Number, 36)
}

// ParseEntryID reads what String made.
func ParseEntryID(s string) (EntryID, error) {
	group, number, _ := strings.Cut(s, "-")
	g, gerr := strconv.ParseUint(group, 10, 32)
	n, nerr := strconv.ParseUint(number, 36, 64)
	id := EntryID{Group: cluster.GroupID(g), Number: n}
	if gerr != nil || nerr != nil || id.String() != s {
		return EntryID{}, cluster.Errorf(mailflow.KindNoEntry, "%q is no name of a queue entry", s)
	}
	return id, nil
}

// MarshalText is String.
func (e EntryID) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// UnmarshalText is ParseEntryID.
func (e *EntryID) UnmarshalText(b []byte) (err error) {
	*e, err = ParseEntryID(string(b))
	return err
}

// The first byte of every key of a queue's space, for ever. schema.PrefixContent is taken by exmdb/content, which counts
// the holders of content here too.
const (
	prefixHeader    = 0x01 // header
	prefixMail      = 0x10 // entry (8): mail
	prefixBody      = 0x11 // entry (8): body
	prefixRecipient = 0x12 // entry (8), index (4): recipient
	prefixOrder     = 0x13 // mailbox (16), number (8): entry (8), index (4), of who waits
	prefixLane      = 0x14 // mailbox (16): lane
	prefixNext      = 0x15 // time (8), mailbox (16): empty; when a lane is tried next
)

func headerKey() []byte { return []byte{prefixHeader} }

func entryKey(prefix byte, entry uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{prefix}, entry)
}

// place is a recipient's place in the queue.
type place struct {
	entry uint64
	index uint32
}

func (p place) key() []byte {
	return binary.BigEndian.AppendUint32(entryKey(prefixRecipient, p.entry), p.index)
}

func parsePlace(b []byte) (place, error) {
	if len(b) != 12 {
		return place{}, damaged("place", b)
	}
	return place{binary.BigEndian.Uint64(b), binary.BigEndian.Uint32(b[8:])}, nil
}

// boxKey begins the keys of a mailbox.
func boxKey(prefix byte, box mapi.MailboxID) []byte { return append([]byte{prefix}, box[:]...) }

func orderKey(box mapi.MailboxID, number uint64) []byte {
	return binary.BigEndian.AppendUint64(boxKey(prefixOrder, box), number)
}

// parseOrder reads the number at the end of an order key.
func parseOrder(key []byte) (number uint64, err error) {
	if len(key) != 1+16+8 {
		return 0, damaged("order", key)
	}
	return binary.BigEndian.Uint64(key[17:]), nil
}

// nanoseconds is a time as it stands in keys and numbers: none is before 1970.
func nanoseconds(t time.Time) uint64 { return uint64(max(0, t.UnixNano())) }

func nextKey(at time.Time, box mapi.MailboxID) []byte {
	return append(binary.BigEndian.AppendUint64([]byte{prefixNext}, nanoseconds(at)), box[:]...)
}

func parseNext(key []byte) (at time.Time, box mapi.MailboxID, err error) {
	if len(key) != 1+8+16 {
		return at, box, damaged("time", key)
	}
	copy(box[:], key[9:])
	return time.Unix(0, int64(binary.BigEndian.Uint64(key[1:]))).UTC(), box, nil
}

// behind is the bound above every key that begins so.
func behind(prefix []byte) []byte {
	end := append([]byte(nil), prefix...)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}

func damaged(what string, b []byte) error {
	return fmt.Errorf("queue: %s %x: %w", what, b, cluster.ErrDamaged)
}
