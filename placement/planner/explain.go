package planner

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/placement"
)

// Explanation says in words where a group is, why, and what is to become of it.
type Explanation struct {
	Group  cluster.GroupID `json:"group"`
	Leader cluster.NodeID  `json:"leader"`
	// Home and Sites are where it should be led and where its copies may be; empty for anywhere.
	Home  string   `json:"home,omitempty"`
	Sites []string `json:"sites,omitempty"`
	// Copies has a line for each replica, Rules what the policy says of them.
	Copies []string `json:"copies"`
	Rules  []string `json:"rules"`
	// Waits is what the planner waits for, Next what it does next.
	Waits []string `json:"waits"`
	Next  []string `json:"next"`
}

// Explain explains a group of the map, from what a plan is computed from; nil when there is no such group.
func Explain(m *placement.Map, seen Observed, policy placement.Policy, id cluster.GroupID) *Explanation {
	g := m.Group(id)
	if g == nil {
		return nil
	}
	f := newFleet(m, &seen, &policy)
	e := &Explanation{Group: id, Leader: seen.Leaders[id], Home: policy.HomeOf(g), Sites: policy.SitesOf(g),
		Copies: []string{}, Rules: []string{}, Waits: []string{}, Next: []string{}}
	for i := range g.Replicas {
		e.Copies = append(e.Copies, f.copyInWords(g, &g.Replicas[i]))
	}
	e.Rules = f.rulesInWords(g)
	if e.Leader == "" {
		e.Waits = append(e.Waits, "it has no leader, without which nothing can be done for it")
	}
	for i := range g.Replicas {
		e.Waits = append(e.Waits, f.waitsFor(g, &g.Replicas[i])...)
	}
	for _, s := range Plan(m, seen, policy) {
		if of, ok := s.Group(); ok && of == id {
			e.Next = append(e.Next, fmt.Sprintf("%s, because %s", s, s.Why))
		}
	}
	return e
}

func (f *fleet) copyInWords(g *placement.Group, r *placement.Replica) string {
	node := r.Server.Node()
	words := []string{string(r.Server)}
	if n := f.node[node]; n != nil && n.DC+n.Zone != "" {
		words = append(words, fmt.Sprintf("(site %q, zone %q)", n.DC, n.Zone))
	}
	switch {
	case r.State == placement.Lost:
		words = append(words, "is lost")
	case r.State == placement.Assigned:
		words = append(words, "is being made")
	case f.leads(g, r):
		words = append(words, "leads")
	case r.Suffrage == placement.Voter:
		words = append(words, "votes")
	default:
		words = append(words, "follows")
	}
	if r.State == placement.Created && !f.able(r) {
		words = append(words, "but is not up to date, or does not answer")
	}
	if why := Because(r.Cause, r.Replaces.Node()); why != "" {
		words = append(words, "- made because "+why)
	}
	return strings.Join(words, " ")
}

// rulesInWords is what the policy says of a group, and how far that is so.
func (f *fleet) rulesInWords(g *placement.Group) []string {
	if g.ID == cluster.SystemGroup {
		return []string{fmt.Sprintf("every node has a copy of the system group, of which %d vote", f.systemVoters(g))}
	}
	lines := []string{fmt.Sprintf("%d copies vote, of %d that the policy asks for", votes(g), f.policy.Replicas)}
	if g.Into != 0 {
		lines = append(lines, fmt.Sprintf("it takes no mailboxes: those that it has go to group %d, into which it is merged", g.Into))
	}
	nodes := f.nodesOf(g)
	for _, level := range []struct {
		survive placement.Survive
		name    string
		of      func(*placement.NodeState) place
	}{{placement.SurviveZone, "zone", zoneOf}, {placement.SurviveSite, "site", siteOf}} {
		if f.policy.Survive != level.survive {
			continue
		}
		if f.crowd(nodes, level.of) == len(nodes) {
			lines = append(lines, "no two copies share a "+level.name)
		} else {
			lines = append(lines, fmt.Sprintf("copies share a %s: there are nodes in too few of them", level.name))
		}
	}
	if home := f.policy.HomeOf(g); home != "" {
		lines = append(lines, "a node of "+home+" should lead it")
	}
	if sites := f.policy.SitesOf(g); len(sites) > 0 {
		lines = append(lines, "copies may be in "+strings.Join(sites, ", ")+" only")
	}
	return lines
}

// waitsFor says why nothing is done, or not yet, about a replica that is not as it should be.
func (f *fleet) waitsFor(g *placement.Group, r *placement.Replica) []string {
	node := r.Server.Node()
	silent, is := f.seen.Silent[node]
	switch {
	case g.ID == cluster.SystemGroup:
		return nil
	case f.stuck(g, r):
		return append([]string{fmt.Sprintf("%s has to go, because %s, and no node can take its place", r.Server, Because(f.must(node), node))},
			f.refusals(g)...)
	case is && f.gone(node):
		return nil
	case is && f.node[node] != nil && f.node[node].Status == placement.Draining:
		return []string{fmt.Sprintf("%s is drained: its copy is not made elsewhere however long it is away", node)}
	case is:
		return []string{fmt.Sprintf("%s has been silent for %v: after %v its copy is made elsewhere", node, silent.Round(time.Second), f.policy.Grace)}
	case r.State == placement.Created && r.Suffrage == placement.Nonvoter && !f.ready(r):
		return []string{fmt.Sprintf("%s has to be up to date for a while before it votes", r.Server)}
	}
	return nil
}

// stuck reports whether a replica has to go and there is no place for another.
func (f *fleet) stuck(g *placement.Group, r *placement.Replica) bool {
	return f.must(r.Server.Node()) != 0 && successor(g, r) == nil && f.placeFor(g, r) == ""
}

// stuckOn are the groups whose copy on a node is stuck there.
func (f *fleet) stuckOn(node cluster.NodeID) (ids []cluster.GroupID) {
	for i := range f.m.Groups {
		g := &f.m.Groups[i]
		if r := g.Replica(node); g.ID != cluster.SystemGroup && r != nil && f.stuck(g, r) {
			ids = append(ids, g.ID)
		}
	}
	return ids
}

// refusals says of each node without the group why it cannot be given it.
func (f *fleet) refusals(g *placement.Group) []string {
	var lines []string
	for i := range f.m.Nodes {
		n := &f.m.Nodes[i]
		has := slices.ContainsFunc(g.Replicas, func(r placement.Replica) bool { return r.Server.Node() == n.ID })
		if n.Status == placement.Removed || has {
			continue
		}
		why := ""
		switch {
		case n.Roles&placement.RoleStore == 0:
			why = "it stores nothing"
		case n.Status != placement.Active:
			why = "it is " + n.Status.String()
		case !allowed(f.policy.SitesOf(g), n.Site()):
			why = fmt.Sprintf("it is in %q", n.Site())
		case f.seen.Unfit[n.ID] != "":
			why = f.seen.Unfit[n.ID]
		case !f.seen.Alive[n.ID]:
			why = "it does not answer"
		case f.coming[n.ID] >= comingAtMost:
			why = fmt.Sprintf("it makes %d others first", f.coming[n.ID])
		}
		if why != "" {
			lines = append(lines, fmt.Sprintf("not %s: %s", n.ID, why))
		}
	}
	return lines
}

// Notes says what of the nodes and the policy keeps groups from being as they should.
func Notes(m *placement.Map, seen Observed, policy placement.Policy) []string {
	f := newFleet(m, &seen, &policy)
	notes := []string{}
	for i := range m.Nodes {
		n := &m.Nodes[i]
		silent, is := seen.Silent[n.ID]
		switch {
		case n.Status == placement.Removed:
		case is && n.Status == placement.Draining:
			notes = append(notes, fmt.Sprintf("%s is drained and has been silent for %v; nothing is made elsewhere", n.ID, silent.Round(time.Second)))
		case is:
			notes = append(notes, fmt.Sprintf("%s has been silent for %v; from %v on what it holds is made elsewhere", n.ID, silent.Round(time.Second), policy.Grace))
		case n.Status != placement.Active:
			note := fmt.Sprintf("%s is %s", n.ID, n.Status)
			if ids := f.stuckOn(n.ID); len(ids) > 0 {
				note += fmt.Sprintf(", and no other node can take its copies of the groups %v: 'flotilla placement explain %d' says why", ids, ids[0])
			}
			notes = append(notes, note)
		case seen.Unfit[n.ID] != "":
			notes = append(notes, fmt.Sprintf("%s is given nothing: %s", n.ID, seen.Unfit[n.ID]))
		}
	}
	for i := range policy.Rules {
		r := &policy.Rules[i]
		if open := f.places(&placement.Group{Home: r.Home, Sites: r.Sites}); len(open) < f.copies() {
			notes = append(notes, fmt.Sprintf("for home %q and sites %q there are %d nodes, which is too few for %d copies",
				r.Home, strings.Join(r.Sites, ","), len(open), f.copies()))
		}
	}
	return notes
}
