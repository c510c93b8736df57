package mime

import (
	"bytes"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
)

const usualHeader = "Received: from mx.example.test (mx.example.test [192.0.2.1])\r\n\tby mail.example.test with ESMTPS id 4ABCDEF\r\n" +
	"\tfor <bob@example.test>; Mon, 23 Nov 2026 10:00:01 +0100 (CET)\r\n" +
	"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.test; s=sel;\r\n\tbh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=;\r\n" +
	"From: \"Ann Other\" <ann@example.test>\r\nTo: Bob <bob@example.test>, Carol Smith <carol@example.test>\r\n" +
	"Subject: Minutes of the meeting of Monday\r\nDate: Mon, 23 Nov 2026 10:00:00 +0100\r\n" +
	"Message-ID: <20261123100000.4ABCDEF@example.test>\r\nIn-Reply-To: <20261122100000.4ABCDEF@example.test>\r\nMIME-Version: 1.0\r\n"

// usualMail has a text in two forms and an attachment of size octets.
func usualMail(size int) []byte {
	var b bytes.Buffer
	b.WriteString(usualHeader + "Content-Type: multipart/mixed; boundary=\"=_outer\"\r\n\r\n--=_outer\r\n" +
		"Content-Type: multipart/alternative; boundary=\"=_inner\"\r\n\r\n--=_inner\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n" +
		strings.Repeat("Some words that people write to each other in a mail.\r\n", 20) +
		"--=_inner\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" +
		strings.Repeat("<p>Some words that people write to each other in a mail.</p>=\r\n", 20) +
		"--=_inner--\r\n--=_outer\r\nContent-Type: application/pdf; name=\"minutes.pdf\"\r\n" +
		"Content-Disposition: attachment; filename=\"minutes.pdf\"\r\nContent-Transfer-Encoding: base64\r\n\r\n")
	content := make([]byte, size)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range content {
		content[i] = byte(r.Uint32())
	}
	b.Write(wrap64(content, 76, 1))
	b.WriteString("--=_outer--\r\n")
	return b.Bytes()
}

func benchmarkScan(b *testing.B, mail []byte) {
	b.SetBytes(int64(len(mail)))
	b.ReportAllocs()
	for b.Loop() {
		Scan(mail)
	}
}

func BenchmarkScan4KiB(b *testing.B)  { benchmarkScan(b, usualMail(500)) }
func BenchmarkScan75KiB(b *testing.B) { benchmarkScan(b, usualMail(50<<10)) }
func BenchmarkScan10MiB(b *testing.B) { benchmarkScan(b, usualMail(7<<20)) }

func BenchmarkScanPlain(b *testing.B) {
	benchmarkScan(b, []byte(usualHeader+"\r\n"+strings.Repeat("Some words that people write.\r\n", 100)))
}

func BenchmarkScanDashes(b *testing.B) {
	benchmarkScan(b, []byte("Content-Type: multipart/mixed; boundary=x\r\n\r\n"+strings.Repeat("--y\r\n", 100000)))
}

func BenchmarkMarshalDigest(b *testing.B) {
	tree := Scan(usualMail(500))
	b.ReportAllocs()
	for b.Loop() {
		MarshalDigest(tree)
	}
	b.ReportMetric(float64(len(MarshalDigest(tree))), "digest-bytes")
}

func BenchmarkUnmarshalDigest(b *testing.B) {
	digest := MarshalDigest(Scan(usualMail(500)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := UnmarshalDigest(digest); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDigestEnvelope(b *testing.B) {
	digest := MarshalDigest(Scan(usualMail(500)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DigestEnvelope(digest); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDigestSummary(b *testing.B) {
	digest := MarshalDigest(Scan(usualMail(500)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DigestSummary(digest); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkUnencodeBase64(b *testing.B) {
	raw := wrap64(make([]byte, 3<<20), 76, 1)
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		u := NewUnencoder("base64", io.Discard)
		_, _ = u.Write(raw)
		if _, ok, _ := u.Finish(); !ok {
			b.Fatal("not exact")
		}
	}
}

func BenchmarkEncodeBase64(b *testing.B) {
	content := make([]byte, 3<<20)
	l := Layout{Form: LayoutBase64, LineLen: 76, Final: 1}
	b.SetBytes(4 << 20)
	b.ReportAllocs()
	for b.Loop() {
		enc := l.Encoder(io.Discard)
		_, _ = enc.Write(content)
		_ = enc.Close()
	}
}

func BenchmarkDecodeBase64(b *testing.B) {
	raw := wrap64(make([]byte, 3<<20), 76, 1)
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		_, _ = io.Copy(io.Discard, NewDecoder("base64", bytes.NewReader(raw)))
	}
}

func BenchmarkDecodeQuotedPrintable(b *testing.B) {
	raw := []byte(strings.Repeat("Some words =C3=A9 that people write to each other in a mail and so on and on=\r\n", 10000))
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		_, _ = io.Copy(io.Discard, NewDecoder("quoted-printable", bytes.NewReader(raw)))
	}
}

func BenchmarkMatcher(b *testing.B) {
	text := []byte(strings.Repeat("Some words that people write to each other in a mail.\r\n", 10000))
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		m := NewMatcher("nothing like this")
		_, _ = m.Write(text)
	}
}

// TestLongMailTakesConstantMemory passes 100 MB through everything that delivery does while it receives.
func TestLongMailTakesConstantMemory(t *testing.T) {
	head, tail, _ := bytes.Cut(usualMail(57), []byte("base64\r\n\r\n"))
	_, tail, _ = bytes.Cut(tail, []byte("\r\n"))
	line := []byte(strings.Repeat("QUJD", 19) + "\r\n")
	block := bytes.Repeat(line, 400)
	s := NewScanner(Limits{})
	u := NewUnencoder("base64", io.Discard)
	n := NewNormalizer(s)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	_, _ = n.Write(head)
	_, _ = n.Write([]byte("base64\r\n\r\n"))
	size := 0
	for size < 100<<20 {
		_, _ = n.Write(block)
		_, _ = u.Write(block)
		size += len(block)
	}
	_, _ = n.Write(tail)
	tree := s.Finish()
	_, ok, _ := u.Finish()
	runtime.GC()
	runtime.ReadMemStats(&after)
	pdf := tree.At([]int{2})
	if !ok || pdf == nil || pdf.Size() != int64(size-2) || tree.BodyEnd != n.Written() {
		t.Fatalf("exact %v, part %+v of %d", ok, pdf, n.Written())
	}
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 1<<20 {
		t.Errorf("%d octets held after %d", grown, size)
	}
	if total := after.TotalAlloc - before.TotalAlloc; total > 256<<20 {
		t.Errorf("%d octets allocated in all for %d", total, size)
	}
	runtime.KeepAlive(tree)
}

// TestHostileMailIsLinear scans inputs made to be slow; the deadline of the test run is the bound.
func TestHostileMailIsLinear(t *testing.T) {
	const n = 1 << 20
	for _, piece := range []string{
		"(", "\"", "<", "=?a?q?", "=?", ":", "@", ",", "[", "\\", ";", "a@b (", "\"<", "x ", "\" (", "=?a?b?=?=",
	} {
		mail := []byte("To: " + strings.Repeat(piece, n/len(piece)) + "\r\nContent-Type: a/b; x=" + strings.Repeat(piece, n/len(piece)) +
			"\r\nSubject: " + strings.Repeat(piece, n/len(piece)) + "\r\n\r\n")
		tree := Scan(mail)
		checkInvariants(t, tree, mail)
		for _, a := range tree.Envelope.To {
			_ = a.DisplayName()
		}
		_ = tree.Envelope.DecodedSubject()
		_ = tree.Filename()
		roundTrip(t, tree)
	}
}

func TestDigestIsSmallAndCheap(t *testing.T) {
	digest := MarshalDigest(Scan(usualMail(500)))
	if len(digest) > 600 {
		t.Errorf("%d octets", len(digest))
	}
	allocs := testing.AllocsPerRun(100, func() {
		if _, err := DigestEnvelope(digest); err != nil {
			t.Error(err)
		}
	})
	if allocs > 3 {
		t.Errorf("%v allocations for an envelope", allocs)
	}
}
