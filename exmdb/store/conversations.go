package store

import (
	"slices"
	"strings"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/convert/oxcmsg"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// Conversation actions are associated messages that clients write in a folder of their own, one for each conversation that
// is ignored, filed or given categories from then on (MS-OXOCFG 2.2.8). An index by conversation leads a delivery to the one
// that is about it; another by object keeps that true when the message changes.

// conversationActionClass is the class of such a message (MS-OXOCFG 2.2.8.9).
const conversationActionClass = "IPM.ConversationAction"

// Where an index of a conversation has the conversation's GUID (MS-OXOCFG 2.2.8.8).
const (
	conversationAt  = 6
	conversationEnd = 22
)

// conversationOf is the conversation of a message with a bag (MS-OXOMSG 2.2.1.2), nil for none.
func conversationOf(bag *mapi.PropBag) []byte {
	index, _ := bag.Get(mapi.PidTagConversationIndex).(mapi.Binary)
	tracked, _ := bag.Get(mapi.PidTagConversationIndexTracking).(mapi.Boolean)
	topic := textOf(bag, mapi.PidTagConversationTopic)
	if topic == "" {
		topic = textOf(bag, mapi.PidTagNormalizedSubject)
	}
	return oxcmsg.ConversationID(index, bool(tracked), topic)
}

// actsOn is the conversation that an associated message is about, nil where it is no conversation action.
func actsOn(bag *mapi.PropBag) []byte {
	index, _ := bag.Get(mapi.PidTagConversationIndex).(mapi.Binary)
	if !strings.EqualFold(textOf(bag, mapi.PidTagMessageClass), conversationActionClass) || len(index) < conversationEnd {
		return nil
	}
	return index[conversationAt:conversationEnd]
}

// noteConversation keeps the indexes true for an associated message with a bag.
func (t *tx) noteConversation(row *schema.Row, bag *mapi.PropBag) error {
	if row.Bits&schema.RowAssociated == 0 {
		return nil
	}
	return t.indexConversation(row.Object, actsOn(bag))
}

// indexConversation says on which conversation an object acts, nil for none.
func (t *tx) indexConversation(object mapi.ObjectNumber, conversation []byte) error {
	key := schema.ConversationOfKey(object)
	was, err := t.r.Get(key)
	if err != nil || slices.Equal(was, conversation) {
		return err
	}
	a, err := t.automation()
	if err != nil {
		return err
	}
	if was != nil {
		a.Conversations--
		t.w.Delete(schema.ConversationActionKey(was, object))
		t.w.Delete(key)
	}
	if conversation != nil {
		a.Conversations++
		t.w.Set(schema.ConversationActionKey(conversation, object), nil)
		t.w.Set(key, conversation)
	}
	t.setAutomation(a)
	return nil
}

// copyConversation has the copy of a message indexed as the message is.
func (t *tx) copyConversation(from *schema.Row, to mapi.ObjectNumber) error {
	if from.Bits&schema.RowAssociated == 0 {
		return nil
	}
	was, err := t.r.Get(schema.ConversationOfKey(from.Object))
	if err != nil || was == nil {
		return err
	}
	return t.indexConversation(to, was)
}

// applyConversation does with a mail what its conversation's action says (MS-OXOCFG 3.2.5.2), after the rules: a mail that
// they keep somewhere is kept where the action says, once. One that names no folder of this mailbox leaves it where it is.
func (in *incoming) applyConversation() error {
	if in.auto.Conversations == 0 {
		return nil
	}
	m, err := in.conversationAction(conversationOf(in.bag))
	if err != nil || m == nil {
		return err
	}
	in.keywordIDs = m.row.Keywords
	bag, err := in.tx.bag(&m.row)
	if err != nil {
		return err
	}
	store, err := in.named(bag, mapi.PidLidConversationActionMoveStoreEid)
	if err != nil || store != nil || len(in.plan.Places) == 0 {
		return err
	}
	folder, err := in.named(bag, mapi.PidLidConversationActionMoveFolderEid)
	entry, is := folder.(mapi.Binary)
	if err != nil || !is {
		return err
	}
	fid := schema.DeletedItems
	if len(entry) > 0 {
		if fid, err = in.folderNamed(entry); err == nil && fid != 0 {
			fid, err = in.holdsMessages(fid)
		}
	}
	if err == nil && fid != 0 {
		in.plan.Places = []mapi.FID{fid}
	}
	return err
}

// conversationAction is the action on a conversation, nil where there is none.
func (v *view) conversationAction(conversation []byte) (_ *message, err error) {
	if conversation == nil {
		return nil, nil
	}
	it := v.r.Iter(schema.ConversationActionKey(conversation, 0), schema.ConversationActionKey(conversation, schema.EndOfObjects))
	defer closing(it, &err)
	for it.Next() {
		object, err := schema.ParseConversationActionKey(it.Key())
		if err != nil {
			return nil, err
		}
		b, err := v.r.Get(schema.ObjectKey(object))
		if err != nil {
			return nil, err
		}
		if b == nil {
			continue // it is a message no more
		}
		c, err := schema.ParseCounter(b)
		if err != nil {
			return nil, err
		}
		fid, m, err := v.find(mapi.NewMID(mapi.LocalReplica, c))
		switch {
		case err != nil && cluster.KindOf(err) != exmdb.KindNoMessage:
			return nil, err
		case err == nil && fid == schema.ConversationActions:
			return m, nil
		}
	}
	return nil, nil
}
