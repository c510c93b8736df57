package bench

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/internal/convert/oxcmail"
	"github.com/flotilla-mail/flotilla/internal/convert/oxcmsg"
	"github.com/flotilla-mail/flotilla/internal/dev"
	"github.com/flotilla-mail/flotilla/internal/formats/mime"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/planted"
	"github.com/flotilla-mail/flotilla/internal/testkit"
	"github.com/flotilla-mail/flotilla/internal/testkit/mails"
	"github.com/flotilla-mail/flotilla/test/devtest"
)

// conversionGrowth is how much more a conversion may allocate for a mail whose file is five times as long: nothing, but for what
// rounding does.
const conversionGrowth = 1.1

// conversionTimes is how many times as long deliveries may take with conversion and index as without.
const conversionTimes = 1.5

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

// ways are deliveries as they are, and those of octets alone, which only a program can that was built to leave out what a
// delivery costs besides.
var ways = map[string]planted.Bug{"with": "nothing", "without": planted.BareDelivery}

// spent is what deliveries of one kind cost, one way.
type spent struct {
	mails, seconds float64
	cpu            time.Duration
}

// TestDeliveryAgainstOctets: deliveries that become messages and are indexed against those of octets alone: of either, nodes of
// their own, one after the other and the other way round, so that it falls out of the comparison if the machine
// becomes slower. The time is what clients wait; the processor's is until the index has caught up, which nobody waits for.
func TestDeliveryAgainstOctets(t *testing.T) {
	only(t)
	program := barer(t)
	sums := map[string]map[string]*spent{"with": {}, "without": {}}
	for _, way := range []string{"without", "with", "with", "without"} {
		t.Run(way, func(t *testing.T) {
			t.Setenv("FLOTILLA_PLANTED", string(ways[way]))
			c := devtest.StartOptions(t, dev.Options{Nodes: 3, Users: 50, Groups: 3, Program: program})
			against(t, c, sums[way])
		})
	}
	if t.Failed() {
		return
	}
	results := map[string]any{}
	for kind, with := range sums["with"] {
		without := sums["without"][kind]
		of := map[string]any{}
		for way, s := range map[string]*spent{"with": with, "without": without} {
			if s.seconds > 0 {
				of[way+", deliveries per second"] = s.mails / s.seconds
			}
			if s.cpu > 0 {
				of[way+", ms of the processor a mail"] = ms(s.cpu) / s.mails
			}
		}
		results[kind] = of
		if with.seconds == 0 {
			continue
		}
		times := (with.seconds / with.mails) / (without.seconds / without.mails)
		if of["times as long"] = times; times > conversionTimes {
			t.Errorf("%s take %.2f times as long with conversion and index", kind, times)
		}
	}
	devtest.Record(t, "delivery-conversion", results)
}

// barer is a program that can be told to leave out of deliveries what is measured here.
func barer(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "flotilla")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-tags", "hashicorpmetrics planted", "-o", program, "./cmd/flotilla")
	build.Dir, build.Env = testkit.Root(t), append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return program
}

// against adds what deliveries to a cluster cost.
func against(t *testing.T, c *dev.Cluster, sums map[string]*spent) {
	t.Helper()
	const users, each, idle = 50, 6 * time.Second, 5 * time.Second
	p := processes{c}
	before := p.cpu(t)
	<-time.After(idle)
	rate := float64(p.cpu(t)-before) / float64(idle) // what the nodes take with nothing to do
	deliver(t, c, users, 4<<10, 16, each/2)          // connections and buffers are made
	for _, size := range []int{4 << 10, 75 << 10} {
		if err := settled(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		begin, before, all := time.Now(), p.cpu(t), &spent{}
		for _, conns := range []int{16, 64} {
			from := time.Now()
			perSecond, _, _ := deliver(t, c, users, size, conns, each)
			took := time.Since(from).Seconds()
			one := &spent{mails: perSecond * took, seconds: took}
			all.add(one)
			orNew(sums, fmt.Sprintf("%d KiB, %d connections", size>>10, conns)).add(one)
		}
		if err := settled(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		cpu := p.cpu(t) - before - time.Duration(rate*float64(time.Since(begin)))
		orNew(sums, fmt.Sprintf("%d KiB, index caught up", size>>10)).add(&spent{mails: all.mails, cpu: cpu})
	}
}

func (s *spent) add(o *spent) {
	s.mails, s.seconds, s.cpu = s.mails+o.mails, s.seconds+o.seconds, s.cpu+o.cpu
}

func orNew(sums map[string]*spent, kind string) *spent {
	if sums[kind] == nil {
		sums[kind] = new(spent)
	}
	return sums[kind]
}
