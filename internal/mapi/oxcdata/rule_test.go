package oxcdata

import (
	"bytes"
	"encoding/hex"
	"errors"
	"reflect"
	"testing"

	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/testkit"
)

var (
	aFolder   = mapi.LocalFID(0x101)
	aTemplate = mapi.GUID{1, 15: 2}
	someone   = mapi.ForwardAction{{
		{Tag: mapi.PidTagDisplayName, Value: mapi.String("Anna")}, {Tag: mapi.PidTagRecipientType, Value: mapi.Integer32(1)},
	}, {}}
)

// actions has each type once, in the standard form.
func actions() []mapi.RuleAction {
	folder := ServerIDValue(mapi.ServerID{Ours: true, FID: aFolder})
	return []mapi.RuleAction{
		{Type: mapi.ActionMove, Data: &mapi.MoveAction{InThisStore: true, StoreEID: []byte{1}, Folder: folder}},
		{Type: mapi.ActionCopy, Data: &mapi.MoveAction{StoreEID: []byte{1, 2}, Folder: []byte{3}}},
		{Type: mapi.ActionReply, Flavor: mapi.ReplyStockTemplate, Data: &mapi.ReplyAction{FID: aFolder, MID: 7, Template: aTemplate}},
		{Type: mapi.ActionOOFReply, Flags: 9, Data: &mapi.ReplyAction{FID: aFolder, MID: 7, Template: aTemplate}},
		{Type: mapi.ActionDefer, Data: mapi.DeferAction{1, 2, 3}},
		{Type: mapi.ActionBounce, Data: mapi.BounceAction(mapi.BounceMessageTooLarge)},
		{Type: mapi.ActionForward, Flavor: mapi.ForwardAsAttachment, Data: someone},
		{Type: mapi.ActionDelegate, Data: someone},
		{Type: mapi.ActionTag, Data: &mapi.TagAction{Prop: mapi.Prop{Tag: mapi.PidTagImportance, Value: mapi.Integer32(2)}}},
		{Type: mapi.ActionDelete},
		{Type: mapi.ActionMarkAsRead},
	}
}

// extendedActions are the same in the extended form.
func extendedActions() []mapi.RuleAction {
	list := actions()
	for i, a := range list {
		switch data := a.Data.(type) {
		case *mapi.MoveAction:
			list[i].Data = &mapi.MoveAction{StoreEID: data.StoreEID, Folder: FolderOf(mapi.MailboxID{1}, mapi.GID{Counter: 5}).Append(nil)}
		case *mapi.ReplyAction:
			list[i].Data = &mapi.ReplyAction{MessageEID: []byte{4, 5}, Template: data.Template}
		}
	}
	return list
}

func TestRuleActionsRoundTrip(t *testing.T) {
	for form, list := range map[Form][]mapi.RuleAction{ROP: actions(), Extended: extendedActions()} {
		e := NewEncoder(nil, form)
		e.RuleActions(list)
		b, err := e.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		d := NewDecoder(b, form)
		if back := d.RuleActions(); d.Close() != nil || !reflect.DeepEqual(back, list) {
			t.Errorf("form %d: %+v came back as %+v, %v", form, list, back, d.Err())
		}
		for cut := range b {
			d := NewDecoder(b[:cut], form)
			if d.RuleActions(); d.Close() == nil {
				t.Errorf("form %d: cut at %d", form, cut)
			}
		}
	}
	v, err := RuleActionsValue(actions())
	if err != nil {
		t.Fatal(err)
	}
	if back, err := RuleActionsOf(v); err != nil || !reflect.DeepEqual(back, actions()) {
		t.Errorf("%+v, %v", back, err)
	}
	if _, err := RuleActionsOf(append(v, 0)); !errors.Is(err, ErrMalformed) {
		t.Errorf("a byte too many: %v", err)
	}
	long := mapi.RuleAction{Type: mapi.ActionDefer, Data: mapi.DeferAction(make([]byte, 0x10000))}
	if _, err := RuleActionsValue([]mapi.RuleAction{long}); !errors.Is(err, ErrTooLong) {
		t.Errorf("a long action: %v", err)
	}
}

func TestStandardMoveOnTheWire(t *testing.T) {
	e := NewEncoder(nil, ROP)
	e.RuleActions(actions()[:1])
	b, err := e.Bytes()
	want := "0100" + "2400" + "01" + "00000000" + "00000000" + "01" + "010001" + "1500" + "01" + "0100000000000101" + "0000000000000000" + "00000000"
	if err != nil || hex.EncodeToString(b) != want {
		t.Errorf("%x, want %s, %v", b, want, err)
	}
}

func TestRuleActionsRefused(t *testing.T) {
	for name, in := range map[string]string{
		"no such type":        "0100" + "0900" + "0c" + "0000000000000000",
		"block too long":      "0100" + "0a00" + "0a" + "0000000000000000" + "00",
		"block too short":     "0100" + "0800" + "0a" + "00000000000000",
		"reserved byte":       "0100" + "0e00" + "07" + "0000000000000000" + "0100" + "02" + "0000",
		"store flag":          "0100" + "0e00" + "01" + "0000000000000000" + "02" + "0000" + "0000",
		"restriction as tag":  "0100" + "1000" + "09" + "0000000000000000" + "fd000100" + "000000",
		"fewer than it says":  "0200" + "0900" + "0a" + "0000000000000000",
		"length beyond input": "0100" + "ffff" + "0a" + "0000000000000000",
	} {
		b, err := hex.DecodeString(in)
		if err != nil {
			t.Fatal(err)
		}
		d := NewDecoder(b, ROP)
		if list := d.RuleActions(); d.Err() == nil || list != nil || !errors.Is(d.Err(), ErrMalformed) && !errors.Is(d.Err(), mapi.ErrTooComplex) {
			t.Errorf("%s: %+v, %v", name, list, d.Err())
		}
	}
}

func TestExtendedRule(t *testing.T) {
	named := NamedProperties{
		IDs:   []uint16{0x8001, 0x8002},
		Names: []mapi.PropertyName{mapi.PidNameKeywords.PropertyName, mapi.PidLidReminderSet.PropertyName},
	}
	c := ExtendedCondition{named, mapi.AndRestriction{&mapi.ExistRestriction{Tag: mapi.PidNameKeywords.Tag(0x8001)}}}
	b, err := c.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	if back, err := ParseExtendedCondition(b); err != nil || !reflect.DeepEqual(back, c) {
		t.Errorf("%+v came back as %+v, %v", c, back, err)
	}
	a := ExtendedActions{Actions: extendedActions()}
	b, err = a.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	if back, err := ParseExtendedActions(b); err != nil || !reflect.DeepEqual(back, a) {
		t.Errorf("%+v came back as %+v, %v", a, back, err)
	}
	b[2] = 2
	if _, err := ParseExtendedActions(b); !errors.Is(err, ErrMalformed) {
		t.Errorf("another version: %v", err)
	}
	short := []byte{1, 0, 1, 0x80, 1, 0, 0, 0, 0xFF}
	if _, err := ParseExtendedCondition(short); !errors.Is(err, ErrMalformed) {
		t.Errorf("half a name: %v", err)
	}
}

func FuzzExtendedRule(f *testing.F) {
	named := NamedProperties{IDs: []uint16{0x8001}, Names: []mapi.PropertyName{mapi.PidNameKeywords.PropertyName}}
	condition, err := ExtendedCondition{named, mapi.AndRestriction{}}.Append(nil)
	if err != nil {
		f.Fatal(err)
	}
	actions, err := ExtendedActions{named, extendedActions()}.Append(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(condition)
	f.Add(actions)
	f.Fuzz(func(t *testing.T, b []byte) {
		defer testkit.Bounded(t)()
		if c, err := ParseExtendedCondition(b); err == nil {
			again, err := c.Append(nil)
			if err != nil && !errors.Is(err, ErrTooLong) {
				t.Fatal(err)
			}
			if back, failed := ParseExtendedCondition(again); err == nil && (failed != nil || mapi.CheckRestriction(back.Restriction) == nil != (mapi.CheckRestriction(c.Restriction) == nil)) {
				t.Fatalf("%+v came back as %+v, %v", c, back, failed)
			}
		}
		a, err := ParseExtendedActions(b)
		if err != nil {
			return
		}
		again, err := a.Append(nil)
		if errors.Is(err, ErrTooLong) {
			return
		}
		back, failed := ParseExtendedActions(again)
		if err != nil || failed != nil || len(back.Actions) != len(a.Actions) {
			t.Fatalf("%+v came back as %+v, %v, %v", a, back, err, failed)
		}
	})
}

func FuzzRuleActions(f *testing.F) {
	e := NewEncoder(nil, ROP)
	e.RuleActions(actions())
	f.Add(e.b)
	f.Fuzz(func(t *testing.T, b []byte) {
		defer testkit.Bounded(t)()
		list, err := RuleActionsOf(b)
		if err != nil {
			return
		}
		v, err := RuleActionsValue(list)
		if errors.Is(err, ErrTooLong) {
			return
		}
		back, failed := RuleActionsOf(v)
		again, _ := RuleActionsValue(back)
		if err != nil || failed != nil || !bytes.Equal(again, v) {
			t.Fatalf("%+v came back as %+v, %v, %v", list, back, err, failed)
		}
	})
}

func TestPropertyNames(t *testing.T) {
	for name, want := range map[mapi.PropertyName]string{
		mapi.PidLidReminderSet.PropertyName:           "00" + "0820060000000000c000000000000046" + "03850000",
		mapi.PidNameKeywords.PropertyName:             "01" + "2903020000000000c000000000000046" + "12" + "4b006500790077006f007200640073000000",
		{Set: mapi.PSMAPI, Kind: mapi.NameNone}:       "ff" + "2803020000000000c000000000000046",
		{Set: mapi.PSMAPI, Kind: mapi.NameByString}:   "01" + "2803020000000000c000000000000046" + "02" + "0000",
		{Set: mapi.PSMAPI, Kind: mapi.NameByLID}:      "00" + "2803020000000000c000000000000046" + "00000000",
		{Kind: mapi.NameByString, Name: "\U0001F600"}: "01" + "00000000000000000000000000000000" + "06" + "3dd800de0000",
	} {
		e := NewEncoder(nil, ROP)
		e.PropertyName(name)
		b, err := e.Bytes()
		if err != nil || hex.EncodeToString(b) != want {
			t.Errorf("%+v: %x, want %s, %v", name, b, want, err)
		}
		d := NewDecoder(b, ROP)
		if back := d.PropertyName(); d.Close() != nil || back != name {
			t.Errorf("%+v came back as %+v, %v", name, back, d.Err())
		}
	}
	for _, in := range [][]byte{append([]byte{2}, make([]byte, 16)...), append(append([]byte{1}, make([]byte, 16)...), 1, 0), {0}} {
		d := NewDecoder(in, ROP)
		if n := d.PropertyName(); !errors.Is(d.Err(), ErrMalformed) {
			t.Errorf("%x: %+v, %v", in, n, d.Err())
		}
	}
}

func FuzzPropertyName(f *testing.F) {
	e := NewEncoder(nil, ROP)
	e.PropertyName(mapi.PidNameKeywords.PropertyName)
	f.Add(e.b)
	f.Fuzz(func(t *testing.T, b []byte) {
		defer testkit.Bounded(t)()
		d := NewDecoder(b, ROP)
		n := d.PropertyName()
		if d.Close() != nil {
			return
		}
		e := NewEncoder(nil, ROP)
		e.PropertyName(n)
		again, err := e.Bytes()
		if errors.Is(err, ErrTooLong) {
			return
		}
		back := NewDecoder(again, ROP)
		if got := back.PropertyName(); err != nil || back.Close() != nil || got != n {
			t.Fatalf("%+v came back as %+v, %v, %v", n, got, err, back.Err())
		}
	})
}
