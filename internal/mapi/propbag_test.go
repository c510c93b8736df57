package mapi

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/flotilla-mail/flotilla/internal/testkit"
)

func sampleBag() *PropBag {
	var b PropBag
	at := FileTimeOf(time.Date(2026, 3, 4, 5, 6, 7, 89_000_100, time.UTC))
	g := GUID{1, 2, 3, 15: 9}
	for i, v := range []struct {
		t Type
		v Value
	}{
		{TypeNull, Null{}}, {TypeInteger16, Integer16(-7)}, {TypeInteger32, Integer32(1 << 30)}, {TypeInteger64, Integer64(-1 << 60)},
		{TypeFloating32, Floating32(1.5)}, {TypeFloating64, Floating64(-2.25)}, {TypeCurrency, Currency(123456)},
		{TypeAppTime, AppTime(45000.5)}, {TypeErrorCode, ErrorCode(0x8004010F)}, {TypeBoolean, Boolean(true)},
		{TypeString, String("Grüße")}, {TypeString8, String8("latin")}, {TypeBinary, Binary{0, 1, 2}}, {TypeTime, at}, {TypeGUID, g},
		{TypeMultiInteger16, Integers16{1, -2}}, {TypeMultiInteger32, Integers32{3, -4}}, {TypeMultiInteger64, Integers64{5}},
		{TypeMultiFloating32, Floatings32{1, 2}}, {TypeMultiFloating64, Floatings64{3}}, {TypeMultiCurrency, Currencies{4}},
		{TypeMultiAppTime, AppTimes{0.5}}, {TypeMultiString, Strings{"a", ""}}, {TypeMultiString8, Strings8{"b"}},
		{TypeMultiBinary, Binaries{{}, {7}}}, {TypeMultiTime, Times{at, 0}}, {TypeMultiGUID, GUIDs{g, {}}},
		{TypeServerID, Opaque{9, 9}}, {TypeRestriction, Opaque{1}}, {Type(0x0777), Opaque("later")},
		{TypeObject, Reference{{Hash: [32]byte{5}, Size: 1 << 20}}}, {TypeString, Reference{{Size: 9000}, {Size: 1}}},
	} {
		b.Set(NewTag(uint16(0x3000+i), v.t), v.v)
	}
	return &b
}

func TestPropBagRoundTrip(t *testing.T) {
	b := sampleBag()
	stored := b.AppendWire(nil)
	var back PropBag
	if err := back.UnmarshalWire(stored); err != nil {
		t.Fatal(err)
	}
	if back.Len() != b.Len() {
		t.Fatalf("%d properties came back, want %d", back.Len(), b.Len())
	}
	if again := back.AppendWire(nil); !bytes.Equal(again, stored) {
		t.Fatalf("stored again it is %x, was %x", again, stored)
	}
	if got := back.Get(NewTag(0x300A, TypeString)); got != String("Grüße") {
		t.Fatalf("string came back as %#v", got)
	}
}

func TestPropBagIsSorted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b PropBag
		want := map[Tag]Value{}
		for _, id := range rapid.SliceOfN(rapid.Uint16Range(0, 40), 0, 60).Draw(t, "ids") {
			tag := NewTag(id, TypeInteger32)
			if id%5 == 0 {
				b.Delete(tag)
				delete(want, tag)
				continue
			}
			v := Integer32(rapid.Int32().Draw(t, "value"))
			b.Set(tag, v)
			want[tag] = v
		}
		if !slices.IsSortedFunc(b.All(), func(x, y Prop) int { return int(x.Tag>>16) - int(y.Tag>>16) }) || b.Len() != len(want) {
			t.Fatalf("bag %v, want %v", b.All(), want)
		}
		for tag, v := range want {
			if b.Get(tag) != v {
				t.Fatalf("%v is %v, want %v", tag, b.Get(tag), v)
			}
		}
	})
}

func TestPropBagRefusesDamage(t *testing.T) {
	stored := sampleBag().AppendWire(nil)
	for cut := 1; cut < len(stored); cut++ {
		var b PropBag
		if err := b.UnmarshalWire(stored[:cut]); err == nil && bytes.Equal(b.AppendWire(nil), stored) {
			t.Fatalf("a bag cut at %d came back whole", cut)
		}
	}
	for name, bad := range map[string][]byte{
		"same tag twice":       {0x83, 0x80, 0x40, 2, 1, 0, 2, 1},
		"tag beyond 32 bits":   {0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0},
		"bool of two":          {0x0b, 2, 2},
		"reference as integer": {0x03, 0x43, 33: 0},
	} {
		var b PropBag
		if err := b.UnmarshalWire(bad); !errors.Is(err, ErrBadBag) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestExternalise(t *testing.T) {
	var b PropBag
	long := strings.Repeat("x", MaxStoredValue+1)
	b.Set(PidTagSubject, String(long[:MaxStoredValue]))
	b.Set(PidTagTransportHeaders, String(long))
	var put []byte
	b.Externalise(func(p []byte) Reference {
		put = p
		return Reference{{Hash: [32]byte{1}, Size: uint32(len(p))}}
	})
	if string(put) != long || len(b.References()) != 1 {
		t.Fatalf("%d bytes put, %d references", len(put), len(b.References()))
	}
	if _, stays := b.Get(PidTagSubject).(String); !stays {
		t.Fatal("a value at the limit was taken out")
	}
}

func FuzzPropBag(f *testing.F) {
	f.Add(sampleBag().AppendWire(nil))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		defer testkit.Bounded(t)()
		var b, again PropBag
		if b.UnmarshalWire(data) != nil {
			return
		}
		stored := b.AppendWire(nil)
		if err := again.UnmarshalWire(stored); err != nil {
			t.Fatalf("what was written does not read: %v", err)
		}
		if !bytes.Equal(again.AppendWire(nil), stored) {
			t.Fatal("writing is not stable")
		}
	})
}

func TestFileTime(t *testing.T) {
	if got := FileTimeOf(time.Unix(0, 0)); got != 116444736000000000 {
		t.Fatalf("1970 is %d", got)
	}
	if !FileTime(0).Time().IsZero() || FileTimeOf(time.Time{}) != 0 {
		t.Fatal("the zero time does not stay zero")
	}
	rapid.Check(t, func(t *rapid.T) {
		f := FileTime(rapid.Uint64Range(1, 1<<62).Draw(t, "filetime"))
		if back := FileTimeOf(f.Time()); back != f {
			t.Fatalf("%d came back as %d", f, back)
		}
	})
}

// TestStoredReferences: what a stored bag refers to is found without its values, and so is what is no bag.
func TestStoredReferences(t *testing.T) {
	var bag PropBag
	want := []ContentRef{{Hash: [32]byte{1}, Size: 9000}, {Hash: [32]byte{2}, Size: 10}}
	bag.Set(PidTagBody, Reference(want))
	bag.Set(PidTagSubjectPrefix, String("RE: "))
	bag.Set(PidTagImportance, Integer32(2))
	stored := bag.AppendWire(nil)
	got, err := StoredReferences(stored)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := StoredReferences(stored[:len(stored)-1]); !errors.Is(err, ErrBadBag) {
		t.Errorf("a bag cut short: %v", err)
	}
	for _, p := range bag.All() {
		if n := StoredSize(p.Value); n != len(AppendValue(nil, p.Value)) {
			t.Errorf("%v has %d bytes", p, n)
		}
	}
}

// BenchmarkPropBag reads the properties of a mail as tables do, of every row that they sort.
func BenchmarkPropBag(b *testing.B) {
	var bag PropBag
	for _, t := range []Tag{PidTagMessageClass, PidTagSubjectPrefix, PidTagNormalizedSubject, PidTagSenderName, PidTagSenderEmailAddress, PidTagSenderSmtpAddress,
		PidTagSentRepresentingName, PidTagDisplayTo, PidTagInternetMessageId, PidTagConversationTopic} {
		bag.Set(t, String("somebody.else@mail.example.test"))
	}
	bag.Set(PidTagImportance, Integer32(1))
	bag.Set(PidTagClientSubmitTime, FileTime(1<<57))
	stored := bag.AppendWire(nil)
	b.ReportAllocs()
	for b.Loop() {
		var back PropBag
		if err := back.UnmarshalWire(stored); err != nil {
			b.Fatal(err)
		}
	}
}
