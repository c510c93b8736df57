package transport

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/flotilla-mail/flotilla/cluster"
)

func FuzzFrame(f *testing.F) {
	f.Add(frameHead{size: 3, kind: kindEcho, group: 9, id: 77}.append(nil))
	f.Add(frameHead{kind: kindPing, flags: flagAnswer, id: 1 << 60}.append(nil))
	f.Add(frameHead{size: 1 << 30, kind: 255, flags: flagAnswer | flagRefused}.append(nil))
	f.Add(bytes.Repeat([]byte{0xff}, frameHeader))
	f.Add([]byte{0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		const limit = 1 << 20
		h, err := readHead(bytes.NewReader(b), make([]byte, frameHeader), limit)
		if err != nil {
			return
		}
		if h.size < 0 || h.size > limit || !bytes.Equal(h.append(nil), b[:frameHeader]) {
			t.Errorf("%+v is not what was read", h)
		}
	})
}

func FuzzGreeting(f *testing.F) {
	f.Add(hello{versions: VersionRange{1, 2}, class: classStream, incarnation: 5, cluster: "c", from: "n1", to: "n2", header: []byte("h")}.encode()[4:])
	f.Add(welcome{status: welcomeBusy, text: "no"}.encode()[4:])
	f.Add([]byte(helloMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, err := decodeHello(b); err == nil && !bytes.Equal(h.encode()[4:], b) {
			t.Errorf("hello %+v is not what was read", h)
		}
		if w, err := decodeWelcome(b); err == nil && !bytes.Equal(w.encode()[4:], b) {
			t.Errorf("welcome %+v is not what was read", w)
		}
	})
}

func FuzzError(f *testing.F) {
	f.Add(AppendError(nil, &cluster.Error{Kind: cluster.KindNotLeader, Group: 1, Term: 2, Leader: "n3"}))
	f.Add(AppendError(nil, errors.New("plain")))
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, b []byte) {
		e := DecodeError(b)
		if e == nil || e.Kind == 0 {
			t.Fatalf("error without a kind from %x", b)
		}
		again := DecodeError(AppendError(nil, e))
		if again.Kind != e.Kind || again.Term != e.Term || again.Leader != e.Leader || again.Group != e.Group {
			t.Errorf("%+v became %+v", e, again)
		}
	})
}

func TestErrorRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := cluster.Error{
			Kind:   cluster.Kind(rapid.Uint16Range(1, 65535).Draw(t, "kind")),
			Text:   rapid.StringN(0, 200, maxErrorText).Draw(t, "text"),
			Group:  cluster.GroupID(rapid.Uint32().Draw(t, "group")),
			Term:   rapid.Uint64().Draw(t, "term"),
			Leader: cluster.NodeID(rapid.StringMatching(`[a-z0-9-]{0,63}`).Draw(t, "leader")),
		}
		got := *DecodeError(AppendError(nil, &want))
		if want.Kind == cluster.KindNotLeader {
			got.Text, want.Text = "", ""
		}
		if got != want {
			t.Fatalf("%+v became %+v", want, got)
		}
	})
	if e := DecodeError(AppendError(nil, fmt.Errorf("op: %w", cluster.Errorf(1003, "%s", strings.Repeat("x", 9000))))); e.Kind != 1003 || len(e.Text) != maxErrorText {
		t.Errorf("long text: kind %d, %d bytes", e.Kind, len(e.Text))
	}
}

func TestVersionRanges(t *testing.T) {
	for _, c := range []struct {
		a, b VersionRange
		want uint16
		ok   bool
	}{
		{VersionRange{1, 1}, VersionRange{1, 1}, 1, true},
		{VersionRange{1, 3}, VersionRange{2, 5}, 3, true},
		{VersionRange{1, 2}, VersionRange{3, 4}, 2, false},
		{VersionRange{4, 9}, VersionRange{1, 4}, 4, true},
	} {
		if got, ok := c.a.common(c.b); ok != c.ok || ok && got != c.want {
			t.Errorf("%s and %s: %d, %t", c.a, c.b, got, ok)
		}
	}
}
