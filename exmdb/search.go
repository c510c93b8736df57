package exmdb

import "github.com/flotilla-mail/flotilla/internal/mapi"

// SearchFlags say what RopSetSearchCriteria does (MS-OXCFOLD 2.2.1.4.1). Bits reach the wire.
type SearchFlags uint32

// The flags. How hard a search works and with what indexes is the store's matter, so those flags change nothing.
const (
	SearchStop           SearchFlags = 0x1
	SearchRestart        SearchFlags = 0x2
	SearchRecursive      SearchFlags = 0x4
	SearchShallow        SearchFlags = 0x8
	SearchForeground     SearchFlags = 0x10
	SearchBackground     SearchFlags = 0x20
	SearchContentIndexed SearchFlags = 0x1_0000
	SearchNoContentIndex SearchFlags = 0x2_0000
	SearchStatic         SearchFlags = 0x4_0000
)

// SearchState says what a search is doing (MS-OXCFOLD 2.2.1.5.2). Bits reach the wire.
type SearchState uint32

// The states that there are of a search. It is complete at once: membership is derived when it is asked for.
const (
	SearchStateRecursive SearchState = 0x4
	SearchStateComplete  SearchState = 0x1000
	SearchStateStatic    SearchState = 0x1_0000
)

// SetSearchCriteriaRequest gives a search folder its criteria (RopSetSearchCriteria).
type SetSearchCriteriaRequest struct {
	Folder mapi.FID `wire:"1"`
	// Restriction is in the form of oxcdata.AppendRestriction. It and Folders are those of before when they are empty.
	Restriction []byte      `wire:"2"`
	Folders     []mapi.FID  `wire:"3"`
	Flags       SearchFlags `wire:"4"`
}

// SearchCriteria are those of a search folder (RopGetSearchCriteria).
type SearchCriteria struct {
	Restriction []byte      `wire:"1"`
	Folders     []mapi.FID  `wire:"2"`
	State       SearchState `wire:"3"`
}
