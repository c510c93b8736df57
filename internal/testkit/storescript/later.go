package storescript

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// laterCommands ask for what a mailbox does by itself afterwards, and for what waits in it.
var laterCommands = []command{
	{"submit", 1, "submit MESSAGE [after=1h]: hands it to the mail flow, now or then", false, (*run).submit},
	{"abort", 1, "abort MESSAGE: takes back what waits to be sent", false, (*run).abort},
	{"reminders", 0, "reminders [until=TIME] [page=N]", false, (*run).reminders},
	{"conversation", 1, "conversation MESSAGE [into=PATH] [ignore=yes] [categories=Red,Blue]: what is to become of all that belongs to the message's", false, (*run).conversation},
	{"noconversations", 0, "noconversations: nothing is to become of any", false, (*run).noConversations},
	{"deferred", 0, "deferred [patch=yes]: what rules left to clients; a client may name the messages by ids of his own", false, (*run).deferred},
	{"drop", 0, "drop: deletes the mailbox", false, (*run).drop},
}

func (r *run) submit() error {
	mid, err := r.message(r.cmd.words[0])
	if err != nil {
		return err
	}
	if after := r.cmd.text("after", ""); after != "" {
		d, err := time.ParseDuration(after)
		if err != nil {
			return mistakeError{err}
		}
		var bag mapi.PropBag
		bag.Set(mapi.PidTagDeferredSendTime, mapi.FileTimeOf(time.Now().Add(d)))
		if _, err := do(r, exmdb.OpWriteProps, &exmdb.WritePropsRequest{Object: exmdb.ObjectID{Message: mid}, Set: bag}); err != nil {
			return err
		}
	}
	resp, err := do(r, exmdb.OpSubmitMessage, &exmdb.SubmitRequest{Message: mid, Own: []string{r.address()}, Name: r.cmd.box.owner})
	if err == nil {
		r.say("it %s", map[bool]string{true: "waits", false: "goes"}[resp.Waits])
	}
	return err
}

func (r *run) abort() error {
	mid, err := r.message(r.cmd.words[0])
	if err != nil {
		return err
	}
	_, err = do(r, exmdb.OpAbortSubmit, &exmdb.AbortSubmitRequest{Message: mid})
	return err
}

func (r *run) reminders() error {
	page, err := r.number("page", 0)
	q := &exmdb.RemindersRequest{Limit: uint32(page)}
	var err2 error
	if until := r.cmd.text("until", ""); until != "" {
		q.Until, err2 = time.Parse(time.RFC3339, until)
	}
	if err := errors.Join(err, err2); err != nil {
		return mistakeError{err}
	}
	for {
		resp, err := do(r, exmdb.OpReminders, q)
		if err != nil {
			return err
		}
		for _, x := range resp.Reminders {
			subject, err := r.prop(exmdb.ObjectID{Message: x.MID}, mapi.PidTagSubject)
			path, err2 := r.look().Path(r.cmd.ctx, x.Folder)
			if err := errors.Join(err, err2); err != nil {
				return err
			}
			r.say("%s: %s in %s", x.Due.UTC().Format(time.RFC3339), valueWords(subject), path)
		}
		if q.After = resp.After; q.After == nil {
			return nil
		}
	}
}

// prop is a property of an object.
func (r *run) prop(id exmdb.ObjectID, tag mapi.Tag) (mapi.Value, error) {
	resp, err := do(r, exmdb.OpReadProps, &exmdb.ReadPropsRequest{Object: id, Tags: []mapi.Tag{tag}})
	if err != nil {
		return nil, err
	}
	return resp.Props.Get(tag), nil
}

// conversation writes a conversation action (MS-OXOCFG 2.2.8).
func (r *run) conversation() error {
	mid, err := r.message(r.cmd.words[0])
	if err != nil {
		return err
	}
	v, err := r.prop(exmdb.ObjectID{Message: mid}, mapi.PidTagConversationId)
	id, is := v.(mapi.Binary)
	if err != nil || !is {
		return errors.Join(err, mistake("the message has the conversation %v", v))
	}
	var words []string
	switch into := r.cmd.text("into", ""); {
	case r.cmd.is("ignore"):
		words = append(words, "PidLidConversationActionMoveFolderEid=")
	case into != "":
		words = append(words, "PidLidConversationActionMoveFolderEid=entry:"+into)
	}
	if names := r.cmd.text("categories", ""); names != "" {
		words = append(words, "PidNameKeywords="+names)
	}
	bag, err := r.bag(words)
	if err != nil {
		return err
	}
	bag.Set(mapi.PidTagMessageClass, mapi.String("IPM.ConversationAction"))
	bag.Set(mapi.PidTagConversationIndex, append(mapi.Binary{1, 0, 0, 0, 0, 0}, id...))
	resp, err := do(r, exmdb.OpCreateMessage, &exmdb.CreateMessageRequest{Folder: schema.ConversationActions, Associated: true, Message: exmdb.MessageEdit{Set: bag}})
	if err == nil {
		r.cmd.made = made{uint64(resp.State.MID), false}
	}
	return err
}

func (r *run) noConversations() error {
	q := &exmdb.EmptyFolderRequest{Folder: schema.ConversationActions, Hard: true, Associated: true}
	return steps(r, exmdb.OpEmptyFolder, q, func(resp *exmdb.EmptyFolderResponse) bool {
		q.Cursor = resp.Cursor
		return !resp.Done
	})
}

// deferred lists the messages in the folder of deferred actions (MS-OXORULE 2.2.6), by whose id they name their message.
func (r *run) deferred() error {
	t := &exmdb.Table{Caller: r.cmd.caller, As: r.cmd.as, Box: r.cmd.box.id}
	req := exmdb.TableRequest{Spec: exmdb.TableSpec{Kind: exmdb.TableContents, Object: exmdb.ObjectID{Folder: schema.DeferredAction}},
		Columns: []mapi.Tag{mapi.PidTagDamOriginalEntryId, mapi.PidTagDamBackPatched, mapi.PidTagRuleProvider}}
	resp, err := t.Rows(r.cmd.ctx, exmdb.TableRowsRequest{Table: req, From: exmdb.TablePosition{Origin: exmdb.TableBeginning}, Count: 1000})
	if err != nil {
		return err
	}
	counts := make(map[string]int)
	for i := range resp.Rows {
		bag := &resp.Rows[i].Props
		whose := "the server's"
		if bag.Get(mapi.PidTagDamBackPatched) == mapi.Boolean(true) {
			whose = "a client's"
		}
		counts[fmt.Sprintf("for %s by %s id", valueWords(bag.Get(mapi.PidTagRuleProvider)), whose)]++
		id, is := bag.Get(mapi.PidTagDamOriginalEntryId).(mapi.Binary)
		if !is {
			return mistake("a message that names none")
		}
		if !r.cmd.is("patch") || whose == "a client's" {
			continue
		}
		own := append([]byte("client's"), strconv.Itoa(i)...)
		if _, err := do(r, exmdb.OpDeferred, &exmdb.DeferredActionsRequest{Server: id, Client: own}); err != nil {
			return err
		}
	}
	r.sayCounts(counts, "nothing is left to clients")
	return nil
}

// sayCounts says how many there are of what, in order; without anything it says none.
func (r *run) sayCounts(counts map[string]int, none string) {
	lines := make([]string, 0, len(counts))
	for word, n := range counts {
		lines = append(lines, fmt.Sprintf("%d %s", n, word))
	}
	slices.SortFunc(lines, func(a, b string) int {
		return cmp.Compare(a[strings.IndexByte(a, ' '):], b[strings.IndexByte(b, ' '):])
	})
	if len(lines) == 0 {
		lines = []string{none}
	}
	r.say("%s", strings.Join(lines, "\n"))
}

// drop deletes a mailbox. Once that has begun it goes on by itself, so that there is none is the end of it.
func (r *run) drop() error {
	r.cmd.as = exmdb.System
	begun := false
	err := steps(r, exmdb.OpDeleteMailbox, &exmdb.Empty{}, func(resp *exmdb.DeleteMailboxResponse) bool {
		begun = true
		return !resp.Done
	})
	if begun && cluster.KindOf(err) == exmdb.KindNoMailbox {
		return nil
	}
	return err
}
