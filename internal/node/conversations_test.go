package node

import (
	"context"
	"fmt"
	"testing"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/testkit"
)

// TestWhatIsIgnoredIsDeleted: mail of a conversation that is ignored goes, and no other, though the owner changes all the
// while.
func TestWhatIsIgnoredIsDeleted(t *testing.T) {
	if testing.Short() {
		t.Skip("runs three nodes")
	}
	t.Parallel()
	all, _ := startThree(t)
	n := all["n1"]
	anna := person(t, n, "anna")
	group := groupOf(t, n, anna)
	const mails = 300
	for i := range mails {
		subject := []string{"lunch", "the plan"}[i%2]
		deliverTo(t, n, anna.Address, fmt.Sprintf("Message-ID: <%d@elsewhere.test>\r\nSubject: %s\r\n\r\nhi\r\n", i, subject))
	}
	ignore(t, n, anna.Mailbox)
	handOver(t, all, group)
	testkit.Eventually(t, patience, func(ctx context.Context) error {
		handOver(t, all, group)
		seen, err := subjects(ctx, n, anna.Mailbox)
		if err == nil && seen["lunch"] > 0 {
			err = fmt.Errorf("in the inbox are %v", seen)
		}
		return err
	})
	if seen, err := subjects(t.Context(), n, anna.Mailbox); err != nil || seen["the plan"] != mails/2 || len(seen) != 1 {
		t.Fatalf("%v, %v", seen, err)
	}
	gone, err := exmdb.Do(t.Context(), n.mail, exmdb.System, anna.Mailbox, exmdb.OpFolder, &exmdb.FolderRequest{Folder: schema.DeletedItems})
	if err != nil || gone.Folder.Messages != mails/2 {
		t.Errorf("%d are in Deleted Items, %v", gone.Folder.Messages, err)
	}
}

// ignore has the conversation of the first mail ignored.
func ignore(t *testing.T, n *Node, box mapi.MailboxID) {
	t.Helper()
	rows, err := exmdb.Do(t.Context(), n.mail, exmdb.System, box, exmdb.OpRows, &exmdb.RowsRequest{Folder: schema.Inbox, Fields: exmdb.RowMeta, Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	props, err := exmdb.Do(t.Context(), n.mail, exmdb.System, box, exmdb.OpReadProps,
		&exmdb.ReadPropsRequest{Object: exmdb.ObjectID{Message: rows.Rows[0].MID}, Tags: []mapi.Tag{mapi.PidTagConversationId}})
	if err != nil {
		t.Fatal(err)
	}
	conversation, _ := props.Props.Get(mapi.PidTagConversationId).(mapi.Binary)
	names, err := exmdb.Do(t.Context(), n.mail, exmdb.System, box, exmdb.OpNameProperties,
		&exmdb.NamesRequest{Names: []mapi.PropertyName{mapi.PidLidConversationActionMoveFolderEid.PropertyName}})
	if err != nil {
		t.Fatal(err)
	}
	var action mapi.PropBag
	action.Set(mapi.PidTagMessageClass, mapi.String("IPM.ConversationAction"))
	action.Set(mapi.PidTagConversationIndex, mapi.Binary(append([]byte{1, 0, 0, 0, 0, 0}, conversation...)))
	action.Set(mapi.PidLidConversationActionMoveFolderEid.Tag(names.IDs[0]), mapi.Binary{})
	_, err = exmdb.Do(t.Context(), n.mail, exmdb.System, box, exmdb.OpCreateMessage,
		&exmdb.CreateMessageRequest{Folder: schema.ConversationActions, Associated: true, Message: exmdb.MessageEdit{Set: action}})
	if err != nil {
		t.Fatal(err)
	}
}
