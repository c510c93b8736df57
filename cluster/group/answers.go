package group

import "context"

// Answers waits until the replica's raft loop has taken a question, whatever it answers: a loop that is stuck takes
// none. A replica that has stopped has no loop to be stuck.
func (g *Group) Answers(ctx context.Context) error {
	err := g.await(ctx, func() error {
		_ = g.raft.VerifyLeader().Error() // that it leads, or does not, is an answer
		return nil
	})
	if ctx.Err() == nil {
		return nil
	}
	return err
}
