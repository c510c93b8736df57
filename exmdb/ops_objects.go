package exmdb

// The ops on objects and their properties have the numbers 30 to 59, for ever; add at the end.
var (
	OpReadProps     = Op[ReadPropsRequest, ReadPropsResponse]{OpInfo{30, "ReadProps", false}}
	OpWriteProps    = Op[WritePropsRequest, WritePropsResponse]{OpInfo{31, "WriteProps", true}}
	OpCreateMessage = Op[CreateMessageRequest, SavedMessage]{OpInfo{32, "CreateMessage", true}}
	OpReadMessage   = Op[ReadMessageRequest, ReadMessageResponse]{OpInfo{33, "ReadMessage", false}}
	OpSaveMessage   = Op[SaveMessageRequest, SavedMessage]{OpInfo{34, "SaveMessage", true}}
	OpReadValue     = Op[ReadValueRequest, ReadValueResponse]{OpInfo{35, "ReadValue", false}}
	OpPropertyIDs   = Op[NamesRequest, PropertyIDsResponse]{OpInfo{36, "PropertyIDs", false}}
	// OpNameProperties is OpPropertyIDs that makes the names known.
	OpNameProperties   = Op[NamesRequest, PropertyIDsResponse]{OpInfo{37, "NameProperties", true}}
	OpPropertyNames    = Op[PropertyNamesRequest, PropertyNamesResponse]{OpInfo{38, "PropertyNames", false}}
	OpReceiveFolder    = Op[ReceiveFolderRequest, ReceiveFolder]{OpInfo{39, "ReceiveFolder", false}}
	OpSetReceiveFolder = Op[SetReceiveFolderRequest, Empty]{OpInfo{40, "SetReceiveFolder", true}}
	OpReceiveFolders   = Op[Empty, ReceiveFoldersResponse]{OpInfo{41, "ReceiveFolders", false}}
	OpLocalReplicaIDs  = Op[LocalReplicaIDsRequest, LocalReplicaIDsResponse]{OpInfo{42, "LocalReplicaIDs", true}}
	OpLongTermIDs      = Op[LongTermIDsRequest, LongTermIDsResponse]{OpInfo{43, "LongTermIDs", false}}
	OpShortTermIDs     = Op[ShortTermIDsRequest, ShortTermIDsResponse]{OpInfo{44, "ShortTermIDs", true}}
	OpMarkMessages     = Op[MarkMessagesRequest, MarkMessagesResponse]{OpInfo{45, "MarkMessages", true}}
	OpCopyMessages     = Op[CarryMessagesRequest, CarryMessagesResponse]{OpInfo{46, "CopyMessages", true}}
	OpMoveMessages     = Op[CarryMessagesRequest, CarryMessagesResponse]{OpInfo{47, "MoveMessages", true}}
	OpLocate           = Op[LocateRequest, LocateResponse]{OpInfo{48, "Locate", false}}
	OpCarryAcross      = Op[CarryAcrossRequest, CarryAcrossResponse]{OpInfo{49, "CarryAcross", true}}
	OpCrossing         = Op[Crossing, CrossingResponse]{OpInfo{50, "Crossing", false}}
	OpReadCrossing     = Op[ReadCrossingRequest, ReadBytesResponse]{OpInfo{51, "ReadCrossing", false}}
	OpTakeIn           = Op[TakeInRequest, TakeInResponse]{OpInfo{52, "TakeIn", true}}
	OpFinishCrossing   = Op[FinishCrossingRequest, FinishCrossingResponse]{OpInfo{53, "FinishCrossing", true}}
	OpSetReadFlags     = Op[SetReadFlagsRequest, SetReadFlagsResponse]{OpInfo{54, "SetReadFlags", true}}
	OpPerUser          = Op[PerUserRequest, PerUserResponse]{OpInfo{55, "PerUser", false}}
	OpWritePerUser     = Op[WritePerUserRequest, WritePerUserResponse]{OpInfo{56, "WritePerUser", true}}
	OpPerUserFolders   = Op[PerUserFoldersRequest, PerUserFoldersResponse]{OpInfo{57, "PerUserFolders", false}}
)
