package exmdb

// The ops on change synchronisation have the numbers 90 to 99, for ever; add at the end.
var (
	OpSyncContents  = Op[SyncContentsRequest, SyncContentsResponse]{OpInfo{90, "SyncContents", false}}
	OpSyncHierarchy = Op[SyncHierarchyRequest, SyncHierarchyResponse]{OpInfo{91, "SyncHierarchy", false}}
	OpImportMessage = Op[ImportMessageRequest, ImportResponse]{OpInfo{92, "ImportMessage", true}}
	OpImportFolder  = Op[ImportFolderRequest, ImportFolderResponse]{OpInfo{93, "ImportFolder", true}}
	OpImportDeletes = Op[ImportDeletesRequest, ImportDeletesResponse]{OpInfo{94, "ImportDeletes", true}}
	OpImportMove    = Op[ImportMoveRequest, ImportResponse]{OpInfo{96, "ImportMove", true}}
	// OpImportReadStates sets whether messages are read, for the caller where that is his own.
	OpImportReadStates = Op[ImportReadStatesRequest, ImportReadStatesResponse]{OpInfo{97, "ImportReadStates", true}}
)
