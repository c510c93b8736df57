package binprop

import (
	"bytes"
	"errors"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"
	"github.com/flotilla-mail/flotilla/internal/testkit"
	"github.com/flotilla-mail/flotilla/internal/testkit/vectors"
)

func TestMinutes(t *testing.T) {
	berlin := time.FixedZone("", 3600)
	at := time.Date(2026, 3, 4, 5, 6, 7, 8, berlin)
	m := MinutesOf(at)
	if got := m.Wall(); got != time.Date(2026, 3, 4, 5, 6, 0, 0, time.UTC) {
		t.Errorf("%v came back as %v", at, got)
	}
	if got := Minutes(0x0CD78140).Wall(); got != time.Date(2010, 8, 23, 0, 0, 0, 0, time.UTC) {
		t.Errorf("%v", got)
	}
}

// sampleAppointment has an exception with everything.
func sampleAppointment() AppointmentRecurrencePattern {
	p := NewAppointmentRecurrencePattern()
	p.Pattern.Frequency, p.Pattern.Type, p.Pattern.Days, p.Pattern.EndType = Weekly, PatternWeek, 2, EndNever
	p.Pattern.Deleted, p.Pattern.Modified = []Minutes{1440}, []Minutes{1440}
	p.StartOffset, p.EndOffset = 600, 660
	p.Exceptions = []Exception{{
		Start: 2000, End: 2060, OriginalStart: 2040, Flags: 0x3FF, Subject: "Gr", WideSubject: "Grüße", Location: "here", WideLocation: "here \U0001F600",
		MeetingType: 1, ReminderDelta: 2, Reminder: 1, BusyStatus: 2, Attachment: 1, SubType: 1, Color: 3, ChangeHighlight: 4,
		HighlightRest: []byte{9}, Reserved1: []byte{1}, Reserved2: []byte{2},
	}, {Start: 1, End: 2, OriginalStart: 1, HighlightRest: []byte{}, Reserved1: []byte{}}}
	p.Reserved1, p.Reserved2, p.Trailer = []byte{}, []byte{7}, []byte{}
	return p
}

func TestAppointment(t *testing.T) {
	p := sampleAppointment()
	for _, version := range []uint32{0x3008, 0x3009} {
		p.WriterVersion2 = version
		if version == 0x3008 {
			p.Exceptions[0].ChangeHighlight, p.Exceptions[0].HighlightRest, p.Exceptions[1].HighlightRest = 0, nil, nil
		}
		b, err := p.Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := ParseAppointmentRecurrencePattern(b); err != nil || !reflect.DeepEqual(back, p) {
			t.Errorf("version %#x: %+v came back as %+v, %v", version, p, back, err)
		}
		p = sampleAppointment()
	}
	b, err := p.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	if askew := bytes.Replace(b, []byte{3, 0, 2, 0, 'G', 'r'}, []byte{9, 0, 2, 0, 'G', 'r'}, 1); bytes.Equal(askew, b) {
		t.Fatal("no subject")
	} else if _, err := ParseAppointmentRecurrencePattern(askew); !errors.Is(err, oxcdata.ErrMalformed) {
		t.Errorf("lengths that differ: %v", err)
	}
	p.Exceptions[0].Subject = strings.Repeat("x", 0x10000)
	if _, err := p.Append(nil); !errors.Is(err, oxcdata.ErrTooLong) {
		t.Errorf("a long subject: %v", err)
	}
}

func TestRecurrenceTypes(t *testing.T) {
	for typ := range PatternType(0x10) {
		p := NewRecurrencePattern()
		p.Type = typ
		switch typ {
		case PatternWeek:
			p.Days = 3
		case PatternMonthNth, PatternHijriMonthNth:
			p.Days, p.Nth = 3, 5
		case PatternMonth, PatternMonthEnd, PatternHijriMonth, PatternHijriMonthEnd:
			p.Day = 31
		}
		b, err := p.Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		known := typ <= PatternMonthEnd || typ >= PatternHijriMonth && typ <= PatternHijriMonthEnd
		if back, err := ParseRecurrencePattern(b); known != (err == nil) || known && !reflect.DeepEqual(back, p) {
			t.Errorf("type %#x came back as %+v, %v", typ, back, err)
		}
	}
}

func TestGlobalObjectIDOfUID(t *testing.T) {
	id := GlobalObjectIDOf("abc@example.test")
	b, err := id.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	back, err := ParseGlobalObjectID(b)
	if uid, ok := back.UID(); err != nil || !ok || uid != "abc@example.test" {
		t.Errorf("%q, %v, %v", uid, ok, err)
	}
	if uid, ok := (GlobalObjectID{Data: []byte{1}}).UID(); ok {
		t.Errorf("random bytes are UID %q", uid)
	}
	id.Year, id.Month, id.Day = 2026, 3, 4
	if c := id.Clean(); c.Year != 0 || c.Month != 0 || c.Day != 0 || !bytes.Equal(c.Data, id.Data) {
		t.Errorf("%+v", c)
	}
	b, err = id.Append(nil)
	if err != nil || b[16] != 0x07 || b[17] != 0xEA {
		t.Errorf("%x, %v", b, err)
	}
	b[0] = 5
	if _, err := ParseGlobalObjectID(b); !errors.Is(err, oxcdata.ErrMalformed) {
		t.Errorf("another mark: %v", err)
	}
}

func TestTimeZoneDefinition(t *testing.T) {
	z := NewTimeZoneDefinition("W. Europe Standard Time", TimeZoneRule{
		Flags: RuleRecurring, Year: 1601, Bias: Bias{-60, 0, -60},
		Standard: SystemTime{Month: 10, Day: 5, Hour: 3}, Daylight: SystemTime{Month: 3, Day: 5, Hour: 2},
	})
	b, err := z.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	if back, err := ParseTimeZoneDefinition(b); err != nil || !reflect.DeepEqual(back, z) {
		t.Errorf("%+v came back as %+v, %v", z, back, err)
	}
}

func TestConversation(t *testing.T) {
	begin := mapi.FileTimeOf(time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC))
	c := NewConversationIndex(begin, mapi.GUID{1, 15: 2})
	if begin-c.Time >= 1<<timeBits {
		t.Errorf("%#x begins at %#x", begin, c.Time)
	}
	soon, late := begin+1<<20, begin+1<<60>>1
	answer := c.Reply(soon, 0x1F).Reply(late, 3).Reply(0, 0)
	want := []ResponseLevel{{Delta: uint32(uint64(soon-c.Time) >> fineBits), Random: 0xF}, {Coarse: true, Delta: uint32(uint64(late-c.Time) >> coarseBits & 0x7FFFFFFF), Random: 3}, {}}
	if !reflect.DeepEqual(answer.Levels, want) || len(c.Levels) != 0 {
		t.Errorf("%+v, want %+v", answer.Levels, want)
	}
	b := answer.Append(nil)
	if back, err := ParseConversationIndex(append(b, 1, 2)); err != nil || !reflect.DeepEqual(back, answer) {
		t.Errorf("%+v came back as %+v, %v", answer, back, err)
	}
	if len(b) != 22+3*levelSize || b[0] != 1 {
		t.Errorf("%x", b)
	}
	for _, in := range [][]byte{nil, b[:21], append([]byte{2}, b[1:]...)} {
		if _, err := ParseConversationIndex(in); !errors.Is(err, oxcdata.ErrMalformed) {
			t.Errorf("%x: %v", in, err)
		}
	}
	for range MaxResponseLevels + 5 {
		c = c.Reply(soon, 0)
	}
	if len(c.Levels) != MaxResponseLevels {
		t.Errorf("%d levels", len(c.Levels))
	}
}

func TestPersistData(t *testing.T) {
	p := PersistData{Blocks: []PersistBlock{
		{PersistSendAndTrack, []PersistElement{{ElementHeader, []byte{0, 0, 0, 0}}}},
		{PersistConversations, []PersistElement{{ElementHeader, []byte{}}, {ElementEntryID, []byte{1, 2}}}},
	}}
	b, err := p.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	if back, err := ParsePersistData(b); err != nil || !reflect.DeepEqual(back, p) {
		t.Errorf("%+v came back as %+v, %v", p, back, err)
	}
	if id := p.Folder(PersistConversations); !bytes.Equal(id, []byte{1, 2}) || p.Folder(PersistSendAndTrack) != nil {
		t.Errorf("%x", id)
	}
}

func TestSearchFolderDefinition(t *testing.T) {
	s := SearchFolderDefinition{
		Version: searchVersion, Flags: SearchHasText | SearchHasAddresses | SearchHasRestriction | SearchHasFilter | SearchHasFolders,
		Text: strings.Repeat("x", 300), Deep: true, FolderNames: "Köln", Folders: [][]byte{{1}, {2, 3}},
		Addresses:   [][]mapi.Prop{{{Tag: mapi.PidTagDisplayName, Value: mapi.String("A")}, {Tag: mapi.PidTagSendRichInfo, Value: mapi.Boolean(true)}}},
		Restriction: mapi.OrRestriction{&mapi.ExistRestriction{Tag: mapi.PidTagSubject}}, Filter: []byte{5, 6}, Skip: [3][]byte{{1}, {}, {}},
	}
	b, err := s.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	if back, err := ParseSearchFolderDefinition(b); err != nil || !reflect.DeepEqual(back, s) {
		t.Errorf("%+v came back as %+v, %v", s, back, err)
	}
}

func TestSwappedToDoData(t *testing.T) {
	s := SwappedToDoData{Flags: 1, FlagTo: strings.Repeat("x", 255), ReminderSet: true}
	b, err := s.Append(nil)
	if err != nil || len(b) != 540 {
		t.Fatalf("%d bytes, %v", len(b), err)
	}
	if back, err := ParseSwappedToDoData(b); err != nil || back != s {
		t.Errorf("%+v came back as %+v, %v", s, back, err)
	}
	s.FlagTo += "x"
	if _, err := s.Append(nil); !errors.Is(err, oxcdata.ErrTooLong) {
		t.Errorf("a long text: %v", err)
	}
}

func TestSecurityDescriptor(t *testing.T) {
	everyone := SID{Revision: 1, Authority: 1, Sub: []uint32{0}}
	owner := SID{Revision: 1, Authority: 5, Sub: []uint32{21, 1, 2, 3, 500}}
	if owner.String() != "S-1-5-21-1-2-3-500" {
		t.Error(owner)
	}
	list := &ACL{Revision: 4, Entries: []ACE{
		{Type: ACEAllowed, Mask: 3, SID: everyone}, {Type: ACEDeniedObject, ObjectFlags: hasInherited, Inherited: mapi.GUID{1}, SID: owner}, {Type: 0x11, Data: []byte{1, 2, 3, 4}},
	}}
	for _, s := range []SecurityDescriptor{{Revision: 1, Control: 0x8004, Owner: &owner, Group: &everyone, DACL: list, SACL: &ACL{Revision: 2}}, {Revision: 1}} {
		b, err := AppendNTSecurityDescriptor([]byte{}, s)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := ParseNTSecurityDescriptor(b); err != nil || !reflect.DeepEqual(back, s) {
			t.Errorf("%+v came back as %+v, %v", s, back, err)
		}
	}
	for _, at := range []byte{1, 19, 21} {
		b := append([]byte{1, 0, 0, 0, at}, make([]byte, 15)...)
		if _, err := ParseSecurityDescriptor(b); !errors.Is(err, oxcdata.ErrMalformed) {
			t.Errorf("owner at %d: %v", at, err)
		}
	}
}

// TestCutShort: whatever is missing at the end, nothing panics and no structure is taken for another.
func TestCutShort(t *testing.T) {
	for _, f := range forms() {
		for _, kind := range f.kinds {
			list := vectors.Of(t, kind)
			for _, v := range list {
				for cut := range min(len(v.In), 600) {
					if _, err := f.parse(v.In[:cut]); err != nil && !errors.Is(err, oxcdata.ErrMalformed) && !errors.Is(err, mapi.ErrTooComplex) {
						t.Fatalf("%s cut at %d: %v", v.Name, cut, err)
					}
				}
			}
		}
	}
}

func TestParsingAllocatesByInput(t *testing.T) {
	inputs := [][]byte{bytes.Repeat([]byte{0xFF}, 64), make([]byte, 64<<10), bytes.Repeat([]byte{1, 0}, 32<<10)}
	for _, f := range forms() {
		for _, in := range inputs {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := f.parse(in)
			runtime.ReadMemStats(&after)
			if got := after.TotalAlloc - before.TotalAlloc; got > uint64(100*len(in)+32<<10) {
				t.Errorf("%s: %d bytes for %d, %v", f.name, got, len(in), err)
			}
		}
	}
}

func TestStructuresOfRandomBytes(t *testing.T) {
	all := forms()
	rapid.Check(t, func(t *rapid.T) {
		f := rapid.SampledFrom(all).Draw(t, "form")
		b := rapid.SliceOfN(rapid.SampledFrom([]byte{0, 0, 0, 1, 2, 3, 4, 0x30, 0xFF}), 0, 200).Draw(t, "bytes")
		if _, err := f.parse(b); err != nil && !errors.Is(err, oxcdata.ErrMalformed) && !errors.Is(err, mapi.ErrTooComplex) {
			t.Fatal(err)
		}
	})
}

func FuzzStructures(f *testing.F) {
	all := forms()
	for i, form := range all {
		for _, kind := range form.kinds {
			list := vectors.Of(f, kind)
			for _, v := range list {
				f.Add(uint8(i), v.In)
			}
		}
	}
	f.Fuzz(func(t *testing.T, n uint8, b []byte) {
		defer testkit.Bounded(t)()
		form := all[int(n)%len(all)]
		s, err := form.parse(b)
		if err != nil {
			if !errors.Is(err, oxcdata.ErrMalformed) && !errors.Is(err, mapi.ErrTooComplex) {
				t.Fatalf("%s: %v", form.name, err)
			}
			return
		}
		again, err := form.write(s)
		if errors.Is(err, oxcdata.ErrTooLong) {
			return // U+FFFD is longer than what stood there
		}
		if err != nil {
			t.Fatalf("%s: %+v: %v", form.name, s, err)
		}
		back, err := form.parse(again)
		if err != nil {
			t.Fatalf("%s: %+v does not come back: %v", form.name, s, err)
		}
		if stable, err := form.write(back); err != nil || !bytes.Equal(stable, again) {
			t.Fatalf("%s: %x came back as %x, %v", form.name, again, stable, err)
		}
	})
}
