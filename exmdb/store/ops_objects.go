package store

import "github.com/flotilla-mail/flotilla/exmdb"

// objectHandlers are the ops on objects and their properties.
func (s *Store) objectHandlers() []Handler {
	return []Handler{
		read(s, exmdb.OpReadProps, rightRead, readProps).on(exmdb.RightReadAny),
		write(s, exmdb.OpWriteProps, rightWrite, writeProps).on(exmdb.RightEditAny),
		write(s, exmdb.OpCreateMessage, rightWrite, createMessage).on(exmdb.RightCreate),
		read(s, exmdb.OpReadMessage, rightRead, readMessage).on(exmdb.RightReadAny),
		write(s, exmdb.OpSaveMessage, rightWrite, saveMessage).on(exmdb.RightEditAny),
		read(s, exmdb.OpReadValue, rightRead, readValue).on(exmdb.RightReadAny),
		read(s, exmdb.OpPropertyIDs, rightRead, propertyIDs),
		write(s, exmdb.OpNameProperties, rightWrite, nameProperties),
		read(s, exmdb.OpPropertyNames, rightRead, propertyNames),
		read(s, exmdb.OpReceiveFolder, rightRead, receiveFolder),
		write(s, exmdb.OpSetReceiveFolder, rightWrite, setReceiveFolder),
		read(s, exmdb.OpReceiveFolders, rightRead, receiveFolders),
		write(s, exmdb.OpLocalReplicaIDs, rightWrite, localReplicaIDs),
		read(s, exmdb.OpLongTermIDs, rightRead, longTermIDs),
		write(s, exmdb.OpShortTermIDs, rightRead, shortTermIDs),
	}
}
