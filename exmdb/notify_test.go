package exmdb

import (
	"testing"

	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// TestSubscriptionsPickEvents: which notifications an event makes for whom.
func TestSubscriptionsPickEvents(t *testing.T) {
	a, b, c := mapi.LocalFID(0x100), mapi.LocalFID(0x101), mapi.LocalFID(0x102)
	m, n := mapi.NewMID(mapi.LocalReplica, 0x200), mapi.NewMID(mapi.LocalReplica, 0x201)
	const all = EventNewMail | EventCreated | EventDeleted | EventModified | EventMoved | EventCopied | EventSearchComplete
	for what, one := range map[string]struct {
		s    Subscription
		e    Event
		want EventKinds
	}{
		"everything of the mailbox":       {Subscription{Kinds: all}, Event{Kind: EventDeleted, Folder: a, Message: m}, EventDeleted},
		"a kind that is not asked for":    {Subscription{Kinds: EventCreated}, Event{Kind: EventDeleted, Folder: a, Message: m}, 0},
		"new mail is created too":         {Subscription{Kinds: all}, Event{Kind: EventCreated, Folder: a, Message: m, NewMail: true}, EventCreated | EventNewMail},
		"only as new mail":                {Subscription{Kinds: EventNewMail}, Event{Kind: EventCreated, Folder: a, Message: m, NewMail: true}, EventNewMail},
		"what was created is no new mail": {Subscription{Kinds: EventNewMail}, Event{Kind: EventCreated, Folder: a, Message: m}, 0},
		"a message in the folder":         {Subscription{Kinds: all, Folder: a}, Event{Kind: EventModified, Folder: a, Message: m}, EventModified},
		"a message elsewhere":             {Subscription{Kinds: all, Folder: b}, Event{Kind: EventModified, Folder: a, Message: m}, 0},
		"a message that left the folder":  {Subscription{Kinds: all, Folder: a}, Event{Kind: EventMoved, Folder: b, Message: n, OldFolder: a, OldMessage: m}, EventMoved},
		"the message":                     {Subscription{Kinds: all, Folder: a, Message: m}, Event{Kind: EventModified, Folder: a, Message: m}, EventModified},
		"another message":                 {Subscription{Kinds: all, Folder: a, Message: n}, Event{Kind: EventModified, Folder: a, Message: m}, 0},
		"the message that left":           {Subscription{Kinds: all, Folder: a, Message: m}, Event{Kind: EventMoved, Folder: b, Message: n, OldFolder: a, OldMessage: m}, EventMoved},
		"the folder of the message":       {Subscription{Kinds: all, Folder: a, Message: m}, Event{Kind: EventModified, Folder: a}, 0},
		"the folder":                      {Subscription{Kinds: all, Folder: a}, Event{Kind: EventModified, Folder: a, Parent: b}, EventModified},
		"a folder below it":               {Subscription{Kinds: all, Folder: b}, Event{Kind: EventCreated, Folder: a, Parent: b}, EventCreated},
		"a change of a folder below it":   {Subscription{Kinds: all, Folder: b}, Event{Kind: EventModified, Folder: a, Parent: b}, 0},
		"the folder, soft-deleted":        {Subscription{Kinds: all, Folder: a}, Event{Kind: EventModified, Folder: a, Parent: b, Deleted: true}, 0},
		"a search of the folder":          {Subscription{Kinds: all, Folder: a}, Event{Kind: EventSearchComplete, Folder: a, Parent: b}, EventSearchComplete},
		"a search of a folder below it":   {Subscription{Kinds: all, Folder: b}, Event{Kind: EventSearchComplete, Folder: a, Parent: b}, 0},
		"a folder that left it":           {Subscription{Kinds: all, Folder: c}, Event{Kind: EventMoved, Folder: a, Parent: b, OldFolder: a, OldParent: c}, EventMoved},
		"a folder that is its copy":       {Subscription{Kinds: all, Folder: c}, Event{Kind: EventCopied, Folder: a, Parent: b, OldFolder: c}, EventCopied},
	} {
		if got := one.s.Wants(&one.e); got != one.want {
			t.Errorf("%s: %#x, want %#x", what, got, one.want)
		}
	}
	if got := SubscribedFolders([]Subscription{{Folder: a}, {Folder: b, Message: m}, {Folder: a}}); len(got) != 2 {
		t.Errorf("folders %v", got)
	}
	if got := SubscribedFolders([]Subscription{{Folder: a}, {}}); got != nil {
		t.Errorf("folders %v beside the whole mailbox", got)
	}
	if got := SubscribedFolders(make([]Subscription, EventFolders+1)); got != nil {
		t.Errorf("%d folders", len(got))
	}
}
