package archive

import "github.com/flotilla-mail/flotilla/exmdb"

// Ops are the ops by which mailboxes are imported and exported; the admin API carries no others.
func Ops() []exmdb.OpInfo {
	return []exmdb.OpInfo{
		exmdb.OpMailboxInfo.OpInfo, exmdb.OpListFolders.OpInfo, exmdb.OpCreateFolder.OpInfo, exmdb.OpAppend.OpInfo, exmdb.OpRows.OpInfo,
		exmdb.OpReadBytes.OpInfo, exmdb.OpUploadChunk.OpInfo, exmdb.OpReadProps.OpInfo, exmdb.OpWriteProps.OpInfo, exmdb.OpCreateMessage.OpInfo,
		exmdb.OpReadMessage.OpInfo, exmdb.OpSaveMessage.OpInfo, exmdb.OpReadValue.OpInfo, exmdb.OpLocalReplicaIDs.OpInfo,
		exmdb.OpMarkMessages.OpInfo, exmdb.OpLocate.OpInfo, exmdb.OpPermissions.OpInfo, exmdb.OpModifyPermissions.OpInfo,
		exmdb.OpDeleteMessages.OpInfo, exmdb.OpTableRows.OpInfo, exmdb.OpImportMessage.OpInfo, exmdb.OpDeleted.OpInfo,
		exmdb.OpPropertyNames.OpInfo, exmdb.OpNameProperties.OpInfo, exmdb.OpGetRules.OpInfo, exmdb.OpModifyRules.OpInfo,
		exmdb.OpSearchCriteria.OpInfo, exmdb.OpSetSearchCriteria.OpInfo, exmdb.OpReceiveFolders.OpInfo, exmdb.OpSetReceiveFolder.OpInfo,
		exmdb.OpOOF.OpInfo, exmdb.OpSetOOF.OpInfo, exmdb.OpJunk.OpInfo, exmdb.OpSetJunk.OpInfo, exmdb.OpDelegates.OpInfo,
		exmdb.OpSetDelegates.OpInfo, exmdb.OpSubscribe.OpInfo, exmdb.OpSetReadState.OpInfo,
	}
}
