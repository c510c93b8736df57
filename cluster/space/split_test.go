package space

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/internal/lsm"
)

// logWriter makes random logs of parts that get in each other's way: few spaces, contents, stages and sequences.
type logWriter struct {
	t    *rapid.T
	wall time.Time
	base [3]uint64
}

func (l *logWriter) pick(what string, n int) int { return rapid.IntRange(0, n-1).Draw(l.t, what) }

func (l *logWriter) hash() Hash { return raw(fmt.Sprint("body ", l.pick("hash", 3))).hash }

func (l *logWriter) head(kind partKind) partHeader {
	l.wall = l.wall.Add(time.Duration(l.pick("minutes", 40)-5) * time.Minute)
	n := l.pick("space", 2)
	h := partHeader{kind: kind, space: spaceN(n + 1), base: l.base[n], wall: l.wall.UnixNano()}
	if l.pick("right", 4) == 0 {
		h.base = uint64(l.pick("base", 4))
	} else if kind == partUpdate || kind == partCommit {
		l.base[n]++
	}
	return h
}

func (l *logWriter) effect() *effect {
	e := &effect{batch: []byte{codingRaw, 5, opSet, 1, byte('a' + l.pick("key", 3)), 1, byte(l.pick("value", 256))}}
	switch l.pick("content", 4) {
	case 0:
		e.contents = []inline{raw(fmt.Sprint("body ", l.pick("body", 3)))}
	case 1:
		e.needs = []Hash{l.hash()}
	case 2:
		e.unrefs = []Hash{l.hash()}
	}
	if l.pick("answers", 2) == 0 {
		e.answers = []answer{{requestIDN(l.pick("request", 9)), []byte("answer")}}
	}
	return e
}

func (l *logWriter) part() []byte {
	stage := stageID{byte(l.pick("stage", 2))}
	staged := appendEffect(nil, &effect{batch: []byte{codingRaw, 5, opSet, 1, 's', 1, 's'}})
	cut := len(staged) / 2
	switch l.pick("kind", 15) {
	case 0:
		return effectPart(partHeader{kind: partCreate, space: spaceN(l.pick("space", 2) + 1), wall: l.wall.UnixNano()}, l.effect())
	case 1, 2, 3, 4:
		return effectPart(l.head(partUpdate), l.effect())
	case 5, 6:
		n := l.pick("piece", 2)
		return appendPiece(appendPartHeader(nil, l.head(partPiece)), piece{stage, uint32(n), [][]byte{staged[:cut], staged[cut:]}[n]})
	case 7:
		return appendCommit(appendPartHeader(nil, l.head(partCommit)), commit{joinedUpdate, stage, 2, HashOf(staged)})
	case 8:
		c := raw(fmt.Sprint("body ", l.pick("body", 3)))
		if l.pick("bare", 2) == 0 {
			c.stored = nil
		}
		return appendContentPart(nil, l.head(partContent), c)
	case 9, 10:
		h := l.head(partCollect)
		if l.pick("dropped", 2) == 0 {
			h.space = cluster.SpaceID{}
		}
		return appendCollection(appendPartHeader(nil, h), collection{[]Hash{l.hash(), l.hash()}, []stageID{stage}})
	}
	if l.pick("move", 4) > 0 {
		return l.moving()
	}
	if l.pick("drop", 4) > 0 {
		return appendLevel(appendPartHeader(nil, l.head(partLevel)), GroupRecord{uint64(l.pick("level", 5)), 0})
	}
	return appendPartHeader(nil, l.head(partDrop))
}

// moving is a step of one of two moves of a space, or what it carries.
func (l *logWriter) moving() []byte {
	id := MoveID{byte(l.pick("move id", 2)) + 1}
	h := l.head(partMove)
	h.epoch = uint64(l.pick("epoch", 2))
	switch l.pick("of a move", 5) {
	case 0:
		h.kind = partCopy
		c := &copied{id: id, step: uint64(l.pick("step", 2)), last: l.pick("last", 2) == 0, cursor: []byte{areaData}, batch: l.effect().batch}
		c.refs, c.unrefs = []Hash{l.hash()}, []Hash{l.hash()}
		c.kept = []kept{{0, answer{requestIDN(1), []byte("ok")}}}
		return appendCopied(appendPartHeader(nil, h), c)
	case 1:
		h.kind = partReplay
		e := l.effect()
		e.contents = nil
		return appendReplayed(appendPartHeader(nil, h), &replayed{id, uint64(l.pick("whole", 2)), []happened{{h.wall, e}}})
	}
	v := verb(l.pick("verb", int(verbDiscard)) + 1)
	start := appendHeader(nil, &header{state: Active, sequence: uint64(l.pick("sequence", 3)), wall: h.wall})
	return appendMoveStep(appendPartHeader(nil, h), moveStep{v, id, uint64(l.pick("attempt", 3)), start, 3})
}

func memMachine(t *rapid.T) *Machine {
	o := lsm.StateOptions("state")
	o.FS = lsm.MemFS()
	db, err := lsm.Open(o)
	check(t, err)
	m, err := OpenMachine(db, MachineConfig{})
	check(t, err)
	t.Cleanup(func() {
		check(t, m.Close())
		check(t, db.Close())
	})
	return m
}

// TestAnySplitGivesTheSamePairs holds that outcomes and replicated pairs do not depend on how a log was cut into
// batches, whatever the parts of one batch do to each other (CLUSTER 8).
func TestAnySplitGivesTheSamePairs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := &logWriter{t: t, wall: time.Unix(1_700_000_000, 0)}
		var log []LogEntry
		for i := range rapid.IntRange(1, 40).Draw(t, "entries") {
			var parts [][]byte
			for range rapid.IntRange(1, 3).Draw(t, "parts") {
				parts = append(parts, l.part())
			}
			evaluated := uint64(1)
			if l.pick("late", 8) == 0 {
				evaluated = 0
			}
			log = append(log, LogEntry{Index: uint64(i + 1), Term: 1, Data: AppendEntry(nil, evaluated, parts)})
		}
		one, many := memMachine(t), memMachine(t)
		var single, split [][]Outcome
		for i := range log {
			out, err := one.Apply(log[i : i+1])
			check(t, err)
			single = append(single, out...)
		}
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 2))
		for rest := log; len(rest) > 0; {
			n := 1 + rng.IntN(len(rest))
			out, err := many.Apply(rest[:n])
			check(t, err)
			split, rest = append(split, out...), rest[n:]
		}
		if fmt.Sprint(single) != fmt.Sprint(split) {
			t.Fatalf("outcomes one by one %v, in batches %v", single, split)
		}
		_, a, err := one.Hash(context.Background())
		check(t, err)
		_, b, err := many.Hash(context.Background())
		check(t, err)
		if a != b {
			t.Fatal("replicas differ")
		}
	})
}
