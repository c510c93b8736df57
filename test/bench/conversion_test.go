package bench

import (
	"bytes"
	"io"
	"testing"

	"github.com/flotilla-mail/flotilla/internal/convert/oxcmail"
	"github.com/flotilla-mail/flotilla/internal/convert/oxcmsg"
	"github.com/flotilla-mail/flotilla/internal/formats/mime"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/testkit/mails"
	"github.com/flotilla-mail/flotilla/test/devtest"
)

// conversionGrowth is how much more a conversion may allocate for a mail whose file is five times as long: nothing, but for what
// rounding does.
const conversionGrowth = 1.1

// passing keeps no content: it reads what it must and says how much there was.
type passing struct{}

// Range implements oxcmail.Keeper.
func (passing) Range(from, to int64, _ string) (mapi.Reference, error) {
	return mapi.Reference{{Size: uint32(to - from)}}, nil
}

// Stream implements oxcmail.Keeper.
func (passing) Stream(r io.Reader) (mapi.Reference, error) {
	n, err := io.Copy(io.Discard, r)
	return mapi.Reference{{Size: uint32(n)}}, err
}

// convert makes a message of a mail, of which the tree of parts is read first.
func convert(t testing.TB, octets []byte) (*oxcmail.Message, *oxcmsg.Names) {
	src := bytes.NewReader(octets)
	root, err := mime.ScanReader(src, mime.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	r := oxcmail.Reader{Keep: passing{}, Names: &oxcmsg.Names{}}
	m, err := r.Read(root, src)
	if err != nil {
		t.Fatal(err)
	}
	return m, r.Names
}

// TestConversion: how many mails a core converts in a second, and what that allocates, in either direction; of a file nothing more
// than of a short one.
func TestConversion(t *testing.T) {
	only(t)
	results, allocated := map[string]any{}, map[string]int64{}
	measure := func(name string, fn func(b *testing.B)) {
		r := testing.Benchmark(func(b *testing.B) {
			b.ReportAllocs()
			fn(b)
		})
		allocated[name] = r.AllocedBytesPerOp()
		results[name] = map[string]any{"mails/s": float64(r.N) / r.T.Seconds(), "bytes a mail": r.AllocedBytesPerOp(), "allocations a mail": r.AllocsPerOp()}
	}
	for name, octets := range map[string][]byte{"text of 4 KiB": mails.Text(4 << 10), "HTML of 75 KiB with an image": mails.HTML(),
		"file of 1 MB": mails.File(1_000_000), "file of 5 MB": mails.File(5_000_000)} {
		measure(name+", to message", func(b *testing.B) {
			for b.Loop() {
				convert(b, octets)
			}
		})
		m, names := convert(t, octets)
		measure(name+", to mail", func(b *testing.B) {
			w := oxcmail.Writer{Names: names}
			for b.Loop() {
				if _, err := w.Write(&m.MessageContent); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	devtest.Record(t, "conversion", results)
	for _, way := range []string{", to message", ", to mail"} {
		if short, long := allocated["file of 1 MB"+way], allocated["file of 5 MB"+way]; float64(long) > conversionGrowth*float64(short) {
			t.Errorf("%s: %d bytes for a file of 5 MB, %d for one of 1 MB", way, long, short)
		}
	}
}
