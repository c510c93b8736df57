package mapi

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// mail is an object with parts and a directory.
type mail struct {
	PropBag
	parts   map[Tag][]Getter
	members map[string]string
}

func (m *mail) SubObjects(t Tag) iter.Seq[Getter] { return slices.Values(m.parts[t]) }

func (m *mail) MemberOfDL(member, list []byte) bool { return m.members[string(member)] == string(list) }

func person(name string) Getter {
	var b PropBag
	b.Set(PidTagDisplayName, String(name))
	return &b
}

var keywords = NewTag(0x8001, TypeMultiString)

func sampleMail() *mail {
	m := &mail{
		parts:   map[Tag][]Getter{PidTagMessageRecipients: {person("Anna"), person("Bert")}},
		members: map[string]string{"anna": "staff"},
	}
	m.Set(PidTagSubject, String("Grüße aus Köln: quarterly report"))
	m.Set(PidTagMessageClass.WithType(TypeString8), String8("IPM.Note"))
	m.Set(PidTagMessageFlags, Integer32(MessageFlagRead|MessageFlagHasAttachment))
	m.Set(PidTagMessageSize, Integer32(4000))
	m.Set(PidTagMessageDeliveryTime, FileTime(5000))
	m.Set(PidTagClientSubmitTime, FileTime(4000))
	m.Set(PidTagSenderSearchKey, Binary("SMTP:ANNA@EXAMPLE.TEST"))
	m.Set(PidTagSenderEntryId, Binary("anna"))
	m.Set(PidTagHasAttachments, Boolean(true))
	m.Set(keywords, Strings{"Red", "Work"})
	return m
}

func property(op RelOp, t Tag, v Value) Restriction {
	return &PropertyRestriction{op, t, Prop{t.WithType(t.Type().Element()), v}}
}

func content(f FuzzyLevel, t Tag, s string) Restriction {
	return &ContentRestriction{f, t, Prop{t.WithType(TypeString), String(s)}}
}

func TestMatch(t *testing.T) {
	m := sampleMail()
	absent := PidTagComment
	for i, tt := range []struct {
		r    Restriction
		want bool
	}{
		{AndRestriction{}, true}, {OrRestriction{}, false},
		{AndRestriction{&ExistRestriction{PidTagSubject}, &ExistRestriction{absent}}, false},
		{OrRestriction{&ExistRestriction{absent}, &ExistRestriction{PidTagSubject}}, true},
		{&NotRestriction{&ExistRestriction{absent}}, true},
		{&ExistRestriction{PidTagSubject.WithType(TypeString8)}, true},
		{&ExistRestriction{PidTagMessageClass}, true},
		{&ExistRestriction{keywords.WithType(keywords.Type() | MultiInstance)}, true},

		{content(FuzzySubstring|FuzzyIgnoreCase, PidTagSubject, "KÖLN"), true},
		{content(FuzzySubstring, PidTagSubject, "KÖLN"), false},
		{content(FuzzySubstring|FuzzyIgnoreNonSpace, PidTagSubject, "Koln"), true},
		{content(FuzzySubstring|FuzzyLoose, PidTagSubject, "kolN"), true},
		{content(FuzzyPrefix|FuzzyIgnoreCase, PidTagSubject, "grüße"), true},
		{content(FuzzyPrefix|FuzzyIgnoreCase, PidTagSubject, "aus"), false},
		{content(FuzzyFullString|FuzzyIgnoreCase, PidTagMessageClass, "ipm.note"), true},
		{content(FuzzyFullString|FuzzyIgnoreCase, PidTagMessageClass, "ipm"), false},
		{content(FuzzyPrefixOnAnyWord|FuzzyIgnoreCase, PidTagSubject, "rep"), true},
		{content(FuzzyPrefixOnAnyWord|FuzzyIgnoreCase, PidTagSubject, "port"), false},
		{content(FuzzyPrefixOnAnyWord|FuzzyIgnoreCase, PidTagSubject, "köln: q"), true},
		{content(FuzzyPhrase|FuzzyIgnoreCase, PidTagSubject, "quarterly report"), true},
		{content(FuzzyPhrase|FuzzyIgnoreCase, PidTagSubject, "quarterly rep"), false},
		{content(FuzzyPhrase, PidTagSubject, ""), true},
		{content(FuzzySubstring, PidTagSubject, ""), true},
		{content(FuzzySubstring, absent, ""), false},
		{content(FuzzyFullString|FuzzyIgnoreCase, keywords, "work"), true},
		{content(FuzzyFullString|FuzzyIgnoreCase, keywords, "wor"), false},
		{content(FuzzySubstring, PidTagSenderSearchKey, "ANNA"), false},
		{&ContentRestriction{FuzzySubstring, PidTagSenderSearchKey, Prop{PidTagSenderSearchKey, Binary("ANNA@")}}, true},
		{&ContentRestriction{FuzzyPrefix, PidTagSenderSearchKey, Prop{PidTagSenderSearchKey, Binary("SMTP:")}}, true},
		{&ContentRestriction{FuzzyFullString, PidTagSenderSearchKey, Prop{PidTagSenderSearchKey, Binary("SMTP:")}}, false},

		{property(RelOpLT, PidTagMessageSize, Integer32(4001)), true}, {property(RelOpLT, PidTagMessageSize, Integer32(4000)), false},
		{property(RelOpLE, PidTagMessageSize, Integer32(4000)), true}, {property(RelOpLE, PidTagMessageSize, Integer32(3999)), false},
		{property(RelOpGT, PidTagMessageSize, Integer32(3999)), true}, {property(RelOpGT, PidTagMessageSize, Integer32(4000)), false},
		{property(RelOpGE, PidTagMessageSize, Integer32(4000)), true}, {property(RelOpGE, PidTagMessageSize, Integer32(4001)), false},
		{property(RelOpEQ, PidTagMessageSize, Integer32(4000)), true}, {property(RelOpEQ, PidTagMessageSize, Integer32(1)), false},
		{property(RelOpNE, PidTagMessageSize, Integer32(1)), true}, {property(RelOpNE, PidTagMessageSize, Integer32(4000)), false},
		{property(RelOpRE, PidTagSubject, String(".*")), false},
		{property(RelOpEQ, PidTagMessageClass, String("ipm.NOTE")), true},
		{property(RelOpEQ, PidTagHasAttachments, Boolean(true)), true},
		{property(RelOpEQ, keywords, String("red")), true}, {property(RelOpEQ, keywords, String("blue")), false},
		{property(RelOpNE, keywords, String("red")), true},
		{&PropertyRestriction{RelOpEQ, keywords, Prop{keywords, Strings{"red", "WORK"}}}, true},
		{&PropertyRestriction{RelOpEQ, keywords, Prop{keywords, Strings{"work"}}}, false},
		{property(RelOpLT, absent, String("")), true}, {property(RelOpNE, absent, String("x")), true}, {property(RelOpEQ, absent, String("")), false},
		{property(RelOpEQ, PidTagSubject, Integer32(1)), false}, {property(RelOpNE, PidTagSubject, Integer32(1)), false},
		{property(RelOpMemberOfDL, PidTagSenderEntryId, Binary("staff")), true},
		{property(RelOpMemberOfDL, PidTagSenderEntryId, Binary("guests")), false},
		{property(RelOpMemberOfDL, PidTagSubject, Binary("staff")), false},

		{&ComparePropertiesRestriction{RelOpGT, PidTagMessageDeliveryTime, PidTagClientSubmitTime}, true},
		{&ComparePropertiesRestriction{RelOpEQ, PidTagMessageDeliveryTime, PidTagClientSubmitTime}, false},
		{&ComparePropertiesRestriction{RelOpEQ, absent, PidTagSensitivity}, true},
		{&ComparePropertiesRestriction{RelOpLT, absent, PidTagSubject}, true},

		{&BitMaskRestriction{BitMaskNotEqualZero, PidTagMessageFlags, MessageFlagRead}, true},
		{&BitMaskRestriction{BitMaskEqualZero, PidTagMessageFlags, MessageFlagRead}, false},
		{&BitMaskRestriction{BitMaskEqualZero, PidTagMessageFlags, MessageFlagUnsent}, true},
		{&BitMaskRestriction{BitMaskEqualZero, absent, 1}, false}, {&BitMaskRestriction{BitMaskEqualZero, PidTagSubject, 1}, false},

		{&SizeRestriction{RelOpEQ, PidTagMessageSize, 4}, true}, {&SizeRestriction{RelOpGT, PidTagSenderSearchKey, 20}, true},
		{&SizeRestriction{RelOpEQ, absent, 0}, true},

		{&SubObjectRestriction{PidTagMessageRecipients, property(RelOpEQ, PidTagDisplayName, String("bert"))}, true},
		{&SubObjectRestriction{PidTagMessageRecipients, property(RelOpEQ, PidTagDisplayName, String("carol"))}, false},
		{&SubObjectRestriction{PidTagMessageAttachments, AndRestriction{}}, false},
		{&CommentRestriction{[]Prop{{PidTagComment, String("x")}}, &ExistRestriction{absent}}, false},
		{&CommentRestriction{}, true},
		{&CountRestriction{0, &ExistRestriction{PidTagSubject}}, true},
	} {
		if got := tt.r.Match(m); got != tt.want {
			t.Errorf("%d: %T %+v is %v", i, tt.r, tt.r, got)
		}
		if count, ok := tt.r.(*CountRestriction); ok && count.Count == 0 {
			continue
		}
		if got := ForOneWalk(tt.r).Match(m); got != tt.want {
			t.Errorf("%d: %T %+v is %v in a walk", i, tt.r, tt.r, got)
		}
	}
}

// plain is a getter without parts or directory, and with an error under one tag.
type plain map[Tag]Value

func (p plain) Get(t Tag) Value { return p[t] }

func TestMatchOfPlainGetter(t *testing.T) {
	p := plain{PidTagRecordKey: ErrorCode(0x8004010F), PidTagSenderEntryId: Binary("anna"), NewTag(0x6648, TypeErrorCode): ErrorCode(5)}
	for _, r := range []Restriction{
		&SubObjectRestriction{PidTagMessageRecipients, AndRestriction{}},
		property(RelOpMemberOfDL, PidTagSenderEntryId, Binary("staff")),
		&ExistRestriction{PidTagRecordKey},
	} {
		if r.Match(p) {
			t.Errorf("%T passes", r)
		}
	}
	if !property(RelOpEQ, NewTag(0x6648, TypeErrorCode), ErrorCode(5)).Match(p) {
		t.Error("an error code as a value")
	}
}

func TestCountRunsDown(t *testing.T) {
	r := ForOneWalk(AndRestriction{&CountRestriction{2, &ExistRestriction{PidTagSubject}}})
	var got []bool
	for _, g := range []Getter{sampleMail(), person("x"), sampleMail(), sampleMail()} {
		got = append(got, r.Match(g))
	}
	if !slices.Equal(got, []bool{true, false, true, false}) {
		t.Fatalf("%v", got)
	}
}

func TestCountOfPartsDoesNotRunDown(t *testing.T) {
	r := ForOneWalk(&SubObjectRestriction{PidTagMessageRecipients, &CountRestriction{1, &ExistRestriction{PidTagDisplayName}}})
	for range 3 {
		if !r.Match(sampleMail()) {
			t.Fatal("a message with recipients does not pass")
		}
	}
}

// restrictions draws trees of at most depth levels above a leaf.
func restrictions(depth int) *rapid.Generator[Restriction] {
	leaf := rapid.Custom(func(t *rapid.T) Restriction {
		op := RelOp(rapid.IntRange(0, 5).Draw(t, "op"))
		switch rapid.IntRange(0, 5).Draw(t, "leaf") {
		case 0:
			return content(rapid.SampledFrom([]FuzzyLevel{FuzzyFullString, FuzzySubstring | FuzzyIgnoreCase, FuzzyPrefix | FuzzyLoose}).Draw(t, "fuzzy"),
				PidTagSubject, rapid.StringOf(rapid.SampledFrom([]rune("aGrü"))).Draw(t, "text"))
		case 1:
			return property(op, PidTagMessageSize, Integer32(rapid.Int32().Draw(t, "size")))
		case 2:
			return &ComparePropertiesRestriction{op, PidTagMessageDeliveryTime, PidTagClientSubmitTime}
		case 3:
			return &BitMaskRestriction{BitMaskOp(rapid.IntRange(0, 1).Draw(t, "bits")), PidTagMessageFlags, rapid.Uint32().Draw(t, "mask")}
		case 4:
			return &SizeRestriction{op, PidTagSubject, rapid.Uint32Range(0, 100).Draw(t, "size")}
		}
		return &ExistRestriction{rapid.SampledFrom([]Tag{PidTagSubject, PidTagComment}).Draw(t, "tag")}
	})
	if depth == 0 {
		return leaf
	}
	below := restrictions(depth - 1)
	return rapid.Custom(func(t *rapid.T) Restriction {
		switch rapid.IntRange(0, 6).Draw(t, "node") {
		case 0:
			return AndRestriction(rapid.SliceOfN(below, 0, 3).Draw(t, "and"))
		case 1:
			return OrRestriction(rapid.SliceOfN(below, 0, 3).Draw(t, "or"))
		case 2:
			return &NotRestriction{below.Draw(t, "not")}
		case 3:
			return &SubObjectRestriction{PidTagMessageRecipients, below.Draw(t, "sub")}
		case 4:
			return &CommentRestriction{[]Prop{{PidTagComment, String("c")}}, below.Draw(t, "of")}
		case 5:
			return &CountRestriction{1, below.Draw(t, "of")}
		}
		return leaf.Draw(t, "leaf")
	})
}

func TestMatchLaws(t *testing.T) {
	m := sampleMail()
	rapid.Check(t, func(t *rapid.T) {
		a, b := restrictions(3).Draw(t, "a"), restrictions(3).Draw(t, "b")
		not := func(r Restriction) Restriction { return &NotRestriction{r} }
		if not(AndRestriction{a, b}).Match(m) != (OrRestriction{not(a), not(b)}).Match(m) {
			t.Fatal("De Morgan")
		}
		if got := a.Match(m); got != ForOneWalk(a).Match(m) || got != MapTags(a, func(t Tag) Tag { return t }).Match(m) {
			t.Fatalf("%T is not the same in a walk, or with its own tags", a)
		}
		if err := CheckRestriction(a); err != nil {
			t.Fatal(err)
		}
	})
}

func TestMapTags(t *testing.T) {
	var tags []Tag
	note := func(t Tag) Tag { tags = append(tags, t); return t.WithType(TypeBinary) }
	a, b := PidTagSubject, PidTagDisplayTo
	r := MapTags(AndRestriction{
		content(0, a, "x"), property(RelOpEQ, a, String("x")), &ComparePropertiesRestriction{RelOpEQ, a, b}, &BitMaskRestriction{0, a, 1},
		&SizeRestriction{0, a, 1}, &ExistRestriction{a}, &SubObjectRestriction{PidTagMessageRecipients, &ExistRestriction{b}},
		&CommentRestriction{[]Prop{{a, String("")}}, nil}, &CountRestriction{1, OrRestriction{&NotRestriction{&ExistRestriction{b}}}},
	}, note)
	if len(tags) != 11 {
		t.Fatalf("%d tags mapped: %v", len(tags), tags)
	}
	mapped := r.(AndRestriction)
	if mapped[5].(*ExistRestriction).Tag != a.WithType(TypeBinary) || mapped[6].(*SubObjectRestriction).Tag != PidTagMessageRecipients {
		t.Fatalf("%+v", mapped)
	}
	types := map[RestrictionType]bool{}
	for _, o := range append(mapped, mapped, mapped[8].(*CountRestriction).Of, mapped[8].(*CountRestriction).Of.(OrRestriction)[0]) {
		types[o.Type()] = true
	}
	if len(types) != 12 {
		t.Fatalf("%d kinds: %v", len(types), types)
	}
}

func TestCheckRestriction(t *testing.T) {
	deep, wide := Restriction(AndRestriction{}), make(AndRestriction, MaxRestrictionNodes)
	for range MaxRestrictionDepth {
		deep = &NotRestriction{deep}
	}
	for i := range wide {
		wide[i] = AndRestriction{}
	}
	for i, tt := range []struct {
		r    Restriction
		want error
	}{
		{nil, ErrBadRestriction}, {&NotRestriction{}, ErrBadRestriction}, {AndRestriction{nil}, ErrBadRestriction}, {deep, ErrTooComplex},
		{wide, ErrTooComplex}, {wide[1:], nil}, {deep.(*NotRestriction).Of, nil},
		{property(RelOpRE, PidTagSubject, String("x")), ErrTooComplex}, {property(7, PidTagSubject, String("x")), ErrBadRestriction},
		{property(RelOpEQ, PidTagSubject, nil), ErrBadRestriction}, {property(RelOpEQ, PidTagSubject, Integer32(1)), ErrBadRestriction},
		{&PropertyRestriction{RelOpEQ, PidTagSubject, Prop{PidTagMessageSize, Integer32(1)}}, ErrTooComplex},
		{&PropertyRestriction{RelOpEQ, PidTagSubject, Prop{PidTagSubject.WithType(TypeString8), String8("")}}, nil},
		{&PropertyRestriction{RelOpEQ, keywords, Prop{keywords, Strings{}}}, nil},
		{content(0, keywords, ""), nil}, {content(0, PidTagMessageSize, ""), ErrTooComplex},
		{&ComparePropertiesRestriction{RelOpMemberOfDL, PidTagSubject, PidTagSubject}, ErrTooComplex},
		{&ComparePropertiesRestriction{9, PidTagSubject, PidTagSubject}, ErrBadRestriction},
		{&SizeRestriction{RelOpMemberOfDL, PidTagSubject, 1}, ErrTooComplex}, {&SizeRestriction{RelOpRE, PidTagSubject, 1}, ErrTooComplex},
		{&BitMaskRestriction{2, PidTagMessageFlags, 1}, ErrBadRestriction}, {&BitMaskRestriction{1, PidTagMessageFlags, 1}, nil},
		{&SubObjectRestriction{PidTagSubject, AndRestriction{}}, ErrTooComplex}, {&CommentRestriction{}, nil},
	} {
		if err := CheckRestriction(tt.r); !errors.Is(err, tt.want) || tt.want == nil && err != nil {
			t.Errorf("%d: %T: %v, want %v", i, tt.r, err, tt.want)
		}
	}
}

func TestSortOrderSetCheck(t *testing.T) {
	asc, spread := SortOrder{PidTagSubject, SortAscending}, SortOrder{keywords.WithType(keywords.Type() | MultiInstance), SortDescending}
	largest := SortOrder{PidTagMessageDeliveryTime, SortMaximumCategory}
	for i, tt := range []struct {
		s  SortOrderSet
		ok bool
	}{
		{SortOrderSet{}, true}, {SortOrderSet{Orders: []SortOrder{asc, spread}}, true}, {SortOrderSet{Orders: []SortOrder{spread, spread}}, false},
		{SortOrderSet{Orders: []SortOrder{asc, asc}, Categories: 2, Expanded: 1}, true}, {SortOrderSet{Orders: []SortOrder{asc}, Categories: 2}, false},
		{SortOrderSet{Orders: []SortOrder{asc}, Categories: 1, Expanded: 2}, false}, {SortOrderSet{Orders: []SortOrder{{asc.Tag, 3}}}, false},
		{SortOrderSet{Orders: []SortOrder{asc, largest}, Categories: 1}, true}, {SortOrderSet{Orders: []SortOrder{asc, largest, asc}, Categories: 2}, true},
		{SortOrderSet{Orders: []SortOrder{largest, asc}, Categories: 1}, false}, {SortOrderSet{Orders: []SortOrder{asc, largest}}, false},
		{SortOrderSet{Orders: []SortOrder{asc, largest, largest}, Categories: 1}, false},
		{SortOrderSet{Orders: []SortOrder{asc, largest}, Categories: 2}, false},
		{SortOrderSet{Orders: slices.Repeat([]SortOrder{asc}, MaxSortOrders+1)}, false},
	} {
		if err := tt.s.Check(); (err == nil) != tt.ok || err != nil && !errors.Is(err, ErrTooComplex) {
			t.Errorf("%d: %+v: %v", i, tt.s, err)
		}
	}
}

func TestSortOrderSetCompare(t *testing.T) {
	item := func(subject string, size int32) Getter {
		p := plain{PidTagMessageSize: Integer32(size)}
		if subject != "" {
			p[PidTagSubject.WithType(TypeString8)] = String8(subject)
		}
		return p
	}
	s := SortOrderSet{Orders: []SortOrder{{PidTagSubject, SortAscending}, {PidTagMessageSize, SortMaximumCategory}, {PidTagMessageSize, SortDescending}}}
	list := []Getter{item("b", 1), item("A", 1), item("", 3), item("a", 7)}
	slices.SortFunc(list, s.Compare)
	if got := fmt.Sprint(list); got != fmt.Sprint([]Getter{item("", 3), item("a", 7), item("A", 1), item("b", 1)}) {
		t.Fatal(got)
	}
}

func BenchmarkMatch(b *testing.B) {
	m := sampleMail()
	words := OrRestriction{}
	for _, tag := range []Tag{PidTagSubject, PidTagSenderName, PidTagDisplayTo, PidTagBody} {
		for _, word := range []string{"annual", "budget", "report"} {
			words = append(words, content(FuzzySubstring|FuzzyIgnoreCase, tag, word))
		}
	}
	r := ForOneWalk(AndRestriction{words, &BitMaskRestriction{BitMaskEqualZero, PidTagMessageFlags, MessageFlagUnsent}})
	b.ReportAllocs()
	for range b.N {
		if !r.Match(m) {
			b.Fatal("no match")
		}
	}
}
