package timezone

import (
	"slices"
	"strings"
	"time"

	"github.com/flotilla-mail/flotilla/internal/formats/ical"
)

// observance is one STANDARD or DAYLIGHT.
type observance struct {
	daylight bool
	from, to time.Duration
	start    time.Time
	rule     *ical.Recur
}

// Read is the rule of a VTIMEZONE that counts in a year.
func Read(c *ical.Component, year int) (Rule, bool) {
	var standard, daylight *observance
	for _, child := range c.Children {
		o, ok := readObservance(child)
		if !ok {
			continue
		}
		if o.daylight {
			daylight = later(daylight, o, year)
		} else {
			standard = later(standard, o, year)
		}
	}
	switch {
	case standard == nil && daylight == nil:
		return Rule{}, false
	case standard == nil:
		return Rule{Standard: daylight.to}, true
	case daylight == nil || !daylight.goesOn(year) || !standard.goesOn(year):
		return Rule{Standard: standard.to}, true
	}
	return Rule{Standard: standard.to, Daylight: daylight.to, ToStandard: standard.onset(), ToDaylight: daylight.onset()}, true
}

func readObservance(c *ical.Component) (*observance, bool) {
	from, err1 := ical.ParseOffset(c.Value("TZOFFSETFROM"))
	to, err2 := ical.ParseOffset(c.Value("TZOFFSETTO"))
	start, err3 := ical.ParseDateTime(c.Value("DTSTART"))
	if c.Name != "STANDARD" && c.Name != "DAYLIGHT" || err1 != nil || err2 != nil || err3 != nil {
		return nil, false
	}
	o := &observance{daylight: c.Name == "DAYLIGHT", from: from, to: to, start: start.Wall}
	if rule, err := ical.ParseRecur(c.Value("RRULE")); err == nil && rule.Freq == "YEARLY" {
		o.rule = &rule
	}
	return o, true
}

// goesOn reports whether the observance begins anew in every year from this one on.
func (o *observance) goesOn(year int) bool {
	return o.rule != nil && (o.rule.Until == nil || o.rule.Until.Wall.Year() >= year)
}

// later is the one of two that counts in a year: the last to have begun by then.
func later(a, b *observance, year int) *observance {
	if a == nil {
		return b
	}
	aBegan, bBegan := a.start.Year() <= year, b.start.Year() <= year
	if aBegan != bBegan {
		if aBegan {
			return a
		}
		return b
	}
	if b.start.After(a.start) == bBegan {
		return b
	}
	return a
}

// onset is the rule in an observance, else what its first day is in its month.
func (o *observance) onset() Onset {
	at := o.start.Sub(time.Date(o.start.Year(), o.start.Month(), o.start.Day(), 0, 0, 0, 0, time.UTC))
	on := Onset{Month: o.start.Month(), Week: (o.start.Day()-1)/7 + 1, Day: o.start.Weekday(), At: at}
	r := o.rule
	if len(r.ByMonth) == 1 && r.ByMonth[0] >= 1 {
		on.Month = time.Month(r.ByMonth[0])
	}
	if len(r.ByDay) != 1 {
		return on
	}
	on.Day = r.ByDay[0].Day
	switch n := r.ByDay[0].N; {
	case n < 0:
		on.Week = 5
	case n > 0:
		on.Week = min(n, 5)
	case len(r.ByMonthDay) > 0: // the Sunday from the 8th to the 14th
		on.Week = (max(slices.Min(r.ByMonthDay), 1)-1)/7 + 1
	}
	return on
}

// run is a change that happens in the same way in years that follow each other.
type run struct {
	first, last transition
	onset       Onset
	years       int
	// summer says that the offset grew and shrank again in the same year.
	summer bool
}

// Component is a VTIMEZONE that is right from the first year to the last, and where the zone keeps its rule for ever.
func Component(name string, loc *time.Location, first, last int) *ical.Component {
	c := &ical.Component{Name: "VTIMEZONE"}
	c.PutText("TZID", name)
	begin := first - 1
	runs := runsOf(loc, begin, last)
	if len(runs) == 0 || runs[0].first.at.UTC().Year() > begin {
		start := time.Date(begin, 1, 1, 0, 0, 0, 0, time.UTC)
		offset := offsetAt(start.In(loc))
		c.Children = append(c.Children, observanceOf("STANDARD", start, offset, offset))
	}
	for _, r := range runs {
		c.Children = append(c.Children, r.component(last))
	}
	return c
}

// maxRuns bounds the observances of a zone: some change their rule every year.
const maxRuns = 60

func runsOf(loc *time.Location, begin, last int) []*run {
	var runs, open []*run
	a := newAlmanac(loc)
	for year := begin; year <= last && len(runs) < maxRuns; year++ {
		list := a.in(year)
		var now []*run
		for _, t := range list {
			o := a.onset(t)
			at := slices.IndexFunc(open, func(r *run) bool { return r.onset == o && r.last.from == t.from && r.last.to == t.to })
			if at < 0 {
				r := &run{first: t, last: t, onset: o, years: 1, summer: len(list) > 1 && t.to > t.from}
				runs, now = append(runs, r), append(now, r)
				continue
			}
			open[at].last = t
			open[at].years++
			now = append(now, open[at])
		}
		open = now
	}
	return runs
}

func (r *run) component(last int) *ical.Component {
	kind := "STANDARD"
	goesOn := r.last.at.UTC().Year() == last
	if r.summer {
		kind = "DAYLIGHT"
	}
	c := observanceOf(kind, r.first.wall(), r.first.from, r.first.to)
	if r.years == 1 && !goesOn {
		return c
	}
	rule := ical.Recur{Freq: "YEARLY", Interval: 1, ByMonth: []int{int(r.onset.Month)}, ByDay: []ical.Weekday{{N: r.onset.Week, Day: r.onset.Day}}, WeekStart: time.Monday}
	if r.onset.Week == 5 {
		rule.ByDay[0].N = -1
	}
	if !goesOn {
		until := ical.Moment(r.last.at)
		rule.Until = &until
	}
	c.Put("RRULE", rule.String())
	return c
}

func observanceOf(kind string, start time.Time, from, to time.Duration) *ical.Component {
	c := &ical.Component{Name: kind}
	c.Put("DTSTART", ical.DateTime{Wall: start}.String())
	c.Put("TZOFFSETFROM", ical.FormatOffset(from))
	c.Put("TZOFFSETTO", ical.FormatOffset(to))
	return c
}

// SameName reports whether two names are of the same zone in Windows.
func SameName(a, b string) bool {
	return strings.EqualFold(windowsOf(a), windowsOf(b))
}

func windowsOf(name string) string {
	if windows, ok := Windows(name); ok {
		return windows
	}
	return name
}
