// Package oxtnef reads and writes messages in the Transport Neutral Encapsulation Format, the winmail.dat of mails
// (MS-OXTNEF). It knows the format's bytes and MAPI's values; it never knows MIME or a mailbox.
//
// Reading is lenient, since these files are what is left of a message: what can be understood before the damage is
// given, and Damaged says that there was some. What is not understood is kept as Unknown and written again. Invariants:
// no input panics, memory is a small multiple of the input, messages nest no deeper than MaxDepth, values of attachments
// point into the input. The same message always gives the same bytes.
package oxtnef

import (
	"errors"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// Signature is how every TNEF begins, little-endian.
const Signature = 0x223E9F78

const (
	// MaxDepth bounds messages in messages.
	MaxDepth = 16
	// maxAttachments bounds the attachments of a message.
	maxAttachments = 10_000
	// maxRecipients bounds the recipients of a message.
	maxRecipients = 20_000
	// version is the value of attTnefVersion.
	version = 0x0001_0000
	// westernEurope is the code page of strings where none is named.
	westernEurope = 1252
)

// ErrNotTNEF says that bytes do not begin as TNEF does.
var ErrNotTNEF = errors.New("no TNEF")

// level says what an attribute belongs to.
type level uint8

const (
	levelMessage    level = 1
	levelAttachment level = 2
)

// attributeID names an attribute: its type in the upper 16 bits (MS-OXTNEF 2.1.3.3).
type attributeID uint32

const (
	attOwner                attributeID = 0x0006_0000
	attSentFor              attributeID = 0x0006_0001
	attDateStart            attributeID = 0x0003_0006
	attDateEnd              attributeID = 0x0003_0007
	attAidOwner             attributeID = 0x0005_0008
	attRequestRes           attributeID = 0x0004_0009
	attOriginalMessageClass attributeID = 0x0007_0600
	attFrom                 attributeID = 0x0000_8000
	attSubject              attributeID = 0x0001_8004
	attDateSent             attributeID = 0x0003_8005
	attDateRecd             attributeID = 0x0003_8006
	attMessageClass         attributeID = 0x0007_8008
	attMessageID            attributeID = 0x0001_8009
	attBody                 attributeID = 0x0002_800C
	attPriority             attributeID = 0x0004_800D
	attAttachData           attributeID = 0x0006_800F
	attAttachTitle          attributeID = 0x0001_8010
	attAttachMetaFile       attributeID = 0x0006_8011
	attAttachCreateDate     attributeID = 0x0003_8012
	attAttachModifyDate     attributeID = 0x0003_8013
	attDateModified         attributeID = 0x0003_8020
	attAttachTransportName  attributeID = 0x0006_9001
	attAttachRenddata       attributeID = 0x0006_9002
	attMsgProps             attributeID = 0x0006_9003
	attRecipTable           attributeID = 0x0006_9004
	attAttachment           attributeID = 0x0006_9005
	attTnefVersion          attributeID = 0x0008_9006
	attOemCodepage          attributeID = 0x0006_9007
)

// Message is a message with what only TNEF has.
type Message struct {
	exmdb.MessageContent
	// CodePage is that of strings with a byte a character.
	CodePage int
	// Key is the attach key, which nobody needs.
	Key uint16
	// Unknown are attributes of the message that have no counterpart.
	Unknown []Attribute
	// Damaged says that something was not as it should be, and perhaps is not here.
	Damaged bool
}

// Attribute is one as it is in the stream.
type Attribute struct {
	ID   uint32
	Data []byte
}

// The interfaces that an object in an attachment may be of (MS-OXTNEF 2.1.3.4).
var (
	iidMessage = mapi.GUID{0x07, 0x03, 0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0xC0, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x46}
	iidStorage = mapi.GUID{0x0B, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xC0, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x46}
)

// Values of PidTagAttachMethod (MS-OXCMSG 2.2.2.9).
const (
	methodByValue  = 1
	methodEmbedded = 5
	methodOLE      = 6
)

// classes are the message classes that have another name in attMessageClass (MS-OXTNEF 2.1.3.3.5).
var classes = []struct{ here, there string }{
	{"IPM.Note", "IPM.Microsoft Mail.Note"},
	{"IPM", "IPM.Microsoft Mail.Note"},
	{"REPORT.IPM.Note.IPNRN", "IPM.Microsoft Mail.Read Receipt"},
	{"REPORT.IPM.Note.NDR", "IPM.Microsoft Mail.Non-Delivery"},
	{"IPM.Schedule.Meeting.Resp.Pos", "IPM.Microsoft Schedule.MtgRespP"},
	{"IPM.Schedule.Meeting.Resp.Neg", "IPM.Microsoft Schedule.MtgRespN"},
	{"IPM.Schedule.Meeting.Resp.Tent", "IPM.Microsoft Schedule.MtgRespA"},
	{"IPM.Schedule.Meeting.Request", "IPM.Microsoft Schedule.MtgReq"},
	{"IPM.Schedule.Meeting.Canceled", "IPM.Microsoft Schedule.MtgCncl"},
}

func classHere(there string) string {
	for _, c := range classes {
		if c.there == there {
			return c.here
		}
	}
	return there
}

func classThere(here string) string {
	for _, c := range classes {
		if c.here == here {
			return c.there
		}
	}
	return here
}
