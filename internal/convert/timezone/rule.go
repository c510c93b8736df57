package timezone

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/flotilla-mail/flotilla/internal/mapi/binprop"
)

// Onset is when a half of the year begins: the Week-th Day of the Month, the last one where Week is 5, at a time of the
// clocks as they are until then.
type Onset struct {
	Month time.Month
	Week  int
	Day   time.Weekday
	At    time.Duration
}

// Rule is how a zone goes in every year: offsets east of UTC, and when they begin. A zone with one offset has no onsets.
type Rule struct {
	Standard, Daylight     time.Duration
	ToStandard, ToDaylight Onset
}

// changes reports whether the rule has summer time.
func (r Rule) changes() bool { return r.ToStandard.Month != 0 && r.ToDaylight.Month != 0 }

// transition is one change of a zone's offset.
type transition struct {
	at       time.Time
	from, to time.Duration
}

// wall is what the clocks show when it happens.
func (t transition) wall() time.Time { return t.at.UTC().Add(t.from) }

func offsetAt(t time.Time) time.Duration {
	_, sec := t.Zone()
	return time.Duration(sec) * time.Second
}

// almanac remembers the changes of a zone by year: to ask the zone is slow, and each year is asked for many times.
type almanac struct {
	loc   *time.Location
	years map[int][]transition
}

func newAlmanac(loc *time.Location) *almanac { return &almanac{loc, map[int][]transition{}} }

func (a *almanac) in(year int) []transition {
	list, known := a.years[year]
	if !known {
		list = transitions(a.loc, year)
		a.years[year] = list
	}
	return list
}

// transitions are the changes in a year.
func transitions(loc *time.Location, year int) []transition {
	var list []transition
	at := time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC).In(loc)
	for range 12 {
		_, end := at.ZoneBounds()
		if end.IsZero() || end.UTC().Year() > year {
			break
		}
		if before, after := offsetAt(end.Add(-time.Second)), offsetAt(end); before != after {
			list = append(list, transition{end, before, after})
		}
		at = end
	}
	return list
}

// RuleOf is how a zone goes in a year.
func RuleOf(loc *time.Location, year int) Rule {
	a := newAlmanac(loc)
	list := a.in(year)
	last := offsetAt(time.Date(year, 12, 31, 12, 0, 0, 0, time.UTC).In(loc))
	if len(list) != 2 || list[0].from != list[1].to || list[0].to != list[1].from {
		return Rule{Standard: last}
	}
	spring, autumn := list[0], list[1]
	if spring.to < spring.from {
		spring, autumn = autumn, spring
	}
	return Rule{
		Standard: autumn.to, Daylight: spring.to,
		ToStandard: a.onset(autumn), ToDaylight: a.onset(spring),
	}
}

// yearsAhead is how many years tell the last Sunday of a month from its fourth.
const yearsAhead = 8

// onset is the rule that a change goes by, if later years agree on one.
func (a *almanac) onset(t transition) Onset {
	wall := t.wall()
	o := Onset{
		Month: wall.Month(), Week: (wall.Day()-1)/7 + 1, Day: wall.Weekday(),
		At: wall.Sub(time.Date(wall.Year(), wall.Month(), wall.Day(), 0, 0, 0, 0, time.UTC)),
	}
	last := inLastWeek(wall)
	for year := wall.Year(); last && year < wall.Year()+yearsAhead; year++ {
		for _, other := range a.in(year) {
			if w := other.wall(); w.Month() == o.Month && w.Weekday() == o.Day {
				last = last && inLastWeek(w)
			}
		}
	}
	if last {
		o.Week = 5
	}
	return o
}

func inLastWeek(t time.Time) bool { return t.AddDate(0, 0, 7).Month() != t.Month() }

// Location is a zone that goes by the rule for ever.
func (r Rule) Location(name string) (*time.Location, error) {
	tz := posix(r.Standard)
	if r.changes() {
		tz += posix(r.Daylight) + r.ToDaylight.posix() + r.ToStandard.posix()
	}
	loc, err := time.LoadLocationFromTZData(name, tzif(r.Standard, tz))
	if err != nil {
		return nil, fmt.Errorf("time zone %.60q: %w", name, err)
	}
	return loc, nil
}

// posix is a name and an offset of a TZ string, which counts westwards.
func posix(d time.Duration) string {
	west := int(-d / time.Second)
	sign := ""
	if west < 0 {
		sign, west = "-", -west
	}
	return fmt.Sprintf("<Z%02d%02d>%s%d:%02d:%02d", west/3600, west/60%60, sign, west/3600, west/60%60, west%60)
}

func (o Onset) posix() string {
	sec := int(o.At / time.Second)
	return fmt.Sprintf(",M%d.%d.%d/%d:%02d:%02d", o.Month, o.Week, o.Day, sec/3600, sec/60%60, sec%60)
}

// tzif is a file of the tz database (RFC 8536) that has one offset and, behind its end, a TZ string.
func tzif(standard time.Duration, tz string) []byte {
	const designation = "STD\x00"
	block := append([]byte("TZif2"), make([]byte, 15)...)
	for _, n := range []uint32{0, 0, 0, 0, 1, uint32(len(designation))} { // only one type and its name
		block = binary.BigEndian.AppendUint32(block, n)
	}
	block = binary.BigEndian.AppendUint32(block, uint32(int32(standard/time.Second)))
	block = append(block, 0, 0) // no summer time; the name at 0
	block = append(block, designation...)
	return append(append(append([]byte{}, block...), block...), "\n"+tz+"\n"...)
}

// bias is the rule's offsets as MAPI counts them: minutes west.
func (r Rule) bias() binprop.Bias {
	b := binprop.Bias{Always: minutes(-r.Standard)}
	if r.changes() {
		b.Daylight = minutes(r.Standard - r.Daylight)
	}
	return b
}

func minutes(d time.Duration) int32 { return int32(d / time.Minute) }

func (o Onset) system() binprop.SystemTime {
	if o.Month == 0 {
		return binprop.SystemTime{}
	}
	return binprop.SystemTime{
		Month: uint16(o.Month), DayOfWeek: uint16(o.Day), Day: uint16(o.Week),
		Hour: uint16(o.At / time.Hour), Minute: uint16(o.At / time.Minute % 60), Second: uint16(o.At / time.Second % 60),
	}
}

// Struct is the rule as PidLidTimeZoneStruct.
func (r Rule) Struct() binprop.TimeZoneStruct {
	return binprop.TimeZoneStruct{Bias: r.bias(), Standard: r.ToStandard.system(), Daylight: r.ToDaylight.system()}
}

// Definition is the rule as PidLidAppointmentTimeZoneDefinition*Display, under Windows' name of the zone, from year on.
func (r Rule) Definition(name string, year int) binprop.TimeZoneDefinition {
	return r.definition(name, year, binprop.RuleEffective)
}

// SeriesDefinition is the rule as PidLidAppointmentTimeZoneDefinitionRecur, which alone says that a series goes by it (MS-OXOCAL
// 2.2.1.42).
func (r Rule) SeriesDefinition(name string, year int) binprop.TimeZoneDefinition {
	return r.definition(name, year, binprop.RuleRecurring|binprop.RuleEffective)
}

func (r Rule) definition(name string, year int, flags uint16) binprop.TimeZoneDefinition {
	return binprop.NewTimeZoneDefinition(name, binprop.TimeZoneRule{
		Flags: flags, Year: uint16(year),
		Bias: r.bias(), Standard: r.ToStandard.system(), Daylight: r.ToDaylight.system(),
	})
}

// maxBias bounds an offset: a day.
const maxBias = 24 * 60

// ruleOf reads the three parts that both structures have; what cannot be is no rule.
func ruleOf(b binprop.Bias, standard, daylight binprop.SystemTime) (Rule, bool) {
	for _, n := range []int32{b.Always, b.Standard, b.Daylight} {
		if n <= -maxBias || n >= maxBias {
			return Rule{}, false
		}
	}
	r := Rule{Standard: -time.Duration(b.Always+b.Standard) * time.Minute}
	toStandard, ok1 := onsetIn(standard)
	toDaylight, ok2 := onsetIn(daylight)
	if ok1 && ok2 {
		r.Daylight = -time.Duration(b.Always+b.Daylight) * time.Minute
		r.ToStandard, r.ToDaylight = toStandard, toDaylight
	}
	return r, true
}

func onsetIn(t binprop.SystemTime) (Onset, bool) {
	if t.Month < 1 || t.Month > 12 || t.Day < 1 || t.Day > 31 || t.DayOfWeek > 6 || t.Hour > 23 || t.Minute > 59 || t.Second > 59 {
		return Onset{}, false
	}
	o := Onset{
		Month: time.Month(t.Month), Week: int(t.Day), Day: time.Weekday(t.DayOfWeek),
		At: time.Duration(t.Hour)*time.Hour + time.Duration(t.Minute)*time.Minute + time.Duration(t.Second)*time.Second,
	}
	if t.Year != 0 { // a date: the day of the week that it is on counts for other years
		day := time.Date(int(t.Year), o.Month, int(t.Day), 0, 0, 0, 0, time.UTC)
		o.Day, o.Week = day.Weekday(), (day.Day()-1)/7+1
	}
	return o, o.Week <= 5
}

// OfStruct is the rule in PidLidTimeZoneStruct.
func OfStruct(z binprop.TimeZoneStruct) (Rule, bool) { return ruleOf(z.Bias, z.Standard, z.Daylight) }

// OfDefinition is the rule of a definition that counts: the effective one, else the last.
func OfDefinition(z binprop.TimeZoneDefinition) (Rule, bool) {
	if len(z.Rules) == 0 {
		return Rule{}, false
	}
	chosen := z.Rules[len(z.Rules)-1]
	for _, r := range z.Rules {
		if r.Flags&binprop.RuleEffective != 0 {
			chosen = r
		}
	}
	return ruleOf(chosen.Bias, chosen.Standard, chosen.Daylight)
}
