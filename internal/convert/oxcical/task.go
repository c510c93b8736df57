package oxcical

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/flotilla-mail/flotilla/internal/convert/kept"
	"github.com/flotilla-mail/flotilla/internal/convert/object"
	"github.com/flotilla-mail/flotilla/internal/convert/recurrence"
	"github.com/flotilla-mail/flotilla/internal/formats/ical"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/binprop"
)

const (
	classTask    = "IPM.Task"
	classJournal = "IPM.Activity"
	iconTask     = 0x500
	iconJournal  = 0x613
)

// taskStates are the words of STATUS by PidLidTaskStatus (MS-OXOTASK 2.2.2.2.2); MAPI's waiting and deferred are neither.
var taskStates = []string{"NEEDS-ACTION", "IN-PROCESS", "COMPLETED"}

const (
	taskNotStarted = 0
	taskStarted    = 1
	taskComplete   = 2
)

// task sets what a task has. MAPI's days of a task are midnights of the clock, written as if they were UTC
// (MS-OXOTASK 2.2.2.2.4).
func (in *importer) task(m *object.Message, c *ical.Component) {
	m.SetText(mapi.PidTagMessageClass, classTask)
	m.Bag.Set(mapi.PidTagIconIndex, mapi.Integer32(iconTask))
	m.SetLidText(kept.UID(), uidIn(c))
	start, hasStart := in.taskDay(m, c, "DTSTART", mapi.PidLidTaskStartDate, mapi.PidLidCommonStart)
	due, hasDue := in.taskDay(m, c, "DUE", mapi.PidLidTaskDueDate, mapi.PidLidCommonEnd)
	state, done := progress(c)
	m.SetLid(mapi.PidLidTaskStatus, mapi.Integer32(state))
	m.SetLid(mapi.PidLidTaskComplete, mapi.Boolean(state == taskComplete))
	m.SetLid(mapi.PidLidPercentComplete, mapi.Floating64(done))
	if at, ok := in.moment(c, "COMPLETED"); ok {
		m.SetLid(mapi.PidLidTaskDateCompleted, at)
	}
	if at, ok := in.moment(c, "DTSTAMP"); ok {
		m.SetLid(mapi.PidLidTaskLastUpdate, at)
	}
	m.SetLid(mapi.PidLidTaskFRecurring, mapi.Boolean(false))
	switch {
	case hasDue:
		in.reminder(m, c, due, due)
	case hasStart:
		in.reminder(m, c, start, start)
	default:
		in.reminder(m, c, time.Time{}, time.Time{})
	}
	if hasStart || hasDue {
		in.taskSeries(m, c)
	}
}

// progress is the state of a task and how much of it is done. Where no STATUS says it, the others do.
func progress(c *ical.Component) (state int, done float64) {
	n, err := strconv.Atoi(c.Value("PERCENT-COMPLETE"))
	said := err == nil && n >= 0 && n <= 100
	state = slices.Index(taskStates, strings.ToUpper(c.Value("STATUS")))
	switch {
	case c.Get("STATUS") != nil:
		state = max(state, taskNotStarted)
	case c.Get("COMPLETED") != nil || said && n == 100:
		state = taskComplete
	case said && n > 0:
		state = taskStarted
	default:
		state = taskNotStarted
	}
	switch {
	case said:
		return state, float64(n) / 100
	case state == taskComplete:
		return state, 1
	}
	return state, 0
}

// taskDay sets a day of a task and the moment that it begins or ends. The day of a moment in UTC is that of the mailbox's clock.
func (in *importer) taskDay(m *object.Message, c *ical.Component, name string, day, moment mapi.NamedProperty) (time.Time, bool) {
	l := c.Get(name)
	if l == nil {
		return time.Time{}, false
	}
	d, err := ical.DateTimeOf(l)
	if err != nil {
		return time.Time{}, false
	}
	at, ok := in.zones.in(d)
	if ok {
		on := d.Wall
		if d.UTC {
			on = in.zones.fallback.wall(at)
		}
		m.SetLid(day, mapi.FileTimeOf(on.Truncate(24*time.Hour)))
		m.SetLid(moment, mapi.FileTimeOf(at))
	}
	return at, ok
}

// taskSeries sets the recurrence of a task, whose pattern has neither times nor exceptions.
func (in *importer) taskSeries(m *object.Message, c *ical.Component) {
	rules := c.All("RRULE")
	start, ok := m.LidTime(mapi.PidLidTaskStartDate)
	if !ok {
		start, ok = m.LidTime(mapi.PidLidTaskDueDate)
	}
	if len(rules) != 1 || !ok {
		return
	}
	rule, err := ical.ParseRecur(rules[0].Value)
	if err != nil {
		return
	}
	until := time.Time{}
	if rule.Until != nil {
		until = rule.Until.Wall
	}
	p, err := recurrence.Pattern(in.Expander, rule, start.Time(), until)
	if err != nil {
		return // the rule is kept
	}
	if b, err := p.Append(nil); err == nil {
		m.SetLid(mapi.PidLidTaskRecurrence, mapi.Binary(b))
		m.SetLid(mapi.PidLidTaskFRecurring, mapi.Boolean(true))
	}
}

// task writes a task.
func (x *exporter) task() {
	m := x.m
	x.c.PutText("UID", m.LidText(kept.UID()))
	x.c.Put("DTSTAMP", x.taskStamp())
	for _, d := range []struct {
		name string
		day  mapi.NamedProperty
	}{{"DTSTART", mapi.PidLidTaskStartDate}, {"DUE", mapi.PidLidTaskDueDate}} {
		if at, ok := m.LidTime(d.day); ok && representable(at.Time()) {
			x.putTime(d.name, ical.DateTime{Wall: at.Time(), Day: true})
		}
	}
	x.common()
	if n, ok := m.LidInt(mapi.PidLidTaskStatus); ok && n >= 0 && int(n) < len(taskStates) {
		x.c.Put("STATUS", taskStates[n])
	}
	if done, ok := m.Lid(mapi.PidLidPercentComplete).(mapi.Floating64); ok && done > 0 && done <= 1 {
		x.c.Put("PERCENT-COMPLETE", strconv.Itoa(int(math.Round(float64(done)*100))))
	}
	x.moment("COMPLETED", m.Lid(mapi.PidLidTaskDateCompleted))
	if p, err := binprop.ParseRecurrencePattern(m.LidBinary(mapi.PidLidTaskRecurrence)); err == nil && m.LidBool(mapi.PidLidTaskFRecurring) {
		day := func(d time.Time) ical.DateTime { return ical.DateTime{Wall: d, Day: true} }
		if rule, err := recurrence.Rule(&p, day); err == nil {
			x.c.Put("RRULE", rule.String())
		}
	}
	x.reminder()
}

func (x *exporter) taskStamp() string {
	if at, ok := x.m.LidTime(mapi.PidLidTaskLastUpdate); ok && representable(at.Time()) {
		return ical.Moment(at.Time()).String()
	}
	return noStamp
}

// journal sets what a journal entry has (MS-OXOJRNL).
func (in *importer) journal(m *object.Message, c *ical.Component) {
	m.SetText(mapi.PidTagMessageClass, classJournal)
	m.Bag.Set(mapi.PidTagIconIndex, mapi.Integer32(iconJournal))
	m.SetLidText(kept.UID(), uidIn(c))
	if s, ok := in.spanOf(c); ok {
		m.SetLid(mapi.PidLidLogStart, mapi.FileTimeOf(s.start))
		m.SetLid(mapi.PidLidLogEnd, mapi.FileTimeOf(s.end))
		m.SetLid(mapi.PidLidCommonStart, mapi.FileTimeOf(s.start))
		m.SetLid(mapi.PidLidCommonEnd, mapi.FileTimeOf(s.end))
	}
}

func (x *exporter) journal() {
	x.c.PutText("UID", x.m.LidText(kept.UID()))
	x.stamp()
	x.moment("DTSTART", x.m.Lid(mapi.PidLidLogStart))
	x.common()
}
