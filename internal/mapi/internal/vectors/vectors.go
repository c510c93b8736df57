// Package vectors holds the test vectors of MFCMAPI for the tests of mapi's packages: bytes of structures, and what
// MFCMAPI prints of them (testdata/mfcmapi/README names origin and licence). It knows nothing of the structures; only
// tests import it.
package vectors

import (
	"bytes"
	"embed"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"path"
	"regexp"
	"strings"
	"unicode/utf16"
)

//go:embed testdata/mfcmapi
var files embed.FS

const folder = "testdata/mfcmapi"

// Vector is one structure.
type Vector struct {
	// Name is KIND-N.
	Name string
	In   []byte
	// Out is MFCMAPI's print.
	Out string
}

// names tells the bytes from the prints.
var names = regexp.MustCompile(`^([A-Z]+)-(\d+)\.dat$`)

// Of are the vectors of a kind; of every kind with "".
func Of(kind string) ([]Vector, error) {
	entries, err := files.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	var list []Vector
	for _, e := range entries {
		m := names.FindStringSubmatch(e.Name())
		if m == nil || kind != "" && m[1] != kind {
			continue
		}
		v, err := load(m[1], m[2])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", e.Name(), err)
		}
		list = append(list, v)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("no vectors of kind %q", kind)
	}
	return list, nil
}

var notHex = regexp.MustCompile("[^0-9A-Fa-f]")

func load(kind, number string) (Vector, error) {
	in, err := files.ReadFile(path.Join(folder, kind+"-"+number+".dat"))
	if err != nil {
		return Vector{}, err
	}
	out, err := files.ReadFile(path.Join(folder, kind+"-out-"+number+".dat"))
	if err != nil {
		return Vector{}, err
	}
	b, err := hex.DecodeString(notHex.ReplaceAllString(text(in), ""))
	return Vector{kind + "-" + number, b, text(out)}, err
}

// text reads UTF-8, or UTF-16 behind its mark.
func text(b []byte) string {
	b, wide := bytes.CutPrefix(b, []byte{0xFF, 0xFE})
	if !wide {
		return string(b)
	}
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = binary.LittleEndian.Uint16(b[2*i:])
	}
	return string(utf16.Decode(units))
}

// Says checks that the print says each fact, one after the other.
func (v Vector) Says(facts ...string) error {
	rest := v.Out
	for _, fact := range facts {
		_, after, found := strings.Cut(rest, fact)
		if !found {
			return fmt.Errorf("the print does not say %q, or not there", fact)
		}
		rest = after
	}
	return nil
}
