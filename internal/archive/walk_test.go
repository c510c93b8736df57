package archive

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/inspect"
	"github.com/flotilla-mail/flotilla/exmdb/store"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"
)

// walker says all that ops read of a mailbox in words, without what is another in another mailbox.
type walker struct {
	*site
	listener *listener
	box      mapi.MailboxID
	j        *job
	names    func(uint16) (mapi.PropertyName, bool)
	// entries are entry ids of folders with their paths, subjects those of messages that templates are.
	entries map[string]string
	out     strings.Builder
}

func (s *site) dump(box mapi.MailboxID) string {
	s.t.Helper()
	text, _ := s.walk(box)
	return text
}

// walk is dump, and says which ops it asked.
func (s *site) walk(box mapi.MailboxID) (string, map[string]bool) {
	s.t.Helper()
	w := &walker{site: s, listener: &listener{s, map[string]bool{}}, box: box, j: &job{Job: s.job(box, "", ""), ctx: s.t.Context()}, entries: map[string]string{}}
	w.j.Caller = w.listener
	var err error
	if w.j.tree, err = readTree(s.t.Context(), w.listener, box); err != nil {
		s.t.Fatal(err)
	}
	info := ask(w, exmdb.OpMailboxInfo, &exmdb.Empty{})
	w.names = nameIn(ask(w, exmdb.OpPropertyNames, &exmdb.PropertyNamesRequest{}).Names)
	for _, f := range w.j.tree.list {
		id := oxcdata.FolderOf(box, mapi.GID{Replica: info.ReplicaGUID, Counter: f.FID.Counter()})
		w.entries[string(id.Append(nil))] = "folder:" + w.j.tree.path(f.FID)
	}
	w.mailbox()
	all := slices.Clone(w.j.tree.list)
	slices.SortFunc(all, func(a, b *exmdb.Folder) int { return strings.Compare(w.j.tree.path(a.FID), w.j.tree.path(b.FID)) })
	for _, f := range all {
		w.folder(f)
	}
	return w.out.String(), w.listener.asked
}

func ask[Q, R any](w *walker, op exmdb.Op[Q, R], req *Q) *R {
	w.t.Helper()
	resp, err := exmdb.Do(w.t.Context(), w.listener, exmdb.System, w.box, op, req)
	if err != nil {
		w.t.Fatalf("%s: %v", op.Name, err)
	}
	return resp
}

// ofTheBox are fields of what inspect says that are others in another mailbox: which object something is, which change it is of,
// when that was, what is counted in bytes. Every other field has to be the same, those of later releases too.
var ofTheBox = []string{"mailbox", "owner", "replica", "created", "stamp", "floor", "sequence", "used", "deleted", "id", "parent", "folder", "object",
	"uid", "cn", "read_cn", "modseq", "change_key", "pcl", "content_seq", "uid_validity", "uid_next", "size", "deleted_at", "at", "after"}

// numbered are words of inspect with a number of the mailbox; what they name is compared elsewhere.
var numbered = regexp.MustCompile(`template [0-9a-f]+-[0-9a-f]+|folder [0-9a-f]+ of mailbox [0-9a-f-]+`)

func (w *walker) show(part string, q inspect.Query) {
	w.t.Helper()
	box := &inspect.Mailbox{Caller: w.listener, ID: w.box}
	answer, err := box.Show(w.t.Context(), part, q)
	if err != nil {
		w.t.Fatalf("%s: %v", part, err)
	}
	b, err := json.Marshal(answer)
	if err != nil {
		w.t.Fatal(err)
	}
	for id, path := range w.entries {
		b = bytes.ReplaceAll(b, []byte(hex.EncodeToString([]byte(id))), []byte(path))
	}
	var tree any
	if err := json.Unmarshal(numbered.ReplaceAll(b, nil), &tree); err != nil {
		w.t.Fatal(err)
	}
	if b, err = json.Marshal(common(tree)); err != nil {
		w.t.Fatal(err)
	}
	fmt.Fprintf(&w.out, "%s %v %v\n%s\n", part, q.Associated, q.Deleted, strings.ReplaceAll(string(b), "},{", "},\n{"))
}

// common is a tree of JSON without the fields of one mailbox; items of lists stand in their alphabetic order.
func common(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, inside := range v {
			if v[k] = common(inside); slices.Contains(ofTheBox, k) {
				if _, list := inside.([]any); !list {
					delete(v, k)
				}
			}
		}
	case []any:
		for i := range v {
			v[i] = common(v[i])
		}
		slices.SortFunc(v, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	}
	return v
}

func (w *walker) mailbox() {
	w.t.Helper()
	w.show("inspect", inspect.Query{})
	w.show("folders", inspect.Query{})
	w.show("folders", inspect.Query{Deleted: true})
	w.show("rights", inspect.Query{})
	names := ask(w, exmdb.OpPropertyNames, &exmdb.PropertyNamesRequest{})
	for _, n := range names.Names {
		fmt.Fprintf(&w.out, "name %v\n", n.Name)
	}
	w.object(exmdb.ObjectID{}, anotherStore)
}

// object says the properties of a folder or the mailbox.
func (w *walker) object(id exmdb.ObjectID, apart map[uint16]bool) {
	w.t.Helper()
	props := ask(w, exmdb.OpReadProps, &exmdb.ReadPropsRequest{Object: id, Names: true})
	d := dumper{walker: w, names: nameIn(props.Names)}
	d.bag(id, &props.Props, apart)
	w.out.WriteString(d.text.String())
}

func (w *walker) folder(f *exmdb.Folder) {
	w.t.Helper()
	path := w.j.tree.path(f.FID)
	fmt.Fprintf(&w.out, "folder %s class %s use %s search %v subscribed %v\n", path, f.Class, f.SpecialUse, f.Search, f.Subscribed)
	w.object(exmdb.ObjectID{Folder: f.FID}, ofAChange)
	for _, m := range ask(w, exmdb.OpPermissions, &exmdb.FolderRequest{Folder: f.FID}).Members {
		fmt.Fprintf(&w.out, " member %v %s %#x\n", m.User, m.Name, m.Rights)
	}
	w.show("rules", inspect.Query{Folder: inspect.ID(f.FID).String(), Bodies: true})
	w.rules(f)
	if f.Search {
		w.criteria(f)
	}
	for _, at := range places(f) {
		w.show("items", inspect.Query{Folder: inspect.ID(f.FID).String(), Associated: at.associated && !at.deleted, Deleted: at.deleted, Limit: inspect.MaxLimit})
		list := w.messages(at)
		slices.Sort(list)
		w.out.WriteString(strings.Join(list, ""))
	}
}

// prop puts a property in a rule or a restriction into words.
func (w *walker) prop(p mapi.Prop) mapi.Prop {
	if b, is := p.Value.(mapi.Binary); is {
		p.Value = mapi.Binary(w.bytes(b))
	}
	if !p.Tag.Named() {
		return p
	}
	n, _ := w.names(p.Tag.ID())
	sum := hashOf([]byte(fmt.Sprint(n)))
	p.Tag = mapi.NewTag(0x8000|uint16(sum[0])<<4, p.Tag.Type())
	return p
}

// bytes are bytes with the path of a folder in the place of its entry id.
func (w *walker) bytes(b []byte) string {
	if len(b) < 1<<16 {
		for id, path := range w.entries {
			b = bytes.ReplaceAll(b, []byte(id), []byte(path))
		}
	}
	return string(b)
}

func (w *walker) criteria(f *exmdb.Folder) {
	w.t.Helper()
	c, err := exmdb.Do(w.t.Context(), w.listener, exmdb.System, w.box, exmdb.OpSearchCriteria, &exmdb.FolderRequest{Folder: f.FID})
	if cluster.KindOf(err) == exmdb.KindNoCriteria && err != nil {
		w.out.WriteString(" no criteria\n")
		return
	}
	if err != nil {
		w.t.Fatal(err)
	}
	r, err := oxcdata.ParseRestriction(c.Restriction)
	if err != nil {
		w.t.Fatal(err)
	}
	fmt.Fprintf(&w.out, " criteria %#x of", c.State)
	for _, fid := range c.Folders {
		fmt.Fprintf(&w.out, " %q", w.j.tree.path(fid))
	}
	fmt.Fprintf(&w.out, ": %q\n", oxcdata.AppendRestriction(nil, mapi.MapProps(r, w.prop)))
}

func (w *walker) rules(f *exmdb.Folder) {
	w.t.Helper()
	for _, bag := range ask(w, exmdb.OpGetRules, &exmdb.GetRulesRequest{Folder: f.FID}).Rules {
		var actions []string
		err := mapRule(&bag, w.prop, func(a mapi.RuleAction) (mapi.RuleAction, error) {
			actions = append(actions, w.action(a))
			return mapi.RuleAction{Type: mapi.ActionDelete}, nil
		})
		if err != nil {
			w.t.Fatal(err)
		}
		bag.Delete(mapi.PidTagRuleId)
		fmt.Fprintf(&w.out, " rule %v %q\n", bag.All(), actions)
	}
}

func (w *walker) action(a mapi.RuleAction) string {
	w.t.Helper()
	text := fmt.Sprintf("%d/%x/%x ", a.Type, a.Flavor, a.Flags)
	switch data := a.Data.(type) {
	case *mapi.MoveAction:
		id, err := oxcdata.ServerIDOf(data.Folder)
		if !data.InThisStore || err != nil {
			return text + w.bytes(data.Folder)
		}
		return text + w.j.tree.path(id.FID)
	case *mapi.ReplyAction:
		id := exmdb.ObjectID{Folder: data.FID, Message: data.MID}
		if m, err := oxcdata.ParseEntryID(data.MessageEID); err == nil {
			id.Folder = mapi.LocalFID(m.(*oxcdata.MessageEntryID).Folder.Counter)
			id.Message = mapi.NewMID(mapi.LocalReplica, m.(*oxcdata.MessageEntryID).Message.Counter)
		}
		subject := ask(w, exmdb.OpReadProps, &exmdb.ReadPropsRequest{Object: id, Tags: []mapi.Tag{mapi.PidTagSubject}})
		return text + w.j.tree.path(id.Folder) + " " + fmt.Sprint(subject.Props.Get(mapi.PidTagSubject), data.Template)
	}
	return text + fmt.Sprintf("%+v", a.Data)
}

func (w *walker) messages(at place) (list []string) {
	w.t.Helper()
	each := func(mid mapi.MID) error {
		text, err := w.message(at, mid)
		list = append(list, text)
		return err
	}
	var err error
	if at.deleted {
		err = w.j.deleted(at, nil, func(m *exmdb.DeletedMessage) error { return each(m.State.MID) })
	} else {
		err = w.j.rows(at, []mapi.Tag{mapi.PidTagMid}, func(row *exmdb.TableRow) error { return each(mapi.MID(row.ID.ID)) })
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return list
}

func (w *walker) message(at place, mid mapi.MID) (string, error) {
	m, err := w.j.message(at.object(mid))
	if err != nil {
		return "", err
	}
	d := dumper{walker: w, names: nameIn(m.Names)}
	slices.Sort(m.State.Flags.Keywords)
	fmt.Fprintf(&d.text, " message associated %v deleted %v flags %v received %v rendered %v\n", at.associated, at.deleted, m.State.Flags, m.State.Received, m.State.Rendered)
	apart := ofAChange
	if m.State.Rendered || at.associated {
		apart = nil
	}
	err = eachBag(&m.Content, at.object(mid), func(id exmdb.ObjectID, bag *mapi.PropBag) error {
		d.bag(id, bag, apart)
		return nil
	})
	if err != nil || m.State.UID == 0 {
		return d.text.String(), err
	}
	octets, err := w.octetsOf(at, &m.State)
	// Boundaries are hashes of all properties, the ids of named ones among them.
	plain := boundaries.ReplaceAll(octets, []byte("boundary"))
	fmt.Fprintf(&d.text, "  octets %x %.900q\n", hashOf(plain), plain)
	return d.text.String(), err
}

func (w *walker) octetsOf(at place, st *exmdb.MessageState) ([]byte, error) {
	var b bytes.Buffer
	if at.deleted {
		_, err := b.ReadFrom(&deletedOctets{j: w.j, folder: at.folder, mid: st.MID})
		return b.Bytes(), err
	}
	rows := ask(w, exmdb.OpRows, &exmdb.RowsRequest{Folder: at.folder, Fields: exmdb.RowMeta, UIDs: []exmdb.UIDRange{{First: st.UID, Last: st.UID}}})
	err := w.j.octets(&b, at.folder, &rows.Rows[0])
	return b.Bytes(), err
}

// notWalked are the ops that say something about a mailbox which a dump does not ask, each with the reason.
var notWalked = map[string]string{
	"Folder": "ListFolders says it", "UIDs": "numbers of one mailbox", "Changes": "stamps of one mailbox", "PropertyIDs": "PropertyNames says it",
	"ReceiveFolder": "ReceiveFolders says it", "LongTermIDs": "numbers of one mailbox",
	"Crossing": "what is on its way is not carried", "ReadCrossing": "what is on its way is not carried",
	"EffectiveRights": "Permissions says it", "SendRights": "Delegates says it", "Reminders": "the messages say it",
	"TableSeek": "TableRows says it", "TableFind": "TableRows says it", "TableChanges": "TableRows says it", "TableColumns": "TableRows says it",
	"TableEvents": "numbers of one mailbox", "Events": "numbers of one mailbox", "SyncContents": "stamps of one mailbox",
	"SyncHierarchy": "stamps of one mailbox", "Narrow": "the index is derived",
	"PerUser": "it names folders of other mailboxes", "PerUserFolders": "it names folders of other mailboxes",
	"Outgoing": "what is on its way is not carried", "ReadOutgoing": "what is on its way is not carried",
}

// listener notes which ops are asked.
type listener struct {
	exmdb.Caller
	asked map[string]bool
}

// Call implements exmdb.Caller.
func (l *listener) Call(ctx context.Context, as exmdb.Identity, box mapi.MailboxID, op exmdb.OpInfo, req, resp any) error {
	l.asked[op.Name] = true
	return l.Caller.Call(ctx, as, box, op, req, resp)
}

// walks wants every op that reads to have been asked, or a reason why not.
func walks(t *testing.T, asked map[string]bool) {
	t.Helper()
	for _, h := range store.Handlers() {
		if why := notWalked[h.Name]; !h.Write && asked[h.Name] == (why != "") {
			t.Errorf("op %s: asked %v, reason not to %q", h.Name, asked[h.Name], why)
		}
	}
}
