package exmdb

// The ops on rules, out-of-office, junk and what goes out by itself have the numbers 100 to 119, for ever; add at the end.
// Those from 109 on are the mail flow's.
var (
	OpGetRules       = Op[GetRulesRequest, GetRulesResponse]{OpInfo{100, "GetRules", false}}
	OpModifyRules    = Op[ModifyRulesRequest, ModifyRulesResponse]{OpInfo{101, "ModifyRules", true}}
	OpDeferred       = Op[DeferredActionsRequest, Empty]{OpInfo{103, "UpdateDeferredActions", true}}
	OpOOF            = Op[Empty, OOFSettings]{OpInfo{104, "OOF", false}}
	OpSetOOF         = Op[OOFSettings, Empty]{OpInfo{105, "SetOOF", true}}
	OpJunk           = Op[Empty, JunkResponse]{OpInfo{107, "Junk", false}}
	OpSetJunk        = Op[SetJunkRequest, Empty]{OpInfo{108, "SetJunk", true}}
	OpOutgoing       = Op[OutgoingRequest, OutgoingResponse]{OpInfo{109, "Outgoing", false}}
	OpReadOutgoing   = Op[ReadOutgoingRequest, ReadBytesResponse]{OpInfo{110, "ReadOutgoing", false}}
	OpFinishOutgoing = Op[OutgoingRequest, Empty]{OpInfo{111, "FinishOutgoing", true}}
)
