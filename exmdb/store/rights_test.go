package store

import (
	"maps"
	"slices"
	"testing"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"
)

// allTwelve are the rights of MS-OXCPERM 2.2.7.
var allTwelve = []exmdb.FolderRights{exmdb.RightReadAny, exmdb.RightCreate, exmdb.RightEditOwned, exmdb.RightDeleteOwned, exmdb.RightEditAny,
	exmdb.RightDeleteAny, exmdb.RightCreateSubfolder, exmdb.RightFolderOwner, exmdb.RightFolderContact, exmdb.RightFolderVisible,
	exmdb.RightFreeBusySimple, exmdb.RightFreeBusyDetailed}

// scene is a mailbox with two folders and an item in the first, in which the ops are tried.
type scene struct {
	box
	source, below, target mapi.FID
	item                  mapi.MID
	uid                   mapi.UID
}

// place is a folder of the scene.
type place string

const (
	source place = "source"
	target place = "target"
)

// wanted right: in one folder one of any is enough for all items, one of own for the caller's.
type wants struct {
	where    place
	any, own exmdb.FolderRights
}

// trial is what the matrix expects of one op: a try of it, and who may. what the try returns is whether the op did
// anything to the item.
type trial struct {
	// system: nobody but the system; whole: the owner as well; somewhere: whoever has one of these in any folder;
	// everyone: all. Else wants say it.
	system, whole, everyone bool
	somewhere               exmdb.FolderRights
	wants                   []wants
	// wrecks: the op leaves folders in which nothing more can be tried.
	wrecks bool
	try    func(s *scene) (done bool, err error)
}

const (
	seeing   = exmdb.RightReadAny | exmdb.RightFolderVisible | exmdb.RightFolderOwner
	changing = exmdb.RightCreate | exmdb.RightEditOwned | exmdb.RightEditAny | exmdb.RightFolderOwner
)

// What is wanted, in the words of the specification and not of the table that is tried.
var (
	reading   = wants{where: source, any: exmdb.RightReadAny, own: seeing}
	editing   = wants{where: source, any: exmdb.RightEditAny, own: exmdb.RightEditOwned}
	passingOn = wants{where: source, any: exmdb.RightReadAny, own: exmdb.AllRights}
	deleting  = wants{where: source, any: exmdb.RightDeleteAny, own: exmdb.RightDeleteOwned}
	owning    = wants{where: source, any: exmdb.RightFolderOwner}
	beingSeen = wants{where: source, any: seeing}
	creating  = wants{where: target, any: exmdb.RightCreate}
	nestingIn = wants{where: target, any: exmdb.RightCreateSubfolder}
)

// does tries an op; the item is touched if it succeeds, or if did says so of the answer.
func does[Q, R any](op exmdb.Op[Q, R], q func(s *scene) *Q, did ...func(*R) bool) func(*scene) (bool, error) {
	return func(s *scene) (bool, error) {
		r, err := try(&s.box, op, q(s))
		return err == nil && (len(did) == 0 || did[0](r)), err
	}
}

// reaches tries an op that is refused for another reason than rights where these are enough.
func reaches[Q, R any](op exmdb.Op[Q, R], q func(s *scene) *Q, refusal cluster.Kind) func(*scene) (bool, error) {
	return func(s *scene) (bool, error) {
		_, err := try(&s.box, op, q(s))
		if cluster.KindOf(err) == refusal && err != nil {
			return true, nil
		}
		return false, err
	}
}

func inSource(s *scene) *exmdb.FolderRequest { return &exmdb.FolderRequest{Folder: s.source} }

func toCopy(s *scene) *exmdb.CopyRequest {
	return &exmdb.CopyRequest{Folder: s.source, UIDs: ranges(s.uid), Target: s.target}
}

func copied(r *exmdb.CopyResponse) bool { return len(r.Source) > 0 }

func storing(mode exmdb.FlagMode, bits exmdb.FlagBits, keywords ...string) func(*scene) (bool, error) {
	return does(exmdb.OpSetFlags, func(s *scene) *exmdb.SetFlagsRequest {
		return &exmdb.SetFlagsRequest{Folder: s.source, UIDs: ranges(s.uid), Mode: mode, Flags: exmdb.Flags{Bits: bits, Keywords: keywords}}
	}, func(r *exmdb.SetFlagsResponse) bool { return r.Changed > 0 })
}

func marking(bits exmdb.FlagBits) func(*scene) (bool, error) {
	return does(exmdb.OpMarkMessages, func(s *scene) *exmdb.MarkMessagesRequest {
		return &exmdb.MarkMessagesRequest{Folder: s.source, Messages: []mapi.MID{s.item}, Mode: exmdb.FlagsAdd, Flags: exmdb.Flags{Bits: bits}}
	}, func(r *exmdb.MarkMessagesResponse) bool { return r.Changed > 0 })
}

func carrying(s *scene) *exmdb.CarryMessagesRequest {
	return &exmdb.CarryMessagesRequest{Folder: s.source, Messages: []mapi.MID{s.item}, Target: s.target}
}

func carried(r *exmdb.CarryMessagesResponse) bool { return len(r.To) > 0 }

func emptyingIt(q exmdb.EmptyFolderRequest) func(*scene) (bool, error) {
	return does(exmdb.OpEmptyFolder, func(s *scene) *exmdb.EmptyFolderRequest {
		asked := q
		asked.Folder = s.source
		return &asked
	}, func(r *exmdb.EmptyFolderResponse) bool { return r.Cursor.Messages > 0 })
}

// tabling is a request about a table of the folder, or of the item.
func tabling(s *scene, kind exmdb.TableKind) exmdb.TableRequest {
	r := exmdb.TableRequest{Spec: exmdb.TableSpec{Kind: kind, Object: exmdb.ObjectID{Folder: s.source}}}
	if kind == exmdb.TableAttachments || kind == exmdb.TableRecipients {
		r.Spec.Object = exmdb.ObjectID{Message: s.item}
	}
	return r
}

// tableTrial asks for rows of a table.
func tableTrial(kind exmdb.TableKind, w wants, did ...func(*exmdb.TableRowsResponse) bool) trial {
	return trial{wants: []wants{w}, try: does(exmdb.OpTableRows, func(s *scene) *exmdb.TableRowsRequest {
		return &exmdb.TableRowsRequest{Table: tabling(s, kind), From: beginning, Count: 10}
	}, did...)}
}

// also is a trial that wants more.
func (t trial) also(w wants) trial {
	t.wants = append(t.wants, w)
	return t
}

func hasRows(r *exmdb.TableRowsResponse) bool { return len(r.Rows) > 0 }

// tableTrials are of every kind of table. Who may read his own only is answered where there are none of his.
var tableTrials = map[exmdb.TableKind]trial{
	exmdb.TableContents:    tableTrial(exmdb.TableContents, reading, hasRows),
	exmdb.TableAssociated:  tableTrial(exmdb.TableAssociated, beingSeen),
	exmdb.TableHierarchy:   tableTrial(exmdb.TableHierarchy, beingSeen),
	exmdb.TableAttachments: tableTrial(exmdb.TableAttachments, reading),
	exmdb.TableRecipients:  tableTrial(exmdb.TableRecipients, reading),
	exmdb.TablePermissions: tableTrial(exmdb.TablePermissions, beingSeen),
	exmdb.TableRules:       tableTrial(exmdb.TableRules, beingSeen),
	exmdb.TableDeleted:     afterDeletion(tableTrial(exmdb.TableDeleted, deleting, hasRows).also(reading)),
	exmdb.TableDeletedAssociated: tableTrial(exmdb.TableDeletedAssociated,
		wants{where: source, any: exmdb.RightDeleteAny | exmdb.RightDeleteOwned}).also(beingSeen),
	exmdb.TableDeletedFolders: tableTrial(exmdb.TableDeletedFolders, beingSeen),
}

// TestEveryKindOfTableIsTried: a kind that is answered is in the matrix.
func TestEveryKindOfTableIsTried(t *testing.T) {
	s := newScene(newBox(t, 0))
	s.set(&caller{as: exmdb.System}, false, nil)
	for kind := range exmdb.TableKind(100) {
		_, known := tableTrials[kind]
		_, err := try(&s.box, exmdb.OpTableRows, &exmdb.TableRowsRequest{Table: tabling(s, kind), From: beginning, Count: 10})
		if refused := cluster.KindOf(err) == cluster.KindBadRequest && err != nil; known == refused {
			t.Errorf("a table of kind %d is tried %t: %v", kind, known, err)
		}
	}
}

// asSystem does something as the system.
func (s *scene) asSystem(fn func(*box)) {
	s.t.Helper()
	b := s.box
	b.as = exmdb.System
	fn(&b)
}

// deletedFirst tries an op on the item after it was deleted.
func deletedFirst(try func(*scene) (bool, error)) func(*scene) (bool, error) {
	return func(s *scene) (bool, error) {
		s.asSystem(func(b *box) {
			call(b, exmdb.OpPurgeDeleted, &exmdb.PurgeDeletedRequest{Folder: s.source})
			call(b, exmdb.OpDeleteMessages, &exmdb.DeleteMessagesRequest{Folder: s.source, Messages: []mapi.MID{s.item}})
		})
		return try(s)
	}
}

// afterDeletion is a trial on the item after it was deleted.
func afterDeletion(t trial) trial {
	t.try = deletedFirst(t.try)
	return t
}

func reads(s *scene) exmdb.ObjectID { return exmdb.ObjectID{Message: s.item} }

// readsDeleted names the item where it is soft-deleted.
func readsDeleted(s *scene) exmdb.ObjectID { return exmdb.ObjectID{Message: s.item, Deleted: true} }

// matrix says of every op who may.
var matrix = map[exmdb.OpID][]trial{
	exmdb.OpCreateMailbox.ID: {{system: true, try: does(exmdb.OpCreateMailbox, func(*scene) *exmdb.CreateMailboxRequest { return &exmdb.CreateMailboxRequest{} })}},
	exmdb.OpMailboxInfo.ID:   {{somewhere: seeing, try: does(exmdb.OpMailboxInfo, func(*scene) *exmdb.Empty { return &exmdb.Empty{} })}},
	exmdb.OpSetQuota.ID:      {{system: true, try: does(exmdb.OpSetQuota, func(*scene) *exmdb.SetQuotaRequest { return &exmdb.SetQuotaRequest{} })}},
	exmdb.OpListFolders.ID: {{somewhere: seeing, try: func(s *scene) (bool, error) {
		r, err := try(&s.box, exmdb.OpListFolders, &exmdb.ListFoldersRequest{})
		if err != nil {
			return false, err
		}
		for _, f := range r.Folders {
			if f.FID == s.source {
				return true, nil
			}
		}
		return false, nil
	}}},
	exmdb.OpFolder.ID: {{wants: []wants{beingSeen}, try: does(exmdb.OpFolder, inSource)}},
	exmdb.OpCreateFolder.ID: {{wrecks: true, wants: []wants{nestingIn}, try: does(exmdb.OpCreateFolder, func(s *scene) *exmdb.CreateFolderRequest {
		return &exmdb.CreateFolderRequest{Parent: s.target, Name: "new"}
	})}},
	exmdb.OpMoveFolder.ID: {
		{wrecks: true, wants: []wants{owning, nestingIn}, try: does(exmdb.OpMoveFolder, func(s *scene) *exmdb.MoveFolderRequest {
			return &exmdb.MoveFolderRequest{Folder: s.source, Parent: s.target, Name: "moved"}
		})},
		{wrecks: true, wants: []wants{owning}, try: does(exmdb.OpMoveFolder, func(s *scene) *exmdb.MoveFolderRequest {
			return &exmdb.MoveFolderRequest{Folder: s.source, Parent: schema.IPMSubtree, Name: "renamed"}
		})}},
	exmdb.OpDeleteFolder.ID: {{wrecks: true, wants: []wants{owning}, try: does(exmdb.OpDeleteFolder, func(s *scene) *exmdb.DeleteFolderRequest {
		return &exmdb.DeleteFolderRequest{Folder: s.source, Recursive: true}
	})}},
	exmdb.OpSubscribe.ID: {{wants: []wants{beingSeen}, try: does(exmdb.OpSubscribe, func(s *scene) *exmdb.SubscribeRequest {
		return &exmdb.SubscribeRequest{Folder: s.source, Subscribed: true}
	})}},
	exmdb.OpDeliver.ID: {{system: true, try: does(exmdb.OpDeliver, func(*scene) *exmdb.DeliverRequest { return &exmdb.DeliverRequest{Message: text("x")} })}},
	exmdb.OpAppend.ID: {{wants: []wants{creating}, try: does(exmdb.OpAppend, func(s *scene) *exmdb.AppendRequest {
		return &exmdb.AppendRequest{Folder: s.target, Message: text("x")}
	})}},
	exmdb.OpRows.ID: {{wants: []wants{reading}, try: does(exmdb.OpRows, func(s *scene) *exmdb.RowsRequest {
		return &exmdb.RowsRequest{Folder: s.source, UIDs: ranges(s.uid)}
	}, func(r *exmdb.RowsResponse) bool { return len(r.Rows) > 0 })}},
	exmdb.OpUIDs.ID: {{wants: []wants{reading}, try: does(exmdb.OpUIDs, func(s *scene) *exmdb.UIDsRequest { return &exmdb.UIDsRequest{Folder: s.source} },
		func(r *exmdb.UIDsResponse) bool { return len(r.UIDs) > 0 })}},
	exmdb.OpReadBytes.ID: {
		{wants: []wants{reading}, try: func(s *scene) (bool, error) {
			r, err := try(&s.box, exmdb.OpReadBytes, &exmdb.ReadBytesRequest{Folder: s.source, UID: s.uid, Length: 1})
			if cluster.KindOf(err) == exmdb.KindNoMessage {
				err = nil // another's message is not there for who sees his own
			}
			return r != nil, err
		}},
		{wants: []wants{reading, deleting}, try: deletedFirst(does(exmdb.OpReadBytes, func(s *scene) *exmdb.ReadBytesRequest {
			return &exmdb.ReadBytesRequest{Folder: s.source, Deleted: s.item, Length: 1}
		}))}},
	exmdb.OpSetFlags.ID: {
		{wants: []wants{reading, editing}, try: storing(exmdb.FlagsAdd, exmdb.FlagFlagged)},
		{wants: []wants{reading, editing}, try: storing(exmdb.FlagsAdd, 0, "word")},
		{wants: []wants{reading, editing}, try: storing(exmdb.FlagsReplace, 0, "word")},
		{wants: []wants{reading, deleting}, try: storing(exmdb.FlagsAdd, exmdb.FlagDeleted)},
		{wants: []wants{reading, editing, deleting}, try: storing(exmdb.FlagsReplace, exmdb.FlagDeleted)}},
	exmdb.OpCopy.ID: {{wants: []wants{reading, creating}, try: does(exmdb.OpCopy, toCopy, copied)}},
	exmdb.OpMove.ID: {{wants: []wants{reading, deleting, creating}, try: does(exmdb.OpMove, toCopy, copied)}},
	exmdb.OpExpunge.ID: {{wants: []wants{deleting}, try: does(exmdb.OpExpunge, func(s *scene) *exmdb.ExpungeRequest {
		return &exmdb.ExpungeRequest{Folder: s.source, UIDs: ranges(s.uid), All: true}
	}, func(r *exmdb.ExpungeResponse) bool { return len(r.Vanished) > 0 })}},
	exmdb.OpChanges.ID: {{wants: []wants{reading}, try: does(exmdb.OpChanges, func(s *scene) *exmdb.ChangesRequest { return &exmdb.ChangesRequest{Folder: s.source} },
		func(r *exmdb.ChangesResponse) bool { return len(r.Rows) > 0 })}},

	exmdb.OpReadProps.ID: {
		{wants: []wants{reading}, try: does(exmdb.OpReadProps, func(s *scene) *exmdb.ReadPropsRequest { return &exmdb.ReadPropsRequest{Object: reads(s)} })},
		{wants: []wants{beingSeen}, try: does(exmdb.OpReadProps, func(s *scene) *exmdb.ReadPropsRequest {
			return &exmdb.ReadPropsRequest{Object: exmdb.ObjectID{Folder: s.source}}
		})},
		{somewhere: seeing, try: does(exmdb.OpReadProps, func(*scene) *exmdb.ReadPropsRequest { return &exmdb.ReadPropsRequest{} })},
		{wants: []wants{reading, deleting}, try: deletedFirst(does(exmdb.OpReadProps, func(s *scene) *exmdb.ReadPropsRequest {
			return &exmdb.ReadPropsRequest{Object: readsDeleted(s)}
		}))}},
	exmdb.OpWriteProps.ID: {
		{wants: []wants{editing}, try: does(exmdb.OpWriteProps, func(s *scene) *exmdb.WritePropsRequest {
			return &exmdb.WritePropsRequest{Object: reads(s), Set: bagOf(mapi.PidTagImportance, mapi.Integer32(2))}
		})},
		{wants: []wants{editing, deleting}, try: does(exmdb.OpWriteProps, func(s *scene) *exmdb.WritePropsRequest {
			return &exmdb.WritePropsRequest{Object: reads(s), Set: bagOf(mapi.PidTagMessageStatus, mapi.Integer32(mapi.MessageStatusDeleteMarked))}
		}, func(r *exmdb.WritePropsResponse) bool { return len(r.Problems) == 0 })},
		{wants: []wants{owning}, try: does(exmdb.OpWriteProps, func(s *scene) *exmdb.WritePropsRequest {
			return &exmdb.WritePropsRequest{Object: exmdb.ObjectID{Folder: s.source}, Set: bagOf(mapi.PidTagComment, mapi.String("x"))}
		})},
		{whole: true, try: does(exmdb.OpWriteProps, func(*scene) *exmdb.WritePropsRequest {
			return &exmdb.WritePropsRequest{Set: bagOf(mapi.PidTagComment, mapi.String("x"))}
		})}},
	exmdb.OpCreateMessage.ID: {
		{wants: []wants{creating}, try: does(exmdb.OpCreateMessage, func(s *scene) *exmdb.CreateMessageRequest {
			return &exmdb.CreateMessageRequest{Folder: s.target}
		})},
		{wants: []wants{{where: target, any: exmdb.RightFolderOwner}}, try: does(exmdb.OpCreateMessage, func(s *scene) *exmdb.CreateMessageRequest {
			return &exmdb.CreateMessageRequest{Folder: s.target, Associated: true}
		})}},
	exmdb.OpReadMessage.ID: {
		{wants: []wants{reading}, try: does(exmdb.OpReadMessage, func(s *scene) *exmdb.ReadMessageRequest { return &exmdb.ReadMessageRequest{Object: reads(s)} })},
		{wants: []wants{reading, deleting}, try: deletedFirst(does(exmdb.OpReadMessage, func(s *scene) *exmdb.ReadMessageRequest {
			return &exmdb.ReadMessageRequest{Object: readsDeleted(s)}
		}))}},
	exmdb.OpSaveMessage.ID: {{wants: []wants{editing}, try: does(exmdb.OpSaveMessage, func(s *scene) *exmdb.SaveMessageRequest {
		return &exmdb.SaveMessageRequest{Message: s.item, Edit: exmdb.MessageEdit{Set: bagOf(mapi.PidTagImportance, mapi.Integer32(2))}}
	})}},
	exmdb.OpReadValue.ID: {
		{wants: []wants{reading}, try: does(exmdb.OpReadValue, func(s *scene) *exmdb.ReadValueRequest {
			return &exmdb.ReadValueRequest{Object: reads(s), Tag: mapi.PidTagMessageClass, Length: 9}
		})},
		{wants: []wants{reading, deleting}, try: deletedFirst(does(exmdb.OpReadValue, func(s *scene) *exmdb.ReadValueRequest {
			return &exmdb.ReadValueRequest{Object: readsDeleted(s), Tag: mapi.PidTagMessageClass, Length: 9}
		}))}},
	exmdb.OpPropertyIDs.ID:    {{somewhere: seeing, try: does(exmdb.OpPropertyIDs, func(*scene) *exmdb.NamesRequest { return &exmdb.NamesRequest{} })}},
	exmdb.OpNameProperties.ID: {{somewhere: changing, try: does(exmdb.OpNameProperties, func(*scene) *exmdb.NamesRequest { return &exmdb.NamesRequest{} })}},
	exmdb.OpPropertyNames.ID:  {{somewhere: seeing, try: does(exmdb.OpPropertyNames, func(*scene) *exmdb.PropertyNamesRequest { return &exmdb.PropertyNamesRequest{} })}},
	exmdb.OpReceiveFolder.ID: {{somewhere: seeing, try: does(exmdb.OpReceiveFolder, func(*scene) *exmdb.ReceiveFolderRequest {
		return &exmdb.ReceiveFolderRequest{Class: "IPM"}
	})}},
	exmdb.OpSetReceiveFolder.ID: {{whole: true, try: does(exmdb.OpSetReceiveFolder, func(s *scene) *exmdb.SetReceiveFolderRequest {
		return &exmdb.SetReceiveFolderRequest{Class: "IPM.Note.x", Folder: s.source}
	})}},
	exmdb.OpReceiveFolders.ID:  {{somewhere: seeing, try: does(exmdb.OpReceiveFolders, func(*scene) *exmdb.Empty { return &exmdb.Empty{} })}},
	exmdb.OpLocalReplicaIDs.ID: {{somewhere: changing, try: does(exmdb.OpLocalReplicaIDs, func(*scene) *exmdb.LocalReplicaIDsRequest { return &exmdb.LocalReplicaIDsRequest{Count: 1} })}},
	exmdb.OpLongTermIDs.ID:     {{somewhere: seeing, try: does(exmdb.OpLongTermIDs, func(*scene) *exmdb.LongTermIDsRequest { return &exmdb.LongTermIDsRequest{} })}},
	exmdb.OpShortTermIDs.ID:    {{somewhere: seeing, try: does(exmdb.OpShortTermIDs, func(*scene) *exmdb.ShortTermIDsRequest { return &exmdb.ShortTermIDsRequest{} })}},
	exmdb.OpMarkMessages.ID: {
		{wants: []wants{beingSeen, editing}, try: marking(exmdb.FlagFlagged)},
		{wants: []wants{beingSeen, deleting}, try: marking(exmdb.FlagDeleted)}},
	exmdb.OpPerUser.ID:        {{whole: true, try: does(exmdb.OpPerUser, func(*scene) *exmdb.PerUserRequest { return &exmdb.PerUserRequest{} })}},
	exmdb.OpWritePerUser.ID:   {{whole: true, try: does(exmdb.OpWritePerUser, func(*scene) *exmdb.WritePerUserRequest { return &exmdb.WritePerUserRequest{} })}},
	exmdb.OpPerUserFolders.ID: {{whole: true, try: does(exmdb.OpPerUserFolders, func(*scene) *exmdb.PerUserFoldersRequest { return &exmdb.PerUserFoldersRequest{} })}},
	exmdb.OpSetReadFlags.ID: {{wants: []wants{beingSeen, editing}, try: does(exmdb.OpSetReadFlags, func(s *scene) *exmdb.SetReadFlagsRequest {
		return &exmdb.SetReadFlagsRequest{Folder: s.source, Messages: []mapi.MID{s.item}}
	}, func(r *exmdb.SetReadFlagsResponse) bool { return r.Changed > 0 })}},
	exmdb.OpCopyMessages.ID: {{wants: []wants{reading, creating}, try: does(exmdb.OpCopyMessages, carrying, carried)}},
	exmdb.OpMoveMessages.ID: {{wants: []wants{reading, deleting, creating}, try: does(exmdb.OpMoveMessages, carrying, carried)}},
	exmdb.OpLocate.ID: {{wants: []wants{reading}, try: does(exmdb.OpLocate, func(s *scene) *exmdb.LocateRequest { return &exmdb.LocateRequest{Messages: []mapi.MID{s.item}} },
		func(r *exmdb.LocateResponse) bool { return len(r.Messages) > 0 })}},

	exmdb.OpPermissions.ID: {{wants: []wants{beingSeen}, try: does(exmdb.OpPermissions, inSource)}},
	exmdb.OpModifyPermissions.ID: {{wants: []wants{owning}, try: does(exmdb.OpModifyPermissions, func(s *scene) *exmdb.ModifyPermissionsRequest {
		return &exmdb.ModifyPermissionsRequest{Folder: s.source}
	})}},
	exmdb.OpDeleteMessages.ID: {{wants: []wants{beingSeen, deleting}, try: does(exmdb.OpDeleteMessages, func(s *scene) *exmdb.DeleteMessagesRequest {
		return &exmdb.DeleteMessagesRequest{Folder: s.source, Messages: []mapi.MID{s.item}}
	}, func(r *exmdb.DeleteMessagesResponse) bool { return r.Deleted > 0 })}},
	exmdb.OpDeleted.ID: {{wants: []wants{reading, deleting}, try: deletedFirst(does(exmdb.OpDeleted, func(s *scene) *exmdb.DeletedRequest {
		return &exmdb.DeletedRequest{Folder: s.source, Tags: []mapi.Tag{mapi.PidTagSubject}}
	}, func(r *exmdb.DeletedResponse) bool { return len(r.Messages) > 0 }))}},
	exmdb.OpRecoverMessages.ID: {{wants: []wants{reading, deleting, creating}, try: deletedFirst(does(exmdb.OpRecoverMessages, carrying, carried))}},
	exmdb.OpPurgeDeleted.ID: {
		{wants: []wants{deleting}, try: deletedFirst(does(exmdb.OpPurgeDeleted, func(s *scene) *exmdb.PurgeDeletedRequest {
			return &exmdb.PurgeDeletedRequest{Folder: s.source, Messages: []mapi.MID{s.item}}
		}, func(r *exmdb.PurgeDeletedResponse) bool { return r.Purged > 0 }))},
		{wants: []wants{deleting}, try: deletedFirst(does(exmdb.OpPurgeDeleted, func(s *scene) *exmdb.PurgeDeletedRequest {
			return &exmdb.PurgeDeletedRequest{Folder: s.source}
		}, func(r *exmdb.PurgeDeletedResponse) bool { return r.Purged > 0 }))}},
	exmdb.OpDeletedFolders.ID: {{wrecks: true, somewhere: seeing, try: does(exmdb.OpDeletedFolders, func(*scene) *exmdb.DeletedFoldersRequest { return &exmdb.DeletedFoldersRequest{} })}},
	exmdb.OpRecoverFolder.ID: {{wrecks: true, wants: []wants{owning, nestingIn}, try: func(s *scene) (bool, error) {
		s.asSystem(func(b *box) {
			call(b, exmdb.OpDeleteFolder, &exmdb.DeleteFolderRequest{Folder: s.source, Recursive: true})
		})
		_, err := try(&s.box, exmdb.OpRecoverFolder, &exmdb.RecoverFolderRequest{Folder: s.source, Parent: s.target})
		return err == nil, err
	}}},
	exmdb.OpEmptyFolder.ID: {
		{wants: []wants{deleting}, try: emptyingIt(exmdb.EmptyFolderRequest{})},
		{wants: []wants{deleting, owning}, try: emptyingIt(exmdb.EmptyFolderRequest{Associated: true})},
		{wrecks: true, wants: []wants{deleting, owning}, try: emptyingIt(exmdb.EmptyFolderRequest{Folders: true})}},
	exmdb.OpCopyFolder.ID: {{wrecks: true, wants: []wants{reading, nestingIn}, try: does(exmdb.OpCopyFolder, func(s *scene) *exmdb.CopyFolderRequest {
		return &exmdb.CopyFolderRequest{Folder: s.source, Parent: s.target, Name: "copy", Recursive: true}
	}, func(r *exmdb.CopyFolderResponse) bool { return r.Messages > 0 })}},
	exmdb.OpSendRights.ID:     {{everyone: true, try: does(exmdb.OpSendRights, func(*scene) *exmdb.Empty { return &exmdb.Empty{} })}},
	exmdb.OpDelegates.ID:      {{somewhere: seeing, try: does(exmdb.OpDelegates, func(*scene) *exmdb.Empty { return &exmdb.Empty{} })}},
	exmdb.OpSetDelegates.ID:   {{whole: true, try: does(exmdb.OpSetDelegates, func(*scene) *exmdb.Delegates { return &exmdb.Delegates{} })}},
	exmdb.OpChangeDelegate.ID: {{whole: true, try: does(exmdb.OpChangeDelegate, func(*scene) *exmdb.DelegateChange { return &exmdb.DelegateChange{User: mapi.GUID{7}} })}},
	exmdb.OpSubmitMessage.ID:  {{wants: []wants{editing, passingOn}, try: reaches(exmdb.OpSubmitMessage, func(s *scene) *exmdb.SubmitRequest { return &exmdb.SubmitRequest{Message: s.item} }, cluster.KindBadRequest)}},
	exmdb.OpAbortSubmit.ID:    {{wants: []wants{editing}, try: reaches(exmdb.OpAbortSubmit, func(s *scene) *exmdb.AbortSubmitRequest { return &exmdb.AbortSubmitRequest{Message: s.item} }, exmdb.KindNotWaiting)}},
	exmdb.OpDeleteMailbox.ID:  {{system: true, try: does(exmdb.OpDeleteMailbox, func(*scene) *exmdb.Empty { return &exmdb.Empty{} })}},
	exmdb.OpReminders.ID:      {{somewhere: seeing, try: does(exmdb.OpReminders, func(*scene) *exmdb.RemindersRequest { return &exmdb.RemindersRequest{} })}},
	exmdb.OpSetReadState.ID:   {{whole: true, try: does(exmdb.OpSetReadState, func(*scene) *exmdb.SetReadStateRequest { return &exmdb.SetReadStateRequest{} })}},
	exmdb.OpEffectiveRights.ID: {{everyone: true, try: does(exmdb.OpEffectiveRights, func(s *scene) *exmdb.EffectiveRightsRequest {
		return &exmdb.EffectiveRightsRequest{Folders: []mapi.FID{s.source}}
	})}},

	exmdb.OpTableRows.ID: slices.Collect(maps.Values(tableTrials)),
	exmdb.OpTableSeek.ID: {{wants: []wants{reading}, try: does(exmdb.OpTableSeek, func(s *scene) *exmdb.TableSeekRequest {
		return &exmdb.TableSeekRequest{Table: tabling(s, exmdb.TableContents), From: beginning}
	}, func(r *exmdb.TableSeekResponse) bool { return r.State.Rows > 0 })}},
	exmdb.OpTableFind.ID: {{wants: []wants{reading}, try: does(exmdb.OpTableFind, func(s *scene) *exmdb.TableFindRequest {
		return &exmdb.TableFindRequest{Table: tabling(s, exmdb.TableContents), From: beginning, Restriction: oxcdata.AppendRestriction(nil, mapi.AndRestriction{})}
	}, func(r *exmdb.TableFindResponse) bool { return r.Found })}},
	exmdb.OpTableChanges.ID: {{wants: []wants{reading}, try: does(exmdb.OpTableChanges, func(s *scene) *exmdb.TableChangesRequest {
		return &exmdb.TableChangesRequest{Table: tabling(s, exmdb.TableContents), Since: 1}
	}, func(r *exmdb.TableChangesResponse) bool { return len(r.Rows) > 0 })}},
	exmdb.OpEvents.ID: {{somewhere: seeing, try: does(exmdb.OpEvents, func(*scene) *exmdb.EventsRequest { return &exmdb.EventsRequest{} })}},
	exmdb.OpTableEvents.ID: {{wants: []wants{reading}, try: does(exmdb.OpTableEvents, func(s *scene) *exmdb.TableEventsRequest {
		return &exmdb.TableEventsRequest{Table: tabling(s, exmdb.TableContents), Since: 1}
	}, func(r *exmdb.TableEventsResponse) bool {
		return slices.ContainsFunc(r.Events, func(e exmdb.TableEvent) bool { return e.Kind != exmdb.TableRowDeleted })
	})}},
	exmdb.OpTableColumns.ID: {{wants: []wants{reading}, try: does(exmdb.OpTableColumns, func(s *scene) *exmdb.TableColumnsRequest {
		return &exmdb.TableColumnsRequest{Table: tabling(s, exmdb.TableContents)}
	}, func(r *exmdb.TableColumnsResponse) bool { return len(r.Tags) > 0 })}},

	exmdb.OpSetSearchCriteria.ID: {{wants: []wants{owning}, try: reaches(exmdb.OpSetSearchCriteria, func(s *scene) *exmdb.SetSearchCriteriaRequest {
		return &exmdb.SetSearchCriteriaRequest{Folder: s.source}
	}, exmdb.KindNoSearch)}},
	// Whose messages have a text is not told to who sees his own only: he is answered, with nothing known.
	exmdb.OpNarrow.ID: {{wants: []wants{beingSeen}, try: does(exmdb.OpNarrow, func(s *scene) *exmdb.NarrowRequest {
		return &exmdb.NarrowRequest{Folder: s.source, Query: exmdb.TextQuery{Fields: exmdb.TextSubject, Text: "x"}}
	})}},
	exmdb.OpKeepOrder.ID: {{wants: []wants{beingSeen}, try: does(exmdb.OpKeepOrder, func(s *scene) *exmdb.KeepOrderRequest {
		return &exmdb.KeepOrderRequest{Table: tabling(s, exmdb.TableContents)}
	})}},
	exmdb.OpSearchCriteria.ID: {{wants: []wants{beingSeen}, try: reaches(exmdb.OpSearchCriteria, inSource, exmdb.KindNoSearch)}},

	exmdb.OpSyncContents.ID: {{wants: []wants{reading}, try: does(exmdb.OpSyncContents, func(s *scene) *exmdb.SyncContentsRequest {
		return &exmdb.SyncContentsRequest{Folder: s.source, Scope: exmdb.SyncScope{Flags: exmdb.SyncNormal}}
	}, func(r *exmdb.SyncContentsResponse) bool { return len(r.Changes) > 0 })}},
	exmdb.OpSyncHierarchy.ID: {{wants: []wants{beingSeen}, try: does(exmdb.OpSyncHierarchy, func(s *scene) *exmdb.SyncHierarchyRequest {
		return &exmdb.SyncHierarchyRequest{Folder: s.source}
	}, func(r *exmdb.SyncHierarchyResponse) bool { return len(r.Folders) == 1 })}},
	exmdb.OpImportMessage.ID: {
		{wants: []wants{editing}, try: does(exmdb.OpImportMessage, func(s *scene) *exmdb.ImportMessageRequest {
			return &exmdb.ImportMessageRequest{Folder: s.source, SourceKey: s.key(s.item.Counter()), Version: someVersion()}
		})},
		{wants: []wants{creating}, try: does(exmdb.OpImportMessage, func(s *scene) *exmdb.ImportMessageRequest {
			return &exmdb.ImportMessageRequest{Folder: s.target, SourceKey: s.granted(), Version: someVersion()}
		})},
		{wants: []wants{{where: target, any: exmdb.RightFolderOwner}}, try: does(exmdb.OpImportMessage, func(s *scene) *exmdb.ImportMessageRequest {
			return &exmdb.ImportMessageRequest{Folder: s.target, SourceKey: s.granted(), Version: someVersion(), Associated: true}
		})}},
	exmdb.OpImportFolder.ID: {
		{wrecks: true, wants: []wants{nestingIn}, try: does(exmdb.OpImportFolder, func(s *scene) *exmdb.ImportFolderRequest {
			return &exmdb.ImportFolderRequest{Parent: s.target, SourceKey: s.granted(), Version: someVersion(), Name: "new"}
		})},
		{wrecks: true, wants: []wants{owning}, try: does(exmdb.OpImportFolder, func(s *scene) *exmdb.ImportFolderRequest {
			return &exmdb.ImportFolderRequest{Parent: schema.IPMSubtree, SourceKey: s.key(s.source.Counter()), Version: someVersion(), Name: "renamed"}
		})},
		{wrecks: true, wants: []wants{owning, nestingIn}, try: does(exmdb.OpImportFolder, func(s *scene) *exmdb.ImportFolderRequest {
			return &exmdb.ImportFolderRequest{Parent: s.target, SourceKey: s.key(s.source.Counter()), Version: someVersion(), Name: "moved"}
		})}},
	exmdb.OpImportDeletes.ID: {
		{wants: []wants{beingSeen, deleting}, try: does(exmdb.OpImportDeletes, func(s *scene) *exmdb.ImportDeletesRequest {
			return &exmdb.ImportDeletesRequest{Folder: s.source, SourceKeys: [][]byte{s.key(s.item.Counter())}}
		}, func(r *exmdb.ImportDeletesResponse) bool { return r.Deleted > 0 })},
		{wrecks: true, wants: []wants{owning}, try: does(exmdb.OpImportDeletes, func(s *scene) *exmdb.ImportDeletesRequest {
			return &exmdb.ImportDeletesRequest{Folder: s.source, SourceKeys: [][]byte{s.key(s.below.Counter())}, Folders: true}
		})}},
	exmdb.OpImportMove.ID: {{wants: []wants{reading, deleting, creating}, try: does(exmdb.OpImportMove, func(s *scene) *exmdb.ImportMoveRequest {
		return &exmdb.ImportMoveRequest{Folder: s.target, From: s.source, SourceKey: s.key(s.item.Counter()), Target: s.granted(), ChangeKey: someVersion().ChangeKey}
	})}},
	exmdb.OpImportReadStates.ID: {{wants: []wants{beingSeen, editing}, try: does(exmdb.OpImportReadStates, func(s *scene) *exmdb.ImportReadStatesRequest {
		return &exmdb.ImportReadStatesRequest{Folder: s.source, Changes: []exmdb.ReadStateChange{{SourceKey: s.key(s.item.Counter()), Read: true}}}
	}, func(r *exmdb.ImportReadStatesResponse) bool { return r.Changes.Len() > 0 })}},

	exmdb.OpGetRules.ID: {{wants: []wants{beingSeen}, try: does(exmdb.OpGetRules, func(s *scene) *exmdb.GetRulesRequest {
		return &exmdb.GetRulesRequest{Folder: s.source}
	})}},
	exmdb.OpModifyRules.ID: {{wants: []wants{owning}, try: does(exmdb.OpModifyRules, func(s *scene) *exmdb.ModifyRulesRequest {
		return &exmdb.ModifyRulesRequest{Folder: s.source}
	})}},
	exmdb.OpDeferred.ID: {{whole: true, try: does(exmdb.OpDeferred, func(*scene) *exmdb.DeferredActionsRequest { return &exmdb.DeferredActionsRequest{} })}},
	exmdb.OpOOF.ID:      {{whole: true, try: does(exmdb.OpOOF, func(*scene) *exmdb.Empty { return &exmdb.Empty{} })}},
	exmdb.OpSetOOF.ID:   {{whole: true, try: does(exmdb.OpSetOOF, func(*scene) *exmdb.OOFSettings { return &exmdb.OOFSettings{} })}},
	exmdb.OpJunk.ID:     {{whole: true, try: does(exmdb.OpJunk, func(*scene) *exmdb.Empty { return &exmdb.Empty{} })}},
	exmdb.OpSetJunk.ID:  {{whole: true, try: does(exmdb.OpSetJunk, func(*scene) *exmdb.SetJunkRequest { return &exmdb.SetJunkRequest{} })}},
	exmdb.OpOutgoing.ID: {{system: true, try: does(exmdb.OpOutgoing, func(*scene) *exmdb.OutgoingRequest { return &exmdb.OutgoingRequest{} })}},
	exmdb.OpReadOutgoing.ID: {{system: true, try: does(exmdb.OpReadOutgoing, func(*scene) *exmdb.ReadOutgoingRequest {
		return &exmdb.ReadOutgoingRequest{}
	})}},
	exmdb.OpCarryAcross.ID: {
		{wants: []wants{reading}, try: does(exmdb.OpCarryAcross, func(s *scene) *exmdb.CarryAcrossRequest {
			return &exmdb.CarryAcrossRequest{Folder: s.source, Messages: []mapi.MID{s.item}, Mailbox: mapi.NewMailboxID(), Target: s.target, Copy: true}
		}, func(r *exmdb.CarryAcrossResponse) bool { return r.Taken > 0 })},
		{wants: []wants{reading, deleting}, try: does(exmdb.OpCarryAcross, func(s *scene) *exmdb.CarryAcrossRequest {
			return &exmdb.CarryAcrossRequest{Folder: s.source, Messages: []mapi.MID{s.item}, Mailbox: mapi.NewMailboxID(), Target: s.target}
		}, func(r *exmdb.CarryAcrossResponse) bool { return r.Taken > 0 })},
	},
	exmdb.OpCrossing.ID: {{system: true, try: does(exmdb.OpCrossing, func(*scene) *exmdb.Crossing { return &exmdb.Crossing{} })}},
	exmdb.OpReadCrossing.ID: {{system: true, try: reaches(exmdb.OpReadCrossing, func(*scene) *exmdb.ReadCrossingRequest {
		return &exmdb.ReadCrossingRequest{}
	}, exmdb.KindNoMessage)}},
	exmdb.OpTakeIn.ID: {{system: true, try: reaches(exmdb.OpTakeIn, func(s *scene) *exmdb.TakeInRequest {
		return &exmdb.TakeInRequest{Source: cluster.SpaceID{1}, Number: 1, As: exmdb.System, Target: s.target}
	}, exmdb.KindBadContent)}},
	exmdb.OpFinishCrossing.ID: {{system: true, try: does(exmdb.OpFinishCrossing, func(*scene) *exmdb.FinishCrossingRequest {
		return &exmdb.FinishCrossingRequest{}
	})}},
	exmdb.OpFinishOutgoing.ID: {{system: true, try: does(exmdb.OpFinishOutgoing, func(*scene) *exmdb.OutgoingRequest { return &exmdb.OutgoingRequest{} })}},
}

// caller is one of the five kinds of who may ask. entry is the member of a permissions list by which he has his rights.
type caller struct {
	name  string
	as    exmdb.Identity
	whole bool
	entry exmdb.Member
	// others are entries that must not count for him.
	others []exmdb.Member
}

func callers(owner mapi.GUID) []caller {
	someone, group, another := mapi.NewGUID(), mapi.NewGUID(), mapi.NewGUID()
	everyone := exmdb.Member{ID: exmdb.MemberDefault, Rights: exmdb.AllRights}
	nobody := exmdb.Member{ID: exmdb.MemberAnonymous, Rights: exmdb.AllRights}
	entryOf := func(u mapi.GUID) exmdb.Member { return exmdb.Member{User: u, Rights: exmdb.AllRights} }
	return []caller{
		{name: "owner", as: exmdb.Identity{User: owner, Privileges: exmdb.PrivilegeOwner}, whole: true},
		{name: "full access", as: exmdb.Identity{User: someone, FullAccess: []mapi.GUID{another, owner}}, whole: true},
		{name: "delegate by group", as: exmdb.Identity{User: someone, Groups: []mapi.GUID{another, group}}, entry: exmdb.Member{User: group},
			others: []exmdb.Member{everyone, nobody, entryOf(mapi.NewGUID())}},
		{name: "default", as: exmdb.Identity{User: someone, FullAccess: []mapi.GUID{another}}, entry: exmdb.Member{ID: exmdb.MemberDefault},
			others: []exmdb.Member{nobody, entryOf(group)}},
		{name: "anonymous", as: exmdb.Identity{}, entry: exmdb.Member{ID: exmdb.MemberAnonymous}, others: []exmdb.Member{everyone, entryOf(group)}},
	}
}

// newScene makes the folders.
func newScene(b *box) *scene {
	b.t.Helper()
	s := &scene{box: *b}
	s.as = exmdb.System
	make := func(parent mapi.FID, name string) mapi.FID {
		return call(&s.box, exmdb.OpCreateFolder, &exmdb.CreateFolderRequest{Parent: parent, Name: name}).Folder.FID
	}
	s.source, s.target = make(schema.IPMSubtree, "source"), make(schema.IPMSubtree, "target")
	s.below = make(s.source, "below")
	return s
}

// set puts a new item into the scene, of the caller's making or the owner's, and gives the caller his rights.
func (s *scene) set(c *caller, own bool, rights map[place]exmdb.FolderRights) {
	s.t.Helper()
	s.as = exmdb.System
	call(&s.box, exmdb.OpExpunge, &exmdb.ExpungeRequest{Folder: s.source, All: true})
	m := text("Subject: x\r\n\r\nx\r\n")
	m.Digest = nil
	item := call(&s.box, exmdb.OpAppend, &exmdb.AppendRequest{Folder: s.source, Message: m})
	s.item, s.uid = item.MID, item.UID
	if own {
		s.update(func(t *tx) error {
			row, err := t.row(s.source, s.uid)
			if err == nil {
				row.Creator = c.as.User
				t.w.Set(schema.RowKey(s.source, uint64(s.uid)), row.AppendWire(nil))
			}
			return err
		})
	}
	for fid, where := range map[mapi.FID]place{s.source: source, s.below: source, s.target: target} {
		entry := c.entry
		entry.Rights = rights[where]
		q := &exmdb.ModifyPermissionsRequest{Folder: fid, Replace: true, FreeBusy: true}
		for _, m := range append(c.others, entry) {
			q.Changes = append(q.Changes, exmdb.PermissionChange{Kind: exmdb.PermissionAdd, Member: m})
		}
		call(&s.box, exmdb.OpModifyPermissions, q)
	}
	s.as = c.as
}

// grants is what the caller has in the folders so that everything but one thing wanted is granted.
func grants(t *trial, but int) map[place]exmdb.FolderRights {
	rights := map[place]exmdb.FolderRights{}
	for i, w := range t.wants {
		if i != but {
			rights[w.where] |= w.any & -w.any // the lowest of those that are enough
		}
	}
	return rights
}

// allowed is what the trial says of a caller with rights: whether the op may do anything to the item.
func (t *trial) allowed(c *caller, own bool, rights map[place]exmdb.FolderRights) bool {
	switch {
	case t.system:
		return false
	case c.whole || t.everyone:
		return true
	case t.whole:
		return false
	case t.somewhere != 0:
		return completed(rights[source]|rights[target])&t.somewhere != 0
	}
	for _, w := range t.wants {
		enough := w.any
		if own && !c.as.User.IsZero() {
			enough |= w.own
		}
		if completed(rights[w.where])&enough == 0 {
			return false
		}
	}
	return true
}

// TestRightsMatrix tries every op of the table with each of the twelve rights, as each of the five kinds of caller, on
// items of his own and of others. An op that the matrix does not know fails.
func TestRightsMatrix(t *testing.T) {
	for _, h := range Handlers() {
		t.Run(h.Name, func(t *testing.T) {
			t.Parallel()
			tryOp(t, &h)
		})
	}
}

// tryOp tries an op as each caller, in a mailbox of its own.
func tryOp(t *testing.T, h *Handler) {
	trials := matrix[h.ID]
	if !h.access.declared() || len(trials) == 0 {
		t.Errorf("%s: the table or the matrix does not say who may", h.Name)
	}
	b := newBox(t, 0)
	owner := mapi.NewGUID()
	b.ownedBy(owner)
	tried, all := 0, callers(owner)
	for n := range all {
		for i := range trials {
			tried += b.tryRights(h.Name, &trials[i], &all[n], n+i)
		}
	}
	if tried < (len(rightsTried(0))-1)*len(all) {
		t.Errorf("%s: %d trials", h.Name, tried)
	}
}

// rightsTried are the rights that a turn tries, and none: all, or with -short a fourth of them, others than the turn before. What an
// op does once it is let in is the same then.
func rightsTried(turn int) []exmdb.FolderRights {
	all := append(slices.Clone(allTwelve), 0)
	if !testing.Short() {
		return all
	}
	const turns = 4
	var some []exmdb.FolderRights
	for i := turn % turns; i < len(all); i += turns {
		some = append(some, all[i])
	}
	return some
}

// tryRights tries an op as one caller with each right in place of each thing wanted.
func (b *box) tryRights(name string, t *trial, c *caller, turn int) (tried int) {
	b.t.Helper()
	s := newScene(b)
	for but := range max(len(t.wants), 1) {
		where := source
		if len(t.wants) > 0 {
			where = t.wants[but].where
		}
		for _, right := range rightsTried(turn + but) {
			for _, own := range []bool{false, true} {
				rights := grants(t, but)
				rights[where] |= right
				s.set(c, own, rights)
				done, err := t.try(s)
				if want := t.allowed(c, own, rights); done != want || err != nil && cluster.KindOf(err) != exmdb.KindAccessDenied && cluster.KindOf(err) != cluster.KindExists {
					b.t.Errorf("%s as %s with rights %x, own item %v: done %v, want %v: %v", name, c.name, rights, own, done, want, err)
				}
				tried++
				if t.wrecks {
					s.strike()
					s = newScene(b)
				}
			}
		}
	}
	s.strike()
	return tried
}

// strike removes the folders of a scene, so that the next is not tried among its rights.
func (s *scene) strike() {
	s.t.Helper()
	s.as = exmdb.System
	for _, fid := range []mapi.FID{s.source, s.target} {
		_, err := try(&s.box, exmdb.OpDeleteFolder, &exmdb.DeleteFolderRequest{Folder: fid, Recursive: true, Hard: true})
		if err != nil && cluster.KindOf(err) != exmdb.KindNoFolder {
			s.t.Fatal(err)
		}
	}
}

// TestStrangersLearnNothing: who sees no folder is told the same of what is there and what is not.
func TestStrangersLearnNothing(t *testing.T) {
	b := newBox(t, 0)
	mail := b.deliver(text("x"))
	b.as = exmdb.Identity{User: mapi.NewGUID()}
	for _, fid := range []mapi.FID{schema.Inbox, mapi.LocalFID(0x999)} {
		refused(b, exmdb.OpFolder, &exmdb.FolderRequest{Folder: fid}, exmdb.KindAccessDenied)
		refused(b, exmdb.OpMoveFolder, &exmdb.MoveFolderRequest{Folder: fid, Parent: fid}, exmdb.KindAccessDenied)
	}
	for _, m := range []mapi.MID{mail.MID, mail.MID + 999} {
		refused(b, exmdb.OpReadMessage, &exmdb.ReadMessageRequest{Object: mid(m)}, exmdb.KindAccessDenied)
	}
	// A free/busy right is none to see the mailbox with.
	refused(b, exmdb.OpMailboxInfo, &exmdb.Empty{}, exmdb.KindAccessDenied)
	r := call(b, exmdb.OpEffectiveRights, &exmdb.EffectiveRightsRequest{Folders: []mapi.FID{schema.Calendar, schema.Inbox, 0x999}})
	if r.Whole || len(r.Rights) != 3 || r.Rights[0] != exmdb.RightFreeBusySimple || r.Rights[1]|r.Rights[2] != 0 {
		t.Errorf("%+v", r)
	}
	system := *b
	system.as = exmdb.System
	grantTo(&system, schema.Inbox, b.as.User, exmdb.RightFolderVisible)
	refused(b, exmdb.OpFolder, &exmdb.FolderRequest{Folder: mapi.LocalFID(0x999)}, exmdb.KindNoFolder)
	refused(b, exmdb.OpFolder, &exmdb.FolderRequest{Folder: schema.Sent}, exmdb.KindAccessDenied)
	refused(b, exmdb.OpReadMessage, &exmdb.ReadMessageRequest{Object: mid(mail.MID + 999)}, exmdb.KindNoMessage)
}

func grantTo(b *box, fid mapi.FID, user mapi.GUID, rights exmdb.FolderRights) *exmdb.PermissionsResponse {
	b.t.Helper()
	return call(b, exmdb.OpModifyPermissions, &exmdb.ModifyPermissionsRequest{Folder: fid, FreeBusy: true, Changes: []exmdb.PermissionChange{
		{Kind: exmdb.PermissionAdd, Member: exmdb.Member{User: user, Name: "someone", Rights: rights}}}})
}

// TestEveryNeedNamesAField: a need of a field that a request does not have would stop the program when the table is
// made; each field must be one that names an object.
func TestEveryNeedNamesAField(t *testing.T) {
	for _, h := range Handlers() {
		for _, n := range h.access.needs {
			if n.pick == nil && n.grant == (grant{}) {
				t.Errorf("%s: nothing is needed of %s", h.Name, n.field)
			}
			if n.field == "Object" && (n.folder == (grant{}) || n.box == 0) {
				t.Errorf("%s: nothing is needed of folders or of the mailbox", h.Name)
			}
		}
	}
}
