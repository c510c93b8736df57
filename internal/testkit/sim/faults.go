package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/internal/testkit/simnet"
)

// faults are what happens to a cluster, each as often as its weight says. What begins one ends it, at a time of its own or
// with the trouble.
var faults = []struct {
	name   string
	weight int
	do     func(t *trouble, ctx context.Context, nd *node) error
}{
	{"kill", 3, (*trouble).kill},
	{"power cut", 3, (*trouble).powerCut},
	{"isolate", 3, (*trouble).isolate},
	{"cut one way", 3, (*trouble).cutOneWay},
	{"short cut", 3, (*trouble).shortCut},
	{"slow network", 2, (*trouble).slowNetwork},
	{"lossy network", 2, (*trouble).lossyNetwork},
	{"clock jump", 2, (*trouble).jump},
	{"hand over", 2, (*trouble).handOver},
	{"move of a mailbox", 5, (*trouble).moveBox},
	{"end of a move", 1, (*trouble).abortMove},
	{"join", 3, (*trouble).join},
	{"removal", 3, (*trouble).remove},
	{"taking back", 1, (*trouble).takeBack},
}

// trouble makes one fault after the other. Two of them run at a time, so that faults meet.
type trouble struct {
	*run
	rng *rand.Rand
}

func (t *trouble) make(ctx context.Context) error {
	for ctx.Err() == nil {
		wait(ctx, t.between(0, 700*time.Millisecond))
		if ctx.Err() != nil {
			return nil
		}
		if err := errors.Join(t.fault(ctx), t.w.bury(t.rng)); err != nil {
			return err
		}
	}
	return nil
}

// fault makes one.
func (t *trouble) fault(ctx context.Context) error {
	total := 0
	for _, f := range faults {
		total += f.weight
	}
	n := t.rng.IntN(total)
	for _, f := range faults {
		if n -= f.weight; n >= 0 {
			continue
		}
		nd := t.victim()
		t.faults.Add(1)
		t.note("%s of %s", f.name, nd.id)
		if err := f.do(t, ctx, nd); err != nil {
			return fmt.Errorf("%s of %s: %w", f.name, nd.id, err)
		}
		break
	}
	return nil
}

// victim is mostly a node that leads something.
func (t *trouble) victim() *node {
	nd := t.w.any(t.rng)
	for range 3 {
		if p := nd.process(); p != nil && p.leadsAny() {
			break
		}
		nd = t.w.any(t.rng)
	}
	return nd
}

func (p *process) leadsAny() bool {
	for _, g := range p.host.Groups() {
		if id, _ := g.Leader(); id == g.Self() {
			return true
		}
	}
	return false
}

// note says what happens, in the history too.
func (r *run) note(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	r.w.note("%s", text)
	r.log.Note("%s", text)
}

func (t *trouble) between(low, high time.Duration) time.Duration {
	return low + time.Duration(t.rng.Int64N(int64(high-low)))
}

func (t *trouble) kill(ctx context.Context, nd *node) error { return t.restart(ctx, nd, false) }

func (t *trouble) powerCut(ctx context.Context, nd *node) error { return t.restart(ctx, nd, true) }

// restart ends a process and begins another. A node whose disk lost what was synced would not come back: that it does is
// part of what is checked.
func (t *trouble) restart(ctx context.Context, nd *node, power bool) error {
	if was, err := nd.crash(t.rng, power); !was || err != nil {
		return err
	}
	wait(ctx, t.between(0, 2*time.Second))
	return t.boot(nd)
}

func (r *run) boot(nd *node) error {
	nd.mu.Lock()
	gone := nd.gone
	nd.mu.Unlock()
	if gone {
		return nil
	}
	r.w.network.Appear(nd.id)
	return nd.start()
}

func (t *trouble) isolate(ctx context.Context, nd *node) error {
	t.cutAll(nd, true, true)
	wait(ctx, t.between(500*time.Millisecond, 3*time.Second))
	t.w.network.Change(func(c *simnet.Conditions) { clear(c.Cut) })
	return nil
}

// shortCut is over before anybody takes another for the leader: what was abandoned meanwhile is still in the log.
func (t *trouble) shortCut(ctx context.Context, nd *node) error {
	t.cutAll(nd, true, true)
	wait(ctx, t.between(200*time.Millisecond, 800*time.Millisecond))
	t.w.network.Change(func(c *simnet.Conditions) { clear(c.Cut) })
	return nil
}

func (t *trouble) cutOneWay(ctx context.Context, nd *node) error {
	in := t.rng.IntN(2) == 0
	if t.rng.IntN(2) == 0 {
		t.cutAll(nd, in, !in)
	} else {
		peer := t.w.any(t.rng)
		t.w.network.Change(func(c *simnet.Conditions) { c.Cut[simnet.Direction{From: nd.id, To: peer.id}] = true })
	}
	wait(ctx, t.between(300*time.Millisecond, 3*time.Second))
	t.w.network.Change(func(c *simnet.Conditions) { clear(c.Cut) })
	return nil
}

func (t *trouble) cutAll(nd *node, in, out bool) {
	t.w.network.Change(func(c *simnet.Conditions) {
		for _, other := range t.w.all() {
			if other == nd {
				continue
			}
			if in {
				c.Cut[simnet.Direction{From: other.id, To: nd.id}] = true
			}
			if out {
				c.Cut[simnet.Direction{From: nd.id, To: other.id}] = true
			}
		}
	})
}

func (t *trouble) slowNetwork(_ context.Context, _ *node) error {
	d := []time.Duration{300 * time.Microsecond, 5 * time.Millisecond, 40 * time.Millisecond}[t.rng.IntN(3)]
	t.w.network.Change(func(c *simnet.Conditions) { c.Latency = d })
	return nil
}

func (t *trouble) lossyNetwork(_ context.Context, _ *node) error {
	n := []int{0, 5, 50}[t.rng.IntN(3)]
	t.w.network.Change(func(c *simnet.Conditions) { c.Lossy = n })
	return nil
}

func (t *trouble) jump(_ context.Context, nd *node) error {
	nd.clock.set(time.Duration(t.rng.Int64N(int64(4*time.Hour))) - 2*time.Hour)
	return nil
}

func (t *trouble) handOver(ctx context.Context, nd *node) error {
	p := nd.process()
	if p == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	for _, g := range p.host.Groups() {
		if err := g.Transfer(ctx, ""); err != nil && cluster.KindOf(err) == cluster.KindInternal {
			t.w.note("hand over: %v", err) // who does not lead refuses, and a fault may be in the way
		}
	}
	return nil
}

// heal ends all trouble.
func (r *run) heal() error {
	r.note("peace")
	r.w.network.Heal()
	for _, nd := range r.w.all() {
		nd.clock.set(0)
		if nd.process() == nil {
			if err := r.boot(nd); err != nil {
				return err
			}
		}
	}
	return nil
}
