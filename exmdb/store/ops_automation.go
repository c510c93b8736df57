package store

import "github.com/flotilla-mail/flotilla/exmdb"

// automationHandlers are the ops on rules, absence, junk and what goes out.
func (s *Store) automationHandlers() []Handler {
	return []Handler{
		read(s, exmdb.OpGetRules, may(in("Folder", toSee)), getRules),
		write(s, exmdb.OpModifyRules, may(in("Folder", toOwn)), modifyRules),
		write(s, exmdb.OpDeferred, rightWrite, updateDeferred),
		read(s, exmdb.OpOOF, rightWrite, oof),
		write(s, exmdb.OpSetOOF, rightWrite, setOOF),
		read(s, exmdb.OpJunk, rightWrite, junk),
		write(s, exmdb.OpSetJunk, rightWrite, setJunk),
		read(s, exmdb.OpOutgoing, rightAdminister.afterlife(), outgoing),
		read(s, exmdb.OpReadOutgoing, rightAdminister, readOutgoing),
		write(s, exmdb.OpFinishOutgoing, rightAdminister.afterlife(), finishOutgoing),
	}
}
