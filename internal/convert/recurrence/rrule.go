package recurrence

import (
	"fmt"
	"slices"
	"time"

	"github.com/teambition/rrule-go"

	"github.com/flotilla-mail/flotilla/internal/formats/ical"
)

// Library expands rules with rrule-go.
type Library struct{}

// frequencies are those that are expanded: a rule that happens more often than daily is nobody's appointment, and could
// keep a node busy for long.
var frequencies = map[string]rrule.Frequency{"YEARLY": rrule.YEARLY, "MONTHLY": rrule.MONTHLY, "WEEKLY": rrule.WEEKLY, "DAILY": rrule.DAILY}

// Expand implements Expander.
func (Library) Expand(r ical.Recur, start, last time.Time, limit int) ([]time.Time, error) {
	freq, ok := frequencies[r.Freq]
	if !ok || len(r.ByHour)+len(r.ByMinute)+len(r.BySecond) > maxTimes || len(r.Other) > 0 {
		return nil, fmt.Errorf("rule %.200s: %w", r.String(), ErrNotCarried)
	}
	if last.After(start.AddDate(maxYears, 0, 0)) {
		last = start.AddDate(maxYears, 0, 0)
	}
	rule, err := rrule.NewRRule(rrule.ROption{
		Freq: freq, Dtstart: start, Interval: r.Interval, Wkst: weekdayOf(r.WeekStart, 0), Count: r.Count, Until: last,
		Bysetpos: withoutNought(r.BySetPos), Bymonth: r.ByMonth, Bymonthday: withoutNought(r.ByMonthDay), Byyearday: withoutNought(r.ByYearDay), Byweekno: withoutNought(r.ByWeekNo),
		Byweekday: weekdaysOf(r.ByDay), Byhour: r.ByHour, Byminute: r.ByMinute, Bysecond: r.BySecond,
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotCarried, err)
	}
	var list []time.Time
	next := rule.Iterator()
	for len(list) < limit {
		at, more := next()
		if !more || at.After(last) {
			break
		}
		list = append(list, at)
	}
	return list, nil
}

const (
	// maxTimes bounds the times of day in a rule, maxYears how far it is looked at.
	maxTimes = 48
	maxYears = 200
)

// withoutNought drops numbers that count nothing.
func withoutNought(list []int) []int {
	return slices.DeleteFunc(slices.Clone(list), func(n int) bool { return n == 0 })
}

func weekdaysOf(list []ical.Weekday) []rrule.Weekday {
	var days []rrule.Weekday
	for _, d := range list {
		days = append(days, weekdayOf(d.Day, d.N))
	}
	return days
}

func weekdayOf(day time.Weekday, n int) rrule.Weekday {
	known := [7]rrule.Weekday{rrule.SU, rrule.MO, rrule.TU, rrule.WE, rrule.TH, rrule.FR, rrule.SA}
	if n == 0 {
		return known[day]
	}
	return known[day].Nth(n)
}
