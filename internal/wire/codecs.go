package wire

import (
	"math"
	"reflect"
	"strconv"
	"time"
)

func scalarCodec(k reflect.Kind) *codec {
	switch k {
	case reflect.Bool:
		return boolCodec()
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return uintCodec(k)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return intCodec(k)
	case reflect.Float64:
		return floatCodec()
	case reflect.String:
		return stringCodec()
	default:
		return nil
	}
}

func boolCodec() *codec {
	return &codec{
		form:   formVarint,
		what:   "bool",
		absent: func(v reflect.Value) bool { return !v.Bool() },
		put: func(dst []byte, v reflect.Value, _ int) []byte {
			if v.Bool() {
				return append(dst, 1)
			}
			return append(dst, 0)
		},
		get: func(_ decoder, v reflect.Value, num uint64, _ []byte) error {
			if num > 1 {
				return ErrOverflow
			}
			v.SetBool(num == 1)
			return nil
		},
	}
}

func uintCodec(k reflect.Kind) *codec {
	return &codec{
		form:     formVarint,
		what:     k.String(),
		unsigned: true,
		absent:   func(v reflect.Value) bool { return v.Uint() == 0 },
		put: func(dst []byte, v reflect.Value, _ int) []byte {
			return AppendUvarint(dst, v.Uint())
		},
		get: func(_ decoder, v reflect.Value, num uint64, _ []byte) error {
			if v.OverflowUint(num) {
				return ErrOverflow
			}
			v.SetUint(num)
			return nil
		},
	}
}

func intCodec(k reflect.Kind) *codec {
	return &codec{
		form:   formVarint,
		what:   k.String(),
		absent: func(v reflect.Value) bool { return v.Int() == 0 },
		put: func(dst []byte, v reflect.Value, _ int) []byte {
			return AppendVarint(dst, v.Int())
		},
		get: func(_ decoder, v reflect.Value, num uint64, _ []byte) error {
			n := unzigzag(num)
			if v.OverflowInt(n) {
				return ErrOverflow
			}
			v.SetInt(n)
			return nil
		},
	}
}

func floatCodec() *codec {
	return &codec{
		form:   formFixed8,
		what:   "float64",
		absent: func(v reflect.Value) bool { return math.Float64bits(v.Float()) == 0 },
		put: func(dst []byte, v reflect.Value, _ int) []byte {
			return AppendFixed64(dst, math.Float64bits(v.Float()))
		},
		get: func(_ decoder, v reflect.Value, num uint64, _ []byte) error {
			v.SetFloat(math.Float64frombits(num))
			return nil
		},
	}
}

func timeCodec() *codec {
	return &codec{
		form:   formVarint,
		what:   "time",
		absent: func(v reflect.Value) bool { return v.Addr().Interface().(*time.Time).IsZero() },
		put: func(dst []byte, v reflect.Value, _ int) []byte {
			return AppendVarint(dst, nanoseconds(*v.Addr().Interface().(*time.Time)))
		},
		get: func(_ decoder, v reflect.Value, num uint64, _ []byte) error {
			if ns := unzigzag(num); ns != noTime {
				*v.Addr().Interface().(*time.Time) = time.Unix(0, ns).UTC()
			}
			return nil
		},
	}
}

func stringCodec() *codec {
	return &codec{
		form:   formBytes,
		what:   "string",
		absent: func(v reflect.Value) bool { return v.Len() == 0 },
		put: func(dst []byte, v reflect.Value, _ int) []byte {
			return AppendString(dst, v.String())
		},
		get: func(_ decoder, v reflect.Value, _ uint64, b []byte) error {
			v.SetString(string(b))
			return nil
		},
	}
}

func bytesCodec() *codec {
	return &codec{
		form:   formBytes,
		what:   "bytes",
		absent: func(v reflect.Value) bool { return v.Len() == 0 },
		put: func(dst []byte, v reflect.Value, _ int) []byte {
			return AppendBytes(dst, v.Bytes())
		},
		get: func(d decoder, v reflect.Value, _ uint64, b []byte) error {
			if len(b) == 0 {
				return nil
			}
			if !d.shared {
				b = append(make([]byte, 0, len(b)), b...)
			}
			v.SetBytes(b[:len(b):len(b)])
			return nil
		},
	}
}

func arrayCodec(size int) *codec {
	return &codec{
		form:   formBytes,
		what:   "bytes(" + strconv.Itoa(size) + ")",
		absent: func(v reflect.Value) bool { return allZero(v.Bytes()) },
		put: func(dst []byte, v reflect.Value, _ int) []byte {
			return AppendBytes(dst, v.Bytes())
		},
		get: func(_ decoder, v reflect.Value, _ uint64, b []byte) error {
			if len(b) != size {
				return ErrLength
			}
			copy(v.Bytes(), b)
			return nil
		},
	}
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

func structCodec(p *plan) *codec {
	return &codec{
		form:   formBytes,
		what:   "struct " + p.typ.String(),
		absent: func(reflect.Value) bool { return false },
		elide:  true,
		put: func(dst []byte, v reflect.Value, depth int) []byte {
			dst = append(dst, 0)
			start := len(dst)
			return closeLength(p.append(dst, v, depth+1), start)
		},
		get: func(d decoder, v reflect.Value, _ uint64, b []byte) error {
			d.depth++
			return p.decode(d, v, b)
		},
	}
}

// ownCodec codes a Marshaler. It is absent when zero; a list or map of its own also when empty.
func ownCodec(t reflect.Type) *codec {
	absent := func(v reflect.Value) bool { return v.IsZero() }
	if t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
		absent = func(v reflect.Value) bool { return v.Len() == 0 }
	}
	return &codec{
		form:   formBytes,
		what:   "own " + t.String(),
		absent: absent,
		put: func(dst []byte, v reflect.Value, _ int) []byte {
			dst = append(dst, 0)
			start := len(dst)
			return closeLength(v.Addr().Interface().(Marshaler).AppendWire(dst), start)
		},
		get: func(_ decoder, v reflect.Value, _ uint64, b []byte) error {
			return v.Addr().Interface().(Unmarshaler).UnmarshalWire(b)
		},
	}
}

// packedCodec codes a slice of numbers behind one length.
func packedCodec(elem *codec) *codec {
	return &codec{
		form:   formBytes,
		what:   "packed " + elem.what,
		absent: func(v reflect.Value) bool { return v.Len() == 0 },
		put: func(dst []byte, v reflect.Value, depth int) []byte {
			dst = append(dst, 0)
			start := len(dst)
			for i := range v.Len() {
				dst = elem.put(dst, v.Index(i), depth)
			}
			return closeLength(dst, start)
		},
		get: func(d decoder, v reflect.Value, _ uint64, b []byte) error {
			n := countPacked(elem.form, b)
			v.Grow(n)
			v.SetLen(n)
			r := NewReader(b)
			for i := range n {
				if err := elem.get(d, v.Index(i), r.number(elem.form), nil); err != nil {
					return err
				}
			}
			return r.Close()
		},
	}
}

// countPacked is how many whole numbers b holds; it bounds what is allocated for them.
func countPacked(f form, b []byte) int {
	if f == formFixed8 {
		return len(b) / 8
	}
	n := 0
	for _, c := range b {
		if c < 0x80 {
			n++
		}
	}
	return n
}
