package node

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/client"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/frontends/admin"
	"github.com/flotilla-mail/flotilla/internal/auth"
	"github.com/flotilla-mail/flotilla/internal/directory"
	"github.com/flotilla-mail/flotilla/internal/directory/builtin"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/testkit"
)

// record is a directory of one sequence at a time; it counts how often it is read.
type record struct {
	sequence uint64
	all      map[mapi.GUID]directory.Standing
	reads    int
	err      error
}

func (r *record) Sequence(context.Context) (uint64, error) { return r.sequence, r.err }

func (r *record) Standing(_ context.Context, user mapi.GUID) (*directory.Standing, error) {
	r.reads++
	s, ok := r.all[user]
	if !ok {
		return nil, cluster.Errorf(exmdb.KindNoSuchUser, "nobody")
	}
	s.Sequence = r.sequence
	return &s, nil
}

func TestIdentityHasWhatTheDirectorySaysNow(t *testing.T) {
	alice := &directory.Object{GUID: mapi.NewGUID(), Mailbox: mapi.NewMailboxID()}
	sales := &directory.Object{GUID: mapi.NewGUID(), Mailbox: mapi.NewMailboxID(), Address: "sales@example.test", Aliases: []string{"shop@example.test"}}
	group := mapi.NewGUID()
	dir := &record{sequence: 1, all: map[mapi.GUID]directory.Standing{alice.GUID: {User: alice, Groups: []mapi.GUID{group},
		FullAccess: []*directory.Object{sales}, SendAs: []*directory.Object{sales}}}}
	var age time.Duration
	s := newStandings(client.Client{}, dir, func() time.Duration { return age })
	as := exmdb.Identity{User: alice.GUID, Privileges: exmdb.PrivilegeOwner, FullAccess: []mapi.GUID{{1}}}
	in := func(box mapi.MailboxID) (exmdb.Identity, cluster.Kind) {
		got, err := s.identify(t.Context(), as, box)
		return got, cluster.KindOf(err)
	}
	p := &auth.Principal{Identity: as}
	for range 2 {
		got, _ := in(sales.Mailbox)
		if len(got.Groups) != 1 || len(got.FullAccess) != 1 || got.FullAccess[0] != sales.GUID || len(got.SendAs) != 1 {
			t.Fatalf("in another's mailbox: %+v", got)
		}
		if got, _ := in(mapi.NewMailboxID()); len(got.Groups) != 1 || len(got.FullAccess)+len(got.SendAs) != 0 {
			t.Fatalf("in a third one: %+v", got)
		}
		if may, err := s.maySendAs(t.Context(), p, "SHOP@example.test"); !may || err != nil {
			t.Fatalf("send as: %v, %v", may, err)
		}
	}
	if dir.reads != 1 {
		t.Errorf("the directory was read %d times", dir.reads)
	}
	age = builtin.MaxAge + 1
	if _, kind := in(sales.Mailbox); kind != cluster.KindUnavailable {
		t.Errorf("on an old copy: kind %d", kind)
	}
	if _, err := s.maySendAs(t.Context(), p, "sales@example.test"); cluster.KindOf(err) != cluster.KindUnavailable {
		t.Errorf("on an old copy: %v", err)
	}
	if got, kind := in(alice.Mailbox); kind != 0 && kind != cluster.KindOf(nil) || len(got.FullAccess) != 0 {
		t.Errorf("at home: %+v, kind %d", got, kind)
	}
	age, dir.sequence, dir.all = 0, 2, map[mapi.GUID]directory.Standing{alice.GUID: {User: alice}}
	if got, _ := in(sales.Mailbox); len(got.Groups)+len(got.FullAccess)+len(got.SendAs) != 0 {
		t.Errorf("when all is taken back: %+v", got)
	}
	if may, err := s.maySendAs(t.Context(), p, "sales@example.test"); may || err != nil {
		t.Errorf("send as: %v, %v", may, err)
	}
	dir.sequence, dir.all = 3, nil
	if got, _ := in(sales.Mailbox); got.User != alice.GUID || len(got.Groups) != 0 {
		t.Errorf("who is gone: %+v", got)
	}
	if got, err := s.identify(t.Context(), exmdb.System, sales.Mailbox); err != nil || got.Privileges != exmdb.PrivilegeSystem {
		t.Errorf("the system: %+v, %v", got, err)
	}
}

// TestWhatIsTakenBackEndsInOpenSessions: somebody who has signed in once uses the mailbox of another by way of a group, on
// each of three nodes, until he is taken out of it; the same with a right in a folder, and with the address.
func TestWhatIsTakenBackEndsInOpenSessions(t *testing.T) {
	if testing.Short() {
		t.Skip("runs three nodes")
	}
	t.Parallel()
	all, _ := startThree(t)
	b := backend{all["n1"]}
	alice, sales := person(t, all["n1"], "alice"), person(t, all["n1"], "sales")
	for _, address := range []string{"team@example.test", "all@example.test"} {
		if _, err := b.AddObject(t.Context(), admin.NewObject{Kind: "list", Address: address}); err != nil {
			t.Fatal(err)
		}
	}
	members := func(list string, c admin.Change) {
		t.Helper()
		if _, err := b.ChangeObject(t.Context(), list, c); err != nil {
			t.Fatal(err)
		}
	}
	members("all@example.test", admin.Change{AddMembers: []string{"team@example.test"}})
	members("team@example.test", admin.Change{AddMembers: []string{"alice@example.test"}})
	session := &auth.Principal{Identity: exmdb.Identity{User: alice.GUID, Privileges: exmdb.PrivilegeOwner}, Mailbox: alice.Mailbox, Address: alice.Address}
	uses := func(n *Node, q *exmdb.UIDsRequest) error {
		_, err := exmdb.Do(t.Context(), n.asked, session.Identity, sales.Mailbox, exmdb.OpUIDs, q)
		return err
	}
	everywhere := func(what string, may bool) {
		t.Helper()
		for _, n := range all {
			err := uses(n, &exmdb.UIDsRequest{Folder: schema.Inbox})
			if (err == nil) != may || err != nil && cluster.KindOf(err) != exmdb.KindAccessDenied && cluster.KindOf(err) != exmdb.KindNoFolder {
				t.Errorf("%s, on %s: %v", what, n.self, err)
			}
		}
	}
	testkit.Eventually(t, patience, func(context.Context) error { // until each node has been in touch with the system group
		for _, n := range all {
			if n.contact.age() > builtin.MaxAge {
				return fmt.Errorf("%s has heard nothing", n.self)
			}
		}
		return nil
	})
	everywhere("before", false)
	for _, right := range []string{admin.RightFullAccess, admin.RightSendAs} {
		if err := b.Grant(t.Context(), "sales@example.test", right, "all@example.test"); err != nil {
			t.Fatal(err)
		}
	}
	everywhere("full access by two groups", true)
	for _, n := range all {
		if may, err := n.asked.maySendAs(t.Context(), session, "sales@example.test"); !may || err != nil {
			t.Errorf("send as, on %s: %v, %v", n.self, may, err)
		}
	}
	members("team@example.test", admin.Change{RemoveMembers: []string{"alice@example.test"}})
	everywhere("out of the group", false)
	for _, n := range all {
		if may, err := n.asked.maySendAs(t.Context(), session, "sales@example.test"); may || err != nil {
			t.Errorf("send as, on %s: %v, %v", n.self, may, err)
		}
	}
	group, err := b.Object(t.Context(), "all@example.test")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := exmdb.Do(t.Context(), all["n1"].mail, exmdb.System, sales.Mailbox, exmdb.OpModifyPermissions, &exmdb.ModifyPermissionsRequest{Folder: schema.Inbox,
		Changes: []exmdb.PermissionChange{{Kind: exmdb.PermissionAdd, Member: exmdb.Member{User: group.GUID, Rights: exmdb.RightReadAny | exmdb.RightFolderVisible}}}}); err != nil {
		t.Fatal(err)
	}
	if err := b.Revoke(t.Context(), "sales@example.test", admin.RightFullAccess, "all@example.test"); err != nil {
		t.Fatal(err)
	}
	members("team@example.test", admin.Change{AddMembers: []string{"alice@example.test"}})
	everywhere("a right in the folder by two groups", true)
	if _, err := exmdb.Do(t.Context(), all["n2"].asked, session.Identity, sales.Mailbox, exmdb.OpSetOOF, &exmdb.OOFSettings{}); cluster.KindOf(err) != exmdb.KindAccessDenied {
		t.Errorf("what is the owner's: %v", err)
	}
	for _, x := range []struct {
		does func(context.Context, string, string, string) error
		want bool
	}{{b.Grant, true}, {b.Revoke, false}} {
		if err := x.does(t.Context(), "sales@example.test", admin.RightSendOnBehalf, "team@example.test"); err != nil {
			t.Fatal(err)
		}
		r, err := exmdb.Do(t.Context(), all["n3"].asked, session.Identity, sales.Mailbox, exmdb.OpSendRights, &exmdb.Empty{})
		if err != nil || r.OnBehalf != x.want || !r.As {
			t.Errorf("on behalf: %+v, %v", r, err)
		}
	}
	if err := b.RemoveObject(t.Context(), "team@example.test", false); err != nil {
		t.Fatal(err)
	}
	everywhere("the inner group is gone", false)
	shown, err := b.Rights(t.Context(), "sales@example.test")
	if err != nil || strings.Join(shown.SendAs, " ") != "all@example.test" || len(shown.FullAccess)+len(shown.SendOnBehalf) != 0 {
		t.Errorf("%+v, %v", shown, err)
	}
}
