package group

import (
	"context"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/cluster/transport"
)

// registerOp is one read or write of the register.
type registerOp struct {
	write bool
	value string
}

// registerModel says what a register may answer. A read that failed tells nothing; a write of unknown outcome stays
// open to the end.
var registerModel = porcupine.Model{
	Init: func() interface{} { return "" },
	Step: func(state, input, output interface{}) (bool, interface{}) {
		op := input.(registerOp)
		if op.write {
			return true, op.value
		}
		return output.(string) == state.(string), state
	},
}

// history collects operations from many goroutines.
type history struct {
	mu    sync.Mutex
	began time.Time
	ops   []porcupine.Operation // guarded by mu
}

func (h *history) run(client int, op registerOp, do func() (string, error)) {
	call := time.Since(h.began).Nanoseconds()
	out, err := do()
	back := time.Since(h.began).Nanoseconds()
	if err != nil {
		if !op.write || definite(err) {
			return
		}
		back = 1 << 62
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, porcupine.Operation{ClientId: client, Input: op, Call: call, Output: out, Return: back})
}

// definite reports whether a failed write has certainly not happened.
func definite(err error) bool {
	switch cluster.KindOf(err) {
	case cluster.KindNotLeader, cluster.KindOverloaded, cluster.KindUnavailable, cluster.KindDeadline:
		return true
	}
	return false
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
	h := &history{began: time.Now()}
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
	result, _ := porcupine.CheckOperationsVerbose(registerModel, h.ops, 30*time.Second)
	t.Logf("%d operations", len(h.ops))
	if result != porcupine.Ok {
		t.Errorf("%d operations: %s", len(h.ops), result)
	}
}

func registerClient(ctx context.Context, w *world, h *history, client int, rng *rand.Rand) {
	for n := 0; ctx.Err() == nil; n++ {
		nd := w.nodes[rng.IntN(len(w.nodes))]
		once, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
		if rng.IntN(3) == 0 {
			value := strconv.Itoa(client) + "-" + strconv.Itoa(n)
			h.run(client, registerOp{true, value}, func() (string, error) { return "", nd.put(once, 1, "r", value) })
		} else {
			mode := []space.ReadMode{space.ReadLease, space.ReadIndex}[rng.IntN(2)]
			h.run(client, registerOp{}, func() (string, error) { return nd.get(once, 1, mode, "r") })
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
