package oxcdata

import (
	"bytes"
	"encoding/hex"
	"errors"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/testkit"
)

var spreadKeywords = mapi.NewTag(0x8001, mapi.TypeMultiString|mapi.MultiInstance)

func TestRows(t *testing.T) {
	subject, size, any := mapi.PidTagSubject, mapi.PidTagMessageSize, mapi.NewTag(0x8002, mapi.TypeUnspecified)
	code := mapi.NewTag(0x6648, mapi.TypeErrorCode)
	for _, tt := range []struct {
		columns  []mapi.Tag
		row, got Row
		hex      string
	}{
		{[]mapi.Tag{subject, size}, Row{mapi.String("a"), mapi.Integer32(1)}, nil, "00" + "61000000" + "01000000"},
		{[]mapi.Tag{subject, size}, Row{nil, mapi.Integer32(1)}, Row{mapi.ErrorNotFound, mapi.Integer32(1)}, "01" + "0a0f010480" + "0001000000"},
		{[]mapi.Tag{subject}, Row{mapi.ErrorCode(5)}, nil, "01" + "0a05000000"},
		{[]mapi.Tag{code}, Row{mapi.ErrorCode(5)}, nil, "00" + "05000000"},
		{[]mapi.Tag{any}, Row{mapi.Integer16(5)}, nil, "00" + "0200" + "0500"},
		{[]mapi.Tag{any, subject}, Row{mapi.Integer16(5), mapi.ErrorCode(6)}, nil, "01" + "0200" + "00" + "0500" + "0a06000000"},
		{[]mapi.Tag{any}, Row{nil}, Row{mapi.ErrorNotFound}, "01" + "0a00" + "0a0f010480"},
		{[]mapi.Tag{spreadKeywords}, Row{mapi.String("x")}, nil, "00" + "78000000"},
		{[]mapi.Tag{mapi.PidTagSenderEntryId}, Row{mapi.Binary(make([]byte, 0x10000))}, Row{mapi.ErrorNotEnoughMemory}, "01" + "0a0e000780"},
		{nil, Row{}, nil, "00"},
	} {
		e := NewEncoder(nil, ROP)
		e.Row(tt.columns, tt.row)
		b, err := e.Bytes()
		if err != nil || hex.EncodeToString(b) != tt.hex {
			t.Errorf("%v: %x, want %s, %v", tt.row, b, tt.hex, err)
		}
		want := tt.got
		if want == nil {
			want = tt.row
		}
		d := NewDecoder(b, ROP)
		if back := d.Row(tt.columns); d.Close() != nil || !reflect.DeepEqual(back, want) {
			t.Errorf("%v came back as %v, %v", tt.row, back, d.Err())
		}
	}
}

func TestLongValuesOfLists(t *testing.T) {
	long := make([]byte, 0x10000)
	for _, v := range []mapi.Value{mapi.Binaries{{}, long}, mapi.Opaque(long)} {
		if fitsROP(v) {
			t.Errorf("%T fits", v)
		}
	}
	if !fitsROP(mapi.Binaries{long[:0xFFFF]}) || !fitsROP(mapi.String(long)) {
		t.Error("what has no count of 16 bits does not fit")
	}
}

func TestRowsRefused(t *testing.T) {
	for _, in := range []string{"02", "01" + "02", "01" + "0a0000", "00", ""} {
		b, err := hex.DecodeString(in)
		if err != nil {
			t.Fatal(err)
		}
		d := NewDecoder(b, ROP)
		if row := d.Row([]mapi.Tag{mapi.PidTagMessageSize}); !errors.Is(d.Close(), ErrMalformed) {
			t.Errorf("%s: %v, %v", in, row, d.Err())
		}
	}
	d := NewDecoder([]byte{1, 1}, ROP)
	if row := d.Row([]mapi.Tag{mapi.PidTagMessageSize}); d.Close() != nil || !reflect.DeepEqual(row, Row{nil}) {
		t.Errorf("a value left out: %v, %v", row, d.Err())
	}
}

func TestRowSetRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var columns []mapi.Tag
		props := rapid.SliceOfN(values(), 1, 6).Draw(t, "columns")
		rows := make([]Row, rapid.IntRange(0, 4).Draw(t, "rows"))
		for _, p := range props {
			columns = append(columns, p.Tag)
			for i := range rows {
				v := p.Value
				if rapid.IntRange(0, 3).Draw(t, "error") == 0 {
					v = mapi.ErrorCode(rapid.Uint32Min(1).Draw(t, "code"))
				}
				rows[i] = append(rows[i], v)
			}
		}
		e := NewEncoder(nil, ROP)
		e.Rows(columns, rows)
		b, err := e.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		d := NewDecoder(b, ROP)
		back := d.Rows(columns)
		if err := d.Close(); err != nil || len(back) != len(rows) {
			t.Fatalf("%v came back as %v, %v", rows, back, err)
		}
		for i := range rows {
			if !reflect.DeepEqual(back[i], rows[i]) {
				t.Fatalf("%#v came back as %#v", rows[i], back[i])
			}
		}
	})
}

func TestSortOrderSet(t *testing.T) {
	s := mapi.SortOrderSet{Orders: []mapi.SortOrder{{Tag: spreadKeywords, Direction: mapi.SortDescending}, {Tag: mapi.PidTagSubject}}, Categories: 1, Expanded: 1}
	e := NewEncoder(nil, ROP)
	e.SortOrderSet(s)
	b, err := e.Bytes()
	if err != nil || hex.EncodeToString(b) != "020001000100"+"1f30018001"+"1f00370000" {
		t.Fatalf("%x, %v", b, err)
	}
	d := NewDecoder(b, ROP)
	if back := d.SortOrderSet(); d.Close() != nil || !reflect.DeepEqual(back, s) {
		t.Fatalf("%+v, %v", back, d.Err())
	}
	d = NewDecoder(b[:len(b)-1], ROP)
	if back := d.SortOrderSet(); d.Err() == nil || back.Orders != nil {
		t.Fatalf("%+v, %v", back, d.Err())
	}
}

// columns are those of the fuzz tests.
var columns = []mapi.Tag{
	mapi.PidTagMid, mapi.PidTagSubject, mapi.PidTagMessageDeliveryTime, mapi.NewTag(0x8002, mapi.TypeUnspecified), spreadKeywords,
	mapi.PidTagEntryId, mapi.PidTagHasAttachments,
}

func sampleRow() Row {
	return Row{mapi.Integer64(1), mapi.String("Grüße"), mapi.FileTime(2), mapi.Boolean(true), mapi.String("k"), mapi.Binary{1}, mapi.Boolean(false)}
}

func FuzzRows(f *testing.F) {
	e := NewEncoder(nil, ROP)
	flagged := sampleRow()
	flagged[1] = nil
	e.Rows(columns, []Row{sampleRow(), flagged})
	f.Add(e.b)
	f.Fuzz(func(t *testing.T, b []byte) {
		defer testkit.Bounded(t)()
		d := NewDecoder(b, ROP)
		rows := d.Rows(columns)
		if d.Close() != nil {
			return
		}
		for _, row := range rows {
			for i, v := range row {
				if columns[i].Type() == mapi.TypeUnspecified && mapi.TypeOf(v) == mapi.TypeUnspecified {
					row[i] = nil // of a type that a row of ours does not bring along
				}
			}
		}
		e := NewEncoder(nil, ROP)
		e.Rows(columns, rows)
		again, err := e.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		back := NewDecoder(again, ROP)
		stable := NewEncoder(nil, ROP)
		stable.Rows(columns, back.Rows(columns))
		if err := back.Close(); err != nil || !bytes.Equal(stable.b, again) {
			t.Fatalf("%x came back as %x, %v", again, stable.b, err)
		}
	})
}

func BenchmarkRow(b *testing.B) {
	row := sampleRow()
	e := NewEncoder(nil, ROP)
	e.Row(columns, row)
	whole := e.b
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		buf := make([]byte, 0, 1024)
		for range b.N {
			e := NewEncoder(buf, ROP)
			e.Row(columns, row)
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			d := NewDecoder(whole, ROP)
			if d.Row(columns); d.Close() != nil {
				b.Fatal(d.Err())
			}
		}
	})
}
