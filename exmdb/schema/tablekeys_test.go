package schema

import (
	"bytes"
	"cmp"
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/flotilla-mail/flotilla/internal/mapi"
)

func TestTimeKeys(t *testing.T) {
	place := rapid.Custom(func(t *rapid.T) TimePlace {
		return TimePlace{mapi.FileTime(rapid.Uint64().Draw(t, "time")), mapi.UID(rapid.Uint32().Draw(t, "uid"))}
	})
	rapid.Check(t, func(t *rapid.T) {
		p, q := place.Draw(t, "p"), place.Draw(t, "q")
		fid := mapi.LocalFID(mapi.GlobalCounter(rapid.Uint64Range(1, 300).Draw(t, "folder")))
		k := TimeKey(fid, p)
		if got, err := ParseTimeKey(k); err != nil || got != p {
			t.Fatal(got, err)
		}
		if cmp.Compare(bytes.Compare(k, TimeKey(fid, q)), 0) != p.Compare(q) || bytes.Compare(k, TimeKey(fid+1, TimePlace{})) >= 0 {
			t.Fatalf("%x is not in order with %x", k, TimeKey(fid, q))
		}
		if got, err := ParseTimeKey(TimeSpanKey(fid, p)); err != nil || got != p {
			t.Fatalf("%v came back as %v, %v", p, got, err)
		}
		if got, err := ParseTimeKey(TimeBlockKey(fid, p)); err != nil || got != p {
			t.Fatal(got, err)
		}
	})
	for _, k := range [][]byte{nil, {PrefixTime}, append(TimeKey(1, TimePlace{}), 0)} {
		if _, err := ParseTimeKey(k); err == nil {
			t.Errorf("%x is taken for a key", k)
		}
	}
}

func TestTimeCounts(t *testing.T) {
	for _, n := range []uint32{0, 1, 127, 128, 100_000, math.MaxUint32} {
		if got, err := ParseTimeCount(AppendTimeCount(n)); err != nil || got != n {
			t.Error(n, got, err)
		}
	}
	for _, b := range [][]byte{nil, {0x80}, {0x80, 0x00}, {1, 1}, {0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01}} {
		if _, err := ParseTimeCount(b); err == nil {
			t.Errorf("%x is taken for a count", b)
		}
	}
}
