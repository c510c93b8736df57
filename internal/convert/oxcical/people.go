package oxcical

import (
	"slices"
	"strings"

	"github.com/flotilla-mail/flotilla/internal/convert/object"
	"github.com/flotilla-mail/flotilla/internal/convert/oxcmsg"
	"github.com/flotilla-mail/flotilla/internal/formats/contentline"
	"github.com/flotilla-mail/flotilla/internal/formats/ical"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"
)

const (
	smtp = "SMTP"
	// recipientResource is PidTagRecipientType of a room (MS-OXOCAL 2.2.4.10.7); mail calls it Bcc.
	recipientResource = oxcmsg.RecipientBcc
	// sendable and organizer are bits of PidTagRecipientFlags (MS-OXOCAL 2.2.4.10.1).
	sendable = 0x1
	// mailUser is PidTagObjectType of a person (MS-OXOABK 2.2.3.10).
	mailUser = 6
	// maxAttendees bounds the recipients of a meeting; more are kept.
	maxAttendees = 10_000
)

// response is PidLidResponseStatus and PidTagRecipientTrackStatus (MS-OXOCAL 2.2.1.11).
type response int32

const (
	respNone      response = 0
	respOrganized response = 1
	respTentative response = 2
	respAccepted  response = 3
	respDeclined  response = 4
	respWaiting   response = 5
)

// responses are the words of PARTSTAT (MS-OXCICAL 2.1.3.1.1.20.2.3).
var responses = map[string]response{"TENTATIVE": respTentative, "ACCEPTED": respAccepted, "DECLINED": respDeclined, "NEEDS-ACTION": respWaiting}

func partstat(r response) string {
	for word, n := range responses {
		if n == r {
			return word
		}
	}
	return ""
}

// person is someone in a calendar.
type person struct{ name, address string }

// personIn reads who a line is about; false for one who has no mail address. Whoever is named by another URI may have one beside it
// (RFC 7986 6.2).
func personIn(l *contentline.Line) (person, bool) {
	uri := strings.TrimSpace(l.Value)
	address := strings.TrimSpace(l.Param("EMAIL"))
	if len(uri) >= 8 && strings.EqualFold(uri[:7], "mailto:") {
		address = uri[7:]
	}
	if address == "" {
		return person{}, false
	}
	p := person{object.Clean(l.Param("CN")), object.Clean(address)}
	if p.name == "" {
		p.name = p.address
	}
	return p, true
}

func (p person) line(name string, params ...contentline.Param) contentline.Line {
	l := contentline.Line{Name: name, Value: "mailto:" + p.address}
	if p.name != p.address {
		l = l.With("CN", p.name)
	}
	l.Params = append(l.Params, params...)
	return l
}

// senderTags are the properties that say who a message is from.
type senderTags struct{ name, kind, address, smtp, entry, search mapi.Tag }

var (
	representing = senderTags{mapi.PidTagSentRepresentingName, mapi.PidTagSentRepresentingAddressType, mapi.PidTagSentRepresentingEmailAddress,
		mapi.PidTagSentRepresentingSmtpAddress, mapi.PidTagSentRepresentingEntryId, mapi.PidTagSentRepresentingSearchKey}
	sender = senderTags{mapi.PidTagSenderName, mapi.PidTagSenderAddressType, mapi.PidTagSenderEmailAddress,
		mapi.PidTagSenderSmtpAddress, mapi.PidTagSenderEntryId, mapi.PidTagSenderSearchKey}
)

func (t senderTags) set(m *object.Message, p person) {
	m.SetText(t.name, p.name)
	m.SetText(t.kind, smtp)
	m.SetText(t.address, p.address)
	m.SetText(t.smtp, p.address)
	m.Bag.Set(t.entry, mapi.Binary(oxcdata.OneOffOf(p.name, smtp, p.address).Append(nil)))
	m.Bag.Set(t.search, mapi.Binary(oxcdata.SearchKey(smtp, p.address)))
}

func (t senderTags) get(m *object.Message) (person, bool) {
	address := m.Text(t.smtp)
	if address == "" && m.Text(t.kind) == smtp {
		address = m.Text(t.address)
	}
	p := person{m.Text(t.name), address}
	if p.name == "" {
		p.name = address
	}
	return p, address != ""
}

// isReply reports whether a message goes from an attendee to the organizer.
func isReply(method string) bool { return method == "REPLY" || method == "COUNTER" }

// people sets organizer and attendees. In an answer the one attendee is who it is from (MS-OXCICAL 2.1.3.1.1.20.2).
func (in *importer) people(m *object.Message, c *ical.Component) {
	organizer, organized := person{}, false
	if l := c.Get("ORGANIZER"); l != nil {
		organizer, organized = personIn(l)
	}
	attendees := c.All("ATTENDEE")
	if isReply(in.method) {
		if len(attendees) > 0 {
			if who, ok := personIn(attendees[0]); ok {
				representing.set(m, who)
				sender.set(m, who)
			}
		}
		if organized {
			m.Recipients = append(m.Recipients, recipient(organizer, oxcmsg.RecipientTo, 0, respNone))
		}
		return
	}
	if organized {
		representing.set(m, organizer)
		sender.set(m, senderOf(c, organizer))
	}
	in.attendees(m, attendees)
	setAttendeeLists(m)
}

// senderLine says who wrote for the organizer, as SENT-BY of iCalendar does (MS-OXCICAL 2.1.3.1.1.20.61).
const senderLine = "X-MS-OLK-SENDER"

func senderOf(c *ical.Component, organizer person) person {
	if by, ok := personIn(&contentline.Line{Value: c.Get("ORGANIZER").Param("SENT-BY")}); ok {
		return by
	}
	if l := c.Get(senderLine); l != nil {
		if by, ok := personIn(l); ok {
			return by
		}
	}
	return organizer
}

// responseTime is the parameter that says when an attendee answered; it is of the organizer's own calendar, no message to others
// (MS-OXCICAL 2.1.3.1.1.20.2.6).
const responseTime = "X-MS-OLK-RESPTIME"

func (in *importer) attendees(m *object.Message, lines []*contentline.Line) {
	for _, l := range lines {
		who, ok := personIn(l)
		if !ok || len(m.Recipients) == maxAttendees {
			continue
		}
		kind := oxcmsg.RecipientTo
		switch {
		case strings.EqualFold(l.Param("CUTYPE"), "RESOURCE"), strings.EqualFold(l.Param("CUTYPE"), "ROOM"):
			kind = recipientResource
		case strings.EqualFold(l.Param("ROLE"), "OPT-PARTICIPANT"), strings.EqualFold(l.Param("ROLE"), "NON-PARTICIPANT"):
			kind = oxcmsg.RecipientCc
		}
		row := recipient(who, kind, len(m.Recipients), responses[strings.ToUpper(l.Param("PARTSTAT"))])
		if answered := l.Param(responseTime); answered != "" && methodOf(m) == "" {
			setResponseTime(&row, answered)
		}
		m.Recipients = append(m.Recipients, row)
		if strings.EqualFold(l.Param("RSVP"), "TRUE") {
			m.Bag.Set(mapi.PidTagResponseRequested, mapi.Boolean(true))
			m.Bag.Set(mapi.PidTagReplyRequested, mapi.Boolean(true))
		}
	}
}

func setResponseTime(row *mapi.PropBag, value string) {
	if d, err := ical.ParseDateTime(value); err == nil && d.UTC && representable(d.Wall) {
		row.Set(mapi.PidTagRecipientTrackStatusTime, mapi.FileTimeOf(d.Wall))
	}
}

func recipient(who person, kind oxcmsg.RecipientType, row int, r response) mapi.PropBag {
	var p object.Props
	p.Bag.Set(mapi.PidTagRowid, mapi.Integer32(int32(row)))
	p.Bag.Set(mapi.PidTagRecipientType, mapi.Integer32(kind))
	p.Bag.Set(mapi.PidTagObjectType, mapi.Integer32(mailUser))
	p.Bag.Set(mapi.PidTagDisplayType, mapi.Integer32(0))
	p.Bag.Set(mapi.PidTagRecipientFlags, mapi.Integer32(sendable))
	p.Bag.Set(mapi.PidTagRecipientTrackStatus, mapi.Integer32(r))
	p.SetText(mapi.PidTagAddressType, smtp)
	for _, t := range []mapi.Tag{mapi.PidTagDisplayName, mapi.PidTagRecipientDisplayName} {
		p.SetText(t, who.name)
	}
	for _, t := range []mapi.Tag{mapi.PidTagEmailAddress, mapi.PidTagSmtpAddress} {
		p.SetText(t, who.address)
	}
	entry := mapi.Binary(oxcdata.OneOffOf(who.name, smtp, who.address).Append(nil))
	p.Bag.Set(mapi.PidTagEntryId, entry)
	p.Bag.Set(mapi.PidTagRecipientEntryId, entry)
	p.Bag.Set(mapi.PidTagSearchKey, mapi.Binary(oxcdata.SearchKey(smtp, who.address)))
	return p.Bag
}

// setAttendeeLists sets the names that forms show (MS-OXOCAL 2.2.1.16 to 2.2.1.18).
func setAttendeeLists(m *object.Message) {
	var to, cc, all []string
	for i := range m.Recipients {
		name := oxcmsg.NameOf(&m.Recipients[i])
		all = append(all, name)
		switch oxcmsg.TypeOf(&m.Recipients[i]) {
		case oxcmsg.RecipientTo:
			to = append(to, name)
		case oxcmsg.RecipientCc:
			cc = append(cc, name)
		}
	}
	m.SetLidText(mapi.PidLidToAttendeesString, oxcmsg.Join(to))
	m.SetLidText(mapi.PidLidCcAttendeesString, oxcmsg.Join(cc))
	m.SetLidText(mapi.PidLidAllAttendeesString, oxcmsg.Join(all))
	oxcmsg.SetDisplayLists(&m.Bag, m.Recipients)
}

// people writes organizer and attendees.
func (x *exporter) people() {
	who, ok := representing.get(x.m)
	if isReply(methodOf(x.m)) {
		if ok {
			x.c.Lines = append(x.c.Lines, who.line("ATTENDEE", partstatParam(responseOf(x.m))...))
		}
		if len(x.m.Recipients) > 0 {
			if organizer, ok := personOf(&x.m.Recipients[0]); ok {
				x.c.Lines = append(x.c.Lines, organizer.line("ORGANIZER"))
			}
		}
		return
	}
	if ok && isMeeting(x.m) {
		organizer := who.line("ORGANIZER")
		if by, ok := sender.get(x.m); ok && by.address != who.address {
			organizer = organizer.With("SENT-BY", "mailto:"+by.address)
		}
		x.c.Lines = append(x.c.Lines, organizer)
	}
	requested, _ := x.m.Bag.Get(mapi.PidTagResponseRequested).(mapi.Boolean)
	for i := range x.m.Recipients {
		x.attendee(&x.m.Recipients[i], bool(requested))
	}
}

func personOf(bag *mapi.PropBag) (person, bool) {
	p := object.Props{Bag: *bag}
	address := p.Text(mapi.PidTagSmtpAddress)
	if address == "" && p.Text(mapi.PidTagAddressType) == smtp {
		address = p.Text(mapi.PidTagEmailAddress)
	}
	return person{oxcmsg.NameOf(bag), address}, address != ""
}

func partstatParam(r response) []contentline.Param {
	if word := partstat(r); word != "" {
		return []contentline.Param{{Name: "PARTSTAT", Values: []string{word}}}
	}
	return nil
}

// attendee writes a recipient; the organizer, who is one in some clients, is written by himself.
func (x *exporter) attendee(bag *mapi.PropBag, requested bool) {
	const organizer = 0x2
	who, ok := personOf(bag)
	flags, _ := bag.Get(mapi.PidTagRecipientFlags).(mapi.Integer32)
	if !ok || flags&organizer != 0 {
		return
	}
	role, kind := "REQ-PARTICIPANT", ""
	switch oxcmsg.TypeOf(bag) {
	case oxcmsg.RecipientCc:
		role = "OPT-PARTICIPANT"
	case recipientResource:
		role, kind = "NON-PARTICIPANT", "RESOURCE"
	}
	status, _ := bag.Get(mapi.PidTagRecipientTrackStatus).(mapi.Integer32)
	l := who.line("ATTENDEE").With("CUTYPE", kind).With("ROLE", role)
	l.Params = append(slices.Clone(l.Params), partstatParam(response(status))...)
	if requested {
		l = l.With("RSVP", "TRUE")
	}
	if at, ok := bag.Get(mapi.PidTagRecipientTrackStatusTime).(mapi.FileTime); ok && methodOf(x.m) == "" && at != 0 && representable(at.Time()) {
		l = l.With(responseTime, ical.Moment(at.Time()).String())
	}
	x.c.Lines = append(x.c.Lines, l)
}
