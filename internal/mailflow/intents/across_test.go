package intents

import (
	"slices"
	"strings"
	"testing"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/ops"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// across has what is in anna's inbox carried into somebody's Sent Items, and says how many messages that are.
func (w *town) across(to string, leaves bool, as exmdb.Identity) int {
	w.t.Helper()
	var all []mapi.MID
	for _, row := range do(w, "anna", exmdb.OpRows, &exmdb.RowsRequest{Folder: schema.Inbox, Fields: exmdb.RowMeta}).Rows {
		all = append(all, row.MID)
	}
	r, err := exmdb.CarryAcross(w.t.Context(), w.mail, as, w.boxes["anna"], exmdb.CarryAcrossRequest{Folder: schema.Inbox, Messages: all,
		Mailbox: w.boxes[to], Target: schema.Sent, Copy: leaves})
	if err != nil {
		w.t.Fatal(err)
	}
	return int(r.Taken)
}

// sizes are those of the messages in a folder of somebody's.
func (w *town) sizes(name string, fid mapi.FID) (sizes []uint64) {
	w.t.Helper()
	for _, row := range do(w, name, exmdb.OpRows, &exmdb.RowsRequest{Folder: fid, Fields: exmdb.RowMeta}).Rows {
		sizes = append(sizes, row.Size)
	}
	slices.Sort(sizes)
	return sizes
}

// crossed fails the test unless all of anna's messages are in somebody's Sent Items, each once, and in her inbox if they were to
// stay there.
func (w *town) crossed(to string, want []uint64, stay bool) {
	w.t.Helper()
	if got := w.sizes(to, schema.Sent); !slices.Equal(got, want) {
		w.t.Errorf("%s has %d, want %d", to, got, want)
	}
	left := w.sizes("anna", schema.Inbox)
	if !stay {
		want = nil
	}
	if !slices.Equal(left, want) {
		w.t.Errorf("anna has %d still", left)
	}
	if n := w.outbox(cluster.SpaceID(w.boxes["anna"])); n != 0 {
		w.t.Errorf("%d intents are left", n)
	}
}

// three brings anna mails of different lengths: one without content, one with some, and one with more than a request has.
func (w *town) three() []uint64 {
	w.t.Helper()
	for _, n := range []int{0, 30_000, 400_000} {
		w.send("dora@elsewhere.test", "anna", plainMail+strings.Repeat("x", n%70)+"\r\n"+strings.Repeat("line "+strings.Repeat("y", 60)+"\r\n", n/67))
	}
	return w.sizes("anna", schema.Inbox)
}

// Messages go from mailbox to mailbox, in one group or between two, and content with them.
func TestMessagesGoAcross(t *testing.T) {
	for _, to := range []string{"bert", "carl"} {
		for _, stay := range []bool{false, true} {
			w := newTown(t)
			want := w.three()
			if n := w.across(to, stay, exmdb.System); n != 3 {
				t.Fatalf("%d are on their way", n)
			}
			if got := w.sizes("anna", schema.Inbox); !slices.Equal(got, want) {
				t.Error("they are gone before they are there")
			}
			w.settle()
			w.crossed(to, want, stay)
		}
	}
}

// Whatever is killed between two steps, each message is in one of the mailboxes at every time, and in the end in the other alone.
func TestNoMessageIsLostOrDoubledWhenCallsFail(t *testing.T) {
	for _, op := range []exmdb.OpInfo{exmdb.OpCrossing.OpInfo, exmdb.OpReadCrossing.OpInfo, exmdb.OpUploadChunk.OpInfo, exmdb.OpTakeIn.OpInfo, exmdb.OpFinishCrossing.OpInfo} {
		for kind, fault := range map[string]error{"lost": cluster.ErrUnavailable, "unheard": errUnheard} {
			t.Run(op.Name+" "+kind, func(t *testing.T) {
				w := newTown(t)
				want := w.three()
				w.across("carl", false, exmdb.System)
				for n := range 3 {
					list := make([]error, n+1)
					list[n] = fault
					w.faults[ops.ID(op.ID)] = list
					w.pump()
					if there, here := w.sizes("carl", schema.Sent), w.sizes("anna", schema.Inbox); len(there)+len(here) < len(want) {
						t.Errorf("%d are in the one, %d in the other", here, there)
					}
				}
				w.settle()
				w.crossed("carl", want, false)
			})
		}
	}
}

// The same for every effect that the log of either group may lose, or commit unheard.
func TestNoMessageIsLostOrDoubledWhenEffectsFail(t *testing.T) {
	faults := map[string]space.LocalFault{"lost": space.FaultLostEntry, "unheard": space.FaultLostAnswer, "refused": space.FaultRefused,
		"void": space.FaultVoidTerm, "late": space.FaultLate}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			for n := range 8 {
				w := newTown(t)
				want := w.three()
				w.across("carl", false, exmdb.System)
				w.Replicas[1].Local.Fail(append(make([]space.LocalFault, n), fault)...)
				w.Replicas[2].Local.Fail(append(make([]space.LocalFault, n), fault)...)
				w.settle()
				w.crossed("carl", want, false)
			}
		})
	}
}

// Who may not put messages there is told at once; who may no more when it comes to it keeps them where they are.
func TestMailboxesRefuseMessages(t *testing.T) {
	w := newTown(t)
	want := w.three()
	friend := exmdb.Identity{User: mapi.NewGUID()}
	let := func(name string, fid mapi.FID, rights exmdb.FolderRights) {
		do(w, name, exmdb.OpModifyPermissions, &exmdb.ModifyPermissionsRequest{Folder: fid, Changes: []exmdb.PermissionChange{
			{Kind: exmdb.PermissionAdd, Member: exmdb.Member{User: friend.User, Rights: rights}}}})
	}
	let("anna", schema.Inbox, exmdb.AllRights)
	req := exmdb.CarryAcrossRequest{Folder: schema.Inbox, Messages: []mapi.MID{1}, Mailbox: w.boxes["carl"], Target: schema.Sent}
	if _, err := exmdb.CarryAcross(t.Context(), w.mail, friend, w.boxes["anna"], req); cluster.KindOf(err) != exmdb.KindAccessDenied {
		t.Errorf("%v", err)
	}
	let("carl", schema.Sent, exmdb.RightCreate|exmdb.RightFolderVisible)
	w.across("carl", false, friend)
	let("carl", schema.Sent, exmdb.RightFolderVisible)
	w.settle()
	if got := w.sizes("anna", schema.Inbox); !slices.Equal(got, want) || len(w.sizes("carl", schema.Sent)) != 0 {
		t.Errorf("%d", got)
	}
	if n := len(w.refused()); n != 3 {
		t.Errorf("%d refusals: %q", n, w.told)
	}
	do(w, "carl", exmdb.OpSetQuota, &exmdb.SetQuotaRequest{Quota: 100_000})
	w.across("carl", false, exmdb.System)
	w.settle()
	if there, here := w.sizes("carl", schema.Sent), w.sizes("anna", schema.Inbox); !slices.Equal(there, want[:2]) || !slices.Equal(here, want[2:]) {
		t.Errorf("%d there, %d here", there, here)
	}
	do(w, "carl", exmdb.OpDeleteMailbox, &exmdb.Empty{})
	req.Messages = []mapi.MID{do(w, "anna", exmdb.OpRows, &exmdb.RowsRequest{Folder: schema.Inbox, Fields: exmdb.RowMeta}).Rows[0].MID}
	do(w, "anna", exmdb.OpCarryAcross, &req)
	w.settle()
	if here := w.sizes("anna", schema.Inbox); !slices.Equal(here, want[2:]) {
		t.Errorf("what was to go into a mailbox that is gone: %d", here)
	}
}

// refused is what was told of messages that were not let in.
func (w *town) refused() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(w.told), func(s string) bool { return !strings.HasPrefix(s, "refused") })
}
