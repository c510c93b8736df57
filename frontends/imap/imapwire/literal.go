package imapwire

import "io"

// Literal is a literal in the input that is read as it arrives. Exactly one of Accept and Refuse comes first.
type Literal struct {
	Size    int64
	NonSync bool // RFC 7888: the client does not wait
	d       *Decoder
	left    int64
}

// OpenLiteral takes a literal's announcement and its line end; "~" in front (RFC 3516 4.4) is taken too.
func (d *Decoder) OpenLiteral() *Literal {
	l := &Literal{d: d}
	d.TrySpecial('~')
	d.Special('{')
	l.Size = int64(d.Number64())
	l.NonSync = d.TrySpecial('+')
	d.Special('}')
	d.TrySpecial('\r')
	if !d.TrySpecial('\n') {
		d.Fail("expected a line end after a literal's size")
		return l
	}
	d.line = 0
	if l.NonSync {
		d.pending = l.Size
	} else {
		d.finished = true // until the client is told to go on
	}
	return l
}

// Accept asks the client for the literal.
func (l *Literal) Accept() {
	d := l.d
	if d.err != nil {
		return
	}
	if !l.NonSync {
		if err := d.proceed(); err != nil {
			d.fail(err)
			return
		}
		d.finished = false
		d.pending = l.Size
	}
	l.left = l.Size
}

// Refuse gives the literal up. A client that waits has ended its command; one that does not is skipped by Recover.
func (l *Literal) Refuse() { l.left = 0 }

// Read implements io.Reader; after the last octet of the literal it says io.EOF.
func (l *Literal) Read(p []byte) (int, error) {
	if l.left == 0 {
		return 0, io.EOF
	}
	if int64(len(p)) > l.left {
		p = p[:l.left]
	}
	n, err := l.d.r.Read(p)
	l.left -= int64(n)
	l.d.pending -= int64(n)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		l.d.fail(err)
	}
	return n, err
}

// Drain reads what is left of an accepted literal.
func (l *Literal) Drain() {
	if err := l.d.drop(l.left); err != nil {
		l.d.fail(err)
		return
	}
	l.left, l.d.pending = 0, 0
}
