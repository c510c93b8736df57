package store

import (
	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
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

func allow(as *exmdb.Identity, need right) error {
	if as.Privileges&granted(need) == 0 {
		return cluster.Errorf(exmdb.KindAccessDenied, "user %v may not do this", as.User)
	}
	return nil
}
