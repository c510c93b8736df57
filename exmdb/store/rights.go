package store

import (
	"reflect"
	"slices"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/invariant"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// Every row of the op table says what its op needs of the caller, and admit checks that before the op's function runs:
// nothing else in this package does. An op that touches items of one folder may be allowed for the caller's own items
// only; then the view is confined in that folder, and scanRows, row and shows pass over everybody else's.

// right is what an op needs of its caller in the mailbox as a whole.
type right uint8

const (
	// rightRead is held by whoever sees a folder of the mailbox.
	rightRead right = iota + 1
	// rightChange is held by whoever may make or change items in one.
	rightChange
	// rightWrite is held by the mailbox's owner and by those who have full access to it.
	rightWrite
	// rightDeliver is to put mail into the mailbox from outside.
	rightDeliver
	// rightAdminister is to create, limit and restore the mailbox.
	rightAdminister
	// rightAsk is everybody's: what the answer holds depends on who asks.
	rightAsk
)

// demand is what a row of the op table names: a right in the mailbox, or what is needed in folders.
type demand interface{ access() access }

// access is a demand taken apart.
type access struct {
	right right // zero where needs say all
	needs []need
	// afterlife: the op may come to a mailbox that is deleted.
	afterlife bool
}

func (r right) access() access    { return access{right: r} }
func (a access) access() access   { return a }
func may(needs ...need) access    { return access{needs: needs} }
func (a access) declared() bool   { return a.right != 0 || len(a.needs) > 0 }
func (r right) ofTheSystem() bool { return r == rightDeliver || r == rightAdminister }

// grant is which rights in a folder are enough for something. The zero grant needs none.
type grant struct {
	// any: one of these is enough, for every item where it is about items.
	any exmdb.FolderRights
	// own: one of these is enough for items that the caller made.
	own exmdb.FolderRights
	// associated, where it is set, stands in place of both for associated messages: rules, views and forms of a folder
	// are its owner's matter.
	associated exmdb.FolderRights
}

// canSee are the rights of which one makes a folder visible.
const canSee = exmdb.RightFolderVisible | exmdb.RightReadAny | exmdb.RightFolderOwner

// canChange are the rights that let someone make or change items.
const canChange = exmdb.RightCreate | exmdb.RightEditOwned | exmdb.RightEditAny | exmdb.RightFolderOwner

// The grants of MS-OXCPERM 2.2.7. What one has made oneself can be read wherever the folder is seen.
var (
	toSee         = grant{any: canSee}
	toRead        = grant{any: exmdb.RightReadAny, own: canSee}
	toPassOn      = grant{any: exmdb.RightReadAny, own: allRights} // others read it then, whom one names oneself
	toCreate      = grant{any: exmdb.RightCreate, associated: exmdb.RightFolderOwner}
	toEdit        = grant{any: exmdb.RightEditAny, own: exmdb.RightEditOwned, associated: exmdb.RightFolderOwner}
	toDelete      = grant{any: exmdb.RightDeleteAny, own: exmdb.RightDeleteOwned, associated: exmdb.RightFolderOwner}
	toMakeFolders = grant{any: exmdb.RightCreateSubfolder}
	toOwn         = grant{any: exmdb.RightFolderOwner}
)

// need is one thing that an op needs: a grant in the folder, or on the object, that a field of its request names.
type need struct {
	field string
	grant grant
	// pick, when set, says by the request which grant it is.
	pick func(v *view, req any) (grant, error)
	// tree: in every folder below as well.
	tree bool
	// folder and box are for objects that are no messages.
	folder grant
	box    right
	index  int // of the field
}

// in needs a grant in a folder, or on a message.
func in(field string, g grant) need { return need{field: field, grant: g} }

// inTree needs a grant in a folder and in all below it.
func inTree(field string, g grant) need { return need{field: field, grant: g, tree: true} }

// inBy needs a grant that depends on what is asked.
func inBy[Q any](field string, pick func(*view, *Q) (grant, error)) need {
	return need{field: field, pick: func(v *view, req any) (grant, error) { return pick(v, req.(*Q)) }}
}

// onObject needs one grant on a message, another on a folder, and a right where the object is the mailbox.
func onObject(message, folder grant, box right) need {
	return need{field: "Object", grant: message, folder: folder, box: box}
}

// inTreeBy is inBy in a folder and in all below it.
func inTreeBy[Q any](field string, pick func(*view, *Q) (grant, error)) need {
	n := inBy(field, pick)
	n.tree = true
	return n
}

// bind finds the fields that needs name in the requests of an op.
func (a access) bind(request reflect.Type) access {
	a.needs = slices.Clone(a.needs)
	for i := range a.needs {
		f, found := request.FieldByName(a.needs[i].field)
		if !found || len(f.Index) != 1 {
			invariant.Failf("%v has no field %s", request, a.needs[i].field)
		}
		a.needs[i].index = f.Index[0]
	}
	return a
}

// allRights is what the whole mailbox grants in each folder.
const allRights = exmdb.AllRights

// system reports whether the mail flow or the administration asks.
func (v *view) system() bool { return v.as.Privileges&exmdb.PrivilegeSystem != 0 }

// whole reports whether the caller has everything the mailbox's owner has. A mailbox that was made for nobody is no
// person's.
func whole(as *exmdb.Identity, owner mapi.GUID) bool {
	switch {
	case as.Privileges&exmdb.PrivilegeSystem != 0:
		return true
	case as.User.IsZero() || owner.IsZero():
		return false
	case as.User == owner:
		return as.Privileges&exmdb.PrivilegeOwner != 0
	}
	return slices.Contains(as.FullAccess, owner)
}

func (v *view) denied() error {
	return cluster.Errorf(exmdb.KindAccessDenied, "user %v may not do this", v.as.User)
}

// admit refuses a caller who has not what an op needs for its request.
func (v *view) admit(a access, req any) error {
	if err := v.hold(a.right); err != nil || v.whole {
		return err
	}
	for i := range a.needs {
		if err := v.meet(&a.needs[i], req); err != nil {
			return err
		}
	}
	return nil
}

// hold refuses a caller who does not hold a right in the mailbox.
func (v *view) hold(r right) error {
	held, err := v.whole, error(nil)
	switch {
	case r == 0 || r == rightAsk:
		held = true
	case r.ofTheSystem():
		held = v.system()
	case held:
	case r == rightRead:
		held, err = v.anywhere(canSee)
	case r == rightChange:
		held, err = v.anywhere(canChange)
	}
	if err == nil && !held {
		err = v.denied()
	}
	return err
}

// meet refuses a caller who does not have what one need asks for.
func (v *view) meet(n *need, req any) error {
	g := n.grant
	if n.pick != nil {
		var err error
		if g, err = n.pick(v, req); err != nil {
			return v.hide(err)
		}
	}
	switch at := reflect.ValueOf(req).Elem().Field(n.index).Interface().(type) {
	case mapi.FID:
		if n.tree {
			return v.hide(v.inTree(at, g))
		}
		return v.hide(v.inFolder(at, g))
	case mapi.GID:
		return v.hide(v.inNamed(at, g))
	case mapi.MID:
		return v.hide(v.onMessage(at, g))
	case exmdb.ObjectID:
		switch {
		case at.Deleted && at.Message != 0:
			return v.hide(v.onDeleted(&at, g))
		case at.Message != 0:
			return v.hide(v.onMessage(at.Message, g))
		case at.Folder != 0:
			return v.hide(v.inFolder(at.Folder, n.folder))
		}
		return v.hold(n.box)
	case exmdb.TableRequest:
		return v.hide(v.onTable(&at.Spec, g))
	default:
		invariant.Failf("field %s of %T names no object", n.field, req)
		return nil
	}
}

// hide keeps from strangers what is there and what is not.
func (v *view) hide(err error) error {
	switch cluster.KindOf(err) {
	case exmdb.KindNoFolder, exmdb.KindNoMessage:
		member, merr := v.anywhere(canSee)
		if merr != nil || !member {
			return orElse(merr, v.denied())
		}
	}
	return err
}

// inFolder refuses a caller who has not the rights of a grant in a folder, and confines him to his own items where he
// has it for those only.
func (v *view) inFolder(fid mapi.FID, g grant) error {
	if g == (grant{}) {
		return nil
	}
	rights, err := v.rightsIn(fid)
	switch {
	case err != nil || rights&g.any != 0:
		return err
	case rights&g.own != 0:
		v.confine(fid)
		return nil
	}
	if _, err := v.folderCounts(fid); err != nil {
		return err
	}
	return v.denied()
}

// inNamed is inFolder for a folder of a public mailbox that is named as across mailboxes. What another mailbox keeps of such a
// folder is its owner's.
func (v *view) inNamed(id mapi.GID, g grant) error {
	if v.header.Kind != exmdb.MailboxPublic {
		return v.hold(rightWrite)
	}
	c, err := v.ownCounter(id)
	if err != nil {
		return err
	}
	return v.inFolder(mapi.LocalFID(c), g)
}

func (v *view) inTree(fid mapi.FID, g grant) error {
	if g == (grant{}) {
		return nil
	}
	tree, err := v.subtree(fid)
	for i := 0; i < len(tree) && err == nil; i++ {
		err = v.inFolder(tree[i], g)
	}
	return err
}

// onMessage refuses a caller who has not a grant on one message.
func (v *view) onMessage(mid mapi.MID, g grant) error {
	fid, m, err := v.find(mid)
	if err != nil {
		return err
	}
	ok, err := v.mayOn(fid, m, g)
	if err == nil && !ok {
		err = v.denied()
	}
	return err
}

// onDeleted is onMessage for a soft-deleted one: who may not delete it does not know of it. One in a soft-deleted folder is for
// who owned that.
func (v *view) onDeleted(id *exmdb.ObjectID, g grant) error {
	fid, m, err := v.findObject(id)
	knows := toDelete
	if err == nil && m.deleted == 0 {
		knows = toOwn
	}
	for _, each := range []grant{knows, g} {
		if err != nil {
			return err
		}
		var ok bool
		if ok, err = v.mayOn(fid, m, each); err == nil && !ok {
			err = v.denied()
		}
	}
	return err
}

// mayOn reports whether the caller has a grant on a message.
func (v *view) mayOn(fid mapi.FID, m *message, g grant) (bool, error) {
	rights, err := v.rightsIn(fid)
	switch {
	case err != nil:
		return false, err
	case m.associated() && g.associated != 0:
		return rights&g.associated != 0, nil
	case rights&g.any != 0:
		return true, nil
	}
	return rights&g.own != 0 && v.mine(&m.row), nil
}

// confine limits the op to what the caller has made in a folder.
func (v *view) confine(fid mapi.FID) {
	if v.confined == nil {
		v.confined = make(map[mapi.FID]bool)
	}
	v.confined[fid] = true
}

// MayRead refuses whoever may not read anything in the mailbox; MayWrite, whoever may not change anything in it. They
// are for ops that run beside the table.
func (s *Store) MayRead(r space.Reader, as *exmdb.Identity) error {
	_, err := s.open(r, as, rightRead)
	return err
}

// MayWrite is described at MayRead.
func (s *Store) MayWrite(r space.Reader, as *exmdb.Identity) error {
	_, err := s.open(r, as, rightChange)
	return err
}
