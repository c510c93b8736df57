package oxcmail

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/convert/kept"
	"github.com/flotilla-mail/flotilla/internal/convert/oxcmsg"
	"github.com/flotilla-mail/flotilla/internal/formats/mime"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// Keeper keeps what is too long for a property bag and gives it a name. What stands in the mail is named by where it
// stands, so whoever has the mail in pieces refers to the pieces and copies nothing (MAILBOX 3).
type Keeper interface {
	// Range keeps the content of a run of the mail's octets under a transfer encoding.
	Range(from, to int64, encoding string) (mapi.Reference, error)
	// Stream keeps what r yields.
	Stream(r io.Reader) (mapi.Reference, error)
}

// Reader says how mails become messages.
type Reader struct {
	Keep Keeper
	// Names gives ids to the named properties of the messages.
	Names *oxcmsg.Names
	// Header tells which fields of a header become named properties, by their names in lower case; nil means those that
	// rules and clients are known to ask for.
	Header func(name string) bool
}

// Message is what a mail became.
type Message struct {
	exmdb.MessageContent
	// Calendar is the part with the mail's meeting, nil if there is none. It is among the attachments too.
	Calendar *mime.Part
	// Named says that the recipients are those of the header, no others.
	Named bool
}

const (
	// maxDepth bounds messages in messages; what is deeper is a file.
	maxDepth = 12
	// maxFiles bounds the attachments of a message; what comes behind is left to the received bytes.
	maxFiles = 5_000
	// maxUnpack bounds what is taken apart in memory, as it stands in the mail: TNEF, and messages in a transfer encoding.
	maxUnpack = 32 << 20
	// maxKeptHeader bounds a header that is kept to be written again.
	maxKeptHeader = 256 << 10
)

// What has no property of MAPI stays in these (package kept) and is written back into a mail unchanged. The names reach
// disk.
var (
	// keptHeader is a header that has bytes which are no text.
	keptHeader = kept.Property("KeptHeader", mapi.TypeBinary)
	// keptPart is the header of the part that became an attachment.
	keptPart = kept.Property("KeptPart", mapi.TypeBinary)
	// keptPlace is where the part stood, if not beside or below the text.
	keptPlace = kept.Property("KeptPlace", mapi.TypeString)
	// keptStructure is the Content-Type of a mail whose structure says what it is.
	keptStructure = kept.Property("KeptStructure", mapi.TypeString)
	// keptText is the Content-Type of the text, if that says more than a charset.
	keptText = kept.Property("KeptText", mapi.TypeString)
)

// Places of parts that stand in other structures.
const (
	placeAlternative mapi.String = "alternative"
	placeReport      mapi.String = "report"
)

// Read makes a message of a mail whose octets r gives: its properties, recipients and attachments (MS-OXCMAIL 2.2). It
// holds no content of parts in memory but what has to be taken apart.
func (rd *Reader) Read(root *mime.Part, r io.ReaderAt) (*Message, error) {
	return rd.read(root, r, 0)
}

func (rd *Reader) read(root *mime.Part, r io.ReaderAt, depth int) (*Message, error) {
	im := importer{Reader: rd, root: root, octets: r, depth: depth, m: &Message{}}
	if err := im.header(); err != nil {
		return nil, err
	}
	im.sort()
	for _, step := range []func() error{im.report, im.bodies, im.files, im.unpacked} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	im.bag.Delete(mapi.PidTagHasAttachments)
	for i := range im.m.Attachments {
		im.is(mapi.PidTagHasAttachments, visible(&im.m.Attachments[i]))
	}
	im.m.Props = im.bag
	return im.m, nil
}

// importer is a message on its way.
type importer struct {
	*Reader
	builder
	root   *mime.Part
	octets io.ReaderAt
	depth  int
	m      *Message
	sorted sorted
	// charset is that of the text (mime.Part.TextCharset), which a walk over all parts may be needed for.
	charset string
	// shown are the parts that the HTML refers to, nil before anyone asks.
	shown map[string]bool
	// scratch is room's.
	scratch []byte
	// nameless counts files that got a name here.
	nameless int
}

// header sets what the header says, and keeps it.
func (im *importer) header() error {
	octets, err := readAt(im.octets, im.root.HeaderStart, min(im.root.HeaderSize(), maxKeptHeader))
	if err != nil {
		return fmt.Errorf("read header: %w", err)
	}
	im.charset = im.root.TextCharset()
	if im.bag, err = HeaderProps(im.root, im.octets); err != nil {
		return err
	}
	text, env := im.root.LegibleEnvelope(octets)
	im.m.Recipients, im.m.Named = Recipients(env), env == im.root.Envelope
	parsed := mime.ParseHeader(text)
	want := im.Header
	if want == nil {
		want = isAskedFor
	}
	im.named(parsed, im.Names, want)
	octets = bytes.TrimSuffix(octets, []byte("\r\n"))
	if !mime.IsLegible(octets) || bytes.IndexByte(octets, 0) >= 0 {
		if err := im.keep(&im.bag, keptHeader, octets); err != nil {
			return err
		}
	}
	return im.long(&im.bag, mapi.PidTagTransportMessageHeaders, strings.NewReader(TransportHeaders(octets, im.charset)))
}

// TransportHeaders is fields of a header as PidTagTransportMessageHeaders has them: as text. charset is that of the mail's text.
func TransportHeaders(header []byte, charset string) string {
	return strings.ReplaceAll(mime.DecodeCharset("", mime.Legible(header, charset)), "\x00", "")
}

// keep keeps bytes in a named property.
func (im *importer) keep(bag *mapi.PropBag, p mapi.NamedProperty, b []byte) error {
	id, ok := im.Names.ID(p.PropertyName)
	if !ok {
		return nil
	}
	return im.long(bag, p.Tag(id), bytes.NewReader(b))
}

// long sets a string or binary property to what r yields, in the bag itself if it is short.
func (im *importer) long(bag *mapi.PropBag, t mapi.Tag, r io.Reader) error {
	start := im.room()
	n, err := io.ReadFull(r, start)
	switch {
	case err == nil:
		ref, err := im.Keep.Stream(io.MultiReader(bytes.NewReader(start), r))
		if err != nil {
			return fmt.Errorf("keep %s: %w", t.Name(), err)
		}
		bag.Set(t, ref)
		return nil
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
	default:
		return fmt.Errorf("read %s: %w", t.Name(), err)
	}
	if t.Type() == mapi.TypeString {
		bag.Set(t, mapi.String(start[:n]))
	} else {
		bag.Set(t, mapi.Binary(bytes.Clone(start[:n])))
	}
	return nil
}

// room is for one byte more than stands in a bag; it is the caller's until he asks again.
func (im *importer) room() []byte {
	if im.scratch == nil {
		im.scratch = make([]byte, mapi.MaxStoredValue+1)
	}
	return im.scratch
}

// content sets a property to the content of a leaf, as it is.
func (im *importer) content(bag *mapi.PropBag, t mapi.Tag, p *mime.Part) error {
	if p.Size() <= mapi.MaxStoredValue {
		return im.long(bag, t, p.Content(im.octets))
	}
	_, err := io.ReadFull(p.Content(im.octets), im.room())
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return im.long(bag, t, p.Content(im.octets))
	}
	if err != nil {
		return fmt.Errorf("read part: %w", err)
	}
	ref, err := im.Keep.Range(p.BodyStart, p.BodyEnd, p.Encoding)
	if err != nil {
		return fmt.Errorf("keep part: %w", err)
	}
	bag.Set(t, ref)
	return nil
}

// whole is the content of a leaf that is taken apart in memory.
func (im *importer) whole(p *mime.Part) ([]byte, error) {
	var b bytes.Buffer
	b.Grow(int(p.Size()) + bytes.MinRead) // once, though base64 leaves a quarter of it empty
	if _, err := b.ReadFrom(p.Content(im.octets)); err != nil {
		return nil, fmt.Errorf("read part: %w", err)
	}
	return b.Bytes(), nil
}

// askedFor are the fields that rules and clients ask for by name (MS-OXCMAIL 2.2.3.2, MAILBOX 5); all others stay in the
// header that is kept.
var askedFor = map[string]bool{
	"list-id": true, "list-post": true, "list-archive": true, "auto-submitted": true, "precedence": true, "accept-language": true,
	"content-class": true, "content-language": true, "organization": true, "user-agent": true, "resent-from": true,
	"x-mailer": true, "x-spam-flag": true, "x-spam-status": true, "x-spam-score": true, "x-spam-level": true, "x-originating-ip": true, "x-loop": true,
	"x-original-to": true, "x-forwarded-to": true, "x-forwarded-for": true, "x-ms-has-attach": true,
	"x-unsent": true, "x-callid": true, "x-faxnumberofpages": true, "x-voicemessageduration": true, "x-voicemessagesendername": true,
	"x-callingtelephonenumber": true, "x-attachmentorder": true, "x-requireprotectedplayonphone": true,
}

const (
	// maxHeaderNames bounds the named properties that come of a header (MAILBOX 5).
	maxHeaderNames = 100
	// maxFieldName bounds the name of one.
	maxFieldName = 100
	// sharing begins the fields of invitations to folders (MS-OXSHARE 2.2.1), which are all asked for.
	sharing = "x-sharing-"
)

// isAskedFor tells the fields that get a named property; name is in lower case.
func isAskedFor(name string) bool { return askedFor[name] || strings.HasPrefix(name, sharing) }

// named sets the named properties that come of a header (MS-OXCMAIL 2.2.3.2.2), the first of each name that want says.
func (b *builder) named(h mime.Header, names *oxcmsg.Names, want func(name string) bool) {
	count := 0
	seen := map[string]bool{}
	for _, f := range h {
		name := strings.ToLower(f.Name)
		if seen[name] || !isFieldName(f.Name) || len(name) > maxFieldName || written(name) || !want(name) {
			continue
		}
		if seen[name], count = true, count+1; count > maxHeaderNames {
			break
		}
		if value := text(f.Text()); value != "" {
			p := mapi.NamedProperty{PropertyName: mapi.PropertyName{Set: mapi.PSInternetHeaders, Kind: mapi.NameByString, Name: f.Name}, Type: mapi.TypeString}
			names.Set(&b.bag, p, mapi.String(value))
		}
	}
	b.flagged(h, names)
	var words mapi.Strings
	for word := range strings.SplitSeq(h.Text("Keywords"), ",") {
		if word = text(strings.TrimSpace(word)); word != "" {
			words = append(words, word)
		}
	}
	if len(words) > 0 {
		names.Set(&b.bag, mapi.PidNameKeywords, words)
	}
}

// flagged sets what the sender asks to be done about the mail, or says was done (MS-OXCMAIL 2.2.3.2, MS-OXOFLAG 2.2.1).
func (b *builder) flagged(h mime.Header, names *oxcmsg.Names) {
	what := text(h.Text("X-Message-Flag"))
	if what == "" {
		return
	}
	names.Set(&b.bag, mapi.PidLidFlagRequest, mapi.String(what))
	status := mapi.Integer32(mapi.FlagStatusFlagged)
	if at, ok := mime.ParseDate(h.Get("X-Message-Completed")); ok && h.Has("X-Message-Completed") {
		status = mapi.FlagStatusComplete
		b.bag.Set(mapi.PidTagFlagCompleteTime, mapi.FileTimeOf(at))
	}
	b.bag.Set(mapi.PidTagFlagStatus, status)
}
