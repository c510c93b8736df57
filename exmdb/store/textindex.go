package store

import (
	"io"
	"strings"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/content"
	"github.com/flotilla-mail/flotilla/exmdb/fulltext"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/formats/mime"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

const (
	// textBatch is how many messages a folder has to have that are not indexed before some are: whoever searches looks
	// at so many himself, and a batch of them costs little more than one message. textSteps is after how many changes
	// of other kinds the index moves on.
	textBatch = 32
	textSteps = 4096
	// textStep bounds what one step reads, textShort what one reads that is to be short.
	textStep  = 512
	textShort = 4 * textBatch
	// textMost is how much of one part is indexed. What is longer is found whatever is searched for in bodies.
	textMost = 1 << 20
	// textRead is the longest part that is looked at for its text: HTML with pictures in it shows little of what it has.
	textRead = 32 << 20
)

// IndexText brings the full-text index of a mailbox nearer to a state: it indexes a batch of one folder that has enough
// that is new, forgets what has gone, and names that folder; zero says that there is nothing to do. After until it indexes
// no more than it has begun with; the zero time is no bound. No caller is asked for, because nobody is shown anything.
func (s *Store) IndexText(r space.Reader, ix *fulltext.Index, until time.Time) (box fulltext.Mailbox, did mapi.FID, err error) {
	v, err := s.open(r, &exmdb.System, rightRead)
	if err != nil {
		return box, 0, err
	}
	box = v.indexedAs()
	if err := ix.Adopt(box); err != nil {
		return box, 0, err
	}
	if err := v.dropIndexed(ix); err != nil {
		return box, 0, err
	}
	it := r.Iter([]byte{schema.PrefixFolderCounts}, []byte{schema.PrefixFolderCounts + 1})
	defer closing(it, &err)
	for it.Next() {
		var c schema.FolderCounts
		fid, err := schema.ParseFolderKey(it.Key())
		if err == nil {
			err = schema.Decode(it.Value(), &c)
		}
		if err != nil {
			return box, 0, err
		}
		if c.Search || c.Messages == 0 {
			continue
		}
		if some, err := v.indexFolder(ix, fid, &c, until); some || err != nil {
			return box, fid, err
		}
	}
	return box, 0, nil
}

// indexedAs names the mailbox to the index.
func (v *view) indexedAs() fulltext.Mailbox {
	return fulltext.Mailbox{Space: v.r.Space(), Past: v.header.ReplicaGUID}
}

// dropIndexed forgets folders that are not there any more.
func (v *view) dropIndexed(ix *fulltext.Index) error {
	known, err := ix.Folders(v.r.Space())
	for _, fid := range known {
		if err != nil {
			return err
		}
		if c, cerr := v.r.Get(schema.FolderCountsKey(fid)); cerr != nil || c == nil {
			err = orElse(cerr, ix.DropFolder(v.indexedAs(), fid))
		}
	}
	return err
}

// indexFolder indexes the next messages of a folder, unless it has too few.
func (v *view) indexFolder(ix *fulltext.Index, fid mapi.FID, c *schema.FolderCounts, end time.Time) (bool, error) {
	b, err := ix.Begin(v.indexedAs(), fid)
	if err == nil && b.Wasteful(uint64(c.Messages)) {
		if err = ix.DropFolder(v.indexedAs(), fid); err == nil {
			b, err = ix.Begin(v.indexedAs(), fid)
		}
	}
	if err != nil || c.ContentSeq <= b.Synced() {
		return false, err
	}
	most := textStep
	if !end.IsZero() {
		most = textShort
	}
	fresh, err := v.notIndexed(fid, b, c.ContentSeq, most)
	if err != nil || len(fresh.messages) < v.config.TextBatch && fresh.steps < textSteps {
		return false, err
	}
	until := fresh.until
	for i, m := range fresh.messages {
		if i > 0 && (b.Full() || !end.IsZero() && time.Now().After(end)) {
			until = m.at - 1
			break
		}
		if err := v.indexMessage(b, fid, &m.message); err != nil {
			return false, err
		}
	}
	return true, b.Commit(until)
}

// notIndexed is what has come or changed in a folder, in order of stamps, up to a bound.
type notIndexed struct {
	messages []stampedMessage
	steps    int
	until    mapi.Stamp // it is complete up to here
}

type stampedMessage struct {
	message
	at mapi.Stamp
}

func (v *view) notIndexed(fid mapi.FID, b *fulltext.Batch, newest mapi.Stamp, most int) (out notIndexed, err error) {
	it := v.r.Iter(schema.ChangeKey(fid, b.Synced()+1), schema.ChangeKey(fid+1, 0))
	defer closing(it, &err)
	last := b.Last()
	for it.Next() {
		s, step, err := changeStep(it.Key(), it.Value())
		if err != nil {
			return out, err
		}
		if len(out.messages) == most || out.steps == textSteps {
			return out, nil
		}
		out.steps++
		out.until = s
		if step.Associated {
			continue
		}
		m := stampedMessage{message: message{uid: step.UID}, at: s}
		found, err := load(v.r, m.key(fid), &m.row)
		if err != nil {
			return out, err
		}
		// What keeps its UID and changes nothing of its content, as flags do, is indexed as it is.
		if found && (m.row.CN == s || m.uid > last) {
			last = max(last, m.uid)
			out.messages = append(out.messages, m)
		}
	}
	out.until = newest
	return out, nil
}

// indexedProps are the properties whose text is in the index, each with its field; restrictions on them are narrowed.
var indexedProps = map[uint16]fulltext.Field{
	mapi.PidTagSubject.ID(): fulltext.Subject, mapi.PidTagNormalizedSubject.ID(): fulltext.Subject,
	mapi.PidTagSubjectPrefix.ID(): fulltext.Subject, mapi.PidTagConversationTopic.ID(): fulltext.Subject,
	mapi.PidTagSenderName.ID(): fulltext.From, mapi.PidTagSenderEmailAddress.ID(): fulltext.From,
	mapi.PidTagSenderSmtpAddress.ID(): fulltext.From, mapi.PidTagSentRepresentingName.ID(): fulltext.From,
	mapi.PidTagSentRepresentingEmailAddress.ID(): fulltext.From, mapi.PidTagSentRepresentingSmtpAddress.ID(): fulltext.From,
	mapi.PidTagDisplayTo.ID(): fulltext.To, mapi.PidTagDisplayCc.ID(): fulltext.To, mapi.PidTagDisplayBcc.ID(): fulltext.To,
	mapi.PidTagBody.ID(): fulltext.Body,
}

// indexedParts are those of recipients and attachments.
var indexedParts = map[mapi.Tag]map[uint16]fulltext.Field{
	mapi.PidTagMessageRecipients: {mapi.PidTagDisplayName.ID(): fulltext.To, mapi.PidTagEmailAddress.ID(): fulltext.To, mapi.PidTagSmtpAddress.ID(): fulltext.To},
	mapi.PidTagMessageAttachments: {mapi.PidTagAttachLongFilename.ID(): fulltext.Attachment, mapi.PidTagAttachFilename.ID(): fulltext.Attachment,
		mapi.PidTagDisplayName.ID(): fulltext.Attachment},
}

// allFields are what a message is marked in that cannot be read.
var allFields = []fulltext.Field{fulltext.Subject, fulltext.From, fulltext.To, fulltext.Body, fulltext.Header, fulltext.Part, fulltext.Attachment}

// indexMessage adds the text of a message: its properties as tables show them, and its octets as SEARCH reads them. One
// that is damaged does not hold up the others.
func (v *view) indexMessage(b *fulltext.Batch, fid mapi.FID, m *message) error {
	b.Message(m.uid)
	err := v.indexProps(b, v.messageRow(fid, m))
	if err == nil && m.row.Bits&schema.RowUnrendered == 0 {
		err = v.indexMIME(b, &m.row)
	}
	if kind := cluster.KindOf(err); err != nil && kind != cluster.KindDamaged && kind != cluster.KindContentMissing {
		return err
	}
	if err != nil {
		for _, f := range allFields {
			b.Partial(f)
		}
	}
	return nil
}

func (v *view) indexProps(b *fulltext.Batch, r *tableRow) error {
	indexText(b, r, indexedProps)
	for kind, tags := range indexedParts {
		for part := range r.SubObjects(kind) {
			indexText(b, part, tags)
		}
	}
	return r.Err()
}

func indexText(b *fulltext.Batch, from mapi.Getter, tags map[uint16]fulltext.Field) {
	for id, field := range tags {
		text := codedText(from, id, mapi.TypeString)
		b.Text(field, text)
		// There may be another one in the other coding; as a rule it is the same.
		if other := codedText(from, id, mapi.TypeString8); other != text {
			b.Text(field, other)
		}
	}
}

func codedText(from mapi.Getter, id uint16, kind mapi.Type) string {
	switch text := from.Get(mapi.NewTag(id, kind)).(type) {
	case mapi.String:
		return string(text)
	case mapi.String8:
		return string(text)
	}
	return ""
}

// indexMIME adds the text of a message's octets: all header fields, and the text parts, decoded.
func (v *view) indexMIME(b *fulltext.Batch, row *schema.Row) error {
	recipe, err := v.recipe(row.BodyNumber())
	if err != nil {
		return err
	}
	whole := &octetReader{src: v.r, recipe: recipe, size: int64(row.Size)}
	src := io.NewSectionReader(whole, int64(row.Prefix), int64(row.Size)-int64(row.Prefix))
	digest, err := v.r.Get(schema.DigestKey(row.BodyNumber()))
	if err != nil {
		return err
	}
	root, err := mime.UnmarshalDigest(digest)
	if err != nil || root.Envelope == nil {
		if root, err = mime.ScanReader(src, mime.DefaultLimits()); err != nil {
			return err
		}
	}
	prefix := make([]byte, row.Prefix)
	if _, err := whole.ReadAt(prefix, 0); err != nil && err != io.EOF {
		return err
	}
	b.Text(fulltext.Header, string(prefix))
	indexHeader(b, prefix, func(string) fulltext.Field { return fulltext.Header })
	charset := root.TextCharset()
	for part := range root.All() {
		if err := indexPart(b, part, src, charset, part == root); err != nil {
			return err
		}
	}
	return nil
}

// indexPart adds what is in one part of a mail whose text is in charset.
func indexPart(b *fulltext.Batch, p *mime.Part, src io.ReaderAt, charset string, whole bool) error {
	header := make([]byte, min(p.HeaderSize(), int64(mime.DefaultLimits().MaxHeader)))
	if _, err := src.ReadAt(header, p.HeaderStart); err != nil && err != io.EOF {
		return err
	}
	b.Text(fulltext.Attachment, p.FilenameIn(charset))
	var envelope *mime.Envelope
	if p.Envelope != nil {
		header, envelope = p.LegibleEnvelope(header)
	} else {
		header = mime.Legible(header, charset)
	}
	field := func(string) fulltext.Field { return fulltext.Part }
	if whole {
		field = headerField
		indexEnvelope(b, envelope)
	}
	indexHeader(b, header, field)
	if p.HeaderSize() > int64(len(header)) {
		for _, f := range []fulltext.Field{fulltext.Subject, fulltext.From, fulltext.To, fulltext.Header, fulltext.Part} {
			b.Partial(f)
		}
	}
	if !p.IsText() {
		return nil
	}
	if p.Size() > textRead {
		b.Partial(fulltext.Body)
		return nil
	}
	return b.Copy(fulltext.Body, p.ShownText(src), textMost)
}

// headerField is where a field of a message's header is indexed.
func headerField(name string) fulltext.Field {
	switch {
	case strings.EqualFold(name, "Subject"):
		return fulltext.Subject
	case strings.EqualFold(name, "From"):
		return fulltext.From
	case strings.EqualFold(name, "To"), strings.EqualFold(name, "Cc"), strings.EqualFold(name, "Bcc"):
		return fulltext.To
	}
	return fulltext.Header
}

func indexHeader(b *fulltext.Batch, header []byte, field func(name string) fulltext.Field) {
	for _, f := range mime.ParseHeader(header) {
		if in := field(f.Name); in == fulltext.Part {
			b.Text(in, f.Name+": "+f.Text())
		} else {
			b.Text(fulltext.Header, f.Name)
			b.Text(in, f.Text())
		}
	}
}

// indexEnvelope adds what keys for single fields compare with, where it may differ from the text of the field.
func indexEnvelope(b *fulltext.Batch, e *mime.Envelope) {
	if e == nil {
		return
	}
	b.Text(fulltext.Subject, e.DecodedSubject())
	b.Text(fulltext.Header, e.MessageID)
	for _, list := range []struct {
		field     fulltext.Field
		addresses []mime.Address
	}{{fulltext.From, e.From}, {fulltext.To, e.To}, {fulltext.To, e.Cc}, {fulltext.To, e.Bcc}} {
		for _, a := range list.addresses {
			b.Text(list.field, a.DisplayName()+" <"+a.Local+"@"+a.Host+">")
			b.Text(list.field, a.Name)
		}
	}
}

// octetReader is an io.ReaderAt over a message that keeps the block it read last.
type octetReader struct {
	src    content.Source
	recipe *exmdb.Recipe
	size   int64
	start  int64
	block  []byte
}

// octetBlock is one block of an octetReader.
const octetBlock = 64 << 10

// ReadAt implements io.ReaderAt.
func (o *octetReader) ReadAt(p []byte, off int64) (int, error) {
	n := 0
	for n < len(p) {
		at := off + int64(n)
		if at >= o.size {
			return n, io.EOF
		}
		if at < o.start || at >= o.start+int64(len(o.block)) {
			block, err := content.Read(o.src, o.recipe, uint64(at), octetBlock)
			if err != nil {
				return n, err
			}
			if len(block) == 0 {
				return n, io.ErrUnexpectedEOF
			}
			o.start, o.block = at, block
		}
		n += copy(p[n:], o.block[at-o.start:])
	}
	return n, nil
}
