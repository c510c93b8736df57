package store

import (
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// accessBit is a bit of PidTagAccess with what it needs (MS-OXCPRPT 2.2.1.1).
type accessBit struct {
	bit  mapi.Integer32
	need grant
}

var (
	folderAccess = []accessBit{
		{mapi.AccessRead, toSee}, {mapi.AccessModify, toOwn}, {mapi.AccessDelete, toOwn}, {mapi.AccessCreateHierarchy, toMakeFolders},
		{mapi.AccessCreateContents, toCreate}, {mapi.AccessCreateAssociated, toOwn},
	}
	messageAccess = []accessBit{{mapi.AccessRead, toRead}, {mapi.AccessModify, toEdit}, {mapi.AccessDelete, toDelete}}
)

// access is what the caller may do with a folder.
func (s *shownFolder) access() mapi.Value {
	rights, err := s.rightsIn(s.fid)
	s.fail(err)
	bits := mapi.Integer32(0)
	for _, a := range folderAccess {
		if rights&a.need.any != 0 {
			bits |= a.bit
		}
	}
	return bits
}

// accessLevel says whether the caller may change the folder or reads it only (MS-OXCPRPT 2.2.1.2).
func (s *shownFolder) accessLevel() mapi.Value {
	bits, _ := s.access().(mapi.Integer32)
	if bits&mapi.AccessModify != 0 {
		return mapi.Integer32(1)
	}
	return mapi.Integer32(0)
}

// rights is PidTagRights: the caller's, without those on free and busy times (MS-OXCFOLD 2.2.2.2.2.8).
func (s *shownFolder) rights() mapi.Value {
	rights, err := s.rightsIn(s.fid)
	s.fail(err)
	return mapi.Integer32(rights &^ exmdb.FreeBusyRights)
}

// access is what the caller may do with a message.
func (s *shownMessage) access() mapi.Value {
	bits := mapi.Integer32(0)
	for _, a := range messageAccess {
		ok, err := s.mayOn(s.fid, s.m, a.need)
		s.fail(err)
		if ok {
			bits |= a.bit
		}
	}
	return bits
}
