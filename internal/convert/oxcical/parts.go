package oxcical

import (
	"encoding/base64"
	"path"
	"strings"
	"time"

	"github.com/flotilla-mail/flotilla/internal/convert/object"
	"github.com/flotilla-mail/flotilla/internal/formats/contentline"
	"github.com/flotilla-mail/flotilla/internal/formats/ical"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

const (
	// maxAttachments bounds what a component carries in itself; the rest is kept.
	maxAttachments = 100
	maxReminder    = 60 * 24 * 3650
)

// fileNames are the parameters that say what an attachment is called, Outlook's first.
var fileNames = []string{"X-FILENAME", "FILENAME", "X-APPLE-FILENAME", "X-ORACLE-FILENAME"}

// attachments takes what stands in the component itself; links are kept (MS-OXCICAL 2.1.3.1.1.20.1).
func (in *importer) attachments(m *object.Message, c *ical.Component) {
	for _, l := range c.All("ATTACH") {
		if !strings.EqualFold(l.Param("ENCODING"), "BASE64") || len(m.Attachments) == maxAttachments {
			continue
		}
		data, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(l.Value, " ", ""))
		if err != nil {
			continue
		}
		var a object.Attachment
		a.Bag.Set(mapi.PidTagAttachMethod, mapi.Integer32(mapi.AttachByValue))
		a.Bag.Set(mapi.PidTagAttachDataBinary, mapi.Binary(data))
		a.Bag.Set(mapi.PidTagAttachSize, mapi.Integer32(int32(len(data))))
		a.SetText(mapi.PidTagAttachMimeTag, l.Param("FMTTYPE"))
		name := "attachment"
		for i := len(fileNames) - 1; i >= 0; i-- {
			if s := l.Param(fileNames[i]); s != "" {
				name = s
			}
		}
		a.SetText(mapi.PidTagAttachLongFilename, name)
		a.SetText(mapi.PidTagAttachExtension, path.Ext(name))
		m.Attachments = append(m.Attachments, a)
	}
}

func (x *exporter) attachments() {
	for i := range x.m.Attachments {
		a := &x.m.Attachments[i]
		data, ok := a.Bag.Get(mapi.PidTagAttachDataBinary).(mapi.Binary)
		if method, _ := a.Int(mapi.PidTagAttachMethod); !ok || method != mapi.AttachByValue {
			continue
		}
		l := contentline.Line{Name: "ATTACH", Value: base64.StdEncoding.EncodeToString(data)}
		l = l.With("FMTTYPE", a.Text(mapi.PidTagAttachMimeTag)).With("ENCODING", "BASE64").With("VALUE", "BINARY")
		x.c.Lines = append(x.c.Lines, l.With(fileNames[0], a.Text(mapi.PidTagAttachLongFilename)))
	}
}

// reminder takes the first alarm that is before the start, or before due where end says so (MS-OXCICAL 2.1.3.1.1.20.62). One that has
// been seen is over, one at a moment is no reminder of a series, and ACTION:NONE is Apple's word for having none.
func (in *importer) reminder(m *object.Message, c *ical.Component, start, end time.Time) {
	m.SetLid(mapi.PidLidReminderSet, mapi.Boolean(false))
	recurs := c.Get("RRULE") != nil
	for _, alarm := range c.Inside(valarm) {
		l := alarm.Get("TRIGGER")
		if l == nil || strings.EqualFold(alarm.Value("ACTION"), "NONE") {
			continue
		}
		at, ok := triggered(l, start, end)
		if !ok || !recurs && in.acknowledged(c, alarm, at) {
			continue
		}
		before, base := start.Sub(at), start
		switch _, err := ical.ParseDateTime(l.Value); {
		case err == nil && c.Name == vtodo:
			before, base = 0, at // a task is reminded of at a time of its own
		case err == nil && recurs:
			continue
		}
		if before < 0 || before%time.Minute != 0 || before/time.Minute > maxReminder {
			continue
		}
		m.SetLid(mapi.PidLidReminderSet, mapi.Boolean(true))
		m.SetLid(mapi.PidLidReminderDelta, mapi.Integer32(before/time.Minute))
		m.SetLid(mapi.PidLidReminderTime, mapi.FileTimeOf(base))
		m.SetLid(mapi.PidLidReminderSignalTime, mapi.FileTimeOf(at))
		return
	}
}

// acknowledged reports whether an alarm has gone off and been seen (RFC 9074 6.1), which Thunderbird says of all of an event's.
func (in *importer) acknowledged(c, alarm *ical.Component, at time.Time) bool {
	seen, ok := in.moment(alarm, "ACKNOWLEDGED")
	if !ok {
		seen, ok = in.moment(c, "X-MOZ-LASTACK")
	}
	return ok && !seen.Time().Before(at)
}

// triggered is when an alarm goes off.
func triggered(l *contentline.Line, start, end time.Time) (time.Time, bool) {
	if d, err := ical.ParseDateTime(l.Value); err == nil && d.UTC {
		return d.Wall, representable(d.Wall)
	}
	length, err := ical.ParseDuration(l.Value)
	if err != nil {
		return time.Time{}, false
	}
	from := start
	if strings.EqualFold(l.Param("RELATED"), "END") {
		from = end
	}
	at := from.Add(length)
	return at, representable(at)
}

// reminder writes the alarm that clients set.
func (x *exporter) reminder() {
	delta, ok := x.m.LidInt(mapi.PidLidReminderDelta)
	if !x.m.LidBool(mapi.PidLidReminderSet) || !ok || delta < 0 || delta > maxReminder {
		return
	}
	alarm := &ical.Component{Name: valarm}
	alarm.Put("ACTION", "DISPLAY")
	alarm.Put("DESCRIPTION", "REMINDER")
	before := time.Duration(delta) * time.Minute
	if at, ok := x.alarmed(before); ok {
		alarm.Put("TRIGGER", ical.Moment(at).String(), contentline.Param{Name: "VALUE", Values: []string{"DATE-TIME"}})
	} else {
		alarm.Put("TRIGGER", ical.FormatDuration(-before))
	}
	x.c.Children = append(x.c.Children, alarm)
}

// alarmed is when the reminder of a task goes off, where that is no span before it is due or begins: to a task it is a time of its
// own (MS-OXORMDR 2.2.1).
func (x *exporter) alarmed(before time.Duration) (time.Time, bool) {
	at, said := x.m.LidTime(mapi.PidLidReminderSignalTime)
	if x.c.Name != vtodo || !said || !representable(at.Time()) {
		return time.Time{}, false
	}
	base, due := x.m.LidTime(mapi.PidLidCommonEnd)
	if !due {
		base, due = x.m.LidTime(mapi.PidLidCommonStart)
	}
	return at.Time(), !due || at != mapi.FileTimeOf(base.Time().Add(-before))
}
