package oxcical

import (
	"errors"
	"flag"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/flotilla-mail/flotilla/internal/convert/kept"
	"github.com/flotilla-mail/flotilla/internal/convert/object"
	"github.com/flotilla-mail/flotilla/internal/convert/timezone"
	"github.com/flotilla-mail/flotilla/internal/formats/contentline"
	"github.com/flotilla-mail/flotilla/internal/formats/ical"
	"github.com/flotilla-mail/flotilla/internal/formats/rtf"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/binprop"
	"github.com/flotilla-mail/flotilla/internal/testkit"
	"github.com/flotilla-mail/flotilla/internal/testkit/objects"
)

var rewrite = flag.Bool("rewrite", false, "write the golden file anew")

func parse(t testing.TB, b string) *ical.Component {
	t.Helper()
	cal, err := Parse([]byte(b))
	if err != nil {
		t.Fatalf("read calendar: %v\n%s", err, b)
	}
	return cal
}

func imported(t testing.TB, cal *ical.Component) []*object.Message {
	t.Helper()
	list, err := Importer{}.Import(cal)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func corpus(t testing.TB) []txtar.File {
	t.Helper()
	a, err := txtar.ParseFile("testdata/calendars.txtar")
	if err != nil {
		t.Fatal(err)
	}
	return a.Files
}

// events are the normal forms of the components that messages are made of.
func events(cal *ical.Component) []string {
	var list []string
	for _, c := range complete(cal).Children {
		if carried(c) {
			list = append(list, strings.Join(normalOf(c), "\n"))
		}
	}
	slices.Sort(list)
	return list
}

// checkRoundTrip wants the messages of a calendar to say what it says: the calendar, where it became one message, else its
// events.
func checkRoundTrip(t testing.TB, cal *ical.Component, list []*object.Message) {
	t.Helper()
	if len(list) == 1 {
		b := Bytes(list[0])
		if back := parse(t, string(b)); !Same(back, cal) {
			t.Errorf("got\n%s\nwant\n%s\nwritten\n%s", strings.Join(normalOf(complete(back)), "\n"), strings.Join(normalOf(complete(cal)), "\n"), b)
		}
		return
	}
	all := &ical.Component{Name: vcalendar}
	for _, m := range list {
		all.Children = append(all.Children, parse(t, string(Bytes(m))).Children...)
	}
	if got, want := events(all), events(cal); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestCorpus(t *testing.T) {
	files := corpus(t)
	if len(files) < 100 {
		t.Errorf("%d calendars, want 100", len(files))
	}
	golden := &txtar.Archive{Comment: []byte("What becomes of testdata/calendars.txtar: properties, and the calendars written of them. go test -rewrite\n")}
	for _, f := range files {
		t.Run(f.Name, func(t *testing.T) {
			cal := parse(t, string(f.Data))
			var text strings.Builder
			list := imported(t, cal)
			for _, m := range list {
				text.WriteString(objects.Dump(m) + strings.ReplaceAll(string(Bytes(m)), "\r\n", "\n"))
			}
			golden.Files = append(golden.Files, txtar.File{Name: f.Name, Data: []byte(text.String() + "\n")})
			checkRoundTrip(t, cal, list)
		})
	}
	objects.Golden(t, "testdata/calendars.golden.txtar", golden, *rewrite)
}

const meeting = `BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//Example//EN
METHOD:REQUEST
BEGIN:VEVENT
UID:one@example.test
DTSTAMP:20240101T000000Z
DTSTART;TZID=Europe/Berlin:20240110T090000
DTEND;TZID=Europe/Berlin:20240110T100000
SUMMARY:Plan
DESCRIPTION:Bring paper\, please
LOCATION:Room 1
CATEGORIES:Work
CLASS:PRIVATE
PRIORITY:1
SEQUENCE:2
TRANSP:OPAQUE
X-MICROSOFT-CDO-BUSYSTATUS:TENTATIVE
X-MICROSOFT-CDO-INTENDEDSTATUS:BUSY
ORGANIZER;CN=Alice:mailto:alice@example.test
ATTENDEE;CN=Bob;ROLE=REQ-PARTICIPANT;PARTSTAT=NEEDS-ACTION;RSVP=TRUE:mailto:bob@example.test
ATTENDEE;CN=Carol;ROLE=OPT-PARTICIPANT;PARTSTAT=ACCEPTED;RSVP=TRUE:mailto:carol@example.test
RRULE:FREQ=WEEKLY;COUNT=10;BYDAY=WE
EXDATE;TZID=Europe/Berlin:20240117T090000
BEGIN:VALARM
ACTION:DISPLAY
DESCRIPTION:REMINDER
TRIGGER:-PT15M
END:VALARM
END:VEVENT
END:VCALENDAR
`

// What every client knows of a meeting has a property and is not just kept.
func TestCarried(t *testing.T) {
	m := imported(t, parse(t, meeting))[0]
	if texts := kept.Texts(&m.Props, kept.Component); len(texts) > 0 {
		t.Errorf("kept, not carried: %q", texts)
	}
	for _, want := range []struct {
		name string
		got  any
		want any
	}{
		{"class", m.Text(mapi.PidTagMessageClass), "IPM.Schedule.Meeting.Request"},
		{"start", m.Lid(mapi.PidLidAppointmentStartWhole), mapi.FileTimeOf(time.Date(2024, 1, 10, 8, 0, 0, 0, time.UTC))},
		{"recurring", m.LidBool(mapi.PidLidRecurring), true},
		{"reminder", m.Lid(mapi.PidLidReminderDelta), mapi.Integer32(15)},
		{"attendees", m.LidText(mapi.PidLidAllAttendeesString), "Bob; Carol"},
		{"organizer", m.Text(mapi.PidTagSentRepresentingSmtpAddress), "alice@example.test"},
		{"busy", m.Lid(mapi.PidLidBusyStatus), mapi.Integer32(busyTentative)},
		{"intended", m.Lid(mapi.PidLidIntendedBusyStatus), mapi.Integer32(busyBusy)},
		{"private", m.LidBool(mapi.PidLidPrivate), true},
	} {
		if want.got != want.want {
			t.Errorf("%s is %v, want %v", want.name, want.got, want.want)
		}
	}
	p, err := binprop.ParseAppointmentRecurrencePattern(m.LidBinary(mapi.PidLidAppointmentRecur))
	if err != nil || p.Pattern.Occurrences != 10 || p.StartOffset != 540 || p.EndOffset != 600 || len(p.Pattern.Deleted) != 1 {
		t.Errorf("%+v, %v", p, err)
	}
}

// Days and floating times are in the mailbox's zone, and come back as they were.
func TestMailboxZone(t *testing.T) {
	for _, f := range corpus(t) {
		cal := parse(t, string(f.Data))
		list, err := Importer{Zone: "America/New_York"}.Import(cal)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(f.Name, func(t *testing.T) { checkRoundTrip(t, cal, list) })
	}
	list, err := Importer{Zone: "Eastern Standard Time"}.Import(parse(t, "BEGIN:VEVENT\nUID:1\nDTSTART;VALUE=DATE:20240710\nRRULE:FREQ=DAILY;COUNT=3\nEXDATE;VALUE=DATE:20240711\nEND:VEVENT\n"))
	if err != nil {
		t.Fatal(err)
	}
	m := list[0]
	if at, _ := m.LidTime(mapi.PidLidAppointmentStartWhole); at != mapi.FileTimeOf(time.Date(2024, 7, 10, 4, 0, 0, 0, time.UTC)) {
		t.Errorf("begins %v", at.Time())
	}
	m.SetLid(mapi.PidLidAppointmentStartWhole, mapi.FileTimeOf(time.Date(2024, 7, 9, 4, 0, 0, 0, time.UTC)))
	if event := Export(m).Inside(vevent)[0]; event.Value("DTSTART") != "20240709" || event.Value("EXDATE") != "20240711" {
		t.Errorf("got\n%s", event.Append(nil))
	}
}

// What a client changes counts afterwards, with all that was kept beside it.
func TestChangedByClient(t *testing.T) {
	m := imported(t, parse(t, strings.Replace(meeting, "SUMMARY:Plan", "SUMMARY;LANGUAGE=en:Plan\r\nX-OWN:stays", 1)))[0]
	m.SetText(mapi.PidTagNormalizedSubject, "Another plan")
	m.SetLid(mapi.PidLidReminderSet, mapi.Boolean(false))
	event := Export(m).Inside(vevent)[0]
	if event.Text("SUMMARY") != "Another plan" || event.Get("SUMMARY").Param("LANGUAGE") != "" || event.Value("X-OWN") != "stays" || len(event.Children) != 0 {
		t.Errorf("got\n%s", event.Append(nil))
	}
}

// Lines that say one thing together come back together or not at all.
func TestTogether(t *testing.T) {
	const head = "BEGIN:VEVENT\nUID:1\nDTSTAMP:20240101T000000Z\nDTSTART:20240110T090000Z\n"
	m := imported(t, parse(t, head+"DURATION:PT1H\nSTATUS:TENTATIVE\nPRIORITY:0\nX-OWN:1\nEND:VEVENT\n"))[0]
	m.SetLid(mapi.PidLidAppointmentEndWhole, mapi.FileTimeOf(time.Date(2024, 1, 10, 11, 0, 0, 0, time.UTC)))
	m.SetLid(mapi.PidLidBusyStatus, mapi.Integer32(2))
	m.Bag.Set(mapi.PidTagImportance, mapi.Integer32(2))
	want := parse(t, head+"DTEND:20240110T110000Z\nTRANSP:OPAQUE\nPRIORITY:1\nX-OWN:1\nEND:VEVENT\n")
	if got := Export(m).Inside(vevent)[0]; !slices.Equal(normalOf(got), normalOf(want.Children[0])) {
		t.Errorf("got\n%s", got.Append(nil))
	}
}

// A series that a client made has exceptions with what differs only, and one may have no message at all.
func TestExceptionOfClient(t *testing.T) {
	m := imported(t, parse(t, meeting))[0]
	p, err := binprop.ParseAppointmentRecurrencePattern(m.LidBinary(mapi.PidLidAppointmentRecur))
	if err != nil {
		t.Fatal(err)
	}
	original := binprop.MinutesOf(time.Date(2024, 1, 24, 9, 0, 0, 0, time.UTC))
	p.Exceptions = []binprop.Exception{{Start: original + 60, End: original + 90, OriginalStart: original, Flags: binprop.OverrideSubject, Subject: "Later", WideSubject: "Später"}}
	p.Pattern.Deleted = append(p.Pattern.Deleted, original-540)
	p.Pattern.Modified = []binprop.Minutes{original - 540}
	b, err := p.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	m.SetLid(mapi.PidLidAppointmentRecur, mapi.Binary(b))
	list := Export(m).Inside(vevent)
	if len(list) != 2 {
		t.Fatalf("%d events", len(list))
	}
	x := list[1]
	if x.Text("SUMMARY") != "Später" || x.Value("DTSTART") != "20240124T100000" || x.Value("RECURRENCE-ID") != "20240124T090000" || x.Text("LOCATION") != "Room 1" ||
		x.Value("UID") != "one@example.test" || len(x.All("ATTENDEE")) != 2 || x.Get("RRULE") != nil {
		t.Errorf("got\n%s", x.Append(nil))
	}
}

// An appointment as Outlook makes it: a zone described in words, a body in RTF, the last day of each month as the 31st.
func TestOutlookAppointment(t *testing.T) {
	berlin, _ := timezone.Load("Europe/Berlin")
	m := &object.Message{}
	m.SetText(mapi.PidTagMessageClass, "IPM.Appointment")
	m.SetText(mapi.PidTagNormalizedSubject, "Accounts")
	m.Bag.Set(mapi.PidTagRtfCompressed, mapi.Binary(rtf.Compress(rtf.FromText("Line 1\nLine 2"))))
	m.SetLid(mapi.PidLidAppointmentStartWhole, mapi.FileTimeOf(time.Date(2024, 1, 31, 9, 0, 0, 0, berlin)))
	m.SetLid(mapi.PidLidAppointmentEndWhole, mapi.FileTimeOf(time.Date(2024, 1, 31, 10, 0, 0, 0, berlin)))
	m.SetLidText(mapi.PidLidTimeZoneDescription, "(UTC+01:00) Amsterdam, Berlin, Bern")
	setDefinition(m, mapi.PidLidAppointmentTimeZoneDefinitionRecur, zone{"Europe/Berlin", berlin}, 2024)
	p := binprop.NewAppointmentRecurrencePattern()
	p.Pattern.Frequency, p.Pattern.Type, p.Pattern.Period, p.Pattern.Day = binprop.Monthly, binprop.PatternMonth, 1, 31
	p.Pattern.EndType, p.Pattern.Occurrences = binprop.EndAfterN, 12
	p.StartOffset, p.EndOffset = 540, 600
	p.Pattern.Deleted = []binprop.Minutes{binprop.MinutesOf(time.Date(2024, 7, 31, 0, 0, 0, 0, time.UTC))}
	b, err := p.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	m.SetLid(mapi.PidLidAppointmentRecur, mapi.Binary(b))
	m.SetLid(mapi.PidLidGlobalObjectId, mapi.Binary(objectID("40E0")))
	event := Export(m).Inside(vevent)[0]
	for name, want := range map[string]string{
		"DTSTART": "20240131T090000", "RRULE": "FREQ=MONTHLY;COUNT=12;BYMONTHDAY=-1", "EXDATE": "20240731T090000", "UID": "40E0", "DESCRIPTION": "Line 1\\nLine 2",
	} {
		if got := strings.TrimSuffix(event.Value(name), "\\n"); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if zone := event.Get("EXDATE").Param("TZID"); zone != "Europe/Berlin" {
		t.Errorf("zone %q", zone)
	}
	back := imported(t, Export(m))[0]
	if again := Export(back); !Same(again, Export(m)) {
		t.Errorf("came back as\n%s", again.Append(nil))
	}
}

func TestMethods(t *testing.T) {
	for _, c := range []struct{ method, partstat, class string }{
		{"", "ACCEPTED", "IPM.Appointment"}, {"PUBLISH", "ACCEPTED", "IPM.Appointment"}, {"REQUEST", "NEEDS-ACTION", "IPM.Schedule.Meeting.Request"},
		{"CANCEL", "NEEDS-ACTION", "IPM.Schedule.Meeting.Canceled"}, {"REPLY", "ACCEPTED", "IPM.Schedule.Meeting.Resp.Pos"}, {"REPLY", "DECLINED", "IPM.Schedule.Meeting.Resp.Neg"},
		{"REPLY", "TENTATIVE", "IPM.Schedule.Meeting.Resp.Tent"}, {"COUNTER", "TENTATIVE", "IPM.Schedule.Meeting.Resp.Tent"},
	} {
		s := "BEGIN:VCALENDAR\nMETHOD:" + c.method + "\nBEGIN:VEVENT\nUID:1\nDTSTART:20240101T100000Z\nORGANIZER:mailto:a@x.test\nATTENDEE;PARTSTAT=" + c.partstat + ":mailto:b@x.test\nEND:VEVENT\nEND:VCALENDAR\n"
		m := imported(t, parse(t, s))[0]
		if got := m.Text(mapi.PidTagMessageClass); got != c.class {
			t.Errorf("%s %s is a %s", c.method, c.partstat, got)
		}
		if got := Export(m).Value("METHOD"); got != c.method {
			t.Errorf("%s became %s", c.method, got)
		}
	}
}

func TestLimits(t *testing.T) {
	for name, s := range map[string]string{
		"deep": strings.Repeat("BEGIN:VEVENT\n", 30),
		"many": "BEGIN:VCALENDAR\n" + strings.Repeat("A:1\n", 30_000),
		"all":  "BEGIN:VCALENDAR\n" + strings.Repeat("BEGIN:A\nB:1\nEND:A\n", 300_000),
	} {
		if _, err := Parse([]byte(s)); !errors.Is(err, ical.ErrTooMany) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzImport(f *testing.F) {
	for _, file := range corpus(f) {
		f.Add(file.Data)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		defer testkit.Bounded(t)()
		d := ical.NewDecoder(strings.NewReader(string(b)), contentline.Limits{Line: 1 << 18, Total: 1 << 18})
		for {
			cal, err := d.Next()
			if errors.Is(err, io.EOF) || errors.Is(err, contentline.ErrTooLong) || errors.Is(err, ical.ErrTooMany) {
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			checkRoundTrip(t, cal, imported(t, cal))
		}
	})
}

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(m.Run())
}

// Hostile input costs no more than 64 MiB: counted is all that is allocated, which is more than is ever held. Lines that
// become objects (attendees, deleted days) come in half the number that a component may have.
func TestBoundedMemory(t *testing.T) {
	const count, limit = 9_900, 64 << 20
	const event = "BEGIN:VEVENT\nUID:1\nDTSTART;TZID=Europe/Berlin:20240110T090000\nRRULE:FREQ=DAILY\n"
	for name, s := range map[string]string{
		"lines":       event + strings.Repeat("X-A:1\n", count),
		"attendees":   event + strings.Repeat("ATTENDEE:mailto:a@b.test\n", count/2),
		"parameters":  event + "X-A" + strings.Repeat(";P=1", 900) + ":1\n",
		"deleted":     event + strings.Repeat("EXDATE;TZID=Europe/Berlin:20240111T090000\n", count/2),
		"lists":       event + "EXDATE:" + strings.Repeat("20240111T080000Z,", 1<<16) + "20240111T080000Z\n",
		"exceptions":  "BEGIN:VCALENDAR\n" + event + "END:VEVENT\n" + strings.Repeat(strings.Replace(event, "RRULE", "RECURRENCE-ID:20240110T080000Z\nX", 1)+"END:VEVENT\n", 1000),
		"alarms":      event + strings.Repeat("BEGIN:VALARM\nTRIGGER:-PT5M\nEND:VALARM\n", count/2),
		"zones":       "BEGIN:VCALENDAR\n" + strings.Repeat("BEGIN:VTIMEZONE\nTZID:x\nEND:VTIMEZONE\n", count),
		"attachments": event + strings.Repeat("ATTACH;ENCODING=BASE64;VALUE=BINARY:QUJD\n", count/2),
		"categories":  event + "CATEGORIES:" + strings.Repeat("a,", 1<<18) + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			before := allocated()
			for _, m := range imported(t, parse(t, s)) {
				Bytes(m)
			}
			if used := allocated() - before; used > limit {
				t.Errorf("%d KiB allocated for %d KiB", used>>10, len(s)>>10)
			} else {
				t.Logf("%d KiB allocated for %d KiB", used>>10, len(s)>>10)
			}
		})
	}
}

// allocated is all that was ever allocated.
func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}
