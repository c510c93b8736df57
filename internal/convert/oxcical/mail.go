package oxcical

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/convert/kept"
	"github.com/flotilla-mail/flotilla/internal/convert/object"
	"github.com/flotilla-mail/flotilla/internal/convert/oxcmsg"
	"github.com/flotilla-mail/flotilla/internal/formats/ical"
	"github.com/flotilla-mail/flotilla/internal/formats/mime"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/binprop"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// MaxCalendar bounds the calendar in a mail that is read to be a meeting; a longer one is a file.
const MaxCalendar = 1 << 20

// OfMail reads the calendar that a part of a mail is; octets are the mail's.
func OfMail(p *mime.Part, octets io.ReaderAt) (*ical.Component, error) {
	text, err := TextOfMail(p, octets)
	if err != nil {
		return nil, err
	}
	return Parse(text)
}

// TextOfMail is the text of the calendar that a part of a mail is, in UTF-8.
func TextOfMail(p *mime.Part, octets io.ReaderAt) ([]byte, error) {
	body := io.NewSectionReader(octets, p.BodyStart, p.Size())
	text, err := io.ReadAll(io.LimitReader(mime.NewDecoder(p.Encoding, body), MaxCalendar+1))
	if err != nil {
		return nil, fmt.Errorf("read calendar: %w", err)
	}
	if len(text) > MaxCalendar {
		return nil, ical.ErrTooMany
	}
	return []byte(mime.DecodeCharset(p.Charset(), text)), nil
}

// maxRepeated bounds what the components of a series say in all, in bytes: each exception has of the series what is not its own.
const maxRepeated = 4 << 20

// TextOfMessage is the calendar of a message about a meeting that says it by itself, as one in TNEF does; nil where its properties
// say no meeting, a series without its rule, or more than anybody reads. The sender has written all of them: nothing is put back
// that was kept of another calendar.
func TextOfMessage(c *exmdb.MessageContent, names *oxcmsg.Names) ([]byte, error) {
	m, err := object.Loader{Name: names.Name}.Message(c)
	if err != nil || methodOf(m) == "" || uidOfMessage(m) == "" || repeated(m, c) > maxRepeated {
		return nil, err
	}
	kept.Forget(&m.Props)
	for i := range m.Attachments {
		if e := m.Attachments[i].Embedded; e != nil {
			kept.Forget(&e.Props)
		}
	}
	cal := Export(m)
	recurs := m.LidBool(mapi.PidLidRecurring) || m.Lid(mapi.PidLidAppointmentRecur) != nil
	if recurs && !slices.ContainsFunc(cal.Children, func(c *ical.Component) bool { return c.Get("RRULE") != nil }) {
		return nil, nil
	}
	return cal.Append(nil), nil
}

// repeated is about how many bytes the calendar of a message takes.
func repeated(m *object.Message, c *exmdb.MessageContent) int {
	p, err := binprop.ParseAppointmentRecurrencePattern(m.LidBinary(mapi.PidLidAppointmentRecur))
	if err != nil {
		return 0 // one that is written says it once
	}
	size := func(c *exmdb.MessageContent) int {
		return len(wire.Marshal(&exmdb.MessageContent{Props: c.Props, Recipients: c.Recipients}))
	}
	longest := 0
	for i := range c.Attachments {
		if e := c.Attachments[i].Embedded; e != nil {
			longest = max(longest, size(e))
		}
	}
	return (1+len(p.Exceptions))*size(c) + len(p.Exceptions)*longest
}

// Meeting is the message about the first meeting in a calendar, nil where there is none. What else is in it is not looked at: mail
// about a meeting has no other (RFC 5546 3.2), and whoever sends a thousand series shall not have them all expanded.
func (im Importer) Meeting(cal *ical.Component) (*object.Message, error) {
	m, _, err := im.meeting(cal)
	return m, err
}

// meeting is Meeting, and says whether the importer's zone has to do with it.
func (im Importer) meeting(cal *ical.Component) (m *object.Message, floating bool, err error) {
	first := slices.IndexFunc(cal.Children, carried)
	if first < 0 {
		return nil, false, nil
	}
	same := func(c *ical.Component) bool {
		return c.Name == cal.Children[first].Name && c.Value("UID") == cal.Children[first].Value("UID")
	}
	whole := slices.ContainsFunc(cal.Children, func(c *ical.Component) bool { return same(c) && c.Get("RECURRENCE-ID") == nil })
	one := &ical.Component{Name: cal.Name, Lines: cal.Lines}
	for i, c := range cal.Children {
		if !carried(c) || i == first || whole && same(c) { // occurrences without their series are a meeting each
			one.Children = append(one.Children, c)
		}
	}
	one = complete(one)
	zones := newZones(one, im.Zone)
	list, err := im.in(one, zones)
	if err != nil || len(list) == 0 || Method(list[0]) == "" {
		return nil, false, err
	}
	return list[0], zones.floating, nil
}

// MaxMeeting bounds a meeting that goes along with its mail, without the mail's own text. One that is longer, which takes
// hundreds of exceptions, is for clients to enter.
const MaxMeeting = 256 << 10

// ofMeeting are the properties without name that a message about a meeting has of its calendar (MS-OXOCAL 2.2.5, 2.2.6).
var ofMeeting = []mapi.Tag{mapi.PidTagMessageClass, mapi.PidTagIconIndex, mapi.PidTagStartDate, mapi.PidTagEndDate,
	mapi.PidTagOwnerAppointmentId, mapi.PidTagResponseRequested, mapi.PidTagReplyRequested}

// ofText are those that an appointment has of the mail.
var ofText = []mapi.Tag{mapi.PidTagBody, mapi.PidTagHtml, mapi.PidTagRtfCompressed, mapi.PidTagInternetCodepage}

// About makes the message that a mail with a calendar became one about its meeting (MS-OXCICAL 2.1.3.1): props are the mail's, and
// names those of its named properties. It returns the meeting, nil where the mail stays what it is, and whether times in it are in
// the importer's zone because they name none.
func (im Importer) About(cal *ical.Component, props *mapi.PropBag, names *oxcmsg.Names) (_ *exmdb.MessageContent, floating bool) {
	about, floating, err := im.meeting(cal)
	if err != nil || about == nil {
		return nil, false
	}
	for _, t := range ofMeeting {
		if v := about.Bag.Get(t); v != nil {
			props.Set(t, v)
		}
	}
	for _, t := range ofText {
		about.Bag.Delete(t)
		if v := props.Get(t); v != nil {
			about.Bag.Set(t, v)
		}
	}
	whole := about.Content(names)
	kept.Forget(&about.Props) // the calendar is in the mail
	about.DeleteLid(mapi.PidNameKeywords)
	nameProps(&about.Props, props, names)
	if len(wire.Marshal(&whole)) > MaxMeeting {
		return nil, false
	}
	return &whole, floating
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

// AboutAgain is About for a mail that it has been done for in another zone, which made meeting.
func (im Importer) AboutAgain(cal *ical.Component, meeting *exmdb.MessageContent, props *mapi.PropBag, names *oxcmsg.Names) *exmdb.MessageContent {
	for _, p := range meeting.Props.All() {
		if p.Tag.Named() {
			props.Delete(p.Tag)
		}
	}
	again, _ := im.About(cal, props, names)
	return again
}

// CalendarIn is the first calendar of a mail, nil where it has none. What is in a message inside it is not its own.
func CalendarIn(root *mime.Part) *mime.Part {
	if root.Type == "text" && root.Subtype == "calendar" && root.IsLeaf() {
		return root
	}
	if root.IsMessage() {
		return nil
	}
	for _, p := range root.Parts {
		if c := CalendarIn(p); c != nil {
			return c
		}
	}
	return nil
}

// Responder is who answers a request by itself, and how.
type Responder struct {
	// Own are his addresses, the primary one first.
	Own    []string
	Name   string
	Answer Answer
	// Comment says why.
	Comment string
	Now     time.Time
}

// Reply is the answer to the meetings that a calendar asks for (RFC 5546 3.2.3), nil where it asks for none.
func Reply(request *ical.Component, by *Responder) *ical.Component {
	reply := &ical.Component{Name: vcalendar}
	reply.Put("VERSION", "2.0")
	reply.Put("PRODID", productID)
	reply.Put("METHOD", MethodReply)
	for _, c := range request.Children {
		if c.Name == vevent && c.Get("ORGANIZER") != nil {
			reply.Children = append(reply.Children, by.event(c))
		}
	}
	if len(reply.Children) == 0 {
		return nil
	}
	named := zonesIn(reply.Children...)
	zones := slices.DeleteFunc(request.Inside(vtimezone), func(z *ical.Component) bool { return !slices.Contains(named, z.Text("TZID")) })
	reply.Children = append(zones, reply.Children...)
	return reply
}

// replied are the lines that an answer has as the request has them.
var replied = []string{"UID", "RECURRENCE-ID", "SEQUENCE", "ORGANIZER", "DTSTART", "DTEND", "DURATION", "SUMMARY", "LOCATION"}

func (by *Responder) event(request *ical.Component) *ical.Component {
	c := &ical.Component{Name: vevent}
	for _, name := range replied {
		if l := request.Get(name); l != nil {
			c.Lines = append(c.Lines, l.Clone())
		}
	}
	c.Put("DTSTAMP", ical.Moment(by.Now).String())
	who := person{by.Name, by.Own[0]}
	for _, l := range request.All("ATTENDEE") {
		asked, ok := personIn(l)
		if ok && slices.ContainsFunc(by.Own, func(a string) bool { return strings.EqualFold(a, asked.address) }) {
			who.address = asked.address
			break
		}
	}
	if who.name == "" {
		who.name = who.address
	}
	c.Lines = append(c.Lines, who.line("ATTENDEE", partstatParam(by.Answer)...))
	c.PutText("COMMENT", by.Comment)
	return c
}
