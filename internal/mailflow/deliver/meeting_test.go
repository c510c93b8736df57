package deliver

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/auth"
	"github.com/flotilla-mail/flotilla/internal/convert/object"
	"github.com/flotilla-mail/flotilla/internal/convert/oxcmsg"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/testkit/mails"
)

// invitation is a mail with a calendar.
func invitation(method, more string) string {
	return "From: o@example.test\r\nSubject: Re: Plans\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nSee you\r\n" +
		"--b\r\nContent-Type: text/calendar; method=" + method + "\r\n\r\nBEGIN:VCALENDAR\r\nMETHOD:" + method + "\r\nBEGIN:VEVENT\r\nUID:u\r\nDTSTART:20270301T100000Z\r\n" +
		"SUMMARY:Plans\r\nDESCRIPTION:another text\r\nCATEGORIES:c\r\nORGANIZER:mailto:o@example.test\r\n" + more + "END:VEVENT\r\nEND:VCALENDAR\r\n--b--\r\n"
}

// A mail about a meeting is a message about it; text, subject, attachments and octets are the mail's.
func TestMailAboutMeetings(t *testing.T) {
	for method, want := range map[string]string{"REQUEST": "IPM.Schedule.Meeting.Request", "CANCEL": "IPM.Schedule.Meeting.Canceled",
		"REPLY": "IPM.Schedule.Meeting.Resp.Pos", "COUNTER": "IPM.Schedule.Meeting.Resp.Tent", "PUBLISH": "", "ADD": ""} {
		octets := invitation(method, "ATTENDEE;PARTSTAT=ACCEPTED:mailto:a@example.test\r\n")
		m, err := Short([]byte(octets))
		if err != nil {
			t.Fatal(err)
		}
		var bag mapi.PropBag
		if err := bag.UnmarshalWire(m.Props); err != nil {
			t.Fatal(err)
		}
		class, _ := bag.Get(mapi.PidTagMessageClass).(mapi.String)
		if string(class) != want || bag.Get(mapi.PidTagBody) != mapi.String("See you") || bag.Get(mapi.PidTagNormalizedSubject) != mapi.String("Plans") ||
			len(m.Converted.Attachments) != 1 || m.Recipe.Size() != uint64(len(octets)) || m.Converted.Recipients != nil {
			t.Errorf("%s: class %q, %+v", method, class, bag.All())
		}
		if (m.Converted.Meeting != nil) != (want != "") {
			t.Errorf("%s: a meeting beside it: %+v", method, m.Converted.Meeting)
		}
		var names oxcmsg.Names
		for _, n := range m.Converted.Names {
			names.ID(n)
		}
		id, _ := names.Get(&bag, mapi.PidLidGlobalObjectId).(mapi.Binary)
		if (len(id) > 0) != (want != "") || names.Get(&bag, mapi.PidNameKeywords) != nil {
			t.Errorf("%s: id %x", method, id)
		}
		if c := m.Converted.Meeting; c != nil && c.Props.Get(mapi.PidTagBody) != mapi.String("See you") {
			t.Errorf("%s: the meeting's text is %v", method, c.Props.Get(mapi.PidTagBody))
		}
	}
}

// The calendar goes along where times in it name no zone, for the mailbox to read it in its own; what is for one
// user of a zone is read there at once.
func TestCalendarsThatFloat(t *testing.T) {
	start := func(times string) string {
		return strings.Replace(invitation("REQUEST", ""), "DTSTART:20270301T100000Z", times, 1)
	}
	const rules = "BEGIN:VTIMEZONE\r\nTZID:Mine\r\nBEGIN:STANDARD\r\nDTSTART:19700101T000000\r\nTZOFFSETFROM:+0300\r\nTZOFFSETTO:+0300\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\nBEGIN:VEVENT"
	for name, c := range map[string]struct {
		octets string
		floats bool
		hour   int // in Berlin
	}{
		"in UTC":          {start("DTSTART:20270301T100000Z"), false, 10},
		"in a zone":       {start("DTSTART;TZID=America/New_York:20270301T100000"), false, 15},
		"in UTC by name":  {start("DTSTART;TZID=UTC:20270301T100000"), false, 10},
		"by its rules":    {strings.Replace(start("DTSTART;TZID=Mine:20270301T100000"), "BEGIN:VEVENT", rules, 1), false, 7},
		"without":         {start("DTSTART:20270301T100000"), true, 9},
		"nobody knows it": {start("DTSTART;TZID=Nowhere:20270301T100000"), true, 9},
		"a day":           {start("DTSTART;VALUE=DATE:20270301"), true, 23},
		"too long":        {start("DTSTART:20270301T100000\r\n" + strings.Repeat("X-MORE:"+strings.Repeat("x", 60)+"\r\n", 5000)), false, 9},
		"no meeting":      {strings.ReplaceAll(start("DTSTART:20270301T100000"), "REQUEST", "PUBLISH"), false, -1},
	} {
		m, err := Short([]byte(c.octets))
		if err != nil {
			t.Fatal(err)
		}
		if got := m.Converted.Floating; (got != nil) != c.floats || c.floats && !strings.Contains(string(got), "UID:u\r\n") {
			t.Errorf("%s: %q goes along", name, got)
		}
		d := &Deliverer{Caller: swallow{}, Spool: t.TempDir(), Limit: 1 << 20}
		if m, err = d.Ingest(t.Context(), &auth.Principal{Mailbox: mapi.MailboxID{1}, Zone: "Europe/Berlin"}, strings.NewReader(c.octets), 0); err != nil {
			t.Fatal(err)
		}
		var bag mapi.PropBag
		if err := bag.UnmarshalWire(m.Props); err != nil {
			t.Fatal(err)
		}
		at, there := bag.Get(mapi.PidTagStartDate).(mapi.FileTime)
		if there != (c.hour >= 0) || there && at.Time().UTC().Hour() != c.hour || m.Converted.Floating != nil {
			t.Errorf("%s: in Berlin it begins %v", name, at.Time().UTC())
		}
	}
}

// What cannot be read as a meeting, or is too long for one, is mail with a file.
func TestMailAboutNoMeeting(t *testing.T) {
	many := strings.Builder{}
	for i := range 4000 {
		fmt.Fprintf(&many, "ATTENDEE;CN=Somebody Number %d:mailto:a%d@example.test\r\n", i, i)
	}
	for name, octets := range map[string]string{
		"broken":   strings.Replace(invitation("REQUEST", ""), "BEGIN:VEVENT", "BEGIN:VEVEN", 1),
		"empty":    strings.Replace(invitation("REQUEST", ""), "VEVENT", "VTODAY", 2),
		"too long": invitation("REQUEST", many.String()),
		"a report": strings.Replace(invitation("REQUEST", ""), "multipart/alternative", "multipart/report; report-type=delivery-status", 1),
	} {
		m, err := Short([]byte(octets))
		if err != nil || m.Converted.Meeting != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A meeting in TNEF is the one that its calendar would be, with its series, clock and reminder; what the message itself says
// stays.
func TestMeetingsInTNEF(t *testing.T) {
	const zone = "BEGIN:VTIMEZONE\r\nTZID:Europe/Berlin\r\nEND:VTIMEZONE\r\nBEGIN:VEVENT"
	series := strings.Replace(invitation("REQUEST", "DTEND;TZID=Europe/Berlin:20270301T103000\r\nRRULE:FREQ=WEEKLY;COUNT=5\r\nEXDATE;TZID=Europe/Berlin:20270308T093000\r\n"+
		"ATTENDEE;RSVP=TRUE:mailto:a@example.test\r\nBEGIN:VALARM\r\nACTION:DISPLAY\r\nTRIGGER:-PT25M\r\nEND:VALARM\r\nEND:VEVENT\r\n"+
		"BEGIN:VEVENT\r\nUID:u\r\nRECURRENCE-ID;TZID=Europe/Berlin:20270315T093000\r\nDTSTART;TZID=Europe/Berlin:20270316T110000\r\nDTEND;TZID=Europe/Berlin:20270316T120000\r\n"+
		"ORGANIZER:mailto:o@example.test\r\nSUMMARY:Moved\r\nDESCRIPTION:another text\r\n"), "DTSTART:20270301T100000Z", "DTSTART;TZID=Europe/Berlin:20270301T093000", 1)
	same := []mapi.NamedProperty{mapi.PidLidAppointmentStartWhole, mapi.PidLidAppointmentEndWhole, mapi.PidLidAppointmentRecur, mapi.PidLidRecurring,
		mapi.PidLidReminderSet, mapi.PidLidReminderDelta, mapi.PidLidGlobalObjectId, mapi.PidLidAppointmentSequence, mapi.PidLidTimeZoneStruct,
		mapi.PidLidAppointmentSubType, mapi.PidLidAppointmentCounterProposal}
	for name, octets := range map[string]string{
		"request": invitation("REQUEST", "ATTENDEE:mailto:a@example.test\r\n"), "series": strings.Replace(series, "BEGIN:VEVENT", zone, 1),
		"cancel": invitation("CANCEL", ""), "reply": invitation("REPLY", "ATTENDEE;PARTSTAT=DECLINED:mailto:o@example.test\r\n"),
		"day": strings.Replace(invitation("REQUEST", ""), "DTSTART:20270301T100000Z", "DTSTART;VALUE=DATE:20270301", 1),
	} {
		want, wantNames := meetingIn(t, octets)
		got, names := meetingIn(t, mails.AsTNEF(t, octets, nil))
		if want == nil || got == nil || got.Meeting == nil {
			t.Errorf("%s: %+v, want %+v", name, got, want)
			continue
		}
		for _, n := range same {
			if a, b := names.Get(&got.Meeting.Props, n), wantNames.Get(&want.Meeting.Props, n); !reflect.DeepEqual(a, b) {
				t.Errorf("%s: %v is %v, want %v", name, n, a, b)
			}
		}
		for _, tag := range []mapi.Tag{mapi.PidTagMessageClass, mapi.PidTagSentRepresentingSmtpAddress, mapi.PidTagStartDate, mapi.PidTagEndDate} {
			if a, b := got.Meeting.Props.Get(tag), want.Meeting.Props.Get(tag); a == nil || a != b {
				t.Errorf("%s: %s is %v, want %v", name, tag.Name(), a, b)
			}
		}
		if len(got.Meeting.Attachments) != len(want.Meeting.Attachments) || (got.Floating != nil) != (want.Floating != nil) {
			t.Errorf("%s: %d exceptions, floats %q", name, len(got.Meeting.Attachments), got.Floating)
		}
	}
}

// meetingIn is what a mail became, with the names in it.
func meetingIn(t *testing.T, octets string) (*exmdb.Conversion, *oxcmsg.Names) {
	t.Helper()
	m, err := Short([]byte(octets))
	if err != nil {
		t.Fatal(err)
	}
	names := &oxcmsg.Names{}
	for _, n := range m.Converted.Names {
		names.ID(n)
	}
	return m.Converted, names
}

// A message in TNEF that says no meeting which anybody could follow is delivered as it is.
func TestNoMeetingsInTNEF(t *testing.T) {
	series := invitation("REQUEST", "RRULE:FREQ=DAILY;COUNT=3\r\n")
	for name, octets := range map[string]string{
		"no id": mails.AsTNEF(t, series, func(m *object.Message) {
			m.DeleteLid(mapi.PidLidGlobalObjectId)
			m.DeleteLid(mapi.PidLidCleanGlobalObjectId)
		}),
		"no rule": mails.AsTNEF(t, series, func(m *object.Message) { m.SetLid(mapi.PidLidAppointmentRecur, mapi.Binary("no rule")) }),
		"long rule": mails.AsTNEF(t, series, func(m *object.Message) {
			m.DeleteLid(mapi.PidLidRecurring)
			m.SetLid(mapi.PidLidAppointmentRecur, append(mapi.Binary(m.LidBinary(mapi.PidLidAppointmentRecur)), make([]byte, mapi.MaxStoredValue)...))
		}),
		"other":      mails.AsTNEF(t, series, func(m *object.Message) { m.SetText(mapi.PidTagMessageClass, "IPM.Schedule.Inquiry") }),
		"appointing": mails.AsTNEF(t, series, func(m *object.Message) { m.SetText(mapi.PidTagMessageClass, "IPM.Appointment") }),
		"broken":     strings.Replace(mails.AsTNEF(t, series, nil), "base64\r\n\r\n", "base64\r\n\r\nAAAA", 1),
	} {
		m, err := Short([]byte(octets))
		if err != nil || m.Converted.Meeting != nil || m.Recipe.Size() != uint64(len(octets)) {
			t.Errorf("%s: %v, %+v", name, err, m.Converted)
		}
	}
	whole := mails.AsTNEF(t, series, nil)
	for n := strings.Index(whole, "\r\n\r\n"); n < len(whole); n += 97 {
		if m, err := Short([]byte(whole[:n])); err != nil || m.Recipe.Size() != uint64(n) {
			t.Fatalf("after %d: %v", n, err)
		}
	}
}

// Of a meeting in TNEF and a calendar beside it TNEF is what the message is; where it says no meeting, or none that anybody could
// follow, it is as if the calendar came alone.
func TestMeetingsInTNEFAndCalendar(t *testing.T) {
	octets := invitation("REQUEST", "LOCATION:calendar\r\nRRULE:FREQ=DAILY;COUNT=3\r\n")
	at := func(m *object.Message) { m.SetLid(mapi.PidLidLocation, mapi.String("TNEF")) }
	for name, c := range map[string]struct {
		octets string
		want   mapi.Value
	}{
		"both": {mails.WithTNEF(t, octets, at), mapi.String("TNEF")},
		"no id": {mails.WithTNEF(t, octets, func(m *object.Message) {
			at(m)
			m.DeleteLid(mapi.PidLidGlobalObjectId)
			m.DeleteLid(mapi.PidLidCleanGlobalObjectId)
		}), mapi.String("calendar")},
		"long rule": {mails.WithTNEF(t, octets, func(m *object.Message) {
			at(m)
			m.SetLid(mapi.PidLidAppointmentRecur, append(mapi.Binary(m.LidBinary(mapi.PidLidAppointmentRecur)), make([]byte, mapi.MaxStoredValue)...))
		}), mapi.String("calendar")},
		"a note":        {mails.WithTNEF(t, octets, func(m *object.Message) { m.SetText(mapi.PidTagMessageClass, "IPM.Note") }), mapi.String("calendar")},
		"a task":        {mails.WithTNEF(t, octets, func(m *object.Message) { m.SetText(mapi.PidTagMessageClass, "IPM.TaskRequest") }), nil},
		"of TNEF alone": {strings.Replace(mails.WithTNEF(t, octets, nil), "--b\r\nContent-Type: text/calendar", "--b\r\nContent-Type: text/other", 1), mapi.String("calendar")},
		"not readable":  {strings.Replace(mails.WithTNEF(t, octets, at), "base64\r\n\r\n", "base64\r\n\r\nAAAA", 1), mapi.String("calendar")},
	} {
		got, names := meetingIn(t, c.octets)
		var where mapi.Value
		if got.Meeting != nil {
			where = names.Get(&got.Meeting.Props, mapi.PidLidLocation)
		}
		if where != c.want {
			t.Errorf("%s: the meeting is at %v, want %v", name, where, c.want)
		}
	}
}
