package space

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/flotilla-mail/flotilla/internal/wire"
)

// The first byte of a stored content, and the coding byte of a batch. They reach disk.
const (
	codingRaw  byte = 0
	codingZstd byte = 1
)

// The sizes below which compressing does not pay (CLUSTER 1.2): content is stored for good, a batch only passes
// through the log, and the 20 µs that 1 KiB takes to compress are half of what a small update costs.
const (
	compressContent = 1 << 10
	compressBatch   = 4 << 10
)

// maxDecoded is the most that unsealing may need: a whole effect and what frames it.
const maxDecoded = MaxEffect + 1<<20

// zstdFrame is about what zstd adds to a block that does not compress: headers of frame and blocks.
const zstdFrame = 32

// maxRatio bounds what is allocated ahead for a compressed form before it has proved its size.
const maxRatio = 64

var (
	errCoding = errors.New("unknown coding")
	errSize   = errors.New("wrong size")
)

// coders are the zstd coders of one machine, made when first used. They may be used concurrently.
type coders struct {
	once sync.Once
	enc  *zstd.Encoder
	dec  *zstd.Decoder
	err  error
}

func (c *coders) open() error {
	c.once.Do(func() {
		c.enc, c.err = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest),
			zstd.WithEncoderConcurrency(2), zstd.WithWindowSize(256<<10), zstd.WithLowerEncoderMem(true))
		if c.err != nil {
			return
		}
		c.dec, c.err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(2),
			zstd.WithDecoderMaxMemory(maxDecoded))
	})
	return c.err
}

// seal appends the stored form of b: coding byte, size, bytes; compressed when b is at least from bytes and that
// saves an eighth.
func (c *coders) seal(dst, b []byte, from int) ([]byte, error) {
	start := len(dst)
	dst = binary.AppendUvarint(append(dst, codingRaw), uint64(len(b)))
	if len(b) < from {
		return append(dst, b...), nil
	}
	if err := c.open(); err != nil {
		return nil, fmt.Errorf("zstd: %w", err)
	}
	dst = slices.Grow(dst, len(b)+zstdFrame) // the coder would grow it in steps
	head := len(dst)
	dst = c.enc.EncodeAll(b, dst)
	if len(dst)-head > len(b)-len(b)/8 {
		return append(dst[:head], b...), nil
	}
	dst[start] = codingZstd
	return dst, nil
}

// unseal is the inverse of seal. The result may be a part of stored.
func (c *coders) unseal(stored []byte) ([]byte, error) {
	r := wire.NewReader(stored)
	coding, size := r.Byte(), r.Uvarint()
	if r.Err() != nil {
		return nil, r.Err()
	}
	if size > maxDecoded {
		return nil, fmt.Errorf("%w: %d bytes", errSize, size)
	}
	body := r.Take(r.Len())
	switch coding {
	case codingRaw:
	case codingZstd:
		if err := c.open(); err != nil {
			return nil, fmt.Errorf("zstd: %w", err)
		}
		var err error
		if body, err = c.dec.DecodeAll(body, make([]byte, 0, min(size, uint64(len(body))*maxRatio))); err != nil {
			return nil, fmt.Errorf("zstd: %w", err)
		}
	default:
		return nil, fmt.Errorf("%w %d", errCoding, coding)
	}
	if uint64(len(body)) != size {
		return nil, fmt.Errorf("%w: %d bytes, not %d", errSize, len(body), size)
	}
	return body, nil
}
