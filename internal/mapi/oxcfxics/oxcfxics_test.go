package oxcfxics

import (
	"bytes"
	"encoding/hex"
	"errors"
	"reflect"
	"runtime"
	"testing"

	"pgregory.net/rapid"

	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/testkit"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

func set(ranges ...mapi.GlobRange) mapi.GLOBSET { return mapi.GLOBSETOfRanges(ranges) }

func one(c mapi.GlobalCounter) mapi.GlobRange { return mapi.GlobRange{Low: c, High: c} }

func TestGLOBSETOnTheWire(t *testing.T) {
	for name, tt := range map[string]struct {
		s    mapi.GLOBSET
		want string
	}{
		"nothing":            {set(), "00"},
		"one":                {set(one(0x010203040506)), "06" + "010203040506" + "00"},
		"short range":        {set(mapi.GlobRange{Low: 0x10, High: 0x20}), "05" + "0000000000" + "52" + "10" + "20" + "50" + "00"},
		"range across bytes": {set(mapi.GlobRange{Low: 0xF0, High: 0x110}), "04" + "00000000" + "52" + "00f0" + "0110" + "50" + "00"},
		"whole space":        {set(mapi.GlobRange{Low: 0, High: mapi.MaxGlobalCounter}), "52" + "000000000000" + "ffffffffffff" + "00"},
		"close ones":         {set(one(1), one(3), one(4), one(9)), "05" + "0000000000" + "42" + "01" + "86" + "50" + "00"},
		"far ones":           {set(one(1), one(0x20), one(0x30)), "05" + "0000000000" + "01" + "01" + "01" + "20" + "01" + "30" + "50" + "00"},
		"two bytes apart":    {set(one(0x0101), one(0x0201)), "04" + "00000000" + "02" + "0101" + "02" + "0201" + "50" + "00"},
		"groups": {set(one(0x0101), one(0x0103), one(0x0201)),
			"04" + "00000000" + "01" + "01" + "42" + "01" + "02" + "50" + "02" + "0201" + "50" + "00"},
	} {
		b := AppendGLOBSET(nil, tt.s)
		if hex.EncodeToString(b) != tt.want {
			t.Errorf("%s: %x, want %s", name, b, tt.want)
		}
		back, rest, err := ParseGLOBSET(append(b, 7))
		if err != nil || !back.Equal(tt.s) || !bytes.Equal(rest, []byte{7}) {
			t.Errorf("%s came back as %v, %x, %v", name, back.Ranges(), rest, err)
		}
	}
}

// TestForeignGLOBSETs reads what other encoders write and ours does not.
func TestForeignGLOBSETs(t *testing.T) {
	for name, tt := range map[string]struct {
		in   string
		want mapi.GLOBSET
	}{
		"pushes that complete":     {"06" + "000000000001" + "06" + "000000000005" + "00", set(one(1), one(5))},
		"two pushes and a single":  {"02" + "0000" + "03" + "000000" + "01" + "07" + "50" + "50" + "00", set(one(7))},
		"no pop at the end":        {"05" + "0000000000" + "52" + "0102" + "00", set(mapi.GlobRange{Low: 1, High: 2})},
		"out of order":             {"06" + "000000000005" + "06" + "000000000001" + "06" + "000000000005" + "00", set(one(1), one(5))},
		"bitmask without bits":     {"05" + "0000000000" + "42" + "ff00" + "50" + "00", set(one(0xFF))},
		"bitmask of all bits":      {"05" + "0000000000" + "42" + "01ff" + "50" + "00", set(mapi.GlobRange{Low: 1, High: 9})},
		"range that touches a one": {"05" + "0000000000" + "52" + "0105" + "42" + "0600" + "50" + "00", set(mapi.GlobRange{Low: 1, High: 6})},
	} {
		b, err := hex.DecodeString(tt.in)
		if err != nil {
			t.Fatal(err)
		}
		if got, rest, err := ParseGLOBSET(b); err != nil || len(rest) != 0 || !got.Equal(tt.want) {
			t.Errorf("%s: %v, %x, %v", name, got.Ranges(), rest, err)
		}
	}
}

func TestGLOBSETsRefused(t *testing.T) {
	for name, in := range map[string]string{
		"nothing": "", "no end": "06000000000001", "short push": "0300", "pop of nothing": "50", "too much pushed": "05" + "0000000000" + "02" + "0000",
		"no such command": "07", "bitmask too early": "04" + "00000000" + "42" + "0101", "bitmask beyond its byte": "05" + "0000000000" + "42" + "fe04",
		"range backwards": "05" + "0000000000" + "52" + "0201" + "00", "short range": "52" + "0000", "short bitmask": "05" + "0000000000" + "42" + "01",
	} {
		b, err := hex.DecodeString(in)
		if err != nil {
			t.Fatal(err)
		}
		if s, _, err := ParseGLOBSET(b); !errors.Is(err, mapi.ErrBadGLOBSET) || !s.IsEmpty() {
			t.Errorf("%s: %v, %v", name, s.Ranges(), err)
		}
	}
}

// globsets draws sets with counters near and far from each other.
func globsets() *rapid.Generator[mapi.GLOBSET] {
	return rapid.Custom(func(t *rapid.T) mapi.GLOBSET {
		var s mapi.GLOBSET
		base := mapi.GlobalCounter(0)
		for range rapid.IntRange(0, 30).Draw(t, "ranges") {
			shift := rapid.IntRange(0, 5).Draw(t, "shift") * 8
			base = (base + mapi.GlobalCounter(rapid.IntRange(1, 12).Draw(t, "step"))<<shift) & mapi.MaxGlobalCounter
			length := mapi.GlobalCounter(rapid.SampledFrom([]int{0, 0, 0, 1, 5, 300, 1 << 20}).Draw(t, "length"))
			s.AddRange(base, min(base+length, mapi.MaxGlobalCounter))
		}
		return s
	})
}

func idsets() *rapid.Generator[mapi.IDSET] {
	return rapid.Custom(func(t *rapid.T) mapi.IDSET {
		var s mapi.IDSET
		for range rapid.IntRange(0, 3).Draw(t, "replicas") {
			s.Put(mapi.GUID{rapid.Byte().Draw(t, "replica") % 4}, globsets().Draw(t, "set"))
		}
		return s
	})
}

func TestIDSETRoundTrip(t *testing.T) {
	number := func(g mapi.GUID) (mapi.ReplicaID, bool) { return 7 - mapi.ReplicaID(g[0]), g[0] < 4 }
	replica := func(id mapi.ReplicaID) (mapi.GUID, bool) { return mapi.GUID{byte(7 - id)}, id >= 4 && id <= 7 }
	rapid.Check(t, func(t *rapid.T) {
		s := idsets().Draw(t, "set")
		if back, err := ParseIDSET(AppendIDSET(nil, s)); err != nil || !back.Equal(s) {
			t.Fatalf("%v came back as %v, %v", s, back, err)
		}
		b, err := AppendIDSETByReplicaID(nil, s, number)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := ParseIDSETByReplicaID(b, replica); err != nil || !back.Equal(s) {
			t.Fatalf("%v came back as %v, %v", s, back, err)
		}
		if len(s.Replicas()) > 1 && b[0] > 7-s.Replicas()[0].Replica[0] {
			t.Fatalf("%x: numbers do not ascend", b)
		}
	})
	foreign := mapi.IDSETOf(mapi.GUID{9}, set(one(1)))
	if _, err := AppendIDSETByReplicaID(nil, foreign, number); !errors.Is(err, mapi.ErrBadGLOBSET) {
		t.Errorf("a replica without number: %v", err)
	}
	if _, err := ParseIDSETByReplicaID([]byte{1, 0, 0}, replica); !errors.Is(err, mapi.ErrBadGLOBSET) {
		t.Errorf("a number without replica: %v", err)
	}
}

func TestIDSETs(t *testing.T) {
	part := func(g mapi.GUID, c mapi.GlobalCounter) []byte { return AppendIDSET(nil, mapi.IDSETOf(g, set(one(c)))) }
	twice := append(append(part(mapi.GUID{2}, 5), part(mapi.GUID{1}, 1)...), part(mapi.GUID{2}, 6)...)
	s, err := ParseIDSET(twice)
	if err != nil || s.Len() != 3 || s.Of(mapi.GUID{2}).Len() != 2 {
		t.Errorf("%v, %v", s, err)
	}
	if s, err := ParseIDSET(append(make([]byte, 16), cmdEnd)); err != nil || !s.IsEmpty() {
		t.Errorf("an empty replica: %v, %v", s, err)
	}
	for _, n := range []int{1, 15, 16, len(twice) - 1} {
		if _, err := ParseIDSET(twice[:n]); !errors.Is(err, mapi.ErrBadGLOBSET) {
			t.Errorf("cut at %d: %v", n, err)
		}
	}
}

// TestParsingAllocatesByInput: a few bytes stand for many ids and cost as much as they are.
func TestParsingAllocatesByInput(t *testing.T) {
	bitmasks := []byte{5, 0, 0, 0, 0, 0}
	for i := range 20_000 {
		bitmasks = append(bitmasks, cmdBitmask, byte(i%200), 0xAA)
	}
	bitmasks = append(bitmasks, cmdEnd)
	replicas := bytes.Repeat(append(make([]byte, 16), 6, 0, 0, 0, 0, 0, 1, 0), 5_000)
	for i := range 5_000 {
		replicas[i*24], replicas[i*24+1] = byte(i), byte(i>>8)
	}
	for name, in := range map[string][]byte{
		"bitmasks": append(make([]byte, 16), bitmasks...), "replicas": replicas,
		"one replica": bytes.Repeat(append(make([]byte, 16), 6, 0, 0, 0, 0, 0, 1, 0), 5_000),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		s, err := ParseIDSET(in)
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; err != nil || s.IsEmpty() || got > uint64(200*len(in)) {
			t.Errorf("%s: %d bytes for %d, %v", name, got, len(in), err)
		}
	}
}

func TestState(t *testing.T) {
	given := mapi.IDSETOf(mapi.GUID{1}, set(mapi.GlobRange{Low: 1, High: 400_000}))
	s := State{Given: given, Seen: mapi.IDSETOf(mapi.GUID{1}, set(one(7))), Read: mapi.IDSETOf(mapi.GUID{2}, set(one(8)))}
	var back State
	for _, p := range s.Contents() {
		if err := back.Put(p.Tag, p.Value); err != nil {
			t.Fatal(err)
		}
	}
	if !back.Given.Equal(s.Given) || !back.Seen.Equal(s.Seen) || !back.SeenFAI.IsEmpty() || !back.Read.Equal(s.Read) {
		t.Errorf("%+v came back as %+v", s, back)
	}
	var called State
	if err := wire.Unmarshal(wire.Marshal(&s), &called); err != nil || !reflect.DeepEqual(called, s) {
		t.Errorf("%+v came back from a call as %+v, %v", s, called, err)
	}
	if list := s.Hierarchy(); len(list) != 2 || list[0].Tag != MetaTagIdsetGiven || len(list[0].Value) > 40 {
		t.Errorf("%+v", list)
	}
	if err := back.Put(MetaTagIdsetGiven.WithType(mapi.TypeBinary), nil); err != nil || !back.Given.IsEmpty() {
		t.Errorf("the other type: %v", err)
	}
	if err := back.Put(MetaTagIdsetDeleted, nil); !errors.Is(err, mapi.ErrBadGLOBSET) {
		t.Errorf("no part of the state: %v", err)
	}
	if err := back.Put(MetaTagCnsetSeen, []byte{1}); !errors.Is(err, mapi.ErrBadGLOBSET) || !back.Seen.Equal(s.Seen) {
		t.Errorf("half a set: %v", err)
	}
}

func TestProgressInformation(t *testing.T) {
	b := ProgressInformation{FAICount: 1, NormalCount: 3, FAISize: 2, NormalSize: 4}.Append(nil)
	if hex.EncodeToString(b) != "00000000"+"01000000"+"0200000000000000"+"03000000"+"00000000"+"0400000000000000" {
		t.Errorf("%x", b)
	}
}

func FuzzIDSET(f *testing.F) {
	var s mapi.IDSET
	s.AddRange(mapi.GUID{1}, 1, 400_000)
	s.Put(mapi.GUID{2}, set(one(1), one(3), one(0x10000), one(0x10005)))
	f.Add(AppendIDSET(nil, s))
	f.Fuzz(func(t *testing.T, b []byte) {
		defer testkit.Bounded(t)()
		s, err := ParseIDSET(b)
		if err != nil {
			if !errors.Is(err, mapi.ErrBadGLOBSET) {
				t.Fatal(err)
			}
			return
		}
		back, err := ParseIDSET(AppendIDSET(nil, s))
		if err != nil || !reflect.DeepEqual(back, s) {
			t.Fatalf("%v came back as %v, %v", s, back, err)
		}
	})
}

func FuzzIDSETByReplicaID(f *testing.F) {
	f.Add([]byte{1, 0, 6, 0, 0, 0, 0, 0, 1, 0})
	replica := func(id mapi.ReplicaID) (mapi.GUID, bool) { return mapi.GUID{byte(id), byte(id >> 8)}, id != 0 }
	number := func(g mapi.GUID) (mapi.ReplicaID, bool) { return mapi.ReplicaID(g[0]) | mapi.ReplicaID(g[1])<<8, true }
	f.Fuzz(func(t *testing.T, b []byte) {
		defer testkit.Bounded(t)()
		s, err := ParseIDSETByReplicaID(b, replica)
		if err != nil {
			return
		}
		again, err := AppendIDSETByReplicaID(nil, s, number)
		back, failed := ParseIDSETByReplicaID(again, replica)
		if err != nil || failed != nil || !back.Equal(s) {
			t.Fatalf("%v came back as %v, %v, %v", s, back, err, failed)
		}
	})
}

func BenchmarkGLOBSET(b *testing.B) {
	// A folder that grew beside others: 400,000 ids in ranges of up to 19 with holes between.
	var s mapi.GLOBSET
	for at, n := mapi.GlobalCounter(0x100), 0; n < 400_000; {
		length := 1 + n%19
		s.AddRange(at, at+mapi.GlobalCounter(length)-1)
		at += mapi.GlobalCounter(length + 2 + n%7)
		n += length
	}
	whole := AppendGLOBSET(nil, s)
	b.Run("encode 400k", func(b *testing.B) {
		b.ReportAllocs()
		b.ReportMetric(float64(len(whole)), "wire-bytes")
		for range b.N {
			AppendGLOBSET(nil, s)
		}
	})
	b.Run("decode 400k", func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			if _, _, err := ParseGLOBSET(whole); err != nil {
				b.Fatal(err)
			}
		}
	})
}
