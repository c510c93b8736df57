package inspect

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"
)

// words puts restrictions and actions into words. It knows what the mailbox's named properties are called.
type words struct {
	names map[uint16]mapi.PropertyName
	tree  *tree
	// bodies says texts whole; else they are cut behind maxShown.
	bodies bool
}

// tag names a property: as MS-OXPROPS does, or by its set and what names it there, or by its number.
func (w *words) tag(t mapi.Tag) string {
	if !t.Named() {
		if name := t.Name(); name != "" {
			return name
		}
		return t.String()
	}
	n, ok := w.names[t.ID()]
	if !ok {
		return t.String()
	}
	return nameWords(n)
}

func nameWords(n mapi.PropertyName) string {
	switch {
	case n.CanonicalName() != "":
		return n.CanonicalName()
	case n.Kind == mapi.NameByString:
		return fmt.Sprintf("%v/%s", n.Set, n.Name)
	}
	return fmt.Sprintf("%v/0x%04X", n.Set, n.LID)
}

// maxShown is where values are cut unless texts are asked for.
const maxShown = 255

// value is v as JSON has it. cut says that it is not all.
func (w *words) value(t mapi.Tag, v mapi.Value) (shown any, cut bool) {
	switch v := v.(type) {
	case mapi.String:
		return w.cut(string(v))
	case mapi.String8:
		return w.cut(strings.ToValidUTF8(string(v), "\uFFFD"))
	case mapi.Binary:
		if !w.bodies && len(v) > maxShown {
			return hex.EncodeToString(v[:maxShown]), true
		}
		return hex.EncodeToString(v), false
	case mapi.FileTime:
		return moment(v), false
	case mapi.ErrorCode:
		return fmt.Sprintf("0x%08X", uint32(v)), false
	case mapi.Null:
		return nil, false
	case mapi.Opaque:
		return w.opaque(t, v), false
	case mapi.Integer16, mapi.Integer32, mapi.Integer64, mapi.Floating32, mapi.Floating64, mapi.Currency, mapi.AppTime, mapi.Boolean, mapi.GUID:
		return v, false
	}
	return w.list(t, v)
}

// list is a value of several elements.
func (w *words) list(t mapi.Tag, v mapi.Value) (shown any, cut bool) {
	list := []any{}
	for _, e := range mapi.Elements(v) {
		one, short := w.value(t.WithType(t.Type().Element()), e)
		list, cut = append(list, one), cut || short
	}
	return list, cut
}

func (w *words) cut(s string) (string, bool) {
	if r := []rune(s); !w.bodies && len(r) > maxShown {
		return string(r[:maxShown]), true
	}
	return s, false
}

func (w *words) opaque(t mapi.Tag, v mapi.Opaque) any {
	switch t.Type() {
	case mapi.TypeRestriction:
		if r, err := oxcdata.RestrictionOf(v); err == nil {
			return w.restriction(r)
		}
	case mapi.TypeRuleAction:
		if list, err := oxcdata.RuleActionsOf(v); err == nil {
			return w.actions(list)
		}
	case mapi.TypeServerID:
		if id, err := oxcdata.ServerIDOf(v); err == nil && id.Ours {
			return fmt.Sprintf("%v/%v", ID(id.FID), ID(id.MID))
		}
	}
	return hex.EncodeToString(v)
}

// text is a value inside a sentence.
func (w *words) text(p mapi.Prop) string {
	shown, cut := w.value(p.Tag, p.Value)
	b, err := json.Marshal(shown)
	if err != nil { // a number that JSON has no word for
		return fmt.Sprint(p.Value)
	}
	if cut {
		return string(b) + "…"
	}
	return string(b)
}

func moment(f mapi.FileTime) string {
	if f == 0 {
		return ""
	}
	return f.Time().Format(time.RFC3339Nano)
}

var relations = map[mapi.RelOp]string{mapi.RelOpLT: "<", mapi.RelOpLE: "<=", mapi.RelOpGT: ">", mapi.RelOpGE: ">=", mapi.RelOpEQ: "=",
	mapi.RelOpNE: "!=", mapi.RelOpRE: "matches", mapi.RelOpMemberOfDL: "is a member of"}

// restriction is a condition in words; a missing one passes everything.
func (w *words) restriction(r mapi.Restriction) string {
	switch r := r.(type) {
	case nil:
		return "everything"
	case mapi.AndRestriction:
		return w.joined(r, " and ", "everything")
	case mapi.OrRestriction:
		return w.joined(r, " or ", "nothing")
	case *mapi.NotRestriction:
		return "not " + w.operand(r.Of)
	case *mapi.SubObjectRestriction:
		what := "a recipient"
		if r.Tag == mapi.PidTagMessageAttachments {
			what = "an attachment"
		}
		return what + " with " + w.operand(r.Of)
	case *mapi.CommentRestriction:
		return w.restriction(r.Of)
	case *mapi.CountRestriction:
		return fmt.Sprintf("the first %d of %s", r.Count, w.operand(r.Of))
	}
	return w.leaf(r)
}

func (w *words) leaf(r mapi.Restriction) string {
	switch r := r.(type) {
	case *mapi.ContentRestriction:
		return fmt.Sprintf("%s %s %s", w.tag(r.Tag), fuzzyWords(r.Fuzzy), w.text(r.Value))
	case *mapi.PropertyRestriction:
		return fmt.Sprintf("%s %s %s", w.tag(r.Tag), relations[r.Op], w.text(r.Value))
	case *mapi.ComparePropertiesRestriction:
		return fmt.Sprintf("%s %s %s", w.tag(r.Left), relations[r.Op], w.tag(r.Right))
	case *mapi.BitMaskRestriction:
		if r.Op == mapi.BitMaskEqualZero {
			return fmt.Sprintf("%s has none of 0x%X", w.tag(r.Tag), r.Mask)
		}
		return fmt.Sprintf("%s has some of 0x%X", w.tag(r.Tag), r.Mask)
	case *mapi.SizeRestriction:
		return fmt.Sprintf("size of %s %s %d", w.tag(r.Tag), relations[r.Op], r.Size)
	case *mapi.ExistRestriction:
		return w.tag(r.Tag) + " is there"
	}
	return fmt.Sprintf("a condition of type %#x", uint8(r.Type()))
}

func (w *words) joined(list []mapi.Restriction, by, none string) string {
	if len(list) == 0 {
		return none
	}
	parts := make([]string, len(list))
	for i, r := range list {
		parts[i] = w.operand(r)
	}
	return strings.Join(parts, by)
}

// operand is a condition inside another, in parentheses where it has parts.
func (w *words) operand(r mapi.Restriction) string {
	switch of := r.(type) {
	case mapi.AndRestriction:
		if len(of) > 1 {
			return "(" + w.restriction(r) + ")"
		}
	case mapi.OrRestriction:
		if len(of) > 1 {
			return "(" + w.restriction(r) + ")"
		}
	}
	return w.restriction(r)
}

func fuzzyWords(f mapi.FuzzyLevel) string {
	how := "is"
	switch {
	case f&mapi.FuzzyPrefixOnAnyWord != 0:
		how = "has a word that begins with"
	case f&mapi.FuzzyPhrase != 0:
		how = "has the words"
	case f&3 == mapi.FuzzySubstring:
		how = "contains"
	case f&3 == mapi.FuzzyPrefix:
		how = "begins with"
	}
	switch {
	case f&mapi.FuzzyLoose != 0, f&mapi.FuzzyIgnoreCase != 0 && f&mapi.FuzzyIgnoreNonSpace != 0:
		return how + " (without case and marks)"
	case f&mapi.FuzzyIgnoreCase != 0:
		return how + " (without case)"
	case f&mapi.FuzzyIgnoreNonSpace != 0:
		return how + " (without marks)"
	}
	return how
}

func (w *words) actions(list []mapi.RuleAction) []string {
	out := make([]string, len(list))
	for i, a := range list {
		out[i] = w.action(a)
	}
	return out
}

var actionNames = map[mapi.ActionType]string{mapi.ActionMove: "move to", mapi.ActionCopy: "copy to", mapi.ActionReply: "reply with",
	mapi.ActionOOFReply: "reply while away with", mapi.ActionDefer: "leave to the client", mapi.ActionBounce: "send back, code",
	mapi.ActionForward: "forward to", mapi.ActionDelegate: "hand on to", mapi.ActionTag: "set", mapi.ActionDelete: "delete",
	mapi.ActionMarkAsRead: "mark as read"}

func (w *words) action(a mapi.RuleAction) string {
	name := actionNames[a.Type]
	switch data := a.Data.(type) {
	case *mapi.MoveAction:
		name += " " + w.target(data)
	case *mapi.ReplyAction:
		name += fmt.Sprintf(" template %v", ID(data.MID))
	case mapi.BounceAction:
		name += fmt.Sprintf(" 0x%X", uint32(data))
	case mapi.ForwardAction:
		var who []string
		for _, props := range data {
			who = append(who, recipientWords(props))
		}
		name += " " + strings.Join(who, ", ")
	case *mapi.TagAction:
		name += fmt.Sprintf(" %s to %s", w.tag(data.Prop.Tag), w.text(data.Prop))
	}
	if a.Flavor != 0 {
		name += fmt.Sprintf(" (flavor 0x%X)", a.Flavor)
	}
	return name
}

// target is where a rule moves or copies to.
func (w *words) target(m *mapi.MoveAction) string {
	if m.InThisStore {
		if id, err := oxcdata.ServerIDOf(m.Folder); err == nil && id.Ours {
			return w.folder(id.FID)
		}
	}
	if e, err := oxcdata.ParseEntryID(m.Folder); err == nil {
		if f, ok := e.(*oxcdata.FolderEntryID); ok {
			return fmt.Sprintf("folder %x of mailbox %v", uint64(f.Folder.Counter), f.Provider)
		}
	}
	return "entry id " + hex.EncodeToString(m.Folder)
}

// folder is the path of a folder, or its id where it is gone.
func (w *words) folder(fid mapi.FID) string {
	if fid != schema.Root && w.tree.byID[fid] == nil {
		return fmt.Sprintf("%v, which is gone", ID(fid))
	}
	return w.tree.path(fid)
}

func recipientWords(props []mapi.Prop) string {
	best := "somebody"
	for _, p := range props {
		if s, ok := p.Value.(mapi.String); ok {
			if p.Tag == mapi.PidTagSmtpAddress || p.Tag == mapi.PidTagEmailAddress {
				return string(s)
			}
			if p.Tag == mapi.PidTagDisplayName {
				best = string(s)
			}
		}
	}
	return best
}

// awayWords says whether somebody is out of office, and who outside is told.
func awayWords(s *exmdb.OOFSettings) string {
	outside := map[exmdb.OOFAudience]string{exmdb.OOFNone: "nobody outside is told", exmdb.OOFKnown: "contacts outside are told",
		exmdb.OOFAll: "everybody outside is told"}[s.Audience]
	switch s.State {
	case exmdb.OOFEnabled:
		return "away; " + outside
	case exmdb.OOFScheduled:
		return fmt.Sprintf("away from %s to %s; %s", s.Start.UTC().Format(time.RFC3339), s.End.UTC().Format(time.RFC3339), outside)
	}
	return "not away"
}
