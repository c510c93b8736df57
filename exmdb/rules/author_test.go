package rules

import (
	"errors"
	"testing"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// by is a rule of somebody who has not the mailbox whole.
func by(r Rule) Rule {
	r.Author = new(exmdb.Identity)
	return r
}

// TestRulesOfOthers: what a rule does for somebody who owns its folder and not the mailbox. Every kind of action is tried.
func TestRulesOfOthers(t *testing.T) {
	const owns = exmdb.RightFolderOwner
	important := setTag(mapi.PidTagImportance, mapi.Integer32(2))
	far, elsewhere := forwardTo("x@far.test"), mapi.RuleAction{Type: mapi.ActionMove, Data: &mapi.MoveAction{StoreEID: []byte{1}, Folder: []byte{2}}}
	deeper := func(action mapi.RuleAction) map[mapi.FID][]Rule {
		return map[mapi.FID][]Rule{inbox: {rule(1, 0, nil, copyTo(fB), moveTo(fA))}, fA: {by(rule(2, 0, nil, action))}}
	}
	one := func(action mapi.RuleAction) map[mapi.FID][]Rule {
		return map[mapi.FID][]Rule{inbox: {by(rule(1, 0, nil, action))}}
	}
	tried := make(map[mapi.ActionType]bool)
	for name, c := range map[string]struct {
		rules  map[mapi.FID][]Rule
		rights map[mapi.FID]exmdb.FolderRights
		want   string
	}{
		"who owns the folder no more":              {one(remove), map[mapi.FID]exmdb.FolderRights{inbox: exmdb.AllRights &^ owns}, "Inbox"},
		"deleted":                                  {one(remove), map[mapi.FID]exmdb.FolderRights{inbox: owns}, ""},
		"moved where he may create":                {one(moveTo(fA)), map[mapi.FID]exmdb.FolderRights{inbox: owns, fA: exmdb.RightCreate}, "A"},
		"moved where he may not":                   {one(moveTo(fA)), map[mapi.FID]exmdb.FolderRights{inbox: exmdb.AllRights, fA: exmdb.AllRights &^ exmdb.RightCreate}, "Inbox failed(1.0,7)"},
		"copied where he may create":               {one(copyTo(fA)), map[mapi.FID]exmdb.FolderRights{inbox: owns, fA: exmdb.RightCreate}, "A Inbox"},
		"copied where he may not":                  {one(copyTo(fA)), map[mapi.FID]exmdb.FolderRights{inbox: owns}, "Inbox failed(1.0,7)"},
		"moved to what is not there":               {one(moveTo(999)), map[mapi.FID]exmdb.FolderRights{inbox: owns}, "Inbox failed(1.0,6)"},
		"moved into another store":                 {one(elsewhere), map[mapi.FID]exmdb.FolderRights{inbox: exmdb.AllRights}, "Inbox failed(1.0,8)"},
		"left to a client":                         {one(deferIt), map[mapi.FID]exmdb.FolderRights{inbox: exmdb.AllRights}, "Inbox failed(1.0,8)"},
		"forwarded":                                {one(far), map[mapi.FID]exmdb.FolderRights{inbox: exmdb.AllRights}, "Inbox failed(1.0,9)"},
		"delegated":                                {one(mapi.RuleAction{Type: mapi.ActionDelegate, Data: far.Data}), map[mapi.FID]exmdb.FolderRights{inbox: exmdb.AllRights}, "Inbox failed(1.0,9)"},
		"answered":                                 {one(reply), map[mapi.FID]exmdb.FolderRights{inbox: exmdb.AllRights}, "Inbox failed(1.0,9)"},
		"told that the user is away":               {one(oofReply), map[mapi.FID]exmdb.FolderRights{inbox: exmdb.AllRights}, "Inbox failed(1.0,9)"},
		"bounced, and elsewhere":                   {deeper(bounce), map[mapi.FID]exmdb.FolderRights{fA: exmdb.AllRights, fB: exmdb.AllRights}, "B A failed(2.0,9)"},
		"read":                                     {one(markRead), map[mapi.FID]exmdb.FolderRights{inbox: owns}, "Inbox read"},
		"tagged":                                   {one(important), map[mapi.FID]exmdb.FolderRights{inbox: owns}, "Inbox 0017=2"},
		"read, and elsewhere where he may not":     {deeper(markRead), map[mapi.FID]exmdb.FolderRights{fA: exmdb.AllRights, fB: exmdb.AllRights &^ exmdb.RightEditAny}, "B A failed(2.0,5)"},
		"tagged, and elsewhere where he may not":   {deeper(important), map[mapi.FID]exmdb.FolderRights{fA: exmdb.AllRights}, "B A failed(2.0,5)"},
		"tagged, and elsewhere where he may":       {deeper(important), map[mapi.FID]exmdb.FolderRights{fA: owns, fB: exmdb.RightEditAny}, "B A 0017=2"},
		"deleted, and elsewhere":                   {deeper(remove), map[mapi.FID]exmdb.FolderRights{fA: owns}, "B"},
		"moved on, where the mailbox's rules meet": {map[mapi.FID][]Rule{inbox: {by(rule(1, 0, nil, moveTo(fA)))}, fA: {rule(2, 0, nil, moveTo(fB))}}, map[mapi.FID]exmdb.FolderRights{inbox: owns, fA: exmdb.RightCreate}, "B"},
	} {
		for _, list := range c.rules {
			for i := range list {
				if list[i].Author != nil {
					tried[list[i].Actions[0].Type] = true
				}
			}
		}
		p, err := Evaluate(received(""), (&box{rules: c.rules, rights: c.rights}).situation())
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if got := told(p); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	for kind := range mapi.ActionMarkAsRead + 1 {
		if a := (mapi.RuleAction{Type: kind}); kind > 0 && !tried[kind] {
			t.Errorf("an action of type %d is not tried: %+v", kind, a)
		}
	}
	failing := &box{rules: one(remove), err: errors.New("no rights to read")}
	if _, err := Evaluate(received(""), failing.situation()); err == nil {
		t.Error("what cannot be asked is no right")
	}
}
