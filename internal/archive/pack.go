package archive

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// An archive is a line and then frames. A frame is its kind, how it is coded, how long it is, a checksum, and that many bytes.
// The frames of a message are: Begin, the octets it was received as, the pieces of its long values in the order in which they
// are referred to, and the record; one without a record was changed while it was read, and comes again. So a reader knows before anything long whether it wants the message, and never has more
// than a frame in memory. Kinds, codings and the tags of records are for ever.

// magic is the first line.
const magic = "flotilla archive 1\n"

// frameKind says what is in a frame.
type frameKind byte

const (
	frameHead   frameKind = 1 // head: once, in front
	frameFolder frameKind = 2 // folderRecord: parents before children, in front of their messages
	frameBegin  frameKind = 3 // beginRecord
	frameOctets frameKind = 4 // octets of a mail
	frameValue  frameKind = 5 // a piece of a long value
	frameRecord frameKind = 6 // messageRecord
	frameEnd    frameKind = 7 // endRecord: once, behind all
	// frameNames is a namesRecord: once, behind the head.
	frameNames frameKind = 8
	// frameSettings is a settingsRecord: of a folder, behind all messages, because rules name folders and messages.
	frameSettings frameKind = 9
	// frameMailbox is a mailboxRecord: once, behind those.
	frameMailbox frameKind = 10
)

const (
	codedPlain byte = 0
	codedZstd  byte = 1
	// frameHeader is kind, coding, length and checksum.
	frameHeader = 1 + 1 + 4 + 4
	// maxFrame bounds a frame once it is decoded: the records of a message are bounded by the store.
	maxFrame = 32 << 20
	// worthIt is the shortest frame that is compressed.
	worthIt = 256
)

// head says what an archive is of.
type head struct {
	// Replica is the mailbox's replica GUID at the time: messages of the archive are known by it and their MID.
	Replica mapi.GUID      `wire:"1"`
	Mailbox mapi.MailboxID `wire:"2"`
	Made    time.Time      `wire:"3"`
	Program string         `wire:"4"`
	// Octets is how much there is in it, about.
	Octets uint64 `wire:"5"`
}

// folderRecord is a folder. Named properties in bags have ids of Names, as in exmdb.Payload.
type folderRecord struct {
	FID     mapi.FID            `wire:"1"`
	Parent  mapi.FID            `wire:"2"`
	Name    string              `wire:"3"`
	Class   string              `wire:"4"`
	Use     string              `wire:"5"`
	Fixed   bool                `wire:"6"`
	Props   mapi.PropBag        `wire:"7"`
	Names   []mapi.PropertyName `wire:"8"`
	Members []exmdb.Member      `wire:"9"`
	// Search: a search folder, whose criteria are in its settings.
	Search bool `wire:"10"`
}

// beginRecord says which message comes, and where it belongs.
type beginRecord struct {
	Folder     mapi.FID `wire:"1"`
	MID        mapi.MID `wire:"2"`
	Associated bool     `wire:"3"`
	Size       uint64   `wire:"4"`
	// Deleted: one of the folder's soft-deleted set.
	Deleted bool `wire:"5"`
}

// messageRecord is a message. Where it was received as mail, Received says so: its octets have come before, and Content has only
// the properties that they do not say.
type messageRecord struct {
	Mail      bool                 `wire:"1"`
	Flags     exmdb.Flags          `wire:"2"`
	Received  time.Time            `wire:"3"`
	Modified  time.Time            `wire:"4"`
	ChangeKey []byte               `wire:"5"`
	PCL       []byte               `wire:"6"`
	Content   exmdb.MessageContent `wire:"7"`
	Names     []mapi.PropertyName  `wire:"8"`
}

// namesRecord is the named properties of the mailbox, in the order in which it got to know them.
type namesRecord struct {
	Names []mapi.PropertyName `wire:"1"`
}

// settingsRecord is what a folder is told to do. Named properties in rules and criteria have ids of Names; folders and
// messages have those of the mailbox that the archive is of.
type settingsRecord struct {
	Folder   mapi.FID              `wire:"1"`
	Rules    []mapi.PropBag        `wire:"2"`
	Criteria *exmdb.SearchCriteria `wire:"3"`
	Names    []mapi.PropertyName   `wire:"4"`
}

// mailboxRecord is what the mailbox as a whole has and is told to do.
type mailboxRecord struct {
	Props       mapi.PropBag          `wire:"1"`
	Names       []mapi.PropertyName   `wire:"2"`
	Receive     []exmdb.ReceiveFolder `wire:"3"`
	Away        exmdb.OOFSettings     `wire:"4"`
	Junk        exmdb.JunkResponse    `wire:"5"`
	Delegates   []exmdb.Delegate      `wire:"6"`
	Subscribed  []mapi.FID            `wire:"7"`
	PerUserRead bool                  `wire:"8"`
}

// endRecord says how many messages there were, so that an archive that is cut off is known to be.
type endRecord struct {
	Messages uint64 `wire:"1"`
}

// packer writes an archive.
type packer struct {
	out  io.Writer
	zstd *zstd.Encoder
	buf  []byte
}

func newPacker(w io.Writer) (*packer, error) {
	z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(1<<20))
	if err != nil {
		return nil, fmt.Errorf("make compressor: %w", err)
	}
	_, err = io.WriteString(w, magic)
	return &packer{out: w, zstd: z}, err
}

// frame writes one frame.
func (p *packer) frame(kind frameKind, b []byte) error {
	coded, stored := codedPlain, b
	if len(b) >= worthIt {
		if p.buf = p.zstd.EncodeAll(b, p.buf[:0]); len(p.buf) < len(b) {
			coded, stored = codedZstd, p.buf
		}
	}
	h := append(make([]byte, 0, frameHeader), byte(kind), coded)
	h = binary.LittleEndian.AppendUint32(h, uint32(len(stored)))
	h = binary.LittleEndian.AppendUint32(h, checksum(h, stored))
	if _, err := p.out.Write(h); err != nil {
		return err
	}
	_, err := p.out.Write(stored)
	return err
}

// record writes a frame of a record.
func (p *packer) record(kind frameKind, v any) error { return p.frame(kind, wire.Marshal(v)) }

func checksum(header, stored []byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	return crc32.Update(crc32.Checksum(header[:6], table), table, stored)
}

// unpacker reads an archive.
type unpacker struct {
	in   *bufio.Reader
	zstd *zstd.Decoder
	buf  []byte
	data []byte
	// at is how far it has read.
	at int64
	// kept is a frame that was read and given back.
	kept *frame
}

// frame is one frame; its data is the reader's until the next.
type frame struct {
	kind frameKind
	data []byte
}

func newUnpacker(r io.Reader) (*unpacker, error) {
	z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxFrame))
	if err != nil {
		return nil, fmt.Errorf("make decompressor: %w", err)
	}
	u := &unpacker{in: bufio.NewReaderSize(r, 256<<10), zstd: z}
	line := make([]byte, len(magic))
	if _, err := io.ReadFull(u.in, line); err != nil || string(line) != magic {
		z.Close()
		return nil, fmt.Errorf("%w: no archive of Flotilla, or one of a later release", ErrInput)
	}
	u.at = int64(len(magic))
	return u, nil
}

// close frees the decompressor.
func (u *unpacker) close() { u.zstd.Close() }

// next is the next frame. The end of the input is an error too: an archive has an end of its own.
func (u *unpacker) next() (*frame, error) {
	if f := u.kept; f != nil {
		u.kept = nil
		return f, nil
	}
	var h [frameHeader]byte
	if _, err := io.ReadFull(u.in, h[:]); err != nil {
		return nil, u.damage("it is cut off", err)
	}
	n := binary.LittleEndian.Uint32(h[2:])
	if n > maxFrame {
		return nil, u.damage("a frame is too long", nil)
	}
	if uint32(cap(u.buf)) < n {
		u.buf = make([]byte, n)
	}
	u.buf = u.buf[:n]
	if _, err := io.ReadFull(u.in, u.buf); err != nil {
		return nil, u.damage("it is cut off", err)
	}
	if binary.LittleEndian.Uint32(h[6:]) != checksum(h[:], u.buf) {
		return nil, u.damage("a checksum is wrong", nil)
	}
	f := &frame{kind: frameKind(h[0]), data: u.buf}
	switch h[1] {
	case codedPlain:
	case codedZstd:
		var err error
		if u.data, err = u.zstd.DecodeAll(u.buf, u.data[:0]); err != nil || len(u.data) > maxFrame {
			return nil, u.damage("a frame cannot be decompressed", err)
		}
		f.data = u.data
	default:
		return nil, u.damage("a frame is coded as a later release does", nil)
	}
	u.at += int64(frameHeader + n)
	return f, nil
}

// damage is an error of the input: where the next frame begins is not known then.
func (u *unpacker) damage(what string, err error) error {
	if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) || err == nil {
		return fmt.Errorf("%w: the archive is damaged at byte %d: %s", errDamaged, u.at, what)
	}
	return fmt.Errorf("%w: the archive is damaged at byte %d: %s: %w", errDamaged, u.at, what, err)
}

// errDamaged says that nothing more can be read.
var errDamaged = errors.New("bad input")

// read decodes a frame that must be of a kind.
func (u *unpacker) read(kind frameKind, v any) error {
	f, err := u.next()
	if err != nil {
		return err
	}
	return u.decode(f, kind, v)
}

func (u *unpacker) decode(f *frame, kind frameKind, v any) error {
	if f.kind != kind {
		return u.damage(fmt.Sprintf("a frame of kind %d stands where one of kind %d belongs", f.kind, kind), nil)
	}
	if err := wire.Unmarshal(f.data, v); err != nil {
		return u.damage("a record cannot be read", err)
	}
	return nil
}

// octets reads the frames of a mail's octets as one.
type octets struct {
	u    *unpacker
	rest []byte
	err  error
}

// Read implements io.Reader.
func (o *octets) Read(p []byte) (int, error) {
	for len(o.rest) == 0 {
		if o.err != nil {
			return 0, o.err
		}
		f, err := o.u.next()
		switch {
		case err != nil:
			o.err = err
		case f.kind != frameOctets:
			o.u.kept, o.err = f, io.EOF
		default:
			o.rest = f.data
		}
	}
	n := copy(p, o.rest)
	o.rest = o.rest[n:]
	return n, nil
}
