package recurrence

import (
	"errors"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/flotilla-mail/flotilla/internal/formats/ical"
	"github.com/flotilla-mail/flotilla/internal/mapi/binprop"
	"github.com/flotilla-mail/flotilla/internal/testkit"
)

func parse(t testing.TB, s string) ical.Recur {
	t.Helper()
	r, err := ical.ParseRecur(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func day(d time.Time) ical.DateTime { return ical.DateTime{Wall: d.Add(9 * time.Hour)} }

func untilOf(r ical.Recur) time.Time {
	if r.Until != nil {
		return r.Until.Wall
	}
	return time.Time{}
}

// Each rule becomes a pattern and the same rule, or one that says the same.
func TestRules(t *testing.T) {
	start := time.Date(2024, 1, 9, 9, 0, 0, 0, time.UTC) // the second Tuesday
	for _, c := range []struct{ in, want string }{
		{"FREQ=DAILY", "FREQ=DAILY"},
		{"FREQ=DAILY;INTERVAL=3;COUNT=10", "FREQ=DAILY;INTERVAL=3;COUNT=10"},
		{"FREQ=DAILY;BYDAY=MO,TU,WE,TH,FR", "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR"},
		{"FREQ=DAILY;UNTIL=20240301T090000", "FREQ=DAILY;UNTIL=20240301T090000"},
		{"FREQ=WEEKLY", "FREQ=WEEKLY;BYDAY=TU"},
		{"FREQ=WEEKLY;INTERVAL=2;BYDAY=TH,TU;WKST=SU", "FREQ=WEEKLY;INTERVAL=2;BYDAY=TU,TH;WKST=SU"},
		{"FREQ=MONTHLY", "FREQ=MONTHLY;BYMONTHDAY=9"},
		{"FREQ=MONTHLY;BYMONTHDAY=9;INTERVAL=2", "FREQ=MONTHLY;INTERVAL=2;BYMONTHDAY=9"},
		{"FREQ=MONTHLY;BYMONTHDAY=-1", "FREQ=MONTHLY;BYMONTHDAY=-1"},
		{"FREQ=MONTHLY;BYMONTHDAY=28,29,30;BYSETPOS=-1", "FREQ=MONTHLY;BYMONTHDAY=28,29,30;BYSETPOS=-1"},
		{"FREQ=MONTHLY;BYDAY=2TU", "FREQ=MONTHLY;BYDAY=2TU"},
		{"FREQ=MONTHLY;BYDAY=TU;BYSETPOS=2", "FREQ=MONTHLY;BYDAY=2TU"},
		{"FREQ=MONTHLY;BYDAY=-1FR", "FREQ=MONTHLY;BYDAY=-1FR"},
		{"FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1", "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1"},
		{"FREQ=YEARLY", "FREQ=YEARLY;BYMONTH=1;BYMONTHDAY=9"},
		{"FREQ=YEARLY;BYMONTH=1;BYMONTHDAY=9;COUNT=3", "FREQ=YEARLY;COUNT=3;BYMONTH=1;BYMONTHDAY=9"},
		{"FREQ=YEARLY;BYMONTH=1;BYDAY=2TU;INTERVAL=2", "FREQ=YEARLY;INTERVAL=2;BYDAY=2TU;BYMONTH=1"},
		{"FREQ=DAILY;BYHOUR=9;BYMINUTE=0", "FREQ=DAILY"},
	} {
		r := parse(t, c.in)
		p, err := Pattern(Library{}, r, start, untilOf(r))
		if err != nil {
			t.Errorf("%s: %v", c.in, err)
			continue
		}
		got, err := Rule(&p, day)
		if err != nil || got.String() != c.want {
			t.Errorf("%s became %s, %v", c.in, got.String(), err)
		}
	}
	for _, s := range []string{
		"FREQ=HOURLY", "FREQ=SECONDLY", "FREQ=YEARLY;BYWEEKNO=20", "FREQ=YEARLY;BYYEARDAY=100", "FREQ=YEARLY;BYMONTH=1,7;BYMONTHDAY=9", "FREQ=YEARLY;BYDAY=20MO",
		"FREQ=MONTHLY;BYMONTHDAY=1,15", "FREQ=MONTHLY;BYDAY=MO", "FREQ=MONTHLY;BYDAY=5TU", "FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13", "FREQ=DAILY;BYHOUR=9,17",
		"FREQ=MONTHLY;BYMONTHDAY=-2", "FREQ=DAILY;BYMONTH=1", "FREQ=WEEKLY;BYDAY=1MO", "RSCALE=HEBREW;FREQ=YEARLY", "FREQ=YEARLY;BYMONTH=2",
	} {
		if p, err := Pattern(Library{}, parse(t, s), start, time.Time{}); !errors.Is(err, ErrNotCarried) {
			t.Errorf("%s: %+v, %v", s, p, err)
		}
	}
}

// The figures of MS-OXOCAL's examples and of what they say about the fields.
func TestPatternFields(t *testing.T) {
	start := time.Date(2024, 1, 9, 9, 0, 0, 0, time.UTC)
	p, err := Pattern(Library{}, parse(t, "FREQ=WEEKLY;INTERVAL=2;COUNT=5;BYDAY=TU"), start, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	if p.Occurrences != 5 || p.EndType != binprop.EndAfterN || p.Start.Wall() != start.Truncate(24*time.Hour) ||
		p.End.Wall() != time.Date(2024, 3, 5, 0, 0, 0, 0, time.UTC) || p.Days != 1<<time.Tuesday {
		t.Errorf("%+v", p)
	}
	// 2024-01-08 is the Monday its first week begins with; weeks count from 1601-01-01, a Monday.
	monday := binprop.MinutesOf(time.Date(2024, 1, 8, 0, 0, 0, 0, time.UTC))
	if p.FirstDateTime != uint32(monday)%(14*minutesPerDay) {
		t.Errorf("FirstDateTime %d", p.FirstDateTime)
	}
	m, err := Pattern(Library{}, parse(t, "FREQ=YEARLY"), start.AddDate(0, 2, 0), time.Time{})
	if err != nil || m.FirstDateTime != uint32(binprop.MinutesOf(time.Date(1601, 3, 1, 0, 0, 0, 0, time.UTC))) {
		t.Errorf("%+v, %v", m, err)
	}
}

// TestOtherCalendars: a pattern of months that iCalendar does not have is no rule; days and weeks are the same in all calendars.
func TestOtherCalendars(t *testing.T) {
	start := time.Date(2024, 1, 9, 9, 0, 0, 0, time.UTC)
	for rule, carried := range map[string][]uint16{"FREQ=DAILY": {0, 1, 6, 8, 0x0F}, "FREQ=WEEKLY;BYDAY=TU": {0, 6, 0x14}, "FREQ=MONTHLY": {0, 1, 3, 7, 0x0C}, "FREQ=YEARLY;BYMONTH=1;BYDAY=2TU": {0, 1, 4}} {
		p, err := Pattern(Library{}, parse(t, rule), start, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		for _, p.Calendar = range []uint16{0, 1, 3, 4, 6, 7, 8, 0x0C, 0x0E, 0x0F, 0x14} {
			_, err := Rule(&p, day)
			if slices.Contains(carried, p.Calendar) && err != nil || err != nil && !errors.Is(err, ErrNotCarried) {
				t.Errorf("%s in calendar %d: %v", rule, p.Calendar, err)
			}
			if months := p.Type != binprop.PatternDay && p.Type != binprop.PatternWeek; months && slices.Contains([]uint16{6, 8, 0x0E, 0x0F, 0x14}, p.Calendar) && err == nil {
				t.Errorf("%s in calendar %d has a rule", rule, p.Calendar)
			}
		}
	}
}

// A generated rule that has a pattern happens when the pattern's rule does.
func TestSameOccurrences(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		start := time.Date(2024, 1, 1, 9, 30, 0, 0, time.UTC).AddDate(0, 0, rapid.IntRange(0, 800).Draw(t, "day"))
		r := ical.Recur{Freq: rapid.SampledFrom([]string{"DAILY", "WEEKLY", "MONTHLY", "YEARLY"}).Draw(t, "freq"), Interval: rapid.IntRange(1, 5).Draw(t, "interval"), WeekStart: time.Weekday(rapid.IntRange(0, 6).Draw(t, "wkst"))}
		for range rapid.IntRange(0, 3).Draw(t, "days") {
			r.ByDay = append(r.ByDay, ical.Weekday{N: rapid.SampledFrom([]int{0, 0, 0, 1, -1, 4}).Draw(t, "n"), Day: time.Weekday(rapid.IntRange(0, 6).Draw(t, "weekday"))})
		}
		if rapid.Bool().Draw(t, "counted") {
			r.Count = rapid.IntRange(1, 30).Draw(t, "count")
		}
		p, err := Pattern(Library{}, r, start, time.Time{})
		if errors.Is(err, ErrNotCarried) || p.Day > shortest {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		back, err := Rule(&p, day)
		if err != nil {
			t.Fatal(err)
		}
		a, err1 := Library{}.Expand(r, start, start.AddDate(50, 0, 0), 40)
		b, err2 := Library{}.Expand(back, start, start.AddDate(50, 0, 0), 40)
		if err1 != nil || err2 != nil || !slices.Equal(a, b) {
			t.Fatalf("%s and %s: %v, %v", r.String(), back.String(), a, b)
		}
	})
}

func FuzzRule(f *testing.F) {
	f.Add("FREQ=MONTHLY;BYDAY=MO,TU;BYSETPOS=-1;COUNT=3", int64(1_700_000_000))
	f.Add("FREQ=YEARLY;BYMONTHDAY=30;BYMONTH=2", int64(0))
	f.Add("FREQ=YEARLY;INTERVAL=9999;BYWEEKNO=53;BYDAY=-53SU", int64(1))
	f.Fuzz(func(t *testing.T, s string, at int64) {
		defer testkit.Bounded(t)()
		r, err := ical.ParseRecur(s)
		if err != nil {
			return
		}
		if again, err := ical.ParseRecur(r.String()); err != nil || again.String() != r.String() {
			t.Errorf("%q became %q, %v", r.String(), again.String(), err)
		}
		start := time.Unix(at%4_000_000_000, 0).UTC()
		p, err := Pattern(Library{}, r, start, untilOf(r))
		if err != nil {
			return
		}
		if _, err := Rule(&p, day); err != nil {
			t.Errorf("%s has a pattern without rule: %v", r.String(), err)
		}
	})
}
