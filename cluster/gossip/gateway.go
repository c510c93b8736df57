package gossip

import (
	"cmp"
	"context"
	"slices"
	"time"
)

// steering is who is a gateway, as this node sees it. One goroutine has it; nothing is agreed upon: for a while there
// may be a gateway too many, which costs a few packets, or one too few, for which there are two.
type steering struct {
	g     *Gossip
	since time.Time // since when this node should be what it is not; zero while it is what it should be
	turn  int       // of the nodes tried in data centres of which nobody is in the pool
}

func (s *steering) run(ctx context.Context) {
	t := time.NewTicker(s.g.config.Gateways.Review)
	defer t.Stop()
	for {
		s.review(ctx, time.Now())
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		case <-s.g.look:
		}
	}
}

func (s *steering) review(ctx context.Context, now time.Time) {
	g := s.g
	pool := g.pool(wan)
	var hears []string
	if pool != nil {
		hears = pool.sites()
		g.know.setMembers(len(pool.members()))
	}
	g.know.setGateway(pool != nil, hears, now)
	for _, site := range g.know.review(g.remote(), now) {
		g.tell.site(site)
	}
	if s.settled(s.should(pool), pool != nil, now) {
		s.turnInto(ctx, pool)
	}
}

// should reports whether this node is to be a gateway. One that no more is stays until those that are chosen in its
// place are in the pool: a gateway that cannot reach the others replaces nobody.
func (s *steering) should(pool *pool) bool {
	g := s.g
	if !g.know.wideNow() {
		return false
	}
	chosen := g.know.chosen(g.config.Gateways.Count)
	if slices.ContainsFunc(chosen, func(n Node) bool { return n.ID == g.config.Node }) {
		return true
	}
	if pool == nil {
		return false
	}
	members := pool.members()
	return slices.ContainsFunc(chosen, func(n Node) bool { return members[n.ID].Addr == "" })
}

// settled reports whether a change is due: not while the node has just started and has not met the others, and not for
// a node that comes and goes.
func (s *steering) settled(should, is bool, now time.Time) bool {
	switch {
	case should == is:
		s.since = time.Time{}
	case s.since.IsZero():
		s.since = now
	}
	return should != is && now.Sub(s.since) >= s.g.config.Gateways.Settle
}

func (s *steering) turnInto(ctx context.Context, pool *pool) {
	s.since = time.Time{}
	g := s.g
	if pool != nil {
		g.setPool(wan, nil)
		g.know.setGateway(false, nil, time.Now())
		if err := pool.close(ctx); err != nil {
			g.log("WARN", "cease to be a gateway: "+err.Error())
		}
		return
	}
	pool, err := g.open(wan, s.seeds)
	if err != nil {
		g.log("WARN", "become a gateway: "+err.Error())
		return
	}
	g.setPool(wan, pool)
	pool.run(ctx)
	g.know.setGateway(true, nil, time.Now())
}

// seeds are those to meet in the WAN pool: the other gateways of this data centre, or two pools could grow side by
// side; the gateways of the others as they are known; and some nodes of each data centre that has none in the pool.
func (s *steering) seeds(pool *pool) []string {
	g, now := s.g, time.Now()
	var seeds []string
	for _, n := range g.know.chosen(g.config.Gateways.Count) {
		if n.ID != g.config.Node {
			seeds = append(seeds, n.Addr)
		}
	}
	met := pool.sites()
	peers := g.remote()
	for _, site := range g.know.otherSites() {
		seeds = append(seeds, g.know.gateways(site.DC)...)
		if slices.Contains(met, site.DC) {
			continue
		}
		more := s.some(peers, site.DC)
		if len(more) == 0 {
			more = g.know.lastResort(site.DC, now)
		}
		seeds = append(seeds, more...)
	}
	s.turn++
	return seeds
}

// some takes nodes of a data centre from the owner's list, from the lowest names on, because those are its gateways by
// default, and others at every turn.
func (s *steering) some(peers []Peer, dc string) []string {
	var all []Peer
	for _, p := range peers {
		if p.DC == dc && p.Addr != "" {
			all = append(all, p)
		}
	}
	slices.SortFunc(all, func(a, b Peer) int { return cmp.Compare(a.ID, b.ID) })
	var addrs []string
	for i := range min(len(all), seedsOfSite) {
		addrs = append(addrs, all[(s.turn*seedsOfSite+i)%len(all)].Addr)
	}
	return addrs
}
