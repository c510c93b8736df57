package deliver

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/directory"
	"github.com/flotilla-mail/flotilla/internal/mailflow"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// kept is what Later was given, as a line: who waits and who is refused.
func (l *later) keptAs() string {
	if l.rest == nil {
		return ""
	}
	var all []string
	for _, p := range l.rest.To {
		state := "waits"
		if p.Refused != nil {
			state = fmt.Sprint("refused ", cluster.KindOf(p.Refused))
		}
		all = append(all, fmt.Sprint(p.Mailbox[0], " ", p.Address, " ", state))
	}
	return strings.Join(all, ", ")
}

// TestWhoSharesAnAnswerIsKept: SMTP has one answer for all recipients, LMTP one for each, which may be a list.
func TestWhoSharesAnAnswerIsKept(t *testing.T) {
	a, b := mapi.MailboxID{1}, mapi.MailboxID{2}
	full, down := &cluster.Error{Kind: exmdb.KindOverQuota}, cluster.ErrUnavailable
	list := func(external []string, boxes ...mapi.MailboxID) mailflow.Recipient {
		r := mailflow.Recipient{Address: "list@example.test", To: directory.Resolution{External: external}}
		for _, box := range boxes {
			r.To.Mailboxes = append(r.To.Mailboxes, directory.Recipient{Mailbox: box})
		}
		return r
	}
	bob := mailflow.Recipient{Address: "bob@example.test", To: one(b, 0)}
	away := []string{"x@elsewhere.test"}
	for _, c := range []struct {
		name  string
		with  string
		to    []mailflow.Recipient
		fails map[mapi.MailboxID]error
		kept  string
		want  []error
	}{
		{"a full one beside another", "ESMTP", []mailflow.Recipient{list(nil, a), bob}, map[mapi.MailboxID]error{b: full}, "2 bob@example.test refused 1008", []error{nil, nil}},
		{"a full one beside another", "LMTP", []mailflow.Recipient{list(nil, a), bob}, map[mapi.MailboxID]error{b: full}, "", []error{nil, full}},
		{"a full member", "LMTP", []mailflow.Recipient{list(nil, a, b)}, map[mapi.MailboxID]error{b: full}, "2 list@example.test refused 1008", []error{nil}},
		{"a member that is down", "LMTP", []mailflow.Recipient{list(nil, a, b)}, map[mapi.MailboxID]error{b: down}, "2 list@example.test waits", []error{nil}},
		{"a full member who is named too", "LMTP", []mailflow.Recipient{list(nil, a, b), bob}, map[mapi.MailboxID]error{b: full}, "2 list@example.test refused 1008", []error{nil, full}},
		{"a member that is down and named too", "LMTP", []mailflow.Recipient{bob, list(nil, a, b)}, map[mapi.MailboxID]error{b: down}, "2 bob@example.test waits", []error{nil, nil}},
		{"no member", "LMTP", []mailflow.Recipient{list(away, a, b)}, map[mapi.MailboxID]error{a: full, b: full}, "", []error{full}},
		{"a member elsewhere", "ESMTP", []mailflow.Recipient{list(away, a)}, nil, "0 x@elsewhere.test refused 1101", []error{nil}},
		{"a member elsewhere", "LMTP", []mailflow.Recipient{list(away, a)}, nil, "0 x@elsewhere.test refused 1101", []error{nil}},
		{"two lists with a member elsewhere", "ESMTP", []mailflow.Recipient{list(away, a), list(away, a, b)}, map[mapi.MailboxID]error{b: down},
			"0 x@elsewhere.test refused 1101, 2 list@example.test waits", []error{nil, nil}},
		{"nobody but elsewhere", "ESMTP", []mailflow.Recipient{list(away, a)}, map[mapi.MailboxID]error{a: down}, "", []error{down}},
	} {
		s, l := newStore(), &later{}
		d := deliverer(t, s)
		d.Later = l
		for box, err := range c.fails {
			s.fail[box] = err
		}
		results := d.Deliver(context.Background(), &mailflow.Envelope{With: c.with}, c.to, receiveAll(t, d, "Subject: x\r\n\r\n"))
		for i, r := range results {
			if !errors.Is(r.Err, c.want[i]) || (r.Err == nil) != (c.want[i] == nil) {
				t.Errorf("%s, %s: recipient %d: %v, want %v", c.name, c.with, i, r.Err, c.want[i])
			}
		}
		if got := l.keptAs(); got != c.kept {
			t.Errorf("%s, %s: kept %q, want %q", c.name, c.with, got, c.kept)
		}
	}
}

// TestWhatCannotBeNotedIsSentAgain: a refusal that nobody would hear of is no reason to say 250.
func TestWhatCannotBeNotedIsSentAgain(t *testing.T) {
	s := newStore()
	d := deliverer(t, s)
	d.Later = &later{fail: cluster.ErrUnavailable}
	a, b := mapi.MailboxID{1}, mapi.MailboxID{2}
	s.fail[b] = &cluster.Error{Kind: exmdb.KindOverQuota}
	results := d.Deliver(context.Background(), &mailflow.Envelope{With: "ESMTP"}, to(a, b), receiveAll(t, d, "Subject: x\r\n\r\n"))
	if err := results[1].Err; results[0].Err != nil || !errors.Is(err, s.fail[b]) || !errors.Is(err, cluster.ErrUnavailable) {
		t.Errorf("%v, %v", results[0].Err, err)
	}
}

// unreachable is a directory that cannot say who is none of ours.
type unreachable struct{ people }

func (unreachable) Local(context.Context, string) (bool, error) { return false, cluster.ErrUnavailable }

func TestReportsGoToSendersOfOurs(t *testing.T) {
	alice := mapi.MailboxID{7}
	known := people{"alice@example.test": one(alice, 0), "list@example.test": {Mailboxes: append(one(alice, 0).Mailboxes, one(mapi.MailboxID{8}, 0).Mailboxes...)},
		"mixed@example.test": {Mailboxes: one(alice, 0).Mailboxes, External: []string{"x@elsewhere.test"}}}
	for _, c := range []struct {
		from  string
		where directory.Directory
		want  mapi.MailboxID
	}{
		{"alice@example.test", known, alice},
		{"Alice+x@EXAMPLE.test", known, alice},
		{"", known, mapi.MailboxID{}},
		{"nobody@example.test", known, mapi.MailboxID{}},
		{"alice@elsewhere.test", known, mapi.MailboxID{}},
		{"list@example.test", known, mapi.MailboxID{}},
		{"mixed@example.test", known, mapi.MailboxID{}},
		{"alice@example.test", unreachable{known}, mapi.MailboxID{}},
	} {
		s, l := newStore(), &later{}
		d := deliverer(t, s)
		d.Later, d.Directory = l, c.where
		s.fail[mapi.MailboxID{2}] = &cluster.Error{Kind: exmdb.KindOverQuota}
		d.Deliver(context.Background(), &mailflow.Envelope{From: c.from, With: "ESMTP"}, to(mapi.MailboxID{1}, mapi.MailboxID{2}), receiveAll(t, d, "Subject: x\r\n\r\n"))
		if l.rest == nil || l.rest.Sender != c.want || l.rest.Host != d.Host || l.rest.From != c.from {
			t.Errorf("<%s>: %+v", c.from, l.rest)
		}
	}
}

// TestMailThatLeavesHasNoFinalTrace: Return-Path and Delivered-To are of the last system (RFC 5321 4.4).
func TestMailThatLeavesHasNoFinalTrace(t *testing.T) {
	s, l := newStore(), &later{}
	d := deliverer(t, s)
	d.Later = l
	list := []mailflow.Recipient{{Address: "list@example.test", To: directory.Resolution{Mailboxes: one(mapi.MailboxID{1}, 0).Mailboxes, External: []string{"x@elsewhere.test"}}}}
	d.Deliver(context.Background(), &mailflow.Envelope{From: "a@b", With: "ESMTP"}, list, receiveAll(t, d, "Subject: x\r\n\r\n"))
	if got := string(l.rest.To[0].Trace); !strings.HasPrefix(got, "Received: from ") || strings.Count(got, ": ") != 1 {
		t.Errorf("%q", got)
	}
	if got := string(s.mails[mapi.MailboxID{1}][0].Message.Recipe.Prefix); !strings.HasPrefix(got, "Return-Path: <a@b>\r\nDelivered-To: list@example.test\r\nReceived: ") {
		t.Errorf("%q", got)
	}
}
