package storescript

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcfxics"
)

var syncCommands = []command{
	{"sync", 2, "sync CLIENT PATH [page=N] [where=(R)] [say=count]: the client takes over what is different in a folder", false, (*run).sync},
	{"syncfolders", 1, "syncfolders CLIENT [page=N]", false, (*run).syncFolders},
	{"holds", 2, "holds CLIENT PATH: whether the client has what the folder has", false, (*run).holds},
	{"offline", -3, "offline CLIENT PATH SUBJECT PROP=VALUE… [fail=yes]: the client brings his version, of what it was when he took it over", false, (*run).offline},
	{"offlinenew", 3, "offlinenew CLIENT PATH SUBJECT", false, (*run).offlineNew},
	{"offlinedelete", -2, "offlinedelete CLIENT PATH SUBJECT…|n=N: those, or the N oldest that the client has", false, (*run).offlineDelete},
	{"offlineread", -2, "offlineread CLIENT PATH SUBJECT…|n=N [unread=yes]", false, (*run).offlineRead},
	{"offlinemove", 4, "offlinemove CLIENT PATH TARGET SUBJECT", false, (*run).offlineMove},
	{"offlinefolder", 3, "offlinefolder CLIENT PARENT NAME [was=NAME]: a folder that the client has made, or renamed or moved", false, (*run).offlineFolder},
	{"events", 1, "events FEED [page=N] [say=count]: what has happened since the feed was asked last", false, (*run).events},
}

// replica is what an offline client has of one folder.
type replica struct {
	guid  mapi.GUID
	next  mapi.GlobalCounter
	state oxcfxics.State
	// held are its messages by source key, copies those whose versions it changes.
	held map[mapi.GID]*copied
}

type copied struct {
	subject string
	pcl     mapi.PCL
	read    bool
}

// replica is the client's, made when it is named first.
func (r *run) replica(client, path string) *replica {
	key := "replica " + client + " " + path
	c, ok := r.marks[key].(*replica)
	if !ok {
		c = &replica{guid: mapi.NewGUID(), held: map[mapi.GID]*copied{}}
		r.marks[key] = c
	}
	return c
}

func (c *replica) find(subject string) (mapi.GID, *copied, error) {
	for id, m := range c.held {
		if m.subject == subject {
			return id, m, nil
		}
	}
	return mapi.GID{}, nil, mistake("the client has no %q", subject)
}

// differences are what a download brought.
type differences struct{ came, changed, gone, left, read, unread []string }

func (d *differences) say(r *run, short bool) {
	none := true
	for _, x := range []struct {
		word     string
		subjects []string
	}{{"new", d.came}, {"changed", d.changed}, {"gone", d.gone}, {"out of scope", d.left}, {"read", d.read}, {"unread", d.unread}} {
		if len(x.subjects) == 0 {
			continue
		}
		none = false
		if slices.Sort(x.subjects); short {
			r.say("%s: %d", x.word, len(x.subjects))
			continue
		}
		r.say("%s: %s", x.word, strings.Join(x.subjects, ", "))
	}
	if none {
		r.say("nothing new")
	}
}

func (r *run) sync() error {
	fid, err := r.folder(r.cmd.words[1])
	page, err2 := r.number("page", 0)
	where, err3 := parseRestriction(r.cmd.text("where", ""))
	if err := errors.Join(err, err2, err3); err != nil {
		return err
	}
	c := r.replica(r.cmd.words[0], r.cmd.words[1])
	s := &exmdb.ContentsSync{Caller: r.cmd.caller, As: r.cmd.as, Box: r.cmd.box.id, Folder: fid, Limit: uint32(page), State: c.state,
		Scope: exmdb.SyncScope{Flags: exmdb.SyncNormal | exmdb.SyncReadState, Tags: []mapi.Tag{mapi.PidTagSubject}}}
	if where != nil {
		s.Scope.Restriction = restrictionBytes(where)
	}
	var d differences
	for !s.Done {
		p, err := s.Next(r.cmd.ctx)
		if err != nil {
			return err
		}
		if err := c.take(p, &d); err != nil {
			return err
		}
	}
	c.state = s.State
	d.say(r, r.cmd.text("say", "all") == "count")
	return nil
}

// take takes a page over; what comes twice, or goes without being there, ends the test.
func (c *replica) take(p *exmdb.SyncedContents, d *differences) error {
	for i := range p.Changes {
		m := &p.Changes[i]
		subject := ""
		if m.Content != nil {
			subject = valueWords(m.Content.Props.Get(mapi.PidTagSubject))
		}
		had := c.held[m.Source]
		if (had == nil) != m.New {
			return mistake("%q is told as new: %v", subject, m.New)
		}
		pcl, err := mapi.ParsePCL(m.State.PCL)
		if err != nil {
			return mistakeError{err}
		}
		c.held[m.Source] = &copied{subject: subject, pcl: pcl, read: m.State.Flags.Bits&exmdb.FlagSeen != 0}
		if m.New {
			d.came = append(d.came, subject)
		} else {
			d.changed = append(d.changed, subject)
		}
	}
	for _, x := range []struct {
		ids  mapi.IDSET
		list *[]string
		do   func(id mapi.GID)
	}{{p.Deleted, &d.gone, func(id mapi.GID) { delete(c.held, id) }}, {p.NoLongerInScope, &d.left, func(id mapi.GID) { delete(c.held, id) }},
		{p.Read, &d.read, func(id mapi.GID) { c.held[id].read = true }}, {p.Unread, &d.unread, func(id mapi.GID) { c.held[id].read = false }}} {
		for id, m := range c.held {
			if x.ids.Contains(id) {
				*x.list = append(*x.list, m.subject)
				x.do(id)
			}
		}
	}
	return nil
}

// holds compares what the client has with what the folder has.
func (r *run) holds() error {
	c := r.replica(r.cmd.words[0], r.cmd.words[1])
	list, err := r.listed(r.cmd.words[1], false)
	if err != nil {
		return err
	}
	var has, is []string
	for _, m := range c.held {
		has = append(has, fmt.Sprint(m.subject, m.read))
	}
	for i := range list {
		is = append(is, fmt.Sprint(list[i].Subject, slices.Contains(list[i].Flags, `\Seen`)))
	}
	slices.Sort(has)
	if slices.Sort(is); !slices.Equal(has, is) {
		return mistake("the client has %q, the folder %q", has, is)
	}
	r.say("the same %s", plural(uint64(len(is)), "message"))
	return nil
}

// version is the client's next change of a message with the changes that he knew. Of two changes the one that stands
// further down in the script is the later one.
func (r *run) version(c *replica, knew mapi.PCL) (exmdb.ImportedVersion, mapi.PCL) {
	c.next++
	r.changes++
	key := mapi.XID{Namespace: c.guid, Local: string(mapi.AppendGlobalCounter(nil, c.next))}
	pcl := knew.Add(key)
	return exmdb.ImportedVersion{ChangeKey: key.Append(nil), PCL: pcl.Append(nil), Modified: time.Now().Add(time.Duration(r.changes) * time.Hour)}, pcl
}

var outcomes = map[exmdb.ImportOutcome]string{exmdb.ImportApplied: "applied", exmdb.ImportIgnored: "ignored", exmdb.ImportConflict: "conflict"}

func (r *run) offline() error {
	fid, err := r.folder(r.cmd.words[1])
	c := r.replica(r.cmd.words[0], r.cmd.words[1])
	id, m, err2 := c.find(r.cmd.words[2])
	bag, err3 := parseBag(r.cmd.words[3:])
	if err := errors.Join(err, err2, err3); err != nil {
		return err
	}
	return r.bring(c, fid, id, m, bag)
}

// bring brings the client's version of a message.
func (r *run) bring(c *replica, fid mapi.FID, id mapi.GID, m *copied, bag mapi.PropBag) error {
	for t, v := range map[mapi.Tag]string{mapi.PidTagSubject: m.subject, mapi.PidTagMessageClass: "IPM.Note", mapi.PidTagBody: "text"} {
		if bag.Get(t) == nil {
			bag.Set(t, mapi.String(v))
		}
	}
	version, pcl := r.version(c, m.pcl)
	resp, err := do(r, exmdb.OpImportMessage, &exmdb.ImportMessageRequest{Folder: fid, SourceKey: id.Append(nil), Version: version,
		FailOnConflict: r.cmd.is("fail"), Message: exmdb.MessageEdit{Set: bag}})
	if err != nil {
		return err
	}
	resp.Note(&c.state)
	c.held[id] = &copied{subject: valueWords(bag.Get(mapi.PidTagSubject)), pcl: pcl, read: resp.State.Flags.Bits&exmdb.FlagSeen != 0}
	r.say("%s", outcomes[resp.Outcome])
	return nil
}

func (r *run) offlineNew() error {
	fid, err := r.folder(r.cmd.words[1])
	if err != nil {
		return err
	}
	id, err := r.granted()
	if err != nil {
		return err
	}
	c := r.replica(r.cmd.words[0], r.cmd.words[1])
	return r.bring(c, fid, id, &copied{subject: r.cmd.words[2]}, mapi.PropBag{})
}

// heldKeys are the source keys of the client's messages that the command names: by their subjects, or as the N oldest.
func (r *run) heldKeys(c *replica) (ids []mapi.GID, err error) {
	n, err := r.number("n", 0)
	if err != nil {
		return nil, err
	}
	subjects := r.cmd.words[2:]
	if (n > 0) == (len(subjects) > 0) || n > len(c.held) {
		return nil, mistake("%d subjects and n=%d, of %d messages", len(subjects), n, len(c.held))
	}
	for _, s := range subjects {
		id, _, err := c.find(s)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	if n > 0 {
		ids = slices.SortedFunc(maps.Keys(c.held), func(a, b mapi.GID) int { return cmp.Compare(a.Counter, b.Counter) })[:n]
	}
	return ids, nil
}

func (r *run) offlineDelete() error {
	fid, err := r.folder(r.cmd.words[1])
	c := r.replica(r.cmd.words[0], r.cmd.words[1])
	ids, err2 := r.heldKeys(c)
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	q := &exmdb.ImportDeletesRequest{Folder: fid}
	gone := mapi.IDSETOfIDs(ids)
	for _, id := range ids {
		q.SourceKeys = append(q.SourceKeys, id.Append(nil))
		delete(c.held, id)
	}
	c.state.Given = c.state.Given.Minus(gone)
	n := uint64(0)
	err = steps(r, exmdb.OpImportDeletes, q, func(resp *exmdb.ImportDeletesResponse) bool {
		n += uint64(resp.Deleted)
		q.SourceKeys = q.SourceKeys[resp.Next:]
		return resp.Next > 0
	})
	if err == nil {
		r.say("%s deleted", plural(n, "message"))
	}
	return err
}

func (r *run) offlineRead() error {
	fid, err := r.folder(r.cmd.words[1])
	c := r.replica(r.cmd.words[0], r.cmd.words[1])
	ids, err2 := r.heldKeys(c)
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	q := &exmdb.ImportReadStatesRequest{Folder: fid}
	read := !r.cmd.is("unread")
	for _, id := range ids {
		q.Changes = append(q.Changes, exmdb.ReadStateChange{SourceKey: id.Append(nil), Read: read})
		c.held[id].read = read
	}
	return steps(r, exmdb.OpImportReadStates, q, func(resp *exmdb.ImportReadStatesResponse) bool {
		c.state.Read = c.state.Read.Union(resp.Changes)
		q.Changes = q.Changes[resp.Next:]
		return resp.Next > 0
	})
}

// granted is a source key for something that the client makes.
func (r *run) granted() (mapi.GID, error) {
	ids, err := do(r, exmdb.OpLocalReplicaIDs, &exmdb.LocalReplicaIDsRequest{Count: 1})
	if err != nil {
		return mapi.GID{}, err
	}
	return mapi.GID{Replica: ids.Replica, Counter: ids.First}, nil
}

// offlineMove brings that the client has moved a message, which has another source key from then on. What the mailbox has heard
// before is ignored: the move is brought twice, as a client does that got no answer.
func (r *run) offlineMove() error {
	fromFID, err := r.folder(r.cmd.words[1])
	toFID, err2 := r.folder(r.cmd.words[2])
	here, there := r.replica(r.cmd.words[0], r.cmd.words[1]), r.replica(r.cmd.words[0], r.cmd.words[2])
	id, m, err3 := here.find(r.cmd.words[3])
	if err := errors.Join(err, err2, err3); err != nil {
		return err
	}
	target, err := r.granted()
	if err != nil {
		return err
	}
	version, pcl := r.version(here, m.pcl)
	q := &exmdb.ImportMoveRequest{Folder: toFID, From: fromFID, SourceKey: id.Append(nil), Target: target.Append(nil), PCL: m.pcl.Append(nil), ChangeKey: version.ChangeKey}
	resp, err := do(r, exmdb.OpImportMove, q)
	if err != nil {
		return err
	}
	again, err := do(r, exmdb.OpImportMove, q)
	if err != nil {
		return err
	}
	delete(here.held, id)
	here.state.Given = here.state.Given.Minus(mapi.IDSETOfIDs([]mapi.GID{id}))
	resp.Note(&there.state)
	there.held[resp.Source] = &copied{subject: m.subject, pcl: pcl, read: m.read}
	r.say("%s, then %s", outcomes[resp.Outcome], outcomes[again.Outcome])
	return nil
}

// brought is a folder as the client has brought it.
type brought struct {
	source mapi.GID
	pcl    mapi.PCL
}

func (r *run) offlineFolder() error {
	client, name := r.cmd.words[0], r.cmd.words[2]
	parent, err := r.folder(r.cmd.words[1])
	if err != nil {
		return err
	}
	var f brought
	if was := r.cmd.text("was", ""); was != "" {
		f, _ = r.marks["folder of "+client+" "+was].(brought)
	} else if f.source, err = r.granted(); err != nil {
		return err
	}
	c := r.replica(client, "")
	version, pcl := r.version(c, f.pcl)
	resp, err := do(r, exmdb.OpImportFolder, &exmdb.ImportFolderRequest{Parent: parent, SourceKey: f.source.Append(nil), Version: version, Name: name})
	if err != nil {
		return err
	}
	key := "folders of " + client
	state, _ := r.marks[key].(oxcfxics.State)
	resp.Note(&state)
	names, _ := r.marks["names of "+key].(map[mapi.GID]string)
	if names == nil {
		names = make(map[mapi.GID]string)
	}
	names[f.source] = name
	r.marks[key], r.marks["names of "+key] = state, names
	r.marks["folder of "+client+" "+name] = brought{f.source, pcl}
	r.say("%s", outcomes[resp.Outcome])
	return nil
}

// syncFolders takes over what is different in the hierarchy, as paths.
func (r *run) syncFolders() error {
	top, err := r.folder("Top of Information Store")
	page, err2 := r.number("page", 0)
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	key := "folders of " + r.cmd.words[0]
	state, _ := r.marks[key].(oxcfxics.State)
	names, _ := r.marks["names of "+key].(map[mapi.GID]string)
	if names == nil {
		names = map[mapi.GID]string{}
	}
	s := &exmdb.HierarchySync{Caller: r.cmd.caller, As: r.cmd.as, Box: r.cmd.box.id, Folder: top, Flags: exmdb.SyncNormal, Limit: uint32(page), State: state}
	var d differences
	for !s.Done {
		p, err := s.Next(r.cmd.ctx)
		if err != nil {
			return err
		}
		for i := range p.Folders {
			f := &p.Folders[i]
			if names[f.Source] = f.Name; f.New {
				d.came = append(d.came, f.Name)
			} else {
				d.changed = append(d.changed, f.Name)
			}
		}
		for id, name := range names {
			if p.Deleted.Contains(id) {
				d.gone = append(d.gone, name)
				delete(names, id)
			}
		}
	}
	r.marks[key], r.marks["names of "+key] = s.State, names
	d.say(r, r.cmd.text("say", "all") == "count")
	return nil
}

var eventWords = []struct {
	kind exmdb.EventKinds
	word string
}{{exmdb.EventNewMail, "new mail"}, {exmdb.EventCreated, "created"}, {exmdb.EventDeleted, "deleted"}, {exmdb.EventModified, "modified"},
	{exmdb.EventMoved, "moved"}, {exmdb.EventCopied, "copied"}, {exmdb.EventSearchComplete, "search complete"}}

// events reads a feed to its end: what it says of messages is counted, since of many there is an event each.
func (r *run) events() error {
	page, err := r.number("page", 0)
	if err != nil {
		return err
	}
	key := "feed " + r.cmd.words[0]
	since, known := r.marks[key].(mapi.Stamp)
	if !known {
		m, err := do(r, exmdb.OpMailboxInfo, &exmdb.Empty{})
		if err == nil {
			r.marks[key] = m.Stamp
		}
		return err
	}
	f := &exmdb.Feed{Caller: r.cmd.caller, As: r.cmd.as, Box: r.cmd.box.id, Since: since, Limit: uint32(page)}
	counts, told := make(map[string]int), make(map[string]bool)
	for more := true; more; {
		resp, err := f.Next(r.cmd.ctx, 0)
		if err != nil {
			return err
		}
		if more = resp.More; resp.Overflow {
			return cluster.Errorf(exmdb.KindStaleToken, "overflow")
		}
		for i := range resp.Events {
			e := &resp.Events[i]
			id := fmt.Sprint(e.Kind, e.Stamp, e.Folder, e.Message)
			if told[id] {
				return mistake("event %s is told twice", id)
			}
			told[id] = true
			word, err := r.eventWord(e)
			if err != nil {
				return err
			}
			counts[word]++
		}
	}
	r.marks[key] = f.Since
	r.sayCounts(counts, "nothing happened")
	return nil
}

// eventWord is what an event says, without who in particular.
func (r *run) eventWord(e *exmdb.Event) (string, error) {
	kinds := e.Kind
	if e.NewMail {
		kinds |= exmdb.EventNewMail
	}
	var words []string
	for _, w := range eventWords {
		if kinds&w.kind != 0 {
			words = append(words, w.word)
		}
	}
	what := "folder"
	switch {
	case e.Message != 0:
		what = "message in"
	case e.Deleted:
		what = "soft-deleted folder"
	}
	key := "path " + fmt.Sprint(r.cmd.box.id, e.Folder)
	path, err := r.look().Path(r.cmd.ctx, e.Folder)
	switch was, known := r.marks[key].(string); {
	case err != nil:
		return "", err
	case path == "/" && known: // it is gone
		path = was
	default:
		r.marks[key] = path
	}
	return fmt.Sprintf("%s: %s %s", strings.Join(words, ", "), what, path), nil
}
