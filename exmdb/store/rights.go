package store

import (
	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// right is what an op needs of its caller. Folder permissions, which grant less than all, have their place here.
type right uint8

const (
	rightRead right = iota + 1
	rightWrite
	// rightDeliver is to put mail into the Inbox from outside.
	rightDeliver
	// rightAdminister is to create, limit and restore the mailbox.
	rightAdminister
)

// granted maps each right to the privileges of which one is enough.
func granted(need right) exmdb.Privileges {
	switch need {
	case rightRead, rightWrite:
		return exmdb.PrivilegeSystem | exmdb.PrivilegeOwner
	default:
		return exmdb.PrivilegeSystem
	}
}

// held is what of its privileges the caller has in a mailbox: a person is owner of the one that was made for him, of
// one that was made for nobody no person is.
func held(as *exmdb.Identity, owner mapi.GUID) exmdb.Privileges {
	if as.User.IsZero() || as.User != owner {
		return as.Privileges &^ exmdb.PrivilegeOwner
	}
	return as.Privileges
}

func allow(as *exmdb.Identity, owner mapi.GUID, need right) error {
	if held(as, owner)&granted(need) == 0 {
		return cluster.Errorf(exmdb.KindAccessDenied, "user %v may not do this", as.User)
	}
	return nil
}

// MayRead refuses whoever may not read the mailbox; MayWrite, whoever may not change it. They are for ops that run
// beside the table.
func (s *Store) MayRead(r space.Reader, as *exmdb.Identity) error {
	_, err := s.open(r, as, rightRead)
	return err
}

// MayWrite is described at MayRead.
func (s *Store) MayWrite(r space.Reader, as *exmdb.Identity) error {
	_, err := s.open(r, as, rightWrite)
	return err
}
