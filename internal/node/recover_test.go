package node

import (
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/internal/mailflow/queue"
	"github.com/flotilla-mail/flotilla/placement/store"
)

func TestWhoseCopyIsOutlived(t *testing.T) {
	mine := func(epoch uint32, formed bool) *hello { return &hello{Server: "n1.1", Recovery: epoch, Formed: formed} }
	theirs := func(epoch uint32, members ...cluster.ServerID) *hello {
		return &hello{Server: "n3.5", Recovery: epoch, Formed: true, Members: members}
	}
	for name, tt := range map[string]struct {
		own, other *hello
		want       cluster.NodeID
	}{
		"both of one epoch":           {mine(1, true), theirs(1, "n3.5"), ""},
		"of before":                   {mine(0, true), theirs(1, "n3.5"), "n3"},
		"a learner of the new epoch":  {mine(0, true), theirs(1, "n3.5", "n1.1"), ""},
		"not let in yet":              {mine(0, false), theirs(1, "n3.5"), ""},
		"the other is of before":      {mine(2, true), theirs(1, "n3.5"), ""},
		"nothing is known of oneself": {nil, theirs(1, "n3.5"), ""},
	} {
		all := map[cluster.NodeID]*hello{"n3": tt.other, "n2": {}}
		if tt.own != nil {
			all["n1"] = tt.own
		}
		if got := outlivedBy("n1", all); got != tt.want {
			t.Errorf("%s: by %q", name, got)
		}
	}
	n := &Node{cfg: Config{Dir: "/var/x"}}
	if err := n.oldError("n3"); !strings.Contains(err.Error(), "mv /var/x/groups /var/x/raft /var/x/before/") || n.oldError("") != nil {
		t.Error(err)
	}
}

// TestOutlivedForEver: what a node has heard of a recovery it knows at each later start, without the others, as long as it has
// the copy that the recovery went on without.
func TestOutlivedForEver(t *testing.T) {
	n := &Node{self: "n1", cfg: Config{Dir: t.TempDir()}}
	if err := os.MkdirAll(n.cfg.path("groups"), 0o700); err != nil {
		t.Fatal(err)
	}
	if by, err := n.storedOutlived("n1.1"); by != "" || err != nil {
		t.Fatalf("before: %q, %v", by, err)
	}
	if err := n.noteOutlived("n3", "n1.1"); cluster.KindOf(err) != cluster.KindDamaged || !strings.Contains(err.Error(), "recovered on n3") {
		t.Fatalf("given up: %v", err)
	}
	for self, want := range map[cluster.ServerID]cluster.NodeID{"n1.1": "n3", "n1.2": ""} {
		if by, err := n.storedOutlived(self); by != want || err != nil {
			t.Errorf("%s: by %q, %v", self, by, err)
		}
	}
	for _, garbage := range []string{"", "n1.1", "n1.1 \x00"} {
		if err := os.WriteFile(n.cfg.path("groups", outlivedFile), []byte(garbage), 0o600); err != nil {
			t.Fatal(err)
		}
		if by, err := n.storedOutlived("n1.1"); by != "" || cluster.KindOf(err) != cluster.KindDamaged {
			t.Errorf("%q: by %q, %v", garbage, by, err)
		}
	}
}

func TestWhatIsAMailbox(t *testing.T) {
	for _, id := range []cluster.SpaceID{store.Space, queue.SpaceOf(3), scratchSpace(3)} {
		if isMailbox(id) {
			t.Errorf("%s is taken for a mailbox", id)
		}
	}
	if !isMailbox(cluster.SpaceID{1, 2, 3}) {
		t.Error("a mailbox is not")
	}
}

// TestOfflineOfAnEmptyNode: what there is none of is said, and the stores are left as they were.
func TestOfflineOfAnEmptyNode(t *testing.T) {
	cfg := Defaults()
	cfg.Node, cfg.Dir, cfg.Nodes = "n1", t.TempDir(), []string{"n1=127.0.0.1:7400"}
	for _, dir := range []string{"groups", "raft"} {
		if err := os.MkdirAll(cfg.path(dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		o, err := OpenOffline(cfg, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		if ids, err := o.Groups(); err != nil || len(ids) != 0 {
			t.Error(ids, err)
		}
		if _, err := o.Survey(4); err == nil {
			t.Error("a group of which there is nothing was looked at")
		}
		if err := o.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
