package oxcmail

import (
	"fmt"
	"strings"

	"github.com/flotilla-mail/flotilla/internal/formats/mime"
)

// longestParam is how many characters of a parameter's value stand in a line.
const longestParam = 60

// withParams is a structured value with its parameters, those that are not ASCII or too long for a line in the form of
// RFC 2231.
func withParams(value string, params mime.Params) string {
	var b strings.Builder
	b.WriteString(value)
	for _, p := range params {
		v := oneLine(p.Value)
		switch {
		case !isParamName(p.Name):
		case isPlain(v) && len(v) <= longestParam:
			b.WriteString("; " + p.Name + "=" + quoted(v))
		default:
			extended(&b, p.Name, v)
		}
	}
	return b.String()
}

// isParamName tells names that need no encoding and are no pieces of others.
func isParamName(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return !isToken(r) || r == '*' || r == '\'' || r == '%' })
}

// isToken tells the characters of a token (RFC 2045 5.1).
func isToken(r rune) bool { return r > ' ' && r <= '~' && !strings.ContainsRune(`()<>@,;:\"/[]?=`, r) }

func isPlain(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) && !strings.Contains(s, "=?")
}

// quoted is a value in quotes, unless it is a token.
func quoted(s string) string {
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool { return !isToken(r) }) {
		return s
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// extended writes a value in as many pieces as it needs (RFC 2231 3 and 4).
func extended(b *strings.Builder, name, value string) {
	pieces := []string{"utf-8''"}
	for i := range len(value) {
		c := value[i]
		unit := string(c)
		if c >= 0x80 || !isToken(rune(c)) || strings.IndexByte("*'%", c) >= 0 {
			unit = fmt.Sprintf("%%%02X", c)
		}
		if last := len(pieces) - 1; len(pieces[last])+len(unit) <= longestParam {
			pieces[last] += unit
		} else {
			pieces = append(pieces, unit)
		}
	}
	if len(pieces) == 1 {
		b.WriteString("; " + name + "*=" + pieces[0])
		return
	}
	for i, piece := range pieces {
		fmt.Fprintf(b, "; %s*%d*=%s", name, i, piece)
	}
}
