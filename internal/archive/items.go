package archive

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/convert/object"
	"github.com/flotilla-mail/flotilla/internal/convert/oxcical"
	"github.com/flotilla-mail/flotilla/internal/convert/oxcmsg"
	"github.com/flotilla-mail/flotilla/internal/convert/oxtnef"
	"github.com/flotilla-mail/flotilla/internal/convert/oxvcard"
	"github.com/flotilla-mail/flotilla/internal/formats/contentline"
	"github.com/flotilla-mail/flotilla/internal/formats/ical"
	"github.com/flotilla-mail/flotilla/internal/formats/vcard"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// Items are messages that have no octets: they are made of their properties.

// item is a message on its way into a folder.
type item struct {
	content exmdb.MessageContent
	names   *oxcmsg.Names
	// sum is of what it was made of, which had so many bytes.
	sum  sum
	size int64
}

// bring stores an item, unless it is there from an import before.
func (j *job) bring(what string, to *exmdb.Folder, it *item) error {
	at := place{folder: to.FID}
	mine, there, err := j.keyed(at, it.sum)
	if err != nil {
		return err
	}
	if there {
		j.knew(it.size)
		return nil
	}
	if err := j.make(what, to.FID, it, mine); err != nil {
		return j.each(what, err)
	}
	j.has(at, mine)
	j.carried(it.size)
	return nil
}

func (j *job) make(what string, to mapi.FID, it *item, mine key) error {
	if _, given := it.content.Props.Get(mapi.PidTagMessageFlags).(mapi.Integer32); !given {
		it.content.Props.Set(mapi.PidTagMessageFlags, mapi.Integer32(mapi.MessageFlagRead)) // an item is no draft
	}
	it.content.Props.Set(importKey, mapi.Binary(mine[:]))
	whole := it.content
	for try := 1; ; try++ {
		it.content = clone(&whole)
		if err := j.uploadLong(&it.content); err != nil {
			return err
		}
		saved, err := do(j, exmdb.OpCreateMessage, &exmdb.CreateMessageRequest{Folder: to, Message: edit(&it.content),
			Payload: exmdb.Payload{Names: it.names.List()}})
		if lost(err) && try < tries {
			continue
		}
		if err == nil {
			j.problems(what, saved.Problems)
		}
		return err
	}
}

// clone copies the bags of a message.
func clone(c *exmdb.MessageContent) exmdb.MessageContent {
	out := exmdb.MessageContent{Props: cloneBag(&c.Props)}
	for i := range c.Recipients {
		out.Recipients = append(out.Recipients, cloneBag(&c.Recipients[i]))
	}
	for _, a := range c.Attachments {
		a.Props = cloneBag(&a.Props)
		if a.Embedded != nil {
			inside := clone(a.Embedded)
			a.Embedded = &inside
		}
		out.Attachments = append(out.Attachments, a)
	}
	return out
}

func cloneBag(bag *mapi.PropBag) mapi.PropBag {
	var out mapi.PropBag
	for _, p := range bag.All() {
		out.Set(p.Tag, p.Value)
	}
	return out
}

// itemOf is an item of a converted message.
func itemOf(m *object.Message, source []byte) *item {
	names := &oxcmsg.Names{}
	return &item{content: m.Content(names), names: names, sum: hashOf(source), size: int64(len(source))}
}

// exportItems calls fn for each message of a folder, as conversions read them.
func (j *job) exportItems(f *exmdb.Folder, fn func(*exmdb.ReadMessageResponse, *object.Message) (bytes int64, err error)) error {
	path := j.tree.path(f.FID)
	j.done.Folder = path
	return j.rows(place{folder: f.FID}, []mapi.Tag{mapi.PidTagMid}, func(row *exmdb.TableRow) error {
		what := fmt.Sprintf("%s, item %#x", path, row.ID.ID)
		m, err := j.message(exmdb.ObjectID{Folder: f.FID, Message: mapi.MID(row.ID.ID)})
		if err != nil {
			return j.each(what, err)
		}
		if err := j.inline(m); err != nil {
			return j.each(what, err)
		}
		m.Content.Props.Delete(importKey)
		o, err := object.Loader{Name: nameIn(m.Names)}.Message(&m.Content)
		if err != nil {
			return j.each(what, fmt.Errorf("%w: %w", ErrInput, err))
		}
		n, err := fn(m, o)
		if err != nil {
			return j.each(what, err)
		}
		j.carried(n)
		return nil
	})
}

// nameIn finds the names of ids.
func nameIn(list []exmdb.NamedID) func(uint16) (mapi.PropertyName, bool) {
	names := make(map[uint16]mapi.PropertyName, len(list))
	for _, n := range list {
		if n.Name.Kind != mapi.NameNone {
			names[n.ID] = n.Name
		}
	}
	return func(id uint16) (mapi.PropertyName, bool) {
		n, known := names[id]
		return n, known
	}
}

// homes are the folders that items belong to by their class, if nothing else is said, and the class of such folders.
var homes = []struct {
	class     string
	home      mapi.GlobalCounter
	container string
}{
	{"IPM.Contact", 0x13, "IPF.Contact"}, {"IPM.DistList", 0x13, "IPF.Contact"}, {"IPM.Appointment", 0x0F, "IPF.Appointment"},
	{"IPM.Task", 0x12, "IPF.Task"}, {"IPM.Activity", 0x10, "IPF.Journal"},
}

// containerOf is the class of a folder that is made for messages of a class, "" for that of the folder above.
func containerOf(class mapi.Value) string {
	text, _ := class.(mapi.String)
	for _, h := range homes {
		if isClass(string(text), h.class) {
			return h.container
		}
	}
	return ""
}

// itemFolder is the folder that an item comes into: what the path says, or that of its class.
func (j *job) itemFolder(path, class string, m *object.Message) (*exmdb.Folder, error) {
	if path = j.under(path); path != "" {
		return j.ensure(path, cmp.Or(containerOf(m.Bag.Get(mapi.PidTagMessageClass)), class))
	}
	for _, h := range homes {
		if isClass(m.Text(mapi.PidTagMessageClass), h.class) {
			if f := j.tree.byID[mapi.LocalFID(h.home)]; f != nil {
				return f, nil
			}
		}
	}
	return j.tree.byID[inbox], nil
}

// readTNEF imports files that are one message each.
func (j *job) readTNEF() error {
	list, err := j.sources(false)
	if err != nil {
		return err
	}
	for _, s := range list {
		it, err := j.tnef(s.path)
		if err != nil {
			if err := j.each(s.path, err); err != nil {
				return err
			}
			continue
		}
		to, err := j.folderFor(s.folder, containerOf(it.content.Props.Get(mapi.PidTagMessageClass)))
		if err != nil {
			return err
		}
		if err := j.bring(s.path, to, it); err != nil {
			return err
		}
	}
	return nil
}

func (j *job) tnef(path string) (*item, error) {
	f, err := open(path)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, maxObject+1))
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInput, err)
	}
	if len(b) > maxObject {
		return nil, fmt.Errorf("%w: a message in TNEF has at most %d bytes here", ErrInput, maxObject)
	}
	names := &oxcmsg.Names{}
	m, err := oxtnef.Read(b, names)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInput, err)
	}
	if m.Damaged && j.Warn != nil {
		j.Warn(path, fmt.Errorf("%w: it is damaged; what could be read is imported", ErrInput))
	}
	return &item{content: m.MessageContent, names: names, sum: hashOf(b), size: int64(len(b))}, nil
}

// writeTNEF exports each message as a file. What an export before has written there stays.
func (j *job) writeTNEF() error {
	for _, f := range j.chosen() {
		dir := filepath.Join(j.Path, onDisk(j.tree.path(f.FID)))
		err := j.exportItems(f, func(m *exmdb.ReadMessageResponse, o *object.Message) (int64, error) {
			path := filepath.Join(dir, fmt.Sprintf("%012x%s", uint64(m.State.MID.Counter()), j.format.suffixes[0]))
			if exists(path) {
				return 0, nil
			}
			var n int64
			return n, write(path, m.State.Received, func(out *output) (err error) {
				n, err = writeTNEF(out, o)
				return err
			})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func writeTNEF(out io.Writer, m *object.Message) (int64, error) {
	names := &oxcmsg.Names{}
	w := oxtnef.Writer{Names: names}
	stream, _, err := w.Stream(&oxtnef.Message{MessageContent: m.Content(names)})
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrInput, err)
	}
	return io.Copy(out, stream)
}

// readLines imports files of content lines, of which next gives the items one by one.
func (j *job) readLines(class string, decoder func(io.Reader) func() ([]*object.Message, error), bytes func(*object.Message) []byte) error {
	list, err := j.sources(true)
	if err != nil {
		return err
	}
	for _, s := range list {
		f, err := open(s.path)
		if err != nil {
			return err
		}
		err = j.readItems(s, class, decoder(f), bytes)
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	return nil
}

func (j *job) readItems(s source, class string, next func() ([]*object.Message, error), bytes func(*object.Message) []byte) error {
	for n := 1; ; n++ {
		what := fmt.Sprintf("%s, object %d", s.path, n)
		items, err := next()
		switch {
		case err == io.EOF && n == 1 && !isEmpty(s.path):
			return fmt.Errorf("%w: %s has nothing of the format %s", ErrInput, s.path, j.format.name)
		case err == io.EOF:
			return nil
		case errors.Is(err, contentline.ErrTooLong): // where the next begins is not known
			return fmt.Errorf("%w: %s: %w", ErrInput, what, err)
		case err != nil:
			j.pass(what, err)
			continue
		}
		for _, m := range items {
			to, err := j.itemFolder(s.folder, class, m)
			if err != nil {
				return err
			}
			j.done.Folder = j.tree.path(to.FID)
			if err := j.bring(what, to, itemOf(m, bytes(m))); err != nil {
				return err
			}
		}
	}
}

func isEmpty(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Size() == 0
}

// readICal imports calendars.
func (j *job) readICal() error {
	return j.readLines("IPF.Appointment", func(r io.Reader) func() ([]*object.Message, error) {
		d := ical.NewDecoder(r, contentline.Default())
		return func() ([]*object.Message, error) {
			cal, err := d.Next()
			if err != nil {
				return nil, err
			}
			return oxcical.Importer{Zone: j.Zone, Own: j.Own}.Import(cal)
		}
	}, oxcical.Bytes)
}

// writeICal exports each folder as a file of calendars, one for each item.
func (j *job) writeICal() error { return j.writeLines(oxcical.Bytes) }

// readVCard imports cards.
func (j *job) readVCard() error {
	return j.readLines("IPF.Contact", func(r io.Reader) func() ([]*object.Message, error) {
		d := vcard.NewDecoder(r, contentline.Default())
		return func() ([]*object.Message, error) {
			card, err := d.Next()
			if err != nil {
				return nil, err
			}
			m, err := oxvcard.Import(card)
			return []*object.Message{m}, err
		}
	}, cardOf)
}

func cardOf(m *object.Message) []byte { return oxvcard.Export(m, vcard.V4) }

// writeVCard exports each folder as a file of cards.
func (j *job) writeVCard() error { return j.writeLines(cardOf) }

// writeLines exports each folder as a file. Items of classes that the format is not of are passed over.
func (j *job) writeLines(bytes func(*object.Message) []byte) error {
	return j.perFolder(func(out *output, f *exmdb.Folder) error {
		return j.exportItems(f, func(_ *exmdb.ReadMessageResponse, m *object.Message) (int64, error) {
			class := m.Text(mapi.PidTagMessageClass)
			if !j.format.has(class) {
				return 0, fmt.Errorf("%w: an item of class %q has no form in the format %s", ErrInput, class, j.format.name)
			}
			n, err := out.Write(bytes(m))
			return int64(n), err
		})
	})
}

// classes are the message classes that formats of content lines are of.
var classes = map[string][]string{
	"ical":  {"IPM.Appointment", "IPM.Schedule.Meeting", "IPM.Task", "IPM.Activity"},
	"vcard": {"IPM.Contact", "IPM.DistList"},
}

func (f *format) has(class string) bool {
	for _, c := range classes[f.name] {
		if isClass(class, c) {
			return true
		}
	}
	return strings.EqualFold(class, "")
}
