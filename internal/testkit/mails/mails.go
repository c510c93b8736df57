// Package mails is a corpus of mails with every oddity that a mail has been seen with, for tests of whatever converts,
// stores or serves mail.
//
// It knows how the mails are described; it never knows what should become of them.
package mails

import (
	"bytes"
	"embed"
	"encoding/base64"
	"fmt"
	"io"
	"io/fs"
	"mime/quotedprintable"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/convert/oxcmsg"
	"github.com/flotilla-mail/flotilla/internal/convert/oxtnef"
	"github.com/flotilla-mail/flotilla/internal/formats/mime"
	"github.com/flotilla-mail/flotilla/internal/formats/rtf"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

//go:embed corpus
var described embed.FS

// Mail is one of the corpus.
type Mail struct {
	Family, Name string
	Octets       []byte
}

// Corpus is every mail of the corpus. mails-*.txtar holds whole mails; the other files describe one mail a line, and
// corpus.md beside them says how.
func Corpus(t testing.TB) []Mail {
	t.Helper()
	var list []Mail
	files, err := fs.Glob(described, "corpus/mails-*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		b, err := described.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		family := strings.TrimSuffix(path.Base(file), ".txtar")
		for _, f := range txtar.Parse(b).Files {
			list = append(list, Mail{family, f.Name, expand(t, string(f.Data))})
		}
	}
	for _, family := range []struct {
		name string
		of   func(t testing.TB, name string, fields []string) []Mail
	}{{"charsets", charsetMails}, {"headers", headerMails}, {"structures", structureMails}} {
		b, err := described.ReadFile("corpus/" + family.name + ".txt")
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(b)) {
			line = strings.TrimRight(line, "\n")
			if line == "" || line[0] == '#' {
				continue
			}
			name, rest, _ := strings.Cut(line, "|")
			for _, m := range family.of(t, strings.TrimSpace(name), strings.Split(rest, "|")) {
				m.Family = family.name
				list = append(list, m)
			}
		}
	}
	return list
}

// expand gives the octets of a mail as it is described: lines end in CRLF, \lf at the end of one is a bare LF, \eof no
// line end; the rest is in macros.
func expand(t testing.TB, s string) []byte {
	var out []byte
	for line := range strings.Lines(s) {
		line = strings.TrimSuffix(line, "\n")
		eol := "\r\n"
		if l, ok := strings.CutSuffix(line, `\lf`); ok {
			line, eol = l, "\n"
		} else if l, ok := strings.CutSuffix(line, `\eof`); ok {
			line, eol = l, ""
		}
		out = append(append(out, macros(t, line)...), eol...)
	}
	return out
}

// macros are \xNN, and \name{argument}{text}.
func macros(t testing.TB, s string) []byte {
	var out []byte
	for {
		at := strings.IndexByte(s, '\\')
		if at < 0 {
			return append(out, s...)
		}
		out, s = append(out, s[:at]...), s[at:]
		if len(s) >= 4 && s[1] == 'x' {
			if n, err := strconv.ParseUint(s[2:4], 16, 8); err == nil {
				out, s = append(out, byte(n)), s[4:]
				continue
			}
		}
		name, rest, ok := strings.Cut(s[1:], "{")
		if arg, more, closed := strings.Cut(rest, "}{"); ok && closed && len(name) < 8 {
			text, after, _ := strings.Cut(more, "}")
			if b, known := macro(t, name, arg, text); known {
				out, s = append(out, b...), after
				continue
			}
		}
		out, s = append(out, s[0]), s[1:]
	}
}

func macro(t testing.TB, name, arg, text string) ([]byte, bool) {
	switch name {
	case "raw":
		return mime.EncodeCharset(arg, text), true
	case "b64":
		return []byte(Lines(base64.StdEncoding.EncodeToString(mime.EncodeCharset(arg, text)))), true
	case "qp":
		return qp(mime.EncodeCharset(arg, text)), true
	case "word": // an encoded-word; the form stands behind the charset
		charset, form, _ := strings.Cut(arg, " ")
		return []byte(word(charset, form, mime.EncodeCharset(charset, text))), true
	case "rep":
		n, err := strconv.Atoi(arg)
		if err != nil {
			t.Fatal(err)
		}
		return []byte(strings.Repeat(text, n)), true
	case "tnef":
		return []byte(Lines(base64.StdEncoding.EncodeToString(winmailOf(t, arg, text)))), true
	}
	return nil, false
}

// Lines cuts base64 into lines of a mail.
func Lines(s string) string {
	var b strings.Builder
	for len(s) > 76 {
		b.WriteString(s[:76] + "\r\n")
		s = s[76:]
	}
	return b.String() + s
}

func qp(b []byte) []byte {
	var out bytes.Buffer
	w := quotedprintable.NewWriter(&out)
	_, _ = w.Write(b)
	_ = w.Close()
	return out.Bytes()
}

func word(charset, form string, b []byte) string {
	if form == "B" {
		return "=?" + charset + "?B?" + base64.StdEncoding.EncodeToString(b) + "?="
	}
	var q strings.Builder
	for _, c := range b {
		fmt.Fprintf(&q, "=%02X", c)
	}
	return "=?" + charset + "?Q?" + q.String() + "?="
}

// winmailOf is a TNEF with an HTML body hidden in RTF, a file, and what arg asks for.
func winmailOf(t testing.TB, arg, text string) []byte {
	var names oxcmsg.Names
	m := &oxtnef.Message{CodePage: 1252}
	m.Props.Set(mapi.PidTagMessageClass, mapi.String("IPM.Note"))
	m.Props.Set(mapi.PidTagSubject, mapi.String("subject in TNEF"))
	m.Props.Set(mapi.PidTagRtfCompressed, mapi.Binary(rtf.Compress(rtf.FromHTML("<p>"+text+"</p>"))))
	names.Set(&m.Props, mapi.PidNameKeywords, mapi.Strings{"red"})
	a := exmdb.Attachment{}
	a.Props.Set(mapi.PidTagAttachLongFilename, mapi.String("Plan.xlsx"))
	a.Props.Set(mapi.PidTagAttachDataBinary, mapi.Binary(strings.Repeat(text, 700)))
	m.Attachments = append(m.Attachments, a)
	switch arg {
	case "message":
		inner := exmdb.Attachment{IsMessage: true, Embedded: &exmdb.MessageContent{}}
		inner.Embedded.Props.Set(mapi.PidTagSubject, mapi.String("inside"))
		inner.Embedded.Props.Set(mapi.PidTagBody, mapi.String(text))
		m.Attachments = append(m.Attachments, inner)
	case "appointment":
		m.Props.Set(mapi.PidTagMessageClass, mapi.String("IPM.Schedule.Meeting.Request"))
	case "other":
		m.Props.Set(mapi.PidTagTnefCorrelationKey, mapi.Binary("<another@example.test>\x00"))
	}
	w := oxtnef.Writer{Names: &names}
	r, _, err := w.Stream(m)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if arg == "cut" {
		b = b[:len(b)*2/3]
	}
	return b
}

// Usual are fields that most of the mails have.
const Usual = "From: Anna Berg <anna@example.test>\r\nTo: Bert Olsen <bert@example.test>\r\nDate: Tue, 03 Mar 2026 10:20:30 +0100\r\nMessage-ID: <corpus@example.test>\r\n"

// charsetMails writes a text in its charset: base64 with its subject in an encoded-word, quoted-printable with a file
// named in RFC 2231, and as it is where it has no zero bytes.
func charsetMails(_ testing.TB, charset string, fields []string) []Mail {
	text := strings.TrimSpace(fields[0])
	b := mime.EncodeCharset(charset, text)
	name := ""
	for _, c := range b {
		name += fmt.Sprintf("%%%02X", c)
	}
	plain := "Content-Type: text/plain; charset=" + charset + "\r\n"
	html := "Content-Type: text/html; charset=" + charset + "\r\n"
	list := []Mail{{Name: charset + " base64", Octets: []byte(Usual + "Subject: " + word(charset, "B", b) + "\r\nMIME-Version: 1.0\r\n" + plain +
		"Content-Transfer-Encoding: base64\r\n\r\n" + Lines(base64.StdEncoding.EncodeToString(b)) + "\r\n")}}
	list = append(list, Mail{Name: charset + " quoted-printable, file", Octets: []byte(Usual + "Subject: " + word(charset, "Q", b) + "\r\nMIME-Version: 1.0\r\n" +
		"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n" + html + "Content-Transfer-Encoding: quoted-printable\r\n\r\n" + string(qp(b)) + "\r\n--b\r\n" +
		"Content-Type: text/plain; charset=" + charset + "\r\nContent-Disposition: attachment; filename*=" + charset + "''" + name + ".txt\r\n" +
		"Content-Transfer-Encoding: base64\r\n\r\n" + Lines(base64.StdEncoding.EncodeToString(b)) + "\r\n--b--\r\n")})
	if len(fields) > 1 && strings.TrimSpace(fields[1]) == "coded" {
		return list
	}
	return append(list, Mail{Name: charset + " as it is", Octets: []byte(Usual + "Subject: " + string(b) + "\r\nMIME-Version: 1.0\r\n" + plain +
		"Content-Transfer-Encoding: 8bit\r\n\r\n" + string(b) + "\r\n")})
}

// headerMails writes a header of its own, lines apart by " \n ", over a small text. A "-" drops the usual fields.
func headerMails(t testing.TB, name string, fields []string) []Mail {
	header := strings.TrimSpace(strings.Join(fields, "|"))
	start := Usual + "Subject: Oddities\r\n"
	if rest, bare := strings.CutPrefix(header, "-"); bare {
		header, start = strings.TrimSpace(rest), ""
	}
	header = strings.ReplaceAll(header, ` \n `, "\r\n")
	return []Mail{{Name: name, Octets: slices.Concat([]byte(start), macros(t, header), []byte("\r\n\r\nText.\r\n"))}}
}

// structureMails builds the tree of parts that a term names.
func structureMails(t testing.TB, name string, fields []string) []Mail {
	b := treeBuilder{t: t, rest: strings.TrimSpace(fields[0])}
	return []Mail{{Name: name, Octets: []byte(Usual + "Subject: Structure\r\nMIME-Version: 1.0\r\n" + b.term() + "\r\n")}}
}

// treeBuilder reads terms like mixed(alt(text,html),pdf).
type treeBuilder struct {
	t      testing.TB
	rest   string
	parts  int
	bounds int
}

func (b *treeBuilder) term() string {
	n := strings.IndexAny(b.rest, "(),")
	if n < 0 {
		n = len(b.rest)
	}
	name := b.rest[:n]
	b.rest = b.rest[n:]
	name, arg, _ := strings.Cut(name, ":")
	if !strings.HasPrefix(b.rest, "(") {
		return b.leaf(name, arg)
	}
	var children []string
	for strings.HasPrefix(b.rest, "(") || strings.HasPrefix(b.rest, ",") {
		b.rest = b.rest[1:]
		children = append(children, b.term())
	}
	b.rest = strings.TrimPrefix(b.rest, ")")
	return b.inner(name, arg, children)
}

// multiparts are the parameters of the structures by their names in terms.
var multiparts = map[string]string{
	"mixed": "mixed", "alt": "alternative", "related": `related; type="text/html"`, "digest": "digest", "parallel": "parallel", "odd": "x-odd",
	"signed": `signed; protocol="application/pkcs7-signature"; micalg=sha-256`, "pgpsigned": `signed; protocol="application/pgp-signature"; micalg=pgp-sha256`,
	"encrypted": `encrypted; protocol="application/pgp-encrypted"`, "report": "report; report-type=delivery-status", "mdn": "report; report-type=disposition-notification",
	"apple": "appledouble",
}

func (b *treeBuilder) inner(name, arg string, children []string) string {
	if name == "msg" || name == "msg64" {
		inner := "From: Carl <carl@example.test>\r\nTo: anna@example.test\r\nSubject: Inner " + arg + "\r\nDate: Mon, 02 Mar 2026 08:00:00 +0000\r\nMIME-Version: 1.0\r\n" + children[0]
		if name == "msg64" {
			return "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n" + Lines(base64.StdEncoding.EncodeToString([]byte(inner)))
		}
		return "Content-Type: message/rfc822\r\n\r\n" + inner
	}
	kind, known := multiparts[name]
	if !known {
		b.t.Fatalf("what is %q?", name)
	}
	b.bounds++
	bound := fmt.Sprintf("=-bound-%d", b.bounds)
	var out strings.Builder
	fmt.Fprintf(&out, "Content-Type: multipart/%s; boundary=\"%s\"\r\n\r\n", kind, bound)
	for _, c := range children {
		out.WriteString("--" + bound + "\r\n" + c + "\r\n")
	}
	out.WriteString("--" + bound + "--\r\n")
	return out.String()
}

// leaves are parts by their names in terms: header and body; %[1]s is the argument, %[2]d counts, the others are long.
var leaves = map[string]string{
	"text":      "Content-Type: text/plain; charset=utf-8\r\n\r\nText %[2]d of the mail.\r\nSecond line, grüß%[1]s.\r\n",
	"flowed":    "Content-Type: text/plain; charset=utf-8; format=flowed; delsp=yes\r\n\r\nA line that \r\nflows on.\r\n",
	"html":      "Content-Type: text/html; charset=windows-1252\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n<html><body><p>Text %[2]d</p><img src=3D\"cid:img%[1]s@example.test\"> Gr=FC=DFe</body></html>\r\n",
	"longhtml":  "Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n%[3]s",
	"rootid":    "Content-Type: text/html; charset=utf-8\r\nContent-ID: <root@example.test>\r\nContent-Location: http://example.test/%[1]s\r\n\r\n<p>root</p>\r\n",
	"nocharset": "Content-Type: text/html\r\n\r\n<p>\xc3\xa4</p>\r\n",
	"latin":     "Content-Type: text/html\r\n\r\n<p>\xe4</p>\r\n",
	"meta":      "Content-Type: text/html\r\n\r\n<meta charset=koi8-r><p>\xe4\xc1</p>\r\n",
	"utf7":      "Content-Type: text/html; charset=utf-7\r\n\r\n<p>+AOQ-</p>\r\n",
	"img":       "Content-Type: image/png; name=\"img%[1]s.png\"\r\nContent-ID: <img%[1]s@example.test>\r\nContent-Disposition: inline; filename=\"img%[1]s.png\"\r\nContent-Transfer-Encoding: base64\r\n\r\niVBORw0KGgo=",
	"imgloc":    "Content-Type: image/gif\r\nContent-Location: %[1]s.gif\r\nContent-Transfer-Encoding: base64\r\n\r\nR0lGODlh",
	"photo":     "Content-Type: image/jpeg; name=photo.jpg\r\nContent-ID: <%[1]s-photo@example.test>\r\nX-Attachment-Id: f_%[2]d\r\nContent-Disposition: attachment; filename=photo.jpg\r\nContent-Transfer-Encoding: base64\r\n\r\n/9j/4AAQ",
	"pdf":       "Content-Type: application/pdf; name=\"Plan%[1]s.pdf\"\r\nContent-Description: the plan\r\nContent-Disposition: attachment; filename=\"Plan%[1]s.pdf\"; size=9;\r\n\tcreation-date=\"Tue, 03 Mar 2026 10:00:00 GMT\"\r\nContent-Transfer-Encoding: base64\r\n\r\nJVBERi0xLjQK",
	"long":      "Content-Type: application/octet-stream; name=long.bin\r\nContent-Disposition: attachment; filename=long.bin\r\nContent-Transfer-Encoding: base64\r\n\r\n%[3]s",
	"nameless":  "Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\nAAEC",
	"file":      "Content-Type: text/plain; charset=iso-8859-1; name=notes.txt\r\nContent-Disposition: attachment; filename=notes.txt\r\n\r\nnot%[1]s a body \xe9\r\n",
	"inline":    "Content-Type: text/plain; charset=us-ascii\r\nContent-Disposition: inline\r\n\r\ninline text %[2]d\r\n",
	"footer":    "Content-Type: text/plain; charset=us-ascii\r\nContent-Disposition: inline\r\n\r\n-- \r\nlist mailing list\r\nlist@example.test\r\n",
	"cal":       "Content-Type: text/calendar; charset=utf-8; method=REQUEST\r\n\r\nBEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nBEGIN:VEVENT\r\nUID:1\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n",
	"ics":       "Content-Type: application/ics; name=invite.ics\r\nContent-Disposition: attachment; filename=invite.ics\r\nContent-Transfer-Encoding: base64\r\n\r\nQkVHSU46VkNBTEVOREFS",
	"amp":       "Content-Type: text/x-amp-html; charset=utf-8\r\n\r\n<!doctype html><html amp4email></html>\r\n",
	"watch":     "Content-Type: text/watch-html; charset=utf-8\r\n\r\n<b>watch</b>\r\n",
	"rtf":       "Content-Type: text/rtf\r\n\r\n{\\rtf1\\ansi rich %[2]d}\r\n",
	"enriched":  "Content-Type: text/enriched\r\n\r\n<bold>rich</bold>\r\n",
	"vcf":       "Content-Type: text/vcard; charset=utf-8; name=anna.vcf\r\nContent-Disposition: attachment; filename=anna.vcf\r\n\r\nBEGIN:VCARD\r\nEND:VCARD\r\n",
	"p7s":       "Content-Type: application/pkcs7-signature; name=smime.p7s\r\nContent-Disposition: attachment; filename=smime.p7s\r\nContent-Transfer-Encoding: base64\r\n\r\nMIIBBw==",
	"p7m":       "Content-Type: application/pkcs7-mime; smime-type=%[1]s; name=smime.p7m\r\nContent-Disposition: attachment; filename=smime.p7m\r\nContent-Transfer-Encoding: base64\r\n\r\nMIAGCSqGSIb3DQEHA6CA",
	"asc":       "Content-Type: application/pgp-signature; name=signature.asc\r\nContent-Description: OpenPGP digital signature\r\n\r\n-----BEGIN PGP SIGNATURE-----\r\n\r\niQ==\r\n-----END PGP SIGNATURE-----\r\n",
	"pgpv":      "Content-Type: application/pgp-encrypted\r\nContent-Description: PGP/MIME version identification\r\n\r\nVersion: 1\r\n",
	"pgp":       "Content-Type: application/octet-stream; name=encrypted.asc\r\nContent-Disposition: inline; filename=encrypted.asc\r\n\r\n-----BEGIN PGP MESSAGE-----\r\n\r\nhQ==\r\n-----END PGP MESSAGE-----\r\n",
	"status":    "Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example.test\r\n\r\nFinal-Recipient: rfc822; bert@example.test\r\nAction: %[1]s\r\nStatus: 5.1.1\r\n",
	"read":      "Content-Type: message/disposition-notification\r\n\r\nFinal-Recipient: rfc822; bert@example.test\r\nOriginal-Message-ID: <1@example.test>\r\nDisposition: manual-action/MDN-sent-manually; %[1]s\r\n",
	"headers":   "Content-Type: text/rfc822-headers\r\n\r\nFrom: anna@example.test\r\nSubject: lost\r\nMessage-ID: <lost@example.test>\r\nDate: Mon, 02 Mar 2026 08:00:00 +0000\r\n",
	"partial":   "Content-Type: message/partial; id=\"x\"; number=1; total=2\r\n\r\nhalf of a mail\r\n",
	"external":  "Content-Type: message/external-body; access-type=URL; URL=\"http://example.test/\"\r\n\r\nContent-Type: image/png\r\n\r\n",
	"fake":      "Content-Type: multipart/mixed\r\n\r\nno boundary, no parts\r\n",
	"bare":      "\r\nno header of its own\r\n",
	"empty":     "Content-Type: text/plain; charset=utf-8\r\n\r\n",
	"uu":        "Content-Type: application/octet-stream; name=a.txt\r\nContent-Transfer-Encoding: x-uuencode\r\n\r\nbegin 644 a.txt\r\n#0V%T\r\n`\r\nend\r\n",
	"bin":       "Content-Type: application/octet-stream; name=a.bin\r\nContent-Transfer-Encoding: binary\r\n\r\n\x00\x01\xff raw",
	"badb64":    "Content-Type: application/octet-stream; name=a.bin\r\nContent-Transfer-Encoding: base64\r\n\r\nAA EC!!AwQ",
	"apfile":    "Content-Type: application/applefile; name=%[1]s\r\nContent-Transfer-Encoding: base64\r\n\r\nAAUWBwACAAA=",
	"winmail":   "Content-Type: application/ms-tnef; name=winmail.dat\r\nContent-Transfer-Encoding: base64\r\n\r\n%[4]s",
	"dat":       "Content-Type: application/octet-stream; name=WINMAIL.DAT\r\nContent-Transfer-Encoding: base64\r\n\r\n%[4]s",
}

func (b *treeBuilder) leaf(name, arg string) string {
	form, known := leaves[name]
	if !known {
		b.t.Fatalf("what is %q?", name)
	}
	b.parts++
	long, tnef := "", ""
	if strings.Contains(form, "%[3]") {
		long = Lines(base64.StdEncoding.EncodeToString([]byte(strings.Repeat("<p>long content goes on</p>\r\n", 700))))
	}
	if strings.Contains(form, "%[4]") {
		tnef = Lines(base64.StdEncoding.EncodeToString(winmailOf(b.t, arg, "Hello from Outlook")))
	}
	return strings.NewReplacer("%[1]s", arg, "%[2]d", strconv.Itoa(b.parts), "%[3]s", long, "%[4]s", tnef).Replace(form)
}
