package oxcical

import (
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/flotilla-mail/flotilla/internal/convert/object"
	"github.com/flotilla-mail/flotilla/internal/formats/contentline"
	"github.com/flotilla-mail/flotilla/internal/formats/ical"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/binprop"
)

// Message classes (MS-OXOCAL 2.2.2.1 and its siblings).
const (
	classAppointment = "IPM.Appointment"
	classRequest     = "IPM.Schedule.Meeting.Request"
	classCanceled    = "IPM.Schedule.Meeting.Canceled"
	classResponse    = "IPM.Schedule.Meeting.Resp."
	classException   = "IPM.OLE.CLASS.{00061055-0000-0000-C000-000000000046}"
)

// answers are the ends of classes of responses.
var answers = map[response]string{respAccepted: "Pos", respTentative: "Tent", respDeclined: "Neg"}

// Bits of PidLidAppointmentStateFlags (MS-OXOCAL 2.2.1.10).
const (
	stateMeeting  = 0x1
	stateReceived = 0x2
	stateCanceled = 0x4
)

// Values of PidTagIconIndex (MS-OXOCAL 2.2.1.49); a series has the one above its appointment's or meeting's.
const (
	iconAppointment = 0x400
	iconMeeting     = 0x402
	iconRequest     = 0x404
	iconCanceled    = 0x408
)

// answerIcons are the icons of responses.
var answerIcons = map[response]int32{respAccepted: 0x405, respDeclined: 0x406, respTentative: 0x407}

// meetingRequest is PidLidMeetingType of a first request (MS-OXOCAL 2.2.6.5).
const meetingRequest = 1

// classOf is the class of a method's message (MS-OXCICAL 2.1.3.1.1.1); a calendar without is an appointment.
func classOf(method string, r response) string {
	switch method {
	case "REQUEST":
		return classRequest
	case "CANCEL":
		return classCanceled
	case "COUNTER":
		return classResponse + answers[respTentative]
	case "REPLY":
		if end := answers[r]; end != "" {
			return classResponse + end
		}
	}
	return classAppointment
}

// methodOf is the method of a message.
func methodOf(m *object.Message) string {
	class := m.Text(mapi.PidTagMessageClass)
	switch {
	case hasFold(class, classRequest):
		return "REQUEST"
	case hasFold(class, classCanceled):
		return "CANCEL"
	case hasFold(class, classResponse) && m.LidBool(mapi.PidLidAppointmentCounterProposal):
		return "COUNTER"
	case hasFold(class, classResponse):
		return "REPLY"
	}
	return ""
}

// IsMeeting tells the classes of messages about meetings (MS-OXOCAL 2.2.5.1).
func IsMeeting(class string) bool {
	return hasFold(class, classRequest) || hasFold(class, classCanceled) || hasFold(class, classResponse)
}

func hasFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// responseOf is the answer that a response is.
func responseOf(m *object.Message) response {
	class := m.Text(mapi.PidTagMessageClass)
	for r, end := range answers {
		if strings.EqualFold(class, classResponse+end) {
			return r
		}
	}
	return respNone
}

func isMeeting(m *object.Message) bool {
	flags, _ := m.LidInt(mapi.PidLidAppointmentStateFlags)
	return flags&stateMeeting != 0 || methodOf(m) != "" || len(m.Recipients) > 0
}

// event sets what an appointment or a message about one has.
func (in *importer) event(m *object.Message, c *ical.Component) {
	answer := respNone
	if l := c.Get("ATTENDEE"); l != nil {
		answer = responses[strings.ToUpper(l.Param("PARTSTAT"))]
	}
	m.SetText(mapi.PidTagMessageClass, classOf(in.method, answer))
	m.SetLidText(mapi.PidLidLocation, c.Text("LOCATION"))
	m.SetLid(mapi.PidLidRecurring, mapi.Boolean(false))
	s, timed := in.spanOf(c)
	if timed {
		setSpan(m, s)
	}
	if in.method == "COUNTER" {
		m.SetLid(mapi.PidLidAppointmentCounterProposal, mapi.Boolean(true))
		if timed {
			s = in.counter(m, c, s)
		}
	}
	in.reminder(m, c, s.start, s.end)
	in.people(m, c)
	in.identity(m, c)
	setBusy(m, c, in.method)
	in.setState(m, c)
	setLists(m, c)
	nonSendable(m, c)
	in.direct(m, c)
}

// identity sets which meeting it is, and which of its versions.
func (in *importer) identity(m *object.Message, c *ical.Component) {
	id := objectID(uidIn(c))
	m.SetLid(mapi.PidLidCleanGlobalObjectId, mapi.Binary(id))
	m.SetLid(mapi.PidLidGlobalObjectId, mapi.Binary(id))
	if l := c.Get("RECURRENCE-ID"); l != nil {
		in.occurrence(m, l)
	}
	if n, err := strconv.ParseInt(firstOf(c, "X-MICROSOFT-CDO-APPT-SEQUENCE", "SEQUENCE"), 10, 32); err == nil && n >= 0 {
		m.SetLid(mapi.PidLidAppointmentSequence, mapi.Integer32(n))
	}
	stamp, name, other := criticalChanges(in.method)
	if at, ok := in.moment(c, "DTSTAMP"); ok {
		m.SetLid(stamp, at)
	}
	if at, ok := in.moment(c, name); ok {
		m.SetLid(other, at)
	}
	if n, err := strconv.ParseInt(c.Value("X-MICROSOFT-CDO-OWNERAPPTID"), 10, 32); err == nil {
		m.Bag.Set(mapi.PidTagOwnerAppointmentId, mapi.Integer32(n))
	}
}

// occurrence sets which occurrence of a series a component replaces.
func (in *importer) occurrence(m *object.Message, l *contentline.Line) {
	d, err := ical.DateTimeOf(l)
	if err != nil {
		return
	}
	at, ok := in.zones.in(d)
	if !ok {
		return
	}
	m.SetLid(mapi.PidLidIsException, mapi.Boolean(true))
	setOccurrence(m, at, d.Wall)
}

// setOccurrence sets which occurrence a message replaces, by its moment and the day that it is on.
func setOccurrence(m *object.Message, at, on time.Time) {
	m.SetLid(mapi.PidLidExceptionReplaceTime, mapi.FileTimeOf(at))
	one, err := binprop.ParseGlobalObjectID(m.LidBinary(mapi.PidLidCleanGlobalObjectId))
	if err != nil {
		return
	}
	one.Year, one.Month, one.Day = uint16(on.Year()), uint8(on.Month()), uint8(on.Day())
	if b, err := one.Append(nil); err == nil {
		m.SetLid(mapi.PidLidGlobalObjectId, mapi.Binary(b))
	}
}

// uidIn is the identity of a component, which is a text.
func uidIn(c *ical.Component) string { return strings.TrimSpace(c.Text("UID")) }

// objectID is the global object id of a UID, which is one written in hexadecimal or any text (MS-OXCICAL
// 2.1.3.1.1.20.26).
func objectID(uid string) []byte {
	id := binprop.GlobalObjectIDOf(uid)
	if raw, err := hex.DecodeString(uid); err == nil {
		if parsed, err := binprop.ParseGlobalObjectID(raw); err == nil {
			id = parsed.Clean()
		}
	}
	b, err := id.Append(nil)
	if err != nil {
		return nil // a UID of 4 GB
	}
	return b
}

func uidOfMessage(m *object.Message) string {
	b := m.LidBinary(mapi.PidLidCleanGlobalObjectId)
	if b == nil {
		b = m.LidBinary(mapi.PidLidGlobalObjectId)
	}
	id, err := binprop.ParseGlobalObjectID(b)
	if err != nil {
		return ""
	}
	if uid, ok := id.UID(); ok {
		return object.Clean(uid)
	}
	clean, err := id.Clean().Append(nil)
	if err != nil {
		return ""
	}
	return strings.ToUpper(hex.EncodeToString(clean))
}

// busyWords are by PidLidBusyStatus (MS-OXOCAL 2.2.1.2).
var busyWords = []string{"FREE", "TENTATIVE", "BUSY", "OOF", "WORKINGELSEWHERE"}

const (
	busyFree      = 0
	busyTentative = 1
	busyBusy      = 2
)

// setBusy sets how busy one is (MS-OXCICAL 2.1.3.1.1.20.25, .31, .34, .42 and .44).
// What a request says is what the organizer intends; until it is answered the time is tentative.
func setBusy(m *object.Message, c *ical.Component, method string) {
	busy := slices.Index(busyWords, strings.ToUpper(firstOf(c, "X-MICROSOFT-CDO-BUSYSTATUS", "X-MICROSOFT-MSNCALENDAR-BUSYSTATUS")))
	intended := slices.Index(busyWords, strings.ToUpper(firstOf(c, "X-MICROSOFT-CDO-INTENDEDSTATUS", "X-MICROSOFT-MSNCALENDAR-INTENDEDSTATUS")))
	if busy < 0 {
		switch {
		case strings.EqualFold(c.Value("TRANSP"), "TRANSPARENT"):
			busy = busyFree
		case strings.EqualFold(c.Value("STATUS"), "TENTATIVE"):
			busy = busyTentative
		default:
			busy = busyBusy
		}
		if method == "REQUEST" && intended < 0 {
			intended, busy = busy, min(busy, busyTentative)
		}
	}
	m.SetLid(mapi.PidLidBusyStatus, mapi.Integer32(busy))
	if intended >= 0 {
		m.SetLid(mapi.PidLidIntendedBusyStatus, mapi.Integer32(intended))
	}
}

// setState sets what stage a meeting is in.
func (in *importer) setState(m *object.Message, c *ical.Component) {
	method := in.method
	flags, icon := int32(0), int32(iconAppointment)
	if c.Get("ORGANIZER") != nil || len(m.Recipients) > 0 {
		flags, icon = stateMeeting, iconMeeting
	}
	if method == "REQUEST" || method == "CANCEL" {
		flags |= stateReceived
	}
	if method == "CANCEL" || strings.EqualFold(c.Value("STATUS"), "CANCELLED") {
		flags |= stateCanceled
	}
	status := respNone
	answer, asked := in.asked(c)
	switch {
	case method == "REQUEST":
		status, icon = respWaiting, iconRequest
		m.SetLid(mapi.PidLidMeetingType, mapi.Integer32(meetingRequest))
		m.SetLidText(mapi.PidLidWhere, m.LidText(mapi.PidLidLocation))
	case method == "CANCEL":
		icon = iconCanceled
	case isReply(method) && responseOf(m) != respNone:
		status = responseOf(m)
		icon = answerIcons[status]
	case asked:
		status = answer
		flags |= stateReceived
	case flags&stateMeeting != 0:
		status = respOrganized
	}
	m.SetLid(mapi.PidLidAppointmentStateFlags, mapi.Integer32(flags))
	m.SetLid(mapi.PidLidResponseStatus, mapi.Integer32(status))
	m.Bag.Set(mapi.PidTagIconIndex, mapi.Integer32(icon))
	if methodOf(m) != "" {
		m.SetLid(mapi.PidLidIsRecurring, mapi.Boolean(c.Get("RRULE") != nil || c.Get("RECURRENCE-ID") != nil))
	}
}

// asked is how the mailbox's owner has answered to a meeting of somebody else, and whether it is one.
func (in *importer) asked(c *ical.Component) (answer response, asked bool) {
	organizer := c.Get("ORGANIZER")
	if organizer == nil || len(in.Own) == 0 {
		return respNone, false
	}
	if who, ok := personIn(organizer); !ok || in.owns(who.address) {
		return respNone, false
	}
	for _, l := range c.All("ATTENDEE") {
		if who, ok := personIn(l); ok && in.owns(who.address) {
			if answer := responses[strings.ToUpper(l.Param("PARTSTAT"))]; answer != respNone {
				return answer, true
			}
			return respWaiting, true
		}
	}
	return respNone, true
}

func (in *importer) owns(address string) bool {
	return slices.ContainsFunc(in.Own, func(own string) bool { return strings.EqualFold(own, address) })
}

// setLists sets what is in lines of their own.
func setLists(m *object.Message, c *ical.Component) {
	var contacts mapi.Strings
	for _, l := range c.All("CONTACT") {
		contacts = append(contacts, object.Clean(contentline.Unescape(l.Value)))
	}
	if len(contacts) > 0 {
		m.SetLid(mapi.PidLidContacts, contacts)
	}
}

// event writes an appointment.
func (x *exporter) event() {
	m := x.m
	x.c.PutText("UID", uidOfMessage(m))
	x.occurrence()
	x.stamp()
	x.span()
	x.common()
	x.c.PutText("LOCATION", m.LidText(mapi.PidLidLocation))
	if n, ok := m.LidInt(mapi.PidLidAppointmentSequence); ok {
		x.c.Put("SEQUENCE", strconv.Itoa(int(n)))
	}
	x.busy()
	x.people()
	x.lists()
	x.reminder()
}

// occurrence writes RECURRENCE-ID of an exception that stands by itself.
func (x *exporter) occurrence() {
	at, ok := x.m.LidTime(mapi.PidLidExceptionReplaceTime)
	if !ok || !x.m.LidBool(mapi.PidLidIsException) {
		return
	}
	if x.m.LidBool(mapi.PidLidAppointmentSubType) {
		x.putTime("RECURRENCE-ID", x.zone.day(at.Time()))
		return
	}
	x.putTime("RECURRENCE-ID", x.zone.value(at.Time()))
}

// stamp writes DTSTAMP, which every component has.
func (x *exporter) stamp() {
	critical, name, other := criticalChanges(methodOf(x.m))
	x.moment(name, x.m.Lid(other))
	for _, v := range []mapi.Value{x.m.Lid(critical), x.m.Bag.Get(mapi.PidTagLastModificationTime), x.m.Bag.Get(mapi.PidTagCreationTime)} {
		if at, ok := v.(mapi.FileTime); ok && at != 0 {
			x.moment("DTSTAMP", at)
			return
		}
	}
	x.c.Put("DTSTAMP", noStamp)
}

// busy writes TRANSP, which says free or not, and what more there is to say. Of a request it says what is intended.
func (x *exporter) busy() {
	n, ok := x.m.LidInt(mapi.PidLidBusyStatus)
	intended, isIntended := x.m.LidInt(mapi.PidLidIntendedBusyStatus)
	isIntended = isIntended && intended >= 0 && int(intended) < len(busyWords)
	if ok && n >= 0 && int(n) < len(busyWords) {
		shown := n
		if isIntended && methodOf(x.m) == "REQUEST" {
			shown = intended
		}
		transparency := "OPAQUE"
		if shown == busyFree {
			transparency = "TRANSPARENT"
		}
		x.c.Put("TRANSP", transparency)
		if n != shown || n != busyFree && n != busyBusy {
			x.c.Put("X-MICROSOFT-CDO-BUSYSTATUS", busyWords[n])
		}
	}
	if isIntended {
		x.c.Put("X-MICROSOFT-CDO-INTENDEDSTATUS", busyWords[intended])
	}
	if flags, _ := x.m.LidInt(mapi.PidLidAppointmentStateFlags); flags&stateCanceled != 0 {
		x.c.Put("STATUS", "CANCELLED")
	}
}

func (x *exporter) lists() {
	m := x.m
	if contacts, ok := m.Lid(mapi.PidLidContacts).(mapi.Strings); ok {
		for _, name := range contacts {
			x.c.PutText("CONTACT", name)
		}
	}
	if n, ok := m.Int(mapi.PidTagOwnerAppointmentId); ok {
		x.c.Put("X-MICROSOFT-CDO-OWNERAPPTID", strconv.Itoa(int(n)))
	}
	x.nonSendable()
	x.direct()
}
