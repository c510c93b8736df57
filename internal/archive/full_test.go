package archive

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/convert/oxcmsg"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"
)

// anotherMailbox are the properties that are others in another mailbox: which object something is, which change it is of, and
// what is counted. Everything else has to be the same.
var anotherMailbox = ids(mapi.PidTagEntryId, mapi.PidTagDeletedOn, mapi.PidTagRecordKey, mapi.PidTagParentEntryId, mapi.PidTagMid, mapi.PidTagInstID, mapi.PidTagFolderId, mapi.PidTagParentFolderId, mapi.PidTagSourceKey, mapi.PidTagParentSourceKey, mapi.PidTagStoreRecordKey, mapi.PidTagMappingSignature, mapi.PidTagInternetArticleNumber, mapi.PidTagChangeNumber, mapi.PidTagMessageSize, mapi.PidTagMessageSizeExtended, mapi.PidTagLocalCommitTimeMax, mapi.PidTagNormalMessageSize, mapi.PidTagNormalMessageSizeExtended, mapi.PidTagAssociatedMessageSize, mapi.PidTagAssociatedMessageSizeExtended, mapi.PidTagAttachSize)

// ofAChange are those that a received mail, and a folder, has anew; a message that is made of its properties has those it had.
var ofAChange = ids(mapi.PidTagChangeKey, mapi.PidTagHierarchyChangeNumber, mapi.PidTagHierRev, mapi.PidTagPredecessorChangeList, mapi.PidTagLastModificationTime, mapi.PidTagLocalCommitTime, mapi.PidTagCreationTime, mapi.PidTagHasNamedProperties)

// anotherStore are those of a mailbox.
var anotherStore = ids(mapi.PidTagIpmSubtreeEntryId, mapi.PidTagMailboxOwnerEntryId, mapi.PidTagCreationTime)

func must[Q, R any](s *site, op exmdb.Op[Q, R], box mapi.MailboxID, req *Q) *R {
	s.t.Helper()
	resp, err := exmdb.Do(s.t.Context(), s, exmdb.System, box, op, req)
	if err != nil {
		s.t.Fatalf("%s: %v", op.Name, err)
	}
	return resp
}

var boundaries = regexp.MustCompile("=_[0-9a-f]{24}")

// dumper writes properties by name.
type dumper struct {
	*walker
	names func(uint16) (mapi.PropertyName, bool)
	text  strings.Builder
}

func (d *dumper) bag(at exmdb.ObjectID, bag *mapi.PropBag, without map[uint16]bool) {
	var lines []string
	for _, p := range bag.All() {
		name, tag := p.Tag.Name(), p.Tag.String()
		if p.Tag.Named() {
			n, _ := d.names(p.Tag.ID())
			name, tag = fmt.Sprint(n, p.Tag.Type()), ""
		}
		if p.Tag == importKey || anotherMailbox[p.Tag.ID()] || without[p.Tag.ID()] {
			continue
		}
		if _, long := p.Value.(mapi.Reference); long {
			var b bytes.Buffer
			_, err := b.ReadFrom(&valueReader{j: d.j, object: at, tag: p.Tag})
			lines = append(lines, fmt.Sprintf("   %s %s long %x %v\n", name, tag, hashOf(b.Bytes()), err))
			continue
		}
		lines = append(lines, fmt.Sprintf("   %s %s %s\n", name, tag, d.value(p)))
	}
	slices.Sort(lines)
	fmt.Fprintf(&d.text, "  object %v embedded %v\n%s", at.Attachments, at.Embedded, strings.Join(lines, ""))
}

// value is a value in words: of a folder's entry id its path, of an extended rule what it does.
func (d *dumper) value(p mapi.Prop) string {
	d.t.Helper()
	switch v := p.Value.(type) {
	case mapi.Binary:
		if p.Tag != mapi.PidTagExtendedRuleMessageActions {
			return fmt.Sprintf("%q", d.bytes(v))
		}
		a, err := oxcdata.ParseExtendedActions(v)
		text := fmt.Sprint(a.Named, err)
		for _, action := range a.Actions {
			text += "; " + d.action(action)
		}
		return text
	case mapi.Binaries:
		var list []string
		for _, b := range v {
			list = append(list, d.bytes(b))
		}
		return fmt.Sprintf("%q", list)
	case mapi.Opaque:
		if id, err := oxcdata.ServerIDOf(v); p.Tag.Type() == mapi.TypeServerID && err == nil && id.Ours {
			return d.j.tree.path(id.FID)
		}
	}
	return fmt.Sprint(p.Value)
}

// maker makes random mailboxes.
type maker struct {
	*site
	rand *rand.Rand
	box  mapi.MailboxID
	at   time.Time
}

func (m *maker) one(list ...string) string { return list[m.rand.IntN(len(list))] }

// props are random properties: of tags that have a meaning and of others, of names, short and long ones.
func (m *maker) props(names *oxcmsg.Names) mapi.PropBag {
	var bag mapi.PropBag
	long := strings.Repeat(m.one("long ", "länger "), 200+m.rand.IntN(60_000))
	for _, p := range []mapi.Prop{
		{Tag: mapi.PidTagSubject, Value: mapi.String(m.one("RE: Harbour", "Größe", ""))}, {Tag: mapi.PidTagBody, Value: mapi.String(m.one("text", long))},
		{Tag: mapi.PidTagHtml, Value: mapi.Binary("<p>" + m.one("a", long))}, {Tag: mapi.PidTagImportance, Value: mapi.Integer32(m.rand.IntN(3))},
		{Tag: mapi.PidTagMessageClass, Value: mapi.String(m.one("IPM.Note", "IPM.Contact", "IPM.Task", "IPM.StickyNote"))},
		{Tag: mapi.PidTagMessageFlags, Value: mapi.Integer32(m.rand.IntN(2)*mapi.MessageFlagRead + m.rand.IntN(2)*mapi.MessageFlagUnsent)},
		{Tag: mapi.PidTagFlagStatus, Value: mapi.Integer32(m.rand.IntN(3))}, {Tag: mapi.PidTagLastVerbExecuted, Value: mapi.Integer32(102 + m.rand.IntN(3))},
		{Tag: mapi.PidTagIconIndex, Value: mapi.Integer32(261)}, {Tag: mapi.PidTagMessageDeliveryTime, Value: mapi.FileTimeOf(m.at.Add(time.Duration(m.rand.IntN(1e9)) * time.Second))},
		{Tag: mapi.NewTag(0x3F00+uint16(m.rand.IntN(16)), mapi.TypeMultiString), Value: mapi.Strings{"a", "b"}},
		{Tag: mapi.NewTag(0x6900, mapi.TypeBinary), Value: mapi.Binary(m.one("\x00", long))}, {Tag: mapi.NewTag(0x6901, mapi.TypeFloating64), Value: mapi.Floating64(m.rand.Float64())},
		{Tag: mapi.NewTag(0x6902, mapi.TypeGUID), Value: mapi.NewGUID()}, {Tag: mapi.NewTag(0x6903, mapi.TypeInteger64), Value: mapi.Integer64(m.rand.Int64())},
		{Tag: mapi.PidTagClientSubmitTime, Value: mapi.FileTimeOf(m.at)}, {Tag: mapi.PidTagInternetMessageId, Value: mapi.String(fmt.Sprintf("<%d@example.org>", m.rand.Int64()))},
	} {
		if m.rand.IntN(3) > 0 {
			bag.Set(p.Tag, p.Value)
		}
	}
	m.named(&bag, names)
	return bag
}

func (m *maker) named(bag *mapi.PropBag, names *oxcmsg.Names) {
	for range m.rand.IntN(5) {
		p := mapi.NamedProperty{PropertyName: mapi.PropertyName{Set: mapi.GUID{byte(m.rand.IntN(3))}, Kind: mapi.NameByString, Name: m.one("Colour", "Größe", "X")}, Type: mapi.TypeString}
		names.Set(bag, p, mapi.String(m.one("red", "blue", strings.Repeat("x", 9000))))
	}
	names.Set(bag, mapi.PidLidLocation, mapi.String(m.one("Room 1", "Room 2")))
	if m.rand.IntN(2) == 0 {
		names.Set(bag, mapi.PidNameKeywords, mapi.Strings{m.one("Red", "Blue sky")})
	}
}

func (m *maker) message(names *oxcmsg.Names, depth int) exmdb.MessageEdit {
	e := exmdb.MessageEdit{Clear: true, Set: m.props(names), ReplaceRecipients: true}
	for i := range m.rand.IntN(4) {
		var r mapi.PropBag
		r.Set(mapi.PidTagRecipientType, mapi.Integer32(1+m.rand.IntN(3)))
		r.Set(mapi.PidTagDisplayName, mapi.String(m.one("Anna", "Bert", "Größe")))
		r.Set(mapi.PidTagSmtpAddress, mapi.String(fmt.Sprintf("r%d@example.org", i)))
		e.Recipients = append(e.Recipients, r)
	}
	for i := range m.rand.IntN(3) {
		a := exmdb.AttachmentEdit{Number: uint32(i * 3)}
		a.Set.Set(mapi.PidTagAttachLongFilename, mapi.String(m.one("a.txt", "Größe.pdf")))
		m.named(&a.Set, names)
		if a.Set.Set(mapi.PidTagAttachMethod, mapi.Integer32(mapi.AttachEmbedded)); depth == 0 || m.rand.IntN(2) == 0 {
			a.Set.Set(mapi.PidTagAttachMethod, mapi.Integer32(1))
			a.Set.Set(mapi.PidTagAttachDataBinary, mapi.Binary(strings.Repeat(m.one("data", "DATA"), 1+m.rand.IntN(90_000))))
		} else {
			inside := m.message(names, depth-1)
			a.Embedded = &inside
		}
		e.Attachments = append(e.Attachments, a)
	}
	return e
}

// create makes a message of its properties, its long values ahead as a client sends them.
func (m *maker) create(folder mapi.FID, associated bool) {
	m.t.Helper()
	j := &job{Job: m.job(m.box, "", ""), ctx: m.t.Context()}
	names := &oxcmsg.Names{}
	content := contentOf(m.message(names, 3))
	if err := j.uploadLong(&content); err != nil {
		m.t.Fatal(err)
	}
	must(m.site, exmdb.OpCreateMessage, m.box, &exmdb.CreateMessageRequest{Folder: folder, Associated: associated, Message: edit(&content),
		Payload: exmdb.Payload{Names: names.List()}})
}

// contentOf is what a message becomes by an edit.
func contentOf(e exmdb.MessageEdit) exmdb.MessageContent {
	c := exmdb.MessageContent{Props: e.Set, Recipients: e.Recipients}
	for _, a := range e.Attachments {
		x := exmdb.Attachment{Number: a.Number, Props: a.Set}
		if a.Embedded != nil {
			inside := contentOf(*a.Embedded)
			x.Embedded = &inside
		}
		c.Attachments = append(c.Attachments, x)
	}
	return c
}

// fill makes folders with properties and rights, mails with edits of what their octets do not say, items and associated ones.
func (m *maker) fill() {
	m.t.Helper()
	folders := []mapi.FID{schema.Inbox, schema.Calendar, schema.Sent}
	for range 4 {
		parent := folders[m.rand.IntN(len(folders))]
		f := must(m.site, exmdb.OpCreateFolder, m.box, &exmdb.CreateFolderRequest{Parent: parent, Name: fmt.Sprintf("%s %d", m.one("a/b", "Größe", "."), m.rand.IntN(1e6)),
			Class: m.one("IPF.Note", "IPF.Contact")})
		folders = append(folders, f.Folder.FID)
		names := &oxcmsg.Names{}
		var bag mapi.PropBag
		bag.Set(mapi.PidTagComment, mapi.String(m.one("remark", "other")))
		m.named(&bag, names)
		must(m.site, exmdb.OpWriteProps, m.box, &exmdb.WritePropsRequest{Object: exmdb.ObjectID{Folder: f.Folder.FID}, Set: bag, Payload: exmdb.Payload{Names: names.List()}})
		must(m.site, exmdb.OpModifyPermissions, m.box, &exmdb.ModifyPermissionsRequest{Folder: folders[m.rand.IntN(len(folders))], FreeBusy: true,
			Changes: []exmdb.PermissionChange{{Kind: exmdb.PermissionAdd, Member: exmdb.Member{User: mapi.NewGUID(), Name: m.one("Carol", "Dora"), Rights: exmdb.RightReadAny | exmdb.RightFolderVisible}}}})
	}
	m.searches(folders)
	m.settings(folders)
	mails := corpus(m.t)
	for range 25 {
		folder := folders[m.rand.IntN(len(folders))]
		switch m.rand.IntN(4) {
		case 0:
			m.create(folder, true)
		case 1, 2:
			m.create(folder, false)
		default:
			m.append(m.box, folder, string(mails[m.rand.IntN(len(mails))]), exmdb.Flags{Bits: exmdb.FlagBits(m.rand.IntN(64)), Keywords: []string{"One", "Two"}[:m.rand.IntN(3)]}, m.at)
			m.annotate(folder)
		}
	}
	for _, folder := range folders {
		m.discard(folder)
	}
}

// annotate edits a mail as clients do that mark it for follow-up, with properties that its octets do not show.
func (m *maker) annotate(folder mapi.FID) {
	m.t.Helper()
	rows := must(m.site, exmdb.OpRows, m.box, &exmdb.RowsRequest{Folder: folder, Fields: exmdb.RowMeta})
	names := &oxcmsg.Names{}
	var bag mapi.PropBag
	names.Set(&bag, mapi.PidLidFlagRequest, mapi.String(m.one("Follow up", strings.Repeat("long", 5000))))
	bag.Set(mapi.PidTagFlagStatus, mapi.Integer32(1))
	bag.Set(mapi.PidTagLastVerbExecuted, mapi.Integer32(102+m.rand.IntN(3)))
	must(m.site, exmdb.OpSaveMessage, m.box, &exmdb.SaveMessageRequest{Message: rows.Rows[len(rows.Rows)-1].MID, Force: true,
		Edit: exmdb.MessageEdit{Set: bag}, Payload: exmdb.Payload{Names: names.List()}})
}

// TestArchiveIsWhole: of random mailboxes everything that ops read is the same in an empty mailbox once an archive has been
// there; the archive of that mailbox says the same again; and nothing comes twice, nor into the mailbox that it is of.
func TestArchiveIsWhole(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rounds := uint64(3)
	if testing.Short() {
		rounds = 1
	}
	for round := range rounds {
		s := newSite(t)
		m := &maker{site: s, rand: rand.New(rand.NewPCG(seed, round)), box: s.mailbox(0), at: time.Date(2025, 5, 6, 7, 8, 9, 0, time.UTC)}
		m.fill()
		path := filepath.Join(t.TempDir(), "a.flotilla")
		done := s.out(s.job(m.box, "", path))
		back := s.mailbox(0)
		if p := s.in(s.job(back, "", path)); p.Messages != done.Messages || done.Messages < 25 {
			t.Fatalf("%+v, then %+v", done, p)
		}
		want, asked := s.walk(m.box)
		walks(t, asked)
		sameText(t, s.dump(back), want)
		for _, box := range []mapi.MailboxID{back, m.box} {
			if p := s.in(s.job(box, "", path)); p.Messages != 0 || p.Known != done.Messages {
				t.Errorf("again: %+v", p)
			}
			sameText(t, s.dump(box), want)
		}
	}
}

func sameText(t *testing.T, got, want string) {
	t.Helper()
	x, y := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(x), len(y)) {
		if x[i] != y[i] {
			t.Fatalf("line %d:\n%s\ninstead of\n%s\nin\n%s", i, x[i], y[i], strings.Join(y[max(0, i-30):min(len(y), i+5)], "\n"))
		}
	}
	if len(x) != len(y) {
		t.Fatalf("%d lines, want %d", len(x), len(y))
	}
}

// TestArchiveOfAFolder: an archive of one folder brings that one; below a folder of the job comes what is in the IPM subtree,
// with the fixed folders as any others.
func TestArchiveOfAFolder(t *testing.T) {
	s := newSite(t)
	box, dir := s.mailbox(0), t.TempDir()
	s.fill(box)
	all := s.mails(box)
	part := s.job(box, "", filepath.Join(dir, "part.flotilla"))
	part.Folder = "projects"
	done := s.out(part)
	back := s.mailbox(0)
	s.in(s.job(back, "", part.Path))
	want := slices.DeleteFunc(slices.Clone(all), func(m mail) bool { return !strings.HasPrefix(m.folder, "Projects/") })
	if sameMails(t, s.mails(back), want); done.Messages != len(want) || len(want) == 0 {
		t.Errorf("%+v, %d mails", done, len(want))
	}
	whole := s.job(box, "", filepath.Join(dir, "whole.flotilla"))
	s.out(whole)
	into := s.job(s.mailbox(0), "", whole.Path)
	into.Folder = "From Alice/2026"
	s.in(into)
	into.Mailbox = box // elsewhere in the mailbox that it is of
	if p := s.in(into); p.Messages != len(all) {
		t.Errorf("%+v, %d mails", p, len(all))
	}
	into.Mailbox = s.mailbox(0)
	s.in(into)
	for i := range all {
		all[i].folder = into.Folder + "/" + all[i].folder
	}
	sameMails(t, s.mails(into.Mailbox), all)
	if p := s.in(into); p.Messages != 0 || p.Known != len(all) {
		t.Errorf("again: %+v", p)
	}
}

// meddler changes a message once while it is being read.
type meddler struct {
	*site
	done bool
}

// Call implements exmdb.Caller.
func (m *meddler) Call(ctx context.Context, as exmdb.Identity, box mapi.MailboxID, op exmdb.OpInfo, req, resp any) error {
	if value, is := req.(*exmdb.ReadValueRequest); is && !m.done {
		m.done = true
		var bag mapi.PropBag
		bag.Set(mapi.PidTagBody, mapi.String(strings.Repeat("newer ", 9000)))
		must(m.site, exmdb.OpWriteProps, box, &exmdb.WritePropsRequest{Object: exmdb.ObjectID{Message: value.Object.Message}, Set: bag})
	}
	return m.site.Call(ctx, as, box, op, req, resp)
}

// TestChangedMeanwhile: a message that is changed while it is exported is exported as it is then, once.
func TestChangedMeanwhile(t *testing.T) {
	s := newSite(t)
	box := s.mailbox(0)
	j := &job{Job: s.job(box, "", ""), ctx: t.Context()}
	for _, subject := range []string{"a", "b"} {
		var c exmdb.MessageContent
		c.Props.Set(mapi.PidTagSubject, mapi.String(subject))
		c.Props.Set(mapi.PidTagBody, mapi.String(strings.Repeat("older ", 9000)))
		if err := j.uploadLong(&c); err != nil {
			t.Fatal(err)
		}
		must(s, exmdb.OpCreateMessage, box, &exmdb.CreateMessageRequest{Folder: schema.Drafts, Message: edit(&c)})
	}
	out := s.job(box, "", filepath.Join(t.TempDir(), "a.flotilla"))
	out.Caller = &meddler{site: s}
	back := s.mailbox(0)
	if p := s.out(out); p.Messages != 2 {
		t.Fatalf("%+v", p)
	}
	for _, want := range []Progress{{Messages: 2}, {Known: 2}} {
		if p := s.in(s.job(back, "", out.Path)); p.Messages != want.Messages || p.Known != want.Known {
			t.Errorf("%+v", p)
		}
	}
	sameText(t, s.dump(back), s.dump(box))
}
