package storescript

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/convert/object"
	"github.com/flotilla-mail/flotilla/internal/convert/oxcical"
	"github.com/flotilla-mail/flotilla/internal/convert/oxcmsg"
	"github.com/flotilla-mail/flotilla/internal/mailflow/deliver"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

const meetingKeys = "[days=N] [rule=RRULE] [sequence=N] [of=DAYS] [organizer=ADDRESS] [with=ADDRESSES]"

// Times of meetings are from the beginning of today on, for what can be booked goes by the clock.
var meetingCommands = []command{
	{"appoint", 1, "appoint UID " + meetingKeys + ": a meeting that the mailbox's owner organizes", false, (*run).appoint},
	{"meet", 2, "meet request|cancel|reply|counter UID [from=ADDRESS] [answer=PARTSTAT] [handled=left|entered|decided] " + meetingKeys + ": mail about a meeting", false, (*run).meet},
	{"calendar", 0, "calendar: what is in it, and who has answered", false, (*run).calendar},
}

// event is the calendar that a command's keys describe.
func (r *run) event(uid, method, organizer string) (string, error) {
	days, err := r.number("days", 1)
	if err != nil {
		return "", err
	}
	sequence, err := r.number("sequence", 0)
	if err != nil {
		return "", err
	}
	of, err := r.number("of", -1)
	if err != nil {
		return "", err
	}
	const stamp = "20060102T150405Z"
	start := r.today.AddDate(0, 0, days).Add(10 * time.Hour)
	lines := []string{"BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//t//t//EN", "METHOD:" + method, "BEGIN:VEVENT", "UID:" + uid,
		"DTSTAMP:" + r.today.Add(time.Duration(sequence)*time.Minute).Format(stamp), fmt.Sprintf("SEQUENCE:%d", sequence), "DTSTART:" + start.Format(stamp),
		"DTEND:" + start.Add(time.Hour).Format(stamp), "SUMMARY:" + uid, "ORGANIZER:mailto:" + organizer}
	if method == "" {
		lines = slices.Delete(lines, 3, 4)
	}
	if rule := r.cmd.text("rule", ""); rule != "" {
		lines = append(lines, "RRULE:"+rule)
	}
	if of >= 0 {
		lines = append(lines, "RECURRENCE-ID:"+r.today.AddDate(0, 0, of).Add(10*time.Hour).Format(stamp))
	}
	for _, who := range strings.Split(r.cmd.text("with", r.address()), ",") {
		lines = append(lines, "ATTENDEE;RSVP=TRUE;PARTSTAT="+r.cmd.text("answer", "NEEDS-ACTION")+":mailto:"+who)
	}
	return strings.Join(append(lines, "END:VEVENT", "END:VCALENDAR", ""), "\r\n"), nil
}

func (r *run) appoint() error {
	text, err := r.event(r.cmd.words[0], "", r.address())
	if err != nil {
		return err
	}
	cal, err := oxcical.Parse([]byte(text))
	if err != nil {
		return mistakeError{err}
	}
	list, err := oxcical.Importer{}.Import(cal)
	if err != nil || len(list) != 1 {
		return mistake("%d appointments: %v", len(list), err)
	}
	var names oxcmsg.Names
	c := list[0].Content(&names)
	_, err = do(r, exmdb.OpCreateMessage, &exmdb.CreateMessageRequest{Folder: schema.Calendar, Payload: exmdb.Payload{Names: names.List()},
		Message: exmdb.MessageEdit{Set: c.Props, ReplaceRecipients: true, Recipients: c.Recipients}})
	return err
}

var handlings = map[string]exmdb.MeetingHandling{"left": exmdb.MeetingsLeft, "entered": exmdb.MeetingsEntered, "decided": exmdb.MeetingsDecided}

func (r *run) meet() error {
	method, uid := strings.ToUpper(r.cmd.words[0]), r.cmd.words[1]
	organizer := r.cmd.text("organizer", "carol"+ourDomain)
	from := r.cmd.text("from", organizer)
	text, err := r.event(uid, method, organizer)
	handled, ok := handlings[r.cmd.text("handled", "entered")]
	if err != nil || !ok {
		return mistake("numbers, or how it is handled: %v", err)
	}
	key := sha256.Sum256([]byte(from + text))
	m, err := deliver.Short(fmt.Appendf(nil, "From: <%s>\r\nTo: <%s>\r\nSubject: %s\r\nMessage-ID: <%x@example.org>\r\nContent-Type: text/calendar; charset=utf-8; method=%s\r\n\r\n%s",
		from, r.address(), uid, key, method, text))
	if err != nil {
		return mistakeError{err}
	}
	as := r.cmd.as
	r.cmd.as = exmdb.System
	defer func() { r.cmd.as = as }()
	return r.delivered([]*exmdb.DeliverRequest{{Message: m, Sender: from, Recipient: r.address(), Key: key, About: exmdb.Circumstances{
		Own: []string{r.address()}, Name: r.cmd.box.owner, Internal: strings.HasSuffix(from, ourDomain), Meetings: handled}}})
}

// busyWords and answerWords say PidLidBusyStatus and PidLidResponseStatus.
var (
	busyWords   = []string{"free", "tentative", "busy", "out of office", "elsewhere"}
	answerWords = []string{"none", "organized", "tentative", "accepted", "declined", "not answered"}
)

func word(list []string, v mapi.Value) string {
	n, ok := v.(mapi.Integer32)
	if !ok || n < 0 || int(n) >= len(list) {
		return "unknown"
	}
	return list[n]
}

func (r *run) calendar() error {
	rows, err := do(r, exmdb.OpRows, &exmdb.RowsRequest{Folder: schema.Calendar, Fields: exmdb.RowMeta})
	if err != nil {
		return err
	}
	for _, row := range rows.Rows {
		resp, err := do(r, exmdb.OpReadMessage, &exmdb.ReadMessageRequest{Object: exmdb.ObjectID{Message: row.MID}, Names: true, Nested: true})
		if err != nil {
			return err
		}
		m, err := object.Loader{Name: func(id uint16) (mapi.PropertyName, bool) {
			i := slices.IndexFunc(resp.Names, func(n exmdb.NamedID) bool { return n.ID == id })
			return resp.Names[max(i, 0)].Name, i >= 0
		}}.Message(&resp.Content)
		if err != nil {
			return mistakeError{err}
		}
		line := fmt.Sprintf("%s: %s, %s", m.Text(mapi.PidTagSubject), word(busyWords, m.Lid(mapi.PidLidBusyStatus)), word(answerWords, m.Lid(mapi.PidLidResponseStatus)))
		spans, _, _ := oxcical.Occurrences(m, r.today, r.today.AddDate(0, 0, 60))
		for i := range spans {
			line += fmt.Sprintf(", day %d", int(spans[i].Start.Sub(r.today)/(24*time.Hour)))
		}
		for i := range m.Recipients {
			if status := m.Recipients[i].Get(mapi.PidTagRecipientTrackStatus); status != mapi.Integer32(0) && oxcical.Organized(m) {
				line += fmt.Sprintf("; %s %s", oxcmsg.NameOf(&m.Recipients[i]), word(answerWords, status))
			}
		}
		r.say("%s", line)
	}
	return nil
}
