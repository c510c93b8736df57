package mailflow

import "testing"

func TestPrintableStaysInItsLine(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "alice@example.test": "alice@example.test", "a\r\nBcc: b": "aBcc: b", "\x00\t\x7f \x1f": " ", "ü\u2028": "ü\u2028",
	} {
		if got := Printable(in); got != want {
			t.Errorf("%q became %q", in, got)
		}
	}
}
