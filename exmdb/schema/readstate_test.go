package schema

import (
	"slices"
	"testing"

	"github.com/flotilla-mail/flotilla/internal/mapi"
	"pgregory.net/rapid"
)

// TestReadRanges compares the ranges with a map of every number.
func TestReadRanges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var rs ReadRanges
		want := map[mapi.GlobalCounter]ReadRange{}
		for s := range rapid.IntRange(0, 30).Draw(t, "steps") {
			first := mapi.GlobalCounter(rapid.Uint64Range(1, 60).Draw(t, "first"))
			r := ReadRange{First: first, Last: first + mapi.GlobalCounter(rapid.Uint64Range(0, 12).Draw(t, "more")), Read: rapid.Bool().Draw(t, "read"), Stamp: mapi.Stamp(s + 1)}
			rs = rs.Set(r)
			for c := r.First; c <= r.Last; c++ {
				want[c] = r
			}
		}
		for c := mapi.GlobalCounter(0); c < 80; c++ {
			got, found := rs.Find(c)
			is, there := want[c]
			if found != there || got.Read != is.Read || got.Stamp != is.Stamp {
				t.Fatalf("%d is in %+v (%v), want %+v (%v)", c, got, found, is, there)
			}
		}
		for i := 1; i < len(rs); i++ {
			if rs[i].First <= rs[i-1].Last {
				t.Fatalf("%v overlap", rs)
			}
		}
		var back ReadRanges
		if err := back.UnmarshalWire(rs.AppendWire(nil)); err != nil || !slices.Equal(back, rs) {
			t.Fatalf("%v came back as %v, %v", rs, back, err)
		}
	})
}

func FuzzReadRanges(f *testing.F) {
	f.Add(ReadRanges{{1, 5, true, 9}, {6, 6, false, 300}, {1 << 40, 1 << 41, true, 1}}.AppendWire(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		var rs, back ReadRanges
		if rs.UnmarshalWire(data) != nil {
			return
		}
		for i, r := range rs {
			if r.Last < r.First || r.Last > mapi.MaxGlobalCounter || i > 0 && r.First <= rs[i-1].Last {
				t.Fatalf("%+v", rs)
			}
		}
		if err := back.UnmarshalWire(rs.AppendWire(nil)); err != nil || !slices.Equal(back, rs) {
			t.Fatalf("%v came back as %v, %v", rs, back, err)
		}
	})
}
