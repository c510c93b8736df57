package oxcdata

import (
	"encoding/binary"

	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// FID reads a folder id: the replica id, then the counter with its highest byte first (MS-OXCDATA 2.2.1.1).
func (d *Decoder) FID() mapi.FID { return mapi.FID(d.id()) }

// MID reads a message id (MS-OXCDATA 2.2.1.2).
func (d *Decoder) MID() mapi.MID { return mapi.MID(d.id()) }

func (d *Decoder) id() uint64 {
	replica := uint64(d.Uint16())
	return replica<<48 | uint64(d.globalCounter())
}

func (d *Decoder) globalCounter() mapi.GlobalCounter {
	var b [6]byte
	copy(b[:], d.r.Take(len(b)))
	return mapi.ParseGlobalCounter(b)
}

// FID writes a folder id.
func (e *Encoder) FID(f mapi.FID) {
	e.Uint16(uint16(f.Replica()))
	e.b = mapi.AppendGlobalCounter(e.b, f.Counter())
}

// MID writes a message id.
func (e *Encoder) MID(m mapi.MID) { e.FID(mapi.FID(m)) }

// LongTermID reads the 24 bytes of a global identifier (MS-OXCDATA 2.2.1.3.1).
func (d *Decoder) LongTermID() mapi.GID {
	g := mapi.GID{Replica: d.GUID(), Counter: d.globalCounter()}
	d.r.Take(2)
	return g
}

// LongTermID writes the 24 bytes of a global identifier.
func (e *Encoder) LongTermID(g mapi.GID) { e.b = g.AppendLongTermID(e.b) }

// FIDValue is f as the value of a PtypInteger64 property, PidTagFolderId for one: the number whose bytes on the wire
// are those of the folder id.
func FIDValue(f mapi.FID) mapi.Integer64 {
	e := NewEncoder(nil, ROP)
	e.FID(f)
	return mapi.Integer64(binary.LittleEndian.Uint64(e.b))
}

// MIDValue is m as the value of a PtypInteger64 property, PidTagMid for one.
func MIDValue(m mapi.MID) mapi.Integer64 { return FIDValue(mapi.FID(m)) }

// FIDOf is the folder id that such a value stands for.
func FIDOf(v mapi.Integer64) mapi.FID {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], uint64(v))
	return NewDecoder(b[:], ROP).FID()
}

// MIDOf is the message id that such a value stands for.
func MIDOf(v mapi.Integer64) mapi.MID { return mapi.MID(FIDOf(v)) }

// ServerIDValue is the value of PtypServerId that stands for id (MS-OXCDATA 2.11.1.4).
func ServerIDValue(id mapi.ServerID) mapi.Opaque {
	e := NewEncoder(nil, ROP)
	e.Bool(id.Ours)
	if !id.Ours {
		e.Raw(id.Theirs)
		return e.b
	}
	e.FID(id.FID)
	e.MID(id.MID)
	e.Uint32(id.Instance)
	return e.b
}

// ServerIDOf takes a value of PtypServerId apart.
func ServerIDOf(v mapi.Opaque) (mapi.ServerID, error) {
	d := NewDecoder(v, ROP)
	id := mapi.ServerID{Ours: d.Bool()}
	if id.Ours {
		id.FID, id.MID, id.Instance = d.FID(), d.MID(), d.Uint32()
	} else {
		id.Theirs = d.Bytes(d.Len())
	}
	return id, d.Close()
}
