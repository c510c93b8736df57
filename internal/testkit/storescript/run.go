package storescript

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/inspect"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// box is a mailbox of a script.
type box struct {
	id    mapi.MailboxID
	owner string
	// address is that of a directory's user.
	address string
}

// run is a script being played.
type run struct {
	t       *testing.T
	site    Site
	rewrite bool
	out     strings.Builder
	// today is the day from which meetings are counted.
	today time.Time

	boxes map[string]*box
	last  string // the mailbox made last
	// users have the GUIDs that the script's names stand for; groups who is in them.
	users  map[string]mapi.GUID
	groups map[string][]string
	// items are the messages and folders that the script has names for.
	items map[string]made
	// marks are stamps and versions that the script has names for.
	marks map[string]any
	// seen are the newest CNs of folders that the script was told of.
	seen map[mapi.FID]mapi.Stamp
	// changes counts the changes that offline clients have made.
	changes int
	// doomed tells how it ended that nodes were doomed; nil when none is.
	doomed <-chan error
	// uniques counts the values that are like no other.
	uniques int
	cmd     call
}

// call is a command being run.
type call struct {
	*args
	ctx    context.Context
	caller exmdb.Caller
	as     exmdb.Identity
	box    *box
	made   made
}

// made is a message or folder that a command made.
type made struct {
	id     uint64
	folder bool
}

func newRun(t *testing.T, site Site, rewrite bool) *run {
	return &run{t: t, site: site, rewrite: rewrite, boxes: map[string]*box{}, users: map[string]mapi.GUID{}, groups: map[string][]string{},
		items: map[string]made{}, marks: map[string]any{}, seen: map[mapi.FID]mapi.Stamp{}, today: time.Now().UTC().Truncate(24 * time.Hour)}
}

// line plays one line: what the command is refused with is something that it says, a line that is no command ends the test.
func (r *run) line(line string) {
	r.t.Helper()
	name, rest, named := strings.Cut(line, " = ")
	if !named || strings.ContainsAny(name, " \"") {
		name, rest = "", line
	}
	a, err := parseArgs(rest)
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	run, err := r.prepare(ctx, a)
	if err == nil {
		err = r.perform(run)
	}
	switch {
	case isMistake(err):
		r.t.Fatalf("%s: %v", line, err)
	case err != nil:
		r.say("refused: %s", kindName(err))
		if cluster.KindOf(err) == 0 || kinds[cluster.KindOf(err)] == "" {
			r.t.Logf("%s: %v", line, err)
		}
	}
	if name != "" && err == nil {
		r.items[name] = r.cmd.made
	}
}

// mistakeError is a mistake in a script, or of the site: nothing that a mailbox said.
type mistakeError struct{ error }

func mistake(format string, args ...any) error { return mistakeError{fmt.Errorf(format, args...)} }

func isMistake(err error) bool { return errors.As(err, new(mistakeError)) }

// prepare finds out who asks whom.
func (r *run) prepare(ctx context.Context, a *args) (func(*run) error, error) {
	i := slices.IndexFunc(commands, func(c command) bool { return c.name == a.name })
	if i < 0 {
		return nil, mistake("no command %q", a.name)
	}
	if want := commands[i].words; len(a.words) != want && (want >= 0 || len(a.words) < -want) {
		return nil, mistake("%d words; %s", len(a.words), commands[i].usage)
	}
	r.cmd = call{args: a, ctx: ctx, caller: r.site.Caller(a.text("at", "")), box: r.boxes[a.text("box", r.last)]}
	if r.cmd.box == nil && !commands[i].alone {
		return nil, mistake("no mailbox yet")
	}
	if r.cmd.box != nil {
		r.cmd.as = r.identity(a.text("as", r.cmd.box.owner), r.cmd.box)
	}
	return commands[i].run, nil
}

// identity is a user of the script. "system" is the system, "nobody" somebody who is not signed in; a mailbox's owner has
// all rights in his own and no other.
func (r *run) identity(name string, in *box) exmdb.Identity {
	switch name {
	case "system":
		return exmdb.System
	case "nobody":
		return exmdb.Identity{}
	}
	id := exmdb.Identity{User: r.user(name)}
	if name == in.owner {
		id.Privileges = exmdb.PrivilegeOwner
	}
	for group, members := range r.groups {
		if slices.Contains(members, name) {
			id.Groups = append(id.Groups, r.user(group))
		}
	}
	return id
}

func (r *run) user(name string) mapi.GUID {
	if _, ok := r.users[name]; !ok {
		r.users[name] = mapi.NewGUID()
	}
	return r.users[name]
}

// do performs an op as the command's caller.
func do[Q, R any](r *run, op exmdb.Op[Q, R], q *Q) (*R, error) {
	return exmdb.Do(r.cmd.ctx, r.cmd.caller, r.cmd.as, r.cmd.box.id, op, q)
}

// steps performs an op again and again: each answer says whether there is more, and has changed the request for it.
func steps[Q, R any](r *run, op exmdb.Op[Q, R], q *Q, next func(*R) (more bool)) error {
	return exmdb.InSteps(r.cmd.ctx, func() (bool, error) {
		resp, err := do(r, op, q)
		if err != nil {
			return false, err
		}
		return next(resp), nil
	})
}

// look looks into the mailbox as the system does, beside the calls of the command.
func (r *run) look() *inspect.Mailbox {
	return &inspect.Mailbox{Caller: r.site.Caller(r.cmd.text("at", "")), ID: r.cmd.box.id}
}

// folder is the folder of a path, or of a name that the script gave.
func (r *run) folder(path string) (mapi.FID, error) {
	if m, ok := r.items[path]; ok && m.folder {
		return mapi.FID(m.id), nil
	}
	return r.look().Find(r.cmd.ctx, path)
}

// split is a path's parent and name.
func split(path string) (parent, name string) {
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return "Top of Information Store", path
	}
	return path[:i], path[i+1:]
}

// listed are the messages of a folder, the oldest first.
func (r *run) listed(path string, associated bool) ([]inspect.Item, error) {
	q := inspect.Query{Folder: path, Limit: inspect.MaxLimit, Associated: associated}
	if m, ok := r.items[path]; ok {
		q.Folder = inspect.ID(m.id).String()
	}
	var all []inspect.Item
	for {
		v, err := r.look().Show(r.cmd.ctx, "items", q)
		if err != nil {
			return nil, err
		}
		page := v.(*inspect.Items)
		all = append(all, page.Items...)
		if q.After = page.After; q.After == "" {
			slices.SortFunc(all, func(a, b inspect.Item) int { return int(int64(a.Object) - int64(b.Object)) })
			return all, nil
		}
	}
}

// message finds a message: a name that the script gave, or path and subject as "Inbox:hello".
func (r *run) message(name string) (mapi.MID, error) {
	if m, ok := r.items[name]; ok && !m.folder {
		return mapi.MID(m.id), nil
	}
	path, subject, ok := strings.Cut(name, ":")
	if !ok {
		return 0, mistake("no message %q", name)
	}
	for _, associated := range []bool{false, true} {
		list, err := r.listed(path, associated)
		if err != nil {
			return 0, err
		}
		for i := range list {
			if list[i].Subject == subject {
				return mapi.MID(list[i].ID), nil
			}
		}
	}
	return 0, cluster.Errorf(exmdb.KindNoMessage, "no %q in %s", subject, path)
}

// number is the number in a key.
func (r *run) number(key string, usual int) (int, error) {
	n, err := strconv.Atoi(r.cmd.text(key, strconv.Itoa(usual)))
	if err != nil {
		return 0, mistake("%s is no number", key)
	}
	return n, nil
}

// began is when the mails of scripts came in.
var began = time.Date(2027, 1, 15, 8, 0, 0, 0, time.UTC)

// kinds are the kinds of refusal that scripts name.
var kinds = map[cluster.Kind]string{cluster.KindBadRequest: "bad request", cluster.KindTooLarge: "too large", exmdb.KindNoMailbox: "no mailbox",
	exmdb.KindNoFolder: "no folder", exmdb.KindNoMessage: "no message", exmdb.KindFolderExists: "folder exists", exmdb.KindBadName: "bad name",
	exmdb.KindFixedFolder: "fixed folder", exmdb.KindAccessDenied: "access denied", exmdb.KindOverQuota: "over quota", exmdb.KindTooBig: "too big",
	exmdb.KindStaleToken: "stale token", exmdb.KindConflict: "conflict", exmdb.KindHasChildren: "has children", exmdb.KindCycle: "cycle",
	exmdb.KindNameLimit: "name limit", exmdb.KindNoProperty: "no property", exmdb.KindNoMember: "no member", exmdb.KindTooComplex: "too complex",
	exmdb.KindRuleLimit: "rule limit", exmdb.KindNoRule: "no rule",
	exmdb.KindSearchFolder: "search folder", exmdb.KindNoSearch: "no search folder", exmdb.KindNoCriteria: "no criteria",
	exmdb.KindNotWaiting: "not waiting", exmdb.KindSubmitted: "submitted", exmdb.KindObjectDeleted: "object deleted"}

func kindName(err error) string {
	if name := kinds[cluster.KindOf(err)]; name != "" {
		return name
	}
	return err.Error()
}
