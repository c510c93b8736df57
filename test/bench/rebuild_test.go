package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/flotilla-mail/flotilla/internal/dev"
	"github.com/flotilla-mail/flotilla/test/devtest"
)

// Of the rebuild of a lost node (issue of the fleet): at least this part of the disk's sequential write speed, and latencies at
// most so many times those before it.
const (
	rebuildSpeed   = 0.5
	rebuildLatency = 2
)

// TestRebuild: a node comes back with an empty disk while others serve: how fast it has everything again, and what the
// clients of the others see meanwhile.
func TestRebuild(t *testing.T) {
	only(t)
	const users, groups = 12, 3
	mails := count("FLOTILLA_REBUILD_MAILS", 72)
	c := devtest.StartGroups(t, users, groups)
	fill(t, c, users, mails, 20<<20)
	deliverAll(t, c, 20) // what beside reads
	disk := writeSpeed(t, c.Dir, 512<<20)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
	defer cancel()
	if err := c.Stop(ctx, "n1"); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"groups", "raft"} {
		if err := os.RemoveAll(filepath.Join(c.Dir, "n1", d)); err != nil {
			t.Fatal(err)
		}
	}
	before := beside(t, c, func() error { return wait(ctx, 20*time.Second) })
	var r rebuilt
	during := beside(t, c, func() (err error) {
		r, err = rebuild(ctx, c, groups)
		return err
	})
	speed := float64(r.bytes) / r.took.Seconds()
	results := map[string]any{"seeded MB": r.bytes >> 20, "seeded in s": r.took.Seconds(), "whole after s": r.whole.Seconds(),
		"seed MB/s": speed / (1 << 20), "sequential write MB/s": disk / (1 << 20)}
	for _, kind := range slices.Sorted(maps.Keys(before)) {
		calm, busy := before[kind], during[kind]
		slices.Sort(calm)
		slices.Sort(busy)
		b50, b99 := calm[len(calm)/2], calm[len(calm)*99/100]
		d50, d99 := busy[len(busy)/2], busy[len(busy)*99/100]
		results[kind] = map[string]any{"before p50 ms": ms(b50), "before p99 ms": ms(b99), "during p50 ms": ms(d50), "during p99 ms": ms(d99)}
		if d99 > rebuildLatency*b99 {
			t.Errorf("%s: p99 %v before, %v while the node is rebuilt", kind, b99, d99)
		}
	}
	devtest.Record(t, "rebuild", results)
	if speed < rebuildSpeed*disk {
		t.Errorf("rebuilt at %.0f MB/s; the disk writes %.0f", speed/(1<<20), disk/(1<<20))
	}
}

// fill delivers large mails that have nothing in common.
func fill(t *testing.T, c *dev.Cluster, users, mails, octets int) {
	t.Helper()
	var g errgroup.Group
	const lines = 3
	for line := range lines {
		g.Go(func() error {
			client, err := dialLMTP(c, c.Names()[line%c.Nodes])
			if err != nil {
				return err
			}
			defer client.Close()
			client.SubmissionTimeout = 5 * time.Minute
			for k := line; k < mails; k += lines {
				head := fmt.Sprintf("Subject: large\r\nMessage-ID: <fill.%d@bench.example.org>\r\nMIME-Version: 1.0\r\n"+
					"Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n", k)
				body := &noise{left: octets, state: uint64(k) << 32}
				if err := client.SendMail("bench@example.org", []string{fmt.Sprintf("u%d@example.test", k%users+1)},
					io.MultiReader(strings.NewReader(head), body)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
}

// writeSpeed is how many bytes a second the disk takes, one after the other, and has for good at the end.
func writeSpeed(t *testing.T, dir string, octets int) float64 {
	t.Helper()
	f, err := os.CreateTemp(dir, "speed")
	if err != nil {
		t.Fatal(err)
	}
	defer os.Remove(f.Name())
	piece := make([]byte, 1<<20)
	for i := range piece {
		piece[i] = byte(i * 2654435761 >> 13)
	}
	begin := time.Now()
	for range octets / len(piece) {
		if _, err := f.Write(piece); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	took := time.Since(begin)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return float64(octets) / took.Seconds()
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// rebuilt is how the rebuild of a node went.
type rebuilt struct {
	bytes int64
	// took is the time in which something was being seeded, whole that from the node's start to the last vote.
	took, whole time.Duration
}

type seedingGroup struct {
	Group    int
	Replicas []struct {
		Node, State string
		Server      string
		CaughtUp    bool  `json:"caught_up"`
		SeedTotal   int64 `json:"seed_total"`
	}
	Placed []struct {
		Server, State string
		Votes         bool
	}
}

// rebuild starts n1 and watches until each group has three voters again.
func rebuild(ctx context.Context, c *dev.Cluster, groups int) (r rebuilt, err error) {
	begin := time.Now()
	if err := c.Start("n1"); err != nil {
		return r, err
	}
	totals := map[int]int64{}
	look := begin
	for {
		var all []seedingGroup
		if err := c.Admin("n2").Do(ctx, "GET", "/v1/groups", nil, &all); err != nil && ctx.Err() != nil {
			return r, errors.Join(err, ctx.Err())
		}
		now, seeds, whole := time.Now(), 0, wholeGroups(all)
		for i := range all {
			for _, p := range all[i].Replicas {
				if p.SeedTotal > 0 {
					seeds++
					totals[all[i].Group] = p.SeedTotal
				}
			}
		}
		if seeds > 0 {
			r.took += now.Sub(look)
		}
		if look = now; whole == groups+1 {
			break
		}
		if err := wait(ctx, 50*time.Millisecond); err != nil {
			return r, err
		}
	}
	for _, n := range totals {
		r.bytes += n
	}
	r.whole = time.Since(begin)
	return r, nil
}

func wholeGroups(all []seedingGroup) (n int) {
	for i := range all {
		if all[i].whole() {
			n++
		}
	}
	return n
}

// awaitWhole waits until each group has three replicas that have caught up: one more may go.
func awaitWhole(ctx context.Context, c *dev.Cluster) error {
	for {
		var all []seedingGroup
		err := c.Admin(c.Names()[0]).Do(ctx, "GET", "/v1/groups", nil, &all)
		if err == nil && len(all) > 0 && wholeGroups(all) == len(all) {
			return nil
		}
		if werr := wait(ctx, 200*time.Millisecond); werr != nil {
			return errors.Join(err, werr)
		}
	}
}

func (g *seedingGroup) whole() bool {
	runs := map[string]bool{}
	for _, r := range g.Replicas {
		runs[r.Server] = r.CaughtUp
	}
	for _, p := range g.Placed {
		if !p.Votes || p.State != "created" || !runs[p.Server] {
			return false
		}
	}
	return len(g.Placed) == 3
}
