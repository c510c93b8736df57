package exmdb

// FolderRights are what a user may do in a folder (MS-OXCPERM 2.2.7, PidTagMemberRights). Bits are the
// specification's and reach disk and wire.
type FolderRights uint32

// The rights.
const (
	RightReadAny          FolderRights = 0x0000_0001
	RightCreate           FolderRights = 0x0000_0002
	RightEditOwned        FolderRights = 0x0000_0008
	RightDeleteOwned      FolderRights = 0x0000_0010
	RightEditAny          FolderRights = 0x0000_0020
	RightDeleteAny        FolderRights = 0x0000_0040
	RightCreateSubfolder  FolderRights = 0x0000_0080
	RightFolderOwner      FolderRights = 0x0000_0100
	RightFolderContact    FolderRights = 0x0000_0200
	RightFolderVisible    FolderRights = 0x0000_0400
	RightFreeBusySimple   FolderRights = 0x0000_0800
	RightFreeBusyDetailed FolderRights = 0x0000_1000
)
