package node

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/gossip"
	"github.com/flotilla-mail/flotilla/placement"
)

// healthy is what three nodes in order say, at a time.
func healthy(now time.Time) map[cluster.NodeID]*seenHealth {
	found := make(map[cluster.NodeID]*seenHealth)
	for i, id := range []cluster.NodeID{"a", "b", "c"} {
		found[id] = &seenHealth{health: health{Node: id, DiskFree: 50, DiskTotal: 100,
			Certificates: []certificateEnd{{"node", now.Add(300 * 24 * time.Hour).Unix()}},
			Groups:       []groupTime{{Group: cluster.GroupID(i), Took: time.Duration(i) * time.Millisecond}}}}
	}
	return found
}

// led gives each of the groups of threeNodes a leader: the first two nodes.
func led(all []Status) []Status {
	for i := range all {
		for j := range all[i].Groups {
			g := &all[i].Groups[j]
			g.Commit, g.Applied = 1000, 1000
			g.Leader = all[j].Groups[j].Server
			if i == j {
				g.Leader = g.Server
			}
		}
	}
	return all
}

func TestCheck(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	type world struct {
		m     *placement.Map
		all   []Status
		found map[cluster.NodeID]*seenHealth
	}
	for name, c := range map[string]struct {
		without           cluster.NodeID
		change            func(w *world)
		problem, warnings string // in one of them; empty: there is none
	}{
		"all well":          {"c", func(*world) {}, "", ""},
		"as it is":          {"", func(*world) {}, "", ""},
		"two away":          {"c", func(w *world) { w.all[1] = Status{Node: "b", Err: "silent"} }, "group 0 has 1 of 3 voters without c", "b does not answer"},
		"one away as it is": {"", func(w *world) { w.all[2] = Status{Node: "c", Err: "silent"}; delete(w.found, "c") }, "", "c does not answer"},
		"the one that goes": {"c", func(w *world) { w.all[2] = Status{Node: "c", Err: "silent"}; delete(w.found, "c") }, "", ""},
		"two away as it is": {"", func(w *world) {
			w.all[0], w.all[1] = Status{Node: "a", Err: "silent"}, Status{Node: "b", Err: "silent"}
		},
			"group 0 has 1 of 3 voters, which is no majority", "b does not answer"},
		"none serves": {"", func(w *world) { w.all[0].Ready, w.all[1].Ready, w.all[2].Ready = false, false, false },
			"no node is ready for clients", ""},
		"a replica lags":        {"c", func(w *world) { w.all[1].Groups[0].Applied = 100 }, "group 0 has 1 of 3 voters", "group 0 on b is 900 entries behind"},
		"that which goes lags":  {"c", func(w *world) { w.all[2].Groups[0].Applied = 100 }, "", "group 0 on c is 900 entries behind"},
		"fenced":                {"c", func(w *world) { w.all[2].Trouble = []string{"replica of group 1 is fenced"} }, "", "c: replica of group 1 is fenced"},
		"no leader":             {"c", func(w *world) { w.all[1].Groups[1].Leader = "" }, "group 1 has no leader", ""},
		"disk":                  {"c", func(w *world) { w.found["a"].DiskFree, w.all[0].Disk.Room = 7, RoomLow }, "a has 7% of its disk free", ""},
		"disk gets full":        {"c", func(w *world) { w.found["a"].DiskFree = 15 }, "", "a has 15% of its disk free"},
		"disk of that":          {"c", func(w *world) { w.found["c"].DiskFree = 7 }, "", "c has 7% of its disk free"},
		"clock":                 {"c", func(w *world) { w.found["b"].ahead = -time.Hour }, "the clock of b is off by -1h0m0s", ""},
		"clock of who is asked": {"c", func(w *world) { w.found["b"].ahead, w.found["c"].ahead = -time.Hour, -time.Hour }, "the clock of a is off by 1h0m0s", ""},
		"clock of one of two":   {"c", func(w *world) { w.found["b"].ahead = time.Hour; delete(w.found, "c") }, "the clock of b is off by 1h0m0s", ""},
		"clock a bit":           {"c", func(w *world) { w.found["b"].ahead = 2 * time.Second }, "", "the clock of b is off by 2s"},
		"certificate": {"c", func(w *world) { w.found["b"].Certificates[0].End = now.Add(time.Hour).Unix() }, "",
			"the node certificate of b ends on 2027-01-15"},
		"certificate of [tls] ended": {"c", func(w *world) { w.found["b"].Certificates[0] = certificateEnd{"client", now.Unix()} },
			"the client certificate of b has ended: replace the files that [tls] names there", ""},
		"certificate ended": {"c", func(w *world) { w.found["b"].Certificates[0].End = now.Unix() }, "the node certificate of b has ended", ""},
		"slow":              {"c", func(w *world) { w.found["b"].Groups[0].Took = 3 * time.Second }, "", "group 1 is slow: its majority took 3s"},
		"no majority answers": {"c", func(w *world) { w.found["b"].Groups[0].Err = "deadline" },
			"group 1: its majority does not answer: deadline", ""},
	} {
		t.Run(name, func(t *testing.T) {
			m, all := threeNodes()
			w := &world{m, led(all), healthy(now)}
			c.change(w)
			r := assess(c.without, w.m, w.all, w.found, now)
			has := func(all []string, text string) bool {
				return text == "" && len(all) == 0 || text != "" && slices.ContainsFunc(all, func(s string) bool { return strings.Contains(s, text) })
			}
			if !has(r.Problems, c.problem) || !has(r.Warnings, c.warnings) || r.Safe != (c.problem == "") {
				t.Fatalf("%+v", r)
			}
			if r.Slowest == nil || len(r.Nodes) != 3 {
				t.Fatalf("%+v", r)
			}
		})
	}
}

func TestRank(t *testing.T) {
	node := func(id cluster.NodeID, state gossip.State, leads uint32, slow bool) gossip.Node {
		return gossip.Node{ID: id, Alive: true, Meta: gossip.Meta{State: state}, Load: gossip.Load{Leaders: leads, SlowDisk: slow}}
	}
	back := node("e", gossip.StateServing, 0, false) // a moment ago
	back.Since = time.Now()
	order := rank([]gossip.Node{back, node("a", gossip.StateDraining, 0, false), node("b", gossip.StateServing, 1, false),
		node("c", gossip.StateServing, 3, false), node("d", gossip.StateServing, 0, true)}, func(*gossip.Node) bool { return false }, time.Now())
	var first []cluster.NodeID
	for g := range cluster.GroupID(5) {
		var voters []cluster.ServerID
		for _, id := range []cluster.NodeID{"a", "b", "c", "d", "e"} {
			voters = append(voters, cluster.NewServerID(id, 1))
		}
		got := order(g, voters)
		first = append(first, got[0].Node())
		if rest := []cluster.NodeID{got[2].Node(), got[3].Node(), got[4].Node()}; !slices.Equal(rest, []cluster.NodeID{"e", "a", "d"}) {
			t.Errorf("group %d: %v", g, got)
		}
	}
	if want := []cluster.NodeID{"b", "b", "b", "c", "b"}; !slices.Equal(first, want) {
		t.Fatalf("%v, want %v", first, want)
	}
}
