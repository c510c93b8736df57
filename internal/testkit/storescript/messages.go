package storescript

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/inspect"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/testkit/mailboxes"
)

var messageCommands = []command{
	{"deliver", 0, "deliver [subject=] [from=] [to=] [header=LINE] [body=] [size=] [n=] [beside=yes]", false, (*run).deliver},
	{"create", -1, "create PATH [subject=] [n=] [associated=yes] [to=A,B] [nested=LEVELS] [file=NAME] [PROP=VALUE…]", false, (*run).create},
	{"list", 1, "list PATH [associated=yes]: flags and subjects", false, (*run).list},
	{"message", 1, "message MESSAGE [props=TAGS]: the message with what is inside", false, (*run).showMessage},
	{"props", -1, "props MESSAGE|PATH TAG…", false, (*run).props},
	{"set", -2, "set MESSAGE|PATH PROP=VALUE… [delete=TAGS]", false, (*run).setProps},
	{"open", 2, "open MESSAGE NAME: remembers the version that a client has before it", false, (*run).open},
	{"save", -2, "save MESSAGE NAME PROP=VALUE… [force=yes]: over the version of the name", false, (*run).save},
	{"flags", 2, `flags PATH +\Seen,Red [uids=1:5]`, false, (*run).flags},
	{"flag", -2, `flag PATH +\Seen,Red [SUBJECT…] [associated=yes]`, false, (*run).markMessages},
	{"read", -1, "read PATH [SUBJECT…] [how=suppress|clear|receipt|noread|nounread]: as MAPI marks, with the receipts that go out", false, (*run).setReadFlags},
	{"value", 2, "value MESSAGE TAG: how long a value is that is kept apart", false, (*run).value},
	{"copy", -2, "copy PATH TARGET [SUBJECT…]", false, (*run).copyMessages},
	{"move", -2, "move PATH TARGET [SUBJECT…]", false, (*run).moveMessages},
	{"across", -3, "across PATH BOX TARGET [SUBJECT…] [copy=yes]: into a folder of another mailbox", false, (*run).across},
	{"roundtrip", 1, "roundtrip PATH: properties of every type, three levels deep, come back as they were", false, (*run).roundtrip},
}

// numbered is the subject of one of n; all are of one length.
func numbered(subject string, i, n int) string {
	if n == 1 {
		return subject
	}
	return fmt.Sprintf("%s %0*d", subject, len(strconv.Itoa(n)), i)
}

// ourDomain is that of the directory's users.
const ourDomain = "@example.test"

// address is the mailbox's.
func (r *run) address() string { return cmp.Or(r.cmd.box.address, r.cmd.box.owner+ourDomain) }

// mailOf is a mail that a script describes.
func (r *run) mailOf(subject string) (exmdb.NewMessage, string, error) {
	from := r.cmd.text("from", "dora@example.org")
	size, err := r.number("size", 0)
	if err != nil {
		return exmdb.NewMessage{}, "", err
	}
	body := r.cmd.text("body", "text") + strings.Repeat("x", size)
	header := ""
	if line := r.cmd.text("header", ""); line != "" {
		header = line + "\r\n"
	}
	text := fmt.Sprintf("From: %s\r\nTo: %s\r\nSubject: %s\r\nMessage-ID: <%x@example.org>\r\n%s\r\n%s\r\n", from, r.cmd.text("to", r.address()),
		subject, sha256.Sum256([]byte(subject+from)), header, body)
	return mailboxes.Mail(r.t, []byte(text)), from, nil
}

func (r *run) deliver() error {
	n, err := r.number("n", 1)
	if err != nil {
		return err
	}
	subject := r.cmd.text("subject", "hello")
	as := r.cmd.as
	r.cmd.as = exmdb.System
	defer func() { r.cmd.as = as }()
	q := make([]*exmdb.DeliverRequest, n)
	for i := range q {
		name := numbered(subject, i+1, n)
		m, sender, err := r.mailOf(name)
		if err != nil {
			return err
		}
		q[i] = &exmdb.DeliverRequest{Message: m, Sender: sender, Recipient: r.address(), Received: began, Key: sha256.Sum256([]byte(name + sender))}
		q[i].About = exmdb.Circumstances{Own: []string{r.address()}, Name: r.cmd.box.owner, Internal: strings.HasSuffix(sender, ourDomain)}
	}
	return r.delivered(q)
}

// delivered brings mails in, one after the other or beside each other, and says what became of them.
func (r *run) delivered(q []*exmdb.DeliverRequest) error {
	var g errgroup.Group
	g.SetLimit(1)
	if r.cmd.is("beside") {
		g.SetLimit(16)
	}
	outcomes := make([]string, len(q))
	for i := range q {
		g.Go(func() error {
			resp, err := do(r, exmdb.OpDeliver, q[i])
			switch {
			case err != nil && kindName(err) == err.Error():
				return err
			case err != nil:
				outcomes[i] = "refused: " + kindName(err)
			case resp.Duplicate:
				outcomes[i] = "known already"
			default:
				outcomes[i] = "delivered"
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	counts := make(map[string]int)
	for _, o := range outcomes {
		counts[o]++
	}
	for _, o := range []string{"delivered", "known already", "refused: over quota", "refused: too big", "refused: access denied"} {
		if counts[o] > 0 && (len(q) > 1 || o != "delivered") {
			r.say("%d %s", counts[o], o)
		}
	}
	return nil
}

// edit is a new message that a script describes.
func (r *run) edit(subject string) (exmdb.MessageEdit, error) {
	bag, err := r.bag(r.cmd.words[1:])
	if err != nil {
		return exmdb.MessageEdit{}, err
	}
	for t, v := range map[mapi.Tag]string{mapi.PidTagSubject: subject, mapi.PidTagMessageClass: "IPM.Note", mapi.PidTagBody: "text"} {
		if bag.Get(t) == nil {
			bag.Set(t, mapi.String(v))
		}
	}
	edit := exmdb.MessageEdit{Set: bag}
	for i, to := range r.cmd.list("to") {
		var who mapi.PropBag
		who.Set(mapi.PidTagDisplayName, mapi.String(to))
		who.Set(mapi.PidTagSmtpAddress, mapi.String(to))
		who.Set(mapi.PidTagRecipientType, mapi.Integer32(i%3+1))
		edit.ReplaceRecipients, edit.Recipients = true, append(edit.Recipients, who)
	}
	if name := r.cmd.text("file", ""); name != "" {
		var file mapi.PropBag
		file.Set(mapi.PidTagAttachLongFilename, mapi.String(name))
		file.Set(mapi.PidTagAttachDataBinary, mapi.Binary(name))
		edit.Attachments = append(edit.Attachments, exmdb.AttachmentEdit{Number: 0, Set: file})
	}
	levels, err := r.number("nested", 0)
	if err != nil || levels == 0 {
		return edit, err
	}
	inner := nestedEdit(levels)
	edit.Attachments = append(edit.Attachments, exmdb.AttachmentEdit{Number: uint32(len(edit.Attachments)), Set: named("level 1"), Embedded: &inner})
	return edit, nil
}

func named(name string) mapi.PropBag {
	var bag mapi.PropBag
	bag.Set(mapi.PidTagDisplayName, mapi.String(name))
	return bag
}

// nestedEdit is a message with one inside, so many levels deep.
func nestedEdit(levels int) exmdb.MessageEdit {
	var bag mapi.PropBag
	bag.Set(mapi.PidTagSubject, mapi.String(fmt.Sprintf("%d below", levels-1)))
	edit := exmdb.MessageEdit{Set: bag, ReplaceRecipients: true, Recipients: []mapi.PropBag{named("somebody")}}
	if levels > 1 {
		inner := nestedEdit(levels - 1)
		edit.Attachments = []exmdb.AttachmentEdit{{Number: 0, Set: named("below"), Embedded: &inner}}
	}
	return edit
}

func (r *run) create() error {
	fid, err := r.folder(r.cmd.words[0])
	n, err2 := r.number("n", 1)
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	subject := r.cmd.text("subject", "note")
	var g errgroup.Group
	g.SetLimit(16)
	for i := range n {
		name := numbered(subject, i+1, n)
		edit, err := r.edit(name)
		if err != nil {
			return errors.Join(err, g.Wait())
		}
		q := &exmdb.CreateMessageRequest{Folder: fid, Associated: r.cmd.is("associated"), Message: edit}
		g.Go(func() error {
			resp, err := do(r, exmdb.OpCreateMessage, q)
			if err == nil && n == 1 {
				r.cmd.made = made{uint64(resp.State.MID), false}
			}
			return err
		})
	}
	return g.Wait()
}

func (r *run) list() error {
	all, err := r.listed(r.cmd.words[0], r.cmd.is("associated"))
	if err != nil {
		return err
	}
	for i := range all {
		r.say("%s: %s", all[i].Subject, joined(all[i].Flags))
	}
	return nil
}

func (r *run) showMessage() error {
	mid, err := r.message(r.cmd.words[0])
	if err != nil {
		return err
	}
	resp, err := do(r, exmdb.OpReadMessage, &exmdb.ReadMessageRequest{Object: exmdb.ObjectID{Message: mid}, Nested: true})
	if err != nil {
		return err
	}
	tags, err := parseTags(r.cmd.list("props"))
	if err != nil {
		return mistakeError{err}
	}
	r.content(&resp.Content, tags, "")
	return nil
}

func (r *run) content(c *exmdb.MessageContent, tags []mapi.Tag, indent string) {
	r.say("%s%s", indent, valueWords(c.Props.Get(mapi.PidTagSubject)))
	for _, t := range tags {
		r.say("%s  %s %s", indent, t.Name(), valueWords(c.Props.Get(t)))
	}
	for i := range c.Recipients {
		r.say("%s  to %s", indent, valueWords(c.Recipients[i].Get(mapi.PidTagDisplayName)))
	}
	for i := range c.Attachments {
		a := &c.Attachments[i]
		name := a.Props.Get(mapi.PidTagAttachLongFilename)
		if name == nil {
			name = a.Props.Get(mapi.PidTagDisplayName)
		}
		r.say("%s  attached %s", indent, valueWords(name))
		if a.Embedded != nil {
			r.content(a.Embedded, tags, indent+"    ")
		}
	}
}

// object is a message or folder.
func (r *run) object(name string) (exmdb.ObjectID, error) {
	if name == "mailbox" {
		return exmdb.ObjectID{}, nil
	}
	if m, ok := r.items[name]; strings.Contains(name, ":") || ok && !m.folder {
		mid, err := r.message(name)
		return exmdb.ObjectID{Message: mid}, err
	}
	fid, err := r.folder(name)
	return exmdb.ObjectID{Folder: fid}, err
}

func (r *run) props() error {
	id, err := r.object(r.cmd.words[0])
	if err != nil {
		return err
	}
	tags, err := r.tags(r.cmd.words[1:])
	if err != nil {
		return err
	}
	resp, err := do(r, exmdb.OpReadProps, &exmdb.ReadPropsRequest{Object: id, Tags: tags})
	if err != nil {
		return err
	}
	for i, t := range tags {
		r.say("%s %s", cmp.Or(t.Name(), r.cmd.words[i+1]), valueWords(resp.Props.Get(t)))
	}
	return nil
}

func (r *run) value() error {
	id, err := r.object(r.cmd.words[0])
	tags, err2 := r.tags(r.cmd.words[1:])
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	b, err := r.readValue(id, tags[0])
	if err == nil {
		r.say("%d bytes, all %t", len(b), strings.Trim(string(b), "x") == "")
	}
	return err
}

// readValue reads a value in parts.
func (r *run) readValue(id exmdb.ObjectID, tag mapi.Tag) ([]byte, error) {
	var all []byte
	for {
		part, err := do(r, exmdb.OpReadValue, &exmdb.ReadValueRequest{Object: id, Tag: tag, Offset: uint64(len(all)), Length: 5000})
		if err != nil {
			return nil, err
		}
		all = append(all, part.Data...)
		if uint64(len(all)) >= part.Size || len(part.Data) == 0 {
			return all, nil
		}
	}
}

func (r *run) setProps() error {
	id, err := r.object(r.cmd.words[0])
	if err != nil {
		return err
	}
	bag, err := r.bag(r.cmd.words[1:])
	gone, err2 := r.tags(r.cmd.list("delete"))
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	resp, err := do(r, exmdb.OpWriteProps, &exmdb.WritePropsRequest{Object: id, Set: bag, Delete: gone})
	if err != nil {
		return err
	}
	for _, p := range resp.Problems {
		r.say("%s: error %#x", p.Tag.Name(), uint32(p.Code))
	}
	return nil
}

func (r *run) open() error {
	mid, err := r.message(r.cmd.words[0])
	if err != nil {
		return err
	}
	resp, err := do(r, exmdb.OpReadProps, &exmdb.ReadPropsRequest{Object: exmdb.ObjectID{Message: mid}})
	if err == nil {
		r.marks[r.cmd.words[1]] = resp.CN
	}
	return err
}

func (r *run) save() error {
	mid, err := r.message(r.cmd.words[0])
	if err != nil {
		return err
	}
	base, ok := r.marks[r.cmd.words[1]].(mapi.Stamp)
	bag, err := r.bag(r.cmd.words[2:])
	if err != nil || !ok {
		return mistake("version %q: %v", r.cmd.words[1], err)
	}
	_, err = do(r, exmdb.OpSaveMessage, &exmdb.SaveMessageRequest{Message: mid, Edit: exmdb.MessageEdit{Set: bag}, Base: base, Force: r.cmd.is("force")})
	return err
}

var flagBits = map[string]exmdb.FlagBits{`\Seen`: exmdb.FlagSeen, `\Answered`: exmdb.FlagAnswered, `\Flagged`: exmdb.FlagFlagged,
	`\Deleted`: exmdb.FlagDeleted, `\Draft`: exmdb.FlagDraft, "$Forwarded": exmdb.FlagForwarded}

var flagModes = map[byte]exmdb.FlagMode{'+': exmdb.FlagsAdd, '-': exmdb.FlagsRemove, '=': exmdb.FlagsReplace}

func (r *run) flags() error {
	fid, err := r.folder(r.cmd.words[0])
	uids, err2 := r.uids()
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	mode, ok := flagModes[r.cmd.words[1][0]]
	if !ok {
		return mistake("flags are set by +, - or =")
	}
	q := &exmdb.SetFlagsRequest{Folder: fid, UIDs: uids, Mode: mode, Flags: flagsOf(r.cmd.words[1][1:])}
	n, denied := uint64(0), false
	err = steps(r, exmdb.OpSetFlags, q, func(resp *exmdb.SetFlagsResponse) bool {
		n, denied = n+uint64(resp.Changed), denied || resp.Denied
		q.UIDs = from(q.UIDs, resp.Next)
		return resp.Next != 0
	})
	if err == nil {
		r.say("%s changed%s", plural(n, "message"), deniedWords(denied))
	}
	return err
}

// markMessages names them by id, as MAPI does.
func (r *run) markMessages() error {
	fid, err := r.folder(r.cmd.words[0])
	ids, err2 := r.chosen(r.cmd.words[0], r.cmd.words[2:])
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	mode, ok := flagModes[r.cmd.words[1][0]]
	if !ok {
		return mistake("flags are set by +, - or =")
	}
	q := &exmdb.MarkMessagesRequest{Folder: fid, Messages: ids, Mode: mode, Flags: flagsOf(r.cmd.words[1][1:])}
	n, denied := uint64(0), false
	err = steps(r, exmdb.OpMarkMessages, q, func(resp *exmdb.MarkMessagesResponse) bool {
		n, denied = n+uint64(resp.Changed), denied || resp.Denied
		q.Messages = q.Messages[resp.Next:]
		return resp.Next > 0
	})
	if err == nil {
		r.say("%s changed%s", plural(n, "message"), deniedWords(denied))
	}
	return err
}

var readFlags = map[string]exmdb.ReadFlags{"": 0, "suppress": exmdb.ReadSuppressReceipt, "clear": exmdb.ReadClear | exmdb.ReadSuppressReceipt,
	"receipt": exmdb.ReadReceiptOnly, "noread": exmdb.ReadClearRead, "nounread": exmdb.ReadClearUnread}

// setReadFlags marks as MAPI does. A receipt counts where the step that sent it is heard of.
func (r *run) setReadFlags() error {
	fid, err := r.folder(r.cmd.words[0])
	ids, err2 := r.chosen(r.cmd.words[0], r.cmd.words[1:])
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	how, ok := readFlags[r.cmd.text("how", "")]
	if !ok {
		return mistake("no such way to read")
	}
	q := &exmdb.SetReadFlagsRequest{Folder: fid, Messages: ids, Flags: how}
	n, sent, denied := uint64(0), uint64(0), false
	err = steps(r, exmdb.OpSetReadFlags, q, func(resp *exmdb.SetReadFlagsResponse) bool {
		n, sent, denied = n+uint64(resp.Changed), sent+uint64(resp.Receipts), denied || resp.Denied
		q.Messages = q.Messages[resp.Next:]
		return resp.Next > 0
	})
	if err == nil {
		r.say("%s changed, %s%s", plural(n, "message"), plural(sent, "receipt"), deniedWords(denied))
	}
	return err
}

func (r *run) carryWords() (*exmdb.CarryMessagesRequest, error) {
	fid, err := r.folder(r.cmd.words[0])
	to, err2 := r.folder(r.cmd.words[1])
	ids, err3 := r.chosen(r.cmd.words[0], r.cmd.words[2:])
	return &exmdb.CarryMessagesRequest{Folder: fid, Messages: ids, Target: to}, errors.Join(err, err2, err3)
}

func (r *run) copyMessages() error {
	q, err := r.carryWords()
	if err != nil {
		return err
	}
	return r.carry(exmdb.OpCopyMessages, q, "copied")
}

func (r *run) moveMessages() error {
	q, err := r.carryWords()
	if err != nil {
		return err
	}
	return r.carry(exmdb.OpMoveMessages, q, "moved")
}

// across sends messages on their way into another mailbox.
func (r *run) across() error {
	fid, err := r.folder(r.cmd.words[0])
	ids, err2 := r.chosen(r.cmd.words[0], r.cmd.words[3:])
	other := r.boxes[r.cmd.words[1]]
	if other == nil {
		return mistake("no mailbox %q", r.cmd.words[1])
	}
	there := &inspect.Mailbox{Caller: r.site.Caller(r.cmd.text("at", "")), ID: other.id}
	to, err3 := there.Find(r.cmd.ctx, r.cmd.words[2])
	if err := errors.Join(err, err2, err3); err != nil {
		return err
	}
	resp, err := exmdb.CarryAcross(r.cmd.ctx, r.cmd.caller, r.cmd.as, r.cmd.box.id,
		exmdb.CarryAcrossRequest{Folder: fid, Messages: ids, Mailbox: other.id, Target: to, Copy: r.cmd.is("copy")})
	if err != nil {
		return err
	}
	r.say("%s on their way", plural(uint64(resp.Taken), "message"))
	return nil
}

// roundtrip writes a message with properties of every type, with recipients, attachments and messages in them, and reads
// it back through each call anew.
func (r *run) roundtrip() error {
	fid, err := r.folder(r.cmd.words[0])
	if err != nil {
		return err
	}
	const levels = 3
	rng := r.rng()
	all := make([]allProps, levels)
	for i := range all {
		all[i] = newAllProps(rng)
	}
	edit := all[levels-1].edit(nil)
	for i := levels - 2; i >= 0; i-- {
		edit = all[i].edit(edit)
	}
	saved, err := do(r, exmdb.OpCreateMessage, &exmdb.CreateMessageRequest{Folder: fid, Associated: r.cmd.is("associated"), Message: *edit,
		Payload: exmdb.Payload{Names: theirNames}})
	if err != nil {
		return err
	}
	if len(saved.Problems) > 0 {
		return mistake("problems %v", saved.Problems)
	}
	back, err := do(r, exmdb.OpReadMessage, &exmdb.ReadMessageRequest{Object: exmdb.ObjectID{Message: saved.State.MID}, Nested: true, Names: true})
	if err != nil {
		return err
	}
	n, at := 0, exmdb.ObjectID{Message: saved.State.MID}
	for c, level := &back.Content, 0; level < levels; level++ {
		if c == nil || len(c.Recipients) != 1 || len(c.Attachments) != 1 {
			return mistake("level %d is not there", level)
		}
		attached := exmdb.ObjectID{Message: at.Message, Attachments: append(slices.Clone(at.Attachments), 0)}
		for _, x := range []struct {
			of   exmdb.ObjectID
			got  *mapi.PropBag
			want []mapi.Prop
		}{{at, &c.Props, all[level].message}, {at, &c.Recipients[0], all[level].recipient}, {attached, &c.Attachments[0].Props, all[level].attachment}} {
			if err := r.sameProps(x.of, x.got, underIDs(x.want, back.Names)); err != nil {
				return mistake("level %d: %v", level, err)
			}
			n += len(x.want)
		}
		c = c.Attachments[0].Embedded
		at = attached
		at.Embedded = true
	}
	r.say("%d properties on %d levels are as they were", n, levels)
	return nil
}

// sameProps holds properties of an object against what they were; those that are kept apart are read.
func (r *run) sameProps(of exmdb.ObjectID, got *mapi.PropBag, want []mapi.Prop) error {
	for _, p := range want {
		v := got.Get(p.Tag)
		if _, long := v.(mapi.Reference); long {
			b, err := r.readValue(of, p.Tag)
			if err != nil {
				return err
			}
			v = map[mapi.Type]mapi.Value{mapi.TypeString: mapi.String(b), mapi.TypeBinary: mapi.Binary(b), mapi.TypeObject: mapi.Opaque(b)}[p.Tag.Type()]
		}
		if v == nil || !bytes.Equal(mapi.AppendValue(nil, v), mapi.AppendValue(nil, p.Value)) {
			return fmt.Errorf("%v is %v, was %v", p.Tag, v, p.Value)
		}
	}
	return nil
}
