package intents

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	gomime "mime"
	"mime/quotedprintable"
	"net/mail"
	"strings"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/rules"
	"github.com/flotilla-mail/flotilla/internal/auth"
	"github.com/flotilla-mail/flotilla/internal/convert/oxcmsg"
	"github.com/flotilla-mail/flotilla/internal/formats/mime"
	"github.com/flotilla-mail/flotilla/internal/mailflow"
	"github.com/flotilla-mail/flotilla/internal/mailflow/dsn"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// date is the form of RFC 5322 3.3.
const date = "Mon, 02 Jan 2006 15:04:05 -0700"

// message makes the mail in the form for a space of the queue; called again, it brings the content again.
type message func(ctx context.Context, box mapi.MailboxID) (exmdb.NewMessage, error)

// plan says how the mail is made and whom it is for.
func (j *job) plan() (message, []exmdb.OutgoingRecipient, error) {
	sender := []exmdb.OutgoingRecipient{{Address: j.out.Sender}}
	switch j.out.Kind {
	case exmdb.OutgoingForward, exmdb.OutgoingDelegate:
		return j.forwardForm(), j.out.To, nil
	case exmdb.OutgoingSubmitted:
		return j.ingested(j.submitted), j.out.To, nil
	case exmdb.OutgoingMeeting:
		return j.ingested(j.meetingReply), j.out.To, nil
	case exmdb.OutgoingRead, exmdb.OutgoingUnread:
		return j.ingested(j.receipt), j.out.To, nil
	case exmdb.OutgoingBounce:
		return j.ingested(j.bounce), sender, nil
	case exmdb.OutgoingAway:
		if j.from.Text == nil {
			return nil, nil, errNothing
		}
		return j.ingested(j.awayReply), sender, nil
	case exmdb.OutgoingReply, exmdb.OutgoingOOFReply:
		if j.from.Template == nil {
			return nil, nil, errNothing
		}
		to := j.templateRecipients()
		if j.out.Flavor&mapi.ReplyDoNotSendToOriginator == 0 {
			to = append(sender, to...)
		}
		return j.ingested(j.templateReply), to, nil
	}
	return nil, nil, fmt.Errorf("outgoing of kind %d: %w", j.out.Kind, errNothing)
}

// submitted is a message of the user's own as others get it: nobody is told who got it besides (RFC 5322 3.6.3).
func (j *job) submitted(ctx context.Context) (io.Reader, error) {
	o := j.octets(ctx)
	header := make([]byte, j.root.BodyStart)
	if _, err := o.ReadAt(header, 0); err != nil && err != io.EOF {
		return nil, err
	}
	return io.MultiReader(bytes.NewReader(mime.FilterHeader(header, mime.Except, "Bcc")), o.section(j.root.BodyStart)), nil
}

// forwardForm is how a forward looks: as the mail itself where its sender is to be kept, else as a mail of the user's, with
// the other inside it (MS-OXORULE 2.2.5.1.1).
func (j *job) forwardForm() message {
	const unchanged = mapi.ForwardPreserveSender | mapi.ForwardDoNotMungeMessage
	switch {
	case j.out.Kind == exmdb.OutgoingDelegate || j.out.Flavor&unchanged != 0:
		j.redirected = true
		return j.ingested(j.unchanged)
	case j.out.Flavor&mapi.ForwardAsAttachment != 0 || j.root.BodyStart > maxHeader:
		return j.ingested(j.forwardAttached)
	}
	return j.ingested(j.forward)
}

// maxHeader bounds the header of which a forward takes what its body needs.
const maxHeader = 64 << 10

// unchanged is the mail as it came. It is taken in anew, since what it became in one mailbox has that one's names; the
// group has its content already.
func (j *job) unchanged(ctx context.Context) (io.Reader, error) {
	return j.octets(ctx).section(0), nil
}

// ingested makes octets a message of the mailbox's group.
func (j *job) ingested(octets func(ctx context.Context) (io.Reader, error)) message {
	return func(ctx context.Context, _ mapi.MailboxID) (exmdb.NewMessage, error) {
		r, err := octets(ctx)
		if err != nil {
			return exmdb.NewMessage{}, err
		}
		return j.Deliver.Ingest(ctx, &auth.Principal{Identity: exmdb.System, Mailbox: j.box}, r, 0)
	}
}

// original is the mail's octets as they came, without trace headers, read from the mailbox in pieces.
type original struct {
	*job
	ctx context.Context
	// failed is why octets could not be read, which is not their own fault, whatever is made of it above.
	failed error
}

func (j *job) octets(ctx context.Context) *original { return &original{job: j, ctx: ctx} }

// ReadAt implements io.ReaderAt.
func (o *original) ReadAt(b []byte, off int64) (int, error) {
	n := 0
	for n < len(b) {
		resp, err := exmdb.Do(o.ctx, o.Mail, exmdb.System, o.box, exmdb.OpReadOutgoing, &exmdb.ReadOutgoingRequest{Number: o.req.Number,
			Offset: uint64(len(o.from.Message.Recipe.Prefix)) + uint64(off) + uint64(n), Length: uint32(min(len(b)-n, exmdb.MaxReadBytes))})
		if err != nil {
			o.failed = err
			return n, err
		}
		if len(resp.Data) == 0 {
			return n, io.EOF
		}
		n += copy(b[n:], resp.Data)
	}
	return n, nil
}

// section is the octets from one place to the end.
func (o *original) section(from int64) io.Reader {
	size := int64(o.from.Message.Recipe.Size()) - int64(len(o.from.Message.Recipe.Prefix))
	return bufio.NewReaderSize(io.NewSectionReader(o, from, size-from), readAhead)
}

// readAhead is how much of a mail is read at a time.
const readAhead = 256 << 10

// boundary parts a multipart that is made here. It is drawn of what is sent, so that a mail cannot have it in its octets.
func (j *job) boundary() string {
	h := sha256.New()
	h.Write(j.from.Message.Digest)
	fmt.Fprintf(h, "%v %d %v", j.box, j.number, j.out.Received)
	return fmt.Sprintf("=_%x", h.Sum(nil)[:16])
}

func (j *job) messageID() string {
	return fmt.Sprintf("<%x.%x@%s>", j.box[:8], j.number, j.Host)
}

func encoded(s string) string { return gomime.QEncoding.Encode("utf-8", mailflow.Printable(s)) }

func address(name, addr string) string {
	return (&mail.Address{Name: mailflow.Printable(name), Address: mailflow.Printable(addr)}).String()
}

// head begins a mail that the mailbox sends: with what keeps machines from answering it and rules from handing it round.
func (j *job) head(b *bytes.Buffer, subject string, to []exmdb.OutgoingRecipient) {
	fmt.Fprintf(b, "From: %s\r\n", address(j.out.Name, j.out.Own[0]))
	var list []string
	for _, r := range to {
		if r.Address != "" {
			list = append(list, address(r.Name, r.Address))
		}
	}
	if len(list) > 0 {
		fmt.Fprintf(b, "To: %s\r\n", strings.Join(list, ",\r\n\t"))
	}
	fmt.Fprintf(b, "Subject: %s\r\nDate: %s\r\nMessage-ID: %s\r\n", encoded(subject), j.Now().UTC().Format(date), j.messageID())
	e := j.root.Envelope
	references := strings.Join(mime.ParseMessageIDs(e.InReplyTo), " ")
	if id := mailflow.Printable(e.MessageID); id != "" {
		if !j.forwards() {
			fmt.Fprintf(b, "In-Reply-To: %s\r\n", id)
		}
		fmt.Fprintf(b, "References: %s\r\n", strings.TrimSpace(mailflow.Printable(references)+" "+id))
	}
	fmt.Fprintf(b, "%s: %s\r\nX-Auto-Response-Suppress: All\r\nMIME-Version: 1.0\r\n", rules.LoopField, mailflow.Printable(j.out.Own[0]))
}

// loops are the marks of those whose rules have handed the mail on before: a mail with another inside it is still that mail.
func (j *job) loops(header []byte) []byte {
	all := append(bytes.Clone(j.from.Message.Recipe.Prefix), header...)
	return fields(all, mime.Only, rules.LoopField)
}

// fields are some of a header, without the empty line behind them.
func fields(header []byte, which mime.Selection, names ...string) []byte {
	return bytes.TrimSuffix(mime.FilterHeader(header, which, names...), []byte("\r\n"))
}

// forward is a mail of the user's with the other as its text.
func (j *job) forward(ctx context.Context) (io.Reader, error) {
	o := j.octets(ctx)
	header := make([]byte, j.root.BodyStart)
	if _, err := o.ReadAt(header, 0); err != nil && err != io.EOF {
		return nil, err
	}
	var b bytes.Buffer
	j.forwardHead(&b, header)
	b.Write(mime.FilterHeader(header, mime.Only, "Content-Type", "Content-Transfer-Encoding", "Content-ID", "Content-Disposition",
		"Content-Language", "Content-Location"))
	return io.MultiReader(&b, o.section(j.root.BodyStart), strings.NewReader("\r\n--"+j.boundary()+"--\r\n")), nil
}

// forwardAttached is a mail of the user's to which the other is attached.
func (j *job) forwardAttached(ctx context.Context) (io.Reader, error) {
	o := j.octets(ctx)
	header := make([]byte, min(j.root.BodyStart, maxHeader))
	if _, err := o.ReadAt(header, 0); err != nil && err != io.EOF {
		return nil, err
	}
	var b bytes.Buffer
	j.forwardHead(&b, header)
	b.WriteString("Content-Type: message/rfc822\r\nContent-Disposition: attachment\r\n\r\n")
	return io.MultiReader(&b, o.section(0), strings.NewReader("\r\n--"+j.boundary()+"--\r\n")), nil
}

// forwardHead is all in front of the header of the part that is the other mail.
func (j *job) forwardHead(b *bytes.Buffer, header []byte) {
	subject := j.root.Envelope.DecodedSubject()
	_, topic := oxcmsg.SplitSubject(subject)
	j.head(b, "FW: "+topic, j.out.To)
	b.Write(j.loops(header))
	h := mime.ParseHeader(mime.Legible(header, j.root.TextCharset()))
	fmt.Fprintf(b, "Auto-Submitted: auto-generated\r\nContent-Type: multipart/mixed;\r\n\tboundary=\"%s\"\r\n\r\n", j.boundary())
	fmt.Fprintf(b, "--%s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n", j.boundary())
	var note strings.Builder
	note.WriteString("-----Original Message-----\r\n")
	for _, field := range []struct{ label, name string }{{"From", "From"}, {"Sent", "Date"}, {"To", "To"}, {"Cc", "Cc"}, {"Subject", "Subject"}} {
		if v := h.Text(field.name); v != "" {
			fmt.Fprintf(&note, "%s: %s\r\n", field.label, v)
		}
	}
	quoted(b, note.String())
	fmt.Fprintf(b, "\r\n--%s\r\n", j.boundary())
}

func quoted(b *bytes.Buffer, text string) {
	w := quotedprintable.NewWriter(b)
	_, _ = io.WriteString(w, crlf(text)) // to memory: it never fails
	_ = w.Close()
}

// crlf gives lines the ends that mail has.
func crlf(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\n", "\r\n")
}

// awayReply says that the user is away.
func (j *job) awayReply(context.Context) (io.Reader, error) {
	t := j.from.Text
	return j.reply("Automatic reply: "+j.root.Envelope.DecodedSubject(), body{t.Plain, t.HTML, t.Language}), nil
}

// templateReply is what a template says.
func (j *job) templateReply(context.Context) (io.Reader, error) {
	props := &j.from.Template.Props
	text := body{plain: textOf(props, mapi.PidTagBody)}
	if html, ok := props.Get(mapi.PidTagHtml).(mapi.Binary); ok {
		text.html = mime.DecodeCharset("utf-8", html)
	}
	subject := textOf(props, mapi.PidTagSubject)
	if subject == "" {
		subject = "RE: " + j.root.Envelope.DecodedSubject()
	}
	return j.reply(subject, text), nil
}

func textOf(bag *mapi.PropBag, t mapi.Tag) string {
	s, _ := bag.Get(t).(mapi.String)
	return string(s)
}

// templateRecipients are those whom a template names beside the sender.
func (j *job) templateRecipients() []exmdb.OutgoingRecipient {
	var to []exmdb.OutgoingRecipient
	for i := range j.from.Template.Recipients {
		bag := &j.from.Template.Recipients[i]
		r := exmdb.OutgoingRecipient{Name: oxcmsg.NameOf(bag)}
		if r.Address, r.DN = oxcmsg.ReachOf(bag); r.Address != "" || r.DN != "" {
			to = append(to, r)
		}
	}
	return to
}

// body is what a reply says, in one form or both.
type body struct{ plain, html, language string }

// reply is an answer of the mailbox's (RFC 3834 3.1).
func (j *job) reply(subject string, text body) io.Reader {
	var b bytes.Buffer
	j.head(&b, subject, []exmdb.OutgoingRecipient{{Address: j.out.Sender}})
	b.WriteString("Auto-Submitted: auto-replied\r\n")
	if text.language != "" {
		fmt.Fprintf(&b, "Content-Language: %s\r\n", mailflow.Printable(text.language))
	}
	part := func(kind, content string) {
		fmt.Fprintf(&b, "Content-Type: text/%s; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n", kind)
		quoted(&b, content+"\r\n")
	}
	switch {
	case text.html == "":
		part("plain", text.plain)
	case text.plain == "":
		part("html", text.html)
	default:
		fmt.Fprintf(&b, "Content-Type: multipart/alternative;\r\n\tboundary=\"%s\"\r\n\r\n--%s\r\n", j.boundary(), j.boundary())
		part("plain", text.plain)
		fmt.Fprintf(&b, "\r\n--%s\r\n", j.boundary())
		part("html", text.html)
		fmt.Fprintf(&b, "\r\n--%s--\r\n", j.boundary())
	}
	return &b
}

// bounceKinds are what the codes of a bounce mean (MS-OXORULE 2.2.5.1.2.5).
var bounceKinds = map[uint32]cluster.Kind{mapi.BounceMessageTooLarge: exmdb.KindTooBig, mapi.BounceMessageNotShown: exmdb.KindBadContent}

// bounce is a report that the mail was not taken.
func (j *job) bounce(ctx context.Context) (io.Reader, error) {
	header := make([]byte, min(j.root.BodyStart, maxHeader))
	n, err := j.octets(ctx).ReadAt(header, 0)
	if err != nil && err != io.EOF {
		return nil, err
	}
	kind, known := bounceKinds[j.out.Bounce]
	if !known {
		kind = exmdb.KindAccessDenied
	}
	r := &dsn.Report{Host: j.Host, ID: fmt.Sprintf("%x.%x", j.box[:8], j.number), Sender: j.out.Sender, Arrived: j.out.Received, Made: j.Now().UTC(),
		Header: header[:n], Recipients: []dsn.Recipient{{Address: j.out.Recipient, Action: dsn.Failed, Kind: kind}}}
	return bytes.NewReader(r.Octets()), nil
}
