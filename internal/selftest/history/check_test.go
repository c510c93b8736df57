package history

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// script is a history in a few words, one operation after another: times are given only where operations overlap.
type script struct {
	records []Record
	now     int64
}

func (s *script) put(r Record) *script {
	if r.Return == 0 {
		s.now += 10
		r.Call, r.Return = s.now, s.now+5
	}
	if r.Outcome == "" {
		r.Outcome = OK
	}
	r.Box, r.Client = "b", "c"
	s.records = append(s.records, r)
	return s
}

func (s *script) add(mail string, uid uint32, modseq uint64) *script {
	return s.put(Record{Op: Add, Mail: mail, UID: uid, ModSeq: modseq})
}

func (s *script) flag(uid uint32, modseq uint64, set string) *script {
	return s.put(Record{Op: Flag, UID: uid, ModSeq: modseq, Set: []string{set}})
}

func (s *script) clear(uid uint32, modseq uint64, flag string) *script {
	return s.put(Record{Op: Flag, UID: uid, ModSeq: modseq, Clear: []string{flag}})
}

func (s *script) expunge(uid uint32, modseq uint64) *script {
	return s.put(Record{Op: Expunge, UID: uid, ModSeq: modseq})
}

// unknown makes the last operation one of unknown outcome.
func (s *script) unknown() *script {
	r := &s.records[len(s.records)-1]
	r.Outcome, r.UID, r.ModSeq = Unknown, map[bool]uint32{true: 0, false: r.UID}[r.Op == Add], 0
	return s
}

func (s *script) failed() *script {
	s.records[len(s.records)-1].Outcome = Fail
	return s
}

// rows reads "1:a:\Seen@7 2:b@3": UID, mail, flags, MODSEQ.
func rows(text string) []Row {
	var all []Row
	for _, word := range strings.Fields(text) {
		var r Row
		word, modseq, found := strings.Cut(word, "@")
		if found {
			fmt.Sscan(modseq, &r.ModSeq)
		}
		parts := strings.Split(word, ":")
		fmt.Sscan(parts[0], &r.UID)
		r.Mail = parts[1]
		if len(parts) > 2 {
			r.Flags = strings.Split(parts[2], ",")
		}
		all = append(all, r)
	}
	return all
}

func state(next uint32, highest uint64, text string) *State {
	return &State{UIDNext: next, ModSeq: highest, UIDValidity: 1, Rows: rows(text)}
}

func (s *script) read(next uint32, highest uint64, text string) *script {
	return s.put(Record{Op: Read, State: state(next, highest, text)})
}

func (s *script) final(next uint32, highest uint64, text string) *script {
	return s.put(Record{Op: Final, Node: "n1", Point: 1, State: state(next, highest, text)})
}

func (s *script) view(text string) *script {
	return s.put(Record{Op: View, Point: 1, State: &State{Rows: rows(text)}})
}

const limit = time.Minute

func TestVerdicts(t *testing.T) {
	for _, c := range []struct {
		what string
		s    *script
		want Rule // empty: nothing is wrong
	}{
		{"nothing", new(script), ""},
		{"a life", new(script).add("a", 1, 1).flag(1, 2, "x").read(2, 2, "1:a:x@2").clear(1, 3, "x").expunge(1, 4).final(2, 4, ""), ""},
		{"a mail without a UID told", new(script).add("a", 0, 0).add("b", 0, 0).final(3, 9, "1:b@4 2:a@9"), RuleOrder},
		{"the same at the same time", new(script).put(Record{Op: Add, Mail: "a", Call: 1, Return: 9}).put(Record{Op: Add, Mail: "b", Call: 1, Return: 9}).final(3, 9, "1:b@4 2:a@9"), ""},
		{"lost", new(script).add("a", 1, 1).final(2, 1, ""), RuleOnce},
		{"lost without a UID", new(script).add("a", 0, 0).final(1, 0, ""), RuleOnce},
		{"twice", new(script).add("a", 0, 0).final(3, 2, "1:a@1 2:a@2"), RuleOnce},
		{"refused and there", new(script).add("a", 0, 0).failed().final(2, 1, "1:a@1"), RuleOnce},
		{"from nobody", new(script).final(2, 1, "1:a@1"), RuleOnce},
		{"maybe, and not", new(script).add("a", 0, 0).unknown().final(1, 0, ""), ""},
		{"maybe, and so", new(script).add("a", 0, 0).unknown().read(1, 0, "").final(2, 1, "1:a@1"), ""},
		{"maybe, and here and gone", new(script).add("a", 0, 0).unknown().read(2, 1, "1:a@1").final(2, 1, ""), RuleOrder},
		{"a UID used again", new(script).add("a", 1, 1).expunge(1, 2).read(2, 2, "").add("b", 1, 3).final(2, 3, "1:b@3"), RuleUID},
		{"a UID used again unseen", new(script).add("a", 1, 1).expunge(1, 2).add("b", 1, 3), RuleUID},
		{"a UID below one that was shown", new(script).read(5, 0, "").add("a", 3, 1), RuleUID},
		{"a message from the past", new(script).add("a", 0, 1).read(2, 1, "").read(2, 1, "1:a@1"), RuleUID},
		{"UIDNEXT falls", new(script).read(5, 0, "").read(4, 0, ""), RuleUID},
		{"another UIDVALIDITY", new(script).read(1, 0, "").put(Record{Op: Read, State: &State{UIDValidity: 2, UIDNext: 1}}), RuleUID},
		{"HIGHESTMODSEQ falls", new(script).read(1, 7, "").read(1, 6, ""), RuleChange},
		{"a change number that was given out before", new(script).add("a", 1, 5).flag(1, 5, "x"), RuleChange},
		{"a change without a number", new(script).add("a", 1, 5).flag(1, 0, "x").read(2, 5, "1:a@5").read(2, 5, "1:a:x@5"), RuleChange},
		{"a row above the highest", new(script).add("a", 1, 0).read(2, 5, "1:a@6"), RuleChange},
		{"a flag that is lost", new(script).add("a", 1, 1).flag(1, 2, "x").add("b", 2, 3).read(3, 3, "1:a@1 2:b@3"), RuleOrder},
		{"a stale read", new(script).add("a", 1, 1).flag(1, 2, "x").read(2, 2, "1:a:x@2").clear(1, 0, "x").read(2, 2, "1:a:x@2"), RuleOrder},
		{"a flag that may come late", new(script).add("a", 1, 1).flag(1, 0, "x").unknown().read(2, 1, "1:a@1").read(2, 2, "1:a:x@2"), ""},
		{"a flag that may not come at all", new(script).add("a", 1, 1).flag(1, 0, "x").unknown().final(2, 1, "1:a@1"), ""},
		{"a flag that comes and goes", new(script).add("a", 1, 1).flag(1, 0, "x").unknown().read(2, 2, "1:a:x@2").final(2, 3, "1:a@3"), RuleOrder},
		{"an end that may come", new(script).add("a", 1, 1).expunge(1, 0).unknown().read(2, 1, "1:a@1").final(2, 2, ""), ""},
		{"told", new(script).add("a", 1, 1).final(2, 1, "1:a@1").view("1:a"), ""},
		{"not told", new(script).add("a", 1, 1).final(2, 1, "1:a@1").view(""), RuleTold},
		{"told less", new(script).add("a", 1, 1).flag(1, 2, "x").final(2, 2, "1:a:x@2").view("1:a"), RuleTold},
		{"nodes that show different things", new(script).add("a", 1, 1).final(2, 1, "1:a@1").final(2, 2, "1:a@1"), RuleReplicas},
		{"replicas that differ", new(script).put(Record{Op: Replica, Group: 1, Index: 5, Hash: "x"}).put(Record{Op: Replica, Group: 1, Index: 5, Hash: "y"}), RuleReplicas},
		{"replicas at two places", new(script).put(Record{Op: Replica, Group: 1, Index: 5, Hash: "x"}).put(Record{Op: Replica, Group: 1, Index: 6, Hash: "y"}), ""},
	} {
		v := Check(c.s.records, limit)
		switch {
		case c.want == "" && !v.OK():
			t.Errorf("%s: %s", c.what, v.Violations[0].String())
		case c.want != "" && (len(v.Violations) != 1 || v.Violations[0].Rule != c.want):
			t.Errorf("%s: %+v, want one of %q", c.what, v.Violations, c.want)
		}
	}
}

// TestExplanationIsShort: of many operations the verdict shows those that cannot be.
func TestExplanationIsShort(t *testing.T) {
	s := new(script)
	var there string
	for i := range uint32(30) {
		s.add(fmt.Sprint("m", i), i+1, uint64(2*i+1))
		there += fmt.Sprintf(" %d:m%d@%d", i+1, i, 2*i+1)
		s.read(i+2, uint64(2*i+1), there)
	}
	s.flag(7, 100, "x").flag(9, 101, "x")
	s.read(31, 101, strings.Replace(there, "9:m8@17", "9:m8:x@101", 1))
	v := Check(s.records, limit)
	if len(v.Violations) != 1 || v.Violations[0].Rule != RuleOrder {
		t.Fatalf("%+v", v.Violations)
	}
	if shown := v.Violations[0].Records; len(shown) > 3 || !strings.Contains(v.Violations[0].Text, "UID 7") {
		t.Errorf("%s", v.Violations[0].String())
	}
}

// TestLooseReads: rows of different moments may go together in no order, and each must still go with its message.
func TestLooseReads(t *testing.T) {
	start := func() *script { return new(script).add("a", 1, 1).add("b", 2, 2).flag(1, 3, "x").flag(2, 4, "x") }
	mixed := Record{Op: Read, Loose: true, Call: 25, Return: 45, State: state(3, 4, "1:a@1 2:b:x@4")}
	if v := Check(start().put(mixed).records, limit); !v.OK() {
		t.Errorf("%s", v.Violations[0].String())
	}
	stale := mixed
	stale.Call, stale.Return = 60, 70
	if v := Check(start().put(stale).records, limit); len(v.Violations) != 1 || v.Violations[0].Rule != RuleOrder {
		t.Errorf("%+v", v.Violations)
	}
}

// TestManyClients has what many clients do at the same time to a mailbox that keeps its promises, some of them without an
// answer: the verdict is that it does. Then one flag that a client was told of is taken out of what was read.
func TestManyClients(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	records := busy(rng, 2000)
	if v := Check(records, limit); !v.OK() {
		t.Fatalf("%+v undecided, %s", v.Undecided, v.Violations[0].String())
	}
	var b bytes.Buffer
	if err := Write(&b, records); err != nil {
		t.Fatal(err)
	}
	b.WriteString(`{"client":"c","op":"re`) // as a killed process leaves it
	again, err := ReadAll(&b)
	if err != nil || len(again) != len(records) {
		t.Fatalf("%d of %d records, %v", len(again), len(records), err)
	}
	again[len(again)-1].State.Rows[0].Flags = []string{"lost"}
	if v := Check(again, limit); v.OK() {
		t.Error("a flag that nobody set was not found")
	}
}

// TestPartsJudgeAsTheWhole compares the verdict on the parts of a history with that on all of it at once, of histories that are in
// order and of such in which a flag is lost or comes from nowhere.
func TestPartsJudgeAsTheWhole(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	cut, bad := 0, 0
	for i := range uint64(300) {
		records := busy(rand.New(rand.NewPCG(seed, i)), 120)
		rng := rand.New(rand.NewPCG(seed, i+1000))
		if r := &records[rng.IntN(len(records))]; r.Op == Read && i%2 == 1 && len(r.State.Rows) > 0 {
			row := &r.State.Rows[rng.IntN(len(r.State.Rows))]
			if len(row.Flags) > 0 {
				row.Flags = row.Flags[1:]
			} else {
				row.Flags = []string{"f1"}
			}
		}
		b := &box{}
		for j := range records {
			b.add(&records[j])
		}
		all := b.operations((&Verdict{}).identities(b))
		whole := part{all: all}.decide(limit)
		result := porcupine.Ok
		for _, p := range parts(all) {
			if result == porcupine.Ok {
				result = p.decide(limit)
			}
			cut++
		}
		if result != whole {
			t.Errorf("history %d: %s in parts, %s as a whole", i, result, whole)
		}
		if whole == porcupine.Illegal {
			bad++
		}
	}
	if cut < 600 || bad < 20 {
		t.Errorf("%d parts, %d histories without an order: nothing was compared", cut, bad)
	}
}

// busy makes such a history: each operation takes effect at a moment between its call and its return.
func busy(rng *rand.Rand, n int) []Record {
	m, bits := mailbox{}, flagBits{}
	names := map[uint64]string{}
	var all []Record
	var at int64
	for i := range n {
		if at += 10; rng.IntN(8) == 0 {
			at += 80 // nothing else is under way
		}
		r := Record{Client: "c", Box: "b", Outcome: OK, Call: at - rng.Int64N(40), Return: at + rng.Int64N(40) + 1}
		o := &operation{modseq: m.highest + 1}
		switch kind := rng.IntN(4); {
		case kind == 0 || len(m.rows) == 0:
			r.Op, r.Mail, r.UID = Add, fmt.Sprint("m", i), max(m.next, 1)
			o.op, o.uid, o.mail = Add, r.UID, r.Mail
		case kind == 1:
			r.Op, r.UID, r.Set = Flag, m.rows[rng.IntN(len(m.rows))].uid, []string{fmt.Sprint("f", i%40)}
			o.op, o.uid, o.set = Flag, r.UID, bits.mask(r.Set)
			names[o.set] = r.Set[0]
			if i, _ := m.find(r.UID); m.rows[i].flags&o.set != 0 {
				continue
			}
		case kind == 2 && len(m.rows) > 15:
			r.Op, r.UID = Expunge, m.rows[0].uid
			o.op, o.uid = Expunge, r.UID
		default:
			r.Op, r.State = Read, &State{UIDValidity: 1, UIDNext: max(m.next, 1), ModSeq: m.highest}
			for _, row := range m.rows {
				r.State.Rows = append(r.State.Rows, Row{row.uid, row.mail, flagNames(row.flags, names), row.modseq})
			}
			all = append(all, r)
			continue
		}
		_, next := model(m).Step(m, o, nil)
		m = next.(mailbox)
		if r.ModSeq = o.modseq; rng.IntN(20) == 0 {
			r.Outcome, r.ModSeq = Unknown, 0
			if r.Op == Add {
				r.UID = 0
			}
		}
		all = append(all, r)
	}
	final := Record{Client: "c", Box: "b", Op: Final, Point: 1, Outcome: OK, Call: at + 50, Return: at + 51,
		State: &State{UIDValidity: 1, UIDNext: m.next, ModSeq: m.highest}}
	for _, row := range m.rows {
		final.State.Rows = append(final.State.Rows, Row{row.uid, row.mail, flagNames(row.flags, names), row.modseq})
	}
	return append(all, final)
}

func flagNames(mask uint64, names map[uint64]string) []string {
	var all []string
	for bit, name := range names {
		if mask&bit != 0 {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return all
}
