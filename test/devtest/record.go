package devtest

import (
	"testing"

	"github.com/flotilla-mail/flotilla/internal/testkit"
)

// Record is testkit.Record, for tests of whole clusters.
func Record(t testing.TB, name string, results map[string]any) {
	t.Helper()
	testkit.Record(t, name, results)
}
