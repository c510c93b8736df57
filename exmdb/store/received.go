package store

import (
	"bytes"
	"maps"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/content"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/convert/oxcmail"
	"github.com/flotilla-mail/flotilla/internal/formats/mime"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// arrival is a mail as the message it is to be here: what came of its conversion, in this mailbox's names.
type arrival struct {
	*exmdb.NewMessage
	bag         *mapi.PropBag
	attachments []schema.Attachment
	recipients  []mapi.PropBag
}

// inFlags are properties that a mail may bring and that are in the row (MAILBOX 4): what its sender asks for and what he
// sorts it under. Others of the row are the mailbox's own.
var inFlags = idsOf(mapi.PidTagFlagStatus, mapi.PidTagIconIndex)

// arrival reads the message that a mail became, and puts into the row what is there.
func (t *tx) arrival(m *exmdb.NewMessage, row *schema.Row) (*arrival, error) {
	a := &arrival{NewMessage: m, bag: new(mapi.PropBag)}
	came := new(mapi.PropBag)
	if err := came.UnmarshalWire(m.Props); err != nil {
		return nil, cluster.Errorf(exmdb.KindBadContent, "properties: %v", err)
	}
	if m.Converted == nil {
		a.bag = came
		return a, nil
	}
	row.Bits |= schema.RowConverted
	ns, err := t.mailNames(m.Converted.Names)
	if err != nil {
		return nil, err
	}
	d := &draft{tx: t, after: message{row: *row}, contents: a.bag}
	ns.rename(a.bag, came, d.ofMail)
	*row = d.after.row
	a.attachments = ns.attachments(m.Converted.Attachments)
	for i := range m.Converted.Recipients {
		var bag mapi.PropBag
		ns.rename(&bag, &m.Converted.Recipients[i], nowhere)
		a.recipients = append(a.recipients, bag)
	}
	return a, d.err
}

// ofMail implements apart for what a mail brings.
func (d *draft) ofMail(t mapi.Tag, v mapi.Value) (mapi.ErrorCode, bool) {
	switch {
	case t.ID() == mapi.PidTagHasAttachments.ID():
		return 0, false // the conversion knows
	case t.Named():
		return 0, d.sortUnder(t, v)
	case inFlags[t.ID()]:
		return d.apart(t, v)
	}
	for i := range rowProps {
		if rowProps[i].tag.ID() == t.ID() {
			return 0, true
		}
	}
	return 0, find(messageTable.rules, t.WithType(mapi.TypeUnspecified)) != nil
}

// sortUnder takes PidNameKeywords: a mail brings no words that the mailbox does not know, or its table would be anybody's to
// fill.
func (d *draft) sortUnder(t mapi.Tag, v mapi.Value) bool {
	tag, err := d.keywordsTag()
	if err != nil || tag == 0 || t.ID() != tag.ID() {
		d.fail(err)
		return err != nil
	}
	words, _ := v.(mapi.Strings)
	ids, err := d.keywordIDs(words[:min(len(words), maxRowKeywords)], exmdb.FlagsRemove)
	d.fail(err)
	d.after.row.Keywords = ids
	return true
}

// maxMailNames is how many property names a mailbox may know for mail to bring it more: the rest is for its clients.
const maxMailNames = schema.MaxNamedProps / 4

// mailNames gives the names of a mail the mailbox's ids. One that cannot be had is 0, and what it names is left out: a mail
// is delivered for all that.
func (t *tx) mailNames(list []mapi.PropertyName) (names, error) {
	ns := names{ids: make([]uint16, len(list))}
	for i, name := range list {
		if checkPropertyName(name) != nil {
			continue
		}
		id, err := t.propertyID(name)
		if err == nil && id == 0 && t.counters.NamedProp < maxMailNames {
			id, err = t.internName(name)
		}
		if err != nil {
			return ns, err
		}
		ns.ids[i] = id
	}
	return ns, nil
}

// rename copies what of a bag has a name here and is not kept elsewhere.
func (ns names) rename(to, from *mapi.PropBag, elsewhere apart) {
	for _, p := range from.All() {
		t, err := ns.tag(p.Tag)
		if err != nil {
			continue // a name that the mailbox has not taken
		}
		if _, mine := elsewhere(t, p.Value); !mine && t.ID() != mapi.PidTagSubject.ID() {
			to.Set(t, p.Value)
		}
	}
}

// attachments are the attachments of a mail as they are stored.
func (ns names) attachments(list []exmdb.Attachment) []schema.Attachment {
	out := make([]schema.Attachment, len(list))
	for i := range list {
		a := &list[i]
		out[i].Number = uint32(i)
		ns.rename(&out[i].Bag, &a.Props, attachmentApart)
		if a.Embedded == nil {
			continue
		}
		out[i].Embedded = new(mapi.PropBag)
		ns.rename(out[i].Embedded, &a.Embedded.Props, embeddedApart)
		out[i].Recipients = make([]mapi.PropBag, len(a.Embedded.Recipients))
		for j := range a.Embedded.Recipients {
			ns.rename(&out[i].Recipients[j], &a.Embedded.Recipients[j], nowhere)
		}
		out[i].Nested = ns.attachments(a.Embedded.Attachments)
	}
	return out
}

// storeView writes the properties, recipients and attachments of a mail. Content that the recipe has too is held once more.
func (t *tx) storeView(a *arrival, row *schema.Row, inline map[space.Hash][]byte) error {
	if a.Converted == nil {
		return t.storeBag(a.bag, row)
	}
	s := &staged{inline: make(map[space.Hash][]byte), named: make(map[space.Hash]uint32)}
	maps.Copy(s.inline, inline)
	if err := s.long(a.bag); err != nil {
		return err
	}
	if err := t.setBag(row, nil, a.bag, s.inline); err != nil {
		return err
	}
	if a.Converted.Recipients != nil {
		if err := t.setRecipients(row, new(schema.Recipients), &schema.Recipients{Bags: a.recipients}, s.inline); err != nil {
			return err
		}
	}
	for i := range a.attachments {
		if err := t.setAttachment(row, nil, &a.attachments[i], s.inline); err != nil {
			return err
		}
	}
	return nil
}

// transportHeaders is PidTagTransportMessageHeaders of a mail whose header is short enough for a property and therefore
// not kept in one: as it was received, behind the trace that the delivery put in front.
func (s *shownMessage) transportHeaders() mapi.Value {
	trace, header, err := s.receivedHeader(&s.m.row)
	if s.fail(err); header == "" {
		return nil
	}
	if len(trace)+len(header) <= mapi.MaxStoredValue {
		header = trace + header
	}
	return mapi.String(header)
}

// receivedHeader is the header with which a converted mail was received, and what the delivery put in front of it; nothing
// where there is none, or the bag has it.
func (v *view) receivedHeader(row *schema.Row) (trace, header string, err error) {
	body := receivedBody(row)
	if body == 0 || row.Bits&schema.RowConverted == 0 {
		return "", "", nil
	}
	recipe, err := v.recipe(body)
	if err != nil {
		return "", "", err
	}
	octets, err := content.Read(v.r, &exmdb.Recipe{Segments: recipe.Segments}, 0, 2*mapi.MaxStoredValue)
	if err != nil {
		return "", "", err
	}
	octets = octets[:headerEnd(octets)]
	charset := ""
	if !mime.IsLegible(octets) {
		root, err := v.structure(body)
		if err != nil {
			return "", "", err
		}
		if root != nil {
			charset = root.TextCharset()
		}
	}
	return oxcmail.TransportHeaders(recipe.Prefix, charset), oxcmail.TransportHeaders(octets, charset), nil
}

// structure is the tree of a body's parts, nil where it came without one.
func (v *view) structure(body mapi.ObjectNumber) (*mime.Part, error) {
	digest, err := v.r.Get(schema.DigestKey(body))
	if err != nil || digest == nil {
		return nil, err
	}
	root, err := mime.UnmarshalDigest(digest)
	if err != nil {
		return nil, cluster.Errorf(cluster.KindDamaged, "digest of body %d: %v", body, err)
	}
	return root, nil
}

// headerEnd is where the header ends with which octets begin, the empty line not counted; 0 where it does not.
func headerEnd(octets []byte) int {
	if bytes.HasPrefix(octets, []byte("\r\n")) {
		return 0
	}
	return bytes.Index(octets, []byte("\r\n\r\n")) + len("\r\n")
}
