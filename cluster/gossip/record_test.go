package gossip

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/flotilla-mail/flotilla/cluster"
)

var noon = time.Unix(1_700_000_000, 0)

// far is a record of a node of another data centre.
func far(node string, seq uint64) record {
	return record{Node: node, Seq: seq, Addr: "10.0.0.1:7946", Meta: Meta{DC: dcOf(cluster.NodeID(node)), State: StateServing}}
}

// knows is a node of the data centre a that knows of another, b.
func knows(self cluster.NodeID) *knowledge {
	k := newKnowledge(self, "a", 4, 4)
	k.member(Node{ID: self, Alive: true, Meta: Meta{DC: "a"}})
	k.setMeta(Meta{DC: "a"}, nil, noon)
	k.change(noon, func(own *record) { own.Addr = "10.0.0.9:7946" })
	k.openBox(wan, true)
	k.review([]Peer{{ID: "b1", DC: "b"}}, noon)
	return k
}

func genRecord() *rapid.Generator[record] {
	return rapid.Custom(func(t *rapid.T) record {
		r := far(rapid.SampledFrom([]string{"b1", "b2", "c1"}).Draw(t, "node"), rapid.Uint64Range(1, 4).Draw(t, "seq"))
		r.Meta.Version = fmt.Sprint(r.Seq) // a number stands for one content
		r.Gone = gone(rapid.Uint8Range(0, 2).Draw(t, "gone"))
		return r
	})
}

// TestRecordsDoNotDependOnOrder: nodes that hear the same in any order, and more than once, end with the same; a number
// never falls, and a mark goes only by a higher one.
func TestRecordsDoNotDependOnOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		records := rapid.SliceOf(genRecord()).Draw(t, "records")
		a, b := knows("a1"), knows("a1")
		for _, r := range records {
			before := a.records[cluster.NodeID(r.Node)].record
			a.learnRecords([]record{r}, noon)
			if after := a.records[cluster.NodeID(r.Node)].record; before.newer(&after) || r.newer(&after) {
				t.Fatalf("%+v, then %+v: %+v is kept", before, r, after)
			}
		}
		b.learnRecords(rapid.Permutation(records).Draw(t, "other order"), noon)
		b.learnRecords(records, noon)
		if !bytes.Equal(a.state(), b.state()) {
			t.Fatalf("%v and %v", a.records, b.records)
		}
		if news, faces := b.learnRecords(records, noon); news != nil || faces != nil {
			t.Fatalf("news again: %v", news)
		}
	})
}

// TestOnlyNewsIsToldAgain: in both pools, so often and no more; a load waits for push/pull.
func TestOnlyNewsIsToldAgain(t *testing.T) {
	k := knows("a1")
	drain := func(s scope) map[string]int {
		told := map[string]int{}
		for b := k.broadcast(s, 1096); b != nil; b = k.broadcast(s, 1096) {
			hints, records, err := decodeMessage(b)
			if err != nil || len(b) > 1096 {
				t.Fatalf("%d bytes, %v", len(b), err)
			}
			for _, h := range hints {
				told[h.Group.String()]++
			}
			for _, r := range records {
				told[r.Node]++
			}
		}
		return told
	}
	if got := drain(wan); len(got) != 1 || got["a1"] != 4 {
		t.Errorf("of itself it tells %v", got)
	}
	drain(lan)
	big := far("b1", 5)
	big.Meta.External = strings.Repeat("x", 600)
	k.learn([]hint{{Group: 3, Term: 2, Leader: "b1"}})
	k.learnRecords([]record{big, far("b2", 5)}, noon)
	for s := range scopes {
		if got := drain(s); len(got) != 3 || got["3"] != 4 || got["b1"] != 4 || got["b2"] != 4 {
			t.Errorf("pool %d is told %v", s, got)
		}
	}
	busier := far("b2", 6)
	busier.Load.Groups = 7
	k.learn([]hint{{Group: 3, Term: 2, Leader: "b1"}, {Group: 3, Term: 1, Leader: "b2"}})
	if news, faces := k.learnRecords([]record{big, busier, far("b2", 5)}, noon); len(news) != 1 || faces != nil {
		t.Errorf("news %v, faces %v", news, faces)
	}
	if got := drain(wan); len(got) != 0 {
		t.Errorf("told again: %v", got)
	}
	k.openBox(wan, false)
	k.learn([]hint{{Group: 3, Term: 3, Leader: "b1"}})
	if got := drain(wan); len(got) != 0 {
		t.Errorf("told by a node that is no gateway: %v", got)
	}
}

// TestMarksOfTheDead: the pool of a node's data centre marks its newest record; the node's own next one undoes that.
func TestMarksOfTheDead(t *testing.T) {
	k := knows("a1")
	member := func(state State, alive bool) {
		k.member(Node{ID: "a2", Alive: alive, Meta: Meta{DC: "a", State: state}, Since: noon})
	}
	own := far("a2", 8)
	member(StateServing, true)
	k.learnRecords([]record{own}, noon)
	member(StateServing, false)
	if r := k.records["a2"]; r.Gone != goneSilent || k.boxes[wan].records["a2"] == 0 {
		t.Errorf("%+v", r)
	}
	k.learnRecords([]record{own}, noon)
	if r := k.records["a2"]; r.Gone != goneSilent {
		t.Error("an old record undid the mark")
	}
	member(StateLeaving, false)
	if r := k.records["a2"]; r.Gone != goneLeft {
		t.Error("that it left is not kept")
	}
	own.Seq++
	k.learnRecords([]record{own}, noon)
	if r := k.records["a2"]; r.Gone != goneNot {
		t.Error("a newer record leaves the mark")
	}
	before := k.own.Seq
	k.learnRecords([]record{{Node: "a1", Seq: before, Gone: goneSilent}}, noon)
	if k.own.Seq <= before || k.boxes[lan].records["a1"] == 0 {
		t.Error("this node lets itself be called silent")
	}
	k.change(noon, func(r *record) { r.Gone = goneLeft })
	before = k.own.Seq
	if k.learnRecords([]record{{Node: "a1", Seq: before + 5, Gone: goneLeft}}, noon); k.own.Seq != before {
		t.Error("a node that leaves says it is there")
	}
	k.review(nil, noon.Add(24*time.Hour))
	for _, r := range k.allRecordsLocked() {
		if r.Gone != goneNot {
			t.Errorf("who is gone is told where nobody asks: %+v", r)
		}
	}
}

func TestAnotherDataCentresNodes(t *testing.T) {
	k := knows("a1")
	b1 := far("b1", 1)
	b1.Gateway, b1.Load.Groups = true, 4
	k.learnRecords([]record{b1}, noon)
	if n, lost := k.get("b1"); n.Alive || n.Gateway || lost {
		t.Errorf("out of hearing: %+v", n)
	}
	k.setGateway(true, []string{"b"}, noon)
	if s := k.review(nil, noon.Add(time.Second)); len(s) != 1 || !s[0].Heard || s[0].DC != "b" || !slices.Equal(s[0].Gateways, []cluster.NodeID{"b1"}) {
		t.Errorf("%+v", s)
	}
	if n, _ := k.get("b1"); !n.Alive || !n.Gateway || n.Load.Groups != 4 || !n.Since.Equal(noon.Add(time.Second)) {
		t.Errorf("within hearing: %+v", n)
	}
	if got := k.gateways("b"); len(got) != 1 || got[0] != b1.Addr {
		t.Errorf("gateways %v", got)
	}
	if s := k.review(nil, noon.Add(freshFor-1)); s != nil || !k.wideNow() {
		t.Errorf("%+v", s)
	}
	stray := far("a7", 3)
	k.learnRecords([]record{stray}, noon)
	if got := k.lastResort("a", noon); len(got) != 1 || got[0] != stray.Addr || strings.Contains(fmt.Sprint(k.list()), "a7") {
		t.Errorf("of the own data centre, but no member: %v, %v", got, k.list())
	}
	if k.review(nil, noon.Add(freshFor)); k.wideNow() || len(k.otherSites()) != 0 || k.records["a1"].Addr != "" {
		t.Errorf("long after the last word: %v, %+v", k.otherSites(), k.records["a1"])
	}
	if got := k.lastResort("b", noon.Add(freshFor)); got != nil {
		t.Errorf("a stale address is tried: %v", got)
	}
}

// TestWhoIsAGateway: the lowest names of the live, unless an administrator wants it otherwise.
func TestWhoIsAGateway(t *testing.T) {
	auto, always, never := GatewayAuto, GatewayAlways, GatewayNever
	for name, c := range map[string]struct {
		roles []GatewayRole // of a1, a2, …; a4 is dead
		want  string
	}{
		"by name":         {[]GatewayRole{auto, auto, auto, auto}, "a1 a2"},
		"not the dead":    {[]GatewayRole{never, never, auto, auto, auto}, "a3 a5"},
		"one pinned":      {[]GatewayRole{auto, auto, always}, "a1 a3"},
		"all pinned":      {[]GatewayRole{always, always, always}, "a1 a2 a3"},
		"pinned but dead": {[]GatewayRole{auto, auto, auto, always}, "a1 a2"},
		"none wanted":     {[]GatewayRole{never, never}, ""},
		"one alone":       {[]GatewayRole{auto}, "a1"},
	} {
		k := newKnowledge("a1", "a", 4, 4)
		for i, role := range c.roles {
			k.member(Node{ID: cluster.NodeID(fmt.Sprintf("a%d", i+1)), Alive: i != 3, Meta: Meta{DC: "a", Gateway: role}})
		}
		var got []string
		for _, n := range k.chosen(2) {
			got = append(got, string(n.ID))
		}
		slices.Sort(got)
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%s: %q, want %q", name, s, c.want)
		}
	}
}

// TestSeedsTurn: of a large data centre all nodes are tried in turn, its likely gateways first.
func TestSeedsTurn(t *testing.T) {
	var s steering
	var peers []Peer
	for i := range 20 {
		peers = append(peers, Peer{ID: cluster.NodeID(fmt.Sprintf("b%02d", i)), DC: "b", Addr: fmt.Sprintf("10.0.0.%d:1", i)})
	}
	peers = append(peers, Peer{ID: "b99", DC: "b"}, Peer{ID: "c1", DC: "c", Addr: "10.0.1.1:1"})
	seen := map[string]bool{}
	for ; s.turn < 3; s.turn++ {
		got := s.some(peers, "b")
		if len(got) != seedsOfSite || s.turn == 0 && got[0] != "10.0.0.0:1" {
			t.Errorf("turn %d: %v", s.turn, got)
		}
		for _, addr := range got {
			seen[addr] = true
		}
	}
	if len(seen) != 20 {
		t.Errorf("%d were tried", len(seen))
	}
	if got := s.some(peers, "d"); got != nil {
		t.Errorf("of an unknown data centre: %v", got)
	}
}

func TestRecordsAreBounded(t *testing.T) {
	k := knows("a1")
	big := func(i int) record {
		r := far(fmt.Sprintf("b%d", i), math.MaxUint64>>1)
		r.Meta.External = strings.Repeat("x", maxRecord-80)
		return r
	}
	for i := range maxNodes + 10 {
		k.learnRecords([]record{big(i)}, noon.Add(time.Duration(i)*time.Second))
	}
	for g := range cluster.GroupID(maxGroups) {
		k.announce(g, math.MaxUint64>>1, "n2")
	}
	if len(k.records) > maxNodes+1 || len(k.boxes[wan].records) > maxNodes+1 || len(k.state()) > maxState {
		t.Errorf("%d records, %d to tell, %d bytes", len(k.records), len(k.boxes[wan].records), len(k.state()))
	}
	if _, there := k.records["b0"]; there || k.records["a1"].Addr == "" {
		t.Error("another one than the oldest was forgotten")
	}
	if _, _, err := decodeMessage(k.state()); err != nil {
		t.Error(err)
	}
	for name, r := range map[string]record{
		"too large": {Node: "b1", Seq: math.MaxUint64, Addr: "10.0.0.1:1", Meta: Meta{External: strings.Repeat("x", maxRecord)}},
		"no name":   {Node: "B 1", Seq: 1, Addr: "10.0.0.1:1"},
		"address":   {Node: "d1", Seq: 1, Addr: "localhost:1"},
		"mark":      {Node: "d1", Seq: 1, Addr: "10.0.0.1:1", Gone: 9},
		"stranger":  {Node: "d1", Seq: 1},
	} {
		if news, _ := k.learnRecords([]record{r}, noon); news != nil {
			t.Errorf("%s: kept", name)
		}
	}
	sites := make([]Peer, maxSites+10)
	for i := range sites {
		sites[i].DC = fmt.Sprint(i)
	}
	if k.review(sites, noon); len(k.otherSites()) > maxSites {
		t.Errorf("%d data centres", len(k.otherSites()))
	}
	hears := make([]string, 30)
	for i := range hears {
		hears[i] = fmt.Sprintf("data-centre-with-a-long-name-%02d-to-be-sure-that-not-all-fit", i)
	}
	k.setGateway(true, hears, noon)
	told := k.records["a1"]
	if !told.wellFormed() || len(told.Hears) < 5 || len(told.Hears) >= 30 {
		t.Errorf("%d data centres are named in %d bytes", len(told.Hears), len(told.face()))
	}
	before := k.own.Seq
	if k.setGateway(true, hears, noon); k.own.Seq != before {
		t.Error("the same is told again")
	}
}

// TestNodesAreToldWithTheirDataCentre: their records are the first that is heard of it, and no word that they are gone.
func TestNodesAreToldWithTheirDataCentre(t *testing.T) {
	k := knows("a1")
	var told []string
	tell := newTeller(Events{
		NodeUp:   func(n Node) { told = append(told, "up "+string(n.ID)) },
		NodeDown: func(n Node) { told = append(told, "down "+string(n.ID)) },
		Site:     func(s Site) { told = append(told, fmt.Sprintf("%s %v", s.DC, s.Heard)) },
	}, k)
	expect := func(want ...string) {
		t.Helper()
		tell.tell()
		if !slices.Equal(told, want) {
			t.Errorf("told %q, want %q", told, want)
		}
		told = nil
	}
	hear := func(r record) {
		news, faces := k.learnRecords([]record{r}, noon)
		tell.records(news, faces, "a")
	}
	hears := func(dcs ...string) {
		k.setGateway(true, dcs, noon)
		for _, s := range k.review(nil, noon) {
			tell.site(s)
		}
	}
	hear(far("b1", 1))
	expect()
	hears("b")
	expect("b true", "up b1")
	busier := far("b1", 2)
	busier.Load.Groups = 3
	hear(busier)
	expect()
	hears()
	expect("b false")
	dead := busier
	dead.Gone = goneSilent
	hear(dead)
	expect("down b1")
	hear(far("b2", 1))
	hears("b")
	expect("b true", "up b2")
}
