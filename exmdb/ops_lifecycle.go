package exmdb

// The ops on rights and on what becomes of objects have the numbers 60 to 79, for ever; add at the end.
var (
	OpPermissions       = Op[FolderRequest, PermissionsResponse]{OpInfo{60, "Permissions", false}}
	OpModifyPermissions = Op[ModifyPermissionsRequest, PermissionsResponse]{OpInfo{61, "ModifyPermissions", true}}
	OpEffectiveRights   = Op[EffectiveRightsRequest, EffectiveRightsResponse]{OpInfo{62, "EffectiveRights", false}}
	OpDeleteMessages    = Op[DeleteMessagesRequest, DeleteMessagesResponse]{OpInfo{63, "DeleteMessages", true}}
	OpDeleted           = Op[DeletedRequest, DeletedResponse]{OpInfo{64, "Deleted", false}}
	// OpRecoverMessages brings soft-deleted messages of a folder back, as new ones of the target.
	OpRecoverMessages = Op[CarryMessagesRequest, CarryMessagesResponse]{OpInfo{65, "RecoverMessages", true}}
	OpPurgeDeleted    = Op[PurgeDeletedRequest, PurgeDeletedResponse]{OpInfo{66, "PurgeDeleted", true}}
	OpDeletedFolders  = Op[DeletedFoldersRequest, DeletedFoldersResponse]{OpInfo{67, "DeletedFolders", false}}
	OpRecoverFolder   = Op[RecoverFolderRequest, FolderResponse]{OpInfo{68, "RecoverFolder", true}}
	OpEmptyFolder     = Op[EmptyFolderRequest, EmptyFolderResponse]{OpInfo{69, "EmptyFolder", true}}
	OpCopyFolder      = Op[CopyFolderRequest, CopyFolderResponse]{OpInfo{70, "CopyFolder", true}}
	OpSendRights      = Op[Empty, SendRights]{OpInfo{71, "SendRights", false}}
	OpDelegates       = Op[Empty, Delegates]{OpInfo{72, "Delegates", false}}
	OpSetDelegates    = Op[Delegates, Empty]{OpInfo{73, "SetDelegates", true}}
	OpSetReadState    = Op[SetReadStateRequest, Empty]{OpInfo{74, "SetReadState", true}}
	OpChangeDelegate  = Op[DelegateChange, Empty]{OpInfo{75, "ChangeDelegate", true}}
	OpReminders       = Op[RemindersRequest, RemindersResponse]{OpInfo{76, "Reminders", false}}
	OpSubmitMessage   = Op[SubmitRequest, SubmitResponse]{OpInfo{77, "SubmitMessage", true}}
	OpAbortSubmit     = Op[AbortSubmitRequest, Empty]{OpInfo{78, "AbortSubmit", true}}
	OpDeleteMailbox   = Op[Empty, DeleteMailboxResponse]{OpInfo{79, "DeleteMailbox", true}}
)
