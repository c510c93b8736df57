package fulltext

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/internal/lsm"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// corpus draws messages whose words are as common as in languages: the n-th word comes about once in n.
type corpus struct {
	rng   *rand.Rand
	zipf  *rand.Zipf
	words []string
	bytes int64
}

func newCorpus() *corpus {
	rng := rand.New(rand.NewPCG(1, 2))
	c := &corpus{rng: rng, zipf: rand.NewZipf(rng, 1.07, 4, 199_999)}
	for i := range 200_000 {
		c.words = append(c.words, syllables(rng)+fmt.Sprintf("%x", i))
	}
	return c
}

func syllables(rng *rand.Rand) string {
	b := ""
	for range 1 + rng.IntN(3) {
		b += string("bdfgklmnprst"[rng.IntN(12)]) + string("aeiou"[rng.IntN(5)])
	}
	return b
}

// add adds one message of so many words in the body.
func (c *corpus) add(b *Batch, uid mapi.UID, words int) {
	b.Message(uid)
	for _, f := range []struct {
		Field
		words int
	}{{Subject, 5}, {From, 3}, {To, 3}, {Body, words}} {
		text := make([]byte, 0, 8*f.words)
		for range f.words {
			text = append(append(text, c.words[c.zipf.Uint64()]...), ' ')
		}
		c.bytes += int64(len(text))
		b.Text(f.Field, string(text))
	}
}

// fill indexes messages 1 to n.
func (c *corpus) fill(tb testing.TB, ix *Index, n, words int) {
	tb.Helper()
	for uid := 1; uid <= n; {
		b, err := ix.Begin(box, inbox)
		if err != nil {
			tb.Fatal(err)
		}
		for ; uid <= n && !b.Full(); uid++ {
			c.add(b, mapi.UID(uid), words)
		}
		if err := b.Commit(mapi.Stamp(uid)); err != nil {
			tb.Fatal(err)
		}
		mergeAll(tb, ix)
	}
}

func mergeAll(tb testing.TB, ix *Index) {
	tb.Helper()
	for more := true; more; {
		var err error
		if more, err = ix.Merge(context.Background(), box, inbox, func() {}); err != nil {
			tb.Fatal(err)
		}
	}
}

func benchIndex(b *testing.B) *Index {
	ix, err := Open(Options{Dir: filepath.Join(b.TempDir(), "index"), FS: lsm.OSFS()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = ix.Close() }) // of a folder that goes
	if err := ix.Adopt(box); err != nil {
		b.Fatal(err)
	}
	return ix
}

// BenchmarkIndex is what a message of about 4 KiB of text costs that comes in batches of 32, merges included.
func BenchmarkIndex(b *testing.B) {
	ix, c := benchIndex(b), newCorpus()
	b.ReportAllocs()
	for uid := mapi.UID(1); b.Loop(); {
		batch, err := ix.Begin(box, inbox)
		if err != nil {
			b.Fatal(err)
		}
		for range firstRun {
			c.add(batch, uid, 600)
			uid++
		}
		if err := batch.Commit(mapi.Stamp(uid)); err != nil {
			b.Fatal(err)
		}
		mergeAll(b, ix)
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/firstRun, "µs/message")
	b.ReportMetric(float64(c.bytes)/1e6/b.Elapsed().Seconds(), "MB/s")
}

// BenchmarkFind asks folders of 10,000 and 1,000,000 small messages for words that are in about one of a hundred
// thousand, one of a thousand, one of ten and nearly all of them, for beginnings and parts of words.
func BenchmarkFind(b *testing.B) {
	for _, n := range []int{10_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			if testing.Short() && n > 10_000 {
				b.Skip("takes minutes")
			}
			ix, c := benchIndex(b), newCorpus()
			start := time.Now()
			c.fill(b, ix, n, 30)
			if err := ix.Flush(); err != nil {
				b.Fatal(err)
			}
			took, size := time.Since(start).Seconds(), float64(ix.Size())/float64(c.bytes)
			everywhere := In(Subject, From, To, Body)
			for name, q := range map[string]*Query{
				"rare": Words(everywhere, c.words[150_000]), "some": Words(everywhere, c.words[3000]), "many": Words(everywhere, c.words[30]),
				"most": Words(everywhere, c.words[0]), "two": Words(everywhere, c.words[30]+" "+c.words[300]),
				"prefix": Prefix(everywhere, "bada"), "part": Contains(everywhere, "adabo"),
			} {
				b.Run(name, func(b *testing.B) {
					hits := 0
					for b.Loop() {
						ix.recent.list = nil // what was found last is not to be given again
						found, err := ix.Find(box, inbox, q)
						if err != nil || found == nil {
							b.Fatal(found, err)
						}
						hits = found.UIDs.Len()
					}
					b.ReportMetric(float64(hits), "found")
					b.ReportMetric(size, "index-B/text-B")
					b.ReportMetric(took, "s-to-index")
				})
			}
		})
	}
}
