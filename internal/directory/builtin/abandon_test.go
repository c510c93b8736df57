package builtin

import (
	"context"
	"sync"
	"testing"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/directory"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// doomed notes which mailboxes are to be deleted.
type doomed chan mapi.MailboxID

func (d doomed) Perform(_ context.Context, _ cluster.SpaceID, _ uint64, in space.Intent) error {
	var box mapi.MailboxID
	copy(box[:], in.Payload)
	if in.Op != IntentDelete || in.Target != TargetMailbox+box.String() {
		return cluster.Errorf(cluster.KindInternal, "%+v", in)
	}
	d <- box
	return nil
}

// TestMailboxesGoWithTheirObjects: the mailbox of an object that is removed goes if that is asked for, and so does one that no
// object got; one that somebody has stays.
func TestMailboxesGoWithTheirObjects(t *testing.T) {
	p := newPeople(t)
	kept, gone := p.add(directory.KindUser, "kept@example.test"), p.add(directory.KindUser, "gone@example.test")
	bob := p.add(directory.KindUser, "bob@example.test")
	orphan := mapi.NewMailboxID()
	p.do(OpRemove, &AddressRequest{Address: "kept@example.test"})
	p.do(OpRemove, &AddressRequest{Address: "gone@example.test", Purge: true})
	p.refused(OpAbandon, &AbandonRequest{Mailbox: bob.Mailbox}, exmdb.KindInUse)
	p.refused(OpAbandon, &AbandonRequest{}, exmdb.KindInUse)
	p.do(OpAbandon, &AbandonRequest{Mailbox: orphan})
	ctx, stop := context.WithCancel(t.Context())
	d := make(doomed)
	var pump sync.WaitGroup
	pump.Go(func() { space.NewPump(p.rep.Replica, d, space.WorkConfig{}).Run(ctx) })
	found := map[mapi.MailboxID]bool{<-d: true, <-d: true}
	stop()
	pump.Wait()
	if !found[gone.Mailbox] || !found[orphan] || found[kept.Mailbox] {
		t.Errorf("%v are to be deleted, want %v and %v", found, gone.Mailbox, orphan)
	}
}
