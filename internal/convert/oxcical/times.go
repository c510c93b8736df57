package oxcical

import (
	"slices"
	"strings"
	"time"

	"github.com/flotilla-mail/flotilla/internal/convert/object"
	"github.com/flotilla-mail/flotilla/internal/convert/timezone"
	"github.com/flotilla-mail/flotilla/internal/formats/contentline"
	"github.com/flotilla-mail/flotilla/internal/formats/ical"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/binprop"
)

// zone is a zone under the name it goes by in a calendar. Without name it is UTC or not said.
type zone struct {
	name string
	loc  *time.Location
}

// zones are those of one calendar.
type zones struct {
	components map[string]*ical.Component
	// fallback is that of times without zone.
	fallback zone
	known    map[string]zone
	// floating says that something is in the fallback (RFC 5545 3.3.5, form 1).
	floating bool
}

func newZones(cal *ical.Component, fallback string) *zones {
	z := &zones{components: map[string]*ical.Component{}, known: map[string]zone{}, fallback: zone{"", time.UTC}}
	for _, c := range cal.Inside(vtimezone) {
		z.components[c.Text("TZID")] = c
	}
	if loc, ok := timezone.Load(fallback); ok && loc.String() != time.UTC.String() {
		z.fallback = zone{fallback, loc}
	}
	return z
}

// with are the same zones with another fallback.
func (z *zones) with(fallback zone) *zones {
	return &zones{components: z.components, known: map[string]zone{}, fallback: fallback}
}

// of is the zone of a value: by its name in the tz database or Windows, else by the rules that came with it, else the
// fallback.
func (z *zones) of(d ical.DateTime) zone {
	switch {
	case d.UTC:
		return zone{"", time.UTC}
	case d.Zone == "" || d.Day:
		z.floating = true
		return z.fallback
	}
	if known, ok := z.known[d.Zone]; ok {
		return known
	}
	found, ok := z.named(d)
	if !ok {
		z.floating, found = true, z.fallback
	}
	z.known[d.Zone] = found
	return found
}

// named is the zone that a value names, if anybody knows it.
func (z *zones) named(d ical.DateTime) (zone, bool) {
	loc, ok := timezone.Load(d.Zone)
	if c := z.components[d.Zone]; !ok && c != nil {
		loc, ok = byRule(c, d)
	}
	return zone{d.Zone, loc}, ok
}

func byRule(c *ical.Component, d ical.DateTime) (*time.Location, bool) {
	rule, ok := timezone.Read(c, d.Wall.Year())
	if !ok {
		return nil, false
	}
	loc, err := rule.Location(d.Zone)
	return loc, err == nil
}

// in is the moment of a value and whether MAPI can hold it.
func (z *zones) in(d ical.DateTime) (time.Time, bool) {
	at := d.In(z.of(d).loc)
	return at, representable(at)
}

// representable reports whether a time can stand in properties that count from 1601 and in minutes of 32 bits.
func representable(t time.Time) bool { return t.Year() > 1601 && t.Year() < 4500 }

// span is when a component is.
type span struct {
	start, end time.Time
	// wall and wallEnd are what the clocks of zone show then.
	wall, wallEnd time.Time
	day           bool
	utc           bool // the start is said in UTC
	zone          zone
	endZone       zone
}

// spanOf reads DTSTART with DTEND or DURATION. It reports false where there is no start that can be carried.
func (in *importer) spanOf(c *ical.Component) (span, bool) {
	l := c.Get("DTSTART")
	if l == nil {
		return span{}, false
	}
	d, err := ical.DateTimeOf(l)
	if err != nil {
		return span{}, false
	}
	s := span{wall: d.Wall, wallEnd: d.Wall, day: d.Day, utc: d.UTC, zone: in.zones.of(d)}
	s.endZone = s.zone
	if d.Day {
		s.wallEnd = d.Wall.AddDate(0, 0, 1)
	}
	s.start, s.end = s.zone.between(s.wall, s.wallEnd)
	if to := c.Get("DTEND"); to != nil {
		s.setEnd(in.zones, to)
	} else {
		s.setLength(c.Value("DURATION"))
	}
	if strings.EqualFold(firstOf(c, "X-MICROSOFT-CDO-ALLDAYEVENT", "X-MICROSOFT-MSNCALENDAR-ALLDAYEVENT"), "TRUE") && isMidnight(s.wall) && isMidnight(s.wallEnd) && s.end.After(s.start) {
		s.day = true
	}
	return s, representable(s.start) && representable(s.end)
}

// between is when something is that begins and ends as the zone's clocks show. What begins in an hour that they leave out, and by
// them would not end after that, keeps its length.
func (z zone) between(wall, wallEnd time.Time) (start, end time.Time) {
	start, end = ical.At(wall, z.loc), ical.At(wallEnd, z.loc)
	if wallEnd.After(wall) && !end.After(start) {
		end = start.Add(wallEnd.Sub(wall))
	}
	return start, end
}

func (s *span) setEnd(z *zones, l *contentline.Line) {
	to, err := ical.DateTimeOf(l)
	if err != nil || to.Day != s.day {
		return
	}
	in := z.of(to)
	if in.name == s.zone.name {
		if to.Wall.After(s.wall) || !s.day && to.Wall.Equal(s.wall) { // a day that ends on itself is one
			s.wallEnd = to.Wall
			s.start, s.end = s.zone.between(s.wall, s.wallEnd)
		}
		return
	}
	if end := to.In(in.loc); !end.Before(s.start) {
		s.end, s.endZone, s.wallEnd = end, in, s.zone.wall(end)
	}
}

// setLength sets the end by DURATION, if there is one. A day has no hours.
func (s *span) setLength(value string) {
	later, at, err := ical.After(s.wall, s.zone.loc, value)
	switch {
	case err != nil || later.Before(s.wall):
	case s.day:
		s.wallEnd = s.wall.Add(max(later.Truncate(day).Sub(s.wall), day))
		s.start, s.end = s.zone.between(s.wall, s.wallEnd)
	default:
		s.wallEnd, s.end = later, at
	}
}

// isMidnight tells a beginning of a day on the clocks that show wall.
func isMidnight(wall time.Time) bool { return wall.Equal(wall.Truncate(day)) }

// setSpan sets when an appointment is (MS-OXOCAL 2.2.1.5 to 2.2.1.9).
func setSpan(m *object.Message, s span) {
	start, end := mapi.FileTimeOf(s.start), mapi.FileTimeOf(s.end)
	for _, n := range []mapi.NamedProperty{mapi.PidLidAppointmentStartWhole, mapi.PidLidCommonStart} {
		m.SetLid(n, start)
	}
	for _, n := range []mapi.NamedProperty{mapi.PidLidAppointmentEndWhole, mapi.PidLidCommonEnd} {
		m.SetLid(n, end)
	}
	m.Bag.Set(mapi.PidTagStartDate, start)
	m.Bag.Set(mapi.PidTagEndDate, end)
	m.SetLid(mapi.PidLidAppointmentDuration, mapi.Integer32(min(int64(s.end.Sub(s.start)/time.Minute), 1<<31-1)))
	m.SetLid(mapi.PidLidAppointmentSubType, mapi.Boolean(s.day))
	m.SetLidText(mapi.PidLidTimeZoneDescription, s.zone.name)
	setDefinition(m, mapi.PidLidAppointmentTimeZoneDefinitionStartDisplay, s.zone, s.start.Year())
	setDefinition(m, mapi.PidLidAppointmentTimeZoneDefinitionEndDisplay, s.endZone, s.start.Year())
}

// setDefinition sets one of the definitions of where an appointment is shown; UTC needs none.
func setDefinition(m *object.Message, n mapi.NamedProperty, z zone, year int) {
	if z.name == "" {
		return
	}
	if b, err := timezone.RuleOf(z.loc, year).Definition(windowsName(z), year).Append(nil); err == nil {
		m.SetLid(n, mapi.Binary(b))
	}
}

// setSeriesZone sets the clocks of a series (MS-OXOCAL 2.2.1.39, 2.2.1.41). UTC is said too: what is not said is the zone of the client.
func setSeriesZone(m *object.Message, z zone, year int) {
	rule := timezone.RuleOf(z.loc, year)
	if b, err := rule.SeriesDefinition(windowsName(z), year).Append(nil); err == nil {
		m.SetLid(mapi.PidLidAppointmentTimeZoneDefinitionRecur, mapi.Binary(b))
	}
	if b, err := rule.Struct().Append(nil); err == nil {
		m.SetLid(mapi.PidLidTimeZoneStruct, mapi.Binary(b))
	}
}

// utcName is Windows' name of UTC.
const utcName = "UTC"

// windowsName is the name that a definition has of a zone, Windows' if there is one.
func windowsName(z zone) string {
	if z.name == "" {
		return utcName
	}
	if name, ok := timezone.Windows(z.name); ok {
		return name
	}
	return z.name
}

// zoneOf is the zone of a message: the name that a calendar gave it as long as that is the one that its definition is of,
// else the tz database's name for the definition's, else the definition's own rules. A series is on the clocks of PidLidTimeZoneStruct,
// and of no definition that says otherwise (MS-OXOCAL 2.2.1.41); where it is shown may be elsewhere.
func zoneOf(m *object.Message) zone {
	description := m.LidText(mapi.PidLidTimeZoneDescription)
	definitions := []mapi.NamedProperty{mapi.PidLidAppointmentTimeZoneDefinitionStartDisplay, mapi.PidLidAppointmentTimeZoneDefinitionRecur}
	rule, said := ruleOf(m)
	series := m.Lid(mapi.PidLidAppointmentRecur) != nil
	if series {
		slices.Reverse(definitions)
	}
	for _, n := range definitions {
		if z, by, ok := zoneIn(m.LidBinary(n), description); ok && (!series || !said || by == rule) {
			return z
		}
	}
	if said && (series || description != "") {
		return zoneBy(rule, description)
	}
	return zone{"", time.UTC}
}

// ruleOf is the rule in PidLidTimeZoneStruct.
func ruleOf(m *object.Message) (timezone.Rule, bool) {
	s, err := binprop.ParseTimeZoneStruct(m.LidBinary(mapi.PidLidTimeZoneStruct))
	if err != nil {
		return timezone.Rule{}, false
	}
	return timezone.OfStruct(s)
}

// unnamedZone is the name of a zone that has none.
const unnamedZone = "Unnamed"

// zoneBy is the zone of a rule: the one of a name, if it is known, else one that goes by the rule for ever.
func zoneBy(rule timezone.Rule, name string) zone {
	if loc, ok := timezone.Load(name); ok {
		return zone{name, loc}
	}
	if name == "" {
		name = unnamedZone
	}
	loc, err := rule.Location(name)
	if err != nil {
		return zone{"", time.UTC}
	}
	return zone{object.Clean(name), loc}
}

// zoneIn is the zone of a definition, and its rule.
func zoneIn(definition []byte, description string) (zone, timezone.Rule, bool) {
	d, err := binprop.ParseTimeZoneDefinition(definition)
	if err != nil {
		return zone{}, timezone.Rule{}, false
	}
	rule, ok := timezone.OfDefinition(d)
	if loc, ok := timezone.Load(description); ok && timezone.SameName(description, d.Name) {
		return zone{description, loc}, rule, true
	}
	if strings.EqualFold(d.Name, utcName) {
		return zone{"", time.UTC}, rule, true
	}
	if olson, ok := timezone.Olson(d.Name); ok {
		if loc, ok := timezone.Load(olson); ok {
			return zone{olson, loc}, rule, true
		}
	}
	if loc, ok := timezone.Load(d.Name); ok {
		return zone{d.Name, loc}, rule, true
	}
	if !ok || d.Name == "" {
		return zone{}, timezone.Rule{}, false
	}
	return zoneBy(rule, d.Name), rule, true
}

// wall is what the zone's clocks show at a moment.
func (z zone) wall(t time.Time) time.Time { return ical.Wall(t.In(z.loc)) }

// value is a moment as the zone's clocks show it, or in UTC where they have shown the same before (RFC 5545 3.3.5).
func (z zone) value(t time.Time) ical.DateTime {
	wall := z.wall(t)
	if !ical.At(wall, z.loc).Equal(t.Truncate(time.Second)) {
		return ical.Moment(t)
	}
	return z.local(wall)
}

// local is what the zone's clocks show.
func (z zone) local(wall time.Time) ical.DateTime {
	return ical.DateTime{Wall: wall, UTC: z.name == "", Zone: z.name}
}

// day is the day of a moment in the zone. Without one the moment is a midnight of a clock that nobody knows: it is the nearest day.
func (z zone) day(t time.Time) ical.DateTime {
	if z.name == "" {
		t = t.Add(day / 2).Truncate(day)
	}
	return ical.DateTime{Wall: z.wall(t), Day: true}
}

func (x *exporter) putTime(name string, d ical.DateTime) { x.c.Put(name, d.String(), d.Params()...) }

// span writes DTSTART and DTEND.
func (x *exporter) span() {
	if x.counter() {
		return
	}
	start, ok := x.m.LidTime(mapi.PidLidAppointmentStartWhole)
	if !ok {
		start, ok = x.m.LidTime(mapi.PidLidCommonStart)
	}
	if !ok {
		return
	}
	end, ended := x.m.LidTime(mapi.PidLidAppointmentEndWhole)
	if !ended {
		end, ended = x.m.LidTime(mapi.PidLidCommonEnd)
	}
	if !ended {
		end = 0
	}
	x.times("DTSTART", "DTEND", start, end)
}

// times writes a beginning and, unless it is nought, an end, as days or as times.
func (x *exporter) times(begins, ends string, start, end mapi.FileTime) {
	if x.m.LidBool(mapi.PidLidAppointmentSubType) {
		x.putTime(begins, x.zone.day(start.Time()))
		if end != 0 {
			x.putTime(ends, x.zone.day(end.Time()))
		}
		return
	}
	begin, finish := x.zone.value(start.Time()), x.endZone().value(end.Time())
	if wall, wallEnd, recurs := x.first(); recurs { // on its clocks for ever, also where they show one time twice or never
		begin, finish = x.zone.local(x.zone.wall(start.Time())), x.endZone().local(x.endZone().wall(end.Time()))
		if ical.At(wall, x.zone.loc).Equal(start.Time()) {
			begin.Wall = wall
			if finish.Zone == begin.Zone {
				finish.Wall = wallEnd
			}
		}
	}
	x.putTime(begins, begin)
	if end != 0 {
		x.putTime(ends, finish)
	}
}

// endZone is the zone of the end, which a flight has of its own.
func (x *exporter) endZone() zone {
	start := x.m.LidBinary(mapi.PidLidAppointmentTimeZoneDefinitionStartDisplay)
	end := x.m.LidBinary(mapi.PidLidAppointmentTimeZoneDefinitionEndDisplay)
	if len(end) == 0 || slices.Equal(start, end) {
		return x.zone
	}
	if z, _, ok := zoneIn(end, ""); ok {
		return z
	}
	return x.zone
}

const (
	// seriesEnd is the last year that the zones of a series are written for.
	seriesEnd = 2037
	// maxYears bounds the years that a zone is written for.
	maxYears = 100
)

// zoneComponents are the VTIMEZONEs of the zones that components name.
func (x *exporter) zoneComponents(list []*ical.Component) []*ical.Component {
	first, last := yearsOf(list)
	if list[0].Get("RRULE") != nil {
		last = max(last, seriesEnd)
	}
	last = min(last, first+maxYears)
	var zones []*ical.Component
	for _, name := range zonesIn(list...) {
		loc := x.zone.loc
		if name != x.zone.name {
			loc, _ = timezone.Load(name)
		}
		if loc != nil {
			zones = append(zones, timezone.Component(name, loc, first, last))
		}
	}
	return zones
}

// yearsOf is the first and the last year that components name.
func yearsOf(list []*ical.Component) (first, last int) {
	var years []int
	for _, c := range list {
		for _, name := range []string{"DTSTART", "DTEND", "RECURRENCE-ID", "DUE"} {
			if d, err := ical.ParseDateTime(c.Value(name)); err == nil {
				years = append(years, d.Wall.Year())
			}
		}
	}
	if len(years) == 0 {
		return 0, 0
	}
	return slices.Min(years), slices.Max(years)
}
