package gossip

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/internal/testkit"
	"github.com/flotilla-mail/flotilla/internal/testkit/simnet"
)

// What has to be known everywhere within these, in virtual time.
const (
	meetWithin   = time.Minute
	deathWithin  = 30 * time.Second
	returnWithin = time.Minute
	newsWithin   = time.Minute
	lossWithin   = 10 * time.Minute
)

// lossy is how many of a thousand packets are lost, and of what TCP then sends again.
const lossy = 200

// fleet is the members of one data centre on one network, in the virtual time of a bubble.
type fleet struct {
	*chronicle
	t       *testing.T
	wires   *wires
	rng     *rand.Rand
	size    int
	turn    int                        // things that were said
	members map[cluster.NodeID]*member // that run
}

// TestAFleetThatLosesPackets: where a fifth of all packets is lost no member is told that one is dead which is not, and all are
// told of those that are; who is cut off, in one direction or in both, is found dead by all others and comes back.
func TestAFleetThatLosesPackets(t *testing.T) {
	span, seed, asked := fleetAsked(t)
	size, deaths := 50, 5
	if testing.Short() && !asked {
		size, deaths, span = 10, 2, 10*time.Second
	}
	t.Logf("seed %d: %d members, %v", seed, size, span)
	defer debug.SetGCPercent(debug.SetGCPercent(800)) // most of what a fleet costs would be memory that memberlist compresses with
	began := time.Now()
	var figures map[string]any
	synctest.Test(t, func(t *testing.T) {
		t.Cleanup(func() { time.Sleep(time.Minute) }) // probes of members that have ended go on to their own end
		f := startFleet(t, size, seed)
		f.live(span)
		if !f.complete() {
			t.Error("somebody's list is not right")
		}
		// Else nothing was lost, or memberlist logs it in other words.
		f.within(lossWithin, "somebody is suspected", func() bool { return f.suspicions() > 0 })
		sent := f.sent()
		f.kill(deaths)
		back := f.cuts(asked)
		figures = f.figures()
		maps.Copy(figures, sent)
		figures["seconds at most: one that was cut off is back"] = back.Seconds()
	})
	maps.Copy(figures, map[string]any{"seed": seed, "members": size, "packets lost of a thousand": lossy, "hours": span.Hours(),
		"members killed at once": deaths, "seconds taken": time.Since(began).Seconds()})
	t.Log(figures)
	if asked {
		testkit.Record(t, "gossip", figures)
	}
}

// fleetAsked is for how long the fleet lives and from which seed, FLOTILLA_GOSSIP and SEED, and whether that was asked for. The
// seed decides what is lost and what the members do; memberlist draws whom it probes by itself.
func fleetAsked(t *testing.T) (span time.Duration, seed uint64, asked bool) {
	t.Helper()
	span, seed = 30*time.Second, uint64(time.Now().UnixNano()) // #nosec G115 -- any number will do
	var err error
	if text := os.Getenv("SEED"); text != "" {
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("SEED: %v", err)
		}
	}
	text := os.Getenv("FLOTILLA_GOSSIP")
	if text == "" {
		return span, seed, false
	}
	if span, err = time.ParseDuration(text); err != nil {
		t.Fatalf("FLOTILLA_GOSSIP: %v", err)
	}
	return span, seed, true
}

func startFleet(t *testing.T, size int, seed uint64) *fleet {
	t.Helper()
	f := &fleet{chronicle: newChronicle(), t: t, wires: &wires{Network: simnet.New(rand.New(rand.NewPCG(seed, 2)))},
		rng: rand.New(rand.NewPCG(seed, 1)), size: size, members: map[cluster.NodeID]*member{}}
	f.wires.Change(func(c *simnet.Conditions) { c.Lossy = lossy })
	for i := range size {
		f.start(i + 1)
	}
	f.within(meetWithin, "all meet", f.complete)
	return f
}

// start makes a member with the times that a node has; its seeds are all machines.
func (f *fleet) start(number int) {
	f.t.Helper()
	name, addr := machine(number)
	var seeds []string
	for i := range f.size {
		_, addr := machine(i + 1)
		seeds = append(seeds, addr)
	}
	f.members[name] = start(f.t, name, func(c *Config) {
		c.Bind, c.open = addr, f.wires.open
		c.LAN, c.WAN, c.Gateways = Tuning{}, Tuning{}, Gateways{}
		c.Events = f.events(name)
		c.Seeds = func() []string { return seeds }
	})
}

// names are those that run.
func (f *fleet) names() []cluster.NodeID { return slices.Sorted(maps.Keys(f.members)) }

// any is one that runs.
func (f *fleet) any() *member { return f.members[f.names()[f.rng.IntN(len(f.members))]] }

// but is those that run without one.
func (f *fleet) but(name cluster.NodeID) []cluster.NodeID {
	return slices.DeleteFunc(f.names(), func(id cluster.NodeID) bool { return id == name })
}

// complete reports whether everybody's list of who is alive is right.
func (f *fleet) complete() bool {
	want := fmt.Sprint(f.names())
	for _, m := range f.members {
		if "["+m.nodesBy(func(n Node) bool { return n.Alive })+"]" != want {
			return false
		}
	}
	return true
}

// within lets time pass until something is so.
func (f *fleet) within(limit time.Duration, what string, ok func() bool) (took time.Duration) {
	f.t.Helper()
	for began := time.Now(); !ok(); took = time.Since(began) {
		if took > limit {
			f.t.Fatalf("not within %v: %s\n%s", limit, what, f.untold())
		}
		time.Sleep(100 * time.Millisecond)
	}
	f.sound()
	return took
}

// sound fails the test if a member was told of a death that was none.
func (f *fleet) sound() {
	f.t.Helper()
	if told := f.rumour(); told != "" {
		f.t.Fatal(told)
	}
}

// live lets time pass in which leaderships begin and members change what they say of themselves. In the end all know all.
func (f *fleet) live(span time.Duration) {
	f.t.Helper()
	for left := span; left > 0; left -= 10 * time.Second {
		f.turn++
		name := f.names()[f.turn%len(f.members)] // so that nobody has something newer to say before the last is known
		m := f.members[name]
		f.expect(leads(cluster.GroupID(f.turn), 1), f.but(name))
		m.Announce(cluster.GroupID(f.turn), 1, name)
		meta := m.config.Meta
		meta.Version = strconv.Itoa(f.turn)
		f.expect(runs(name, meta.Version), f.but(name))
		if err := m.SetMeta(meta); err != nil {
			f.t.Fatal(err)
		}
		time.Sleep(min(left, 10*time.Second))
		f.sound()
	}
	f.within(newsWithin, "all news are known", f.settled)
}

// sent is what one member sent in a second, on average, so far.
func (f *fleet) sent() map[string]any {
	per := float64(f.size) * time.Since(f.began).Seconds()
	return map[string]any{"packets a member sent in a second": float64(f.wires.packets.Load()) / per,
		"bytes of packets a member sent in a second": float64(f.wires.bytes.Load()) / per,
		"connections a member opened in a second":    float64(f.wires.dials.Load()) / per}
}

// kill ends machines, all at once, and waits until all others know.
func (f *fleet) kill(n int) {
	f.t.Helper()
	var dead []*member
	for range n {
		m := f.any()
		dead = append(dead, m)
		delete(f.members, m.config.Node)
		f.wires.Vanish(m.config.Node, true)
	}
	for _, m := range dead {
		f.buried(m.config.Node)
		f.expect(dies(m.config.Node), f.names())
	}
	for _, m := range dead {
		m.crash(f.t)
	}
	f.within(deathWithin, "all know of the deaths", f.settled)
	if !f.complete() {
		f.t.Error("somebody's list is not right after deaths")
	}
}

// ways are the directions in which one is cut off: from what comes in, from what goes out.
var ways = [][2]bool{{true, true}, {true, false}, {false, true}}

// cuts cuts one off in each of the ways, or quickly in any. It says how long one took to come back, at most.
func (f *fleet) cuts(all bool) (back time.Duration) {
	f.t.Helper()
	if !all {
		return f.part(ways[f.rng.IntN(len(ways))], 10*time.Second)
	}
	for _, way := range ways {
		back = max(back, f.part(way, time.Minute))
	}
	return back
}

// part cuts a member off until all others have found it dead, and for a while more. It may think what it likes of them; of the others
// nobody is found dead. It says how long it took to come back. Suspicions of its own end by a while after that.
func (f *fleet) part(way [2]bool, while time.Duration) time.Duration {
	f.t.Helper()
	name := f.any().config.Node
	f.expect(dies(name), f.but(name))
	f.apart(name, false)
	f.wires.Change(func(c *simnet.Conditions) {
		for _, other := range f.but(name) {
			c.Cut[simnet.Direction{From: other, To: name}] = way[0]
			c.Cut[simnet.Direction{From: name, To: other}] = way[1]
		}
	})
	f.within(deathWithin, "all know of one that is cut off", f.settled)
	time.Sleep(while)
	f.wires.Change(func(c *simnet.Conditions) { clear(c.Cut) })
	f.apart(name, true)
	back := f.within(returnWithin, "it comes back", f.complete)
	f.live(while)
	f.within(returnWithin, "all are known to live", f.complete)
	f.apart("", false)
	return back
}
