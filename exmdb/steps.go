package exmdb

import (
	"context"
	"time"
)

// longestRest bounds the pause between two steps.
const longestRest = 50 * time.Millisecond

// InSteps performs a long op step after step (CLUSTER 1.6), until one says that there is no more. In between it rests for
// as long as the step took: other clients of the mailbox go first, and no more than half of what the owner and its disks
// can do goes into what nobody waits for by the millisecond.
func InSteps(ctx context.Context, step func() (more bool, err error)) error {
	for {
		began := time.Now()
		more, err := step()
		if err != nil || !more {
			return err
		}
		Rest(ctx, began)
	}
}

// Rest pauses after work of that kind for as long as it took since it began, or until ctx ends.
func Rest(ctx context.Context, began time.Time) {
	pause := time.NewTimer(min(time.Since(began), longestRest))
	defer pause.Stop()
	select {
	case <-pause.C:
	case <-ctx.Done(): // which the next step meets too
	}
}
