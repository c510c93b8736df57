package store

import (
	"bytes"
	"encoding/binary"
	"iter"
	"math"
	"slices"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/content"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/convert/oxcmail"
	"github.com/flotilla-mail/flotilla/internal/formats/mime"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// The MAPI side of a message is in records: the bag, the recipients, and each attachment with all that is inside it.
// Each holds the content its values stand for, once, and takes part in the message's size.

// storedRecipients reads the record of a message's recipients.
func (v *view) storedRecipients(row *schema.Row) (*schema.Recipients, error) {
	list := new(schema.Recipients)
	if row.Bits&schema.RowRecipients == 0 {
		return list, nil
	}
	_, err := load(v.r, schema.RecipientsKey(row.Object), list)
	return list, err
}

// recipients are the recipients of a message. A received mail has those of its header until someone changes them.
func (v *view) recipients(row *schema.Row) ([]mapi.PropBag, error) {
	body := receivedBody(row)
	if row.Bits&schema.RowRecipients != 0 || body == 0 {
		list, err := v.storedRecipients(row)
		return list.Bags, err
	}
	digest, err := v.r.Get(schema.DigestKey(body))
	if err != nil || digest == nil {
		return nil, err
	}
	env, err := mime.DigestEnvelope(digest)
	if err == nil && !env.IsLegible() {
		env, err = v.legible(body)
	} else if err != nil {
		err = cluster.Errorf(cluster.KindDamaged, "digest of body %d: %v", body, err)
	}
	if err != nil {
		return nil, err
	}
	return oxcmail.Recipients(env), nil
}

// legible is the envelope of a body by its header, which says in which charset it is.
func (v *view) legible(body mapi.ObjectNumber) (*mime.Envelope, error) {
	root, err := v.structure(body)
	if err != nil {
		return nil, err
	}
	recipe, err := v.recipe(body)
	if err != nil {
		return nil, err
	}
	octets := &exmdb.Recipe{Segments: recipe.Segments}
	return root.ReadEnvelope(&octetReader{src: v.r, recipe: octets, size: int64(octets.Size())})
}

// receivedBody is the body that a message came with as mail, zero if it did not.
func receivedBody(row *schema.Row) mapi.ObjectNumber {
	switch {
	case row.Original != 0:
		return row.Original
	case row.Bits&(schema.RowAssociated|schema.RowUnrendered|schema.RowRendered) != 0:
		return 0
	}
	return row.BodyNumber()
}

// attachment reads one attachment of a message.
func (v *view) attachment(object mapi.ObjectNumber, number uint32) (*schema.Attachment, error) {
	a := new(schema.Attachment)
	found, err := load(v.r, schema.AttachmentKey(object, number), a)
	if err == nil && !found {
		err = cluster.Errorf(exmdb.KindNoMessage, "no attachment %d", number)
	}
	a.Number = number
	return a, err
}

// attachments reads all attachments of a message, in order of their numbers.
func (v *view) attachments(row *schema.Row) (list []schema.Attachment, err error) {
	if row.Bits&schema.RowAttachments == 0 {
		return nil, nil
	}
	it := v.r.Iter(schema.AttachmentKey(row.Object, 0), schema.AttachmentKey(row.Object+1, 0))
	for it.Next() && err == nil {
		var a schema.Attachment
		if err = schema.Decode(it.Value(), &a); err == nil {
			a.Number = binary.BigEndian.Uint32(it.Key()[len(it.Key())-4:])
			list = append(list, a)
		}
	}
	if cerr := it.Close(); err == nil {
		err = cerr
	}
	return list, err
}

// each and inside are the bags of a record.
func each(bags []mapi.PropBag) iter.Seq[*mapi.PropBag] {
	return func(yield func(*mapi.PropBag) bool) {
		for i := range bags {
			if !yield(&bags[i]) {
				return
			}
		}
	}
}

func inside(a *schema.Attachment) iter.Seq[*mapi.PropBag] {
	return func(yield func(*mapi.PropBag) bool) { walkAttachment(a, yield) }
}

func walkAttachment(a *schema.Attachment, yield func(*mapi.PropBag) bool) bool {
	if !yield(&a.Bag) || a.Embedded != nil && !yield(a.Embedded) {
		return false
	}
	for i := range a.Recipients {
		if !yield(&a.Recipients[i]) {
			return false
		}
	}
	for i := range a.Nested {
		if !walkAttachment(&a.Nested[i], yield) {
			return false
		}
	}
	return true
}

func references(bags iter.Seq[*mapi.PropBag]) []mapi.ContentRef {
	var refs []mapi.ContentRef
	for bag := range bags {
		refs = append(refs, bag.References()...)
	}
	return refs
}

func weight(stored []byte, refs []mapi.ContentRef) uint64 {
	n := uint64(len(stored))
	for _, r := range refs {
		n += uint64(r.Size)
	}
	return n
}

// record is a record of a message as it is and as it becomes; nil is none.
type record struct {
	key      []byte
	old, now []byte
	oldRefs  []mapi.ContentRef
	refs     []mapi.ContentRef
}

// put writes a record, with what it holds and its part of the message's size. New content is held before the old is
// let go, so what is in both stays.
func (t *tx) put(row *schema.Row, r record, inline map[space.Hash][]byte) error {
	if bytes.Equal(r.old, r.now) && (r.old == nil) == (r.now == nil) {
		return nil
	}
	if err := content.Hold(t.w, content.ReferenceHashes(r.refs), inline); err != nil {
		return err
	}
	if err := content.Release(t.w, content.ReferenceHashes(r.oldRefs)); err != nil {
		return err
	}
	if len(r.refs) > 0 {
		row.Bits |= schema.RowBagContent
	}
	size := uint64(row.Props) - weight(r.old, r.oldRefs) + weight(r.now, r.refs)
	if size > math.MaxUint32 {
		return cluster.Errorf(exmdb.KindTooBig, "message of %d bytes", size)
	}
	row.Props = uint32(size)
	if r.now == nil {
		t.w.Delete(r.key)
		return nil
	}
	t.w.Set(r.key, r.now)
	return nil
}

// setBag writes the bag of a message in the place of old, nil for none. Long values are references already.
func (t *tx) setBag(row *schema.Row, old, bag *mapi.PropBag, inline map[space.Hash][]byte) error {
	if err := t.noteRule(row, old, bag); err != nil {
		return err
	}
	if err := t.noteConversation(row, bag); err != nil {
		return err
	}
	if err := t.noteReminder(row, old, bag); err != nil {
		return err
	}
	return t.putBag(row, old, bag, inline)
}

// setRecipients writes the recipients of a message.
func (t *tx) setRecipients(row *schema.Row, old, list *schema.Recipients, inline map[space.Hash][]byte) error {
	r := record{key: schema.RecipientsKey(row.Object), refs: references(each(list.Bags)), oldRefs: references(each(old.Bags))}
	if row.Bits&schema.RowRecipients != 0 {
		r.old = wire.Append([]byte{}, old)
	}
	row.Bits &^= schema.RowRecipients
	if len(list.Bags) > 0 || receivedBody(row) != 0 { // a mail without recipients says so
		r.now = wire.Append([]byte{}, list)
		row.Bits |= schema.RowRecipients
	}
	return t.put(row, r, inline)
}

// setAttachment writes one attachment of a message in the place of old; nil is none.
func (t *tx) setAttachment(row *schema.Row, old, a *schema.Attachment, inline map[space.Hash][]byte) error {
	var r record
	if old != nil {
		r.key = schema.AttachmentKey(row.Object, old.Number)
		r.old, r.oldRefs = storedAttachment(old), references(inside(old))
	}
	if a != nil {
		r.key = schema.AttachmentKey(row.Object, a.Number)
		r.now, r.refs = storedAttachment(a), references(inside(a))
		row.Bits |= schema.RowAttachments
	}
	return t.put(row, r, inline)
}

// storedAttachment is the record of an attachment, without the number that is in its key.
func storedAttachment(a *schema.Attachment) []byte {
	stored := *a
	stored.Number = 0
	return wire.Marshal(&stored)
}

// destroyProps removes the MAPI side of a message.
func (t *tx) destroyProps(row *schema.Row) error {
	if row.Props == 0 {
		return nil
	}
	if row.Bits&schema.RowBagContent != 0 {
		held, err := t.held(row)
		if err != nil {
			return err
		}
		for _, refs := range held {
			if err := content.Release(t.w, content.ReferenceHashes(refs)); err != nil {
				return err
			}
		}
	}
	if err := t.noteRule(row, nil, new(mapi.PropBag)); err != nil {
		return err
	}
	if err := t.noteConversation(row, new(mapi.PropBag)); err != nil {
		return err
	}
	if err := t.dropReminder(row); err != nil {
		return err
	}
	t.w.Delete(schema.BagKey(row.Object))
	if row.Bits&schema.RowConverted != 0 {
		t.w.Delete(schema.TextsKey(row.Object))
	}
	if row.Bits&schema.RowRecipients != 0 {
		t.w.Delete(schema.RecipientsKey(row.Object))
	}
	if row.Bits&schema.RowAttachments != 0 {
		t.w.DeleteRange(schema.AttachmentKey(row.Object, 0), schema.AttachmentKey(row.Object+1, 0))
	}
	return nil
}

// held is the content that each record of a message stands for.
func (v *view) held(row *schema.Row) ([][]mapi.ContentRef, error) {
	bag, err := v.listed(row.Object)
	if err != nil {
		return nil, err
	}
	list, err := v.storedRecipients(row)
	if err != nil {
		return nil, err
	}
	attachments, err := v.attachments(row)
	if err != nil {
		return nil, err
	}
	held := [][]mapi.ContentRef{bag.References(), references(each(list.Bags))}
	for i := range attachments {
		held = append(held, references(inside(&attachments[i])))
	}
	return slices.DeleteFunc(held, func(refs []mapi.ContentRef) bool { return len(refs) == 0 }), nil
}

// copyProps gives another object the MAPI side of a message.
func (t *tx) copyProps(from *schema.Row, to mapi.ObjectNumber) error {
	if from.Props == 0 {
		return nil
	}
	if from.Bits&schema.RowBagContent != 0 {
		held, err := t.held(from)
		if err != nil {
			return err
		}
		for _, refs := range held {
			if err := content.Hold(t.w, content.ReferenceHashes(refs), nil); err != nil {
				return err
			}
		}
	}
	if err := t.copyBag(from, to); err != nil {
		return err
	}
	if err := t.copyRule(from, to); err != nil {
		return err
	}
	if err := t.copyConversation(from, to); err != nil {
		return err
	}
	if err := t.copyReminder(from, to); err != nil {
		return err
	}
	if from.Bits&schema.RowRecipients != 0 {
		if err := t.copyValue(schema.RecipientsKey(from.Object), schema.RecipientsKey(to)); err != nil {
			return err
		}
	}
	if from.Bits&schema.RowAttachments == 0 {
		return nil
	}
	attachments, err := t.attachments(from)
	for i := range attachments {
		t.w.Set(schema.AttachmentKey(to, attachments[i].Number), storedAttachment(&attachments[i]))
	}
	return err
}

func (t *tx) copyBag(from *schema.Row, to mapi.ObjectNumber) error {
	if from.Bits&schema.RowConverted != 0 {
		if err := t.copyValue(schema.TextsKey(from.Object), schema.TextsKey(to)); err != nil {
			return err
		}
	}
	return t.copyValue(schema.BagKey(from.Object), schema.BagKey(to))
}

func (t *tx) copyValue(from, to []byte) error {
	b, err := t.r.Get(from)
	if err == nil && b != nil {
		t.w.Set(to, b)
	}
	return err
}

// staged takes the long values out of bags that a client has sent, and checks the references he made himself.
type staged struct {
	inline map[space.Hash][]byte // data of references, the client's and ours
	named  map[space.Hash]uint32 // sizes, to see that all references say the same
	size   int                   // bytes of inline
}

// stage reads the inline data of a request.
func stage(inline [][]byte) (*staged, error) {
	s := &staged{inline: make(map[space.Hash][]byte), named: make(map[space.Hash]uint32)}
	for i, b := range inline {
		if len(b) == 0 || len(b) > exmdb.MaxChunk {
			return nil, cluster.Errorf(exmdb.KindBadContent, "inline content %d of %d bytes", i, len(b))
		}
		s.add(b)
	}
	return s, s.room()
}

func (s *staged) add(b []byte) mapi.ContentRef {
	ref := mapi.ContentRef{Hash: space.HashOf(b), Size: uint32(len(b))}
	if s.inline[ref.Hash] == nil {
		s.inline[ref.Hash] = b
		s.named[ref.Hash] = ref.Size
		s.size += len(b)
	}
	return ref
}

func (s *staged) room() error {
	if s.size > exmdb.MaxInline {
		return cluster.Errorf(exmdb.KindTooBig, "%d bytes of values in one request, %d at most: upload them ahead", s.size, exmdb.MaxInline)
	}
	return nil
}

// admit checks the references that a client has put in a bag.
func (s *staged) admit(bag *mapi.PropBag) error {
	for _, p := range bag.All() {
		if ref, ok := p.Value.(mapi.Reference); ok {
			if err := s.check(ref); err != nil {
				return err
			}
		}
	}
	return nil
}

// long makes content of the long values of a bag.
func (s *staged) long(bag *mapi.PropBag) error {
	bag.Externalise(func(payload []byte) mapi.Reference {
		var ref mapi.Reference
		for chunk := range slices.Chunk(payload, exmdb.MaxChunk) {
			ref = append(ref, s.add(chunk))
		}
		return ref
	})
	return s.room()
}

// check refuses references that could not have been made of an upload, and those to what stands in a bag itself.
func (s *staged) check(ref mapi.Reference) error {
	if size := ref.Size(); size <= mapi.MaxStoredValue || size > exmdb.MaxMessage {
		return cluster.Errorf(exmdb.KindBadContent, "reference to a value of %d bytes", size)
	}
	for _, c := range ref {
		known, seen := s.named[c.Hash]
		if c.Size == 0 || c.Size > exmdb.MaxChunk || seen && known != c.Size {
			return cluster.Errorf(exmdb.KindBadContent, "chunk %x of %d bytes", c.Hash[:8], c.Size)
		}
		s.named[c.Hash] = c.Size
	}
	return nil
}

// storeBag writes the property bag of a received message, with long values as content.
func (t *tx) storeBag(bag *mapi.PropBag, row *schema.Row) error {
	if bag.Len() == 0 {
		return nil
	}
	if stored := bag.AppendWire(nil); len(stored) <= mapi.MaxStoredValue && bag.References() == nil { // so nothing in it is long
		if err := t.noteReminder(row, nil, bag); err != nil {
			return err
		}
		return t.put(row, record{key: schema.BagKey(row.Object), now: stored}, nil)
	}
	s, err := stage(nil)
	if err == nil {
		err = s.admit(bag)
	}
	if err == nil {
		err = s.long(bag)
	}
	if err != nil {
		return err
	}
	return t.setBag(row, nil, bag, s.inline)
}
