package wire

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/internal/invariant"
)

type (
	uid   uint32
	guid  [16]byte
	label string
)

// pair codes itself, by pointer.
type pair struct{ a, b uint64 }

func (p *pair) AppendWire(dst []byte) []byte {
	return AppendUvarint(AppendUvarint(dst, p.a), p.b)
}

func (p *pair) UnmarshalWire(b []byte) error {
	r := NewReader(b)
	p.a, p.b = r.Uvarint(), r.Uvarint()
	return r.Close()
}

// names codes itself, by value, and is a list.
type names []string

func (n names) AppendWire(dst []byte) []byte {
	dst = AppendUvarint(dst, uint64(len(n)))
	for _, s := range n {
		dst = AppendString(dst, s)
	}
	return dst
}

func (n *names) UnmarshalWire(b []byte) error {
	r := NewReader(b)
	*n = make(names, r.Count(1))
	for i := range *n {
		(*n)[i] = r.String()
	}
	return r.Close()
}

type inner struct {
	ID   uid    `wire:"1"`
	Name string `wire:"2"`
}

// rich has a field of every kind.
type rich struct {
	Bool     bool          `wire:"1"`
	U8       uint8         `wire:"2"`
	U32      uid           `wire:"3"`
	U64      uint64        `wire:"4"`
	I8       int8          `wire:"5"`
	I64      int64         `wire:"6"`
	Wait     time.Duration `wire:"7"`
	F        float64       `wire:"8"`
	S        label         `wire:"9"`
	B        []byte        `wire:"10"`
	G        guid          `wire:"11"`
	In       inner         `wire:"12"`
	P        *inner        `wire:"13"`
	At       time.Time     `wire:"14"`
	Uids     []uid         `wire:"15"`
	Ints     []int64       `wire:"16"`
	Bools    []bool        `wire:"17"`
	Floats   []float64     `wire:"18"`
	Times    []time.Time   `wire:"19"`
	Strings  []string      `wire:"20"`
	Blobs    [][]byte      `wire:"21"`
	Guids    []guid        `wire:"22"`
	Inners   []inner       `wire:"23"`
	Pointers []*inner      `wire:"24"`
	Own      pair          `wire:"25"`
	OwnP     *pair         `wire:"26"`
	Owns     []pair        `wire:"27"`
	Names    names         `wire:"28"`
	Maybe    *uint64       `wire:"29"`
	MaybeS   *string       `wire:"30"`
	Lists    []uidList     `wire:"31"`
	Self     *rich         `wire:"300"`
	Left     string        `wire:"-"`
	Unknown  Unknown
	hidden   int
}

type uidList struct {
	Uids []uid `wire:"1"`
}

func full() rich {
	n, s := uint64(0), ""
	at := time.Date(2026, 3, 1, 9, 30, 0, 123456789, time.UTC)
	return rich{
		Bool: true, U8: 255, U32: 1 << 31, U64: math.MaxUint64, I8: -128, I64: math.MinInt64, Wait: -time.Second,
		F: math.Copysign(0, -1), S: "grüße", B: []byte{0, 1}, G: guid{15: 1}, In: inner{ID: 1}, P: &inner{}, At: at,
		Uids: []uid{0, 1, 300}, Ints: []int64{-1, 0, 1}, Bools: []bool{false, true}, Floats: []float64{0, 1.5},
		Times: []time.Time{{}, at, time.Unix(0, 0).UTC()}, Strings: []string{"", "a"}, Blobs: [][]byte{nil, {1}},
		Guids: []guid{{}, {1}}, Inners: []inner{{}, {Name: "x"}}, Pointers: []*inner{{}, {ID: 2}},
		Own: pair{1, 2}, OwnP: &pair{}, Owns: []pair{{}, {3, 4}}, Names: names{"n"}, Maybe: &n, MaybeS: &s,
		Lists: []uidList{{}, {Uids: []uid{7}}}, Self: &rich{U8: 1},
	}
}

func TestRoundTripOfEveryKind(t *testing.T) {
	for name, in := range map[string]rich{"zero": {}, "full": full()} {
		b := Marshal(&in)
		if byValue := Marshal(in); !bytes.Equal(b, byValue) {
			t.Errorf("%s: pointer and value differ", name)
		}
		for _, decode := range []func([]byte, any) error{Unmarshal, UnmarshalShared} {
			out := rich{U64: 9, Strings: []string{"stale"}}
			if err := decode(b, &out); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if !reflect.DeepEqual(in, out) {
				t.Errorf("%s:\n in %+v\nout %+v", name, in, out)
			}
		}
	}
}

func TestZeroCostsNothing(t *testing.T) {
	empty := rich{B: []byte{}, Strings: []string{}, Names: names{}, Left: "not coded", hidden: 1}
	for _, v := range []any{rich{}, &rich{}, (*rich)(nil), empty, struct{}{}} {
		if b := Marshal(v); len(b) != 0 {
			t.Errorf("%T: %d bytes, want none: %x", v, len(b), b)
		}
	}
}

func TestTimesAreHeldToTheirRange(t *testing.T) {
	for _, year := range []int{1, 1601, 4501, 9999} {
		in := rich{At: time.Date(year, 1, 2, 0, 0, 0, 0, time.UTC)}
		var out rich
		if err := Unmarshal(Marshal(&in), &out); err != nil {
			t.Fatal(err)
		}
		if got := out.At.Year(); got != 1677 && got != 2262 {
			t.Errorf("year %d came back as %d", year, got)
		}
	}
	in := rich{At: time.Unix(0, 0)}
	var out rich
	if err := Unmarshal(Marshal(&in), &out); err != nil || !out.At.Equal(in.At) || out.At.Location() != time.UTC {
		t.Errorf("the epoch came back as %v, %v", out.At, err)
	}
}

func TestLongNestedLengths(t *testing.T) {
	for _, n := range []int{126, 127, 128, 129, 16383, 16384, 16390, 1 << 21} {
		in := rich{In: inner{Name: strings.Repeat("x", n)}, U8: 1, Strings: []string{"after"}}
		var out rich
		if err := Unmarshal(Marshal(&in), &out); err != nil || !reflect.DeepEqual(in, out) {
			t.Fatalf("%d bytes: %v", n, err)
		}
	}
}

type oldRow struct {
	ID      uint64 `wire:"2"`
	Name    string `wire:"4"`
	Unknown Unknown
}

type newRow struct {
	Before  string  `wire:"1"`
	ID      uint64  `wire:"2"`
	Between float64 `wire:"3"`
	Name    string  `wire:"4"`
	After   []inner `wire:"7"`
}

func TestUnknownFieldsAreKeptInPlace(t *testing.T) {
	in := newRow{Before: "b", ID: 7, Between: 2, Name: "n", After: []inner{{ID: 1}, {ID: 2}}}
	b := Marshal(&in)
	for _, decode := range []func([]byte, any) error{Unmarshal, UnmarshalShared} {
		var old oldRow
		if err := decode(b, &old); err != nil {
			t.Fatal(err)
		}
		if again := Marshal(&old); !bytes.Equal(b, again) {
			t.Fatalf("rewritten:\n%x\n%x", b, again)
		}
		old.ID, old.Name = 0, "renamed"
		var out newRow
		if err := Unmarshal(Marshal(&old), &out); err != nil {
			t.Fatal(err)
		}
		want := in
		want.ID, want.Name = 0, "renamed"
		if !reflect.DeepEqual(out, want) {
			t.Fatalf("got %+v, want %+v", out, want)
		}
	}
	var skipped inner
	if err := Unmarshal(append(Marshal(&inner{ID: 3}), Marshal(&rich{F: 1})...), &skipped); err != nil || skipped.ID != 3 {
		t.Fatalf("skipping: %+v, %v", skipped, err)
	}
}

func TestDecodingCopiesUnlessShared(t *testing.T) {
	b := Marshal(&rich{B: []byte("abc"), S: "abc"})
	var copied, shared rich
	if err := errors.Join(Unmarshal(b, &copied), UnmarshalShared(b, &shared)); err != nil {
		t.Fatal(err)
	}
	clear(b)
	if string(copied.B) != "abc" || copied.S != "abc" || shared.S != "abc" {
		t.Error("a copy changed with the input")
	}
	if string(shared.B) == "abc" {
		t.Error("a shared field was copied")
	}
	if grown := append(shared.B, 1); &grown[0] == &shared.B[0] {
		t.Error("appending to a shared field reaches into the input")
	}
}

func TestDamageNamesTheField(t *testing.T) {
	deep := []byte{}
	for range MaxDepth + 1 {
		deep = closeLength(append([]byte{0xe2, 0x12, 0}, deep...), 3)
	}
	deepErr := "wire: rich." + strings.Repeat("Self.", MaxDepth-1) + "Self: nested too deep"
	tests := []struct {
		name string
		in   []byte
		want string
		kind error
	}{
		{"length beyond the end", []byte{9<<3 | 2, 5, 'a'}, "wire: rich.S: truncated", ErrTruncated},
		{"no payload", []byte{1 << 3}, "wire: rich.Bool: truncated", ErrTruncated},
		{"bool of two", []byte{1 << 3, 2}, "wire: rich.Bool: number out of range", ErrOverflow},
		{"byte of 256", []byte{2 << 3, 0x80, 2}, "wire: rich.U8: number out of range", ErrOverflow},
		{"int8 of 128", []byte{5 << 3, 0x80, 2}, "wire: rich.I8: number out of range", ErrOverflow},
		{"varint of 11 bytes", append([]byte{4 << 3}, bytes.Repeat([]byte{0xff}, 11)...), "wire: rich.U64: number out of range", ErrOverflow},
		{"string as number", []byte{9 << 3, 1}, "wire: rich.S: wrong form", ErrForm},
		{"short guid", []byte{11<<3 | 2, 1, 1}, "wire: rich.G: wrong length", ErrLength},
		{"nested", []byte{12<<3 | 2, 2, 2<<3 | 2, 1}, "wire: rich.In.Name: truncated", ErrTruncated},
		{"packed half", []byte{15<<3 | 2, 1, 0x80}, "wire: rich.Uids: wrong length", ErrLength},
		{"descending", []byte{2 << 3, 1, 1 << 3, 1}, "wire: rich.Bool: tags out of order", ErrOrder},
		{"twice", []byte{2 << 3, 1, 2 << 3, 1}, "wire: rich.U8: tags out of order", ErrOrder},
		{"tag nought", []byte{0, 1}, "wire: rich: wrong form", ErrForm},
		{"group form unknown", []byte{0xa3, 6, 1}, "wire: rich: wrong form", ErrForm},
		{"own", []byte{25<<3&0x7f | 2 | 0x80, 1, 1, 1}, "wire: rich.Own: truncated", ErrTruncated},
		{"deep", deep, deepErr, ErrDepth},
	}
	for _, tt := range tests {
		out := rich{U64: 1}
		err := Unmarshal(tt.in, &out)
		if err == nil || err.Error() != tt.want || !errors.Is(err, tt.kind) {
			t.Errorf("%s: got %q, want %q", tt.name, fmt.Sprint(err), tt.want)
		}
		if !reflect.DeepEqual(out, rich{}) {
			t.Errorf("%s: left %+v behind", tt.name, out)
		}
	}
}

func TestTypesThatCannotBeCoded(t *testing.T) {
	type half struct{ halfOwn }
	tests := []struct {
		v    any
		want string
	}{
		{struct {
			M map[string]int `wire:"1"`
		}{}, "map[string]int"},
		{struct {
			I any `wire:"1"`
		}{}, "interface {}"},
		{struct {
			F float32 `wire:"1"`
		}{}, "float32"},
		{struct {
			L [][]string `wire:"1"`
		}{}, "struct between"},
		{struct{ A int }{}, "exported field with wire"},
		{struct {
			A int `wire:"0"`
		}{}, "exported field with wire"},
		{struct {
			a int `wire:"1"`
		}{}, "exported field with wire"},
		{struct {
			A, B int `wire:"1"`
		}{}, "taken by A"},
		{struct{ a int }{}, "no field with a tag"},
		{struct {
			H half `wire:"1"`
		}{}, "only one of"},
		{7, "cannot stand alone"},
		{nil, "nil of no type"},
	}
	for _, tt := range tests {
		v := caught(func() { Marshal(tt.v) })
		violation, ok := v.(invariant.Violation)
		if !ok || !strings.Contains(violation.Message, tt.want) {
			t.Errorf("%T: panic %v, want one with %q", tt.v, v, tt.want)
		}
	}
	if v := caught(func() { _ = Unmarshal(nil, rich{}) }); v == nil {
		t.Error("decoding into a value is no mistake")
	}
	loop := &rich{}
	loop.Self = loop
	if v := caught(func() { Marshal(loop) }); v == nil {
		t.Error("a value that contains itself was encoded")
	}
}

type halfOwn struct{}

func (halfOwn) AppendWire(dst []byte) []byte { return dst }

func caught(fn func()) (v any) {
	defer func() { v = recover() }()
	fn()
	return nil
}

func TestMarshalersStandAlone(t *testing.T) {
	in := names{"a", "b"}
	var out names
	if err := Unmarshal(Marshal(in), &out); err != nil || !reflect.DeepEqual(in, out) {
		t.Fatalf("%v, %v", out, err)
	}
	if err := Unmarshal([]byte{200, 1, 0}, &out); !errors.Is(err, ErrTruncated) {
		t.Fatalf("a count beyond the input: %v", err)
	}
	if b := Marshal(&pair{1, 2}); !bytes.Equal(b, []byte{1, 2}) {
		t.Fatalf("%x", b)
	}
	if b := Marshal(pair{1, 2}); !bytes.Equal(b, []byte{1, 2}) {
		t.Fatalf("%x", b)
	}
}

// TestAllocationIsBounded feeds inputs that promise more than they hold.
func TestAllocationIsBounded(t *testing.T) {
	huge := AppendUvarint(nil, 1<<40)
	for _, in := range [][]byte{
		append([]byte{10<<3 | 2}, huge...),
		append([]byte{15<<3 | 2}, huge...),
		append([]byte{0xa2, 1}, huge...),
	} {
		var out rich
		got := testing.AllocsPerRun(10, func() {
			if err := Unmarshal(in, &out); !errors.Is(err, ErrTruncated) {
				t.Fatal(err)
			}
		})
		if got > 6 {
			t.Errorf("%x: %v allocations", in, got)
		}
	}
}

func TestConcurrentFirstUse(t *testing.T) {
	type a struct {
		N    uint64 `wire:"1"`
		Next *struct {
			In inner `wire:"1"`
		} `wire:"2"`
	}
	done := make(chan []byte)
	for range 8 {
		go func() { done <- Marshal(&a{N: 5}) }()
	}
	for range 8 {
		if b := <-done; !bytes.Equal(b, []byte{8, 5}) {
			t.Errorf("%x", b)
		}
	}
}
