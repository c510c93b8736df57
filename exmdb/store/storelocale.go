package store

import (
	"strings"

	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// locale is a language as MAPI numbers it: its LCID (MS-LCID 2.2), and the code page of texts that are not Unicode.
type locale struct{ id, codePage mapi.Integer32 }

// locales are by language tag in small letters. Regions that are not here have their language's.
var locales = map[string]locale{
	"en": {0x0409, 1252}, "en-gb": {0x0809, 1252}, "en-au": {0x0C09, 1252}, "en-ca": {0x1009, 1252},
	"de": {0x0407, 1252}, "de-at": {0x0C07, 1252}, "de-ch": {0x0807, 1252},
	"es": {0x0C0A, 1252}, "es-mx": {0x080A, 1252},
	"fr": {0x040C, 1252}, "fr-be": {0x080C, 1252}, "fr-ca": {0x0C0C, 1252}, "fr-ch": {0x100C, 1252},
	"it": {0x0410, 1252}, "it-ch": {0x0810, 1252},
	"nl": {0x0413, 1252}, "nl-be": {0x0813, 1252},
	"pl": {0x0415, 1250},
	"pt": {0x0816, 1252}, "pt-br": {0x0416, 1252},
	"ru": {0x0419, 1251},
}

// localeOf is that of an RFC 5646 tag; English where the language is none of those that mailboxes are made in.
func localeOf(language string) locale {
	tag := strings.ToLower(strings.ReplaceAll(language, "_", "-"))
	if l, known := locales[tag]; known {
		return l
	}
	primary, _, _ := strings.Cut(tag, "-")
	if l, known := locales[primary]; known {
		return l
	}
	return locales["en"]
}
