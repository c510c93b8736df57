package store

import (
	"context"
	"slices"
	"testing"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"
)

func listOf(kind exmdb.TableKind, fid mapi.FID, orders ...mapi.SortOrder) exmdb.TableSpec {
	return exmdb.TableSpec{Kind: kind, Object: exmdb.ObjectID{Folder: fid}, Sort: mapi.SortOrderSet{Orders: orders}}
}

// texts is a string column of rows; a row without it has "-".
func texts(rows []exmdb.TableRow, tag mapi.Tag) []string {
	list := make([]string, len(rows))
	for i := range rows {
		list[i] = "-"
		if s, is := rows[i].Props.Get(tag).(mapi.String); is {
			list[i] = string(s)
		}
	}
	return list
}

// find is the index of the first row behind the beginning that passes a restriction, -1 if none does.
func (o *owner) find(spec exmdb.TableSpec, r mapi.Restriction) int {
	o.t.Helper()
	resp, err := o.tables().Find(context.Background(), exmdb.TableFindRequest{Table: exmdb.TableRequest{Spec: spec}, From: beginning,
		Restriction: oxcdata.AppendRestriction(nil, r)})
	if err != nil {
		o.t.Fatal(err)
	}
	if !resp.Found {
		return -1
	}
	return int(resp.Index)
}

// TestTableOfRights: the permissions list of a folder as a table, with columns, restrictions, orders and places, as it is
// after each change (MS-OXCPERM 2.2.4).
func TestTableOfRights(t *testing.T) {
	b := newBox(t, 0)
	work := b.newBelow(schema.IPMSubtree, "Work")
	zoe, anna := mapi.NewGUID(), mapi.NewGUID()
	add := func(user mapi.GUID, name string, rights exmdb.FolderRights) exmdb.PermissionChange {
		return exmdb.PermissionChange{Kind: exmdb.PermissionAdd, Member: exmdb.Member{User: user, Name: name, Rights: rights}}
	}
	change := func(changes ...exmdb.PermissionChange) {
		call(b, exmdb.OpModifyPermissions, &exmdb.ModifyPermissionsRequest{Folder: work, FreeBusy: true, Changes: changes})
	}
	change(add(zoe, "Zoe", roleAuthor), add(anna, "anna", roleEditor))
	o := b.newOwner(0)
	plain := listOf(exmdb.TablePermissions, work)
	columns := []mapi.Tag{mapi.PidTagMemberId, mapi.PidTagMemberName, mapi.PidTagMemberRights, mapi.PidTagRecordKey, mapi.PidTagSubject}
	rows := o.readTable(plain, 3, columns...)
	if got := texts(rows, mapi.PidTagMemberName); !slices.Equal(got, []string{"", "Anonymous", "Zoe", "anna"}) {
		t.Fatalf("%q", got)
	}
	if rows[0].Props.Get(mapi.PidTagMemberId) != mapi.Integer64(0) || rows[1].Props.Get(mapi.PidTagMemberId) != mapi.Integer64(-1) ||
		rows[2].Props.Get(mapi.PidTagMemberRights) != mapi.Integer32(roleAuthor) || rows[3].Props.Get(mapi.PidTagMemberRights) != mapi.Integer32(roleEditor) ||
		rows[2].Props.Len() != 4 {
		t.Fatalf("%+v", rows)
	}
	byName := listOf(exmdb.TablePermissions, work, desc(mapi.PidTagMemberName))
	if got := texts(o.readTable(byName, 1, columns...), mapi.PidTagMemberName); !slices.Equal(got, []string{"Zoe", "Anonymous", "anna", ""}) {
		t.Fatalf("by name %q", got)
	}
	mayDelete := &mapi.BitMaskRestriction{Op: mapi.BitMaskNotEqualZero, Tag: mapi.PidTagMemberRights, Mask: uint32(exmdb.RightDeleteAny)}
	if got := texts(o.readTable(restricted(byName, mayDelete), 10, columns...), mapi.PidTagMemberName); !slices.Equal(got, []string{"anna"}) {
		t.Fatalf("who may delete: %q", got)
	}
	if at := o.find(byName, is(mapi.RelOpEQ, mapi.PidTagMemberId, rows[3].Props.Get(mapi.PidTagMemberId))); at != 2 {
		t.Errorf("found at %d", at)
	}
	if at := o.find(byName, is(mapi.RelOpEQ, mapi.PidTagMemberId, mapi.Integer64(77))); at != -1 {
		t.Errorf("what is not there was found at %d", at)
	}
	change(exmdb.PermissionChange{Kind: exmdb.PermissionRemove, Member: exmdb.Member{ID: int64(rows[2].Props.Get(mapi.PidTagMemberId).(mapi.Integer64))}},
		exmdb.PermissionChange{Kind: exmdb.PermissionModify, Member: exmdb.Member{Rights: exmdb.RightFolderVisible}})
	rows = o.readTable(byName, 10, columns...)
	if got := texts(rows, mapi.PidTagMemberName); !slices.Equal(got, []string{"Anonymous", "anna", ""}) || rows[2].Props.Get(mapi.PidTagMemberRights) != mapi.Integer32(exmdb.RightFolderVisible) {
		t.Fatalf("after a change %+v", rows)
	}
	b.checkListRights(t, exmdb.TablePermissions, work, anna)
}

// checkListRights: a list of a folder is shown to who sees the folder, and to nobody else.
func (b *box) checkListRights(t *testing.T, kind exmdb.TableKind, fid mapi.FID, friend mapi.GUID) {
	t.Helper()
	for _, x := range []struct {
		who  *box
		want cluster.Kind
	}{{b.asUser(friend), 0}, {b.asUser(mapi.NewGUID()), exmdb.KindAccessDenied}} {
		x.who.t = t
		if kind == exmdb.TablePermissions && x.want != 0 { // the default entry lets everybody see it here
			grantTo(b, fid, mapi.GUID{}, 0)
		}
		_, err := x.who.newOwner(0).tables().Rows(t.Context(), exmdb.TableRowsRequest{Table: exmdb.TableRequest{Spec: listOf(kind, fid)}, From: beginning, Count: 10})
		if got := cluster.KindOf(err); err != nil && got != x.want || err == nil && x.want != 0 {
			t.Errorf("a table of kind %d: %v, want kind %d", kind, err, x.want)
		}
	}
}

// TestTableOfRules: the rules of a folder as a table (MS-OXORULE 2.2.2): what clients ask for are those of a provider, by
// sequence.
func TestTableOfRules(t *testing.T) {
	b := newBox(t, 0)
	target := b.newFolder("target")
	ids := map[string]uint64{}
	for _, r := range []struct {
		name, provider string
		sequence       int32
	}{{"lists", "RuleOrganizer", 12}, {"away", "MSFT:TDX OOF Rules", 9}, {"boss", "RuleOrganizer", 10}} {
		bag := ruleBag(t, hasWord(mapi.PidTagSubject, r.name), moveTo(target))
		bag.Set(mapi.PidTagRuleName, mapi.String(r.name))
		bag.Set(mapi.PidTagRuleProvider, mapi.String(r.provider))
		bag.Set(mapi.PidTagRuleSequence, mapi.Integer32(r.sequence))
		ids[r.name] = b.ruleOf(schema.Inbox, bag)
	}
	o := b.newOwner(0)
	columns := []mapi.Tag{mapi.PidTagRuleId, mapi.PidTagRuleName, mapi.PidTagRuleSequence, mapi.PidTagRuleCondition, mapi.PidTagRuleActions}
	names := func(spec exmdb.TableSpec) []string {
		t.Helper()
		return texts(o.readTable(spec, 2, columns...), mapi.PidTagRuleName)
	}
	bySequence := listOf(exmdb.TableRules, schema.Inbox, asc(mapi.PidTagRuleSequence))
	if got := names(bySequence); !slices.Equal(got, []string{"away", "boss", "lists"}) {
		t.Fatalf("%q", got)
	}
	if got := names(listOf(exmdb.TableRules, schema.Inbox)); !slices.Equal(got, []string{"lists", "away", "boss"}) {
		t.Fatalf("as they were made: %q", got)
	}
	organizer := restricted(bySequence, is(mapi.RelOpEQ, mapi.PidTagRuleProvider, mapi.String("RuleOrganizer")))
	if got := names(organizer); !slices.Equal(got, []string{"boss", "lists"}) {
		t.Fatalf("of the organizer: %q", got)
	}
	row := o.readTable(organizer, 10, columns...)[0]
	condition, isText := row.Props.Get(mapi.PidTagRuleCondition).(mapi.Opaque)
	if row.Props.Get(mapi.PidTagRuleId) != mapi.Integer64(ids["boss"]) || !isText || len(condition) == 0 || row.Props.Get(mapi.PidTagRuleActions) == nil {
		t.Fatalf("%+v", row)
	}
	if at := o.find(bySequence, textIn(mapi.PidTagRuleName, "LIST")); at != 2 {
		t.Errorf("found at %d", at)
	}
	gone := mapi.PropBag{}
	gone.Set(mapi.PidTagRuleId, mapi.Integer64(ids["boss"]))
	call(b, exmdb.OpModifyRules, &exmdb.ModifyRulesRequest{Folder: schema.Inbox, Changes: []exmdb.RuleChange{{Kind: exmdb.RuleRemove, Props: gone}}})
	if got := names(organizer); !slices.Equal(got, []string{"lists"}) {
		t.Fatalf("after a change: %q", got)
	}
	if got := names(listOf(exmdb.TableRules, target)); len(got) != 0 {
		t.Fatalf("rules of another folder: %q", got)
	}
	friend := mapi.NewGUID()
	grantTo(b, schema.Inbox, friend, exmdb.RightFolderVisible)
	b.checkListRights(t, exmdb.TableRules, schema.Inbox, friend)
}
