// Package binprop takes apart and makes the structures that clients keep inside binary properties: recurrences, time
// zones and global object ids of the calendar, conversation indexes, report tags and voting verbs of mail, search folder
// definitions, lists of special folders, security descriptors. It knows their bytes, as the documents named at each type
// have them; what follows from them is for those who ask.
//
// Decoding never panics and allocates a small multiple of its input; errors are oxcdata.ErrMalformed. What a structure
// has behind its end is kept where clients are known to leave something, else it is an error.
package binprop

import (
	"time"

	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"
)

// Minutes count from 1601-01-01, in whichever time zone the structure is about.
type Minutes uint32

const filetimesPerMinute = 60 * 10_000_000

// MinutesOf is t in its own location, cut to the minute.
func MinutesOf(t time.Time) Minutes {
	local := time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), 0, 0, time.UTC)
	return Minutes(mapi.FileTimeOf(local) / filetimesPerMinute)
}

// Wall has the numbers that the clocks of the structure's zone show, as if they were UTC.
func (m Minutes) Wall() time.Time { return time.Date(1601, 1, 1, 0, int(m), 0, 0, time.UTC) }

// reader reads one structure, all of it.
func reader(b []byte) *oxcdata.Decoder { return oxcdata.NewDecoder(b, oxcdata.ROP) }

func writer(dst []byte) *oxcdata.Encoder { return oxcdata.NewEncoder(dst, oxcdata.ROP) }

// many reads n elements, as far as the input goes.
func many[E any](d *oxcdata.Decoder, n int, read func() E) []E {
	var list []E
	for range n {
		if d.Err() != nil {
			return nil
		}
		list = append(list, read())
	}
	return list
}

// block reads bytes behind their number in 32 bits.
func block(d *oxcdata.Decoder) []byte { return d.Bytes(d.Number(4)) }

func putBlock(e *oxcdata.Encoder, b []byte) {
	e.Number(len(b), 4)
	e.Raw(b)
}
