package exmdb

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// hinted answers at once that an order is worth keeping, and never that it is kept.
type hinted struct{ hints int }

func (h *hinted) Call(ctx context.Context, _ Identity, _ mapi.MailboxID, op OpInfo, _, resp any) error {
	if op.ID == OpKeepOrder.ID {
		h.hints++
		<-ctx.Done()
		return ctx.Err()
	}
	*resp.(*TableRowsResponse) = TableRowsResponse{State: TableState{Keep: true, Rows: 1}, Rows: make([]TableRow, 1)}
	return nil
}

func (h *hinted) Upload(context.Context, Identity, mapi.MailboxID) (Upload, error) { return nil, nil }

// TestHintsHoldNobodyUp: where the group has no leader just then, who has read a table has it all the same.
func TestHintsHoldNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, began := new(hinted), time.Now()
		resp, err := (&Table{Caller: h}).Rows(t.Context(), TableRowsRequest{})
		if err != nil || len(resp.Rows) != 1 || h.hints != 1 {
			t.Fatalf("%+v, %v after %d hints", resp, err, h.hints)
		}
		if took := time.Since(began); took > keepPatience {
			t.Errorf("that took %v", took)
		}
	})
}
