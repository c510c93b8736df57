package archive

import (
	"fmt"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/binprop"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"
)

// What names a folder of the mailbox that the archive is of names the folder that it became: in entry ids, in server ids and in
// what rules do. A name of what is not in the archive stays as it is in properties, and leads nowhere in rules, so that none puts
// mail into a folder that happens to have the number.

// size of a folder's entry id (MS-OXCDATA 2.2.4.1).
const folderEntryID = 46

// moved is where a folder of the archive is here.
func (r *restore) moved(fid mapi.FID) (mapi.FID, bool) {
	if f := r.folders[fid]; f != nil {
		return f.FID, true
	}
	fixed := r.Folder == "" && fid.Counter() < firstOwn && r.tree.byID[fid] != nil
	return fid, fixed
}

// entryID is the entry id of an object here.
func (r *restore) entryID(id exmdb.ObjectID) ([]byte, error) {
	if known := r.entries[id.Folder]; known != nil && id.Message == 0 {
		return known, nil
	}
	resp, err := do(r.job, exmdb.OpReadProps, &exmdb.ReadPropsRequest{Object: id, Tags: []mapi.Tag{mapi.PidTagEntryId}})
	if err != nil {
		return nil, err
	}
	b, _ := resp.Props.Get(mapi.PidTagEntryId).(mapi.Binary)
	if id.Message == 0 {
		r.entries[id.Folder] = b
	}
	return b, nil
}

// relocate puts names of folders in a bag into words of this mailbox.
func (r *restore) relocate(bag *mapi.PropBag) error {
	extended := isExtendedRule(bag)
	for _, p := range bag.All() {
		v, err := r.relocated(p)
		if err == nil && extended && p.Tag == mapi.PidTagExtendedRuleMessageActions {
			v, err = r.extendedActions(p.Value)
		}
		if err != nil {
			return err
		}
		bag.Set(p.Tag, v)
	}
	return nil
}

func (r *restore) relocated(p mapi.Prop) (mapi.Value, error) {
	switch v := p.Value.(type) {
	case mapi.Binary:
		if p.Tag == mapi.PidTagAdditionalRenEntryIdsEx {
			return r.persisted(v)
		}
		return r.folderEntry(v)
	case mapi.Binaries:
		out := make(mapi.Binaries, len(v))
		for i, b := range v {
			one, err := r.folderEntry(b)
			if err != nil {
				return nil, err
			}
			out[i] = one
		}
		return out, nil
	case mapi.Opaque:
		if p.Tag.Type() != mapi.TypeServerID {
			return v, nil
		}
		id, err := oxcdata.ServerIDOf(v)
		if err != nil || !id.Ours || id.MID != 0 {
			return v, nil // not what it looks like, or a message's
		}
		if to, there := r.moved(id.FID); there {
			id.FID = to
		}
		return oxcdata.ServerIDValue(id), nil
	}
	return p.Value, nil
}

// persisted is the list of special folders that clients keep.
func (r *restore) persisted(b mapi.Binary) (mapi.Binary, error) {
	list, err := binprop.ParsePersistData(b)
	if err != nil {
		return b, nil // a client's own
	}
	for _, block := range list.Blocks {
		for i, e := range block.Elements {
			if e.ID != binprop.ElementEntryID {
				continue
			}
			if block.Elements[i].Data, err = r.folderEntry(e.Data); err != nil {
				return nil, err
			}
		}
	}
	return list.Append(nil)
}

// folderEntry is bytes that may be the entry id of a folder.
func (r *restore) folderEntry(b mapi.Binary) (mapi.Binary, error) {
	if len(b) != folderEntryID {
		return b, nil
	}
	id, err := oxcdata.ParseEntryID(b)
	f, is := id.(*oxcdata.FolderEntryID)
	if err != nil || !is || f.Provider != mapi.GUID(r.head.Mailbox) {
		return b, nil // some bytes, or a folder of another mailbox
	}
	to, there := r.moved(mapi.LocalFID(f.Folder.Counter))
	if !there {
		return b, nil
	}
	return r.entryID(exmdb.ObjectID{Folder: to})
}

// extendedActions are the actions of an extended rule.
func (r *restore) extendedActions(v mapi.Value) (mapi.Value, error) {
	b, is := v.(mapi.Binary)
	if !is {
		return v, nil // too long to be anything but a client's own
	}
	a, err := oxcdata.ParseExtendedActions(b)
	if err != nil {
		return v, nil // the store says so when it looks at the rule
	}
	if err := mapActions(a.Actions, func(p mapi.Prop) mapi.Prop { return p }, r.action); err != nil {
		return nil, err
	}
	out, err := a.Append(nil)
	return mapi.Binary(out), err
}

// action is a rule's action in words of this mailbox.
func (r *restore) action(a mapi.RuleAction) (mapi.RuleAction, error) {
	var err error
	switch data := a.Data.(type) {
	case *mapi.MoveAction:
		a.Data, err = r.moveAction(*data)
	case *mapi.ReplyAction:
		a.Data, err = r.replyAction(*data)
	}
	return a, err
}

func (r *restore) moveAction(m mapi.MoveAction) (*mapi.MoveAction, error) {
	var err error
	if !m.InThisStore {
		m.Folder, err = r.folderEntry(m.Folder)
		return &m, err
	}
	id, err := oxcdata.ServerIDOf(m.Folder)
	if err != nil || !id.Ours {
		return &m, nil // the store says so when it looks at the rule
	}
	to, there := r.moved(id.FID)
	if !there {
		to = 0
		r.lost("a folder", uint64(id.FID))
	}
	id.FID = to
	m.Folder = oxcdata.ServerIDValue(id)
	return &m, nil
}

// replyAction is a reply whose template is the message that it became.
func (r *restore) replyAction(a mapi.ReplyAction) (*mapi.ReplyAction, error) {
	if len(a.MessageEID) == 0 {
		to, err := r.template(a.FID, a.MID)
		a.FID, a.MID = to.Folder, to.Message
		return &a, err
	}
	id, err := oxcdata.ParseEntryID(a.MessageEID)
	m, is := id.(*oxcdata.MessageEntryID)
	if err != nil || !is || m.Provider != mapi.GUID(r.head.Mailbox) {
		return &a, nil // the store says so when it looks at the rule
	}
	to, err := r.template(mapi.LocalFID(m.Folder.Counter), mapi.NewMID(mapi.LocalReplica, m.Message.Counter))
	if err == nil && to.Message != 0 {
		a.MessageEID, err = r.entryID(to)
	}
	return &a, err
}

// template finds the message that one of the archive became, by its import key; or, in the mailbox that the archive is of, the
// message itself. It is nowhere if there is none.
func (r *restore) template(folder mapi.FID, mid mapi.MID) (exmdb.ObjectID, error) {
	fid, there := r.moved(folder)
	if !there {
		r.lost("a template in folder", uint64(folder))
		return exmdb.ObjectID{}, nil
	}
	if r.same {
		if there, err := r.present(place{folder: fid, associated: true}, mid); err != nil || there {
			return exmdb.ObjectID{Folder: fid, Message: mid}, err
		}
	}
	mine := nth(r.contentOf(mid), 0)
	found := exmdb.ObjectID{}
	err := r.rows(place{folder: fid, associated: true}, []mapi.Tag{importKey}, func(row *exmdb.TableRow) error {
		if b, _ := row.Props.Get(importKey).(mapi.Binary); string(b) == string(mine[:]) {
			found = exmdb.ObjectID{Folder: fid, Message: mapi.MID(row.ID.ID)}
		}
		return nil
	})
	if err == nil && found.Message == 0 {
		r.lost("the template", uint64(mid))
	}
	return found, err
}

// lost tells that something names what is not there.
func (r *restore) lost(what string, id uint64) {
	if r.Warn != nil {
		r.Warn(r.done.Folder, cluster.Errorf(exmdb.KindNoRule, "a rule names %s %#x, which is not in the archive", what, id))
	}
}

// idsOf are this mailbox's ids of names, which it gets to know.
func (r *restore) idsOf(names []mapi.PropertyName) (func(mapi.Tag) mapi.Tag, error) {
	ids, err := r.register(names)
	if err != nil {
		return nil, fmt.Errorf("register names of properties: %w", err)
	}
	return func(t mapi.Tag) mapi.Tag {
		at := int(t.ID()) - 0x8000
		if at < 0 || at >= len(ids) {
			return t
		}
		return mapi.NewTag(ids[at], t.Type())
	}, nil
}

// namesAtOnce is how many names are registered by one op.
const namesAtOnce = 1000

// register makes names known to the mailbox and says their ids.
func (r *restore) register(names []mapi.PropertyName) (ids []uint16, err error) {
	for len(names) > 0 {
		n := min(len(names), namesAtOnce)
		resp, err := do(r.job, exmdb.OpNameProperties, &exmdb.NamesRequest{Names: names[:n]})
		if err != nil {
			return nil, err
		}
		ids, names = append(ids, resp.IDs...), names[n:]
	}
	return ids, nil
}
