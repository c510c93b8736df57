package oxcdata

import (
	"bytes"
	"encoding/hex"
	"errors"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/flotilla-mail/flotilla/internal/invariant"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/testkit"
)

// samples has a value of every type with its bytes in ROP and in Extended; one string stands for both.
var samples = []struct {
	t        mapi.Type
	v        mapi.Value
	rop, ext string
}{
	{mapi.TypeNull, mapi.Null{}, "", ""},
	{mapi.TypeInteger16, mapi.Integer16(-2), "feff", ""},
	{mapi.TypeInteger32, mapi.Integer32(-2), "feffffff", ""},
	{mapi.TypeInteger64, mapi.Integer64(1), "0100000000000000", ""},
	{mapi.TypeFloating32, mapi.Floating32(1.5), "0000c03f", ""},
	{mapi.TypeFloating64, mapi.Floating64(-2), "00000000000000c0", ""},
	{mapi.TypeCurrency, mapi.Currency(10000), "1027000000000000", ""},
	{mapi.TypeAppTime, mapi.AppTime(2.5), "0000000000000440", ""},
	{mapi.TypeErrorCode, mapi.ErrorNotFound, "0f010480", ""},
	{mapi.TypeBoolean, mapi.Boolean(true), "01", ""},
	{mapi.TypeString, mapi.String("aä\U0001F600"), "6100e4003dd800de0000", ""},
	{mapi.TypeString8, mapi.String8("a\xe4"), "61e400", ""},
	{mapi.TypeTime, mapi.FileTime(0x0102030405060708), "0807060504030201", ""},
	{mapi.TypeGUID, mapi.PSETIDCommon, "0820060000000000c000000000000046", ""},
	{mapi.TypeBinary, mapi.Binary{1, 2}, "02000102", "020000000102"},
	{mapi.TypeObject, mapi.Opaque{1, 2}, "02000102", "020000000102"},
	{mapi.TypeServerID, mapi.Opaque{0, 7}, "02000007", ""},
	{mapi.TypeRestriction, RestrictionValue(mapi.AndRestriction{&mapi.ExistRestriction{Tag: mapi.PidTagSubject}}), "000100081f003700", "0001000000081f003700"},
	{mapi.TypeRuleAction, mustActions(mapi.RuleAction{Type: mapi.ActionDelete, Flags: 5}), "010009000a0000000005000000", ""},

	{mapi.TypeMultiInteger16, mapi.Integers16{1, -1}, "020000000100ffff", ""},
	{mapi.TypeMultiInteger32, mapi.Integers32{1}, "0100000001000000", ""},
	{mapi.TypeMultiInteger64, mapi.Integers64{}, "00000000", ""},
	{mapi.TypeMultiFloating32, mapi.Floatings32{1.5}, "010000000000c03f", ""},
	{mapi.TypeMultiFloating64, mapi.Floatings64{-2}, "0100000000000000000000c0", ""},
	{mapi.TypeMultiCurrency, mapi.Currencies{1}, "010000000100000000000000", ""},
	{mapi.TypeMultiAppTime, mapi.AppTimes{2.5}, "010000000000000000000440", ""},
	{mapi.TypeMultiString, mapi.Strings{"a", ""}, "02000000610000000000", ""},
	{mapi.TypeMultiString8, mapi.Strings8{"a", ""}, "02000000610000", ""},
	{mapi.TypeMultiTime, mapi.Times{1}, "010000000100000000000000", ""},
	{mapi.TypeMultiGUID, mapi.GUIDs{{15: 1}}, "0100000000000000000000000000000000000001", ""},
	{mapi.TypeMultiBinary, mapi.Binaries{{1}, {}}, "020000000100010000", "02000000010000000100000000"},
}

func mustActions(list ...mapi.RuleAction) mapi.Opaque {
	v, err := RuleActionsValue(list)
	if err != nil {
		invariant.Failf("%v", err)
	}
	return v
}

func TestValues(t *testing.T) {
	for _, s := range samples {
		if s.ext == "" {
			s.ext = s.rop
		}
		for form, want := range map[Form]string{ROP: s.rop, Extended: s.ext} {
			e := NewEncoder(nil, form)
			e.Value(s.t, s.v)
			got, err := e.Bytes()
			if err != nil || hex.EncodeToString(got) != want {
				t.Errorf("type %#x in form %d: %x, want %s, %v", s.t, form, got, want, err)
			}
			d := NewDecoder(got, form)
			back := d.Value(s.t)
			if err := d.Close(); err != nil || !reflect.DeepEqual(back, s.v) {
				t.Errorf("type %#x in form %d came back as %#v, %v", s.t, form, back, err)
			}
			for cut := range got {
				d := NewDecoder(got[:cut], form)
				if v := d.Value(s.t); d.Close() == nil && reflect.DeepEqual(v, s.v) || d.Err() != nil && !errors.Is(d.Err(), ErrMalformed) {
					t.Errorf("type %#x cut at %d: %#v, %v", s.t, cut, v, d.Err())
				}
			}
		}
	}
	if len(samples) != len(codecs)+2 {
		t.Errorf("%d samples of %d types", len(samples), len(codecs)+2)
	}
}

func TestValuesRefused(t *testing.T) {
	for _, tt := range []struct {
		t    mapi.Type
		hex  string
		want error
	}{
		{mapi.TypeBoolean, "02", ErrMalformed}, {mapi.TypeString, "610000", ErrMalformed}, {mapi.TypeString8, "61", ErrMalformed},
		{mapi.TypeBinary, "0300ffff", ErrMalformed}, {mapi.TypeMultiBinary, "ffffffff0000", ErrMalformed}, {mapi.TypeUnspecified, "00", ErrMalformed},
		{0x0777, "00", ErrMalformed}, {mapi.TypeServerID, "0100", ErrMalformed}, {mapi.TypeRestriction, "0c", ErrMalformed},
		{mapi.TypeRestriction, "04041f003700fd000100" + "00", mapi.ErrTooComplex}, {mapi.TypeRuleAction, "01000100ff", ErrMalformed},
		{mapi.TypeMultiString, "01000000", ErrMalformed}, {mapi.TypeInteger64, "00", ErrMalformed},
	} {
		b, err := hex.DecodeString(tt.hex)
		if err != nil {
			t.Fatal(err)
		}
		d := NewDecoder(b, ROP)
		if v := d.Value(tt.t); !errors.Is(d.Err(), tt.want) || v != nil || d.Len() != 0 {
			t.Errorf("type %#x of %s: %v, %v", tt.t, tt.hex, v, d.Err())
		}
	}
}

func TestStringsAreMadeValid(t *testing.T) {
	d := NewDecoder([]byte{0x3d, 0xd8, 'a', 0, 0x00, 0xde, 0x3d, 0xd8, 0, 0}, ROP)
	if s := d.String(); s != "\ufffda\ufffd\ufffd" || d.Close() != nil {
		t.Errorf("%q, %v", s, d.Err())
	}
	e := NewEncoder(nil, ROP)
	e.String("ab\x00c")
	e.String8("ab\x00c")
	if got, _ := e.Bytes(); !bytes.Equal(got, []byte("a\x00b\x00\x00\x00ab\x00")) {
		t.Errorf("%x", got)
	}
}

func TestCountedText(t *testing.T) {
	e := NewEncoder(nil, ROP)
	e.UTF16("a\x00\U0001F600", 2)
	b, err := e.Bytes()
	if err != nil || hex.EncodeToString(b) != "0400"+"61000000"+"3dd800de" {
		t.Fatalf("%x, %v", b, err)
	}
	d := NewDecoder(b, ROP)
	if s := d.UTF16(d.Number(2)); d.Close() != nil || s != "a\x00\U0001F600" {
		t.Errorf("%q, %v", s, d.Err())
	}
	d = NewDecoder(b, ROP)
	if s := d.UTF16(1 << 40); !errors.Is(d.Err(), ErrMalformed) {
		t.Errorf("%q", s)
	}
}

func TestTooLong(t *testing.T) {
	long := mapi.Binary(make([]byte, 0x10000))
	e := NewEncoder(nil, ROP)
	e.Value(mapi.TypeBinary, long)
	e.Uint8(1)
	if b, err := e.Bytes(); !errors.Is(err, ErrTooLong) || b != nil {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	e = NewEncoder(nil, Extended)
	e.Value(mapi.TypeBinary, long)
	if _, err := e.Bytes(); err != nil {
		t.Error(err)
	}
	e = NewEncoder(nil, ROP)
	e.PropertyName(mapi.PropertyName{Kind: mapi.NameByString, Name: strings.Repeat("x", 127)})
	if _, err := e.Bytes(); !errors.Is(err, ErrTooLong) {
		t.Errorf("%v", err)
	}
}

func TestMistakesOfTheProgram(t *testing.T) {
	for name, mistake := range map[string]func(e *Encoder){
		"another type":  func(e *Encoder) { e.Value(mapi.TypeString, mapi.Integer32(1)) },
		"a reference":   func(e *Encoder) { e.Value(mapi.TypeString, mapi.Reference{}) },
		"no type":       func(e *Encoder) { e.Value(mapi.TypeUnspecified, mapi.Opaque{}) },
		"no value":      func(e *Encoder) { e.Value(mapi.TypeString, nil) },
		"no node":       func(e *Encoder) { e.Restriction(&mapi.NotRestriction{}) },
		"a walk's node": func(e *Encoder) { e.Restriction(mapi.ForOneWalk(&mapi.ContentRestriction{})) },
		"short row":     func(e *Encoder) { e.Row([]mapi.Tag{mapi.PidTagSubject}, nil) },
		"action's data": func(e *Encoder) { e.RuleActions([]mapi.RuleAction{{Type: mapi.ActionMove}}) },
		"names and ids": func(e *Encoder) { e.namedProperties(NamedProperties{IDs: []uint16{1}}) },
	} {
		func() {
			defer func() {
				if _, ok := recover().(invariant.Violation); !ok {
					t.Errorf("%s was taken", name)
				}
			}()
			mistake(NewEncoder(nil, ROP))
		}()
	}
	e := NewEncoder(nil, ROP)
	e.Value(mapi.TypeRestriction, mapi.Opaque{0xFF})
	if _, err := e.Bytes(); !errors.Is(err, ErrMalformed) {
		t.Errorf("a value that is no restriction: %v", err)
	}
}

// values draws a value of any type but those that hold values again.
func values() *rapid.Generator[mapi.Prop] {
	text := rapid.StringOf(rapid.RuneFrom([]rune("aBzäß€\U0001F600")))
	octets := rapid.SliceOfN(rapid.Byte(), 0, 20)
	gens := map[mapi.Type]*rapid.Generator[mapi.Value]{
		mapi.TypeInteger16:      rapid.Map(rapid.Int16(), func(n int16) mapi.Value { return mapi.Integer16(n) }),
		mapi.TypeInteger32:      rapid.Map(rapid.Int32(), func(n int32) mapi.Value { return mapi.Integer32(n) }),
		mapi.TypeInteger64:      rapid.Map(rapid.Int64(), func(n int64) mapi.Value { return mapi.Integer64(n) }),
		mapi.TypeBoolean:        rapid.Map(rapid.Bool(), func(b bool) mapi.Value { return mapi.Boolean(b) }),
		mapi.TypeString:         rapid.Map(text, func(s string) mapi.Value { return mapi.String(s) }),
		mapi.TypeString8:        rapid.Map(text, func(s string) mapi.Value { return mapi.String8(s) }),
		mapi.TypeTime:           rapid.Map(rapid.Uint64(), func(n uint64) mapi.Value { return mapi.FileTime(n) }),
		mapi.TypeBinary:         rapid.Map(octets, func(b []byte) mapi.Value { return mapi.Binary(b) }),
		mapi.TypeServerID:       rapid.Map(octets, func(b []byte) mapi.Value { return mapi.Opaque(b) }),
		mapi.TypeMultiString:    rapid.Map(rapid.SliceOf(text), func(s []string) mapi.Value { return mapi.Strings(s) }),
		mapi.TypeMultiBinary:    rapid.Map(rapid.SliceOf(octets), func(b [][]byte) mapi.Value { return mapi.Binaries(b) }),
		mapi.TypeMultiInteger32: rapid.Map(rapid.SliceOf(rapid.Int32()), func(n []int32) mapi.Value { return mapi.Integers32(n) }),
	}
	types := make([]mapi.Type, 0, len(gens))
	for _, s := range samples {
		if gens[s.t] != nil {
			types = append(types, s.t)
		}
	}
	return rapid.Custom(func(t *rapid.T) mapi.Prop {
		typ := rapid.SampledFrom(types).Draw(t, "type")
		return mapi.Prop{Tag: mapi.NewTag(uint16(rapid.IntRange(1, 0x8FFF).Draw(t, "id")), typ), Value: gens[typ].Draw(t, "value")}
	})
}

func TestPropsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		props := rapid.SliceOfN(values(), 0, 10).Draw(t, "props")
		form := rapid.SampledFrom([]Form{ROP, Extended, Definition}).Draw(t, "form")
		e := NewEncoder([]byte("front"), form)
		for _, p := range props {
			e.Prop(p)
		}
		b, err := e.Bytes()
		if err != nil || !bytes.HasPrefix(b, []byte("front")) {
			t.Fatal(err)
		}
		d := NewDecoder(b[5:], form)
		back := d.Props(len(props))
		if err := d.Close(); err != nil || len(back) != len(props) {
			t.Fatalf("%v came back as %v, %v", props, back, err)
		}
		for i, p := range props {
			if back[i].Tag != p.Tag || !reflect.DeepEqual(back[i].Value, p.Value) {
				t.Fatalf("%#v came back as %#v", p, back[i])
			}
		}
	})
}

func TestTypedAndTags(t *testing.T) {
	e := NewEncoder(nil, ROP)
	e.Typed(mapi.TypeInteger16, mapi.Integer16(5))
	tags := []mapi.Tag{mapi.PidTagSubject, mapi.PidTagBody}
	e.Tags(tags)
	b, err := e.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	d := NewDecoder(b, ROP)
	typ, v := d.Typed()
	back := d.Tags()
	if err := d.Close(); err != nil || typ != mapi.TypeInteger16 || v != mapi.Integer16(5) || !reflect.DeepEqual(back, tags) {
		t.Fatalf("%x came back as %v %v %v, %v", b, typ, v, back, err)
	}
	d = NewDecoder([]byte{0xFF, 0xFF, 1}, ROP)
	if tags := d.Tags(); tags != nil || d.Err() == nil {
		t.Error("a short array")
	}
	d = NewDecoder(b[:1], ROP)
	if _, v := d.Typed(); v != nil || d.Err() == nil {
		t.Error("half a type")
	}
}

func TestIDs(t *testing.T) {
	fid, mid := mapi.LocalFID(0x010203040506), mapi.NewMID(5, 7)
	e := NewEncoder(nil, ROP)
	e.FID(fid)
	e.MID(mid)
	b, err := e.Bytes()
	if err != nil || hex.EncodeToString(b) != "0100010203040506"+"0500000000000007" {
		t.Fatalf("%x, %v", b, err)
	}
	if FIDOf(FIDValue(fid)) != fid || MIDOf(MIDValue(mid)) != mid || FIDValue(fid) != 0x0605040302010001 {
		t.Errorf("%#x, %#x", FIDValue(fid), MIDValue(mid))
	}
	for _, id := range []mapi.ServerID{{Ours: true, FID: fid, MID: mid, Instance: 3}, {Theirs: []byte{1, 2}}, {Theirs: []byte{}}} {
		v := ServerIDValue(id)
		if back, err := ServerIDOf(v); err != nil || !reflect.DeepEqual(back, id) {
			t.Errorf("%+v came back as %+v, %v", id, back, err)
		}
	}
	for _, bad := range []mapi.Opaque{{}, {1, 2}, {2}} {
		if _, err := ServerIDOf(bad); !errors.Is(err, ErrMalformed) {
			t.Errorf("%x: %v", []byte(bad), err)
		}
	}
}

// allocated is how many bytes f takes from the heap.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestDecodersAllocateByInput: whatever counts say, memory follows what is there.
func TestDecodersAllocateByInput(t *testing.T) {
	claims := bytes.Repeat([]byte{0xFF}, 64)
	zeros := make([]byte, 64<<10)
	for name, decode := range map[string]func(d *Decoder){
		"list of integers": func(d *Decoder) { d.Value(mapi.TypeMultiInteger64) }, "list of strings": func(d *Decoder) { d.Value(mapi.TypeMultiString) },
		"list of binaries": func(d *Decoder) { d.Value(mapi.TypeMultiBinary) }, "binary": func(d *Decoder) { d.Value(mapi.TypeBinary) },
		"restriction": func(d *Decoder) { d.Restriction() }, "and": func(d *Decoder) { d.operands() }, "tags": func(d *Decoder) { d.Tags() },
		"actions": func(d *Decoder) { d.RuleActions() }, "names": func(d *Decoder) { d.namedProperties() }, "sort orders": func(d *Decoder) { d.SortOrderSet() },
		"rows": func(d *Decoder) { d.Rows([]mapi.Tag{mapi.PidTagSubject}) }, "recipient": func(d *Decoder) { d.RecipientRow(nil) },
	} {
		for form := ROP; form <= Definition; form++ {
			for _, in := range [][]byte{claims, zeros} {
				if got, limit := allocated(func() { decode(NewDecoder(in, form)) }), uint64(64*len(in)+16<<10); got > limit {
					t.Errorf("%s in form %d: %d bytes for %d", name, form, got, len(in))
				}
			}
		}
	}
}

func FuzzValue(f *testing.F) {
	for _, s := range samples {
		e := NewEncoder(nil, ROP)
		e.Value(s.t, s.v)
		f.Add(uint16(s.t), uint8(ROP), e.b)
	}
	f.Fuzz(func(t *testing.T, typ uint16, form uint8, b []byte) {
		defer testkit.Bounded(t)()
		d := NewDecoder(b, Form(form%3))
		v := d.Value(mapi.Type(typ))
		if d.Err() != nil {
			if v != nil {
				t.Fatalf("%#v beside %v", v, d.Err())
			}
			return
		}
		e := NewEncoder(nil, Form(form%3))
		e.Value(mapi.Type(typ), v)
		again, err := e.Bytes()
		if errors.Is(err, ErrTooLong) {
			return // U+FFFD is longer than half a pair was, or a count of bytes lacked a NUL
		}
		if err != nil {
			t.Fatal(err)
		}
		back := NewDecoder(again, Form(form%3))
		if w := back.Value(mapi.Type(typ)); back.Close() != nil || !sameValue(v, w) {
			t.Fatalf("%#v came back as %#v, %v", v, w, back.Err())
		}
	})
}

// sameValue is equality by the bytes, so that a NaN equals itself.
func sameValue(v, w mapi.Value) bool {
	var a, b mapi.PropBag
	tag := mapi.NewTag(1, mapi.TypeOf(v))
	if tag.Type() == mapi.TypeUnspecified {
		return reflect.DeepEqual(v, w)
	}
	if mapi.TypeOf(w) != tag.Type() {
		return false
	}
	a.Set(tag, v)
	b.Set(tag, w)
	return bytes.Equal(a.AppendWire(nil), b.AppendWire(nil))
}
