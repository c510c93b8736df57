package oxcical

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/flotilla-mail/flotilla/internal/convert/kept"
	"github.com/flotilla-mail/flotilla/internal/convert/object"
	"github.com/flotilla-mail/flotilla/internal/convert/timezone"
	"github.com/flotilla-mail/flotilla/internal/formats/ical"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/binprop"
)

// changing are zones with the days of 2024 on which their clocks change, and what they show in the middle of the hour that they leave
// out and of the one that they show twice: on both sides of UTC and of the equator, by half an hour, and at midnight.
var changing = []struct{ zone, skipped, repeated string }{
	{"Europe/Berlin", "20240331T0230", "20241027T0230"},
	{"Europe/London", "20240331T0130", "20241027T0130"},
	{"America/New_York", "20240310T0230", "20241103T0130"},
	{"America/Santiago", "20240908T0030", "20240406T2330"},
	{"Australia/Sydney", "20241006T0230", "20240407T0230"},
	{"Australia/Lord_Howe", "20241006T0215", "20240407T0145"},
	{"Africa/Cairo", "20240426T0030", "20241031T2330"},
}

// untouched is a message as a client would have written it: nothing of a calendar is kept.
func untouched(m *object.Message) *object.Message {
	kept.Forget(&m.Props)
	for i := range m.Attachments {
		if one := m.Attachments[i].Embedded; one != nil {
			kept.Forget(&one.Props)
		}
	}
	return m
}

// of2024 are the times that an appointment takes in a year, in words.
func of2024(t testing.TB, m *object.Message) []string {
	t.Helper()
	list, _, ok := Occurrences(m, time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC))
	if !ok {
		t.Fatal("no occurrences")
	}
	var words []string
	for _, s := range list {
		words = append(words, s.Start.UTC().Format("0102T1504")+"/"+s.End.UTC().Format("0102T1504"))
	}
	return words
}

func wallOf(t testing.TB, s string) time.Time {
	t.Helper()
	d, err := ical.ParseDateTime(s)
	if err != nil {
		t.Fatal(err)
	}
	return d.Wall
}

// daily is a calendar of a series that is a quarter of an hour long, from two days before a time on; of the time's own day, and of the
// next, more is said.
func daily(zone string, at time.Time, more string, exceptions ...string) string {
	form := func(t time.Time) string { return t.Format("20060102T150405") }
	s := fmt.Sprintf("BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:1\nDTSTART;TZID=%s:%s\nDURATION:PT15M\nRRULE:FREQ=DAILY;COUNT=5\n%sEND:VEVENT\n",
		zone, form(at.AddDate(0, 0, -2)), more)
	for _, x := range exceptions {
		s += "BEGIN:VEVENT\nUID:1\n" + x + "END:VEVENT\n"
	}
	return s + "END:VCALENDAR\n"
}

// TestSeriesAcrossChanges: a series at a time that the clocks leave out or show twice happens on each of its days at the first moment
// that is that time, by the offset before if there is none, and likewise ends; a day that is deleted or moved is found however it is named; and all of it
// comes back from a calendar that is written of nothing but the properties.
func TestSeriesAcrossChanges(t *testing.T) {
	for _, c := range changing {
		loc, ok := timezone.Load(c.zone)
		if !ok {
			t.Fatal(c.zone)
		}
		for _, s := range []string{c.skipped, c.repeated} {
			at := wallOf(t, s)
			var whole []string
			for n := -2; n <= 2; n++ {
				start, end := ical.At(at.AddDate(0, 0, n), loc), ical.At(at.AddDate(0, 0, n).Add(15*time.Minute), loc)
				if !end.After(start) {
					end = start.Add(15 * time.Minute)
				}
				whole = append(whole, start.UTC().Format("0102T1504")+"/"+end.UTC().Format("0102T1504"))
			}
			without := slices.Delete(slices.Clone(whole), 2, 3)
			moved := slices.Clone(whole)
			noon := ical.At(at.Truncate(day).Add(12*time.Hour), loc).UTC()
			moved[2] = noon.Format("0102T1504") + "/" + noon.Add(time.Hour).Format("0102T1504")
			local, utc := ";TZID="+c.zone+":"+at.Format("20060102T150405"), ":"+ical.At(at, loc).UTC().Format("20060102T150405Z")
			instead := "DTSTART" + noon.Format(":20060102T150405Z") + "\nDURATION:PT1H\n"
			for what, tc := range map[string]struct {
				calendar string
				want     []string
			}{
				"whole":              {daily(c.zone, at, ""), whole},
				"deleted":            {daily(c.zone, at, "EXDATE"+local+"\n"), without},
				"deleted in UTC":     {daily(c.zone, at, "EXDATE"+utc+"\n"), without},
				"deleted by its day": {daily(c.zone, at, "EXDATE;VALUE=DATE:"+at.Format("20060102")+"\n"), without},
				"moved":              {daily(c.zone, at, "", "RECURRENCE-ID"+local+"\n"+instead), moved},
				"moved in UTC":       {daily(c.zone, at, "", "RECURRENCE-ID"+utc+"\n"+instead), moved},
				"moved by its day":   {daily(c.zone, at, "", "RECURRENCE-ID;VALUE=DATE:"+at.Format("20060102")+"\n"+instead), moved},
			} {
				m := untouched(imported(t, parse(t, tc.calendar))[0])
				if got := of2024(t, m); !slices.Equal(got, tc.want) {
					t.Errorf("%s at %s, %s: %v, want %v", c.zone, s, what, got, tc.want)
				}
				written := Export(m)
				back := imported(t, parse(t, string(written.Append(nil))))
				if len(back) != 1 {
					t.Fatalf("%s at %s, %s: %d messages of\n%s", c.zone, s, what, len(back), written.Append(nil))
				}
				if got := of2024(t, untouched(back[0])); !slices.Equal(got, tc.want) || len(back[0].Attachments) != len(m.Attachments) {
					t.Errorf("%s at %s, %s: comes back as %v of\n%s", c.zone, s, what, got, written.Append(nil))
				}
			}
		}
	}
}

// TestSeriesBeginsAtChange: a series that begins on such a day is as long on all the others as it says.
func TestSeriesBeginsAtChange(t *testing.T) {
	for _, c := range changing {
		for _, s := range []string{c.skipped, c.repeated} {
			m := untouched(imported(t, parse(t, daily(c.zone, wallOf(t, s).AddDate(0, 0, 2), "")))[0])
			got := of2024(t, m)
			again := of2024(t, imported(t, parse(t, string(Bytes(m))))[0])
			if last := strings.Split(got[len(got)-1], "/"); !slices.Equal(got, again) || !wallOf(t, "2024"+last[1]).Equal(wallOf(t, "2024"+last[0]).Add(15*time.Minute)) {
				t.Errorf("%s at %s: %v became %v", c.zone, s, got, again)
			}
		}
	}
}

// TestSecondOfTwo: a moment that the clocks show a second time is written in UTC.
func TestSecondOfTwo(t *testing.T) {
	for _, c := range changing {
		loc, ok := timezone.Load(c.zone)
		if !ok {
			t.Fatal(c.zone)
		}
		first := ical.At(wallOf(t, c.repeated), loc)
		shift := time.Hour
		if c.zone == "Australia/Lord_Howe" {
			shift /= 2
		}
		m := &object.Message{}
		setSpan(m, span{start: first, end: first.Add(shift), zone: zone{c.zone, loc}, endZone: zone{c.zone, loc}})
		m.SetText(mapi.PidTagMessageClass, classAppointment)
		event := Export(m).Inside(vevent)[0]
		if start, end := event.Get("DTSTART"), event.Get("DTEND"); start.Param("TZID") != c.zone || start.Value != c.repeated+"00" ||
			end.Value != first.Add(shift).UTC().Format("20060102T150405Z") {
			t.Errorf("%s: %s to %s", c.zone, start, end)
		}
		back := imported(t, Export(m))[0]
		for _, n := range []mapi.NamedProperty{mapi.PidLidAppointmentStartWhole, mapi.PidLidAppointmentEndWhole} {
			if back.Lid(n) != m.Lid(n) {
				t.Errorf("%s: %v became %v", c.zone, m.Lid(n), back.Lid(n))
			}
		}
	}
}

// TestReplacedByAnotherClient: the message of an exception is found also where a client has taken the second of two moments for the
// time that it replaces.
func TestReplacedByAnotherClient(t *testing.T) {
	at := wallOf(t, "20241027T0230")
	m := imported(t, parse(t, daily("Europe/Berlin", at, "", "RECURRENCE-ID;TZID=Europe/Berlin:20241027T023000\nDTSTART;TZID=Europe/Berlin:20241027T120000\nSUMMARY:Moved\n")))[0]
	second := mapi.FileTimeOf(time.Date(2024, 10, 27, 1, 30, 0, 0, time.UTC))
	m.Attachments[0].Bag.Set(mapi.PidTagExceptionReplaceTime, second)
	m.Attachments[0].Embedded.SetLid(mapi.PidLidExceptionReplaceTime, second)
	m.Attachments[0].Embedded.SetText(mapi.PidTagBody, "says why")
	list := Export(untouched(m)).Inside(vevent)
	if len(list) != 2 || list[1].Text("DESCRIPTION") != "says why" || list[1].Value("RECURRENCE-ID") != "20241027T023000" {
		t.Errorf("%s", Bytes(m))
	}
	next := copyOf(m)
	cancel := &object.Message{}
	cancel.SetLid(mapi.PidLidExceptionReplaceTime, mapi.FileTimeOf(time.Date(2024, 10, 27, 0, 30, 0, 0, time.UTC)))
	if !removeOccurrence(next, cancel) || len(next.Attachments) != 0 {
		t.Errorf("%d attachments are left", len(next.Attachments))
	}
}

// TestWholeDaysWithoutMidnight: a day whose first hour the clocks leave out is a day.
func TestWholeDaysWithoutMidnight(t *testing.T) {
	for zone, on := range map[string]string{"America/Santiago": "20240908", "Africa/Cairo": "20240426", "Europe/Berlin": "20240331"} {
		start := wallOf(t, on)
		text := fmt.Sprintf("BEGIN:VEVENT\nUID:1\nDTSTART;VALUE=DATE:%s\nRRULE:FREQ=DAILY;COUNT=3\nEXDATE;VALUE=DATE:%s\nEND:VEVENT\n", on, start.AddDate(0, 0, 1).Format("20060102"))
		list, err := Importer{Zone: zone}.Import(parse(t, text))
		if err != nil {
			t.Fatal(err)
		}
		p, err := binprop.ParseAppointmentRecurrencePattern(list[0].LidBinary(mapi.PidLidAppointmentRecur))
		if err != nil || p.StartOffset != 0 || p.EndOffset != 24*60 {
			t.Errorf("%s: from %d to %d, %v", zone, p.StartOffset, p.EndOffset, err)
		}
		event := Export(untouched(list[0])).Inside(vevent)[0]
		if from, to, not := event.Value("DTSTART"), event.Value("DTEND"), event.Value("EXDATE"); from != on || to != start.AddDate(0, 0, 1).Format("20060102") || not != to {
			t.Errorf("%s: %s to %s without %s", zone, from, to, not)
		}
	}
}

// TestDaysAreNoHours: a day of a duration is one of the calendar, an hour an hour (RFC 5545 3.3.6).
func TestDaysAreNoHours(t *testing.T) {
	for duration, want := range map[string]string{"P1D": "08:00", "PT24H": "09:00", "P1DT1H": "09:00", "P1W": "08:00"} {
		m := imported(t, parse(t, "BEGIN:VEVENT\nUID:1\nDTSTART;TZID=Europe/Berlin:20240330T100000\nDURATION:"+duration+"\nEND:VEVENT\n"))[0]
		if end, _ := m.LidTime(mapi.PidLidAppointmentEndWhole); end.Time().Format("15:04") != want {
			t.Errorf("%s ends at %v", duration, end.Time())
		}
	}
}

// TestForeignExceptions: what a series' dates and exceptions say in another form than its beginning, as programs do.
func TestForeignExceptions(t *testing.T) {
	days := func(list ...string) string { return strings.Join(list, " ") }
	for what, tc := range map[string]struct{ zone, calendar, want string }{
		"RECURRENCE-ID in another zone": {"", daily("Europe/Berlin", wallOf(t, "20240110T0900"), "",
			"RECURRENCE-ID;TZID=America/New_York:20240110T030000\nDTSTART;TZID=America/New_York:20240110T060000\nDURATION:PT1H\n"),
			days("0108T0800/0108T0815", "0109T0800/0109T0815", "0110T1100/0110T1200", "0111T0800/0111T0815", "0112T0800/0112T0815")},
		"EXDATE in another zone, on another day there": {"", daily("America/Los_Angeles", wallOf(t, "20240110T1800"), "EXDATE;TZID=Asia/Tokyo:20240111T110000\n"),
			days("0109T0200/0109T0215", "0110T0200/0110T0215", "0112T0200/0112T0215", "0113T0200/0113T0215")},
		"whole day in a series of a zone west of UTC": {"", daily("America/New_York", wallOf(t, "20240110T0900"), "",
			"RECURRENCE-ID;TZID=America/New_York:20240110T090000\nDTSTART;VALUE=DATE:20240110\n"),
			days("0108T1400/0108T1415", "0109T1400/0109T1415", "0110T0500/0111T0500", "0111T1400/0111T1415", "0112T1400/0112T1415")},
		"time in a series of days": {"Europe/Berlin", "BEGIN:VEVENT\nUID:1\nDTSTART;VALUE=DATE:20240109\nRRULE:FREQ=DAILY;COUNT=5\nEXDATE:20240109T230000Z\n" +
			"EXDATE;TZID=Europe/Berlin:20240111T090000\nEXDATE:20240112T000000Z\nEXDATE:20240113T050000Z\nEND:VEVENT\n", days("0108T2300/0109T2300", "0112T2300/0113T2300")},
		"until in UTC": {"", "BEGIN:VEVENT\nUID:1\nDTSTART;TZID=America/New_York:20240109T200000\nDURATION:PT15M\nRRULE:FREQ=DAILY;UNTIL=20240111T010000Z\nEND:VEVENT\n",
			days("0110T0100/0110T0115", "0111T0100/0111T0115")},
		"until on its clocks": {"", "BEGIN:VEVENT\nUID:1\nDTSTART;TZID=America/New_York:20240109T200000\nDURATION:PT15M\nRRULE:FREQ=DAILY;UNTIL=20240110T200000\nEND:VEVENT\n",
			days("0110T0100/0110T0115", "0111T0100/0111T0115")},
		"until before its time of a day": {"", "BEGIN:VEVENT\nUID:1\nDTSTART;TZID=America/New_York:20240109T200000\nDURATION:PT15M\nRRULE:FREQ=DAILY;UNTIL=20240111T000000Z\nEND:VEVENT\n",
			days("0110T0100/0110T0115")},
		"until a day": {"", "BEGIN:VEVENT\nUID:1\nDTSTART;TZID=America/New_York:20240109T200000\nDURATION:PT15M\nRRULE:FREQ=DAILY;UNTIL=20240110\nEND:VEVENT\n",
			days("0110T0100/0110T0115", "0111T0100/0111T0115")},
	} {
		list, err := Importer{Zone: tc.zone}.Import(parse(t, tc.calendar))
		if err != nil || len(list) != 1 {
			t.Fatal(what, err)
		}
		m := untouched(list[0])
		if got := strings.Join(of2024(t, m), " "); got != tc.want {
			t.Errorf("%s: %s, want %s", what, got, tc.want)
		}
		again, err := Importer{Zone: tc.zone}.Import(parse(t, string(Bytes(m))))
		if err != nil || len(again) != 1 {
			t.Fatal(what, err)
		}
		if got := strings.Join(of2024(t, again[0]), " "); got != tc.want {
			t.Errorf("%s: comes back as %s of\n%s", what, got, Bytes(m))
		}
	}
}

// TestAnySeriesComesBack: whatever day of the year and time a series is at, in whatever zone, it takes the same time when it has been
// written and read, and each occurrence is where the clocks of its zone say.
func TestAnySeriesComesBack(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c := rapid.SampledFrom(changing).Draw(rt, "zone")
		zone := c.zone
		loc, _ := timezone.Load(zone)
		at := time.Date(2024, 1, 1, 0, rapid.IntRange(3*24*60, 360*24*60).Draw(rt, "minute"), 0, 0, time.UTC)
		if rapid.Bool().Draw(rt, "near a change") {
			at = wallOf(t, rapid.SampledFrom([]string{c.skipped, c.repeated}).Draw(rt, "change"))
			at = at.Add(time.Duration(rapid.IntRange(-3*24*60, 3*24*60).Draw(rt, "from the change")) * time.Minute)
		}
		m := untouched(imported(t, parse(t, daily(zone, at, "")))[0])
		got := of2024(t, m)
		for n := -2; n <= 2; n++ {
			start := ical.At(at.AddDate(0, 0, n), loc).UTC().Format("0102T1504")
			if !slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, start) }) {
				rt.Fatalf("none at %s of %v", start, got)
			}
		}
		if again := of2024(t, imported(t, parse(t, string(Bytes(m))))[0]); !slices.Equal(again, got) {
			rt.Fatalf("%v became %v", got, again)
		}
	})
}
