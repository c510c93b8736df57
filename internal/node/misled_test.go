package node

import (
	"strings"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
)

func TestAnAnswerIsLateASecondAfterTheChange(t *testing.T) {
	var o leaderAges
	at := time.Unix(1_800_000_000, 0)
	if o.late(7, "n2", at) {
		t.Error("nothing is known of the group")
	}
	o.changed(7, "n2", at)
	for _, c := range []struct {
		leader cluster.NodeID
		after  time.Duration
		late   bool
	}{{"n2", lateAnswer, false}, {"n2", lateAnswer + 1, true}, {"n3", time.Hour, false}} {
		if got := o.late(7, c.leader, at.Add(c.after)); got != c.late {
			t.Errorf("%s after %v: %v", c.leader, c.after, got)
		}
	}
	o.changed(7, "n2", at.Add(time.Hour)) // it led, nobody did, it leads again
	if o.late(7, "n2", at.Add(time.Hour+lateAnswer)) {
		t.Error("the time of an earlier tenure counts")
	}
}

func TestMisledCallersAreCounted(t *testing.T) {
	n := &Node{metrics: newMetrics()}
	n.misled(7, "n2")
	n.ages.changed(7, "n2", time.Now().Add(-time.Minute))
	n.misled(7, "n2")
	n.misled(7, "n2")
	got := shown(t, n.metrics)
	for _, line := range []string{`flotilla_wrong_owner_answers_total{late="no"} 1`, `flotilla_wrong_owner_answers_total{late="yes"} 2`} {
		if !strings.Contains(got, line+"\n") {
			t.Errorf("not shown: %s\n%s", line, got)
		}
	}
}
