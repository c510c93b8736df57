package linear

import (
	"testing"
	"time"
)

// judge hears the verdict instead of failing.
type judge struct {
	testing.TB
	failed bool
}

func (j *judge) Helper()               {}
func (j *judge) Logf(string, ...any)   {}
func (j *judge) Errorf(string, ...any) { j.failed = true }

// verdict checks ops that come one after the other; "?" behind one means that its outcome is unknown, "!" never.
func verdict(ops ...string) (ok bool) {
	h := NewHistory()
	for i, text := range ops {
		outcome := Done
		switch end := len(text) - 1; text[end] {
		case '?':
			outcome, text = Unknown, text[:end]
		case '!':
			outcome, text = Never, text[:end]
		}
		h.Run(i, Op{Write: text[0] == 'w', Value: text[1:]}, func() (string, Outcome) { return text[1:], outcome })
	}
	j := &judge{}
	h.Check(j, time.Minute)
	return !j.failed
}

func TestVerdicts(t *testing.T) {
	for _, c := range []struct {
		ok  bool
		ops []string
	}{
		{true, nil},
		{true, []string{"r"}},
		{false, []string{"ra"}},
		{true, []string{"wa", "ra", "wb", "rb", "rb"}},
		{false, []string{"wa", "wb", "ra"}},       // stale
		{false, []string{"wa", "wb", "rb", "ra"}}, // and back again
		{true, []string{"wa", "wb?", "ra", "rb"}}, // it happened late
		{true, []string{"wa", "wb?", "ra", "ra"}}, // or not at all
		{false, []string{"wa", "wb!", "rb"}},      // what never happened was seen
		{true, []string{"wa", "rb!", "rb?", "ra"}},
	} {
		if got := verdict(c.ops...); got != c.ok {
			t.Errorf("%v: %v", c.ops, got)
		}
	}
}

// Ops at the same time may come in either order, and a read sees one of them.
func TestOverlap(t *testing.T) {
	for _, found := range []string{"", "a", "b"} {
		h := NewHistory()
		begun, read := make(chan struct{}), make(chan struct{})
		done := make(chan struct{})
		go func() {
			defer close(done)
			h.Run(1, Op{Write: true, Value: "a"}, func() (string, Outcome) {
				close(begun)
				<-read
				return "", Done
			})
		}()
		<-begun
		h.Run(2, Op{}, func() (string, Outcome) { return found, Done })
		close(read)
		<-done
		j := &judge{}
		if h.Check(j, time.Minute); j.failed != (found == "b") {
			t.Errorf("a read that found %q during a write of a: failed = %v", found, j.failed)
		}
	}
}
