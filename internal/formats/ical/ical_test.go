package ical

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/flotilla-mail/flotilla/internal/formats/contentline"
	"github.com/flotilla-mail/flotilla/internal/testkit"
)

func read(t testing.TB, s string) []*Component {
	t.Helper()
	d := NewDecoder(strings.NewReader(s), contentline.Default())
	var list []*Component
	for {
		c, err := d.Next()
		if errors.Is(err, io.EOF) {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, c)
	}
}

func TestComponents(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"nested", "BEGIN:VCALENDAR\nA:1\nBEGIN:VEVENT\nB:2\nBEGIN:VALARM\nC:3\nEND:VALARM\nEND:VEVENT\nEND:VCALENDAR\n",
			"BEGIN:VCALENDAR\nA:1\nBEGIN:VEVENT\nB:2\nBEGIN:VALARM\nC:3\nEND:VALARM\nEND:VEVENT\nEND:VCALENDAR\n"},
		{"alone", "BEGIN:VEVENT\nB:2\nEND:VEVENT\n", "BEGIN:VCALENDAR\nBEGIN:VEVENT\nB:2\nEND:VEVENT\nEND:VCALENDAR\n"},
		{"no end", "BEGIN:VCALENDAR\nBEGIN:VEVENT\nB:2", "BEGIN:VCALENDAR\nBEGIN:VEVENT\nB:2\nEND:VEVENT\nEND:VCALENDAR\n"},
		{"two", "BEGIN:VCALENDAR\nEND:VCALENDAR\nBEGIN:vcalendar\nEND:vcalendar\n", "BEGIN:VCALENDAR\nEND:VCALENDAR\nBEGIN:VCALENDAR\nEND:VCALENDAR\n"},
		{"junk around", "From x\nA:1\nBEGIN:VCALENDAR\nno line\nEND:VCALENDAR\nmore", "BEGIN:VCALENDAR\nEND:VCALENDAR\n"},
		{"nothing", "", ""},
	} {
		var got []byte
		for _, cal := range read(t, c.in) {
			got = cal.Append(got)
		}
		if s := strings.ReplaceAll(string(got), "\r\n", "\n"); s != c.want {
			t.Errorf("%s: got\n%s", c.name, s)
		}
	}
}

func TestDateTimes(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"20240131", "20240131"}, {"20240131T235959", "20240131T235959"}, {"20240131T235959Z", "20240131T235959Z"}, {"2024-01-31T23:59:59Z", "20240131T235959Z"},
		{"20240131t2359", "20240131T235900"}, {" 20240131 ", "20240131"}, {"20240131Z", "20240131"},
		{"20240231", ""}, {"20240131T25", ""}, {"", ""}, {"tomorrow", ""}, {"00000101", ""}, {"20240131T235960", ""},
	} {
		d, err := ParseDateTime(c.in)
		if c.want == "" {
			if !errors.Is(err, ErrBadValue) {
				t.Errorf("%q: %v, %v", c.in, d, err)
			}
			continue
		}
		if err != nil || d.String() != c.want {
			t.Errorf("%q: %s, %v", c.in, d.String(), err)
		}
	}
	l := contentline.Line{Value: "20240131T090000,20240201T090000/PT1H", Params: []contentline.Param{{Name: "TZID", Values: []string{"X"}}}}
	list, err := DateTimesOf(&l)
	if err != nil || len(list) != 2 || list[1].Zone != "X" || list[1].String() != "20240201T090000" {
		t.Errorf("%+v, %v", list, err)
	}
	at := list[0].In(time.FixedZone("X", 3600))
	if !at.Equal(time.Date(2024, 1, 31, 8, 0, 0, 0, time.UTC)) {
		t.Errorf("%v", at)
	}
}

func TestDurations(t *testing.T) {
	for _, c := range []struct {
		in   string
		want time.Duration
		out  string
	}{
		{"PT15M", 15 * time.Minute, "PT15M"}, {"-PT15M", -15 * time.Minute, "-PT15M"}, {"+P1DT2H", 26 * time.Hour, "P1DT2H"}, {"P2W", 14 * 24 * time.Hour, "P2W"},
		{"P7D", 7 * 24 * time.Hour, "P1W"}, {"PT0S", 0, "PT0M"}, {"PT90S", 90 * time.Second, "PT1M30S"}, {"P1D", 24 * time.Hour, "P1D"}, {"pt1h", time.Hour, "PT1H"},
	} {
		d, err := ParseDuration(c.in)
		if err != nil || d != c.want || FormatDuration(d) != c.out {
			t.Errorf("%s: %v, %s, %v", c.in, d, FormatDuration(d), err)
		}
	}
	for _, s := range []string{"", "P", "15M", "PT", "PTM", "PT99999999999H", "P200000D", "P4000000000W", "PT-5M"} {
		if d, err := ParseDuration(s); !errors.Is(err, ErrBadValue) && s != "PT" {
			t.Errorf("%q: %v, %v", s, d, err)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64Range(-1e9, 1e9).Draw(t, "seconds")) * time.Second
		if got, err := ParseDuration(FormatDuration(d)); err != nil || got != d {
			t.Fatalf("%v became %s, %v", d, FormatDuration(d), err)
		}
	})
}

func TestOffsets(t *testing.T) {
	for s, want := range map[string]time.Duration{"+0100": time.Hour, "-0330": -3*time.Hour - 30*time.Minute, "+05:30": 5*time.Hour + 30*time.Minute, "-123456": -12*time.Hour - 34*time.Minute - 56*time.Second} {
		d, err := ParseOffset(s)
		if err != nil || d != want || FormatOffset(d) != strings.ReplaceAll(s, ":", "") {
			t.Errorf("%s: %v, %s, %v", s, d, FormatOffset(d), err)
		}
	}
	for _, s := range []string{"", "0100", "+1", "+2500", "+01x0", "+-100"} {
		if d, err := ParseOffset(s); !errors.Is(err, ErrBadValue) {
			t.Errorf("%q: %v, %v", s, d, err)
		}
	}
}

func TestRecur(t *testing.T) {
	const all = "FREQ=YEARLY;INTERVAL=2;UNTIL=20300101T000000Z;BYDAY=MO,-1FR;BYMONTH=1,2;BYWEEKNO=-1;BYYEARDAY=100;BYMONTHDAY=-1,5;BYHOUR=9;BYMINUTE=0,30;BYSECOND=0;BYSETPOS=-1;WKST=SU;X-MORE=1"
	r, err := ParseRecur(all)
	if err != nil || r.String() != all {
		t.Errorf("%s, %v", r.String(), err)
	}
	for _, s := range []string{"", "FREQ=", "INTERVAL=2", "FREQ=DAILY;COUNT=0", "FREQ=DAILY;INTERVAL=-1", "FREQ=DAILY;BYDAY=XX", "FREQ=DAILY;BYDAY=99MO", "FREQ=DAILY;BYMONTH=13", "FREQ=DAILY;UNTIL=x",
		"FREQ=DAILY;COUNT=2;UNTIL=20300101", "FREQ=DAILY;WKST=1", "FREQ", "FREQ=DAILY;BYDAY="} {
		if r, err := ParseRecur(s); !errors.Is(err, ErrBadValue) {
			t.Errorf("%q: %s, %v", s, r.String(), err)
		}
	}
}

// FuzzDecode wants what was read to be written and read the same.
func FuzzDecode(f *testing.F) {
	f.Add([]byte("BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nDTSTART;TZID=\"x:y\":20240101T000000\r\nBEGIN:VALARM\r\nEND:VALARM\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"))
	f.Add([]byte("BEGIN:A\nBEGIN:B\nEND:A\nEND:C\nBEGIN:VCALENDAR"))
	f.Fuzz(func(t *testing.T, b []byte) {
		defer testkit.Bounded(t)()
		d := NewDecoder(bytes.NewReader(b), contentline.Limits{Line: 1 << 18, Total: 1 << 18})
		for {
			c, err := d.Next()
			if err != nil {
				return
			}
			written := c.Append(nil)
			again, err := NewDecoder(bytes.NewReader(written), contentline.Default()).Next()
			if err != nil || !bytes.Equal(again.Append(nil), written) {
				t.Errorf("%q became %q, %v", written, again.Append(nil), err)
			}
		}
	})
}

// FuzzValues wants every value that is read to be written and read the same.
func FuzzValues(f *testing.F) {
	for _, s := range []string{"20240101T000000Z", "-P1DT2H3M4S", "+053000", "FREQ=MONTHLY;BYDAY=-1MO;UNTIL=20240101"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		defer testkit.Bounded(t)()
		if d, err := ParseDateTime(s); err == nil {
			if again, err := ParseDateTime(d.String()); err != nil || again != d {
				t.Errorf("date %q became %q, %v", s, d.String(), err)
			}
		}
		if d, err := ParseDuration(s); err == nil {
			if again, err := ParseDuration(FormatDuration(d)); err != nil || again != d {
				t.Errorf("duration %q became %q, %v", s, FormatDuration(d), err)
			}
		}
		if d, err := ParseOffset(s); err == nil {
			if again, err := ParseOffset(FormatOffset(d)); err != nil || again != d {
				t.Errorf("offset %q became %q, %v", s, FormatOffset(d), err)
			}
		}
		if r, err := ParseRecur(s); err == nil {
			if again, err := ParseRecur(r.String()); err != nil || again.String() != r.String() {
				t.Errorf("rule %q became %q, %v", s, r.String(), err)
			}
		}
	})
}

// TestAt: what the clocks show twice is the first of the two moments, what they leave out goes by the offset before it.
func TestAt(t *testing.T) {
	for _, c := range []struct{ zone, wall, want string }{
		{"Europe/Berlin", "20241027T015959", "20241026T235959"}, {"Europe/Berlin", "20241027T020000", "20241027T000000"}, {"Europe/Berlin", "20241027T023000", "20241027T003000"},
		{"Europe/Berlin", "20241027T030000", "20241027T020000"}, {"Europe/Berlin", "20240331T015959", "20240331T005959"}, {"Europe/Berlin", "20240331T020000", "20240331T010000"},
		{"Europe/Berlin", "20240331T023000", "20240331T013000"}, {"Europe/Berlin", "20240331T030000", "20240331T010000"},
		{"Europe/London", "20241027T013000", "20241027T003000"}, {"Europe/London", "20240331T013000", "20240331T013000"},
		{"America/New_York", "20071104T013000", "20071104T053000"}, {"America/New_York", "20070311T023000", "20070311T073000"}, // RFC 5545 3.3.5
		{"America/New_York", "20071104T020000", "20071104T070000"}, {"America/Santiago", "20240908T003000", "20240908T043000"},
		{"America/Santiago", "20240406T233000", "20240407T023000"}, {"Australia/Lord_Howe", "20240407T014500", "20240406T144500"},
		{"Australia/Lord_Howe", "20240407T020000", "20240406T153000"}, {"Australia/Lord_Howe", "20241006T021500", "20241005T154500"},
		{"Pacific/Apia", "20111230T120000", "20111230T220000"}, // a day that was left out
		{"Asia/Kolkata", "20240101T053000", "20240101T000000"}, {"America/New_York", "18000101T120000", "18000101T165602"}, {"Europe/Berlin", "40000701T120000", "40000701T100000"},
	} {
		loc, err := time.LoadLocation(c.zone)
		if err != nil {
			t.Fatal(err)
		}
		d, err := ParseDateTime(c.wall)
		if err != nil {
			t.Fatal(err)
		}
		if got := At(d.Wall, loc).UTC().Format("20060102T150405"); got != c.want {
			t.Errorf("%s in %s is %s, want %s", c.wall, c.zone, got, c.want)
		}
	}
}

// TestAtAndBack: outside of what they leave out, what clocks show leads back to what they show; to the same moment, unless they have
// shown it before; and what they leave out they show as much later as they leave out.
func TestAtAndBack(t *testing.T) {
	var zones []*time.Location
	for _, name := range []string{"Europe/Berlin", "Europe/London", "America/New_York", "America/Santiago", "America/St_Johns", "Australia/Lord_Howe", "Australia/Sydney", "Africa/Cairo",
		"Africa/Casablanca", "Asia/Kathmandu", "Pacific/Apia", "Antarctica/Troll"} {
		loc, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		zones = append(zones, loc)
	}
	rapid.Check(t, func(t *rapid.T) {
		loc := rapid.SampledFrom(zones).Draw(t, "zone")
		moment := time.Unix(rapid.Int64Range(-3e9, 6e9).Draw(t, "second"), 0).In(loc)
		if _, change := moment.ZoneBounds(); !change.IsZero() && rapid.Bool().Draw(t, "near a change") {
			moment = change.Add(time.Duration(rapid.IntRange(-8000, 8000).Draw(t, "from the change")) * time.Second)
		}
		wall := Wall(moment)
		first := At(wall, loc)
		if first.After(moment) || !Wall(first).Equal(wall) {
			t.Fatalf("%v became %v", moment, first)
		}
		for back := time.Hour / 4; back <= 3*time.Hour; back += time.Hour / 4 {
			if earlier := moment.Add(-back); Wall(earlier).Equal(wall) && !earlier.Equal(first) {
				t.Fatalf("%v became %v, which is not the first", moment, first)
			}
		}
		// Any numbers at all: the moments around them with these numbers, if there are any, else the offset before.
		wall = wall.Add(time.Duration(rapid.IntRange(-8000, 8000).Draw(t, "from there")) * time.Second)
		at := At(wall, loc)
		if Wall(at).Equal(wall) {
			return
		}
		start, _ := at.ZoneBounds()
		if gap := Wall(at).Sub(wall); gap <= 0 || wall.Before(Wall(start).Add(-gap)) || !wall.Before(Wall(start)) || !at.Equal(shown(wall, start.Add(-time.Second))) {
			t.Fatalf("%v became %v", wall, at)
		}
	})
}
