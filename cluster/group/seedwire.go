package group

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/transport"
)

// A seed travels on a stream of its own, which the new replica's node dials (CLUSTER 5.4). Its header is the byte 0, which
// no snapshot's begins with, and a version. It says what it has already:
//
//	count u32 | { size u64 | crc32c u32 | name (u16 length) } | crc32c u32 of all before
//
// and gets back a status u8, then, of a seed that is worth it,
//
//	length u32 | snapshot header | length u32 | stream header of all files | stream of those that are missing
//
// where the last is nothing if none is.
const (
	seedMark    = 0
	seedVersion = 1
	maxSeedHave = 16 << 20
)

// What the source says first.
const (
	seedComes   = 0
	seedRefused = 1 // an error follows
	seedSmall   = 2 // the state is so small that raft's own snapshot does
)

func seedHeader() []byte { return []byte{seedMark, seedVersion} }

func isSeedHeader(b []byte) bool { return len(b) > 0 && b[0] == seedMark }

// hadFile is a file that the new replica has whole.
type hadFile struct {
	streamFile
	sum uint32
}

func encodeHave(files []hadFile) []byte {
	b := binary.LittleEndian.AppendUint32(nil, uint32(len(files)))
	for _, f := range files {
		b = binary.LittleEndian.AppendUint64(b, uint64(f.size))
		b = binary.LittleEndian.AppendUint32(b, f.sum)
		b = binary.LittleEndian.AppendUint16(b, uint16(len(f.name)))
		b = append(b, f.name...)
	}
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func decodeHave(b []byte) (map[string]hadFile, error) {
	if len(b) < 8 {
		return nil, errShort
	}
	body := b[:len(b)-4]
	if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(b[len(b)-4:]) {
		return nil, errors.New("list of files is damaged")
	}
	r := &reader{b: body}
	n := int(r.u32())
	if n > maxStreamFiles {
		return nil, fmt.Errorf("list of %d files", n)
	}
	have := make(map[string]hadFile)
	for range n {
		f := hadFile{streamFile: streamFile{size: int64(r.u64())}, sum: r.u32()}
		f.name = string(r.take(int(r.u16())))
		if r.err != nil {
			return nil, r.err
		}
		have[f.name] = f
	}
	return have, r.done()
}

// appendBlock frames b by its length.
func appendBlock(dst, b []byte) []byte {
	return append(binary.LittleEndian.AppendUint32(dst, uint32(len(b))), b...)
}

func readBlock(r io.Reader) ([]byte, error) {
	var n [4]byte
	if _, err := io.ReadFull(r, n[:]); err != nil {
		return nil, err
	}
	size := binary.LittleEndian.Uint32(n[:])
	if size > maxStreamHeader {
		return nil, fmt.Errorf("block of %d bytes", size)
	}
	b := make([]byte, size)
	_, err := io.ReadFull(r, b)
	return b, err
}

// seedOffer is what the source begins with.
type seedOffer struct {
	head  snapshotHeader
	files []streamFile // all of the state
}

func (o *seedOffer) encode() []byte {
	b := appendBlock([]byte{seedComes}, o.head.encode())
	return appendBlock(b, encodeStreamHeader(o.files))
}

// errSeedSmall says that the group is better left to raft.
var errSeedSmall = cluster.Errorf(cluster.KindBadRequest, "the state is small")

func readOffer(r io.Reader) (*seedOffer, error) {
	var status [1]byte
	if _, err := io.ReadFull(r, status[:]); err != nil {
		return nil, err
	}
	switch status[0] {
	case seedComes:
	case seedSmall:
		return nil, errSeedSmall
	default:
		b, err := io.ReadAll(io.LimitReader(r, maxReply))
		if err != nil {
			return nil, err
		}
		return nil, transport.DecodeError(b)
	}
	head, err := readBlock(r)
	if err != nil {
		return nil, err
	}
	list, err := readBlock(r)
	if err != nil {
		return nil, err
	}
	o := new(seedOffer)
	if o.head, err = decodeSnapshotHeader(head); err != nil {
		return nil, err
	}
	files, _, need, err := decodeStreamHeader(list)
	if err == nil && need > 0 {
		err = errShort
	}
	o.files = files
	return o, err
}
