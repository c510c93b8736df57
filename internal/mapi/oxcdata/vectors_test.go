package oxcdata

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/testkit/vectors"
)

// refused are the vectors that a reader has to refuse, with the error; MFCMAPI shows as much of them as it can.
var refused = map[string]struct {
	err error
	why string
}{
	"ENTRYID-39":      {ErrBadEntryID, "three bytes"},
	"FLATENTRYLIST-2": {ErrMalformed, "bytes are missing inside the first entry id, so the second begins elsewhere"},
	"FLATENTRYLIST-3": {ErrMalformed, "bytes are missing inside the first entry id, so the second begins elsewhere"},
	"RESTRICTION-4":   {ErrMalformed, "a string of UTF-16 counts 33 bytes"},
	"RULECONDITION-4": {ErrMalformed, "counts of operands have 16 bits and counts of bytes 32, which no protocol has"},
	"PROPERTIES-6":    {ErrMalformed, "a string is longer than its count"},
	"PROPERTIES-7":    {ErrMalformed, "a binary is longer than what is left"},
	"XID-4":           {mapi.ErrBadXID, "7,552 bytes; a change number has eight at most"},
}

// wantRefusal reports whether the test is of a vector that has to be refused, and fails unless it was.
func wantRefusal(t *testing.T, err error) bool {
	t.Helper()
	want, damaged := refused[filepath.Base(t.Name())]
	if damaged && !errors.Is(err, want.err) {
		t.Errorf("%s, and still: %v", want.why, err)
	}
	if !damaged && err != nil {
		t.Fatal(err)
	}
	return damaged
}

// eachVector runs a test for every vector of a kind.
func eachVector(t *testing.T, kind string, test func(t *testing.T, in []byte, out vectors.Vector)) {
	list := vectors.Of(t, kind)
	for _, v := range list {
		t.Run(v.Name, func(t *testing.T) { test(t, v.In, v) })
	}
}

// wantFacts checks that the print says each fact, one after the other.
func wantFacts(t *testing.T, v vectors.Vector, facts []string) {
	t.Helper()
	if err := v.Says(facts...); err != nil {
		t.Error(err)
	}
}

func wantBytes(t *testing.T, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Errorf("written again:\n%X\nwant:\n%X", got, want)
	}
}

// latin1 is bytes as MFCMAPI prints them.
func latin1(s string) string {
	runes := make([]rune, len(s))
	for i := range len(s) {
		runes[i] = rune(s[i])
	}
	return string(runes)
}

func braced(g mapi.GUID) string { return strings.ToUpper("{" + g.String() + "}") }

func gidFacts(g mapi.GID) []string {
	return []string{braced(g.Replica), fmt.Sprintf("%012X", uint64(g.Counter))}
}

// idFacts are what a print of the entry id must say.
func idFacts(id EntryID) []string {
	switch id := id.(type) {
	case *FolderEntryID:
		return append([]string{braced(id.Provider), "Exchange Folder Entry ID", fmt.Sprintf("Folder Type = 0x%04X", uint16(id.Type))}, gidFacts(id.Folder)...)
	case *MessageEntryID:
		facts := []string{braced(id.Provider), "Exchange Message Entry ID", fmt.Sprintf("Message Type = 0x%04X", uint16(id.Type))}
		return append(append(facts, gidFacts(id.Folder)...), gidFacts(id.Message)...)
	case *StoreEntryID:
		facts := []string{"MAPI Message Store Entry ID", "DLLFileName = " + id.DLL, braced(id.Wrapped), fmt.Sprintf("WrappedType = 0x%08X", id.WrappedType), "ServerShortname = " + id.Server}
		if id.HasDN {
			facts = append(facts, "MailboxDN = "+id.MailboxDN)
		}
		return facts
	case *AddressBookEntryID:
		return []string{braced(ProviderAddressBook), fmt.Sprintf("Type = 0x%08X", uint32(id.Type)), "X500DN = " + latin1(id.DN)}
	case *EphemeralEntryID:
		return []string{"EPHEMERAL", braced(id.Server), "Ephemeral Entry ID", fmt.Sprintf("Type = 0x%08X", uint32(id.Type))}
	case *OneOffEntryID:
		return []string{"One Off Recipient", fmt.Sprintf("0x%04X%04X", id.Bits, id.Version), id.DisplayName, id.AddressType, id.EmailAddress}
	}
	return otherIDFacts(id)
}

func otherIDFacts(id EntryID) []string {
	switch id := id.(type) {
	case *ContactEntryID:
		facts := []string{"Contact Address Book / PDL Entry ID", fmt.Sprintf("Type = 0x%08X", uint32(id.Type))}
		if id.Type == ContactUser {
			facts = append(facts, fmt.Sprintf("Index = 0x%08X", id.Index))
		}
		if inner, err := ParseEntryID(id.Of); err == nil && id.Type == ContactUser {
			facts = append(facts, idFacts(inner)...)
		}
		return facts
	case *WrappedEntryID:
		facts := []string{"Wrapped Entry ID", fmt.Sprintf("Type = 0x%02X", id.Type)}
		inner, err := ParseEntryID(id.Of)
		if err != nil {
			return append(facts, err.Error())
		}
		return append(facts, idFacts(inner)...)
	case *UnknownEntryID:
		if id.Provider == ProviderStore {
			return []string{braced(id.Provider), "MAPI Message Store Entry ID"} // of personal folders, which are not taken apart
		}
		return []string{braced(id.Provider), "Unparsed data", fmt.Sprintf("%X", id.Data)}
	}
	return []string{fmt.Sprintf("nothing of %T", id)}
}

func TestVectorsEntryID(t *testing.T) {
	eachVector(t, "ENTRYID", func(t *testing.T, in []byte, out vectors.Vector) {
		id, err := ParseEntryID(in)
		if wantRefusal(t, err) {
			return
		}
		wantFacts(t, out, idFacts(id))
		wantBytes(t, id.Append(nil), in)
	})
}

func TestVectorsEntryLists(t *testing.T) {
	check := func(parse func([]byte) ([][]byte, error), write func([]byte, [][]byte) []byte) func(*testing.T, []byte, vectors.Vector) {
		return func(t *testing.T, in []byte, out vectors.Vector) {
			list, err := parse(in)
			if wantRefusal(t, err) {
				return
			}
			var facts []string
			for _, b := range list {
				id, err := ParseEntryID(b)
				if err != nil {
					t.Fatal(err)
				}
				facts = append(facts, idFacts(id)...)
			}
			wantFacts(t, out, facts)
			again, err := parse(write(nil, list))
			if err != nil || !bytes.Equal(bytes.Join(again, nil), bytes.Join(list, nil)) {
				t.Errorf("%X came back as %X, %v", list, again, err)
			}
		}
	}
	eachVector(t, "FLATENTRYLIST", check(FlatEntryList, AppendFlatEntryList))
	eachVector(t, "ENTRYLIST", check(EntryList, AppendEntryList))
}

func propFacts(p mapi.Prop) []string {
	facts := []string{fmt.Sprintf("PropTag = 0x%08X", uint32(p.Tag))}
	switch v := p.Value.(type) {
	case mapi.String:
		if v != "" {
			facts = append(facts, "PropString = "+string(v))
		}
	case mapi.Integer32:
		return append(facts, fmt.Sprintf("PropString = %d", v))
	case mapi.Binary:
		return append(facts, fmt.Sprintf("PropString = cb: %d lpb: %X", len(v), []byte(v)))
	case mapi.FileTime:
		return append(facts, fmt.Sprintf("Low: 0x%08X High: 0x%08X", uint32(v), uint64(v)>>32))
	case mapi.ErrorCode:
		return append(facts, fmt.Sprintf("Err: 0x%08X", uint32(v)))
	}
	return facts
}

func restrictionFacts(r mapi.Restriction) []string {
	facts := []string{fmt.Sprintf("rt = 0x%X", uint8(r.Type()))}
	all := func(list ...mapi.Restriction) {
		for _, o := range list {
			facts = append(facts, restrictionFacts(o)...)
		}
	}
	tag := func(label string, t mapi.Tag) { facts = append(facts, fmt.Sprintf("%s = 0x%08X", label, uint32(t))) }
	switch r := r.(type) {
	case mapi.AndRestriction:
		facts = append(facts, fmt.Sprintf("cRes = 0x%08X", len(r)))
		all(r...)
	case mapi.OrRestriction:
		facts = append(facts, fmt.Sprintf("cRes = 0x%08X", len(r)))
		all(r...)
	case *mapi.NotRestriction:
		all(r.Of)
	case *mapi.ContentRestriction:
		facts = append(facts, fmt.Sprintf("0x%08X", uint32(r.Fuzzy)))
		tag("PropTag", r.Tag)
		facts = append(facts, propFacts(r.Value)...)
	case *mapi.PropertyRestriction:
		facts = append(facts, fmt.Sprintf("0x%08X", uint32(r.Op)))
		tag("PropTag", r.Tag)
		facts = append(facts, propFacts(r.Value)...)
	case *mapi.ExistRestriction:
		tag("PropTag", r.Tag)
	case *mapi.BitMaskRestriction:
		tag("PropTag", r.Tag)
		facts = append(facts, fmt.Sprintf("0x%08X", r.Mask))
	case *mapi.SubObjectRestriction:
		tag("SubObject", r.Tag)
		all(r.Of)
	case *mapi.CommentRestriction:
		for _, p := range r.Values {
			facts = append(facts, propFacts(p)...)
		}
		if r.Of != nil {
			all(r.Of)
		}
	default:
		facts = append(facts, fmt.Sprintf("nothing of %T", r))
	}
	return facts
}

func TestVectorsRestriction(t *testing.T) {
	eachVector(t, "RESTRICTION", func(t *testing.T, in []byte, out vectors.Vector) {
		d := NewDecoder(in, Definition)
		r := d.Restriction()
		if wantRefusal(t, d.Close()) {
			return
		}
		wantFacts(t, out, restrictionFacts(r))
		e := NewEncoder(nil, Definition)
		e.Restriction(r)
		got, err := e.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		// RESTRICTION-2 counts strings without their NUL, so only what they say is compared.
		again := NewDecoder(got, Definition)
		if back := again.Restriction(); again.Close() != nil || !reflect.DeepEqual(back, r) {
			t.Errorf("%+v came back as %+v, %v", r, back, again.Err())
		}
	})
}

func TestVectorsCondition(t *testing.T) {
	eachVector(t, "EXTENDEDRULECONDITION", func(t *testing.T, in []byte, out vectors.Vector) {
		c, err := ParseExtendedCondition(in)
		if err != nil {
			t.Fatal(err)
		}
		wantFacts(t, out, append(nameFacts(c.Named), restrictionFacts(c.Restriction)...))
		got, err := c.Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		wantBytes(t, got, in)
	})
	// Those without And and Or have the same bytes in either form; of the others one has no binary and is of ROP's form
	// behind its names.
	eachVector(t, "RULECONDITION", func(t *testing.T, in []byte, out vectors.Vector) {
		form := Extended
		if name := filepath.Base(t.Name()); name == "RULECONDITION-2" || name == "RULECONDITION-4" {
			form = ROP
		}
		d, e := NewDecoder(in, form), NewEncoder(nil, form)
		c := ExtendedCondition{d.namedProperties(), d.Restriction()}
		if wantRefusal(t, d.Close()) {
			return
		}
		wantFacts(t, out, append(nameFacts(c.Named), restrictionFacts(c.Restriction)...))
		e.namedProperties(c.Named)
		e.Restriction(c.Restriction)
		got, err := e.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		wantBytes(t, got, in)
	})
}

func nameFacts(n NamedProperties) []string {
	var facts []string
	for i, id := range n.IDs {
		name := n.Names[i]
		facts = append(facts, fmt.Sprintf("PropID = 0x%04X", id), fmt.Sprintf("Kind = 0x%02X", uint8(name.Kind)), braced(name.Set))
		if name.Kind == mapi.NameByString {
			facts = append(facts, "Name = "+name.Name)
		} else {
			facts = append(facts, fmt.Sprintf("LID = 0x%08X", name.LID))
		}
	}
	return facts
}

// actionFacts are what a print of the action must say.
func actionFacts(a mapi.RuleAction) []string {
	facts := []string{fmt.Sprintf("= %d", uint8(a.Type)), "ActionFlavor: ", fmt.Sprintf("0x%08X", a.Flavor), fmt.Sprintf("ActionFlags: 0x%08X", a.Flags)}
	switch data := a.Data.(type) {
	case *mapi.MoveAction:
		facts = append(facts, fmt.Sprintf("StoreEIDSize: 0x%08X", len(data.StoreEID)), fmt.Sprintf("FolderEIDSize: 0x%08X", len(data.Folder)))
		if id, err := ParseEntryID(data.Folder); err == nil {
			facts = append(facts, idFacts(id)...)
		}
	case *mapi.ReplyAction:
		facts = append(facts, braced(data.Template))
	case mapi.ForwardAction:
		for _, props := range data {
			for _, p := range props {
				facts = append(facts, propFacts(p)...)
			}
		}
	case *mapi.TagAction:
		facts = append(facts, propFacts(data.Prop)...)
	}
	return facts
}

func TestVectorsAction(t *testing.T) {
	eachVector(t, "EXTENDEDRULEACTION", func(t *testing.T, in []byte, out vectors.Vector) {
		a, err := ParseExtendedActions(in)
		if err != nil {
			t.Fatal(err)
		}
		facts := nameFacts(a.Named)
		for _, action := range a.Actions {
			facts = append(facts, actionFacts(action)...)
		}
		wantFacts(t, out, facts)
		got, err := a.Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		wantBytes(t, got, in)
	})
}

func TestVectorsProperties(t *testing.T) {
	eachVector(t, "PROPERTIES", func(t *testing.T, in []byte, out vectors.Vector) {
		d, e := NewDecoder(in, Definition), NewEncoder(nil, Definition)
		var facts []string
		for d.Len() > 0 {
			p := d.Prop()
			if d.Err() != nil {
				break
			}
			facts = append(facts, propFacts(p)...)
			e.Prop(p)
		}
		if wantRefusal(t, d.Close()) {
			return
		}
		wantFacts(t, out, facts)
		got, err := e.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		wantBytes(t, got, in)
	})
	eachVector(t, "RECIPIENTROWSTREAM", func(t *testing.T, in []byte, out vectors.Vector) {
		d := NewDecoder(in, Definition)
		facts := []string{fmt.Sprintf("cVersion = %d", d.Uint32())}
		for range d.Uint32() {
			n := d.Uint32()
			d.Uint32()
			for _, p := range d.Props(int(n)) {
				facts = append(facts, propFacts(p)...)
			}
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		wantFacts(t, out, facts)
	})
}

func TestVectorsPCL(t *testing.T) {
	eachVector(t, "PCL", func(t *testing.T, in []byte, out vectors.Vector) {
		p, err := mapi.ParsePCL(in)
		if err != nil {
			t.Fatal(err)
		}
		wantFacts(t, out, []string{fmt.Sprintf("Count = %d", len(p))})
		for _, x := range p {
			wantFacts(t, out, []string{braced(x.Namespace), fmt.Sprintf("cb: %d lpb: %X", len(x.Local), x.Local)})
		}
		again, err := mapi.ParsePCL(p.Append(nil))
		if err != nil || again.Compare(p) != mapi.PCLEqual || len(p.Append(nil)) != len(in) {
			t.Errorf("%X came back as %X, %v", in, p.Append(nil), err)
		}
	})
	eachVector(t, "XID", func(t *testing.T, in []byte, out vectors.Vector) {
		x, err := mapi.ParseXID(in)
		if wantRefusal(t, err) {
			return
		}
		wantFacts(t, out, []string{braced(x.Namespace), fmt.Sprintf("cb: %d lpb: %X", len(x.Local), x.Local)})
		wantBytes(t, x.Append(nil), in)
	})
}
