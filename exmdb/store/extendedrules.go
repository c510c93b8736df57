package store

import (
	"bytes"
	"errors"
	"strings"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/content"
	"github.com/flotilla-mail/flotilla/exmdb/rules"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// Extended rules are associated messages that clients write as any other (MS-OXORULE 2.2.4). An index of their objects
// spares a delivery the look at all associated messages of a folder; where they are is found by their MIDs.

// doesActions is what an extended rule does.
var doesActions = map[uint16]bool{mapi.PidTagExtendedRuleMessageActions.ID(): true}

// noteRule keeps the index true for an associated message with a bag in the place of old. The rule in it is the caller's, unless
// he has the mailbox whole and did not set what it does.
func (t *tx) noteRule(row *schema.Row, old, bag *mapi.PropBag) error {
	if row.Bits&schema.RowAssociated == 0 {
		return nil
	}
	is := strings.EqualFold(textOf(bag, mapi.PidTagMessageClass), rules.ExtendedClass)
	if condition, found := lookup(bag, mapi.PidTagExtendedRuleMessageCondition); is && found && mapi.SizeOf(condition.Value) > rules.MaxExtendedBytes {
		return cluster.Errorf(exmdb.KindTooBig, "condition of an extended rule beyond %d bytes", rules.MaxExtendedBytes)
	}
	if !is {
		return t.indexRule(row.Object, nil)
	}
	author := t.extendedAuthor()
	if t.whole && old != nil && !differs(doesActions, old, bag) {
		was, err := t.r.Get(schema.ExtendedRuleKey(row.Object))
		if err != nil {
			return err
		}
		author = append(author, was...)
	}
	return t.indexRule(row.Object, author)
}

// indexRule says that an object holds an extended rule, by whom; nil says that it holds none.
func (t *tx) indexRule(object mapi.ObjectNumber, author []byte) error {
	key := schema.ExtendedRuleKey(object)
	was, err := t.r.Get(key)
	if err != nil || (was == nil) == (author == nil) && bytes.Equal(was, author) {
		return err
	}
	if author != nil {
		t.w.Set(key, author)
	} else {
		t.w.Delete(key)
	}
	if (was == nil) == (author == nil) {
		return nil
	}
	a, err := t.automation()
	if err != nil {
		return err
	}
	if author != nil {
		a.Extended++
	} else {
		a.Extended--
	}
	t.setAutomation(a)
	return nil
}

// copyRule has the copy of a message indexed as the message is.
func (t *tx) copyRule(from *schema.Row, to mapi.ObjectNumber) error {
	if from.Bits&schema.RowAssociated == 0 {
		return nil
	}
	b, err := t.r.Get(schema.ExtendedRuleKey(from.Object))
	if err != nil || b == nil {
		return err
	}
	return t.indexRule(to, b)
}

// extendedRules are the extended rules of a folder. One that does not read is marked as such.
func (t *tx) extendedRules(fid mapi.FID) ([]rules.Rule, error) {
	objects, err := t.ruleObjects()
	if err != nil {
		return nil, err
	}
	var list []rules.Rule
	for _, o := range objects {
		counter, err := t.r.Get(schema.ObjectKey(o.object))
		if err != nil {
			return nil, err
		}
		if counter == nil {
			continue // it is a message no more
		}
		mid, err := schema.ParseCounter(counter)
		if err != nil {
			return nil, err
		}
		r, err := t.extendedRule(fid, mapi.NewMID(mapi.LocalReplica, mid))
		if err != nil {
			return nil, err
		}
		if r == nil {
			continue
		}
		signed := *r // what is remembered says nothing of the author
		signed.Author = o.author
		list = append(list, signed)
	}
	return list, nil
}

// ruleObject is an object that holds an extended rule, and who set it, nil where that is the mailbox's own.
type ruleObject struct {
	object mapi.ObjectNumber
	author *exmdb.Identity
}

// ruleObjects are the objects that hold extended rules.
func (v *view) ruleObjects() (objects []ruleObject, err error) {
	it := v.r.Iter(schema.ExtendedRuleKey(0), []byte{schema.PrefixExtendedRule + 1})
	defer closing(it, &err)
	for it.Next() {
		var r ruleObject
		if r.object, err = schema.ParseExtendedRuleKey(it.Key()); err != nil {
			return nil, err
		}
		if signed := it.Value(); len(signed) > 0 {
			by := new(schema.RuleAuthor)
			if err := schema.Decode(signed, by); err != nil {
				return nil, err
			}
			r.author = by.Identity()
		}
		objects = append(objects, r)
	}
	return objects, nil
}

// extendedRule reads the rule in a message; nil where the message is not in the folder, or no rule.
func (t *tx) extendedRule(fid mapi.FID, mid mapi.MID) (*rules.Rule, error) {
	at, m, err := t.find(mid)
	if cluster.KindOf(err) == exmdb.KindNoMessage && err != nil {
		return nil, nil // deleted with its folder, and not removed yet
	}
	if err != nil || at != fid {
		return nil, err
	}
	key := schema.BagKey(m.row.Object)
	stored, err := t.r.Get(key)
	if err != nil {
		return nil, err
	}
	list, err := t.compile(key, stored, func() ([]rules.Rule, error) { return t.parseExtended(mid, stored) })
	switch {
	case errors.Is(err, rules.ErrBadRule) || errors.Is(err, rules.ErrRuleLimit):
		return nil, t.markRule(mid, rules.ParseError)
	case err != nil || len(list) == 0:
		return nil, err
	}
	return &list[0], nil
}

// parseExtended takes the bag of an extended rule apart; of one that is not looked at there is nothing.
func (v *view) parseExtended(mid mapi.MID, stored []byte) ([]rules.Rule, error) {
	bag := new(mapi.PropBag)
	if err := schema.Decode(stored, bag); err != nil {
		return nil, err
	}
	if !rules.State(asInt(bag.Get(mapi.PidTagRuleMessageState))).On() {
		return nil, nil
	}
	whole, err := v.inlined(bag, mapi.PidTagExtendedRuleMessageCondition, mapi.PidTagExtendedRuleMessageActions)
	if err != nil {
		return nil, err
	}
	r, err := rules.ParseExtended(uint64(mid.Counter()), whole, v.propertyID)
	return []rules.Rule{r}, err
}

// inlined is a bag in which some values are there whole, of those that are kept as content.
func (v *view) inlined(bag *mapi.PropBag, tags ...mapi.Tag) (*mapi.PropBag, error) {
	out := clone(bag)
	for _, t := range tags {
		p, found := lookup(bag, t)
		ref, long := p.Value.(mapi.Reference)
		if !found || !long {
			continue
		}
		b, err := content.ReadReference(v.r, ref, 0, maxInlined)
		if err != nil {
			return nil, err
		}
		switch p.Tag.Type() {
		case mapi.TypeString:
			out.Set(p.Tag, mapi.String(b))
		case mapi.TypeBinary:
			out.Set(p.Tag, mapi.Binary(b))
		}
	}
	return out, nil
}

// maxInlined bounds how much of a long value is read in one op.
const maxInlined = 512 << 10

// markRule notes in an extended rule what the store has found wrong with it (MS-OXORULE 2.2.4.1.4).
func (t *tx) markRule(mid mapi.MID, flag rules.State) error {
	d, err := t.reopen(mid, &exmdb.Payload{})
	if err != nil {
		return err
	}
	d.byMailbox = true
	bag, err := t.bag(&d.before.row)
	if err != nil {
		return err
	}
	var set mapi.PropBag
	set.Set(mapi.PidTagRuleMessageState, asInt(bag.Get(mapi.PidTagRuleMessageState))|mapi.Integer32(flag))
	if err := d.apply(&exmdb.MessageEdit{Set: set}); err != nil {
		return err
	}
	return d.commit()
}
