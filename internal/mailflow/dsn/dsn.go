// Package dsn renders delivery status notifications: what a mail system writes to a sender about what became of his
// mail for its recipients.
//
// It knows the form (RFC 3464 in the multipart/report of RFC 6522, RFC 6533 where addresses are not ASCII) and how a
// refusal reads; it never knows who is to be told, or how a report travels. Invariants: nothing that a client said can
// begin a header line or a part of its own; a report is of bounded length whatever the mail was.
package dsn

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/internal/mailflow"
)

// Action is what happened to a recipient (RFC 3464 2.3.3).
type Action string

// The actions.
const (
	Failed    Action = "failed"    // given up
	Delayed   Action = "delayed"   // not delivered yet, and still tried
	Delivered Action = "delivered" // in the mailbox
)

// Report is what a sender is told of one mail.
type Report struct {
	// Host is the system that tells it, ID is told from every other of its reports by.
	Host, ID string
	// Sender is the reverse-path of the mail, to which the report goes.
	Sender string
	// Arrived is when the mail came, Made when the report was written.
	Arrived, Made time.Time
	// Recipients are those it is about, at least one.
	Recipients []Recipient
	// Header is the mail's own header, as it came.
	Header []byte
}

// Recipient is what became of one recipient.
type Recipient struct {
	// Address is the forward-path as the sender gave it.
	Address string
	Action  Action
	// Kind is why, for what was not delivered.
	Kind cluster.Kind
	// Until is when a delayed one will be given up.
	Until time.Time
}

// date is the form of RFC 5322 3.3.
const date = "Mon, 02 Jan 2006 15:04:05 -0700"

// maxHeader bounds what a report holds of a mail's header.
const maxHeader = 16 << 10

// Octets renders the report.
func (r *Report) Octets() []byte {
	var b bytes.Buffer
	header := cut(r.Header)
	boundary := r.boundary(header)
	r.header(&b, boundary)
	part := func(kind, encoding string) {
		fmt.Fprintf(&b, "--%s\r\nContent-Type: %s\r\nContent-Transfer-Encoding: %s\r\n\r\n", boundary, kind, encoding)
	}
	wide := slices.ContainsFunc(r.Recipients, func(to Recipient) bool { return !ascii(to.Address) })
	part("text/plain; charset=utf-8", "8bit")
	r.text(&b)
	if wide {
		part("message/global-delivery-status", "8bit")
	} else {
		part("message/delivery-status", "7bit")
	}
	r.status(&b)
	switch {
	case ascii(string(header)):
		part("text/rfc822-headers", "7bit")
	case utf8.Valid(header):
		part("message/global-headers", "8bit")
	default:
		part("text/rfc822-headers", "8bit")
	}
	b.Write(header)
	fmt.Fprintf(&b, "\r\n--%s--\r\n", boundary)
	return b.Bytes()
}

// boundary stands nowhere in what is enclosed.
func (r *Report) boundary(header []byte) string {
	s := "=_report_" + plain(r.ID)
	for bytes.Contains(header, []byte(s)) {
		s += "_"
	}
	return s
}

func (r *Report) header(b *bytes.Buffer, boundary string) {
	host := plain(r.Host)
	fmt.Fprintf(b, "From: Mail Delivery System <MAILER-DAEMON@%s>\r\nTo: <%s>\r\nDate: %s\r\n", host, plain(r.Sender), r.Made.Format(date))
	fmt.Fprintf(b, "Subject: %s\r\nMessage-ID: <report.%s@%s>\r\n", r.Recipients[0].Action.subject(), plain(r.ID), host)
	// RFC 3834 5: nobody's autoresponder answers it. RFC 6522 3: the report is the message as a whole.
	fmt.Fprintf(b, "Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status;\r\n\tboundary=\"%s\"\r\n\r\n", boundary)
}

func (a Action) subject() string {
	switch a {
	case Delayed:
		return "Your mail is not delivered yet"
	case Delivered:
		return "Your mail was delivered"
	}
	return "Your mail could not be delivered"
}

// text is the part that people read.
func (r *Report) text(b *bytes.Buffer) {
	fmt.Fprintf(b, "This is the mail system at %s.\r\n\r\nIt is about your mail of %s.\r\n", plain(r.Host), r.Arrived.Format(date))
	for _, to := range r.Recipients {
		fmt.Fprintf(b, "\r\n<%s>\r\n", plain(to.Address))
		switch to.Action {
		case Failed:
			fmt.Fprintf(b, "    could not be delivered to: %s.\r\n", reasonOf(to.Kind).text)
		case Delayed:
			fmt.Fprintf(b, "    is not delivered to yet. Nothing is to be done: it is tried until\r\n    %s.\r\n", to.Until.Format(date))
		case Delivered:
			b.WriteString("    has it in the mailbox.\r\n")
		}
	}
	b.WriteString("\r\nThe header of your mail is enclosed.\r\n\r\n")
}

// status is the part that programs read (RFC 3464 2).
func (r *Report) status(b *bytes.Buffer) {
	fmt.Fprintf(b, "Reporting-MTA: dns; %s\r\nArrival-Date: %s\r\n", plain(r.Host), r.Arrived.Format(date))
	for _, to := range r.Recipients {
		kind := "rfc822"
		if !ascii(to.Address) {
			kind = "utf-8"
		}
		fmt.Fprintf(b, "\r\nFinal-Recipient: %s; %s\r\nAction: %s\r\nStatus: %s\r\n", kind, plain(to.Address), to.Action, to.status())
		if !to.Until.IsZero() {
			fmt.Fprintf(b, "Will-Retry-Until: %s\r\n", to.Until.Format(date))
		}
	}
	b.WriteString("\r\n")
}

// cut is the header without the empty line behind it, up to maxHeader, in whole lines.
func cut(header []byte) []byte {
	if end := bytes.Index(header, []byte("\r\n\r\n")); end >= 0 {
		header = header[:end+2]
	}
	if len(header) > maxHeader {
		header = header[:maxHeader]
	}
	return header[:bytes.LastIndexByte(header, '\n')+1]
}

// plain keeps what a client said inside its line.
func plain(s string) string { return mailflow.Printable(s) }

func ascii(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= utf8.RuneSelf })
}
