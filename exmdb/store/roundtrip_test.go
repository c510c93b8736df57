package store

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// valuesOf are values of every type that MAPI has, at their ends and in between.
func valuesOf(rng *rand.Rand) []mapi.Prop {
	text := func(n int) string {
		runes := make([]rune, n)
		for i := range runes {
			runes[i] = []rune("aÄ語😀 \x01")[rng.IntN(6)]
		}
		return string(runes)
	}
	octets := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		return b
	}
	guid := mapi.NewGUID()
	values := []mapi.Value{
		mapi.Null{}, mapi.Integer16(math.MinInt16), mapi.Integer16(rng.Uint32()), mapi.Integer32(math.MaxInt32), mapi.Integer32(rng.Uint32()),
		mapi.Integer64(math.MinInt64), mapi.Integer64(rng.Uint64()), mapi.Floating32(math.MaxFloat32), mapi.Floating32(float32(math.Copysign(0, -1))),
		mapi.Floating64(math.SmallestNonzeroFloat64), mapi.Floating64(math.Inf(1)), mapi.Currency(rng.Int64()), mapi.AppTime(44_000.25),
		mapi.ErrorCode(0x8004_010F), mapi.Boolean(true), mapi.Boolean(false), mapi.String(""), mapi.String(text(300)), mapi.String8("\x80\xff"), mapi.String8(""),
		mapi.Binary{}, mapi.Binary(octets(100)), mapi.FileTime(0), mapi.FileTime(rng.Uint64()), guid,
		mapi.Integers16{}, mapi.Integers16{1, -1}, mapi.Integers32{math.MinInt32}, mapi.Integers64{rng.Int64(), 0}, mapi.Floatings32{1.5}, mapi.Floatings64{2.5, -0.5},
		mapi.Currencies{3}, mapi.AppTimes{4.5}, mapi.Strings{"", text(20)}, mapi.Strings8{"\xe4", ""}, mapi.Binaries{{}, octets(9)}, mapi.Times{5, 6}, mapi.GUIDs{guid, {}},
	}
	var props []mapi.Prop
	id := uint16(0x6800)
	add := func(t mapi.Type, v mapi.Value) {
		props = append(props, mapi.Prop{Tag: mapi.NewTag(id, t), Value: v})
		if id++; id == 0x6900 {
			id = 0x7100
		}
	}
	for _, v := range values {
		add(mapi.TypeOf(v), v)
	}
	for _, t := range []mapi.Type{mapi.TypeRestriction, mapi.TypeRuleAction, mapi.TypeServerID, mapi.TypeObject, 0x0999} {
		add(t, mapi.Opaque(octets(1+rng.IntN(30))))
	}
	for len(props) < 500 {
		switch rng.IntN(4) {
		case 0:
			add(mapi.TypeString, mapi.String(text(rng.IntN(40))))
		case 1:
			add(mapi.TypeBinary, mapi.Binary(octets(rng.IntN(60))))
		case 2:
			add(mapi.TypeInteger32, mapi.Integer32(rng.Uint32()))
		case 3:
			add(mapi.TypeMultiString, mapi.Strings{text(rng.IntN(9))})
		}
	}
	return props
}

// checkBag compares what was read with what was written, byte by byte; what is computed may be there too.
func checkBag(t *testing.T, where string, got *mapi.PropBag, want []mapi.Prop) {
	t.Helper()
	for _, p := range want {
		v := got.Get(p.Tag)
		if v == nil {
			t.Errorf("%s: %v is not there", where, p.Tag)
			continue
		}
		if a, b := mapi.AppendValue(nil, v), mapi.AppendValue(nil, p.Value); !bytes.Equal(a, b) {
			t.Errorf("%s: %v is %x, want %x", where, p.Tag, a, b)
		}
	}
}

func bagFrom(props []mapi.Prop) mapi.PropBag {
	var bag mapi.PropBag
	for _, p := range props {
		bag.Set(p.Tag, p.Value)
	}
	return bag
}

const levels = 4

// nest is a message with recipients and an attachment that holds another, so many levels deep.
func nest(rng *rand.Rand, depth int, written *[]written) exmdb.MessageEdit {
	w := newWritten(rng)
	*written = append(*written, w)
	edit := exmdb.MessageEdit{Set: bagFrom(w.message), ReplaceRecipients: true, Recipients: []mapi.PropBag{bagFrom(w.recipient)},
		Attachments: []exmdb.AttachmentEdit{{Number: 1, Set: bagFrom(w.attachment)}}}
	if depth > 1 {
		inner := nest(rng, depth-1, written)
		edit.Attachments[0].Embedded = &inner
	}
	return edit
}

// written is what a level of a nested message was given.
type written struct{ message, recipient, attachment []mapi.Prop }

func newWritten(rng *rand.Rand) written {
	all := valuesOf(rng)
	return written{all, all[:60], all[60:120]}
}

// TestRoundTrip is row S3: 500 properties of every type on each of four levels, of mail and of associated messages.
func TestRoundTrip(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 3))
	b := newBox(t, 0)
	for _, associated := range []bool{false, true} {
		var want []written
		st := b.create(&exmdb.CreateMessageRequest{Folder: schema.Drafts, Associated: associated, Message: nest(rng, levels, &want)})
		whole := call(b, exmdb.OpReadMessage, &exmdb.ReadMessageRequest{Object: mid(st.MID), Nested: true})
		at := &whole.Content
		id := mid(st.MID)
		for level, w := range want {
			where := fmt.Sprintf("associated %v, level %d", associated, level)
			checkBag(t, where+" message", &at.Props, w.message)
			checkBag(t, where+" recipient", &at.Recipients[0], w.recipient)
			checkBag(t, where+" attachment", &at.Attachments[0].Props, w.attachment)
			checkBag(t, where+" alone", b.props(id), w.message)
			id.Attachments = append(id.Attachments, 1)
			id.Embedded = false
			checkBag(t, where+" attachment alone", b.props(id), w.attachment)
			id.Embedded = true
			at = at.Attachments[0].Embedded
		}
		if at != nil {
			t.Errorf("there are more than %d levels", levels)
		}
		refused(b, exmdb.OpReadMessage, &exmdb.ReadMessageRequest{Object: id}, exmdb.KindNoMessage)
		b.update(func(t *tx) error { return t.remove(st.MID) })
	}
	b.checkEmpty()
}

// TestEmbeddedIsEdited: one value deep inside is written without touching anything else, and what only one version
// refers to goes with it.
func TestEmbeddedIsEdited(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 4))
	b := newBox(t, 0)
	var want []written
	st := b.create(&exmdb.CreateMessageRequest{Message: nest(rng, levels, &want)})
	deep := exmdb.ObjectID{Message: st.MID, Attachments: []uint32{1, 1, 1}, Embedded: true}
	long := bytes.Repeat([]byte("long "), 10_000)
	w := b.write(deep, mapi.PidTagSubject, mapi.String("FW: deep"), mapi.PidTagRoamingDictionary, mapi.Binary(long))
	if w.CN <= st.CN {
		t.Fatalf("%+v", w)
	}
	if b.prop(deep, mapi.PidTagNormalizedSubject) != mapi.String("deep") || b.prop(deep, mapi.PidTagSubject) != mapi.String("FW: deep") {
		t.Fatal(b.props(deep))
	}
	checkBag(t, "rest of the level", b.props(deep), want[3].message)
	v := call(b, exmdb.OpReadValue, &exmdb.ReadValueRequest{Object: deep, Tag: mapi.PidTagRoamingDictionary, Offset: 3, Length: 100_000, Base: w.CN})
	if !bytes.Equal(v.Data, long[3:]) {
		t.Fatalf("%d bytes", len(v.Data))
	}
	refused(b, exmdb.OpReadValue, &exmdb.ReadValueRequest{Object: deep, Tag: mapi.PidTagRoamingDictionary, Base: st.CN}, exmdb.KindConflict)
	call(b, exmdb.OpWriteProps, &exmdb.WritePropsRequest{Object: deep, Delete: []mapi.Tag{mapi.PidTagRoamingDictionary, mapi.PidTagSubject}})
	if b.props(deep, mapi.PidTagRoamingDictionary, mapi.PidTagNormalizedSubject, mapi.PidTagSubject).Len() != 0 {
		t.Fatal("deleted properties are there")
	}
	refused(b, exmdb.OpWriteProps, &exmdb.WritePropsRequest{Object: exmdb.ObjectID{Message: st.MID, Attachments: []uint32{1, 2}}}, exmdb.KindNoMessage)
	b.update(func(t *tx) error { return t.remove(st.MID) })
	b.checkEmpty()
}

// TestDepthIsBounded: messages are embedded so deep and no deeper, and a request that asks for more does nothing.
func TestDepthIsBounded(t *testing.T) {
	b := newBox(t, 0)
	edit := func(depth int) exmdb.MessageEdit {
		e := exmdb.MessageEdit{Set: bagOf(mapi.PidTagBody, mapi.String("inner"))}
		for range depth {
			inner := e
			e = exmdb.MessageEdit{Attachments: []exmdb.AttachmentEdit{{Embedded: &inner}}}
		}
		return e
	}
	st := b.create(&exmdb.CreateMessageRequest{Message: edit(maxEmbedded)})
	call(b, exmdb.OpReadMessage, &exmdb.ReadMessageRequest{Object: mid(st.MID), Nested: true})
	refused(b, exmdb.OpCreateMessage, &exmdb.CreateMessageRequest{Folder: schema.Drafts, Message: edit(maxEmbedded + 1)}, exmdb.KindTooBig)
}

// TestLongValuesAreCounted: content is in the size and the quota once for each record, and copies hold it too.
func TestLongValuesAreCounted(t *testing.T) {
	b := newBox(t, 300_000)
	long := mapi.Binary(bytes.Repeat([]byte("x"), 100_000))
	req := &exmdb.CreateMessageRequest{Folder: schema.Drafts, Message: exmdb.MessageEdit{
		Attachments: []exmdb.AttachmentEdit{{Number: 0, Set: bagOf(mapi.PidTagAttachDataBinary, long)}, {Number: 1, Set: bagOf(mapi.PidTagAttachDataBinary, long)}}}}
	st := b.create(req)
	if st.Size < 200_000 || st.Size > 201_000 {
		t.Fatalf("size %d", st.Size)
	}
	refused(b, exmdb.OpCreateMessage, req, exmdb.KindOverQuota)
	save := &exmdb.SaveMessageRequest{Message: st.MID, Edit: exmdb.MessageEdit{Set: bagOf(mapi.PidTagHtml, long)}}
	refused(b, exmdb.OpSaveMessage, save, exmdb.KindOverQuota)
	save.Edit.Attachments = []exmdb.AttachmentEdit{{Number: 0, Remove: true}}
	small := call(b, exmdb.OpSaveMessage, save).State
	if small.Size < 200_000 || small.Size > 201_000 {
		t.Fatalf("size %d", small.Size)
	}
	if a := b.prop(exmdb.ObjectID{Message: st.MID, Attachments: []uint32{1}}, mapi.PidTagAttachSize); a.(mapi.Integer32) < 100_000 {
		t.Fatalf("attachment of %v", a)
	}
	info := call(b, exmdb.OpMailboxInfo, &exmdb.Empty{})
	if info.Used != small.Size || info.Messages != 1 {
		t.Fatalf("%+v", info)
	}
	b.update(func(t *tx) error { return t.remove(st.MID) })
	b.checkEmpty()
}

// TestMessageLimit: a message is no longer than a mail may be, whether it is made so or grows.
func TestMessageLimit(t *testing.T) {
	b := newBox(t, 0)
	huge := func(n uint32) exmdb.MessageEdit { // content that nobody has, so that it is refused before it is looked for
		return exmdb.MessageEdit{Attachments: []exmdb.AttachmentEdit{{Number: n, Set: bagOf(mapi.PidTagAttachDataBinary, reference(n, 100<<20))}}}
	}
	both := exmdb.MessageEdit{Attachments: append(huge(1).Attachments, huge(2).Attachments...)}
	refused(b, exmdb.OpCreateMessage, &exmdb.CreateMessageRequest{Folder: schema.Drafts, Message: both}, exmdb.KindTooBig)
	st := b.create(&exmdb.CreateMessageRequest{Folder: schema.Drafts})
	refused(b, exmdb.OpSaveMessage, &exmdb.SaveMessageRequest{Message: st.MID, Edit: both}, exmdb.KindTooBig)
	var wrapping exmdb.MessageEdit
	for n := range uint32(50) {
		wrapping.Attachments = append(wrapping.Attachments, huge(n).Attachments...)
	}
	refused(b, exmdb.OpSaveMessage, &exmdb.SaveMessageRequest{Message: st.MID, Edit: wrapping}, exmdb.KindTooBig)
	b.audit("after refusals")
}

// reference names so many bytes of content of its own.
func reference(seed uint32, size int) mapi.Reference {
	var ref mapi.Reference
	for i := 0; size > 0; i++ {
		n := min(size, exmdb.MaxChunk)
		ref = append(ref, mapi.ContentRef{Hash: space.HashOf(fmt.Appendf(nil, "%d %d", seed, i)), Size: uint32(n)})
		size -= n
	}
	return ref
}

// TestReferences: a client names what it has uploaded or sends along; what is short, or not what it says, is refused.
func TestReferences(t *testing.T) {
	b := newBox(t, 0)
	data := bytes.Repeat([]byte("0123456789"), 1000)
	ref := mapi.Reference{{Hash: space.HashOf(data), Size: uint32(len(data))}}
	create := func(v mapi.Value, inline ...[]byte) *exmdb.CreateMessageRequest {
		return &exmdb.CreateMessageRequest{Folder: schema.Drafts, Message: exmdb.MessageEdit{Set: bagOf(mapi.PidTagBody, v)}, Payload: exmdb.Payload{Inline: inline}}
	}
	st := b.create(create(ref, data))
	v := call(b, exmdb.OpReadValue, &exmdb.ReadValueRequest{Object: mid(st.MID), Tag: mapi.PidTagBody.WithType(mapi.TypeString8), Length: 1 << 20})
	if !bytes.Equal(v.Data, data) || v.Tag != mapi.PidTagBody || v.Size != uint64(len(data)) {
		t.Fatalf("%d bytes of %v", len(v.Data), v.Tag)
	}
	b.create(create(ref)) // the group has it
	short := mapi.Reference{{Hash: space.HashOf(data[:10]), Size: 10}}
	refused(b, exmdb.OpCreateMessage, create(short, data[:10]), exmdb.KindBadContent)
	refused(b, exmdb.OpCreateMessage, create(mapi.Reference{{Hash: space.HashOf(data), Size: 9000}}, data), exmdb.KindBadContent)
	refused(b, exmdb.OpCreateMessage, create(mapi.Reference{{Hash: space.HashOf(data), Size: exmdb.MaxChunk + 1}}), exmdb.KindBadContent)
	refused(b, exmdb.OpCreateMessage, create(mapi.String(make([]byte, exmdb.MaxInline+1))), exmdb.KindTooBig)
	refused(b, exmdb.OpCreateMessage, create(mapi.String("x"), []byte{}), exmdb.KindBadContent)
	many := &exmdb.CreateMessageRequest{Folder: schema.Drafts}
	for i := range uint16(150) {
		many.Message.Set.Set(mapi.NewTag(0x6800+i, mapi.TypeBinary), mapi.Binary(data[:8000]))
	}
	refused(b, exmdb.OpCreateMessage, many, exmdb.KindTooBig)
}
