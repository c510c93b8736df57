package lsm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"path"
	"strconv"
	"strings"
)

// The form of a write-ahead log file, as the engine fixes it (package record of Pebble): blocks of 32 KiB, filled with
// chunks that never cross a block. A chunk of the sync form is
//
//	crc (4) · payload length (2) · encoding (1) · log number (4) · synced offset (8) · payload
//
// where the crc covers all from the encoding on, and the synced offset is how much of the file was durable when the
// chunk was written. So a chunk proves what came before it.
const (
	walBlock      = 32 << 10
	walHeader     = 19
	walTrailer    = 11 // a chunk of the older form, without the synced offset, ends a closed file
	walTrailerTag = 5
	walOldLastTag = 8
	walFirstTag   = 9
	walLastTag    = 12
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checkWAL reads the newest log of a database that is about to be opened and refuses when its readable part ends
// before bytes that a later chunk proves to have been synced. The engine itself makes this check only from the next
// block on, and takes some flipped headers for the file's end; older logs it checks to the last byte.
func checkWAL(fs FS, dir string) error {
	name, number, err := newestWAL(fs, dir)
	if err != nil || name == "" {
		return err
	}
	f, err := fs.Open(path.Join(dir, name))
	if err != nil {
		return fmt.Errorf("check log: %w", err)
	}
	scan := walScan{number: uint32(number)}
	err = scan.file(f)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("check log %s: %w", name, err)
	}
	return nil
}

func newestWAL(fs FS, dir string) (name string, number uint64, err error) {
	if _, err := fs.Stat(dir); err != nil {
		return "", 0, nil //nolint:nilerr // a directory that is not there yet has no log; Open reports any other cause
	}
	names, err := fs.List(dir)
	if err != nil {
		return "", 0, fmt.Errorf("list logs: %w", err)
	}
	for _, n := range names {
		digits, isLog := strings.CutSuffix(n, ".log")
		v, err := strconv.ParseUint(digits, 10, 64)
		if isLog && err == nil && v >= number {
			name, number = n, v
		}
	}
	return name, number, nil
}

// walScan looks for a readable chunk behind the first unreadable one.
type walScan struct {
	number uint32
	base   uint64 // offset of the block being read
	broken bool
	at     uint64 // offset of the first unreadable chunk, when broken
	ended  bool   // a trailer was met
}

func (s *walScan) file(r io.Reader) error {
	block := make([]byte, walBlock)
	for !s.ended {
		n, err := io.ReadFull(r, block)
		if n == 0 && errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			return err
		}
		if err := s.block(block[:n]); err != nil {
			return err
		}
		s.base += uint64(n)
	}
	return nil
}

func (s *walScan) block(b []byte) error {
	i := 0
	if s.base == 0 && len(b) >= walTrailer && b[6] >= walTrailerTag && b[6] <= walOldLastTag {
		s.ended = true // a file of the older form proves nothing; see renewLog
	}
	for i < len(b) && !s.ended {
		size, synced, ok := s.chunk(b[i:])
		switch {
		case ok && s.broken && synced > s.at:
			return fmt.Errorf("%w: unreadable at %d, but synced up to %d", ErrCorrupt, s.at, synced)
		case ok:
			i += size
		case s.broken:
			i++
		case s.trailer(b[i:]):
			s.ended = true
		case len(b)-i < walHeader && allZero(b[i:]):
			return nil
		default:
			s.broken, s.at = true, s.base+uint64(i)
			i++
		}
	}
	return nil
}

// chunk reads the chunk of the sync form at the start of b.
func (s *walScan) chunk(b []byte) (size int, synced uint64, ok bool) {
	if len(b) < walHeader || b[6] < walFirstTag || b[6] > walLastTag || binary.LittleEndian.Uint32(b[7:]) != s.number {
		return 0, 0, false
	}
	size = walHeader + int(binary.LittleEndian.Uint16(b[4:]))
	if size > len(b) || binary.LittleEndian.Uint32(b) != walSum(b[6:size]) {
		return 0, 0, false
	}
	return size, binary.LittleEndian.Uint64(b[11:]), true
}

// trailer reports whether b begins with the end mark of a closed file: an empty chunk of the next log number.
func (s *walScan) trailer(b []byte) bool {
	return len(b) >= walTrailer && allZero(b[:6]) && b[6] == walTrailerTag && binary.LittleEndian.Uint32(b[7:]) == s.number+1
}

func walSum(b []byte) uint32 {
	c := crc32.Checksum(b, castagnoli)
	return (c>>15 | c<<17) + 0xa282ead8
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
