package oxcdata

import (
	"flag"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/flotilla-mail/flotilla/internal/mapi"
)

var rewrite = flag.Bool("rewrite", false, "write what came out into the golden file")

// oneOfEach has every kind of restriction.
func oneOfEach() []mapi.Restriction {
	subject := mapi.Prop{Tag: mapi.PidTagSubject, Value: mapi.String("Plan")}
	key := mapi.Prop{Tag: mapi.PidTagSenderSearchKey, Value: mapi.Binary("SMTP:A@B\x00")}
	flag := mapi.Prop{Tag: mapi.PidTagHasAttachments, Value: mapi.Boolean(true)}
	words := mapi.Prop{Tag: mapi.NewTag(0x8001, mapi.TypeMultiString), Value: mapi.Strings{"a", "b"}}
	keys := mapi.Prop{Tag: mapi.NewTag(0x8002, mapi.TypeMultiBinary), Value: mapi.Binaries{{1}, {2, 3}}}
	exists := &mapi.ExistRestriction{Tag: mapi.PidTagBody}
	return []mapi.Restriction{
		mapi.AndRestriction{}, mapi.AndRestriction{exists, exists}, mapi.OrRestriction{exists}, &mapi.NotRestriction{Of: exists},
		&mapi.ContentRestriction{Fuzzy: mapi.FuzzySubstring | mapi.FuzzyIgnoreCase, Tag: mapi.PidTagSubject, Value: subject},
		&mapi.ContentRestriction{Fuzzy: mapi.FuzzyPrefix | mapi.FuzzyLoose, Tag: mapi.PidTagSenderSearchKey, Value: key},
		&mapi.PropertyRestriction{Op: mapi.RelOpEQ, Tag: mapi.PidTagSenderSearchKey, Value: key},
		&mapi.PropertyRestriction{Op: mapi.RelOpNE, Tag: mapi.PidTagHasAttachments, Value: flag},
		&mapi.PropertyRestriction{Op: mapi.RelOpMemberOfDL, Tag: words.Tag, Value: words},
		&mapi.PropertyRestriction{Op: mapi.RelOpGE, Tag: keys.Tag, Value: keys},
		&mapi.ComparePropertiesRestriction{Op: mapi.RelOpLT, Left: mapi.PidTagMessageDeliveryTime, Right: mapi.PidTagClientSubmitTime},
		&mapi.BitMaskRestriction{Op: mapi.BitMaskNotEqualZero, Tag: mapi.PidTagMessageFlags, Mask: mapi.MessageFlagRead},
		&mapi.SizeRestriction{Op: mapi.RelOpGT, Tag: mapi.PidTagBody, Size: 1000}, exists,
		&mapi.SubObjectRestriction{Tag: mapi.PidTagMessageAttachments, Of: exists},
		&mapi.CommentRestriction{Values: []mapi.Prop{subject, key, flag}, Of: exists}, &mapi.CommentRestriction{Values: []mapi.Prop{}},
		&mapi.CountRestriction{Count: 10, Of: exists},
	}
}

// golden is the text of testdata/wire.txt.
func golden(t *testing.T) string {
	var b strings.Builder
	line := func(what string, e *Encoder) {
		bytes, err := e.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%-10s %x\n", what, bytes)
	}
	fmt.Fprintln(&b, "# restrictions, in each form")
	for _, r := range oneOfEach() {
		fmt.Fprintf(&b, "%s\n", strings.TrimPrefix(reflect.TypeOf(r).String(), "*"))
		for form, name := range []string{"ROP", "Extended", "Definition"} {
			e := NewEncoder(nil, Form(form))
			e.Restriction(r)
			line("  "+name, e)
		}
	}
	fmt.Fprintln(&b, "# rule actions, standard and extended")
	for i, a := range actions() {
		fmt.Fprintf(&b, "%#x %T\n", uint8(a.Type), a.Data)
		e := NewEncoder(nil, ROP)
		e.RuleActions([]mapi.RuleAction{a})
		line("  ROP", e)
		e = NewEncoder(nil, Extended)
		e.RuleActions(extendedActions()[i : i+1])
		line("  Extended", e)
	}
	fmt.Fprintln(&b, "# values, in each form")
	for _, s := range samples {
		fmt.Fprintf(&b, "%#06x\n", uint16(s.t))
		for form, name := range []string{"ROP", "Extended", "Definition"} {
			e := NewEncoder(nil, Form(form))
			e.Value(s.t, s.v)
			line("  "+name, e)
		}
	}
	fmt.Fprintln(&b, "# entry ids")
	for _, tt := range entryIDs {
		fmt.Fprintf(&b, "%T\n  %x\n", tt.id, tt.id.Append(nil))
	}
	return b.String()
}

// TestGolden holds the bytes that go to clients, and into records of ours, for ever.
func TestGolden(t *testing.T) {
	const path = "testdata/wire.txt"
	got := golden(t)
	if *rewrite {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	was, is := strings.Split(string(want), "\n"), strings.Split(got, "\n")
	for i := range min(len(was), len(is)) {
		if was[i] != is[i] {
			t.Fatalf("%s:%d: %q, want %q", path, i+1, is[i], was[i])
		}
	}
	if len(was) != len(is) {
		t.Fatalf("%d lines, want %d", len(is), len(was))
	}
}

func TestGoldenRestrictionsComeBack(t *testing.T) {
	for _, r := range oneOfEach() {
		for form := ROP; form <= Definition; form++ {
			e := NewEncoder(nil, form)
			e.Restriction(r)
			for cut := range e.b {
				d := NewDecoder(e.b[:cut], form)
				if d.Restriction(); d.Close() == nil {
					t.Errorf("%T in form %d, cut at %d", r, form, cut)
				}
			}
			d := NewDecoder(e.b, form)
			if back := d.Restriction(); d.Close() != nil || !reflect.DeepEqual(back, r) {
				t.Errorf("%#v in form %d came back as %#v, %v", r, form, back, d.Err())
			}
		}
	}
}
