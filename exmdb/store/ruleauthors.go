package store

import (
	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/rules"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// The rules of a folder are its owner's to set, who need not have the mailbox. Then they bear his name: what he may do decides
// when they act, not only when they are set, since rights are withdrawn and a folder may be named before it is there.

// author is the caller as a rule that he sets bears him, nil for one who has the mailbox whole.
func (v *view) author() *schema.RuleAuthor {
	if v.whole {
		return nil
	}
	return &schema.RuleAuthor{User: v.as.User, Groups: v.as.Groups, Anonymous: v.as.User.IsZero()}
}

// sign notes whose a rule is that a change has left in the list. It is the caller's, unless he has the mailbox whole and did not
// set what it does. He is told at once of what he cannot have done.
func (t *tx) sign(list *schema.Rules, c *exmdb.RuleChange, r *rules.Rule) error {
	if _, sets := lookup(&c.Props, mapi.PidTagRuleActions); t.whole && !sets && c.Kind != exmdb.RuleRemove {
		return nil
	}
	if c.Kind == exmdb.RuleRemove {
		list.Sign(r.ID, nil)
		return nil
	}
	list.Sign(r.ID, t.author())
	if t.whole {
		return nil
	}
	for i, a := range r.Actions {
		if may, err := t.maySet(a); err != nil || !may {
			return orElse(err, cluster.Errorf(exmdb.KindAccessDenied, "action %d of rule %q: user %v may not do this", i, r.Name, t.as.User))
		}
	}
	return nil
}

// maySet reports whether the caller may do what an action of a standard rule does. One into a folder that is not there does
// nothing.
func (t *tx) maySet(a mapi.RuleAction) (bool, error) {
	if rules.ForMailboxOnly(a, false) != 0 {
		return false, nil
	}
	move, is := a.Data.(*mapi.MoveAction)
	if !is {
		return true, nil
	}
	fid, found, err := t.target(move)
	if err != nil || !found {
		return true, err
	}
	rights, err := t.rightsIn(fid)
	return rights&exmdb.RightCreate != 0, err
}

// authorMay reports whether the author of a rule has one of some rights in a folder.
func (v *view) authorMay(who *exmdb.Identity, fid mapi.FID, of exmdb.FolderRights) (bool, error) {
	list, err := v.permissions(fid)
	return err == nil && granted(list, who)&of != 0, err
}

// extendedAuthor is what is kept with an extended rule that the caller sets.
func (v *view) extendedAuthor() []byte {
	if by := v.author(); by != nil {
		return wire.Marshal(by)
	}
	return []byte{}
}

// adopt makes an associated message that somebody puts into a folder his own, with the extended rule in it, if he has not the
// mailbox whole.
func (t *tx) adopt(row *schema.Row) error {
	if t.whole || row.Bits&schema.RowAssociated == 0 {
		return nil
	}
	row.Strange = true
	b, err := t.r.Get(schema.ExtendedRuleKey(row.Object))
	if err != nil || b == nil {
		return err
	}
	return t.indexRule(row.Object, t.extendedAuthor())
}
