// Package recurrence turns the rules of iCalendar into the patterns of MAPI and back (MS-OXOCAL 2.2.1.44, MS-OXCICAL
// 2.1.3.2.2), and lists when a rule happens.
//
// It knows rules and patterns in the clock of the event's own zone; it never knows an appointment. A pattern is less than
// a rule: what it cannot say is ErrNotCarried, and the caller keeps the rule. It is the door to rrule-go.
package recurrence

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/flotilla-mail/flotilla/internal/formats/ical"
	"github.com/flotilla-mail/flotilla/internal/mapi/binprop"
)

// ErrNotCarried says that a rule has no pattern, or a pattern no rule.
var ErrNotCarried = errors.New("recurrence that the other side cannot say")

// Expander lists when a rule happens. Times are of the event's own clock, as if it were UTC.
type Expander interface {
	// Expand is the first occurrences from start on, as many as limit, none after last.
	Expand(rule ical.Recur, start, last time.Time, limit int) ([]time.Time, error)
}

const (
	// maxOccurrences bounds how far a rule that ends is counted; the occurrences that clients count end at 999.
	maxOccurrences = 10_000
	minutesPerDay  = 24 * 60
	daysPerWeek    = 7
	monthsPerYear  = 12
	// endNever and neverCount are End and Occurrences of a pattern without end (MS-OXOCAL 2.2.1.44.1).
	endNever   = 0x5AE9_80DF
	neverCount = 10
	// last is the Nth that means the last one.
	lastNth = 5
	// monthEnd is the day that every month ends on or before.
	monthEnd = 31
	// shortest is how many days every month has.
	shortest = 28
)

// Pattern is the pattern of a rule whose first occurrence is at start or after it; until is the rule's Until in the same
// clock.
func Pattern(x Expander, r ical.Recur, start, until time.Time) (binprop.RecurrencePattern, error) {
	p := binprop.NewRecurrencePattern()
	p.FirstDayOfWeek = uint32(r.WeekStart)
	if !plain(r, start) || !shape(&p, r, start) {
		return p, fmt.Errorf("rule %.200s: %w", r.String(), ErrNotCarried)
	}
	if err := setRange(x, &p, r, start, until); err != nil {
		return p, err
	}
	p.FirstDateTime = first(&p)
	return p, nil
}

// plain reports whether a rule has no part that no pattern has.
func plain(r ical.Recur, start time.Time) bool {
	sameTime := func(list []int, n int) bool { return len(list) == 0 || len(list) == 1 && list[0] == n }
	return len(r.BySecond)+len(r.ByYearDay)+len(r.ByWeekNo)+len(r.Other) == 0 &&
		sameTime(r.ByHour, start.Hour()) && sameTime(r.ByMinute, start.Minute())
}

// shape sets type, frequency, period and days.
func shape(p *binprop.RecurrencePattern, r ical.Recur, start time.Time) bool {
	p.Period = uint32(r.Interval)
	switch r.Freq {
	case "DAILY":
		p.Frequency, p.Type = binprop.Daily, binprop.PatternDay
		p.Period *= minutesPerDay
		if len(r.ByDay) == 0 {
			return len(r.ByMonth)+len(r.ByMonthDay)+len(r.BySetPos) == 0
		}
		p.Frequency, p.Type, p.Period = binprop.Weekly, binprop.PatternWeek, 1
		return r.Interval == 1 && len(r.ByMonth)+len(r.ByMonthDay)+len(r.BySetPos) == 0 && days(p, r.ByDay)
	case "WEEKLY":
		p.Frequency, p.Type = binprop.Weekly, binprop.PatternWeek
		if len(r.ByDay) == 0 {
			p.Days = 1 << start.Weekday()
		}
		return len(r.ByMonth)+len(r.ByMonthDay)+len(r.BySetPos) == 0 && days(p, r.ByDay)
	case "MONTHLY":
		p.Frequency = binprop.Monthly
		return len(r.ByMonth) == 0 && inMonth(p, r, start)
	case "YEARLY":
		p.Frequency = binprop.Yearly
		p.Period *= monthsPerYear
		if len(r.ByMonth) > 1 || len(r.ByMonth) == 0 && len(r.ByDay)+len(r.ByMonthDay) > 0 {
			return false
		}
		return (len(r.ByMonth) == 0 || r.ByMonth[0] == int(start.Month())) && inMonth(p, r, start)
	}
	return false
}

// days sets the days of the week, none of which may be an Nth one.
func days(p *binprop.RecurrencePattern, list []ical.Weekday) bool {
	for _, d := range list {
		if d.N != 0 {
			return false
		}
		p.Days |= 1 << d.Day
	}
	return true
}

// inMonth sets which day of a month it is.
func inMonth(p *binprop.RecurrencePattern, r ical.Recur, start time.Time) bool {
	if len(r.ByDay) == 0 {
		p.Type = binprop.PatternMonth
		return dayOfMonth(p, r, start)
	}
	p.Type = binprop.PatternMonthNth
	if len(r.ByMonthDay) > 0 || len(r.BySetPos) > 1 {
		return false
	}
	nth := 0
	plainDays := slices.Clone(r.ByDay)
	switch {
	case len(r.BySetPos) == 1:
		nth = r.BySetPos[0]
	case len(r.ByDay) == 1:
		nth = r.ByDay[0].N
		plainDays[0].N = 0
	}
	if nth == -1 {
		nth = lastNth
	} else if nth < 1 || nth >= lastNth {
		return false
	}
	p.Nth = uint32(nth)
	return days(p, plainDays)
}

// dayOfMonth sets a day by its number. MAPI takes the last day of a month that is too short, iCalendar leaves such a month
// out: a rule for the 29th, 30th or 31st is carried nevertheless, and the caller keeps the rule itself.
func dayOfMonth(p *binprop.RecurrencePattern, r ical.Recur, start time.Time) bool {
	switch {
	case len(r.ByMonthDay) == 0:
		p.Day = uint32(start.Day())
	case slices.Equal(r.BySetPos, []int{-1}) && slices.Equal(r.ByMonthDay, upTo(r.ByMonthDay[len(r.ByMonthDay)-1])):
		p.Day = uint32(r.ByMonthDay[len(r.ByMonthDay)-1])
		return true
	case len(r.ByMonthDay) != 1:
		return false
	case r.ByMonthDay[0] == -1:
		p.Day = monthEnd
	case r.ByMonthDay[0] > 0:
		p.Day = uint32(r.ByMonthDay[0])
	default:
		return false
	}
	return len(r.BySetPos) == 0
}

// upTo is the days from the last that every month has to day.
func upTo(day int) []int {
	list := []int{}
	for n := shortest; n <= day; n++ {
		list = append(list, n)
	}
	return list
}

// midnight is the day of t, in minutes.
func midnight(t time.Time) binprop.Minutes {
	m := binprop.MinutesOf(t)
	return m - m%minutesPerDay
}

// setRange sets where the pattern begins and ends.
func setRange(x Expander, p *binprop.RecurrencePattern, r ical.Recur, start, until time.Time) error {
	limit := 1
	last := start.AddDate(100, 0, 0)
	switch {
	case r.Count > 0:
		limit = r.Count
	case r.Until != nil:
		limit, last = maxOccurrences, until
	}
	list, err := x.Expand(r, start, last, limit)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return fmt.Errorf("rule that never happens: %w", ErrNotCarried)
	}
	p.Start = midnight(list[0])
	p.Occurrences = uint32(len(list))
	switch {
	case r.Count > 0:
		p.EndType, p.End = binprop.EndAfterN, midnight(list[len(list)-1])
	case r.Until != nil:
		p.EndType, p.End = binprop.EndByDate, lastDay(start, until)
	default:
		p.EndType, p.End, p.Occurrences = binprop.EndNever, endNever, neverCount
	}
	return nil
}

// lastDay is the day that a pattern ends on: until that of its occurrences no more than the time of the day counts.
func lastDay(start, until time.Time) binprop.Minutes {
	day := midnight(until)
	if until.Sub(day.Wall()) < start.Sub(midnight(start).Wall()) {
		day -= minutesPerDay
	}
	return day
}

// first is FirstDateTime, which says where the periods begin (MS-OXOCAL 2.2.1.44.1).
func first(p *binprop.RecurrencePattern) uint32 {
	start := uint32(p.Start)
	switch p.Type {
	case binprop.PatternDay:
		return start % p.Period
	case binprop.PatternWeek:
		weekday := uint32(p.Start.Wall().Weekday())
		week := start - (weekday+daysPerWeek-p.FirstDayOfWeek)%daysPerWeek*minutesPerDay
		return week % (p.Period * daysPerWeek * minutesPerDay)
	}
	at := p.Start.Wall()
	months := (at.Year()-1601)*monthsPerYear + int(at.Month()) - 1
	return uint32(binprop.MinutesOf(time.Date(1601, time.Month(1+months%int(p.Period)), 1, 0, 0, 0, 0, time.UTC)))
}

// Rule is the rule of a pattern; until turns the day that it ends on into UNTIL.
func Rule(p *binprop.RecurrencePattern, until func(day time.Time) ical.DateTime) (ical.Recur, error) {
	r := ical.Recur{Interval: int(p.Period), WeekStart: time.Monday}
	if p.Period == 0 || p.Period > 9999*minutesPerDay || !inOurCalendar(p) || !ruleDays(p, &r) {
		return r, fmt.Errorf("pattern %#x of period %d: %w", uint16(p.Type), p.Period, ErrNotCarried)
	}
	switch p.EndType {
	case binprop.EndAfterN:
		r.Count = max(1, min(int(p.Occurrences), 9999))
	case binprop.EndByDate:
		u := until(p.End.Wall())
		r.Until = &u
	}
	return r, nil
}

// Values of CalendarType whose months are not ours: Hijri, Hebrew, and all from otherMonths on. The rest count the years otherwise at
// the most (MS-OXOCAL 2.2.1.44.1).
const (
	hijri       = 6
	hebrew      = 8
	otherMonths = 0x0D
)

// inOurCalendar reports whether a pattern is of days, of weeks, or of months that iCalendar has.
func inOurCalendar(p *binprop.RecurrencePattern) bool {
	return p.Type == binprop.PatternDay || p.Type == binprop.PatternWeek || p.Calendar != hijri && p.Calendar != hebrew && p.Calendar < otherMonths
}

func ruleDays(p *binprop.RecurrencePattern, r *ical.Recur) bool {
	switch p.Type {
	case binprop.PatternDay:
		r.Freq, r.Interval = "DAILY", int(p.Period/minutesPerDay)
		return p.Period%minutesPerDay == 0
	case binprop.PatternWeek:
		r.Freq = "WEEKLY"
		r.ByDay = weekdays(p.Days)
		if r.Interval > 1 {
			r.WeekStart = time.Weekday(p.FirstDayOfWeek % daysPerWeek)
		}
		return len(r.ByDay) > 0
	}
	r.Freq = "MONTHLY"
	if p.Period%monthsPerYear == 0 {
		r.Freq, r.Interval = "YEARLY", int(p.Period/monthsPerYear)
		r.ByMonth = []int{int(binprop.Minutes(p.FirstDateTime).Wall().Month())}
	}
	switch p.Type {
	case binprop.PatternMonth:
		return ruleDay(p, r)
	case binprop.PatternMonthEnd:
		r.ByMonthDay = []int{-1}
		return true
	case binprop.PatternMonthNth:
		return ruleNth(p, r)
	}
	return false
}

func ruleDay(p *binprop.RecurrencePattern, r *ical.Recur) bool {
	switch {
	case p.Day == 0 || p.Day > monthEnd:
		return false
	case p.Day <= shortest:
		r.ByMonthDay = []int{int(p.Day)}
	case p.Day == monthEnd:
		r.ByMonthDay = []int{-1}
	default:
		r.ByMonthDay, r.BySetPos = upTo(int(p.Day)), []int{-1}
	}
	return true
}

func ruleNth(p *binprop.RecurrencePattern, r *ical.Recur) bool {
	nth := int(p.Nth)
	if nth < 1 || nth > lastNth {
		return false
	}
	if nth == lastNth {
		nth = -1
	}
	r.ByDay = weekdays(p.Days)
	if len(r.ByDay) == 1 {
		r.ByDay[0].N = nth
		return true
	}
	r.BySetPos = []int{nth}
	return len(r.ByDay) > 0
}

// weekdays are the days in a mask, from Monday on.
func weekdays(mask uint32) []ical.Weekday {
	var list []ical.Weekday
	for i := range daysPerWeek {
		day := time.Weekday((i + 1) % daysPerWeek)
		if mask&(1<<day) != 0 {
			list = append(list, ical.Weekday{Day: day})
		}
	}
	return list
}
