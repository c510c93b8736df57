package queue

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// storm is mail, outages, crashes and administrators in an order drawn by chance.
type storm struct {
	*fleet
	rng   *rand.Rand
	boxes []mapi.MailboxID
	// want says for each mailbox and subject whether the mail was answered with 250.
	want map[mapi.MailboxID]map[string]bool
	sent int
}

func (s *storm) mail() {
	s.sent++
	subject := fmt.Sprintf("mail %d", s.sent)
	octets := "Subject: " + subject + "\r\n\r\nhi\r\n"
	if s.rng.IntN(2) == 0 {
		octets = "Message-ID: <" + subject + "@x>\r\n" + octets
	}
	if s.rng.IntN(8) == 0 {
		octets += strings.Repeat(fmt.Sprintf("a long line of %s\r\n", subject), 10_000)
	}
	var to []mapi.MailboxID
	for _, i := range s.rng.Perm(len(s.boxes))[:1+s.rng.IntN(4)] {
		to = append(to, s.boxes[i])
	}
	for i, r := range s.send(octets, to...) {
		s.want[to[i]][subject] = r.Err == nil
	}
}

func (s *storm) step() {
	g := s.Groups[s.rng.IntN(len(s.Groups))]
	switch s.rng.IntN(12) {
	case 0, 1, 2:
		s.mail()
	case 3:
		s.set(g, []error{cluster.ErrUnavailable, cluster.ErrOverloaded, cluster.ErrDiskFull, errors.New("a bug"),
			&cluster.Error{Kind: exmdb.KindOverQuota}}[s.rng.IntN(5)])
	case 4, 5:
		s.set(g, nil)
	case 6:
		s.mu.Lock()
		s.lost[g] = !s.lost[g]
		s.mu.Unlock()
	case 7:
		s.Replicas[g].Local.Fail([]space.LocalFault{space.FaultLostAnswer, space.FaultLostEntry, space.FaultOvertaken, space.FaultVoidTerm}[s.rng.IntN(4)])
	case 8:
		if l := s.list(); len(l) > 0 {
			_, _ = s.queue.Retry(s.t.Context(), l[s.rng.IntN(len(l))].ID) // its group may be down, or meet a fault
		}
	case 9:
		s.Pass(time.Duration(s.rng.Int64N(int64(20 * time.Minute))))
	default:
		_ = s.perform(g) // a fault ends a sweep; the next one goes on
	}
}

// settle mends everything and lets the queue run empty.
func (s *storm) settle() {
	s.mu.Lock()
	clear(s.down)
	clear(s.lost)
	s.mu.Unlock()
	for round := 0; ; round++ {
		l := s.list()
		if len(l) == 0 {
			return
		}
		if round == 100 {
			s.t.Fatalf("the queue does not run empty: %+v", l)
		}
		for _, e := range l {
			_, _ = s.queue.Retry(s.t.Context(), e.ID) // faults drawn before may still be met
		}
		for _, g := range s.Groups {
			_ = s.perform(g) // as above
		}
	}
}

func TestStorm(t *testing.T) {
	seed := rand.Uint64()
	acknowledged, told := 0, ""
	for i := range 12 {
		s := &storm{fleet: newFleet(t, 3), rng: rand.New(rand.NewPCG(seed, uint64(i))), want: map[mapi.MailboxID]map[string]bool{}}
		for n := range 6 {
			box := s.box(s.Groups[n%3], 0)
			s.boxes, s.want[box] = append(s.boxes, box), map[string]bool{}
		}
		for range 250 {
			s.step()
		}
		s.settle()
		for n, box := range s.boxes {
			found := map[string]int{}
			for _, m := range s.mails(box) {
				_, subject, _ := strings.Cut(m, "Subject: ")
				subject, _, _ = strings.Cut(subject, "\r\n")
				found[subject]++
			}
			for subject, ack := range s.want[box] {
				if n := found[subject]; ack && n != 1 || n > 1 {
					t.Errorf("seed %d, run %d: %s is %d times in mailbox %d (acknowledged %v)", seed, i, subject, n, n, ack)
				}
				if ack {
					acknowledged++
				}
				delete(found, subject)
			}
			if len(found) > 0 {
				t.Errorf("seed %d, run %d: mailbox %d has what was never sent to it: %v", seed, i, n, found)
			}
		}
		for _, g := range s.Groups {
			if s.due(g).IsZero() {
				continue
			}
			t.Errorf("seed %d, run %d: the empty queue of group %d is due", seed, i, g)
		}
		told += s.tells()
	}
	if acknowledged < 500 || strings.Count(told, "kept") < 60 || strings.Count(told, "delivered") < 100 || strings.Count(told, "failed") == 0 {
		t.Errorf("seed %d: a calm storm: %d acknowledged", seed, acknowledged)
	}
}
