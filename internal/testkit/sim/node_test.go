package sim

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
)

// A machine that is removed while its process starts is left without one: nobody would end it.
func TestRemovedWhileItStarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, err := newWorld(t.TempDir(), 1, rand.New(rand.NewPCG(1, 1)))
		if err != nil {
			t.Fatal(err)
		}
		nd := w.add()
		nd.gone = true
		if err := nd.start(); err != nil {
			t.Error(err)
		}
		if nd.process() != nil {
			t.Error("it runs")
		}
		if err := w.close(); err != nil {
			t.Error(err)
		}
	})
}
