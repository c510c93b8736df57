package oxcical

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/flotilla-mail/flotilla/internal/convert/object"
	"github.com/flotilla-mail/flotilla/internal/formats/ical"
	"github.com/flotilla-mail/flotilla/internal/formats/mime"
)

// MaxCalendar bounds the calendar in a mail that is read to be a meeting; a longer one is a file.
const MaxCalendar = 1 << 20

// OfMail reads the calendar that a part of a mail is; octets are the mail's.
func OfMail(p *mime.Part, octets io.ReaderAt) (*ical.Component, error) {
	body := io.NewSectionReader(octets, p.BodyStart, p.Size())
	text, err := io.ReadAll(io.LimitReader(mime.NewDecoder(p.Encoding, body), MaxCalendar+1))
	if err != nil {
		return nil, fmt.Errorf("read calendar: %w", err)
	}
	if len(text) > MaxCalendar {
		return nil, ical.ErrTooMany
	}
	return Parse([]byte(mime.DecodeCharset(p.Charset(), text)))
}

// Meeting is the message about the first meeting in a calendar, nil where there is none. What else is in it is not looked at: mail
// about a meeting has no other (RFC 5546 3.2), and whoever sends a thousand series shall not have them all expanded.
func (im Importer) Meeting(cal *ical.Component) (*object.Message, error) {
	first := slices.IndexFunc(cal.Children, carried)
	if first < 0 {
		return nil, nil
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
	list, err := im.Import(one)
	if err != nil || len(list) == 0 || Method(list[0]) == "" {
		return nil, err
	}
	return list[0], nil
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
