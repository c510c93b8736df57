package intents

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/convert/oxcical"
	"github.com/flotilla-mail/flotilla/internal/convert/oxcmsg"
	"github.com/flotilla-mail/flotilla/internal/mailflow/deliver"
)

// decisions are how requests for a room are answered: what stands in front of the subject, and why.
var decisions = map[exmdb.MeetingDecision]struct {
	answer       oxcical.Answer
	prefix, text string
}{
	exmdb.MeetingAccepted: {oxcical.Accepted, "Accepted: ", "Your request was accepted."},
	exmdb.MeetingConflict: {oxcical.Declined, "Declined: ", "Your request was declined because of other meetings at that time."},
	exmdb.MeetingTooFar:   {oxcical.Declined, "Declined: ", "Your request was declined because it ends later than can be booked."},
	exmdb.MeetingPast:     {oxcical.Declined, "Declined: ", "Your request was declined because it is for a time that is over."},
	exmdb.MeetingUnclear:  {oxcical.Declined, "Declined: ", "Your request was declined because it does not say clearly when it is for."},
}

// meetingReply answers a request (RFC 6047 2): as text, and as a calendar that the organizer's mailbox takes note of.
func (j *job) meetingReply(ctx context.Context) (io.Reader, error) {
	d, known := decisions[j.out.Decision]
	if !known {
		return nil, errNothing
	}
	octets := j.octets(ctx)
	request, err := deliver.Calendar(j.root, octets)
	switch {
	case octets.failed != nil:
		return nil, octets.failed // it is asked again
	case err != nil || request == nil:
		return nil, errors.Join(errNothing, err)
	}
	reply := oxcical.Reply(request, &oxcical.Responder{Own: j.out.Own, Name: j.out.Name, Answer: d.answer, Comment: d.text, Now: j.Now()})
	if reply == nil {
		return nil, errNothing
	}
	_, topic := oxcmsg.SplitSubject(j.root.Envelope.DecodedSubject())
	var b bytes.Buffer
	j.head(&b, d.prefix+topic, j.out.To)
	fmt.Fprintf(&b, "Auto-Submitted: auto-replied\r\nContent-Type: multipart/alternative;\r\n\tboundary=\"%s\"\r\n\r\n", j.boundary())
	for _, p := range []struct{ kind, content string }{
		{"plain; charset=utf-8", d.text + "\r\n"}, {"calendar; charset=utf-8; method=REPLY", string(reply.Append(nil))}} {
		fmt.Fprintf(&b, "--%s\r\nContent-Type: text/%s\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n", j.boundary(), p.kind)
		quoted(&b, p.content)
		b.WriteString("\r\n")
	}
	fmt.Fprintf(&b, "--%s--\r\n", j.boundary())
	return &b, nil
}
