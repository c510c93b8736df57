package mime

import (
	"encoding/hex"
	"errors"
	"os"
	"strings"
	"testing"
)

// TestStoredFormIsForEver holds the bytes on disk: a change of testdata/digest.golden is a new format.
func TestStoredFormIsForEver(t *testing.T) {
	const file = "testdata/digest.golden"
	tree := Scan([]byte(searchMail))
	tree.Envelope = ParseEnvelope([]byte("Date: d\r\nSubject: s\r\nIn-Reply-To: i\r\nMessage-ID: m\r\nFrom: f@x\r\nSender: s@x\r\nReply-To: r@x\r\n" +
		"To: Group: n <@r:t@x>;\r\nCc: c@x\r\nBcc: b@x\r\n"))
	full := tree.Parts[0]
	full.Encoding, full.Disposition, full.DispositionParams = "x", "y", Params{{"a", "b"}}
	full.ID, full.Description, full.Languages, full.Location, full.MD5 = "id", "desc", []string{"de", "en"}, "loc", "md5"
	got := hex.Dump(MarshalDigest(tree)) + hex.Dump(Layout{LayoutBase64, 76, 1}.Append(nil)) +
		hex.Dump(Layout{Form: LayoutQP75}.Append(nil)) + hex.Dump(Layout{Form: LayoutQP76}.Append(nil))
	if *rewrite {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || got != string(want) {
		t.Errorf("stored form changed (%v):\n%s\nwant:\n%s", err, got, want)
	}
	roundTrip(t, tree)
}

func TestDigestGrows(t *testing.T) {
	digest := MarshalDigest(Scan([]byte(searchMail)))
	later := append(digest, 30<<1, 5, 31<<1|1, 3, 'n', 'e', 'w') // a number and bytes
	if p, err := UnmarshalDigest(later); err != nil || p.BodyEnd != int64(len(searchMail)) {
		t.Errorf("fields of a later form: %v", err)
	}
}

func TestDamagedDigests(t *testing.T) {
	digest := MarshalDigest(Scan([]byte(searchMail)))
	for n := range digest {
		p, err := UnmarshalDigest(digest[:n])
		if err == nil && n < len(digest)-1 && p.BodyEnd == int64(len(searchMail)) {
			t.Errorf("cut to %d octets it is whole", n)
		}
		if err != nil && !errors.Is(err, ErrDigest) {
			t.Errorf("kind of %v", err)
		}
	}
	for name, b := range map[string]string{
		"empty": "", "format": "\x02", "count": "\x01\x07\x06\x28\xff\xff\x7f\x00\x00", "position": "\x01\x07\x0a\x04\xff\xff\xff\xff\xff\xff\xff\xff\x01",
		"number": "\x01\x04" + strings.Repeat("\xff", 12), "length": "\x01\x03\x7f", "code": "\x01\x07\x03\x0a\x7f\x00", "addresses": "\x01\x03\x03\x02\x7f\x00",
	} {
		if _, err := UnmarshalDigest([]byte(b)); !errors.Is(err, ErrDigest) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
