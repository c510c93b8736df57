package store

import (
	"slices"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// lifecycleHandlers are the ops on rights and on what becomes of objects.
func (s *Store) lifecycleHandlers() []Handler {
	return []Handler{
		read(s, exmdb.OpPermissions, may(in("Folder", toSee)), folderPermissions),
		write(s, exmdb.OpModifyPermissions, may(in("Folder", toOwn)), modifyPermissions),
		read(s, exmdb.OpEffectiveRights, rightAsk, effectiveRights),
		write(s, exmdb.OpDeleteMessages, may(in("Folder", toSee)), deleteTelling),
		read(s, exmdb.OpDeleted, may(in("Folder", toRead), in("Folder", toDelete)), listDeleted),
		write(s, exmdb.OpRecoverMessages, may(in("Folder", toRead), in("Folder", toDelete), in("Target", toCreate)), recoverMessages),
		write(s, exmdb.OpPurgeDeleted, may(in("Folder", toDelete)), purgeDeleted),
		read(s, exmdb.OpDeletedFolders, rightRead, deletedFolders),
		write(s, exmdb.OpRecoverFolder, may(in("Folder", toOwn), in("Parent", toMakeFolders)), recoverFolder),
		write(s, exmdb.OpEmptyFolder, may(in("Folder", toDelete), inBy("Folder", toEmptyAssociated), inTreeBy("Folder", toEmptyTree)), emptyFolder),
		write(s, exmdb.OpCopyFolder, may(in("Folder", toRead), inTreeBy("Folder", toCopyTree), in("Parent", toMakeFolders)), copyFolder),
		read(s, exmdb.OpSendRights, rightAsk, sendRights),
		read(s, exmdb.OpDelegates, rightRead, listDelegates),
		write(s, exmdb.OpSetDelegates, rightWrite, setDelegates),
		write(s, exmdb.OpSetReadState, rightWrite, setReadState),
		write(s, exmdb.OpChangeDelegate, rightWrite, changeDelegate),
		read(s, exmdb.OpReminders, rightRead, reminders),
		write(s, exmdb.OpSubmitMessage, may(in("Message", toEdit), in("Message", toPassOn)), submitMessage),
		write(s, exmdb.OpAbortSubmit, may(in("Message", toEdit)), abortSubmit),
	}
}

// newPlace is what moving a folder needs where it goes; a folder that is only renamed goes nowhere.
func newPlace(v *view, req *exmdb.MoveFolderRequest) (grant, error) {
	f, err := v.folder(req.Folder)
	if err != nil || mapi.LocalFID(f.Parent) == req.Parent {
		return grant{}, err
	}
	return toMakeFolders, nil
}

// toCreateMessage is what a new message needs.
func toCreateMessage(_ *view, req *exmdb.CreateMessageRequest) (grant, error) {
	if req.Associated {
		return toOwn, nil
	}
	return toCreate, nil
}

// toSetFlags is what flags need other than \Deleted, toMarkDeleted what that needs.
func toSetFlags(v *view, req *exmdb.SetFlagsRequest) (grant, error) {
	return oneOf(v.flagGrants(req.Mode, req.Flags), toEdit), nil
}

// toMarkDeleted is described at toSetFlags.
func toMarkDeleted(v *view, req *exmdb.SetFlagsRequest) (grant, error) {
	return oneOf(v.flagGrants(req.Mode, req.Flags), toDelete), nil
}

// oneOf is a grant if it is among some, else none.
func oneOf(grants []grant, g grant) grant {
	if slices.Contains(grants, g) {
		return g
	}
	return grant{}
}
