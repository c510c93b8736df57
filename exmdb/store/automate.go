package store

import (
	"bytes"
	"errors"
	"slices"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/content"
	"github.com/flotilla-mail/flotilla/exmdb/rules"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/formats/mime"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"
)

// incoming is a mail on its way in, and what the mailbox does with it by itself: exmdb/rules decides, this carries out,
// all of it in the effect that delivers the mail.
type incoming struct {
	*tx
	*arrival
	req  *exmdb.DeliverRequest
	auto *schema.Automation
	mail *rules.Mail
	plan *rules.Plan
	// away says that the sender is told by the out-of-office settings.
	away bool
	// keywordIDs are the categories that an action on the mail's conversation gives it.
	keywordIDs []uint16
	// row is that of the first place, once the mail is there; places are where it is in all.
	row    *schema.Row
	places int
	// body is the body that things that go out share; zero before there is one.
	body mapi.ObjectNumber
	// bodyContent says that the body has content.
	bodyContent bool
}

// receive begins the way of a mail: it decides.
func (t *tx) receive(req *exmdb.DeliverRequest, row *schema.Row) (*incoming, error) {
	req = inZone(req)
	in := &incoming{tx: t, req: req}
	var err error
	if in.arrival, err = t.arrival(&req.Message, row); err != nil {
		return nil, err
	}
	fid, err := t.inbox(in.bag)
	if err != nil {
		return nil, err
	}
	in.plan = &rules.Plan{Places: []mapi.FID{fid}}
	if !schema.Fixed(schema.Junk).In(t.header.Kind) {
		return in, nil
	}
	if in.auto, err = t.automation(); err != nil {
		return nil, err
	}
	in.mail = &rules.Mail{Props: in.bag, Digest: req.Message.Digest, Header: in.header(), From: req.Sender,
		Size: req.Message.Recipe.Size() + uint64(len(req.Message.Props)), Received: mapi.FileTimeOf(orNow(req.Received, t.now)),
		About: req.About, Body: in.text}
	verdict, err := rules.JudgeJunk(in.mail, &in.auto.Junk, in.lists())
	if err != nil {
		return nil, err
	}
	if verdict.Junk {
		in.plan.Places[0] = schema.Junk
		return in, nil
	}
	in.oweReceipts(row)
	if err := in.applyRules(fid); err != nil {
		return nil, err
	}
	if err := in.applyConversation(); err != nil {
		return nil, err
	}
	return in, in.tellAway()
}

// maxHeader is how much of a header is looked at.
const maxHeader = 64 << 10

// header is the header of the mail, with what this delivery put in front of it; nil where it is longer than what is looked
// at.
func (in *incoming) header() []byte {
	r := &in.req.Message.Recipe
	if len(r.Segments) > 0 && len(r.Segments[0].Chunks) == 0 {
		raw := r.Segments[0].Raw
		if end := bytes.Index(raw, []byte("\r\n\r\n")); end >= 0 && !bytes.HasPrefix(raw, []byte("\r\n")) {
			return slices.Concat(r.Prefix, raw[:end+2]) // and not all of a mail that has no parts
		}
	}
	octets, _ := content.Read(in.arriving(), r, 0, maxHeader) // what is not there has no header to look at
	whole := r.Size() <= maxHeader
	if end := bytes.Index(octets, []byte("\r\n\r\n")); end >= 0 {
		return octets[:end+2]
	}
	if !whole {
		return nil
	}
	return octets
}

func (in *incoming) arriving() arriving { return arriving{in.r, in.req.Message.Inline} }

// lists are the user's lists of senders.
func (in *incoming) lists() *rules.Lists {
	l := &rules.Lists{Contact: in.isContact}
	if in.auto.JunkEntries > 0 {
		l.Has = func(list exmdb.JunkList, entry string) (bool, error) {
			b, err := in.r.Get(schema.JunkKey(list, entry))
			return b != nil, err
		}
	}
	return l
}

// applyRules looks at the rules of the folder, if the mailbox has any.
func (in *incoming) applyRules(fid mapi.FID) error {
	if in.auto.Folders == 0 && in.auto.Extended == 0 {
		return nil
	}
	plan, err := rules.Evaluate(in.mail, &rules.Situation{Folder: fid, Away: in.auto.OOF.Away(in.now), Rules: in.rulesOf,
		Target: in.target, Answered: in.hasTold, May: in.authorMay})
	if err == nil {
		in.plan = plan
	}
	return err
}

// rulesOf are the rules of a folder in their order.
func (in *incoming) rulesOf(fid mapi.FID) ([]rules.Rule, error) {
	list, err := in.readyRules(fid)
	if err != nil || in.auto.Extended == 0 {
		return list, err
	}
	more, err := in.extendedRules(fid)
	if err != nil || len(more) == 0 {
		return list, err
	}
	return rules.Order(append(list[:len(list):len(list)], more...)), nil
}

// target is the folder that a move means: a server id in standard rules, an entry id in extended ones.
func (v *view) target(m *mapi.MoveAction) (mapi.FID, bool, error) {
	var fid mapi.FID
	if m.InThisStore {
		id, err := oxcdata.ServerIDOf(m.Folder)
		if err != nil || !id.Ours {
			return 0, false, nil
		}
		fid = id.FID
	} else {
		var err error
		if fid, err = v.folderNamed(m.Folder); err != nil || fid == 0 {
			return 0, false, err
		}
	}
	fid, err := v.holdsMessages(fid)
	return fid, err == nil && fid != 0, err
}

// holdsMessages is a folder if it is there and no search folder, else zero.
func (v *view) holdsMessages(fid mapi.FID) (mapi.FID, error) {
	c, err := v.folderCounts(fid)
	switch {
	case err != nil && cluster.KindOf(err) == exmdb.KindNoFolder, err == nil && c.Search:
		return 0, nil
	case err != nil:
		return 0, err
	}
	return fid, nil
}

// folderNamed is the folder of this mailbox that an entry id names, zero if it names none.
func (v *view) folderNamed(entryID []byte) (mapi.FID, error) {
	id, err := oxcdata.ParseEntryID(entryID)
	if err != nil {
		return 0, nil
	}
	f, ok := id.(*oxcdata.FolderEntryID)
	if !ok || f.Provider != mapi.GUID(v.mailbox()) {
		return 0, nil
	}
	c, err := v.ownCounter(f.Folder)
	return mapi.LocalFID(c), err
}

// ownCounter is the counter of an identifier of this mailbox, of whatever epoch; zero for others.
func (v *view) ownCounter(g mapi.GID) (mapi.GlobalCounter, error) {
	if g.Replica == v.header.ReplicaGUID {
		return g.Counter, nil
	}
	table, err := v.replicas()
	if err != nil {
		return 0, err
	}
	for _, row := range table.former {
		if row.GUID == g.Replica {
			return g.Counter, nil
		}
	}
	return 0, nil
}

// text is the beginning of the mail's text, for rules that look for words.
func (in *incoming) text() string {
	root, err := mime.UnmarshalDigest(in.req.Message.Digest)
	if err != nil {
		return ""
	}
	octets := exmdb.Recipe{Segments: in.req.Message.Recipe.Segments}
	return rules.TextOf(root, func(from, n int64) ([]byte, error) {
		return content.Read(in.arriving(), &octets, uint64(from), uint32(n))
	})
}

// arriving is the content of a mail that is not stored yet.
type arriving struct {
	space.Reader
	inline [][]byte
}

// Content implements content.Source.
func (a arriving) Content(h space.Hash) ([]byte, error) {
	for _, b := range a.inline {
		if space.HashOf(b) == h {
			return b, nil
		}
	}
	return a.Reader.Content(h)
}

// arrive carries out what was decided, and answers the delivery. A mail that is kept nowhere has no place to be told.
func (in *incoming) arrive(row *schema.Row) (*exmdb.DeliverResponse, error) {
	resp := &exmdb.DeliverResponse{}
	if err := in.prepare(row); err != nil {
		return nil, err
	}
	work, err := in.meeting()
	if err != nil {
		return nil, err
	}
	if work != nil { // clients are not to do it again (MS-OXOCAL 2.2.5.7)
		in.bag.Set(mapi.PidTagProcessed, mapi.Boolean(true))
	}
	for i, fid := range in.plan.Places {
		if i > 0 {
			if err := in.another(fid, *row); err != nil {
				return nil, err
			}
			continue
		}
		if resp, err = in.store(fid, in.arrival, row); err != nil {
			return nil, err
		}
		in.row, in.places = row, 1
		in.body, in.bodyContent = row.BodyNumber(), row.Bits&schema.RowContent != 0
	}
	if err := errors.Join(in.enterMeeting(work), in.sendAll()); err != nil {
		return nil, err
	}
	return resp, in.report()
}

// prepare makes the message what rules want it to be, before it is anywhere.
func (in *incoming) prepare(row *schema.Row) error {
	if in.plan.Read {
		row.Bits |= schema.RowBits(exmdb.FlagSeen)
	}
	row.Keywords = wanted{mode: exmdb.FlagsAdd, keywords: in.keywordIDs}.newKeywords(row.Keywords)
	tags := in.plan.Tags
	if len(in.plan.Deferred) > 0 {
		tags = append(tags, mapi.Prop{Tag: mapi.PidTagHasDeferredActionMessages, Value: mapi.Boolean(true)})
	}
	tags = append(tags, delegated(in.req.About.Delegator)...)
	if len(tags) == 0 {
		return nil
	}
	d := &draft{tx: in.tx, after: message{row: *row}, contents: in.bag}
	for _, p := range tags {
		d.putOn(p)
	}
	*row = d.after.row
	return d.err
}

// putOn gives a message that is not stored yet a property. What a mailbox computes is passed over, as when a client sets
// it.
func (d *draft) putOn(p mapi.Prop) {
	if p.Tag.ID() == mapi.PidTagSubject.ID() {
		setSubject(d.contents, new(mapi.PropBag), p.Value)
		return
	}
	if _, mine := d.apart(p.Tag, p.Value); mine {
		return
	}
	deleteID(d.contents, p.Tag)
	d.contents.Set(p.Tag, p.Value)
}

// delegated are the properties of a mail that a rule handed on to a delegate (MS-OXORULE 2.2.5.1.2.4): for whom it was.
func delegated(who *exmdb.KnownAddress) []mapi.Prop {
	if who == nil {
		return nil
	}
	kind, address := smtp, who.Address
	if who.LegacyDN != "" {
		kind, address = "EX", who.LegacyDN
	}
	return []mapi.Prop{
		{Tag: mapi.PidTagDelegatedByRule, Value: mapi.Boolean(true)},
		{Tag: mapi.PidTagReceivedRepresentingName, Value: mapi.String(who.Name)},
		{Tag: mapi.PidTagReceivedRepresentingSmtpAddress, Value: mapi.String(who.Address)},
		{Tag: mapi.PidTagReceivedRepresentingAddressType, Value: mapi.String(kind)},
		{Tag: mapi.PidTagReceivedRepresentingEmailAddress, Value: mapi.String(address)},
		{Tag: mapi.PidTagReceivedRepresentingSearchKey, Value: mapi.Binary(oxcdata.SearchKey(kind, address))},
	}
}

// another puts one more copy of the mail into a folder. Where there is no room for it, it is not made: the mail itself is
// there.
func (in *incoming) another(fid mapi.FID, row schema.Row) error {
	if err := in.room(row.MessageSize()); err != nil {
		in.plan.Failures = append(in.plan.Failures, rules.Failure{Type: mapi.ActionCopy, Code: rules.FailureQuota})
		return nil
	}
	if err := in.duplicate(&row); err != nil {
		return err
	}
	c, err := in.edit(fid)
	if err != nil {
		return err
	}
	in.enter(&row)
	in.places++
	_, err = in.place(fid, c, &row)
	return err
}
