package storescript

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// args are the words of a command and its key=value pairs.
type args struct {
	name  string
	words []string
	keys  map[string]string
	// used are the keys that somebody has asked for: what nobody asks for is a mistake in the script.
	used map[string]bool
}

// parseArgs takes a line apart.
func parseArgs(line string) (*args, error) {
	a := &args{keys: make(map[string]string), used: make(map[string]bool)}
	for rest := strings.TrimSpace(line); rest != ""; rest = strings.TrimLeft(rest, " ") {
		word, key, n, err := nextWord(rest)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", line, err)
		}
		rest = rest[n:]
		switch {
		case key != "":
			a.keys[key] = word
		case a.name == "":
			a.name = word
		default:
			a.words = append(a.words, word)
		}
	}
	return a, nil
}

// nextWord reads a word, or key="value"; n is what it takes of s.
func nextWord(s string) (word, key string, n int, err error) {
	if end := strings.IndexAny(s, " \"=("); end > 0 && s[end] == '=' {
		word, n, err = nextValue(s[end+1:])
		if isKey(s[:end]) {
			return word, s[:end], n + end + 1, err
		}
		return s[:end+1] + word, "", n + end + 1, err // a property with its value
	}
	word, n, err = nextValue(s)
	return word, "", n, err
}

func isKey(s string) bool { return strings.Trim(s, "abcdefghijklmnopqrstuvwxyz") == "" }

// nextValue reads a plain word, one in quotes, or one in parentheses, which stay.
func nextValue(s string) (word string, n int, err error) {
	switch {
	case strings.HasPrefix(s, `"`):
		q, err := strconv.QuotedPrefix(s)
		if err != nil {
			return "", 0, fmt.Errorf("an open quote in %q", s)
		}
		word, err = strconv.Unquote(q)
		return word, len(q), err
	case strings.HasPrefix(s, "("):
		depth := 0
		for i, c := range s {
			depth += map[rune]int{'(': 1, ')': -1}[c]
			if depth == 0 {
				return s[:i+1], i + 1, nil
			}
		}
		return "", 0, fmt.Errorf("an open parenthesis in %q", s)
	}
	if n = strings.IndexByte(s, ' '); n < 0 {
		n = len(s)
	}
	return s[:n], n, nil
}

// text is the value of a key, or what is usual.
func (a *args) text(key, usual string) string {
	a.used[key] = true
	if v, ok := a.keys[key]; ok {
		return v
	}
	return usual
}

func (a *args) is(key string) bool { return a.text(key, "no") == "yes" }

// list is the parts of a value between commas.
func (a *args) list(key string) []string {
	v := a.text(key, "")
	if v == "" {
		return nil
	}
	return strings.Split(v, ",")
}

// parseTag reads a property's name: a canonical one, with :type for another type than it has, or a number.
func parseTag(s string) (mapi.Tag, error) {
	name, kind, typed := strings.Cut(s, ":")
	t, ok := mapi.TagByName(name)
	if !ok {
		n, err := strconv.ParseUint(name, 0, 32)
		if err != nil {
			return 0, fmt.Errorf("no property %q", name)
		}
		t = mapi.Tag(n)
	}
	if typed {
		n, err := strconv.ParseUint(kind, 0, 16)
		if err != nil {
			return 0, fmt.Errorf("no type %q", kind)
		}
		t = t.WithType(mapi.Type(n))
	}
	return t, nil
}

func parseTags(names []string) ([]mapi.Tag, error) {
	var tags []mapi.Tag
	for _, n := range names {
		t, err := parseTag(n)
		if err != nil {
			return nil, err
		}
		tags = append(tags, t)
	}
	return tags, nil
}
