package store

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/convert/oxcical"
	"github.com/flotilla-mail/flotilla/internal/convert/oxcmsg"
	mailflow "github.com/flotilla-mail/flotilla/internal/mailflow/deliver"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// calendarOf is the message that a calendar of one event is, an hour long, so many days from now.
func (b *box) calendarOf(method, uid string, days int, people ...string) (exmdb.MessageContent, *oxcmsg.Names) {
	b.t.Helper()
	at := b.now.UTC().AddDate(0, 0, days).Truncate(time.Hour)
	const stamp = "20060102T150405Z"
	cal, err := oxcical.Parse(fmt.Appendf(nil, "BEGIN:VCALENDAR\r\n%sBEGIN:VEVENT\r\nUID:%s\r\nDTSTART:%s\r\nDTEND:%s\r\nSUMMARY:%[2]s\r\n"+
		"%[5]s\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n", method, uid, at.Format(stamp), at.Add(time.Hour).Format(stamp), strings.Join(people, "\r\n")))
	if err != nil {
		b.t.Fatal(err)
	}
	list, err := oxcical.Importer{}.Import(cal)
	if err != nil {
		b.t.Fatal(err)
	}
	names := new(oxcmsg.Names)
	return list[0].Content(names), names
}

// meetingMail is the delivery of a mail about a meeting, from somebody.
func (b *box) meetingMail(from, method, uid string, days int, people ...string) *exmdb.DeliverRequest {
	b.t.Helper()
	q := b.incomingMail("")
	meeting, names := b.calendarOf("METHOD:"+method+"\r\n", uid, days, people...)
	from, sentBy, _ := strings.Cut(from, " by ")
	var bag mapi.PropBag
	bag.Set(mapi.PidTagMessageClass, meeting.Props.Get(mapi.PidTagMessageClass))
	bag.Set(mapi.PidTagSentRepresentingSmtpAddress, mapi.String(from))
	if sentBy != "" {
		bag.Set(mapi.PidTagSenderSmtpAddress, mapi.String(sentBy))
	}
	q.Message.Props = bag.AppendWire(nil)
	q.Message.Converted = &exmdb.Conversion{Names: names.List(), Meeting: &meeting}
	q.Sender = from
	q.About = exmdb.Circumstances{Own: []string{"a@example.test"}, Name: "A", Internal: true, Meetings: exmdb.MeetingsEntered}
	return q
}

const organizerO, attendeeA = "ORGANIZER:mailto:o@example.test", "ATTENDEE:mailto:a@example.test"

// invitation is the delivery of a mail from the organizer.
func (b *box) invitation(method, uid string, days int) *exmdb.DeliverRequest {
	b.t.Helper()
	return b.meetingMail("o@example.test", method, uid, days, organizerO, attendeeA)
}

// appointments are the subjects in the calendar.
func (b *box) appointments() (subjects []string) {
	b.t.Helper()
	b.view(func(v *view) error {
		return v.eachAppointment(nil, func(_ *message, bag *mapi.PropBag) (bool, error) {
			subjects = append(subjects, textOf(bag, mapi.PidTagNormalizedSubject))
			return true, nil
		})
	})
	return subjects
}

func (b *box) wantAppointments(subjects ...string) {
	b.t.Helper()
	if got := b.appointments(); !slices.Equal(got, subjects) {
		b.t.Errorf("there is %q, want %q", got, subjects)
	}
}

func TestTheCalendarIsLeftAlone(t *testing.T) {
	b := newBox(t, 0)
	call(b, exmdb.OpSetJunk, &exmdb.SetJunkRequest{Add: []exmdb.JunkEntry{{List: exmdb.JunkBlocked, Entry: "o@example.test"}}})
	call(b, exmdb.OpDeliver, b.invitation("REQUEST", "junk", 1))
	call(b, exmdb.OpSetJunk, &exmdb.SetJunkRequest{Clear: []exmdb.JunkList{exmdb.JunkBlocked}})
	for name, change := range map[string]func(q *exmdb.DeliverRequest){
		"left":      func(q *exmdb.DeliverRequest) { q.About.Meetings = exmdb.MeetingsLeft },
		"delegated": func(q *exmdb.DeliverRequest) { q.About.Delegator = &exmdb.KnownAddress{Address: "x@example.test"} },
		"own":       func(q *exmdb.DeliverRequest) { q.About.Own = []string{"O@example.test"} },
		"mail":      func(q *exmdb.DeliverRequest) { q.Message.Converted.Meeting = nil },
		"nameless":  func(q *exmdb.DeliverRequest) { q.Message.Converted.Names = nil },
	} {
		q := b.invitation("REQUEST", name, 1)
		change(q)
		call(b, exmdb.OpDeliver, q)
	}
	for _, method := range []string{"CANCEL", "REPLY", "COUNTER"} {
		call(b, exmdb.OpDeliver, b.invitation(method, "unknown", 1))
	}
	b.wantAppointments()
	call(b, exmdb.OpDeliver, b.invitation("REQUEST", "plans", 1))
	b.wantAppointments("plans")
}

// looks is the one appointment of the calendar: days until it begins, what stands in front of its subject, what attendees have answered;
// nothing where there is none.
func (b *box) looks() (s string) {
	b.t.Helper()
	b.view(func(v *view) error {
		return v.eachAppointment(nil, func(m *message, _ *mapi.PropBag) (bool, error) {
			a, err := v.appointment(m)
			if err != nil {
				return false, err
			}
			start, _ := a.LidTime(mapi.PidLidAppointmentStartWhole)
			s += fmt.Sprint(int(start.Time().Sub(b.now.UTC().Truncate(time.Hour)).Hours()/24), a.Text(mapi.PidTagSubjectPrefix))
			for i := range a.Recipients {
				s += fmt.Sprint(" ", a.Recipients[i].Get(mapi.PidTagRecipientTrackStatus))
			}
			return true, nil
		})
	})
	return s
}

// What a mail says of a meeting counts when it is from who may say it: the organizer or whom he has named, or the attendee
// who answers. Any other mail stays one, and the calendar as it was.
func TestWhoChangesTheCalendar(t *testing.T) {
	const o, eve, secretary = "o@example.test", "eve@example.test", "s@example.test"
	sentBy := func(address string) string { return `ORGANIZER;SENT-BY="mailto:` + address + `":mailto:o@example.test` }
	for name, c := range map[string]struct {
		first    []string // who the first request is from, and its organizer; none without
		from     string
		says     string // the line of the organizer
		changes  bool
		newAlone bool // it is no change of what is there
	}{
		"the organizer":                        {nil, o, organizerO, true, false},
		"in other letters":                     {nil, "O@Example.TEST", organizerO, true, false},
		"his mail by another":                  {nil, o + " by " + eve, organizerO, true, false},
		"the sender, for others":               {nil, eve + " by " + o, organizerO, true, false},
		"somebody":                             {nil, eve, organizerO, false, false},
		"nobody":                               {nil, "", organizerO, false, false},
		"an address that begins like his":      {nil, o + ".evil.test", organizerO, false, false},
		"somebody else than who is named":      {nil, eve, sentBy(secretary), false, false},
		"who is named":                         {nil, secretary, sentBy(secretary), true, true},
		"who was named":                        {[]string{secretary, sentBy(secretary)}, secretary, organizerO, true, false},
		"who was named, by another's mail":     {[]string{secretary, sentBy(secretary)}, eve + " by " + secretary, organizerO, true, false},
		"the organizer, who has named another": {[]string{secretary, sentBy(secretary)}, o, organizerO, true, false},
		"who names himself":                    {[]string{o, organizerO}, eve, sentBy(eve), false, false},
		"another organizer":                    {[]string{o, organizerO}, eve, "ORGANIZER:mailto:" + eve, false, false},
	} {
		for _, method := range []string{"", "REQUEST", "CANCEL"} { // a new one, an update, a cancellation
			b := newBox(t, 0)
			want, before := "2 0", "1 0"
			switch {
			case method == "" && c.first != nil:
				continue
			case method == "":
				method, before = "REQUEST", ""
			case c.first == nil:
				call(b, exmdb.OpDeliver, b.meetingMail(o, "REQUEST", "u", 1, organizerO, attendeeA))
			default:
				call(b, exmdb.OpDeliver, b.meetingMail(c.first[0], "REQUEST", "u", 1, c.first[1], attendeeA))
			}
			if method == "CANCEL" {
				want = "1Canceled:  0"
			}
			if !c.changes || c.newAlone && before != "" {
				want = before
			}
			mails := call(b, exmdb.OpMailboxInfo, &exmdb.Empty{}).Messages
			call(b, exmdb.OpDeliver, b.meetingMail(c.from, method, "u", 2, c.says, attendeeA, "SEQUENCE:1"))
			if got := b.looks(); got != want {
				t.Errorf("%s: %s leaves %q, want %q", name, method, got, want)
			}
			if now := call(b, exmdb.OpMailboxInfo, &exmdb.Empty{}).Messages; now <= mails {
				t.Errorf("%s: %s is not delivered", name, method)
			}
		}
	}
}

// floating is the delivery of a request whose times name no zone, to a mailbox with one.
func (b *box) floating(zone, times string) *exmdb.DeliverRequest {
	b.t.Helper()
	text := "BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nBEGIN:VEVENT\r\nUID:u\r\n" + times + organizerO + "\r\n" + attendeeA + "\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
	m, err := mailflow.Short([]byte("From: o@example.test\r\nSubject: plans\r\nContent-Type: text/calendar; method=REQUEST\r\n\r\n" + text))
	if err != nil {
		b.t.Fatal(err)
	}
	q := b.invitation("REQUEST", "u", 1)
	q.Message, q.About.Zone = m, zone
	return q
}

// lid is a named property of a message.
func (b *box) lid(id mapi.MID, n mapi.NamedProperty) mapi.Value {
	b.t.Helper()
	r := call(b, exmdb.OpReadMessage, &exmdb.ReadMessageRequest{Object: mid(id), Names: true})
	for _, x := range r.Names {
		if x.Name == n.PropertyName.Canonical() {
			return r.Content.Props.Get(n.Tag(x.ID))
		}
	}
	return nil
}

// Times that name no zone are on the clock of whoever gets the mail, in his calendar and in the message about it.
func TestTimesWithoutZone(t *testing.T) {
	const noon, day = "DTSTART:20270710T120000\r\nDTEND:20270710T130000\r\n", "DTSTART;VALUE=DATE:20270710\r\n"
	weekly := "DTSTART:20271020T120000\r\nDTEND:20271020T130000\r\nRRULE:FREQ=WEEKLY;COUNT=3\r\n" // the clock goes back on the 31st
	for name, c := range map[string]struct {
		zone, times string
		starts      []string
	}{
		"no zone":                        {"", noon, []string{"2027-07-10T12:00:00Z"}},
		"UTC":                            {"UTC", noon, []string{"2027-07-10T12:00:00Z"}},
		"east":                           {"Europe/Berlin", noon, []string{"2027-07-10T10:00:00Z"}},
		"west":                           {"America/New_York", noon, []string{"2027-07-10T16:00:00Z"}},
		"by Windows' name":               {"W. Europe Standard Time", noon, []string{"2027-07-10T10:00:00Z"}},
		"a zone that nobody knows":       {"Europe/Nowhere", noon, []string{"2027-07-10T12:00:00Z"}},
		"a day":                          {"Europe/Berlin", day, []string{"2027-07-09T22:00:00Z"}},
		"a day without zone":             {"", day, []string{"2027-07-10T00:00:00Z"}},
		"a series":                       {"Europe/Berlin", weekly, []string{"2027-10-20T10:00:00Z", "2027-10-27T10:00:00Z", "2027-11-03T11:00:00Z"}},
		"what says that it is UTC":       {"Europe/Berlin", "DTSTART:20270710T120000Z\r\n", []string{"2027-07-10T12:00:00Z"}},
		"what has a zone":                {"Europe/Berlin", "DTSTART;TZID=Asia/Tokyo:20270710T120000\r\n", []string{"2027-07-10T03:00:00Z"}},
		"what has one that nobody knows": {"Europe/Berlin", "DTSTART;TZID=Nowhere:20270710T120000\r\n", []string{"2027-07-10T10:00:00Z"}},
	} {
		b := newBox(t, 0)
		made := call(b, exmdb.OpDeliver, b.floating(c.zone, c.times))
		var starts []string
		b.view(func(v *view) error {
			return v.eachAppointment(nil, func(m *message, _ *mapi.PropBag) (bool, error) {
				a, err := v.appointment(m)
				if err != nil {
					return false, err
				}
				spans, _, _ := oxcical.Occurrences(a.Message, time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2028, 1, 1, 0, 0, 0, 0, time.UTC))
				for i := range spans {
					starts = append(starts, spans[i].Start.UTC().Format(time.RFC3339))
				}
				return true, nil
			})
		})
		if !slices.Equal(starts, c.starts) {
			t.Errorf("%s: begins %q, want %q", name, starts, c.starts)
		}
		at, _ := b.prop(mid(made.MID), mapi.PidTagStartDate).(mapi.FileTime)
		named, _ := b.lid(made.MID, mapi.PidLidAppointmentStartWhole).(mapi.FileTime)
		if got := at.Time().UTC().Format(time.RFC3339); got != c.starts[0] || named != at {
			t.Errorf("%s: the message says %s and %v, want %s", name, got, named, c.starts[0])
		}
		b.audit(name)
	}
}

// What cannot be read again is as it came.
func TestCalendarsThatCannotBeReadAgain(t *testing.T) {
	for name, change := range map[string]func(c *exmdb.Conversion){
		"no calendar":    func(c *exmdb.Conversion) { c.Floating = []byte("x") },
		"no meeting":     func(c *exmdb.Conversion) { c.Floating = []byte("BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n") },
		"no text":        func(c *exmdb.Conversion) { c.Floating = nil },
		"one name twice": func(c *exmdb.Conversion) { c.Names = append(c.Names, c.Names[0]) },
	} {
		b := newBox(t, 0)
		q := b.floating("Europe/Berlin", "DTSTART:20270710T120000\r\n")
		change(q.Message.Converted)
		made := call(b, exmdb.OpDeliver, q)
		if at, _ := b.prop(mid(made.MID), mapi.PidTagStartDate).(mapi.FileTime); at.Time().UTC().Hour() != 12 {
			t.Errorf("%s: begins %v", name, at.Time())
		}
		if n := len(b.appointments()); n != 1 {
			t.Errorf("%s: %d appointments", name, n)
		}
	}
}

// An answer is that of the attendee whom From names.
func TestWhoAnswers(t *testing.T) {
	const own, asked = "ORGANIZER:mailto:a@example.test", "ATTENDEE:mailto:b@example.test"
	for from, counts := range map[string]bool{"b@example.test": true, "B@EXAMPLE.test": true, "b@example.test by d@example.test": true,
		"eve@example.test": false, "eve@example.test by b@example.test": false, "a@example.test": false, "": false} {
		for _, method := range []string{"REPLY", "COUNTER"} {
			b := newBox(t, 0)
			c, names := b.calendarOf("", "u", 1, own, asked)
			call(b, exmdb.OpCreateMessage, &exmdb.CreateMessageRequest{Folder: schema.Calendar, Payload: exmdb.Payload{Names: names.List()},
				Message: exmdb.MessageEdit{Set: c.Props, ReplaceRecipients: true, Recipients: c.Recipients}})
			before, want := b.looks(), "1 2"
			if method == "REPLY" {
				want = "1 3"
			}
			if !counts {
				want = before
			}
			call(b, exmdb.OpDeliver, b.meetingMail(from, method, "u", 1, own, "ATTENDEE;PARTSTAT=ACCEPTED:mailto:b@example.test"))
			if got := b.looks(); got != want || before == "" {
				t.Errorf("%s of %q leaves %q, want %q", method, from, got, want)
			}
		}
	}
}

// A mailbox that has room for the mail has it for the appointment.
func TestAnAppointmentAlwaysHasRoom(t *testing.T) {
	measured := newBox(t, 0)
	call(measured, exmdb.OpDeliver, measured.invitation("REQUEST", "plans", 1))
	used := call(measured, exmdb.OpMailboxInfo, &exmdb.Empty{}).Used
	b := newBox(t, used-1)
	call(b, exmdb.OpDeliver, b.invitation("REQUEST", "plans", 1))
	b.wantAppointments("plans")
}

// An appointment that is deleted comes back with the next request, and one elsewhere is none of the calendar.
func TestDeletedAppointments(t *testing.T) {
	b := newBox(t, 0)
	call(b, exmdb.OpDeliver, b.invitation("REQUEST", "plans", 1))
	var all []mapi.MID
	for _, row := range call(b, exmdb.OpRows, &exmdb.RowsRequest{Folder: schema.Calendar, Fields: exmdb.RowMeta}).Rows {
		all = append(all, row.MID)
	}
	call(b, exmdb.OpDeleteMessages, &exmdb.DeleteMessagesRequest{Folder: schema.Calendar, Messages: all})
	call(b, exmdb.OpDeliver, b.invitation("CANCEL", "plans", 1))
	b.wantAppointments()
	call(b, exmdb.OpDeliver, b.invitation("REQUEST", "plans", 2))
	b.wantAppointments("plans")
}

// BenchmarkRoom asks for a room whose calendar has a thousand appointments: nothing of them is indexed.
func BenchmarkRoom(b *testing.B) {
	x := newBox(b, 0)
	for i := range 1000 {
		call(x, exmdb.OpDeliver, x.invitation("REQUEST", fmt.Sprint("m", i), i%170))
	}
	q := x.invitation("REQUEST", "m0", 171)
	q.About.Meetings = exmdb.MeetingsDecided
	for n := 0; b.Loop(); n++ {
		q.Message.Converted.Meeting = x.invitation("REQUEST", fmt.Sprint("new", n), 171).Message.Converted.Meeting
		call(x, exmdb.OpDeliver, q)
	}
}
