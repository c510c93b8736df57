package mime

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// builder writes well-formed mails and remembers, as it writes, what every section must be.
type builder struct {
	t        *rapid.T
	next     int
	sections map[string]string // "1.2" or "1.2.HEADER"
}

// entity returns the header and body of an entity; path is its section number, "" for a whole message.
func (b *builder) entity(path string, isMessage bool, depth int) (header, body string) {
	kind := rapid.IntRange(0, 4).Draw(b.t, "kind")
	if depth > 4 {
		kind = 0
	}
	if isMessage {
		header = fmt.Sprintf("Subject: %s\r\n", path)
	}
	// The parts of a multipart message are numbered below the message; so is the one part of a plain message.
	inner := path
	switch kind {
	case 1, 2:
		body = b.multipart(inner, depth)
		header += fmt.Sprintf("Content-Type: multipart/mixed; boundary=%d-b\r\n\r\n", b.next)
		b.next++
	case 3:
		at := path
		if isMessage {
			at = join(path, "1")
		}
		body = b.message(at, depth)
		header += "Content-Type: message/rfc822\r\n\r\n"
	default:
		body = strings.Repeat("line\r\n", rapid.IntRange(0, 3).Draw(b.t, "lines")) + "end"
		header += "\r\n"
	}
	if isMessage && kind != 1 && kind != 2 {
		one := join(path, "1")
		b.sections[one], b.sections[one+".MIME"] = body, header
	}
	return header, body
}

func (b *builder) multipart(path string, depth int) string {
	n := rapid.IntRange(1, 3).Draw(b.t, "parts")
	pieces := make([]string, n)
	for i := range pieces {
		at := join(path, strconv.Itoa(i+1))
		header, body := b.entity(at, false, depth+1)
		b.sections[at], b.sections[at+".MIME"] = body, header
		pieces[i] = header + body
	}
	delimiter := fmt.Sprintf("--%d-b", b.next) // the number that entity puts into the header
	var s strings.Builder
	for _, p := range pieces {
		s.WriteString(delimiter + "\r\n" + p + "\r\n")
	}
	return s.String() + delimiter + "--\r\n"
}

// message returns a message inside the part at path.
func (b *builder) message(path string, depth int) string {
	header, body := b.entity(path, true, depth+1)
	b.sections[join(path, "HEADER")], b.sections[join(path, "TEXT")] = header, body
	return header + body
}

func join(path, s string) string { return strings.TrimPrefix(path+"."+s, ".") }

func cut(mail string, r Range) string { return mail[r.Start:r.End] }

// section finds by the text form of a section.
func section(p *Part, name string) (Range, bool) {
	var path []int
	spec := SpecAll
	for _, w := range strings.FieldsFunc(name, func(r rune) bool { return r == '.' }) {
		n, err := strconv.Atoi(w)
		if err == nil {
			path = append(path, n)
			continue
		}
		spec = map[string]Specifier{"HEADER": SpecHeader, "TEXT": SpecText, "MIME": SpecMIME}[w]
	}
	return p.Section(path, spec)
}

func TestSectionsAreWhatWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := &builder{t: t, sections: map[string]string{}}
		mail := b.message("", 0)
		b.sections[""] = mail
		tree := Scan([]byte(mail))
		checkInvariants(t, tree, []byte(mail))
		for name, want := range b.sections {
			r, ok := section(tree, name)
			if !ok || cut(mail, r) != want {
				t.Fatalf("section %q of\n%s\nis %v %q, want %q\n%s", name, mail, ok, cut(mail, r), want, dump(tree))
			}
		}
		for part := range tree.Leaves() {
			if part.Lines != int64(strings.Count(cut(mail, Range{part.BodyStart, part.BodyEnd}), "\n")) {
				t.Fatalf("lines of %s", dump(part))
			}
		}
	})
}

// TestSectionsOfTheSpecification walks the example of RFC 9051 6.4.5.1.
func TestSectionsOfTheSpecification(t *testing.T) {
	mail := "Subject: top\r\nContent-Type: multipart/mixed; boundary=A\r\n\r\n" +
		"--A\r\n\r\none\r\n--A\r\nContent-Type: application/octet-stream\r\n\r\ntwo\r\n" +
		"--A\r\nContent-Type: message/rfc822\r\n\r\nSubject: three\r\nContent-Type: multipart/mixed; boundary=B\r\n\r\n" +
		"--B\r\n\r\n3-1\r\n--B\r\n\r\n3-2\r\n--B--\r\n" +
		"--A\r\nContent-Type: multipart/mixed; boundary=C\r\n\r\n--C\r\nContent-Type: image/gif\r\n\r\n4-1\r\n" +
		"--C\r\nContent-Type: message/rfc822\r\n\r\nSubject: 4.2\r\nContent-Type: text/html\r\n\r\n4-2\r\n--C--\r\n--A--\r\n"
	tree := Scan([]byte(mail))
	for name, want := range map[string]string{
		"HEADER": "Subject: top\r\nContent-Type: multipart/mixed; boundary=A\r\n\r\n",
		"1":      "one", "1.MIME": "\r\n", "2": "two", "2.MIME": "Content-Type: application/octet-stream\r\n\r\n",
		"3.HEADER": "Subject: three\r\nContent-Type: multipart/mixed; boundary=B\r\n\r\n",
		"3.1":      "3-1", "3.2": "3-2", "4.1": "4-1", "4.1.MIME": "Content-Type: image/gif\r\n\r\n",
		"4.2.HEADER": "Subject: 4.2\r\nContent-Type: text/html\r\n\r\n", "4.2.TEXT": "4-2", "4.2.1": "4-2",
		"4.2.1.MIME": "Subject: 4.2\r\nContent-Type: text/html\r\n\r\n",
	} {
		if r, ok := section(tree, name); !ok || cut(mail, r) != want {
			t.Errorf("%s is %v %q, want %q", name, ok, cut(mail, r), want)
		}
	}
	for _, name := range []string{"0", "5", "1.1", "1.HEADER", "1.TEXT", "MIME", "4.3", "4.2.2", "4.2.1.1", "4.HEADER", "3.1.1", "-1"} {
		if r, ok := section(tree, name); ok {
			t.Errorf("%s is %q", name, cut(mail, r))
		}
	}
	plain := Scan([]byte("Subject: x\r\n\r\nbody"))
	if r, ok := plain.Section([]int{1}, SpecAll); !ok || r != (Range{14, 18}) {
		t.Errorf("part 1 of a plain message: %v %v", r, ok)
	}
	if _, ok := plain.Section([]int{1, 1}, SpecAll); ok {
		t.Error("part 1.1 of a plain message")
	}
}

func TestPartial(t *testing.T) {
	r := Range{10, 20}
	for _, tc := range []struct {
		off, count int64
		want       Range
	}{
		{0, 5, Range{10, 15}}, {5, 100, Range{15, 20}}, {10, 1, Range{20, 20}}, {99, 5, Range{20, 20}},
		{-1, -1, Range{10, 10}}, {3, 1<<63 - 1, Range{13, 20}},
	} {
		if got := r.Partial(tc.off, tc.count); got != tc.want {
			t.Errorf("<%d.%d> is %v", tc.off, tc.count, got)
		}
	}
}

func TestShown(t *testing.T) {
	for _, tc := range []struct{ header, want string }{
		{"", "text/plain [{charset us-ascii}] 7bit"},
		{"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n", "text/plain [{charset utf-8}] 8bit"},
		{"Content-Type: multipart/mixed; boundary=x\r\n", "text/plain [{charset us-ascii}] 7bit"},
		{"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n", "application/octet-stream [] base64"},
		{"Content-Type: text/html\r\n", "text/html [] 7bit"},
	} {
		typ, subtype, params, enc := Scan([]byte(tc.header + "\r\nx")).Shown()
		if got := fmt.Sprintf("%s/%s %v %s", typ, subtype, params, enc); got != tc.want {
			t.Errorf("%q is shown as %s, want %s", tc.header, got, tc.want)
		}
	}
}

func TestAttachments(t *testing.T) {
	for _, o := range oddities(t) {
		tree := Scan(o.mail)
		want := o.file == "testdata/scan/parameters.txtar" && !slices.Contains([]string{
			"stray semicolons", "missing semicolon", "empty values", "odd encodings"}, o.name)
		if o.file == "testdata/scan/messages.txtar" || o.name == "header cut by delimiter" {
			continue // embedded messages count
		}
		if tree.HasAttachments() != want {
			t.Errorf("%s: %v", o.name, tree.HasAttachments())
		}
	}
}
