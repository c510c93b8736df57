package mapi

import (
	"bytes"
	"errors"
	"math/big"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/flotilla-mail/flotilla/internal/invariant"
	"github.com/flotilla-mail/flotilla/internal/testkit"
)

// universe is how far the sets of the model go; each is a big.Int with a bit for every counter in it.
const universe = 150

type modelled struct {
	set  GLOBSET
	bits *big.Int
}

func (m modelled) add(low, high GlobalCounter) {
	for c := low; c <= high; c++ {
		m.bits.SetBit(m.bits, int(c), 1)
	}
}

func globsets() *rapid.Generator[modelled] {
	return rapid.Custom(func(t *rapid.T) modelled {
		m := modelled{bits: new(big.Int)}
		for range rapid.IntRange(0, 12).Draw(t, "ranges") {
			low := GlobalCounter(rapid.IntRange(0, universe-1).Draw(t, "low"))
			high := min(low+GlobalCounter(rapid.IntRange(0, 9).Draw(t, "length")), universe-1)
			m.set.AddRange(low, high)
			m.add(low, high)
		}
		return m
	})
}

// check says whether the set holds what the bits say, in as few ranges as that takes.
func check(t *rapid.T, what string, s GLOBSET, bits *big.Int) {
	t.Helper()
	n := uint64(0)
	for c := range GlobalCounter(universe + 2) {
		in := bits.Bit(int(c)) == 1
		if s.Contains(c) != in {
			t.Fatalf("%s: %v contains %d: %v, want %v", what, s.Ranges(), c, !in, in)
		}
		if in {
			n++
		}
	}
	if s.Len() != n || s.IsEmpty() != (n == 0) || uint64(len(slices.Collect(s.All()))) != n {
		t.Fatalf("%s: %v has %d, want %d", what, s.Ranges(), s.Len(), n)
	}
	if n > 0 && uint64(s.Highest()) != uint64(bits.BitLen()-1) {
		t.Fatalf("%s: highest of %v is %d", what, s.Ranges(), s.Highest())
	}
	for i, r := range s.Ranges() {
		if r.Low > r.High || i > 0 && r.Low <= s.Ranges()[i-1].High+1 {
			t.Fatalf("%s: ranges %v", what, s.Ranges())
		}
	}
}

func TestGLOBSETAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := globsets().Draw(t, "a"), globsets().Draw(t, "b")
		check(t, "a", a.set, a.bits)
		union := new(big.Int).Or(a.bits, b.bits)
		check(t, "union", a.set.Union(b.set), union)
		check(t, "intersect", a.set.Intersect(b.set), new(big.Int).And(a.bits, b.bits))
		check(t, "minus", a.set.Minus(b.set), new(big.Int).AndNot(a.bits, b.bits))
		if got, want := a.set.Covers(b.set), union.Cmp(a.bits) == 0; got != want {
			t.Fatalf("%v covers %v: %v", a.set.Ranges(), b.set.Ranges(), got)
		}
		if got, want := a.set.Equal(b.set), a.bits.Cmp(b.bits) == 0; got != want {
			t.Fatalf("%v equals %v: %v", a.set.Ranges(), b.set.Ranges(), got)
		}
		clone := a.set.Clone()
		clone.AddRange(0, universe)
		check(t, "a after its clone grew", a.set, a.bits)
		check(t, "of ranges", GLOBSETOfRanges(append(slices.Clone(b.set.Ranges()), a.set.Ranges()...)), union)
		check(t, "of counters", GLOBSETOf(append(slices.Collect(b.set.All()), slices.Collect(a.set.All())...)), union)
	})
}

func TestGLOBSETEnds(t *testing.T) {
	var s GLOBSET
	s.Add(MaxGlobalCounter)
	s.Add(0)
	s.AddRange(1, MaxGlobalCounter-1)
	if len(s.Ranges()) != 1 || s.Len() != 1<<48 || !s.Minus(s).IsEmpty() || !s.Intersect(s).Equal(s) {
		t.Fatalf("%v", s.Ranges())
	}
	for c := range s.All() {
		if c == 3 {
			break
		}
	}
	for _, r := range []GlobRange{{2, 1}, {0, MaxGlobalCounter + 1}} {
		func() {
			defer func() {
				if _, ok := recover().(invariant.Violation); !ok {
					t.Errorf("range %v was taken", r)
				}
			}()
			s.AddRange(r.Low, r.High)
		}()
	}
}

func idsets() *rapid.Generator[IDSET] {
	return rapid.Custom(func(t *rapid.T) IDSET {
		var s IDSET
		for range rapid.IntRange(0, 4).Draw(t, "replicas") {
			s.Put(GUID{rapid.Byte().Draw(t, "replica") % 5}, globsets().Draw(t, "set").set)
		}
		return s
	})
}

func TestIDSETAlgebra(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := idsets().Draw(t, "a"), idsets().Draw(t, "b")
		union, both, rest := a.Union(b), a.Intersect(b), a.Minus(b)
		if !union.Covers(a) || !union.Covers(b) || !union.Equal(b.Union(a)) {
			t.Fatal("union")
		}
		if !a.Covers(both) || !b.Covers(both) || !rest.Intersect(b).IsEmpty() || !rest.Union(both).Equal(a) {
			t.Fatal("intersect and minus")
		}
		if a.Len()+b.Len() != union.Len()+both.Len() {
			t.Fatalf("%d and %d are %d and %d", a.Len(), b.Len(), union.Len(), both.Len())
		}
		if a.Covers(b) != b.Minus(a).IsEmpty() {
			t.Fatal("covers")
		}
		for _, r := range a.Replicas() {
			if r.Set.IsEmpty() {
				t.Fatal("an empty replica")
			}
			id := GID{r.Replica, r.Set.Highest()}
			if !a.Contains(id) || !union.Contains(id) || rest.Contains(id) == b.Contains(id) {
				t.Fatalf("contains %v", id)
			}
		}
		clone := a.Clone()
		clone.Add(GID{GUID{9}, 1})
		if a.Contains(GID{GUID{9}, 1}) || IDSETOf(GUID{9}, clone.Of(GUID{9})).Len() != 1 || !IDSETOf(GUID{9}, GLOBSET{}).IsEmpty() {
			t.Fatal("clone")
		}
	})
}

func TestSetsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := idsets().Draw(t, "a")
		var back IDSET
		if err := back.UnmarshalWire(a.AppendWire(nil)); err != nil || !back.Equal(a) {
			t.Fatalf("%v came back as %v, %v", a, back, err)
		}
	})
}

func TestSetsRefuseDamage(t *testing.T) {
	for name, b := range map[string][]byte{
		"cut":             {5},
		"touching ranges": {5, 0, 1, 0},
		"beyond 48 bits":  {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f, 1},
	} {
		var s GLOBSET
		if err := s.UnmarshalWire(b); !errors.Is(err, ErrBadGLOBSET) || !s.IsEmpty() {
			t.Errorf("%s: %v, %v", name, err, s)
		}
		var ids IDSET
		if err := ids.UnmarshalWire(append(make([]byte, 16), append([]byte{byte(len(b))}, b...)...)); !errors.Is(err, ErrBadGLOBSET) {
			t.Errorf("%s in an IDSET: %v", name, err)
		}
	}
	twice := append(append(make([]byte, 16), 2, 1, 0), append(make([]byte, 16), 2, 1, 0)...)
	var ids IDSET
	if err := ids.UnmarshalWire(twice); !errors.Is(err, ErrBadGLOBSET) {
		t.Errorf("one replica twice: %v", err)
	}
}

func FuzzIDSET(f *testing.F) {
	var s IDSET
	s.AddRange(GUID{1}, 1, 400_000)
	s.Add(GID{GUID{2}, MaxGlobalCounter})
	f.Add(s.AppendWire(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		defer testkit.Bounded(t)()
		var s, again IDSET
		if s.UnmarshalWire(b) != nil {
			return
		}
		if err := again.UnmarshalWire(s.AppendWire(nil)); err != nil || !again.Equal(s) {
			t.Fatalf("%v came back as %v, %v", s, again, err)
		}
	})
}

func TestGID(t *testing.T) {
	g := GID{GUID{0: 1, 15: 2}, 0x010203040506}
	b := g.AppendLongTermID(nil)
	if !bytes.Equal(b[16:], []byte{1, 2, 3, 4, 5, 6, 0, 0}) {
		t.Fatalf("%x", b)
	}
	if back, err := ParseLongTermID(b); err != nil || back != g {
		t.Fatalf("%v, %v", back, err)
	}
	if back, err := ParseGID(g.Append(nil)); err != nil || back != g {
		t.Fatalf("%v, %v", back, err)
	}
	for _, n := range []int{0, 21, 23, 24} {
		if _, err := ParseGID(make([]byte, n)); !errors.Is(err, ErrBadGID) {
			t.Errorf("source key of %d bytes: %v", n, err)
		}
	}
	if _, err := ParseLongTermID(b[:22]); !errors.Is(err, ErrBadGID) {
		t.Errorf("short long-term id: %v", err)
	}
}

// scattered is n counters with a hole behind each: as many ranges.
func scattered(n int) GLOBSET {
	ranges := make([]GlobRange, n)
	for i := range ranges {
		ranges[i] = GlobRange{GlobalCounter(2 * i), GlobalCounter(2 * i)}
	}
	return GLOBSETOfRanges(ranges)
}

func BenchmarkGLOBSET(b *testing.B) {
	const n = 400_000
	big, small := scattered(n), GLOBSETOf([]GlobalCounter{3, 77, 500_001})
	b.Run("contains", func(b *testing.B) {
		for i := range b.N {
			big.Contains(GlobalCounter(i % (2 * n)))
		}
	})
	b.Run("add at the end", func(b *testing.B) {
		b.ReportAllocs()
		var s GLOBSET
		for i := range b.N {
			s.Add(GlobalCounter(2 * i))
		}
	})
	b.Run("union 400k", func(b *testing.B) {
		for range b.N {
			big.Union(small)
		}
	})
	b.Run("minus 400k", func(b *testing.B) {
		for range b.N {
			big.Minus(small)
		}
	})
	b.Run("covers 400k", func(b *testing.B) {
		for range b.N {
			big.Covers(big)
		}
	})
	b.Run("of 400k in no order", func(b *testing.B) {
		counters := slices.Collect(big.All())
		for range b.N {
			slices.Reverse(counters)
			GLOBSETOf(counters)
		}
	})
}
