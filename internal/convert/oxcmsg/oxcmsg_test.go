package oxcmsg

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/testkit"
)

func TestSplitSubject(t *testing.T) {
	for subject, want := range map[string][2]string{
		"":                 {"", ""},
		"Harbour":          {"", "Harbour"},
		"RE: Harbour":      {"RE: ", "Harbour"},
		"Re:   Harbour":    {"Re:   ", "Harbour"},
		"FW: RE: Harbour":  {"FW: ", "RE: Harbour"},
		"Antw: Hafen":      {"", "Antw: Hafen"},
		"回复: x":            {"回复: ", "x"},
		"R2: x":            {"", "R2: x"},
		": x":              {"", ": x"},
		"a b: x":           {"", "a b: x"},
		"RE:x":             {"", "RE:x"},
		"RE: ":             {"RE: ", ""},
		"A:":               {"", "A:"},
		"[x]: y":           {"", "[x]: y"},
		"ÄÖÜ: Grüße":       {"ÄÖÜ: ", "Grüße"},
		"\xff\xfe: broken": {"", "\xff\xfe: broken"},
	} {
		prefix, normalized := SplitSubject(subject)
		if prefix != want[0] || normalized != want[1] {
			t.Errorf("%q is %q and %q, want %q", subject, prefix, normalized, want)
		}
	}
}

func FuzzSplitSubject(f *testing.F) {
	f.Add("RE: x")
	f.Fuzz(func(t *testing.T, s string) {
		defer testkit.Bounded(t)()
		if prefix, normalized := SplitSubject(s); prefix+normalized != s {
			t.Fatalf("%q and %q are not %q", prefix, normalized, s)
		}
	})
}

func TestConversationID(t *testing.T) {
	index, err := hex.DecodeString("01D9ABCDEF01" + "00112233445566778899AABBCCDDEEFF" + "0102030405")
	if err != nil {
		t.Fatal(err)
	}
	if id := ConversationID(index, true, "x"); fmt.Sprintf("%X", id) != "00112233445566778899AABBCCDDEEFF" {
		t.Errorf("of the index: %X", id)
	}
	// The hash is of UTF-16LE in capitals.
	want := md5.Sum([]byte("G\x00R\x00\xdc\x00"))
	for _, tracked := range []bool{false, true} {
		bad := append([]byte{2}, index[1:]...)
		if id := ConversationID(bad, tracked, "grü"); string(id) != string(want[:]) {
			t.Errorf("of the topic: %X", id)
		}
	}
	if ConversationID(nil, false, "") != nil {
		t.Error("without index and topic there is a conversation")
	}
	long := strings.Repeat("ab", 200)
	if a, b := ConversationID(nil, false, long[:255]), ConversationID(nil, false, long); string(a) != string(b) {
		t.Error("more than 255 characters of a topic count")
	}
	if a, b := ConversationID(nil, false, "a\x00b"), ConversationID(nil, false, "a"); string(a) != string(b) {
		t.Error("what is behind a NUL counts")
	}
}

func TestConversationIndex(t *testing.T) {
	at := mapi.FileTimeOf(time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC))
	id := ConversationID(nil, false, "topic")
	index := ConversationIndex(at, id)
	if len(index) != 22 || index[0] != 1 || string(ConversationID(index, true, "")) != string(id) {
		t.Fatalf("%X", index)
	}
	back := uint64(1) << 56
	for i, b := range index[1:6] {
		back |= uint64(b) << (48 - 8*i)
	}
	if at := mapi.FileTime(back).Time(); at.Format(time.DateTime) != "2026-03-04 05:06:07" && at.Format(time.DateTime) != "2026-03-04 05:06:06" {
		t.Errorf("time in the index: %v", at)
	}
	if ConversationIndex(at, nil) != nil {
		t.Error("an index without conversation")
	}
}

func person(kind int32, name, address string) mapi.PropBag {
	var bag mapi.PropBag
	bag.Set(mapi.PidTagRecipientType, mapi.Integer32(kind))
	if name != "" {
		bag.Set(mapi.PidTagDisplayName, mapi.String(name))
	}
	bag.Set(mapi.PidTagSmtpAddress, mapi.String(address))
	return bag
}

func TestSetDisplayLists(t *testing.T) {
	var bag, unknown mapi.PropBag
	bag.Set(mapi.PidTagDisplayBcc, mapi.String("old"))
	unknown.Set(mapi.PidTagDisplayName, mapi.String("Dora"))
	SetDisplayLists(&bag, []mapi.PropBag{person(1, "Anna", "a@x"), person(2, "", "b@x"), person(0x10000001, "Carl", "c@x"), unknown})
	if bag.Get(mapi.PidTagDisplayTo) != mapi.String("Anna; Carl; Dora") || bag.Get(mapi.PidTagDisplayCc) != mapi.String("b@x") || bag.Get(mapi.PidTagDisplayBcc) != nil {
		t.Errorf("%v", bag.All())
	}
	many := make([]string, 10_000)
	for i := range many {
		many[i] = "name"
	}
	if s := Join(many); len(s) > 4<<10 || !strings.HasSuffix(s, "; name") {
		t.Errorf("list of %d bytes", len(s))
	}
}
