package testkit

import (
	"runtime/metrics"
	"testing"
)

// Bound is how much memory a decoder may take for one input, in bytes.
const Bound = 64 << 20

// Bounded fails the test when more than Bound is allocated until the function it returns is called. All that is
// allocated counts, freed or not, so what was held at any moment is less. A fuzz test begins with it:
//
//	defer testkit.Bounded(t)()
//
// An input that takes too much is then found, made smaller and kept like any other that fails.
func Bounded(t testing.TB) func() {
	t.Helper()
	before := allocated()
	return func() {
		t.Helper()
		if spent := allocated() - before; spent > Bound {
			t.Errorf("%d bytes allocated for one input, may be %d", spent, Bound)
		}
	}
}

// allocated is how many bytes of heap were ever given out, too little by what is still counted per processor: some
// hundred kilobytes at the most. Reading it does not stop the world, as reading all of runtime.MemStats does.
func allocated() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}
