package oxcical

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/flotilla-mail/flotilla/internal/convert/kept"
	"github.com/flotilla-mail/flotilla/internal/convert/object"
	"github.com/flotilla-mail/flotilla/internal/convert/oxcmsg"
	"github.com/flotilla-mail/flotilla/internal/convert/recurrence"
	"github.com/flotilla-mail/flotilla/internal/convert/timezone"
	"github.com/flotilla-mail/flotilla/internal/formats/ical"
	"github.com/flotilla-mail/flotilla/internal/formats/mime"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/binprop"
	"github.com/flotilla-mail/flotilla/internal/testkit/objects"
)

// derived are the properties that an import makes of others, or sets to what is usual (docs/design/conversions.md, "Objects of
// MAPI"): a client's object need not have them.
var derived = []string{
	"PidTagIconIndex", "PidLidRecurring", "PidLidIsRecurring", "PidLidRecurrenceType", "PidLidClipStart", "PidLidClipEnd", "PidLidTimeZoneStruct",
	"PidLidAppointmentStateFlags", "PidLidResponseStatus", "PidLidMeetingType", "PidLidWhere", "PidLidPrivate", "PidLidOwnerCriticalChange",
	"PidLidAttendeeCriticalChange", "PidLidToAttendeesString", "PidLidCcAttendeesString", "PidLidAllAttendeesString", "PidTagDisplayTo", "PidTagDisplayCc",
	"PidTagDisplayBcc", "PidTagInternetCodepage", "PidLidBusyStatus", "PidLidReminderSet", "PidLidTaskLastUpdate", "PidLidTaskFRecurring",
	"PidLidAppointmentTimeZoneDefinitionRecur", "PidLidIsException", "PidLidExceptionReplaceTime",
}

var madeZones = []string{"", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "W. Europe Standard Time", "Tokyo Standard Time"}

// maker makes an object of MAPI up, as a client would have made it.
type maker struct {
	t *rapid.T
	// place is the mailbox's zone.
	place zone
}

func (k *maker) n(low, high int) int { return rapid.IntRange(low, high).Draw(k.t, "n") }

func (k *maker) one(of int) bool { return k.n(0, of) == 0 }

// text is a text without blanks at its ends, "" now and then.
func (k *maker) text() string {
	return strings.TrimSpace(rapid.StringOfN(rapid.RuneFrom([]rune("abc ÄßΩ日😀,;:\\n\"^=-0123")), 0, 40, -1).Draw(k.t, "text"))
}

// lines is a text of several lines.
func (k *maker) lines() string {
	return strings.ReplaceAll(k.text()+"|"+k.text()+"|x", "|", rapid.SampledFrom([]string{"\n", "\r\n"}).Draw(k.t, "line end"))
}

func (k *maker) time() time.Time {
	at := time.Date(2024, 1, 1, k.n(6, 21), k.n(0, 59), 0, 0, k.place.loc).AddDate(0, 0, k.n(0, 700))
	if at.Month() == time.February && at.Day() == 29 {
		return at.AddDate(0, 0, 1) // the two sides count such a day differently
	}
	return at
}

// moment is a time of a store, which counts in parts of a second.
func (k *maker) moment() mapi.FileTime {
	return mapi.FileTimeOf(k.time()) + mapi.FileTime(k.n(0, 9_999_999))
}

func (k *maker) person() person {
	p := person{k.text(), fmt.Sprintf("p%d@example.test", k.n(0, 9999))}
	if p.name == "" {
		p.name = p.address
	}
	return p
}

// common sets what every kind of object has.
func (k *maker) common(m *object.Message) {
	prefix, subject := oxcmsg.SplitSubject(rapid.SampledFrom([]string{"", "RE: ", "WG: "}).Draw(k.t, "prefix") + k.text())
	m.SetText(mapi.PidTagSubjectPrefix, prefix)
	m.SetText(mapi.PidTagNormalizedSubject, subject)
	if k.one(1) {
		m.SetText(mapi.PidTagBody, k.lines())
	}
	if k.one(2) {
		page := rapid.SampledFrom([]int{65001, 932, 1251, 20866}).Draw(k.t, "page")
		charset, _ := mime.CodePageCharset(page)
		m.SetHTML("<p>Привет</p>")
		m.Bag.Set(mapi.PidTagHtml, mapi.Binary(mime.EncodeCharset(charset, "<p>Привет</p>")))
		m.Bag.Set(mapi.PidTagInternetCodepage, mapi.Integer32(page))
	}
	var words mapi.Strings
	for i := range k.n(0, 3) {
		words = append(words, strings.TrimSpace(fmt.Sprint(k.text(), " ", i)))
	}
	if len(words) > 0 {
		m.SetLid(mapi.PidNameKeywords, words)
	}
	if n := k.n(0, 3); n > 0 {
		m.Bag.Set(mapi.PidTagSensitivity, mapi.Integer32(n))
	}
	if n := k.n(0, 3); n < 3 {
		m.Bag.Set(mapi.PidTagImportance, mapi.Integer32(n))
	}
	m.Bag.Set(mapi.PidTagCreationTime, k.moment())
	m.Bag.Set(mapi.PidTagLastModificationTime, k.moment())
	for i := range k.n(0, 2) {
		var a object.Attachment
		name := fmt.Sprintf("%s%d.txt", k.text(), i)
		data := rapid.SliceOfN(rapid.Byte(), 1, 40).Draw(k.t, "data")
		a.Bag.Set(mapi.PidTagAttachMethod, mapi.Integer32(mapi.AttachByValue))
		a.Bag.Set(mapi.PidTagAttachDataBinary, mapi.Binary(data))
		a.Bag.Set(mapi.PidTagAttachSize, mapi.Integer32(len(data)))
		a.SetText(mapi.PidTagAttachMimeTag, rapid.SampledFrom([]string{"", "text/plain", "image/png"}).Draw(k.t, "type"))
		a.SetText(mapi.PidTagAttachLongFilename, name)
		a.SetText(mapi.PidTagAttachExtension, ".txt")
		m.Attachments = append(m.Attachments, a)
	}
}

func (k *maker) reminder(m *object.Message, start time.Time) {
	if k.one(1) {
		m.SetLid(mapi.PidLidReminderSet, mapi.Boolean(false))
		return
	}
	delta := k.n(0, 20_000)
	m.SetLid(mapi.PidLidReminderSet, mapi.Boolean(true))
	m.SetLid(mapi.PidLidReminderDelta, mapi.Integer32(delta))
	m.SetLid(mapi.PidLidReminderTime, mapi.FileTimeOf(start))
	m.SetLid(mapi.PidLidReminderSignalTime, mapi.FileTimeOf(start.Add(-time.Duration(delta)*time.Minute)))
}

// madeClasses are the classes of what is made, the usual one more often.
var madeClasses = []string{classAppointment, classAppointment, classAppointment, classRequest, classCanceled, classResponse + "Pos", classResponse + "Neg", classResponse + "Tent"}

// event sets what an appointment, or a message about one, has at a time.
func (k *maker) event(m *object.Message, class string, at span) {
	m.SetText(mapi.PidTagMessageClass, class)
	k.common(m)
	setSpan(m, at)
	m.SetLidText(mapi.PidLidLocation, k.text())
	k.reminder(m, at.start)
	m.SetLid(mapi.PidLidBusyStatus, mapi.Integer32(k.n(0, 4)))
	if k.one(1) || class == classRequest {
		m.SetLid(mapi.PidLidIntendedBusyStatus, mapi.Integer32(k.n(0, 4)))
	}
	if k.one(1) {
		m.SetLid(mapi.PidLidAppointmentSequence, mapi.Integer32(k.n(0, 9)))
	}
	m.SetLid(mapi.PidLidOwnerCriticalChange, k.moment())
	if k.one(1) || strings.HasPrefix(class, classResponse) {
		m.SetLid(mapi.PidLidAttendeeCriticalChange, k.moment())
	}
	if k.one(3) {
		m.Bag.Set(mapi.PidTagOwnerAppointmentId, mapi.Integer32(k.n(-9, 9999)))
		m.SetLid(mapi.PidLidContacts, mapi.Strings{k.text() + "x", "Bert"})
		m.SetLidText(mapi.PidLidNonSendableBcc, "Beamer; Flip chart, large")
	}
	k.direct(m)
	if class == classResponse+"Tent" && k.one(1) {
		m.SetLid(mapi.PidLidAppointmentCounterProposal, mapi.Boolean(true))
		start := at.start.AddDate(0, 0, k.n(0, 1))
		m.SetLid(mapi.PidLidAppointmentProposedStartWhole, mapi.FileTimeOf(start))
		m.SetLid(mapi.PidLidAppointmentProposedEndWhole, mapi.FileTimeOf(start.Add(at.end.Sub(at.start))))
	}
}

func (k *maker) direct(m *object.Message) {
	for _, d := range direct {
		if !k.one(5) {
			continue
		}
		switch d.lid.Type {
		case mapi.TypeBoolean:
			m.SetLid(d.lid, mapi.Boolean(k.one(1)))
		case mapi.TypeInteger32:
			m.SetLid(d.lid, mapi.Integer32(k.n(0, 99)))
		case mapi.TypeTime:
			m.SetLid(d.lid, k.moment())
		default:
			m.SetLidText(d.lid, k.text())
		}
	}
}

func (k *maker) people(m *object.Message, class string) {
	who := k.person()
	if strings.HasPrefix(class, classResponse) {
		representing.set(m, who)
		sender.set(m, who)
		m.Recipients = append(m.Recipients, recipient(k.person(), oxcmsg.RecipientTo, 0, respNone))
		return
	}
	if class == classAppointment && k.one(1) {
		return
	}
	representing.set(m, who)
	if k.one(3) {
		who = person{"delegate@example.test", "delegate@example.test"}
	}
	sender.set(m, who)
	for i := range k.n(0, 3) {
		status := rapid.SampledFrom([]response{respNone, respTentative, respAccepted, respDeclined, respWaiting}).Draw(k.t, "status")
		row := recipient(k.person(), oxcmsg.RecipientType(k.n(1, 3)), i, status)
		if class == classAppointment && k.one(1) {
			row.Set(mapi.PidTagRecipientTrackStatusTime, mapi.FileTimeOf(k.time()))
		}
		m.Recipients = append(m.Recipients, row)
	}
	if len(m.Recipients) > 0 && k.one(1) {
		m.Bag.Set(mapi.PidTagResponseRequested, mapi.Boolean(true))
		m.Bag.Set(mapi.PidTagReplyRequested, mapi.Boolean(true))
	}
}

// state says what a meeting is at, by class and people.
func (k *maker) state(m *object.Message, class string) {
	flags := 0
	if _, organized := representing.get(m); organized {
		flags = stateMeeting
	}
	if class == classRequest || class == classCanceled {
		flags |= stateReceived
	}
	if class == classCanceled || class == classAppointment && k.one(5) {
		flags |= stateCanceled
	}
	m.SetLid(mapi.PidLidAppointmentStateFlags, mapi.Integer32(flags))
}

// span is a time, of whole days now and then; those are on the mailbox's clock.
func (k *maker) span() span {
	s := span{start: k.time(), zone: k.place, endZone: k.place}
	s.end = s.start.Add(time.Duration(k.n(0, 300)) * time.Minute)
	if s.day = k.one(3); s.day {
		y, month, d := s.start.Date()
		s.start = time.Date(y, month, d, 0, 0, 0, 0, k.place.loc)
		s.end = s.start.AddDate(0, 0, k.n(1, 3))
	}
	return s
}

var madeRules = []string{"FREQ=DAILY", "FREQ=DAILY;INTERVAL=3;COUNT=7", "FREQ=WEEKLY;BYDAY=MO,WE;INTERVAL=2", "FREQ=WEEKLY;COUNT=9;BYDAY=TU", "FREQ=MONTHLY;BYDAY=2TU",
	"FREQ=MONTHLY;COUNT=5;BYMONTHDAY=15", "FREQ=MONTHLY;BYMONTHDAY=-1", "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1", "FREQ=YEARLY", "FREQ=YEARLY;COUNT=3;INTERVAL=2", "FREQ=WEEKLY"}

// series makes an appointment a series with days that are deleted and exceptions that are messages.
func (k *maker) series(m *object.Message, class string, at span) {
	rule, err := ical.ParseRecur(rapid.SampledFrom(madeRules).Draw(k.t, "rule"))
	if err != nil {
		k.t.Fatal(err)
	}
	until, last := time.Time{}, ical.Wall(at.start).AddDate(30, 0, 0)
	if rule.Count == 0 && k.one(1) {
		until = ical.Wall(at.start).AddDate(k.n(3, 9), 0, 0)
		d := ical.DateTime{Wall: until}
		rule.Until, last = &d, until
	}
	x := recurrence.Library{}
	days, err := x.Expand(rule, ical.Wall(at.start), last, 6)
	if err != nil || len(days) == 0 {
		k.t.Fatal(rule.String(), err)
	}
	begin := func(day time.Time) time.Time { return ical.DateTime{Wall: day}.In(k.place.loc) }
	length := ical.Wall(at.end.In(k.place.loc)).Sub(ical.Wall(at.start))
	at.start = begin(days[0])
	at.end = begin(days[0].Add(length))
	k.event(m, class, at)
	k.people(m, class)
	k.state(m, class)
	s := series{in: &importer{Importer: Importer{Expander: x}}, m: m, span: at, pattern: binprop.NewAppointmentRecurrencePattern()}
	if s.pattern.Pattern, err = recurrence.Pattern(x, rule, days[0], until); err != nil {
		k.t.Fatal(rule.String(), err)
	}
	s.pattern.StartOffset = uint32(days[0].Sub(days[0].Truncate(day)) / time.Minute)
	s.pattern.EndOffset = s.pattern.StartOffset + uint32(length/time.Minute)
	for _, on := range days[1:] {
		switch k.n(0, 3) {
		case 0:
			s.remove(on)
		case 1:
			k.exception(&s, class, on, length)
		}
	}
	s.finish()
}

func (k *maker) exception(s *series, class string, on time.Time, length time.Duration) {
	now := s.span
	moved := on
	if !s.span.day {
		moved = on.Truncate(day).Add(time.Duration(k.n(6*60, 21*60)) * time.Minute)
	}
	begin := func(day time.Time) time.Time { return ical.DateTime{Wall: day}.In(k.place.loc) }
	now.start, now.end = begin(moved), begin(moved.Add(length))
	one := &object.Message{}
	k.event(one, class, now)
	one.SetText(mapi.PidTagMessageClass, classException)
	e := binprop.Exception{Start: binprop.MinutesOf(moved), End: binprop.MinutesOf(moved.Add(length)), OriginalStart: binprop.MinutesOf(on)}
	override(&e, s.m, one)
	s.remove(on)
	s.add(e)
	s.m.Attachments = append(s.m.Attachments, s.attachment(one, &e, begin(on)))
}

// task sets what a task has.
func (k *maker) task(m *object.Message) {
	k.common(m)
	m.SetText(mapi.PidTagMessageClass, classTask)
	m.SetLidText(kept.UID(), fmt.Sprint("uid", k.n(0, 99)))
	m.SetLid(mapi.PidLidTaskLastUpdate, k.moment())
	start := ical.Wall(k.time()).Truncate(day)
	base := time.Time{}
	put := func(day time.Time, on, moment mapi.NamedProperty) {
		base = ical.DateTime{Wall: day}.In(k.place.loc)
		m.SetLid(on, mapi.FileTimeOf(day))
		m.SetLid(moment, mapi.FileTimeOf(base))
	}
	if k.one(1) {
		put(start, mapi.PidLidTaskStartDate, mapi.PidLidCommonStart)
	}
	if k.one(1) {
		put(start.AddDate(0, 0, k.n(0, 9)), mapi.PidLidTaskDueDate, mapi.PidLidCommonEnd)
	}
	if !base.IsZero() {
		k.reminder(m, base)
	}
	if k.one(2) { // a client's reminder of a task is a time of its own
		at := mapi.FileTimeOf(k.time())
		m.SetLid(mapi.PidLidReminderSet, mapi.Boolean(true))
		m.SetLid(mapi.PidLidReminderDelta, mapi.Integer32(0))
		m.SetLid(mapi.PidLidReminderTime, at)
		m.SetLid(mapi.PidLidReminderSignalTime, at)
	}
	state, done := k.n(0, 2), float64(k.n(0, 99))/100
	if state == taskComplete {
		done = 1
		m.SetLid(mapi.PidLidTaskDateCompleted, k.moment())
	}
	m.SetLid(mapi.PidLidTaskStatus, mapi.Integer32(state))
	m.SetLid(mapi.PidLidTaskComplete, mapi.Boolean(state == taskComplete))
	m.SetLid(mapi.PidLidPercentComplete, mapi.Floating64(done))
}

// draw is an object of any kind.
func (k *maker) draw() *object.Message {
	m := &object.Message{}
	switch k.n(0, 5) {
	case 0:
		k.task(m)
		return m
	case 1, 2:
		k.series(m, rapid.SampledFrom([]string{classAppointment, classRequest}).Draw(k.t, "class"), k.span())
	default:
		class := rapid.SampledFrom(madeClasses).Draw(k.t, "class")
		k.event(m, class, k.span())
		k.people(m, class)
		k.state(m, class)
	}
	id := objectID(rapid.SampledFrom([]string{"uid@example.test", "ü;,日", "040000008200E00074C5B7101A82E00800000000"}).Draw(k.t, "uid"))
	m.SetLid(mapi.PidLidGlobalObjectId, mapi.Binary(id))
	m.SetLid(mapi.PidLidCleanGlobalObjectId, mapi.Binary(id))
	return m
}

// TestMAPIGenerated: what a client has made comes back from a calendar as it was, up to the normal form that conversions.md
// describes, with nothing kept; and a second time it is the very same. In the long form: go test -run TestMAPIGenerated -rapid.checks=2500.
func TestMAPIGenerated(t *testing.T) {
	for range 4 {
		rapid.Check(t, func(rt *rapid.T) {
			k := &maker{t: rt, place: zone{rapid.SampledFrom(madeZones).Draw(rt, "zone"), time.UTC}}
			if loc, ok := timezone.Load(k.place.name); ok {
				k.place.loc = loc
			}
			was := k.draw()
			written := Bytes(was)
			now := k.again(written)
			if lost := lostOf(was, now, nil); len(lost) > 0 {
				rt.Fatalf("%s\nof\n%s\nwritten\n%s", strings.Join(lost, "\n"), objects.Dump(was), written)
			}
			if again := k.again(Bytes(now)); objects.Dump(again) != objects.Dump(now) {
				rt.Fatalf("a second time it is\n%s\nnot\n%s", objects.Dump(again), objects.Dump(now))
			}
		})
	}
}

// again is what a calendar that was written becomes in the mailbox.
func (k *maker) again(b []byte) *object.Message {
	cal, err := Parse(b)
	if err != nil {
		k.t.Fatal(err)
	}
	list, err := Importer{Zone: k.place.name}.Import(cal)
	if err != nil || len(list) != 1 {
		k.t.Fatalf("%d messages, %v, of\n%s", len(list), err, b)
	}
	return list[0]
}

// lostOf is what a message, with all that is in it, has lost. The message of an exception has afterwards what it had of its series.
func lostOf(was, now, series *object.Message) []string {
	a, b := patternOf(was), patternOf(now)
	was, now = normalMessage(was), normalMessage(now)
	allowed := slices.Clone(derived)
	if series != nil {
		allowed = append(allowed, "PidLidGlobalObjectId", "PidLidCleanGlobalObjectId")
		for _, p := range series.Bag.All() {
			allowed = append(allowed, p.Tag.Name())
		}
		mapi.NamedCanonicals(func(name string, n mapi.NamedProperty) bool {
			if series.Lid(n) != nil {
				allowed = append(allowed, name)
			}
			return true
		})
	}
	list := objects.Lost(&was.Props, &now.Props, allowed)
	if a != b {
		list = append(list, a+"\nbecame\n"+b)
	}
	for _, name := range []string{kept.Component, kept.Calendar} {
		for _, text := range kept.Texts(&now.Props, name) {
			list = append(list, "kept: "+text)
		}
	}
	if len(was.Recipients) != len(now.Recipients) && (series == nil || len(was.Recipients) > 0) {
		return append(list, fmt.Sprintf("%d recipients became %d", len(was.Recipients), len(now.Recipients)))
	}
	for i := range was.Recipients {
		list = append(list, objects.Lost(&object.Props{Bag: was.Recipients[i]}, &object.Props{Bag: now.Recipients[i]}, nil)...)
	}
	if len(was.Attachments) != len(now.Attachments) {
		return append(list, fmt.Sprintf("%d attachments became %d", len(was.Attachments), len(now.Attachments)))
	}
	for i := range was.Attachments {
		a, b := &was.Attachments[i], &now.Attachments[i]
		list = append(list, objects.Lost(&a.Props, &b.Props, nil)...)
		if a.Embedded != nil && b.Embedded != nil {
			list = append(list, lostOf(a.Embedded, b.Embedded, was)...)
		}
	}
	return list
}

// normalMessage is a message in normal form: HTML in UTF-8; the pattern of a series is compared by itself.
func normalMessage(m *object.Message) *object.Message {
	n := copyOf(m)
	if html := n.BodyHTML(); html != "" {
		n.SetHTML(html)
	}
	n.DeleteLid(mapi.PidLidAppointmentRecur)
	return n
}

// patternOf is when a series is. What the structure says of an exception beside its times follows from the exception's message.
func patternOf(m *object.Message) string {
	p, err := binprop.ParseAppointmentRecurrencePattern(m.LidBinary(mapi.PidLidAppointmentRecur))
	if err != nil {
		return ""
	}
	text := fmt.Sprintf("%+v, %d to %d", p.Pattern, p.StartOffset, p.EndOffset)
	for _, x := range p.Exceptions {
		text += fmt.Sprintf(", %d to %d for %d", x.Start, x.End, x.OriginalStart)
	}
	return text
}
