package schema

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/wire"
	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the golden file")

// rowTwin is Row as wire itself would code it.
type rowTwin struct {
	Bits      RowBits            `wire:"1"`
	ModSeq    mapi.Stamp         `wire:"2"`
	CN        mapi.Stamp         `wire:"3"`
	ReadCN    mapi.Stamp         `wire:"4"`
	MID       mapi.GlobalCounter `wire:"5"`
	Object    mapi.ObjectNumber  `wire:"6"`
	Body      mapi.ObjectNumber  `wire:"7"`
	Size      uint64             `wire:"8"`
	Prefix    uint32             `wire:"9"`
	Props     uint32             `wire:"10"`
	Received  mapi.FileTime      `wire:"11"`
	Saved     uint64             `wire:"12"`
	Keywords  []uint16           `wire:"13"`
	Verb      uint32             `wire:"14"`
	Icon      uint32             `wire:"15"`
	ChangeKey []byte             `wire:"16"`
	PCL       []byte             `wire:"17"`
	Modified  mapi.FileTime      `wire:"18"`
	Original  mapi.ObjectNumber  `wire:"19"`
	Creator   mapi.GUID          `wire:"20"`
	Receipts  Receipts           `wire:"21"`
	Strange   bool               `wire:"22"`
	Came      mapi.Stamp         `wire:"23"`
	Unknown   wire.Unknown
}

// prefixes lists the constants of keys.go as they are written.
func prefixes(t *testing.T) []string {
	file, err := parser.ParseFile(token.NewFileSet(), "keys.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	seen := map[string]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(spec.Names[0].Name, "Prefix") {
			return true
		}
		value := spec.Values[0].(*ast.BasicLit).Value
		if seen[value] {
			t.Errorf("prefix %s is used twice", value)
		}
		seen[value] = true
		lines = append(lines, fmt.Sprintf("%s %s", value, spec.Names[0].Name))
		return true
	})
	return lines
}

func sampleKeys() []string {
	fid, g, h := mapi.LocalFID(0x0D), mapi.GUID{0: 1, 15: 2}, [32]byte{0: 3, 31: 4}
	keys := [][]byte{
		HeaderKey(), CountersKey(), KeywordKey(7), ReplicaKey(6), FolderKey(fid), FolderCountsKey(fid), FolderNameKey(fid, "name"),
		SubscriptionKey(g, fid), RowKey(fid, 5), RowKey(fid, EndOfUIDs), MIDKey(mapi.NewMID(1, 0x123456789A)), ObjectKey(8),
		BagKey(8), TextsKey(8), RecipientsKey(8), AttachmentKey(8, 1), RecipeKey(8), DigestKey(8), ShareKey(8), ContentKey(h),
		ChangeKey(fid, 0x200), TombstoneKey(Hierarchy, 0x200), TombMarkKey(0x200), DeliveryKey(20000, h), ReadStateKey(g, fid), PurgeKey(fid),
		NamedPropKey(0x8000), PropertyNameKey(mapi.PropertyName{Set: g, Kind: mapi.NameByLID, LID: 0x8501}),
		PropertyNameKey(mapi.PropertyName{Set: g, Kind: mapi.NameByString, Name: "Keywords"}), AssociatedKey(fid, 5), ReceiveKey("ipm"), StoreBagKey(),
		PermissionsKey(fid), DeletedKey(fid, 0x0190ABCDEF01, mapi.NewMID(1, 0x123456789A)), DeletedFolderKey(fid), CopyTaskKey(0x345), DelegatesKey(), AutomationKey(), RulesKey(fid), ExtendedRuleKey(8), OOFTextsKey(), JunkKey(exmdb.JunkBlocked, "a@example.test"),
		AnsweredKey(ScopeReply|7, [16]byte{0: 3, 15: 4}), OutgoingKey(8),
		TimeKey(fid, TimePlace{0x01DC000000000001, 5}), TimeBlockKey(fid, TimePlace{}), OriginKey(fid, 0x200),
		ReminderKey(0x01DC000000000001, 8), SubmittedKey(8), ConversationOfKey(8), ConversationActionKey(g[:], 8), ConversationWorkKey(g[:]),
		TimeSpanKey(fid, TimePlace{0x01DC000000000001, 5}), PerUserKey(mapi.GID{Replica: g, Counter: 0x345}), KeptOrdersKey(fid),
	}
	lines := make([]string, len(keys))
	for i, k := range keys {
		lines[i] = fmt.Sprintf("%x", k)
	}
	return lines
}

// TestGolden holds every number that is on disk for ever.
func TestGolden(t *testing.T) {
	got := []string{"# prefixes"}
	got = append(got, prefixes(t)...)
	got = append(got, "# keys")
	got = append(got, sampleKeys()...)
	got = append(got, "# records")
	for _, r := range []any{Header{}, Counters{}, Replica{}, Folder{}, FolderCounts{}, Keyword{}, Place{}, Change{}, Tombstone{}, TombMark{},
		Delivery{}, Recipients{}, Attachment{}, ReadState{}, Purge{}, rowTwin{}, exmdb.Recipe{}, NamedProperty{}, ReceiveFolder{},
		Permissions{}, Deleted{}, DeletedFolder{}, CopyTask{}, Delegates{}, Automation{}, Rules{}, OOFTexts{}, Answered{}, Outgoing{}, Origin{}, FolderOrigin{}, FolderTrace{}, TombstonePart{},
		ConversationWork{}, ConversationChange{}, PerUser{}, KeptOrders{}} {
		got = append(got, wire.Describe(r)...)
	}
	got = append(got, "# folders")
	for i := range FixedFolders {
		got = append(got, fmt.Sprintf("%+v", FixedFolders[i]))
	}
	text := strings.Join(got, "\n") + "\n"
	if *rewrite {
		if err := os.WriteFile("testdata/golden.txt", []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/golden.txt")
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != text {
		t.Fatalf("numbers that are for ever have changed (-rewrite only adds):\n%s", text)
	}
}

func TestFixedFolders(t *testing.T) {
	for i := range FixedFolders {
		f := &FixedFolders[i]
		if int(f.ID) != i+1 || Fixed(f.FID()) != f || f.Parent >= f.ID {
			t.Errorf("%#x %s: id %#x under %#x", i+1, f.Name, f.ID, f.Parent)
		}
		if f.in != onDemand && f.Parent != 0 && f.in&^FixedFolders[f.Parent-1].in != 0 {
			t.Errorf("%s is made where its parent is not", f.Name)
		}
	}
	if Fixed(mapi.LocalFID(0x100)) != nil || Fixed(0) != nil {
		t.Error("a custom folder is called fixed")
	}
	if Fixed(Inbox).Name != "Inbox" || Fixed(IPMSubtree).EWS != "msgfolderroot" {
		t.Error("the constants do not match the table")
	}
}

func randomRow(t *rapid.T) Row {
	num := func(label string) uint64 { return rapid.Uint64Range(0, 1<<40).Draw(t, label) }
	keywords := rapid.SliceOfNDistinct(rapid.Uint16(), 0, 4, rapid.ID).Draw(t, "keywords")
	slices.Sort(keywords)
	r := Row{Bits: RowBits(rapid.Uint32().Draw(t, "bits")), ModSeq: mapi.Stamp(num("modseq")), CN: mapi.Stamp(num("cn")),
		ReadCN: mapi.Stamp(num("readcn")), MID: mapi.NewMID(1, mapi.GlobalCounter(num("mid"))), Object: mapi.ObjectNumber(num("object")),
		Body: mapi.ObjectNumber(num("body")), Size: num("size"), Prefix: rapid.Uint32().Draw(t, "prefix"), Props: rapid.Uint32().Draw(t, "props"),
		Received: mapi.FileTime(num("received")), Saved: int64(num("saved")), Verb: rapid.Uint32Range(0, 200).Draw(t, "verb"),
		PCL: rapid.SliceOfN(rapid.Byte(), 0, 3).Draw(t, "pcl"), Modified: mapi.FileTime(num("modified")),
		Original: mapi.ObjectNumber(num("original")), Receipts: Receipts(rapid.Uint32().Draw(t, "receipts")), Strange: rapid.Bool().Draw(t, "strange"),
		Came: mapi.Stamp(num("came"))}
	if len(keywords) > 0 {
		r.Keywords = keywords
	}
	if rapid.Bool().Draw(t, "made by someone else") {
		r.Creator = mapi.GUID{0: 7, 15: byte(num("creator"))}
	}
	return r
}

func TestRowIsCodedAsWireWould(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := randomRow(t)
		twin := rowTwin{r.Bits, r.ModSeq, r.CN, r.ReadCN, r.MID.Counter(), r.Object, r.Body, r.Size, r.Prefix, r.Props, r.Received,
			uint64(r.Saved), r.Keywords, r.Verb, r.Icon, r.ChangeKey, r.PCL, r.Modified, r.Original, r.Creator, r.Receipts, r.Strange, r.Came, nil}
		stored := r.AppendWire(nil)
		if want := wire.Marshal(&twin); !bytes.Equal(stored, want) {
			t.Fatalf("row is %x, wire says %x", stored, want)
		}
		later := append(slices.Clone(stored), 0xc0, 0x02, 0x05) // tag 40, a number
		var back Row
		if err := back.UnmarshalWire(later); err != nil {
			t.Fatal(err)
		}
		if again := back.AppendWire(nil); !bytes.Equal(again, later) {
			t.Fatalf("%x came back as %x", later, again)
		}
		bits, modseq := PeekRow(stored)
		if bits != r.Bits || modseq != r.ModSeq {
			t.Fatalf("peeked %x %d, want %x %d", bits, modseq, r.Bits, r.ModSeq)
		}
	})
}

func FuzzRow(f *testing.F) {
	f.Add((&Row{Bits: 1, ModSeq: 2, Keywords: []uint16{1, 2}, PCL: []byte{1}}).AppendWire(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		var r, back Row
		if r.UnmarshalWire(data) != nil {
			return
		}
		if err := back.UnmarshalWire(r.AppendWire(nil)); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzRecords(f *testing.F) {
	f.Add(wire.Marshal(&Tombstone{UIDs: Runs{{1, 2, 3}}}))
	f.Add(wire.Marshal(&Counters{Global: 4, Stamp: 5}))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, r := range []any{&Header{}, &Counters{}, &Folder{}, &FolderCounts{}, &Tombstone{}, &Change{}, &Delivery{}, &Attachment{},
			&Permissions{}, &Deleted{}, &DeletedFolder{}, &CopyTask{}, &Delegates{}, &ReadState{}, &ConversationWork{}} {
			if err := Decode(data, r); err == nil {
				if err := Decode(wire.Marshal(r), r); err != nil {
					t.Fatalf("%T: what was written does not read: %v", r, err)
				}
			}
		}
	})
}

func TestRuns(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		numbers := rapid.SliceOf(rapid.Uint64Range(0, 50)).Draw(t, "numbers")
		var rs Runs
		for _, n := range numbers {
			rs = rs.Add(n)
		}
		var back Runs
		if err := back.UnmarshalWire(rs.AppendWire(nil)); err != nil {
			t.Fatal(err)
		}
		var got []uint64
		back.Each(func(n uint64) bool { got = append(got, n); return true })
		if !slices.Equal(got, numbers) || back.Len() != uint64(len(numbers)) {
			t.Fatalf("%v came back as %v", numbers, got)
		}
	})
	even := Runs{}
	for n := uint64(100); n < 10_000; n += 2 {
		even = even.Add(n)
	}
	if len(even) != 1 {
		t.Fatalf("evenly spaced numbers take %d runs", len(even))
	}
}

func TestKeysParse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		fid := mapi.LocalFID(mapi.GlobalCounter(rapid.Uint64Range(0, 1<<48-1).Draw(t, "fid")))
		uid := mapi.UID(rapid.Uint32().Draw(t, "uid"))
		f, u, err := ParseRowKey(RowKey(fid, uint64(uid)))
		if err != nil || f != fid || u != uid {
			t.Fatalf("row key of %x %d reads %x %d, %v", fid, uid, f, u, err)
		}
		if bytes.Compare(RowKey(fid, uint64(uid)), RowKey(fid, EndOfUIDs)) >= 0 && fid.Counter() < mapi.MaxGlobalCounter {
			t.Fatal("the bound is not above the row")
		}
		if s, err := ParseStampKey(ChangeKey(fid, 77)); err != nil || s != 77 {
			t.Fatalf("stamp reads %d, %v", s, err)
		}
	})
}

func BenchmarkRowDecode(b *testing.B) {
	r := Row{Bits: 1, ModSeq: 90000, CN: 80000, ReadCN: 90000, MID: mapi.NewMID(1, 70000), Object: 5000, Size: 4096, Prefix: 200, Props: 300,
		Received: mapi.FileTimeOf(time.Unix(1.7e9, 0)), Saved: 1.7e9}
	stored := r.AppendWire(nil)
	b.ReportMetric(float64(len(stored)), "bytes/row")
	for b.Loop() {
		if err := r.UnmarshalWire(stored); err != nil {
			b.Fatal(err)
		}
	}
}

// TestLocalNames: what a language says is about folders below the IPM subtree, and names no two siblings alike.
func TestLocalNames(t *testing.T) {
	for language, names := range localNames {
		for id := range names {
			if f := Fixed(mapi.LocalFID(id)); f == nil || f.Parent != IPMSubtree.Counter() && f.Parent != 0x19 {
				t.Errorf("%s names folder %#x", language, id)
			}
		}
		type place struct {
			parent mapi.GlobalCounter
			name   string
		}
		taken := map[place]bool{}
		for i := range FixedFolders {
			f := &FixedFolders[i]
			name := f.NameIn(language)
			at := place{f.Parent, strings.ToLower(name)}
			if taken[at] || name != norm.NFC.String(name) || strings.TrimSpace(name) == "" {
				t.Errorf("%s: %q is taken or malformed", language, name)
			}
			taken[at] = true
		}
	}
	inbox := Fixed(Inbox)
	for tag, want := range map[string]string{"": "Inbox", "en-GB": "Inbox", "de": "Posteingang", "DE-ch": "Posteingang", "fr_FR.UTF-8": "Boîte de réception",
		"x-klingon": "Inbox", "dee": "Inbox", "-": "Inbox", "pt-BR": "Caixa de Entrada"} {
		if got := inbox.NameIn(tag); got != want {
			t.Errorf("in %q: %q, want %q", tag, got, want)
		}
	}
}

func TestKeysOfAutomationComeBack(t *testing.T) {
	if o, err := ParseExtendedRuleKey(ExtendedRuleKey(1 << 40)); err != nil || o != 1<<40 {
		t.Errorf("%v, %v", o, err)
	}
	if o, err := ParseConversationActionKey(ConversationActionKey(make([]byte, 16), 1<<40)); err != nil || o != 1<<40 {
		t.Errorf("%v, %v", o, err)
	}
	list, entry, err := ParseJunkKey(JunkKey(exmdb.JunkSafeSenders, "@Example.test"))
	if err != nil || list != exmdb.JunkSafeSenders || entry != "@example.test" {
		t.Errorf("%v %q, %v", list, entry, err)
	}
	for _, k := range [][]byte{nil, {PrefixJunk}, JunkKey(exmdb.JunkBlocked, ""), OutgoingKey(1)} {
		if _, _, err := ParseJunkKey(k); err == nil {
			t.Errorf("%x is no entry of a list", k)
		}
		if _, err := ParseConversationActionKey(k); err == nil {
			t.Errorf("%x is no action on a conversation", k)
		}
		if _, err := ParseExtendedRuleKey(k); err == nil {
			t.Errorf("%x is no extended rule", k)
		}
	}
	if s := AnsweredScopeKey(ScopeExtended | 5); !bytes.HasPrefix(AnsweredKey(ScopeExtended|5, [16]byte{1}), s) || bytes.Equal(s, AnsweredScopeKey(5)) {
		t.Error("scopes are not apart")
	}
}
