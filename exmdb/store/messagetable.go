package store

import (
	"slices"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/convert/oxcmsg"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"
)

// messageTable is the table of computed properties of messages. Rules read row and header, so a table of rows does not
// load bags for them; those that need the bag say so by reading it.
var messageTable = newTable([]computed[*shownMessage]{
	// Who it is (MS-OXCFXICS 2.2.1.2, MS-OXCPRPT 2.2.1).
	{mapi.PidTagEntryId, (*shownMessage).entryID},
	{mapi.PidTagRecordKey, (*shownMessage).entryID},
	{mapi.PidTagParentEntryId, func(s *shownMessage) mapi.Value {
		return mapi.Binary(oxcdata.FolderOf(s.mailbox(), s.gidOf(s.fid.Counter())).Append(nil))
	}},
	{mapi.PidTagMid, func(s *shownMessage) mapi.Value { return oxcdata.MIDValue(s.m.row.MID) }},
	{mapi.PidTagInstID, func(s *shownMessage) mapi.Value { return oxcdata.MIDValue(s.m.row.MID) }},
	{mapi.PidTagInstanceNum, fixed(mapi.Integer32(0))},
	{mapi.PidTagFolderId, func(s *shownMessage) mapi.Value { return oxcdata.FIDValue(s.fid) }},
	{mapi.PidTagParentFolderId, func(s *shownMessage) mapi.Value { return oxcdata.FIDValue(s.fid) }},
	{mapi.PidTagParentSourceKey, func(s *shownMessage) mapi.Value { return mapi.Binary(s.gidOf(s.fid.Counter()).Append(nil)) }},
	{mapi.PidTagStoreRecordKey, func(s *shownMessage) mapi.Value { box := s.mailbox(); return mapi.Binary(box[:]) }},
	{mapi.PidTagMappingSignature, func(s *shownMessage) mapi.Value { return mapi.Binary(s.header.Signature[:]) }},
	{mapi.PidTagObjectType, fixed(mapi.Integer32(mapi.ObjectMessage))},
	{mapi.PidTagInternetArticleNumber, func(s *shownMessage) mapi.Value {
		if s.has(schema.RowAssociated) {
			return nil
		}
		return mapi.Integer32(int32(s.m.uid))
	}},

	// Which version it is.
	{mapi.PidTagChangeNumber, func(s *shownMessage) mapi.Value {
		return oxcdata.FIDValue(mapi.LocalFID(mapi.GlobalCounter(s.m.row.CN)))
	}},
	{mapi.PidTagChangeKey, func(s *shownMessage) mapi.Value {
		key, err := s.changeKey(versionOf(&s.m.row))
		s.fail(err)
		return mapi.Binary(key)
	}},
	{mapi.PidTagPredecessorChangeList, func(s *shownMessage) mapi.Value {
		list, err := s.predecessors(versionOf(&s.m.row))
		s.fail(err)
		return mapi.Binary(list.Append(nil))
	}},
	{mapi.PidTagDeletedOn, func(s *shownMessage) mapi.Value { return deletedOn(s.m.deleted) }},
	{mapi.PidTagLastModificationTime, func(s *shownMessage) mapi.Value { return s.modified() }},
	{mapi.PidTagLocalCommitTime, func(s *shownMessage) mapi.Value { return s.modified() }},

	// What state it is in (MAILBOX 4).
	{mapi.PidTagMessageFlags, (*shownMessage).messageFlags},
	{mapi.PidTagMessageStatus, (*shownMessage).messageStatus},
	{mapi.PidTagRead, func(s *shownMessage) mapi.Value { return mapi.Boolean(s.flag(exmdb.FlagSeen)) }},
	{mapi.PidTagAssociated, func(s *shownMessage) mapi.Value { return mapi.Boolean(s.has(schema.RowAssociated)) }},
	{mapi.PidTagFlagStatus, (*shownMessage).flagStatus},
	{mapi.PidTagLastVerbExecuted, func(s *shownMessage) mapi.Value { return number(s.m.row.Verb) }},
	{mapi.PidTagIconIndex, func(s *shownMessage) mapi.Value { return number(s.m.row.Icon) }},
	{mapi.PidTagMessageDeliveryTime, func(s *shownMessage) mapi.Value {
		if s.m.row.Received == 0 {
			return nil
		}
		return s.m.row.Received
	}},
	{mapi.PidTagAccess, (*shownMessage).access},
	{mapi.PidTagAccessLevel, fixed(mapi.Integer32(1))},

	// How much it is.
	{mapi.PidTagMessageSize, func(s *shownMessage) mapi.Value { return mapi.Integer32(min(s.m.row.MessageSize(), 1<<31-1)) }},
	{mapi.PidTagMessageSizeExtended, func(s *shownMessage) mapi.Value { return mapi.Integer64(s.m.row.MessageSize()) }},
	{mapi.PidTagHasAttachments, func(s *shownMessage) mapi.Value { return mapi.Boolean(s.hasAttachments()) }},
	{mapi.PidTagHasNamedProperties, func(s *shownMessage) mapi.Value { return mapi.Boolean(hasNamed(s.contents())) }},

	// What it says.
	{mapi.PidTagConversationId, func(s *shownMessage) mapi.Value { return octets(s.conversation()) }},
	{mapi.PidTagSubject, func(s *shownMessage) mapi.Value { return subject(s.contents()) }},
}, slices.Concat([]computed[*shownMessage]{
	{mapi.PidTagSourceKey, func(s *shownMessage) mapi.Value { return mapi.Binary(s.gidOf(s.m.row.MID.Counter()).Append(nil)) }},
	{mapi.PidTagCreationTime, func(s *shownMessage) mapi.Value { return s.modified() }},
	{mapi.PidTagSearchKey, (*shownMessage).searchKey},
	{mapi.PidTagMessageClass, fixed(mapi.String(defaultClass))},
	{mapi.PidTagImportance, fixed(mapi.Integer32(1))},
	{mapi.PidTagPriority, fixed(mapi.Integer32(0))},
	{mapi.PidTagSensitivity, fixed(mapi.Integer32(0))},
	{mapi.PidTagTransportMessageHeaders, (*shownMessage).transportHeaders},
	{mapi.PidTagTrustSender, fixed(mapi.Integer32(1))},
	{mapi.PidTagDisplayTo, fixed(mapi.String(""))},
	{mapi.PidTagDisplayCc, fixed(mapi.String(""))},
	{mapi.PidTagDisplayBcc, fixed(mapi.String(""))},
	{mapi.PidTagConversationTopic, func(s *shownMessage) mapi.Value {
		if topic := s.topic(); topic != "" {
			return mapi.String(topic)
		}
		return nil
	}},
	{mapi.PidTagConversationIndex, func(s *shownMessage) mapi.Value {
		return octets(oxcmsg.ConversationIndex(s.m.row.Received, s.conversation()))
	}},
}, author.defaults(sender), sender.defaults(author)))

func hasNamed(bag *mapi.PropBag) bool {
	all := bag.All()
	return len(all) > 0 && all[len(all)-1].Tag.Named()
}

// defaultClass is the message class of what says nothing of it.
const defaultClass = "IPM.Note"
