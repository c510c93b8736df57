package space

import (
	"errors"
	"fmt"
	"maps"
	"time"

	"pgregory.net/rapid"
)

// modelSpace is what a space must hold.
type modelSpace struct {
	pairs  map[string]string
	held   map[Hash]bool
	due    map[string]Due          // by key of the due index
	outbox map[string][]sentIntent // by target, in order
}

// sentIntent may still be in the outbox when it is done, and must be while it is not.
type sentIntent struct {
	payload string
	done    bool
}

func newModelSpace() *modelSpace {
	return &modelSpace{map[string]string{}, map[Hash]bool{}, map[string]Due{}, map[string][]sentIntent{}}
}

// step is one thing that a function does, and what it means for the model.
type step struct {
	write func(Writer)
	model func(*modelSpace)
}

// script is a random function.
type script struct {
	steps   []step
	held    map[Hash]refChange // what it does to content in the end
	refuses bool
}

var errRefused = errors.New("refused")

// run is the script as an UpdateFunc.
func (s script) run(w Writer) ([]byte, error) {
	for _, st := range s.steps {
		st.write(w)
	}
	if s.refuses {
		return nil, errRefused
	}
	return fmt.Append(nil, "at ", w.Sequence()), nil
}

// onModel does to the model what run does to the space.
func (s script) onModel(m *modelSpace) {
	for _, st := range s.steps {
		st.model(m)
	}
	for h, how := range s.held {
		if how == refEnd {
			delete(m.held, h)
		} else {
			m.held[h] = true
		}
	}
}

// bulk is what values that do not fit an entry are cut from.
var bulk = incompressible(400 << 10)

func (w *world) script(t *rapid.T) script {
	s := script{held: map[Hash]refChange{}, refuses: rapid.IntRange(0, 7).Draw(t, "refuses") == 0}
	kinds := []func(*rapid.T, *script) step{w.setStep, w.setStep, w.setStep, w.deleteStep, w.rangeStep, w.contentStep, w.contentStep,
		w.dueStep, w.intentStep}
	for range rapid.IntRange(1, 6).Draw(t, "steps") {
		kind := rapid.IntRange(0, len(kinds)-1).Draw(t, "kind")
		s.steps = append(s.steps, kinds[kind](t, &s))
	}
	if rapid.IntRange(0, 15).Draw(t, "staged") == 0 {
		from := rapid.IntRange(0, 100).Draw(t, "from")
		s.steps = append(s.steps, setting("bulk", string(bulk[from:from+300<<10])))
	}
	return s
}

func setting(k, v string) step {
	return step{func(w Writer) { w.Set([]byte(k), []byte(v)) }, func(m *modelSpace) { m.pairs[k] = v }}
}

func (w *world) setStep(t *rapid.T, _ *script) step {
	return setting(keyGen.Draw(t, "k"), fmt.Sprint("v", rapid.IntRange(0, 99).Draw(t, "v")))
}

func (w *world) deleteStep(t *rapid.T, _ *script) step {
	k := keyGen.Draw(t, "k")
	return step{func(w Writer) { w.Delete([]byte(k)) }, func(m *modelSpace) { delete(m.pairs, k) }}
}

func (w *world) rangeStep(t *rapid.T, _ *script) step {
	k := keyGen.Draw(t, "k")
	return step{func(w Writer) { w.DeleteRange([]byte(k), nil) }, func(m *modelSpace) {
		maps.DeleteFunc(m.pairs, func(key, _ string) bool { return key >= k })
	}}
}

// body draws one of few contents.
func (w *world) body(t *rapid.T) (string, Hash) {
	b := fmt.Sprint("body ", rapid.IntRange(0, 7).Draw(t, "body"))
	w.bodies[HashOf([]byte(b))] = b
	return b, HashOf([]byte(b))
}

func (w *world) contentStep(t *rapid.T, s *script) step {
	b, h := w.body(t)
	how := rapid.SampledFrom([]refChange{refPut, refHold, refEnd}).Draw(t, "how")
	write := map[refChange]func(Writer){
		refPut:  func(w Writer) { w.PutContent([]byte(b)) },
		refHold: func(w Writer) { w.Ref(h) },
		refEnd:  func(w Writer) { w.Unref(h) },
	}
	if how != refHold || s.held[h] != refPut { // what is put is held
		s.held[h] = how
	}
	return step{write[how], func(*modelSpace) {}}
}

func (w *world) dueStep(t *rapid.T, _ *script) step {
	d := Due{
		At: w.now.Add(time.Duration(rapid.IntRange(-30, 90).Draw(t, "minutes")) * time.Minute).UTC(), Op: 1,
		Key: fmt.Append(nil, "work ", rapid.IntRange(0, 4).Draw(t, "work")),
	}
	if rapid.IntRange(0, 3).Draw(t, "unschedule") == 0 {
		return step{func(w Writer) { w.Unschedule(d) }, func(m *modelSpace) { delete(m.due, string(dueKey(d))) }}
	}
	return step{func(w Writer) { w.Schedule(d) }, func(m *modelSpace) { m.due[string(dueKey(d))] = d }}
}

func (w *world) intentStep(t *rapid.T, _ *script) step {
	target := spaceGen.Draw(t, "target").String()
	w.next++
	payload := fmt.Sprint("mail", w.next)
	return step{
		func(w Writer) { w.Intend(Intent{Target: target, Op: 1, Payload: []byte(payload)}) },
		func(m *modelSpace) { m.outbox[target] = append(m.outbox[target], sentIntent{payload: payload}) },
	}
}
