package exmdb_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flotilla-mail/flotilla/exmdb"
)

// TestInSteps: steps follow one another until the last, with a rest as long as each took, but bounded.
func TestInSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		took := []time.Duration{7 * time.Millisecond, time.Second, 3 * time.Millisecond}
		begin, began := time.Now(), []time.Duration{}
		err := exmdb.InSteps(t.Context(), func() (bool, error) {
			began = append(began, time.Since(begin))
			<-time.After(took[len(began)-1])
			return len(began) < len(took), nil
		})
		if err != nil || len(began) != 3 || began[1] != 14*time.Millisecond || began[2] != 1064*time.Millisecond || time.Since(begin) != 1067*time.Millisecond {
			t.Errorf("%v, %v in all, %v", began, time.Since(begin), err)
		}
	})
}

// TestInStepsEnds: the first error ends it, and the end of its context the rest.
func TestInStepsEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		steps := 0
		begin := time.Now()
		err := exmdb.InSteps(ctx, func() (bool, error) {
			if steps++; steps == 3 {
				cancel()
			}
			return true, ctx.Err()
		})
		if !errors.Is(err, context.Canceled) || steps != 3 {
			t.Errorf("%d steps: %v", steps, err)
		}
		exmdb.Rest(ctx, begin.Add(-time.Hour))
		if time.Since(begin) != 0 {
			t.Errorf("it rested for %v after the end", time.Since(begin))
		}
	})
}
