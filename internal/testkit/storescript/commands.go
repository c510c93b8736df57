package storescript

import (
	"errors"
	"fmt"
	"strings"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// command is a row of the language.
type command struct {
	name string
	// words is how many words there are besides keys; -n is at least n.
	words int
	usage string
	// alone: it needs no mailbox.
	alone bool
	run   func(r *run) error
}

// commands is the language. Tests walk it: each command is in a script.
var commands = slicesOf(siteCommands, faultCommands, folderCommands, messageCommands, deletionCommands, octetCommands, laterCommands, archiveCommands, tableCommands, shownCommands, searchCommands, nameCommands, rightCommands, ruleCommands, meetingCommands, syncCommands, perUserCommands)

func slicesOf(parts ...[]command) (all []command) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

// Commands are the names of the language's commands.
func Commands() []string {
	names := make([]string, len(commands))
	for i := range commands {
		names[i] = commands[i].name
	}
	return names
}

var siteCommands = []command{
	{"box", 1, "box NAME [apart=BOX] [kind=user|shared|public] [language=de] [quota=BYTES] [warn=BYTES] [send=BYTES] [owner=USER] [peruser=yes]", true, (*run).newBox},
	{"user", 2, "user NAME ADDRESS: the mailbox of somebody in the directory", true, (*run).openUser},
	{"enter", 1, "enter ADDRESS [kind=room|equipment|archive|public|…] [booking=auto|tentative|off]: somebody new in the directory", true, (*run).enter},
	{"group", -2, "group NAME USER…", true, (*run).newGroup},
	{"info", 0, "info", false, (*run).info},
	{"entries", 1, "entries FROM: how many log entries there have been since the mark", false, (*run).entries},
	{"mark", 1, "mark NAME: remembers the mailbox's stamp and how many log entries there are", false, (*run).mark},
}

var mailboxKinds = map[string]exmdb.MailboxKind{"user": exmdb.MailboxUser, "shared": exmdb.MailboxShared, "resource": exmdb.MailboxResource,
	"archive": exmdb.MailboxArchive, "public": exmdb.MailboxPublic}

func (r *run) newBox() error {
	name := r.cmd.words[0]
	kind, ok := mailboxKinds[r.cmd.text("kind", "user")]
	quota, err := r.number("quota", 0)
	warn, err2 := r.number("warn", 0)
	send, err3 := r.number("send", 0)
	if err := errors.Join(err, err2, err3); err != nil || !ok {
		return mistake("kind or numbers: %v", err)
	}
	b := &box{owner: r.cmd.text("owner", name)}
	req := &exmdb.CreateMailboxRequest{Kind: kind, Owner: r.user(b.owner), Language: r.cmd.text("language", ""), Quota: uint64(quota)}
	if b.id, err = r.place(req, r.cmd.text("apart", "")); err != nil {
		return mistakeError{err}
	}
	r.boxes[name], r.last = b, name
	r.cmd.box, r.cmd.as = b, exmdb.System
	if warn+send > 0 {
		if _, err := do(r, exmdb.OpSetQuota, &exmdb.SetQuotaRequest{Quota: uint64(quota), Warn: uint64(warn), Send: uint64(send)}); err != nil {
			return err
		}
	}
	if r.cmd.is("peruser") {
		_, err = do(r, exmdb.OpSetReadState, &exmdb.SetReadStateRequest{PerUser: true})
	}
	return err
}

// manyTimes is how often a mailbox is made anew until it lies apart from another.
const manyTimes = 50

// place makes a mailbox; where the name of another is given, one that lies in another group than that.
func (r *run) place(req *exmdb.CreateMailboxRequest, apart string) (mapi.MailboxID, error) {
	other := r.boxes[apart]
	if apart != "" && other == nil {
		return mapi.MailboxID{}, fmt.Errorf("no mailbox %q", apart)
	}
	for range manyTimes {
		id, err := r.site.Create(r.cmd.ctx, req)
		if err != nil || other == nil || r.site.Group(id) != r.site.Group(other.id) {
			return id, err
		}
	}
	return mapi.MailboxID{}, fmt.Errorf("all of %d mailboxes lie where %s does", manyTimes, apart)
}

func (r *run) openUser() error {
	name, address := r.cmd.words[0], r.cmd.words[1]
	id, guid, err := r.site.Open(r.cmd.ctx, address)
	if err != nil {
		return mistakeError{err}
	}
	r.boxes[name], r.users[name], r.last = &box{id: id, owner: name, address: address}, guid, name
	return nil
}

func (r *run) enter() error {
	if err := r.site.Enter(r.cmd.ctx, r.cmd.words[0], r.cmd.text("kind", "user"), r.cmd.text("booking", "")); err != nil {
		return mistakeError{err}
	}
	return nil
}

func (r *run) newGroup() error {
	r.groups[r.cmd.words[0]] = r.cmd.words[1:]
	return nil
}

// info says what the mailbox holds.
func (r *run) info() error {
	i, err := do(r, exmdb.OpMailboxInfo, &exmdb.Empty{})
	if err != nil {
		return err
	}
	purging := ""
	if i.Purging > 0 {
		purging = ", " + plural(uint64(i.Purging), "folder") + " being purged"
	}
	r.say("%d messages in %d folders, %d bytes used, %d deleted%s", i.Messages, i.Folders, i.Used, i.Retained, purging)
	return nil
}

// mark is what a script remembers of a moment.
type mark struct {
	stamp             mapi.Stamp
	sequence, entries uint64
}

func (r *run) moment() (mark, error) {
	i, err := do(r, exmdb.OpMailboxInfo, &exmdb.Empty{})
	if err != nil {
		return mark{}, err
	}
	n, err := r.site.Entries(r.cmd.ctx, r.cmd.box.id)
	return mark{i.Stamp, i.Sequence, n}, err
}

func (r *run) mark() error {
	m, err := r.moment()
	r.marks[r.cmd.words[0]] = m
	return err
}

func (r *run) marked(name string) (mark, error) {
	m, ok := r.marks[name].(mark)
	if !ok {
		return m, mistake("no mark %q", name)
	}
	return m, nil
}

func (r *run) entries() error {
	then, err := r.marked(r.cmd.words[0])
	if err != nil {
		return err
	}
	now, err := r.moment()
	most, err2 := r.number("most", 1)
	switch n := now.entries - then.entries; {
	case errors.Join(err, err2) != nil:
		return errors.Join(err, err2)
	case n > uint64(most):
		r.say("%d entries", n)
	default:
		r.say("at most %d entries", most)
	}
	return nil
}

// joined is words for the end of a line.
func joined(words []string) string {
	if len(words) == 0 {
		return "-"
	}
	return strings.Join(words, " ")
}

func plural(n uint64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
