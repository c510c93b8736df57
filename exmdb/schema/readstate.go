package schema

import (
	"errors"
	"slices"
	"sort"

	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// ReadState is what one user has read of a folder whose read state is each user's own (MAILBOX 4): a set of MIDs as ranges,
// as clients keep such sets, with the stamps at which he read or unread them.
type ReadState struct {
	// ReadCN is the last stamp of his series.
	ReadCN mapi.Stamp `wire:"2"`
	// Unread is how many messages were unread at CountedAt, when the folder had Messages and had lost Gone.
	Unread    uint32     `wire:"3"`
	Ranges    ReadRanges `wire:"4"`
	CountedAt mapi.Stamp `wire:"5"`
	Messages  uint32     `wire:"6"`
	Gone      uint64     `wire:"7"`
	// Joined is how many ranges there were when they were last made anew.
	Joined  uint32 `wire:"8"`
	Unknown wire.Unknown
}

// PerUser is what a client has kept in a user's own mailbox of what he has read of a public folder (MS-OXCSTOR 2.2.1.12): a set
// of change numbers, and the replica GUID of the mailbox that told it.
type PerUser struct {
	Replica mapi.GUID `wire:"1"`
	Data    []byte    `wire:"2"`
	Unknown wire.Unknown
}

// PerUserKey is by the folder's identifier across mailboxes.
func PerUserKey(folder mapi.GID) []byte {
	return put48(append(newKey(PrefixPerUser), folder.Replica[:]...), uint64(folder.Counter))
}

// ParsePerUserKey reads what PerUserKey made.
func ParsePerUserKey(k []byte) (mapi.GID, error) {
	if err := checkKey(k, PrefixPerUser, 23); err != nil {
		return mapi.GID{}, err
	}
	return mapi.GID{Replica: mapi.GUID(k[1:17]), Counter: mapi.GlobalCounter(get48(k[17:]))}, nil
}

// ParseReadStateKey reads what ReadStateKey made.
func ParseReadStateKey(k []byte) (mapi.GUID, mapi.FID, error) {
	if err := checkKey(k, PrefixReadState, 23); err != nil {
		return mapi.GUID{}, 0, err
	}
	return mapi.GUID(k[1:17]), mapi.LocalFID(mapi.GlobalCounter(get48(k[17:]))), nil
}

// ReadRange says of the messages from First to Last whether they are read, and since which stamp at the latest. Between the
// messages that it was made of there is none of the folder that it would be wrong for.
type ReadRange struct {
	First, Last mapi.GlobalCounter
	Read        bool
	Stamp       mapi.Stamp
}

// ReadRanges ascend and do not overlap. Of what is in none of them nothing is said.
type ReadRanges []ReadRange

// Find is the range that a message is in.
func (rs ReadRanges) Find(c mapi.GlobalCounter) (ReadRange, bool) {
	i := rs.search(c)
	if i < len(rs) && rs[i].First <= c {
		return rs[i], true
	}
	return ReadRange{}, false
}

// search is the first range that ends at c or above.
func (rs ReadRanges) search(c mapi.GlobalCounter) int {
	return sort.Search(len(rs), func(i int) bool { return rs[i].Last >= c })
}

// Set says what r says of its messages, whatever was said before.
func (rs ReadRanges) Set(r ReadRange) ReadRanges {
	from := rs.search(r.First)
	to := from
	var parts ReadRanges
	if from < len(rs) && rs[from].First < r.First {
		left := rs[from]
		left.Last = r.First - 1
		parts = append(parts, left)
	}
	parts = append(parts, r)
	for to < len(rs) && rs[to].First <= r.Last {
		if rs[to].Last > r.Last {
			right := rs[to]
			right.First = r.Last + 1
			parts = append(parts, right)
		}
		to++
	}
	return slices.Replace(rs, from, to, parts...)
}

// AppendWire implements wire.Marshaler: each range as the distance from the one before, its length less one with the read
// bit below, and its stamp.
func (rs ReadRanges) AppendWire(dst []byte) []byte {
	end := mapi.GlobalCounter(0)
	for _, r := range rs {
		dst = wire.AppendUvarint(dst, uint64(r.First-end))
		length := uint64(r.Last-r.First) << 1
		if r.Read {
			length |= 1
		}
		dst = wire.AppendUvarint(dst, length)
		dst = wire.AppendUvarint(dst, uint64(r.Stamp))
		end = r.Last
	}
	return dst
}

// UnmarshalWire implements wire.Unmarshaler.
func (rs *ReadRanges) UnmarshalWire(b []byte) error {
	*rs = nil
	in := wire.NewReader(b)
	end := uint64(0)
	for in.Len() > 0 {
		distance, length, stamp := in.Uvarint(), in.Uvarint(), in.Uvarint()
		if distance == 0 || distance > uint64(mapi.MaxGlobalCounter)-end || length>>1 > uint64(mapi.MaxGlobalCounter)-end-distance {
			in.Fail(ErrBadRecord)
			break
		}
		first := end + distance
		end = first + length>>1
		*rs = append(*rs, ReadRange{First: mapi.GlobalCounter(first), Last: mapi.GlobalCounter(end), Read: length&1 != 0, Stamp: mapi.Stamp(stamp)})
	}
	if err := in.Err(); err != nil {
		return errors.Join(ErrBadRecord, err)
	}
	return nil
}
