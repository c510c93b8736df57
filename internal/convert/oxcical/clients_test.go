package oxcical

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/internal/convert/object"
	"github.com/flotilla-mail/flotilla/internal/convert/oxcmsg"
	"github.com/flotilla-mail/flotilla/internal/convert/timezone"
	"github.com/flotilla-mail/flotilla/internal/formats/ical"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/binprop"
)

// one is the message of one component with these lines.
func one(t testing.TB, zone, kind, lines string) *object.Message {
	t.Helper()
	list, err := Importer{Zone: zone}.Import(parse(t, "BEGIN:"+kind+"\nUID:1\n"+lines+"END:"+kind+"\n"))
	if err != nil || len(list) != 1 {
		t.Fatal(len(list), err)
	}
	return list[0]
}

// TestDayThatEndsOnItself: a whole day is no less than a day, whatever program wrote its end.
func TestDayThatEndsOnItself(t *testing.T) {
	for _, lines := range []string{"", "DTEND;VALUE=DATE:20240110\n", "DTEND;VALUE=DATE:20240109\n", "DURATION:PT0S\n", "DURATION:PT1H\n", "DURATION:P1D\n"} {
		m := one(t, "America/New_York", vevent, "DTSTART;VALUE=DATE:20240110\n"+lines)
		start, _ := m.LidTime(mapi.PidLidAppointmentStartWhole)
		end, _ := m.LidTime(mapi.PidLidAppointmentEndWhole)
		if start.Time().Format("02T15") != "10T05" || end.Time().Format("02T15") != "11T05" || !m.LidBool(mapi.PidLidAppointmentSubType) {
			t.Errorf("%q: %v to %v", lines, start.Time(), end.Time())
		}
		if event := Export(untouched(m)).Inside(vevent)[0]; event.Value("DTSTART") != "20240110" || event.Value("DTEND") != "20240111" {
			t.Errorf("%q became %s to %s", lines, event.Value("DTSTART"), event.Value("DTEND"))
		}
	}
}

// TestPeopleWithAddressBeside: Apple names people by URIs of its own.
func TestPeopleWithAddressBeside(t *testing.T) {
	m := one(t, "", vevent, "DTSTART:20240110T090000Z\nORGANIZER;CN=Ann;EMAIL=ann@example.test:/abc/principal/\n"+
		"ATTENDEE;CN=Bob;EMAIL=bob@example.test;PARTSTAT=ACCEPTED:urn:uuid:1\nATTENDEE;EMAIL=other@example.test:mailto:carol@example.test\nATTENDEE:urn:uuid:2\n")
	if name, address := Organizer(m); name != "Ann" || address != "ann@example.test" {
		t.Errorf("organizer %s <%s>", name, address)
	}
	var found []string
	for i := range m.Recipients {
		who, _ := personOf(&m.Recipients[i])
		found = append(found, oxcmsg.NameOf(&m.Recipients[i])+" "+who.address)
	}
	if !slices.Equal(found, []string{"Bob bob@example.test", "carol@example.test carol@example.test"}) {
		t.Errorf("attendees %q", found)
	}
	if text := string(Bytes(m)); !strings.Contains(text, ":urn:uuid:1\r\n") || !strings.Contains(text, ":urn:uuid:2\r\n") || !strings.Contains(text, ":/abc/principal/\r\n") {
		t.Errorf("written as %s", text)
	}
}

// TestAlarmsOfClients: an alarm that somebody has seen on one device does not go off on another, one at a moment not for each occurrence
// of a series, and what Apple writes for none is none.
func TestAlarmsOfClients(t *testing.T) {
	const alarm = "BEGIN:VALARM\nACTION:DISPLAY\nTRIGGER:-PT15M\n"
	for what, c := range map[string]struct {
		lines string
		want  bool
	}{
		"plain":                        {alarm + "END:VALARM\n", true},
		"seen":                         {alarm + "ACKNOWLEDGED:20240110T084500Z\nEND:VALARM\n", false},
		"seen before it went off":      {alarm + "ACKNOWLEDGED:20240110T084459Z\nEND:VALARM\n", true},
		"seen by Thunderbird":          {"X-MOZ-LASTACK:20240110T084501Z\n" + alarm + "END:VALARM\n", false},
		"seen, and another":            {alarm + "ACKNOWLEDGED:20240110T084500Z\nEND:VALARM\nBEGIN:VALARM\nTRIGGER:-PT5M\nEND:VALARM\n", true},
		"once seen of a series":        {"RRULE:FREQ=DAILY\n" + alarm + "ACKNOWLEDGED:20240110T084500Z\nEND:VALARM\n", true},
		"at a moment":                  {"BEGIN:VALARM\nTRIGGER;VALUE=DATE-TIME:20240110T080000Z\nEND:VALARM\n", true},
		"at a moment of a series":      {"RRULE:FREQ=DAILY\nBEGIN:VALARM\nTRIGGER;VALUE=DATE-TIME:20240110T080000Z\nEND:VALARM\n", false},
		"none, as Apple says it":       {"BEGIN:VALARM\nACTION:NONE\nTRIGGER;VALUE=DATE-TIME:19760401T005545Z\nEND:VALARM\n", false},
		"none, shortly before":         {"BEGIN:VALARM\nACTION:NONE\nTRIGGER:-PT15M\nEND:VALARM\n", false},
		"none and another after that":  {"BEGIN:VALARM\nACTION:NONE\nTRIGGER:-PT15M\nEND:VALARM\n" + alarm + "END:VALARM\n", true},
		"after the start, then before": {"BEGIN:VALARM\nTRIGGER:PT5M\nEND:VALARM\n" + alarm + "END:VALARM\n", true},
	} {
		lines := "DTSTART:20240110T090000Z\n" + c.lines
		m := one(t, "", vevent, lines)
		if got := m.LidBool(mapi.PidLidReminderSet); got != c.want {
			t.Errorf("%s: %v", what, got)
		}
		if cal := parse(t, "BEGIN:VEVENT\nUID:1\n"+lines+"END:VEVENT\n"); !Same(Export(m), cal) {
			t.Errorf("%s: became %s", what, Bytes(m))
		}
	}
}

// TestCanceledOccurrence: an occurrence that is canceled, as other servers say of one that is deleted, takes no time.
func TestCanceledOccurrence(t *testing.T) {
	m := imported(t, parse(t, daily("Europe/Berlin", wallOf(t, "20240110T0900"), "",
		"RECURRENCE-ID;TZID=Europe/Berlin:20240110T090000\nDTSTART;TZID=Europe/Berlin:20240110T090000\nSTATUS:CANCELLED\n")))[0]
	if got := of2024(t, m); len(got) != 4 || slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, "0110") }) {
		t.Errorf("%v", got)
	}
}

// TestTaskProgress: what a task's lines say together of how far it is.
func TestTaskProgress(t *testing.T) {
	for lines, want := range map[string]struct {
		state mapi.Integer32
		done  mapi.Floating64
	}{
		"":                                   {0, 0},
		"STATUS:COMPLETED\n":                 {2, 1},
		"COMPLETED:20240101T000000Z\n":       {2, 1},
		"PERCENT-COMPLETE:100\n":             {2, 1},
		"PERCENT-COMPLETE:30\n":              {1, 0.3},
		"PERCENT-COMPLETE:0\n":               {0, 0},
		"STATUS:NEEDS-ACTION\n":              {0, 0},
		"STATUS:CANCELLED\n":                 {0, 0},
		"STATUS:IN-PROCESS\nCOMPLETED:bad\n": {1, 0},
	} {
		m := one(t, "", vtodo, lines)
		if state, done := m.Lid(mapi.PidLidTaskStatus), m.Lid(mapi.PidLidPercentComplete); state != want.state || done != want.done || m.LidBool(mapi.PidLidTaskComplete) != (want.state == 2) {
			t.Errorf("%q: %v, %v", lines, state, done)
		}
	}
}

// TestTaskDueInUTC: a task that is due at a moment is due on the day that it is there.
func TestTaskDueInUTC(t *testing.T) {
	for zone, want := range map[string]string{"": "10", "Europe/Berlin": "11", "America/New_York": "10"} {
		due, _ := one(t, zone, vtodo, "DUE:20240110T230000Z\n").LidTime(mapi.PidLidTaskDueDate)
		if got := due.Time().Format("02T15:04"); got != want+"T00:00" {
			t.Errorf("in %q it is due on %s", zone, got)
		}
	}
	due, _ := one(t, "Europe/Berlin", vtodo, "DUE;TZID=America/New_York:20240110T200000\n").LidTime(mapi.PidLidTaskDueDate)
	if due.Time().Day() != 10 {
		t.Errorf("due on %v", due.Time())
	}
}

// TestSeriesShownElsewhere: a series is on the clocks of its own definition, wherever the client shows it.
func TestSeriesShownElsewhere(t *testing.T) {
	m := untouched(imported(t, parse(t, daily("Europe/Berlin", wallOf(t, "20240331T0900"), "")))[0])
	loc, ok := timezone.Load("America/New_York")
	if !ok {
		t.Fatal("no zone")
	}
	for _, n := range []mapi.NamedProperty{mapi.PidLidAppointmentTimeZoneDefinitionStartDisplay, mapi.PidLidAppointmentTimeZoneDefinitionEndDisplay} {
		setDefinition(m, n, zone{"America/New_York", loc}, 2024)
	}
	m.DeleteLid(mapi.PidLidTimeZoneDescription)
	list, _, ok := Occurrences(m, time.Date(2024, 3, 31, 0, 0, 0, 0, time.UTC), time.Date(2024, 4, 1, 0, 0, 0, 0, time.UTC))
	if !ok || len(list) != 1 || list[0].Start.UTC().Format("15:04") != "07:00" {
		t.Errorf("%v", list)
	}
	if l := Export(m).Inside(vevent)[0].Get("DTSTART"); l.Param("TZID") != "Europe/Berlin" || l.Value != "20240329T090000" {
		t.Errorf("%s", l)
	}
}

// TestWholeDayOfNoZone: a whole day of a client that says no zone is midnight of its clock.
func TestWholeDayOfNoZone(t *testing.T) {
	for _, hour := range []int{-12, -11, -5, 0, 1, 5, 11} {
		m := &object.Message{}
		m.SetText(mapi.PidTagMessageClass, classAppointment)
		midnight := time.Date(2024, 1, 10, 0, 0, 0, 0, time.UTC).Add(time.Duration(hour) * time.Hour)
		setSpan(m, span{start: midnight, end: midnight.AddDate(0, 0, 2), day: true})
		if event := Export(m).Inside(vevent)[0]; event.Value("DTSTART") != "20240110" || event.Value("DTEND") != "20240112" {
			t.Errorf("%v: %s to %s", midnight, event.Value("DTSTART"), event.Value("DTEND"))
		}
	}
}

// TestHTMLBesideDescription: Thunderbird has the text in HTML in a URI at the plain one.
func TestHTMLBesideDescription(t *testing.T) {
	for line, want := range map[string]string{
		`DESCRIPTION;ALTREP="data:text/html,%3Cp%3EGr%C3%BC%C3%9Fe%2C%20<b>x</b>":Grüße`:            "<p>Grüße, <b>x</b>",
		`DESCRIPTION;ALTREP="DATA:text/html;charset=utf-8;base64,PHA+":x`:                           "<p>",
		`DESCRIPTION;ALTREP="data:text/html,%3Cp%3E":x` + "\nX-ALT-DESC;FMTTYPE=text/html:<i>y</i>": "<i>y</i>",
		`DESCRIPTION;ALTREP="data:text/plain,x":x`:                                                  "",
		`DESCRIPTION;ALTREP="CID:part3.msg@example.test":x`:                                         "",
		`DESCRIPTION;ALTREP="data:text/html,%zz":x`:                                                 "",
		`DESCRIPTION;ALTREP="data:text/html;charset=iso-8859-1,%FC":x`:                              "",
		`DESCRIPTION:x` + "\nCOMMENT;ALTREP=\"data:text/html,y\":y":                                 "",
	} {
		m := one(t, "", vevent, "DTSTART:20240110T090000Z\n"+line+"\n")
		if got := m.BodyHTML(); got != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
		if cal := parse(t, "BEGIN:VEVENT\nUID:1\nDTSTART:20240110T090000Z\n"+line+"\nEND:VEVENT\n"); !Same(Export(m), cal) {
			t.Errorf("%s: became %s", line, Bytes(m))
		}
	}
}

// TestSeriesSaysUTC: a series in UTC says so, or clients take its clocks for their own; one that floats does not.
func TestSeriesSaysUTC(t *testing.T) {
	for start, want := range map[string]bool{":20240329T090000Z": true, ":20240329T090000": false, ";VALUE=DATE:20240329": false, ";TZID=Europe/Berlin:20240329T090000": true} {
		m := one(t, "", vevent, "DTSTART"+start+"\nRRULE:FREQ=DAILY;COUNT=5\n")
		if m.Lid(mapi.PidLidTimeZoneStruct) != nil != want || m.Lid(mapi.PidLidAppointmentTimeZoneDefinitionRecur) != nil != want {
			t.Errorf("%s: %v", start, m.Lid(mapi.PidLidTimeZoneStruct))
		}
		if l := Export(m).Inside(vevent)[0].Get("DTSTART"); !strings.HasSuffix(l.String(), start) {
			t.Errorf("%s became %s", start, l)
		}
	}
	m := one(t, "", vevent, "DTSTART:20240329T090000Z\nRRULE:FREQ=DAILY;COUNT=5\n")
	if cal := Export(untouched(m)); cal.Inside(vevent)[0].Value("DTSTART") != "20240329T090000Z" || len(cal.Inside(vtimezone)) != 0 {
		t.Errorf("written as %s", Bytes(m))
	}
}

// TestDefinitionFlags: only the definition of a series says that it recurs by it.
func TestDefinitionFlags(t *testing.T) {
	m := one(t, "", vevent, "DTSTART;TZID=Europe/Berlin:20240329T090000\nRRULE:FREQ=DAILY\n")
	for n, want := range map[mapi.NamedProperty]uint16{mapi.PidLidAppointmentTimeZoneDefinitionStartDisplay: binprop.RuleEffective,
		mapi.PidLidAppointmentTimeZoneDefinitionEndDisplay: binprop.RuleEffective, mapi.PidLidAppointmentTimeZoneDefinitionRecur: binprop.RuleEffective | binprop.RuleRecurring} {
		if d, err := binprop.ParseTimeZoneDefinition(m.LidBinary(n)); err != nil || len(d.Rules) != 1 || d.Rules[0].Flags != want {
			t.Errorf("%+v, %v", d, err)
		}
	}
}

// TestSeriesByStruct: PidLidTimeZoneStruct alone says how the clocks of a series go, and against a definition that was left behind.
func TestSeriesByStruct(t *testing.T) {
	newYork, ok := timezone.Load("America/New_York")
	if !ok {
		t.Fatal("no zone")
	}
	clocks, err := timezone.RuleOf(newYork, 2024).Struct().Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		description string
		left        bool
	}{"with a definition left behind": {"(UTC-05:00) Eastern Time", true}, "alone": {"", false}, "with a description": {"Our clock", false}} {
		m := untouched(imported(t, parse(t, daily("Europe/Berlin", wallOf(t, "20240310T0900"), "")))[0])
		m.SetLid(mapi.PidLidTimeZoneStruct, mapi.Binary(clocks))
		m.DeleteLid(mapi.PidLidTimeZoneDescription)
		m.SetLidText(mapi.PidLidTimeZoneDescription, c.description)
		if !c.left {
			for _, n := range []mapi.NamedProperty{mapi.PidLidAppointmentTimeZoneDefinitionRecur, mapi.PidLidAppointmentTimeZoneDefinitionStartDisplay} {
				m.DeleteLid(n)
			}
		}
		want := []string{"0308T1400/0308T1415", "0309T1400/0309T1415", "0310T1300/0310T1315", "0311T1300/0311T1315", "0312T1300/0312T1315"}
		if got := of2024(t, m); !slices.Equal(got, want) {
			t.Errorf("%s: %v", what, got)
		}
		start, end := ical.At(wallOf(t, "20240308T0900"), newYork), ical.At(wallOf(t, "20240308T0915"), newYork)
		m.SetLid(mapi.PidLidAppointmentStartWhole, mapi.FileTimeOf(start))
		m.SetLid(mapi.PidLidAppointmentEndWhole, mapi.FileTimeOf(end))
		if got := of2024(t, imported(t, parse(t, string(Bytes(m))))[0]); !slices.Equal(got, want) {
			t.Errorf("%s: comes back as %v of\n%s", what, got, Bytes(m))
		}
	}
}

// TestMeetingsOfOthers: a meeting in a calendar is the owner's if he organizes it, else one that he was asked to, with his answer.
func TestMeetingsOfOthers(t *testing.T) {
	own := []string{"me@example.test", "alias@example.test"}
	const other, mine = "ORGANIZER:mailto:other@example.test\n", "ORGANIZER:mailto:Alias@example.test\n"
	for what, c := range map[string]struct {
		own           []string
		method, lines string
		state         mapi.Integer32
		status        response
	}{
		"accepted":               {own, "", other + "ATTENDEE;PARTSTAT=DECLINED:mailto:x@example.test\nATTENDEE;PARTSTAT=ACCEPTED:mailto:ME@example.test\n", stateMeeting | stateReceived, respAccepted},
		"declined by an alias":   {own, "", other + "ATTENDEE;PARTSTAT=DECLINED:mailto:alias@example.test\n", stateMeeting | stateReceived, respDeclined},
		"tentative, Apple's URI": {own, "", "ORGANIZER;EMAIL=other@example.test:urn:uuid:1\nATTENDEE;EMAIL=me@example.test;PARTSTAT=TENTATIVE:urn:uuid:2\n", stateMeeting | stateReceived, respTentative},
		"not answered":           {own, "PUBLISH", other + "ATTENDEE:mailto:me@example.test\n", stateMeeting | stateReceived, respWaiting},
		"not listed":             {own, "", other + "ATTENDEE:mailto:list@example.test\n", stateMeeting | stateReceived, respNone},
		"own":                    {own, "", mine + "ATTENDEE;PARTSTAT=ACCEPTED:mailto:me@example.test\n", stateMeeting, respOrganized},
		"without organizer":      {own, "", "ATTENDEE;PARTSTAT=ACCEPTED:mailto:me@example.test\n", stateMeeting, respOrganized},
		"no meeting":             {own, "", "", 0, respNone},
		"of nobody known":        {nil, "", other, stateMeeting, respOrganized},
		"canceled":               {own, "", other + "STATUS:CANCELLED\n", stateMeeting | stateReceived | stateCanceled, respNone},
		"a request":              {own, "REQUEST", other + "ATTENDEE;PARTSTAT=ACCEPTED:mailto:me@example.test\n", stateMeeting | stateReceived, respWaiting},
	} {
		text := "BEGIN:VCALENDAR\nMETHOD:" + c.method + "\nBEGIN:VEVENT\nUID:1\nDTSTART:20240110T090000Z\n" + c.lines + "END:VEVENT\nEND:VCALENDAR\n"
		list, err := Importer{Own: c.own}.Import(parse(t, text))
		if err != nil || len(list) != 1 {
			t.Fatal(what, err)
		}
		if state, status := list[0].Lid(mapi.PidLidAppointmentStateFlags), list[0].Lid(mapi.PidLidResponseStatus); state != c.state || status != mapi.Integer32(c.status) {
			t.Errorf("%s: state %v, status %v", what, state, status)
		}
		if organized := Organized(list[0]); organized != (c.status == respOrganized) {
			t.Errorf("%s: organized %v", what, organized)
		}
		checkRoundTrip(t, parse(t, text), list)
	}
}

// TestOccurrencesByTheirDay: a message about one occurrence may name it by less than its moment, or in a zone in which its day begins at
// another.
func TestOccurrencesByTheirDay(t *testing.T) {
	about := func(method, lines string) *object.Message {
		t.Helper()
		list, err := Importer{Zone: "Europe/Berlin"}.Import(parse(t, "BEGIN:VCALENDAR\nMETHOD:"+method+"\nBEGIN:VEVENT\nUID:1\nORGANIZER:mailto:o@example.test\n"+lines+"END:VEVENT\nEND:VCALENDAR\n"))
		if err != nil || len(list) != 1 {
			t.Fatal(len(list), err)
		}
		return list[0]
	}
	const daily, newYork = "RRULE:FREQ=DAILY;COUNT=3\n", ";TZID=America/New_York:20240110T090000\n"
	days := Appointment(about("REQUEST", "DTSTART;VALUE=DATE:20240109\n"+daily))
	times := Appointment(about("REQUEST", "DTSTART;TZID=America/New_York:20240109T090000\nDURATION:PT1H\n"+daily))
	for what, c := range map[string]struct {
		series *object.Message
		id     string
		want   []string
	}{
		"a day":                        {days, ";VALUE=DATE:20240110\n", []string{"0108T2300/0109T2300", "0110T2300/0111T2300"}},
		"its midnight in another zone": {days, ";TZID=America/Los_Angeles:20240110T000000\n", []string{"0108T2300/0109T2300", "0110T2300/0111T2300"}},
		"the day of a time":            {times, ";VALUE=DATE:20240110\n", []string{"0109T1400/0109T1500", "0111T1400/0111T1500"}},
		"a time":                       {times, newYork, []string{"0109T1400/0109T1500", "0111T1400/0111T1500"}},
		"a time in UTC":                {times, ":20240110T140000Z\n", []string{"0109T1400/0109T1500", "0111T1400/0111T1500"}},
	} {
		next := Cancel(c.series, about("CANCEL", "DTSTART:20240110T090000Z\nSEQUENCE:1\nRECURRENCE-ID"+c.id))
		if next == nil {
			t.Errorf("%s: nothing", what)
			continue
		}
		if got := of2024(t, next); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", what, got, c.want)
		}
	}
	whole := Revise(times, about("REQUEST", "DTSTART;VALUE=DATE:20240112\nSEQUENCE:1\nRECURRENCE-ID"+newYork))
	if got := of2024(t, whole); !slices.Equal(got, []string{"0109T1400/0109T1500", "0111T1400/0111T1500", "0112T0500/0113T0500"}) {
		t.Errorf("a whole day instead: %v", got)
	}
}
