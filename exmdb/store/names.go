package store

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
)

const (
	// maxNameRunes is the limit of PidTagDisplayName.
	maxNameRunes = 255
	// maxKeyword bounds a keyword in bytes.
	maxKeyword = 255
)

// divisionSlash stands for "/" in IMAP (MAILBOX 6), so the two may not tell siblings apart.
const divisionSlash = "\u2215"

// foldName is what siblings may not have in common.
func foldName(name string) string {
	folded := norm.NFC.String(cases.Fold().String(norm.NFC.String(name)))
	return strings.ReplaceAll(folded, "/", divisionSlash)
}

func checkName(name string) error {
	switch {
	case strings.TrimSpace(name) == "":
		return cluster.Errorf(exmdb.KindBadName, "empty folder name")
	case !utf8.ValidString(name):
		return cluster.Errorf(exmdb.KindBadName, "folder name is not UTF-8")
	case utf8.RuneCountInString(name) > maxNameRunes:
		return cluster.Errorf(exmdb.KindBadName, "folder name is longer than %d characters", maxNameRunes)
	case strings.ContainsFunc(name, unicode.IsControl):
		return cluster.Errorf(exmdb.KindBadName, "folder name with a control character")
	}
	return nil
}
