package oxcical

import (
	"strings"
	"testing"
)

// BenchmarkImport and BenchmarkExport take a weekly meeting in a zone, with attendees.
func BenchmarkImport(b *testing.B) {
	text := strings.ReplaceAll(meeting, "\n", "\r\n")
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		imported(b, parse(b, text))
	}
}

func BenchmarkExport(b *testing.B) {
	m := imported(b, parse(b, meeting))[0]
	b.ReportAllocs()
	for b.Loop() {
		Bytes(m)
	}
}
