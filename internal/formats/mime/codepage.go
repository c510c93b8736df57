package mime

import "strings"

// codePages are the numbers of Windows code pages by the charset that a mail names. Where several charsets have one
// number the first is the name that is written.
var codePages = []struct {
	number  int
	charset string
}{
	{65001, "utf-8"}, {65001, "utf8"}, {65000, "utf-7"}, {20127, "us-ascii"}, {20127, "ascii"},
	{1250, "windows-1250"}, {1251, "windows-1251"}, {1252, "windows-1252"}, {1253, "windows-1253"}, {1254, "windows-1254"},
	{1255, "windows-1255"}, {1256, "windows-1256"}, {1257, "windows-1257"}, {1258, "windows-1258"}, {874, "windows-874"}, {874, "tis-620"},
	{28591, "iso-8859-1"}, {28592, "iso-8859-2"}, {28593, "iso-8859-3"}, {28594, "iso-8859-4"}, {28595, "iso-8859-5"},
	{28596, "iso-8859-6"}, {28597, "iso-8859-7"}, {28598, "iso-8859-8"}, {38598, "iso-8859-8-i"}, {28599, "iso-8859-9"},
	{28603, "iso-8859-13"}, {28604, "iso-8859-14"}, {28605, "iso-8859-15"}, {28606, "iso-8859-16"}, {28600, "iso-8859-10"},
	{20866, "koi8-r"}, {21866, "koi8-u"}, {932, "shift_jis"}, {932, "windows-31j"}, {50220, "iso-2022-jp"}, {51932, "euc-jp"},
	{936, "gb2312"}, {936, "gbk"}, {52936, "hz-gb-2312"}, {54936, "gb18030"}, {949, "ks_c_5601-1987"}, {51949, "euc-kr"},
	{950, "big5"}, {10000, "macintosh"}, {10007, "x-mac-cyrillic"}, {437, "ibm437"}, {850, "ibm850"},
	{852, "ibm852"}, {855, "ibm855"}, {858, "ibm00858"}, {860, "ibm860"}, {862, "ibm862"}, {863, "ibm863"}, {865, "ibm865"}, {866, "ibm866"},
}

// CodePage is the number of the Windows code page that a charset is in, false where there is none or it is not known.
func CodePage(charset string) (int, bool) {
	charset = strings.ToLower(strings.Trim(charset, " \t\"'"))
	for _, c := range codePages {
		if c.charset == charset {
			return c.number, true
		}
	}
	return 0, false
}

// CodePageCharset is the charset of a Windows code page, false if it is not known.
func CodePageCharset(number int) (string, bool) {
	for _, c := range codePages {
		if c.number == number {
			return c.charset, true
		}
	}
	return "", false
}
