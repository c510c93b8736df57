package binprop

import (
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"
)

// TaskAssigner is one of those who passed a task on.
type TaskAssigner struct {
	EntryID []byte
	// Name is bytes in a code page, WideName says the same in Unicode.
	Name, WideName string
}

// ParseTaskAssigners reads PidLidTaskAssigners (MS-OXOTASK).
func ParseTaskAssigners(b []byte) ([]TaskAssigner, error) {
	d := reader(b)
	list := many(d, d.Number(4), func() TaskAssigner {
		in := d.Inner(d.Number(4))
		a := TaskAssigner{block(in), in.String8(), in.String()}
		if err := in.Close(); err != nil {
			d.Fail(err)
		}
		return a
	})
	return list, d.Close()
}

// AppendTaskAssigners adds PidLidTaskAssigners.
func AppendTaskAssigners(dst []byte, list []TaskAssigner) ([]byte, error) {
	e := writer(dst)
	e.Number(len(list), 4)
	for _, a := range list {
		e.Sized(4, func() {
			putBlock(e, a.EntryID)
			e.String8(a.Name)
			e.String(a.WideName)
		})
	}
	return e.Bytes()
}

// SwappedToDoData is PidTagSwappedToDoData (MS-OXOFLAG 2.2.1.7): the flag that a sender set for himself, put aside while
// the message carries the one for its recipients.
type SwappedToDoData struct {
	Flags    uint32
	ToDoItem uint32
	// FlagTo is the text, with all that stands in its 256 characters.
	FlagTo               string
	Start, Due, Reminder Minutes
	ReminderSet          bool
}

const (
	swappedVersion = 1
	flagToSize     = 256
)

// ParseSwappedToDoData reads the property.
func ParseSwappedToDoData(b []byte) (SwappedToDoData, error) {
	d := reader(b)
	if v := d.Uint32(); v != swappedVersion {
		d.Failf("swapped to-do data of version %d", v)
	}
	s := SwappedToDoData{Flags: d.Uint32(), ToDoItem: d.Uint32()}
	text := oxcdata.NewDecoder(append(d.Bytes(2*flagToSize), 0, 0), oxcdata.ROP)
	s.FlagTo = text.String()
	s.Start, s.Due, s.Reminder = Minutes(d.Uint32()), Minutes(d.Uint32()), Minutes(d.Uint32())
	set := d.Uint32()
	if set > 1 {
		d.Failf("reminder set %#x", set)
	}
	s.ReminderSet = set == 1
	return s, d.Close()
}

// Append adds the property. A text of more than 255 characters is too long for it.
func (s SwappedToDoData) Append(dst []byte) ([]byte, error) {
	e := writer(dst)
	put32(e, swappedVersion, s.Flags, s.ToDoItem)
	text := writer(nil)
	text.String(s.FlagTo)
	wide, err := text.Bytes()
	if err != nil || len(wide) > 2*flagToSize {
		e.Fail(oxcdata.ErrTooLong)
		return e.Bytes()
	}
	e.Raw(wide)
	e.Raw(make([]byte, 2*flagToSize-len(wide)))
	set := uint32(0)
	if s.ReminderSet {
		set = 1
	}
	put32(e, uint32(s.Start), uint32(s.Due), uint32(s.Reminder), set)
	return e.Bytes()
}
