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

// The form of a write-ahead log file, as the engine fixes it (packages record and batchrepr of Pebble): blocks of
// 32 KiB, filled with chunks that never cross a block. A chunk of the present form is
//
//	crc (4) · payload length (2) · encoding (1) · log number (4) · synced offset (8) · payload
//
// where the crc covers all from the encoding on. The payloads of a first, middle … and last chunk, or of a full one,
// are a batch, which begins with its sequence number (8) and count (4).
//
// The synced offset is meant to prove what came before the chunk, but Pebble 2.1.7 leaves filled blocks out when it
// counts, so it falls behind with each block. Our own proof is therefore the first thing in each batch of a database
// with a log: a record that the engine keeps nowhere but in the log (LogData), with the sequence number below which all
// was synced when the batch was committed.
const (
	walBlock      = 32 << 10
	walHeader     = 19
	walTrailer    = 11 // a chunk of the older form, without the synced offset, ends a closed file
	walTrailerTag = 5
	walOldLastTag = 8
	walFullTag    = 9
	walFirstTag   = 10
	walLastTag    = 12

	proofAt    = 12 // kind (1) · length (1) · sequence number (8)
	proofKind  = 3
	proofValue = proofAt + 2
	proofEnd   = proofValue + 8
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checkWAL reads the newest log of a database that is about to be opened and refuses when its readable part ends
// before a batch that a later one proves to have been synced. The engine takes much of that for the file's end; older
// logs it checks to the last byte.
func checkWAL(fs FS, dir string) error {
	_, _, err := scanWAL(fs, dir)
	return err
}

// scanWAL reads the newest log there is, if there is any.
func scanWAL(fs FS, dir string) (scan walScan, name string, err error) {
	name, number, err := newestWAL(fs, dir)
	if err != nil || name == "" {
		return scan, name, err
	}
	f, err := fs.Open(path.Join(dir, name))
	if err != nil {
		return scan, name, fmt.Errorf("check log: %w", err)
	}
	scan.number = uint32(number)
	err = scan.file(f)
	if err := errors.Join(err, f.Close()); err != nil {
		return scan, name, fmt.Errorf("check log %s: %w", name, err)
	}
	return scan, name, nil
}

// LogEnd is the newest log file of a database that nobody has open, and where in it the next batch would have been written.
// What is there is nothing, or what the file held when it was another's, or what a write left that did not end.
func LogEnd(fs FS, dir string) (name string, end int64, err error) {
	scan, name, err := scanWAL(fs, dir)
	return name, int64(scan.end), err // #nosec G115 -- below the size of a file
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

// walScan looks for a proof behind the first unreadable chunk.
type walScan struct {
	number uint32
	base   uint64 // offset of the block being read
	ended  bool   // a trailer was met
	end    uint64 // offset behind the last chunk before one that cannot be read

	begun uint64 // sequence number behind the batch whose chunks are being read
	whole uint64 // sequence number behind the last whole batch; 0 for none

	broken bool
	at     uint64 // offset of the first unreadable chunk, when broken
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
		chunk := s.chunk(b[i:])
		switch {
		case chunk != nil:
			if err := s.readable(chunk); err != nil {
				return err
			}
			if i += len(chunk); !s.broken {
				s.end = s.base + uint64(i)
			}
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

// chunk returns the chunk at the start of b, nil when there is none that checks.
func (s *walScan) chunk(b []byte) []byte {
	if len(b) < walHeader || b[6] < walFullTag || b[6] > walLastTag || binary.LittleEndian.Uint32(b[7:]) != s.number {
		return nil
	}
	size := walHeader + int(binary.LittleEndian.Uint16(b[4:]))
	if size > len(b) || binary.LittleEndian.Uint32(b) != walSum(b[6:size]) {
		return nil
	}
	return b[:size]
}

// readable takes note of a chunk. Before the break it learns how far the batches are whole. Behind the break, a proof
// beyond that means that what broke had been synced. When nothing before the break was whole, the first batch behind
// it serves instead: once that was synced, so was all before it.
func (s *walScan) readable(chunk []byte) error {
	tag, batch := chunk[6], chunk[walHeader:]
	starts := (tag == walFullTag || tag == walFirstTag) && len(batch) >= proofAt
	if starts {
		s.begun = binary.LittleEndian.Uint64(batch) + uint64(binary.LittleEndian.Uint32(batch[8:]))
	}
	synced := uint64(0)
	if starts && len(batch) >= proofEnd && batch[proofAt] == proofKind && batch[proofAt+1] == 8 {
		synced = binary.LittleEndian.Uint64(batch[proofValue:])
	}
	switch {
	case s.broken && s.whole != 0 && synced > s.whole:
		return fmt.Errorf("%w: unreadable at %d behind batch %d, but synced up to %d", ErrCorrupt, s.at, s.whole, synced)
	case s.broken && s.whole == 0 && starts:
		s.whole = s.begun
	case !s.broken && (tag == walFullTag || tag == walLastTag):
		s.whole = s.begun
	}
	return nil
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
