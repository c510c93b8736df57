package oxcdata

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/testkit"
	"github.com/flotilla-mail/flotilla/internal/testkit/vectors"
)

// restrictions draws trees of at most depth levels above a leaf.
func restrictions(depth int) *rapid.Generator[mapi.Restriction] {
	leaf := rapid.Custom(func(t *rapid.T) mapi.Restriction {
		op := rapid.SampledFrom([]mapi.RelOp{mapi.RelOpLT, mapi.RelOpNE, mapi.RelOpRE, mapi.RelOpMemberOfDL}).Draw(t, "op")
		tag := mapi.Tag(rapid.Uint32().Draw(t, "tag"))
		switch rapid.IntRange(0, 5).Draw(t, "leaf") {
		case 0:
			return &mapi.ContentRestriction{Fuzzy: mapi.FuzzyLevel(rapid.Uint32().Draw(t, "fuzzy")), Tag: tag, Value: values().Draw(t, "value")}
		case 1:
			return &mapi.PropertyRestriction{Op: op, Tag: tag, Value: values().Draw(t, "value")}
		case 2:
			return &mapi.ComparePropertiesRestriction{Op: op, Left: tag, Right: tag + 1}
		case 3:
			return &mapi.BitMaskRestriction{Op: mapi.BitMaskNotEqualZero, Tag: tag, Mask: rapid.Uint32().Draw(t, "mask")}
		case 4:
			return &mapi.SizeRestriction{Op: op, Tag: tag, Size: rapid.Uint32().Draw(t, "size")}
		}
		return &mapi.ExistRestriction{Tag: tag}
	})
	if depth == 0 {
		return leaf
	}
	below := restrictions(depth - 1)
	return rapid.Custom(func(t *rapid.T) mapi.Restriction {
		switch rapid.IntRange(0, 6).Draw(t, "node") {
		case 0:
			return mapi.AndRestriction(rapid.SliceOfN(below, 0, 3).Draw(t, "and"))
		case 1:
			return mapi.OrRestriction(rapid.SliceOfN(below, 0, 3).Draw(t, "or"))
		case 2:
			return &mapi.NotRestriction{Of: below.Draw(t, "not")}
		case 3:
			return &mapi.SubObjectRestriction{Tag: mapi.PidTagMessageRecipients, Of: below.Draw(t, "sub")}
		case 4:
			return &mapi.CommentRestriction{Values: rapid.SliceOfN(values(), 0, 3).Draw(t, "values"), Of: below.Draw(t, "of")}
		case 5:
			return &mapi.CountRestriction{Count: rapid.Uint32().Draw(t, "count"), Of: below.Draw(t, "of")}
		}
		return &mapi.CommentRestriction{Values: []mapi.Prop{}}
	})
}

func TestRestrictionRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := restrictions(3).Draw(t, "restriction")
		for form := ROP; form <= Definition; form++ {
			e := NewEncoder(nil, form)
			e.Restriction(r)
			b, err := e.Bytes()
			if err != nil {
				t.Fatal(err)
			}
			d := NewDecoder(b, form)
			if back := d.Restriction(); d.Close() != nil || !reflect.DeepEqual(back, r) {
				t.Fatalf("%#v in form %d came back as %#v, %v", r, form, back, d.Err())
			}
		}
		if back, err := ParseRestriction(AppendRestriction(nil, r)); err != nil || !reflect.DeepEqual(back, r) {
			t.Fatalf("%#v came back as %#v, %v", r, back, err)
		}
	})
}

func TestRestrictionValueBetweenForms(t *testing.T) {
	r := mapi.OrRestriction{&mapi.ExistRestriction{Tag: mapi.PidTagBody}, &mapi.NotRestriction{Of: mapi.AndRestriction{}}}
	e := NewEncoder(nil, ROP)
	e.Value(mapi.TypeRestriction, RestrictionValue(r))
	b, err := e.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	v, _ := NewDecoder(b, ROP).Value(mapi.TypeRestriction).(mapi.Opaque)
	back, err := RestrictionOf(v)
	if err != nil || !reflect.DeepEqual(back, r) {
		t.Fatalf("%#v, %v", back, err)
	}
	if _, err := RestrictionOf(append(v, 0)); !errors.Is(err, ErrMalformed) {
		t.Errorf("a byte too many: %v", err)
	}
}

func TestRestrictionLimits(t *testing.T) {
	nots := func(n int) []byte {
		return append(bytes.Repeat([]byte{byte(mapi.RestrictNot)}, n), byte(mapi.RestrictAnd), 0, 0)
	}
	for name, tt := range map[string]struct {
		in   []byte
		want error
	}{
		"deep enough":     {nots(mapi.MaxRestrictionDepth - 1), nil},
		"too deep":        {nots(mapi.MaxRestrictionDepth), mapi.ErrTooComplex},
		"very deep":       {nots(1 << 20), mapi.ErrTooComplex},
		"too wide":        {append([]byte{0, 0xFF, 0xFF}, bytes.Repeat([]byte{0, 0, 0}, 0xFFFF)...), mapi.ErrTooComplex},
		"no such type":    {[]byte{0x0C}, ErrMalformed},
		"no such op":      {[]byte{0x04, 7, 0, 0, 0, 0}, ErrMalformed},
		"no such bits":    {[]byte{0x06, 2, 0, 0, 0, 0, 0, 0, 0, 0}, ErrMalformed},
		"value in value":  {[]byte{0x0A, 1, 0xFD, 0, 1, 0}, mapi.ErrTooComplex},
		"actions inside":  {[]byte{0x0A, 1, 0xFE, 0, 1, 0}, mapi.ErrTooComplex},
		"flag of comment": {[]byte{0x0A, 0, 2}, ErrMalformed},
		"nothing":         {nil, ErrMalformed},
	} {
		d := NewDecoder(tt.in, ROP)
		r := d.Restriction()
		if err := d.Close(); !errors.Is(err, tt.want) || tt.want == nil && (err != nil || mapi.CheckRestriction(r) != nil) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
	wide := []byte{4, 1, 0, 0, 0}
	d := NewDecoder(wide, Definition)
	if d.Restriction(); !errors.Is(d.Err(), ErrMalformed) {
		t.Errorf("a type above 8 bits: %v", d.Err())
	}
}

func FuzzRestriction(f *testing.F) {
	r := mapi.AndRestriction{
		&mapi.ContentRestriction{Fuzzy: mapi.FuzzyLoose, Tag: mapi.PidTagSubject, Value: mapi.Prop{Tag: mapi.PidTagSubject, Value: mapi.String("x")}},
		&mapi.CommentRestriction{Values: []mapi.Prop{{Tag: mapi.PidTagMessageSize, Value: mapi.Integer32(1)}}, Of: mapi.OrRestriction{&mapi.ExistRestriction{}}},
		&mapi.CountRestriction{Of: &mapi.SubObjectRestriction{Of: &mapi.NotRestriction{Of: &mapi.SizeRestriction{}}}},
	}
	for form := ROP; form <= Definition; form++ {
		e := NewEncoder(nil, form)
		e.Restriction(r)
		f.Add(uint8(form), e.b)
	}
	f.Fuzz(func(t *testing.T, n uint8, b []byte) {
		defer testkit.Bounded(t)()
		form := Form(n % 3)
		d := NewDecoder(b, form)
		r := d.Restriction()
		if d.Close() != nil {
			return
		}
		stored := AppendRestriction(nil, r)
		back, err := ParseRestriction(stored)
		if err != nil || !bytes.Equal(AppendRestriction(nil, back), stored) {
			t.Fatalf("%#v came back as %#v, %v", r, back, err)
		}
		if mapi.CheckRestriction(r) == nil {
			mapi.ForOneWalk(mapi.MapTags(r, func(t mapi.Tag) mapi.Tag { return t })).Match(&mapi.PropBag{})
		}
	})
}

func BenchmarkRestriction(b *testing.B) {
	var words mapi.OrRestriction
	for _, tag := range []mapi.Tag{mapi.PidTagSubject, mapi.PidTagSenderName, mapi.PidTagDisplayTo, mapi.PidTagBody} {
		words = append(words, &mapi.ContentRestriction{Fuzzy: mapi.FuzzySubstring, Tag: tag, Value: mapi.Prop{Tag: tag, Value: mapi.String("quarterly")}})
	}
	stored := AppendRestriction(nil, mapi.AndRestriction{words, words, words})
	b.ReportAllocs()
	for range b.N {
		if _, err := ParseRestriction(stored); err != nil {
			b.Fatal(err)
		}
	}
}

// TestOutlooksSearch runs the rule with the most conditions among the vectors: 23 of Outlook's own.
func TestOutlooksSearch(t *testing.T) {
	list := vectors.Of(t, "EXTENDEDRULECONDITION")
	most := mapi.AndRestriction{}
	for _, v := range list {
		c, err := ParseExtendedCondition(v.In)
		if err != nil {
			t.Fatal(err)
		}
		if err := mapi.CheckRestriction(c.Restriction); err != nil {
			t.Errorf("%s: %v", v.Name, err)
		}
		if all, ok := c.Restriction.(mapi.AndRestriction); ok && len(all) > len(most) {
			most = all
		}
	}
	if len(most) != 23 {
		t.Fatalf("%d conditions", len(most))
	}
	var mail mapi.PropBag
	mail.Set(mapi.PidTagMessageToMe, mapi.Boolean(true))
	mail.Set(mapi.PidTagDisplayTo, mapi.String("me"))
	mail.Set(mapi.PidTagDisplayCc, mapi.String(""))
	mail.Set(mapi.PidTagImportance, mapi.Integer32(2))
	mail.Set(mapi.PidTagFlagStatus, mapi.Integer32(mapi.FlagStatusFlagged))
	walk := mapi.ForOneWalk(most)
	if most.Match(&mail) || walk.Match(&mail) {
		t.Error("a mail that has a few of 23 passes them all")
	}
	for i, want := range map[int]bool{0: true, 1: true} {
		if got := most[i].Match(&mail); got != want {
			t.Errorf("condition %d: %v", i, got)
		}
	}
	mail.Set(mapi.PidTagDisplayTo, mapi.String("me; you"))
	if most[1].Match(&mail) {
		t.Error("sent only to me, and to you")
	}
}
