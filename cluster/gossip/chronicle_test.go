package gossip

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
)

// chronicle is what the members of a fleet are told, and how long it takes until all have been.
type chronicle struct {
	began time.Time

	mu      sync.Mutex
	news    map[fact]*news           // that not all have been told; guarded by mu
	longest map[string]time.Duration // of each kind of news; guarded by mu
	rumours []string                 // of deaths of those that had not died; guarded by mu
	dead    map[cluster.NodeID]bool  // guarded by mu
	alone   cluster.NodeID           // who is cut off; guarded by mu
	back    bool                     // and that one has just come back; guarded by mu
	echoes  map[echo]time.Time       // what that one made others believe for a while, since when; guarded by mu
	echoed  int                      // how often that was; guarded by mu
	lines   map[string]int           // of memberlist's log, by the words that they begin with; guarded by mu
}

// echo is that a member takes one for dead that never was.
type echo struct{ at, of cluster.NodeID }

// fact is something that all are to be told.
type fact struct{ kind, what string }

// What is measured: from when something is so until all know it, and until one is found alive again.
const (
	ofLeader  = "a new leader is known to all"
	ofVersion = "what a node says of itself is known to all"
	ofDeath   = "a death is known to all"
	ofEcho    = "told dead after one came back"
)

func leads(group cluster.GroupID, term uint64) fact { return fact{ofLeader, fmt.Sprint(group, term)} }
func runs(node cluster.NodeID, version string) fact {
	return fact{ofVersion, string(node) + " " + version}
}
func dies(node cluster.NodeID) fact { return fact{ofDeath, string(node)} }

// news is a fact on its way.
type news struct {
	since   time.Time
	missing map[cluster.NodeID]bool
}

// What memberlist logs when a probe by packets was not answered, when one by other members and by a connection was not either,
// and when who is suspected hears of it.
const (
	lineProbe   = "Failed UDP ping"
	lineSuspect = "Suspect "
	lineRefute  = "Refuting a suspect"
)

func newChronicle() *chronicle {
	return &chronicle{began: time.Now(), news: map[fact]*news{}, longest: map[string]time.Duration{},
		dead: map[cluster.NodeID]bool{}, echoes: map[echo]time.Time{}, lines: map[string]int{}}
}

func (c *chronicle) events(at cluster.NodeID) Events {
	return Events{
		NodeDown: func(n Node) { c.down(at, n.ID) },
		NodeUp:   func(n Node) { c.up(at, n) },
		Hint:     func(g cluster.GroupID, term uint64, _ cluster.NodeID) { c.told(at, leads(g, term)) },
		Log: func(_, text string) {
			c.mu.Lock()
			defer c.mu.Unlock()
			for _, begin := range []string{lineProbe, lineSuspect, lineRefute} {
				if strings.HasPrefix(text, begin) {
					c.lines[begin]++
				}
			}
		},
	}
}

// expect begins to wait until some members have been told.
func (c *chronicle) expect(f fact, all []cluster.NodeID) {
	n := &news{since: time.Now(), missing: map[cluster.NodeID]bool{}}
	for _, id := range all {
		n.missing[id] = true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.news[f] = n
}

func (c *chronicle) told(at cluster.NodeID, f fact) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.news[f]
	if n == nil {
		return
	}
	if delete(n.missing, at); len(n.missing) == 0 {
		c.longest[f.kind] = max(c.longest[f.kind], time.Since(n.since))
		delete(c.news, f)
	}
}

// down notes that a member is told of a death.
func (c *chronicle) down(at, of cluster.NodeID) {
	c.told(at, dies(of))
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.dead[of], c.alone == of, c.alone == at:
	case c.back:
		c.echoes[echo{at, of}] = time.Now()
		c.echoed++
	default:
		c.rumours = append(c.rumours, fmt.Sprintf("after %v %s was told that %s is dead", time.Since(c.began), at, of))
	}
}

// up notes that a member is told of one that is alive.
func (c *chronicle) up(at cluster.NodeID, n Node) {
	c.told(at, runs(n.ID, n.Meta.Version))
	c.mu.Lock()
	defer c.mu.Unlock()
	if since, ok := c.echoes[echo{at, n.ID}]; ok {
		c.longest[ofEcho] = max(c.longest[ofEcho], time.Since(since))
		delete(c.echoes, echo{at, n.ID})
	}
}

// buried notes who has died.
func (c *chronicle) buried(id cluster.NodeID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dead[id] = true
}

// apart says who is cut off, and may be found dead as well as find others so; and whether it has come back since. What it suspected
// meanwhile, and nobody heard, is then found dead by others too, until it says that it is not.
func (c *chronicle) apart(id cluster.NodeID, back bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.alone, c.back = id, back
}

// rumour is what was told of deaths that were none.
func (c *chronicle) rumour() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Join(c.rumours, "\n")
}

// settled reports whether all have been told all.
func (c *chronicle) settled() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.news) == 0
}

// untold are the facts on their way, and whom they have not reached.
func (c *chronicle) untold() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []string
	for f, n := range c.news {
		all = append(all, fmt.Sprintf("%s %s: %v", f.kind, f.what, slices.Sorted(maps.Keys(n.missing))))
	}
	slices.Sort(all)
	return strings.Join(all, "\n")
}

func (c *chronicle) suspicions() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lines[lineSuspect]
}

// figures are what came of it by now.
func (c *chronicle) figures() map[string]any {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := map[string]any{"probes by packets not answered": c.lines[lineProbe], "suspicions": c.lines[lineSuspect],
		"refutations": c.lines[lineRefute], "told dead and were not": len(c.rumours), "told dead after one came back": c.echoed}
	for kind, took := range c.longest {
		all["seconds at most: "+kind] = took.Seconds()
	}
	return all
}
