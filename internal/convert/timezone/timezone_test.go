package timezone

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/flotilla-mail/flotilla/internal/formats/contentline"
	"github.com/flotilla-mail/flotilla/internal/formats/ical"
	"github.com/flotilla-mail/flotilla/internal/mapi/binprop"
	"github.com/flotilla-mail/flotilla/internal/testkit"
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	loc, ok := Load(name)
	if !ok {
		t.Fatalf("no zone %q", name)
	}
	return loc
}

func TestNames(t *testing.T) {
	for _, c := range []struct{ olson, windows, back string }{
		{"Europe/Berlin", "W. Europe Standard Time", "Europe/Berlin"},
		{"Europe/Vienna", "W. Europe Standard Time", "Europe/Berlin"},
		{"Asia/Calcutta", "India Standard Time", "Asia/Kolkata"},
		{"Asia/Kolkata", "India Standard Time", "Asia/Kolkata"},
		{"Europe/Kiev", "FLE Standard Time", "Europe/Kyiv"},
		{"America/Argentina/Buenos_Aires", "Argentina Standard Time", "America/Argentina/Buenos_Aires"},
		{"UTC", "UTC", "Etc/UTC"},
	} {
		windows, ok := Windows(c.olson)
		back, ok2 := Olson(c.windows)
		if windows != c.windows || back != c.back || !ok || !ok2 {
			t.Errorf("%s: %q, %q", c.olson, windows, back)
		}
	}
	count := 0
	rows(func(windows, zone, all string) bool {
		count++
		if _, ok := load(zone); !ok {
			t.Errorf("%s stands for %s, which the tz database has not", windows, zone)
		}
		return true
	})
	if count != 139 {
		t.Errorf("%d of Windows' names", count)
	}
	for _, name := range []string{"/mozilla.org/20050126_1/Europe/Berlin", "/freeassociation.sourceforge.net/America/Argentina/Buenos_Aires", "/x/UTC"} {
		if _, ok := Load(name); !ok {
			t.Errorf("no zone %q", name)
		}
	}
	for _, name := range []string{"", "Local", "Nowhere/Else", "../etc/passwd", "/", strings.Repeat("x", 300)} {
		if _, ok := Load(name); ok {
			t.Errorf("zone %q", name)
		}
	}
}

func TestRules(t *testing.T) {
	for _, c := range []struct {
		name string
		year int
		want Rule
	}{
		{"Europe/Berlin", 2024, Rule{time.Hour, 2 * time.Hour, Onset{10, 5, 0, 3 * time.Hour}, Onset{3, 5, 0, 2 * time.Hour}}},
		{"America/New_York", 2024, Rule{-5 * time.Hour, -4 * time.Hour, Onset{11, 1, 0, 2 * time.Hour}, Onset{3, 2, 0, 2 * time.Hour}}},
		{"America/New_York", 2005, Rule{-5 * time.Hour, -4 * time.Hour, Onset{10, 5, 0, 2 * time.Hour}, Onset{4, 1, 0, 2 * time.Hour}}},
		{"Australia/Sydney", 2024, Rule{10 * time.Hour, 11 * time.Hour, Onset{4, 1, 0, 3 * time.Hour}, Onset{10, 1, 0, 2 * time.Hour}}},
		{"Asia/Kolkata", 2024, Rule{Standard: 5*time.Hour + 30*time.Minute}},
		{"Europe/Dublin", 2024, Rule{0, time.Hour, Onset{10, 5, 0, 2 * time.Hour}, Onset{3, 5, 0, time.Hour}}},
	} {
		if got := RuleOf(zone(t, c.name), c.year); got != c.want {
			t.Errorf("%s in %d: %+v", c.name, c.year, got)
		}
	}
}

// sameIn wants two zones to show the same clocks through a year.
func sameIn(t testing.TB, what string, a, b *time.Location, year int) {
	t.Helper()
	at := time.Date(year, 1, 1, 0, 30, 0, 0, time.UTC)
	for ; at.Year() == year; at = at.Add(3 * time.Hour) {
		if x, y := offsetAt(at.In(a)), offsetAt(at.In(b)); x != y {
			t.Errorf("%s at %v: %v and %v", what, at, x, y)
			return
		}
	}
}

// Every zone of Windows goes through each of the structures and shows the same clocks afterwards.
func TestEveryZone(t *testing.T) {
	const year = 2024
	rows(func(windows, olson, _ string) bool {
		loc := zone(t, olson)
		if len(transitions(loc, year)) > 2 || olson == "Africa/Casablanca" {
			return true // Ramadan: two changes of its own that no rule of one year has
		}
		r := RuleOf(loc, year)
		by, err := r.Location(windows)
		if err != nil {
			t.Error(err)
			return true
		}
		regular := len(transitions(loc, year)) != 1
		if regular {
			sameIn(t, windows+" by rule", loc, by, year)
		}
		s, ok := OfStruct(mustStruct(t, r))
		d, ok2 := OfDefinition(mustDefinition(t, r, windows, year))
		if !ok || !ok2 || s != r || d != r {
			t.Errorf("%s: %+v became %+v and %+v", windows, r, s, d)
		}
		v := reread(t, Component(olson, loc, year, year))
		got, ok := Read(v, year)
		again, err := got.Location(olson)
		if !ok || err != nil {
			t.Errorf("%s: no rule in %s", olson, v.Append(nil))
			return true
		}
		if regular {
			sameIn(t, olson+" by VTIMEZONE", loc, again, year)
		}
		return true
	})
}

func mustStruct(t testing.TB, r Rule) binprop.TimeZoneStruct {
	t.Helper()
	b, err := r.Struct().Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	z, err := binprop.ParseTimeZoneStruct(b)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func mustDefinition(t testing.TB, r Rule, name string, year int) binprop.TimeZoneDefinition {
	t.Helper()
	b, err := r.Definition(name, year).Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	z, err := binprop.ParseTimeZoneDefinition(b)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func reread(t testing.TB, c *ical.Component) *ical.Component {
	t.Helper()
	cal, err := ical.NewDecoder(bytes.NewReader(c.Append(nil)), contentline.Default()).Next()
	if err != nil {
		t.Fatal(err)
	}
	return cal.Children[0]
}

// A zone that changed its rule says so, year by year.
func TestRuleChanges(t *testing.T) {
	v := Component("America/New_York", zone(t, "America/New_York"), 2005, 2012)
	for year, week := range map[int]int{2006: 1, 2010: 2} {
		if r, ok := Read(v, year); !ok || r.ToDaylight.Week != week {
			t.Errorf("%d: %+v of\n%s", year, r, v.Append(nil))
		}
	}
	moscow := Component("Europe/Moscow", zone(t, "Europe/Moscow"), 2014, 2037)
	if r, ok := Read(moscow, 2020); !ok || r.Standard != 3*time.Hour || r.changes() {
		t.Errorf("%+v of\n%s", r, moscow.Append(nil))
	}
}

func TestReadOddities(t *testing.T) {
	libical := `BEGIN:VTIMEZONE
TZID:x
BEGIN:DAYLIGHT
DTSTART:20070311T020000
RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=SU;BYMONTHDAY=8,9,10,11,12,13,14
TZOFFSETFROM:-0500
TZOFFSETTO:-0400
END:DAYLIGHT
BEGIN:STANDARD
DTSTART:20071104T020000
RRULE:FREQ=YEARLY;BYMONTH=11;BYDAY=SU;BYMONTHDAY=1,2,3,4,5,6,7
TZOFFSETFROM:-0400
TZOFFSETTO:-0500
END:STANDARD
END:VTIMEZONE`
	cal, err := ical.NewDecoder(strings.NewReader(libical), contentline.Default()).Next()
	if err != nil {
		t.Fatal(err)
	}
	if r, ok := Read(cal.Children[0], 2020); !ok || r != RuleOf(zone(t, "America/New_York"), 2020) {
		t.Errorf("%+v", r)
	}
	if _, ok := Read(&ical.Component{Name: "VTIMEZONE"}, 2020); ok {
		t.Error("a zone of nothing")
	}
}

// No bytes of a client make a zone that fails.
func TestAnyRule(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := func(limit int) uint16 { return uint16(rapid.IntRange(0, limit).Draw(t, "n")) }
		st := func() binprop.SystemTime {
			return binprop.SystemTime{Year: n(1) * 2020, Month: n(13), DayOfWeek: n(7), Day: n(32), Hour: n(24), Minute: n(60), Second: n(60)}
		}
		b := rapid.Int32Range(-2000, 2000)
		r, ok := OfStruct(binprop.TimeZoneStruct{Bias: binprop.Bias{Always: b.Draw(t, "a"), Standard: b.Draw(t, "s"), Daylight: b.Draw(t, "d")}, Standard: st(), Daylight: st()})
		if !ok {
			return
		}
		loc, err := r.Location("x")
		if err != nil {
			t.Fatalf("%+v: %v", r, err)
		}
		Component("x", loc, 2000, 2010)
	})
}

// FuzzRead: a VTIMEZONE that says how its clocks go, whatever else it says, is a zone that can be written and read again.
func FuzzRead(f *testing.F) {
	f.Add("BEGIN:VTIMEZONE\nTZID:x\nBEGIN:STANDARD\nDTSTART:16011028T030000\nTZOFFSETFROM:+0200\nTZOFFSETTO:+0100\nRRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU\nEND:STANDARD\n"+
		"BEGIN:DAYLIGHT\nDTSTART:16010325T020000\nTZOFFSETFROM:+0100\nTZOFFSETTO:+0200\nRRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU\nEND:DAYLIGHT\nEND:VTIMEZONE\n", 2024)
	f.Add("BEGIN:VTIMEZONE\nBEGIN:STANDARD\nDTSTART:19700101T000000\nTZOFFSETFROM:-2359\nTZOFFSETTO:+235959\nRRULE:FREQ=YEARLY;BYDAY=5SU;BYMONTHDAY=-1\nEND:STANDARD\n", 1)
	f.Fuzz(func(t *testing.T, text string, year int) {
		defer testkit.Bounded(t)()
		limit := int64(1 << 16)
		cal, err := ical.NewDecoder(strings.NewReader(text), contentline.Limits{Line: limit, Total: limit}).Next()
		if err != nil || year < 1602 || year > 4400 {
			return
		}
		for _, c := range cal.Inside("VTIMEZONE") {
			rule, ok := Read(c, year)
			if !ok {
				continue
			}
			if _, err := rule.Struct().Append(nil); err != nil {
				t.Fatalf("structure of %+v: %v", rule, err)
			}
			if _, err := rule.Definition("x", year).Append(nil); err != nil {
				t.Fatalf("definition of %+v: %v", rule, err)
			}
			loc, err := rule.Location("x")
			if err != nil {
				continue // offsets that no clock has
			}
			if again, ok := Read(Component("x", loc, year, year), year); !ok {
				t.Fatalf("%+v cannot be read again: %+v", rule, again)
			}
		}
		Load(text)
	})
}
