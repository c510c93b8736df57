package oxcmail

import (
	"bytes"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/convert/oxcmsg"
	"github.com/flotilla-mail/flotilla/internal/convert/oxtnef"
	"github.com/flotilla-mail/flotilla/internal/formats/mime"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// Values of PidTagAttachMethod (MS-OXCMSG 2.2.2.9) and PidTagAttachFlags (2.2.2.18).
const (
	attachByValue   = 1
	attachEmbedded  = 5
	renderedInBody  = 0x0000_0004
	notRenderedAt   = -1
	entityName      = "smime.p7m"
	signedMediaType = "multipart/signed"
)

// files makes attachments of the parts that are no bodies (MS-OXCMAIL 2.2.3.4).
func (im *importer) files() error {
	if im.sorted.entity != nil {
		if err := im.entity(im.sorted.entity); err != nil {
			return err
		}
	}
	for _, f := range im.sorted.files {
		if f.related {
			var err error
			if f.related, err = im.shows(f.part); err != nil {
				return err
			}
		}
		a, err := im.attachment(f)
		if err != nil {
			return err
		}
		im.add(a)
		if f.part == im.sorted.calendar {
			im.m.Calendar = f.part
		}
	}
	return nil
}

func (im *importer) add(a *exmdb.Attachment) {
	a.Number = uint32(len(im.m.Attachments))
	im.m.Attachments = append(im.m.Attachments, *a)
}

func (im *importer) attachment(f file) (*exmdb.Attachment, error) {
	p := f.part
	a := &exmdb.Attachment{}
	b := builder{}
	describe(&b, p)
	b.naming(cleanName(p.FilenameIn(im.charset)))
	if f.related {
		b.bag.Set(mapi.PidTagAttachFlags, mapi.Integer32(renderedInBody))
	} else if p.ID != "" {
		b.bag.Set(mapi.PidTagAttachFlags, mapi.Integer32(0))
	}
	if f.related || f.place != "" {
		b.bag.Set(mapi.PidTagAttachmentHidden, mapi.Boolean(true))
	}
	if f.place != "" {
		im.Names.Set(&b.bag, keptPlace, f.place)
	}
	a.Props = b.bag
	if err := im.keepPart(a, p); err != nil {
		return nil, err
	}
	if p.IsMessage() && im.depth+1 < maxDepth {
		return a, im.embedded(a, p.Parts[0], im.octets, im.Keep)
	}
	return a, im.value(a, p)
}

// describe sets what a part's header says of it.
func describe(b *builder, p *mime.Part) {
	b.bag.Set(mapi.PidTagRenderingPosition, mapi.Integer32(notRenderedAt))
	b.string(mapi.PidTagAttachMimeTag, p.Type+"/"+p.Subtype)
	b.string(mapi.PidTagAttachContentId, strings.Trim(p.ID, "<> "))
	b.string(mapi.PidTagAttachContentLocation, p.Location)
}

// naming sets the names of a file.
func (b *builder) naming(name string) {
	b.string(mapi.PidTagAttachLongFilename, name)
	b.string(mapi.PidTagAttachFilename, name)
	b.string(mapi.PidTagDisplayName, name)
	b.string(mapi.PidTagAttachExtension, strings.ToLower(path.Ext(name)))
}

// cleanName is a file's name without the way to it on the sender's disk, and without what no name has.
func cleanName(name string) string {
	name = oneLine(strings.ReplaceAll(name, `\`, "/"))
	return strings.Trim(text(name[strings.LastIndexByte(name, '/')+1:]), " ")
}

// extensions are those of files that came without a name.
var extensions = map[string]string{
	"text/plain": ".txt", "text/html": ".htm", "text/calendar": ".ics", "text/vcard": ".vcf", "text/csv": ".csv", "text/rtf": ".rtf", "image/png": ".png",
	"image/jpeg": ".jpg", "image/gif": ".gif", "image/bmp": ".bmp", "application/pdf": ".pdf", "application/zip": ".zip", "message/rfc822": ".eml",
	"message/delivery-status": ".txt", "message/disposition-notification": ".txt", "text/rfc822-headers": ".txt", "application/pkcs7-signature": ".p7s",
	"application/pkcs7-mime": ".p7m", "application/x-pkcs7-mime": ".p7m", "application/pgp-signature": ".asc", "application/pgp-encrypted": ".pgp", "application/ms-tnef": ".dat",
}

func extensionOf(p *mime.Part) string {
	if e := extensions[p.Type+"/"+p.Subtype]; e != "" {
		return e
	}
	return ".bin"
}

// maxPartHeader bounds the header of a part that is kept with the attachment.
const maxPartHeader = 16 << 10

// keepPart keeps the header of a part; of a whole mail's only what is a part's.
func (im *importer) keepPart(a *exmdb.Attachment, p *mime.Part) error {
	if p.HeaderSize() == 0 || p.HeaderSize() > maxPartHeader {
		return nil
	}
	octets, err := readAt(im.octets, p.HeaderStart, p.HeaderSize())
	if err != nil {
		return err
	}
	if p.Envelope != nil {
		var own []byte
		for _, f := range mime.ParseHeader(octets) {
			if structural[strings.ToLower(f.Name)] && !strings.EqualFold(f.Name, "MIME-Version") {
				own = append(own, octets[f.Start:f.End]...)
			}
		}
		if octets = own; len(own) == 0 {
			return nil
		}
	}
	return im.keep(&a.Props, keptPart, bytes.TrimSuffix(octets, []byte("\r\n")))
}

// embedded puts a message into an attachment.
func (im *importer) embedded(a *exmdb.Attachment, root *mime.Part, octets io.ReaderAt, keep Keeper) error {
	inner := Reader{Keep: keep, Names: im.Names, Header: im.Header}
	m, err := inner.read(root, octets, im.depth+1)
	if err != nil {
		return err
	}
	a.IsMessage, a.Embedded = true, &m.MessageContent
	a.Props.Set(mapi.PidTagAttachMethod, mapi.Integer32(attachEmbedded))
	b := builder{bag: a.Props}
	if stringOf(&b.bag, mapi.PidTagDisplayName) == "" {
		b.string(mapi.PidTagDisplayName, subjectOf(&m.Props))
	}
	a.Props = b.bag
	return nil
}

// value puts a part's content into an attachment; a message in a transfer encoding is one once it is decoded.
func (im *importer) value(a *exmdb.Attachment, p *mime.Part) error {
	if p.Type == "message" && p.Subtype == "rfc822" && p.IsLeaf() && im.depth+1 < maxDepth && p.Size() <= maxUnpack {
		octets, err := im.whole(p)
		if err != nil {
			return err
		}
		if root := mime.Scan(octets); len(octets) > 0 && root.HeaderSize() > 0 {
			return im.embedded(a, root, bytes.NewReader(octets), decoded{im.Keep, octets})
		}
	}
	b := builder{bag: a.Props}
	b.bag.Set(mapi.PidTagAttachMethod, mapi.Integer32(attachByValue))
	if stringOf(&b.bag, mapi.PidTagAttachLongFilename) == "" {
		im.nameless++
		b.naming(fmt.Sprintf("ATT%05d%s", im.nameless, extensionOf(p)))
	}
	a.Props = b.bag
	if p.IsLeaf() {
		return im.content(&a.Props, mapi.PidTagAttachDataBinary, p)
	}
	return im.long(&a.Props, mapi.PidTagAttachDataBinary, io.NewSectionReader(im.octets, p.BodyStart, p.Size()))
}

// decoded keeps content of a mail that is in memory and nowhere in the octets of the other.
type decoded struct {
	Keeper
	octets []byte
}

// Range implements Keeper.
func (d decoded) Range(from, to int64, encoding string) (mapi.Reference, error) {
	return d.Stream(mime.NewDecoder(encoding, bytes.NewReader(d.octets[from:to])))
}

// entity keeps a signed part whole, as it was signed, behind its Content-Type (MS-OXOSMIME 2.1.3.1).
func (im *importer) entity(p *mime.Part) error {
	head := "Content-Type: " + headerField(im.octets, p, "Content-Type") + "\r\n\r\n"
	a := &exmdb.Attachment{}
	b := builder{}
	b.bag.Set(mapi.PidTagAttachMethod, mapi.Integer32(attachByValue))
	b.bag.Set(mapi.PidTagRenderingPosition, mapi.Integer32(notRenderedAt))
	b.string(mapi.PidTagAttachMimeTag, signedMediaType)
	b.naming(entityName)
	a.Props = b.bag
	im.add(a)
	body := io.NewSectionReader(im.octets, p.BodyStart, p.Size())
	return im.long(&im.m.Attachments[len(im.m.Attachments)-1].Props, mapi.PidTagAttachDataBinary, io.MultiReader(strings.NewReader(head), body))
}

// isTNEF tells a part in TNEF; some name it only by its file.
func isTNEF(p *mime.Part) bool {
	if !p.IsLeaf() {
		return false
	}
	return p.Type == "application" && (p.Subtype == "ms-tnef" || p.Subtype == "vnd.ms-tnef" || p.Subtype == "octet-stream" && strings.EqualFold(p.Filename(), "winmail.dat"))
}

// unpacked takes the mail's TNEF apart, or leaves it a file where that cannot be done (MS-OXCMAIL 2.2.3.5).
func (im *importer) unpacked() error {
	p := im.sorted.tnef
	if p == nil {
		return nil
	}
	if p.Size() <= maxUnpack {
		octets, err := im.whole(p)
		if err != nil {
			return err
		}
		if t, err := oxtnef.Read(octets, im.Names); err == nil && im.correlates(t) {
			return im.merge(t)
		}
	}
	a, err := im.attachment(file{part: p})
	if err != nil {
		return err
	}
	im.add(a)
	return nil
}

// correlates tells whether TNEF is of this mail: a gateway may have sent one on with another (MS-OXCMAIL 2.1.3.5).
func (im *importer) correlates(t *oxtnef.Message) bool {
	key, _ := t.Props.Get(mapi.PidTagTnefCorrelationKey).(mapi.Binary)
	said := headerField(im.octets, im.root, "X-MS-TNEF-Correlator")
	return len(key) == 0 || said == "" || strings.TrimRight(string(key), "\x00") == said
}

// fromHeader are the properties that the header has the last word on: what is in TNEF is a copy from the sender's side.
var fromHeader = map[mapi.Tag]bool{
	mapi.PidTagTransportMessageHeaders: true, mapi.PidTagInternetMessageId: true, mapi.PidTagClientSubmitTime: true, mapi.PidTagSubjectPrefix: true,
	mapi.PidTagNormalizedSubject: true, mapi.PidTagSentRepresentingName: true, mapi.PidTagSenderName: true,
	mapi.PidTagDisplayTo: true, mapi.PidTagDisplayCc: true, mapi.PidTagDisplayBcc: true, mapi.PidTagHasAttachments: true, mapi.PidTagImportance: true, mapi.PidTagPriority: true,
}

// onlyFromHeader are those that are not read out of TNEF: the subject is made of its two halves, and of whom a mail is says the
// header, which is what is checked of it, or nothing.
var onlyFromHeader = map[mapi.Tag]bool{
	mapi.PidTagSubject: true, mapi.PidTagSentRepresentingSmtpAddress: true, mapi.PidTagSenderSmtpAddress: true,
}

// merge adds what was in TNEF to the message.
func (im *importer) merge(t *oxtnef.Message) error {
	for _, p := range t.Props.All() {
		if onlyFromHeader[p.Tag] || ofSource(p.Tag, im.Names) || fromHeader[p.Tag] && im.bag.Get(p.Tag) != nil {
			continue
		}
		im.bag.Set(p.Tag, p.Value)
	}
	if t.Props.Get(mapi.PidTagRtfCompressed) != nil && t.Props.Get(mapi.PidTagNativeBody) == nil && im.bag.Get(mapi.PidTagHtml) == nil {
		im.bag.Set(mapi.PidTagNativeBody, mapi.Integer32(nativeRTF))
	}
	if subject := stringOf(&t.Props, mapi.PidTagSubject); subject != "" && im.bag.Get(mapi.PidTagNormalizedSubject) == nil {
		prefix, normalized := oxcmsg.SplitSubject(text(subject))
		im.string(mapi.PidTagSubjectPrefix, prefix)
		im.string(mapi.PidTagNormalizedSubject, normalized)
	}
	if err := im.externalise(&im.bag); err != nil {
		return err
	}
	if len(im.m.Recipients) == 0 {
		im.m.Recipients, im.m.Named = t.Recipients, len(t.Recipients) == 0
		oxcmsg.SetDisplayLists(&im.bag, im.m.Recipients)
	}
	for i := range t.Attachments {
		if err := im.externaliseFile(&t.Attachments[i]); err != nil {
			return err
		}
		im.add(&t.Attachments[i])
	}
	return nil
}

// visible tells whether a reader lists an attachment.
func visible(a *exmdb.Attachment) bool {
	return a.Props.Get(mapi.PidTagAttachmentHidden) != mapi.Boolean(true)
}

// externalise keeps the long values of a bag.
func (im *importer) externalise(bag *mapi.PropBag) error {
	var failed error
	bag.Externalise(func(payload []byte) mapi.Reference {
		ref, err := im.Keep.Stream(bytes.NewReader(payload))
		if err != nil && failed == nil {
			failed = fmt.Errorf("keep value: %w", err)
		}
		return ref
	})
	return failed
}

func (im *importer) externaliseFile(a *exmdb.Attachment) error {
	if err := im.externalise(&a.Props); err != nil || a.Embedded == nil {
		return err
	}
	if err := im.externalise(&a.Embedded.Props); err != nil {
		return err
	}
	for i := range a.Embedded.Attachments {
		if err := im.externaliseFile(&a.Embedded.Attachments[i]); err != nil {
			return err
		}
	}
	return nil
}
