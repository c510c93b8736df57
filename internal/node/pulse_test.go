package node

import (
	"strings"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
)

func TestServesOnlyInContact(t *testing.T) {
	n := &Node{}
	text := "waiting for b"
	n.progress.Store(&text)
	wants := func(want string) {
		t.Helper()
		err := n.serves()
		if want == "" && err != nil || want != "" && (cluster.KindOf(err) != cluster.KindUnavailable || !strings.Contains(err.Error(), want)) {
			t.Fatalf("%v; want %q", err, want)
		}
	}
	wants("waiting for b")
	n.ready.Store(true)
	wants("no word from the system group") // it never had any
	n.contact.heard(time.Now())
	wants("")
	n.contact.heard(time.Now().Add(-contactLost - time.Second))
	wants("no word from the system group for 11s")
	n.contact.heard(time.Now().Add(-contactLost / 2))
	wants("")
	n.ready.Store(false)
	wants("not ready")
}

func TestContactCountsFromTheQuestion(t *testing.T) {
	var c contact
	asked := time.Now().Add(-3 * time.Second)
	c.heard(asked) // the answer came now; what was committed in between may be missing
	if age := c.age(); age < 3*time.Second || age > time.Minute {
		t.Fatalf("age %v", age)
	}
}
