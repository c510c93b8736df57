package exmdb

import (
	"slices"
	"testing"
)

// Every op that writes is known as one or the other: a new one wants to be thought about.
func TestEveryWriteGrowsOrNot(t *testing.T) {
	small := []OpID{
		OpSetQuota.ID, OpCreateFolder.ID, OpMoveFolder.ID, OpDeleteFolder.ID, OpSubscribe.ID, OpSetFlags.ID, OpMove.ID, OpExpunge.ID,
		OpModifyRules.ID, OpDeferred.ID, OpSetOOF.ID, OpSetJunk.ID, OpFinishOutgoing.ID,
		OpModifyPermissions.ID, OpDeleteMessages.ID, OpRecoverMessages.ID, OpPurgeDeleted.ID, OpRecoverFolder.ID, OpEmptyFolder.ID,
		OpSetDelegates.ID, OpSetReadState.ID, OpChangeDelegate.ID, OpAbortSubmit.ID, OpDeleteMailbox.ID,
		OpWriteProps.ID, OpNameProperties.ID, OpSetReceiveFolder.ID, OpLocalReplicaIDs.ID, OpShortTermIDs.ID, OpMarkMessages.ID, OpSetReadFlags.ID, OpWritePerUser.ID,
		OpMoveMessages.ID, OpImportFolder.ID, OpImportDeletes.ID, OpImportMove.ID, OpImportReadStates.ID, OpSetSearchCriteria.ID,
		OpCarryAcross.ID, OpFinishCrossing.ID, OpKeepOrder.ID,
	}
	for _, op := range allOps {
		switch grows := op.Grows(); {
		case !op.Write && grows:
			t.Errorf("%s reads and grows", op.Name)
		case op.Write && grows == slices.Contains(small, op.ID):
			t.Errorf("%s grows: %v, and is among the small ones: %v", op.Name, grows, !grows)
		}
	}
}
