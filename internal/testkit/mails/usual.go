package mails

import (
	"bytes"
	"encoding/base64"
	"strings"
)

// Text is a mail with a text of about n octets, as people write them.
func Text(n int) []byte {
	return []byte(Usual + "Subject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?=\r\nReceived: from a by b; Tue, 3 Mar 2026 10:20:31 +0100\r\nMIME-Version: 1.0\r\n" +
		"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" + strings.Repeat("A line of a mail as people write them, gr=C3=BC=C3=9Fe.\r\n", n/56))
}

// HTML is a mail of about 75 KiB with HTML and an image in it.
func HTML() []byte {
	html := strings.Repeat("<p class=3DMsoNormal>Some text of a mail that goes on.</p>\r\n", 700)
	return []byte(Usual + "Subject: html\r\nMIME-Version: 1.0\r\nContent-Type: multipart/related; boundary=r\r\n\r\n--r\r\nContent-Type: multipart/alternative; boundary=a\r\n\r\n--a\r\n" +
		"Content-Type: text/plain; charset=utf-8\r\n\r\nSome text.\r\n--a\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" + html +
		"--a--\r\n--r\r\nContent-Type: image/png; name=i.png\r\nContent-ID: <i@x>\r\nContent-Transfer-Encoding: base64\r\n\r\n" + Lines(strings.Repeat("iVBORw0KGgo=", 2500)) + "\r\n--r--\r\n")
}

// File is a mail with a file of n bytes.
func File(n int) []byte {
	return []byte(Usual + "Subject: file\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nSee the file.\r\n--b\r\n" +
		"Content-Type: application/zip; name=a.zip\r\nContent-Disposition: attachment; filename=a.zip\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
		Lines(base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("0123456789abcdef"), n/16))) + "\r\n--b--\r\n")
}
