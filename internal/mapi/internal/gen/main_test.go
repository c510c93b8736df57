package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const folder = "../.."

func TestGeneratedFileIsOfTheTable(t *testing.T) {
	table, err := os.ReadFile(filepath.Join(folder, source))
	if err != nil {
		t.Fatal(err)
	}
	want, err := generate(string(table))
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(folder, target))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("%s is not what %s gives: run go generate ./internal/mapi", target, source)
	}
}

func TestRunWritesBesideTheTable(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := run(); err == nil {
		t.Fatal("no table, and no error")
	}
	if err := os.WriteFile(source, []byte("PidTagRowid\t3000\tInteger32\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := run(); err != nil {
		t.Fatal(err)
	}
	code, err := os.ReadFile(target)
	if err != nil || !strings.Contains(string(code), "PidTagRowid = Tag(0x3000_0000 | Tag(TypeInteger32))") {
		t.Fatalf("%v, %s", err, code)
	}
}

func TestTableIsChecked(t *testing.T) {
	for name, table := range map[string]string{
		"twice":        "PidTagRowid\t3000\tInteger32\nPidTagRowid\t3001\tInteger32",
		"no number":    "PidTagRowid\tX\tInteger32",
		"named range":  "PidTagRowid\t8000\tInteger32",
		"columns":      "PidTagRowid\t3000",
		"unknown set":  "PidLidWhere\tPSETID_Meeting:0x0002\tString",
		"lid too long": "PSETID_Meeting\t6ED8DA90-450B-101B-98DA-00AA003F1305\nPidLidWhere\tPSETID_Meeting:0x100000000\tString",
		"other":        "Subject\t0037\tString",
	} {
		if _, err := generate(table); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
