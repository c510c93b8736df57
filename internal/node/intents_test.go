package node

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/rules"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/frontends/admin"
	"github.com/flotilla-mail/flotilla/internal/directory"
	"github.com/flotilla-mail/flotilla/internal/formats/mime"
	"github.com/flotilla-mail/flotilla/internal/mailflow"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"
	"github.com/flotilla-mail/flotilla/internal/testkit"
)

// TestWhatMailboxesSendSurvivesChangesOfOwner: while mail comes in that rules hand on to a mailbox of another group, the
// group that hands it on changes its leader again and again. Everything arrives, once.
func TestWhatMailboxesSendSurvivesChangesOfOwner(t *testing.T) {
	if testing.Short() {
		t.Skip("runs three nodes")
	}
	t.Parallel()
	all, _ := startThree(t)
	n := all["n1"]
	anna := person(t, n, "anna")
	bert := person(t, n, "bert")
	for i := 0; groupOf(t, n, anna) == groupOf(t, n, bert); i++ {
		bert = person(t, n, fmt.Sprintf("bert%d", i))
	}
	forward(t, n, anna, bert.Address)
	const mails = 30
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 4 {
			handOver(t, all, groupOf(t, n, anna))
		}
	}()
	for i := range mails {
		deliverTo(t, all[[]cluster.NodeID{"n1", "n2", "n3"}[i%3]], anna.Address, fmt.Sprintf("Message-ID: <%d@elsewhere.test>\r\nSubject: %d\r\n\r\nhi\r\n", i, i))
	}
	<-done
	var seen map[string]int
	testkit.Eventually(t, patience, func(ctx context.Context) error {
		var err error
		if seen, err = subjects(ctx, n, bert.Mailbox); err == nil && len(seen) < 2*mails {
			err = fmt.Errorf("%d of %d mails are there", len(seen), 2*mails)
		}
		return err
	})
	for subject, times := range seen {
		if times != 1 {
			t.Errorf("%q came %d times", subject, times)
		}
	}
	testkit.Eventually(t, patience, func(ctx context.Context) error {
		l, err := n.queue().List(ctx)
		if err == nil && len(l.Entries)+len(l.Silent) > 0 {
			err = fmt.Errorf("in the queue are %+v", l)
		}
		return err
	})
	left, err := exmdb.Do(t.Context(), n.mail, exmdb.System, anna.Mailbox, exmdb.OpMailboxInfo, &exmdb.Empty{})
	if err != nil || left.Messages != 0 {
		t.Errorf("%+v, %v", left, err)
	}
}

func person(t *testing.T, n *Node, name string) *directory.Object {
	t.Helper()
	var o *directory.Object
	testkit.Eventually(t, patience, func(ctx context.Context) (err error) {
		o, err = backend{n}.AddObject(ctx, admin.NewObject{Kind: "user", Address: name + "@example.test", Name: name})
		return err
	})
	return o
}

func groupOf(t *testing.T, n *Node, o *directory.Object) (id cluster.GroupID) {
	t.Helper()
	testkit.Eventually(t, patience, func(ctx context.Context) error {
		g, err := n.mail.Locality(ctx, o.Mailbox)
		id = cluster.GroupID(g)
		return err
	})
	return id
}

// forward gives somebody a rule that hands everything on, once as it is and once as a mail of his own, and keeps nothing.
func forward(t *testing.T, n *Node, from *directory.Object, to string) {
	t.Helper()
	data := mapi.ForwardAction{{{Tag: mapi.PidTagSmtpAddress, Value: mapi.String(to)}}}
	actions, err := oxcdata.RuleActionsValue([]mapi.RuleAction{{Type: mapi.ActionForward, Data: data},
		{Type: mapi.ActionForward, Flavor: mapi.ForwardPreserveSender, Data: data}, {Type: mapi.ActionDelete}})
	if err != nil {
		t.Fatal(err)
	}
	var bag mapi.PropBag
	bag.Set(mapi.PidTagRuleState, mapi.Integer32(rules.Enabled))
	bag.Set(mapi.PidTagRuleProvider, mapi.String("RuleOrganizer"))
	bag.Set(mapi.PidTagRuleActions, actions)
	_, err = exmdb.Do(t.Context(), n.mail, exmdb.System, from.Mailbox, exmdb.OpModifyRules,
		&exmdb.ModifyRulesRequest{Folder: schema.Inbox, Changes: []exmdb.RuleChange{{Kind: exmdb.RuleAdd, Props: bag}}})
	if err != nil {
		t.Fatal(err)
	}
}

// handOver makes another node lead a group.
func handOver(t *testing.T, all map[cluster.NodeID]*Node, id cluster.GroupID) {
	t.Helper()
	testkit.Eventually(t, patience, func(ctx context.Context) error {
		leader := all[all["n1"].view.Leader(id).Node]
		if leader == nil {
			return fmt.Errorf("nobody leads group %d", id)
		}
		g := leader.storage.host.Group(id)
		for _, r := range leader.view.Map().Group(id).Replicas {
			if r.Server != g.Self() {
				ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
				defer cancel()
				return g.Transfer(ctx, r.Server)
			}
		}
		return fmt.Errorf("group %d has one replica", id)
	})
}

func deliverTo(t *testing.T, n *Node, address, octets string) {
	t.Helper()
	d := n.deliverer()
	d.Spool = t.TempDir()
	testkit.Eventually(t, patience, func(ctx context.Context) error {
		m, err := d.Receive(ctx, strings.NewReader(octets), 0)
		if err != nil {
			return err
		}
		env := &mailflow.Envelope{From: "dora@elsewhere.test", Helo: "elsewhere.test", Remote: "192.0.2.1", With: "LMTP"}
		to, err := d.Accept(ctx, env, address)
		if err != nil {
			return err
		}
		return d.Deliver(ctx, env, []mailflow.Recipient{to}, m)[0].Err
	})
}

// subjects counts the mails of an inbox by their subjects.
func subjects(ctx context.Context, n *Node, box mapi.MailboxID) (map[string]int, error) {
	seen := make(map[string]int)
	resp, err := exmdb.Do(ctx, n.mail, exmdb.System, box, exmdb.OpRows, &exmdb.RowsRequest{Folder: schema.Inbox, Fields: exmdb.RowDigest})
	if err != nil {
		return nil, err
	}
	for _, row := range resp.Rows {
		e, err := mime.DigestEnvelope(row.Digest)
		if err != nil {
			return nil, err
		}
		seen[e.Subject]++
	}
	return seen, nil
}
