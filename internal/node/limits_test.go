package node

import (
	"errors"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/ops"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/server"
	"github.com/flotilla-mail/flotilla/internal/lsm"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// lone is a node with one replica.
type lone struct{ rep *space.LocalReplica }

func (l lone) Replica(cluster.GroupID) *space.Replica { return l.rep.Replica }

func replicaInMemory(t *testing.T) *space.LocalReplica {
	t.Helper()
	db, err := lsm.Open(lsm.Options{Dir: "/state", FS: lsm.MemFS(), DisableWAL: true})
	if err != nil {
		t.Fatal(err)
	}
	rep, err := space.NewLocalReplica(db, space.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(rep.Close(), db.Close()); err != nil {
			t.Error(err)
		}
	})
	return rep
}

// TestLimitsReachTheMailboxes: what flotilla.toml says of mails is what the store does with them.
func TestLimitsReachTheMailboxes(t *testing.T) {
	for _, c := range []struct {
		text      string
		duplicate bool
		limit     int
	}{
		{"", true, 150 << 20},
		{"[limits]\nduplicate_window = \"0s\"\nmessage = 100000\n", false, 100_000},
	} {
		cfg, err := ReadConfig(write(t, "node = \"a\"\nnodes = [\"a=10.0.0.1:7400\"]\n"+c.text))
		if err != nil {
			t.Fatal(err)
		}
		n := &Node{cfg: cfg}
		if got := n.mailboxes().MaxMessage; got != uint64(c.limit)+traceRoom {
			t.Errorf("%q: mails of up to %d octets are kept", c.text, got)
		}
		deliver := deliveries(t, n)
		if first, second := deliver(), deliver(); first.Duplicate || second.Duplicate != c.duplicate {
			t.Errorf("%q: the same mail twice: %+v, then %+v", c.text, first, second)
		}
	}
}

// deliveries makes a mailbox as n serves them; the func delivers one mail to it.
func deliveries(t *testing.T, n *Node) func() *exmdb.DeliverResponse {
	t.Helper()
	rep := replicaInMemory(t)
	s := ops.NewServer(lone{rep}, ops.Events{}, server.Handlers(n.mailboxes()))
	box := cluster.SpaceID{1}
	ask := func(op exmdb.OpInfo, req any) []byte {
		t.Helper()
		raw, err := s.Serve(t.Context(), &ops.Request{Op: ops.ID(op.ID), Space: box, As: wire.Marshal(&exmdb.System), Payload: wire.Marshal(req)})
		if err != nil {
			t.Fatalf("%s: %v", op.Name, err)
		}
		return raw
	}
	ask(exmdb.OpCreateMailbox.OpInfo, &exmdb.CreateMailboxRequest{Kind: exmdb.MailboxUser, Owner: mapi.NewGUID()})
	return func() *exmdb.DeliverResponse {
		t.Helper()
		segment := exmdb.Segment{Raw: []byte("Message-ID: <1@example.test>\r\n\r\nhello\r\n")}
		resp := new(exmdb.DeliverResponse)
		raw := ask(exmdb.OpDeliver.OpInfo, &exmdb.DeliverRequest{Key: [32]byte{1}, Received: time.Unix(1.8e9, 0),
			Message: exmdb.NewMessage{Recipe: exmdb.Recipe{Segments: []exmdb.Segment{segment}}}})
		if err := wire.Unmarshal(raw, resp); err != nil {
			t.Fatal(err)
		}
		return resp
	}
}
