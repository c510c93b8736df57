package deliver

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/content"
	"github.com/flotilla-mail/flotilla/internal/convert/oxcmail"
	"github.com/flotilla-mail/flotilla/internal/convert/oxcmsg"
	"github.com/flotilla-mail/flotilla/internal/formats/mime"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

const (
	// maxNames bounds the named properties of one mail.
	maxNames = 512
	// maxFiles bounds the attachments of one message, as the store does; what comes behind is left to the octets.
	maxFiles = 4_000
	// crowded is how much of recipients and attachments goes along; beyond it their values above maxCrowded are content.
	crowded    = 1 << 20
	maxCrowded = 512
)

// convert makes the message that the mail is (MS-OXCMAIL 2.2). Its content is that of the recipe wherever MAPI has the same
// bytes.
func (pl *plan) convert(m *Received) error {
	if m.file != nil {
		m.converting.Lock()
		defer m.converting.Unlock()
	}
	k := &keeper{mail: m, plan: pl}
	names := &oxcmsg.Names{Max: maxNames}
	rd := oxcmail.Reader{Keep: k, Names: names}
	msg, err := rd.Read(m.root, m)
	if err != nil {
		return fmt.Errorf("convert mail: %w", err)
	}
	// A mailbox reads a short header out of the octets, with the trace that is in front of them there.
	if _, short := msg.Props.Get(mapi.PidTagTransportMessageHeaders).(mapi.String); short {
		msg.Props.Delete(mapi.PidTagTransportMessageHeaders)
	}
	pl.converted = &exmdb.Conversion{Attachments: msg.Attachments}
	m.meeting(msg, names, pl.converted)
	pl.converted.Names = names.List()
	if len(msg.Attachments) > maxFiles {
		pl.converted.Attachments = msg.Attachments[:maxFiles]
	}
	if !msg.Named {
		pl.converted.Recipients = msg.Recipients
	}
	pl.props = msg.Props.AppendWire(nil)
	return k.spread()
}

// Short is a mail that is in memory, with its content inside, in the form in which mailboxes take it.
func Short(octets []byte) (exmdb.NewMessage, error) {
	p := &parcel{mail: &Received{size: int64(len(octets)), data: octets, root: mime.Scan(octets)}}
	return p.inline()
}

// keeper names the content of a mail by the chunks that its recipe has (MAILBOX 3). It implements oxcmail.Keeper.
type keeper struct {
	mail *Received
	plan *plan
	buf  []byte
}

// Range implements oxcmail.Keeper.
func (k *keeper) Range(from, to int64, encoding string) (mapi.Reference, error) {
	decode := mime.NewDecoder(encoding, k.mail.section(from, to))
	for i := range k.plan.pieces {
		if p := &k.plan.pieces[i]; p.from == from && p.holds(to, encoding) {
			return reference(p.refs), nil
		}
	}
	return k.stream(decode, to-from)
}

// holds reports whether the content of a piece is that of a part that begins with it.
func (p *piece) holds(to int64, encoding string) bool {
	switch p.encoding {
	case exmdb.EncodingNone:
		return p.to == to && mime.IsIdentity(encoding)
	case exmdb.EncodingBase64:
		return encoding == "base64" // what is behind the last line of it is no content
	}
	return p.to == to && encoding == p.transfer()
}

func reference(refs []exmdb.ChunkRef) mapi.Reference {
	out := make(mapi.Reference, len(refs))
	for i, r := range refs {
		out[i] = mapi.ContentRef{Hash: r.Hash, Size: r.Size}
	}
	return out
}

// Stream implements oxcmail.Keeper.
func (k *keeper) Stream(r io.Reader) (mapi.Reference, error) { return k.stream(r, 0) }

// stream keeps what r yields, about so many bytes. What is made of a mail in a file is put behind it there.
func (k *keeper) stream(r io.Reader, expected int64) (mapi.Reference, error) {
	at := k.mail.size + k.mail.made
	c := newChunker(k.mail, expected)
	w := io.Writer(c)
	if k.mail.file != nil {
		w = io.MultiWriter(io.NewOffsetWriter(k.mail.file, at), c)
	}
	if k.buf == nil {
		k.buf = make([]byte, madeAtOnce)
	}
	n, err := io.CopyBuffer(w, onlyReader{r}, k.buf)
	if err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	k.mail.made += n
	c.finish()
	k.plan.addPiece(c, piece{from: at, to: at + n})
	return reference(c.refs), nil
}

// madeAtOnce is how much is made at a time of what is made of a mail.
const madeAtOnce = 8 << 10

// onlyReader hides what else a reader can do, so that a copy goes through the buffer it is given.
type onlyReader struct{ io.Reader }

// spread makes content of values that would be too much together.
func (k *keeper) spread() error {
	var err error
	size := 0
	inside := &exmdb.Conversion{Recipients: k.plan.converted.Recipients, Attachments: k.plan.converted.Attachments}
	for bag := range content.Bags(inside) {
		size += len(bag.AppendWire(nil))
	}
	if size > crowded {
		for bag := range content.Bags(inside) {
			err = errors.Join(err, k.thin(bag))
		}
	}
	return err
}

// thin makes content of all values of a bag that are not short.
func (k *keeper) thin(bag *mapi.PropBag) error {
	long := slices.DeleteFunc(slices.Clone(bag.All()), func(p mapi.Prop) bool {
		_, done := p.Value.(mapi.Reference)
		return done || !mapi.Fits(mapi.Reference{}, p.Tag.Type()) || mapi.StoredSize(p.Value) <= maxCrowded
	})
	for _, p := range long {
		ref, err := k.Stream(bytes.NewReader(mapi.AppendValue(nil, p.Value)))
		if err != nil {
			return err
		}
		bag.Set(p.Tag, ref)
	}
	return nil
}
