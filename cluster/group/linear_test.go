package group

import (
	"context"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/cluster/transport"
	"github.com/flotilla-mail/flotilla/internal/testkit/linear"
)

// outcomeOf says what the error of a read or write leaves open.
func outcomeOf(err error) linear.Outcome {
	if err == nil {
		return linear.Done
	}
	switch cluster.KindOf(err) {
	case cluster.KindNotLeader, cluster.KindOverloaded, cluster.KindUnavailable, cluster.KindDeadline:
		return linear.Never
	}
	return linear.Unknown
}

// TestLinearizable reads and writes a register, in every mode that promises it, while leaders are cut off, handed over
// and replaced. FLOTILLA_LINEAR=<duration> runs it longer.
func TestLinearizable(t *testing.T) {
	t.Parallel()
	length := 3 * time.Second
	if text := os.Getenv("FLOTILLA_LINEAR"); text != "" {
		var err error
		if length, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	w := newWorld(t, 3, nil)
	defer w.dump()
	w.form(1).create(1)
	h := linear.NewHistory()
	ctx, cancel := context.WithTimeout(context.Background(), length)
	defer cancel()
	var wg sync.WaitGroup
	for c := range 6 {
		own := rand.New(rand.NewPCG(seed, uint64(c+2)))
		wg.Go(func() { registerClient(ctx, w, h, c, own) })
	}
	for ctx.Err() == nil {
		trouble(ctx, w, rng)
	}
	for _, nd := range w.nodes {
		nd.faults.Clear("")
	}
	wg.Wait()
	h.Check(t, 30*time.Second)
}

func registerClient(ctx context.Context, w *world, h *linear.History, client int, rng *rand.Rand) {
	for n := 0; ctx.Err() == nil; n++ {
		nd := w.nodes[rng.IntN(len(w.nodes))]
		once, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
		if rng.IntN(3) == 0 {
			value := strconv.Itoa(client) + "-" + strconv.Itoa(n)
			h.Run(client, linear.Op{Write: true, Value: value}, func() (string, linear.Outcome) {
				return "", outcomeOf(nd.put(once, 1, "r", value))
			})
		} else {
			mode := []space.ReadMode{space.ReadLease, space.ReadIndex}[rng.IntN(2)]
			h.Run(client, linear.Op{}, func() (string, linear.Outcome) {
				v, err := nd.get(once, 1, mode, "r")
				return v, outcomeOf(err)
			})
		}
		if nd.group(1).State() != Leader {
			_ = pause(once, time.Duration(rng.IntN(5))*time.Millisecond, nil, nil)
		}
		cancel()
	}
}

// trouble makes one fault and ends it.
func trouble(ctx context.Context, w *world, rng *rand.Rand) {
	nd := w.nodes[rng.IntN(len(w.nodes))]
	switch rng.IntN(4) {
	case 0:
		nd.faults.Cut("", []transport.Direction{transport.Both, transport.Incoming, transport.Outgoing}[rng.IntN(3)])
		_ = pause(ctx, time.Duration(200+rng.IntN(1500))*time.Millisecond, nil, nil)
		nd.faults.Clear("")
	case 1:
		once, cancel := context.WithTimeout(ctx, time.Second)
		_ = nd.group(1).Transfer(once, "") // refused where it is not the leader
		cancel()
	case 2:
		nd.group(1).standForTest()
	case 3:
		nd.clock.step(time.Duration(rng.IntN(300)) * time.Millisecond)
	}
	_ = pause(ctx, time.Duration(rng.IntN(600))*time.Millisecond, nil, nil)
}

// standForTest stands against a leader that is well.
func (g *Group) standForTest() {
	if g.State() == Follower {
		g.trans.stand()
	}
}
