package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcfxics"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// furnished is a mailbox in which every op finds something to do. Nothing that is tried on it stays.
type furnished struct {
	*box
	folder, deletedFolder, search mapi.FID
	// mail was delivered, deep has a message inside, deleted is soft-deleted; draft may be sent, waiting is to be.
	mail, deep, deleted, draft, waiting mapi.MID
	rule                                uint64
	outgoing                            mapi.ObjectNumber
	content                             [32]byte
	contentIn                           mapi.MID
	sourceKey, granted                  []byte
	rows                                *exmdb.TableRowsResponse
}

// deepEdit makes a message of every part that one has.
func deepEdit() exmdb.MessageEdit {
	return exmdb.MessageEdit{Set: bagOf(mapi.PidTagSubject, mapi.String("RE: x"), mapi.NewTag(0x8000, mapi.TypeMultiString), mapi.Strings{"Red"}, mapi.PidTagMessageFlags, mapi.Integer32(1)),
		Delete: []mapi.Tag{mapi.PidTagBody}, ReplaceRecipients: true, Recipients: []mapi.PropBag{recipient(1, "anna")},
		Attachments: []exmdb.AttachmentEdit{{Number: 1, Embedded: &exmdb.MessageEdit{Set: bagOf(mapi.PidTagBody, mapi.String("x"))}}}}
}

func deepPayload() exmdb.Payload {
	return exmdb.Payload{Names: []mapi.PropertyName{mapi.PidNameKeywords.PropertyName}}
}

func newFurnished(t testing.TB) *furnished {
	s := &furnished{box: newBox(t, 1<<30)}
	s.folder = s.newFolder("folder")
	s.newBelow(s.folder, "below")
	s.mail = s.deliver(sample(t)).MID
	deep := &exmdb.CreateMessageRequest{Folder: schema.Inbox, Message: deepEdit(), Payload: deepPayload()}
	s.deep = s.create(deep).MID
	s.deleted = s.create(deep).MID
	call(s.box, exmdb.OpDeleteMessages, &exmdb.DeleteMessagesRequest{Folder: schema.Inbox, Messages: []mapi.MID{s.deleted}})
	s.deletedFolder = s.newFolder("deleted")
	s.mails(s.deletedFolder, 1)
	call(s.box, exmdb.OpDeleteFolder, &exmdb.DeleteFolderRequest{Folder: s.deletedFolder})
	s.search = s.searchBelow(finder, "found")
	call(s.box, exmdb.OpSetSearchCriteria, searching(s.search, static, aboutOffer, schema.Inbox))
	s.draft = s.written()
	s.waiting = s.written(mapi.PidTagDeferredSendTime, mapi.FileTimeOf(s.now.Add(time.Hour)))
	s.submit(s.waiting)
	s.rule = s.rule1(t)
	s.comes("")
	s.view(func(v *view) error {
		it := v.r.Iter([]byte{schema.PrefixOutgoing}, []byte{schema.PrefixOutgoing + 1})
		if it.Next() {
			s.outgoing = mapi.ObjectNumber(binary.BigEndian.Uint64(it.Key()[1:]))
		}
		return it.Close()
	})
	stored := large(3, 30_000)
	s.content = stored.Recipe.Segments[1].Chunks[0].Hash
	s.contentIn = s.deliver(stored).MID
	s.sourceKey, s.granted = s.key(s.mail.Counter()), s.box.granted()
	s.rows = call(s.box, exmdb.OpTableRows, &exmdb.TableRowsRequest{Table: exmdb.TableRequest{Spec: contentsOf(schema.Inbox)}, From: beginning, Count: 2})
	return s
}

func (s *furnished) rule1(t testing.TB) uint64 {
	return s.box.rule(schema.Inbox, aboutOffer, forwardTo("carl@far.test"), copyTo(s.folder))
}

// request is one that is answered, and not refused.
type request struct {
	op  exmdb.OpInfo
	req any
}

func asks[Q, R any](op exmdb.Op[Q, R], req *Q) request { return request{op.OpInfo, req} }

// requests are of every op at least one.
func (s *furnished) requests() []request {
	list := s.objectRequests()
	list = append(list, s.mailRequests()...)
	list = append(list, s.lifecycleRequests()...)
	list = append(list, s.tableRequests()...)
	list = append(list, s.syncRequests()...)
	return append(list, s.acrossRequests()...)
}

func (s *furnished) mailRequests() []request {
	flags := exmdb.Flags{Bits: exmdb.FlagFlagged, Keywords: []string{"word"}}
	all := []exmdb.UIDRange{{First: 1, Last: 9}}
	delivery := s.incomingMail("X-Kept: yes\r\n")
	props := bagOf(mapi.PidTagSubject, mapi.String("x"))
	delivery.Message.Props = props.AppendWire(nil)
	known := exmdb.KnownAddress{Address: "anna@example.test", LegacyDN: "/o=x/cn=anna", Name: "Anna"}
	delivery.About.Known, delivery.About.Delegator = []exmdb.KnownAddress{known}, &known
	delivery.About.Memberships = []exmdb.Membership{{LegacyDN: known.LegacyDN, Lists: []mapi.GUID{{1}}}}
	delivery.Source, delivery.Number, delivery.Key = cluster.SpaceID{9}, 4, [32]byte{5}
	return []request{
		asks(exmdb.OpMailboxInfo, &exmdb.Empty{}),
		asks(exmdb.OpSetQuota, &exmdb.SetQuotaRequest{Quota: 1 << 30, Warn: 1 << 20, Send: 1 << 29}),
		asks(exmdb.OpListFolders, &exmdb.ListFoldersRequest{After: schema.Inbox}),
		asks(exmdb.OpFolder, &exmdb.FolderRequest{Folder: s.folder}),
		asks(exmdb.OpCreateFolder, &exmdb.CreateFolderRequest{Parent: s.folder, Name: "new", Class: "IPF.Note", Subscribe: true}),
		asks(exmdb.OpMoveFolder, &exmdb.MoveFolderRequest{Folder: s.folder, Parent: schema.Inbox, Name: "moved"}),
		asks(exmdb.OpDeleteFolder, &exmdb.DeleteFolderRequest{Folder: s.folder, Recursive: true}),
		asks(exmdb.OpSubscribe, &exmdb.SubscribeRequest{Folder: s.folder, Subscribed: true}),
		asks(exmdb.OpDeliver, delivery),
		asks(exmdb.OpDeliver, &exmdb.DeliverRequest{Message: asReceived(s.t, rand.New(rand.NewPCG(1, 2))), Received: s.now}),
		asks(exmdb.OpAppend, &exmdb.AppendRequest{Folder: schema.Drafts, Message: large(5, 300), Received: s.now, Flags: flags}),
		asks(exmdb.OpRows, &exmdb.RowsRequest{Folder: schema.Inbox, UIDs: all, Fields: exmdb.RowFlags | exmdb.RowMeta | exmdb.RowDigest}),
		asks(exmdb.OpUIDs, &exmdb.UIDsRequest{Folder: schema.Inbox, From: 1}),
		asks(exmdb.OpReadBytes, &exmdb.ReadBytesRequest{Folder: schema.Inbox, UID: 1, Offset: 3, Length: 20}),
		asks(exmdb.OpSetFlags, &exmdb.SetFlagsRequest{Folder: schema.Inbox, UIDs: all, Mode: exmdb.FlagsAdd, Flags: flags, Conditional: true, UnchangedSince: 1 << 20}),
		asks(exmdb.OpCopy, &exmdb.CopyRequest{Folder: schema.Inbox, UIDs: all, Target: s.folder}),
		asks(exmdb.OpMove, &exmdb.CopyRequest{Folder: schema.Inbox, UIDs: all, Target: s.folder}),
		asks(exmdb.OpExpunge, &exmdb.ExpungeRequest{Folder: schema.Inbox, UIDs: all, All: true}),
		asks(exmdb.OpChanges, &exmdb.ChangesRequest{Folder: schema.Inbox, Since: 1, Fields: exmdb.RowFlags, Limit: 7}),
	}
}

func (s *furnished) objectRequests() []request {
	inside := exmdb.ObjectID{Message: s.deep, Attachments: []uint32{1}, Embedded: true}
	names, payload, edit := deepPayload().Names, deepPayload(), deepEdit()
	some := []mapi.MID{s.mail, s.deep}
	carried := &exmdb.CarryMessagesRequest{Folder: schema.Inbox, Messages: some, Target: s.folder}
	return []request{
		asks(exmdb.OpReadProps, &exmdb.ReadPropsRequest{Object: inside, Tags: []mapi.Tag{mapi.PidTagSubject}, Names: true}),
		asks(exmdb.OpReadProps, &exmdb.ReadPropsRequest{}),
		asks(exmdb.OpReadProps, &exmdb.ReadPropsRequest{Object: exmdb.ObjectID{Folder: schema.Inbox}}),
		asks(exmdb.OpWriteProps, &exmdb.WritePropsRequest{Object: exmdb.ObjectID{Folder: schema.Inbox}, Set: bagOf(mapi.PidTagComment, mapi.String("x"), mapi.PidTagDisplayName, mapi.String("Inbox"))}),
		asks(exmdb.OpWriteProps, &exmdb.WritePropsRequest{Set: bagOf(mapi.PidTagComment, mapi.String("x"), mapi.PidTagOutOfOfficeState, mapi.Boolean(true)), Delete: []mapi.Tag{mapi.PidTagSubject}}),
		asks(exmdb.OpWriteProps, &exmdb.WritePropsRequest{Object: inside, Set: edit.Set, Payload: payload}),
		asks(exmdb.OpCreateMessage, &exmdb.CreateMessageRequest{Folder: schema.Inbox, Message: edit, Payload: payload}),
		asks(exmdb.OpCreateMessage, &exmdb.CreateMessageRequest{Folder: schema.Inbox, Associated: true, Message: subjectEdit("x")}),
		asks(exmdb.OpReadMessage, &exmdb.ReadMessageRequest{Object: exmdb.ObjectID{Message: s.deep}, Nested: true, Names: true}),
		asks(exmdb.OpReadMessage, &exmdb.ReadMessageRequest{Object: exmdb.ObjectID{Message: s.deleted, Deleted: true}}),
		asks(exmdb.OpSaveMessage, &exmdb.SaveMessageRequest{Message: s.deep, Edit: edit, Payload: payload, Force: true}),
		asks(exmdb.OpReadValue, &exmdb.ReadValueRequest{Object: inside, Tag: mapi.PidTagBody, Length: 9}),
		asks(exmdb.OpPropertyIDs, &exmdb.NamesRequest{Names: names}),
		asks(exmdb.OpNameProperties, &exmdb.NamesRequest{Names: []mapi.PropertyName{byLID(mapi.PSETIDTask, 9), byString(mapi.PSETIDTask, "x")}}),
		asks(exmdb.OpPropertyNames, &exmdb.PropertyNamesRequest{IDs: []uint16{0x8000}}),
		asks(exmdb.OpReceiveFolder, &exmdb.ReceiveFolderRequest{Class: "IPM.Note"}),
		asks(exmdb.OpSetReceiveFolder, &exmdb.SetReceiveFolderRequest{Class: "IPM.X", Folder: schema.Sent}),
		asks(exmdb.OpReceiveFolders, &exmdb.Empty{}),
		asks(exmdb.OpLocalReplicaIDs, &exmdb.LocalReplicaIDsRequest{Count: 7}),
		asks(exmdb.OpLongTermIDs, &exmdb.LongTermIDsRequest{IDs: []uint64{uint64(s.mail), uint64(s.folder)}}),
		asks(exmdb.OpShortTermIDs, &exmdb.ShortTermIDsRequest{GIDs: []mapi.GID{{Replica: mapi.GUID{1}, Counter: 5}}}),
		asks(exmdb.OpMarkMessages, &exmdb.MarkMessagesRequest{Folder: schema.Inbox, Messages: some, Mode: exmdb.FlagsAdd, Flags: exmdb.Flags{Bits: exmdb.FlagSeen}}),
		asks(exmdb.OpPerUser, &exmdb.PerUserRequest{Folder: mapi.GID{Replica: mapi.GUID{1}, Counter: 5}}),
		asks(exmdb.OpWritePerUser, &exmdb.WritePerUserRequest{Folder: mapi.GID{Replica: mapi.GUID{1}, Counter: 5}, Replica: mapi.GUID{1},
			Data: oxcfxics.AppendIDSET(nil, mapi.IDSETOfIDs([]mapi.GID{{Replica: mapi.GUID{1}, Counter: 9}}))}),
		asks(exmdb.OpPerUserFolders, &exmdb.PerUserFoldersRequest{Replica: mapi.GUID{1}}),
		asks(exmdb.OpSetReadFlags, &exmdb.SetReadFlagsRequest{Folder: schema.Inbox, Messages: some, Flags: exmdb.ReadSuppressReceipt}),
		asks(exmdb.OpCopyMessages, carried),
		asks(exmdb.OpMoveMessages, carried),
		asks(exmdb.OpLocate, &exmdb.LocateRequest{Messages: some, Objects: []mapi.ObjectNumber{1, 2}}),
	}
}

func (s *furnished) lifecycleRequests() []request {
	someone, yes := mapi.GUID{7}, true
	inbox := &exmdb.FolderRequest{Folder: schema.Inbox}
	return []request{
		asks(exmdb.OpPermissions, inbox),
		asks(exmdb.OpModifyPermissions, &exmdb.ModifyPermissionsRequest{Folder: s.folder, FreeBusy: true, Changes: []exmdb.PermissionChange{
			permission(exmdb.PermissionAdd, 0, someone, exmdb.RightReadAny), permission(exmdb.PermissionModify, exmdb.MemberDefault, mapi.GUID{}, exmdb.RightFolderVisible)}}),
		asks(exmdb.OpEffectiveRights, &exmdb.EffectiveRightsRequest{Folders: []mapi.FID{s.folder, schema.Inbox}}),
		asks(exmdb.OpDeleteMessages, &exmdb.DeleteMessagesRequest{Folder: schema.Inbox, Messages: []mapi.MID{s.mail, s.deep}, Hard: true, NotifyUnread: true}),
		asks(exmdb.OpDeleted, &exmdb.DeletedRequest{Folder: schema.Inbox, Limit: 9, Tags: []mapi.Tag{mapi.PidTagSubject}}),
		asks(exmdb.OpRecoverMessages, &exmdb.CarryMessagesRequest{Folder: schema.Inbox, Messages: []mapi.MID{s.deleted}, Target: s.folder}),
		asks(exmdb.OpPurgeDeleted, &exmdb.PurgeDeletedRequest{Folder: schema.Inbox, Messages: []mapi.MID{s.deleted}}),
		asks(exmdb.OpDeletedFolders, &exmdb.DeletedFoldersRequest{}),
		asks(exmdb.OpRecoverFolder, &exmdb.RecoverFolderRequest{Folder: s.deletedFolder, Parent: s.folder, Name: "again"}),
		asks(exmdb.OpEmptyFolder, &exmdb.EmptyFolderRequest{Folder: schema.Inbox, Hard: true, Associated: true, Folders: true}),
		asks(exmdb.OpEmptyFolder, &exmdb.EmptyFolderRequest{Folder: schema.Inbox, Cursor: exmdb.EmptyCursor{Next: 2, End: 3, Begun: true}}),
		asks(exmdb.OpCopyFolder, &exmdb.CopyFolderRequest{Folder: schema.Inbox, Parent: s.folder, Name: "copy", Recursive: true}),
		asks(exmdb.OpSendRights, &exmdb.Empty{}),
		asks(exmdb.OpDelegates, &exmdb.Empty{}),
		asks(exmdb.OpSetDelegates, &exmdb.Delegates{Members: []exmdb.Delegate{{User: someone, Name: "Bert", SendOnBehalf: true, SeePrivate: true}}}),
		asks(exmdb.OpSetReadState, &exmdb.SetReadStateRequest{PerUser: true}),
		asks(exmdb.OpChangeDelegate, &exmdb.DelegateChange{User: someone, Name: "Bert", SendOnBehalf: &yes, SeePrivate: &yes}),
		asks(exmdb.OpReminders, &exmdb.RemindersRequest{Until: s.now, Limit: 9}),
		asks(exmdb.OpSubmitMessage, &exmdb.SubmitRequest{Message: s.draft, Own: []string{"own@example.test"}, Name: "Own"}),
		asks(exmdb.OpAbortSubmit, &exmdb.AbortSubmitRequest{Message: s.waiting}),
		asks(exmdb.OpDeleteMailbox, &exmdb.Empty{}),
		asks(exmdb.OpGetRules, &exmdb.GetRulesRequest{Folder: schema.Inbox}),
		asks(exmdb.OpModifyRules, s.ruleChanges()),
		asks(exmdb.OpDeferred, &exmdb.DeferredActionsRequest{Server: []byte("server"), Client: []byte("client")}),
		asks(exmdb.OpOOF, &exmdb.Empty{}),
		asks(exmdb.OpSetOOF, &exmdb.OOFSettings{State: exmdb.OOFScheduled, Audience: exmdb.OOFAll, Start: s.now, End: s.now.Add(time.Hour),
			Internal: exmdb.ReplyText{Plain: "away", Language: "de"}, External: exmdb.ReplyText{HTML: "<p>away"}}),
		asks(exmdb.OpJunk, &exmdb.Empty{}),
		asks(exmdb.OpSetJunk, &exmdb.SetJunkRequest{Settings: &exmdb.JunkSettings{Threshold: 6, TrustContacts: true}, Clear: []exmdb.JunkList{exmdb.JunkBlocked},
			Add: []exmdb.JunkEntry{{List: exmdb.JunkSafeSenders, Entry: "a@b.test"}}, Remove: []exmdb.JunkEntry{{List: exmdb.JunkBlocked, Entry: "c.test"}}}),
		asks(exmdb.OpOutgoing, &exmdb.OutgoingRequest{Number: s.outgoing}),
		asks(exmdb.OpReadOutgoing, &exmdb.ReadOutgoingRequest{Number: s.outgoing, Length: 9}),
		asks(exmdb.OpFinishOutgoing, &exmdb.OutgoingRequest{Number: s.outgoing}),
	}
}

// ruleChanges adds a rule with an action of every form, changes one and removes one.
func (s *furnished) ruleChanges() *exmdb.ModifyRulesRequest {
	added := ruleBag(s.t, mapi.AndRestriction{aboutOffer, &mapi.NotRestriction{Of: is(mapi.RelOpGE, mapi.PidTagImportance, mapi.Integer32(2))}},
		moveTo(s.folder), forwardTo("x@far.test"), tagWith(mapi.PidTagImportance, mapi.Integer32(2)), deferIt, bounceIt, markRead, deleteIt)
	changed := ruleBag(s.t, nil, markRead)
	changed.Set(mapi.PidTagRuleId, mapi.Integer64(s.rule))
	return &exmdb.ModifyRulesRequest{Folder: schema.Inbox, Changes: []exmdb.RuleChange{{Kind: exmdb.RuleAdd, Props: added}, {Kind: exmdb.RuleModify, Props: changed},
		{Kind: exmdb.RuleRemove, Props: bagOf(mapi.PidTagRuleId, mapi.Integer64(s.rule))}}}
}

// everyRestriction has one of each kind.
func everyRestriction() mapi.Restriction {
	return mapi.OrRestriction{
		mapi.AndRestriction{aboutOffer, is(mapi.RelOpGE, mapi.PidTagImportance, mapi.Integer32(1))},
		&mapi.NotRestriction{Of: &mapi.ExistRestriction{Tag: mapi.PidTagBody}},
		&mapi.ComparePropertiesRestriction{Op: mapi.RelOpEQ, Left: mapi.PidTagSubject, Right: mapi.PidTagConversationTopic},
		&mapi.BitMaskRestriction{Tag: mapi.PidTagMessageFlags, Mask: 1},
		&mapi.SizeRestriction{Op: mapi.RelOpGT, Tag: mapi.PidTagBody, Size: 1},
		&mapi.SubObjectRestriction{Tag: mapi.PidTagMessageRecipients, Of: textIn(mapi.PidTagDisplayName, "anna")},
		&mapi.CommentRestriction{Values: []mapi.Prop{{Tag: mapi.PidTagComment, Value: mapi.String("x")}}, Of: aboutOffer},
	}
}

func (s *furnished) tableRequests() []request {
	spec := restricted(contentsOf(schema.Inbox, asc(mapi.PidTagSenderName), desc(mapi.PidTagMessageDeliveryTime)), everyRestriction())
	spec.Sort.Categories, spec.Sort.Expanded, spec.Toggled = 1, 1, []uint64{exmdb.HeadingID(7)}
	grouped := exmdb.TableRequest{Spec: spec, Columns: []mapi.Tag{mapi.PidTagMid, mapi.PidTagSubject}, MaxValue: 20}
	plain := exmdb.TableRequest{Spec: contentsOf(schema.Inbox), Columns: grouped.Columns}
	place := exmdb.TablePosition{Origin: exmdb.TablePlace, Place: s.rows.After, Offset: 1}
	part := exmdb.TablePosition{Origin: exmdb.TableFraction, Numerator: 1, Denominator: 2}
	deleted := exmdb.TableRequest{Spec: spec, Columns: []mapi.Tag{mapi.PidTagDeletedOn}}
	deleted.Spec.Kind = exmdb.TableDeleted
	list := []request{
		asks(exmdb.OpTableFind, &exmdb.TableFindRequest{Table: deleted, From: part, Restriction: oxcdata.AppendRestriction(nil, everyRestriction())}),
		asks(exmdb.OpTableChanges, &exmdb.TableChangesRequest{Table: exmdb.TableRequest{Spec: listOf(exmdb.TableDeleted, schema.Inbox)}, Since: 1}),
		asks(exmdb.OpTableRows, &exmdb.TableRowsRequest{Table: exmdb.TableRequest{Spec: listOf(exmdb.TableDeletedFolders, s.deletedFolder)}, From: beginning, Count: 10}),
		asks(exmdb.OpTableRows, &exmdb.TableRowsRequest{Table: grouped, From: part, Count: 10}),
		asks(exmdb.OpTableRows, &exmdb.TableRowsRequest{Table: plain, From: place, Count: 10, Backward: true}),
		asks(exmdb.OpTableSeek, &exmdb.TableSeekRequest{Table: plain, From: exmdb.TablePosition{Origin: exmdb.TableRowAt, Row: s.rows.Rows[1].ID, Offset: -1}}),
		asks(exmdb.OpTableFind, &exmdb.TableFindRequest{Table: plain, From: beginning, Restriction: oxcdata.AppendRestriction(nil, everyRestriction())}),
		asks(exmdb.OpTableChanges, &exmdb.TableChangesRequest{Table: plain, Since: 1}),
		asks(exmdb.OpTableEvents, &exmdb.TableEventsRequest{Table: plain, Since: 1}),
		asks(exmdb.OpTableColumns, &exmdb.TableColumnsRequest{Table: plain}),
		asks(exmdb.OpSetSearchCriteria, searching(s.search, static|exmdb.SearchRecursive, everyRestriction(), schema.Inbox, s.folder)),
		asks(exmdb.OpSearchCriteria, &exmdb.FolderRequest{Folder: s.search}),
		asks(exmdb.OpNarrow, &exmdb.NarrowRequest{Folder: schema.Inbox, Query: exmdb.TextQuery{All: []exmdb.TextQuery{{Fields: exmdb.TextSubject, Text: "offer"},
			{Any: []exmdb.TextQuery{{Fields: exmdb.TextBody | exmdb.TextFrom, Text: "words"}}}}}}),
		asks(exmdb.OpKeepOrder, &exmdb.KeepOrderRequest{Table: grouped}),
		asks(exmdb.OpEvents, &exmdb.EventsRequest{Since: 1, Limit: 9, Folders: []mapi.FID{schema.Inbox}}),
	}
	for _, kind := range []exmdb.TableKind{exmdb.TableAssociated, exmdb.TableHierarchy, exmdb.TablePermissions, exmdb.TableRules,
		exmdb.TableDeleted, exmdb.TableDeletedAssociated, exmdb.TableDeletedFolders} {
		table := exmdb.TableRequest{Spec: listOf(kind, schema.Inbox), Columns: []mapi.Tag{mapi.PidTagDisplayName}}
		table.Spec.Depth = kind == exmdb.TableHierarchy || kind == exmdb.TableDeletedFolders
		list = append(list, asks(exmdb.OpTableRows, &exmdb.TableRowsRequest{Table: table, From: beginning, Count: 10}))
	}
	for _, kind := range []exmdb.TableKind{exmdb.TableAttachments, exmdb.TableRecipients} {
		table := exmdb.TableRequest{Spec: exmdb.TableSpec{Kind: kind, Object: exmdb.ObjectID{Message: s.deep}}, Columns: []mapi.Tag{mapi.PidTagDisplayName}}
		list = append(list, asks(exmdb.OpTableRows, &exmdb.TableRowsRequest{Table: table, From: beginning, Count: 10}))
	}
	return list
}

func (s *furnished) syncRequests() []request {
	scope := exmdb.SyncScope{Flags: syncAll | exmdb.SyncWhole | exmdb.SyncProgress, Restriction: oxcdata.AppendRestriction(nil, aboutOffer), Tags: []mapi.Tag{mapi.PidTagSubject}}
	seen := s.idsOf(s.mail, s.deep)
	version := someVersion()
	return []request{
		asks(exmdb.OpSyncContents, &exmdb.SyncContentsRequest{Folder: schema.Inbox, Scope: scope, Seen: seen, SeenFAI: seen, Read: seen, Holds: true}),
		asks(exmdb.OpSyncContents, &exmdb.SyncContentsRequest{Folder: schema.Inbox, Scope: scope, Given: seen, Holds: true, Cursor: exmdb.SyncCursor{Phase: exmdb.SyncCompare, Stamp: 1}}),
		asks(exmdb.OpSyncHierarchy, &exmdb.SyncHierarchyRequest{Folder: schema.IPMSubtree, State: oxcfxics.State{Given: seen, Seen: seen}, Tags: []mapi.Tag{mapi.PidTagComment}, Limit: 5}),
		asks(exmdb.OpImportMessage, &exmdb.ImportMessageRequest{Folder: schema.Inbox, SourceKey: s.granted, Version: version, Message: deepEdit(), Payload: deepPayload()}),
		asks(exmdb.OpImportMessage, &exmdb.ImportMessageRequest{Folder: schema.Inbox, SourceKey: s.sourceKey, Version: version, Message: subjectEdit("x")}),
		asks(exmdb.OpImportFolder, &exmdb.ImportFolderRequest{Parent: schema.IPMSubtree, SourceKey: s.granted, Version: version, Name: "imported", Set: bagOf(mapi.PidTagComment, mapi.String("x"))}),
		asks(exmdb.OpImportDeletes, &exmdb.ImportDeletesRequest{Folder: schema.Inbox, SourceKeys: [][]byte{s.sourceKey, s.granted}}),
		asks(exmdb.OpImportDeletes, &exmdb.ImportDeletesRequest{Folder: schema.IPMSubtree, Folders: true, SourceKeys: [][]byte{s.key(s.folder.Counter())}}),
		asks(exmdb.OpImportMove, &exmdb.ImportMoveRequest{Folder: s.folder, From: schema.Inbox, SourceKey: s.sourceKey, Target: s.granted, PCL: version.PCL, ChangeKey: version.ChangeKey}),
		asks(exmdb.OpImportReadStates, &exmdb.ImportReadStatesRequest{Folder: schema.Inbox, Changes: []exmdb.ReadStateChange{{SourceKey: s.sourceKey, Read: true}, {SourceKey: s.granted}}}),
	}
}

func (s *furnished) acrossRequests() []request {
	crossing := exmdb.Crossing{Folder: schema.Inbox, Message: s.deep, Mailbox: mapi.MailboxID{1}, Target: schema.Inbox, As: exmdb.System}
	edit := deepEdit()
	content := exmdb.MessageContent{Props: bagOf(mapi.PidTagSubject, mapi.String("x")), Recipients: edit.Recipients, Attachments: []exmdb.Attachment{{Number: 1, IsMessage: true, Embedded: &exmdb.MessageContent{}}}}
	body := text("Subject: x\r\n\r\n")
	take := exmdb.TakeInRequest{Source: cluster.SpaceID{1}, Number: 1, As: exmdb.System, Target: schema.Inbox}
	received, born := take, take
	received.Message = exmdb.CarriedMessage{Body: &body, Content: content, HasRecipients: true, Names: []exmdb.NamedID{{ID: 0x8000, Name: deepPayload().Names[0]}}}
	born.Message = exmdb.CarriedMessage{Marks: uint32(schema.RowAssociated | schema.RowBorn), Content: content, HasRecipients: true}
	return []request{
		asks(exmdb.OpTakeIn, &received),
		asks(exmdb.OpTakeIn, &born),
		asks(exmdb.OpCrossing, &crossing),
		asks(exmdb.OpReadCrossing, &exmdb.ReadCrossingRequest{Hash: s.content}),
		asks(exmdb.OpFinishCrossing, &exmdb.FinishCrossingRequest{Crossing: crossing, CN: 1}),
		asks(exmdb.OpCarryAcross, &exmdb.CarryAcrossRequest{Folder: schema.Inbox, Messages: []mapi.MID{s.mail, s.deep}, Mailbox: mapi.MailboxID{1}, Target: schema.Inbox}),
		asks(exmdb.OpCreateMailbox, &exmdb.CreateMailboxRequest{Kind: exmdb.MailboxUser, Owner: mapi.GUID{3}, Language: "de", Quota: 1 << 30}),
	}
}

// errTried takes an update back.
var errTried = errors.New("tried")

// attempt gives an op a request as it comes. Whatever the op does is looked at and taken back, so that the next one finds the
// mailbox as it was. refusal is the op's, fault what must not be.
func (s *furnished) attempt(h Handler, req []byte) (refusal, fault error) {
	ctx := context.Background()
	as := exmdb.System
	if h.View != nil {
		fault = s.rep.View(ctx, s.id, space.ReadLease, func(r space.Reader) error {
			refusal = guarded(func() error { _, err := h.View(r, &as, req); return err })
			return nil
		})
		return refusal, errors.Join(fault, unkind(refusal))
	}
	run := func(w space.Writer) ([]byte, error) {
		refusal = guarded(func() error { _, err := h.Run(w, &as, req); return err })
		if refusal == nil {
			fault = audited(w)
		}
		return nil, errTried
	}
	var err error
	if h.ID == exmdb.OpCreateMailbox.ID {
		_, err = s.rep.Create(ctx, cluster.SpaceID(mapi.NewMailboxID()), 1, cluster.RequestID{}, run)
	} else {
		_, err = s.rep.Update(ctx, s.id, cluster.RequestID{}, run)
	}
	if !errors.Is(err, errTried) {
		return refusal, fmt.Errorf("not taken back: %w", err)
	}
	return refusal, errors.Join(fault, unkind(refusal))
}

// void reports whether the effect is void, because a mailbox refers to content that the group does not have.
func void(r space.Reader) (is bool, err error) {
	it := r.Iter([]byte{schema.PrefixContent}, []byte{schema.PrefixContent + 1})
	defer func() { err = errors.Join(err, it.Close()) }()
	for it.Next() {
		if _, err := r.Content(space.Hash(it.Key()[1:])); err != nil {
			return true, nil
		}
	}
	return false, nil
}

// guarded makes a panic an error without a kind.
func guarded(fn func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return fn()
}

// unkind is an error that says nothing to a client, or that blames the store for what was asked.
func unkind(err error) error {
	if kind := cluster.KindOf(err); err != nil && (kind == cluster.KindInternal || kind == cluster.KindDamaged) {
		return err
	}
	return nil
}

// audited reads a mailbox whole, as an op leaves it.
func audited(r space.Reader) error {
	v, err := New(steady()).open(r, &exmdb.System, rightRead)
	if cluster.KindOf(err) == exmdb.KindNoMailbox && err != nil {
		return nil // it was deleted
	}
	if err != nil {
		return err
	}
	if is, err := void(r); is || err != nil {
		return err
	}
	wrong, err := audit(v)
	for _, w := range wrong {
		err = errors.Join(err, errors.New(w))
	}
	return err
}

// cuts and flips bound how often one request is spoiled in either way.
const (
	cuts  = 300
	flips = 120
)

// spoiled calls fn with a request cut short everywhere, and with bytes changed.
func spoiled(rng *rand.Rand, req []byte, fn func([]byte)) {
	step := 1 + len(req)/cuts
	for n := 0; n < len(req); n += step {
		fn(req[:n])
	}
	tries := flips
	if testing.Short() {
		tries /= 3
	}
	for range min(tries, 20*len(req)) {
		b := append([]byte{}, req...)
		for range 1 + rng.IntN(3) {
			at := rng.IntN(len(b))
			switch rng.IntN(4) {
			case 0:
				b[at] ^= 1 << rng.IntN(8)
			case 1:
				b[at] = byte(rng.IntN(256))
			case 2:
				b[at] = 0xFF
			default:
				b[at]++
			}
		}
		fn(b)
	}
}

// TestMalformedRequests: of every op a request that is answered; cut short or changed it is answered or refused with a kind, and
// the books are kept.
func TestMalformedRequests(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 3))
	s := newFurnished(t)
	known := make(map[exmdb.OpID]bool)
	for i, r := range s.requests() {
		known[r.op.ID] = true
		h, req := table[r.op.ID], wire.Marshal(r.req)
		if refusal, fault := s.attempt(h, req); refusal != nil || fault != nil {
			t.Errorf("%s, request %d: %v, %v", h.Name, i, refusal, fault)
			continue
		}
		spoiled(rng, req, func(b []byte) {
			if _, fault := s.attempt(h, b); fault != nil {
				t.Errorf("%s, request %d: %v\nof %x", h.Name, i, fault, b)
			}
		})
	}
	for _, h := range table {
		if !known[h.ID] {
			t.Errorf("%s: no request of it is known", h.Name)
		}
	}
	s.audit("after all")
}
