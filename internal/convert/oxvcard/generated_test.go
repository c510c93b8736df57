package oxvcard

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/flotilla-mail/flotilla/internal/formats/contentline"
	"github.com/flotilla-mail/flotilla/internal/formats/vcard"
	"github.com/flotilla-mail/flotilla/internal/testkit/objects"
)

// cardOf draws a card: any lines with any types and parameters, known ones more often than unknown ones.
func cardOf(t *rapid.T) string {
	names := []string{"FN", "N", "ORG", "TEL", "TEL", "EMAIL", "ADR", "NOTE", "TITLE", "ROLE", "URL", "BDAY", "ANNIVERSARY", "CATEGORIES", "NICKNAME",
		"GENDER", "CLASS", "REV", "UID", "IMPP", "RELATED", "PHOTO", "X-OWN", "KIND", "MEMBER", "SOUND", "X-MS-TEL", "LANG"}
	types := []string{"home", "WORK", "cell", "fax", "voice", "pref", "spouse", "child", "x-y"}
	text := rapid.StringOfN(rapid.RuneFrom([]rune("abc ÄßΩ日😀,;:\\n\"^=-0123456789@")), 0, 60, -1)
	b := strings.Builder{}
	version := rapid.SampledFrom([]string{"2.1", "3.0", "4.0"}).Draw(t, "version")
	b.WriteString("BEGIN:VCARD\r\nVERSION:" + version + "\r\n")
	for range rapid.IntRange(0, 14).Draw(t, "lines") {
		l := contentline.Line{Name: rapid.SampledFrom(names).Draw(t, "name"), Value: valueOf(t, text)}
		if rapid.IntRange(0, 3).Draw(t, "typed") > 1 {
			l = l.With("TYPE", rapid.SliceOfN(rapid.SampledFrom(types), 1, 3).Draw(t, "types")...)
		}
		if rapid.IntRange(0, 5).Draw(t, "more") == 0 {
			l = l.With("X-P", text.Draw(t, "parameter"))
		}
		if rapid.IntRange(0, 9).Draw(t, "grouped") == 0 {
			l.Group = "ITEM1"
		}
		b.Write(l.Append(nil))
	}
	return b.String() + "END:VCARD\r\n"
}

// valueOf draws a value: a text with its escapes, a text without, a structured one, a date, bytes.
func valueOf(t *rapid.T, text *rapid.Generator[string]) string {
	switch rapid.IntRange(0, 5).Draw(t, "value") {
	case 0:
		return text.Draw(t, "raw")
	case 1:
		return contentline.Join(rapid.SliceOfN(text, 1, 8).Draw(t, "parts"), ";")
	case 2:
		return fmt.Sprintf("%04d%02d%02d", rapid.IntRange(1500, 2100).Draw(t, "year"), rapid.IntRange(1, 12).Draw(t, "month"), rapid.IntRange(1, 28).Draw(t, "day"))
	case 3:
		return vcard.DataURI("image/png", rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "bytes"))
	case 4:
		return "mailto:anna@example.test"
	}
	return contentline.Escape(text.Draw(t, "text"))
}

// generated is how many objects the issue asks for; rapid makes a hundred a check.
const generated = 10_000

func TestGenerated(t *testing.T) {
	rounds := generated / 100
	if testing.Short() {
		rounds = 10
	}
	for range rounds {
		rapid.Check(t, func(rt *rapid.T) {
			s := cardOf(rt)
			card := parse(t, s)
			m := imported(t, card)
			checkRoundTrip(t, card, m)
			if t.Failed() {
				rt.Fatalf("of\n%s", s)
			}
		})
	}
}

// TestVobject asks python3-vobject what is in the cards that are written. It knows five parts of N, one of NICKNAME.
func TestVobject(t *testing.T) {
	var input []byte
	var cards []*vcard.Card
	for _, f := range corpus(t) {
		b := Export(imported(t, parse(t, string(f.Data))), vcard.V3)
		input = append(input, b...)
		cards = append(cards, parse(t, string(b)))
	}
	lines := strings.Split(strings.TrimSpace(string(objects.Judge(t, "vobject", "testdata/judge.py", input))), "\n")
	if len(lines) != len(cards) {
		t.Fatalf("vobject found %d cards, %d were written", len(lines), len(cards))
	}
	compared := 0
	for i, line := range lines {
		var found [][2]any
		if err := json.Unmarshal([]byte(line), &found); err != nil {
			t.Fatal(err)
		}
		want := judged(cards[i])
		var got []string
		for _, f := range found {
			got = append(got, fmt.Sprint(f[0], " ", flat(f[1])))
		}
		slices.Sort(got)
		compared += len(got)
		if !slices.Equal(got, want) {
			t.Errorf("vobject finds\n%q\nwritten was\n%q", got, want)
		}
	}
	t.Logf("%d values of %d cards", compared, len(cards))
}

// judged is what we find in a card, in the judge's words.
func judged(card *vcard.Card) []string {
	var list []string
	for i := range card.Lines {
		l := &card.Lines[i]
		var v any
		switch l.Name {
		case "FN", "TEL", "EMAIL", "NOTE", "TITLE":
			v = contentline.Unescape(l.Value)
		case "N":
			v = structuredOf(l)[:5]
		case "ADR":
			v = structuredOf(l)
		case "ORG":
			v = contentline.Texts(l.Value, ';')
		case "CATEGORIES":
			v = contentline.Texts(l.Value, ',')
		case "BDAY":
			v = bdayOf(l)
		case "PHOTO":
			if _, data, ok := vcard.ParseDataURI(l.Value); ok {
				v = hex.EncodeToString(data)
			} else {
				v = l.Value
			}
		default:
			continue
		}
		list = append(list, fmt.Sprint(l.Name, " ", flat(v)))
	}
	slices.Sort(list)
	return list
}

func bdayOf(l *contentline.Line) string {
	if len(l.Value) >= 8 && l.Value[0] != '-' && l.Param("VALUE") == "" {
		return l.Value[:4] + "-" + l.Value[4:6] + "-" + l.Value[6:]
	}
	return l.Value
}

func structuredOf(l *contentline.Line) []any {
	var parts []any
	for _, p := range contentline.Split(l.Value, ';') {
		parts = append(parts, contentline.Texts(p, ','))
	}
	return parts
}

// flat writes values one way: a list of one is the one, and nothing is nothing.
func flat(v any) string {
	switch v := v.(type) {
	case []any:
		var parts []string
		for _, e := range v {
			parts = append(parts, flat(e))
		}
		return strings.TrimRight(strings.Join(parts, "|"), "|")
	case []string:
		return strings.TrimRight(strings.Join(v, "|"), "|")
	}
	s := fmt.Sprint(v)
	if b, err := base64.StdEncoding.DecodeString(s); err == nil && len(b) > 20 {
		return hex.EncodeToString(b)
	}
	return s
}
