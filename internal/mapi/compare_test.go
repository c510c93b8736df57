package mapi

import (
	"math"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestFoldJoinsWhatDiffersInCaseOnly(t *testing.T) {
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if !utf8.ValidRune(r) {
			continue
		}
		folded := foldRune(r)
		if foldRune(folded) != folded {
			t.Fatalf("%U folds to %U, which folds to %U", r, folded, foldRune(folded))
		}
		if !strings.EqualFold(string(r), string(folded)) {
			t.Fatalf("%U folds to %U", r, folded)
		}
		for o := unicode.SimpleFold(r); o != r; o = unicode.SimpleFold(o) {
			if foldRune(o) != folded {
				t.Fatalf("%U folds to %U, %U to %U", r, folded, o, foldRune(o))
			}
		}
	}
}

func sign(n int) int { return max(-1, min(1, n)) }

func TestCompareFoldIsTheOrderOfFold(t *testing.T) {
	letters := rapid.StringOf(rapid.SampledFrom([]rune("aAbBzZ_äÄσΣςK\u212akß")))
	anything := rapid.Custom(func(t *rapid.T) string { return string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")) })
	rapid.Check(t, func(t *rapid.T) {
		strs := rapid.OneOf(letters, anything, rapid.String())
		a, b := strs.Draw(t, "a"), strs.Draw(t, "b")
		if got, want := CompareFold(a, b), strings.Compare(Fold(a), Fold(b)); sign(got) != want {
			t.Fatalf("%q to %q is %d, their folds %d", a, b, got, want)
		}
		if utf8.ValidString(a) && utf8.ValidString(b) && (CompareFold(a, b) == 0) != strings.EqualFold(a, b) {
			t.Fatalf("%q and %q", a, b)
		}
	})
	if Fold("plain_1") != "plain_1" || Fold("GRÜSSE") != "grüsse" || Fold("\xe4A") != "\xe4a" || CompareFold("a_", "aB") > 0 {
		t.Error("fold")
	}
	if got := stripMarks("Grüße, déjà vu"); got != "Gruße, deja vu" {
		t.Errorf("marks: %q", got)
	}
}

// ascending are values in groups that compare with each other, each group in order.
var ascending = [][]Value{
	{Integer32(-5), Integer16(-1), Currency(0), Integer64(1), Integer32(2), Integer64(math.MaxInt64)},
	{Floating64(math.Inf(-1)), AppTime(-0.5), Floating32(0), Floating64(3)},
	{String(""), String8("_"), String("a"), String("B"), String("bb"), String8("C"), String("ä")},
	{Binary{}, Binary{0}, Binary{0, 0}, GUID{0, 1}, Opaque{1}},
	{FileTime(0), FileTime(1), FileTime(math.MaxUint64)},
	{ErrorCode(1), ErrorCode(0x8004010F)},
	{Boolean(false), Boolean(true)},
	{Null{}},
	{Integers16{}, Integers32{1}, Integers64{1, 0}, Currencies{2}},
	{Strings{"A", "b"}, Strings8{"a", "C"}},
	{Binaries{{0}}, GUIDs{{0}}, Binaries{{1}}},
	{Floatings32{1}, Floatings64{2}, AppTimes{3}},
	{Times{1}, Times{1, 2}},
}

func TestCompare(t *testing.T) {
	for g, group := range ascending {
		for i, a := range group {
			for j, b := range group {
				if order, ok := Compare(a, b); !ok || order != sign(i-j) {
					t.Errorf("%T %v to %T %v is %d, %v", a, a, b, b, order, ok)
				}
			}
			for other := range ascending {
				if order, ok := Compare(a, ascending[other][0]); other != g && ok && !bothEmpty(a, ascending[other][0]) {
					t.Errorf("%T %v compares with %T: %d", a, a, ascending[other][0], order)
				}
			}
			if CompareForSort(nil, a) != -1 || CompareForSort(a, nil) != 1 {
				t.Errorf("%v does not follow what is absent", a)
			}
		}
	}
	if _, ok := Compare(Reference{{Size: 1}}, Reference{{Size: 1}}); ok {
		t.Error("references compare")
	}
	if CompareForSort(nil, nil) != 0 || CompareForSort(String("a"), Integer32(1)) != 0 {
		t.Error("what does not compare is not equal")
	}
}

// bothEmpty: lists without elements are equal whatever they are lists of.
func bothEmpty(a, b Value) bool {
	x, y := Elements(a), Elements(b)
	return x != nil && y != nil && (len(x) == 0 || len(y) == 0)
}

func TestSortIsStable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.SliceOf(rapid.Custom(func(t *rapid.T) Value {
			if rapid.Bool().Draw(t, "absent") {
				return nil
			}
			return String(rapid.StringOf(rapid.SampledFrom([]rune("aAbäÄ"))).Draw(t, "text"))
		})).Draw(t, "list")
		slices.SortFunc(list, CompareForSort)
		if !slices.IsSortedFunc(list, CompareForSort) {
			t.Fatalf("%v", list)
		}
		for i := range list {
			for j := i + 1; j < len(list); j++ {
				if CompareForSort(list[i], list[j]) > 0 {
					t.Fatalf("%v before %v", list[i], list[j])
				}
			}
		}
	})
}

func TestSizeOf(t *testing.T) {
	for _, tt := range []struct {
		v    Value
		want uint64
	}{
		{nil, 0}, {Null{}, 0}, {Boolean(true), 1}, {Integer16(1), 2}, {Integer32(1), 4}, {Floating32(1), 4}, {ErrorCode(1), 4},
		{Integer64(1), 8}, {Floating64(1), 8}, {Currency(1), 8}, {AppTime(1), 8}, {FileTime(1), 8}, {GUID{}, 16},
		{String("aä\U0001F600"), 10}, {String8("aä"), 4}, {Binary{1, 2}, 2}, {Opaque{1}, 1}, {Reference{{Size: 7}, {Size: 8}}, 15},
		{Strings{"a", ""}, 6}, {Integers16{1, 2, 3}, 6}, {Integers64{}, 0}, {GUIDs{{}, {}}, 32}, {Floatings64{1}, 8},
	} {
		if got := SizeOf(tt.v); got != tt.want {
			t.Errorf("%T %v has %d bytes, want %d", tt.v, tt.v, got, tt.want)
		}
	}
}
