package archive

import (
	"bufio"
	"io"
	"strings"
	"testing"

	"github.com/flotilla-mail/flotilla/internal/testkit"
)

// FuzzMaildir reads what a Maildir says by names: folders, flags, and the file that explains letters. A folder's name leads back to
// the folder.
func FuzzMaildir(f *testing.F) {
	f.Add(".Lists.Gr&APYA3w-e", "1.a:2,FRSab", "0 Work\n1 $Forwarded2\n")
	f.Add(".&-.&AOQ", ":2,zZ", "25 x\n26 y\n-1 z\n")
	f.Fuzz(func(t *testing.T, folder, name, keywords string) {
		defer testkit.Bounded(t)()
		letters := parseKeywords(keywords)
		flags := letters.flags(name)
		info, left := letters.info(flags)
		if again := letters.flags(info); len(left) > 0 || again.Bits != flags.Bits {
			t.Fatalf("%+v is written as %q and read as %+v", flags, info, again)
		}
		path, err := maildirPath(folder)
		if err != nil {
			return
		}
		if again, err := maildirPath(maildirOf(path)); err != nil || again != path {
			t.Fatalf("%q is folder %q, written as %q that is %q, %v", folder, path, maildirOf(path), again, err)
		}
	})
}

// FuzzFlags reads the flags in front of a mail of an mbox. What is not flags is the mail, octet for octet.
func FuzzFlags(f *testing.F) {
	f.Add("Status: RO\nX-Status: AF\nX-Keywords: Junk a%20b\nSubject: x\n\ny")
	f.Add("X-Keywords: %24forwarded\n\n")
	f.Add("Subject: x\nX-Status: D\n\nStatus: R\n")
	f.Fuzz(func(t *testing.T, mail string) {
		defer testkit.Bounded(t)()
		in := bufio.NewReaderSize(strings.NewReader(mail), headerPeek)
		flags, err := takeFlags(in)
		if err != nil {
			t.Fatal(err)
		}
		rest, err := io.ReadAll(in)
		if err != nil || !strings.HasSuffix(mail, string(rest)) {
			t.Fatalf("%q is left of %q, %v", rest, mail, err)
		}
		again, err := takeFlags(bufio.NewReaderSize(strings.NewReader(string(flagBlock(flags))), headerPeek))
		if err != nil || again.Bits != flags.Bits || len(again.Keywords) != len(flags.Keywords) {
			t.Fatalf("%+v comes back as %+v, %v", flags, again, err)
		}
	})
}
