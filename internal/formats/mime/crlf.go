package mime

import (
	"bytes"
	"io"
)

// Normalizer is a writer that passes on what is written to it with every bare LF made CRLF (MAILBOX 3). A CR that
// is not before an LF is passed on as it is. Its memory is constant.
type Normalizer struct {
	w       io.Writer
	cr      bool // the last byte was a CR
	written int64
	buf     []byte
}

// NewNormalizer passes the normalized bytes on to w.
func NewNormalizer(w io.Writer) *Normalizer { return &Normalizer{w: w} }

// Written is the number of octets passed on.
func (n *Normalizer) Written() int64 { return n.written }

// Write takes the next bytes. The error is that of the writer below.
func (n *Normalizer) Write(p []byte) (int, error) {
	for done := 0; done < len(p); {
		chunk := p[done:min(len(p), done+32<<10)]
		out := chunk
		if n.hasBareLF(chunk) {
			n.buf = appendNormal(n.buf[:0], chunk, n.cr)
			out = n.buf
		}
		m, err := n.w.Write(out)
		n.written += int64(m)
		if err != nil {
			return done, err
		}
		n.cr = chunk[len(chunk)-1] == '\r'
		done += len(chunk)
	}
	return len(p), nil
}

func (n *Normalizer) hasBareLF(p []byte) bool { return countBareLF(p, n.cr) > 0 }

// NormalizedSize is the exact number of octets of Normalize(b).
func NormalizedSize(b []byte) int64 { return int64(len(b)) + countBareLF(b, false) }

// Normalize makes every bare LF of b CRLF. It returns b itself if there is none.
func Normalize(b []byte) []byte {
	extra := countBareLF(b, false)
	if extra == 0 {
		return b
	}
	return appendNormal(make([]byte, 0, int64(len(b))+extra), b, false)
}

func countBareLF(b []byte, cr bool) (n int64) {
	for from := 0; ; {
		i := bytes.IndexByte(b[from:], '\n')
		if i < 0 {
			return n
		}
		i += from
		if i > 0 && b[i-1] != '\r' || i == 0 && !cr {
			n++
		}
		from = i + 1
	}
}

func appendNormal(dst, b []byte, cr bool) []byte {
	for len(b) > 0 {
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			return append(dst, b...)
		}
		dst = append(dst, b[:i]...)
		if i > 0 && b[i-1] != '\r' || i == 0 && !cr {
			dst = append(dst, '\r')
		}
		dst = append(dst, '\n')
		b, cr = b[i+1:], false
	}
	return dst
}
