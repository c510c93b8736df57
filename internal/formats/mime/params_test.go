package mime

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/flotilla-mail/flotilla/internal/testkit"
)

// fileNames are the forms of one name as mailers write and damage them.
var fileNames = []struct{ what, params, want string }{
	{"whole", "filename*=utf-8'de'%C3%A4.txt", "ä.txt"},
	{"whole before plain", "filename=a.txt; filename*=utf-8''%C3%A4.txt", "ä.txt"},
	{"whole before pieces", "filename*0=x; filename*1=y.txt; filename*=utf-8''%C3%A4.txt", "ä.txt"},
	{"empty whole", "filename*=utf-8''; filename=a.txt", "a.txt"},
	{"empty whole before pieces", "filename*=utf-8''; filename*0=a; filename*1=.txt", "a.txt"},
	{"empty plain", "filename=; filename=a.txt", "a.txt"},
	{"no charset", "filename*=%C3%A4.txt", "ä.txt"},
	{"unknown charset", "filename*=x-none''%C3%A4.txt", "ä.txt"},
	{"language alone", "filename*='en'a.txt", "a.txt"},

	{"pieces", "filename*0*=iso-8859-1''%E4; filename*1=\" 50%41 \"; filename*2*=%FC.txt", "ä 50%41 ü.txt"},
	{"pieces before plain", "filename=a.txt; filename*0=b; filename*1=.txt", "b.txt"},
	{"plain before encoded", "filename*0=a; filename*1*=%C3%A4.txt", "aä.txt"},
	{"cut inside a character", "filename*0*=utf-8''%C3; filename*1*=%A4.txt", "ä.txt"},
	{"out of order", "filename*2=.txt; filename*0*=utf-8''%C3%A4; filename*1*=%C3%BC", "äü.txt"},
	{"ten of them", "filename*10=k; filename*9=j; filename*0=a; filename*1=b; filename*2=c; filename*3=d; filename*4=e; filename*5=f; " +
		"filename*6=g; filename*7=h; filename*8=i", "abcdefghijk"},
	{"twice", "filename*0=a; filename*0=b; filename*1=.txt; filename*1*=.pdf", "a.txt"},
	{"twice, the first empty", "filename*0=; filename*0=b; filename*1=.txt", "b.txt"},
	{"encoded-word in pieces", `filename*0="=?utf-8?q?=C3="; filename*1="A4?=.txt"`, "ä.txt"},
	{"leading zeros", "filename*00*=utf-8''%C3%A4; filename*01=.txt", "ä.txt"},

	{"counted from one", "filename*1*=utf-8''%C3%A4; filename*2*=.txt", "ä.txt"},
	{"counted from one, plain", "filename*1=a; filename*2=.txt", "a.txt"},
	{"counted from one without charset", "filename*1*=''a.txt", "a.txt"},
	{"charset in every piece", "filename*0*=utf-8''%C3%A4; filename*1*=utf-8''%C3%BC.txt", "äü.txt"},
	{"first piece without number", "filename*=utf-8''%C3%A4; filename*1*=%C3%BC.txt", "äü.txt"},
	{"one piece", "filename*3=a.txt", "a.txt"},
	{"first piece lost", "filename*1*=O'Neill's%20bill.pdf", "O'Neill's bill.pdf"},
	{"gap", "filename*0*=utf-8''%C3%A4; filename*2*=%C3%BC.txt", "äü.txt"},
	{"gap beside plain", "filename*0*=utf-8''%C3%A4; filename*2*=.txt; filename=a.txt", "a.txt"},
	{"gap beside empty plain", "filename*0*=utf-8''%C3%A4; filename*2*=.txt; filename=", "ä.txt"},
	{"far apart", "filename*0=a; filename*500=.txt", "a.txt"},
	{"no number", "filename*x=a.txt; filename*-1=b; filename*99999999999999999999=c", ""},
	{"another attribute", "filenames*0=a; filenam*0=b; file=c", ""},
}

func TestFileNames(t *testing.T) {
	for _, tc := range fileNames {
		_, params := ParseParams("attachment; " + tc.params)
		if got := params.Get("filename"); got != tc.want {
			t.Errorf("%s: %q of %s, want %q", tc.what, got, tc.params, tc.want)
		}
	}
}

// TestPiecesInAnyOrder: the numbers of pieces are their order, whichever of them are encoded.
func TestPiecesInAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		texts := rapid.SliceOfN(rapid.StringOfN(rapid.RuneFrom([]rune("aB.- ÄĀ日😀")), 0, 8, -1), 1, 12).Draw(t, "texts")
		list := make(Params, len(texts))
		for i, s := range texts {
			if i > 0 && strings.IndexFunc(s, func(r rune) bool { return r >= utf8.RuneSelf }) < 0 && rapid.Bool().Draw(t, "plain") {
				list[i] = Param{fmt.Sprintf("name*%d", i), s}
				continue
			}
			var b strings.Builder
			for j := range len(s) {
				fmt.Fprintf(&b, "%%%02x", s[j])
			}
			list[i] = Param{fmt.Sprintf("name*%d*", i), b.String()}
		}
		list[0].Value = "utf-8''" + list[0].Value
		list = rapid.Permutation(list).Draw(t, "order")
		if got, want := list.Get("name"), strings.Join(texts, ""); got != want {
			t.Fatalf("%q of %q, want %q", got, list, want)
		}
	})
}

// legibleName tells values that are something to read, whatever else there is.
var legibleName = regexp.MustCompile(`^[A-Za-z0-9]+\.[a-z]+$`)

// FuzzFileName: whatever is damaged in a name, what can be read of it is not lost.
func FuzzFileName(f *testing.F) {
	for _, tc := range fileNames {
		f.Add("attachment; " + tc.params)
	}
	form := regexp.MustCompile(`^filename(\*[0-9]?\*?)?$`)
	f.Fuzz(func(t *testing.T, s string) {
		defer testkit.Bounded(t)()
		_, params := ParseParams(s)
		got := params.Get("filename")
		if !utf8.ValidString(got) && utf8.ValidString(s) {
			t.Fatalf("%q of %q is no UTF-8", got, s)
		}
		seen := map[string]bool{}
		for _, p := range params {
			number := strings.TrimSuffix(p.Name, "*")
			if got == "" && !seen[number] && form.MatchString(p.Name) && legibleName.MatchString(p.Value) {
				t.Fatalf("%q of %q is lost", p.Value, s)
			}
			seen[number] = true
		}
	})
}
