package raftlog

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"

	"github.com/flotilla-mail/flotilla/cluster"
)

// The form of a bbolt file, version 2: pages, each with a header of id (8), flags (2), count (2) and the number of
// further pages it runs over (4), then count elements that point to keys and values behind them. Pages 0 and 1 hold the
// last two metas, the only part with a checksum. Integers are in the machine's order.
const (
	boltMagic      = 0xED0CDAED
	boltVersion    = 2
	boltHeader     = 16
	boltElement    = 16
	boltMetaSize   = 64
	boltBucketSize = 16 // root page (8) and sequence (8), before the page of one that is kept inline

	boltBranchPage   = 0x01
	boltLeafPage     = 0x02
	boltMetaPage     = 0x04
	boltFreelistPage = 0x10

	boltIsBucket   = 1 // flag of a leaf's element
	boltNoFreelist = ^uint64(0)

	boltSmallestPage, boltLargestPage = 1 << 10, 16 << 20
)

var native = binary.NativeEndian

// boltWalk reads a bbolt file as bbolt would. bbolt trusts what it maps: with one wrong bit in a page's header or in an
// element it reads outside the file, runs in circles or panics on a goroutine of its own, and any of that would end the
// process at each start. What checkBolt lets pass it can read.
type boltWalk struct {
	file  io.ReaderAt
	page  uint64 // size
	pages uint64 // all are below this number
	seen  []bool // by page
	holds uint32 // flags of the elements where it is: buckets at the root, and in a bucket none, as raft-boltdb has it
}

// checkBoltFile walks a file that is there; a new or empty one is bbolt's to make.
func checkBoltFile(name string) error {
	f, err := os.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil && info.Size() > 0 {
		err = checkBolt(f, uint64(info.Size()))
	}
	return errors.Join(err, f.Close())
}

func boltDamage(format string, args ...any) error {
	return fmt.Errorf("%w: bbolt file: %s", cluster.ErrDamaged, fmt.Sprintf(format, args...))
}

func checkBolt(file io.ReaderAt, size uint64) error {
	m, err := newestBoltMeta(file, size)
	if err != nil {
		return err
	}
	if m.pages < 2 || m.pages > size/m.page {
		return boltDamage("%d pages of %d bytes in %d", m.pages, m.page, size)
	}
	w := &boltWalk{file: file, page: m.page, pages: m.pages, seen: make([]bool, m.pages), holds: boltIsBucket}
	for id := range uint64(2) {
		if _, flags, err := w.read(id); err != nil || flags != boltMetaPage {
			return cmp.Or(err, boltDamage("page %d has flags %#x", id, flags))
		}
	}
	if err := w.tree(m.root, nil, nil); err != nil {
		return err
	}
	if m.freelist == boltNoFreelist {
		return nil
	}
	return w.freelist(m.freelist)
}

type boltMeta struct{ page, root, freelist, pages, txid uint64 }

// decodeBoltMeta reads magic (4), version (4), page size (4), flags (4), root bucket (16), freelist (8), pages (8),
// transaction (8) and the FNV-1a sum of these.
func decodeBoltMeta(b []byte) (boltMeta, bool) {
	sum := fnv.New64a()
	sum.Write(b[:boltMetaSize-8]) //nolint:errcheck // never fails
	m := boltMeta{
		page: uint64(native.Uint32(b[8:])), root: native.Uint64(b[16:]), freelist: native.Uint64(b[32:]),
		pages: native.Uint64(b[40:]), txid: native.Uint64(b[48:]),
	}
	sound := native.Uint32(b) == boltMagic && native.Uint32(b[4:]) == boltVersion && native.Uint64(b[56:]) == sum.Sum64()
	return m, sound && m.page >= boltSmallestPage && m.page <= boltLargestPage
}

// newestBoltMeta is the meta of the last transaction that was committed whole. The second one stands a page behind the
// first, and what that is the first may not be there to say.
func newestBoltMeta(file io.ReaderAt, size uint64) (newest boltMeta, err error) {
	found := false
	var b [boltMetaSize]byte
	for at := uint64(0); at+boltHeader+boltMetaSize <= size && at <= boltLargestPage; at = max(2*at, boltSmallestPage) {
		if _, err := file.ReadAt(b[:], int64(at+boltHeader)); err != nil {
			return newest, err
		}
		m, ok := decodeBoltMeta(b[:])
		if !ok || at != 0 && at != m.page {
			continue
		}
		if !found || m.txid > newest.txid {
			newest, found = m, true
		}
	}
	if !found {
		return newest, boltDamage("no meta checks")
	}
	return newest, nil
}

// read fetches a page with what it runs over into, and marks it seen.
func (w *boltWalk) read(id uint64) (b []byte, flags uint16, err error) {
	if id >= w.pages {
		return nil, 0, boltDamage("page %d of %d", id, w.pages)
	}
	var h [boltHeader]byte
	if _, err := w.file.ReadAt(h[:], int64(id*w.page)); err != nil {
		return nil, 0, err
	}
	more := uint64(native.Uint32(h[12:]))
	if native.Uint64(h[:]) != id || id+more >= w.pages {
		return nil, 0, boltDamage("page %d says it is page %d with %d more", id, native.Uint64(h[:]), more)
	}
	for i := id; i <= id+more; i++ {
		if err := w.see(i); err != nil {
			return nil, 0, err
		}
	}
	b = make([]byte, (1+more)*w.page)
	_, err = w.file.ReadAt(b, int64(id*w.page))
	return b, native.Uint16(b[8:]), err
}

func (w *boltWalk) see(id uint64) error {
	if id >= w.pages || w.seen[id] {
		return boltDamage("page %d of %d is used twice", id, w.pages)
	}
	w.seen[id] = true
	return nil
}

// tree walks what is below a page, whose keys are in [from, to), without bounds where nil.
func (w *boltWalk) tree(id uint64, from, to []byte) error {
	b, flags, err := w.read(id)
	if err != nil {
		return err
	}
	switch flags {
	case boltBranchPage:
		return w.branch(b, from, to)
	case boltLeafPage:
		return w.leaf(b, from, to)
	}
	return boltDamage("page %d has flags %#x", id, flags)
}

func (w *boltWalk) branch(b, from, to []byte) error {
	keys, values, err := boltElements(b, false, from, to)
	if err != nil {
		return err
	}
	if len(keys) == 0 {
		return boltDamage("empty branch")
	}
	for i, key := range keys {
		below := to
		if i+1 < len(keys) {
			below = keys[i+1]
		}
		if err := w.tree(native.Uint64(values[i]), key, below); err != nil {
			return err
		}
	}
	return nil
}

func (w *boltWalk) leaf(b, from, to []byte) error {
	keys, values, err := boltElements(b, true, from, to)
	if err != nil {
		return err
	}
	for i := range keys {
		if flags := native.Uint32(b[boltHeader+i*boltElement:]); flags != w.holds {
			return boltDamage("element with flags %#x", flags)
		}
		if w.holds != boltIsBucket {
			continue
		}
		if err := w.bucket(values[i]); err != nil {
			return err
		}
	}
	return nil
}

// bucket walks a bucket: its own tree or, when it is small, the page in its value.
func (w *boltWalk) bucket(v []byte) error {
	if len(v) < boltBucketSize {
		return boltDamage("bucket of %d bytes", len(v))
	}
	w.holds = 0
	defer func() { w.holds = boltIsBucket }()
	if root := native.Uint64(v); root != 0 {
		return w.tree(root, nil, nil)
	}
	inline := v[boltBucketSize:]
	if len(inline) < boltHeader || native.Uint16(inline[8:]) != boltLeafPage {
		return boltDamage("bucket without a page")
	}
	return w.leaf(inline, nil, nil)
}

// boltElements are the keys of a page, which must rise from one to the next, and the values of a leaf, or the page
// numbers of a branch. A leaf's element is flags (4), position (4), key size (4), value size (4), a branch's position
// (4), key size (4), page (8); the position counts from the element.
func boltElements(b []byte, leaf bool, from, to []byte) (keys, values [][]byte, err error) {
	n := int(native.Uint16(b[10:]))
	if boltHeader+n*boltElement > len(b) {
		return nil, nil, boltDamage("%d elements in %d bytes", n, len(b))
	}
	for i := range n {
		at := uint64(boltHeader + i*boltElement)
		e := b[at:]
		pos, keySize, valueSize := uint64(native.Uint32(e)), uint64(native.Uint32(e[4:])), uint64(0)
		value := e[8:16]
		if leaf {
			pos, keySize, valueSize = keySize, uint64(native.Uint32(e[8:])), uint64(native.Uint32(e[12:]))
		}
		at += pos
		if end := at + keySize + valueSize; keySize == 0 || at < uint64(boltHeader+n*boltElement) || end > uint64(len(b)) {
			return nil, nil, boltDamage("key of %d bytes and value of %d at %d of %d", keySize, valueSize, at, len(b))
		}
		key := b[at : at+keySize]
		if leaf {
			value = b[at+keySize : at+keySize+valueSize]
		}
		switch order := bytes.Compare(from, key); {
		case i == 0 && order > 0, i > 0 && order >= 0, to != nil && bytes.Compare(key, to) >= 0:
			return nil, nil, boltDamage("keys are out of order")
		}
		from = key
		keys, values = append(keys, key), append(values, value)
	}
	return keys, values, nil
}

// freelist sees the pages that a file says are free: count page numbers, or behind a count of 0xFFFF first how many.
func (w *boltWalk) freelist(id uint64) error {
	b, flags, err := w.read(id)
	if err != nil {
		return err
	}
	n, at := uint64(native.Uint16(b[10:])), uint64(boltHeader)
	if n == 0xFFFF {
		n, at = native.Uint64(b[at:]), at+8
	}
	if flags != boltFreelistPage || n > (uint64(len(b))-at)/8 {
		return boltDamage("list of %d free pages on a page of %d bytes with flags %#x", n, len(b), flags)
	}
	for range n {
		if err := w.see(native.Uint64(b[at:])); err != nil {
			return err
		}
		at += 8
	}
	return nil
}
