package oxcdata

import (
	"github.com/flotilla-mail/flotilla/internal/invariant"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// Flags in front of a value of a FlaggedPropertyRow (MS-OXCDATA 2.11.5).
const (
	flagPresent = 0x00
	flagAbsent  = 0x01
	flagError   = 0x0A
)

// Flags in front of a row (MS-OXCDATA 2.8.1).
const (
	rowStandard = 0x00
	rowFlagged  = 0x01
)

// Row is one value for each column: an ErrorCode stands in place of a value that could not be had, nil of one that was
// left out. In a column of PtypUnspecified the value brings its type along.
type Row []mapi.Value

// Row reads a PropertyRow of the columns, standard or flagged (MS-OXCDATA 2.8.1).
func (d *Decoder) Row(columns []mapi.Tag) Row {
	kind := d.Uint8()
	if kind > rowFlagged {
		d.Failf("row of kind %d", kind)
	}
	row := make(Row, 0, d.room(len(columns), 1))
	for _, c := range columns {
		if d.r.Err() != nil {
			return nil
		}
		row = append(row, d.cell(c.Type().Column(), kind == rowFlagged))
	}
	return row
}

func (d *Decoder) cell(t mapi.Type, flagged bool) mapi.Value {
	if t == mapi.TypeUnspecified {
		t = mapi.Type(d.Uint16())
	}
	if !flagged {
		return d.Value(t)
	}
	switch flag := d.Uint8(); flag {
	case flagPresent:
		return d.Value(t)
	case flagAbsent:
		return nil
	case flagError:
		return mapi.ErrorCode(d.Uint32())
	default:
		d.Failf("flag %#x in front of a value", flag)
		return nil
	}
}

// Row writes a PropertyRow of the columns. What is absent goes out as ecNotFound, and what is too long for its count as
// ecNotEnoughMemory, which sends the client to a stream (MS-OXCPRPT 2.2.2.2). Values of other types than their columns'
// are a mistake of the program.
func (e *Encoder) Row(columns []mapi.Tag, row Row) {
	if len(columns) != len(row) {
		invariant.Failf("oxcdata: row of %d values for %d columns", len(row), len(columns))
	}
	flagged := false
	for i, c := range columns {
		flagged = flagged || e.failure(c.Type().Column(), row[i]) != 0
	}
	if !flagged {
		e.Uint8(rowStandard)
	} else {
		e.Uint8(rowFlagged)
	}
	for i, c := range columns {
		e.cell(c.Type().Column(), row[i], flagged)
	}
}

func (e *Encoder) cell(t mapi.Type, v mapi.Value, flagged bool) {
	failure := e.failure(t, v)
	if t == mapi.TypeUnspecified {
		t = mapi.TypeErrorCode
		if failure == 0 {
			t = mapi.TypeOf(v)
		}
		e.Uint16(uint16(t))
	}
	switch {
	case failure != 0:
		e.Uint8(flagError)
		e.Uint32(uint32(failure))
	case flagged:
		e.Uint8(flagPresent)
		e.Value(t, v)
	default:
		e.Value(t, v)
	}
}

// failure is the error that stands in a row in the place of v, nought if v itself does.
func (e *Encoder) failure(t mapi.Type, v mapi.Value) mapi.ErrorCode {
	code, isError := v.(mapi.ErrorCode)
	switch {
	case v == nil:
		return mapi.ErrorNotFound
	case isError && t != mapi.TypeErrorCode:
		return code
	case e.form.bytes == 2 && !fitsROP(v):
		return mapi.ErrorNotEnoughMemory
	}
	return 0
}

// maxCount is the largest COUNT of a ROP buffer.
const maxCount = 0xFFFF

// fitsROP reports whether the counts of bytes in v have 16 bits.
func fitsROP(v mapi.Value) bool {
	switch v := v.(type) {
	case mapi.Binary:
		return len(v) <= maxCount
	case mapi.Opaque:
		return len(v) <= maxCount
	case mapi.Binaries:
		for _, b := range v {
			if len(b) > maxCount {
				return false
			}
		}
	}
	return true
}

// Rows reads a PropertyRowSet: a count and rows (MS-OXCDATA 2.8.2).
func (d *Decoder) Rows(columns []mapi.Tag) []Row {
	n := int(d.Uint16())
	rows := make([]Row, 0, d.room(n, 1))
	for range n {
		if rows = append(rows, d.Row(columns)); d.r.Err() != nil {
			return nil
		}
	}
	return rows
}

// Rows writes a PropertyRowSet.
func (e *Encoder) Rows(columns []mapi.Tag, rows []Row) {
	e.Number(len(rows), 2)
	for _, row := range rows {
		e.Row(columns, row)
	}
}
