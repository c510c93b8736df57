package planner

import (
	"cmp"
	"slices"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/placement"
)

// comingAtMost is how many replicas a node makes at a time: each is a copy over the network, and a group's mail goes on
// meanwhile.
const comingAtMost = 4

// open reports whether a node can be given something now.
func (f *fleet) open(n *placement.NodeState) bool {
	return n.Status == placement.Active && n.Roles&placement.RoleStore != 0 && f.seen.Alive[n.ID] && f.seen.Unfit[n.ID] == ""
}

// allowed reports whether copies may be in a site.
func allowed(sites []string, site string) bool {
	return len(sites) == 0 || slices.Contains(sites, site)
}

// places are the nodes that can be given a replica of a group, in order of name: none that has anything of it.
func (f *fleet) places(g *placement.Group) []*placement.NodeState {
	var nodes []*placement.NodeState
	for i := range f.m.Nodes {
		n := &f.m.Nodes[i]
		has := slices.ContainsFunc(g.Replicas, func(r placement.Replica) bool { return r.Server.Node() == n.ID })
		if f.open(n) && !has && allowed(f.policy.SitesOf(g), n.Site()) {
			nodes = append(nodes, n)
		}
	}
	slices.SortFunc(nodes, byName)
	return nodes
}

// placeFor is the node for a replica that takes another's place, or is one more; empty when none can be given it now: the
// best is waited for while it makes others. Whom the administrator named comes first, unless the policy would have the copy
// moved on from there.
func (f *fleet) placeFor(g *placement.Group, old *placement.Replica) cluster.NodeID {
	nodes := f.places(g)
	if len(nodes) == 0 {
		return ""
	}
	rest, heir := f.nodesOf(g), cluster.NodeID("")
	if old != nil {
		from := old.Server.Node()
		rest = slices.DeleteFunc(rest, func(n cluster.NodeID) bool { return n == from })
		if n := f.node[from]; n != nil {
			heir = n.Successor
		}
	}
	to := f.best(g, rest, nodes).ID
	i := slices.IndexFunc(nodes, func(n *placement.NodeState) bool { return n.ID == heir })
	if i >= 0 && f.cost(g, append(slices.Clone(rest), heir)).compare(f.cost(g, append(slices.Clone(rest), to))) <= 0 {
		to = heir
	}
	if f.coming[to] >= comingAtMost {
		return ""
	}
	return to
}

// best is the node that goes best with those that have the group: where the copies are spread, at home, and with the
// lowest level.
func (f *fleet) best(g *placement.Group, rest []cluster.NodeID, nodes []*placement.NodeState) *placement.NodeState {
	return slices.MinFunc(nodes, func(a, b *placement.NodeState) int {
		with, or := append(slices.Clone(rest), a.ID), append(slices.Clone(rest), b.ID)
		return cmp.Or(f.cost(g, with).compare(f.cost(g, or)), cmp.Compare(f.crowd(with, zoneOf), f.crowd(or, zoneOf)),
			cmp.Compare(f.level(a.ID, f.size(g)), f.level(b.ID, f.size(g))), byName(a, b))
	})
}

// nodesOf are the nodes that a group's replicas are on when all that is under way is done.
func (f *fleet) nodesOf(g *placement.Group) []cluster.NodeID {
	var nodes []cluster.NodeID
	for i := range g.Replicas {
		if r := &g.Replicas[i]; successor(g, r) == nil {
			nodes = append(nodes, r.Server.Node())
		}
	}
	return nodes
}

// cost is what is wrong with where a group's copies are, the worst first.
type cost [3]int

func (c cost) compare(d cost) int { return slices.Compare(c[:], d[:]) }

// cost counts copies outside of the sites allowed, a home without one, and how crowded the places are that one loss takes.
func (f *fleet) cost(g *placement.Group, nodes []cluster.NodeID) cost {
	var c cost
	home := f.policy.HomeOf(g)
	if home != "" {
		c[1] = 1
	}
	for _, id := range nodes {
		n := f.node[id]
		if n == nil {
			continue
		}
		if !allowed(f.policy.SitesOf(g), n.Site()) {
			c[0]++
		}
		if n.Site() == home {
			c[1] = 0
		}
	}
	switch f.policy.Survive {
	case placement.SurviveSite: // and as far as sites are shared, not the zones in them
		c[2] = f.crowd(nodes, siteOf)<<16 + f.crowd(nodes, zoneOf)
	case placement.SurviveNode:
	default:
		c[2] = f.crowd(nodes, zoneOf)
	}
	return c
}

// flawless reports whether nothing could be better: every copy of the group is in a place of its own.
func (f *fleet) flawless(g *placement.Group, c cost) bool {
	n := len(g.Replicas)
	return c[0] == 0 && c[1] == 0 && (c[2] == 0 || c[2] == n || c[2] == n<<16+n)
}

// place is what one loss takes: zones of two sites are never the same.
type place struct{ site, zone string }

func zoneOf(n *placement.NodeState) place { return place{n.DC, n.Zone} }

func siteOf(n *placement.NodeState) place { return place{site: n.DC} }

// crowd is the sum of the squares of how many copies share a place: least where they are spread most evenly, so that the
// loss of the fullest takes as few as can be.
func (f *fleet) crowd(nodes []cluster.NodeID, of func(*placement.NodeState) place) int {
	places := make([]place, 0, 8)
	sum := 0
	for _, id := range nodes {
		n := f.node[id]
		if n == nil {
			continue
		}
		p, before := of(n), 0
		for _, o := range places {
			if o == p {
				before++
			}
		}
		sum += 2*before + 1 // the next square
		places = append(places, p)
	}
	return sum
}

// sizeUnit is how many bytes weigh as much as a replica does by itself.
const sizeUnit = 1 << 30

// size is what a replica of a group weighs: by number as long as groups are small or their sizes not known, by bytes when
// they are large.
func (f *fleet) size(g *placement.Group) float64 {
	return 1 + float64(f.seen.Load[g.ID].Bytes)/sizeUnit
}

// weight is a node's share against others; most have 1.
func weight(n *placement.NodeState) float64 {
	if n == nil || n.Weight == 0 {
		return 1
	}
	return float64(n.Weight) / 100
}

// level is how full a node is for its weight, with something more.
func (f *fleet) level(node cluster.NodeID, more float64) float64 {
	return (f.held[node] + more) / weight(f.node[node])
}

// create makes the groups that are missing, once all nodes that formed the cluster have registered: then they begin where
// they are to stay.
func (f *fleet) create() []Step {
	if !f.formed() {
		return nil
	}
	copies := odd(min(f.policy.Replicas, f.stores()))
	var steps []Step
	taken := make(map[cluster.GroupID]bool)
	for i := range f.m.Groups {
		taken[f.m.Groups[i].ID] = true
	}
	next := cluster.GroupID(1)
	for _, class := range f.missing() {
		for taken[next] {
			next++
		}
		g := &placement.Group{ID: next, Home: class.Home, Sites: class.SiteList()}
		if nodes := f.choose(g, copies); nodes != nil {
			taken[next] = true
			steps = append(steps, Step{Create: &CreateGroup{Group: next, Class: class, Nodes: nodes}, Why: "the policy asks for it"})
		}
	}
	return steps
}

// formed reports whether every node with a copy of the system group has registered, and can be given something or is gone.
func (f *fleet) formed() bool {
	g := f.m.Group(cluster.SystemGroup)
	return g != nil && !slices.ContainsFunc(g.Replicas, func(r placement.Replica) bool {
		node := r.Server.Node()
		return f.must(node) == 0 && (f.node[node] == nil || !f.seen.Alive[node])
	})
}

// missing are the classes of the groups that there are too few of, each as often as one is missing. Where all groups of a
// class are full or hot, one more is.
func (f *fleet) missing() []placement.Class {
	have, room := make(map[placement.Class]int), make(map[placement.Class]bool)
	for i := range f.m.Groups {
		if g := &f.m.Groups[i]; g.ID != cluster.SystemGroup {
			have[g.Class()]++
			load := f.seen.Load[g.ID]
			room[g.Class()] = room[g.Class()] || g.Into == 0 && !f.policy.Full(load.Bytes, load.Ops)
		}
	}
	var all []placement.Class
	classes := f.policy.Classes()
	for class, want := range classes {
		if have[class] >= want && !room[class] {
			want = have[class] + 1
		}
		for range want - have[class] {
			all = append(all, class)
		}
	}
	slices.SortFunc(all, func(a, b placement.Class) int {
		return cmp.Or(cmp.Compare(a.Sites, b.Sites), cmp.Compare(a.Home, b.Home))
	})
	return all[:min(len(all), max(0, placement.MaxGroups+1-len(f.m.Groups)))]
}

// choose picks nodes for a new group, and counts what they are to hold; nil when there are too few.
func (f *fleet) choose(g *placement.Group, n int) []cluster.NodeID {
	var nodes []cluster.NodeID
	for len(nodes) < n {
		left := slices.DeleteFunc(f.places(g), func(n *placement.NodeState) bool { return slices.Contains(nodes, n.ID) })
		if len(left) == 0 {
			return nil
		}
		nodes = append(nodes, f.best(g, nodes, left).ID)
	}
	for _, id := range nodes {
		f.held[id] += f.size(g)
	}
	return nodes
}
