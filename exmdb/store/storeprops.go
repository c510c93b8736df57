package store

import (
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/content"
	"github.com/flotilla-mail/flotilla/exmdb/rules"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/directory"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"
)

// shownStore is the mailbox itself as its properties are read; err is the first failure.
type shownStore struct {
	*view
	err error
}

func (v *view) mailboxBag() (*mapi.PropBag, error) {
	bag := new(mapi.PropBag)
	_, err := load(v.r, schema.StoreBagKey(), bag)
	return bag, err
}

func (v *view) storeProps(tags []mapi.Tag) (*mapi.PropBag, error) {
	bag := new(mapi.PropBag)
	if v.whole { // what its owner keeps there is nobody else's matter
		var err error
		if bag, err = v.mailboxBag(); err != nil {
			return nil, err
		}
	}
	s := &shownStore{view: v}
	if tags == nil {
		return storeTable.all(s, bag), s.err
	}
	out := some(tags, func(t mapi.Tag) (mapi.Prop, bool) {
		return storeTable.value(s, func() *mapi.PropBag { return bag }, t)
	})
	return out, s.err
}

// folderOf is the entry id of a fixed folder, nil where the mailbox does not have it.
func folderOf(id mapi.GlobalCounter) func(*shownStore) mapi.Value {
	return func(s *shownStore) mapi.Value {
		if !schema.Fixed(mapi.LocalFID(id)).In(s.header.Kind) {
			return nil
		}
		entry, err := s.entryIDOf(mapi.LocalFID(id))
		if s.err == nil {
			s.err = err
		}
		return entry
	}
}

func (s *shownStore) guid() mapi.Value {
	box := s.mailbox()
	return mapi.Binary(box[:])
}

// storeTable is the table of computed properties of a mailbox (MS-OXCSTOR 2.2.2.1).
var storeTable = newTable([]computed[*shownStore]{
	{mapi.PidTagRecordKey, (*shownStore).guid},
	{mapi.PidTagStoreRecordKey, (*shownStore).guid},
	{mapi.PidTagMappingSignature, func(s *shownStore) mapi.Value { return mapi.Binary(s.header.Signature[:]) }},
	{mapi.PidTagObjectType, func(*shownStore) mapi.Value { return mapi.Integer32(mapi.ObjectStore) }},
	{mapi.PidTagIpmSubtreeEntryId, folderOf(0x09)},
	{mapi.PidTagIpmOutboxEntryId, folderOf(0x0C)},
	{mapi.PidTagIpmWastebasketEntryId, folderOf(0x0B)},
	{mapi.PidTagIpmSentMailEntryId, folderOf(0x0A)},
	{mapi.PidTagViewsEntryId, folderOf(0x06)},
	{mapi.PidTagCommonViewsEntryId, folderOf(0x07)},
	{mapi.PidTagFinderEntryId, folderOf(0x05)},
	{mapi.PidTagValidFolderMask, func(*shownStore) mapi.Value { return mapi.Integer32(validFolders) }},
	{mapi.PidTagStorageQuotaLimit, func(s *shownStore) mapi.Value { return kilobytes(s.warnLimit()) }},
	{mapi.PidTagProhibitSendQuota, func(s *shownStore) mapi.Value { return kilobytes(s.sendLimit()) }},
	{mapi.PidTagProhibitReceiveQuota, func(s *shownStore) mapi.Value { return kilobytes(s.header.Quota) }},
	{mapi.PidTagMaximumSubmitMessageSize, func(s *shownStore) mapi.Value { return kilobytes(s.config.MaxMessage) }},
	{mapi.PidTagExtendedRuleSizeLimit, func(*shownStore) mapi.Value { return mapi.Integer32(rules.MaxExtendedBytes) }},
	{mapi.PidTagMessageSize, func(s *shownStore) mapi.Value { return clip32(s.counters.Used) }},
	{mapi.PidTagMessageSizeExtended, func(s *shownStore) mapi.Value { return mapi.Integer64(s.counters.Used) }},
	{mapi.PidTagContentCount, func(s *shownStore) mapi.Value { return clip32(s.counters.Messages) }},
	{mapi.PidTagCreationTime, func(s *shownStore) mapi.Value { return mapi.FileTimeOf(s.header.Created) }},
	{mapi.PidTagOutOfOfficeState, (*shownStore).away},
	{mapi.PidTagMailboxOwnerEntryId, func(s *shownStore) mapi.Value { return userEntryID(s.header.Owner) }},
	{mapi.PidTagUserEntryId, func(s *shownStore) mapi.Value { return userEntryID(s.as.User) }},
	{mapi.PidTagStoreState, (*shownStore).state},
	{mapi.PidTagLocaleId, func(s *shownStore) mapi.Value { return localeOf(s.header.Language).id }},
	{mapi.PidTagSortLocaleId, func(s *shownStore) mapi.Value { return localeOf(s.header.Language).id }},
	{mapi.PidTagCodePageId, func(s *shownStore) mapi.Value { return localeOf(s.header.Language).codePage }},
}, nil)

// userEntryID is the address book's entry id of an object of the directory: its legacyExchangeDN follows from its identity.
func userEntryID(id mapi.GUID) mapi.Value {
	if id.IsZero() {
		return nil
	}
	return mapi.Binary(oxcdata.AddressBookOf(oxcdata.DisplayMailUser, directory.LegacyDNOf(id)).Append(nil))
}

// hasSearches is STORE_HAS_SEARCHES: there are search folders (MS-OXCSTOR 2.2.2.1.1.9).
const hasSearches mapi.Integer32 = 0x0100_0000

func (s *shownStore) state() mapi.Value {
	below, err := s.children(mapi.LocalFID(0x05)) // Finder
	for _, fid := range below {
		if err != nil {
			break
		}
		var c *schema.FolderCounts
		if c, err = s.folderCounts(fid); err == nil && c.Search {
			return hasSearches
		}
	}
	if s.err == nil {
		s.err = err
	}
	return mapi.Integer32(0)
}

// validFolders says that the seven folders above and the inbox have valid entry ids (PidTagValidFolderMask).
const validFolders = 0xFF

// kilobytes is a limit as clients read it; none is no property (MS-OXCSTOR 2.2.2.1.1).
func kilobytes(n uint64) mapi.Value {
	if n == 0 {
		return nil
	}
	return clip32(n >> 10)
}

// writeStoreProps is OpWriteProps on the mailbox.
func (t *tx) writeStoreProps(req *exmdb.WritePropsRequest) (*exmdb.WritePropsResponse, error) {
	old, err := t.mailboxBag()
	if err != nil {
		return nil, err
	}
	e, err := t.newEditor(&req.Payload)
	if err != nil {
		return nil, err
	}
	bag := clone(old)
	var away *bool
	if err := e.change(bag, &req.Set, req.Delete, func(tag mapi.Tag, v mapi.Value) (mapi.ErrorCode, bool) {
		if tag.ID() == mapi.PidTagOutOfOfficeState.ID() {
			return wantAway(tag, v, &away), true
		}
		return storeApart(tag, v)
	}); err != nil {
		return nil, err
	}
	if err := t.setAway(away); err != nil {
		return nil, err
	}
	stored := bag.AppendWire(nil)
	if err := checkRecord(stored); err != nil {
		return nil, err
	}
	if !sameBag(*old, *bag) {
		if err := content.Hold(t.w, content.BagHashes(bag), e.staged.inline); err != nil {
			return nil, err
		}
		if err := content.Release(t.w, content.BagHashes(old)); err != nil {
			return nil, err
		}
		t.w.Set(schema.StoreBagKey(), stored)
	}
	return &exmdb.WritePropsResponse{Problems: e.problems}, nil
}

func storeApart(t mapi.Tag, _ mapi.Value) (mapi.ErrorCode, bool) {
	if find(storeTable.rules, t.WithType(mapi.TypeUnspecified)) != nil {
		return mapi.ErrorComputed, true
	}
	return 0, false
}
