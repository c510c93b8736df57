package raftlog

import (
	"encoding/hex"
	"maps"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/hashicorp/raft"
)

// TestGolden holds the forms on disk, which never change.
func TestGolden(t *testing.T) {
	e := &raft.Log{
		Index: 300, Term: 5, Type: raft.LogConfiguration, Data: []byte("data"), Extensions: []byte("ext"),
		AppendedAt: time.Unix(1, 2),
	}
	for name, c := range map[string]struct {
		got  []byte
		want string
	}{
		"entry": {appendEntry(nil, 7, e, 258), goldenEntry},
		"floor": {encodeFloor(7, Floor{Server: "n1.2", Index: 300, Term: 5}), goldenFloor},
		"marks": {encodeMarks(map[cluster.GroupID]mark{9: {last: 1}, 7: {last: 300, term: 5}}), goldenMarks},
	} {
		if got := hex.EncodeToString(c.got); got != c.want {
			t.Errorf("%s is %s, was %s", name, got, c.want)
		}
	}
}

const (
	goldenEntry = "015d1ef1aa0201000000000000050584a8d6b9070365787464617461"
	goldenFloor = "012a11294d00000007000000000000012c00000000000000056e312e32"
	goldenMarks = "464c6d6b013db5e46a00000007000000000000012c00000000000000050000000900000000000000010000000000000000"
)

func FuzzEntry(f *testing.F) {
	for i := range uint64(5) {
		f.Add(uint32(7), i, appendEntry(nil, 7, entry(i, 3, int(i)*5), i*100))
	}
	f.Add(uint32(0), uint64(0), []byte{})
	f.Fuzz(func(t *testing.T, g uint32, index uint64, b []byte) {
		var l raft.Log
		before, err := decodeEntry(cluster.GroupID(g), index, b, &l)
		if err != nil {
			return
		}
		var again raft.Log
		same, err := decodeEntry(cluster.GroupID(g), index, appendEntry(nil, cluster.GroupID(g), &l, before), &again)
		if err != nil || same != before || !sameEntry(&l, &again) {
			t.Fatalf("%+v became %+v, %v", l, again, err)
		}
		if _, err := decodeEntry(cluster.GroupID(g), index+1, b, &again); err == nil {
			t.Fatal("an entry checks under another index")
		}
	})
}

func FuzzFloor(f *testing.F) {
	f.Add(uint32(7), encodeFloor(7, Floor{Server: testServer, Index: 3, Term: 4}))
	f.Add(uint32(0), []byte{})
	f.Fuzz(func(t *testing.T, g uint32, b []byte) {
		floor, err := decodeFloor(cluster.GroupID(g), b)
		if err == nil && string(encodeFloor(cluster.GroupID(g), floor)) != string(b) {
			t.Fatalf("%x is not the form of %+v", b, floor)
		}
	})
}

func FuzzMarks(f *testing.F) {
	f.Add(encodeMarks(nil))
	f.Add(encodeMarks(map[cluster.GroupID]mark{1: {2, 3}, 4: {5, 6}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		known, err := decodeMarks(b)
		if err != nil {
			return
		}
		again, err := decodeMarks(encodeMarks(known))
		if err != nil || !maps.Equal(known, again) {
			t.Fatalf("%v became %v, %v", known, again, err)
		}
	})
}
