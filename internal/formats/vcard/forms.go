package vcard

import (
	"bytes"
	"encoding/base64"
	"slices"
	"strings"

	"github.com/flotilla-mail/flotilla/internal/formats/contentline"
)

// kind is what stands in a property's value.
type kind int

const (
	opaque     kind = iota
	text            // one text
	list            // texts between commas
	structured      // lists of texts between semicolons
	binary          // bytes, or where they are
)

// kinds are those of the properties that have to be known to bring a card from one version to the other.
var kinds = map[string]kind{
	"FN": text, "TITLE": text, "ROLE": text, "NOTE": text, "TEL": text, "EMAIL": text, "PRODID": text, "LABEL": text, "MAILER": text,
	"NAME": text, "SORT-STRING": text, "UID": text, "CLASS": text, "X-ABLABEL": text,
	"NICKNAME": list, "CATEGORIES": list, "N": structured, "ADR": structured, "ORG": structured,
	"PHOTO": binary, "LOGO": binary, "SOUND": binary, "KEY": binary, "X-MS-CARDPICTURE": binary,
}

// names3 are the properties of 4.0 that go by another name in 3.0; where they have two, the first is written, which is that of
// MS-OXVCARD where there is one.
var names3 = []struct{ v4, v3 string }{
	{"KIND", "X-ADDRESSBOOKSERVER-KIND"}, {"MEMBER", "X-ADDRESSBOOKSERVER-MEMBER"}, {"ANNIVERSARY", "X-MS-ANNIVERSARY"},
	{"ANNIVERSARY", "X-ANNIVERSARY"}, {"GENDER", "X-GENDER"}, {"HOBBY", "X-MS-INTERESTS"},
}

// parts are how many parts a value has at the least; missing ones are empty.
var parts = map[string]int{"N": 5, "ADR": 7}

// related are the kinds of RELATED that have a name of their own in 3.0, where they are texts.
var related = []struct{ kind, v3 string }{{"spouse", "X-MS-SPOUSE"}, {"spouse", "X-SPOUSE"}, {"agent", "X-MS-ASSISTANT"}, {"child", "X-MS-CHILD"}}

// labeled are Apple's properties whose meaning is in a label of their group, which stays beside them: their names in 4.0, and the kind
// of a RELATED.
var labeled = []struct{ v3, label, v4, kind string }{
	{"X-ABDATE", "anniversary", "ANNIVERSARY", ""}, {"X-ABRELATEDNAMES", "spouse", "RELATED", "spouse"},
	{"X-ABRELATEDNAMES", "assistant", "RELATED", "agent"}, {"X-ABRELATEDNAMES", "child", "RELATED", "child"},
	{"X-ABRELATEDNAMES", "manager", "X-MS-MANAGER", ""},
}

// labels are those of Apple's own in a card, by group.
func (c *Card) labels() map[string]string {
	list := map[string]string{}
	for i := range c.Lines {
		l := &c.Lines[i]
		label, begins := strings.CutPrefix(strings.TrimSpace(l.Value), "_$!<")
		label, ends := strings.CutSuffix(label, ">!$_")
		if begins && ends && l.Group != "" && l.Name == "X-ABLABEL" {
			list[l.Group] = strings.Map(lower, label)
		}
	}
	return list
}

// upgradeLabeled is a line in the forms of 4.0 that has its meaning of a label.
func upgradeLabeled(l contentline.Line, label string) contentline.Line {
	for _, p := range labeled {
		if l.Name != p.v3 || label != p.label {
			continue
		}
		l.Name = p.v4
		if l.Name == "ANNIVERSARY" {
			l.Value = basicDate(l.Value)
			break
		}
		l.Value = normal(l.Value, text, false)
		if p.kind != "" {
			l = l.With("TYPE", p.kind).With("VALUE", "text")
		}
		break
	}
	return l
}

// downgradeLabeled is the way back.
func downgradeLabeled(l contentline.Line, label string) contentline.Line {
	for _, p := range labeled {
		if l.Name != p.v4 || label != p.label || p.kind != "" && (l.Param("VALUE") != "text" || !slices.Equal(l.All("TYPE"), []string{p.kind})) {
			continue
		}
		l.Name = p.v3
		if p.kind != "" {
			l.Drop("TYPE")
			l.Drop("VALUE")
		}
		if p.v4 == "ANNIVERSARY" {
			l.Value = extendedDate(l.Value)
		}
		break
	}
	return l
}

// encodings are the names that stand as parameters for themselves in 2.1.
var encodings = []string{"QUOTED-PRINTABLE", "BASE64", "8BIT", "7BIT", "B", "Q"}

// defaults are the value types that need not be said.
var defaults = map[string][]string{
	"BDAY": {"date", "date-and-or-time"}, "ANNIVERSARY": {"date", "date-and-or-time"}, "REV": {"timestamp", "date-time"}, "PHOTO": {"uri", "binary"},
	"LOGO": {"uri", "binary"}, "SOUND": {"uri", "binary"}, "KEY": {"uri", "binary"}, "X-MS-CARDPICTURE": {"uri", "binary"}, "URL": {"uri"}, "IMPP": {"uri"}, "MEMBER": {"uri"},
}

// upgrade brings a card to the forms of 4.0. Every card has FN in both versions and N in 3.0; one that comes without is
// given what its others say.
func (c *Card) upgrade() {
	for i := range c.Lines {
		c.Lines[i] = upgrade(c.Lines[i], c.Version)
	}
	labels := c.labels()
	for i := range c.Lines {
		c.Lines[i] = upgradeLabeled(c.Lines[i], labels[c.Lines[i].Group])
	}
	if c.Get("N") == nil && c.Version != V4 {
		c.Lines = append(c.Lines, c.nameOf())
	}
	if c.Get("FN") == nil {
		c.Lines = append([]contentline.Line{{Name: "FN", Value: contentline.Escape(c.formatted())}}, c.Lines...)
	}
}

// nameOf is an N of the whole name.
func (c *Card) nameOf() contentline.Line {
	name := ""
	if fn := c.Get("FN"); fn != nil {
		name = fn.Value
	}
	return contentline.Line{Name: "N", Value: name + ";;;;"}
}

// formatted is a name to show of what else names the card.
func (c *Card) formatted() string {
	if n := c.Get("N"); n != nil {
		parts := contentline.Texts(n.Value, ';')
		order := []int{3, 1, 2, 0, 4} // prefix, given, additional, family, suffix
		var words []string
		for _, at := range order {
			if at < len(parts) && strings.TrimSpace(parts[at]) != "" {
				words = append(words, strings.TrimSpace(parts[at]))
			}
		}
		if len(words) > 0 {
			return strings.Join(words, " ")
		}
	}
	for _, name := range []string{"ORG", "NICKNAME", "EMAIL", "TEL"} {
		if l := c.Get(name); l != nil {
			if first := contentline.Unescape(contentline.Split(l.Value, ';')[0]); first != "" {
				return first
			}
		}
	}
	return "?"
}

func upgrade(l contentline.Line, from Version) contentline.Line {
	for _, n := range names3 {
		if l.Name == n.v3 {
			l.Name = n.v4
		}
	}
	for _, r := range related {
		if l.Name == r.v3 {
			l = contentline.Line{Group: l.Group, Name: "RELATED", Params: l.Params, Value: l.Value}.With("TYPE", r.kind).With("VALUE", "text")
			break
		}
	}
	enc, charset := tidy(&l)
	if enc == "QUOTED-PRINTABLE" || enc == "Q" {
		l.Value = contentline.Unquote(l.Value, charset)
	}
	k := kinds[l.Name]
	if l.Name == "RELATED" && l.Param("VALUE") == "text" {
		k = text
	}
	switch k {
	case binary:
		upgradeBinary(&l, enc)
	case opaque:
		l.Value = strings.ReplaceAll(l.Value, "\n", `\n`)
	default:
		l.Value = normal(l.Value, k, from == v2)
	}
	if missing := parts[l.Name] - len(contentline.Split(l.Value, ';')); missing > 0 {
		l.Value += strings.Repeat(";", missing)
	}
	if l.Name == "BDAY" || l.Name == "ANNIVERSARY" {
		l.Value = basicDate(l.Value)
	}
	return l
}

// lower and upper change ASCII only: beyond it the way there and back does not lead to the same.
func lower(r rune) rune {
	if 'A' <= r && r <= 'Z' {
		return r + 'a' - 'A'
	}
	return r
}

func upper(r rune) rune {
	if 'a' <= r && r <= 'z' {
		return r + 'A' - 'a'
	}
	return r
}

// maxTypes bounds the types of a line; more than a few say nothing.
const maxTypes = 100

// tidy gathers the types of a line in one parameter and says which encoding and charset it had.
func tidy(l *contentline.Line) (enc, charset string) {
	var kinds []string
	var rest []contentline.Param
	pref := ""
	add := func(v string) {
		for _, t := range strings.Split(strings.Map(lower, v), ",") {
			switch t = strings.TrimSpace(t); {
			case t == "pref":
				pref = "1"
			case t != "" && len(kinds) < maxTypes && !slices.Contains(kinds, t) && !(t == "internet" && l.Name == "EMAIL"):
				kinds = append(kinds, t)
			}
		}
	}
	for _, p := range l.Params {
		first := strings.Map(upper, p.Values[0])
		switch {
		case p.Name == "" && slices.Contains(encodings, first), p.Name == "ENCODING":
			enc = first
		case p.Name == "CHARSET":
			charset = p.Values[0]
		case p.Name == "PREF":
			pref = p.Values[0]
		case p.Name == "" || p.Name == "TYPE":
			for _, v := range p.Values {
				add(v)
			}
		case p.Name == "VALUE" && (first == "" || slices.Contains(defaults[l.Name], strings.ToLower(first))):
		case p.Name == "VALUE":
			rest = append(rest, contentline.Param{Name: "VALUE", Values: []string{strings.Map(lower, first)}})
		default:
			rest = append(rest, p)
		}
	}
	l.Params = nil
	l.Set("TYPE", kinds...)
	if pref != "" {
		l.Set("PREF", pref)
	}
	l.Params = append(l.Params, rest...)
	return enc, charset
}

// normal writes a value with the escapes that it needs and no others. In 2.1 a comma is no separator.
func normal(s string, k kind, old bool) string {
	s = strings.ReplaceAll(s, "\n", `\n`)
	switch k {
	case list:
		return contentline.Join(contentline.Texts(s, ','), ",")
	case structured:
		parts := contentline.Split(s, ';')
		for i, part := range parts {
			if old {
				parts[i] = contentline.Escape(contentline.Unescape(part))
				continue
			}
			parts[i] = contentline.Join(contentline.Texts(part, ','), ",")
		}
		return strings.Join(parts, ";")
	}
	return contentline.Escape(contentline.Unescape(s))
}

// upgradeBinary makes a data URI of bytes that stand in the line, and writes one that is there in one way.
func upgradeBinary(l *contentline.Line, enc string) {
	l.Value = strings.TrimSpace(l.Value)
	if of, data, ok := ParseDataURI(l.Value); ok {
		l.Drop("MEDIATYPE")
		l.Value = DataURI(shownMedia(l.Name, wholeMedia(of), data), data)
		return
	}
	data, ok := decodeBase64(l.Value)
	if !ok || enc != "BASE64" && enc != "B" {
		return
	}
	of := l.Param("MEDIATYPE")
	if of == "" {
		of = media(l.Name, l.Param("TYPE"))
		l.Drop("TYPE")
	}
	l.Drop("MEDIATYPE")
	l.Value = DataURI(shownMedia(l.Name, wholeMedia(of), data), data)
}

// shownMedia is the media type of a picture by its first bytes where it is not said, as in Apple's PHOTO;BASE64.
func shownMedia(name, media string, data []byte) string {
	if media != unknownMedia || name != "PHOTO" && name != "LOGO" && name != "X-MS-CARDPICTURE" {
		return media
	}
	return PictureMedia(data, media)
}

// PictureMedia is the media type of a picture by its first bytes, or else what it is taken for.
func PictureMedia(data []byte, otherwise string) string {
	for media, begin := range map[string]string{"image/jpeg": "\xFF\xD8\xFF", "image/png": "\x89PNG", "image/gif": "GIF8"} {
		if bytes.HasPrefix(data, []byte(begin)) {
			return media
		}
	}
	return otherwise
}

const unknownMedia = "application/octet-stream"

// wholeMedia is a media type in lower case, of two parts.
func wholeMedia(s string) string {
	if s = strings.Map(lower, strings.TrimSpace(s)); strings.Contains(s, "/") {
		return s
	}
	return unknownMedia
}

// media is the media type of a binary by the TYPE of 3.0.
func media(name, kind string) string {
	kind = strings.Map(lower, kind)
	switch {
	case strings.Contains(kind, "/"):
		return kind
	case kind == "":
		return unknownMedia
	case name == "SOUND":
		return "audio/" + kind
	case name == "KEY":
		return "application/" + kind
	}
	return "image/" + kind
}

// DataURI is bytes in a URI (RFC 2397).
func DataURI(media string, data []byte) string {
	return "data:" + media + ";base64," + base64.StdEncoding.EncodeToString(data)
}

// ParseDataURI reads the bytes of a URI. Thunderbird and others write its head as if it were a text, with escapes, and some in capitals.
func ParseDataURI(s string) (media string, data []byte, ok bool) {
	if len(s) < 5 || !strings.EqualFold(s[:5], "data:") {
		return "", nil, false
	}
	head, body, found := strings.Cut(s[5:], ",")
	head = strings.Map(lower, strings.ReplaceAll(head, `\`, ""))
	media, in64 := strings.CutSuffix(head, ";base64")
	if !found || !in64 {
		return "", nil, false
	}
	data, ok = decodeBase64(body)
	return media, data, ok
}

// decodeBase64 reads base64 with or without its padding and with blanks in it.
func decodeBase64(s string) ([]byte, bool) {
	s = strings.NewReplacer(" ", "", "\t", "", "\r", "", "\n", "").Replace(s)
	data, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(s, "="))
	return data, err == nil
}

// basicDate is a date without hyphens, as 4.0 has it; whatever is no whole date stays.
func basicDate(s string) string {
	s = strings.TrimSpace(s)
	if len(s) >= 10 && s[4] == '-' && s[7] == '-' && allDigits(s[:4]+s[5:7]+s[8:10]) {
		return s[:4] + s[5:7] + s[8:]
	}
	return s
}

// extendedDate is a date with hyphens, as 3.0 has it.
func extendedDate(s string) string {
	if len(s) >= 8 && allDigits(s[:8]) {
		return s[:4] + "-" + s[4:6] + "-" + s[6:]
	}
	return s
}

func allDigits(s string) bool {
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return s != ""
}

// downgrade is a line as 3.0 has it.
func downgrade(l contentline.Line) contentline.Line {
	l = l.Clone()
	downgradeRelated(&l)
	types := l.All("TYPE")
	for i := range types {
		types[i] = strings.Map(upper, types[i])
	}
	if l.Name == "EMAIL" {
		types = append(types, "INTERNET")
	}
	if l.Param("PREF") == "1" {
		types = append(types, "PREF")
		l.Drop("PREF")
	}
	l.Drop("TYPE")
	if len(types) > 0 {
		l.Params = append([]contentline.Param{{Name: "TYPE", Values: types}}, l.Params...)
	}
	for _, n := range names3 {
		if l.Name == n.v4 {
			l.Name = n.v3
		}
	}
	switch l.Name {
	case "BDAY", "X-MS-ANNIVERSARY":
		l.Value = extendedDate(l.Value)
	case "PHOTO", "LOGO", "SOUND", "KEY", "X-MS-CARDPICTURE":
		downgradeBinary(&l)
	}
	return l
}

func downgradeRelated(l *contentline.Line) {
	types := l.All("TYPE")
	if l.Name != "RELATED" || l.Param("VALUE") != "text" || len(types) != 1 {
		return
	}
	for _, r := range related {
		if r.kind == types[0] {
			l.Name = r.v3
			l.Drop("TYPE")
			l.Drop("VALUE")
			return
		}
	}
}

func downgradeBinary(l *contentline.Line) {
	of, data, ok := ParseDataURI(l.Value)
	if !ok {
		if l.Param("VALUE") == "" {
			l.Set("VALUE", "uri")
		}
		return
	}
	kind, name := "TYPE", of
	if len(l.All("TYPE")) > 0 {
		kind = "MEDIATYPE"
	} else if _, sub, _ := strings.Cut(of, "/"); media(l.Name, sub) == of {
		name = strings.Map(upper, sub)
	}
	l.Params = append([]contentline.Param{{Name: "ENCODING", Values: []string{"b"}}}, l.Params...)
	if of != unknownMedia {
		l.Params = append(l.Params, contentline.Param{Name: kind, Values: []string{name}})
	}
	l.Value = base64.StdEncoding.EncodeToString(data)
}
