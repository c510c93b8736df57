package mapi

import (
	"cmp"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Strings are compared, sorted and searched without case by simple Unicode folding, rune by rune, then by code point:
// no locale, no expansions (ß is not ss), and the same order on every node and in every release of one Unicode version.
// Exchange sorts by the locale of the table (MS-OXCTABL 2.2.2.2.1.4 leaves it to the server); we do not.

// foldRune maps all runes that differ in case only to one of them, the small one of the first pair.
func foldRune(r rune) rune {
	if r < utf8.RuneSelf {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}
	least, orbit := r, unicode.SimpleFold(r)
	if orbit == r {
		return r
	}
	for ; orbit != r; orbit = unicode.SimpleFold(orbit) {
		least = min(least, orbit)
	}
	return unicode.ToLower(least)
}

// Fold is s in the form in which strings that differ in case only are equal, and whose bytes sort as CompareFold does.
func Fold(s string) string {
	i := 0
	for i < len(s) && s[i] < utf8.RuneSelf && !('A' <= s[i] && s[i] <= 'Z') {
		i++
	}
	if i == len(s) {
		return s
	}
	b := make([]byte, 0, len(s)+utf8.UTFMax)
	b = append(b, s[:i]...)
	for i < len(s) {
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 {
			b = append(b, s[i]) // no UTF-8, perhaps a String8: the byte stands for itself
		} else {
			b = utf8.AppendRune(b, foldRune(r))
		}
		i += size
	}
	return string(b)
}

// CompareFold orders strings without case: as cmp.Compare does their Fold.
func CompareFold(a, b string) int {
	for i := range min(len(a), len(b)) {
		if a[i]|b[i] >= utf8.RuneSelf {
			return strings.Compare(Fold(a[i:]), Fold(b[i:]))
		}
		if x, y := foldRune(rune(a[i])), foldRune(rune(b[i])); x != y {
			return cmp.Compare(x, y)
		}
	}
	return cmp.Compare(len(a), len(b))
}

// stripMarks takes the non-spacing marks off: "Grüße" becomes "Gruße".
func stripMarks(s string) string {
	if ascii(s) {
		return s
	}
	return strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Mn, r) {
			return -1
		}
		return r
	}, norm.NFD.String(s))
}

// ascii reports whether s has ASCII only.
func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
