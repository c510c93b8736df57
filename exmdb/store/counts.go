package store

import (
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// enter counts a message in a folder; leave undoes it. What changes of a counted message is put between the two.
func enter(c *schema.FolderCounts, row *schema.Row) { tally(c, row, 1) }
func leave(c *schema.FolderCounts, row *schema.Row) { tally(c, row, ^uint64(0)) }

// tally adds a message to a folder's counts so many times; all ones is once less.
func tally(c *schema.FolderCounts, row *schema.Row, times uint64) {
	once := uint32(times)
	if row.Bits&schema.RowAssociated != 0 {
		c.Associated += once
		c.AssociatedUsed += times * row.MessageSize()
		return
	}
	c.Messages += once
	c.Octets += times * row.Size
	c.Used += times * row.MessageSize()
	unseen, deleted := once, uint32(0)
	if row.Bits.Flags()&exmdb.FlagSeen != 0 {
		unseen = 0
	}
	if row.Bits.Flags()&exmdb.FlagDeleted != 0 {
		deleted = once
	}
	c.Unseen += unseen
	c.Deleted += deleted
	if row.Bits&schema.RowUnrendered != 0 {
		c.Unrendered += once
		c.UnrenderedUnseen += unseen
		c.UnrenderedDeleted += deleted
	}
}

// advance moves a folder's stamp of what is inside (MAILBOX 2).
func (t *tx) advance(c *schema.FolderCounts, s mapi.Stamp) {
	c.ContentSeq, c.Committed = s, mapi.FileTimeOf(t.now)
}

// enter counts a message in the mailbox; leave undoes it.
func (t *tx) enter(row *schema.Row) {
	t.counters.Used += row.MessageSize()
	if row.Bits&schema.RowAssociated == 0 {
		t.counters.Messages++
	}
}

func (t *tx) leave(row *schema.Row) {
	t.counters.Used -= row.MessageSize()
	if row.Bits&schema.RowAssociated == 0 {
		t.counters.Messages--
	}
}
