package rules

import (
	"iter"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// Situation is what an evaluation asks of the mailbox.
type Situation struct {
	// Folder is where the message is delivered to.
	Folder mapi.FID
	// Away says that the user is out of office.
	Away bool
	// Rules are those of a folder, in the order of Order.
	Rules func(folder mapi.FID) ([]Rule, error)
	// Target is the folder that a move or copy means; ok is false where this mailbox has none such.
	Target func(*mapi.MoveAction) (folder mapi.FID, ok bool, err error)
	// Answered reports whether a rule has told the sender already that the user is away.
	Answered func(RuleRef) (bool, error)
	// May reports whether the author of a rule has one of some rights in a folder. Of the mailbox's own rules nobody asks.
	May func(author *exmdb.Identity, folder mapi.FID, of exmdb.FolderRights) (bool, error)
}

// Evaluate says what the rules of a folder, and of those that they move the message to, do with a message (MS-OXORULE
// 3.2.5.1).
func Evaluate(m *Mail, s *Situation) (*Plan, error) {
	e := &evaluation{mail: m, Situation: s, plan: new(Plan), seen: make(map[mapi.FID]bool), room: MaxRecipients}
	e.seenAs = &tagged{m, e.plan}
	stays, err := e.folder(s.Folder)
	if err != nil {
		return nil, err
	}
	if stays {
		e.plan.place(s.Folder)
	}
	if e.bounced {
		e.plan.Places = nil
	}
	return e.plan, nil
}

// evaluation is the way of one message through rules.
type evaluation struct {
	*Situation
	mail *Mail
	plan *Plan
	// seen are the folders whose rules the message has met.
	seen map[mapi.FID]bool
	// room is how many more recipients the message may go to.
	room int
	// bounced: the message goes back, and no rule is looked at any more.
	bounced bool
	// seenAs is the message as conditions see it.
	seenAs *tagged
	// replied: the sender has been told that the user is away.
	replied bool
}

// folder runs the rules of a folder and reports whether the message stays in it.
func (e *evaluation) folder(f mapi.FID) (stays bool, err error) {
	e.seen[f] = true
	list, err := e.Rules(f)
	if err != nil {
		return false, err
	}
	stays = true
	ended := false
	for i := range list {
		r := &list[i]
		met, err := e.meets(f, r, ended)
		if err != nil {
			return false, err
		}
		if !met {
			continue
		}
		run := &run{evaluation: e, rule: r, ref: ref(f, r), stays: true}
		if err := run.actions(); err != nil {
			return false, err
		}
		stays = stays && run.stays
		ended = ended || r.State&ExitLevel != 0
		if e.bounced {
			return false, nil
		}
	}
	return stays, nil
}

func ref(f mapi.FID, r *Rule) RuleRef {
	return RuleRef{Folder: f, ID: r.ID, Provider: r.Provider, Extended: r.Extended}
}

// meets reports whether a rule is one for now and for the message. Where a rule has ended its level those for the time
// out of office still count (MS-OXORULE 3.2.5.1.1.1).
func (e *evaluation) meets(f mapi.FID, r *Rule, ended bool) (bool, error) {
	switch {
	case !r.State.On(),
		ended && r.State&OnlyWhenOOF == 0,
		r.State&OnlyWhenOOF != 0 && !e.Away,
		r.State&SkipIfSCLIsSafe != 0 && e.mail.isSafe():
		return false, nil
	}
	if r.State&KeepOOFHistory != 0 && answersOOF(r) {
		done, err := e.Answered(ref(f, r))
		if err != nil || done {
			return false, err
		}
	}
	if r.Condition != nil && !r.Condition.Match(e.seenAs) {
		return false, nil
	}
	return e.may(r, f, exmdb.RightFolderOwner)
}

// isSafe reports whether the mail flow has found the mail to be safe: level -1, which no header can claim.
func (m *Mail) isSafe() bool {
	n, ok := m.made(mapi.PidTagContentFilterSpamConfidenceLevel).(mapi.Integer32)
	return ok && n == -1
}

func answersOOF(r *Rule) bool {
	for _, a := range r.Actions {
		if a.Type == mapi.ActionOOFReply {
			return true
		}
	}
	return false
}

// tagged is the message with what earlier rules have made of it.
type tagged struct {
	*Mail
	plan *Plan
}

// Get implements mapi.Getter.
func (t *tagged) Get(tag mapi.Tag) mapi.Value {
	for i := range t.plan.Tags {
		if t.plan.Tags[i].Tag == tag {
			return t.plan.Tags[i].Value
		}
	}
	v := t.Mail.Get(tag)
	if n, ok := v.(mapi.Integer32); ok && tag == mapi.PidTagMessageFlags && t.plan.Read {
		return n | mapi.MessageFlagRead
	}
	return v
}

// SubObjects implements mapi.SubObjects.
func (t *tagged) SubObjects(tag mapi.Tag) iter.Seq[mapi.Getter] { return t.Mail.SubObjects(tag) }

// run is one rule at work on the message.
type run struct {
	*evaluation
	rule  *Rule
	ref   RuleRef
	at    int
	stays bool
}

// actions does what the rule says, in its order.
func (r *run) actions() error {
	r.plan.Fired = append(r.plan.Fired, r.ref)
	for i, a := range r.rule.Actions {
		r.at = i
		if err := r.action(a); err != nil || r.bounced {
			return err
		}
	}
	return nil
}

func (r *run) action(a mapi.RuleAction) error {
	switch code, err := r.refusal(a); {
	case err != nil:
		return err
	case code != 0:
		r.fail(a, code)
		return nil
	}
	switch a.Type {
	case mapi.ActionMove, mapi.ActionCopy:
		return r.move(a)
	case mapi.ActionDelete:
		r.stays = false
	case mapi.ActionMarkAsRead:
		r.plan.Read = true
	case mapi.ActionTag:
		r.plan.tag(a.Data.(*mapi.TagAction).Prop)
	case mapi.ActionDefer:
		r.deferTo(a)
	case mapi.ActionForward, mapi.ActionDelegate:
		r.forward(a)
	case mapi.ActionReply, mapi.ActionOOFReply:
		r.reply(a)
	case mapi.ActionBounce:
		r.bounce(a)
	}
	return nil
}

// move puts the message, or a copy, into another folder. A message that is moved meets the rules of where it goes, before
// those behind this one, unless it met them before.
func (r *run) move(a mapi.RuleAction) error {
	data := a.Data.(*mapi.MoveAction)
	if elsewhere(a, r.rule.Extended) {
		r.deferTo(a)
		return nil
	}
	target, ok, err := r.Target(data)
	if err != nil {
		return err
	}
	if !ok {
		r.fail(a, FailureNoFolder)
		return nil
	}
	if may, err := r.may(r.rule, target, exmdb.RightCreate); err != nil || !may {
		if err == nil {
			r.fail(a, FailureNoRights)
		}
		return err
	}
	if a.Type == mapi.ActionCopy || r.seen[target] || len(r.seen) >= maxFolders {
		r.plan.place(target)
		r.stays = r.stays && (a.Type == mapi.ActionCopy || target == r.ref.Folder)
		return nil
	}
	r.stays = false
	kept, err := r.folder(target)
	if kept {
		r.plan.place(target)
	}
	return err
}

func (r *run) fail(a mapi.RuleAction, code FailureCode) {
	r.plan.Failures = append(r.plan.Failures, Failure{Rule: r.ref, Number: r.at, Type: a.Type, Code: code})
}

func (r *run) hold(a mapi.RuleAction, why Reason) {
	r.plan.Held = append(r.plan.Held, Held{Rule: r.ref, Type: a.Type, Why: why})
}

func (r *run) deferTo(a mapi.RuleAction) {
	r.plan.Deferred = append(r.plan.Deferred, Deferral{Rule: r.ref, Action: a})
}

func (r *run) send(a mapi.RuleAction, to []Recipient) {
	r.plan.Sends = append(r.plan.Sends, Send{Rule: r.ref, Action: a, To: to})
}

// forward hands the message on, to as many as it may still go to.
func (r *run) forward(a mapi.RuleAction) {
	if why := r.mail.mayGoOn(); why != "" {
		r.hold(a, why)
		return
	}
	if len(r.plan.Sends) >= maxSends {
		r.hold(a, ReasonTooMany)
		return
	}
	to, bad := r.mail.recipientsOf(a.Data.(mapi.ForwardAction))
	if bad > 0 || len(to) > r.room {
		r.fail(a, FailureRecipients)
	}
	to = to[:min(len(to), r.room)]
	r.room -= len(to)
	if len(to) > 0 {
		r.send(a, to)
	}
}

// reply answers the sender, with a template of the user's. That he is away is said once.
func (r *run) reply(a mapi.RuleAction) {
	kind := SuppressAutoReply
	if a.Type == mapi.ActionOOFReply {
		kind = SuppressOOF
	}
	why := r.mail.mayAnswer(kind)
	switch {
	case why == "" && kind == SuppressOOF && r.replied:
		why = ReasonAnswered
	case why == "" && len(r.plan.Sends) >= maxSends:
		why = ReasonTooMany
	}
	if why != "" {
		r.hold(a, why)
		return
	}
	r.replied = r.replied || kind == SuppressOOF
	r.send(a, nil)
}

// bounce sends the message back instead of keeping it. What came from nobody cannot go back, and is kept.
func (r *run) bounce(a mapi.RuleAction) {
	if r.mail.From == "" {
		r.hold(a, ReasonNullSender)
		return
	}
	r.bounced = true
	r.send(a, nil)
}
