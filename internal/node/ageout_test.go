package node

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/testkit"
)

// TestWhatIsDeletedAgesOut on whichever node owns the mailbox then, though the owner changes all the while, and nothing that
// was not deleted goes with it.
func TestWhatIsDeletedAgesOut(t *testing.T) {
	if testing.Short() {
		t.Skip("runs three nodes")
	}
	t.Parallel()
	all, _ := startThreeWith(t, func(c *Config) { c.Limits.SoftDeleted = Duration(2 * time.Second) })
	n := all["n1"]
	anna := person(t, n, "anna")
	group := groupOf(t, n, anna)
	const rounds, each = 3, 10
	kept := 0
	for round := range rounds {
		for i := range each {
			deliverTo(t, n, anna.Address, fmt.Sprintf("Message-ID: <%d.%d@elsewhere.test>\r\nSubject: %d\r\n\r\nhi\r\n", round, i, i))
		}
		if round == rounds-1 {
			kept = each
			break
		}
		_, err := exmdb.Do(t.Context(), n.mail, exmdb.System, anna.Mailbox, exmdb.OpEmptyFolder, &exmdb.EmptyFolderRequest{Folder: schema.Inbox})
		if err != nil {
			t.Fatal(err)
		}
		handOver(t, all, group)
	}
	testkit.Eventually(t, patience, func(ctx context.Context) error {
		handOver(t, all, group)
		info, err := exmdb.Do(ctx, n.mail, exmdb.System, anna.Mailbox, exmdb.OpMailboxInfo, &exmdb.Empty{})
		if err == nil && info.Retained != 0 {
			err = fmt.Errorf("%d bytes can still be recovered", info.Retained)
		}
		return err
	})
	if seen, err := subjects(t.Context(), n, anna.Mailbox); err != nil || len(seen) != kept {
		t.Errorf("%d of the mails that nobody deleted are there, %v", len(seen), err)
	}
}
