package oxcdata

import (
	"bytes"
	"encoding/hex"
	"errors"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/testkit"
)

var recipientColumns = []mapi.Tag{mapi.PidTagObjectType, mapi.PidTagSmtpAddress}

func TestRecipientRows(t *testing.T) {
	for name, tt := range map[string]struct {
		r   RecipientRow
		hex string
	}{
		"SMTP": {RecipientRow{
			Flags:        RecipientSMTP | RecipientUnicode | RecipientHasEmail | RecipientHasDisplayName | RecipientSameTransmittable,
			EmailAddress: "a@b", DisplayName: "A", Values: Row{mapi.Integer32(6), mapi.String("c")},
		}, "5b02" + "6100400062000000" + "41000000" + "0200" + "00" + "06000000" + "63000000"},
		"X500": {RecipientRow{
			Flags: RecipientX500DN | RecipientHasDisplayName | RecipientHasTransmittable | RecipientHasSimpleName, PrefixUsed: 3, DisplayType: 1,
			DN: "x", DisplayName: "A", SimpleDisplayName: "B", TransmittableDisplayName: "C", Values: Row{mapi.Integer32(6)},
		}, "3104" + "0301" + "7800" + "4100" + "4200" + "4300" + "0100" + "00" + "06000000"},
		"list": {RecipientRow{Flags: RecipientPrivateList1, EntryID: []byte{1, 2}, SearchKey: []byte{3}, Values: Row{}},
			"0600" + "02000102" + "010003" + "0000" + "00"},
		"other": {RecipientRow{Flags: RecipientNamesType | RecipientHasEmail, AddressType: "X", EmailAddress: "y", Values: Row{}},
			"0880" + "5800" + "7900" + "0000" + "00"},
		"none": {RecipientRow{Flags: RecipientResponsible | RecipientNoRichText, Values: Row{}}, "8001" + "0000" + "00"},
	} {
		e := NewEncoder(nil, ROP)
		e.RecipientRow(recipientColumns, tt.r)
		b, err := e.Bytes()
		if err != nil || hex.EncodeToString(b) != tt.hex {
			t.Errorf("%s: %x, want %s, %v", name, b, tt.hex, err)
		}
		d := NewDecoder(b, ROP)
		if back := d.RecipientRow(recipientColumns); d.Close() != nil || !reflect.DeepEqual(back, tt.r) {
			t.Errorf("%s: %+v came back as %+v, %v", name, tt.r, back, d.Err())
		}
		for cut := range b {
			d := NewDecoder(b[:cut], ROP)
			if d.RecipientRow(recipientColumns); !errors.Is(d.Close(), ErrMalformed) {
				t.Errorf("%s cut at %d: %v", name, cut, d.Err())
			}
		}
	}
	d := NewDecoder([]byte{0, 0, 3, 0, 0}, ROP)
	if d.RecipientRow(recipientColumns); !errors.Is(d.Err(), ErrMalformed) {
		t.Errorf("three values of two columns: %v", d.Err())
	}
}

func get(b *mapi.PropBag, t mapi.Tag) any { return b.Get(t) }

func TestRecipientAsProperties(t *testing.T) {
	r := RecipientRow{
		Flags: RecipientX500DN | RecipientUnicode | RecipientHasDisplayName | RecipientSameTransmittable | RecipientNoRichText | RecipientResponsible,
		DN:    "cn=y", PrefixUsed: 5, DisplayType: 1, DisplayName: "Y", Values: Row{mapi.Integer32(6), mapi.ErrorNotFound},
	}
	b := r.Bag(recipientColumns, "/o=x/ou=z")
	for tag, want := range map[mapi.Tag]any{
		mapi.PidTagAddressType: mapi.String("EX"), mapi.PidTagEmailAddress: mapi.String("/o=x/cn=y"), mapi.PidTagDisplayType: mapi.Integer32(1),
		mapi.PidTagDisplayName: mapi.String("Y"), mapi.PidTagTransmittableDisplayName: mapi.String("Y"), mapi.PidTagSendRichInfo: mapi.Boolean(false),
		mapi.PidTagResponsibility: mapi.Boolean(true), mapi.PidTagObjectType: mapi.Integer32(6), mapi.PidTagSmtpAddress: nil,
	} {
		if got := get(&b, tag); got != want {
			t.Errorf("%s is %v, want %v", tag.Name(), got, want)
		}
	}
	list := RecipientRow{Flags: RecipientPrivateList2, EntryID: []byte{1}, SearchKey: []byte{2}}.Bag(nil, "")
	if !bytes.Equal(list.Get(mapi.PidTagEntryId).(mapi.Binary), []byte{1}) || list.Get(mapi.PidTagAddressType.WithType(mapi.TypeString8)) != mapi.String8("MAPIPDL") {
		t.Errorf("%v", list.All())
	}
	other := RecipientRow{Flags: RecipientNamesType | RecipientHasEmail | RecipientUnicode, AddressType: "X", EmailAddress: "y"}.Bag(nil, "")
	if other.Get(mapi.PidTagAddressType) != mapi.String("X") || other.Get(mapi.PidTagEmailAddress) != mapi.String("y") {
		t.Errorf("%v", other.All())
	}
}

// TestRecipientThereAndBack: properties become a row and the same properties again.
func TestRecipientThereAndBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b mapi.PropBag
		text := rapid.StringMatching("[A-Za-zä]{0,5}")
		if kind := rapid.SampledFrom([]string{"", "SMTP", "EX", "X400"}).Draw(t, "kind"); kind != "" {
			b.Set(mapi.PidTagAddressType, mapi.String(kind))
			b.Set(mapi.PidTagEmailAddress, mapi.String("a"+text.Draw(t, "address")))
			if kind == "EX" {
				b.Set(mapi.PidTagDisplayType, mapi.Integer32(rapid.IntRange(0, 6).Draw(t, "display")))
			}
		}
		for _, tag := range []mapi.Tag{mapi.PidTagDisplayName, mapi.PidTagTransmittableDisplayName, mapi.PidTagAddressBookDisplayNamePrintable} {
			if s := text.Draw(t, "name"); s != "" {
				b.Set(tag, mapi.String(s))
			}
		}
		b.Set(mapi.PidTagSendRichInfo, mapi.Boolean(rapid.Bool().Draw(t, "rich")))
		b.Set(mapi.PidTagResponsibility, mapi.Boolean(rapid.Bool().Draw(t, "responsible")))
		b.Set(mapi.PidTagObjectType, mapi.Integer32(6))
		b.Set(mapi.PidTagSmtpAddress, mapi.String("c"))

		e := NewEncoder(nil, ROP)
		e.RecipientRow(recipientColumns, RecipientRowOf(&b, recipientColumns))
		wire, err := e.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		d := NewDecoder(wire, ROP)
		back := d.RecipientRow(recipientColumns).Bag(recipientColumns, "")
		if err := d.Close(); err != nil || !bytes.Equal(back.AppendWire(nil), b.AppendWire(nil)) {
			t.Fatalf("%v came back as %v, %v", b.All(), back.All(), err)
		}
	})
}

func TestRecipientColumns(t *testing.T) {
	got := RecipientColumns([]mapi.Tag{mapi.PidTagDisplayName.WithType(mapi.TypeString8), mapi.PidTagObjectType, mapi.PidTagRecipientType, mapi.PidTagSmtpAddress})
	if !reflect.DeepEqual(got, recipientColumns) {
		t.Errorf("%v", got)
	}
}

func FuzzRecipientRow(f *testing.F) {
	e := NewEncoder(nil, ROP)
	e.RecipientRow(recipientColumns, RecipientRow{
		Flags: RecipientSMTP | RecipientUnicode | RecipientHasEmail | RecipientHasDisplayName, EmailAddress: "a@b", DisplayName: "A",
		Values: Row{mapi.Integer32(6), mapi.String("c")},
	})
	f.Add(e.b)
	f.Fuzz(func(t *testing.T, b []byte) {
		defer testkit.Bounded(t)()
		d := NewDecoder(b, ROP)
		r := d.RecipientRow(recipientColumns)
		if d.Close() != nil {
			return
		}
		r.Bag(recipientColumns, "/o=x")
		e := NewEncoder(nil, ROP)
		e.RecipientRow(recipientColumns, r)
		again, err := e.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		stable := NewEncoder(nil, ROP)
		back := NewDecoder(again, ROP)
		stable.RecipientRow(recipientColumns, back.RecipientRow(recipientColumns))
		if back.Close() != nil || !bytes.Equal(stable.b, again) {
			t.Fatalf("%x came back as %x, %v", again, stable.b, back.Err())
		}
	})
}
