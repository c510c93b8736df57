package mapi

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write what came out into the golden files")

// wantGolden compares with a file of testdata.
func wantGolden(t *testing.T, path, got string) {
	t.Helper()
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
	for i := range max(len(was), len(is)) {
		if i >= len(was) || i >= len(is) || was[i] != is[i] {
			t.Fatalf("%s:%d: %q, want %q", path, i+1, slices.Concat(is, make([]string, len(was)))[i], slices.Concat(was, make([]string, len(is)))[i])
		}
	}
}

// texts are strings that show an order: case, marks, scripts, digits, punctuation, code page bytes.
var texts = []string{
	"", " ", "!", "-", "0", "1", "10", "2", "[", "\\", "]", "^", "_", "`", "a", "A", "Aa", "aA", "ab", "AB", "a b", "a-b", "a_b", "aardvark", "b", "B",
	"Re: a", "RE: A", "re: b", "z", "Z", "zz", "{", "|", "}", "~", "ä", "Ä", "a\u0308", "äb", "ß", "\u1e9e", "ss", "ö", "ø", "é", "É", "e\u0301", "ı", "i", "I",
	"İ", "ſ", "s", "K", "k", "\u212a", "Å", "å", "\u212b", "σ", "Σ", "ς", "ω", "Ω", "\u2126", "а", "А", "я", "Я", "א", "日本", "日本語", "\u30a2", "\uff71", "Ａ", "ａ",
	"\U00010400", "\U00010428", "\U0001F600", "\xe4", "\xc4", "a\xe4",
}

// TestOrderOfStrings holds the order that indexes on disk are made in. A newer Unicode that changes it means that indexes
// are built again.
func TestOrderOfStrings(t *testing.T) {
	list := slices.Clone(texts)
	slices.SortStableFunc(list, CompareFold)
	var b strings.Builder
	fmt.Fprintln(&b, "# strings in order, with what an index has of them; = where one is equal to the one before")
	for i, s := range list {
		mark := " "
		if i > 0 && CompareFold(list[i-1], s) == 0 {
			mark = "="
		}
		fmt.Fprintf(&b, "%s %-14s %x\n", mark, fmt.Sprintf("%+q", s), Fold(s))
	}
	wantGolden(t, "testdata/strings.txt", b.String())
}

// TestRelations holds the outcome of every relation for every type: the value before, at and behind the one asked for, and
// none.
func TestRelations(t *testing.T) {
	ops := []struct {
		name string
		op   RelOp
	}{{"<", RelOpLT}, {"<=", RelOpLE}, {">", RelOpGT}, {">=", RelOpGE}, {"==", RelOpEQ}, {"!=", RelOpNE}, {"re", RelOpRE}, {"dl", RelOpMemberOfDL}}
	var b strings.Builder
	fmt.Fprintln(&b, "# type: three values in order; then for each relation whether each of them, and an absent one, stands in it to the second")
	for _, three := range threes {
		typ := TypeOf(three[1])
		fmt.Fprintf(&b, "\n%#06x: %s, %s, %s\n", uint16(typ), show(three[0]), show(three[1]), show(three[2]))
		for _, o := range ops {
			fmt.Fprintf(&b, "  %-2s", o.name)
			for _, v := range append(three[:], nil) {
				p := plain{}
				if v != nil {
					p[NewTag(1, typ)] = v
				}
				r := &PropertyRestriction{o.op, NewTag(1, typ), Prop{NewTag(1, typ), three[1]}}
				fmt.Fprintf(&b, " %-5v", r.Match(p))
			}
			fmt.Fprintln(&b)
		}
	}
	wantGolden(t, "testdata/relations.txt", b.String())
}

func show(v Value) string { return fmt.Sprintf("%+v", v) }

// threes are three values of each type in order.
var threes = [][3]Value{
	{Integer16(-1), Integer16(0), Integer16(1)}, {Integer32(-1), Integer32(0), Integer32(1)}, {Integer64(-1), Integer64(0), Integer64(1)},
	{Floating32(-0.5), Floating32(0), Floating32(0.5)}, {Floating64(-0.5), Floating64(0), Floating64(0.5)}, {Currency(-1), Currency(0), Currency(1)},
	{AppTime(1), AppTime(2), AppTime(3)}, {ErrorCode(1), ErrorCode(2), ErrorCode(3)}, {Boolean(false), Boolean(true), Boolean(true)},
	{String("A"), String("b"), String("C")}, {String8("A"), String8("b"), String8("C")}, {Binary{1}, Binary{1, 2}, Binary{2}},
	{FileTime(1), FileTime(2), FileTime(3)}, {GUID{1}, GUID{2}, GUID{3}}, {Null{}, Null{}, Null{}},
	{Integers16{1}, Integers16{1, 2}, Integers16{2}}, {Integers32{}, Integers32{1}, Integers32{2}}, {Integers64{1}, Integers64{2}, Integers64{3}},
	{Floatings32{1}, Floatings32{2}, Floatings32{3}}, {Floatings64{1}, Floatings64{2}, Floatings64{3}}, {Currencies{1}, Currencies{2}, Currencies{3}},
	{AppTimes{1}, AppTimes{2}, AppTimes{3}}, {Strings{"A"}, Strings{"a", ""}, Strings{"B"}}, {Strings8{"A"}, Strings8{"a", ""}, Strings8{"B"}},
	{Binaries{}, Binaries{{}}, Binaries{{1}}}, {Times{1}, Times{2}, Times{3}}, {GUIDs{{1}}, GUIDs{{2}}, GUIDs{{3}}},
}

// TestContentLevels holds the outcome of every fuzzy level.
func TestContentLevels(t *testing.T) {
	subject := "Grüße: der neue Plan"
	var b strings.Builder
	fmt.Fprintf(&b, "# in %+q: full, substring, prefix, word prefix, phrase; exact, ignoring case, ignoring marks, loose\n", subject)
	p := plain{PidTagSubject: String(subject)}
	for _, wanted := range []string{subject, "grüße: DER neue plan", "Gruße: der neue Plan", "gruße: der NEUE plan", "Grüße", "GRÜSSE", "gruße", "neue", "Neue", "eu", "neue Pl", "Plan", "lan", "", "PLAN"} {
		fmt.Fprintf(&b, "%+q\n", wanted)
		for _, high := range []FuzzyLevel{0, FuzzyIgnoreCase, FuzzyIgnoreNonSpace, FuzzyLoose} {
			fmt.Fprint(&b, " ")
			for _, low := range []FuzzyLevel{FuzzyFullString, FuzzySubstring, FuzzyPrefix, FuzzyPrefixOnAnyWord, FuzzyPhrase} {
				fmt.Fprintf(&b, " %-5v", content(low|high, PidTagSubject, wanted).Match(p))
			}
			fmt.Fprintln(&b)
		}
	}
	wantGolden(t, "testdata/content.txt", b.String())
}

// TestNumbers holds the numbers that reach disk and wire.
func TestNumbers(t *testing.T) {
	var b strings.Builder
	section := func(title string, lines ...any) {
		fmt.Fprintf(&b, "# %s\n", title)
		for i := 0; i < len(lines); i += 2 {
			fmt.Fprintf(&b, "%#x %v\n", lines[i+1], lines[i])
		}
	}
	section("types", "null", TypeNull, "integer16", TypeInteger16, "integer32", TypeInteger32, "floating32", TypeFloating32, "floating64", TypeFloating64,
		"currency", TypeCurrency, "apptime", TypeAppTime, "error", TypeErrorCode, "boolean", TypeBoolean, "object", TypeObject, "integer64", TypeInteger64,
		"string8", TypeString8, "string", TypeString, "time", TypeTime, "guid", TypeGUID, "server id", TypeServerID, "restriction", TypeRestriction,
		"rule action", TypeRuleAction, "binary", TypeBinary, "multi", MultiValue, "instance", MultiInstance)
	section("restrictions", "and", RestrictAnd, "or", RestrictOr, "not", RestrictNot, "content", RestrictContent, "property", RestrictProperty,
		"compare properties", RestrictCompareProperties, "bit mask", RestrictBitMask, "size", RestrictSize, "exist", RestrictExist,
		"sub-object", RestrictSubObject, "comment", RestrictComment, "count", RestrictCount)
	section("relations", "lt", RelOpLT, "le", RelOpLE, "gt", RelOpGT, "ge", RelOpGE, "eq", RelOpEQ, "ne", RelOpNE, "re", RelOpRE, "member of dl", RelOpMemberOfDL)
	section("fuzzy levels", "full", FuzzyFullString, "substring", FuzzySubstring, "prefix", FuzzyPrefix, "word prefix", FuzzyPrefixOnAnyWord, "phrase", FuzzyPhrase,
		"ignore case", FuzzyIgnoreCase, "ignore non-space", FuzzyIgnoreNonSpace, "loose", FuzzyLoose)
	section("directions", "ascending", SortAscending, "descending", SortDescending, "maximum category", SortMaximumCategory)
	section("actions", "move", ActionMove, "copy", ActionCopy, "reply", ActionReply, "oof reply", ActionOOFReply, "defer", ActionDefer, "bounce", ActionBounce,
		"forward", ActionForward, "delegate", ActionDelegate, "tag", ActionTag, "delete", ActionDelete, "mark as read", ActionMarkAsRead)
	section("errors", "not found", ErrorNotFound, "not enough memory", ErrorNotEnoughMemory)
	section("names", "lid", NameByLID, "string", NameByString, "none", NameNone)
	wantGolden(t, "testdata/numbers.txt", b.String())
}
