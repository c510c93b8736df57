package oxcical

import (
	"cmp"
	"slices"
	"time"

	"github.com/flotilla-mail/flotilla/internal/convert/object"
	"github.com/flotilla-mail/flotilla/internal/convert/recurrence"
	"github.com/flotilla-mail/flotilla/internal/formats/ical"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/binprop"
)

// Span is a time from start to end.
type Span struct{ Start, End time.Time }

// maxCounted bounds the occurrences of a series from its beginning on that are looked at: thirty years of days.
const maxCounted = 11_000

// Occurrences lists when an appointment takes time between two moments, in order. It is not ok where that is not known: the
// appointment has no time, or recurs as no rule says. ends is when the last of all its occurrences ends, zero for never.
func Occurrences(a *object.Message, from, until time.Time) (list []Span, ends time.Time, ok bool) {
	if !a.LidBool(mapi.PidLidRecurring) {
		start, starts := a.LidTime(mapi.PidLidAppointmentStartWhole)
		end, has := a.LidTime(mapi.PidLidAppointmentEndWhole)
		s := Span{start.Time(), end.Time()}
		if !starts || !has || s.End.Before(s.Start) {
			return nil, ends, false
		}
		if s.End.After(from) && s.Start.Before(until) {
			list = append(list, s)
		}
		return list, s.End, true
	}
	p, err := binprop.ParseAppointmentRecurrencePattern(a.LidBinary(mapi.PidLidAppointmentRecur))
	if err != nil {
		return nil, ends, false
	}
	zone := zoneOf(a)
	all, ok := regular(&p, binprop.MinutesOf(zone.wall(until).Add(day))) // a day more, as clocks go back
	if !ok {
		return nil, ends, false
	}
	all = exceptional(&p, all)
	for _, s := range all {
		var x Span
		x.Start, x.End = zone.between(s[0].Wall(), s[1].Wall())
		if x.End.After(from) && x.Start.Before(until) {
			list = append(list, x)
		}
	}
	if p.Pattern.EndType == binprop.EndByDate || p.Pattern.EndType == binprop.EndAfterN {
		ends = ical.At((p.Pattern.End + binprop.Minutes(p.EndOffset)).Wall(), zone.loc)
	}
	slices.SortStableFunc(list, func(a, b Span) int { return a.Start.Compare(b.Start) }) // which clocks that go forward may upset
	return list, ends, true
}

// during is start and end on the clocks of a series.
type during [2]binprop.Minutes

// regular are the occurrences of a pattern that begin up to a time and are as the pattern says.
func regular(p *binprop.AppointmentRecurrencePattern, until binprop.Minutes) ([]during, bool) {
	out := seriesOut{x: &exporter{m: &object.Message{}, zone: zone{"", time.UTC}}, p: p}
	rule, err := recurrence.Rule(&p.Pattern, out.until)
	if err != nil {
		return nil, false
	}
	last := until
	if p.Pattern.EndType == binprop.EndByDate {
		last = min(last, p.Pattern.End+binprop.Minutes(p.StartOffset))
	}
	start := p.Pattern.Start + binprop.Minutes(p.StartOffset)
	times, err := recurrence.Library{}.Expand(rule, start.Wall(), last.Wall(), maxCounted)
	if err != nil || len(times) == maxCounted {
		return nil, false
	}
	length := binprop.Minutes(p.EndOffset - p.StartOffset)
	var list []during
	for _, t := range times {
		if at := binprop.MinutesOf(t); !slices.Contains(p.Pattern.Deleted, midnightOf(at)) {
			list = append(list, during{at, at + length})
		}
	}
	return list, true
}

// exceptional puts the exceptions of a series that take time among its other occurrences; those that are canceled take none.
func exceptional(p *binprop.AppointmentRecurrencePattern, list []during) []during {
	for i := range p.Exceptions {
		x := &p.Exceptions[i]
		free := x.Flags&binprop.OverrideBusyStatus != 0 && x.BusyStatus == busyFree
		canceled := x.Flags&binprop.OverrideMeetingType != 0 && x.MeetingType&stateCanceled != 0
		if !free && !canceled {
			list = append(list, during{x.Start, x.End})
		}
	}
	slices.SortFunc(list, func(a, b during) int { return cmp.Compare(a[0], b[0]) })
	return list
}

// Overlap reports whether any of some times meets any of others; both are in order of their starts.
func Overlap(a, b []Span) bool {
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0].Start.Before(b[0].End) && b[0].Start.Before(a[0].End):
			return true
		case a[0].End.Before(b[0].End):
			a = a[1:]
		default:
			b = b[1:]
		}
	}
	return false
}
