package mime

import "fmt"

// maxDigestDepth bounds the recursion of decoding; a scan nests less.
const maxDigestDepth = 1000

// maxPosition bounds the positions in a digest, so that sums of them cannot overflow.
const maxPosition = 1 << 50

// Summary is what a digest tells of a message without its tree.
type Summary struct {
	HeaderSize     int64
	Size           int64 // of the whole message
	Lines          int64 // of the body
	Type, Subtype  string
	HasAttachments bool
}

// UnmarshalDigest gives back the tree of a digest. The strings of the tree share one copy of the digest.
func UnmarshalDigest(b []byte) (*Part, error) {
	env, structure, _, err := splitDigest(b)
	if err != nil {
		return nil, err
	}
	root := &Part{}
	d := decoder{s: string(structure), budget: len(structure)}
	d.part(root, 0, 0)
	if d.err == nil && env != nil {
		root.Envelope, d.err = decodeEnvelope(string(env))
	}
	if d.err != nil {
		return nil, d.err
	}
	return root, nil
}

// DigestEnvelope reads only the envelope of a digest.
func DigestEnvelope(b []byte) (*Envelope, error) {
	env, _, _, err := splitDigest(b)
	if err != nil {
		return nil, err
	}
	return decodeEnvelope(string(env))
}

// DigestSummary reads only what a digest says of the message as a whole.
func DigestSummary(b []byte) (Summary, error) {
	_, structure, flags, err := splitDigest(b)
	if err != nil {
		return Summary{}, err
	}
	var p Part
	d := decoder{s: string(structure), budget: len(structure)}
	d.fields(&p, 0)
	if d.err != nil {
		return Summary{}, d.err
	}
	return Summary{
		HeaderSize: p.HeaderSize(), Size: p.BodyEnd, Lines: p.Lines, Type: p.Type, Subtype: p.Subtype,
		HasAttachments: flags&flagAttachments != 0,
	}, nil
}

// splitDigest finds the fields of a digest without looking into them.
func splitDigest(b []byte) (env, structure []byte, flags uint64, err error) {
	if len(b) == 0 || b[0] != digestFormat {
		return nil, nil, 0, fmt.Errorf("%w: unknown format", ErrDigest)
	}
	pos := 1
	for pos < len(b) {
		tag, num, n := splitField(b[pos:])
		if n == 0 {
			return nil, nil, 0, fmt.Errorf("%w: cut off", ErrDigest)
		}
		pos += n
		var data []byte
		if tag&1 == 1 {
			data = b[pos-int(num) : pos : pos]
		}
		switch tag {
		case digestEnvelope<<1 | 1:
			env = data
		case digestStructure<<1 | 1:
			structure = data
		case digestFlags << 1:
			flags = num
		}
	}
	return env, structure, flags, nil
}

// splitField reads one field of n bytes; n is 0 if it is damaged. num is the number, or the length of the bytes.
func splitField(b []byte) (tag, num uint64, n int) {
	d := decoder{s: string(b[:min(len(b), 20)])}
	tag, num = d.uvarint(), d.uvarint()
	n = d.pos
	if tag&1 == 1 && num <= uint64(len(b)-n) {
		n += int(num)
	} else if tag&1 == 1 {
		return 0, 0, 0
	}
	if d.err != nil || tag == 0 {
		return 0, 0, 0
	}
	return tag, num, n
}

// decoder reads fields and keeps its first error; after that it yields zeros.
type decoder struct {
	s      string
	pos    int
	err    error
	budget int // how many more elements may be allocated
}

func (d *decoder) fail(what string) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: %s", ErrDigest, what)
	}
	d.pos = len(d.s)
}

func (d *decoder) more() bool { return d.pos < len(d.s) }

func (d *decoder) uvarint() uint64 {
	var v uint64
	for shift := uint(0); d.pos < len(d.s); shift += 7 {
		c := d.s[d.pos]
		d.pos++
		if c < 0x80 {
			if shift == 63 && c > 1 {
				break
			}
			return v | uint64(c)<<shift
		}
		if shift >= 63 {
			break
		}
		v |= uint64(c&0x7f) << shift
	}
	d.fail("number")
	return 0
}

func (d *decoder) string() string {
	n := d.uvarint()
	if n > uint64(len(d.s)-d.pos) {
		d.fail("length")
		return ""
	}
	s := d.s[d.pos : d.pos+int(n)]
	d.pos += int(n)
	return s
}

// position reads a size or distance.
func position(d *decoder, v uint64) int64 {
	if v > maxPosition {
		d.fail("position")
		return 0
	}
	return int64(v)
}

// count takes n elements from the budget.
func (d *decoder) count(n uint64) int {
	if n > uint64(d.budget) {
		d.fail("count")
		return 0
	}
	d.budget -= int(n)
	return int(n)
}

// part reads a part and what is below it; from is the position its gap counts from.
func (d *decoder) part(p *Part, from int64, depth int) {
	children := d.fields(p, from)
	if children == 0 || d.err != nil {
		return
	}
	if depth >= maxDigestDepth {
		d.fail("depth")
		return
	}
	slab := make([]Part, children)
	p.Parts = make([]*Part, children)
	from = p.BodyStart
	for i := range slab {
		p.Parts[i] = &slab[i]
		d.part(&slab[i], from, depth+1)
		from = slab[i].BodyEnd
		if d.err != nil {
			return
		}
	}
}

// fields reads the fields of one part up to the 0 after them, and returns how many parts follow below it.
func (d *decoder) fields(p *Part, from int64) (children int) {
	p.Type, p.Subtype = "text", "plain"
	var gap, header, size int64
	for {
		tag := d.uvarint()
		if tag == 0 {
			break
		}
		if tag&1 == 1 {
			d.textField(p, int(tag>>1), d.string())
			continue
		}
		v := d.uvarint()
		switch tag >> 1 {
		case partGap:
			gap = position(d, v)
		case partHeaderSize:
			header = position(d, v)
		case partSize:
			size = position(d, v)
		case partLines:
			p.Lines = position(d, v)
		case partChildren:
			children = d.count(v)
		default:
			d.codeField(p, int(tag>>1), v)
		}
	}
	p.HeaderStart = from + gap
	p.BodyStart = p.HeaderStart + header
	p.BodyEnd = p.BodyStart + size
	if p.BodyEnd > maxPosition {
		d.fail("position")
	}
	return children
}

func (d *decoder) codeField(p *Part, field int, v uint64) {
	known := true
	switch field {
	case partTypeCode:
		if known = v < uint64(len(typeCodes)); known {
			p.Type, p.Subtype = typeCodes[v].typ, typeCodes[v].subtype
		}
	case partCoding:
		if known = v < uint64(len(codingCodes)); known {
			p.Encoding = codingCodes[v]
		}
	case partDisposed:
		if known = v < uint64(len(disposedCodes)); known {
			p.Disposition = disposedCodes[v]
		}
	}
	if !known {
		d.fail("code")
	}
}

func (d *decoder) textField(p *Part, field int, s string) {
	switch field {
	case partType:
		p.Type = s
	case partSubtype:
		p.Subtype = s
	case partParams:
		p.Params = d.params(s)
	case partEncoding:
		p.Encoding = s
	case partDisposition:
		p.Disposition = s
	case partDispParams:
		p.DispositionParams = d.params(s)
	case partID:
		p.ID = s
	case partDescription:
		p.Description = s
	case partLanguages:
		p.Languages = d.languages(s)
	case partLocation:
		p.Location = s
	case partMD5:
		p.MD5 = s
	case partEnvelope:
		var err error
		if p.Envelope, err = decodeEnvelope(s); err != nil {
			d.fail("envelope")
		}
	}
}

func (d *decoder) params(s string) Params {
	in := decoder{s: s}
	params := make(Params, 0, 2)
	for in.more() {
		params = append(params, Param{Name: in.string(), Value: in.string()})
	}
	if in.err != nil || len(params) == 0 {
		d.fail("parameters")
		return nil
	}
	return params
}

func (d *decoder) languages(s string) []string {
	in := decoder{s: s}
	var list []string
	for in.more() {
		list = append(list, in.string())
	}
	if in.err != nil {
		d.fail("languages")
	}
	return list
}

func decodeEnvelope(s string) (*Envelope, error) {
	d := decoder{s: s, budget: len(s)}
	e := &Envelope{}
	var slab []Address
	for d.more() {
		tag := d.uvarint()
		if tag&1 == 0 {
			if v := d.uvarint(); tag>>1 == envAddresses {
				slab = make([]Address, 0, d.count(v))
			}
			continue
		}
		text := d.string()
		switch tag >> 1 {
		case envDate:
			e.Date, e.Has = text, e.Has|HasDate
		case envSubject:
			e.Subject, e.Has = text, e.Has|HasSubject
		case envInReplyTo:
			e.InReplyTo, e.Has = text, e.Has|HasInReplyTo
		case envMessageID:
			e.MessageID, e.Has = text, e.Has|HasMessageID
		case envFrom, envSender, envReplyTo, envTo, envCc, envBcc:
			from := len(slab)
			slab = d.addresses(slab, text)
			*e.list(tag >> 1) = slab[from:len(slab):len(slab)]
		}
	}
	if d.err != nil {
		return nil, d.err
	}
	e.fillFromFrom()
	return e, nil
}

// list is the address list with a field number.
func (e *Envelope) list(field uint64) *[]Address {
	switch field {
	case envFrom:
		return &e.From
	case envSender:
		return &e.Sender
	case envReplyTo:
		return &e.ReplyTo
	case envTo:
		return &e.To
	case envCc:
		return &e.Cc
	}
	return &e.Bcc
}

func (d *decoder) addresses(dst []Address, s string) []Address {
	in := decoder{s: s}
	for in.more() {
		flags := in.s[in.pos]
		in.pos++
		a := Address{Kind: AddressKind(flags & 3)}
		for i, field := range [...]*string{&a.Name, &a.Route, &a.Local, &a.Host} {
			if flags&(4<<i) != 0 {
				*field = in.string()
			}
		}
		dst = append(dst, a)
	}
	if in.err != nil {
		d.fail("address")
	}
	return dst
}
