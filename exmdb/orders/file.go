package orders

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"

	"github.com/flotilla-mail/flotilla/internal/lsm"
)

// A file is content, a checksum of each block of it, how long it is, and a checksum of these: so that any part of it can be read and
// trusted without the rest.
const (
	blockBytes = 4 << 10
	sumBytes   = 4
	endBytes   = 8 + sumBytes
)

// castagnoli is the polynomial of the checksums.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var errDamaged = errors.New("a kept order is damaged")

// blocksOf is how many blocks so much content has.
func blocksOf(size int64) int64 { return (size + blockBytes - 1) / blockBytes }

// sealed is content as a file has it. It may change what is behind the content.
func sealed(content []byte) []byte {
	size := int64(len(content))
	for at := int64(0); at < size; at += blockBytes {
		content = binary.BigEndian.AppendUint32(content, crc32.Checksum(content[at:min(at+blockBytes, size)], castagnoli))
	}
	content = binary.BigEndian.AppendUint64(content, uint64(size))
	return binary.BigEndian.AppendUint32(content, crc32.Checksum(content[size:], castagnoli))
}

// File is an order that is open. Any number of callers read at once; it is closed when nobody can read it any more.
type File struct {
	from lsm.File
	lost func() // tells that the file is damaged
	size int64
	sums []byte
}

// begin reads what says how long the content is and what its blocks are.
func (f *File) begin() error {
	info, err := f.from.Stat()
	if err != nil {
		return err
	}
	end := make([]byte, endBytes)
	if info.Size() < endBytes {
		return errDamaged
	}
	if _, err := f.from.ReadAt(end, info.Size()-endBytes); err != nil {
		return err
	}
	size := binary.BigEndian.Uint64(end)
	if size > uint64(info.Size()) || int64(size)+blocksOf(int64(size))*sumBytes+endBytes != info.Size() {
		return errDamaged
	}
	f.size = int64(size)
	sums := make([]byte, info.Size()-f.size-sumBytes)
	if _, err := f.from.ReadAt(sums, f.size); err != nil {
		return err
	}
	if crc32.Checksum(sums, castagnoli) != binary.BigEndian.Uint32(end[endBytes-sumBytes:]) {
		return errDamaged
	}
	f.sums = sums
	return nil
}

// Size is how many bytes the content has.
func (f *File) Size() int64 { return f.size }

// ReadAt implements io.ReaderAt. A file of which a block is damaged or cannot be read is none from then on.
func (f *File) ReadAt(p []byte, at int64) (int, error) {
	if at < 0 || at > f.size {
		return 0, io.EOF
	}
	want := min(int64(len(p)), f.size-at)
	first := at / blockBytes
	blocks := make([]byte, min(blocksOf(at+want)*blockBytes, f.size)-first*blockBytes)
	_, err := f.from.ReadAt(blocks, first*blockBytes)
	for i := first; err == nil && i < blocksOf(at+want); i++ {
		block := blocks[(i-first)*blockBytes : min((i+1-first)*blockBytes, int64(len(blocks)))]
		if crc32.Checksum(block, castagnoli) != binary.BigEndian.Uint32(f.sums[i*sumBytes:]) {
			err = errDamaged
		}
	}
	if err != nil {
		f.lost()
		return 0, err
	}
	n := copy(p, blocks[at-first*blockBytes:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}
