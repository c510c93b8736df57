package oxcical

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/flotilla-mail/flotilla/internal/convert/kept"
	"github.com/flotilla-mail/flotilla/internal/convert/object"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/testkit/objects"
)

// calendarWith is a meeting with lines in the place that their section says: in the calendar, the zone, the alarm or the event. They
// stand for the meeting's own lines of that name.
func calendarWith(section, method string, lines []string) string {
	names := map[string]bool{}
	for _, l := range lines {
		names[l[:strings.IndexAny(l, ":;")]] = true
	}
	place := map[string][]string{
		"calendar": {"PRODID:x"},
		"zone":     {"TZID:Europe/Berlin"},
		"event": {"UID:1", "DTSTAMP:20240101T000000Z", "DTSTART;TZID=Europe/Berlin:20240110T090000",
			"ORGANIZER:mailto:olga@example.test", "ATTENDEE;PARTSTAT=TENTATIVE:mailto:anna@example.test"},
		"alarm": {"ACTION:DISPLAY", "DESCRIPTION:REMINDER", "TRIGGER:-PT5M"},
	}
	if method != "" {
		place["calendar"] = append(place["calendar"], "METHOD:"+method)
	}
	where := "event"
	switch n, _ := strconv.Atoi(strings.TrimPrefix(section, "2.1.3.1.1.")); {
	case section == "2.1.3.1.1.20.62":
		where = "alarm"
	case n == 19:
		where = "zone"
	case n > 0:
		where = "calendar"
	}
	place[where] = slices.DeleteFunc(place[where], func(l string) bool { return names[l[:strings.IndexAny(l, ":;")]] })
	place[where] = append(place[where], lines...)
	text := func(name string) string { return strings.Join(place[name], "\r\n") + "\r\n" }
	return "BEGIN:VCALENDAR\r\n" + text("calendar") + "BEGIN:VTIMEZONE\r\n" + text("zone") +
		"BEGIN:STANDARD\r\nDTSTART:19700101T000000\r\nTZOFFSETFROM:+0100\r\nTZOFFSETTO:+0100\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\n" +
		"BEGIN:VEVENT\r\n" + text("event") + "BEGIN:VALARM\r\n" + text("alarm") + "END:VALARM\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
}

// unfolded is what is written, a line a line.
func unfolded(m *object.Message) []string {
	return strings.Split(strings.ReplaceAll(string(Bytes(m)), "\r\n ", ""), "\r\n")
}

// TestNames: each line of the table goes where the table says, and no section of the document is without a row.
func TestNames(t *testing.T) {
	sections := map[string]bool{}
	for _, row := range objects.Table(t, "docs/design/conversion-names.md", "Calendars", 5) {
		lines, section, method, property, written := objects.Code(row[0]), row[1], row[2], row[3], objects.Code(row[4])
		sections[section] = true
		if len(written) == 0 {
			written = lines
		}
		t.Run(method+lines[len(lines)-1], func(t *testing.T) {
			cal := parse(t, calendarWith(section, method, lines))
			list := imported(t, cal)
			checkRoundTrip(t, cal, list)
			m := list[0]
			if property == "kept" {
				texts := strings.Join(append(kept.Texts(&m.Props, kept.Component), kept.Texts(&m.Props, kept.Calendar)...), "\n")
				if last := lines[len(lines)-1]; !strings.Contains(texts, last) && !strings.Contains(strings.ReplaceAll(texts, `"`, ""), strings.ReplaceAll(last, `"`, "")) {
					t.Errorf("%s is not kept, but\n%s", last, texts)
				}
				return
			}
			for _, name := range strings.Split(property, ", ") {
				if dump := objects.Dump(m); name != "none" && !strings.Contains(dump, name+": ") {
					t.Errorf("no %s in\n%s", name, dump)
				}
			}
			kept.Forget(&m.Props)
			got := unfolded(m)
			for _, l := range written {
				if !slices.Contains(got, l) {
					t.Errorf("no %s in\n%s", l, strings.Join(got, "\n"))
				}
			}
		})
	}
	for n := 1; n <= 19; n++ {
		if s := fmt.Sprint("2.1.3.1.1.", n); !sections[s] {
			t.Errorf("no row for section %s", s)
		}
	}
	for n := 1; n <= 62; n++ {
		if s := fmt.Sprint("2.1.3.1.1.20.", n); !sections[s] {
			t.Errorf("no row for section %s", s)
		}
	}
}

// TestFirstNames: where a calendar says a thing twice, the newer program's word counts; what a client changes takes the older
// words away.
func TestFirstNames(t *testing.T) {
	lines := []string{"SEQUENCE:1", "X-MICROSOFT-CDO-APPT-SEQUENCE:4", "PRIORITY:9", "X-MICROSOFT-MSNCALENDAR-IMPORTANCE:0", "X-MICROSOFT-CDO-IMPORTANCE:2",
		"X-MICROSOFT-MSNCALENDAR-BUSYSTATUS:FREE", "X-MICROSOFT-CDO-BUSYSTATUS:OOF", "X-MS-OLK-CONFTYPE:much"}
	cal := parse(t, calendarWith("2.1.3.1.1.20.1", "", lines))
	m := imported(t, cal)[0]
	checkRoundTrip(t, cal, []*object.Message{m})
	dump := objects.Dump(m)
	for _, want := range []string{"PidLidAppointmentSequence: 4", "PidTagImportance: 2", "PidLidBusyStatus: 3"} {
		if !strings.Contains(dump, want+"\n") {
			t.Errorf("no %s in\n%s", want, dump)
		}
	}
	m.SetLid(mapi.PidLidConferencingType, mapi.Integer32(1))
	if got := strings.Join(unfolded(m), "\n"); strings.Count(got, "X-MS-OLK-CONFTYPE:") != 1 || strings.Contains(got, "much") {
		t.Errorf("two types of conference in\n%s", got)
	}
}
