package oxcical

import (
	"cmp"
	"slices"
	"time"

	"github.com/flotilla-mail/flotilla/internal/convert/kept"
	"github.com/flotilla-mail/flotilla/internal/convert/object"
	"github.com/flotilla-mail/flotilla/internal/convert/recurrence"
	"github.com/flotilla-mail/flotilla/internal/formats/ical"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/binprop"
)

const (
	// maxExceptions and maxDeleted bound a series, as Outlook's own structures grow slow beyond; more are kept.
	maxExceptions = 1_000
	maxDeleted    = 5_000
	// maxOverride bounds the texts in the structure itself (MS-OXOCAL 2.2.1.44.2).
	maxOverride = 255
	// exceptionFlag is PidTagAttachmentFlags of an exception (MS-OXOCAL 2.2.10.1.3).
	exceptionFlag = 0x2
	day           = 24 * time.Hour
)

// series is a series on its way into PidLidAppointmentRecur.
type series struct {
	in      *importer
	m       *object.Message
	span    span
	pattern binprop.AppointmentRecurrencePattern
}

// series sets the recurrence of an appointment with its exceptions. What cannot be carried is put to the group's extra
// components, or stands in lines that are kept.
func (in *importer) series(m *object.Message, g *group) {
	s := series{in: in, m: m, pattern: binprop.NewAppointmentRecurrencePattern()}
	if g.master.Name != vevent || !s.begin(g.master) {
		g.extra = append(g.extra, g.exceptions...)
		g.exceptions = nil
		return
	}
	if s.span.zone.name != "" {
		in.zones = in.zones.with(s.span.zone) // days and times of exceptions are on the clocks of their series
	}
	s.deleted(g.master)
	s.moved(g.master)
	var whole []*ical.Component
	for _, c := range g.exceptions {
		if s.exception(c) {
			whole = append(whole, c)
		} else {
			g.extra = append(g.extra, c)
		}
	}
	g.exceptions = whole
	s.finish()
}

// begin sets the pattern of a series.
func (s *series) begin(c *ical.Component) bool {
	var timed bool
	s.span, timed = s.in.spanOf(c)
	rules := c.All("RRULE")
	if len(rules) != 1 || !timed || s.span.end.Sub(s.span.start) > 366*day {
		return false
	}
	rule, err := ical.ParseRecur(rules[0].Value)
	if err != nil {
		return false
	}
	until := time.Time{}
	if rule.Until != nil {
		until = s.until(*rule.Until)
	}
	start := s.span.wall
	s.pattern.Pattern, err = recurrence.Pattern(s.in.Expander, rule, start, until)
	if err != nil || until.Year() > 4499 {
		return false
	}
	s.pattern.StartOffset = uint32(start.Sub(start.Truncate(day)) / time.Minute)
	s.pattern.EndOffset = s.pattern.StartOffset + uint32(s.span.length()/time.Minute)
	return true
}

// length is how long it is on the clocks of its zone.
func (s *span) length() time.Duration { return max(s.wallEnd.Sub(s.wall), 0) }

// wall is a moment on the clocks of the series.
func (s *series) wall(t time.Time) time.Time { return s.span.zone.wall(t) }

// onDay is the time of a series on the day of a time of its clocks.
func onDay(p *binprop.AppointmentRecurrencePattern, wall time.Time) time.Time {
	return wall.Truncate(day).Add(time.Duration(p.StartOffset) * time.Minute)
}

// occurrence is the occurrence of a series at a moment, on its clocks: one in an hour that they leave out they show later than the
// series has it.
func occurrence(p *binprop.AppointmentRecurrencePattern, z zone, at time.Time) time.Time {
	wall := z.wall(at)
	if planned := onDay(p, wall); ical.At(planned, z.loc).Equal(at) {
		return planned
	}
	return wall
}

// meant is the occurrence that a value is about, on the clocks of the series. A day is about what is on it; to a series of days a time
// is about its day, which in UTC it is only if it says no other time.
func (s *series) meant(d ical.DateTime) (time.Time, bool) {
	z := s.in.zones.of(d)
	at := d.In(z.loc)
	switch {
	case !representable(at):
		return time.Time{}, false
	case d.Day:
		return onDay(&s.pattern, d.Wall), true
	case s.span.day:
		if wall := s.wall(at); isMidnight(wall) {
			return wall, true
		}
		return d.Wall.Truncate(day), !d.UTC || isMidnight(d.Wall)
	case z.name == s.span.zone.name:
		return d.Wall, true
	}
	return occurrence(&s.pattern, s.span.zone, at), true
}

// until is the end of a rule on the clocks of the series.
func (s *series) until(d ical.DateTime) time.Time {
	switch {
	case d.Day:
		return d.Wall.Add(day - time.Second)
	case d.UTC:
		return s.wall(d.Wall)
	}
	return d.Wall
}

// timesOf are the times in the lines of a name, on the clocks of the series; those of no use here are left out.
func (s *series) timesOf(c *ical.Component, name string) []time.Time {
	var list []time.Time
	for _, l := range c.All(name) {
		d, err := ical.DateTimeOf(l)
		if err != nil || l.Param("VALUE") == "PERIOD" {
			continue
		}
		if at, ok := s.meant(d); ok {
			list = append(list, at)
		}
	}
	return list
}

// deleted takes away the occurrences of EXDATE.
func (s *series) deleted(c *ical.Component) {
	timeOfDay := s.span.wall.Sub(s.span.wall.Truncate(day))
	for _, at := range s.timesOf(c, "EXDATE") {
		if at.Sub(at.Truncate(day)).Truncate(time.Minute) == timeOfDay.Truncate(time.Minute) && len(s.pattern.Pattern.Deleted) < maxDeleted {
			s.remove(at)
		}
	}
}

// remove takes an occurrence away, once.
func (s *series) remove(at time.Time) {
	p := &s.pattern.Pattern
	if m := binprop.MinutesOf(at.Truncate(day)); !slices.Contains(p.Deleted, m) {
		p.Deleted = append(p.Deleted, m)
	}
}

// moved makes a pair of EXDATE and RDATE an occurrence that was moved, which is how such pairs come about; a pattern has
// no other way to say RDATE (MS-OXCICAL 2.1.3.1.1.20.18). It has no attachment, which tells it from the others.
func (s *series) moved(c *ical.Component) {
	free := slices.Clone(s.pattern.Pattern.Deleted)
	length := s.span.length()
	for _, at := range s.timesOf(c, "RDATE") {
		if len(free) == 0 || s.taken(binprop.MinutesOf(at)) || len(s.pattern.Exceptions) == maxExceptions {
			return
		}
		distance := func(m binprop.Minutes) int64 {
			return max(int64(m), int64(binprop.MinutesOf(at))) - min(int64(m), int64(binprop.MinutesOf(at)))
		}
		nearest := slices.MinFunc(free, func(a, b binprop.Minutes) int { return cmp.Compare(distance(a), distance(b)) })
		free = slices.DeleteFunc(free, func(m binprop.Minutes) bool { return m == nearest })
		s.add(binprop.Exception{
			Start: binprop.MinutesOf(at), End: binprop.MinutesOf(at.Add(length)), OriginalStart: nearest + binprop.Minutes(s.pattern.StartOffset),
		})
	}
}

// taken reports whether an exception is on the day already.
func (s *series) taken(at binprop.Minutes) bool {
	return slices.Contains(s.pattern.Pattern.Modified, midnightOf(at))
}

func (s *series) add(x binprop.Exception) {
	s.pattern.Exceptions = append(s.pattern.Exceptions, x)
	s.pattern.Pattern.Modified = append(s.pattern.Pattern.Modified, midnightOf(x.Start))
}

// midnightOf is the beginning of the day of a time on the clocks of a series.
func midnightOf(m binprop.Minutes) binprop.Minutes { return m - m%(24*60) }

// exception makes one of the components that replace an occurrence an exception with its message. Of what concerns later
// occurrences too there is none.
func (s *series) exception(c *ical.Component) bool {
	l := c.Get("RECURRENCE-ID")
	original, err := ical.DateTimeOf(l)
	if err != nil || l.Param("RANGE") != "" || len(s.pattern.Exceptions) >= maxExceptions {
		return false
	}
	was, ok := s.meant(original)
	now, timed := s.in.spanOf(c)
	if !ok || !timed {
		return false
	}
	x := binprop.Exception{Start: binprop.MinutesOf(now.wall), End: binprop.MinutesOf(now.wall.Add(now.length())), OriginalStart: binprop.MinutesOf(was)}
	if now.zone.name != s.span.zone.name {
		x.Start, x.End = binprop.MinutesOf(s.wall(now.start)), binprop.MinutesOf(s.wall(now.end))
	}
	same := func(other binprop.Exception) bool { return other.OriginalStart == x.OriginalStart }
	if slices.ContainsFunc(s.pattern.Exceptions, same) || s.taken(x.Start) {
		return false
	}
	one := s.in.component(c)
	one.SetText(mapi.PidTagMessageClass, classException)
	at := ical.At(was, s.span.zone.loc)
	setOccurrence(one, at, was)
	override(&x, s.m, one)
	s.remove(was)
	s.add(x)
	s.m.Attachments = append(s.m.Attachments, s.attachment(one, &x, at))
	s.in.exceptions = append(s.in.exceptions, replaced{c, one})
	return true
}

// attachment puts an exception's message into the series (MS-OXOCAL 2.2.10.1).
func (s *series) attachment(one *object.Message, x *binprop.Exception, original time.Time) object.Attachment {
	a := object.Attachment{Embedded: one}
	a.Bag.Set(mapi.PidTagAttachMethod, mapi.Integer32(mapi.AttachEmbedded))
	a.Bag.Set(mapi.PidTagAttachmentFlags, mapi.Integer32(exceptionFlag))
	a.Bag.Set(mapi.PidTagAttachmentHidden, mapi.Boolean(true))
	a.Bag.Set(mapi.PidTagAttachmentLinkId, mapi.Integer32(0))
	a.SetText(mapi.PidTagDisplayName, "Untitled")
	a.Bag.Set(mapi.PidTagExceptionStartTime, mapi.FileTimeOf(x.Start.Wall()))
	a.Bag.Set(mapi.PidTagExceptionEndTime, mapi.FileTimeOf(x.End.Wall()))
	a.Bag.Set(mapi.PidTagExceptionReplaceTime, mapi.FileTimeOf(original))
	return a
}

// override says in the structure what an exception has of its own.
func override(x *binprop.Exception, m, one *object.Message) {
	if subject := one.Text(mapi.PidTagNormalizedSubject); subject != m.Text(mapi.PidTagNormalizedSubject) {
		x.Flags |= binprop.OverrideSubject
		x.Subject, x.WideSubject = narrow(subject)
	}
	if location := one.LidText(mapi.PidLidLocation); location != m.LidText(mapi.PidLidLocation) {
		x.Flags |= binprop.OverrideLocation
		x.Location, x.WideLocation = narrow(location)
	}
	for _, n := range []struct {
		flag  binprop.OverrideFlags
		value *uint32
		of    mapi.NamedProperty
	}{
		{binprop.OverrideMeetingType, &x.MeetingType, mapi.PidLidAppointmentStateFlags},
		{binprop.OverrideReminderDelta, &x.ReminderDelta, mapi.PidLidReminderDelta},
		{binprop.OverrideBusyStatus, &x.BusyStatus, mapi.PidLidBusyStatus},
	} {
		own, has := one.LidInt(n.of)
		if series, _ := m.LidInt(n.of); has && own != series {
			x.Flags |= n.flag
			*n.value = uint32(own)
		}
	}
	for _, n := range []struct {
		flag  binprop.OverrideFlags
		value *uint32
		of    mapi.NamedProperty
	}{{binprop.OverrideReminder, &x.Reminder, mapi.PidLidReminderSet}, {binprop.OverrideSubType, &x.SubType, mapi.PidLidAppointmentSubType}} {
		if own := one.LidBool(n.of); own != m.LidBool(n.of) {
			x.Flags |= n.flag
			if own {
				*n.value = 1
			}
		}
	}
	if one.Text(mapi.PidTagBody) != m.Text(mapi.PidTagBody) {
		x.Flags |= binprop.OverrideBody
	}
}

// narrow is a text in ASCII and in Unicode, both as long as the structure takes.
func narrow(s string) (ascii, wide string) {
	var a []byte
	var w []rune
	for _, r := range s {
		if len(a) == maxOverride {
			break
		}
		w = append(w, r)
		if r > 0x7E {
			r = '?'
		}
		a = append(a, byte(r))
	}
	return string(a), string(w)
}

// finish sets what the series says of itself.
func (s *series) finish() {
	if !s.put() {
		return // beyond the widths of the structure; the rule is kept
	}
	m, p := s.m, &s.pattern
	m.SetLid(mapi.PidLidRecurring, mapi.Boolean(true))
	m.SetLid(mapi.PidLidRecurrenceType, mapi.Integer32(p.Pattern.Frequency-binprop.Daily+1))
	for _, clip := range []struct {
		of mapi.NamedProperty
		at binprop.Minutes
	}{{mapi.PidLidClipStart, p.Pattern.Start}, {mapi.PidLidClipEnd, p.Pattern.End}} {
		m.SetLid(clip.of, mapi.FileTimeOf(ical.At(clip.at.Wall(), s.span.zone.loc)))
	}
	if icon, _ := m.Int(mapi.PidTagIconIndex); icon == iconAppointment || icon == iconMeeting {
		m.Bag.Set(mapi.PidTagIconIndex, mapi.Integer32(icon+1))
	}
	if s.span.zone.name != "" || s.span.utc && !s.span.day {
		setSeriesZone(m, s.span.zone, s.span.start.Year())
	} // else it is on the clocks of whoever looks at it
}

// put sets the recurrence in order, and reports whether the structure holds it.
func (s *series) put() bool {
	p := &s.pattern
	slices.Sort(p.Pattern.Deleted)
	slices.Sort(p.Pattern.Modified)
	slices.SortFunc(p.Exceptions, func(a, b binprop.Exception) int { return cmp.Compare(a.Start, b.Start) })
	b, err := p.Append(nil)
	if err == nil {
		s.m.SetLid(mapi.PidLidAppointmentRecur, mapi.Binary(b))
	}
	return err == nil
}

// series writes RRULE with EXDATE and RDATE, and returns the exceptions that are components.
func (x *exporter) series() []exception {
	p, err := binprop.ParseAppointmentRecurrencePattern(x.m.LidBinary(mapi.PidLidAppointmentRecur))
	if err != nil {
		return nil
	}
	out := seriesOut{x: x, p: &p, day: x.m.LidBool(mapi.PidLidAppointmentSubType)}
	rule, err := recurrence.Rule(&p.Pattern, out.until)
	if err != nil {
		return nil
	}
	x.c.Put("RRULE", rule.String())
	moved := map[binprop.Minutes]bool{}
	var list []exception
	for i := range p.Exceptions {
		e := &p.Exceptions[i]
		at := midnightOf(e.OriginalStart)
		embedded := out.embedded(e)
		if embedded == nil && e.Flags == 0 {
			x.putTime("RDATE", out.value(e.Start))
			continue
		}
		moved[at] = true
		list = append(list, out.exception(e, embedded))
	}
	for _, at := range p.Pattern.Deleted {
		if !moved[at] {
			x.putTime("EXDATE", out.value(at+binprop.Minutes(p.StartOffset)))
		}
	}
	return list
}

// seriesOut is a series on its way into a calendar.
type seriesOut struct {
	x   *exporter
	p   *binprop.AppointmentRecurrencePattern
	day bool
}

// moment is a time of the structure, which is on the clocks of the series.
func (s *seriesOut) moment(m binprop.Minutes) time.Time { return ical.At(m.Wall(), s.x.zone.loc) }

func (s *seriesOut) value(m binprop.Minutes) ical.DateTime {
	if s.day {
		return ical.DateTime{Wall: m.Wall(), Day: true}
	}
	return s.x.zone.local(m.Wall())
}

// first is when a series begins, on its clocks.
func (x *exporter) first() (wall, wallEnd time.Time, recurs bool) {
	p, err := binprop.ParseAppointmentRecurrencePattern(x.m.LidBinary(mapi.PidLidAppointmentRecur))
	if err != nil {
		return wall, wallEnd, false
	}
	on := p.Pattern.Start
	return (on + binprop.Minutes(p.StartOffset)).Wall(), (on + binprop.Minutes(p.EndOffset)).Wall(), true
}

// until is the last start that the end of a pattern allows.
func (s *seriesOut) until(end time.Time) ical.DateTime {
	if s.day {
		return ical.DateTime{Wall: end, Day: true}
	}
	return ical.Moment(s.moment(binprop.MinutesOf(end) + binprop.Minutes(s.p.StartOffset)))
}

// embedded is the message of an exception, nil if it has none.
func (s *seriesOut) embedded(e *binprop.Exception) *object.Message {
	start := mapi.FileTimeOf(e.Start.Wall())
	for i := range s.x.m.Attachments {
		a := &s.x.m.Attachments[i]
		if a.Embedded == nil {
			continue
		}
		replaces, has := a.Bag.Get(mapi.PidTagExceptionReplaceTime).(mapi.FileTime)
		begins, _ := a.Bag.Get(mapi.PidTagExceptionStartTime).(mapi.FileTime)
		if has && binprop.MinutesOf(occurrence(s.p, s.x.zone, replaces.Time())) == e.OriginalStart || !has && begins == start {
			return a.Embedded
		}
	}
	return nil
}

// exception writes the component of an exception: what its message has, and of the series whatever that has not.
func (s *seriesOut) exception(e *binprop.Exception, embedded *object.Message) exception {
	merged := inherit(s.x.m)
	props := &merged.Props
	s.overrides(merged, e)
	if embedded != nil {
		props = &embedded.Props
		overlay(merged, embedded)
	}
	x := &exporter{m: merged, zone: s.x.zone, c: &ical.Component{Name: vevent}}
	if embedded != nil && embedded.LidBinary(mapi.PidLidAppointmentTimeZoneDefinitionStartDisplay) != nil {
		x.zone = zoneOf(merged)
	}
	merged.DeleteLid(mapi.PidLidIsException)
	merged.SetText(mapi.PidTagMessageClass, s.x.m.Text(mapi.PidTagMessageClass))
	x.event()
	x.putTime("RECURRENCE-ID", s.value(e.OriginalStart))
	return exception{x.c, props}
}

// inherit is what an exception has of its series unless it says otherwise.
func inherit(m *object.Message) *object.Message {
	one := &object.Message{Recipients: m.Recipients}
	for _, p := range m.Bag.All() {
		one.Bag.Set(p.Tag, p.Value)
	}
	for n, v := range m.Named {
		one.SetLid(mapi.NamedProperty{PropertyName: n}, v)
	}
	kept.Forget(&one.Props)
	for _, n := range []mapi.NamedProperty{mapi.PidLidAppointmentRecur, mapi.PidLidExceptionReplaceTime} {
		one.DeleteLid(n)
	}
	return one
}

// overlay puts an exception's own properties over the series'.
func overlay(one, own *object.Message) {
	if own.Bag.Get(mapi.PidTagNormalizedSubject) != nil {
		one.Bag.Delete(mapi.PidTagSubjectPrefix) // the two are one subject
	}
	for _, p := range own.Bag.All() {
		one.Bag.Set(p.Tag, p.Value)
	}
	for n, v := range own.Named {
		one.SetLid(mapi.NamedProperty{PropertyName: n}, v)
	}
	if own.Recipients != nil {
		one.Recipients = own.Recipients
	}
	one.Attachments = own.Attachments
}

// overrides sets what the structure itself says of an exception.
func (s *seriesOut) overrides(one *object.Message, e *binprop.Exception) {
	start, end := s.x.zone.between(e.Start.Wall(), e.End.Wall())
	for _, n := range []mapi.NamedProperty{mapi.PidLidAppointmentStartWhole, mapi.PidLidCommonStart} {
		one.SetLid(n, mapi.FileTimeOf(start))
	}
	for _, n := range []mapi.NamedProperty{mapi.PidLidAppointmentEndWhole, mapi.PidLidCommonEnd} {
		one.SetLid(n, mapi.FileTimeOf(end))
	}
	if e.Flags&binprop.OverrideSubject != 0 {
		one.Bag.Delete(mapi.PidTagSubjectPrefix)
		one.Bag.Set(mapi.PidTagNormalizedSubject, mapi.String(object.Clean(e.WideSubject)))
	}
	if e.Flags&binprop.OverrideLocation != 0 {
		one.SetLid(mapi.PidLidLocation, mapi.String(object.Clean(e.WideLocation)))
	}
	if e.Flags&binprop.OverrideBusyStatus != 0 {
		one.SetLid(mapi.PidLidBusyStatus, mapi.Integer32(e.BusyStatus))
	}
	if e.Flags&binprop.OverrideReminder != 0 {
		one.SetLid(mapi.PidLidReminderSet, mapi.Boolean(e.Reminder != 0))
	}
	if e.Flags&binprop.OverrideReminderDelta != 0 {
		one.SetLid(mapi.PidLidReminderDelta, mapi.Integer32(e.ReminderDelta))
	}
	if e.Flags&binprop.OverrideSubType != 0 {
		one.SetLid(mapi.PidLidAppointmentSubType, mapi.Boolean(e.SubType != 0))
	}
}
