package fault

import (
	"context"

	"github.com/flotilla-mail/flotilla/internal/dev"
	"github.com/flotilla-mail/flotilla/internal/selftest"
)

// Groups is what `flotilla groups --json` shows, as a self-test reads it.
type Groups = selftest.Groups

// ReadGroups asks the first node that answers.
func ReadGroups(ctx context.Context, c *dev.Cluster, hash bool) (Groups, error) {
	return selftest.ReadGroups(ctx, c, hash)
}

// SameHashes waits until the replicas of every group show one hash at one index; it returns what differed when ctx
// ended before.
func SameHashes(ctx context.Context, c *dev.Cluster) error { return selftest.SameHashes(ctx, c) }

// Busiest is the node that leads the group with the most operations.
func Busiest(ctx context.Context, c *dev.Cluster) (string, error) {
	groups, err := ReadGroups(ctx, c, false)
	if err != nil {
		return "", err
	}
	return groups.Busiest()
}
