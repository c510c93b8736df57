package oxcmail

import (
	"bytes"
	"crypto/sha256"
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/convert/oxcmsg"
	"github.com/flotilla-mail/flotilla/internal/formats/mime"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/testkit/mails"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the expected messages in testdata")

// usual are the fields that every mail has.
const usual = mails.Usual

// box is what a test keeps in the place of a mailbox's content.
type box struct {
	contents
	mail []byte
	// made counts the bytes that were kept as streams, which are those that were copied.
	made int
}

func (b *box) Range(from, to int64, encoding string) (mapi.Reference, error) {
	data, err := io.ReadAll(mime.NewDecoder(encoding, bytes.NewReader(b.mail[from:to])))
	return b.put(data, exmdb.MaxChunk), err
}

func (b *box) Stream(r io.Reader) (mapi.Reference, error) {
	data, err := io.ReadAll(r)
	b.made += len(data)
	return b.put(data, exmdb.MaxChunk), err
}

func (b *box) Open(ref mapi.Reference) io.Reader {
	var all []io.Reader
	for _, r := range ref {
		all = append(all, bytes.NewReader(b.contents[r.Hash]))
	}
	return io.MultiReader(all...)
}

// read makes a message of a mail.
func read(t testing.TB, octets []byte) (*Message, *oxcmsg.Names, *box) {
	t.Helper()
	b := &box{contents: contents{}, mail: octets}
	rd := Reader{Keep: b, Names: &oxcmsg.Names{}}
	m, err := rd.Read(mime.Scan(octets), bytes.NewReader(octets))
	if err != nil {
		t.Fatal(err)
	}
	return m, rd.Names, b
}

// dumper writes what a message is.
type dumper struct {
	strings.Builder
	names *oxcmsg.Names
	box   *box
	// skip leaves out what a second conversion may have otherwise.
	skip map[string]bool
}

func (d *dumper) message(m *exmdb.MessageContent, indent string) {
	d.bag(&m.Props, indent)
	for i := range m.Recipients {
		r := &m.Recipients[i]
		fmt.Fprintf(d, "%s%s %q <%s>\n", indent, []string{"?", "To", "Cc", "Bcc"}[oxcmsg.TypeOf(r)&3], oxcmsg.NameOf(r), stringOf(r, mapi.PidTagSmtpAddress))
		for _, p := range r.All() {
			if !usualOfRecipients[p.Tag] {
				fmt.Fprintf(d, "%s  %s %s\n", indent, p.Tag.Name(), d.value(p))
			}
		}
	}
	for i := range m.Attachments {
		a := &m.Attachments[i]
		fmt.Fprintf(d, "%sattachment\n", indent)
		d.bag(&a.Props, indent+"  ")
		if a.Embedded != nil {
			fmt.Fprintf(d, "%s  message\n", indent)
			d.message(a.Embedded, indent+"    ")
		}
	}
}

var usualOfRecipients = func() map[mapi.Tag]bool {
	bag := recipient(oxcmsg.RecipientTo, &mime.Address{Name: "x", Local: "x", Host: "x"}, 0)
	known := map[mapi.Tag]bool{}
	for _, p := range bag.All() {
		known[p.Tag] = true
	}
	return known
}()

func (d *dumper) bag(bag *mapi.PropBag, indent string) {
	for _, p := range bag.All() {
		name := p.Tag.Name()
		if p.Tag.Named() {
			n, _ := d.names.Name(p.Tag.ID())
			name = n.Name
			if n.Kind == mapi.NameByLID {
				name = fmt.Sprintf("%#x", n.LID)
			}
		}
		if !d.skip[name] {
			fmt.Fprintf(d, "%s%s %s\n", indent, name, d.value(p))
		}
	}
}

func (d *dumper) value(p mapi.Prop) string {
	var b []byte
	switch v := p.Value.(type) {
	case mapi.Reference:
		all, err := io.ReadAll(d.box.Open(v))
		if err != nil {
			return err.Error()
		}
		b = all
	case mapi.Binary:
		b = v
	case mapi.String:
		b = []byte(v)
	case mapi.FileTime:
		return v.Time().Format("2006-01-02T15:04:05Z")
	default:
		return fmt.Sprint(v)
	}
	if len(b) > 100 {
		return fmt.Sprintf("%d bytes %.4x", len(b), sha256.Sum256(b))
	}
	return strconv.Quote(string(b))
}

func dump(m *exmdb.MessageContent, names *oxcmsg.Names, b *box, skip ...string) string {
	d := dumper{names: names, box: b, skip: map[string]bool{}}
	for _, name := range skip {
		d.skip[name] = true
	}
	d.message(m, "  ")
	return d.String()
}
