package store

import (
	"strings"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/convert/oxcmsg"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// bagEditor changes bags as one request asks: it knows the request's names and long values, and gathers what could not
// be done.
type bagEditor struct {
	names    names
	staged   *staged
	problems []exmdb.PropertyProblem
}

func (t *tx) newEditor(p *exmdb.Payload) (*bagEditor, error) {
	s, err := stage(p.Inline)
	if err != nil {
		return nil, err
	}
	ns, err := t.internNames(p)
	return &bagEditor{names: ns, staged: s}, err
}

// apart takes a property that does not go to the bag. A nil value deletes. Where it is not its matter it says so.
type apart func(t mapi.Tag, v mapi.Value) (code mapi.ErrorCode, mine bool)

func (e *bagEditor) problem(t mapi.Tag, code mapi.ErrorCode) {
	if code != 0 {
		e.problems = append(e.problems, exmdb.PropertyProblem{Tag: t, Code: code})
	}
}

// change deletes and sets properties of a bag. Every value has one type: another under the same id gives way.
func (e *bagEditor) change(bag, values *mapi.PropBag, deletes []mapi.Tag, elsewhere apart) error {
	for _, asked := range deletes {
		t, err := e.names.tag(asked)
		if err != nil {
			return err
		}
		if code, mine := elsewhere(t, nil); mine {
			e.problem(asked, code)
			continue
		}
		if t.ID() == mapi.PidTagSubject.ID() {
			deleteID(bag, mapi.PidTagSubjectPrefix)
			deleteID(bag, mapi.PidTagNormalizedSubject)
		}
		deleteID(bag, t)
	}
	if err := e.staged.admit(values); err != nil {
		return err
	}
	for _, p := range values.All() {
		t, err := e.names.tag(p.Tag)
		if err != nil {
			return err
		}
		if code, mine := elsewhere(t, p.Value); mine {
			e.problem(p.Tag, code)
			continue
		}
		if t.ID() != mapi.PidTagSubject.ID() {
			deleteID(bag, t)
			bag.Set(t, p.Value)
		}
	}
	if p, found := lookup(values, mapi.PidTagSubject); found {
		e.problem(p.Tag, setSubject(bag, values, p.Value))
	}
	return e.staged.long(bag)
}

// deleteID takes every property under a tag's id out of a bag.
func deleteID(bag *mapi.PropBag, t mapi.Tag) {
	for {
		p, found := lookup(bag, t.WithType(mapi.TypeUnspecified))
		if !found {
			return
		}
		bag.Delete(p.Tag)
	}
}

// setSubject keeps a subject as its parts: the prefix that the request gives, where the subject begins with it, else a
// computed one (MS-OXCMSG 2.2.1.9, 2.2.1.10).
func setSubject(bag, values *mapi.PropBag, v mapi.Value) mapi.ErrorCode {
	text, ok := v.(mapi.String)
	if !ok {
		return mapi.ErrorUnexpectedType
	}
	if len(text) > mapi.MaxStoredValue {
		return mapi.ErrorNotEnoughMemory
	}
	prefix, given := values.Get(mapi.PidTagSubjectPrefix).(mapi.String)
	normalized, begins := strings.CutPrefix(string(text), string(prefix))
	if !given || !begins {
		var computed string
		computed, normalized = oxcmsg.SplitSubject(string(text))
		prefix = mapi.String(computed)
	}
	deleteID(bag, mapi.PidTagSubjectPrefix)
	deleteID(bag, mapi.PidTagNormalizedSubject)
	if prefix != "" || given {
		bag.Set(mapi.PidTagSubjectPrefix, prefix)
	}
	bag.Set(mapi.PidTagNormalizedSubject, mapi.String(normalized))
	return 0
}
