package oxcdata

// FlatEntryList reads a FlatEntryList (MS-OXCDATA 2.3.3), all of b: entry ids, each at a multiple of four bytes.
func FlatEntryList(b []byte) ([][]byte, error) {
	d := NewDecoder(b, ROP)
	n, size := int(d.Uint32()), int(d.Uint32())
	in := d.Inner(size)
	list := make([][]byte, 0, in.room(n, 4))
	for range n {
		id := in.Bytes(int(in.Uint32()))
		if in.r.Err() != nil {
			break
		}
		list = append(list, id)
		in.r.Take(min(padding(len(id)), in.Len())) // the last one may have none
	}
	if err := in.Close(); err != nil {
		d.Fail(err)
	}
	if err := d.Close(); err != nil {
		return nil, err
	}
	return list, nil
}

// padding is how many bytes lie behind n so that what follows begins at a multiple of four.
func padding(n int) int { return (4 - n%4) % 4 }

// AppendFlatEntryList adds a FlatEntryList.
func AppendFlatEntryList(dst []byte, ids [][]byte) []byte {
	e := NewEncoder(dst, ROP)
	e.Number(len(ids), 4)
	e.Sized(4, func() {
		for _, id := range ids {
			e.Number(len(id), 4)
			e.Raw(id)
			e.Raw(make([]byte, padding(len(id))))
		}
	})
	return e.b
}

// EntryList reads an EntryList (MS-OXCDATA 2.3.1), all of b: the lengths of the entry ids, then they themselves.
func EntryList(b []byte) ([][]byte, error) {
	d := NewDecoder(b, ROP)
	n := int(d.Uint32())
	d.Uint32() // padding, which is not always nought
	lengths := make([]int, 0, d.room(n, 8))
	for range n {
		lengths = append(lengths, int(d.Uint32()))
		d.Uint32()
		if d.r.Err() != nil {
			break
		}
	}
	list := make([][]byte, 0, len(lengths))
	for _, length := range lengths {
		list = append(list, d.Bytes(length))
	}
	if err := d.Close(); err != nil {
		return nil, err
	}
	return list, nil
}

// AppendEntryList adds an EntryList.
func AppendEntryList(dst []byte, ids [][]byte) []byte {
	e := NewEncoder(dst, ROP)
	e.Number(len(ids), 4)
	e.Uint32(0)
	for _, id := range ids {
		e.Number(len(id), 4)
		e.Uint32(0)
	}
	for _, id := range ids {
		e.Raw(id)
	}
	return e.b
}
