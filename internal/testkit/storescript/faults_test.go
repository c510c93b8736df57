package storescript

import (
	"context"
	"errors"
	"testing"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// answering is a caller that answers whatever it is asked.
type answering struct{ exmdb.Caller }

// Call implements exmdb.Caller.
func (answering) Call(context.Context, exmdb.Identity, mapi.MailboxID, exmdb.OpInfo, any, any) error {
	return nil
}

// TestMiddle: a fault is in the middle of an op when steps of it came before and others come behind, and nowhere else.
func TestMiddle(t *testing.T) {
	empty, read := exmdb.OpEmptyFolder.OpInfo, exmdb.OpFolder.OpInfo
	broken := errors.New("the fault failed")
	for name, x := range map[string]struct {
		at     int
		fault  error
		calls  []exmdb.OpInfo
		middle bool
		fails  bool
	}{
		"in the middle":              {2, nil, []exmdb.OpInfo{empty, empty, empty}, true, false},
		"at the first step":          {1, nil, []exmdb.OpInfo{empty, empty, empty}, true, true},
		"at the last step":           {3, nil, []exmdb.OpInfo{empty, empty, empty}, true, true},
		"of another op":              {2, nil, []exmdb.OpInfo{read, empty, empty}, true, true},
		"others between":             {3, nil, []exmdb.OpInfo{empty, read, empty, read, empty}, true, false},
		"too late":                   {4, nil, []exmdb.OpInfo{empty, empty, empty}, true, true},
		"too late, without a middle": {4, nil, []exmdb.OpInfo{empty, empty, empty}, false, true},
		"anywhere":                   {3, nil, []exmdb.OpInfo{empty, read, empty}, false, false},
		"a fault that fails":         {2, broken, []exmdb.OpInfo{empty, empty, empty}, true, true},
	} {
		b := &breaking{Caller: answering{}, left: x.at, middle: x.middle, do: func() error { return x.fault }}
		for _, op := range x.calls {
			if err := b.Call(t.Context(), exmdb.System, mapi.MailboxID{}, op, nil, nil); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := b.wait(); (err != nil) != x.fails || x.fault != nil && !errors.Is(err, x.fault) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
