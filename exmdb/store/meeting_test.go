package store

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/convert/oxcical"
	"github.com/flotilla-mail/flotilla/internal/convert/oxcmsg"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// invitation is the delivery of a mail about a meeting, an hour long, so many days from now.
func (b *box) invitation(method, uid string, days int) *exmdb.DeliverRequest {
	b.t.Helper()
	at := b.now.UTC().AddDate(0, 0, days).Truncate(time.Hour)
	const stamp = "20060102T150405Z"
	cal, err := oxcical.Parse(fmt.Appendf(nil, "BEGIN:VCALENDAR\r\nMETHOD:%s\r\nBEGIN:VEVENT\r\nUID:%s\r\nDTSTART:%s\r\nDTEND:%s\r\nSUMMARY:%[2]s\r\n"+
		"ORGANIZER:mailto:o@example.test\r\nATTENDEE:mailto:a@example.test\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n", method, uid, at.Format(stamp), at.Add(time.Hour).Format(stamp)))
	if err != nil {
		b.t.Fatal(err)
	}
	list, err := oxcical.Importer{}.Import(cal)
	if err != nil {
		b.t.Fatal(err)
	}
	q := b.incomingMail("")
	var names oxcmsg.Names
	meeting := list[0].Content(&names)
	var bag mapi.PropBag
	bag.Set(mapi.PidTagMessageClass, meeting.Props.Get(mapi.PidTagMessageClass))
	bag.Set(mapi.PidTagSentRepresentingSmtpAddress, mapi.String("o@example.test"))
	q.Message.Props = bag.AppendWire(nil)
	q.Message.Converted = &exmdb.Conversion{Names: names.List(), Meeting: &meeting}
	q.Sender = "o@example.test"
	q.About = exmdb.Circumstances{Own: []string{"a@example.test"}, Name: "A", Internal: true, Meetings: exmdb.MeetingsEntered}
	return q
}

// appointments are the subjects in the calendar.
func (b *box) appointments() (subjects []string) {
	b.t.Helper()
	b.view(func(v *view) error {
		return v.eachAppointment(nil, func(_ *message, bag *mapi.PropBag) (bool, error) {
			subjects = append(subjects, textOf(bag, mapi.PidTagNormalizedSubject))
			return true, nil
		})
	})
	return subjects
}

func (b *box) wantAppointments(subjects ...string) {
	b.t.Helper()
	if got := b.appointments(); !slices.Equal(got, subjects) {
		b.t.Errorf("there is %q, want %q", got, subjects)
	}
}

func TestTheCalendarIsLeftAlone(t *testing.T) {
	b := newBox(t, 0)
	call(b, exmdb.OpSetJunk, &exmdb.SetJunkRequest{Add: []exmdb.JunkEntry{{List: exmdb.JunkBlocked, Entry: "o@example.test"}}})
	call(b, exmdb.OpDeliver, b.invitation("REQUEST", "junk", 1))
	call(b, exmdb.OpSetJunk, &exmdb.SetJunkRequest{Clear: []exmdb.JunkList{exmdb.JunkBlocked}})
	for name, change := range map[string]func(q *exmdb.DeliverRequest){
		"left":      func(q *exmdb.DeliverRequest) { q.About.Meetings = exmdb.MeetingsLeft },
		"delegated": func(q *exmdb.DeliverRequest) { q.About.Delegator = &exmdb.KnownAddress{Address: "x@example.test"} },
		"own":       func(q *exmdb.DeliverRequest) { q.About.Own = []string{"O@example.test"} },
		"mail":      func(q *exmdb.DeliverRequest) { q.Message.Converted.Meeting = nil },
		"nameless":  func(q *exmdb.DeliverRequest) { q.Message.Converted.Names = nil },
	} {
		q := b.invitation("REQUEST", name, 1)
		change(q)
		call(b, exmdb.OpDeliver, q)
	}
	for _, method := range []string{"CANCEL", "REPLY", "COUNTER"} {
		call(b, exmdb.OpDeliver, b.invitation(method, "unknown", 1))
	}
	b.wantAppointments()
	call(b, exmdb.OpDeliver, b.invitation("REQUEST", "plans", 1))
	b.wantAppointments("plans")
}

// A mailbox that has room for the mail has it for the appointment.
func TestAnAppointmentAlwaysHasRoom(t *testing.T) {
	measured := newBox(t, 0)
	call(measured, exmdb.OpDeliver, measured.invitation("REQUEST", "plans", 1))
	used := call(measured, exmdb.OpMailboxInfo, &exmdb.Empty{}).Used
	b := newBox(t, used-1)
	call(b, exmdb.OpDeliver, b.invitation("REQUEST", "plans", 1))
	b.wantAppointments("plans")
}

// An appointment that is deleted comes back with the next request, and one elsewhere is none of the calendar.
func TestDeletedAppointments(t *testing.T) {
	b := newBox(t, 0)
	call(b, exmdb.OpDeliver, b.invitation("REQUEST", "plans", 1))
	var all []mapi.MID
	for _, row := range call(b, exmdb.OpRows, &exmdb.RowsRequest{Folder: schema.Calendar, Fields: exmdb.RowMeta}).Rows {
		all = append(all, row.MID)
	}
	call(b, exmdb.OpDeleteMessages, &exmdb.DeleteMessagesRequest{Folder: schema.Calendar, Messages: all})
	call(b, exmdb.OpDeliver, b.invitation("CANCEL", "plans", 1))
	b.wantAppointments()
	call(b, exmdb.OpDeliver, b.invitation("REQUEST", "plans", 2))
	b.wantAppointments("plans")
}

// BenchmarkRoom asks for a room whose calendar has a thousand appointments: nothing of them is indexed.
func BenchmarkRoom(b *testing.B) {
	x := newBox(b, 0)
	for i := range 1000 {
		call(x, exmdb.OpDeliver, x.invitation("REQUEST", fmt.Sprint("m", i), i%170))
	}
	q := x.invitation("REQUEST", "m0", 171)
	q.About.Meetings = exmdb.MeetingsDecided
	for n := 0; b.Loop(); n++ {
		q.Message.Converted.Meeting = x.invitation("REQUEST", fmt.Sprint("new", n), 171).Message.Converted.Meeting
		call(x, exmdb.OpDeliver, q)
	}
}
