package wire

import (
	"bytes"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func drawRich(t *rapid.T, depth int) rich {
	small := rapid.SliceOfN(rapid.Byte(), 0, 20)
	at := rapid.Custom(func(t *rapid.T) time.Time {
		return time.Unix(0, rapid.Int64Range(firstTime, 1<<62).Draw(t, "ns")).UTC()
	})
	in := rapid.Custom(func(t *rapid.T) inner {
		return inner{ID: uid(rapid.Uint32().Draw(t, "id")), Name: rapid.String().Draw(t, "name")}
	})
	p := rapid.Custom(func(t *rapid.T) pair { return pair{rapid.Uint64().Draw(t, "a"), rapid.Uint64().Draw(t, "b")} })
	v := rich{
		Bool: rapid.Bool().Draw(t, "bool"), U8: rapid.Uint8().Draw(t, "u8"), U64: rapid.Uint64().Draw(t, "u64"),
		I8: rapid.Int8().Draw(t, "i8"), I64: rapid.Int64().Draw(t, "i64"), F: rapid.Float64().Draw(t, "f"),
		S: label(rapid.String().Draw(t, "s")), B: some(small.Draw(t, "b")), In: in.Draw(t, "in"),
		P: rapid.Ptr(in, true).Draw(t, "p"), At: at.Draw(t, "at"), Own: p.Draw(t, "own"),
		OwnP: rapid.Ptr(p, true).Draw(t, "ownp"), Maybe: rapid.Ptr(rapid.Uint64(), true).Draw(t, "maybe"),
		Ints: some(rapid.SliceOfN(rapid.Int64(), 0, 9).Draw(t, "ints")), Bools: some(rapid.SliceOfN(rapid.Bool(), 0, 9).Draw(t, "bools")),
		Floats: some(rapid.SliceOfN(rapid.Float64(), 0, 9).Draw(t, "floats")), Times: some(rapid.SliceOfN(at, 0, 3).Draw(t, "times")),
		Strings: some(rapid.SliceOfN(rapid.String(), 0, 9).Draw(t, "strings")), Inners: some(rapid.SliceOfN(in, 0, 9).Draw(t, "inners")),
		Pointers: some(rapid.SliceOfN(rapid.Ptr(in, false), 0, 9).Draw(t, "pointers")), Owns: some(rapid.SliceOfN(p, 0, 9).Draw(t, "owns")),
		Names: some(names(rapid.SliceOfN(rapid.String(), 0, 9).Draw(t, "names"))),
	}
	if depth > 0 && rapid.Bool().Draw(t, "nest") {
		self := drawRich(t, depth-1)
		v.Self = &self
	}
	return v
}

// some is s, or nil if it is empty: what comes back.
func some[S ~[]E, E any](s S) S {
	if len(s) == 0 {
		return nil
	}
	return s
}

func TestRoundTripRandom(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawRich(t, 3)
		b := Append([]byte("before"), &in)
		var out rich
		if err := Unmarshal(b[6:], &out); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(in, out) {
			t.Fatalf("\n in %+v\nout %+v", in, out)
		}
		cut := rapid.IntRange(0, len(b)-6).Draw(t, "cut")
		if err := Unmarshal(b[6:6+cut], &out); err != nil && !reflect.DeepEqual(out, rich{}) {
			t.Fatal("a refused record left something behind")
		}
	})
}

// FuzzUnmarshal decodes anything; what decodes must encode to bytes that decode to the same and are stable.
func FuzzUnmarshal(f *testing.F) {
	v := full()
	for _, seed := range []any{&v, &rich{}, &rich{Self: &v}, &newRow{Before: "x", After: []inner{{ID: 1}}}} {
		f.Add(Marshal(seed))
	}
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Add([]byte{15<<3 | 2, 3, 0x80, 0x80, 0x80})
	f.Fuzz(func(t *testing.T, b []byte) {
		var first, shared, second rich
		err := Unmarshal(b, &first)
		if other := UnmarshalShared(b, &shared); (err == nil) != (other == nil) {
			t.Fatalf("%v, shared %v", err, other)
		}
		if err != nil {
			return
		}
		once := Marshal(&first)
		if other := Marshal(&shared); !bytes.Equal(once, other) {
			t.Fatalf("shared differs: %x, %x", once, other)
		}
		if err := Unmarshal(once, &second); err != nil {
			t.Fatalf("own output: %v\n%x", err, once)
		}
		if twice := Marshal(&second); !bytes.Equal(once, twice) {
			t.Fatalf("unstable:\n%x\n%x", once, twice)
		}
	})
}

// FuzzReader walks random bytes with every read there is.
func FuzzReader(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11})
	f.Add([]byte{0x80})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := NewReader(b)
		for i := 0; r.Len() > 0; i++ {
			before := r.Len()
			switch i % 6 {
			case 0:
				r.Uvarint()
			case 1:
				r.Varint()
			case 2:
				r.Fixed64()
			case 3:
				_ = r.Bytes()
			case 4:
				r.Byte()
			case 5:
				if n := r.Count(2); n*2 > len(b) {
					t.Fatalf("count %d of %d bytes", n, len(b))
				}
			}
			if r.Len() >= before {
				t.Fatal("no progress")
			}
		}
		if r.Err() != nil && (r.Uvarint() != 0 || r.String() != "" || r.Byte() != 0) {
			t.Fatal("a reader went on after its error")
		}
	})
}
