package mover

import (
	"context"

	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/placement"
)

// Progress is how far a move has come.
type Progress struct {
	// Copied is how many bytes beside content have been copied, Whole whether that is all.
	Copied uint64
	Whole  bool
	// Behind is how many effects the copy lacks.
	Behind uint64
}

// ProgressOf asks both groups.
func ProgressOf(ctx context.Context, c Caller, m *placement.Move) (p Progress, err error) {
	here, err := ask(ctx, c, m.From, opStatus, &stepRequest{Space: m.Space})
	if err != nil {
		return p, err
	}
	there, err := ask(ctx, c, m.To, opStatus, &stepRequest{Space: m.Space})
	if err != nil || there.ID != m.ID || space.State(there.State) != space.Arriving {
		return p, err
	}
	return Progress{Copied: there.Copied, Whole: !there.Copying, Behind: here.Sequence - min(there.Sequence, here.Sequence)}, nil
}
