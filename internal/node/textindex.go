package node

import (
	"errors"
	"strings"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb/fulltext"
	"github.com/flotilla-mail/flotilla/exmdb/orders"
	"github.com/flotilla-mail/flotilla/exmdb/server"
	"github.com/flotilla-mail/flotilla/internal/planted"
)

// textIndex is the full-text index of this node's replicas with what keeps it; nil is a node without one, which searches
// by reading.
type textIndex struct {
	index   *fulltext.Index
	indexer *server.Indexer
}

// textGather is how long touched mailboxes are gathered. A search looks at what is newer than the index by itself.
const textGather = time.Second

// textKeep is for how long the index of a mailbox is kept that has moved away or was deleted: replicas open one by one.
const textKeep = 10 * time.Minute

// ownSpaces begins the ids of spaces that are no mailboxes.
const ownSpaces = "flotilla."

// openTextIndex opens the index, or makes it anew. A node that cannot have one serves its users all the same.
func (n *Node) openTextIndex() {
	if planted.Is(planted.BareDelivery) {
		return
	}
	n.openOrders()
	t := new(textIndex)
	failed := func(err error) {
		n.log.Warn("the full-text index is of no use until the node starts again: searches read all messages", "code", "FL-1091", "err", err)
	}
	var err error
	t.index, err = fulltext.Open(fulltext.Options{Dir: n.cfg.path("text"), Shared: n.storage.shared, Failed: failed})
	if err != nil {
		failed(err)
		return
	}
	n.storage.text = t
	t.indexer = server.NewIndexer(server.IndexerConfig{Index: t.index, Store: n.mailboxes(), Gather: textGather, Keep: textKeep, Hold: n.room.full,
		Mailbox: func(id cluster.SpaceID) bool { return !strings.HasPrefix(string(id[:]), ownSpaces) },
		Failed: func(id cluster.SpaceID, err error) {
			n.log.Warn("mailbox not indexed", "code", "FL-1092", "mailbox", id, "err", err)
		}})
	t.indexer.Start(n.ctx)
}

// openOrders opens where orders of tables are kept. A node that cannot keep any makes each when it is asked for.
func (n *Node) openOrders() {
	var err error
	if n.storage.orders, err = orders.Open(orders.Options{Dir: n.cfg.path("orders")}); err != nil {
		n.log.Warn("no orders of tables are kept until the node starts again: a new owner makes them anew", "code", "FL-1095", "err", err)
		n.storage.orders = nil
	}
}

func (t *textIndex) of() *fulltext.Index {
	if t == nil {
		return nil
	}
	return t.index
}

func (t *textIndex) events() space.MachineEvents {
	if t == nil {
		return space.MachineEvents{}
	}
	return space.MachineEvents{Opened: t.indexer.Opened, Touched: t.indexer.Touched}
}

func (t *textIndex) close() error {
	if t == nil {
		return nil
	}
	t.indexer.Stop()
	err := t.index.Close()
	if errors.Is(err, fulltext.ErrFailed) {
		return nil // it was told of, and nothing is lost
	}
	return err
}
