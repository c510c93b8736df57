package store

import (
	"bytes"
	"crypto/sha256"
	"strings"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/rules"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

const (
	// maxReplyText bounds one text of the out-of-office settings.
	maxReplyText = 64 << 10
	// tellAgain is when a sender is told again that the user is away.
	tellAgain = 24 * time.Hour
)

// oof is OpOOF.
func oof(v *view, _ *exmdb.Empty) (*exmdb.OOFSettings, error) {
	a, err := v.automation()
	if err != nil {
		return nil, err
	}
	s := a.OOF
	var texts schema.OOFTexts
	_, err = load(v.r, schema.OOFTextsKey(), &texts)
	s.Internal, s.External = texts.Internal, texts.External
	return &s, err
}

// setOOF is OpSetOOF. With another time of absence everybody is told anew.
func setOOF(t *tx, req *exmdb.OOFSettings) (*exmdb.Empty, error) {
	if err := checkOOF(req); err != nil {
		return nil, err
	}
	a, err := t.automation()
	if err != nil {
		return nil, err
	}
	if was := a.OOF; was.State != req.State || !was.Start.Equal(req.Start) || !was.End.Equal(req.End) {
		a.Since = t.now
		t.w.DeleteRange([]byte{schema.PrefixAnswered}, []byte{schema.PrefixAnswered + 1})
	}
	a.OOF = exmdb.OOFSettings{State: req.State, Audience: req.Audience, Start: req.Start, End: req.End}
	t.setAutomation(a)
	t.set(schema.OOFTextsKey(), &schema.OOFTexts{Internal: req.Internal, External: req.External})
	return &exmdb.Empty{}, nil
}

// away is PidTagOutOfOfficeState (MS-OXWOOF 2.2.4.1): whether the user is away at this moment. It is the owner's to know.
func (s *shownStore) away() mapi.Value {
	if !s.whole || !schema.Fixed(schema.Junk).In(s.header.Kind) {
		return nil
	}
	a, err := s.automation()
	if err != nil {
		s.err = err
		return nil
	}
	return mapi.Boolean(a.OOF.Away(time.Now()))
}

// wantAway takes what a client writes into PidTagOutOfOfficeState.
func wantAway(t mapi.Tag, v mapi.Value, away **bool) mapi.ErrorCode {
	b, ok := v.(mapi.Boolean)
	if !ok || t != mapi.PidTagOutOfOfficeState {
		return mapi.ErrorUnexpectedType
	}
	*away = (*bool)(&b)
	return 0
}

// setAway changes the settings so that the user is away from now on, or is not. What is so already stays, a span of time
// with it; texts and audience stay in any case.
func (t *tx) setAway(away *bool) error {
	if away == nil {
		return nil
	}
	s, err := oof(&t.view, nil)
	if err != nil || s.Away(t.now) == *away {
		return err
	}
	s.State = exmdb.OOFDisabled
	if *away {
		s.State = exmdb.OOFEnabled
	}
	_, err = setOOF(t, s)
	return err
}

func checkOOF(s *exmdb.OOFSettings) error {
	if s.State > exmdb.OOFScheduled || s.Audience > exmdb.OOFAll {
		return cluster.Errorf(cluster.KindBadRequest, "out-of-office state %d for audience %d", s.State, s.Audience)
	}
	if s.State == exmdb.OOFScheduled && !s.Start.Before(s.End) {
		return cluster.Errorf(cluster.KindBadRequest, "out of office from %v to %v", s.Start, s.End)
	}
	for _, text := range []*exmdb.ReplyText{&s.Internal, &s.External} {
		if len(text.Plain) > maxReplyText || len(text.HTML) > maxReplyText || len(text.Language) > 64 {
			return cluster.Errorf(exmdb.KindTooBig, "out-of-office text beyond %d bytes", maxReplyText)
		}
	}
	return nil
}

// awayText is what people inside or outside are told, nil where nothing is said to them any more.
func (v *view) awayText(internal bool) (*exmdb.ReplyText, error) {
	var texts schema.OOFTexts
	_, err := load(v.r, schema.OOFTextsKey(), &texts)
	text := &texts.External
	if internal {
		text = &texts.Internal
	}
	if text.Plain == "" && text.HTML == "" {
		return nil, err
	}
	return text, err
}

// tellAway decides whether the sender is told by the settings that the user is away, once in a while.
func (in *incoming) tellAway() error {
	if !in.auto.OOF.Away(in.now) {
		return nil
	}
	for _, s := range in.plan.Sends {
		if s.Action.Type == mapi.ActionOOFReply || s.Action.Type == mapi.ActionBounce {
			return nil // a rule does
		}
	}
	var texts schema.OOFTexts
	if _, err := load(in.r, schema.OOFTextsKey(), &texts); err != nil {
		return err
	}
	settings := in.auto.OOF
	settings.Internal, settings.External = texts.Internal, texts.External
	text, _, err := rules.Tell(in.mail, &rules.Away{Settings: &settings, Active: true, Contact: in.isContact,
		Answered: func(sender string) (bool, error) { return in.toldLately(sender) }})
	if err != nil || text == nil {
		return err
	}
	in.away = true
	return in.noteTold(0)
}

func scopeOf(r rules.RuleRef) schema.AnswerScope {
	scope := schema.AnswerScope(r.ID)
	if r.Extended {
		scope |= schema.ScopeExtended
	}
	return scope
}

// hasTold reports whether a rule that keeps a history has told the sender since the user is away (MS-OXORULE 3.2.5.1.1).
func (in *incoming) hasTold(r rules.RuleRef) (bool, error) {
	was, err := in.answer(scopeOf(r), in.req.Sender)
	return was != nil && !was.At.Before(in.auto.Since), err
}

// toldLately reports whether the sender was told by anything that the user is away.
func (in *incoming) toldLately(sender string) (bool, error) {
	was, err := in.answer(0, sender)
	return was != nil && in.now.Sub(was.At) < tellAgain && !was.At.Before(in.auto.Since), err
}

// toldBefore is for a rule that answers by a template of its own: one with a history has looked at it already.
func (in *incoming) toldBefore(r rules.RuleRef) (bool, error) {
	stored, err := in.toldLately(in.req.Sender)
	if err != nil || stored {
		return stored, err
	}
	if err := in.noteTold(0); err != nil {
		return false, err
	}
	return false, in.noteTold(scopeOf(r))
}

// noteTold notes that the sender is told now.
func (in *incoming) noteTold(scope schema.AnswerScope) error {
	expired := in.auto.Since
	if scope == 0 {
		expired = in.now.Add(-tellAgain)
	}
	return in.noteAnswer(scope, in.req.Sender, &schema.Answered{At: in.now, Count: 1}, expired)
}

// senderHash names a sender in the history of answers.
func senderHash(sender string) [16]byte {
	sum := sha256.Sum256([]byte(strings.ToLower(sender)))
	return [16]byte(sum[:16])
}

// answer is when a sender was last answered by a scope, nil if never.
func (v *view) answer(scope schema.AnswerScope, sender string) (*schema.Answered, error) {
	was := new(schema.Answered)
	found, err := load(v.r, schema.AnsweredKey(scope, senderHash(sender)), was)
	if err != nil || !found {
		return nil, err
	}
	return was, nil
}

// answersSwept is how many of the entries behind a new one are looked at for being old.
const answersSwept = 4

// noteAnswer remembers an answer, and forgets some that are of before expired. Hashes lie evenly, so the entries behind a
// new one are a sample: there are never many more old ones than new.
func (t *tx) noteAnswer(scope schema.AnswerScope, sender string, a *schema.Answered, expired time.Time) error {
	key := schema.AnsweredKey(scope, senderHash(sender))
	var old [][]byte
	it := t.r.Iter(append(bytes.Clone(key), 0), []byte{schema.PrefixAnswered + 1})
	var err error
	for i := 0; i < answersSwept && err == nil && it.Next(); i++ {
		var other schema.Answered
		if !bytes.HasPrefix(it.Key(), schema.AnsweredScopeKey(scope)) {
			break
		}
		if err = schema.Decode(it.Value(), &other); err == nil && other.At.Before(expired) {
			old = append(old, bytes.Clone(it.Key()))
		}
	}
	if cerr := it.Close(); err == nil {
		err = cerr
	}
	for _, k := range old {
		t.w.Delete(k)
	}
	t.set(key, a)
	return err
}
