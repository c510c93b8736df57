package store

import (
	"encoding/binary"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/content"
	"github.com/flotilla-mail/flotilla/exmdb/rules"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// sendAll puts what goes out into the outbox: an intent for each, in the effect that delivers the mail.
func (in *incoming) sendAll() error {
	for i := range in.plan.Sends {
		if err := in.sendOne(&in.plan.Sends[i]); err != nil {
			return err
		}
	}
	if in.away {
		return in.send(&exmdb.Outgoing{Kind: exmdb.OutgoingAway})
	}
	return nil
}

// outgoingKinds are what each action sends.
var outgoingKinds = map[mapi.ActionType]exmdb.OutgoingKind{
	mapi.ActionForward: exmdb.OutgoingForward, mapi.ActionDelegate: exmdb.OutgoingDelegate, mapi.ActionReply: exmdb.OutgoingReply,
	mapi.ActionOOFReply: exmdb.OutgoingOOFReply, mapi.ActionBounce: exmdb.OutgoingBounce,
}

func (in *incoming) sendOne(s *rules.Send) error {
	out := &exmdb.Outgoing{Kind: outgoingKinds[s.Action.Type], Flavor: s.Action.Flavor, Rule: s.Rule.ID}
	for _, r := range s.To {
		out.To = append(out.To, exmdb.OutgoingRecipient{Name: r.Name, Address: r.Address, DN: r.DN})
	}
	if code, is := s.Action.Data.(mapi.BounceAction); is {
		out.Bounce = uint32(code)
	}
	if reply, is := s.Action.Data.(*mapi.ReplyAction); is {
		mid, err := in.template(s, reply)
		if err != nil || mid == 0 {
			return err
		}
		out.Template = mid
		if done, err := in.repliedBefore(s); err != nil || done {
			return err
		}
	}
	return in.send(out)
}

// template is the message that a reply is made of; zero, with a failure, where there is none. It is an associated message of the
// rule's folder (MS-OXORULE 2.2.9): whoever may write rules there may not have what is in others sent to anybody. It was written by who
// has the mailbox: a reply bears the user's name.
func (in *incoming) template(s *rules.Send, reply *mapi.ReplyAction) (mapi.MID, error) {
	mid := reply.MID
	if s.Rule.Extended {
		id, err := oxcdata.ParseEntryID(reply.MessageEID)
		m, ok := id.(*oxcdata.MessageEntryID)
		if err == nil && ok {
			c, err := in.ownCounter(m.Message)
			if err != nil {
				return 0, err
			}
			mid = mapi.NewMID(mapi.LocalReplica, c)
		}
	}
	fid, m, err := in.find(mid)
	if err != nil && cluster.KindOf(err) != exmdb.KindNoMessage {
		return 0, err
	}
	if err != nil || fid != s.Rule.Folder || !m.associated() || m.row.Strange {
		in.plan.Failures = append(in.plan.Failures, rules.Failure{Rule: s.Rule, Type: s.Action.Type, Code: rules.FailureNoTemplate})
		return 0, nil
	}
	return mid, nil
}

// send writes what goes out with a share in the mail's body, and the intent that has it sent.
func (in *incoming) send(out *exmdb.Outgoing) error {
	out.Sender, out.Recipient, out.Received = in.req.Sender, in.req.Recipient, orNow(in.req.Received, in.now)
	out.Own, out.Name, out.Internal = in.req.About.Own, in.req.About.Name, in.req.About.Internal
	if err := in.shareBody(); err != nil {
		return err
	}
	in.intend(out, in.body, in.bodyContent)
	return nil
}

// intend writes what goes out, with a body of which it has a share, and the intent that has it sent.
func (t *tx) intend(out *exmdb.Outgoing, body mapi.ObjectNumber, hasContent bool) {
	number := t.object()
	t.set(schema.OutgoingKey(number), &schema.Outgoing{Out: *out, Body: body, Content: hasContent})
	t.w.Intend(space.Intent{Target: exmdb.TargetMail, Op: exmdb.IntentOutgoing, Payload: wire.Marshal(&exmdb.OutgoingRequest{Number: number})})
}

// shareBody takes one more share in the body of the mail, which is there for that alone where the mail is kept nowhere.
func (in *incoming) shareBody() error {
	if in.body != 0 {
		return in.holdBody(in.body)
	}
	inline, err := content.Check(&in.req.Message, in.config.MaxMessage)
	if err != nil {
		return err
	}
	in.body = in.object()
	in.bodyContent, err = in.putBody(in.body, &in.req.Message, inline)
	return err
}

// holdBody counts one more holder of a body.
func (t *tx) holdBody(body mapi.ObjectNumber) error {
	shares, err := t.shares(body)
	if err == nil {
		t.w.Set(schema.ShareKey(body), binary.AppendUvarint(nil, max(shares, 1)+1))
	}
	return err
}

// outgoingRecord reads what goes out; nil where it is gone.
func (v *view) outgoingRecord(number mapi.ObjectNumber) (*schema.Outgoing, error) {
	if v.gone() {
		return nil, nil
	}
	out := new(schema.Outgoing)
	found, err := load(v.r, schema.OutgoingKey(number), out)
	if err != nil || !found {
		return nil, err
	}
	return out, nil
}

// outgoing is OpOutgoing.
func outgoing(v *view, req *exmdb.OutgoingRequest) (*exmdb.OutgoingResponse, error) {
	out, err := v.outgoingRecord(req.Number)
	if err != nil || out == nil {
		return &exmdb.OutgoingResponse{Gone: out == nil}, err
	}
	resp := &exmdb.OutgoingResponse{Outgoing: out.Out, Owner: v.header.Owner}
	recipe, err := v.recipe(out.Body)
	if err != nil {
		return nil, err
	}
	resp.Message.Recipe = *recipe
	if resp.Message.Digest, err = v.r.Get(schema.DigestKey(out.Body)); err != nil {
		return nil, err
	}
	switch out.Out.Kind {
	case exmdb.OutgoingAway:
		resp.Text, err = v.awayText(out.Out.Internal)
	case exmdb.OutgoingReply, exmdb.OutgoingOOFReply:
		resp.Template, err = v.templateContent(out.Out.Template)
	}
	return resp, err
}

// templateContent is a template with its text whole; nil where it was deleted meanwhile, or written by somebody else.
func (v *view) templateContent(mid mapi.MID) (*exmdb.MessageContent, error) {
	_, m, err := v.find(mid)
	if err != nil {
		if cluster.KindOf(err) == exmdb.KindNoMessage {
			return nil, nil
		}
		return nil, err
	}
	if m.row.Strange {
		return nil, nil
	}
	bag, err := v.bag(&m.row)
	if err != nil {
		return nil, err
	}
	whole, err := v.inlined(bag, mapi.PidTagBody, mapi.PidTagHtml)
	if err != nil {
		return nil, err
	}
	if s := subject(bag); s != nil {
		whole.Set(mapi.PidTagSubject, s)
	}
	recipients, err := v.recipients(&m.row)
	return &exmdb.MessageContent{Props: *whole, Recipients: recipients}, err
}

// readOutgoing is OpReadOutgoing.
func readOutgoing(v *view, req *exmdb.ReadOutgoingRequest) (*exmdb.ReadBytesResponse, error) {
	out, err := v.outgoingRecord(req.Number)
	if err != nil {
		return nil, err
	}
	if out == nil {
		return nil, cluster.Errorf(exmdb.KindNoOutgoing, "nothing of number %d goes out", req.Number)
	}
	recipe, err := v.recipe(out.Body)
	if err != nil {
		return nil, err
	}
	data, err := content.Read(v.r, recipe, req.Offset, min(req.Length, exmdb.MaxReadBytes))
	return &exmdb.ReadBytesResponse{Data: data}, err
}

// finishOutgoing is OpFinishOutgoing: the mail flow has it. Said again, it says nothing new.
func finishOutgoing(t *tx, req *exmdb.OutgoingRequest) (*exmdb.Empty, error) {
	out, err := t.outgoingRecord(req.Number)
	if err != nil || out == nil {
		return &exmdb.Empty{}, err
	}
	marks := schema.RowBits(0)
	if out.Content {
		marks = schema.RowContent
	}
	t.w.Delete(schema.OutgoingKey(req.Number))
	return &exmdb.Empty{}, t.releaseBody(out.Body, marks)
}

const (
	// replyWindow is the time in which a rule answers one sender repliesInWindow times at most: two machines that answer each
	// other without saying that they are some do not go on for ever at full speed (RFC 3834 4).
	replyWindow     = time.Hour
	repliesInWindow = 5
)

// repliedBefore reports whether a sender was answered by a rule often enough, and notes that he is now.
func (in *incoming) repliedBefore(s *rules.Send) (bool, error) {
	if s.Action.Type == mapi.ActionOOFReply {
		return in.toldBefore(s.Rule)
	}
	scope := scopeOf(s.Rule) | schema.ScopeReply
	was, err := in.answer(scope, in.req.Sender)
	if err != nil {
		return false, err
	}
	now := schema.Answered{At: in.now, Count: 1}
	if was != nil && in.now.Sub(was.At) < replyWindow {
		if was.Count >= repliesInWindow {
			return true, nil
		}
		now = schema.Answered{At: was.At, Count: was.Count + 1}
	}
	return false, in.noteAnswer(scope, in.req.Sender, &now, in.now.Add(-replyWindow))
}
