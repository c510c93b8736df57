package content

import (
	"bytes"
	"encoding/base64"
	"errors"
	"testing"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/formats/mime"
	"pgregory.net/rapid"
)

type memory map[space.Hash][]byte

func (m memory) Content(h space.Hash) ([]byte, error) {
	if b, ok := m[h]; ok {
		return b, nil
	}
	return nil, cluster.ErrContentMissing
}

// put cuts data into chunks of the sizes given, the last repeated, and returns what a recipe says of them.
func (m memory) put(data []byte, chunk int) []exmdb.ChunkRef {
	var refs []exmdb.ChunkRef
	for len(data) > 0 {
		n := min(chunk, len(data))
		h := space.HashOf(data[:n])
		m[h] = data[:n]
		refs = append(refs, exmdb.ChunkRef{Hash: h, Size: uint32(n)})
		data = data[n:]
	}
	return refs
}

// lines is base64 in the plainest way: encode, then cut.
func lines(data []byte, line int, last bool) []byte {
	text := base64.StdEncoding.EncodeToString(data)
	var out []byte
	for len(text) > line {
		out = append(append(out, text[:line]...), "\r\n"...)
		text = text[line:]
	}
	out = append(out, text...)
	if last {
		out = append(out, "\r\n"...)
	}
	return out
}

func recipes(m memory) *rapid.Generator[wholeRecipe] {
	return rapid.Custom(func(t *rapid.T) wholeRecipe {
		w := wholeRecipe{}
		w.recipe.Prefix = rapid.SliceOfN(rapid.Byte(), 0, 30).Draw(t, "prefix")
		w.octets = append(w.octets, w.recipe.Prefix...)
		for range rapid.IntRange(0, 5).Draw(t, "segments") {
			data := rapid.SliceOfN(rapid.Byte(), 1, 400).Draw(t, "data")
			chunk := rapid.IntRange(1, 120).Draw(t, "chunk")
			s := exmdb.Segment{}
			octets := data
			switch rapid.IntRange(0, 3).Draw(t, "form") {
			case 0:
				s.Raw = data
			case 1:
				s.Chunks, s.Octets = m.put(data, chunk), uint64(len(data))
			case 2:
				s.Line = 4 * rapid.Uint32Range(1, 40).Draw(t, "line")
				s.Encoding, s.LastCRLF = exmdb.EncodingBase64, rapid.Bool().Draw(t, "crlf")
				octets = lines(data, int(s.Line), s.LastCRLF)
				s.Chunks, s.Octets = m.put(data, chunk), uint64(len(octets))
			case 3:
				s.Encoding = rapid.SampledFrom([]exmdb.Encoding{exmdb.EncodingQP75, exmdb.EncodingQP76}).Draw(t, "column")
				octets = quotedPrintable(t, s.Encoding, data)
				s.Chunks, s.Octets = m.put(data, chunk), uint64(len(octets))
			}
			w.recipe.Segments = append(w.recipe.Segments, s)
			w.octets = append(w.octets, octets...)
		}
		return w
	})
}

// quotedPrintable is content in quoted-printable, all of it written at once.
func quotedPrintable(t require, e exmdb.Encoding, data []byte) []byte {
	form := map[exmdb.Encoding]mime.LayoutForm{exmdb.EncodingQP75: mime.LayoutQP75, exmdb.EncodingQP76: mime.LayoutQP76}[e]
	var b bytes.Buffer
	enc := mime.Layout{Form: form}.Encoder(&b)
	if _, err := enc.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := enc.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// require is what a test and a rapid one have in common.
type require interface{ Fatal(args ...any) }

type wholeRecipe struct {
	recipe exmdb.Recipe
	octets []byte
}

func TestReadAnyRange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := memory{}
		w := recipes(m).Draw(t, "message")
		if _, err := Check(&exmdb.NewMessage{Recipe: w.recipe}, exmdb.MaxMessage); err != nil {
			t.Fatalf("a sound recipe is refused: %v", err)
		}
		if w.recipe.Size() != uint64(len(w.octets)) {
			t.Fatalf("size %d, want %d", w.recipe.Size(), len(w.octets))
		}
		for range 8 {
			off := rapid.IntRange(0, len(w.octets)+3).Draw(t, "offset")
			n := rapid.IntRange(0, len(w.octets)+3).Draw(t, "length")
			got, err := Read(m, &w.recipe, uint64(off), uint32(n))
			if err != nil {
				t.Fatal(err)
			}
			want := w.octets[min(off, len(w.octets)):min(off+n, len(w.octets))]
			if !bytes.Equal(got, want) {
				t.Fatalf("octets %d+%d are %q, want %q", off, n, got, want)
			}
		}
	})
}

func TestReadOneVeryLongLine(t *testing.T) {
	m := memory{}
	data := bytes.Repeat([]byte("0123456789"), 60_000)
	octets := lines(data, 800_000, true)
	r := exmdb.Recipe{Segments: []exmdb.Segment{{Chunks: m.put(data, exmdb.MaxChunk), Encoding: exmdb.EncodingBase64, Line: 800_000,
		LastCRLF: true, Octets: uint64(len(octets))}}}
	for _, off := range []int{0, 1, 65_535, 300_001, len(octets) - 5} {
		got, err := Read(m, &r, uint64(off), 150_001)
		if err != nil || !bytes.Equal(got, octets[off:min(off+150_001, len(octets))]) {
			t.Fatalf("from %d: %d octets, %v", off, len(got), err)
		}
	}
}

// TestReadLongQuoted: of a body of many blocks and chunks every run is what was received.
func TestReadLongQuoted(t *testing.T) {
	m := memory{}
	data := bytes.Repeat([]byte("A line of \xC3\xA9t\xC3\xA9, and a long one of it = so that it has to be broken somewhere.\r\n"), 4000)
	octets := quotedPrintable(t, exmdb.EncodingQP76, data)
	r := exmdb.Recipe{Segments: []exmdb.Segment{{Chunks: m.put(data, 70_001), Encoding: exmdb.EncodingQP76, Octets: uint64(len(octets))}}}
	for _, off := range []int{0, 1, 16 << 10, 65_535, 300_001, len(octets) - 5} {
		got, err := Read(m, &r, uint64(off), 70_001)
		if err != nil || !bytes.Equal(got, octets[off:min(off+70_001, len(octets))]) {
			t.Fatalf("from %d: %d octets, %v", off, len(got), err)
		}
	}
	r.Segments[0].Octets++
	if _, err := Read(m, &r, uint64(len(octets)-5), 100); !errors.Is(err, cluster.ErrDamaged) {
		t.Errorf("an octet too many: %v", err)
	}
}

func TestReadSaysWhatIsBroken(t *testing.T) {
	m := memory{}
	refs := m.put([]byte("some content"), 5)
	r := exmdb.Recipe{Segments: []exmdb.Segment{{Chunks: refs, Octets: 12}}}
	delete(m, refs[1].Hash)
	if _, err := Read(m, &r, 0, 12); !errors.Is(err, cluster.ErrContentMissing) {
		t.Fatalf("missing chunk: %v", err)
	}
	if got, err := Read(m, &r, 0, 5); err != nil || string(got) != "some " {
		t.Fatalf("what is there reads %q, %v", got, err)
	}
	m[refs[1].Hash] = []byte("x")
	if _, err := Read(m, &r, 0, 12); !errors.Is(err, cluster.ErrDamaged) {
		t.Fatalf("short chunk: %v", err)
	}
}

func TestCheckRefuses(t *testing.T) {
	ref := func(n uint32) []exmdb.ChunkRef {
		return []exmdb.ChunkRef{{Hash: space.HashOf(make([]byte, n)), Size: n}}
	}
	whole := exmdb.Segment{Chunks: ref(10), Octets: 10}
	for name, tc := range map[string]struct {
		m    exmdb.NewMessage
		kind cluster.Kind
	}{
		"raw with encoding":   {msg(exmdb.Segment{Raw: []byte("x"), Encoding: exmdb.EncodingBase64}), exmdb.KindBadContent},
		"raw and content":     {msg(exmdb.Segment{Raw: []byte("x"), Chunks: ref(1), Octets: 1}), exmdb.KindBadContent},
		"empty chunk":         {msg(exmdb.Segment{Chunks: ref(0)}), exmdb.KindBadContent},
		"chunk too long":      {msg(exmdb.Segment{Chunks: ref(exmdb.MaxChunk + 1), Octets: exmdb.MaxChunk + 1}), exmdb.KindBadContent},
		"wrong sum":           {msg(exmdb.Segment{Chunks: ref(10), Octets: 11}), exmdb.KindBadContent},
		"line of nought":      {msg(exmdb.Segment{Chunks: ref(3), Octets: 4, Encoding: exmdb.EncodingBase64}), exmdb.KindBadContent},
		"line of 75":          {msg(exmdb.Segment{Chunks: ref(3), Octets: 4, Encoding: exmdb.EncodingBase64, Line: 75}), exmdb.KindBadContent},
		"line without base64": {msg(exmdb.Segment{Chunks: ref(3), Octets: 3, Line: 76}), exmdb.KindBadContent},
		"quoted too short":    {msg(exmdb.Segment{Chunks: ref(10), Octets: 9, Encoding: exmdb.EncodingQP75}), exmdb.KindBadContent},
		"quoted too long":     {msg(exmdb.Segment{Chunks: ref(10), Octets: 41, Encoding: exmdb.EncodingQP76}), exmdb.KindBadContent},
		"quoted beyond":       {msg(exmdb.Segment{Chunks: ref(exmdb.MaxChunk), Octets: exmdb.MaxQuoted + 1, Encoding: exmdb.EncodingQP75}), exmdb.KindBadContent},
		"quoted with a line":  {msg(exmdb.Segment{Chunks: ref(10), Octets: 10, Encoding: exmdb.EncodingQP75, Line: 76}), exmdb.KindBadContent},
		"unknown encoding":    {msg(exmdb.Segment{Chunks: ref(3), Octets: 3, Encoding: 9}), exmdb.KindBadContent},
		"two sizes": {msg(whole, exmdb.Segment{Chunks: []exmdb.ChunkRef{{Hash: whole.Chunks[0].Hash, Size: 11}}, Octets: 11}),
			exmdb.KindBadContent},
		"inline that is not named": {exmdb.NewMessage{Recipe: exmdb.Recipe{Segments: []exmdb.Segment{whole}}, Inline: [][]byte{[]byte("x")}},
			exmdb.KindBadContent},
		"too large":     {msg(exmdb.Segment{Raw: make([]byte, 101)}), exmdb.KindTooBig},
		"digest beyond": {exmdb.NewMessage{Digest: make([]byte, MaxDigest+1)}, exmdb.KindTooBig},
	} {
		limit := uint64(exmdb.MaxMessage)
		if name == "too large" {
			limit = 100
		}
		if _, err := Check(&tc.m, limit); cluster.KindOf(err) != tc.kind {
			t.Errorf("%s: %v", name, err)
		}
	}
	good := exmdb.NewMessage{Recipe: exmdb.Recipe{Segments: []exmdb.Segment{whole}}, Inline: [][]byte{make([]byte, 10)}}
	if inline, err := Check(&good, 100); err != nil || len(inline) != 1 {
		t.Errorf("sound message: %v", err)
	}
}

func msg(s ...exmdb.Segment) exmdb.NewMessage {
	return exmdb.NewMessage{Recipe: exmdb.Recipe{Segments: s}}
}

func BenchmarkReadBase64(b *testing.B) {
	m := memory{}
	data := bytes.Repeat([]byte("0123456789abcdef"), 256<<10)
	r := exmdb.Recipe{Segments: []exmdb.Segment{{Chunks: m.put(data, exmdb.MaxChunk), Encoding: exmdb.EncodingBase64, Line: 76,
		LastCRLF: true, Octets: encodedSize(len(data), 76)}}}
	b.SetBytes(1 << 20)
	for b.Loop() {
		if _, err := Read(m, &r, 777_777, 1<<20); err != nil {
			b.Fatal(err)
		}
	}
}

// encodedSize is how many octets n bytes make with an end of the last line.
func encodedSize(n int, line uint32) uint64 {
	octets, _ := exmdb.Base64Size(uint64(n), line, true)
	return octets
}
