package gossip

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/flotilla-mail/flotilla/cluster"
)

func genHint() *rapid.Generator[hint] {
	return rapid.Custom(func(t *rapid.T) hint {
		return hint{
			Group:  cluster.GroupID(rapid.Uint32Range(0, 5).Draw(t, "group")),
			Term:   rapid.Uint64Range(1, 4).Draw(t, "term"),
			Leader: cluster.NodeID(rapid.SampledFrom([]string{"n1", "n2", "n3"}).Draw(t, "leader")),
			Lost:   rapid.Bool().Draw(t, "lost"),
		}
	})
}

// TestMergeDoesNotDependOnOrder: whatever way hints come, all nodes end with the same.
func TestMergeDoesNotDependOnOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		hints := rapid.SliceOf(genHint()).Draw(t, "hints")
		a, b := newKnowledge("x", "", 4, 4), newKnowledge("y", "", 4, 4)
		a.learn(hints)
		b.learn(rapid.Permutation(hints).Draw(t, "other order"))
		b.learn(hints)
		if !bytes.Equal(a.state(), b.state()) {
			t.Fatalf("%v and %v", a.hints, b.hints)
		}
	})
}

func TestHintsSurviveCoding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		hints := rapid.SliceOf(genHint()).Draw(t, "hints")
		got, _, err := decodeMessage(encodeMessage(hints, nil))
		if err != nil || !slices.Equal(got, hints) {
			t.Fatalf("%v, %v", got, err)
		}
	})
}

func TestEarlierRunsLeadershipIsEnded(t *testing.T) {
	k := newKnowledge("n1", "", 4, 4)
	k.member(Node{ID: "n1", Alive: true})
	k.learn([]hint{{Group: 1, Term: 5, Leader: "n1"}})
	if h, _ := k.hint(1); !h.Lost || k.boxes[lan].hints[1] == 0 {
		t.Errorf("%+v, %d sendings", h, k.boxes[lan].hints[1])
	}
	k.announce(1, 6, "n1")
	if news := k.learn([]hint{{Group: 1, Term: 6, Leader: "n1"}}); news != nil {
		t.Errorf("own hint came back as news: %v", news)
	}
	k.announce(1, 7, "n2")
	if h, _ := k.hint(1); h.Leader != "n2" || h.Term != 7 {
		t.Errorf("%+v", h)
	}
}

func TestBroadcastsFitAndEnd(t *testing.T) {
	k := newKnowledge("n1", "", 4, 4)
	k.member(Node{ID: "n1", Alive: true})
	for g := range cluster.GroupID(400) {
		k.announce(g, math.MaxUint64, "n1")
	}
	seen := map[cluster.GroupID]int{}
	for b := k.broadcast(lan, 1300); b != nil; b = k.broadcast(lan, 1300) {
		hints, _, err := decodeMessage(b)
		if err != nil || len(b) > 1300 || len(hints) > maxHintsInPacket {
			t.Fatalf("%d bytes, %d hints, %v", len(b), len(hints), err)
		}
		for _, h := range hints {
			seen[h.Group]++
		}
	}
	for g := range cluster.GroupID(400) {
		if seen[g] != 4 {
			t.Errorf("group %v sent %d times", g, seen[g])
		}
	}
	if b := k.broadcast(lan, 3); b != nil {
		t.Errorf("%d bytes", len(b))
	}
}

func TestWhatIsKeptIsBounded(t *testing.T) {
	k := newKnowledge("n1", "", 4, 4)
	for g := range cluster.GroupID(maxGroups + 10) {
		k.announce(g, 1, "n2")
	}
	if len(k.hints) != maxGroups || len(k.state()) > maxState {
		t.Errorf("%d hints, %d bytes", len(k.hints), len(k.state()))
	}
	if _, _, err := decodeMessage(make([]byte, maxState+1)); err == nil {
		t.Error("a state beyond the limit was read")
	}
}

func TestLoadsOfMembersByNumber(t *testing.T) {
	k := newKnowledge("n1", "", 4, 4)
	k.member(Node{ID: "n2", Alive: true})
	load := func(node string, seq uint64) []record { return []record{{Node: node, Seq: seq}} }
	for i, c := range []struct {
		in   []record
		want int
	}{{load("n2", 5), 1}, {load("n2", 5), 0}, {load("n2", 4), 0}, {load("n3", 9), 0}} {
		if got, _ := k.learnRecords(c.in, time.Unix(1, 0)); len(got) != c.want {
			t.Errorf("row %d: %v", i, got)
		}
	}
	k.member(Node{ID: "n1", Alive: true})
	k.setLoad(Load{Groups: 1}, time.Unix(0, 10))
	k.learnRecords(load("n1", 1000), time.Unix(0, 20))
	if own := k.records["n1"]; own.Seq != 1001 || own.Load.Groups != 1 {
		t.Errorf("%+v", own)
	}
}

func TestMetaKeepsUnknown(t *testing.T) {
	b, err := encodeMeta(Meta{NodeAddress: "a:1", DC: "d", State: StateLeaving})
	if err != nil {
		t.Fatal(err)
	}
	later := append(bytes.Clone(b), 0xF8, 0x01, 5) // tag 31, a number
	m, err := decodeMeta(later)
	if err != nil {
		t.Fatal(err)
	}
	again, err := encodeMeta(m)
	if err != nil || !bytes.Equal(again, later) {
		t.Errorf("% x, want % x (%v)", again, later, err)
	}
	if _, err := decodeMeta([]byte{2}); !errors.Is(err, errForm) {
		t.Errorf("unknown form: %v", err)
	}
}

// TestFormsAreForEver holds the bytes that nodes of all releases read.
func TestFormsAreForEver(t *testing.T) {
	meta, err := encodeMeta(Meta{NodeAddress: "a:1", External: "e", DC: "d", Zone: "z", Version: "1.2", MinLevel: 3, MaxLevel: 4,
		State: StateDraining})
	if err != nil {
		t.Fatal(err)
	}
	message := encodeMessage([]hint{{1, 2, "n1", false}, {9, 3, "n2", true}}, []record{{Node: "n1", Seq: 5, Load: Load{Groups: 6,
		Leaders: 7, Mailboxes: 8, DiskFree: 9, DiskTotal: 10, CPU: 0.5, Entries: 0.25, Bytes: 2, SlowDisk: true}}})
	pinned, err := encodeMeta(Meta{DC: "d", Gateway: GatewayNever})
	if err != nil {
		t.Fatal(err)
	}
	wide := encodeMessage(nil, []record{{Node: "n1", Seq: 5, Meta: Meta{DC: "d"}, Addr: "1.2.3.4:5", Gone: goneLeft, Gateway: true,
		Hears: []string{"e", "f"}}})
	for name, c := range map[string]struct {
		got  []byte
		want string
	}{
		"pinned": {pinned, "011a01644802"},
		"wide":   {wide, "0112200a026e31100522031a01642a09312e322e332e343a3530023801420165420166"},
		"meta":   {meta, "010a03613a311201651a016422017a2a03312e32300338044002"},
		"message": {message, "010a140a026e310a026e32120201091a02020322020003122f0a026e3110051a27080610071808200928" +
			"0a31000000000000e03f39000000000000d03f4100000000000000404801"},
	} {
		if got := hex.EncodeToString(c.got); got != c.want {
			t.Errorf("%s is %s, was %s", name, got, c.want)
		}
	}
	for s, want := range map[State]string{StateStarting: "starting", StateServing: "ready", StateLeaving: "leaving", 9: "unknown"} {
		if s.String() != want {
			t.Errorf("state %d is %q", s, s)
		}
	}
}

func FuzzMessage(f *testing.F) {
	f.Add([]byte{})
	full := far("b1", 7)
	full.Gone, full.Gateway, full.Hears = goneLeft, true, []string{"a", ""}
	f.Add(encodeMessage([]hint{{3, 2, "b1", false}}, []record{full, {Node: "n1", Seq: 1 << 40, Gone: goneSilent}}))
	f.Add(encodeMessage([]hint{{1, 2, "n1", false}, {2, 9, "n2", true}}, []record{{Node: "n1", Seq: 3, Load: Load{Groups: 4, CPU: 0.5}}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		hints, loads, err := decodeMessage(b)
		if err != nil {
			return
		}
		again, more, err := decodeMessage(encodeMessage(hints, loads))
		if err != nil || !slices.Equal(again, hints) || len(more) != len(loads) {
			t.Fatalf("%v, %v, %v", again, more, err)
		}
		k := knows("n1")
		k.learn(hints)
		k.learnRecords(loads, noon)
		k.review(nil, noon)
		for s := range scopes {
			if b := k.broadcast(s, 1096); len(b) > 1096 {
				t.Fatalf("a packet of %d bytes", len(b))
			}
		}
		for _, n := range k.list() {
			if !n.ID.Valid() {
				t.Fatalf("%+v", n)
			}
		}
		if _, _, err := decodeMessage(k.state()); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzMeta(f *testing.F) {
	f.Add([]byte{form1})
	b, err := encodeMeta(Meta{NodeAddress: "10.0.0.1:7400", External: "mail.example", DC: "a", Zone: "z", MaxLevel: 3})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decodeMeta(b)
		if err != nil {
			return
		}
		out, err := encodeMeta(m)
		if err != nil {
			return // longer in our coding than in theirs
		}
		if again, err := decodeMeta(out); err != nil || !reflect.DeepEqual(again, m) {
			t.Fatalf("%+v, %v", again, err)
		}
	})
}
