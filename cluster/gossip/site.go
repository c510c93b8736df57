package gossip

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
)

const (
	// freshFor is how long a data centre, or an address, that is known by gossip only counts without further word.
	freshFor = 10 * time.Minute
	// seedsOfSite is how many nodes of one data centre are tried at a time.
	seedsOfSite = 8
)

// siteState is another data centre. See Site.
type siteState struct {
	heard bool
	since time.Time
}

// review brings up to date which other data centres there are, by what the owner knows and by records that are not
// old, and which of them are heard. It gives back those whose state changed.
func (k *knowledge) review(peers []Peer, now time.Time) (changed []Site) {
	k.mu.Lock()
	defer k.mu.Unlock()
	there := k.otherSitesLocked(peers, now)
	if wide := len(there) > 0; wide != k.wide {
		k.wide = wide
		k.changeLocked(now, func(*record) {})
	}
	heard := k.heardLocked()
	for dc := range there {
		old, known := k.sites[dc]
		if s := (siteState{heard: heard[dc], since: now}); !known || s.heard != old.heard {
			k.sites[dc] = s
			if known || s.heard {
				changed = append(changed, k.siteLocked(dc))
			}
		}
	}
	maps.DeleteFunc(k.sites, func(dc string, _ siteState) bool { return !there[dc] })
	slices.SortFunc(changed, func(a, b Site) int { return cmp.Compare(a.DC, b.DC) })
	return changed
}

func (k *knowledge) otherSitesLocked(peers []Peer, now time.Time) map[string]bool {
	there := map[string]bool{}
	add := func(dc string) {
		if dc != k.dc && len(there) < maxSites {
			there[dc] = true
		}
	}
	for _, p := range peers {
		add(p.DC)
	}
	for _, r := range k.records {
		if r.fresh(now) {
			add(r.Meta.DC)
		}
	}
	return there
}

// fresh reports whether the node itself was heard of lately, and where it is.
func (r *kept) fresh(now time.Time) bool {
	return r.Addr != "" && r.Gone == goneNot && now.Sub(r.heard) < freshFor
}

// heardLocked are the data centres that a live gateway of this one hears.
func (k *knowledge) heardLocked() map[string]bool {
	heard := map[string]bool{}
	for id, n := range k.nodes {
		if r := k.records[id]; n.Alive && r.Gateway && r.Gone == goneNot {
			for _, dc := range r.Hears {
				heard[dc] = true
			}
		}
	}
	return heard
}

func (k *knowledge) siteLocked(dc string) Site {
	state := k.sites[dc]
	s := Site{DC: dc, Heard: state.heard, Since: state.since}
	for id, r := range k.records {
		if r.of(dc) && r.Gateway && r.Gone == goneNot {
			s.Gateways = append(s.Gateways, id)
		}
	}
	slices.Sort(s.Gateways)
	return s
}

// nodesOf are the nodes of another data centre that it has not lost.
func (k *knowledge) nodesOf(dc string) (ids []cluster.NodeID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for id, r := range k.records {
		if r.of(dc) && r.Gone == goneNot {
			ids = append(ids, id)
		}
	}
	return ids
}

// otherSites lists the other data centres by name.
func (k *knowledge) otherSites() []Site {
	k.mu.Lock()
	defer k.mu.Unlock()
	sites := make([]Site, 0, len(k.sites))
	for dc := range k.sites {
		sites = append(sites, k.siteLocked(dc))
	}
	slices.SortFunc(sites, func(a, b Site) int { return cmp.Compare(a.DC, b.DC) })
	return sites
}

// wideNow reports whether there are other data centres.
func (k *knowledge) wideNow() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.wide
}

// setGateway says whether this node is a gateway, and which data centres it hears as one.
func (k *knowledge) setGateway(is bool, hears []string, now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.own.Gateway != is || !slices.Equal(k.own.Hears, hears) {
		k.changeLocked(now, func(own *record) { own.Gateway, own.Hears = is, hears })
	}
}

// chosen are the gateways of this data centre: who wants to be one always, and by name as many others as are missing
// then. Every node finds the same, once all have the same pool before them.
func (k *knowledge) chosen(count int) []Node {
	k.mu.Lock()
	defer k.mu.Unlock()
	var pinned, others []Node
	for _, n := range k.nodes {
		switch {
		case !n.Alive || n.Meta.Gateway == GatewayNever:
		case n.Meta.Gateway == GatewayAlways:
			pinned = append(pinned, n)
		default:
			others = append(others, n)
		}
	}
	slices.SortFunc(others, func(a, b Node) int { return cmp.Compare(a.ID, b.ID) })
	return append(pinned, others[:min(len(others), max(0, count-len(pinned)))]...)
}

// gateways are the addresses of the gateways of another data centre, as it last said.
func (k *knowledge) gateways(dc string) []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.addressesLocked(func(r *kept) bool { return r.of(dc) && r.Gateway && r.Gone == goneNot })
}

// lastResort are the addresses of nodes of a data centre that are known by gossip alone: for want of a better one.
func (k *knowledge) lastResort(dc string, now time.Time) []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.addressesLocked(func(r *kept) bool {
		return r.of(dc) && r.fresh(now) && !k.nodes[cluster.NodeID(r.Node)].Alive
	})
}

func (k *knowledge) addressesLocked(which func(*kept) bool) []string {
	var addrs []string
	for id, r := range k.records {
		if id != k.self && which(&r) {
			addrs = append(addrs, r.Addr)
		}
	}
	slices.Sort(addrs)
	return addrs[:min(len(addrs), seedsOfSite)]
}
