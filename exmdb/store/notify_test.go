package store

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// told is a mailbox with names for what is in it.
type told struct {
	*box
	a, b     mapi.FID // two folders
	folders  map[mapi.FID]string
	messages map[mapi.MID]string
	since    mapi.Stamp
	// made is the folder that was made last.
	made mapi.FID
}

func newTold(t testing.TB) *told {
	b := &told{box: newBox(t, 0), folders: map[mapi.FID]string{0: "-"}, messages: map[mapi.MID]string{}}
	b.a, b.b = b.folderOf(schema.IPMSubtree, "a"), b.folderOf(schema.IPMSubtree, "b")
	b.events(nil)
	return b
}

func (b *told) folderOf(parent mapi.FID, name string) mapi.FID {
	b.t.Helper()
	b.made = call(b.box, exmdb.OpCreateFolder, &exmdb.CreateFolderRequest{Parent: parent, Name: name}).Folder.FID
	return b.made
}

// put makes a message in a folder.
func (b *told) put(fid mapi.FID) mapi.MID {
	b.t.Helper()
	return b.create(&exmdb.CreateMessageRequest{Folder: fid, Message: subjectEdit("x")}).MID
}

func (b *told) nameOf(fid mapi.FID) string {
	if b.folders[fid] == "" {
		b.folders[fid] = fmt.Sprintf("f%x", uint64(fid.Counter()))
		b.view(func(v *view) error {
			if f, err := v.folder(fid); err == nil {
				b.folders[fid] = f.Name
			}
			return nil
		})
	}
	return b.folders[fid]
}

func (b *told) messageName(mid mapi.MID) string {
	if b.messages[mid] == "" {
		b.messages[mid] = fmt.Sprintf("m%d", len(b.messages)+1)
	}
	return b.messages[mid]
}

var eventNames = map[exmdb.EventKinds]string{exmdb.EventCreated: "created", exmdb.EventDeleted: "deleted", exmdb.EventModified: "modified",
	exmdb.EventMoved: "moved", exmdb.EventCopied: "copied", exmdb.EventSearchComplete: "search complete"}

// line is an event in words.
func (b *told) line(e *exmdb.Event) string {
	s := eventNames[e.Kind]
	switch {
	case e.Message != 0:
		s += fmt.Sprintf(" %s in %s", b.messageName(e.Message), b.nameOf(e.Folder))
		if e.OldMessage != 0 {
			s += fmt.Sprintf(" from %s in %s", b.messageName(e.OldMessage), b.nameOf(e.OldFolder))
		}
	default:
		s += fmt.Sprintf(" folder %s below %s", b.nameOf(e.Folder), b.nameOf(e.Parent))
		if e.OldFolder != 0 {
			s += fmt.Sprintf(" from %s below %s", b.nameOf(e.OldFolder), b.nameOf(e.OldParent))
		}
	}
	if e.Counts {
		s += fmt.Sprintf(", %d messages", e.Total)
	}
	if e.UnreadKnown {
		s += fmt.Sprintf(", %d unread", e.Unread)
	}
	for _, word := range []struct {
		is   bool
		text string
	}{{e.Associated, "associated"}, {e.Whole, "whole"}, {e.Deleted, "soft-deleted"}, {e.NewMail, fmt.Sprintf("new mail %s %#x", e.Class, e.Flags)}} {
		if word.is {
			s += ", " + word.text
		}
	}
	for _, t := range e.Tags {
		s += fmt.Sprintf(", %v", t)
	}
	return s
}

// events are the events since the last ones, of some folders or all, in words.
func (b *told) events(folders []mapi.FID) []string {
	b.t.Helper()
	r := call(b.box, exmdb.OpEvents, &exmdb.EventsRequest{Since: b.since, Folders: folders})
	if r.Overflow || r.More {
		b.t.Fatalf("%+v", r)
	}
	b.since = r.Stamp
	var lines []string
	for i := range r.Events {
		lines = append(lines, b.line(&r.Events[i]))
	}
	return lines
}

// causing is an op with what it does to a mailbox: what is to be there before is made by before, and not told.
type causing struct {
	op     exmdb.OpInfo
	what   string
	before func(b *told)
	do     func(b *told)
}

// causes performs an op that is not to fail.
func causes[Q, R any](op exmdb.Op[Q, R], what string, q func(b *told) *Q) causing {
	return causing{op: op.OpInfo, what: what, do: func(b *told) { call(b.box, op, q(b)) }}
}

// after makes something before the op.
func (c causing) after(before func(b *told)) causing {
	c.before = before
	return c
}

// with gives an op a message in a.
func with[Q, R any](op exmdb.Op[Q, R], what string, q func(b *told, mid mapi.MID) *Q) causing {
	var mid mapi.MID
	c := causes(op, what, func(b *told) *Q { return q(b, mid) })
	return c.after(func(b *told) { mid = b.put(b.a) })
}

func onlyUID(b *told) []exmdb.UIDRange {
	all := b.rows(b.a)
	return ranges(all[len(all)-1].UID)
}

// everyOp is every op that writes, with each kind of event that it causes.
func everyOp() []causing {
	list := []causing{
		{op: exmdb.OpCreateMailbox.OpInfo, what: "nobody can have subscribed to it", do: func(*told) {}},
		{op: exmdb.OpDeleteMailbox.OpInfo, what: "who waits for it is told that it is not there", do: func(*told) {}},
		causes(exmdb.OpSetQuota, "", func(*told) *exmdb.SetQuotaRequest { return &exmdb.SetQuotaRequest{Quota: 1 << 40} }),
		causes(exmdb.OpDeliver, "", func(b *told) *exmdb.DeliverRequest { return &exmdb.DeliverRequest{Message: text("x"), Received: b.now} }),
		causes(exmdb.OpAppend, "", func(b *told) *exmdb.AppendRequest { return &exmdb.AppendRequest{Folder: b.a, Message: text("x")} }),
		causes(exmdb.OpCreateMessage, "", func(b *told) *exmdb.CreateMessageRequest { return &exmdb.CreateMessageRequest{Folder: b.a} }),
		causes(exmdb.OpCreateMessage, "an associated one", func(b *told) *exmdb.CreateMessageRequest {
			return &exmdb.CreateMessageRequest{Folder: b.a, Associated: true}
		}),
		with(exmdb.OpSaveMessage, "", func(_ *told, mid mapi.MID) *exmdb.SaveMessageRequest {
			return &exmdb.SaveMessageRequest{Message: mid, Edit: subjectEdit("y")}
		}),
		with(exmdb.OpSaveMessage, "nothing different", func(_ *told, mid mapi.MID) *exmdb.SaveMessageRequest {
			return &exmdb.SaveMessageRequest{Message: mid}
		}),
		with(exmdb.OpWriteProps, "of a message", func(_ *told, m mapi.MID) *exmdb.WritePropsRequest {
			return &exmdb.WritePropsRequest{Object: mid(m), Set: bagOf(mapi.PidTagReplyRequested, mapi.Boolean(true))}
		}),
		causes(exmdb.OpWriteProps, "of a folder", func(b *told) *exmdb.WritePropsRequest {
			return &exmdb.WritePropsRequest{Object: exmdb.ObjectID{Folder: b.a}, Set: bagOf(mapi.PidTagComment, mapi.String("c"))}
		}),
		causes(exmdb.OpWriteProps, "of the mailbox", func(*told) *exmdb.WritePropsRequest {
			return &exmdb.WritePropsRequest{Set: bagOf(mapi.PidTagComment, mapi.String("c"))}
		}),
		with(exmdb.OpSetFlags, `\Seen goes`, func(b *told, _ mapi.MID) *exmdb.SetFlagsRequest {
			return &exmdb.SetFlagsRequest{Folder: b.a, UIDs: onlyUID(b), Mode: exmdb.FlagsRemove, Flags: exmdb.Flags{Bits: exmdb.FlagSeen}}
		}),
		with(exmdb.OpSetFlags, `\Deleted`, func(b *told, _ mapi.MID) *exmdb.SetFlagsRequest {
			return &exmdb.SetFlagsRequest{Folder: b.a, UIDs: onlyUID(b), Mode: exmdb.FlagsAdd, Flags: exmdb.Flags{Bits: exmdb.FlagDeleted}}
		}),
		with(exmdb.OpMarkMessages, `\Flagged`, func(b *told, mid mapi.MID) *exmdb.MarkMessagesRequest {
			return &exmdb.MarkMessagesRequest{Folder: b.a, Messages: []mapi.MID{mid}, Mode: exmdb.FlagsAdd, Flags: exmdb.Flags{Bits: exmdb.FlagFlagged}}
		}),
		with(exmdb.OpCopy, "", func(b *told, _ mapi.MID) *exmdb.CopyRequest {
			return &exmdb.CopyRequest{Folder: b.a, UIDs: onlyUID(b), Target: b.b}
		}),
		with(exmdb.OpMove, "", func(b *told, _ mapi.MID) *exmdb.CopyRequest {
			return &exmdb.CopyRequest{Folder: b.a, UIDs: onlyUID(b), Target: b.b}
		}),
		with(exmdb.OpMove, "to where it is", func(b *told, _ mapi.MID) *exmdb.CopyRequest {
			return &exmdb.CopyRequest{Folder: b.a, UIDs: onlyUID(b), Target: b.a}
		}),
		with(exmdb.OpExpunge, "", func(b *told, _ mapi.MID) *exmdb.ExpungeRequest {
			return &exmdb.ExpungeRequest{Folder: b.a, UIDs: onlyUID(b), All: true}
		}),
		with(exmdb.OpCopyMessages, "", func(b *told, mid mapi.MID) *exmdb.CarryMessagesRequest {
			return &exmdb.CarryMessagesRequest{Folder: b.a, Messages: []mapi.MID{mid}, Target: b.b}
		}),
		with(exmdb.OpMoveMessages, "", func(b *told, mid mapi.MID) *exmdb.CarryMessagesRequest {
			return &exmdb.CarryMessagesRequest{Folder: b.a, Messages: []mapi.MID{mid}, Target: b.b}
		}),
		with(exmdb.OpDeleteMessages, "", func(b *told, mid mapi.MID) *exmdb.DeleteMessagesRequest {
			return &exmdb.DeleteMessagesRequest{Folder: b.a, Messages: []mapi.MID{mid}, Hard: true}
		}),
	}
	return slices.Concat(list, deletedOps(), folderOps(), importOps(), submitOps(), acrossOps(), quietOps())
}

// deletedOps are those on soft-deleted messages.
func deletedOps() []causing {
	var gone mapi.MID
	deleted := func(b *told) {
		gone = b.put(b.a)
		call(b.box, exmdb.OpDeleteMessages, &exmdb.DeleteMessagesRequest{Folder: b.a, Messages: []mapi.MID{gone}})
	}
	return []causing{
		causes(exmdb.OpRecoverMessages, "", func(b *told) *exmdb.CarryMessagesRequest {
			return &exmdb.CarryMessagesRequest{Folder: b.a, Messages: []mapi.MID{gone}, Target: b.b}
		}).after(deleted),
		causes(exmdb.OpPurgeDeleted, "", func(b *told) *exmdb.PurgeDeletedRequest {
			return &exmdb.PurgeDeletedRequest{Folder: b.a, Messages: []mapi.MID{gone}}
		}).after(deleted),
		causes(exmdb.OpPurgeDeleted, "of what is not there", func(b *told) *exmdb.PurgeDeletedRequest {
			return &exmdb.PurgeDeletedRequest{Folder: b.a, Messages: []mapi.MID{gone}}
		}),
	}
}

// folderOps are those on folders.
func folderOps() []causing {
	made := func(b *told) { b.folderOf(b.a, fmt.Sprintf("c%d", b.since)) }
	full := func(b *told) {
		made(b)
		b.put(b.made)
	}
	shelved := func(b *told) {
		full(b)
		call(b.box, exmdb.OpDeleteFolder, &exmdb.DeleteFolderRequest{Folder: b.made})
	}
	everybody := []exmdb.PermissionChange{{Kind: exmdb.PermissionModify, Member: exmdb.Member{ID: exmdb.MemberDefault, Rights: exmdb.RightReadAny}}}
	return []causing{
		causes(exmdb.OpCreateFolder, "", func(b *told) *exmdb.CreateFolderRequest { return &exmdb.CreateFolderRequest{Parent: b.a, Name: "new"} }),
		causes(exmdb.OpMoveFolder, "a new name", func(b *told) *exmdb.MoveFolderRequest {
			return &exmdb.MoveFolderRequest{Folder: b.made, Parent: b.a, Name: "renamed"}
		}).after(made),
		causes(exmdb.OpMoveFolder, "a new place", func(b *told) *exmdb.MoveFolderRequest {
			return &exmdb.MoveFolderRequest{Folder: b.made, Parent: b.b, Name: "moved"}
		}).after(made),
		causes(exmdb.OpDeleteFolder, "", func(b *told) *exmdb.DeleteFolderRequest { return &exmdb.DeleteFolderRequest{Folder: b.made} }).after(full),
		causes(exmdb.OpDeleteFolder, "for good", func(b *told) *exmdb.DeleteFolderRequest {
			return &exmdb.DeleteFolderRequest{Folder: b.made, Hard: true}
		}).after(full),
		causes(exmdb.OpRecoverFolder, "", func(b *told) *exmdb.RecoverFolderRequest {
			return &exmdb.RecoverFolderRequest{Folder: b.made, Parent: b.b}
		}).after(shelved),
		causes(exmdb.OpEmptyFolder, "", func(b *told) *exmdb.EmptyFolderRequest { return &exmdb.EmptyFolderRequest{Folder: b.made} }).after(full),
		causes(exmdb.OpCopyFolder, "", func(b *told) *exmdb.CopyFolderRequest {
			return &exmdb.CopyFolderRequest{Folder: b.made, Parent: b.b, Name: fmt.Sprintf("copy%d", b.since)}
		}).after(full),
		causes(exmdb.OpModifyPermissions, "", func(b *told) *exmdb.ModifyPermissionsRequest {
			return &exmdb.ModifyPermissionsRequest{Folder: b.a, Changes: everybody}
		}),
		causes(exmdb.OpSetSearchCriteria, "", func(b *told) *exmdb.SetSearchCriteriaRequest {
			return searching(b.made, static, mapi.AndRestriction{}, b.a)
		}).after(func(b *told) { b.made = b.searchBelow(b.a, "search") }),
	}
}

// submitOps are those of what is sent.
func submitOps() []causing {
	var mid mapi.MID
	written := func(more ...any) func(b *told) {
		return func(b *told) { mid = b.written(more...) }
	}
	submit := func(*told) *exmdb.SubmitRequest {
		return &exmdb.SubmitRequest{Message: mid, Own: []string{"own@example.test"}, Name: "Own"}
	}
	later := mapi.FileTimeOf(time.Unix(2e9, 0))
	return []causing{
		causes(exmdb.OpSubmitMessage, "stays where it is", submit).after(written()),
		causes(exmdb.OpSubmitMessage, "goes to the sent mail", submit).after(written(mapi.PidTagSentMailSvrEID, sentTo(schema.Sent))),
		causes(exmdb.OpSubmitMessage, "is deleted", submit).after(written(mapi.PidTagDeleteAfterSubmit, mapi.Boolean(true))),
		causes(exmdb.OpSubmitMessage, "waits", submit).after(written(mapi.PidTagDeferredSendTime, later)),
		causes(exmdb.OpAbortSubmit, "", func(*told) *exmdb.AbortSubmitRequest { return &exmdb.AbortSubmitRequest{Message: mid} }).after(func(b *told) {
			written(mapi.PidTagDeferredSendTime, later)(b)
			b.submit(mid)
		}),
	}
}

// acrossOps are those of what goes into another mailbox, and of what comes from one.
func acrossOps() []causing {
	crossing := func(b *told, mid mapi.MID) exmdb.Crossing {
		return exmdb.Crossing{Folder: b.a, Message: mid, Mailbox: mapi.NewMailboxID(), As: exmdb.System}
	}
	return []causing{
		with(exmdb.OpCarryAcross, "", func(b *told, mid mapi.MID) *exmdb.CarryAcrossRequest {
			return &exmdb.CarryAcrossRequest{Folder: b.a, Messages: []mapi.MID{mid}, Mailbox: mapi.NewMailboxID(), Target: b.b}
		}),
		with(exmdb.OpTakeIn, "", func(b *told, mid mapi.MID) *exmdb.TakeInRequest {
			c := crossing(b, mid)
			m := call(b.box, exmdb.OpCrossing, &c).Message
			return &exmdb.TakeInRequest{Source: cluster.SpaceID{1}, Number: uint64(b.since), As: exmdb.System, Target: b.b, Message: m}
		}),
		with(exmdb.OpFinishCrossing, "", func(b *told, mid mapi.MID) *exmdb.FinishCrossingRequest {
			c := crossing(b, mid)
			return &exmdb.FinishCrossingRequest{Crossing: c, CN: call(b.box, exmdb.OpCrossing, &c).CN}
		}),
	}
}

// importOps are those of offline clients.
func importOps() []causing {
	var mid mapi.MID
	message := func(b *told) { mid = b.put(b.a) }
	made := func(b *told) { b.folderOf(b.a, fmt.Sprintf("d%d", b.since)) }
	return []causing{
		causes(exmdb.OpImportMessage, "", func(b *told) *exmdb.ImportMessageRequest {
			return &exmdb.ImportMessageRequest{Folder: b.a, SourceKey: b.granted(), Version: someVersion()}
		}),
		causes(exmdb.OpImportMessage, "over one that is there", func(b *told) *exmdb.ImportMessageRequest {
			return &exmdb.ImportMessageRequest{Folder: b.a, SourceKey: b.key(mid.Counter()), Version: someVersion(), Message: subjectEdit("theirs")}
		}).after(message),
		causes(exmdb.OpImportFolder, "", func(b *told) *exmdb.ImportFolderRequest {
			return &exmdb.ImportFolderRequest{Parent: b.a, SourceKey: b.granted(), Version: someVersion(), Name: "imported"}
		}),
		causes(exmdb.OpImportFolder, "over one that was elsewhere", func(b *told) *exmdb.ImportFolderRequest {
			return &exmdb.ImportFolderRequest{Parent: b.b, SourceKey: b.key(b.made.Counter()), Version: laterVersion(), Name: "brought"}
		}).after(made),
		causes(exmdb.OpImportDeletes, "", func(b *told) *exmdb.ImportDeletesRequest {
			return &exmdb.ImportDeletesRequest{Folder: b.a, SourceKeys: [][]byte{b.key(mid.Counter())}}
		}).after(message),
		causes(exmdb.OpImportDeletes, "of a folder", func(b *told) *exmdb.ImportDeletesRequest {
			return &exmdb.ImportDeletesRequest{Folder: b.a, Folders: true, SourceKeys: [][]byte{b.key(b.made.Counter())}}
		}).after(made),
		causes(exmdb.OpImportMove, "", func(b *told) *exmdb.ImportMoveRequest {
			v := someVersion()
			return &exmdb.ImportMoveRequest{Folder: b.b, From: b.a, SourceKey: b.key(mid.Counter()), Target: b.granted(), PCL: v.PCL, ChangeKey: v.ChangeKey}
		}).after(message),
		causes(exmdb.OpImportReadStates, "", func(b *told) *exmdb.ImportReadStatesRequest {
			return &exmdb.ImportReadStatesRequest{Folder: b.a, Changes: []exmdb.ReadStateChange{{SourceKey: b.key(mid.Counter())}}}
		}).after(message),
		causes(exmdb.OpSetReadFlags, "", func(b *told) *exmdb.SetReadFlagsRequest {
			return &exmdb.SetReadFlagsRequest{Folder: b.a, Messages: []mapi.MID{mid}, Flags: exmdb.ReadClear}
		}).after(message),
	}
}

// laterVersion is one that was written after what is there.
func laterVersion() exmdb.ImportedVersion {
	return offlineVersion(time.Unix(2e9, 0))
}

func offlineVersion(at time.Time) exmdb.ImportedVersion {
	client := offline{guid: mapi.NewGUID()}
	return client.edit(nil, at)
}

// quietOps change nothing that notifications are about.
func quietOps() []causing {
	someone := mapi.NewGUID()
	return []causing{
		causes(exmdb.OpSubscribe, "", func(b *told) *exmdb.SubscribeRequest { return &exmdb.SubscribeRequest{Folder: b.a, Subscribed: true} }),
		causes(exmdb.OpNameProperties, "", func(*told) *exmdb.NamesRequest {
			return &exmdb.NamesRequest{Names: []mapi.PropertyName{byLID(mapi.PSETIDTask, 9)}}
		}),
		causes(exmdb.OpSetReceiveFolder, "", func(b *told) *exmdb.SetReceiveFolderRequest {
			return &exmdb.SetReceiveFolderRequest{Class: "IPM.Note.x", Folder: b.a}
		}),
		causes(exmdb.OpLocalReplicaIDs, "", func(*told) *exmdb.LocalReplicaIDsRequest { return &exmdb.LocalReplicaIDsRequest{Count: 3} }),
		causes(exmdb.OpShortTermIDs, "", func(*told) *exmdb.ShortTermIDsRequest {
			return &exmdb.ShortTermIDsRequest{GIDs: []mapi.GID{{Replica: someone, Counter: 7}}}
		}),
		causes(exmdb.OpWritePerUser, "", func(*told) *exmdb.WritePerUserRequest { return &exmdb.WritePerUserRequest{} }),
		causes(exmdb.OpSetReadState, "", func(*told) *exmdb.SetReadStateRequest { return &exmdb.SetReadStateRequest{} }),
		causes(exmdb.OpSetDelegates, "", func(*told) *exmdb.Delegates { return &exmdb.Delegates{} }),
		causes(exmdb.OpChangeDelegate, "", func(*told) *exmdb.DelegateChange { return &exmdb.DelegateChange{User: someone} }),
		causes(exmdb.OpModifyRules, "", func(b *told) *exmdb.ModifyRulesRequest { return &exmdb.ModifyRulesRequest{Folder: b.a, Replace: true} }),
		causes(exmdb.OpDeferred, "", func(*told) *exmdb.DeferredActionsRequest { return &exmdb.DeferredActionsRequest{} }),
		causes(exmdb.OpSetOOF, "", func(*told) *exmdb.OOFSettings { return &exmdb.OOFSettings{} }),
		causes(exmdb.OpSetJunk, "", func(*told) *exmdb.SetJunkRequest { return &exmdb.SetJunkRequest{} }),
		causes(exmdb.OpKeepOrder, "", func(b *told) *exmdb.KeepOrderRequest {
			return &exmdb.KeepOrderRequest{Table: exmdb.TableRequest{Spec: contentsOf(b.a, asc(mapi.PidTagSubject))}}
		}),
		causes(exmdb.OpFinishOutgoing, "", func(*told) *exmdb.OutgoingRequest { return &exmdb.OutgoingRequest{} }),
	}
}

// TestEveryOpIsToldOf does what every op of the table does and reads what is told of it: by whoever watches all, one of the
// folders, or the other.
func TestEveryOpIsToldOf(t *testing.T) {
	list := everyOp()
	known := make(map[exmdb.OpID]bool)
	for i := range list {
		known[list[i].op.ID] = true
	}
	for _, h := range Handlers() {
		if h.Write && !known[h.ID] {
			t.Errorf("%s: nothing says what is told of it", h.Name)
		}
	}
	b := newTold(t)
	var out strings.Builder
	for _, c := range list {
		fmt.Fprintf(&out, "%s", c.op.Name)
		if c.what != "" {
			fmt.Fprintf(&out, ": %s", c.what)
		}
		out.WriteString("\n")
		if c.before != nil {
			c.before(b)
		}
		b.events(nil)
		start := b.since
		c.do(b)
		for _, line := range b.events(nil) {
			fmt.Fprintf(&out, "  %s\n", line)
		}
		for _, fid := range []mapi.FID{b.a, b.b} {
			b.since = start
			for _, line := range b.events([]mapi.FID{fid}) {
				fmt.Fprintf(&out, "    %s: %s\n", b.nameOf(fid), line)
			}
		}
	}
	golden(t, "testdata/notify.txt", out.String())
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *rewrite {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != got {
		t.Errorf("%s is not what happens:\n%s", path, got)
	}
}

// TestEventsAreForgotten: below the floor, in a past that has not been, and above what was given the client starts anew.
func TestEventsAreForgotten(t *testing.T) {
	b := newTold(t)
	ask := func(since mapi.Stamp) *exmdb.EventsResponse {
		return call(b.box, exmdb.OpEvents, &exmdb.EventsRequest{Since: since})
	}
	at := b.since
	b.put(b.a)
	if r := ask(at); r.Overflow || len(r.Events) != 2 {
		t.Fatalf("%+v", r)
	}
	if r := ask(ask(at).Stamp + 1); !r.Overflow || r.Stamp != ask(at).Stamp {
		t.Errorf("from a stamp that was not given: %+v", r)
	}
	b.update(func(t *tx) error {
		t.counters.Floor = at + 1
		return nil
	})
	if r := ask(at); !r.Overflow || len(r.Events) > 0 || r.More || r.Stamp != ask(at+1).Stamp {
		t.Errorf("below the floor: %+v", r)
	}
	if r := ask(at + 1); r.Overflow {
		t.Errorf("at the floor: %+v", r)
	}
	if r := call(b.box, exmdb.OpTableEvents, &exmdb.TableEventsRequest{Table: exmdb.TableRequest{Spec: exmdb.TableSpec{Kind: exmdb.TableHierarchy,
		Object: exmdb.ObjectID{Folder: schema.IPMSubtree}}}, Since: at}); !r.Reload {
		t.Errorf("a table below the floor: %+v", r)
	}
	last := ask(at + 1).Stamp
	b.update(func(t *tx) error { return RaiseEpoch(t.w, 1) })
	if r := ask(last); !r.Overflow {
		t.Errorf("after a restore: %+v", r)
	}
}

// TestEventsRefuse: what is malformed is refused with a kind, and what is not there is no error.
func TestEventsRefuse(t *testing.T) {
	b := newTold(t)
	refused(b.box, exmdb.OpEvents, &exmdb.EventsRequest{Folders: []mapi.FID{mapi.NewFID(7, 0x100)}}, cluster.KindBadRequest)
	refused(b.box, exmdb.OpEvents, &exmdb.EventsRequest{Folders: make([]mapi.FID, exmdb.EventFolders+1)}, cluster.KindBadRequest)
	if r := call(b.box, exmdb.OpEvents, &exmdb.EventsRequest{Folders: []mapi.FID{mapi.LocalFID(0xFFFFFF)}}); len(r.Events) > 0 {
		t.Errorf("%+v", r)
	}
	contents := exmdb.TableSpec{Kind: exmdb.TableContents, Object: exmdb.ObjectID{Folder: b.a}}
	for _, spec := range []exmdb.TableSpec{
		{Kind: 99, Object: contents.Object},
		{Kind: exmdb.TableContents, Object: contents.Object, Restriction: []byte{9, 9}},
		{Kind: exmdb.TableContents, Object: contents.Object, Sort: mapi.SortOrderSet{Orders: []mapi.SortOrder{{Tag: mapi.PidTagInstID}}}},
	} {
		refused(b.box, exmdb.OpTableEvents, &exmdb.TableEventsRequest{Table: exmdb.TableRequest{Spec: spec}}, cluster.KindBadRequest)
	}
	refused(b.box, exmdb.OpTableEvents, &exmdb.TableEventsRequest{Table: exmdb.TableRequest{Spec: exmdb.TableSpec{Kind: exmdb.TableContents,
		Object: exmdb.ObjectID{Folder: mapi.LocalFID(0xFFFFFF)}}}}, exmdb.KindNoFolder)
}

// TestEventsAreOfWhatOneSees has members of a shared mailbox follow it: nobody is told of what he does not see.
func TestEventsAreOfWhatOneSees(t *testing.T) {
	b := newTold(t)
	owner, reader, author, stranger := mapi.NewGUID(), mapi.NewGUID(), mapi.NewGUID(), mapi.NewGUID()
	b.ownedBy(owner)
	grantTo(b.box, b.a, reader, exmdb.RightReadAny)
	grantTo(b.box, b.a, author, exmdb.RightFolderVisible|exmdb.RightCreate|exmdb.RightDeleteOwned)
	grantTo(b.box, b.b, author, exmdb.RightReadAny)
	b.events(nil)
	start := b.since
	as := func(user mapi.GUID) *told {
		other := *b
		inner := *b.box
		inner.as = exmdb.Identity{User: user}
		other.box, other.since = &inner, start
		return &other
	}
	mine, theirs := as(author).put(b.a), b.put(b.a)
	moved := b.put(b.b)
	sub := b.folderOf(b.b, "sub")
	for i, m := range []mapi.MID{mine, theirs, moved} {
		b.messages[m] = []string{"mine", "theirs", "moved"}[i]
	}
	b.nameOf(sub)
	check := func(when string, user mapi.GUID, want ...string) {
		t.Helper()
		if got := as(user).events(nil); strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("%s: told\n%s\nwant\n%s", when, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	const counts = ", 0x36020003, 0x36030003"
	check("the reader of a", reader, "created mine in a", "created theirs in a", "modified folder a below Top of Information Store, 2 messages, 0 unread"+counts)
	check("the author of some in a, who reads b", author, "created mine in a", "modified folder a below Top of Information Store"+counts, "created moved in b",
		"modified folder b below Top of Information Store, 1 messages, 0 unread"+counts, "created folder sub below b, 0 messages, 0 unread")
	b.events(nil)
	start = b.since
	call(b.box, exmdb.OpMoveMessages, &exmdb.CarryMessagesRequest{Folder: b.b, Messages: []mapi.MID{moved}, Target: b.a})
	call(b.box, exmdb.OpDeleteMessages, &exmdb.DeleteMessagesRequest{Folder: b.a, Messages: []mapi.MID{theirs, mine}})
	call(b.box, exmdb.OpDeleteFolder, &exmdb.DeleteFolderRequest{Folder: sub, Hard: true})
	check("the reader", reader, "created m4 in a", "deleted theirs in a", "deleted mine in a", "modified folder a below Top of Information Store, 1 messages, 0 unread"+counts)
	check("the author", author, "deleted moved in b", "modified folder b below Top of Information Store, 0 messages, 0 unread"+counts, "deleted mine in a",
		"modified folder a below Top of Information Store"+counts, "deleted folder sub below b")
	refused(as(stranger).box, exmdb.OpEvents, &exmdb.EventsRequest{Since: start}, exmdb.KindAccessDenied)
}

// TestEventsOfOnesOwnReading: where read state is each user's own, each is told of his.
func TestEventsOfOnesOwnReading(t *testing.T) {
	b := newTold(t)
	users := []mapi.GUID{mapi.NewGUID(), mapi.NewGUID()}
	call(b.box, exmdb.OpSetReadState, &exmdb.SetReadStateRequest{PerUser: true})
	mid := b.put(b.a)
	b.messages[mid] = "it"
	start := call(b.box, exmdb.OpMailboxInfo, &exmdb.Empty{}).Stamp
	for _, u := range users {
		grantTo(b.box, b.a, u, exmdb.RightReadAny)
	}
	var followers []*told
	for _, u := range users {
		one, inner := *b, *b.box
		inner.as = exmdb.Identity{User: u}
		one.box, one.since = &inner, start
		one.events(nil)
		followers = append(followers, &one)
	}
	first := followers[0]
	call(first.box, exmdb.OpMarkMessages, &exmdb.MarkMessagesRequest{Folder: b.a, Messages: []mapi.MID{mid}, Mode: exmdb.FlagsRemove, Flags: exmdb.Flags{Bits: exmdb.FlagSeen}})
	call(first.box, exmdb.OpMarkMessages, &exmdb.MarkMessagesRequest{Folder: b.a, Messages: []mapi.MID{mid}, Mode: exmdb.FlagsAdd, Flags: exmdb.Flags{Bits: exmdb.FlagSeen}})
	want := "modified it in a, 0x0E070003, 0x0E170003; modified folder a below Top of Information Store, 1 messages, 0x36020003, 0x36030003"
	if got := strings.Join(first.events(nil), "; "); got != want {
		t.Errorf("he who read it is told %s", got)
	}
	if got := followers[1].events(nil); len(got) > 0 {
		t.Errorf("the other is told %s", got)
	}
	if got := first.events(nil); len(got) > 0 {
		t.Errorf("told again %s", got)
	}
}

// TestAPageIsWholeStamps: an answer has as many events as are asked for, and no stamp is cut.
func TestAPageIsWholeStamps(t *testing.T) {
	p := newEventPage(3)
	for _, s := range []mapi.Stamp{9, 5, 5, 7, 3, 5, 8, 5} {
		p.add(s, &event{})
	}
	var got []mapi.Stamp
	for _, e := range p.sorted() {
		got = append(got, e.Stamp)
	}
	if !slices.Equal(got, []mapi.Stamp{3, 5, 5, 5, 5}) || p.bound != 5 || !p.cut {
		t.Errorf("%v up to %d, cut %t", got, p.bound, p.cut)
	}
	p = newEventPage(3)
	for _, s := range []mapi.Stamp{9, 3, 5} {
		p.add(s, &event{})
	}
	if p.end(4); len(p.held) != 1 || p.bound != 4 || !p.beyond(5) || p.beyond(4) {
		t.Errorf("%d events up to %d", len(p.held), p.bound)
	}
}

// noted is how many bytes are noted of where things came from, keys included.
func (b *told) noted() (n int) {
	b.t.Helper()
	b.view(func(v *view) error {
		it := v.r.Iter([]byte{schema.PrefixOrigin}, []byte{schema.PrefixOrigin + 1})
		for it.Next() {
			n += len(it.Key()) + len(it.Value())
		}
		return it.Close()
	})
	return n
}

// TestWhatIsNotedIsSmall: nothing for a delivery but a bit in its row, a record for a step however many messages it takes,
// and all of it goes with the tombstones.
func TestWhatIsNotedIsSmall(t *testing.T) {
	b := newTold(t)
	first := b.deliver(text("x"))
	row := b.raw(schema.Inbox, first.UID)
	with := len(row.AppendWire(nil))
	row.Bits &^= schema.RowDelivered
	if n := b.noted(); n > 0 || with-len(row.AppendWire(nil)) > 6 {
		t.Errorf("a delivery: %d bytes noted, a row of %d bytes instead of %d", n, with, len(row.AppendWire(nil)))
	}
	many := []mapi.MID{first.MID}
	for range 500 {
		many = append(many, b.deliver(text("x")).MID)
	}
	for _, step := range []struct {
		what string
		do   func()
		most int
	}{
		{"a copy of one", func() {
			call(b.box, exmdb.OpCopyMessages, &exmdb.CarryMessagesRequest{Folder: schema.Inbox, Messages: many[:1], Target: b.a})
		}, 50},
		{"a move of one", func() {
			call(b.box, exmdb.OpMoveMessages, &exmdb.CarryMessagesRequest{Folder: schema.Inbox, Messages: many[:1], Target: b.a})
		}, 50},
		{"a move of 500", func() {
			call(b.box, exmdb.OpMoveMessages, &exmdb.CarryMessagesRequest{Folder: schema.Inbox, Messages: many[1:], Target: b.b})
		}, 100},
		{"a deletion of 500", func() { call(b.box, exmdb.OpEmptyFolder, &exmdb.EmptyFolderRequest{Folder: b.b, Hard: true}) }, 0},
	} {
		before := b.noted()
		step.do()
		t.Logf("%s: %d bytes", step.what, b.noted()-before)
		if n := b.noted() - before; n > step.most {
			t.Errorf("%s: %d bytes noted", step.what, n)
		}
	}
	for _, later := range []time.Duration{2 * markAge, 2 * tombstoneAge} { // a mark goes when the next is old enough
		b.now = b.now.Add(later)
		call(b.box, exmdb.OpDeleteMessages, &exmdb.DeleteMessagesRequest{Folder: b.a, Messages: []mapi.MID{b.put(b.a)}, Hard: true})
	}
	if n := b.noted(); n > 0 {
		t.Errorf("%d bytes are noted of what is forgotten", n)
	}
}

// TestWhatCameAndWentIsNotTold: who asks from before both hears of neither, who saw it come hears that it went. Where it came and
// went the counts are told.
func TestWhatCameAndWentIsNotTold(t *testing.T) {
	b := newTold(t)
	start := b.since
	mid := b.put(b.a)
	fid := b.folderOf(b.b, "brief")
	b.folderOf(b.folderOf(b.b, "briefer"), "below")
	b.events(nil)
	call(b.box, exmdb.OpDeleteMessages, &exmdb.DeleteMessagesRequest{Folder: b.a, Messages: []mapi.MID{mid}})
	b.nameOf(fid)
	call(b.box, exmdb.OpEmptyFolder, &exmdb.EmptyFolderRequest{Folder: b.b, Folders: true})
	if got := b.events(nil); len(got) != 5 || !strings.HasPrefix(got[0], "deleted m1") || !slices.Contains(got, "deleted folder brief below b") {
		t.Errorf("who saw them is told %q", got)
	}
	b.since = start
	want := []string{"modified folder a below Top of Information Store, 0 messages, 0 unread, 0x36020003, 0x36030003",
		fmt.Sprintf("modified folder b below Top of Information Store, 0 messages, 0 unread, %v", mapi.PidTagDeletedFolderCount)}
	if got := b.events(nil); !slices.Equal(got, want) {
		t.Errorf("who did not is told %q, want %q", got, want)
	}
}
