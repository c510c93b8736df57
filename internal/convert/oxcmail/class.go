package oxcmail

import (
	"io"
	"strings"

	"github.com/flotilla-mail/flotilla/internal/formats/mime"
)

const (
	classNote   = "IPM.Note"
	classReport = "REPORT."
	classSigned = "IPM.Note.SMIME.MultipartSigned"
	classSMIME  = "IPM.Note.SMIME"
)

// classOf is the message class of a mail, "" for a plain one, by its structure (MS-OXCMAIL 2.2.3.2.1), else by what its
// header says of its content (2.2.3.2.15).
func classOf(root *mime.Part, r io.ReaderAt, h mime.Header) (string, error) {
	switch root.Type + "/" + root.Subtype {
	case signedMediaType:
		return classSigned, nil
	case "application/pkcs7-mime", "application/x-pkcs7-mime":
		return classSMIME, nil
	case "multipart/report":
		return reportClass(root, r)
	}
	return contentClass(h.Get("Content-Class")), nil
}

// contentClasses are the classes that stand for a Content-Class.
var contentClasses = map[string]string{
	"fax": "IPM.Note.Microsoft.Fax", "fax-ca": "IPM.Note.Microsoft.Fax.CA", "missedcall": "IPM.Note.Microsoft.Missed.Voice",
	"voice-uc": "IPM.Note.Microsoft.Conversation.Voice", "voice-ca": "IPM.Note.Microsoft.Voicemail.UM.CA", "voice": "IPM.Note.Microsoft.Voicemail.UM",
}

// custom begins the Content-Class of a class of someone's own.
const custom = "urn:content-class:custom."

func contentClass(s string) string {
	if known := contentClasses[strings.ToLower(s)]; known != "" {
		return known
	}
	if len(s) > len(custom) && strings.EqualFold(s[:len(custom)], custom) {
		return text(classNote + ".Custom." + s[len(custom):])
	}
	return ""
}

// actions are what a delivery status says was done, and how a report of it is called, the gravest last (MS-OXCMAIL
// 2.2.3.7.1.1).
var actions = []struct{ name, suffix string }{
	{"delivered", "DR"}, {"expanded", "Expanded.DR"}, {"relayed", "Relayed.DR"}, {"delayed", "Delayed.DR"}, {"failed", "NDR"},
}

// failed is the gravest action. A status that says nothing of what was done is taken for one of it.
const failed = 4

// unread are what was done to a mail that a report of reading is of, where it was not read (MS-OXCMAIL 2.2.3.7.2).
var unread = map[string]bool{"deleted": true, "denied": true, "failed": true}

// reportClass is the class of a report: of delivery by its gravest Action, of reading by its Disposition.
func reportClass(root *mime.Part, r io.ReaderAt) (string, error) {
	p := statusPart(root)
	if p == nil {
		return "", nil
	}
	groups, err := statusGroups(p, r)
	if err != nil {
		return "", err
	}
	if p.Subtype == "disposition-notification" {
		return classReport + classNote + "." + readingOf(groups), nil
	}
	return classReport + classNote + "." + actions[gravest(groups)].suffix, nil
}

// statusPart is the part of a report that says what happened, nil if there is none.
func statusPart(root *mime.Part) *mime.Part {
	for leaf := range root.Leaves() {
		if isStatus(leaf) {
			return leaf
		}
	}
	return nil
}

func isStatus(p *mime.Part) bool {
	switch p.Subtype {
	case "disposition-notification", "delivery-status", "global-delivery-status", "global-disposition-notification":
		return p.Type == "message" && p.IsLeaf()
	}
	return false
}

// statusGroups are the groups of fields of a status (RFC 3464 2.1).
func statusGroups(p *mime.Part, r io.ReaderAt) ([]mime.Header, error) {
	octets, err := io.ReadAll(io.LimitReader(p.Content(r), maxStatus))
	if err != nil {
		return nil, err
	}
	var groups []mime.Header
	for len(octets) > 0 && len(groups) < maxRecipients {
		h := mime.ParseHeader(octets)
		end := 0
		if n := len(h); n > 0 {
			end = h[n-1].End
			groups = append(groups, h)
		}
		rest := octets[end:]
		if at := strings.IndexByte(string(rest[:min(len(rest), 2)]), '\n'); at >= 0 {
			end += at + 1
		} else if end == 0 {
			break
		}
		octets = octets[end:]
	}
	return groups, nil
}

// gravest is the gravest action of all groups.
func gravest(groups []mime.Header) int {
	worst := -1
	for _, h := range groups {
		worst = max(worst, actionOf(h))
	}
	if worst < 0 {
		return failed
	}
	return worst
}

// actionOf is the number of a group's action, -1 if it says none.
func actionOf(h mime.Header) int {
	said := strings.ToLower(h.Get("Action"))
	said, _, _ = strings.Cut(said, " ")
	for i, a := range actions {
		if a.name == said {
			return i
		}
	}
	return -1
}

// readingOf is how a report of reading is called.
func readingOf(groups []mime.Header) string {
	for _, h := range groups {
		_, kind, _ := strings.Cut(h.Get("Disposition"), ";")
		kind, _, _ = strings.Cut(strings.TrimSpace(strings.ToLower(kind)), "/")
		if unread[kind] {
			return "IPNNRN"
		}
	}
	return "IPNRN"
}
