package deliver

import (
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/convert/kept"
	"github.com/flotilla-mail/flotilla/internal/convert/object"
	"github.com/flotilla-mail/flotilla/internal/convert/oxcical"
	"github.com/flotilla-mail/flotilla/internal/convert/oxcmail"
	"github.com/flotilla-mail/flotilla/internal/convert/oxcmsg"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// maxMeeting bounds a meeting that goes along with its mail, without the mail's own text. One that is longer, which takes
// hundreds of exceptions, is for clients to enter.
const maxMeeting = 256 << 10

// ofMeeting are the properties without name that a message about a meeting has of its calendar (MS-OXOCAL 2.2.5, 2.2.6).
var ofMeeting = []mapi.Tag{mapi.PidTagMessageClass, mapi.PidTagIconIndex, mapi.PidTagStartDate, mapi.PidTagEndDate,
	mapi.PidTagOwnerAppointmentId, mapi.PidTagResponseRequested, mapi.PidTagReplyRequested}

// ofText are those that an appointment has of the mail.
var ofText = []mapi.Tag{mapi.PidTagBody, mapi.PidTagHtml, mapi.PidTagRtfCompressed, mapi.PidTagInternetCodepage}

// meeting makes a mail with a calendar that says something about a meeting a message about it (MS-OXCICAL 2.1.3.1), and
// returns the meeting itself, nil where there is none. A calendar that cannot be read is a file; mail with a class of its own, such
// as what is signed, stays that.
func (m *Received) meeting(msg *oxcmail.Message, names *oxcmsg.Names) *exmdb.MessageContent {
	if msg.Props.Get(mapi.PidTagMessageClass) != nil || msg.Calendar == nil {
		return nil
	}
	cal, err := oxcical.OfMail(msg.Calendar, m)
	if err != nil {
		return nil
	}
	about, err := oxcical.Importer{}.Meeting(cal)
	if err != nil || about == nil {
		return nil
	}
	for _, t := range ofMeeting {
		if v := about.Bag.Get(t); v != nil {
			msg.Props.Set(t, v)
		}
	}
	for _, t := range ofText {
		about.Bag.Delete(t)
		if v := msg.Props.Get(t); v != nil {
			about.Bag.Set(t, v)
		}
	}
	whole := about.Content(names)
	kept.Forget(&about.Props) // the calendar is in the mail
	about.DeleteLid(mapi.PidNameKeywords)
	nameProps(&about.Props, &msg.Props, names)
	if len(wire.Marshal(&whole)) > maxMeeting {
		return nil
	}
	return &whole
}

// nameProps puts named properties that are short enough for a bag into one.
func nameProps(from *object.Props, to *mapi.PropBag, names *oxcmsg.Names) {
	for _, n := range from.Names() {
		v := from.Named[n]
		if mapi.StoredSize(v) <= mapi.MaxStoredValue {
			names.Set(to, mapi.NamedProperty{PropertyName: n, Type: mapi.TypeOf(v)}, v)
		}
	}
}
