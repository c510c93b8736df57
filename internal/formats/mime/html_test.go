package mime

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func shownHTML(t testing.TB, r io.Reader) string {
	t.Helper()
	b, err := io.ReadAll(NewHTMLText(r))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestHTMLText: what HTML shows, white space aside, whichever way it comes in pieces.
func TestHTMLText(t *testing.T) {
	for in, want := range map[string]string{
		"plain":                      "plain",
		"<p>one</p><p>two":           "one two",
		"<td>a</td><td>b":            "a b",
		"Har<b>bour</b> <i>wall</i>": "Harbour wall",
		"a<br>b<br/>c<BR />d":        "a b c d",
		"Gr&ouml;&szlig;e &amp;amp; &#65;&#x42; &euro;":  "Größe &amp; AB €",
		"&copy 2025 &notthere; &; & x&y":                 "© 2025 ¬there; &; & x&y",
		"&" + strings.Repeat("a", 50) + ";":              "&" + strings.Repeat("a", 50) + ";",
		"tail &lt":                                       "tail <",
		"a<!-- hidden <b> -- > --!>b":                    "ab",
		"a<!-->b<!--->c<!---->d":                         "abcd",
		"a<!doctype html><?xml version='>'?>b":           "a'?>b",
		"<!--[if mso]>hidden<![endif]-->shown":           "shown",
		"<![if !mso]>shown<![endif]>":                    "shown",
		"a<script>if (a<b) '</p>' </scriptx></SCRIPT >b": "a b",
		"a<style type='x>y'>p {}<</style>b":              "a b",
		"<script src=x>never ended":                      "",
		"<a title='a>b' href=\"c>d\" x=e>link</a>":       "link",
		"<p title=it's>apostrophe</p>":                   "apostrophe",
		"1 < 2 and 3 <4 <> </> x":                        "1 < 2 and 3 <4 <> x",
		"<title>Title</title><body>text":                 "Title text",
		"cut <b":                                         "cut",
		"":                                               "",
	} {
		for name, r := range map[string]io.Reader{"whole": strings.NewReader(in), "bytes": iotest.OneByteReader(strings.NewReader(in)),
			"at the end": iotest.DataErrReader(strings.NewReader(in))} {
			if got := strings.Join(strings.Fields(shownHTML(t, r)), " "); got != want {
				t.Errorf("%s, %q: %q, want %q", name, in, got, want)
			}
		}
	}
}

// TestSearchShown: SEARCH finds what HTML shows, over tags and through character references, and not what tags are made of.
func TestSearchShown(t *testing.T) {
	raw := []byte("Content-Type: text/html; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" +
		"<div class=3D\"invisible\">Gr=F6&szlig;e <b>Har</b>bour</div><div>wall</div><style>hidden</style>\r\n")
	root := Scan(raw)
	for needle, want := range map[string]bool{"größe harbour": true, "harbour wall": true, "harbourwall": false, "invisible": false, "hidden": false, "<b>": false} {
		found, err := root.SearchMessage(bytes.NewReader(raw), needle, InBody)
		if err != nil || found != want {
			t.Errorf("%q: %v, %v", needle, found, err)
		}
	}
}

// TestHTMLTextMemory: what is in a tag, a comment or a script is not kept, however long it is.
func TestHTMLTextMemory(t *testing.T) {
	long := func() io.Reader {
		fill := strings.NewReader(strings.Repeat("x&lt;y ", 1<<20))
		return io.MultiReader(strings.NewReader("<img src='"), fill, strings.NewReader("'><!--"), strings.NewReader(strings.Repeat("-x", 1<<20)), strings.NewReader("--><p>end"))
	}
	if got := strings.TrimSpace(shownHTML(t, long())); got != "end" {
		t.Errorf("%.40q", got)
	}
	r := NewHTMLText(long())
	h := r.(*htmlText)
	if _, err := io.Copy(io.Discard, r); err != nil || cap(h.out) > 2*htmlBlock || cap(h.kept) > 2*longestReference {
		t.Errorf("%d and %d bytes kept, %v", cap(h.out), cap(h.kept), err)
	}
}

// FuzzHTMLText: whatever comes, in whatever pieces, the text is the same and not much longer than what it was made of.
func FuzzHTMLText(f *testing.F) {
	for _, seed := range []string{"<p>one</p>", "a<!-- b -->c", "&ouml;&#x1F600;&amp", "<script>x</script>y", "<a b='c>'>", "<![CDATA[x]]>", "&nGt;&nGt;"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		whole := shownHTML(t, bytes.NewReader(b))
		if pieces := shownHTML(t, iotest.OneByteReader(bytes.NewReader(b))); pieces != whole {
			t.Fatalf("%q in one, %q in pieces", whole, pieces)
		}
		if len(whole) > 2*len(b)+8 {
			t.Fatalf("%d bytes of %d", len(whole), len(b))
		}
	})
}

func BenchmarkHTMLText(b *testing.B) {
	text := []byte(strings.Repeat("<div style='margin:0'><p class=MsoNormal>Some <b>text</b> &amp; more of it&nbsp;here.</p></div>\r\n", 800))
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := io.Copy(io.Discard, NewHTMLText(bytes.NewReader(text))); err != nil {
			b.Fatal(err)
		}
	}
}
