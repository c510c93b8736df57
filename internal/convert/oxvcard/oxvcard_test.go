package oxvcard

import (
	"errors"
	"flag"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/flotilla-mail/flotilla/internal/convert/kept"
	"github.com/flotilla-mail/flotilla/internal/convert/object"
	"github.com/flotilla-mail/flotilla/internal/formats/contentline"
	"github.com/flotilla-mail/flotilla/internal/formats/vcard"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/testkit"
	"github.com/flotilla-mail/flotilla/internal/testkit/objects"
)

var rewrite = flag.Bool("rewrite", false, "write the golden file anew")

func parse(t testing.TB, b string) *vcard.Card {
	t.Helper()
	card, err := vcard.NewDecoder(strings.NewReader(b), contentline.Default()).Next()
	if err != nil {
		t.Fatalf("read card: %v\n%s", err, b)
	}
	return card
}

func imported(t testing.TB, card *vcard.Card) *object.Message {
	t.Helper()
	m, err := Import(card)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// normal is the normal form of a card that round trips are compared by: its lines in the forms of 4.0, each with its
// parameters and types in order, sorted.
func normal(card *vcard.Card) []string {
	var keys []string
	for _, p := range pieces(card.Lines) {
		keys = append(keys, p.Key)
	}
	slices.Sort(keys)
	return keys
}

func corpus(t testing.TB) []txtar.File {
	t.Helper()
	a, err := txtar.ParseFile("testdata/cards.txtar")
	if err != nil {
		t.Fatal(err)
	}
	return a.Files
}

// checkRoundTrip wants what was written of card's contact to say what card says, in both versions.
func checkRoundTrip(t testing.TB, card *vcard.Card, m *object.Message) {
	t.Helper()
	want := normal(card)
	for _, version := range []vcard.Version{vcard.V3, vcard.V4} {
		b := Export(m, version)
		back := normal(parse(t, string(b)))
		if card.Version == vcard.V4 && version == vcard.V3 && card.Get("N") == nil {
			back = slices.DeleteFunc(back, func(s string) bool { return strings.HasPrefix(s, "N:") }) // 3.0 has no card without
		}
		if !slices.Equal(back, want) {
			t.Errorf("written as %s:\n%s\ngot  %q\nwant %q", version, b, back, want)
		}
	}
}

func TestCorpus(t *testing.T) {
	files := corpus(t)
	if len(files) < 80 {
		t.Errorf("%d cards, want 80", len(files))
	}
	golden := &txtar.Archive{Comment: []byte("What becomes of testdata/cards.txtar: properties, and the card written of them in 4.0. go test -rewrite\n")}
	for _, f := range files {
		t.Run(f.Name, func(t *testing.T) {
			card := parse(t, string(f.Data))
			m := imported(t, card)
			checkRoundTrip(t, card, m)
			text := objects.Dump(m) + strings.ReplaceAll(string(Export(m, vcard.V4)), "\r\n", "\n")
			golden.Files = append(golden.Files, txtar.File{Name: f.Name, Data: []byte(text)})
		})
	}
	objects.Golden(t, "testdata/cards.golden.txtar", golden, *rewrite)
}

// What a client changes is what counts afterwards, with all that was kept beside it.
func TestChangedByClient(t *testing.T) {
	card := parse(t, "BEGIN:VCARD\r\nVERSION:4.0\r\nFN:Anna\r\nTEL;TYPE=home;X-CARRIER=blue:+49 1\r\nTEL;TYPE=cell;X-CARRIER=red:+49 2\r\nX-OWN:stays\r\nEND:VCARD\r\n")
	m := imported(t, card)
	m.SetText(mapi.PidTagHomeTelephoneNumber, "+49 3")
	got := normal(parse(t, string(Export(m, vcard.V4))))
	want := []string{"FN:Anna", "TEL;TYPE=cell;X-CARRIER=red:+49 2", "TEL;TYPE=home,voice:+49 3", "X-OWN:stays"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	m.Bag.Delete(mapi.PidTagMobileTelephoneNumber)
	if got = normal(parse(t, string(Export(m, vcard.V4)))); slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, "red") }) {
		t.Errorf("a number that was taken away came back: %q", got)
	}
}

// What every client knows of a contact has a property and is not just kept.
func TestCarried(t *testing.T) {
	card := parse(t, `BEGIN:VCARD
VERSION:4.0
FN:Anna Berg
N:Berg;Anna;M.;Dr.;jun.
NICKNAME:Anni
ORG:Example AG;Einkauf
TITLE:Leiterin
TEL;TYPE=home,voice:+49 1
TEL;TYPE=work,voice:+49 2
TEL;TYPE=cell,voice:+49 3
TEL;TYPE=work,fax:+49 4
EMAIL:a@example.test
EMAIL:b@example.test
EMAIL:c@example.test
ADR;TYPE=home;PREF=1:;;Am Tor 5;Berlin;BE;10115;Germany
ADR;TYPE=work:PF 1;Zi. 2;Hauptstr. 1;Bonn;NW;53111;Germany
URL:https://example.test/
URL;TYPE=home:https://anna.example.test/
IMPP:xmpp:anna@example.test
BDAY:19900517
ANNIVERSARY:20150808
NOTE:Zeile 1\nZeile 2\, mit Komma
CATEGORIES:Friends,Chess
CLASS:PRIVATE
UID:urn:uuid:4fbe8971-0bc3-424c-9c26-36c3e1eff6b1
PHOTO:data:image/png;base64,iVBORw0KGgo=
RELATED;TYPE=spouse;VALUE=text:Emil
RELATED;TYPE=child;VALUE=text:Ida
REV:20240301T102030Z
END:VCARD
`)
	m := imported(t, card)
	if texts := kept.Texts(&m.Props, kept.Card); len(texts) > 0 {
		t.Errorf("kept, not carried: %q", texts)
	}
	if len(m.Attachments) != 1 || !m.LidBool(mapi.PidLidHasPicture) || m.Text(mapi.PidTagPostalAddress) == "" {
		t.Errorf("incomplete:\n%s", objects.Dump(m))
	}
}

func TestLimits(t *testing.T) {
	many := "BEGIN:VCARD\n" + strings.Repeat("X-A:1\n", 20_000) + "END:VCARD\n"
	if _, err := vcard.NewDecoder(strings.NewReader(many), contentline.Default()).Next(); !errors.Is(err, vcard.ErrTooMany) {
		t.Errorf("got %v", err)
	}
	deep := strings.Repeat("BEGIN:VCARD\nAGENT:\n", 50)
	if _, err := vcard.NewDecoder(strings.NewReader(deep), contentline.Default()).Next(); !errors.Is(err, vcard.ErrTooMany) {
		t.Errorf("got %v", err)
	}
	long := "BEGIN:VCARD\nNOTE:" + strings.Repeat("x", 100)
	if _, err := vcard.NewDecoder(strings.NewReader(long), contentline.Limits{Line: 50, Total: 1000}).Next(); !errors.Is(err, contentline.ErrTooLong) {
		t.Errorf("got %v", err)
	}
}

func FuzzImport(f *testing.F) {
	for _, file := range corpus(f) {
		f.Add(file.Data)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		defer testkit.Bounded(t)()
		d := vcard.NewDecoder(strings.NewReader(string(b)), contentline.Limits{Line: 1 << 20, Total: 1 << 20})
		for {
			card, err := d.Next()
			if errors.Is(err, io.EOF) || errors.Is(err, contentline.ErrTooLong) || errors.Is(err, vcard.ErrTooMany) {
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			m := imported(t, card)
			checkRoundTrip(t, card, m)
		}
	})
}

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(m.Run())
}
