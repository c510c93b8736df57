package content

import (
	"iter"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// maxNested is how deep messages are embedded in each other in a conversion.
const maxNested = 20

// Bags are the bags of a conversion, those of messages inside it too.
func Bags(c *exmdb.Conversion) iter.Seq[*mapi.PropBag] {
	return func(yield func(*mapi.PropBag) bool) {
		if c == nil {
			return
		}
		if walk(&exmdb.MessageContent{Recipients: c.Recipients, Attachments: c.Attachments}, yield) && c.Meeting != nil && yield(&c.Meeting.Props) {
			walk(c.Meeting, yield)
		}
	}
}

// walk goes through what is inside a message.
func walk(m *exmdb.MessageContent, yield func(*mapi.PropBag) bool) bool {
	for i := range m.Recipients {
		if !yield(&m.Recipients[i]) {
			return false
		}
	}
	for i := range m.Attachments {
		a := &m.Attachments[i]
		if !yield(&a.Props) || a.Embedded != nil && (!yield(&a.Embedded.Props) || !walk(a.Embedded, yield)) {
			return false
		}
	}
	return true
}

// Chunks is the content that a message refers to, in its recipe or its properties, each once, in an order that depends on
// nothing else.
func Chunks(m *exmdb.NewMessage) ([]exmdb.ChunkRef, error) {
	var all []exmdb.ChunkRef
	for i := range m.Recipe.Segments {
		all = append(all, m.Recipe.Segments[i].Chunks...)
	}
	add := func(refs []mapi.ContentRef) {
		for _, ref := range refs {
			all = append(all, exmdb.ChunkRef{Hash: ref.Hash, Size: ref.Size})
		}
	}
	if m.Converted != nil {
		refs, err := mapi.StoredReferences(m.Props)
		if err != nil {
			return nil, badProps(err)
		}
		add(refs)
	}
	for bag := range Bags(m.Converted) {
		add(bag.References())
	}
	return uniqueChunks(all), nil
}

func badProps(err error) error { return cluster.Errorf(exmdb.KindBadContent, "properties: %v", err) }

// checkConversion notes what a conversion refers to, and bounds it.
func checkConversion(m *exmdb.NewMessage, named map[space.Hash]uint32) error {
	c := m.Converted
	if c == nil {
		return nil
	}
	refs, err := mapi.StoredReferences(m.Props)
	if err != nil {
		return badProps(err)
	}
	if err := checkReferences(refs, named); err != nil {
		return err
	}
	if nesting(c.Attachments) > maxNested {
		return cluster.Errorf(exmdb.KindTooBig, "messages embedded deeper than %d", maxNested)
	}
	if c.Meeting != nil && nesting(c.Meeting.Attachments) > maxNested {
		return cluster.Errorf(exmdb.KindTooBig, "meetings embedded deeper than %d", maxNested)
	}
	if len(c.Recipients) > 0 || len(c.Attachments) > 0 || c.Meeting != nil {
		inside := exmdb.Conversion{Recipients: c.Recipients, Attachments: c.Attachments, Meeting: c.Meeting}
		if n := len(wire.Marshal(&inside)); n > exmdb.MaxConversion {
			return cluster.Errorf(exmdb.KindTooBig, "recipients and attachments of %d bytes, %d at most", n, exmdb.MaxConversion)
		}
	}
	for bag := range Bags(c) {
		if err := checkReferences(bag.References(), named); err != nil {
			return err
		}
	}
	return nil
}

func checkReferences(refs []mapi.ContentRef, named map[space.Hash]uint32) error {
	for _, ref := range refs {
		if err := checkChunk(ref.Hash, ref.Size, named); err != nil {
			return cluster.Errorf(exmdb.KindBadContent, "properties: %v", err)
		}
	}
	return nil
}

func nesting(list []exmdb.Attachment) int {
	deepest := 0
	for i := range list {
		if e := list[i].Embedded; e != nil {
			deepest = max(deepest, 1+nesting(e.Attachments))
		}
	}
	return deepest
}
