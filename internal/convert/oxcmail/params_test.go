package oxcmail

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/flotilla-mail/flotilla/internal/formats/mime"
)

func TestWithParams(t *testing.T) {
	for _, tt := range []struct {
		params mime.Params
		want   string
	}{
		{nil, "a/b"},
		{mime.Params{{Name: "name", Value: "x.txt"}, {Name: "size", Value: ""}}, `a/b; name=x.txt; size=""`},
		{mime.Params{{Name: "name", Value: `a "b\c".txt`}}, `a/b; name="a \"b\\c\".txt"`},
		{mime.Params{{Name: "name", Value: "Für"}}, "a/b; name*=utf-8''F%C3%BCr"},
		{mime.Params{{Name: "name", Value: "=?utf-8?q?x?="}}, "a/b; name*=utf-8''%3D%3Futf-8%3Fq%3Fx%3F%3D"},
		{mime.Params{{Name: "bad name", Value: "x"}, {Name: "na*me", Value: "x"}}, "a/b"},
		{mime.Params{{Name: "n", Value: "a\r\nBcc: x"}}, `a/b; n="a Bcc: x"`},
	} {
		if got := withParams("a/b", tt.params); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}

// TestParamsComeBack: any value of a parameter comes back, in words that a line has room for.
func TestParamsComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := oneLine(rapid.String().Draw(t, "value"))
		s := withParams("a/b", mime.Params{{Name: "filename", Value: value}})
		_, params := mime.ParseParams(s)
		if got := params.Get("filename"); got != value {
			t.Fatalf("%q comes back as %q of %q", value, got, s)
		}
		for word := range strings.SplitSeq(s, "; ") {
			if len(word) > 2*longestParam+20 {
				t.Fatalf("%q has a word of %d", s, len(word))
			}
		}
	})
}
