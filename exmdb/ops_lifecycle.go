package exmdb

// The ops on rights and on what becomes of objects have the numbers 60 to 79, for ever; add at the end.
var (
	OpPermissions       = Op[FolderRequest, PermissionsResponse]{OpInfo{60, "Permissions", false}}
	OpModifyPermissions = Op[ModifyPermissionsRequest, PermissionsResponse]{OpInfo{61, "ModifyPermissions", true}}
	OpEffectiveRights   = Op[EffectiveRightsRequest, EffectiveRightsResponse]{OpInfo{62, "EffectiveRights", false}}
)
