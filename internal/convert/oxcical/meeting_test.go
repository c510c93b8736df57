package oxcical

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/internal/convert/object"
	"github.com/flotilla-mail/flotilla/internal/convert/oxcmsg"
	"github.com/flotilla-mail/flotilla/internal/formats/mime"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/binprop"
)

// about is a message about a meeting at ten in Berlin, on a day of March 2027, which ends on the 28th with summer time.
func about(t *testing.T, method string, day int, lines ...string) *object.Message {
	t.Helper()
	text := fmt.Sprintf("BEGIN:VCALENDAR\r\nMETHOD:%s\r\nBEGIN:VEVENT\r\nUID:u\r\nDTSTART;TZID=Europe/Berlin:202703%02dT100000\r\n"+
		"DTEND;TZID=Europe/Berlin:202703%02dT110000\r\nORGANIZER:mailto:o@example.test\r\n%s\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n", method, day, day, strings.Join(lines, "\r\n"))
	cal, err := Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	list, err := Importer{}.Import(cal)
	if err != nil || len(list) != 1 {
		t.Fatalf("%d messages, %v", len(list), err)
	}
	return list[0]
}

var spring = time.Date(2027, 3, 1, 0, 0, 0, 0, time.UTC)

// when are the times of an appointment in the 60 days from March on.
func when(t *testing.T, a *object.Message) []string {
	t.Helper()
	spans, _, ok := Occurrences(a, spring, spring.AddDate(0, 0, 60))
	if !ok {
		t.Fatal("nobody can tell when it is")
	}
	var list []string
	for _, s := range spans {
		list = append(list, s.Start.UTC().Format("2 Jan 15:04")+"-"+s.End.UTC().Format("15:04"))
	}
	return list
}

func lid(m *object.Message, n mapi.NamedProperty) int32 {
	v, _ := m.LidInt(n)
	return v
}

func TestRequestsRevise(t *testing.T) {
	first := Appointment(about(t, "REQUEST", 4, "SEQUENCE:1", "DTSTAMP:20270101T000000Z", "LOCATION:here", "ATTENDEE:mailto:a@example.test"))
	if Method(first) != "" || Organized(first) || lid(first, mapi.PidLidBusyStatus) != busyTentative || len(first.Recipients) != 1 {
		t.Errorf("%+v", first)
	}
	Respond(first, Accepted, "A", spring)
	first.SetLid(mapi.PidLidReminderDelta, mapi.Integer32(99))
	first.SetLid(mapi.PidLidBilling, mapi.String("mine"))
	for _, stale := range [][]string{{"SEQUENCE:0", "DTSTAMP:20270301T000000Z"}, {"SEQUENCE:1", "DTSTAMP:20270101T000000Z"}} {
		if Revise(first, about(t, "REQUEST", 9, stale...)) != nil {
			t.Errorf("%q changes something", stale)
		}
	}
	next := Revise(first, about(t, "REQUEST", 4, "SEQUENCE:1", "DTSTAMP:20270102T000000Z", "SUMMARY:New"))
	if next == nil || next.Text(mapi.PidTagNormalizedSubject) != "New" || lid(next, mapi.PidLidResponseStatus) != int32(respAccepted) ||
		lid(next, mapi.PidLidReminderDelta) != 99 || next.LidText(mapi.PidLidLocation) != "" || next.LidText(mapi.PidLidBilling) != "mine" || len(next.Recipients) != 0 {
		t.Errorf("an update at the same time: %+v", next)
	}
	moved := Revise(first, about(t, "REQUEST", 5, "SEQUENCE:2"))
	if moved == nil || lid(moved, mapi.PidLidResponseStatus) != int32(respWaiting) || lid(moved, mapi.PidLidBusyStatus) != busyTentative || !slices.Equal(when(t, moved), []string{"5 Mar 09:00-10:00"}) {
		t.Errorf("an update of the time: %+v", moved)
	}
	if lid(first, mapi.PidLidResponseStatus) != int32(respAccepted) || len(first.Recipients) != 1 {
		t.Error("the appointment itself was changed")
	}
}

func TestCancellations(t *testing.T) {
	a := Appointment(about(t, "REQUEST", 4, "SEQUENCE:2"))
	if Cancel(a, about(t, "CANCEL", 4, "SEQUENCE:1")) != nil {
		t.Error("an old cancellation counts")
	}
	c := Cancel(a, about(t, "CANCEL", 4, "SEQUENCE:2"))
	if c == nil || !Canceled(c) || Taken(c) || !Taken(a) || c.Text(mapi.PidTagSubjectPrefix) != "Canceled: " || Cancel(c, about(t, "CANCEL", 4, "SEQUENCE:3")) != nil {
		t.Errorf("%+v", c)
	}
	again := Revise(c, about(t, "REQUEST", 4, "SEQUENCE:4"))
	if again == nil || Canceled(again) || !Taken(again) || again.Text(mapi.PidTagSubjectPrefix) != "" {
		t.Errorf("%+v", again)
	}
}

func TestOccurrencesAreReplaced(t *testing.T) {
	const weekly = "RRULE:FREQ=WEEKLY;COUNT=4"
	series := Appointment(about(t, "REQUEST", 10, weekly))
	if got := when(t, series); !slices.Equal(got, []string{"10 Mar 09:00-10:00", "17 Mar 09:00-10:00", "24 Mar 09:00-10:00", "31 Mar 08:00-09:00"}) {
		t.Fatal(got)
	}
	one := func(method string, day, sequence int, stamp string) *object.Message {
		return about(t, method, day, "RECURRENCE-ID;TZID=Europe/Berlin:20270317T100000", fmt.Sprintf("SEQUENCE:%d", sequence), "DTSTAMP:"+stamp)
	}
	moved := Revise(series, one("REQUEST", 18, 0, "20270102T000000Z"))
	moved = Revise(moved, one("REQUEST", 19, 0, "20270103T000000Z"))
	if got := when(t, moved); !slices.Equal(got, []string{"10 Mar 09:00-10:00", "19 Mar 09:00-10:00", "24 Mar 09:00-10:00", "31 Mar 08:00-09:00"}) || len(moved.Attachments) != 1 {
		t.Errorf("%q, %d attachments", got, len(moved.Attachments))
	}
	if Revise(moved, one("REQUEST", 18, 0, "20270102T000000Z")) != nil {
		t.Error("an old request changes something")
	}
	text := string(Bytes(moved))
	if !strings.Contains(text, "RECURRENCE-ID;TZID=Europe/Berlin:20270317T100000") || !strings.Contains(text, "DTSTART;TZID=Europe/Berlin:20270319T100000") {
		t.Errorf("as a calendar it is\n%s", text)
	}
	out := Cancel(moved, one("CANCEL", 17, 1, "20270104T000000Z"))
	if got := when(t, out); len(got) != 3 || len(out.Attachments) != 0 || Canceled(out) {
		t.Errorf("%q, %d attachments", got, len(out.Attachments))
	}
	if len(when(t, series)) != 4 || len(series.Attachments) != 0 || len(when(t, moved)) != 4 {
		t.Error("the series itself was changed")
	}
	if Cancel(series, about(t, "CANCEL", 17, "RECURRENCE-ID:bad")) == nil {
		t.Error("what names no occurrence cancels all")
	}
}

func TestAnswersAreTracked(t *testing.T) {
	own := about(t, "", 4, "SEQUENCE:1", "ATTENDEE:mailto:A@example.test", "ATTENDEE:mailto:b@example.test")
	answer := func(method, who, status, stamp string) *object.Message {
		return about(t, method, 6, "SEQUENCE:1", "DTSTAMP:"+stamp, "ATTENDEE;PARTSTAT="+status+":mailto:"+who)
	}
	if !Organized(own) {
		t.Fatalf("%+v", own)
	}
	next := Track(own, answer("REPLY", "a@example.test", "DECLINED", "20270103T000000Z"))
	next = Track(next, answer("COUNTER", "b@example.test", "TENTATIVE", "20270103T000000Z"))
	if next == nil || next.Recipients[0].Get(mapi.PidTagRecipientTrackStatus) != mapi.Integer32(respDeclined) ||
		next.Recipients[1].Get(mapi.PidTagRecipientTrackStatus) != mapi.Integer32(respTentative) ||
		next.Recipients[1].Get(mapi.PidTagRecipientProposed) != mapi.Boolean(true) || lid(next, mapi.PidLidAppointmentProposalNumber) != 1 {
		t.Fatalf("%+v", next)
	}
	for name, m := range map[string]*object.Message{"an earlier answer": answer("REPLY", "a@example.test", "ACCEPTED", "20270102T000000Z"),
		"the same answer again":           answer("REPLY", "a@example.test", "DECLINED", "20270103T000000Z"),
		"a stranger":                      answer("REPLY", "x@example.test", "ACCEPTED", "20270104T000000Z"),
		"an answer to an earlier version": about(t, "REPLY", 4, "SEQUENCE:0", "DTSTAMP:20270105T000000Z", "ATTENDEE;PARTSTAT=ACCEPTED:mailto:a@example.test")} {
		if Track(next, m) != nil {
			t.Errorf("%s counts", name)
		}
	}
	again := Track(next, answer("REPLY", "a@example.test", "ACCEPTED", "20270103T000000Z"))
	if again == nil || again.Recipients[0].Get(mapi.PidTagRecipientTrackStatus) != mapi.Integer32(respAccepted) {
		t.Error("who thinks better of it within a second is not heard")
	}
	if own.Recipients[0].Get(mapi.PidTagRecipientTrackStatus) == mapi.Integer32(respDeclined) {
		t.Error("the appointment itself was changed")
	}
}

func TestOccurrencesThatNobodyKnows(t *testing.T) {
	endless := about(t, "REQUEST", 1, "RRULE:FREQ=DAILY")
	if spans, ends, ok := Occurrences(endless, spring, spring.AddDate(0, 0, 10)); !ok || !ends.IsZero() || len(spans) != 10 {
		t.Errorf("%v %v %v", spans, ends, ok)
	}
	old := about(t, "REQUEST", 1, "RRULE:FREQ=DAILY")
	if _, _, ok := Occurrences(old, spring, spring.AddDate(40, 0, 0)); ok {
		t.Error("forty years of days are counted")
	}
	if _, _, ok := Occurrences(&object.Message{}, spring, spring); ok {
		t.Error("nothing has a time")
	}
	broken := about(t, "REQUEST", 1, "RRULE:FREQ=DAILY")
	broken.SetLid(mapi.PidLidAppointmentRecur, mapi.Binary("?"))
	if _, _, ok := Occurrences(broken, spring, spring.AddDate(0, 0, 10)); ok {
		t.Error("a recurrence that cannot be read has times")
	}
	free := about(t, "REQUEST", 2, "RRULE:FREQ=DAILY;UNTIL=20270304T120000Z")
	if _, ends, ok := Occurrences(free, spring, spring.AddDate(0, 0, 10)); !ok || ends.UTC().Format("2 Jan 15:04") != "4 Mar 10:00" {
		t.Errorf("ends %v", ends)
	}
}

func TestOverlap(t *testing.T) {
	spans := func(list ...int) (out []Span) {
		for i := 0; i < len(list); i += 2 {
			out = append(out, Span{spring.Add(time.Duration(list[i]) * time.Hour), spring.Add(time.Duration(list[i+1]) * time.Hour)})
		}
		return out
	}
	for _, c := range []struct {
		a, b []Span
		want bool
	}{{spans(1, 2), spans(2, 3), false}, {spans(1, 3), spans(2, 4), true}, {spans(1, 2, 5, 6), spans(3, 4, 6, 7), false},
		{spans(1, 9, 2, 3), spans(8, 10), true}, {nil, spans(1, 2), false}, {spans(1, 2, 10, 20), spans(3, 4, 19, 21), true}} {
		if Overlap(c.a, c.b) != c.want || Overlap(c.b, c.a) != c.want {
			t.Errorf("%v and %v", c.a, c.b)
		}
	}
}

func TestCalendarsOfMail(t *testing.T) {
	const cal = "BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nBEGIN:VEVENT\r\nUID:u\r\nORGANIZER:mailto:o@example.test\r\nDTSTART;TZID=X:20270301T100000\r\n" +
		"ATTENDEE:mailto:alias@example.test\r\nEND:VEVENT\r\nBEGIN:VTIMEZONE\r\nTZID:X\r\nEND:VTIMEZONE\r\nBEGIN:VTIMEZONE\r\nTZID:Y\r\nEND:VTIMEZONE\r\nEND:VCALENDAR\r\n"
	for name, mail := range map[string]string{
		"by itself": "Content-Type: text/calendar\r\n\r\n" + cal,
		"inside":    "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhi\r\n--b\r\nContent-Type: text/calendar\r\n\r\n" + cal + "\r\n--b--\r\n",
	} {
		root := mime.Scan([]byte(mail))
		c, err := OfMail(CalendarIn(root), strings.NewReader(mail))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		reply := Reply(c, &Responder{Own: []string{"room@example.test", "Alias@example.test"}, Name: "Room", Answer: Declined, Comment: "No.", Now: spring})
		want := "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:" + productID + "\r\nMETHOD:REPLY\r\nBEGIN:VTIMEZONE\r\nTZID:X\r\nEND:VTIMEZONE\r\nBEGIN:VEVENT\r\nUID:u\r\n" +
			"ORGANIZER:mailto:o@example.test\r\nDTSTART;TZID=X:20270301T100000\r\nDTSTAMP:20270301T000000Z\r\nATTENDEE;CN=Room;PARTSTAT=DECLINED:mailto:alias@example.test\r\nCOMMENT:No.\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
		if got := string(reply.Append(nil)); got != want {
			t.Errorf("%s: the answer is\n%s", name, got)
		}
	}
	within := "Content-Type: message/rfc822\r\n\r\nContent-Type: text/calendar\r\n\r\n" + cal
	if CalendarIn(mime.Scan([]byte(within))) != nil {
		t.Error("what is in a mail inside is this one's")
	}
	long := "Content-Type: text/calendar\r\n\r\n" + strings.Repeat("x", MaxCalendar+1)
	if _, err := OfMail(CalendarIn(mime.Scan([]byte(long))), strings.NewReader(long)); err == nil {
		t.Error("a calendar of any length is read")
	}
}

// Of a calendar with more than one meeting the first is looked at alone, with its exceptions and zones.
func TestTheFirstMeeting(t *testing.T) {
	const rule, once = "RRULE:FREQ=WEEKLY\r\nDTSTART:20270301T100000Z\r\n", "RECURRENCE-ID:20270308T100000Z\r\nDTSTART:20270309T100000Z\r\n"
	event := func(uid, lines string) string {
		return "BEGIN:VEVENT\r\nUID:" + uid + "\r\n" + lines + "END:VEVENT\r\n"
	}
	for name, c := range map[string]struct {
		method, events string
		exceptions     int
		none           bool
	}{
		"a series":           {"REQUEST", event("a", rule) + event("b", rule) + event("a", once), 1, false},
		"exceptions first":   {"REQUEST", event("a", once) + event("a", rule), 1, false},
		"an occurrence":      {"REQUEST", event("a", once) + event("a", strings.Replace(once, "08", "15", 1)), 0, false},
		"nothing is asked":   {"PUBLISH", event("a", rule), 0, true},
		"there is none":      {"REQUEST", "BEGIN:VTIMEZONE\r\nTZID:X\r\nEND:VTIMEZONE\r\n", 0, true},
		"no longer than one": {"CANCEL", strings.Repeat(event("a", rule), 3), 0, false},
	} {
		cal, err := Parse([]byte("BEGIN:VCALENDAR\r\nMETHOD:" + c.method + "\r\n" + c.events + "END:VCALENDAR\r\n"))
		if err != nil {
			t.Fatal(err)
		}
		m, err := Importer{}.Meeting(cal)
		if err != nil || (m == nil) != c.none {
			t.Errorf("%s: %+v, %v", name, m, err)
			continue
		}
		if m != nil && (len(m.Attachments) != c.exceptions || uidOfMessage(m) != "a") {
			t.Errorf("%s: %d exceptions of %q", name, len(m.Attachments), uidOfMessage(m))
		}
	}
}

// TestCalendarOfMessage: what stands in a message is not taken for what was kept here of a calendar, and a series whose exceptions
// would say too much is none.
func TestCalendarOfMessage(t *testing.T) {
	text := func(m *object.Message) string {
		var names oxcmsg.Names
		c := m.Content(&names)
		b, err := TextOfMessage(&c, &names)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	kept := about(t, "REQUEST", 1, "X-KEPT:yes")
	if whole, got := string(Bytes(kept)), text(kept); !strings.Contains(whole, "X-KEPT") || strings.Contains(got, "X-KEPT") || !strings.Contains(got, "UID:u\r\n") {
		t.Errorf("%s\nof\n%s", got, whole)
	}
	series := func(attendees int) *object.Message {
		lines := []string{"RRULE:FREQ=DAILY;COUNT=9"}
		for i := range attendees {
			lines = append(lines, fmt.Sprintf("ATTENDEE:mailto:a%d@example.test", i))
		}
		m := about(t, "REQUEST", 1, lines...)
		p, err := binprop.ParseAppointmentRecurrencePattern(m.LidBinary(mapi.PidLidAppointmentRecur))
		if err != nil {
			t.Fatal(err)
		}
		one := binprop.Exception{Start: p.Pattern.Start, End: p.Pattern.Start, OriginalStart: p.Pattern.Start, Flags: binprop.OverrideBusyStatus}
		for range 100 {
			p.Exceptions, p.Pattern.Modified = append(p.Exceptions, one), append(p.Pattern.Modified, p.Pattern.Start)
		}
		b, err := p.Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		m.SetLid(mapi.PidLidAppointmentRecur, mapi.Binary(b))
		return m
	}
	if n := strings.Count(text(series(2)), "BEGIN:VEVENT"); n != 101 {
		t.Errorf("%d components of a series", n)
	}
	if got := text(series(1000)); got != "" {
		t.Errorf("%d bytes of too long a series", len(got))
	}
}
