package mapi

// More values of PidTagMessageFlags and PidTagMessageStatus (MS-OXCMSG 2.2.1.6, 2.2.1.8).
const (
	MessageFlagAssociated   = 0x0000_0040
	MessageFlagNotifyRead   = 0x0000_0100
	MessageFlagNotifyUnread = 0x0000_0200
	MessageFlagEverRead     = 0x0000_0400
	MessageStatusInConflict = 0x0000_0800
)

// Values of PidTagObjectType (MS-OXCPRPT 2.2.1.7).
const (
	ObjectStore      = 0x1
	ObjectFolder     = 0x3
	ObjectMessage    = 0x5
	ObjectAttachment = 0x7
)

// Bits of PidTagAccess (MS-OXCPRPT 2.2.1.1).
const (
	AccessModify           = 0x01
	AccessRead             = 0x02
	AccessDelete           = 0x04
	AccessCreateHierarchy  = 0x08
	AccessCreateContents   = 0x10
	AccessCreateAssociated = 0x20
)

// Values of PidTagFolderType (MS-OXCFOLD 2.2.2.2.2.3).
const (
	FolderRoot    = 0
	FolderGeneric = 1
	FolderSearch  = 2
)

// Bits of PidTagFolderFlags (MS-OXCFOLD 2.2.2.2.1): below the IPM subtree, a search folder, one with messages, one with rules.
const (
	FolderFlagIPM    = 0x1
	FolderFlagSearch = 0x2
	FolderFlagNormal = 0x4
	FolderFlagRules  = 0x8
)

// Values of PidTagAttachMethod (MS-OXCMSG 2.2.2.9).
const (
	AttachByValue  = 1
	AttachEmbedded = 5
	AttachOLE      = 6
)

// Error codes of properties that cannot be set (MS-OXCDATA 2.4).
const (
	ErrorAccessDenied    ErrorCode = 0x8007_0005
	ErrorComputed        ErrorCode = 0x8004_011A
	ErrorUnexpectedType  ErrorCode = 0x8004_0303
	ErrorInvalidArgument ErrorCode = 0x8007_0057
)
