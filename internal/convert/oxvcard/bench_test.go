package oxvcard

import (
	"testing"

	"github.com/flotilla-mail/flotilla/internal/formats/vcard"
)

const usual = "BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Anna Berg\r\nN:Berg;Anna;;;\r\nORG:Example AG;Einkauf\r\nTEL;TYPE=HOME,VOICE:+49 30 1\r\nTEL;TYPE=CELL:+49 171 1\r\n" +
	"EMAIL;TYPE=INTERNET:a@example.test\r\nADR;TYPE=HOME:;;Am Tor 5;Berlin;;10115;Germany\r\nBDAY:1990-05-17\r\nNOTE:Chess\\, on Fridays\r\nX-OWN:1\r\nEND:VCARD\r\n"

// BenchmarkImport and BenchmarkExport take a usual card.
func BenchmarkImport(b *testing.B) {
	b.SetBytes(int64(len(usual)))
	b.ReportAllocs()
	for b.Loop() {
		imported(b, parse(b, usual))
	}
}

func BenchmarkExport(b *testing.B) {
	m := imported(b, parse(b, usual))
	b.ReportAllocs()
	for b.Loop() {
		Export(m, vcard.V3)
	}
}
