package wire

import (
	"testing"
	"time"
)

// row is about what a mailbox keeps of a message.
type row struct {
	FID      uint64    `wire:"1"`
	MID      uint64    `wire:"2"`
	UID      uint32    `wire:"3"`
	CN       uint64    `wire:"4"`
	ReadCN   uint64    `wire:"5"`
	Modseq   uint64    `wire:"6"`
	Flags    uint32    `wire:"7"`
	Size     uint32    `wire:"8"`
	Received time.Time `wire:"9"`
	Subject  string    `wire:"10"`
	Hash     [32]byte  `wire:"11"`
	Class    string    `wire:"12"`
}

func sample() row {
	return row{
		FID: 13, MID: 1 << 30, UID: 70_000, CN: 1 << 33, ReadCN: 1 << 33, Modseq: 1 << 33, Flags: 3, Size: 75_000,
		Received: time.Unix(1_780_000_000, 0), Subject: "Minutes of the meeting of Monday", Hash: [32]byte{1, 2, 3}, Class: "IPM.Note",
	}
}

func BenchmarkAppend(b *testing.B) {
	v, buf := sample(), make([]byte, 0, 512)
	b.ReportAllocs()
	for b.Loop() {
		buf = Append(buf[:0], &v)
	}
	b.SetBytes(int64(len(buf)))
}

func BenchmarkUnmarshal(b *testing.B) {
	in := sample()
	buf := Marshal(&in)
	var v row
	b.ReportAllocs()
	b.SetBytes(int64(len(buf)))
	for b.Loop() {
		if err := Unmarshal(buf, &v); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkUnmarshalRows(b *testing.B) {
	type page struct {
		Rows []row `wire:"1"`
	}
	in := page{Rows: make([]row, 1000)}
	for i := range in.Rows {
		in.Rows[i] = sample()
	}
	buf := Marshal(&in)
	var v page
	b.ReportAllocs()
	b.SetBytes(int64(len(buf)))
	for b.Loop() {
		if err := UnmarshalShared(buf, &v); err != nil {
			b.Fatal(err)
		}
	}
}

// TestAppendDoesNotAllocate asserts what the benchmark shows.
func TestAppendDoesNotAllocate(t *testing.T) {
	v, buf := sample(), make([]byte, 0, 512)
	if n := testing.AllocsPerRun(100, func() { buf = Append(buf[:0], &v) }); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}
