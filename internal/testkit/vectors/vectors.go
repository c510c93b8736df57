// Package vectors reads the test vectors of MFCMAPI (github.com/microsoft/mfcmapi, MIT licence) for the tests of
// mapi's packages: bytes of structures, and what MFCMAPI prints of them. They are not kept in this tree: they lie in
// ../shared/vectors/mfcmapi beside it, or where FLOTILLA_VECTORS says; a test that wants them is skipped where they are
// not. It knows nothing of the structures; only tests import it.
package vectors

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/flotilla-mail/flotilla/internal/testkit"
)

// folder is where the vectors are: In holds bytes in hexadecimal, Out the prints.
func folder(t testing.TB) string {
	if dir := os.Getenv("FLOTILLA_VECTORS"); dir != "" {
		return dir
	}
	return filepath.Join(testkit.Root(t), "..", "shared", "vectors", "mfcmapi")
}

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
func Of(t testing.TB, kind string) []Vector {
	t.Helper()
	dir := folder(t)
	entries, err := os.ReadDir(filepath.Join(dir, "In"))
	if errors.Is(err, fs.ErrNotExist) && os.Getenv("FLOTILLA_VECTORS") == "" {
		t.Skip("MFCMAPI's vectors are not here; FLOTILLA_VECTORS says where they are")
	}
	if err != nil {
		t.Fatal(err)
	}
	var list []Vector
	for _, e := range entries {
		m := names.FindStringSubmatch(e.Name())
		if m == nil || kind != "" && m[1] != kind {
			continue
		}
		v, err := load(dir, m[1], m[2])
		if err != nil {
			t.Fatalf("%s: %v", e.Name(), err)
		}
		list = append(list, v)
	}
	if len(list) == 0 {
		t.Fatalf("no vectors of kind %q", kind)
	}
	return list
}

var notHex = regexp.MustCompile("[^0-9A-Fa-f]")

func load(dir, kind, number string) (Vector, error) {
	in, err := os.ReadFile(filepath.Join(dir, "In", kind+"-"+number+".dat"))
	if err != nil {
		return Vector{}, err
	}
	out, err := os.ReadFile(filepath.Join(dir, "Out", kind+"-out-"+number+".dat"))
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
