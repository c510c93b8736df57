package mime

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"pgregory.net/rapid"

	"github.com/flotilla-mail/flotilla/internal/testkit"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the expected trees in testdata")

// oddity is one mail of testdata/scan.
type oddity struct {
	file, name string
	mail       []byte
	want       string
}

// oddities reads testdata/scan: archives of "name.eml" and "name.want" pairs. Lines of a mail end in CRLF but for
// escapes: \lf at the end is a bare LF, \eof no line end, \xNN a byte, \rep{n}{text} repetition.
func oddities(t testing.TB) []oddity {
	t.Helper()
	files, err := filepath.Glob("testdata/scan/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no test mails: %v", err)
	}
	var list []oddity
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]string{}
		for _, f := range archive.Files {
			want[f.Name] = string(f.Data)
		}
		for _, f := range archive.Files {
			if name, ok := strings.CutSuffix(f.Name, ".eml"); ok {
				list = append(list, oddity{file, name, unescapeMail(t, string(f.Data)), want[name+".want"]})
			}
		}
	}
	return list
}

func unescapeMail(t testing.TB, s string) []byte {
	t.Helper()
	var out bytes.Buffer
	for line := range strings.Lines(s) {
		line = strings.TrimSuffix(line, "\n")
		eol := "\r\n"
		if l, ok := strings.CutSuffix(line, `\lf`); ok {
			line, eol = l, "\n"
		} else if l, ok := strings.CutSuffix(line, `\eof`); ok {
			line, eol = l, ""
		}
		line = repeat(t, line)
		for i := 0; i < len(line); i++ {
			if line[i] == '\\' && i+3 < len(line) && line[i+1] == 'x' {
				c, err := strconv.ParseUint(line[i+2:i+4], 16, 8)
				if err != nil {
					t.Fatal(err)
				}
				out.WriteByte(byte(c))
				i += 3
				continue
			}
			out.WriteByte(line[i])
		}
		out.WriteString(eol)
	}
	return out.Bytes()
}

func repeat(t testing.TB, line string) string {
	t.Helper()
	before, rest, ok := strings.Cut(line, `\rep{`)
	if !ok {
		return line
	}
	count, rest, _ := strings.Cut(rest, "}{")
	text, after, _ := strings.Cut(rest, "}")
	n, err := strconv.Atoi(count)
	if err != nil {
		t.Fatal(err)
	}
	return before + strings.Repeat(strings.ReplaceAll(text, `\n`, "\r\n"), n) + after
}

// dump prints a tree, one part a line, with its envelope.
func dump(p *Part) string {
	var b strings.Builder
	dumpPart(&b, p, "", "root")
	return b.String()
}

func dumpPart(b *strings.Builder, p *Part, indent, name string) {
	if len(indent) > 12 {
		n, deepest := 0, p
		for ; !deepest.IsLeaf(); n++ {
			deepest = deepest.Parts[0]
		}
		fmt.Fprintf(b, "%s… %d levels more, then %s/%s of %d\n", indent, n, deepest.Type, deepest.Subtype, deepest.Size())
		return
	}
	fmt.Fprintf(b, "%s%s %d+%d+%d lines=%d %s/%s", indent, name, p.HeaderStart, p.HeaderSize(), p.Size(), p.Lines, p.Type, p.Subtype)
	dumpParams(b, p.Params)
	for _, f := range []struct{ name, value string }{
		{"enc", p.Encoding}, {"disp", p.Disposition},
	} {
		if f.value != "" {
			fmt.Fprintf(b, " %s=%s", f.name, f.value)
		}
	}
	dumpParams(b, p.DispositionParams)
	for _, f := range []struct{ name, value string }{
		{"id", p.ID}, {"desc", p.Description}, {"lang", strings.Join(p.Languages, ",")}, {"loc", p.Location}, {"md5", p.MD5},
		{"file", p.Filename()},
	} {
		if f.value != "" {
			fmt.Fprintf(b, " %s=%q", f.name, clip(f.value))
		}
	}
	b.WriteByte('\n')
	if p.Envelope != nil {
		dumpEnvelope(b, p.Envelope, indent+"  ")
	}
	for i, child := range p.Parts {
		if i >= 8 && i < len(p.Parts)-2 {
			continue
		}
		dumpPart(b, child, indent+"  ", strconv.Itoa(i+1))
	}
}

func dumpParams(b *strings.Builder, params Params) {
	for _, a := range params {
		fmt.Fprintf(b, " ;%s=%q", a.Name, clip(a.Value))
	}
}

func clip(s string) string {
	if len(s) > 100 {
		return fmt.Sprintf("%s…%d", s[:40], len(s))
	}
	return s
}

func dumpEnvelope(b *strings.Builder, e *Envelope, indent string) {
	for i, f := range []struct{ name, value string }{
		{"date", e.Date}, {"subject", e.Subject}, {"in-reply-to", e.InReplyTo}, {"message-id", e.MessageID},
	} {
		if e.Has&(1<<i) != 0 {
			fmt.Fprintf(b, "%s%s: %q", indent, f.name, clip(f.value))
			if text := DecodeText(f.value); text != f.value {
				fmt.Fprintf(b, " = %q", clip(text))
			}
			b.WriteByte('\n')
		}
	}
	for _, f := range []struct {
		name string
		list []Address
	}{{"from", e.From}, {"sender", e.Sender}, {"reply-to", e.ReplyTo}, {"to", e.To}, {"cc", e.Cc}, {"bcc", e.Bcc}} {
		if len(f.list) == 0 || f.name != "from" && len(e.From) > 0 && &f.list[0] == &e.From[0] {
			continue
		}
		fmt.Fprintf(b, "%s%s:%s\n", indent, f.name, dumpAddresses(f.list))
	}
}

func dumpAddresses(list []Address) string {
	var b strings.Builder
	for i, a := range list {
		switch {
		case i == 10:
			fmt.Fprintf(&b, " …%d", len(list))
			return b.String()
		case a.Kind == GroupStart:
			fmt.Fprintf(&b, " %q{", a.Name)
		case a.Kind == GroupEnd:
			b.WriteString(" }")
		default:
			fmt.Fprintf(&b, " (%q %q %q)", clip(a.Name), clip(a.Local), clip(a.Host))
		}
	}
	return b.String()
}

func TestScanOddities(t *testing.T) {
	got := map[string]map[string]string{}
	for _, o := range oddities(t) {
		t.Run(o.name, func(t *testing.T) {
			tree := Scan(o.mail)
			checkInvariants(t, tree, o.mail)
			d := dump(tree)
			if got[o.file] == nil {
				got[o.file] = map[string]string{}
			}
			got[o.file][o.name] = d
			if d != o.want && !*rewrite {
				t.Errorf("tree of %q:\n%s\nwant:\n%s", clip(string(o.mail)), d, o.want)
			}
		})
	}
	if *rewrite {
		rewriteTrees(t, got)
	}
}

func rewriteTrees(t *testing.T, got map[string]map[string]string) {
	for file, trees := range got {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		out := &txtar.Archive{Comment: archive.Comment}
		for _, f := range archive.Files {
			if name, ok := strings.CutSuffix(f.Name, ".eml"); ok {
				out.Files = append(out.Files, f, txtar.File{Name: name + ".want", Data: []byte(trees[name])})
			}
		}
		if err := os.WriteFile(file, txtar.Format(out), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// checkInvariants asserts what the package comment promises of every tree.
func checkInvariants(t fataler, root *Part, mail []byte) {
	t.Helper()
	if root.HeaderStart != 0 || root.BodyEnd != int64(len(mail)) || root.Envelope == nil {
		t.Fatalf("root is %d..%d of %d", root.HeaderStart, root.BodyEnd, len(mail))
	}
	for p := range root.All() {
		if p.HeaderStart > p.BodyStart || p.BodyStart > p.BodyEnd || p.BodyEnd > int64(len(mail)) {
			t.Fatalf("part %d %d %d of %d", p.HeaderStart, p.BodyStart, p.BodyEnd, len(mail))
		}
		if p.Type == "" || p.Subtype == "" {
			t.Fatalf("part at %d has no type", p.HeaderStart)
		}
		at := p.BodyStart
		for _, child := range p.Parts {
			if child.HeaderStart < at || child.BodyEnd > p.BodyEnd {
				t.Fatalf("child %d..%d in %d..%d", child.HeaderStart, child.BodyEnd, p.BodyStart, p.BodyEnd)
			}
			if (child.Envelope != nil) != p.IsMessage() {
				t.Fatalf("envelope of child at %d in %s/%s", child.HeaderStart, p.Type, p.Subtype)
			}
			at = child.BodyEnd
		}
		if n := int64(bytes.Count(mail[p.BodyStart:p.BodyEnd], newline)); n != p.Lines {
			t.Fatalf("part at %d has %d lines, want %d", p.BodyStart, p.Lines, n)
		}
	}
}

// scanChunks scans in pieces of the sizes given, over and over.
func scanChunks(mail []byte, sizes []int, limits Limits) *Part {
	s := NewScanner(limits)
	for i := 0; len(mail) > 0; i++ {
		n := min(len(mail), max(1, sizes[i%len(sizes)]))
		chunk := bytes.Clone(mail[:n])
		if _, err := s.Write(chunk); err != nil {
			panic(err)
		}
		clear(chunk) // the scanner must not keep what it was lent
		mail = mail[n:]
	}
	return s.Finish()
}

func TestScanInAnyChunksIsTheSame(t *testing.T) {
	mails := oddities(t)
	rapid.Check(t, func(t *rapid.T) {
		o := rapid.SampledFrom(mails).Draw(t, "mail")
		mail := o.mail
		if len(mail) > 20000 {
			mail = mail[:20000]
		}
		sizes := rapid.SliceOfN(rapid.IntRange(1, 90), 1, 6).Draw(t, "sizes")
		if got, want := scanChunks(mail, sizes, Limits{}), Scan(mail); !reflect.DeepEqual(got, want) {
			t.Fatalf("%s:\n%s\nwant\n%s", o.name, dump(got), dump(want))
		}
	})
}

// fragments make mails that are nearly right.
var fragments = []string{
	"\r\n", "\n", "--a", "--b", "--", "a", "-", "Content-Type: multipart/mixed; boundary=a\r\n", "text", " ", "\r",
	"Content-Type: multipart/digest; boundary=b\r\n", "Content-Type: message/rfc822\r\n", "Subject: x\r\n", "\r\n\r\n",
	"--a\r\n", "--a--\r\n", "--b\r\n", "--b--\r\n", "\r\n--a\r\n", "From: a@b\r\n", "broken line\r\n", "From x\r\n", "\x00", "\xff",
}

// TestMessageLeavesRoomForTheRest: a message that is the last but one entity allowed takes no entity for its inside, or
// the next part of the multipart around it would be one too many.
func TestMessageLeavesRoomForTheRest(t *testing.T) {
	mail := []byte("Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n--b")
	n := 0
	for range scanChunks(mail, []int{len(mail)}, Limits{MaxParts: 3, MaxDepth: 2}).All() {
		n++
	}
	if n != 3 {
		t.Fatalf("%d parts, limit 3", n)
	}
}

func TestScanOfAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		mail := []byte(strings.Join(rapid.SliceOf(rapid.SampledFrom(fragments)).Draw(t, "fragments"), ""))
		limits := Limits{MaxParts: rapid.IntRange(1, 12).Draw(t, "parts"), MaxDepth: rapid.IntRange(1, 5).Draw(t, "depth")}
		sizes := rapid.SliceOfN(rapid.IntRange(1, 20), 1, 4).Draw(t, "sizes")
		tree := scanChunks(mail, []int{len(mail)}, limits)
		checkInvariants(t, tree, mail)
		if got := scanChunks(mail, sizes, limits); !reflect.DeepEqual(got, tree) {
			t.Fatalf("chunked\n%s\nwhole\n%s", dump(got), dump(tree))
		}
		n := 0
		for range tree.All() {
			n++
		}
		if n > limits.MaxParts {
			t.Fatalf("%d parts, limit %d", n, limits.MaxParts)
		}
		roundTrip(t, tree)
	})
}

func roundTrip(t fataler, tree *Part) {
	digest := MarshalDigest(tree)
	back, err := UnmarshalDigest(digest)
	if err != nil {
		t.Fatalf("unmarshal: %v\n%s", err, dump(tree))
	}
	if !reflect.DeepEqual(back, tree) {
		t.Fatalf("digest gives\n%s\nwant\n%s", dump(back), dump(tree))
	}
	env, err := DigestEnvelope(digest)
	if err != nil || !reflect.DeepEqual(env, tree.Envelope) {
		t.Fatalf("envelope %v, %v", env, err)
	}
	sum, err := DigestSummary(digest)
	want := Summary{tree.HeaderSize(), tree.BodyEnd, tree.Lines, tree.Type, tree.Subtype, tree.HasAttachments()}
	if err != nil || sum != want {
		t.Fatalf("summary %+v, %v, want %+v", sum, err, want)
	}
}

func TestDigestOfOddities(t *testing.T) {
	for _, o := range oddities(t) {
		roundTrip(t, Scan(o.mail))
	}
}

func FuzzScan(f *testing.F) {
	for _, o := range oddities(f) {
		if len(o.mail) < 10000 {
			f.Add(o.mail, uint8(7))
		}
	}
	f.Fuzz(func(t *testing.T, mail []byte, size uint8) {
		defer testkit.Bounded(t)()
		tree := Scan(mail)
		checkInvariants(t, tree, mail)
		if got := scanChunks(mail, []int{int(size)}, Limits{}); !reflect.DeepEqual(got, tree) {
			t.Fatalf("chunked\n%s\nwhole\n%s", dump(got), dump(tree))
		}
		roundTrip(t, tree)
	})
}

// fataler is a *testing.T, *testing.F or *rapid.T.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}
