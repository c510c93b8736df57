package ical

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/flotilla-mail/flotilla/internal/formats/contentline"
)

// ErrBadValue says that a value is not of its type.
var ErrBadValue = errors.New("malformed calendar value")

// DateTime is a day, or a moment as it is written: in UTC, in a zone, or floating. Wall has the numbers that are written,
// as if they were UTC.
type DateTime struct {
	Wall time.Time
	// Day says that there is no time of day.
	Day bool
	UTC bool
	// Zone is the TZID.
	Zone string
}

const (
	dayForm  = "20060102"
	timeForm = "20060102T150405"
	utcMark  = "Z"
)

// ParseDateTime reads a date or a date with time; hyphens, colons and a missing second are taken too.
func ParseDateTime(s string) (DateTime, error) {
	s = strings.ToUpper(strings.TrimSpace(s))
	plain := strings.NewReplacer("-", "", ":", "").Replace(s)
	var d DateTime
	plain, d.UTC = strings.CutSuffix(plain, utcMark)
	d.Day = len(plain) == len(dayForm)
	for _, form := range []string{timeForm, dayForm, "20060102T1504"} {
		if at, err := time.Parse(form, plain); err == nil && len(plain) == len(form) && at.Year() > 0 {
			d.Wall = at
			d.UTC = d.UTC && !d.Day
			return d, nil
		}
	}
	return DateTime{}, fmt.Errorf("%w: date %.30q", ErrBadValue, s)
}

// DateTimeOf reads the value of a line with the zone it names.
func DateTimeOf(l *contentline.Line) (DateTime, error) {
	d, err := ParseDateTime(l.Value)
	if err == nil && !d.Day && !d.UTC {
		d.Zone = l.Param("TZID")
	}
	return d, err
}

// DateTimesOf reads the list in a line; of periods it takes where they begin.
func DateTimesOf(l *contentline.Line) ([]DateTime, error) {
	var list []DateTime
	for _, s := range strings.Split(l.Value, ",") {
		s, _, _ = strings.Cut(s, "/")
		one := contentline.Line{Value: s, Params: l.Params}
		d, err := DateTimeOf(&one)
		if err != nil {
			return nil, err
		}
		list = append(list, d)
	}
	return list, nil
}

// String is the value without its zone.
func (d DateTime) String() string {
	switch {
	case d.Day:
		return d.Wall.Format(dayForm)
	case d.UTC:
		return d.Wall.Format(timeForm) + utcMark
	}
	return d.Wall.Format(timeForm)
}

// Params are the parameters that go with the value.
func (d DateTime) Params() []contentline.Param {
	switch {
	case d.Day:
		return []contentline.Param{{Name: "VALUE", Values: []string{"DATE"}}}
	case d.Zone != "":
		return []contentline.Param{{Name: "TZID", Values: []string{d.Zone}}}
	}
	return nil
}

// In is the moment; loc counts where the value names no zone of its own by UTC.
func (d DateTime) In(loc *time.Location) time.Time {
	if d.UTC || loc == nil {
		loc = time.UTC
	}
	return At(d.Wall, loc)
}

// maxOffset is how far a clock may be from UTC.
const maxOffset = 24 * time.Hour

// At is the moment at which loc's clocks show wall (RFC 5545 3.3.5). What they show twice, as they go back in autumn, is the first of
// the two moments; what they leave out in spring goes by the offset before it, so that half past two is shown as half past three.
// It is the one way from a clock to UTC: of time.Date nobody can tell which of the moments it takes.
func At(wall time.Time, loc *time.Location) time.Time {
	if loc == time.UTC {
		return wall
	}
	var at time.Time
	for period := wall.Add(-maxOffset).In(loc); ; { // a moment in one period of the zone after the other
		start, end := period.ZoneBounds()
		if now := shown(wall, period); start.IsZero() || !now.Before(start) {
			at = now
		} // else the clocks went over it, and the offset before counts
		if end.IsZero() || at.Before(end) || !end.After(period) {
			return at
		}
		period = end
	}
}

// shown is when clocks show wall that go as they do at another moment.
func shown(wall, as time.Time) time.Time {
	_, east := as.Zone()
	return wall.Add(-time.Duration(east) * time.Second).In(as.Location())
}

// Moment is a time in UTC.
func Moment(t time.Time) DateTime { return DateTime{Wall: t.UTC(), UTC: true} }

// Wall has the numbers of t, as if they were UTC.
func Wall(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), 0, time.UTC)
}

// maxDuration bounds a duration so that no sum of two overflows: 100 years.
const maxDuration = 100 * 366 * 24 * time.Hour

// ParseDuration reads a duration (RFC 5545 3.3.6). Days have 24 hours.
func ParseDuration(s string) (time.Duration, error) {
	days, rest, err := parseDuration(s)
	return time.Duration(days)*units['D'] + rest, err
}

// After is wall a duration later, and the moment of that on loc's clocks. The days in a duration are days of the calendar, even such
// as have 23 hours; its hours are hours.
func After(wall time.Time, loc *time.Location, s string) (later, at time.Time, err error) {
	days, rest, err := parseDuration(s)
	later = wall.AddDate(0, 0, days)
	return later.Add(rest), At(later, loc).Add(rest), err
}

// parseDuration reads the weeks and days of a duration and what is left.
func parseDuration(s string) (days int, clock time.Duration, err error) {
	bad := fmt.Errorf("%w: duration %.30q", ErrBadValue, s)
	rest := strings.ToUpper(strings.TrimSpace(s))
	sign := 1
	switch {
	case strings.HasPrefix(rest, "-"):
		sign, rest = -1, rest[1:]
	case strings.HasPrefix(rest, "+"):
		rest = rest[1:]
	}
	rest, ok := strings.CutPrefix(rest, "P")
	if !ok || rest == "" {
		return 0, 0, bad
	}
	left := maxDuration
	for rest != "" {
		if rest[0] == 'T' {
			rest = rest[1:]
			continue
		}
		end := strings.IndexAny(rest, "WDHMS")
		if end < 1 {
			return 0, 0, bad
		}
		n, err := strconv.ParseUint(rest[:end], 10, 32)
		unit := units[rest[end]]
		if err != nil || time.Duration(n) > left/unit {
			return 0, 0, bad
		}
		part := time.Duration(n) * unit
		left -= part
		if unit >= units['D'] {
			days += sign * int(part/units['D'])
		} else {
			clock += time.Duration(sign) * part
		}
		rest = rest[end+1:]
	}
	return days, clock, nil
}

var units = map[byte]time.Duration{'W': 7 * 24 * time.Hour, 'D': 24 * time.Hour, 'H': time.Hour, 'M': time.Minute, 'S': time.Second}

// FormatDuration writes a duration, cut to seconds.
func FormatDuration(d time.Duration) string {
	var b strings.Builder
	if d < 0 {
		b.WriteByte('-')
		d = -d
	}
	b.WriteByte('P')
	if d >= units['W'] && d%units['W'] == 0 {
		fmt.Fprintf(&b, "%dW", d/units['W'])
		return b.String()
	}
	if days := d / units['D']; days > 0 {
		fmt.Fprintf(&b, "%dD", days)
		d -= days * units['D']
	}
	if d == 0 && b.Len() > 2 {
		return b.String()
	}
	b.WriteByte('T')
	for _, unit := range "HMS" {
		if n := d / units[byte(unit)]; n > 0 || unit == 'M' && b.String()[b.Len()-1] == 'T' && d < time.Second {
			fmt.Fprintf(&b, "%d%c", n, unit)
			d -= n * units[byte(unit)]
		}
	}
	return b.String()
}

// ParseOffset reads an offset from UTC, +hhmm[ss].
func ParseOffset(s string) (time.Duration, error) {
	s = strings.ReplaceAll(strings.TrimSpace(s), ":", "")
	if len(s) != 5 && len(s) != 7 || s[0] != '+' && s[0] != '-' {
		return 0, fmt.Errorf("%w: offset %.30q", ErrBadValue, s)
	}
	n, err := strconv.Atoi((s[1:] + "00")[:6])
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%w: offset %.30q", ErrBadValue, s)
	}
	d := time.Duration(n/10000)*time.Hour + time.Duration(n/100%100)*time.Minute + time.Duration(n%100)*time.Second
	if d >= 24*time.Hour {
		return 0, fmt.Errorf("%w: offset %.30q", ErrBadValue, s)
	}
	if s[0] == '-' {
		d = -d
	}
	return d, nil
}

// FormatOffset writes an offset.
func FormatOffset(d time.Duration) string {
	sign := '+'
	if d < 0 {
		sign, d = '-', -d
	}
	s := fmt.Sprintf("%c%02d%02d", sign, int(d.Hours()), int(d.Minutes())%60)
	if sec := int(d.Seconds()) % 60; sec != 0 {
		s += fmt.Sprintf("%02d", sec)
	}
	return s
}
