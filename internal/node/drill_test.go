package node

import (
	"os"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
)

func TestDrillsAreRemembered(t *testing.T) {
	n := &Node{cfg: Config{Dir: t.TempDir()}}
	if all, err := n.drills(); err != nil || len(all) != 0 {
		t.Fatalf("%v, %v", all, err)
	}
	at := time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC)
	for i := range maxDrills + 3 {
		if i > 3 && i < maxDrills {
			continue // enough of the file is written to see its end move
		}
		r := &DrillReport{At: at.Add(time.Duration(i) * time.Hour), Kind: drillKill, Node: "b", By: "a", Group: 3, Within: true,
			Gaps: []DrillGap{{Protocol: "imap", Longest: time.Second, Operations: 9, Failures: []string{"x"}}}}
		if err := n.keepDrill(r); err != nil {
			t.Fatal(err)
		}
	}
	all, err := n.drills()
	if err != nil || len(all) != 7 || !all[0].At.Equal(at) || all[6].Gaps[0].Failures[0] != "x" || all[6].Node != "b" {
		t.Fatalf("%+v, %v", all, err)
	}
	if err := os.WriteFile(n.drillsPath(), []byte("{\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := n.drills(); err == nil {
		t.Error("an unreadable history")
	}
}

func TestOnlyWhatIsADrillIsSuffered(t *testing.T) {
	n := &Node{}
	for _, kind := range []string{"", drillDrain, "format"} {
		if err := n.suffer(kind); cluster.KindOf(err) != cluster.KindBadRequest {
			t.Errorf("%q: %v", kind, err)
		}
	}
	if _, err := (backend{n}).Drill(t.Context(), "format", 1); cluster.KindOf(err) != cluster.KindBadRequest {
		t.Errorf("an unknown drill: %v", err)
	}
}
