package devtest

import (
	"context"
	"testing"

	"github.com/flotilla-mail/flotilla/internal/dev"
	"github.com/flotilla-mail/flotilla/internal/selftest"
)

// NoLateAnswers fails the test if a node of which somebody asked something as of the owner had known another for more than a second
// (DESIGN 4). A node forgets when it is started again. It returns how many were asked earlier than that.
func NoLateAnswers(ctx context.Context, t testing.TB, c *dev.Cluster) (early int) {
	t.Helper()
	const answers = "flotilla_wrong_owner_answers_total"
	for _, node := range c.Names() {
		figures, err := selftest.Figures(ctx, c, node)
		if err != nil {
			t.Fatal(err)
		}
		late, shown := figures[answers+`{late="yes"}`]
		if late > 0 || !shown {
			t.Errorf("%s gave %v answers as a wrong owner more than a second after the change (shown: %v)", node, late, shown)
		}
		early += int(figures[answers+`{late="no"}`])
	}
	return early
}
