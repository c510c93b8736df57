package ical

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Weekday is a day of the week, with N the Nth of a month or year, from its end where N is negative.
type Weekday struct {
	N   int
	Day time.Weekday
}

// Recur is a recurrence rule (RFC 5545 3.3.10).
type Recur struct {
	// Freq is YEARLY, MONTHLY, WEEKLY, DAILY, HOURLY, MINUTELY or SECONDLY.
	Freq string
	// Until and Count end the rule, at most one of them.
	Until *DateTime
	Count int
	// Interval is at least one.
	Interval int

	BySecond, ByMinute, ByHour, ByMonthDay, ByYearDay, ByWeekNo, ByMonth, BySetPos []int
	ByDay                                                                          []Weekday
	// WeekStart is Monday unless said.
	WeekStart time.Weekday
	// Other are parts of later specifications.
	Other []string
}

// maxParts bounds the numbers in one part of a rule: no part may have more.
const maxParts = 800

var weekdays = [7]string{"SU", "MO", "TU", "WE", "TH", "FR", "SA"}

var frequencies = []string{"YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY", "SECONDLY"}

// numbersOf are the parts that are lists of numbers, in the order they are written in.
func (r *Recur) numbersOf() []struct {
	name  string
	list  *[]int
	limit int
} {
	return []struct {
		name  string
		list  *[]int
		limit int
	}{
		{"BYMONTH", &r.ByMonth, 12}, {"BYWEEKNO", &r.ByWeekNo, 53}, {"BYYEARDAY", &r.ByYearDay, 366}, {"BYMONTHDAY", &r.ByMonthDay, 31},
		{"BYHOUR", &r.ByHour, 23}, {"BYMINUTE", &r.ByMinute, 59}, {"BYSECOND", &r.BySecond, 60}, {"BYSETPOS", &r.BySetPos, 366},
	}
}

// ParseRecur reads a rule.
func ParseRecur(s string) (Recur, error) {
	r := Recur{Interval: 1, WeekStart: time.Monday}
	for _, part := range strings.Split(strings.ToUpper(strings.TrimSpace(s)), ";") {
		name, value, ok := strings.Cut(part, "=")
		if part == "" {
			continue
		}
		if !ok {
			return r, fmt.Errorf("%w: part %.30q of a rule", ErrBadValue, part)
		}
		if err := r.part(strings.TrimSpace(name), strings.TrimSpace(value)); err != nil {
			return r, err
		}
	}
	if !slices.Contains(frequencies, r.Freq) || r.Count > 0 && r.Until != nil {
		return r, fmt.Errorf("%w: rule %.60q", ErrBadValue, s)
	}
	return r, nil
}

func (r *Recur) part(name, value string) error {
	var err error
	switch name {
	case "FREQ":
		r.Freq = value
	case "UNTIL":
		var until DateTime
		until, err = ParseDateTime(value)
		r.Until = &until
	case "COUNT":
		r.Count, err = positive(value)
	case "INTERVAL":
		r.Interval, err = positive(value)
	case "WKST":
		at := slices.Index(weekdays[:], value)
		if at < 0 {
			return fmt.Errorf("%w: weekday %.10q", ErrBadValue, value)
		}
		r.WeekStart = time.Weekday(at)
	case "BYDAY":
		r.ByDay, err = parseDays(value)
	default:
		return r.numbers(name, value)
	}
	return err
}

func (r *Recur) numbers(name, value string) error {
	for _, n := range r.numbersOf() {
		if n.name == name {
			var err error
			*n.list, err = parseNumbers(value, n.limit)
			return err
		}
	}
	r.Other = append(r.Other, name+"="+value)
	return nil
}

// positive reads a number from 1 to 9999, which is as far as any calendar goes.
func positive(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > 9999 {
		return 0, fmt.Errorf("%w: number %.20q in a rule", ErrBadValue, s)
	}
	return n, nil
}

func parseNumbers(s string, limit int) ([]int, error) {
	var list []int
	for _, part := range strings.Split(s, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(part))
		if err != nil || n > limit || n < -limit || len(list) == maxParts {
			return nil, fmt.Errorf("%w: number %.20q in a rule", ErrBadValue, part)
		}
		list = append(list, n)
	}
	return list, nil
}

func parseDays(s string) ([]Weekday, error) {
	var list []Weekday
	for _, part := range strings.Split(s, ",") {
		part = strings.TrimSpace(part)
		cut := max(len(part)-2, 0)
		at := slices.Index(weekdays[:], part[cut:])
		n := 0
		var err error
		if cut > 0 {
			n, err = strconv.Atoi(part[:cut])
		}
		if at < 0 || err != nil || n < -53 || n > 53 || len(list) == maxParts {
			return nil, fmt.Errorf("%w: weekday %.20q", ErrBadValue, part)
		}
		list = append(list, Weekday{n, time.Weekday(at)})
	}
	return list, nil
}

// String is the rule as it is written.
func (r Recur) String() string {
	var b strings.Builder
	b.WriteString("FREQ=" + r.Freq)
	if r.Interval > 1 {
		fmt.Fprintf(&b, ";INTERVAL=%d", r.Interval)
	}
	if r.Until != nil {
		b.WriteString(";UNTIL=" + r.Until.String())
	}
	if r.Count > 0 {
		fmt.Fprintf(&b, ";COUNT=%d", r.Count)
	}
	for i, days := range r.ByDay {
		b.WriteString(separator(i, "BYDAY"))
		if days.N != 0 {
			b.WriteString(strconv.Itoa(days.N))
		}
		b.WriteString(weekdays[days.Day])
	}
	for _, n := range r.numbersOf() {
		for i, v := range *n.list {
			b.WriteString(separator(i, n.name) + strconv.Itoa(v))
		}
	}
	if r.WeekStart != time.Monday {
		b.WriteString(";WKST=" + weekdays[r.WeekStart])
	}
	for _, o := range r.Other {
		b.WriteString(";" + o)
	}
	return b.String()
}

func separator(i int, name string) string {
	if i > 0 {
		return ","
	}
	return ";" + name + "="
}
