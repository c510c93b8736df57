package oxcmail

import (
	"io"
	"strings"

	"github.com/flotilla-mail/flotilla/internal/formats/mime"
)

// classOf is the message class of a mail, "" for a plain one, by its structure (MS-OXCMAIL 2.2.3.2.1).
func classOf(root *mime.Part, r io.ReaderAt) (string, error) {
	switch root.Type + "/" + root.Subtype {
	case "multipart/signed":
		return "IPM.Note.SMIME.MultipartSigned", nil
	case "application/pkcs7-mime", "application/x-pkcs7-mime":
		return "IPM.Note.SMIME", nil
	case "multipart/report":
		return reportClass(root, r)
	}
	return "", nil
}

// actions are what a delivery status says was done, and how a report of it is called.
var actions = map[string]string{"failed": "NDR", "delayed": "Delayed", "delivered": "DR", "relayed": "Relayed", "expanded": "Expanded"}

// reportClass is the class of a report: of delivery by its first Action (RFC 3464 2.3.3), of reading else.
func reportClass(root *mime.Part, r io.ReaderAt) (string, error) {
	const base = "REPORT.IPM.Note."
	for leaf := range root.Leaves() {
		switch {
		case leaf.Type != "message":
		case leaf.Subtype == "disposition-notification":
			return base + "IPNRN", nil
		case leaf.Subtype == "delivery-status", leaf.Subtype == "global-delivery-status":
			octets, err := readAt(r, leaf.BodyStart, min(leaf.Size(), maxStatus))
			if err != nil {
				return "", err
			}
			return base + actionOf(octets), nil
		}
	}
	return "", nil
}

// actionOf looks through the groups of fields of a delivery status. One that says nothing of what was done is taken
// for a failure.
func actionOf(status []byte) string {
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(line, ":")
		if !strings.EqualFold(strings.TrimSpace(name), "Action") {
			continue
		}
		if suffix, known := actions[strings.ToLower(strings.TrimSpace(value))]; known {
			return suffix
		}
	}
	return "NDR"
}
