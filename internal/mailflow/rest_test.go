package mailflow

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
)

func TestFinalIsWhatTimeDoesNotHeal(t *testing.T) {
	for _, c := range []struct {
		err  error
		want bool
	}{
		{&cluster.Error{Kind: exmdb.KindOverQuota}, true},
		{fmt.Errorf("store: %w", &cluster.Error{Kind: exmdb.KindTooBig}), true},
		{ErrRelay, true},
		{cluster.ErrUnavailable, false},
		{cluster.ErrUnknownOutcome, false},
		{cluster.ErrDiskFull, false},
		{cluster.ErrDamaged, false},
		{&cluster.Error{Kind: exmdb.KindNoMailbox}, false},
		{context.DeadlineExceeded, false},
		{errors.New("a bug"), false},
		{nil, false},
	} {
		if got := Final(c.err); got != c.want {
			t.Errorf("%v: %v", c.err, got)
		}
	}
}

func TestPatienceGrowsWithTheMail(t *testing.T) {
	if Patience(0) != 15*time.Second || Patience(100<<20) != 115*time.Second {
		t.Errorf("%v, %v", Patience(0), Patience(100<<20))
	}
}
