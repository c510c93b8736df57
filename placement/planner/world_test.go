package planner

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/placement"
)

// world carries out plans: a model of the controller, of Raft and of the nodes. Its methods return what is wrong.
type world struct {
	r           *rand.Rand
	m           placement.Map
	policy      placement.Policy
	incarnation uint64
	// raft is each group's membership; true votes.
	raft    map[cluster.GroupID]map[cluster.ServerID]bool
	leaders map[cluster.GroupID]cluster.NodeID
	// up are the nodes that answer, grace those of the others that have been silent for long.
	up, grace map[cluster.NodeID]bool
	// drained are those that serve no clients although they run.
	drained map[cluster.NodeID]bool
	// behind are replicas that have not caught up, fresh those that have not done so for long.
	behind, fresh map[cluster.ServerID]bool
	// system is the copy of the system group that each node runs.
	system map[cluster.NodeID]cluster.ServerID
	heard  map[cluster.ServerID]bool // that its node runs another, and it was heard a moment ago
	unfit  map[cluster.NodeID]string
	load   map[cluster.GroupID]Load
	// later is what happens by itself: data is made, replicas catch up. It happens in any order.
	later []func()
	// quiet is what was done since the last event; nothing of it is undone before the next.
	quiet quiet
	seen  Observed // of the last look
	// moved are copies that could have stayed, handed leaderships, steps all that was done.
	moved, handed, steps int
	log                  []step
}

// step is one of the log, or what happened besides.
type step struct {
	Step
	happened string
}

// story is what went on, in words.
func (w *world) story() string {
	var b strings.Builder
	for _, s := range w.log {
		if s.happened != "" {
			fmt.Fprintf(&b, "-- %s\n", s.happened)
		} else {
			fmt.Fprintf(&b, "%s: %s\n", s.Step, s.Why)
		}
	}
	return b.String()
}

// quiet is what plans did since something happened.
type quiet struct {
	// made are replicas, with the node of the one whose place they took, or their own.
	made map[cluster.ServerID]cluster.NodeID
	// demoted have lost their vote.
	demoted map[cluster.ServerID]bool
	// handed is the group of the last step, if that was a hand-over, and left the node that led it.
	handed cluster.GroupID
	left   cluster.NodeID
}

func (w *world) calm() {
	w.quiet = quiet{made: map[cluster.ServerID]cluster.NodeID{}, demoted: map[cluster.ServerID]bool{}}
}

// chance is true once in n times.
func (w *world) chance(n int) bool { return w.r.IntN(n) == 0 }

func newWorld(seed uint64, nodes int, policy placement.Policy) *world {
	w := &world{r: rand.New(rand.NewPCG(seed, 1)), policy: policy, raft: map[cluster.GroupID]map[cluster.ServerID]bool{}, //nolint:gosec // a seed that can be given again
		leaders: map[cluster.GroupID]cluster.NodeID{}, up: map[cluster.NodeID]bool{}, grace: map[cluster.NodeID]bool{}, drained: map[cluster.NodeID]bool{},
		behind: map[cluster.ServerID]bool{}, fresh: map[cluster.ServerID]bool{}, system: map[cluster.NodeID]cluster.ServerID{},
		heard: map[cluster.ServerID]bool{}, unfit: map[cluster.NodeID]string{}, load: map[cluster.GroupID]Load{}, seen: looksAtNothing()}
	w.calm()
	g := placement.Group{ID: cluster.SystemGroup}
	w.raft[g.ID] = map[cluster.ServerID]bool{}
	for i := range nodes {
		id := w.addNode(placement.NodeState{DC: "a", Zone: fmt.Sprint(i)})
		r := placement.Replica{Server: w.newServer(id), Suffrage: placement.Voter, State: placement.Created}
		g.Replicas = append(g.Replicas, r)
		w.raft[g.ID][r.Server], w.system[id] = true, r.Server
	}
	w.m.Groups = []placement.Group{g}
	w.leaders[g.ID] = "n1"
	return w
}

// addNode registers a node, which runs.
func (w *world) addNode(n placement.NodeState) cluster.NodeID {
	n.ID = cluster.NodeID(fmt.Sprintf("n%d", len(w.m.Nodes)+1))
	n.Status = placement.Active
	if n.Roles == 0 {
		n.Roles = placement.RoleStore | placement.RoleFrontend
	}
	w.m.Nodes = append(w.m.Nodes, n)
	w.up[n.ID] = true
	return n.ID
}

func (w *world) newServer(node cluster.NodeID) cluster.ServerID {
	w.incarnation++
	return cluster.NewServerID(node, w.incarnation)
}

// soon has something done now or later.
func (w *world) soon(do func()) {
	if w.chance(2) {
		do()
		return
	}
	w.later = append(w.later, do)
}

// advance does one of the things that are due; false when there are none.
func (w *world) advance() bool {
	if len(w.later) == 0 {
		return false
	}
	i := w.r.IntN(len(w.later))
	do := w.later[i]
	w.later = slices.Delete(w.later, i, i+1)
	do()
	return true
}

// lives reports whether a replica can answer for its group: it runs, on a node that is up, and has all that was agreed.
func (w *world) lives(g *placement.Group, s cluster.ServerID) bool {
	r := g.Server(s)
	runs := g.ID != cluster.SystemGroup || w.system[s.Node()] == s
	return r != nil && r.State == placement.Created && w.up[s.Node()] && runs && !w.behind[s]
}

// quorum is how many of the voters that Raft counts can answer, of how many.
func (w *world) quorum(g *placement.Group) (live, all int) {
	for s, votes := range w.raft[g.ID] {
		if votes {
			all++
			if w.lives(g, s) {
				live++
			}
		}
	}
	return live, all
}

// observe is what a controller sees. It is good until the next call.
func (w *world) observe() Observed {
	seen := w.seen
	seen.Unfit, seen.Load = w.unfit, w.load
	for _, m := range []map[cluster.ServerID]bool{seen.Members, seen.Voting, seen.CaughtUp, seen.Steady, seen.Heard} {
		clear(m)
	}
	clear(seen.Alive)
	clear(seen.Leaders)
	clear(seen.System)
	clear(seen.Silent)
	clear(seen.Holds)
	clear(seen.Serves)
	maps.Copy(seen.Alive, w.up)
	maps.Copy(seen.Leaders, w.leaders)
	for i := range w.m.Groups {
		g := &w.m.Groups[i]
		for s, votes := range w.raft[g.ID] {
			if w.leaders[g.ID] != "" {
				seen.Members[s], seen.Voting[s] = true, votes
				seen.CaughtUp[s] = w.lives(g, s)
				seen.Steady[s] = seen.CaughtUp[s] && !w.fresh[s]
			}
		}
		for _, r := range g.Replicas {
			if node := r.Server.Node(); g.ID != cluster.SystemGroup && r.State != placement.Assigned && w.up[node] {
				seen.Holds[node]++
			}
		}
	}
	for node := range w.grace {
		seen.Silent[node] = w.policy.Grace
	}
	for node, s := range w.system {
		if w.up[node] {
			seen.System[node], seen.Heard[s] = s, true
		}
	}
	for node := range w.up {
		seen.Serves[node] = w.serves(node)
	}
	maps.Copy(seen.Heard, w.heard)
	return seen
}

// looksAtNothing is an observation to be filled.
func looksAtNothing() Observed {
	return Observed{Alive: map[cluster.NodeID]bool{}, Leaders: map[cluster.GroupID]cluster.NodeID{}, Members: map[cluster.ServerID]bool{},
		Voting: map[cluster.ServerID]bool{}, CaughtUp: map[cluster.ServerID]bool{}, Steady: map[cluster.ServerID]bool{},
		System: map[cluster.NodeID]cluster.ServerID{}, Heard: map[cluster.ServerID]bool{}, Silent: map[cluster.NodeID]time.Duration{},
		Holds: map[cluster.NodeID]int{}, Serves: map[cluster.NodeID]bool{}}
}

func (w *world) serves(node cluster.NodeID) bool { return w.up[node] && !w.drained[node] }

// fate is what becomes of half a step.
func (w *world) fate() bool { return !w.chance(12) }

// carryOut does a step as the controller does, or half of it, or nothing.
func (w *world) carryOut(s Step) error {
	switch {
	case s.Admit != nil:
		return w.admit(s.Admit)
	case s.Create != nil:
		w.create(s.Create)
	case s.Add != nil:
		return w.add(s.Add)
	case s.Join != nil:
		w.join(s.Join)
	case s.Promote != nil:
		return w.vote(s.Promote, true, placement.Voter)
	case s.Demote != nil:
		return w.vote(s.Demote, false, placement.Nonvoter)
	case s.Remove != nil:
		return w.remove(s.Remove)
	case s.Transfer != nil:
		return w.transfer(s.Transfer, s.Why)
	case s.Drain != nil:
		n := w.m.Node(s.Drain.Node)
		holds := slices.ContainsFunc(w.m.Groups, func(g placement.Group) bool { return g.ID != cluster.SystemGroup && g.Replica(n.ID) != nil })
		if n.Status != placement.Removing || holds || !w.serves(n.ID) {
			return fmt.Errorf("%s is drained: %s, holds %v, serves %v", n.ID, n.Status, holds, w.serves(n.ID))
		}
		w.drained[s.Drain.Node] = w.fate()
	case s.Retire != nil:
		for i := range w.m.Groups {
			if r := w.m.Groups[i].Replica(s.Retire.Node); r != nil {
				return fmt.Errorf("a node is removed that has %s", r.Server)
			}
		}
		w.m.Node(s.Retire.Node).Status = placement.Removed
	}
	return nil
}

func (w *world) admit(c *ChangeReplica) error {
	g := w.m.Group(c.Group)
	r := placement.Replica{Server: c.Server, Suffrage: placement.Nonvoter, State: placement.Created}
	for i := range g.Replicas {
		if o := &g.Replicas[i]; o.Server.Node() == c.Server.Node() {
			if w.heard[o.Server] {
				return fmt.Errorf("%s is let in while %s answers", c.Server, o.Server)
			}
			o.State, r.Replaces = placement.Lost, o.Server
		}
	}
	if c.Group != cluster.SystemGroup || w.system[c.Server.Node()] != c.Server {
		return fmt.Errorf("%+v is let in, which does not run", c)
	}
	g.Replicas = append(g.Replicas, r)
	return nil
}

func (w *world) create(c *CreateGroup) {
	g := placement.Group{ID: c.Group, Home: c.Class.Home, Sites: c.Class.SiteList()}
	w.raft[g.ID] = map[cluster.ServerID]bool{}
	for _, n := range c.Nodes {
		r := placement.Replica{Server: w.newServer(n), Suffrage: placement.Voter, State: placement.Created}
		g.Replicas = append(g.Replicas, r)
		w.raft[g.ID][r.Server] = true
	}
	w.m.Groups = append(w.m.Groups, g)
	w.leaders[g.ID] = c.Nodes[w.r.IntN(len(c.Nodes))]
}

func (w *world) add(a *AddReplica) error {
	g := w.m.Group(a.Group)
	n := w.m.Node(a.Node)
	old := g.Server(a.Replaces)
	switch {
	case a.Group == cluster.SystemGroup:
		return fmt.Errorf("the controller makes a replica of the system group")
	case a.Replaces != "" && old == nil:
		return fmt.Errorf("%+v takes the place of none", a)
	case a.Replaces != "" && w.quiet.made[a.Replaces] == a.Node:
		return fmt.Errorf("%+v goes back to where it was", a)
	case a.Cause == placement.CauseLost && (old.State != placement.Lost || old.Server.Node() != a.Node):
		return fmt.Errorf("%+v for %+v", a, old)
	case a.Cause != placement.CauseLost && (g.Replica(a.Node) != nil || n.Status != placement.Active || !w.up[a.Node] ||
		n.Roles&placement.RoleStore == 0 || w.unfit[a.Node] != "" || !allowed(w.policy.SitesOf(g), n.DC)):
		return fmt.Errorf("%s is given a replica of group %d: %+v", a.Node, g.ID, n)
	}
	if err := w.apart(g, a); err != nil {
		return err
	}
	if a.Cause == placement.CauseBalance || a.Cause == placement.CausePolicy {
		w.moved++
	}
	r := placement.Replica{Server: w.newServer(a.Node), Suffrage: placement.Nonvoter, State: placement.Assigned, Replaces: a.Replaces, Cause: a.Cause}
	g.Replicas = append(g.Replicas, r)
	w.quiet.made[r.Server], w.behind[r.Server], w.fresh[r.Server] = cmp.Or(a.Replaces.Node(), a.Node), true, true
	id := g.ID
	w.soon(func() {
		if r := w.m.Group(id).Server(r.Server); r != nil {
			r.State = max(r.State, placement.Created)
		}
	})
	return nil
}

// apart checks that a copy is put where it shares as little as can be, of the nodes that could be given it, with those that
// the group has: with none if that can be avoided.
func (w *world) apart(g *placement.Group, a *AddReplica) error {
	if a.Cause == placement.CauseLost {
		return nil // it is made again where it was
	}
	shared, home := map[string]int{}, w.policy.HomeOf(g)
	for i := range g.Replicas {
		r := &g.Replicas[i]
		if n := w.m.Node(r.Server.Node()); successor(g, r) == nil && r.Server != a.Replaces {
			shared[w.domain(n)]++
			if n.DC == home {
				home = "" // has one, and asks for no other
			}
		}
	}
	to := w.m.Node(a.Node)
	for i := range w.m.Nodes {
		n := &w.m.Nodes[i]
		could := n.Status == placement.Active && w.up[n.ID] && n.Roles&placement.RoleStore != 0 && w.unfit[n.ID] == "" &&
			allowed(w.policy.SitesOf(g), n.DC) && g.Replica(n.ID) == nil && (home == "" || n.DC == home || to.DC != home)
		if could && shared[w.domain(n)] < shared[w.domain(to)] {
			return fmt.Errorf("%s is given a copy of group %d, whose place has %d; %s's has %d", to.ID, g.ID, shared[w.domain(to)], n.ID, shared[w.domain(n)])
		}
	}
	return nil
}

func (w *world) join(c *ChangeReplica) {
	if !w.fate() {
		return
	}
	if _, there := w.raft[c.Group][c.Server]; !there {
		w.raft[c.Group][c.Server] = false
	}
	w.catchUp(c.Server)
}

// catchUp lets a replica have all that was agreed, and a while later have had it for long.
func (w *world) catchUp(s cluster.ServerID) {
	w.soon(func() {
		delete(w.behind, s)
		w.soon(func() { delete(w.fresh, s) })
	})
}

func (w *world) vote(c *ChangeReplica, votes bool, as placement.Suffrage) error {
	g := w.m.Group(c.Group)
	r := g.Server(c.Server)
	was, member := w.raft[c.Group][c.Server]
	if r == nil || !member || votes && !was && !w.lives(g, c.Server) {
		return fmt.Errorf("%+v is to vote: %v", c, votes)
	}
	if votes && !was && w.fresh[c.Server] && r.Replaces.Node() != r.Server.Node() {
		return fmt.Errorf("%+v is to vote at once", c)
	}
	if !votes && was && w.quiet.demoted[c.Server] {
		return fmt.Errorf("the vote of %s is taken again", c.Server)
	}
	if w.fate() {
		w.quiet.demoted[c.Server] = w.quiet.demoted[c.Server] || !votes && was
		w.raft[c.Group][c.Server] = votes
		if w.fate() {
			r.Suffrage = as
		}
	}
	return nil
}

func (w *world) remove(c *ChangeReplica) error {
	g := w.m.Group(c.Group)
	switch {
	case w.leaders[c.Group] == c.Server.Node() && w.raft[c.Group][c.Server] && w.lives(g, c.Server):
		return fmt.Errorf("group %d: its leader's replica %s is removed", c.Group, c.Server)
	case w.quiet.made[c.Server] != "" && !slices.ContainsFunc(g.Replicas, func(r placement.Replica) bool { return r.Replaces == c.Server }):
		return fmt.Errorf("group %d: %s was made and is removed again", c.Group, c.Server)
	}
	if w.fate() {
		delete(w.raft[c.Group], c.Server)
		if w.fate() {
			g.Replicas = slices.DeleteFunc(g.Replicas, func(r placement.Replica) bool { return r.Server == c.Server })
			if c.Group == cluster.SystemGroup && w.system[c.Server.Node()] == c.Server {
				delete(w.system, c.Server.Node())
			}
		}
	}
	return nil
}

// spreads are how the reasons end for which a leadership moves that could stay where it is.
var spreads = regexp.MustCompile(` leads more than n\d+$| is its home$`)

func (w *world) transfer(t *TransferLeader, why string) error {
	g := w.m.Group(t.Group)
	r := g.Replica(t.To)
	if w.leaders[t.Group] != t.From || r == nil || !w.raft[t.Group][r.Server] || !w.lives(g, r.Server) {
		return fmt.Errorf("cannot be handed over: %+v", t)
	}
	if w.fresh[r.Server] && spreads.MatchString(why) {
		return fmt.Errorf("handed to a node that has just come back: %+v", t)
	}
	if w.quiet.handed == t.Group && w.quiet.left == t.To {
		return fmt.Errorf("group %d goes back to %s", t.Group, t.To)
	}
	if w.fate() {
		w.handed++
		w.leaders[t.Group] = t.To
		w.quiet.handed, w.quiet.left = t.Group, t.From
	}
	return nil
}

// step carries out one step and checks that no group is worse for it.
func (w *world) step(s Step) error {
	w.steps++
	w.log = append(w.log, step{Step: s})
	if _, ok := s.Group(); s.Why == "" || !ok && s.Retire == nil && s.Drain == nil {
		return fmt.Errorf("a step without words: %+v", s)
	}
	if s.Transfer == nil { // who could lead changes with it
		w.quiet.left = ""
	}
	id, ok := s.Group()
	if !ok {
		return w.carryOut(s)
	}
	was, voters := true, 0
	if g := w.m.Group(id); g != nil {
		var live int
		live, voters = w.quorum(g)
		was = live*2 > voters
	}
	if err := w.carryOut(s); err != nil {
		return fmt.Errorf("%s: %w", s, err)
	}
	g := w.m.Group(id)
	live, all := w.quorum(g)
	if live*2 <= all && was {
		return fmt.Errorf("group %d has %d of %d voters after: %s", g.ID, live, all, s)
	}
	if most := max(w.policy.Replicas, 3) + 1; g.ID != cluster.SystemGroup && all > most && all > voters && was {
		return fmt.Errorf("group %d has %d voters after: %s", g.ID, all, s)
	}
	return nil
}

// settle carries out plans until there is none and nothing is waited for.
func (w *world) settle() error {
	bound := w.steps + 200 + 60*len(w.m.Groups)*w.policy.Replicas + 60*w.policy.Groups*len(w.policy.Classes())
	for w.steps < bound {
		if w.chance(4) && w.advance() {
			continue
		}
		plan := Plan(&w.m, w.observe(), w.policy)
		if len(plan) == 0 {
			if !w.advance() {
				return nil
			}
			continue
		}
		// Any step of a plan may be the one that is carried out: earlier ones may have failed.
		if err := w.step(plan[w.r.IntN(len(plan))]); err != nil {
			return err
		}
	}
	return fmt.Errorf("no end after %d steps", w.steps)
}

// work is settle for at most so many rounds.
func (w *world) work(rounds int) error {
	for range rounds {
		if w.chance(4) && w.advance() {
			continue
		}
		plan := Plan(&w.m, w.observe(), w.policy)
		if len(plan) == 0 {
			w.advance()
			continue
		}
		if err := w.step(plan[w.r.IntN(len(plan))]); err != nil {
			return err
		}
	}
	return nil
}

// elect moves leaderships to replicas that can have them, where those that had them cannot.
func (w *world) elect() {
	for i := range w.m.Groups {
		g := &w.m.Groups[i]
		led := slices.ContainsFunc(g.Replicas, func(r placement.Replica) bool {
			return r.Server.Node() == w.leaders[g.ID] && w.raft[g.ID][r.Server] && w.lives(g, r.Server)
		})
		live, all := w.quorum(g)
		if led && live*2 > all {
			continue
		}
		delete(w.leaders, g.ID)
		for _, r := range g.Replicas {
			if live*2 > all && w.raft[g.ID][r.Server] && w.lives(g, r.Server) {
				w.leaders[g.ID] = r.Server.Node()
			}
		}
	}
}
