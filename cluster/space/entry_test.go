package space

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

var rewrite = flag.Bool("rewrite", false, "write golden files anew")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *rewrite {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs: what reaches disk must not change\n got:\n%s\nwant:\n%s", path, got, want)
	}
}

// TestNumbersAreForEver holds every number of this package that reaches a disk.
func TestNumbersAreForEver(t *testing.T) {
	var b strings.Builder
	row := func(what string, n any) { fmt.Fprintf(&b, "%-28s %v\n", what, n) }
	for _, p := range []struct {
		name string
		n    byte
	}{
		{"data", prefixData}, {"header", prefixHeader}, {"request", prefixRequest}, {"content", prefixContent},
		{"ref", prefixRef}, {"held", prefixHeld}, {"upload", prefixUpload}, {"candidate", prefixCandidate},
		{"piece", prefixPiece}, {"group", prefixGroup}, {"body", prefixBody}, {"first local", localFrom},
		{"applied", prefixApplied}, {"local", prefixLocal},
		{"space outbox", reservedOutbox}, {"space mark", reservedMark}, {"space due", reservedDue},
		{"space reserved", ReservedPrefix}, {"journal", prefixJournal}, {"cursor", prefixCursor}, {"late upload", prefixLate}, {"space origin", reservedOrigin},
	} {
		row("prefix "+p.name, fmt.Sprintf("%#02x", p.n))
	}
	for _, p := range []struct {
		name string
		n    partKind
	}{
		{"update", partUpdate}, {"create", partCreate}, {"piece", partPiece}, {"commit", partCommit},
		{"content", partContent}, {"collect", partCollect}, {"level", partLevel}, {"hash", partHash}, {"drop", partDrop},
		{"move", partMove}, {"copy", partCopy}, {"replay", partReplay},
	} {
		row("part "+p.name, p.n)
	}
	row("entry format", entryFormat)
	row("entry version", entryVersion)
	row("header format", headerFormat)
	row("applied format", appliedFormat)
	row("group format", groupFormat)
	row("intent format", intentFormat)
	row("op set, delete, range", []byte{opSet, opDelete, opDeleteRange})
	row("coding raw, zstd", []byte{codingRaw, codingZstd})
	row("state active, frozen, dropped", []State{Active, Frozen, Dropped})
	row("state moved, arriving", []State{Moved, Arriving})
	row("phases of a move", []phase{phaseNone, phaseCopied, phaseFrozen, phaseCopying, phaseReplaying, phaseWhole, phaseLeft})
	row("steps of a move", []verb{verbBegin, verbFreeze, verbThaw, verbStay, verbLeave, verbArrive, verbActivate, verbDiscard})
	row("joined update, create, copy, replay", []joined{joinedUpdate, joinedCreate, joinedCopy, joinedReplay})
	row("areas of a copy", []byte{areaData, areaAnswers, areaHeld, areaEnd})
	row("journal start, effect", []byte{journalStart, journalEffect})
	row("answers kept", time.Duration(answersKept))
	row("most and least step", []time.Duration{time.Duration(maxStep), time.Duration(minStep)})
	row("upload kept", time.Duration(uploadKept))
	row("stage kept", time.Duration(stageKept))
	golden(t, "numbers.golden", b.String())
}

func sampleHash(b byte) (h Hash) {
	h[0], h[31] = b, b
	return h
}

func sampleEffect() *effect {
	return &effect{
		answers:  []answer{{requestIDN(1), []byte("ok")}},
		needs:    []Hash{sampleHash(1)},
		unrefs:   []Hash{sampleHash(2), sampleHash(3)},
		contents: []inline{{sampleHash(4), []byte{codingRaw, 2, 'h', 'i'}}},
		batch:    []byte{codingRaw, 6, opSet, 1, 'k', 2, 'v', 'w'},
		hints:    []byte("hint"),
	}
}

// samples has a part of every kind.
func samples() []struct {
	name string
	part []byte
} {
	head := func(k partKind) []byte {
		return appendPartHeader(nil, partHeader{kind: k, space: spaceN(7), epoch: 3, base: 300, wall: 1_700_000_000_000_000_000})
	}
	stage := stageID{9}
	return []struct {
		name string
		part []byte
	}{
		{"update", appendEffect(head(partUpdate), sampleEffect())},
		{"create", appendEffect(head(partCreate), &effect{batch: []byte{0, 0}})},
		{"piece", appendPiece(head(partPiece), piece{stage, 1, []byte("piece")})},
		{"commit", appendCommit(head(partCommit), commit{joinedCreate, stage, 2, sampleHash(5)})},
		{"content", appendContentPart(nil, partHeader{kind: partContent, wall: 5}, inline{sampleHash(6), []byte{0, 1, 'c'}})},
		{"collect", appendCollection(head(partCollect), collection{[]Hash{sampleHash(7)}, []stageID{stage}})},
		{"level", appendLevel(head(partLevel), GroupRecord{2, 1})},
		{"hash", head(partHash)},
		{"drop", head(partDrop)},
		{"move", appendMoveStep(head(partMove), moveStep{verbArrive, MoveID{8}, 2, appendHeader(nil, &header{Active, 1, 300, 5, 6, move{}}), 4})},
		{"copy", appendCopied(head(partCopy), sampleCopied())},
		{"replay", appendReplayed(head(partReplay), &replayed{MoveID{8}, 2, []happened{{7, sampleEffect()}}})},
	}
}

func sampleCopied() *copied {
	return &copied{MoveID{8}, 3, true, []byte{areaHeld, 9}, 300, []Hash{sampleHash(1)}, []Hash{sampleHash(2)},
		[]kept{{5, answer{requestIDN(1), []byte("ok")}}}, []byte{codingRaw, 6, opSet, 1, 'k', 2, 'v', 'w'}}
}

func TestFormsAreForEver(t *testing.T) {
	var b strings.Builder
	var parts [][]byte
	for _, s := range samples() {
		fmt.Fprintf(&b, "part %s\n%s\n", s.name, hex.Dump(s.part))
		parts = append(parts, s.part)
	}
	fmt.Fprintf(&b, "entry of two parts\n%s\n", hex.Dump(AppendEntry(nil, 5, parts[7:9])))
	fmt.Fprintf(&b, "header\n%s\n", hex.Dump(appendHeader(nil, &header{Active, 1, 300, 5, 6, move{}})))
	fmt.Fprintf(&b, "header of a move\n%s\n", hex.Dump(appendHeader(nil, &header{Arriving, 1, 300, 5, 6, move{MoveID{8}, phaseWhole, 2, 300}})))
	at := &Applied{Index: 300, Term: 2, Configuration: []byte("cfg"), ConfigurationIndex: 9}
	fmt.Fprintf(&b, "applied\n%s\n%s\n", hex.Dump(appendPosition(nil, at)), hex.Dump(appendMembership(nil, at)))
	fmt.Fprintf(&b, "group\n%s\n", hex.Dump(appendGroup(nil, GroupRecord{2, 1})))
	fmt.Fprintf(&b, "request key\n%s\n", hex.Dump(requestKey(spaceN(7), 300, requestIDN(1))))
	fmt.Fprintf(&b, "outbox\n%s\n%s\n", hex.Dump(outboxKey("queue", intentNumber(1, 2))),
		hex.Dump(appendIntent(nil, Intent{Target: "queue", Op: 300, Payload: []byte("work")})))
	fmt.Fprintf(&b, "due\n%s\n", hex.Dump(dueKey(Due{time.Unix(1, 0), 5, []byte("key")})))
	golden(t, "forms.golden", b.String())
}

func TestEffectRoundTrip(t *testing.T) {
	b := appendEffect(nil, sampleEffect())
	r := wire.NewReader(b)
	e := readEffect(r)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if again := appendEffect(nil, e); !bytes.Equal(again, b) {
		t.Fatalf("%x became %x", b, again)
	}
}

func TestEntrySize(t *testing.T) {
	for _, n := range []int{0, 1, 127, 128, 16383, 16384, MaxPart} {
		parts := [][]byte{make([]byte, n), make([]byte, 3)}
		if got, want := EntrySize(parts), len(AppendEntry(nil, 1, parts)); got != want {
			t.Errorf("part of %d: %d, entry is %d", n, got, want)
		}
	}
	if n := EntrySize([][]byte{make([]byte, MaxPart)}); n > MaxEntry {
		t.Errorf("the largest part makes an entry of %d", n)
	}
}

func TestUnknownEntryStopsTheGroup(t *testing.T) {
	known := AppendEntry(nil, 1, [][]byte{samples()[7].part})
	format, version := bytes.Clone(known), bytes.Clone(known)
	format[0], version[1] = 2, byte(entryVersion+1)
	kind := AppendEntry(nil, 1, [][]byte{append([]byte{200}, samples()[7].part[1:]...)})
	for name, data := range map[string][]byte{"format": format, "version": version, "kind": kind} {
		m, err := OpenMachine(openDB(t), MachineConfig{})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		_, err = m.Apply([]LogEntry{{Index: 1, Term: 1, Data: data}})
		if !errors.Is(err, ErrUnknownEntry) {
			t.Errorf("unknown %s: %v", name, err)
		}
		if m.Applied().Index != 0 {
			t.Errorf("unknown %s: skipped", name)
		}
		if _, err := m.Apply([]LogEntry{{Index: 2, Term: 1, Data: known}}); err == nil {
			t.Errorf("unknown %s: the machine went on", name)
		}
	}
}

func FuzzEntry(f *testing.F) {
	for _, s := range samples() {
		f.Add(AppendEntry(nil, 1, [][]byte{s.part}))
	}
	f.Add(AppendEntry(nil, 1, nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := OpenMachine(openDB(t), MachineConfig{})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		before := m.Applied()
		if _, err := m.Apply([]LogEntry{{Index: 1, Term: 1, Data: data}}); err != nil && m.Applied().Index != before.Index {
			t.Fatalf("an entry that failed moved the position: %v", err)
		}
	})
}

func FuzzPart(f *testing.F) {
	for _, s := range samples() {
		f.Add(s.part)
	}
	f.Fuzz(func(t *testing.T, part []byte) {
		r := wire.NewReader(part)
		h := readPartHeader(r)
		if h.kind != partUpdate && h.kind != partCreate {
			return
		}
		e := readEffect(r)
		if r.Close() != nil {
			return
		}
		again := appendEffect(appendPartHeader(nil, h), e)
		r = wire.NewReader(again)
		if readPartHeader(r) != h {
			t.Fatal("header changed")
		}
		if appendEffect(nil, readEffect(r)); r.Close() != nil {
			t.Fatalf("what was coded does not decode: %v", r.Err())
		}
		var c coders
		if ops, err := c.unseal(e.batch); err == nil {
			_ = replay(ops, nullSink{}) // must only not panic; errors are for the group
		}
	})
}

type nullSink struct{}

func (nullSink) set(_, _ []byte) error         { return nil }
func (nullSink) delete([]byte) error           { return nil }
func (nullSink) deleteRange(_, _ []byte) error { return nil }

func FuzzRecords(f *testing.F) {
	f.Add(appendHeader(nil, &header{Active, 1, 2, 3, 4, move{}}))
	f.Add(appendHeader(nil, &header{Arriving, 1, 2, 3, 4, move{MoveID{8}, phaseWhole, 2, 3}}))
	f.Add(appendIntent(nil, Intent{Target: "t", Op: 1, Payload: []byte("p")}))
	f.Add(dueKey(Due{time.Unix(1, 0), 5, []byte("key")}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, err := decodeHeader(b); err == nil && h.state == 0 {
			t.Fatal("header without state")
		}
		if d, err := parseDue(b); err == nil && len(b) > 0 && b[0] == reservedDue && !bytes.Equal(dueKey(d), b) {
			t.Fatalf("due %x became %x", b, dueKey(d))
		}
		if n, err := decodeIntent(b, b); err == nil && n.number == 0 && len(b) < 10 {
			t.Fatal("intent out of nothing")
		}
	})
}

func TestRequestOrder(t *testing.T) {
	id := cluster.SpaceID{}
	early, end, late := requestKey(id, 255, requestIDN(9)), generationKey(id, 256), requestKey(id, 256, requestIDN(0))
	if bytes.Compare(early, end) >= 0 || bytes.Compare(end, late) > 0 {
		t.Fatal("keys of answers do not sort by generation")
	}
}
