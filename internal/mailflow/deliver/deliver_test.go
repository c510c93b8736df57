package deliver

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/directory"
	"github.com/flotilla-mail/flotilla/internal/formats/mime"
	"github.com/flotilla-mail/flotilla/internal/mailflow"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// store is a Caller that keeps what is delivered and puts the octets together again.
type store struct {
	mu      sync.Mutex
	chunks  map[[32]byte][]byte
	mails   map[mapi.MailboxID][]*exmdb.DeliverRequest
	keys    [][32]byte // of all attempts
	uploads int
	fail    map[mapi.MailboxID]error
	silent  map[mapi.MailboxID]bool // answers only when the caller gives up
	apart   bool                    // every mailbox is in a group of its own
	known   map[mapi.MailboxID]bool // has had the mail before
	infos   map[mapi.MailboxID]*exmdb.MailboxInfo
	asked   int // for infos
}

func newStore() *store {
	return &store{chunks: map[[32]byte][]byte{}, mails: map[mapi.MailboxID][]*exmdb.DeliverRequest{}, fail: map[mapi.MailboxID]error{}, silent: map[mapi.MailboxID]bool{}}
}

func (s *store) Call(ctx context.Context, _ exmdb.Identity, box mapi.MailboxID, _ exmdb.OpInfo, req, resp any) error {
	if s.silent[box] {
		<-ctx.Done()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	q, ok := req.(*exmdb.DeliverRequest)
	if !ok {
		return s.infoLocked(box, resp.(*exmdb.MailboxInfo))
	}
	s.keys = append(s.keys, q.Key)
	if err := s.fail[box]; err != nil {
		return err
	}
	if ctx.Err() != nil {
		return cluster.ErrUnknownOutcome
	}
	if resp.(*exmdb.DeliverResponse).Duplicate = s.known[box]; s.known[box] {
		return nil
	}
	for _, b := range q.Message.Inline {
		s.putLocked(b)
	}
	s.mails[box] = append(s.mails[box], q)
	return nil
}

func (s *store) infoLocked(box mapi.MailboxID, info *exmdb.MailboxInfo) error {
	s.asked++
	if s.silent[box] || s.infos[box] == nil {
		return cluster.ErrUnavailable
	}
	*info = *s.infos[box]
	return nil
}

func (s *store) putLocked(b []byte) exmdb.ChunkRef {
	ref := exmdb.ChunkRef{Hash: sha256.Sum256(b), Size: uint32(len(b))}
	s.chunks[ref.Hash] = bytes.Clone(b)
	return ref
}

func (s *store) Upload(context.Context, exmdb.Identity, mapi.MailboxID) (exmdb.Upload, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.uploads++
	return uploader{s}, nil
}

// Locality puts all mailboxes into one group, unless they are apart.
func (s *store) Locality(_ context.Context, box mapi.MailboxID) (uint64, error) {
	if s.apart {
		return uint64(box[0]), nil
	}
	return 1, nil
}

type uploader struct{ s *store }

func (u uploader) Put(_ context.Context, chunk []byte) (exmdb.ChunkRef, error) {
	u.s.mu.Lock()
	defer u.s.mu.Unlock()
	return u.s.putLocked(chunk), nil
}

func (u uploader) Close(context.Context) error { return nil }

// octets puts a recipe's segments together again.
func (s *store) octets(t *testing.T, r *exmdb.Recipe) []byte {
	t.Helper()
	var b bytes.Buffer
	for i := range r.Segments {
		seg := &r.Segments[i]
		if len(seg.Chunks) == 0 {
			b.Write(seg.Raw)
			continue
		}
		var content []byte
		for _, c := range seg.Chunks {
			got, ok := s.chunks[c.Hash]
			if !ok {
				t.Fatal("a chunk was never sent")
			}
			content = append(content, got...)
		}
		if seg.Encoding == exmdb.EncodingBase64 {
			content = encode(content, int(seg.Line), seg.LastCRLF)
		}
		if form := map[exmdb.Encoding]mime.LayoutForm{exmdb.EncodingQP75: mime.LayoutQP75, exmdb.EncodingQP76: mime.LayoutQP76}[seg.Encoding]; form != 0 {
			content = quoted(form, content)
		}
		if uint64(len(content)) != seg.Octets {
			t.Fatalf("segment of %d octets says %d", len(content), seg.Octets)
		}
		b.Write(content)
	}
	return b.Bytes()
}

// quoted is content in quoted-printable.
func quoted(form mime.LayoutForm, content []byte) []byte {
	var b bytes.Buffer
	enc := mime.Layout{Form: form}.Encoder(&b)
	if _, err := enc.Write(content); err != nil {
		return nil
	}
	if err := enc.Close(); err != nil {
		return nil
	}
	return b.Bytes()
}

func encode(content []byte, line int, last bool) []byte {
	var b bytes.Buffer
	for s := base64.StdEncoding.EncodeToString(content); s != ""; {
		n := min(line, len(s))
		b.WriteString(s[:n])
		if s = s[n:]; s != "" || last {
			b.WriteString("\r\n")
		}
	}
	return b.Bytes()
}

func deliverer(t *testing.T, s *store) *Deliverer {
	t.Helper()
	return &Deliverer{Caller: s, Directory: people{}, Spool: t.TempDir(), Limit: 64 << 20, Host: "mail.example.test", Now: func() time.Time { return time.Unix(1.8e9, 0) }}
}

func to(boxes ...mapi.MailboxID) []mailflow.Recipient {
	var rs []mailflow.Recipient
	for i, b := range boxes {
		rs = append(rs, mailflow.Recipient{Address: fmt.Sprintf("u%d@example.test", i),
			To: directory.Resolution{Mailboxes: []directory.Recipient{{Mailbox: b}}}})
	}
	return rs
}

// compose makes a mail with parts of many sizes and encodings.
func compose(rng *rand.Rand) []byte {
	var b bytes.Buffer
	b.WriteString("Subject: x\r\nMessage-ID: <a@b>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=q\r\n\r\npreamble\r\n")
	for range rng.IntN(6) {
		raw := make([]byte, []int{0, 10, 6000, 60_000, 600_000}[rng.IntN(5)]+rng.IntN(100))
		for i := range raw {
			raw[i] = byte(rng.Uint32())
		}
		b.WriteString("--q\r\n")
		switch rng.IntN(6) {
		case 4:
			b.WriteString("Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n")
			b.Write(quoted(mime.LayoutForm(2+rng.IntN(2)), []byte(strings.Repeat("<p>a line of \u00e9t\u00e9 = summer, and so on until it is too long</p>\r\n", len(raw)/60))))
		case 5:
			b.WriteString("Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: Quoted-Printable\r\n\r\n")
			b.WriteString(strings.Repeat("<p>=c3=a9 in small letters, =\r\nwhich nobody makes again</p>\r\n", len(raw)/60))
		case 0:
			b.WriteString("Content-Transfer-Encoding: base64\r\n\r\n")
			b.Write(encode(raw, []int{76, 64, 72}[rng.IntN(3)], rng.IntN(2) == 0))
			b.WriteString(strings.Repeat("\r\n", rng.IntN(3)))
		case 1:
			b.WriteString("Content-Transfer-Encoding: base64\r\n\r\n")
			b.WriteString(base64.StdEncoding.EncodeToString(raw))
		case 2:
			b.WriteString("Content-Transfer-Encoding: base64\r\n\r\nnot = base64 at all " + base64.StdEncoding.EncodeToString(raw))
		default:
			b.WriteString("Content-Type: text/plain\r\n\r\n" + strings.Repeat("line of text\r\n", len(raw)/14))
		}
		b.WriteString("\r\n")
	}
	b.WriteString("--q--\r\n")
	return b.Bytes()
}

func TestTheRecipeGivesTheOctetsBack(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 1))
	for range 60 {
		s := newStore()
		d := deliverer(t, s)
		sent := compose(rng)
		m, err := d.Receive(context.Background(), bytes.NewReader(sent), rng.Int64N(2*int64(len(sent))))
		if err != nil {
			t.Fatal(err)
		}
		boxes := []mapi.MailboxID{{1}, {2}, {3}}
		for _, r := range d.Deliver(context.Background(), &mailflow.Envelope{From: "a@b", With: "ESMTP"}, to(boxes...), m) {
			if r.Err != nil {
				t.Fatalf("seed %d: %v", seed, r.Err)
			}
		}
		for _, b := range boxes {
			if got := s.octets(t, &s.mails[b][0].Message.Recipe); !bytes.Equal(got, sent) {
				t.Fatalf("seed %d: %d octets became %d", seed, len(sent), len(got))
			}
			if n := len(s.mails[b][0].Message.Inline); s.uploads > 0 && n > 0 {
				t.Fatalf("seed %d: content went both ways", seed)
			}
		}
		if s.uploads > 1 {
			t.Fatalf("seed %d: content was uploaded %d times to one group", seed, s.uploads)
		}
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestQuotedIsThereOnce: a long text in quoted-printable is content once, for the octets and for the message that it is; from
// memory and from a file; and one that nobody would write again so is kept as it came.
func TestQuotedIsThereOnce(t *testing.T) {
	html := strings.Repeat("<p>\u00e9t\u00e9 = summer</p>\r\n", 1000)
	for name, tc := range map[string]struct {
		body string
		once bool
	}{
		"exact": {string(quoted(mime.LayoutQP76, []byte(html))), true},
		"other": {strings.ReplaceAll(string(quoted(mime.LayoutQP76, []byte(html))), "=C3=A9", "=c3=a9"), false},
		"long":  {string(quoted(mime.LayoutQP76, []byte(strings.Repeat(html, 20)))), false},
	} {
		for _, spooled := range []int64{0, 1 << 30} {
			s := newStore()
			d := deliverer(t, s)
			sent := "Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" + tc.body
			m, err := d.Receive(t.Context(), strings.NewReader(sent), spooled)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range d.Deliver(t.Context(), &mailflow.Envelope{From: "a@b", With: "ESMTP"}, to(mapi.MailboxID{1}), m) {
				if r.Err != nil {
					t.Fatal(r.Err)
				}
			}
			msg := &s.mails[mapi.MailboxID{1}][0].Message
			var props mapi.PropBag
			if err := props.UnmarshalWire(msg.Props); err != nil {
				t.Fatal(err)
			}
			ref, _ := props.Get(mapi.PidTagHtml).(mapi.Reference)
			last := msg.Recipe.Segments[len(msg.Recipe.Segments)-1]
			once := len(last.Chunks) == len(ref) && len(ref) > 0 && last.Chunks[0].Hash == ref[0].Hash
			if once != tc.once || (last.Encoding != exmdb.EncodingNone) != tc.once || string(s.octets(t, &msg.Recipe)) != sent {
				t.Errorf("%s, %d: once %v, encoding %d", name, spooled, once, last.Encoding)
			}
			if err := m.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestBareLineFeedsAreMended(t *testing.T) {
	s := newStore()
	d := deliverer(t, s)
	m, err := d.Receive(context.Background(), strings.NewReader("Subject: x\n\nhi\n"), 0)
	if err != nil {
		t.Fatal(err)
	}
	d.Deliver(context.Background(), &mailflow.Envelope{}, to(mapi.MailboxID{1}), m)
	if got := s.octets(t, &s.mails[mapi.MailboxID{1}][0].Message.Recipe); string(got) != "Subject: x\r\n\r\nhi\r\n" {
		t.Fatalf("%q", got)
	}
	if key := s.mails[mapi.MailboxID{1}][0].Key; key != [32]byte{} {
		t.Fatal("a mail without Message-ID has a delivery key")
	}
}

func TestTooLongLeavesNothing(t *testing.T) {
	s := newStore()
	d := deliverer(t, s)
	d.Limit = 1 << 20
	if _, err := d.Receive(context.Background(), strings.NewReader(strings.Repeat("x", 2<<20)), 0); cluster.KindOf(err) != exmdb.KindTooBig {
		t.Fatal(err)
	}
}
