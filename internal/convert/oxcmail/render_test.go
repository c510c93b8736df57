package oxcmail

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/formats/mime"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/testkit"
)

// contents is what is kept as content, by hash.
type contents map[[32]byte][]byte

// put keeps data in chunks of so many bytes.
func (c contents) put(data []byte, chunk int) mapi.Reference {
	var ref mapi.Reference
	for len(data) > 0 {
		n := min(chunk, len(data))
		h := sha256.Sum256(data[:n])
		c[h] = data[:n]
		ref = append(ref, mapi.ContentRef{Hash: h, Size: uint32(n)})
		data = data[n:]
	}
	return ref
}

// octets puts a form together in the plainest way.
func (c contents) octets(t testing.TB, f *Form) []byte {
	t.Helper()
	var out []byte
	for _, s := range f.Recipe.Segments {
		if len(s.Chunks) == 0 {
			out = append(out, s.Raw...)
			continue
		}
		var data []byte
		for _, ref := range s.Chunks {
			data = append(data, c[ref.Hash]...)
		}
		if s.Encoding == exmdb.EncodingNone {
			out = append(out, data...)
			continue
		}
		text := base64.StdEncoding.EncodeToString(data)
		start := len(out)
		for ; len(text) > int(s.Line); text = text[s.Line:] {
			out = append(append(out, text[:s.Line]...), "\r\n"...)
		}
		if out = append(out, text...); len(out)-start != int(s.Octets) {
			t.Fatalf("segment of %d octets says %d", len(out)-start, s.Octets)
		}
	}
	return out
}

// randomMessage is a message with whatever a client may have put there.
func randomMessage(rng *rand.Rand, c contents, depth int) *exmdb.MessageContent {
	m := &exmdb.MessageContent{}
	texts := []string{"", "plain", "zwei Wörter", "a\r\nBcc: injected@example.test", strings.Repeat("long words in a row ", 30), "\x00\x7f\xff", `"quoted" <x>`, "日本語のテキスト", "=?utf-8?q?x?="}
	text := func() mapi.String { return mapi.String(strings.ToValidUTF8(texts[rng.IntN(len(texts))], "")) }
	for _, t := range []mapi.Tag{mapi.PidTagSubjectPrefix, mapi.PidTagNormalizedSubject, mapi.PidTagSentRepresentingName, mapi.PidTagSentRepresentingSmtpAddress,
		mapi.PidTagSenderName, mapi.PidTagSenderEmailAddress, mapi.PidTagInternetMessageId, mapi.PidTagInReplyToId, mapi.PidTagConversationTopic} {
		if rng.IntN(2) == 0 {
			m.Props.Set(t, text())
		}
	}
	if rng.IntN(2) == 0 {
		m.Props.Set(mapi.PidTagSentRepresentingSmtpAddress, mapi.String("anna@example.test"))
	}
	data := func() mapi.Value {
		b := make([]byte, []int{0, 1, 2, 57, 58, 200, 9000, 30_000}[rng.IntN(8)])
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		if len(b) > mapi.MaxStoredValue {
			return c.put(b, 1000+rng.IntN(20_000))
		}
		return mapi.Binary(b)
	}
	if rng.IntN(2) == 0 {
		m.Props.Set(mapi.PidTagBody, text())
	}
	if rng.IntN(2) == 0 {
		m.Props.Set(mapi.PidTagHtml, data())
		m.Props.Set(mapi.PidTagInternetCodepage, mapi.Integer32(1252))
	}
	for range rng.IntN(3) {
		r := recipientBag(int32(rng.IntN(4)), string(text()), "bert@example.test")
		m.Recipients = append(m.Recipients, r)
	}
	for i := range rng.IntN(4) {
		a := exmdb.Attachment{Number: uint32(i)}
		a.Props.Set(mapi.PidTagAttachLongFilename, text())
		a.Props.Set(mapi.PidTagAttachMimeTag, mapi.String([]string{"", "image/png", "multipart/mixed", "message/rfc822", "bad", "text/plain"}[rng.IntN(6)]))
		if rng.IntN(3) == 0 {
			a.Props.Set(mapi.PidTagAttachContentId, text())
		}
		if a.Props.Set(mapi.PidTagAttachDataBinary, data()); depth > 0 && rng.IntN(2) == 0 {
			a.Embedded = randomMessage(rng, c, depth-1)
		}
		m.Attachments = append(m.Attachments, a)
	}
	return m
}

func recipientBag(kind int32, name, address string) mapi.PropBag {
	var bag mapi.PropBag
	bag.Set(mapi.PidTagRecipientType, mapi.Integer32(kind))
	bag.Set(mapi.PidTagDisplayName, mapi.String(name))
	bag.Set(mapi.PidTagSmtpAddress, mapi.String(address))
	return bag
}

// TestRenderedFormIsWhatItSays: the tree that was computed is the one a scan of the octets finds, whatever is in the
// message, and two renderings are one.
func TestRenderedFormIsWhatItSays(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 7))
	for range 400 {
		c := contents{}
		m := randomMessage(rng, c, 3)
		form, again := Render(m), Render(m)
		octets := c.octets(t, &form)
		if !bytes.Equal(octets, c.octets(t, &again)) {
			t.Fatalf("seed %d: two renderings differ", seed)
		}
		if form.Recipe.Size() != uint64(len(octets)) {
			t.Fatalf("seed %d: %d octets, the recipe says %d", seed, len(octets), form.Recipe.Size())
		}
		if got, want := mime.MarshalDigest(form.Root), mime.MarshalDigest(mime.Scan(octets)); !bytes.Equal(got, want) {
			t.Fatalf("seed %d: computed %x, scanned %x of\n%s", seed, got, want, octets)
		}
		if !bytes.HasSuffix(octets, []byte("\r\n")) {
			t.Fatalf("seed %d:\n%s", seed, octets)
		}
		for p := range form.Root.All() {
			if p.Envelope != nil && slices.ContainsFunc(p.Envelope.Bcc, func(a mime.Address) bool { return a.Local == "injected" }) {
				t.Fatalf("seed %d: a field came out of a value:\n%s", seed, octets)
			}
		}
	}
}

// TestRenderReadsBack: what a message says is what its form says.
func TestRenderReadsBack(t *testing.T) {
	m := &exmdb.MessageContent{Recipients: []mapi.PropBag{recipientBag(1, "Bert Bär", "bert@example.test"), recipientBag(2, "", "carl@example.test"), recipientBag(1, "Group", "")}}
	html := []byte("<p>Gr\xfc\xdfe</p>")
	for tag, v := range map[mapi.Tag]mapi.Value{
		mapi.PidTagSubjectPrefix: mapi.String("RE: "), mapi.PidTagNormalizedSubject: mapi.String("Grüße aus dem Hafen"), mapi.PidTagBody: mapi.String("Grüße"),
		mapi.PidTagHtml: mapi.Binary(html), mapi.PidTagInternetCodepage: mapi.Integer32(1252), mapi.PidTagSentRepresentingName: mapi.String("Anna"),
		mapi.PidTagSentRepresentingSmtpAddress: mapi.String("anna@example.test"), mapi.PidTagImportance: mapi.Integer32(2), mapi.PidTagInternetMessageId: mapi.String("<1@example.test>"),
		mapi.PidTagClientSubmitTime: mapi.FileTimeOf(time.Date(2026, 3, 3, 9, 20, 30, 0, time.UTC)), mapi.PidTagConversationIndex: mapi.Binary(make([]byte, 22)),
	} {
		m.Props.Set(tag, v)
	}
	file := exmdb.Attachment{}
	file.Props.Set(mapi.PidTagAttachLongFilename, mapi.String("Plan für März.txt"))
	file.Props.Set(mapi.PidTagAttachDataBinary, mapi.Binary("data"))
	m.Attachments = []exmdb.Attachment{file}
	form := Render(m)
	octets := contents{}.octets(t, &form)
	root := mime.Scan(octets)
	bag, err := HeaderProps(root, bytes.NewReader(octets))
	if err != nil {
		t.Fatal(err)
	}
	for _, tag := range []mapi.Tag{mapi.PidTagSubjectPrefix, mapi.PidTagNormalizedSubject, mapi.PidTagSentRepresentingName, mapi.PidTagSentRepresentingSmtpAddress,
		mapi.PidTagImportance, mapi.PidTagInternetMessageId, mapi.PidTagClientSubmitTime, mapi.PidTagConversationIndex} {
		if got, want := fmt.Sprint(bag.Get(tag)), fmt.Sprint(m.Props.Get(tag)); got != want {
			t.Errorf("%s is %s, want %s", tag.Name(), got, want)
		}
	}
	if bag.Get(mapi.PidTagDisplayTo) != mapi.String("Bert Bär") || bag.Get(mapi.PidTagDisplayCc) != mapi.String("carl@example.test") || bag.Get(mapi.PidTagHasAttachments) != mapi.Boolean(true) {
		t.Errorf("%v", bag.All())
	}
	var texts []string
	for leaf := range root.Leaves() {
		decoded, err := io.ReadAll(mime.NewDecoder(leaf.Encoding, bytes.NewReader(octets[leaf.BodyStart:leaf.BodyEnd])))
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, leaf.Type+"/"+leaf.Subtype+" "+leaf.Charset()+" "+leaf.Filename()+" "+string(decoded))
	}
	want := []string{"text/plain utf-8  Grüße", "text/html windows-1252  " + string(html), "application/octet-stream  Plan für März.txt data"}
	if fmt.Sprint(texts) != fmt.Sprint(want) {
		t.Errorf("%q, want %q", texts, want)
	}
}

// TestReheader: fields that properties say are theirs, all others stay as they are.
func TestReheader(t *testing.T) {
	header := "Received: from a by b;\r\n now\r\nFrom: old@example.test\r\nSubject: old\r\n folded\r\nDKIM-Signature: v=1\r\nContent-Type: text/plain\r\n\r\n"
	bag, _ := propsOf(t, "From: Anna <anna@example.test>\nSubject: new\n\n")
	got := string(Reheader([]byte(header), &bag, []mapi.PropBag{recipientBag(1, "", "bert@example.test")}))
	want := "Received: from a by b;\r\n now\r\nDKIM-Signature: v=1\r\nContent-Type: text/plain\r\n" +
		"From: \"Anna\" <anna@example.test>\r\nTo: <bert@example.test>\r\nSubject: new\r\n\r\n"
	if got != want {
		t.Errorf("%q, want %q", got, want)
	}
	var none mapi.PropBag
	if got := string(Reheader([]byte("X: y"), &none, nil)); got != "X: y\r\n\r\n" {
		t.Errorf("%q", got)
	}
}

func FuzzReheader(f *testing.F) {
	f.Add([]byte("From: a\r\n b\r\nX: y\r\n\r\n"), "subject")
	f.Fuzz(func(t *testing.T, header []byte, subject string) {
		defer testkit.Bounded(t)()
		var bag mapi.PropBag
		bag.Set(mapi.PidTagNormalizedSubject, mapi.String(strings.ToValidUTF8(subject, "")))
		out := Reheader(header, &bag, nil)
		root := mime.Scan(out)
		if root.HeaderSize() != int64(len(out)) {
			t.Fatalf("a header of %d octets is read as %d: %q", len(out), root.HeaderSize(), out)
		}
	})
}

// TestReheadedFormIsWhatItSays: the body stays as it was, and the tree is that of the octets.
func TestReheadedFormIsWhatItSays(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 8))
	for range 200 {
		c := contents{}
		form := Render(randomMessage(rng, c, 2))
		octets := c.octets(t, &form)
		header := octets[:form.Root.HeaderSize()]
		edit := randomMessage(rng, c, 0)
		now, ok := Reheaded(form, header, &edit.Props, edit.Recipients)
		if !ok {
			t.Fatalf("seed %d: no header in %q", seed, octets)
		}
		again := c.octets(t, &now)
		if got, want := mime.MarshalDigest(now.Root), mime.MarshalDigest(mime.Scan(again)); !bytes.Equal(got, want) {
			t.Fatalf("seed %d: computed %x, scanned %x of\n%s", seed, got, want, again)
		}
		if !bytes.Equal(again[now.Root.HeaderSize():], octets[form.Root.HeaderSize():]) {
			t.Fatalf("seed %d: another body", seed)
		}
	}
	whole := Form{exmdb.Recipe{Segments: []exmdb.Segment{{Chunks: []exmdb.ChunkRef{{Size: 9}}, Octets: 9}}}, mime.Scan([]byte("X: y\r\n\r\nab"))}
	if _, ok := Reheaded(whole, []byte("X: y\r\n\r\n"), &mapi.PropBag{}, nil); ok {
		t.Error("a header was taken out of content")
	}
}
