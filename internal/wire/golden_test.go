package wire

import (
	"bytes"
	"encoding/hex"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write testdata anew")

// TestGolden holds the bytes of a full record: they are on disks for ever.
func TestGolden(t *testing.T) {
	v := full()
	b := Marshal(&v)
	lines := hex.Dump(b) + strings.Join(Describe(&v), "\n") + "\n"
	path := filepath.Join("testdata", "rich.golden")
	if *rewrite {
		if err := os.WriteFile(path, []byte(lines), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, []byte(lines)) {
		t.Fatalf("bytes or numbers that are for ever have changed; got\n%s", lines)
	}
}
