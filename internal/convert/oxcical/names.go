package oxcical

import (
	"strconv"
	"strings"
	"time"

	"github.com/flotilla-mail/flotilla/internal/convert/object"
	"github.com/flotilla-mail/flotilla/internal/formats/contentline"
	"github.com/flotilla-mail/flotilla/internal/formats/ical"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// directLine is a line that says one property of an event, which says nothing else.
type directLine struct {
	name string
	lid  mapi.NamedProperty
	// uri values have no escapes.
	uri bool
}

// direct are the lines of MS-OXCICAL 2.1.3.1.1.20.37, .38, and .46 to .58, in its order. The type of the property is that of
// the value.
var direct = []directLine{
	{name: "X-MICROSOFT-CDO-REPLYTIME", lid: mapi.PidLidAppointmentReplyTime},
	{name: "X-MICROSOFT-DISALLOW-COUNTER", lid: mapi.PidLidAppointmentNotAllowPropose},
	{name: "X-MS-OLK-ALLOWEXTERNCHECK", lid: mapi.PidLidAllowExternalCheck},
	{name: "X-MS-OLK-APPTLASTSEQUENCE", lid: mapi.PidLidAppointmentLastSequence},
	{name: "X-MS-OLK-APPTSEQTIME", lid: mapi.PidLidAppointmentSequenceTime},
	{name: "X-MS-OLK-AUTOFILLLOCATION", lid: mapi.PidLidAutoFillLocation},
	{name: "X-MS-OLK-AUTOSTARTCHECK", lid: mapi.PidLidAutoStartCheck},
	{name: "X-MS-OLK-COLLABORATEDOC", lid: mapi.PidLidCollaborateDoc},
	{name: "X-MS-OLK-CONFCHECK", lid: mapi.PidLidConferencingCheck},
	{name: "X-MS-OLK-CONFTYPE", lid: mapi.PidLidConferencingType},
	{name: "X-MS-OLK-DIRECTORY", lid: mapi.PidLidDirectory},
	{name: "X-MS-OLK-MWSURL", lid: mapi.PidLidMeetingWorkspaceUrl, uri: true},
	{name: "X-MS-OLK-NETSHOWURL", lid: mapi.PidLidNetShowUrl, uri: true},
	{name: "X-MS-OLK-ONLINEPASSWORD", lid: mapi.PidLidOnlinePassword},
	{name: "X-MS-OLK-ORGALIAS", lid: mapi.PidLidOrganizerAlias},
}

// direct sets the properties of the direct lines.
func (in *importer) direct(m *object.Message, c *ical.Component) {
	for _, d := range direct {
		value := c.Value(d.name)
		switch d.lid.Type {
		case mapi.TypeBoolean:
			if yes, no := strings.EqualFold(value, "TRUE"), strings.EqualFold(value, "FALSE"); yes || no {
				m.SetLid(d.lid, mapi.Boolean(yes))
			}
		case mapi.TypeInteger32:
			if n, err := strconv.ParseInt(value, 10, 32); err == nil {
				m.SetLid(d.lid, mapi.Integer32(n))
			}
		case mapi.TypeTime:
			if at, ok := in.moment(c, d.name); ok {
				m.SetLid(d.lid, at)
			}
		default:
			if !d.uri {
				value = c.Text(d.name)
			}
			m.SetLidText(d.lid, value)
		}
	}
}

// direct writes the direct lines.
func (x *exporter) direct() {
	for _, d := range direct {
		switch v := x.m.Lid(d.lid).(type) {
		case mapi.Boolean:
			x.c.Put(d.name, strings.ToUpper(strconv.FormatBool(bool(v))))
		case mapi.Integer32:
			x.c.Put(d.name, strconv.Itoa(int(v)))
		case mapi.FileTime:
			x.moment(d.name, v)
		case mapi.String:
			if d.uri && v != "" {
				x.c.Put(d.name, string(v))
			} else {
				x.c.PutText(d.name, string(v))
			}
		}
	}
}

// firstOf is the value of the first of the names that has one: the older programs' name for a thing stands behind the newer's.
func firstOf(c *ical.Component, names ...string) string {
	for _, name := range names {
		if value := c.Value(name); value != "" {
			return value
		}
	}
	return ""
}

// criticalChanges are the lines beside DTSTAMP that say when organizer and attendee last changed a meeting; DTSTAMP is one of
// the two itself, by method (MS-OXCICAL 2.1.3.1.1.20.9, .30, .36).
func criticalChanges(method string) (stamp mapi.NamedProperty, name string, other mapi.NamedProperty) {
	if isReply(method) {
		return mapi.PidLidAttendeeCriticalChange, "X-MICROSOFT-CDO-OWNER-CRITICAL-CHANGE", mapi.PidLidOwnerCriticalChange
	}
	return mapi.PidLidOwnerCriticalChange, "X-MICROSOFT-CDO-ATTENDEE-CRITICAL-CHANGE", mapi.PidLidAttendeeCriticalChange
}

const (
	originalStart = "X-MS-OLK-ORIGINALSTART"
	originalEnd   = "X-MS-OLK-ORIGINALEND"
)

// counter sets what a counter proposal says: its times are the proposed ones, those that the meeting has stand in lines of their
// own, where they are said (MS-OXCICAL 2.1.3.1.1.20.59, .60). It returns the times of the meeting.
func (in *importer) counter(m *object.Message, c *ical.Component, s span) span {
	m.SetLid(mapi.PidLidAppointmentProposedStartWhole, mapi.FileTimeOf(s.start))
	m.SetLid(mapi.PidLidAppointmentProposedEndWhole, mapi.FileTimeOf(s.end))
	was := s
	from, begins := in.original(c, originalStart, s.day)
	to, ends := in.original(c, originalEnd, s.day)
	if was.start, was.end = from, to; !begins || !ends || to.Before(from) {
		return s
	}
	setSpan(m, was)
	return was
}

// original is one of the times that a meeting had.
func (in *importer) original(c *ical.Component, name string, day bool) (time.Time, bool) {
	l := c.Get(name)
	if l == nil {
		return time.Time{}, false
	}
	d, err := ical.DateTimeOf(l)
	if err != nil || d.Day != day {
		return time.Time{}, false
	}
	return in.zones.in(d)
}

// counter writes the times of a counter proposal, and reports whether it has any of its own.
func (x *exporter) counter() bool {
	start, starts := x.m.LidTime(mapi.PidLidAppointmentProposedStartWhole)
	end, ends := x.m.LidTime(mapi.PidLidAppointmentProposedEndWhole)
	if methodOf(x.m) != "COUNTER" || !starts || !ends {
		return false
	}
	x.times("DTSTART", "DTEND", start, end)
	was, said := x.m.LidTime(mapi.PidLidAppointmentStartWhole)
	until, ended := x.m.LidTime(mapi.PidLidAppointmentEndWhole)
	if said && ended && (was != start || until != end) {
		x.times(originalStart, originalEnd, was, until)
	}
	return true
}

// nonSendable are resources that nobody writes to: MAPI has their names in one string (MS-OXCICAL 2.1.3.1.1.20.21).
func nonSendable(m *object.Message, c *ical.Component) {
	var names []string
	for _, l := range c.All("RESOURCES") {
		for _, name := range contentline.Texts(l.Value, ',') {
			if name = strings.TrimSpace(object.Clean(name)); name != "" {
				names = append(names, name)
			}
		}
	}
	m.SetLidText(mapi.PidLidNonSendableBcc, strings.Join(names, "; "))
}

func (x *exporter) nonSendable() {
	if names := x.m.LidText(mapi.PidLidNonSendableBcc); names != "" {
		x.c.Put("RESOURCES", contentline.Join(strings.Split(names, "; "), ","))
	}
}
