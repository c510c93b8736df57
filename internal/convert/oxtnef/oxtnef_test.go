package oxtnef

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/convert/oxcmsg"
	"github.com/flotilla-mail/flotilla/internal/formats/rtf"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/testkit"
	"github.com/flotilla-mail/flotilla/internal/testkit/objects"
)

var sentAt = mapi.FileTimeOf(time.Date(2026, 3, 3, 9, 20, 30, 0, time.UTC))

// content is what references of tests refer to.
type content map[[32]byte][]byte

func (c content) put(b []byte) mapi.Reference {
	h := sha256.Sum256(b)
	c[h] = b
	return mapi.Reference{{Hash: h, Size: uint32(len(b))}}
}

func (c content) open(ref mapi.Reference) io.Reader {
	var all []io.Reader
	for _, r := range ref {
		all = append(all, bytes.NewReader(c[r.Hash]))
	}
	return io.MultiReader(all...)
}

func write(t testing.TB, m *Message, names *oxcmsg.Names, c content) []byte {
	t.Helper()
	w := Writer{Names: names, Open: c.open}
	r, size, err := w.Stream(m)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if int64(len(b)) != size {
		t.Fatalf("%d bytes, said to be %d", len(b), size)
	}
	return b
}

// dump is what a message is, values of named properties by their names.
func dump(m *exmdb.MessageContent, names *oxcmsg.Names, c content) string {
	var out strings.Builder
	dumpInto(&out, m, names, c, "")
	return out.String()
}

func dumpInto(out *strings.Builder, m *exmdb.MessageContent, names *oxcmsg.Names, c content, indent string) {
	bag := func(what string, b *mapi.PropBag) {
		fmt.Fprintf(out, "%s%s\n", indent, what)
		for _, p := range b.All() {
			name := p.Tag.Name()
			if p.Tag.Named() {
				n, _ := names.Name(p.Tag.ID())
				name = fmt.Sprint(n)
			}
			v := p.Value
			if ref, ok := v.(mapi.Reference); ok {
				b, _ := io.ReadAll(c.open(ref))
				if v = mapi.Value(mapi.Binary(b)); p.Tag.Type() == mapi.TypeString {
					v = mapi.String(b)
				}
			}
			fmt.Fprintf(out, "%s %s %v %v\n", indent, name, p.Tag.Type(), v)
		}
	}
	bag("message", &m.Props)
	for i := range m.Recipients {
		bag("recipient", &m.Recipients[i])
	}
	for i := range m.Attachments {
		a := &m.Attachments[i]
		bag("attachment", &a.Props)
		if a.Embedded != nil {
			dumpInto(out, a.Embedded, names, c, indent+"  ")
		}
	}
}

// letter is a message with a bit of everything.
func letter(names *oxcmsg.Names, c content) *Message {
	m := &Message{CodePage: 1252, Key: 7}
	for tag, v := range map[mapi.Tag]mapi.Value{
		mapi.PidTagMessageClass: mapi.String("IPM.Note"), mapi.PidTagSubject: mapi.String("Plans for the harbour"), mapi.PidTagClientSubmitTime: sentAt,
		mapi.PidTagImportance: mapi.Integer32(2), mapi.PidTagReadReceiptRequested: mapi.Boolean(true), mapi.PidTagBody: mapi.String("See below.\r\nGrüße 日本"),
		mapi.PidTagRtfCompressed: mapi.Binary(rtf.Compress(rtf.FromHTML("<p>See <b>below</b></p>"))),
	} {
		m.Props.Set(tag, v)
	}
	names.Set(&m.Props, mapi.PidNameKeywords, mapi.Strings{"red", "grün"})
	names.Set(&m.Props, mapi.NamedProperty{PropertyName: mapi.PropertyName{Set: mapi.PSETIDCommon, LID: 0x8530}, Type: mapi.TypeString}, mapi.String("for Anna"))
	var to mapi.PropBag
	to.Set(mapi.PidTagRecipientType, mapi.Integer32(1))
	to.Set(mapi.PidTagDisplayName, mapi.String("Bert Bär"))
	to.Set(mapi.PidTagSmtpAddress, mapi.String("bert@example.test"))
	m.Recipients = []mapi.PropBag{to}
	m.Attachments = []exmdb.Attachment{
		file(0, "Plan.txt", mapi.Binary("the plan")),
		file(1, "Für März.bin", c.put(bytes.Repeat([]byte{0, 1, 2, 3, 250}, 5000))),
		embedded(2, "RE: older"),
	}
	return m
}

func file(number uint32, name string, data mapi.Value) exmdb.Attachment {
	a := exmdb.Attachment{Number: number}
	a.Props.Set(mapi.PidTagAttachFilename, mapi.String(name))
	a.Props.Set(mapi.PidTagAttachLongFilename, mapi.String(name))
	a.Props.Set(mapi.PidTagAttachMimeTag, mapi.String("application/octet-stream"))
	a.Props.Set(mapi.PidTagAttachMethod, mapi.Integer32(methodByValue))
	a.Props.Set(mapi.PidTagRenderingPosition, mapi.Integer32(-1))
	a.Props.Set(mapi.PidTagAttachDataBinary, data)
	return a
}

func embedded(number uint32, subject string) exmdb.Attachment {
	a := exmdb.Attachment{Number: number, IsMessage: true, Embedded: &exmdb.MessageContent{}}
	a.Props.Set(mapi.PidTagAttachFilename, mapi.String(subject))
	a.Props.Set(mapi.PidTagAttachMethod, mapi.Integer32(methodEmbedded))
	a.Props.Set(mapi.PidTagRenderingPosition, mapi.Integer32(-1))
	a.Embedded.Props.Set(mapi.PidTagMessageClass, mapi.String("IPM.Note"))
	a.Embedded.Props.Set(mapi.PidTagSubject, mapi.String(subject))
	return a
}

func TestRoundTrip(t *testing.T) {
	var names, again oxcmsg.Names
	c := content{}
	m := letter(&names, c)
	m.Unknown = []Attribute{{0x0006_7FFF, []byte("kept")}}
	b := write(t, m, &names, c)
	if !bytes.Equal(b, write(t, m, &names, c)) {
		t.Error("two writings differ")
	}
	got, err := Read(b, &again)
	if err != nil || got.Damaged || got.Key != 7 || got.CodePage != 1252 {
		t.Fatalf("%v, %+v", err, got)
	}
	if got, want := dump(&got.MessageContent, &again, c), dump(&m.MessageContent, &names, c); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if len(got.Unknown) != 1 || string(got.Unknown[0].Data) != "kept" {
		t.Errorf("unknown: %v", got.Unknown)
	}
}

// samples has a value of each type that TNEF can carry.
var samples = []mapi.Prop{
	{Tag: 0x6601_0002, Value: mapi.Integer16(-2)}, {Tag: 0x6602_0003, Value: mapi.Integer32(-3)}, {Tag: 0x6603_0004, Value: mapi.Floating32(1.5)},
	{Tag: 0x6604_0005, Value: mapi.Floating64(2.5)}, {Tag: 0x6605_0006, Value: mapi.Currency(12_3400)}, {Tag: 0x6606_0007, Value: mapi.AppTime(40000.25)},
	{Tag: 0x6607_000A, Value: mapi.ErrorNotFound}, {Tag: 0x6608_000B, Value: mapi.Boolean(true)}, {Tag: 0x6609_0014, Value: mapi.Integer64(-1 << 40)},
	{Tag: 0x660A_001F, Value: mapi.String("ä😀")}, {Tag: 0x660B_0040, Value: sentAt}, {Tag: 0x660C_0048, Value: iidMessage}, {Tag: 0x660D_0102, Value: mapi.Binary{1, 2, 3}},
	{Tag: 0x660E_1002, Value: mapi.Integers16{1, -1, 2}}, {Tag: 0x660F_1003, Value: mapi.Integers32{1, -1}}, {Tag: 0x6610_1014, Value: mapi.Integers64{5}},
	{Tag: 0x6611_101F, Value: mapi.Strings{"", "b", "cde"}}, {Tag: 0x6612_1102, Value: mapi.Binaries{{1}, {}, {2, 3, 4, 5}}}, {Tag: 0x6613_1040, Value: mapi.Times{sentAt, 1}},
	{Tag: 0x6614_1048, Value: mapi.GUIDs{iidMessage, iidStorage}}, {Tag: 0x6615_1005, Value: mapi.Floatings64{0.5}}, {Tag: 0x6616_1004, Value: mapi.Floatings32{0.5, 1}},
	{Tag: 0x6617_1006, Value: mapi.Currencies{7}}, {Tag: 0x6618_1007, Value: mapi.AppTimes{7}}, {Tag: 0x6619_0001, Value: mapi.Null{}},
}

func TestEveryType(t *testing.T) {
	m := &Message{CodePage: 1252}
	for _, p := range samples {
		m.Props.Set(p.Tag, p.Value)
	}
	var names oxcmsg.Names
	got, err := Read(write(t, m, &names, nil), &names)
	if err != nil || got.Damaged {
		t.Fatal(err, got)
	}
	if got, want := dump(&got.MessageContent, &names, nil), dump(&m.MessageContent, &names, nil); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestGenerated: whatever is in a message comes back.
func TestGenerated(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var names, again oxcmsg.Names
		m := &Message{CodePage: rapid.SampledFrom([]int{1252, 1250, 932, 65001, 1, 0}).Draw(t, "page")}
		n := rapid.IntRange(0, 8).Draw(t, "props")
		for range n {
			p := rapid.SampledFrom(samples).Draw(t, "prop")
			if rapid.Bool().Draw(t, "named") {
				name := mapi.PropertyName{Set: mapi.PSPublicStrings, Kind: mapi.NameByString, Name: rapid.StringMatching(`[a-zä]{1,9}`).Draw(t, "name")}
				names.Set(&m.Props, mapi.NamedProperty{PropertyName: name, Type: p.Tag.Type()}, p.Value)
			} else {
				m.Props.Set(p.Tag, p.Value)
			}
		}
		for i := range rapid.IntRange(0, 3).Draw(t, "files") {
			a := file(uint32(i), rapid.StringMatching(`[a-z ü]{1,9}`).Draw(t, "file"), mapi.Binary(rapid.SliceOf(rapid.Byte()).Draw(t, "data")))
			if rapid.Bool().Draw(t, "message") {
				a = embedded(uint32(i), rapid.StringMatching(`[a-z日]{1,9}`).Draw(t, "subject"))
			}
			m.Attachments = append(m.Attachments, a)
		}
		w := Writer{Names: &names}
		r, _, err := w.Stream(m)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Read(b, &again)
		if err != nil || got.Damaged {
			t.Fatalf("%v, %+v", err, got)
		}
		if got, want := dump(&got.MessageContent, &again, nil), dump(&m.MessageContent, &names, nil); got != want {
			t.Fatalf("got\n%s\nwant\n%s", got, want)
		}
	})
}

// attributes puts a stream together by hand.
func attributes(list ...any) []byte {
	b := binary.LittleEndian.AppendUint32(nil, Signature)
	b = append(b, 1, 0)
	for i := 0; i < len(list); i += 3 {
		data := []byte(list[i+2].(string))
		b = append(b, byte(list[i].(level)))
		b = binary.LittleEndian.AppendUint32(b, uint32(list[i+1].(attributeID)))
		b = binary.LittleEndian.AppendUint32(b, uint32(len(data)))
		b = append(b, data...)
		b = binary.LittleEndian.AppendUint16(b, checksum(data))
	}
	return b
}

// TestAttributesOfOldWriters: those that wrote no encapsulated properties, in their code page.
func TestAttributesOfOldWriters(t *testing.T) {
	var names oxcmsg.Names
	b := attributes(levelMessage, attTnefVersion, "\x00\x00\x01\x00", levelMessage, attOemCodepage, "\xe3\x04\x00\x00\x00\x00\x00\x00",
		levelMessage, attMessageClass, "IPM.Microsoft Mail.Note\x00", levelMessage, attPriority, "\x01\x00", levelMessage, attSubject, "\xcf\xf0\xe8\xe2\xe5\xf2\x00",
		levelMessage, attDateSent, "\xd4\x07\x02\x00\x11\x00\x0b\x00\x19\x00\x23\x00\x02\x00", levelMessage, attBody, "one\r\ntwo\x00",
		levelMessage, attMessageID, "757BB19CDE936A40\x00", levelMessage, attFrom, "\x04\x00\x1c\x00\x05\x00\x14\x00Anna\x00SMTP:anna@x.example\x00",
		levelMessage, attAidOwner, "\x05\x00\x00\x00", levelMessage, attRequestRes, "\x01\x00",
		levelAttachment, attAttachRenddata, "\x01\x00\xff\xff\xff\xff\x00\x00\x00\x00\x00\x00\x00\x00", levelAttachment, attAttachTitle, "a.txt\x00",
		levelAttachment, attAttachModifyDate, "\xd4\x07\x02\x00\x11\x00\x0b\x00\x19\x00\x23\x00\x02\x00", levelAttachment, attAttachData, "data")
	m, err := Read(b, &names)
	if err != nil || m.Damaged {
		t.Fatal(err, m)
	}
	at := mapi.FileTimeOf(time.Date(2004, 2, 17, 11, 25, 35, 0, time.UTC))
	for tag, want := range map[mapi.Tag]mapi.Value{
		mapi.PidTagMessageClass: mapi.String("IPM.Note"), mapi.PidTagImportance: mapi.Integer32(2), mapi.PidTagSubject: mapi.String("Привет"), mapi.PidTagClientSubmitTime: at,
		mapi.PidTagBody: mapi.String("one\r\ntwo"), mapi.PidTagSenderName: mapi.String("Anna"), mapi.PidTagSenderEmailAddress: mapi.String("anna@x.example"),
		mapi.PidTagOwnerAppointmentId: mapi.Integer32(5), mapi.PidTagResponseRequested: mapi.Boolean(true),
	} {
		if got := m.Props.Get(tag); got != want {
			t.Errorf("%s is %v", tag.Name(), got)
		}
	}
	if len(m.Attachments) != 1 || fmt.Sprintf("%s", m.Attachments[0].Props.Get(mapi.PidTagAttachDataBinary)) != "data" || m.Attachments[0].Props.Get(mapi.PidTagLastModificationTime) != at {
		t.Errorf("%+v", m.Attachments)
	}
}

// TestDamage: what stands before it is given.
func TestDamage(t *testing.T) {
	var names oxcmsg.Names
	c := content{}
	whole := write(t, letter(&names, c), &names, c)
	if _, err := Read([]byte("PK\x03\x04 no TNEF"), &names); !errors.Is(err, ErrNotTNEF) {
		t.Error(err)
	}
	for _, cut := range []int{6, 30, 100, len(whole) / 2, len(whole) - 1} {
		m, err := Read(whole[:cut], &names)
		if err != nil || m.Damaged != (cut > 6) {
			t.Errorf("cut at %d: %v", cut, err)
		}
		if cut > len(whole)/3 && m.Props.Get(mapi.PidTagSubject) != mapi.String("Plans for the harbour") {
			t.Errorf("cut at %d: %v", cut, m.Props.All())
		}
	}
	wrong := bytes.Clone(whole)
	wrong[len(wrong)-1]++
	if m, err := Read(wrong, &names); err != nil || !m.Damaged || len(m.Attachments) != 3 {
		t.Errorf("checksum: %v, %+v", err, m)
	}
	if m, err := Read(attributes(levelMessage, attMsgProps, "\xff\xff\xff\xff\x03\x10\x01\x66\xff\xff\xff\x7f"), &names); err != nil || !m.Damaged {
		t.Errorf("counts that are not true: %v", err)
	}
	if m, err := Read(attributes(levelAttachment, attAttachData, "lost"), &names); err != nil || !m.Damaged || len(m.Attachments) != 1 {
		t.Errorf("data without attachment: %v", err)
	}
}

// TestNesting: messages in messages end somewhere, in both directions.
func TestNesting(t *testing.T) {
	var names oxcmsg.Names
	nest := func(depth int) *Message {
		m := &exmdb.MessageContent{}
		for range depth {
			a := embedded(0, "x")
			a.Embedded = m
			m = &exmdb.MessageContent{Attachments: []exmdb.Attachment{a}}
		}
		return &Message{MessageContent: *m}
	}
	b := write(t, nest(MaxDepth-1), &names, nil)
	if m, err := Read(b, &names); err != nil || m.Damaged {
		t.Errorf("%v", err)
	}
	w := Writer{Names: &names}
	if _, _, err := w.Stream(nest(MaxDepth)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("%v", err)
	}
}

// TestYtnefAgrees: Debian's ytnef finds the attachments with their bytes, and ytnefprint what the message says.
func TestYtnefAgrees(t *testing.T) {
	objects.Need(t, "ytnef-tools", "ytnef", "ytnefprint")
	var names oxcmsg.Names
	c := content{}
	dir := t.TempDir()
	path := filepath.Join(dir, "winmail.dat")
	if err := os.WriteFile(path, write(t, letter(&names, c), &names, c), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("ytnef", "-f", dir, path).CombinedOutput(); err != nil {
		t.Fatalf("ytnef: %v\n%s", err, out)
	}
	long := bytes.Repeat([]byte{0, 1, 2, 3, 250}, 5000)
	found := map[string]bool{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		found["plan"] = found["plan"] || e.Name() == "Plan.txt" && string(b) == "the plan"
		found["long"] = found["long"] || bytes.Equal(b, long)
	}
	out, err := exec.Command("ytnefprint", path).CombinedOutput()
	if err != nil {
		t.Fatalf("ytnefprint: %v\n%s", err, out)
	}
	for _, want := range []string{"Plans for the harbour", "IPM.Microsoft Mail.Note", "Plan.txt", "See below."} {
		found[want] = bytes.Contains(out, []byte(want))
	}
	for what, there := range found {
		if !there {
			t.Errorf("ytnef does not find %q in\n%s", what, out)
		}
	}
	if bytes.Contains(out, []byte("ERROR")) || bytes.Contains(out, []byte("Checksum mismatch")) {
		t.Errorf("ytnef complains:\n%s", out)
	}
}

func FuzzRead(f *testing.F) {
	var names oxcmsg.Names
	c := content{}
	small := letter(&names, c)
	small.Attachments[1].Props.Set(mapi.PidTagAttachDataBinary, mapi.Binary("small"))
	f.Add(write(f, small, &names, c))
	f.Add(attributes(levelMessage, attDateSent, "\xd4\x07\x02\x00\x11\x00\x0b\x00\x19\x00\x23\x00\x02\x00", levelAttachment, attAttachRenddata, "\x02\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		defer testkit.Bounded(t)()
		var names, again oxcmsg.Names
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		m, err := Read(b, &names)
		runtime.ReadMemStats(&after)
		if spent := after.TotalAlloc - before.TotalAlloc; spent > 1<<20+200*uint64(len(b)) {
			t.Fatalf("%d bytes took %d", len(b), spent)
		}
		if err != nil {
			return
		}
		w := Writer{Names: &names}
		r, _, err := w.Stream(m)
		if err != nil {
			t.Fatal(err)
		}
		out, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Read(out, &again)
		if err != nil || got.Damaged {
			t.Fatalf("what was written cannot be read: %v, %+v", err, got)
		}
		if len(got.Attachments) != len(m.Attachments) || len(got.Recipients) != len(m.Recipients) {
			t.Fatalf("%d attachments and %d recipients come back as %d and %d", len(m.Attachments), len(m.Recipients), len(got.Attachments), len(got.Recipients))
		}
	})
}

func BenchmarkRead5MB(b *testing.B) {
	var names oxcmsg.Names
	m := letter(&names, content{})
	m.Attachments = []exmdb.Attachment{file(0, "a.bin", mapi.Binary(make([]byte, 5<<20)))}
	stream := write(b, m, &names, nil)
	b.SetBytes(int64(len(stream)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Read(stream, &names); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkWrite5MB(b *testing.B) {
	var names oxcmsg.Names
	c := content{}
	m := letter(&names, c)
	m.Attachments = []exmdb.Attachment{file(0, "a.bin", c.put(make([]byte, 5<<20)))}
	w := Writer{Names: &names, Open: c.open}
	b.SetBytes(5 << 20)
	b.ReportAllocs()
	for b.Loop() {
		r, _, err := w.Stream(m)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, r); err != nil {
			b.Fatal(err)
		}
	}
}
