package exmdb

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

var rewrite = flag.Bool("rewrite", false, "add what is new to the golden file")

// opRow is an op with values of what it asks and answers.
type opRow struct {
	OpInfo
	request, answer any
}

func rowOf[Q, R any](op Op[Q, R]) opRow { return opRow{op.OpInfo, new(Q), new(R)} }

// allOps is every op; TestEveryOpIsListed compares it with the sources.
var allOps = []opRow{
	rowOf(OpCreateMailbox), rowOf(OpMailboxInfo), rowOf(OpSetQuota), rowOf(OpListFolders), rowOf(OpFolder), rowOf(OpCreateFolder),
	rowOf(OpMoveFolder), rowOf(OpDeleteFolder), rowOf(OpSubscribe), rowOf(OpDeliver), rowOf(OpAppend), rowOf(OpRows), rowOf(OpUIDs),
	rowOf(OpReadBytes), rowOf(OpSetFlags), rowOf(OpCopy), rowOf(OpMove), rowOf(OpExpunge), rowOf(OpChanges), rowOf(OpWatch), rowOf(OpUploadChunk),
	rowOf(OpReadProps), rowOf(OpWriteProps), rowOf(OpCreateMessage), rowOf(OpReadMessage), rowOf(OpSaveMessage), rowOf(OpReadValue),
	rowOf(OpPropertyIDs), rowOf(OpNameProperties), rowOf(OpPropertyNames), rowOf(OpReceiveFolder), rowOf(OpSetReceiveFolder),
	rowOf(OpReceiveFolders), rowOf(OpLocalReplicaIDs), rowOf(OpLongTermIDs), rowOf(OpShortTermIDs), rowOf(OpMarkMessages),
	rowOf(OpCopyMessages), rowOf(OpMoveMessages), rowOf(OpLocate), rowOf(OpCarryAcross), rowOf(OpCrossing), rowOf(OpReadCrossing),
	rowOf(OpTakeIn), rowOf(OpFinishCrossing), rowOf(OpSetReadFlags), rowOf(OpPerUser), rowOf(OpWritePerUser), rowOf(OpPerUserFolders),
	rowOf(OpPermissions), rowOf(OpModifyPermissions), rowOf(OpEffectiveRights), rowOf(OpDeleteMessages), rowOf(OpDeleted),
	rowOf(OpRecoverMessages), rowOf(OpPurgeDeleted), rowOf(OpDeletedFolders), rowOf(OpRecoverFolder), rowOf(OpEmptyFolder),
	rowOf(OpCopyFolder), rowOf(OpSendRights), rowOf(OpDelegates), rowOf(OpSetDelegates), rowOf(OpSetReadState), rowOf(OpChangeDelegate), rowOf(OpReminders), rowOf(OpSubmitMessage), rowOf(OpAbortSubmit), rowOf(OpDeleteMailbox),
	rowOf(OpSyncContents), rowOf(OpSyncHierarchy), rowOf(OpImportMessage), rowOf(OpImportFolder), rowOf(OpImportDeletes), rowOf(OpImportMove),
	rowOf(OpImportReadStates), rowOf(OpEvents), rowOf(OpTableEvents),
	rowOf(OpTableRows), rowOf(OpTableSeek), rowOf(OpTableFind), rowOf(OpTableChanges), rowOf(OpTableColumns),
	rowOf(OpSetSearchCriteria), rowOf(OpSearchCriteria), rowOf(OpNarrow), rowOf(OpKeepOrder),
	rowOf(OpGetRules), rowOf(OpModifyRules), rowOf(OpDeferred), rowOf(OpOOF), rowOf(OpSetOOF), rowOf(OpJunk), rowOf(OpSetJunk),
	rowOf(OpOutgoing), rowOf(OpReadOutgoing), rowOf(OpFinishOutgoing),
}

// sources are the files of the package without its tests.
func sources(t *testing.T) []*ast.File {
	t.Helper()
	paths, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var files []*ast.File
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	return files
}

// TestEveryOpIsListed: what the sources declare as an op is in allOps, and with it in the golden file.
func TestEveryOpIsListed(t *testing.T) {
	listed := map[string]bool{}
	for _, op := range allOps {
		listed[strconv.Itoa(int(op.ID))+" "+strconv.Quote(op.Name)] = true
	}
	declared := 0
	for _, f := range sources(t) {
		ast.Inspect(f, func(n ast.Node) bool {
			lit, is := n.(*ast.CompositeLit)
			if !is || len(lit.Elts) != 3 {
				return true
			}
			name, is := lit.Type.(*ast.Ident)
			if !is || name.Name != "OpInfo" {
				return true
			}
			declared++
			op := lit.Elts[0].(*ast.BasicLit).Value + " " + lit.Elts[1].(*ast.BasicLit).Value
			if !listed[op] {
				t.Errorf("op %s is not in allOps", op)
			}
			return true
		})
	}
	if declared != len(allOps) || declared < 60 {
		t.Errorf("%d ops are declared and %d listed", declared, len(allOps))
	}
}

// kinds lists the kinds of refusal as they are written.
func kinds(t *testing.T) []string {
	var lines []string
	for _, f := range sources(t) {
		ast.Inspect(f, func(n ast.Node) bool {
			spec, is := n.(*ast.ValueSpec)
			if is && strings.HasPrefix(spec.Names[0].Name, "Kind") {
				lines = append(lines, spec.Values[0].(*ast.BasicLit).Value+" "+spec.Names[0].Name)
			}
			return true
		})
	}
	return lines
}

// example gives every field of a value, and of what is in it, something to say that depends on its tag alone.
func example(v reflect.Value, tag int, open map[reflect.Type]bool) {
	switch x := v.Addr().Interface().(type) {
	case *mapi.PropBag:
		x.Set(mapi.PidTagSubject, mapi.String("subject"))
		x.Set(mapi.PidTagImportance, mapi.Integer32(tag))
		return
	case *mapi.IDSET:
		*x = mapi.IDSETOf(mapi.GUID{byte(tag)}, mapi.GLOBSETOf([]mapi.GlobalCounter{0x100, 0x101, 0x205}))
		return
	case *mapi.GLOBSET:
		*x = mapi.GLOBSETOf([]mapi.GlobalCounter{0x100, 0x101, 0x205})
		return
	case *time.Time:
		*x = time.Unix(1.8e9+int64(tag), 0).UTC()
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uint:
		v.SetUint(uint64(tag))
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(-int64(tag))
	case reflect.Float64:
		v.SetFloat(float64(tag) / 2)
	case reflect.String:
		v.SetString("text " + strconv.Itoa(tag))
	default:
		exampleOfMany(v, tag, open)
	}
}

// exampleOfMany is example for what has parts. A type that is inside itself stays empty there.
func exampleOfMany(v reflect.Value, tag int, open map[reflect.Type]bool) {
	switch v.Kind() {
	case reflect.Array:
		for i := range v.Len() {
			example(v.Index(i), tag+i, open)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range 2 {
			example(v.Index(i), tag+i, open)
		}
		if e := v.Type().Elem(); open[e] {
			v.SetZero()
		}
	case reflect.Pointer:
		if !open[v.Type().Elem()] {
			v.Set(reflect.New(v.Type().Elem()))
			example(v.Elem(), tag, open)
		}
	case reflect.Struct:
		if open[v.Type()] {
			return
		}
		open[v.Type()] = true
		for i := range v.NumField() {
			if n, err := strconv.Atoi(v.Type().Field(i).Tag.Get("wire")); err == nil {
				example(v.Field(i), n, open)
			}
		}
		delete(open, v.Type())
	default:
		panic(fmt.Sprintf("no example of %v", v.Type()))
	}
}

// laterField is a number under tag 1000, as a later release may add it to any message.
var laterField = []byte{0xC0, 0x3E, 0x05}

// form is the example of a message as it goes over the wire. It comes back as it was, and so it does from a release that
// says more.
func form(t *testing.T, name string, v any) string {
	t.Helper()
	example(reflect.ValueOf(v).Elem(), 0, map[reflect.Type]bool{})
	b := wire.Marshal(v)
	for _, sent := range [][]byte{b, append(slices.Clone(b), laterField...)} {
		back := reflect.New(reflect.TypeOf(v).Elem()).Interface()
		if err := wire.Unmarshal(sent, back); err != nil {
			t.Errorf("%s: %v", name, err)
		} else if !reflect.DeepEqual(back, v) {
			t.Errorf("%s: %+v came back as %+v", name, v, back)
		}
	}
	return name + " " + hex.EncodeToString(b)
}

// goldenText is what the golden file should say, and which of its lines may never go.
func goldenText(t *testing.T) (text string, forEver map[string]bool) {
	ops, fields, forms := []string{"# ops"}, []string{"# fields"}, []string{"# forms"}
	for _, op := range allOps {
		ops = append(ops, fmt.Sprintf("%d %s write=%v %v %v", op.ID, op.Name, op.Write, reflect.TypeOf(op.request).Elem(), reflect.TypeOf(op.answer).Elem()))
		for part, v := range map[string]any{"request": op.request, "answer": op.answer} {
			for _, line := range wire.Describe(v) {
				if !slices.Contains(fields, line) {
					fields = append(fields, line)
				}
			}
			forms = append(forms, form(t, fmt.Sprintf("%d %s %s", op.ID, op.Name, part), v))
		}
	}
	slices.SortFunc(ops[1:], byNumber)
	slices.Sort(fields[1:])
	slices.SortFunc(forms[1:], byNumber)
	lasting := slices.Concat(ops, []string{"# kinds of refusal"}, kinds(t), fields)
	forEver = make(map[string]bool, len(lasting))
	for _, line := range lasting {
		forEver[line] = true
	}
	return strings.Join(slices.Concat(lasting, forms), "\n") + "\n", forEver
}

func byNumber(a, b string) int {
	number := func(s string) int {
		n, _, _ := strings.Cut(s, " ")
		i, err := strconv.Atoi(n)
		if err != nil {
			panic(err)
		}
		return i
	}
	if d := number(a) - number(b); d != 0 {
		return d
	}
	return strings.Compare(a, b)
}

// TestGolden holds what is for ever: the numbers and names of ops, their messages' fields, and the kinds of refusal. A line
// may be added (-rewrite), none may change or go, and what was sent once is still read.
func TestGolden(t *testing.T) {
	const path = "testdata/golden.txt"
	text, forEver := goldenText(t)
	once(t, forEver)
	stored, err := os.ReadFile(path)
	if err != nil && !*rewrite {
		t.Fatal(err)
	}
	lasting, forms, _ := strings.Cut(string(stored), "# forms\n")
	for line := range strings.Lines(lasting) {
		if line = strings.TrimSuffix(line, "\n"); !forEver[line] {
			t.Errorf("%q is for ever, and has changed or gone", line)
		}
	}
	stillRead(t, forms)
	if t.Failed() || string(stored) == text {
		return
	}
	if !*rewrite {
		t.Fatal("there are ops, fields or kinds that the golden file does not say: go test -rewrite adds them")
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// once refuses a number or a name that two ops or kinds have.
func once(t *testing.T, lines map[string]bool) {
	seen := map[string]string{}
	for line := range lines {
		words := strings.Fields(line)
		if _, err := strconv.Atoi(words[0]); err != nil {
			continue
		}
		for _, word := range words[:2] {
			if other, twice := seen[word]; twice {
				t.Errorf("%q and %q", line, other)
			}
			seen[word] = line
		}
	}
}

// stillRead holds that messages of before are read as what they were.
func stillRead(t *testing.T, forms string) {
	messages := map[string]any{}
	for _, op := range allOps {
		messages[fmt.Sprintf("%d %s request", op.ID, op.Name)] = op.request
		messages[fmt.Sprintf("%d %s answer", op.ID, op.Name)] = op.answer
	}
	for line := range strings.Lines(forms) {
		at := strings.LastIndexByte(line, ' ')
		sent, err := hex.DecodeString(strings.TrimSuffix(line[at+1:], "\n"))
		v := messages[line[:at]]
		if err != nil || v == nil {
			t.Errorf("%q: %v", line, err)
			continue
		}
		back := reflect.New(reflect.TypeOf(v).Elem()).Interface()
		if err := wire.Unmarshal(sent, back); err != nil || !bytes.Equal(wire.Marshal(back), sent) {
			t.Errorf("%s is read as %+v, %v", line[:at], back, err)
		}
	}
}
