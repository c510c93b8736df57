package rules

import (
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// A folder's rules are set by whoever owns the folder, and that need not be who has the mailbox. A rule does nothing that its
// author could not do: it acts while he owns its folder, in which he can give himself every right, and elsewhere with the
// rights that he has there.

// ForMailboxOnly is why an action is not for rules of somebody who has not the mailbox whole, zero for those that are. What goes out
// bears the mailbox's name and nobody else's; what is left to a client is done by the mailbox's own, with all of its rights.
func ForMailboxOnly(a mapi.RuleAction, extended bool) FailureCode {
	switch a.Type {
	case mapi.ActionForward, mapi.ActionDelegate, mapi.ActionReply, mapi.ActionOOFReply, mapi.ActionBounce:
		return FailureSender
	case mapi.ActionDefer:
		return FailureDeferral
	case mapi.ActionMove, mapi.ActionCopy:
		if elsewhere(a, extended) {
			return FailureDeferral
		}
	}
	return 0
}

// elsewhere reports whether a move goes into another store, which the client alone can reach.
func elsewhere(move mapi.RuleAction, extended bool) bool {
	return !extended && !move.Data.(*mapi.MoveAction).InThisStore
}

// may reports whether a rule's author has one of some rights in a folder; the mailbox's own rules have all.
func (e *evaluation) may(r *Rule, f mapi.FID, of exmdb.FolderRights) (bool, error) {
	if r.Author == nil {
		return true, nil
	}
	return e.May(r.Author, f, of)
}

// refusal is why the rule's author cannot have an action done, zero where he can. Where a move goes is asked when it is known.
func (r *run) refusal(a mapi.RuleAction) (FailureCode, error) {
	if r.rule.Author == nil {
		return 0, nil
	}
	if code := ForMailboxOnly(a, r.rule.Extended); code != 0 {
		return code, nil
	}
	if a.Type != mapi.ActionMarkAsRead && a.Type != mapi.ActionTag {
		return 0, nil
	}
	for _, f := range r.plan.Places { // what it does counts there too
		if f == r.ref.Folder {
			continue
		}
		if may, err := r.may(r.rule, f, exmdb.RightEditAny); err != nil || !may {
			return FailureProcessing, err
		}
	}
	return 0, nil
}
