package group

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"strings"
)

// A snapshot travels as one stream of files (CLUSTER 5.4):
//
//	magic "FLSS" | version u8 | count u32 | { size u64 | name (u16 length) } | crc32c u32 of all before
//	{ content | crc32c u32 } for each file, in the order of the list
//
// so its size is known before the first byte, and a file that does not arrive whole is found out.
const (
	streamMagic     = "FLSS"
	streamVersion   = 1
	maxStreamFiles  = 1 << 20
	maxStreamName   = 255
	maxStreamHeader = 64 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// fileSource is where a stream's files are read from.
type fileSource interface {
	// Files lists names and sizes.
	Files() ([]streamFile, error)
	Open(name string) (io.ReadCloser, error)
}

// fileTarget is where a stream's files are written to. Close of a file makes it durable.
type fileTarget interface {
	Create(name string) (io.WriteCloser, error)
}

type streamFile struct {
	name string
	size int64
}

func encodeStreamHeader(files []streamFile) []byte {
	b := append([]byte(streamMagic), streamVersion)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(files)))
	for _, f := range files {
		b = binary.LittleEndian.AppendUint64(b, uint64(f.size))
		b = binary.LittleEndian.AppendUint16(b, uint16(len(f.name)))
		b = append(b, f.name...)
	}
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// decodeStreamHeader reads the header at the beginning of b. need is how many bytes it takes at least to get
// further, when b does not hold it all yet.
func decodeStreamHeader(b []byte) (files []streamFile, size, need int, err error) {
	const fixed = len(streamMagic) + 1 + 4
	if len(b) < fixed {
		return nil, 0, fixed, nil
	}
	if string(b[:len(streamMagic)]) != streamMagic || b[len(streamMagic)] != streamVersion {
		return nil, 0, 0, errors.New("snapshot stream does not begin as one of this version")
	}
	count := binary.LittleEndian.Uint32(b[fixed-4:])
	if count == 0 || count > maxStreamFiles {
		return nil, 0, 0, fmt.Errorf("snapshot stream of %d files", count)
	}
	at := fixed
	for range count {
		if len(b) < at+10 {
			return nil, 0, at + 10, nil
		}
		n := int(binary.LittleEndian.Uint16(b[at+8:]))
		if len(b) < at+10+n {
			return nil, 0, at + 10 + n, nil
		}
		f := streamFile{size: int64(binary.LittleEndian.Uint64(b[at:])), name: string(b[at+10 : at+10+n])}
		if err := checkStreamFile(f); err != nil {
			return nil, 0, 0, err
		}
		files = append(files, f)
		at += 10 + n
	}
	if len(b) < at+4 {
		return nil, 0, at + 4, nil
	}
	if crc32.Checksum(b[:at], castagnoli) != binary.LittleEndian.Uint32(b[at:]) {
		return nil, 0, 0, errors.New("snapshot stream's list of files is damaged")
	}
	return files, at + 4, 0, nil
}

// checkStreamFile keeps a stream inside its directory.
func checkStreamFile(f streamFile) error {
	if f.name == "" || len(f.name) > maxStreamName || f.name[0] == '.' || strings.ContainsAny(f.name, "/\\\x00") {
		return fmt.Errorf("snapshot stream names file %q", f.name)
	}
	if f.size < 0 {
		return fmt.Errorf("snapshot stream gives %s a size of %d", f.name, f.size)
	}
	return nil
}

// streamReader reads a directory as a stream.
type streamReader struct {
	src   fileSource
	files []streamFile // still to be read, the first is current
	size  int64
	buf   []byte // header or checksum still to be read
	cur   io.ReadCloser
	left  int64
	sum   hash.Hash32
}

// newStreamReader lists src and returns a reader that yields exactly Size bytes.
func newStreamReader(src fileSource) (*streamReader, error) {
	files, err := src.Files()
	if err != nil {
		return nil, err
	}
	r := &streamReader{src: src, files: files, buf: encodeStreamHeader(files), sum: crc32.New(castagnoli)}
	r.size = int64(len(r.buf))
	for _, f := range files {
		if err := checkStreamFile(f); err != nil {
			return nil, err
		}
		r.size += f.size + 4
	}
	return r, nil
}

// Size is the length of the whole stream.
func (r *streamReader) Size() int64 { return r.size }

func (r *streamReader) Read(p []byte) (int, error) {
	for {
		if len(r.buf) > 0 {
			n := copy(p, r.buf)
			r.buf = r.buf[n:]
			return n, nil
		}
		if len(r.files) == 0 {
			return 0, io.EOF
		}
		if n, err := r.readFile(p); n > 0 || err != nil {
			return n, err
		}
	}
}

// readFile reads some of the current file; at its end it puts the checksum into buf.
func (r *streamReader) readFile(p []byte) (int, error) {
	f := r.files[0]
	if r.cur == nil {
		var err error
		if r.cur, err = r.src.Open(f.name); err != nil {
			return 0, fmt.Errorf("snapshot file %s: %w", f.name, err)
		}
		r.left = f.size
		r.sum.Reset()
	}
	if r.left > 0 {
		n, err := r.cur.Read(p[:min(int64(len(p)), r.left)])
		r.left -= int64(n)
		r.sum.Write(p[:n])
		if err == io.EOF && r.left > 0 {
			err = io.ErrUnexpectedEOF
		}
		if err != nil && err != io.EOF {
			return n, fmt.Errorf("snapshot file %s: %w", f.name, err)
		}
		return n, nil
	}
	err := r.cur.Close()
	r.cur = nil
	r.files = r.files[1:]
	r.buf = binary.LittleEndian.AppendUint32(nil, r.sum.Sum32())
	return 0, err
}

// Close releases the file being read.
func (r *streamReader) Close() error {
	r.files = nil
	if r.cur == nil {
		return nil
	}
	err := r.cur.Close()
	r.cur = nil
	return err
}

// streamWriter takes a stream apart into files.
type streamWriter struct {
	dst    fileTarget
	header []byte // until it is whole
	need   int
	files  []streamFile // still to be written, the first is current
	ready  bool         // the header has been read
	cur    io.WriteCloser
	left   int64
	sum    hash.Hash32
	tail   []byte // of the current file's checksum
	err    error
}

func newStreamWriter(dst fileTarget) *streamWriter {
	return &streamWriter{dst: dst, sum: crc32.New(castagnoli)}
}

func (w *streamWriter) Write(p []byte) (int, error) {
	done := 0
	for len(p) > 0 && w.err == nil {
		var n int
		if !w.ready {
			n, w.err = w.writeHeader(p)
		} else {
			n, w.err = w.writeFile(p)
		}
		p = p[n:]
		done += n
	}
	return done, w.err
}

// writeHeader takes all of p; what follows the header is given on.
func (w *streamWriter) writeHeader(p []byte) (int, error) {
	w.header = append(w.header, p...)
	if len(w.header) < w.need {
		return len(p), nil
	}
	files, size, need, err := decodeStreamHeader(w.header)
	if err != nil {
		return 0, err
	}
	if w.need = need; need > 0 {
		if len(w.header) > maxStreamHeader {
			return 0, errors.New("snapshot stream's list of files is too long")
		}
		return len(p), nil
	}
	rest := w.header[size:]
	w.files, w.ready, w.header = files, true, nil
	for len(rest) > 0 {
		n, err := w.writeFile(rest)
		if err != nil {
			return 0, err
		}
		rest = rest[n:]
	}
	return len(p), nil
}

func (w *streamWriter) writeFile(p []byte) (int, error) {
	if len(w.files) == 0 {
		return 0, errors.New("snapshot stream goes on after its last file")
	}
	f := w.files[0]
	if w.cur == nil {
		var err error
		if w.cur, err = w.dst.Create(f.name); err != nil {
			return 0, fmt.Errorf("snapshot file %s: %w", f.name, err)
		}
		w.left, w.tail = f.size, nil
		w.sum.Reset()
	}
	if w.left > 0 {
		p = p[:min(int64(len(p)), w.left)]
		w.sum.Write(p) // first: the engine's file systems may change what they were given
		n, err := w.cur.Write(p)
		w.left -= int64(n)
		if err != nil {
			return n, fmt.Errorf("snapshot file %s: %w", f.name, err)
		}
		return n, nil
	}
	n := min(len(p), 4-len(w.tail))
	w.tail = append(w.tail, p[:n]...)
	if len(w.tail) < 4 {
		return n, nil
	}
	return n, w.endFile(f)
}

func (w *streamWriter) endFile(f streamFile) error {
	err := w.cur.Close()
	w.cur = nil
	w.files = w.files[1:]
	if err != nil {
		return fmt.Errorf("snapshot file %s: %w", f.name, err)
	}
	if binary.LittleEndian.Uint32(w.tail) != w.sum.Sum32() {
		return fmt.Errorf("snapshot file %s arrived damaged", f.name)
	}
	return nil
}

// finish reports whether the stream was whole.
func (w *streamWriter) finish() error {
	switch {
	case w.err != nil:
		return w.err
	case !w.ready || len(w.files) > 0:
		return fmt.Errorf("snapshot stream: %w", io.ErrUnexpectedEOF)
	}
	return nil
}

// abort closes the file being written.
func (w *streamWriter) abort() error {
	if w.cur == nil {
		return nil
	}
	err := w.cur.Close()
	w.cur = nil
	return err
}
