package planner

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/internal/testkit"
	"github.com/flotilla-mail/flotilla/placement"
)

// happening is what goes on in a cluster besides plans. It reports whether it could be.
type happening struct {
	name string
	do   func(w *world) bool
}

var happenings = []happening{
	{"a node falls silent", (*world).silence}, {"a silent node is given up", (*world).giveUp}, {"a node comes back", (*world).comeBack},
	{"replicas are lost", (*world).lose}, {"a node joins", (*world).joinNode}, {"a node is drained or not any more", (*world).drain},
	{"a node is to be removed", (*world).removeNode}, {"the policy changes", (*world).changePolicy}, {"loads change", (*world).changeLoad},
	{"a disk is slow, or is not any more", (*world).slow},
}

// node is some node of the map that a condition holds for, nil when there is none.
func (w *world) node(cond func(n *placement.NodeState) bool) *placement.NodeState {
	var fit []*placement.NodeState
	for i := range w.m.Nodes {
		if cond(&w.m.Nodes[i]) {
			fit = append(fit, &w.m.Nodes[i])
		}
	}
	if len(fit) == 0 {
		return nil
	}
	return fit[w.r.IntN(len(fit))]
}

// keeps reports whether every group keeps its quorum; if not, what was done is undone.
func (w *world) keeps(undo func()) bool {
	for i := range w.m.Groups {
		if live, all := w.quorum(&w.m.Groups[i]); live*2 <= all {
			undo()
			return false
		}
	}
	w.elect()
	return true
}

func (w *world) silence() bool {
	n := w.node(func(n *placement.NodeState) bool { return w.up[n.ID] })
	if n == nil {
		return false
	}
	delete(w.up, n.ID)
	return w.keeps(func() { w.up[n.ID] = true })
}

func (w *world) giveUp() bool {
	n := w.node(func(n *placement.NodeState) bool { return !w.up[n.ID] })
	if n != nil {
		w.grace[n.ID] = true
	}
	return n != nil
}

func (w *world) comeBack() bool {
	n := w.node(func(n *placement.NodeState) bool { return !w.up[n.ID] })
	if n == nil {
		return false
	}
	w.up[n.ID] = true
	delete(w.grace, n.ID)
	delete(w.drained, n.ID)
	for i := range w.m.Groups {
		for _, r := range w.m.Groups[i].Replicas {
			if _, member := w.raft[w.m.Groups[i].ID][r.Server]; member && r.Server.Node() == n.ID && r.State == placement.Created {
				w.behind[r.Server], w.fresh[r.Server] = true, true
				w.catchUp(r.Server)
			}
		}
	}
	w.elect()
	return true
}

// lose damages a replica of some groups, never one without which there is no quorum.
func (w *world) lose() bool {
	lost := false
	for i := range w.m.Groups {
		g := &w.m.Groups[i]
		r := &g.Replicas[w.r.IntN(len(g.Replicas))]
		if node := r.Server.Node(); !w.chance(4) || !w.up[node] || r.State != placement.Created {
			continue
		}
		was, runs := r.State, w.system[r.Server.Node()]
		if g.ID == cluster.SystemGroup {
			old := r.Server
			w.system[old.Node()] = w.newServer(old.Node())
			w.behind[w.system[old.Node()]], w.fresh[w.system[old.Node()]] = true, true
			w.heard[old] = true
		} else {
			r.State = placement.Lost
		}
		if !w.keeps(func() { r.State, w.system[r.Server.Node()] = was, runs }) {
			delete(w.heard, r.Server)
			continue
		}
		server := r.Server
		w.soon(func() { delete(w.heard, server) })
		lost = true
	}
	return lost
}

func (w *world) joinNode() bool {
	if len(w.m.Nodes) > 10 {
		return false
	}
	like := w.m.Nodes[w.r.IntN(len(w.m.Nodes))]
	id := w.addNode(placement.NodeState{DC: like.DC, Zone: fmt.Sprint(w.r.IntN(len(w.m.Nodes) + 1)), Roles: like.Roles, Weight: like.Weight})
	w.system[id] = w.newServer(id)
	w.behind[w.system[id]], w.fresh[w.system[id]] = true, true
	return true
}

func (w *world) drain() bool {
	n := w.node(func(n *placement.NodeState) bool {
		return n.Status == placement.Active || n.Status == placement.Draining
	})
	if n == nil {
		return false
	}
	n.Status = placement.Active + placement.Draining - n.Status
	return true
}

func (w *world) removeNode() bool {
	n := w.node(func(n *placement.NodeState) bool { return n.Status == placement.Active })
	if n == nil || w.chance(2) {
		return false
	}
	n.Status = placement.Removing
	to := w.node(func(n *placement.NodeState) bool { return n.Status == placement.Active })
	if n.Successor = ""; to != nil && w.chance(2) {
		n.Successor = to.ID
	}
	if w.chance(6) { // the administrator changes his mind
		n.Status, n.Successor = placement.Active, ""
	}
	return true
}

func (w *world) changePolicy() bool {
	p := w.policy
	switch w.r.IntN(4) {
	case 0:
		p.Survive = placement.Survive(1 + w.r.IntN(3)) // #nosec G115 -- 1 to 3
	case 1:
		p.Home = w.m.Nodes[w.r.IntN(len(w.m.Nodes))].DC
		p.Sites = nil
	case 2:
		p.Replicas = 3 + 2*w.r.IntN(2)
	case 3:
		w.m.Nodes[w.r.IntN(len(w.m.Nodes))].Weight = uint32(50 * (1 + w.r.IntN(4))) // #nosec G115 -- 50 to 200
	}
	w.policy = p
	return true
}

func (w *world) changeLoad() bool {
	for i := range w.m.Groups {
		w.load[w.m.Groups[i].ID] = Load{Bytes: w.r.Uint64N(8 << 30), Ops: 300 * w.r.Float64()}
	}
	return true
}

func (w *world) slow() bool {
	n := w.m.Nodes[w.r.IntN(len(w.m.Nodes))].ID
	if w.unfit[n] != "" {
		delete(w.unfit, n)
	} else {
		w.unfit[n] = "its disk is slow"
	}
	return true
}

// live lets a cluster form, things happen to it while plans are carried out, and end; then it must be as it should be.
func (w *world) live() error {
	if err := w.settle(); err != nil {
		return err
	}
	for range 2 + w.r.IntN(6) {
		h := happenings[w.r.IntN(len(happenings))]
		if !h.do(w) {
			continue
		}
		w.log = append(w.log, step{happened: h.name})
		w.calm()
		if err := w.work(w.r.IntN(40)); err != nil {
			return err
		}
	}
	w.log = append(w.log, step{happened: "peace"})
	w.unfit = map[cluster.NodeID]string{}
	for i := range w.m.Nodes {
		n := &w.m.Nodes[i]
		if n.Status == placement.Draining {
			n.Status = placement.Active
		}
		if !w.up[n.ID] && w.chance(2) {
			w.grace[n.ID] = true
		}
	}
	for w.node(func(n *placement.NodeState) bool { return !w.up[n.ID] && !w.grace[n.ID] }) != nil {
		w.comeBack()
	}
	w.calm()
	before := w.steps
	if err := w.settle(); err != nil {
		return err
	}
	if plan := Plan(&w.m, w.observe(), w.policy); len(plan) > 0 {
		return fmt.Errorf("settled after %d steps, and there is more: %s", w.steps-before, plan[0])
	}
	return w.right()
}

// right checks that every group is as the policy wants it, as far as the nodes allow.
func (w *world) right() error {
	for i := range w.m.Groups {
		g := &w.m.Groups[i]
		check := w.rightGroup
		if g.ID == cluster.SystemGroup {
			check = w.rightSystem
		}
		if err := check(g); err != nil {
			return fmt.Errorf("group %d: %w; %v, raft %v", g.ID, err, g.Replicas, w.raft[g.ID])
		}
	}
	return nil
}

// usable are the nodes that can hold a group for good.
func (w *world) usable(g *placement.Group) []*placement.NodeState {
	var nodes []*placement.NodeState
	for i := range w.m.Nodes {
		if n := &w.m.Nodes[i]; n.Status == placement.Active && w.up[n.ID] && n.Roles&placement.RoleStore != 0 && allowed(w.policy.SitesOf(g), n.DC) {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

func (w *world) rightGroup(g *placement.Group) error {
	nodes := w.usable(g)
	stores := 0
	for i := range w.m.Nodes {
		if n := &w.m.Nodes[i]; n.Roles&placement.RoleStore != 0 && (n.Status == placement.Active || n.Status == placement.Draining) {
			stores++
		}
	}
	want := min(w.policy.Replicas, odd(stores))
	if w.leaders[g.ID] == "" || len(nodes) < want || want < 3 {
		return nil // no place for what it has lost
	}
	count := map[string]int{}
	for _, r := range g.Replicas {
		if r.State != placement.Created || !w.lives(g, r.Server) || r.Suffrage != placement.Voter || !w.raft[g.ID][r.Server] {
			return fmt.Errorf("%v is left", r)
		}
		count[w.domain(w.m.Node(r.Server.Node()))]++
	}
	if len(g.Replicas) < want || len(g.Replicas) > w.policy.Replicas || len(g.Replicas)%2 == 0 || len(w.raft[g.ID]) != len(g.Replicas) {
		return fmt.Errorf("%d replicas, want %d", len(g.Replicas), want)
	}
	if len(g.Replicas) > want {
		return nil // more than would be made now: none is taken away
	}
	// The copies are spread as evenly over what one loss takes as there are nodes for.
	room := map[string]int{}
	for _, n := range nodes {
		room[w.domain(n)]++
	}
	if got, best := squares(count), squares(fill(room, want)); got > best {
		return fmt.Errorf("spread %v, crowd %d; it could be %d in %v", count, got, best, room)
	}
	return nil
}

// domain is what one loss takes, by the policy.
func (w *world) domain(n *placement.NodeState) string {
	switch w.policy.Survive {
	case placement.SurviveNode:
		return string(n.ID)
	case placement.SurviveSite:
		return n.DC
	}
	return n.DC + "/" + n.Zone
}

// fill spreads so many copies over domains with room for some as evenly as can be.
func fill(room map[string]int, copies int) map[string]int {
	has := map[string]int{}
	for range copies {
		best := ""
		for d, r := range room {
			if has[d] < r && (best == "" || has[d] < has[best]) {
				best = d
			}
		}
		has[best]++
	}
	return has
}

func squares(count map[string]int) int {
	sum := 0
	for _, c := range count {
		sum += c * c
	}
	return sum
}

func (w *world) rightSystem(g *placement.Group) error {
	votes, nodes, away := 0, 0, 0
	for i := range w.m.Nodes {
		n := &w.m.Nodes[i]
		if n.Status != placement.Removed {
			nodes++
		}
		if !w.up[n.ID] {
			away++
		}
		if r := g.Replica(n.ID); w.up[n.ID] && n.Status == placement.Active && (r == nil || !w.lives(g, r.Server)) {
			return fmt.Errorf("%s has %v", n.ID, r)
		}
	}
	for _, r := range g.Replicas {
		if (r.Suffrage == placement.Voter) != w.raft[g.ID][r.Server] {
			return fmt.Errorf("the map has %v", r)
		}
		if r.Suffrage == placement.Voter {
			votes++
		}
	}
	if (votes == 1 || votes == 2) && nodes-away < 3 {
		return nil // the third is away: who has two keeps them, who had one waits for it
	}
	if votes%2 == 0 || votes > systemVoters || votes < min(3, odd(nodes)) {
		return fmt.Errorf("%d voters on %d nodes", votes, nodes)
	}
	return nil
}

// someCluster draws one: nodes over sites and zones, weights, a policy.
func someCluster(seed uint64) *world {
	w := newWorld(seed, 3, placement.DefaultPolicy())
	r := w.r
	w = newWorld(seed, 3+r.IntN(6), placement.Policy{Replicas: 3, Groups: 1 + r.IntN(12), Survive: placement.Survive(1 + r.IntN(3)), Grace: time.Minute}) // #nosec G115 -- 1 to 3
	r = w.r
	if len(w.m.Nodes) >= 5 && w.chance(3) {
		w.policy.Replicas = 5
	}
	sites, zones := 1+r.IntN(3), 1+r.IntN(4)
	for i := range w.m.Nodes {
		n := &w.m.Nodes[i]
		n.DC, n.Zone = string(rune('a'+r.IntN(sites))), fmt.Sprint(r.IntN(zones))
		if w.chance(6) {
			n.Weight = uint32(50 + 50*r.IntN(4)) // #nosec G115 -- 50 to 200
		}
		if i >= 3 && w.chance(8) {
			n.Roles = placement.RoleFrontend
		}
	}
	if w.chance(4) {
		w.policy.Home = w.m.Nodes[0].DC
	}
	if w.chance(4) {
		w.policy.MaxGroup, w.policy.MaxOps = 6<<30, 250
	}
	if w.chance(4) {
		w.policy.Rules = []placement.Rule{{Domain: "example.org", Home: w.m.Nodes[0].DC, Groups: 1 + r.IntN(2)}}
	}
	return w
}

// clustersAsked is how many random clusters are tried, and from which seed on: FLOTILLA_CLUSTERS and SEED.
func clustersAsked(t *testing.T) (n, seed uint64) {
	t.Helper()
	n, seed = 500, uint64(time.Now().UnixNano()) // #nosec G115 -- any number will do
	if testing.Short() {
		n = 300
	}
	for name, v := range map[string]*uint64{"FLOTILLA_CLUSTERS": &n, "SEED": &seed} {
		if text := os.Getenv(name); text != "" {
			var err error
			if *v, err = strconv.ParseUint(text, 10, 64); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
	}
	return n, seed
}

// record keeps the figures of a long run.
func record(t *testing.T, name string, results map[string]any) {
	t.Helper()
	if os.Getenv("FLOTILLA_RECORD") != "" {
		testkit.Record(t, name, results)
	}
}

// figures are what is counted in some clusters.
type figures struct {
	steps, longest, moved, handed, least int
	far                                  float64
}

func (f *figures) add(g figures) {
	f.steps, f.moved, f.handed, f.least = f.steps+g.steps, f.moved+g.moved, f.handed+g.handed, f.least+g.least
	f.longest, f.far = max(f.longest, g.longest), max(f.far, g.far)
}

// eachSeed tries so many seeds on all cores, and fails with the lowest of those that were found to be wrong.
func eachSeed(t *testing.T, n, seed uint64, try func(seed uint64) (figures, error)) (sum figures) {
	t.Helper()
	var mu sync.Mutex // guards what follows
	wrong, lowest := error(nil), n
	next := uint64(0)
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for {
				mu.Lock()
				i := next
				next++
				ends := i >= n || wrong != nil
				mu.Unlock()
				if ends {
					return
				}
				f, err := try(seed + i)
				mu.Lock()
				if sum.add(f); err != nil && i < lowest {
					wrong, lowest = fmt.Errorf("seed %d: %w", seed+i, err), i
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if wrong != nil {
		t.Fatal(wrong)
	}
	return sum
}

// TestClusters holds what plans promise for random clusters to which things happen: no step takes a quorum, copies end up
// spread as the policy wants it, plans end, and what a plan did the next does not undo.
func TestClusters(t *testing.T) {
	n, seed := clustersAsked(t)
	begin := time.Now()
	sum := eachSeed(t, n, seed, func(seed uint64) (figures, error) {
		w := someCluster(seed)
		if err := w.live(); err != nil {
			return figures{}, fmt.Errorf("%w\n%+v\n%v\n%s", err, w.policy, w.m.Nodes, w.story())
		}
		return figures{steps: w.steps, longest: w.steps, moved: w.moved, handed: w.handed}, nil
	})
	t.Logf("%d clusters from seed %d on: %+v", n, seed, sum)
	record(t, "planner", map[string]any{"clusters": n, "first seed": seed, "steps": sum.steps, "most steps of a cluster": sum.longest,
		"copies moved that could have stayed": sum.moved, "leaderships moved": sum.handed, "seconds taken": time.Since(begin).Seconds(), "violations": 0})
}

// TestANodeMoreTakesItsShare: replicas go to the new node, hardly more than it has to be given, until every node is within
// a tenth of its share, or as near as whole replicas allow.
func TestANodeMoreTakesItsShare(t *testing.T) {
	n, seed := clustersAsked(t)
	sum := eachSeed(t, n/20, seed, takesItsShare)
	t.Logf("%d replicas moved, %d had to be", sum.moved, sum.least)
	record(t, "planner-a-node-more", map[string]any{"clusters": n / 20, "first seed": seed, "copies moved": sum.moved,
		"copies that had to be": sum.least, "copies that a node is from its share at most": sum.far})
}

func takesItsShare(seed uint64) (f figures, err error) {
	w := newWorld(seed, 3, placement.DefaultPolicy())
	nodes := 3 + w.r.IntN(6)
	w = newWorld(seed, nodes, placement.Policy{Replicas: 3, Groups: 1 + w.r.IntN(24), Survive: placement.SurviveZone, Grace: time.Minute})
	if err := w.settle(); err != nil {
		return f, err
	}
	held, _ := w.shares()
	w.calm()
	id := w.addNode(placement.NodeState{DC: "a", Zone: "new", Weight: uint32(50 * (1 + w.r.IntN(4)))}) // #nosec G115 -- 50 to 200
	w.system[id] = w.newServer(id)
	_, share := w.shares()
	for node, s := range share {
		f.least += int(max(0, s-float64(held[node])))
	}
	w.moved = 0
	if err := w.settle(); err != nil {
		return f, fmt.Errorf("%w\n%s", err, w.story())
	}
	if f.moved = w.moved; f.moved > f.least+nodes {
		return f, fmt.Errorf("%d replicas were moved, %d had to be\n%s", f.moved, f.least, w.story())
	}
	held, share = w.shares()
	if share[id] > float64(w.policy.Groups) {
		return f, nil // it cannot hold more than one of each
	}
	for node, s := range share {
		off := math.Abs(float64(held[node]) - s)
		f.far = max(f.far, off)
		if off > max(band*s, 1.5+worth*s) {
			return f, fmt.Errorf("%s holds %d, its share is %.1f; %v", node, held[node], s, held)
		}
	}
	return f, nil
}

// shares is how many replicas each node holds, and how many it should by its weight.
func (w *world) shares() (held map[cluster.NodeID]int, share map[cluster.NodeID]float64) {
	held, share = map[cluster.NodeID]int{}, map[cluster.NodeID]float64{}
	total, weights := 0, 0.0
	for i := range w.m.Groups {
		if g := &w.m.Groups[i]; g.ID != cluster.SystemGroup {
			for _, r := range g.Replicas {
				held[r.Server.Node()]++
				total++
			}
		}
	}
	for i := range w.m.Nodes {
		weights += weight(&w.m.Nodes[i])
	}
	for i := range w.m.Nodes {
		n := &w.m.Nodes[i]
		share[n.ID] = float64(total) * weight(n) / weights
	}
	return held, share
}
