package rtf

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

const (
	// headerSize is the length of COMPSIZE, RAWSIZE, COMPTYPE and CRC (MS-OXRTFCP 2.1.3.1.1).
	headerSize = 16
	// typeCompressed and typePlain are the values of COMPTYPE: "LZFu" and "MELA".
	typeCompressed = 0x75465A4C
	typePlain      = 0x414C454D

	dictionarySize = 4096
	// shortest and longest are the lengths of a run that a reference names: 4 bits and 2.
	shortest = 2
	longest  = shortest + 15
)

// preset is what the dictionary holds before anything was written (MS-OXRTFCP 2.1.2.1).
const preset = `{\rtf1\ansi\mac\deff0\deftab720{\fonttbl;}{\f0\fnil \froman \fswiss \fmodern \fscript \fdecor MS Sans SerifSymbolArialTimes ` +
	`New RomanCourier{\colortbl\red0\green0\blue0` + "\r\n" + `\par \pard\plain\f0\fs20\b\i\u\tab\tx`

// checksum is the CRC of MS-OXRTFCP 2.1.2.2: the polynomial of CRC-32, without its inversions.
func checksum(b []byte) uint32 {
	return ^crc32.Update(0xFFFF_FFFF, crc32.IEEETable, b)
}

// Decompress gives the RTF of a PidTagRtfCompressed, at most limit bytes of it (MS-OXRTFCP 2.2.2).
func Decompress(b []byte, limit int) ([]byte, error) {
	if len(b) < headerSize {
		return nil, fmt.Errorf("header of %d bytes: %w", len(b), ErrDamaged)
	}
	size, raw := binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:])
	kind, sum := binary.LittleEndian.Uint32(b[8:]), binary.LittleEndian.Uint32(b[12:])
	body := b[headerSize:]
	if want := int64(size) - (headerSize - 4); want < 0 || want > int64(len(body)) {
		return nil, fmt.Errorf("%d bytes behind a header that says %d: %w", len(body), want, ErrDamaged)
	} else if body = body[:want]; int64(raw) > int64(limit) {
		return nil, fmt.Errorf("%d bytes: %w", raw, ErrTooLarge)
	}
	switch kind {
	case typePlain:
		return append([]byte{}, body[:min(len(body), int(raw))]...), nil
	case typeCompressed:
		if checksum(body) != sum {
			return nil, fmt.Errorf("checksum: %w", ErrDamaged)
		}
		return expand(body, int(raw))
	}
	return nil, fmt.Errorf("compression %#x: %w", kind, ErrDamaged)
}

// expand undoes the compression. RAWSIZE is what a writer says of itself; the end is where the mark stands.
func expand(in []byte, raw int) ([]byte, error) {
	var dictionary [dictionarySize]byte
	at := copy(dictionary[:], preset)
	// A reference of two bytes makes 17 at the most, so the claim of a small input is not believed.
	out := make([]byte, 0, min(raw, len(in)*longest/2+longest))
	control, bit := byte(0), 8
	for len(in) > 0 {
		if bit == 8 {
			control, bit, in = in[0], 0, in[1:]
			continue
		}
		reference := control>>bit&1 == 1
		if bit++; !reference {
			dictionary[at], out, in = in[0], append(out, in[0]), in[1:]
			at = (at + 1) % dictionarySize
			continue
		}
		if len(in) < 2 {
			break
		}
		from, n := int(in[0])<<4|int(in[1])>>4, int(in[1])&0xF+shortest
		in = in[2:]
		if from == at {
			return out[:min(len(out), raw)], nil
		}
		for range n {
			c := dictionary[from]
			dictionary[at], out = c, append(out, c)
			at, from = (at+1)%dictionarySize, (from+1)%dictionarySize
		}
	}
	return nil, fmt.Errorf("no end mark: %w", ErrDamaged)
}

// Compress makes a PidTagRtfCompressed. The same bytes always give the same.
func Compress(raw []byte) []byte {
	c := compressor{out: make([]byte, headerSize, headerSize+len(raw)/2+16)}
	c.window = append(append(make([]byte, 0, len(preset)+len(raw)), preset...), raw...)
	for i := range c.head {
		c.head[i] = -1
	}
	c.chain = make([]int32, len(c.window))
	for i := range preset {
		c.note(i)
	}
	for at := len(preset); at < len(c.window); {
		at += c.step(at)
	}
	end := len(c.window) % dictionarySize
	c.token(true, byte(end>>4), byte(end<<4))
	binary.LittleEndian.PutUint32(c.out, uint32(len(c.out)-4))
	binary.LittleEndian.PutUint32(c.out[4:], uint32(len(raw)))
	binary.LittleEndian.PutUint32(c.out[8:], typeCompressed)
	binary.LittleEndian.PutUint32(c.out[12:], checksum(c.out[headerSize:]))
	return c.out
}

// compressor finds runs through chains of places that begin with the same two bytes.
type compressor struct {
	window []byte // the preset, then the input
	head   [1 << 16]int32
	chain  []int32
	out    []byte
	// control is where the bits of the current eight tokens stand, used how many of them are set.
	control, used int
}

// maxTries bounds the places that are looked at for one run.
const maxTries = 64

func (c *compressor) pair(at int) int { return int(c.window[at])<<8 | int(c.window[at+1]) }

// note makes the place at findable.
func (c *compressor) note(at int) {
	if at+1 < len(c.window) {
		p := c.pair(at)
		c.chain[at], c.head[p] = c.head[p], int32(at)
	}
}

// step writes the longest run that stands before at, or one byte, and returns how many bytes that were.
func (c *compressor) step(at int) int {
	from, n := c.find(at)
	if n < shortest {
		c.token(false, c.window[at])
		n = 1
	} else {
		reference := (from%dictionarySize)<<4 | (n - shortest)
		c.token(true, byte(reference>>8), byte(reference))
	}
	for i := range n {
		c.note(at + i)
	}
	return n
}

// find looks for the longest run in the dictionary as it is at that point. A place a whole dictionary back is where
// the next byte goes, which in a reference is the end mark.
func (c *compressor) find(at int) (from, length int) {
	if at+1 >= len(c.window) {
		return 0, 0
	}
	most := min(longest, len(c.window)-at)
	tries := 0
	for p := int(c.head[c.pair(at)]); p >= 0 && at-p < dictionarySize && tries < maxTries; p = int(c.chain[p]) {
		n := shortest
		for n < most && c.window[p+n] == c.window[at+n] {
			n++
		}
		if n >= length { // of the same length the oldest, as the specification's examples have it
			from, length = p, n
		}
		tries++
	}
	return from, length
}

// token writes a reference or a byte under its bit.
func (c *compressor) token(reference bool, b ...byte) {
	if c.used%8 == 0 {
		c.control = len(c.out)
		c.out = append(c.out, 0)
	}
	if reference {
		c.out[c.control] |= 1 << (c.used % 8)
	}
	c.used++
	c.out = append(c.out, b...)
}
