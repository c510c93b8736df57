package deliver

import (
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/convert/oxcical"
	"github.com/flotilla-mail/flotilla/internal/convert/oxcmail"
	"github.com/flotilla-mail/flotilla/internal/convert/oxcmsg"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// meeting makes a mail with a calendar that says something about a meeting a message about it, and notes the meeting itself,
// where there is one. A calendar that cannot be read is a file; mail with a class of its own, such as what is signed, stays that.
// Times in it that name no zone are in that of whoever gets the mail, which his mailbox is told, so it gets the calendar too.
func (m *Received) meeting(msg *oxcmail.Message, names *oxcmsg.Names, c *exmdb.Conversion) {
	if msg.Props.Get(mapi.PidTagMessageClass) != nil || msg.Calendar == nil {
		return
	}
	text, err := oxcical.TextOfMail(msg.Calendar, m)
	if err != nil {
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
