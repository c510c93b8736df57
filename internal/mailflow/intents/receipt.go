package intents

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/formats/mime"
	"github.com/flotilla-mail/flotilla/internal/mailflow"
)

// receipts are what a receipt says: in front of the subject, to people, and to programs (RFC 8098 3.2.6.2).
var receipts = map[exmdb.OutgoingKind]struct{ prefix, what, disposition string }{
	exmdb.OutgoingRead:   {"Read: ", "was read on", "displayed"},
	exmdb.OutgoingUnread: {"Not read: ", "was deleted without being read on", "deleted"},
}

// returnedFields are what a receipt holds of the header of the mail that it is about: enough to know it by.
var returnedFields = []string{"Date", "From", "To", "Cc", "Subject", "Message-ID", "In-Reply-To", "References"}

// receipt is a disposition notification (RFC 8098 in the multipart/report of RFC 6522).
func (j *job) receipt(ctx context.Context) (io.Reader, error) {
	header := make([]byte, min(j.root.BodyStart, maxHeader))
	n, err := j.octets(ctx).ReadAt(header, 0)
	if err != nil && err != io.EOF {
		return nil, err
	}
	r := receipts[j.out.Kind]
	fields := mime.ParseHeader(mime.Legible(header[:n], j.root.TextCharset()))
	var b bytes.Buffer
	j.head(&b, r.prefix+j.root.Envelope.DecodedSubject(), j.out.To)
	fmt.Fprintf(&b, "Auto-Submitted: auto-replied\r\nContent-Type: multipart/report; report-type=disposition-notification;\r\n\tboundary=\"%s\"\r\n\r\n", j.boundary())
	fmt.Fprintf(&b, "--%s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n", j.boundary())
	quoted(&b, fmt.Sprintf("Your message\n\n   To: %s\n   Subject: %s\n   Sent: %s\n\n%s %s.\n", fields.Text("To"), fields.Text("Subject"), fields.Text("Date"),
		r.what, j.out.At.UTC().Format(date)))
	fmt.Fprintf(&b, "\r\n--%s\r\nContent-Type: message/disposition-notification\r\n\r\n", j.boundary())
	j.disposition(&b, fields, r.disposition)
	fmt.Fprintf(&b, "\r\n--%s\r\nContent-Type: text/rfc822-headers\r\n\r\n", j.boundary())
	b.Write(mime.FilterHeader(header[:n], mime.Only, returnedFields...))
	fmt.Fprintf(&b, "\r\n--%s--\r\n", j.boundary())
	return &b, nil
}

// disposition is the part that programs read (RFC 8098 3.1).
func (j *job) disposition(b *bytes.Buffer, fields mime.Header, what string) {
	fmt.Fprintf(b, "Reporting-UA: %s; Flotilla\r\n", mailflow.Printable(j.Host))
	if original := fields.Text("Original-Recipient"); original != "" {
		fmt.Fprintf(b, "Original-Recipient: %s\r\n", mailflow.Printable(original))
	}
	fmt.Fprintf(b, "Final-Recipient: rfc822; %s\r\n", mailflow.Printable(j.out.Own[0]))
	if id := mailflow.Printable(j.root.Envelope.MessageID); id != "" {
		fmt.Fprintf(b, "Original-Message-ID: %s\r\n", id)
	}
	mode := "automatic-action/MDN-sent-automatically"
	if j.out.Asked {
		mode = "manual-action/MDN-sent-manually"
	}
	fmt.Fprintf(b, "Disposition: %s; %s\r\n", mode, what)
}

// known fills in whose addresses something is sent under, where it was wanted by an op that is not told of them.
func (j *job) known(ctx context.Context) error {
	if len(j.out.Own) > 0 || j.from.Owner.IsZero() {
		return nil
	}
	o, err := j.People.Owner(ctx, j.from.Owner)
	if err != nil {
		return err
	}
	if o.Address == "" {
		return cluster.Errorf(exmdb.KindBadAddress, "mailbox %v has no address", j.box)
	}
	j.out.Own, j.out.Name = o.Addresses(), o.Name
	return nil
}
