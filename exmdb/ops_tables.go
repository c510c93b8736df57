package exmdb

// The ops on tables have the numbers 80 to 89, for ever; add at the end.
var (
	OpTableRows    = Op[TableRowsRequest, TableRowsResponse]{OpInfo{80, "TableRows", false}}
	OpTableSeek    = Op[TableSeekRequest, TableSeekResponse]{OpInfo{81, "TableSeek", false}}
	OpTableFind    = Op[TableFindRequest, TableFindResponse]{OpInfo{82, "TableFind", false}}
	OpTableChanges = Op[TableChangesRequest, TableChangesResponse]{OpInfo{83, "TableChanges", false}}
	OpTableColumns = Op[TableColumnsRequest, TableColumnsResponse]{OpInfo{84, "TableColumns", false}}

	OpSetSearchCriteria = Op[SetSearchCriteriaRequest, Empty]{OpInfo{85, "SetSearchCriteria", true}}
	OpSearchCriteria    = Op[FolderRequest, SearchCriteria]{OpInfo{86, "SearchCriteria", false}}

	OpNarrow = Op[NarrowRequest, NarrowResponse]{OpInfo{87, "Narrow", false}}

	OpKeepOrder = Op[KeepOrderRequest, Empty]{OpInfo{88, "KeepOrder", true}}
)
