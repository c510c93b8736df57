package oxcfxics

import (
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/flotilla-mail/flotilla/internal/mapi"
)

var rewrite = flag.Bool("rewrite", false, "write what came out into the script")

// TestScript plays testdata/sets.txt. Its lines:
//
//	a = 1-5 9 0x100        a set by its ranges
//	c = a + b              union; a & b intersection; a - b difference
//	a covers b             true or false
//	a has 9                true or false
//	a                      its ranges, how many ids they are, and its bytes
//	read 05…00             bytes as a set, or what is wrong with them
//
// What a line gives stands behind ->.
func TestScript(t *testing.T) {
	const path = "testdata/sets.txt"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	p := player{sets: map[string]mapi.GLOBSET{}}
	lines := strings.Split(string(text), "\n")
	for i, line := range lines {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		command, want, _ := strings.Cut(line, " -> ")
		got := p.play(strings.Fields(command))
		if got != want && !*rewrite {
			t.Errorf("%s:%d: %s -> %s", path, i+1, command, got)
		}
		if lines[i] = command; got != "" {
			lines[i] = command + " -> " + got
		}
	}
	if *rewrite {
		if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

type player struct{ sets map[string]mapi.GLOBSET }

func (p player) play(words []string) string {
	switch {
	case words[0] == "read":
		return read(strings.Join(words[1:], ""))
	case len(words) == 1:
		return p.print(words[0])
	case words[1] == "covers":
		return fmt.Sprint(p.sets[words[0]].Covers(p.sets[words[2]]))
	case words[1] == "has":
		return fmt.Sprint(p.sets[words[0]].Contains(number(words[2])))
	case len(words) == 5 && strings.Contains("+&-", words[3]):
		return p.combine(words[0], p.sets[words[2]], words[3], p.sets[words[4]])
	case words[1] == "=":
		var s mapi.GLOBSET
		for _, w := range words[2:] {
			low, high, isRange := strings.Cut(w, "-")
			if !isRange {
				high = low
			}
			s.AddRange(number(low), number(high))
		}
		p.sets[words[0]] = s
		return ""
	}
	return "no such command"
}

func (p player) combine(name string, a mapi.GLOBSET, op string, b mapi.GLOBSET) string {
	switch op {
	case "+":
		p.sets[name] = a.Union(b)
	case "&":
		p.sets[name] = a.Intersect(b)
	default:
		p.sets[name] = a.Minus(b)
	}
	return ranges(p.sets[name])
}

func (p player) print(name string) string {
	s := p.sets[name]
	return fmt.Sprintf("%s: %d, %x", ranges(s), s.Len(), AppendGLOBSET(nil, s))
}

func ranges(s mapi.GLOBSET) string {
	var words []string
	for _, r := range s.Ranges() {
		if r.Low == r.High {
			words = append(words, fmt.Sprintf("%#x", uint64(r.Low)))
			continue
		}
		words = append(words, fmt.Sprintf("%#x-%#x", uint64(r.Low), uint64(r.High)))
	}
	if len(words) == 0 {
		return "nothing"
	}
	return strings.Join(words, " ")
}

func number(s string) mapi.GlobalCounter {
	n, err := strconv.ParseUint(s, 0, 48)
	if err != nil {
		return 0
	}
	return mapi.GlobalCounter(n)
}

func read(digits string) string {
	b, err := hex.DecodeString(digits)
	if err != nil {
		return err.Error()
	}
	s, rest, err := ParseGLOBSET(b)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%s, %d bytes behind", ranges(s), len(rest))
}
