package node

import (
	"testing"

	"github.com/flotilla-mail/flotilla/cluster"
)

// TestDeadlySteps: a node dies or freezes at the step that it is told, at the time of it that it is told, and once.
func TestDeadlySteps(t *testing.T) {
	died, froze := 0, 0
	d := deadlyStep{die: func() { died++ }, freeze: func() error { froze++; return nil }}
	steps := func(step string, times int) (failed int) {
		for range times {
			if d.at(step) != nil {
				failed++
			}
		}
		return failed
	}
	for text, freezes := range map[string]bool{"": false, "/2": true, "due-2/x": false, "TakeIn/0": false} {
		if err := d.set(text, freezes); cluster.KindOf(err) != cluster.KindBadRequest {
			t.Errorf("%q: %v", text, err)
		}
	}
	if steps("TakeIn", 3) != 0 || d.due(2) != nil {
		t.Error("a node that is not doomed dies")
	}
	if err := d.set("TakeIn/3", false); err != nil || steps("TakeIn", 2) != 0 || steps("performed", 5) != 0 || died != 0 {
		t.Errorf("it dies before its time: %v", err)
	}
	if steps("TakeIn", 3) != 1 || died != 1 {
		t.Errorf("it dies %d times", died)
	}
	if err := d.set("due-2", true); err != nil || d.due(1) != nil || froze != 0 || d.due(2) != nil || d.due(2) != nil || froze != 1 {
		t.Errorf("it freezes %d times: %v", froze, err)
	}
	if err := d.set("due-2", false); err != nil {
		t.Fatal(err)
	}
	if d.clear(); d.due(2) != nil {
		t.Error("it is doomed still")
	}
}
