package deliver

import (
	"fmt"
	"io"
	"strings"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/convert/oxcical"
	"github.com/flotilla-mail/flotilla/internal/convert/oxcmail"
	"github.com/flotilla-mail/flotilla/internal/convert/oxcmsg"
	"github.com/flotilla-mail/flotilla/internal/formats/ical"
	"github.com/flotilla-mail/flotilla/internal/formats/mime"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// meeting makes a mail with a calendar that says something about a meeting a message about it, and notes the meeting itself,
// where there is one. A calendar that cannot be read is a file; mail with a class of its own, such as what is signed, stays that,
// unless it is in TNEF and says a meeting by itself.
// Times in it that name no zone are in that of whoever gets the mail, which his mailbox is told, so it gets the calendar too.
func (m *Received) meeting(msg *oxcmail.Message, names *oxcmsg.Names, c *exmdb.Conversion) {
	text, err := textOf(m, msg, names)
	if err != nil || text == nil {
		return
	}
	cal, err := oxcical.Parse(text)
	if err != nil {
		return
	}
	floating := false
	c.Meeting, floating = oxcical.Importer{Zone: m.zone}.About(cal, &msg.Props, names)
	if floating && m.zone == "" && len(text) <= oxcical.MaxMeeting {
		c.Floating = text
	}
}

// textOf is the calendar of a mail that became a message, nil where it is about no meeting. What is in TNEF is the message itself
// (MS-OXCMAIL 2.2.3.5), so the meeting that it says goes before a calendar beside it, which is written of the same for others to
// read; the calendar counts where what TNEF says cannot be followed.
func textOf(octets io.ReaderAt, msg *oxcmail.Message, names *oxcmsg.Names) ([]byte, error) {
	class, _ := msg.Props.Get(mapi.PidTagMessageClass).(mapi.String)
	if class != "" && !strings.EqualFold(string(class), "IPM.Note") {
		if !oxcical.IsMeeting(string(class)) {
			return nil, nil
		}
		text, err := oxcical.TextOfMessage(&msg.MessageContent, names)
		if text != nil || msg.Calendar == nil {
			return text, err
		}
	}
	if msg.Calendar == nil {
		return nil, nil
	}
	return oxcical.TextOfMail(msg.Calendar, octets)
}

// Calendar is the calendar of a mail about a meeting, as its delivery has read it; nil where there is none.
func Calendar(root *mime.Part, octets io.ReaderAt) (*ical.Component, error) {
	names := &oxcmsg.Names{Max: maxNames}
	rd := oxcmail.Reader{Keep: passer{}, Names: names}
	msg, err := rd.Read(root, octets)
	if err != nil {
		return nil, fmt.Errorf("convert mail: %w", err)
	}
	text, err := textOf(octets, msg, names)
	if err != nil || text == nil {
		return nil, err
	}
	return oxcical.Parse(text)
}

// passer keeps nothing: no calendar has what is longer than a property. It implements oxcmail.Keeper.
type passer struct{}

// Range implements oxcmail.Keeper.
func (passer) Range(from, to int64, _ string) (mapi.Reference, error) {
	return mapi.Reference{{Size: uint32(to - from)}}, nil
}

// Stream implements oxcmail.Keeper.
func (passer) Stream(r io.Reader) (mapi.Reference, error) {
	n, err := io.Copy(io.Discard, r)
	return mapi.Reference{{Size: uint32(n)}}, err
}
