package mapi

import (
	"encoding/json"
	"testing"

	"pgregory.net/rapid"
)

func TestFIDAndMID(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := ReplicaID(rapid.Uint16().Draw(t, "replica"))
		c := GlobalCounter(rapid.Uint64Range(0, uint64(MaxGlobalCounter)).Draw(t, "counter"))
		if f := NewFID(r, c); f.Replica() != r || f.Counter() != c {
			t.Fatalf("%#x is %d and %#x", f, f.Replica(), f.Counter())
		}
		if m := NewMID(r, c); m.Replica() != r || m.Counter() != c {
			t.Fatalf("%#x is %d and %#x", m, m.Replica(), m.Counter())
		}
		if LocalFID(c) != NewFID(LocalReplica, c) {
			t.Fatalf("%#x", LocalFID(c))
		}
	})
}

func TestNewIdentities(t *testing.T) {
	g, box := NewGUID(), NewMailboxID()
	if g.IsZero() || box.IsZero() || g == NewGUID() || !(GUID{}).IsZero() || !(MailboxID{}).IsZero() {
		t.Error("identities are not drawn")
	}
	if s := g.String(); s[14] != '4' || s[19] != '8' && s[19] != '9' && s[19] != 'a' && s[19] != 'b' {
		t.Errorf("%s is no random GUID", s)
	}
	type pair struct {
		G GUID
		M MailboxID
	}
	b, err := json.Marshal(pair{g, box})
	if err != nil {
		t.Fatal(err)
	}
	var back pair
	if err := json.Unmarshal(b, &back); err != nil || back != (pair{g, box}) {
		t.Errorf("%s came back as %+v, %v", b, back, err)
	}
	for _, bad := range []string{`{"G":"x"}`, `{"M":"0123456x-0123-0123-0123-0123456789ab"}`} {
		if err := json.Unmarshal([]byte(bad), &back); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
}
