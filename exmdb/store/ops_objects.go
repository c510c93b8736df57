package store

import "github.com/flotilla-mail/flotilla/exmdb"

// objectHandlers are the ops on objects and their properties.
func (s *Store) objectHandlers() []Handler {
	return []Handler{
		read(s, exmdb.OpReadProps, may(onObject(toRead, toSee, rightRead)), readProps),
		write(s, exmdb.OpWriteProps, may(onObject(toEdit, toOwn, rightWrite)), writeProps),
		write(s, exmdb.OpCreateMessage, may(inBy("Folder", toCreateMessage)), createMessage),
		read(s, exmdb.OpReadMessage, may(onObject(toRead, toSee, rightRead)), readMessage),
		write(s, exmdb.OpSaveMessage, may(in("Message", toEdit)), saveMessage),
		read(s, exmdb.OpReadValue, may(onObject(toRead, toSee, rightRead)), readValue),
		read(s, exmdb.OpPropertyIDs, rightRead, propertyIDs),
		write(s, exmdb.OpNameProperties, rightChange, nameProperties),
		read(s, exmdb.OpPropertyNames, rightRead, propertyNames),
		read(s, exmdb.OpReceiveFolder, rightRead, receiveFolder),
		write(s, exmdb.OpSetReceiveFolder, rightWrite, setReceiveFolder),
		read(s, exmdb.OpReceiveFolders, rightRead, receiveFolders),
		write(s, exmdb.OpLocalReplicaIDs, rightChange, localReplicaIDs),
		read(s, exmdb.OpLongTermIDs, rightRead, longTermIDs),
		write(s, exmdb.OpShortTermIDs, rightRead, shortTermIDs),
		write(s, exmdb.OpMarkMessages, may(in("Folder", toRead)), markMessages),
		write(s, exmdb.OpCopyMessages, may(in("Folder", toRead), in("Target", toCreate)), copyByMID),
		write(s, exmdb.OpMoveMessages, may(in("Folder", toRead), in("Target", toCreate)), moveByMID),
		read(s, exmdb.OpLocate, rightRead, locate),
		write(s, exmdb.OpCarryAcross, may(in("Folder", toRead)), carryAcross),
		read(s, exmdb.OpCrossing, rightAdminister, crossing),
		read(s, exmdb.OpReadCrossing, rightAdminister, readCrossing),
		write(s, exmdb.OpTakeIn, rightDeliver, takeIn),
		write(s, exmdb.OpFinishCrossing, rightAdminister, finishCrossing),
		write(s, exmdb.OpSetReadFlags, may(in("Folder", toRead)), setReadFlags),
		read(s, exmdb.OpPerUser, may(in("Folder", toRead)), readPerUser),
		write(s, exmdb.OpWritePerUser, may(in("Folder", toRead)), writePerUser),
		read(s, exmdb.OpPerUserFolders, rightWrite, perUserFolders),
	}
}
