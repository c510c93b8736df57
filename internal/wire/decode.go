package wire

import "reflect"

// decoder is what a level passes to the one below.
type decoder struct {
	shared bool
	depth  int
}

// decode sets the fields of v, which is zero, from b. Input and plan ascend together.
func (p *plan) decode(d decoder, v reflect.Value, b []byte) error {
	if d.depth > MaxDepth {
		return ErrDepth
	}
	r := Reader{b: b}
	fields := p.fields
	var last uint64 // tag before this one
	known := false  // and whether it was a field of ours
	for len(r.b) > 0 {
		before := r.b
		tag, form := r.key()
		if r.err != nil {
			return r.err
		}
		if tag < last || tag == last && known {
			return p.atTag(tag, ErrOrder)
		}
		for len(fields) > 0 && fields[0].tag < tag {
			fields = fields[1:]
		}
		last, known = tag, len(fields) > 0 && fields[0].tag == tag
		if !known {
			r.skip(form)
			p.keep(d, v, before[:len(before)-len(r.b)])
			continue
		}
		if err := fields[0].decode(d, v, form, &r); err != nil {
			return within(fields[0].name, err)
		}
	}
	return r.err
}

// keep adds one unknown field to the Unknown of v, if it has one.
func (p *plan) keep(d decoder, v reflect.Value, raw []byte) {
	if p.unknown < 0 || len(raw) == 0 {
		return
	}
	kept := v.Field(p.unknown)
	have := kept.Bytes()
	if d.shared && len(have) == 0 {
		kept.SetBytes(raw[:len(raw):len(raw)])
		return
	}
	kept.SetBytes(append(have, raw...))
}

// atTag names the field of a tag, if there is one.
func (p *plan) atTag(tag uint64, err error) error {
	for i := range p.fields {
		if p.fields[i].tag == tag {
			return within(p.fields[i].name, err)
		}
	}
	return err
}

func (f *field) decode(d decoder, parent reflect.Value, got form, r *Reader) error {
	if got != f.codec.form {
		return ErrForm
	}
	v := parent.Field(f.index)
	if f.repeated {
		return f.decodeRun(d, v, r)
	}
	if got != formBytes {
		num := r.number(got)
		if r.err != nil {
			return r.err
		}
		return f.codec.get(d, v, num, nil)
	}
	b := r.Bytes()
	if r.err != nil {
		return r.err
	}
	return f.codec.get(d, v, 0, b)
}

// decodeRun reads this element and all that follow under the same key, counted first so that one allocation holds
// them.
func (f *field) decodeRun(d decoder, v reflect.Value, r *Reader) error {
	n := f.countRun(*r)
	v.Grow(n)
	v.SetLen(n)
	for i := range n {
		if i > 0 {
			r.key()
		}
		b := r.Bytes()
		if r.err != nil {
			return r.err
		}
		if err := f.codec.get(d, v.Index(i), 0, b); err != nil {
			return err
		}
	}
	return nil
}

// countRun is how many elements follow, the one whose key was read included. r is a copy.
func (f *field) countRun(r Reader) int {
	n := 1
	r.Bytes()
	for len(r.b) > 0 && r.err == nil {
		if tag, form := r.key(); tag != f.tag || form != formBytes {
			break
		}
		n++
		r.Bytes()
	}
	return n
}
