package oxcmail

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/convert/oxcmsg"
	"github.com/flotilla-mail/flotilla/internal/formats/mime"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// reported sorts the parts of a report: a text for people, what happened, and what it happened to (RFC 6522).
func (s *sorted) reported(root *mime.Part) {
	for i, p := range root.Parts {
		switch {
		case i == 0 && (p.IsText() || p.IsMultipart()):
			s.part(p, inMixed)
		case isStatus(p) && s.status == nil:
			s.status = p
			s.file(p, file{place: placeReport})
		default:
			s.file(p, file{})
		}
	}
}

// report sets what a report says as properties (MS-OXCMAIL 2.2.3.7).
func (im *importer) report() error {
	p := im.sorted.status
	if p == nil {
		return nil
	}
	groups, err := statusGroups(p, im.octets)
	if err != nil {
		return fmt.Errorf("read status: %w", err)
	}
	if at := im.bag.Get(mapi.PidTagClientSubmitTime); at != nil {
		im.bag.Set(mapi.PidTagReportTime, at)
	}
	if err := im.returned(); err != nil {
		return err
	}
	if strings.HasSuffix(p.Subtype, "disposition-notification") {
		im.reading(groups)
		return nil
	}
	im.delivery(groups)
	return nil
}

// returned sets what is known of the mail that the report is of, by what of it came back.
func (im *importer) returned() error {
	im.string(mapi.PidTagOriginalMessageClass, classNote)
	for _, f := range im.sorted.files {
		var env *mime.Envelope
		switch p := f.part; {
		case p.IsMessage():
			env = p.Parts[0].Envelope
		case p.Subtype == "rfc822-headers" && p.IsLeaf():
			octets, err := io.ReadAll(io.LimitReader(p.Content(im.octets), maxHeader))
			if err != nil {
				return err
			}
			env = mime.ParseEnvelope(octets)
		default:
			continue
		}
		im.string(mapi.PidTagOriginalSubject, env.DecodedSubject())
		im.string(mapi.PidTagOriginalMessageId, env.MessageID)
		if at, ok := env.SentDate(); ok {
			im.bag.Set(mapi.PidTagOriginalSubmitTime, mapi.FileTimeOf(at))
		}
		return nil
	}
	return nil
}

// typed is the value of a field that begins with its type: "rfc822; anna@example.test" (RFC 3464 2.1.2).
func typed(s string) string {
	if _, value, ok := strings.Cut(s, ";"); ok {
		s = value
	}
	return strings.TrimSpace(s)
}

// reading sets what a report of reading says.
func (im *importer) reading(groups []mime.Header) {
	for _, h := range groups {
		if id := h.Get("Original-Message-ID"); id != "" {
			im.string(mapi.PidTagOriginalMessageId, id)
		}
		im.string(mapi.PidTagReportDisposition, h.Text("Disposition"))
		mode, _, _ := strings.Cut(h.Text("Disposition"), ";")
		im.string(mapi.PidTagReportDispositionMode, strings.TrimSpace(mode))
		if whose := typed(first(h, "Original-Recipient", "Final-Recipient")); whose != "" {
			im.string(mapi.PidTagOriginalDisplayTo, whose)
		}
	}
	if at := im.bag.Get(mapi.PidTagReportTime); at != nil {
		im.bag.Set(mapi.PidTagReceiptTime, at)
	}
}

// delivery adds the recipients that the gravest of a report's news is of (MS-OXCMAIL 2.2.3.7.1).
func (im *importer) delivery(groups []mime.Header) {
	worst := gravest(groups)
	for i, h := range groups {
		if mta := typed(h.Text("Reporting-MTA")); mta != "" {
			im.string(mapi.PidTagReportingMessageTransferAgent, mta)
		}
		if at, ok := mime.ParseDate(h.Get("Arrival-Date")); ok && i == 0 && h.Has("Arrival-Date") {
			im.bag.Set(mapi.PidTagOriginalSubmitTime, mapi.FileTimeOf(at))
		}
		address := typed(first(h, "Final-Recipient", "Original-Recipient"))
		if address == "" || actionOf(h) >= 0 && actionOf(h) != worst || len(im.m.Recipients) >= maxRecipients {
			continue
		}
		im.m.Recipients, im.m.Named = append(im.m.Recipients, im.reportedRecipient(h, address, worst)), false
	}
}

func (im *importer) reportedRecipient(h mime.Header, address string, action int) mapi.PropBag {
	name := h.Text("X-Display-Name")
	list := mime.ParseAddresses(strings.Trim(address, "<>"))
	a := mime.Address{Local: address}
	if len(list) == 1 {
		a = list[0]
	}
	a.Name = name
	b := builder{bag: recipient(oxcmsg.RecipientTo, &a, len(im.m.Recipients))}
	b.string(mapi.PidTagRemoteMessageTransferAgent, typed(h.Text("Remote-MTA")))
	b.string(mapi.PidTagSupplementaryInfo, supplement(h))
	if at := im.bag.Get(mapi.PidTagReportTime); at != nil {
		b.bag.Set(mapi.PidTagReportTime, at)
		if action != failed {
			b.bag.Set(mapi.PidTagDeliverTime, at)
		}
	}
	if code, ok := statusCode(h.Get("Status")); ok {
		b.bag.Set(mapi.PidTagNonDeliveryReportStatusCode, mapi.Integer32(code))
		if action == failed {
			diag, reason := diagnosis(h.Get("Status"))
			b.bag.Set(mapi.PidTagNonDeliveryReportDiagCode, mapi.Integer32(diag))
			b.bag.Set(mapi.PidTagNonDeliveryReportReasonCode, mapi.Integer32(reason))
		}
	}
	return b.bag
}

// supplement is what an administrator is told (MS-OXCMAIL 2.2.3.7.1.2).
func supplement(h mime.Header) string {
	if said := h.Text("X-Supplementary-Info"); said != "" {
		return said
	}
	status, _, _ := strings.Cut(h.Get("Status"), " ")
	s := "<" + typed(h.Text("Remote-MTA")) + " #" + status
	if code := h.Text("Diagnostic-Code"); code != "" {
		s += " " + code
	}
	return s + ">"
}

// statusCode is a status without its points: 5.1.1 is 511.
func statusCode(s string) (int32, bool) {
	s, _, _ = strings.Cut(s, " ")
	digits := strings.ReplaceAll(s, ".", "")
	n, err := strconv.ParseInt(digits, 10, 32)
	return int32(n), err == nil && strings.Count(s, ".") == 2
}

// diagnoses are the codes of MAPI that mean what an enhanced status code means (RFC 3463); others have none. Reason 0 is
// that the transfer failed, 2 that a conversion did.
var diagnoses = []struct {
	status       string
	diag, reason int32
}{
	{"5.1.1", 0, 0}, {"5.1.4", 1, 0}, {"5.4.6", 3, 0}, {"5.4.7", 5, 0}, {"4.4.7", 5, 0}, {"5.3.4", 7, 0}, {"5.2.3", 7, 0}, {"5.5.3", 16, 0},
	{"5.6.1", 15, 2}, {"5.6.3", 9, 2},
}

func diagnosis(status string) (diag, reason int32) {
	status, _, _ = strings.Cut(status, " ")
	for _, d := range diagnoses {
		if d.status == status {
			return d.diag, d.reason
		}
	}
	return -1, 0
}

// statusOf is the status that stands for MAPI's codes.
func statusOf(bag *mapi.PropBag) string {
	if code, ok := bag.Get(mapi.PidTagNonDeliveryReportStatusCode).(mapi.Integer32); ok && code >= 200 && code < 1000 {
		return fmt.Sprintf("%d.%d.%d", code/100, code/10%10, code%10)
	}
	if diag, ok := bag.Get(mapi.PidTagNonDeliveryReportDiagCode).(mapi.Integer32); ok {
		for _, d := range diagnoses {
			if d.diag == int32(diag) {
				return d.status
			}
		}
	}
	return ""
}

// statusText is the status of a report that was not received as mail (MS-OXCMAIL 2.1.3.6), with its media type; "" for a
// message that is no report.
func statusText(m *exmdb.MessageContent) (kind, status string) {
	class := strings.ToUpper(stringOf(&m.Props, mapi.PidTagMessageClass))
	if !strings.HasPrefix(class, classReport) {
		return "", ""
	}
	switch {
	case strings.HasSuffix(class, ".IPNRN"):
		return "message/disposition-notification", readingText(&m.Props, "displayed")
	case strings.HasSuffix(class, ".IPNNRN"):
		return "message/disposition-notification", readingText(&m.Props, "deleted")
	case strings.HasSuffix(class, ".DR"), strings.HasSuffix(class, ".NDR"):
		return "message/delivery-status", deliveryText(m, class)
	}
	return "", ""
}

func readingText(bag *mapi.PropBag, what string) string {
	var w headerWriter
	reader := stringOf(bag, mapi.PidTagSentRepresentingSmtpAddress, mapi.PidTagSenderSmtpAddress)
	w.field("Final-Recipient", "rfc822;"+reader)
	w.field("Original-Message-ID", stringOf(bag, mapi.PidTagOriginalMessageId, mapi.PidTagInReplyToId))
	w.field("Disposition", "automatic-action/MDN-sent-automatically; "+what)
	return w.b.String()
}

func deliveryText(m *exmdb.MessageContent, class string) string {
	action := actions[failed].name
	for _, a := range actions {
		if strings.HasSuffix(class, "."+strings.ToUpper(a.suffix)) {
			action = a.name // the longest suffixes stand behind the one they end in
		}
	}
	var w headerWriter
	mta := stringOf(&m.Props, mapi.PidTagReportingMessageTransferAgent)
	if mta == "" {
		mta = "localhost"
	}
	w.field("Reporting-MTA", "dns;"+mta)
	for i := range m.Recipients {
		r := &m.Recipients[i]
		address := stringOf(r, mapi.PidTagSmtpAddress, mapi.PidTagEmailAddress)
		if address == "" {
			continue
		}
		w.b.WriteString("\r\n")
		w.field("Final-Recipient", "rfc822;"+address)
		w.field("Action", action)
		status := statusOf(r)
		if status == "" {
			status = map[bool]string{true: "5.0.0", false: "2.0.0"}[action == actions[failed].name]
		}
		w.field("Status", status)
		w.field("Remote-MTA", prefixed("dns;", stringOf(r, mapi.PidTagRemoteMessageTransferAgent)))
		w.text("X-Supplementary-Info", stringOf(r, mapi.PidTagSupplementaryInfo))
		if name := stringOf(r, mapi.PidTagDisplayName); name != address {
			w.text("X-Display-Name", name)
		}
	}
	return w.b.String()
}

func prefixed(prefix, s string) string {
	if s == "" {
		return ""
	}
	return prefix + s
}
