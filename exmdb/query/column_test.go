package query

import (
	"bytes"
	"cmp"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// texts are strings with what makes ordering hard: case, zero bytes, letters beyond ASCII, one beginning another.
func texts() *rapid.Generator[string] {
	return rapid.StringOfN(rapid.SampledFrom([]rune("aAbB\x00\x01ßüÜ𐍈z")), 0, 6, -1)
}

// valuesOf draws values of one type, absence included.
func valuesOf(t mapi.Type) *rapid.Generator[mapi.Value] {
	present := map[mapi.Type]*rapid.Generator[mapi.Value]{
		mapi.TypeInteger16:  rapid.Map(rapid.Int16(), func(n int16) mapi.Value { return mapi.Integer16(n) }),
		mapi.TypeInteger32:  rapid.Map(rapid.Int32(), func(n int32) mapi.Value { return mapi.Integer32(n) }),
		mapi.TypeInteger64:  rapid.Map(rapid.Int64(), func(n int64) mapi.Value { return mapi.Integer64(n) }),
		mapi.TypeCurrency:   rapid.Map(rapid.Int64(), func(n int64) mapi.Value { return mapi.Currency(n) }),
		mapi.TypeFloating64: rapid.Map(rapid.Float64(), func(n float64) mapi.Value { return mapi.Floating64(n) }),
		mapi.TypeFloating32: rapid.Map(rapid.Float32(), func(n float32) mapi.Value { return mapi.Floating32(n) }),
		mapi.TypeAppTime:    rapid.Map(rapid.Float64(), func(n float64) mapi.Value { return mapi.AppTime(n) }),
		mapi.TypeTime:       rapid.Map(rapid.Uint64(), func(n uint64) mapi.Value { return mapi.FileTime(n) }),
		mapi.TypeErrorCode:  rapid.Map(rapid.Uint32(), func(n uint32) mapi.Value { return mapi.ErrorCode(n) }),
		mapi.TypeBoolean:    rapid.Map(rapid.Bool(), func(b bool) mapi.Value { return mapi.Boolean(b) }),
		mapi.TypeNull:       rapid.Just[mapi.Value](mapi.Null{}),
		mapi.TypeString:     rapid.Map(texts(), func(s string) mapi.Value { return mapi.String(s) }),
		mapi.TypeString8:    rapid.Map(texts(), func(s string) mapi.Value { return mapi.String8(s) }),
		mapi.TypeBinary:     rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 5), func(b []byte) mapi.Value { return mapi.Binary(b) }),
		mapi.TypeServerID:   rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 5), func(b []byte) mapi.Value { return mapi.Opaque(b) }),
		mapi.TypeGUID: rapid.Map(rapid.SliceOfN(rapid.Byte(), 16, 16), func(b []byte) mapi.Value {
			return mapi.GUID(b)
		}),
		mapi.TypeMultiString: rapid.Map(rapid.SliceOfN(texts(), 0, 3), func(l []string) mapi.Value { return mapi.Strings(l) }),
		mapi.TypeMultiInteger32: rapid.Map(rapid.SliceOfN(rapid.Int32Range(-2, 2), 0, 3), func(l []int32) mapi.Value {
			return mapi.Integers32(l)
		}),
	}[t]
	return rapid.OneOf(present, present, present, rapid.Just[mapi.Value](nil))
}

var valueTypes = []mapi.Type{mapi.TypeInteger16, mapi.TypeInteger32, mapi.TypeInteger64, mapi.TypeCurrency, mapi.TypeFloating64,
	mapi.TypeFloating32, mapi.TypeAppTime, mapi.TypeTime, mapi.TypeErrorCode, mapi.TypeBoolean, mapi.TypeNull, mapi.TypeString,
	mapi.TypeString8, mapi.TypeBinary, mapi.TypeServerID, mapi.TypeGUID, mapi.TypeMultiString, mapi.TypeMultiInteger32}

// TestKeysOrderAsValuesDo: a key orders as mapi does, in both directions, its bound is in front of it, and it ends where
// it says.
func TestKeysOrderAsValuesDo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		typ := rapid.SampledFrom(valueTypes).Draw(t, "type")
		a, b := valuesOf(typ).Draw(t, "a"), valuesOf(typ).Draw(t, "b")
		c := column{tag: mapi.NewTag(0x6001, typ), descending: rapid.Bool().Draw(t, "descending")}
		want := mapi.CompareForSort(a, b)
		if c.descending {
			want = -want
		}
		x, y := c.append(nil, a, 0), c.append(nil, b, 0)
		if got := bytes.Compare(x, y); cmp.Compare(got, 0) != cmp.Compare(want, 0) {
			t.Fatalf("%#v and %#v: keys %x and %x are %d, want %d", a, b, x, y, got, want)
		}
		if bound := c.bound(a); bytes.Compare(bound, x) > 0 || want <= 0 && bytes.Compare(bound, y) > 0 {
			t.Fatalf("bound %x of %#v is behind %x or %x", bound, a, x, y)
		}
		both := append(c.append([]byte{7}, a, 0), y...)
		if end := c.end(both, 1); end != 1+len(x) || c.end(both, end) != len(both) {
			t.Fatalf("the key %x of %#v ends at %d", x, a, end)
		}
	})
}

// TestLongValues: what is longer than a key stays different, and in order with what does not begin like it.
func TestLongValues(t *testing.T) {
	long := strings.Repeat("x", keyBytes)
	c := column{tag: mapi.PidTagSubject}
	key := func(s string) string { return string(c.append(nil, mapi.String(s), 0)) }
	if key(long+"A") != key(long+"a") || key(long+"a") == key(long+"b") || key(long) >= key(long+"a") || key(long+"a") >= key("y") {
		t.Fatal("long strings are not in order")
	}
	for _, s := range []string{long, long + "a", long + "b"} {
		k := []byte(key(s))
		if c.end(append(k, 0), 0) != len(k) || bytes.Compare(c.bound(mapi.String(long+"zz")), k) > 0 {
			t.Fatalf("key %x", k)
		}
	}
	many := make(mapi.Strings, keyElements+2)
	other := append(many[:keyElements+1:keyElements+1], "z")
	list := column{tag: mapi.PidTagSubject.WithType(mapi.TypeMultiString)}
	x, y := list.append(nil, many, 0), list.append(nil, other, 0)
	if bytes.Equal(x, y) || list.end(x, 0) != len(x) || list.end(y, 0) != len(y) {
		t.Fatalf("keys %x and %x", x, y)
	}
}

func TestElements(t *testing.T) {
	c := column{spread: true}
	for i, want := range []mapi.Value{mapi.String("a"), mapi.String("b"), nil} {
		if got := c.append(nil, mapi.Strings{"a", "b"}, uint32(i)); !bytes.Equal(got, appendValue(nil, want)) {
			t.Errorf("instance %d has key %x", i, got)
		}
	}
	if !bytes.Equal(c.append(nil, mapi.Integer32(5), 3), appendValue(nil, mapi.Integer32(5))) {
		t.Error("what is no list")
	}
	if !bytes.Equal(appendValue(nil, mapi.Floating64(math.Copysign(0, -1))), appendValue(nil, mapi.Floating64(0))) {
		t.Error("two zeros")
	}
	if !bytes.Equal(appendValue(nil, mapi.Reference{{Size: 9000}}), appendValue(nil, mapi.String(""))) {
		t.Error("content without its bytes")
	}
}
