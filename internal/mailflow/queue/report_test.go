package queue

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/directory"
	"github.com/flotilla-mail/flotilla/internal/mailflow"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// sends makes alice, who has a mailbox in group 1, the sender of what comes.
func (f *fleet) sends() mapi.MailboxID {
	f.t.Helper()
	f.from = "alice@example.test"
	f.ours[f.from] = f.box(1, 0)
	return f.ours[f.from]
}

// toldOf wants reports in a sender's mailbox about exactly these recipients with their status.
func (f *fleet) toldOf(sender mapi.MailboxID, want ...string) {
	f.t.Helper()
	var got []string
	for _, m := range f.mails(sender) {
		if !strings.HasPrefix(m, "Return-Path: <>\r\nDelivered-To: alice@example.test\r\nFrom: Mail Delivery System <MAILER-DAEMON@mail.example.test>\r\n") {
			f.t.Errorf("not a report: %.300s", m)
		}
		_, after, _ := strings.Cut(m, "message/delivery-status")
		status, header, _ := strings.Cut(after, "text/rfc822-headers")
		if !strings.Contains(header, "Subject: x\r\n") || strings.Contains(m, "\r\nhi\r\n") {
			f.t.Errorf("of the mail it has %q", header)
		}
		for _, g := range strings.Split(status, "Final-Recipient: rfc822; ")[1:] {
			address, rest, _ := strings.Cut(g, "\r\n")
			_, code, _ := strings.Cut(rest, "Status: ")
			got = append(got, address+" "+code[:5])
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		f.t.Errorf("told of %v, want %v", got, want)
	}
}

func TestWhoIsRefusedBesideOthersIsNotLost(t *testing.T) {
	for name, octets := range map[string]string{"short": withID, "long": long('f')} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t, 2)
			a, full := f.box(1, 0), f.box(2, 1)
			f.sent(octets, a, full)
			f.once(a, "u0@example.test", octets)
			e := f.only()
			r := e.Recipients[0]
			if e.Failed != 1 || e.Waiting != 0 || r.State != "failed" || r.Address != "u1@example.test" || r.Mailbox != full || !strings.Contains(r.Error, "bytes") {
				t.Fatalf("%+v", e)
			}
			if want := fmt.Sprintf("failed for u1@example.test: %d", exmdb.KindOverQuota); f.tells() != want {
				t.Error("nobody was told, or of more")
			}
			if !f.due(1).IsZero() {
				t.Error("it is tried again by itself")
			}
			if _, err := exmdb.Do(t.Context(), f.mail, exmdb.System, full, exmdb.OpSetQuota, &exmdb.SetQuotaRequest{}); err != nil {
				t.Fatal(err)
			}
			if _, err := f.queue.Retry(t.Context(), e.ID); err != nil {
				t.Fatal(err)
			}
			f.Pass(time.Minute)
			f.run(1)
			f.once(full, "u1@example.test", octets)
			if len(f.list()) != 0 || f.pairs(1) != 0 {
				t.Errorf("%d pairs are left", f.pairs(1))
			}
		})
	}
}

func TestMembersElsewhereAreNotLost(t *testing.T) {
	f := newFleet(t, 1)
	sender, a := f.sends(), f.box(1, 0)
	list := mailflow.Recipient{Address: "list@example.test", To: directory.Resolution{
		Mailboxes: []directory.Recipient{{Mailbox: a}}, External: []string{"x@elsewhere.test", "y@elsewhere.test"}}}
	if r := f.sendTo(withID, []mailflow.Recipient{list}); r[0].Err != nil {
		t.Fatal(r[0].Err)
	}
	f.once(a, "list@example.test", withID)
	failed := func() *Entry {
		for _, e := range f.list() {
			if e.From != "" {
				full, err := f.queue.Show(t.Context(), e.ID)
				if err != nil {
					t.Fatal(err)
				}
				return full
			}
		}
		t.Fatal("the mail is not in the queue")
		return nil
	}
	e := failed()
	if e.Failed != 2 || e.Waiting != 0 || e.Recipients[0].Address != "x@elsewhere.test" || !e.Recipients[1].Mailbox.IsZero() {
		t.Fatalf("%+v", e)
	}
	f.Pass(time.Minute)
	f.run(1)
	f.toldOf(sender, "x@elsewhere.test 5.4.4", "y@elsewhere.test 5.4.4")
	if e, err := f.queue.Retry(t.Context(), e.ID); err != nil || e.Failed != 2 || e.Waiting != 0 || !f.due(1).IsZero() {
		t.Fatalf("nothing carries it there: %+v, %v", e, err)
	}
	if _, err := f.queue.Remove(t.Context(), e.ID); err != nil || f.pairs(1) != 0 {
		t.Errorf("%d pairs are left, %v", f.pairs(1), err)
	}
}

func TestSendersOfOursAreTold(t *testing.T) {
	f := newFleet(t, 2)
	sender := f.sends()
	a, full, late := f.box(1, 0), f.box(1, 1), f.box(2, 1)
	f.set(2, cluster.ErrUnavailable)
	f.sent(withID, a, full, late)
	f.Pass(5 * time.Second)
	f.run(1)
	f.toldOf(sender, "u1@example.test 5.2.2")
	f.set(2, nil)
	f.Pass(time.Minute)
	f.run(1) // full, too
	f.Pass(time.Minute)
	f.run(1)
	if all := f.mails(sender); len(all) != 2 || !strings.Contains(all[1], "rfc822; u2@example.test\r\nAction: failed\r\nStatus: 5.2.2\r\n") {
		t.Fatalf("%d reports: %q", len(all), all)
	}
	if e := f.only(); e.Failed != 2 || e.From != f.from {
		t.Errorf("%+v", e)
	}
}

func TestWhoWaitedInVainIsReported(t *testing.T) {
	f := newFleet(t, 2)
	sender, a, b := f.sends(), f.box(1, 0), f.box(2, 0)
	f.set(2, cluster.ErrUnavailable)
	f.sent(withID, a, b)
	for f.list()[0].Failed == 0 {
		f.Pass(time.Hour)
		f.run(1)
	}
	f.Pass(time.Minute)
	f.run(1)
	f.toldOf(sender, "u1@example.test 4.3.0", "u1@example.test 4.4.7")
}

func TestWhoIsLateIsReportedOnce(t *testing.T) {
	f := newFleet(t, 2)
	sender, a, b := f.sends(), f.box(1, 0), f.box(2, 0)
	f.set(2, cluster.ErrUnavailable)
	f.sent(withID, a, b)
	start := f.Now()
	wait := func(until time.Duration) {
		for f.Now().Before(start.Add(until)) {
			f.Pass(15 * time.Minute)
			f.run(1)
		}
	}
	wait(lateAfter - time.Hour)
	if all := f.mails(sender); len(all) != 0 {
		t.Fatalf("told too early: %q", all)
	}
	f.sent(withoutID, a, b) // late an hour later than the first
	wait(lateAfter + 30*time.Minute)
	f.toldOf(sender, "u1@example.test 4.3.0")
	until := start.Add(lifetime).Format("Mon, 02 Jan 2006 15:04:05 -0700")
	if m := f.mails(sender)[0]; !strings.Contains(m, "Action: delayed\r\n") || !strings.Contains(m, "Will-Retry-Until: "+until+"\r\n") {
		t.Errorf("%s", m)
	}
	wait(lateAfter + 4*time.Hour)
	f.toldOf(sender, "u1@example.test 4.3.0", "u1@example.test 4.3.0")
	f.set(2, nil)
	f.Pass(time.Hour)
	f.run(1)
	if n := len(f.mails(b)); n != 2 || len(f.list()) != 0 {
		t.Errorf("%d mails came, %d entries are left", n, len(f.list()))
	}
	f.toldOf(sender, "u1@example.test 4.3.0", "u1@example.test 4.3.0")
}

// Reports are mail in the queue: one that cannot be delivered now waits, and one that never can is not reported on.
func TestReportsWaitAndAreNotReported(t *testing.T) {
	f := newFleet(t, 2)
	f.from = "alice@example.test"
	sender := f.box(2, 0)
	f.ours[f.from] = sender
	a, full := f.box(1, 0), f.box(1, 1)
	f.set(2, cluster.ErrUnavailable)
	f.sent(withID, a, full)
	f.Pass(time.Minute)
	f.run(1)
	if l := f.list(); len(l) != 2 || l[0].Failed != 1 || l[1].Waiting != 1 || l[1].From != "" {
		t.Fatalf("%+v", l)
	}
	f.set(2, nil)
	f.Pass(time.Minute)
	f.run(1)
	f.toldOf(sender, "u1@example.test 5.2.2")

	if _, err := exmdb.Do(t.Context(), f.mail, exmdb.System, sender, exmdb.OpSetQuota, &exmdb.SetQuotaRequest{Quota: 1}); err != nil {
		t.Fatal(err)
	}
	f.sent(withoutID, a, full)
	f.Pass(time.Minute)
	f.run(1)
	if l := f.list(); len(l) != 3 || l[2].Failed != 1 || l[2].From != "" || !f.due(1).IsZero() {
		t.Fatalf("%+v", l)
	}
}

func TestSendersElsewhereAreNotTold(t *testing.T) {
	for _, from := range []string{"", "s@elsewhere.test"} {
		f := newFleet(t, 1)
		f.from = from
		f.sent(withID, f.box(1, 0), f.box(1, 1))
		if e := f.only(); e.Failed != 1 || !f.due(1).IsZero() {
			t.Errorf("<%s>: %+v", from, e)
		}
	}
}

// A node that dies between giving up and its note gives up again; the sender is told once.
func TestNoCrashDoublesOrLosesAReport(t *testing.T) {
	for fault, what := range map[space.LocalFault]string{space.FaultLostEntry: "lost", space.FaultLostAnswer: "done, unheard", space.FaultRefused: "refused"} {
		t.Run(what, func(t *testing.T) {
			f := newFleet(t, 2)
			sender, a, b := f.sends(), f.box(1, 0), f.box(2, 1)
			f.set(2, cluster.ErrUnavailable)
			f.sent(withID, a, b)
			f.set(2, nil)
			f.Pass(time.Minute)
			f.Replicas[1].Local.Fail(fault)
			if err := f.perform(1); err == nil {
				t.Fatal("the fault was not met")
			}
			for range 3 {
				f.Pass(time.Minute)
				f.run(1)
			}
			f.toldOf(sender, "u1@example.test 5.2.2")
		})
	}
}

// What one update gives up is bounded, and so is what one report speaks of.
func TestReportsAreBounded(t *testing.T) {
	f := newFleet(t, 2)
	sender, a, b := f.sends(), f.box(1, 0), f.box(2, 0)
	const mails = newsAtOnce + 20
	f.set(2, cluster.ErrUnavailable)
	for i := range mails {
		f.sent(fmt.Sprintf("Message-ID: <%d@x>\r\nSubject: x\r\n\r\nhi\r\n", i), a, b)
	}
	f.Pass(lifetime + time.Hour)
	failed := func() (n int) {
		for _, e := range f.list() {
			n += int(e.Failed)
		}
		return n
	}
	f.run(1)
	if n := failed(); n != newsAtOnce {
		t.Fatalf("%d were given up at once", n)
	}
	f.Pass(time.Hour)
	f.run(1)
	f.Pass(time.Hour)
	f.run(1)
	if n, told := failed(), len(f.mails(sender)); n != mails || told != mails {
		t.Fatalf("%d were given up, %d told", n, told)
	}

	g := newFleet(t, 1)
	sender = g.sends()
	list := mailflow.Recipient{Address: "list@example.test", To: directory.Resolution{Mailboxes: []directory.Recipient{{Mailbox: g.box(1, 0)}}}}
	for i := range 2*toldAtOnce + 1 {
		list.To.External = append(list.To.External, fmt.Sprintf("x%d@elsewhere.test", i))
	}
	if r := g.sendTo(withID, []mailflow.Recipient{list}); r[0].Err != nil {
		t.Fatal(r[0].Err)
	}
	g.Pass(time.Minute)
	g.run(1)
	var counts []int
	for _, m := range g.mails(sender) {
		counts = append(counts, strings.Count(m, "Final-Recipient"))
	}
	if want := fmt.Sprint([]int{toldAtOnce, toldAtOnce, 1}); fmt.Sprint(counts) != want {
		t.Errorf("reports on %v, want %v", counts, want)
	}
}

// TestWhatComesOutOfTheQueueHasItsProperties: lists show it as they show what came at once.
func TestWhatComesOutOfTheQueueHasItsProperties(t *testing.T) {
	f := newFleet(t, 2)
	sender, a, b, full := f.sends(), f.box(1, 0), f.box(2, 0), f.box(1, 1)
	f.set(2, cluster.ErrUnavailable)
	f.sent(withID, a, b, full)
	f.set(2, nil)
	f.Pass(time.Minute)
	f.run(1)
	at, later := f.bags(a), f.bags(b)
	if len(at) != 1 || len(later) != 1 || at[0].Len() == 0 || fmt.Sprint(at[0].All()) != fmt.Sprint(later[0].All()) {
		t.Errorf("%v and %v", at, later)
	}
	report := f.bags(sender)
	if len(report) != 1 || report[0].Get(mapi.PidTagMessageClass) != mapi.String("REPORT.IPM.Note.NDR") || report[0].Get(mapi.PidTagNormalizedSubject) == nil {
		t.Errorf("a report is %v", report)
	}
}
