package mapi

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"github.com/flotilla-mail/flotilla/internal/testkit"
)

func TestChangeKey(t *testing.T) {
	x := ChangeKey(GUID{0: 0xAA, 15: 0xBB}, 0x010203040506)
	b := x.Append(nil)
	if len(b) != 22 || !bytes.Equal(b[16:], []byte{1, 2, 3, 4, 5, 6}) {
		t.Fatalf("change key %x", b)
	}
	back, err := ParseXID(b)
	if err != nil || back != x {
		t.Fatalf("came back as %v, %v", back, err)
	}
	for _, n := range []int{0, 15, 16, 25} {
		if _, err := ParseXID(make([]byte, n)); err == nil {
			t.Errorf("%d bytes were taken for a change key", n)
		}
	}
}

func pcls() *rapid.Generator[PCL] {
	return rapid.Custom(func(t *rapid.T) PCL {
		var p PCL
		for range rapid.IntRange(0, 6).Draw(t, "n") {
			g := GUID{rapid.Byte().Draw(t, "guid") % 4}
			p = p.Add(ChangeKey(g, CN(rapid.Uint64Range(1, 9).Draw(t, "cn"))))
		}
		return p
	})
}

func TestPCLMerge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, q := pcls().Draw(t, "p"), pcls().Draw(t, "q")
		m := p.Merge(q)
		if !m.Covers(p) || !m.Covers(q) {
			t.Fatalf("%v merged with %v is %v", p, q, m)
		}
		if !bytes.Equal(m.Append(nil), q.Merge(p).Append(nil)) {
			t.Fatalf("merging %v and %v depends on the order", p, q)
		}
		if p.Covers(q) != bytes.Equal(m.Append(nil), p.Append(nil)) {
			t.Fatalf("covers(%v, %v) is wrong", p, q)
		}
		opposite := map[PCLOrder]PCLOrder{PCLEqual: PCLEqual, PCLNewer: PCLOlder, PCLOlder: PCLNewer, PCLConflict: PCLConflict}
		if p.Compare(q) != opposite[q.Compare(p)] {
			t.Fatalf("%v to %v is %d, the other way round %d", p, q, p.Compare(q), q.Compare(p))
		}
		if m.Compare(p) > PCLNewer || p.Compare(p) != PCLEqual {
			t.Fatalf("%v to %v, which it includes, is %d", m, p, m.Compare(p))
		}
		back, err := ParsePCL(m.Append(nil))
		if err != nil || !bytes.Equal(back.Append(nil), m.Append(nil)) {
			t.Fatalf("came back as %v, %v", back, err)
		}
	})
}

func TestPCLCompare(t *testing.T) {
	base := PCL{}.Add(ChangeKey(GUID{1}, 5))
	mine, theirs := base.Add(ChangeKey(GUID{1}, 6)), base.Add(ChangeKey(GUID{2}, 1))
	for _, tt := range []struct {
		p, q PCL
		want PCLOrder
	}{
		{base, base, PCLEqual}, {mine, base, PCLNewer}, {base, theirs, PCLOlder}, {mine, theirs, PCLConflict},
		{mine.Merge(theirs), theirs, PCLNewer}, {nil, nil, PCLEqual}, {nil, base, PCLOlder},
	} {
		if got := tt.p.Compare(tt.q); got != tt.want {
			t.Errorf("%v to %v is %d, want %d", tt.p, tt.q, got, tt.want)
		}
	}
}

func FuzzPCL(f *testing.F) {
	f.Add(PCL{}.Add(ChangeKey(GUID{1}, 2)).Add(XID{GUID{3}, "\x01"}).Append(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		defer testkit.Bounded(t)()
		p, err := ParsePCL(data)
		if err != nil {
			return
		}
		back, err := ParsePCL(p.Append(nil))
		if err != nil || !back.Covers(p) || !p.Covers(back) {
			t.Fatalf("%v came back as %v, %v", p, back, err)
		}
	})
}

func TestGUIDText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var g GUID
		copy(g[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "bytes"))
		back, err := ParseGUID(g.String())
		if err != nil || back != g {
			t.Fatalf("%v came back as %v, %v", g, back, err)
		}
	})
	if _, err := ParseGUID("nonsense"); err == nil {
		t.Fatal("nonsense was taken for a GUID")
	}
}
