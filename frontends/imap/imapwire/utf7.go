package imapwire

import (
	"encoding/base64"
	"errors"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// utf7Coding is the base64 of RFC 3501 5.1.3: "," for "/", no padding.
const utf7Alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,"

func utf7Coding() *base64.Encoding {
	return base64.NewEncoding(utf7Alphabet).WithPadding(base64.NoPadding)
}

// errUTF7 is a mailbox name that is not modified UTF-7.
var errUTF7 = errors.New("mailbox name is not modified UTF-7")

func validUTF8(text string) bool { return utf8.ValidString(text) }

func isPlain(c rune) bool { return c >= 0x20 && c <= 0x7e }

// EncodeUTF7 writes a mailbox name in modified UTF-7 (RFC 3501 5.1.3).
func EncodeUTF7(name string) string {
	if strings.IndexFunc(name, func(c rune) bool { return !isPlain(c) || c == '&' }) < 0 {
		return name
	}
	var out strings.Builder
	for len(name) > 0 {
		end := strings.IndexFunc(name, isPlain)
		if end != 0 {
			if end < 0 {
				end = len(name)
			}
			out.WriteByte('&')
			out.WriteString(encodeUTF16(name[:end]))
			out.WriteByte('-')
			name = name[end:]
			continue
		}
		out.WriteByte(name[0])
		if name[0] == '&' {
			out.WriteByte('-')
		}
		name = name[1:]
	}
	return out.String()
}

func encodeUTF16(text string) string {
	units := utf16.Encode([]rune(text))
	raw := make([]byte, 0, 2*len(units))
	for _, u := range units {
		raw = append(raw, byte(u>>8), byte(u))
	}
	return utf7Coding().EncodeToString(raw)
}

// DecodeUTF7 reads a mailbox name in modified UTF-7.
func DecodeUTF7(name string) (string, error) {
	if strings.IndexFunc(name, func(c rune) bool { return !isPlain(c) || c == '&' }) < 0 {
		return name, nil
	}
	var out strings.Builder
	for len(name) > 0 {
		c := name[0]
		name = name[1:]
		if c < 0x20 || c > 0x7e {
			return "", errUTF7
		}
		if c != '&' {
			out.WriteByte(c)
			continue
		}
		coded, rest, closed := strings.Cut(name, "-")
		if !closed {
			return "", errUTF7
		}
		name = rest
		if coded == "" {
			out.WriteByte('&')
			continue
		}
		text, err := decodeUTF16(coded)
		if err != nil {
			return "", err
		}
		out.WriteString(text)
	}
	return out.String(), nil
}

func decodeUTF16(coded string) (string, error) {
	raw, err := utf7Coding().DecodeString(coded)
	if err != nil || len(raw)%2 != 0 {
		return "", errUTF7
	}
	units := make([]uint16, len(raw)/2)
	for i := range units {
		units[i] = uint16(raw[2*i])<<8 | uint16(raw[2*i+1])
	}
	for _, c := range utf16.Decode(units) {
		if c == utf8.RuneError || c == 0 || isPlain(c) && c != '&' {
			return "", errUTF7 // a coded plain character would make two spellings of one name
		}
	}
	return string(utf16.Decode(units)), nil
}
