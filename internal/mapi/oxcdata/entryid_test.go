package oxcdata

import (
	"bytes"
	"encoding/hex"
	"errors"
	"reflect"
	"testing"

	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/testkit"
)

var (
	aMailbox = mapi.MailboxID{0: 0xAA, 15: 0xBB}
	aReplica = mapi.GUID{0: 0xCC, 15: 0xDD}
	aMessage = MessageOf(aMailbox, mapi.GID{Replica: aReplica, Counter: 0x10D}, mapi.GID{Replica: aReplica, Counter: 0x010203040506})
)

// entryIDs has one of each kind, with its bytes.
var entryIDs = []struct {
	id  EntryID
	hex string
}{
	{FolderOf(aMailbox, mapi.GID{Replica: aReplica, Counter: 0x10D}),
		"00000000" + "aa0000000000000000000000000000bb" + "0100" + "cc0000000000000000000000000000dd" + "00000000010d" + "0000"},
	{&FolderEntryID{Provider: ProviderPublicFolders, Type: PublicFolder, Folder: mapi.GID{Counter: 1}},
		"00000000" + "1a447390aa6611cd9bc800aa002fc45a" + "0300" + "00000000000000000000000000000000" + "000000000001" + "0000"},
	{aMessage, "00000000" + "aa0000000000000000000000000000bb" + "0700" + "cc0000000000000000000000000000dd" + "00000000010d" + "0000" +
		"cc0000000000000000000000000000dd" + "010203040506" + "0000"},
	{StoreOf("srv", "/o=x/cn=y"), "00000000" + "38a1bb1005e5101aa1bb08002b2a56c2" + "0000" + "656d736d64622e646c6c00000000" + "00000000" +
		"1b55fa20aa6611cd9bc800aa002fc45a" + "0c000000" + "73727600" + "2f6f3d782f636e3d7900"},
	{&StoreEntryID{DLL: "EMSMDB.DLL", Wrapped: StorePublic, WrappedType: WrappedPublic, Server: "srv", Trailer: []byte{}},
		"00000000" + "38a1bb1005e5101aa1bb08002b2a56c2" + "0000" + "454d534d44422e444c4c00000000" + "00000000" +
			"1c830210aa6611cd9bc800aa002fc45a" + "06000000" + "73727600"},
	{AddressBookOf(DisplayMailUser, "/o=x/cn=y"), "00000000" + "dca740c8c042101ab4b908002b2fe182" + "01000000" + "00000000" + "2f6f3d782f636e3d7900"},
	{EphemeralOf(aReplica, DisplayList, 0x10), "87000000" + "cc0000000000000000000000000000dd" + "01000000" + "01000000" + "10000000"},
	{OneOffOf("A", "SMTP", "a@b"), "00000000" + "812b1fa4bea310199d6e00dd010f5402" + "0000" + "0190" + "41000000" + "53004d00540050000000" + "6100400062000000"},
	{&OneOffEntryID{DisplayName: "A", AddressType: "SMTP", EmailAddress: "a@b", Trailer: []byte{}},
		"00000000" + "812b1fa4bea310199d6e00dd010f5402" + "0000" + "0000" + "4100" + "534d545000" + "61406200"},
	{ContactOf(1, aMessage), "00000000" + "fe42aa0a18c71a10e8850b651c240000" + "03000000" + "04000000" + "01000000" + "46000000" + hex.EncodeToString(aMessage.Append(nil))},
	{&ContactEntryID{Version: 3, Type: ContactContainer, Store: aReplica, Of: []byte{1}},
		"00000000" + "fe42aa0a18c71a10e8850b651c240000" + "03000000" + "03000000" + "cc0000000000000000000000000000dd" + "01"},
	{&ContactEntryID{Version: 3, Type: 9, Of: []byte{1}}, "00000000" + "fe42aa0a18c71a10e8850b651c240000" + "03000000" + "09000000" + "01"},
	{&WrappedEntryID{Type: 0xB5, Of: []byte{1, 2}}, "00000000" + "c091add3519dcf11a4a900aa0047faa4" + "b5" + "0102"},
	{&UnknownEntryID{Provider: aReplica, Data: []byte{7}}, "00000000" + "cc0000000000000000000000000000dd" + "07"},
}

func TestEntryIDs(t *testing.T) {
	for _, tt := range entryIDs {
		b := tt.id.Append(nil)
		if hex.EncodeToString(b) != tt.hex {
			t.Errorf("%T: %x, want %s", tt.id, b, tt.hex)
		}
		back, err := ParseEntryID(b)
		if err != nil || reflect.TypeOf(back) != reflect.TypeOf(tt.id) || !bytes.Equal(back.Append(nil), b) {
			t.Errorf("%+v came back as %+v, %v", tt.id, back, err)
		}
		if got := back.Append([]byte("x")); got[0] != 'x' || len(got) != len(b)+1 {
			t.Errorf("%T does not append", tt.id)
		}
	}
}

func TestEntryIDsRefused(t *testing.T) {
	address := AddressBookOf(DisplayMailUser, "/o=x").Append(nil)
	oneOff := OneOffOf("A", "SMTP", "a@b").Append(nil)
	contact := ContactOf(0, aMessage).Append(nil)
	store := StoreOf("s", "/o=x").Append(nil)
	for name, b := range map[string][]byte{
		"nothing": nil, "half a head": make([]byte, 19), "open DN": address[:len(address)-1], "open string": oneOff[:len(oneOff)-2],
		"short contact": contact[:len(contact)-1], "open server": store[:headSize+2+storeDLLSize+24], "empty wrapper": append(make([]byte, 4), ProviderWrapped[:]...),
	} {
		if id, err := ParseEntryID(b); !errors.Is(err, ErrBadEntryID) || id != nil {
			t.Errorf("%s: %+v, %v", name, id, err)
		}
	}
}

func TestSearchKey(t *testing.T) {
	if got := SearchKey("smtp", "Anna@Example.Test"); string(got) != "SMTP:ANNA@EXAMPLE.TEST\x00" {
		t.Errorf("%q", got)
	}
}

func FuzzEntryID(f *testing.F) {
	for _, tt := range entryIDs {
		f.Add(tt.id.Append(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		defer testkit.Bounded(t)()
		id, err := ParseEntryID(b)
		if err != nil {
			if !errors.Is(err, ErrBadEntryID) {
				t.Fatal(err)
			}
			return
		}
		again := id.Append(nil)
		back, err := ParseEntryID(again)
		if err != nil || !bytes.Equal(back.Append(nil), again) {
			t.Fatalf("%+v came back as %+v, %v", id, back, err)
		}
		if _, oneOff := id.(*OneOffEntryID); !oneOff && len(again) != len(b) && !isStore(id) {
			t.Fatalf("%T of %d bytes came back with %d", id, len(b), len(again))
		}
	})
}

func isStore(id EntryID) bool { _, is := id.(*StoreEntryID); return is }

func TestEntryLists(t *testing.T) {
	ids := [][]byte{{1}, {1, 2, 3, 4}, {}, {5, 6}}
	flat := AppendFlatEntryList(nil, ids)
	if hex.EncodeToString(flat) != "04000000"+"1c000000"+"01000000"+"01000000"+"04000000"+"01020304"+"00000000"+"02000000"+"05060000" {
		t.Errorf("%x", flat)
	}
	list := AppendEntryList(nil, ids)
	for name, parse := range map[string]func() ([][]byte, error){
		"flat":             func() ([][]byte, error) { return FlatEntryList(flat) },
		"list":             func() ([][]byte, error) { return EntryList(list) },
		"no last padding":  func() ([][]byte, error) { return FlatEntryList(flatWithoutPadding(flat)) },
		"padding with it.": func() ([][]byte, error) { return EntryList(append(append(list[:4:4], 9, 9, 9, 9), list[8:]...)) },
	} {
		if back, err := parse(); err != nil || !reflect.DeepEqual(back, ids) {
			t.Errorf("%s: %x, %v", name, back, err)
		}
	}
	for cut := range flat {
		if _, err := FlatEntryList(flat[:cut]); !errors.Is(err, ErrMalformed) {
			t.Errorf("flat cut at %d: %v", cut, err)
		}
	}
	for cut := range list {
		if _, err := EntryList(list[:cut]); !errors.Is(err, ErrMalformed) {
			t.Errorf("list cut at %d: %v", cut, err)
		}
	}
}

// flatWithoutPadding takes the last two bytes away, and off the size.
func flatWithoutPadding(flat []byte) []byte {
	b := bytes.Clone(flat[:len(flat)-2])
	b[4] -= 2
	return b
}

func FuzzEntryLists(f *testing.F) {
	ids := [][]byte{{1}, {1, 2, 3, 4}, {}}
	f.Add(AppendFlatEntryList(nil, ids))
	f.Add(AppendEntryList(nil, ids))
	f.Fuzz(func(t *testing.T, b []byte) {
		defer testkit.Bounded(t)()
		if list, err := FlatEntryList(b); err == nil {
			if back, err := FlatEntryList(AppendFlatEntryList(nil, list)); err != nil || !reflect.DeepEqual(back, list) {
				t.Fatalf("%x came back as %x, %v", list, back, err)
			}
		}
		if list, err := EntryList(b); err == nil {
			if back, err := EntryList(AppendEntryList(nil, list)); err != nil || !reflect.DeepEqual(back, list) {
				t.Fatalf("%x came back as %x, %v", list, back, err)
			}
		}
	})
}
