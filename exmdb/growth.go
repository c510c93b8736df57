package exmdb

import "slices"

// Grows reports whether an op brings in what stays: mail, copies, content, whole mailboxes. The owner refuses it with
// cluster.KindDiskFull while its disk is nearly full (CLUSTER 5.5). What deletes, moves, flags or settles goes on: it makes
// room, or takes next to none.
func (i OpInfo) Grows() bool {
	return slices.Contains([]OpID{
		OpCreateMailbox.ID,
		OpDeliver.ID, OpAppend.ID, OpUploadChunk.ID,
		OpCreateMessage.ID, OpSaveMessage.ID, OpImportMessage.ID, OpSubmitMessage.ID, OpTakeIn.ID,
		OpCopy.ID, OpCopyMessages.ID, OpCopyFolder.ID,
	}, i.ID)
}
