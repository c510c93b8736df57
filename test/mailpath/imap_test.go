package mailpath

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"testing"

	goimap "github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-msgauth/dkim"

	"github.com/flotilla-mail/flotilla/internal/formats/mime"
	"github.com/flotilla-mail/flotilla/internal/testkit/imapowner"
	"github.com/flotilla-mail/flotilla/internal/testkit/mails"
)

// client signs in to the mailbox by IMAP.
func (h *house) client() *imapclient.Client {
	h.t.Helper()
	return imapowner.Client(h.t, h.group, h.box, h.Deliverer)
}

// fetch reads a message of the Inbox, and its header by itself.
func fetch(t testing.TB, c *imapclient.Client, uid uint32) (whole, header []byte, size int64) {
	t.Helper()
	if err := c.Noop().Wait(); err != nil { // which tells the session of what is new
		t.Fatal(err)
	}
	sections := []*goimap.FetchItemBodySection{{Peek: true}, {Peek: true, Specifier: goimap.PartSpecifierHeader}}
	got, err := c.Fetch(goimap.UIDSetNum(goimap.UID(uid)), &goimap.FetchOptions{RFC822Size: true, BodySection: sections}).Collect()
	if err != nil || len(got) != 1 {
		t.Fatalf("%d messages of UID %d, %v", len(got), uid, err)
	}
	return got[0].FindBodySection(sections[0]), got[0].FindBodySection(sections[1]), got[0].RFC822Size
}

// TestIMAPServesWhatCame: every mail of the corpus is fetched as it came, behind the trace of the delivery, and so is what is
// appended.
func TestIMAPServesWhatCame(t *testing.T) {
	h := newHouse(t)
	c := h.client()
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	for _, each := range mails.Corpus(t) {
		octets := mime.Normalize(each.Octets)
		row := h.send(each.Octets)
		whole, header, size := fetch(t, c, uint32(row.UID))
		if !bytes.HasSuffix(whole, octets) || int64(len(whole)) != size || !bytes.HasPrefix(whole, header) || len(whole)-len(octets) != int(row.Prefix) {
			t.Errorf("%s: fetched are %d octets of %d and %d of trace, %d said", each.Name, len(whole), len(octets), row.Prefix, size)
		}
		cmd := c.Append("INBOX", int64(len(octets)), nil)
		if _, err := cmd.Write(octets); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Close(); err != nil {
			t.Fatal(err)
		}
		at, err := cmd.Wait()
		if err != nil {
			t.Fatal(err)
		}
		if whole, _, _ := fetch(t, c, uint32(at.UID)); !bytes.Equal(whole, octets) {
			t.Errorf("%s: appended are %d octets, fetched %d", each.Name, len(octets), len(whole))
		}
	}
}

// TestSignaturesHold: what a sender signed verifies when it is fetched, however the mail is encoded and cut.
func TestSignaturesHold(t *testing.T) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	h := newHouse(t)
	c := h.client()
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	signed := [][]byte{large(20 << 10), large(400 << 10)}
	for _, each := range mails.Corpus(t) {
		signed = append(signed, mime.Normalize(each.Octets))
	}
	verify := func(octets []byte) error {
		found, err := dkim.VerifyWithOptions(bytes.NewReader(octets), &dkim.VerifyOptions{LookupTXT: func(string) ([]string, error) {
			return []string{"v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(public)}, nil
		}})
		if err == nil && len(found) != 1 {
			err = fmt.Errorf("%d signatures", len(found))
		}
		if err != nil {
			return err
		}
		return found[0].Err
	}
	verified := 0
	for i, octets := range signed {
		var out bytes.Buffer
		form := []dkim.Canonicalization{dkim.CanonicalizationSimple, dkim.CanonicalizationRelaxed}[i%2]
		err := dkim.Sign(&out, bytes.NewReader(octets), &dkim.SignOptions{Domain: "elsewhere.test", Selector: "s", Signer: private,
			HeaderCanonicalization: form, BodyCanonicalization: form})
		if err != nil || verify(out.Bytes()) != nil {
			continue // some of the corpus nobody can sign: they have no author, or lines that are no fields
		}
		row := h.send(out.Bytes())
		whole, _, _ := fetch(t, c, uint32(row.UID))
		if err := verify(whole); err != nil {
			t.Errorf("mail %d: %v, %.300q", i, err, octets)
		}
		verified++
	}
	if verified < 300 {
		t.Errorf("%d signatures were verified", verified)
	}
}
