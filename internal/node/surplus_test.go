package node

import (
	"strings"
	"testing"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/placement"
)

// TestWhatMayBeDropped has a row for what decides whether a node destroys a replica that the map has elsewhere now.
func TestWhatMayBeDropped(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(all []Status)
		want   string // why not
	}{
		{"all three others are there", func([]Status) {}, ""},
		{"one of them is away", func(all []Status) { all[1].Err = "silent" }, ""},
		{"two of them are away", func(all []Status) { all[1].Err, all[2].Err = "silent", "silent" }, "without n4 only 1 of 3 voters"},
		{"nobody leads", func(all []Status) { all[0].Err = "silent" }, "no leader"},
		{"its leader counts it still", func(all []Status) {
			all[0].Groups[0].Members = append(all[0].Groups[0].Members, "n4.1")
		}, "counts the replica on n4 still"},
		{"a leader of an earlier term does not, the one of now does", func(all []Status) {
			all[1].Groups[0].Leader, all[1].Groups[0].Term = "n2.1", 9
			all[1].Groups[0].Members = []cluster.ServerID{"n1.1", "n2.1", "n4.1"}
		}, "counts the replica on n4 still"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := &placement.Group{ID: 4}
			members := []cluster.ServerID{"n1.1", "n2.1", "n3.1"}
			var all []Status
			for _, s := range members {
				g.Replicas = append(g.Replicas, placement.Replica{Server: s, Suffrage: placement.Voter, State: placement.Created})
				all = append(all, Status{Node: s.Node(), Groups: []GroupStatus{{Group: 4, Server: s, State: "follower", Term: 7, Leader: "n1.1",
					CaughtUp: true, Members: members}}})
			}
			all = append(all, Status{Node: "n4", Groups: []GroupStatus{{Group: 4, Server: "n4.1", State: "follower", Term: 7, Leader: "n1.1"}}})
			tt.change(all)
			err := mayDrop(g, "n4", all)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Fatalf("%v, want %q", err, tt.want)
			}
		})
	}
}
