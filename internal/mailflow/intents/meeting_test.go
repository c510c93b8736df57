package intents

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster/ops"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/convert/object"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/testkit/mails"
)

// meeting is a mail about a meeting of anna's, as a calendar client sends it; start is days from the fleet's now.
func (w *town) meeting(method, uid string, sequence, days int, more ...string) string {
	start := w.Now().UTC().AddDate(0, 0, days).Truncate(time.Hour)
	const stamp = "20060102T150405Z"
	lines := []string{"BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//t//t//EN", "METHOD:" + method, "BEGIN:VEVENT", "UID:" + uid,
		"DTSTAMP:" + start.AddDate(0, 0, -1).Format(stamp), fmt.Sprintf("SEQUENCE:%d", sequence), "DTSTART:" + start.Format(stamp),
		"DTEND:" + start.Add(time.Hour).Format(stamp), "SUMMARY:Plans", "ORGANIZER;CN=Anna:mailto:anna@example.test",
		"ATTENDEE;CUTYPE=ROOM;ROLE=NON-PARTICIPANT;RSVP=TRUE:mailto:bert.x@example.test"}
	lines = append(append(lines, more...), "END:VEVENT", "END:VCALENDAR", "")
	return fmt.Sprintf("From: Anna <anna@example.test>\r\nTo: bert@example.test\r\nSubject: Plans\r\nMessage-ID: <%s.%d.%s@example.test>\r\n"+
		"Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nSee you\r\n"+
		"--b\r\nContent-Type: text/calendar; charset=utf-8; method=%s\r\n\r\n%s\r\n--b--\r\n", uid, sequence, method, method, strings.Join(lines, "\r\n"))
}

// calendar are subject, busy status and response status of somebody's appointments.
func (w *town) calendar(name string) (all []string) {
	w.t.Helper()
	for _, row := range do(w, name, exmdb.OpRows, &exmdb.RowsRequest{Folder: schema.Calendar, Fields: exmdb.RowMeta}).Rows {
		r := do(w, name, exmdb.OpReadMessage, &exmdb.ReadMessageRequest{Object: exmdb.ObjectID{Message: row.MID}, Names: true})
		value := func(n mapi.NamedProperty) any {
			for _, id := range r.Names {
				if id.Name == n.PropertyName.Canonical() {
					return r.Content.Props.Get(n.Tag(id.ID))
				}
			}
			return nil
		}
		all = append(all, fmt.Sprintf("%v: busy %v, answered %v", r.Content.Props.Get(mapi.PidTagSubject), value(mapi.PidLidBusyStatus), value(mapi.PidLidResponseStatus)))
	}
	slices.Sort(all)
	return all
}

// decides has bert's mailbox answer requests.
func (w *town) decides(name string, how exmdb.MeetingHandling) {
	w.meetings = map[string]exmdb.MeetingHandling{name: how}
}

func (w *town) looksLike(name string, want ...string) {
	w.t.Helper()
	if got := w.calendar(name); !slices.Equal(got, want) {
		w.t.Errorf("%s has %q, want %q", name, got, want)
	}
}

// A room accepts when it is free and declines when it is not; the organizer gets each answer once.
func TestARoomAnswers(t *testing.T) {
	w := newTown(t)
	w.decides("bert", exmdb.MeetingsDecided)
	w.send("anna@example.test", "bert", w.meeting("REQUEST", "one", 0, 3, "RRULE:FREQ=WEEKLY;COUNT=4"))
	w.settle()
	w.looksLike("bert", "Plans: busy 2, answered 3")
	has(t, w.one("anna"), "Subject: Accepted: Plans\r\n", "From: \"Bert\" <bert@example.test>\r\n", "To: \"Anna\" <anna@example.test>\r\n", "Auto-Submitted: auto-replied\r\n",
		"METHOD:REPLY\r\n", "PARTSTAT=3DACCEPTED", "UID:one\r\n", "mailto:bert.x@example.test")
	w.send("anna@example.test", "bert", w.meeting("REQUEST", "two", 0, 10))
	w.settle()
	w.looksLike("bert", "Plans: busy 2, answered 3")
	if all := w.inbox("anna"); len(all) != 2 || !strings.Contains(all[1], "Subject: Declined: Plans") || !strings.Contains(all[1], "PARTSTAT=3DDECLINED") {
		t.Errorf("anna has %q", all)
	}
	w.send("anna@example.test", "bert", w.meeting("CANCEL", "one", 1, 3))
	w.send("anna@example.test", "bert", w.meeting("REQUEST", "two", 1, 10))
	w.settle()
	w.looksLike("bert", "Canceled: Plans: busy 0, answered 3", "Plans: busy 2, answered 3")
}

// What is over, too far away, or of people elsewhere is not booked.
func TestARoomIsNotBooked(t *testing.T) {
	w := newTown(t)
	w.decides("bert", exmdb.MeetingsDecided)
	w.send("anna@example.test", "bert", w.meeting("REQUEST", "past", 0, -3))
	w.send("anna@example.test", "bert", w.meeting("REQUEST", "far", 0, 300))
	w.send("anna@example.test", "bert", w.meeting("REQUEST", "ever", 0, 3, "RRULE:FREQ=DAILY"))
	w.settle()
	if n := len(w.inbox("anna")); n != 3 {
		t.Errorf("anna has %d answers", n)
	}
	for _, octets := range w.inbox("anna") {
		has(t, octets, "Subject: Declined: Plans\r\n")
	}
	w.send("dora@elsewhere.test", "bert", w.meeting("REQUEST", "foreign", 0, 3))
	w.send("anna@example.test", "bert", strings.Replace(w.meeting("REQUEST", "carl's", 0, 3), "mailto:anna@", "mailto:carl@", 1))
	w.settle()
	w.looksLike("bert")
	if n := len(w.inbox("anna")) + len(w.inbox("carl")); n != 3 {
		t.Errorf("%d answers", n)
	}
}

// Whatever is lost between room and organizer, the answer comes once.
func TestAnAnswerComesOnce(t *testing.T) {
	forms := []func(octets string) string{func(octets string) string { return octets }, func(octets string) string { return mails.AsTNEF(t, octets, nil) }}
	for _, op := range []exmdb.OpInfo{exmdb.OpOutgoing.OpInfo, exmdb.OpReadOutgoing.OpInfo, exmdb.OpFinishOutgoing.OpInfo} {
		for _, as := range forms {
			w := newTown(t)
			w.decides("bert", exmdb.MeetingsDecided)
			w.faults[ops.ID(op.ID)] = []error{errUnheard}
			w.send("anna@example.test", "bert", as(w.meeting("REQUEST", "one", 0, 3)))
			w.settle()
			has(t, w.one("anna"), "Subject: Accepted: Plans\r\n")
			w.looksLike("bert", "Plans: busy 2, answered 3")
		}
	}
	for n := range 4 {
		w := newTown(t)
		w.decides("bert", exmdb.MeetingsDecided)
		w.send("anna@example.test", "bert", w.meeting("REQUEST", "one", 0, 3))
		w.Replicas[1].Local.Fail(append(make([]space.LocalFault, n), space.FaultVoidTerm)...)
		w.settle()
		has(t, w.one("anna"), "Subject: Accepted: Plans\r\n")
	}
}

// People are asked; what they and the organizer say is noted, in order.
func TestCalendarsFollow(t *testing.T) {
	w := newTown(t)
	w.decides("bert", exmdb.MeetingsEntered)
	w.send("anna@example.test", "bert", w.meeting("REQUEST", "one", 1, 3))
	w.looksLike("bert", "Plans: busy 1, answered 5")
	w.send("anna@example.test", "bert", w.meeting("REQUEST", "one", 0, 4))
	w.send("eve@example.test", "bert", strings.Replace(w.meeting("CANCEL", "one", 2, 3), "mailto:anna@", "mailto:eve@", 1))
	w.looksLike("bert", "Plans: busy 1, answered 5")
	w.send("anna@example.test", "bert", w.meeting("CANCEL", "one", 2, 3))
	w.looksLike("bert", "Canceled: Plans: busy 0, answered 5")
	w.send("anna@example.test", "bert", w.meeting("REQUEST", "one", 3, 5))
	w.looksLike("bert", "Plans: busy 1, answered 5")
	w.decides("bert", exmdb.MeetingsLeft)
	w.send("anna@example.test", "bert", w.meeting("REQUEST", "two", 0, 3))
	w.looksLike("bert", "Plans: busy 1, answered 5")
}

// A request in TNEF, alone or beside a calendar, is entered once, answered, moved and canceled as one with a calendar; what else stands in it does not say whom
// it is from.
func TestMeetingsInTNEF(t *testing.T) {
	for name, form := range map[string]func(testing.TB, string, func(*object.Message)) string{"alone": mails.AsTNEF, "beside a calendar": mails.WithTNEF} {
		t.Run(name, func(t *testing.T) { testMeetingsInTNEF(t, form) })
	}
}

func testMeetingsInTNEF(t *testing.T, form func(testing.TB, string, func(*object.Message)) string) {
	w := newTown(t)
	inTNEF := func(octets string) string { return form(t, octets, nil) }
	w.decides("bert", exmdb.MeetingsDecided)
	w.send("anna@example.test", "bert", inTNEF(w.meeting("REQUEST", "one", 0, 3, "RRULE:FREQ=WEEKLY;COUNT=4")))
	w.settle()
	w.looksLike("bert", "Plans: busy 2, answered 3")
	has(t, w.one("anna"), "Subject: Accepted: Plans\r\n", "METHOD:REPLY\r\n", "PARTSTAT=3DACCEPTED", "UID:one\r\n", "mailto:bert@example.test")
	w.send("anna@example.test", "bert", inTNEF(w.meeting("REQUEST", "two", 0, 10)))
	w.settle()
	w.looksLike("bert", "Plans: busy 2, answered 3")
	if all := w.inbox("anna"); len(all) != 2 || !strings.Contains(all[1], "PARTSTAT=3DDECLINED") {
		t.Errorf("anna has %q", all)
	}
	w.decides("bert", exmdb.MeetingsEntered)
	w.send("anna@example.test", "bert", inTNEF(w.meeting("REQUEST", "three", 0, 20)))
	w.looksLike("bert", "Plans: busy 1, answered 5", "Plans: busy 2, answered 3")
	as := func(m *object.Message) {
		m.SetText(mapi.PidTagSenderSmtpAddress, "anna@example.test")
		m.SetText(mapi.PidTagSentRepresentingSmtpAddress, "anna@example.test")
	}
	forged := w.meeting("CANCEL", "three", 1, 20)
	for _, from := range []string{"From: Eve <eve@example.test>\r\n", "From: nobody:;\r\n", ""} {
		w.send("eve@example.test", "bert", form(t, strings.Replace(forged, "From: Anna <anna@example.test>\r\n", from, 1), as))
		w.looksLike("bert", "Plans: busy 1, answered 5", "Plans: busy 2, answered 3")
	}
	w.send("anna@example.test", "bert", inTNEF(w.meeting("CANCEL", "one", 1, 3)))
	w.send("anna@example.test", "bert", inTNEF(w.meeting("CANCEL", "three", 1, 20)))
	w.looksLike("bert", "Canceled: Plans: busy 0, answered 3", "Canceled: Plans: busy 0, answered 5")
}
