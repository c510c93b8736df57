package schema

import (
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// The fixed folders that code refers to. FirstCustom is the first counter value for anything else (MAILBOX 1).
const (
	Root         = mapi.FID(uint64(mapi.LocalReplica)<<48 | 0x01)
	IPMSubtree   = mapi.FID(uint64(mapi.LocalReplica)<<48 | 0x09)
	Sent         = mapi.FID(uint64(mapi.LocalReplica)<<48 | 0x0A)
	DeletedItems = mapi.FID(uint64(mapi.LocalReplica)<<48 | 0x0B)
	Inbox        = mapi.FID(uint64(mapi.LocalReplica)<<48 | 0x0D)
	Drafts       = mapi.FID(uint64(mapi.LocalReplica)<<48 | 0x0E)
	Calendar     = mapi.FID(uint64(mapi.LocalReplica)<<48 | 0x0F)
	FirstCustom  = mapi.GlobalCounter(0x100)
)

// Kinds of mailbox that a fixed folder is created in; one bit for each exmdb.MailboxKind.
type inKinds uint8

const (
	inUser     = inKinds(1) << exmdb.MailboxUser
	inShared   = inKinds(1) << exmdb.MailboxShared
	inResource = inKinds(1) << exmdb.MailboxResource
	inArchive  = inKinds(1) << exmdb.MailboxArchive
	inPublic   = inKinds(1) << exmdb.MailboxPublic
	inPersonal = inUser | inShared | inResource
	inAll      = inPersonal | inArchive | inPublic
	// onDemand folders have an id and are made by the feature that needs them.
	onDemand = inKinds(0)
)

// EASType is the folder type of MS-ASCMD 2.2.3.186.3.
type EASType uint8

// FixedFolder is a row of the table of fixed folders.
type FixedFolder struct {
	ID     mapi.GlobalCounter
	Name   string // English
	Parent mapi.GlobalCounter
	Class  string // PidTagContainerClass
	// SpecialUse is the RFC 6154 attribute; IMAP says whether IMAP shows the folder by default (MAILBOX 6).
	SpecialUse string
	IMAP       bool
	// EWS is the DistinguishedFolderId (MS-OXWSCDATA 2.2.5.10), EAS the folder type, 0 for folders EAS does not show.
	EWS string
	EAS EASType
	in  inKinds
}

// FID is the folder's id in every mailbox.
func (f *FixedFolder) FID() mapi.FID { return mapi.LocalFID(f.ID) }

// In reports whether a mailbox of the kind has the folder from its creation.
func (f *FixedFolder) In(k exmdb.MailboxKind) bool { return f.in&(1<<k) != 0 }

// Classes of folders.
const (
	ClassMail     = "IPF.Note"
	classCalendar = "IPF.Appointment"
	classContact  = "IPF.Contact"
	classJournal  = "IPF.Journal"
	classNotes    = "IPF.StickyNote"
	classTask     = "IPF.Task"
)

// FixedFolders is the one table of fixed folders, ascending by id, parents before children.
var FixedFolders = []FixedFolder{
	{0x01, "Root", 0, "", "", false, "root", 0, inAll},
	{0x02, "Deferred Action", 0x01, "", "", false, "", 0, inPersonal},
	{0x03, "Spooler Queue", 0x01, "", "", false, "", 0, inPersonal},
	{0x04, "Shortcuts", 0x01, "", "", false, "", 0, inPersonal},
	{0x05, "Finder", 0x01, "", "", false, "searchfolders", 0, inAll},
	{0x06, "Views", 0x01, "", "", false, "", 0, inAll},
	{0x07, "Common Views", 0x01, "", "", false, "", 0, inAll},
	{0x08, "Schedule", 0x01, "", "", false, "", 0, inPersonal},
	{0x09, "Top of Information Store", 0x01, "", "", false, "msgfolderroot", 0, inAll},
	{0x0A, "Sent Items", 0x09, ClassMail, `\Sent`, true, "sentitems", 5, inPersonal},
	{0x0B, "Deleted Items", 0x09, ClassMail, `\Trash`, true, "deleteditems", 4, inPersonal | inArchive},
	{0x0C, "Outbox", 0x09, ClassMail, "", false, "outbox", 6, inPersonal},
	{0x0D, "Inbox", 0x09, ClassMail, "", true, "inbox", 2, inPersonal},
	{0x0E, "Drafts", 0x09, ClassMail, `\Drafts`, true, "drafts", 3, inPersonal},
	{0x0F, "Calendar", 0x09, classCalendar, "", false, "calendar", 8, inPersonal},
	{0x10, "Journal", 0x09, classJournal, "", false, "journal", 11, inPersonal},
	{0x11, "Notes", 0x09, classNotes, "", false, "notes", 10, inPersonal},
	{0x12, "Tasks", 0x09, classTask, "", false, "tasks", 7, inPersonal},
	{0x13, "Contacts", 0x09, classContact, "", false, "contacts", 9, inPersonal},
	{0x14, "Quick Contacts", 0x13, "IPF.Contact.MOC.QuickContacts", "", false, "quickcontacts", 0, inPersonal},
	{0x15, "IM Contact List", 0x13, "IPF.Contact.MOC.ImContactList", "", false, "imcontactlist", 0, inPersonal},
	{0x16, "GAL Contacts", 0x13, "IPF.Contact.GalContacts", "", false, "", 0, inPersonal},
	{0x17, "Junk Email", 0x09, ClassMail, `\Junk`, true, "junkemail", 12, inPersonal},
	{0x18, "Freebusy Data", 0x01, "", "", false, "", 0, inPersonal},
	{0x19, "Sync Issues", 0x09, ClassMail, "", false, "syncissues", 0, inPersonal},
	{0x1A, "Conflicts", 0x19, ClassMail, "", false, "conflicts", 0, inPersonal},
	{0x1B, "Local Failures", 0x19, ClassMail, "", false, "localfailures", 0, inPersonal},
	{0x1C, "Server Failures", 0x19, ClassMail, "", false, "serverfailures", 0, inPersonal},
	{0x1D, "Conversation Action Settings", 0x09, "IPF.Configuration", "", false, "", 0, inPersonal},

	{0x1E, "Archive", 0x09, ClassMail, `\Archive`, true, "", 12, inPersonal},
	{0x1F, "Conversation History", 0x09, ClassMail, "", false, "conversationhistory", 0, onDemand},
	{0x20, "Recipient Cache", 0x13, "IPF.Contact.RecipientCache", "", false, "recipientcache", 19, onDemand},
	{0x21, "Sharing", 0x01, "", "", false, "", 0, onDemand},
	{0x22, "To-Do Search", 0x01, classTask, "", false, "todosearch", 0, onDemand},
	{0x23, "Reminders", 0x01, "Outlook.Reminder", "", false, "", 0, onDemand},
	{0x24, "RSS Feeds", 0x09, "IPF.Note.OutlookHomepage", "", false, "", 0, onDemand},
	{0x25, "Recoverable Items", 0x01, ClassMail, "", false, "recoverableitemsroot", 0, onDemand},
	{0x26, "Deletions", 0x25, ClassMail, "", false, "recoverableitemsdeletions", 0, onDemand},
	{0x27, "Versions", 0x25, ClassMail, "", false, "recoverableitemsversions", 0, onDemand},
	{0x28, "Purges", 0x25, ClassMail, "", false, "recoverableitemspurges", 0, onDemand},
	{0x29, "DiscoveryHolds", 0x25, ClassMail, "", false, "recoverableitemsdiscoveryholds", 0, onDemand},
}

// Fixed returns the table's row for a folder, nil for custom ones.
func Fixed(f mapi.FID) *FixedFolder {
	if c := f.Counter(); f.Replica() == mapi.LocalReplica && c >= 1 && int(c) <= len(FixedFolders) {
		return &FixedFolders[c-1]
	}
	return nil
}
