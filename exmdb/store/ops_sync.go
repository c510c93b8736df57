package store

import "github.com/flotilla-mail/flotilla/exmdb"

// syncHandlers are the ops on change synchronisation.
func (s *Store) syncHandlers() []Handler {
	return []Handler{
		read(s, exmdb.OpSyncContents, may(in("Folder", toRead)), syncContents),
		read(s, exmdb.OpSyncHierarchy, may(in("Folder", toSee)), syncHierarchy),
		write(s, exmdb.OpImportMessage, may(inBy("Folder", toImport)), importMessage),
		write(s, exmdb.OpImportFolder, may(inBy("Parent", toImportFolder)), importFolder),
		write(s, exmdb.OpImportDeletes, may(inBy("Folder", toImportDeletes)), importDeletes),
		write(s, exmdb.OpImportMove, may(in("From", toRead), in("Folder", toCreate)), importMove),
		write(s, exmdb.OpImportReadStates, may(in("Folder", toRead)), importReadStates),
	}
}
