package oxvcard

import (
	"slices"
	"strings"
	"testing"

	"github.com/flotilla-mail/flotilla/internal/convert/kept"
	"github.com/flotilla-mail/flotilla/internal/formats/vcard"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/testkit/objects"
)

// cardWith is a card of 3.0 with lines, which stand for its own of that name.
func cardWith(lines []string) string {
	card := []string{"FN:Anna", "N:;Anna;;;"}
	for _, l := range lines {
		name := l[:strings.IndexAny(l, ":;")]
		card = slices.DeleteFunc(card, func(own string) bool { return strings.HasPrefix(own, name+":") })
	}
	return "BEGIN:VCARD\r\nVERSION:3.0\r\n" + strings.Join(append(card, lines...), "\r\n") + "\r\nEND:VCARD\r\n"
}

// TestNames: each line of the table goes where the table says.
func TestNames(t *testing.T) {
	sections := map[string]bool{}
	for _, row := range objects.Table(t, "docs/design/conversion-names.md", "Cards", 4) {
		lines, property, written := objects.Code(row[0]), row[2], objects.Code(row[3])
		sections[row[1]] = true
		if len(written) == 0 {
			written = lines
		}
		t.Run(strings.Join(lines, " "), func(t *testing.T) {
			card := parse(t, cardWith(lines))
			m := imported(t, card)
			checkRoundTrip(t, card, m)
			if texts := kept.Texts(&m.Props, kept.Card); (property == "kept") != (len(texts) > 0) && slices.Equal(lines, written) {
				t.Errorf("kept are %q", texts)
			}
			for _, name := range strings.Split(property, ", ") {
				if dump := objects.Dump(m); name != "kept" && !strings.Contains(dump, name+": ") {
					t.Errorf("no %s in\n%s", name, dump)
				}
			}
			if property != "kept" {
				kept.Forget(&m.Props)
			}
			got := strings.Split(strings.ReplaceAll(string(Export(m, vcard.V3)), "\r\n ", ""), "\r\n")
			for _, l := range written {
				if !slices.Contains(got, l) {
					t.Errorf("no %s in\n%s", l, strings.Join(got, "\n"))
				}
			}
		})
	}
	for _, section := range []string{"2.1.3.2", "2.1.3.3", "2.1.3.4", "2.1.3.5", "2.1.3.6", "2.1.3.7", "2.1.3.8", "2.1.3.9"} {
		if !sections[section] {
			t.Errorf("no row for section %s", section)
		}
	}
}

// What a client says takes away what an older name said of the same.
func TestNamesOfOutlook(t *testing.T) {
	m := imported(t, parse(t, cardWith([]string{"ADR;TYPE=HOME:;;Am Tor 5;Berlin;;;", "ADR;TYPE=WORK:;;Hauptstr. 1;Bonn;;;", "X-MS-OL-DEFAULT-POSTAL-ADDRESS:1",
		"X-MS-IMADDRESS:anna@example.test"})))
	m.SetLid(mapi.PidLidPostalAddressId, mapi.Integer32(2))
	m.SetLidText(mapi.PidLidInstantMessagingAddress, "xmpp:anna@example.test")
	got := string(Export(m, vcard.V3))
	if strings.Contains(got, "X-MS-OL-DEFAULT") || strings.Contains(got, "X-MS-IM") || !strings.Contains(got, "ADR;TYPE=WORK,PREF:") || strings.Count(got, "PREF") != 1 {
		t.Errorf("got\n%s", got)
	}
}
