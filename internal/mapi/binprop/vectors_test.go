package binprop

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"
	"github.com/flotilla-mail/flotilla/internal/testkit/vectors"
)

// refused are the vectors that a reader has to refuse, and why.
var refused = map[string]string{
	"TIMEZONEDEFINITION-3":      "no rules by its count, and two of them",
	"TOMBSTONE-3":               "records without their header",
	"VERBSTREAM-7":              "no verbs by its count, and four of them",
	"ADDITIONALRENENTRYIDSEX-2": "an element longer than its block",
	"ADDITIONALRENENTRYIDSEX-4": "a block longer than what is left",
	"SEARCHFOLDERDEFINITION-6":  "a value of an address is not as long as its count, and what follows is read askew by MFCMAPI too",
	"SID-1":                     "no bytes",
	"SID-4":                     "fewer sub-authorities than its count",
	"SID-5":                     "fewer sub-authorities than its count",
	"SID-7":                     "bytes behind its end",
	"NTSD-4":                    "no head",
	"NTSD-5":                    "no head",
}

// form is a structure of the package for the tests that go through all of them.
type form struct {
	name string
	// kinds are those of the vectors.
	kinds []string
	// parse reads, write writes what parse gave.
	parse func([]byte) (any, error)
	write func(any) ([]byte, error)
	// facts are what a print must say.
	facts func(any) []string
	// loose: the bytes may come out in another order, or with another count, and say the same.
	loose bool
}

func formOf[S any](name string, parse func([]byte) (S, error), write func(S) ([]byte, error), facts func(S) []string, kinds ...string) form {
	return form{
		name: name, kinds: kinds,
		parse: func(b []byte) (any, error) { return parse(b) },
		write: func(s any) ([]byte, error) { return write(s.(S)) },
		facts: func(s any) []string { return facts(s.(S)) },
	}
}

func (f form) inAnyOrder() form {
	f.loose = true
	return f
}

func forms() []form {
	return []form{
		formOf("recurrence", ParseRecurrencePattern, func(p RecurrencePattern) ([]byte, error) { return p.Append(nil) }, recurrenceFacts, "RECURRENCEPATTERN"),
		formOf("appointment", ParseAppointmentRecurrencePattern, func(p AppointmentRecurrencePattern) ([]byte, error) { return p.Append(nil) },
			appointmentFacts, "APPOINTMENTRECURRENCEPATTERN"),
		formOf("zone", ParseTimeZoneStruct, func(z TimeZoneStruct) ([]byte, error) { return z.Append(nil) }, func(z TimeZoneStruct) []string {
			return append(append(biasFacts(z.Bias), timeFacts(z.Standard)...), timeFacts(z.Daylight)...)
		}, "TIMEZONE"),
		formOf("zone definition", ParseTimeZoneDefinition, func(z TimeZoneDefinition) ([]byte, error) { return z.Append(nil) }, zoneFacts, "TIMEZONEDEFINITION"),
		formOf("global object id", ParseGlobalObjectID, func(id GlobalObjectID) ([]byte, error) { return id.Append(nil) }, goidFacts, "GLOBALOBJECTID"),
		formOf("tombstones", ParseTombstones, Tombstones.appendNil, tombstoneFacts, "TOMBSTONE").inAnyOrder(),
		formOf("conversation", ParseConversationIndex, func(c ConversationIndex) ([]byte, error) { return c.Append(nil), nil }, conversationFacts, "CONVERSATIONINDEX"),
		formOf("report tag", ParseReportTag, func(r ReportTag) ([]byte, error) { return r.Append(nil) }, reportFacts, "REPORTTAG"),
		formOf("verbs", ParseVerbStream, func(s VerbStream) ([]byte, error) { return s.Append(nil) }, verbFacts, "VERBSTREAM"),
		formOf("special folders", ParsePersistData, func(p PersistData) ([]byte, error) { return p.Append(nil) }, persistFacts, "ADDITIONALRENENTRYIDSEX"),
		formOf("folder flags", ParseExtendedFolderFlags, func(l []ExtendedFolderFlag) ([]byte, error) { return AppendExtendedFolderFlags(nil, l) },
			folderFlagFacts, "EXTENDEDFOLDERFLAGS"),
		formOf("search folder", ParseSearchFolderDefinition, func(s SearchFolderDefinition) ([]byte, error) { return s.Append(nil) },
			searchFacts, "SEARCHFOLDERDEFINITION").inAnyOrder(),
		formOf("assigners", ParseTaskAssigners, func(l []TaskAssigner) ([]byte, error) { return AppendTaskAssigners(nil, l) }, assignerFacts, "TASKASSIGNERS"),
		formOf("swapped to-do", ParseSwappedToDoData, func(s SwappedToDoData) ([]byte, error) { return s.Append(nil) }, swappedFacts, "SWAPPEDTODO"),
		formOf("SID", ParseSID, func(s SID) ([]byte, error) { return s.Append(nil) }, func(s SID) []string { return []string{"Textual SID: " + s.String()} }, "SID"),
		formOf("ACE", ParseACE, func(a ACE) ([]byte, error) { e := writer(nil); putACE(e, a); return e.Bytes() }, aceFacts, "ACECONTAINER", "ACEFB", "ACEMESSAGE"),
		formOf("ACL", ParseACL, func(l ACL) ([]byte, error) { return l.Append(nil) }, aclFacts, "ACL"),
		formOf("descriptor", ParseSecurityDescriptor, func(s SecurityDescriptor) ([]byte, error) { return s.Append(nil) }, descriptorFacts, "SECURITYDESCRIPTOR").inAnyOrder(),
		formOf("NT descriptor", ParseNTSecurityDescriptor, func(s SecurityDescriptor) ([]byte, error) { return AppendNTSecurityDescriptor(nil, s) },
			descriptorFacts, "NTSD", "FBSECURITYDESCRIPTOR").inAnyOrder(),
	}
}

func (list Tombstones) appendNil() ([]byte, error) { return list.Append(nil) }

func TestVectors(t *testing.T) {
	for _, f := range forms() {
		for _, kind := range f.kinds {
			list := vectors.Of(t, kind)
			for _, v := range list {
				t.Run(v.Name, func(t *testing.T) { f.check(t, v) })
			}
		}
	}
}

func (f form) check(t *testing.T, v vectors.Vector) {
	s, err := f.parse(v.In)
	if why, damaged := refused[v.Name]; damaged {
		if !errors.Is(err, oxcdata.ErrMalformed) {
			t.Errorf("%s, and still: %v", why, err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Says(f.facts(s)...); err != nil {
		t.Error(err)
	}
	again, err := f.write(s)
	if err != nil {
		t.Fatal(err)
	}
	if !f.loose && !bytes.Equal(again, v.In) {
		t.Errorf("written again:\n%X\nwant:\n%X", again, v.In)
	}
	if back, err := f.parse(again); err != nil || !reflect.DeepEqual(back, s) {
		t.Errorf("%+v came back as %+v, %v", s, back, err)
	}
}

func hex8(label string, n uint32) string { return fmt.Sprintf("%s0x%08X", label, n) }

func recurrenceFacts(p RecurrencePattern) []string {
	facts := []string{
		fmt.Sprintf("RecurFrequency: 0x%04X", p.Frequency), fmt.Sprintf("PatternType: 0x%04X", uint16(p.Type)), hex8("FirstDateTime: ", p.FirstDateTime),
		hex8("Period: ", p.Period), hex8("SlidingFlag: ", p.Sliding),
	}
	if p.Days != 0 {
		facts = append(facts, hex8("", p.Days))
	}
	if p.Day != 0 {
		facts = append(facts, hex8("", p.Day))
	}
	facts = append(facts, hex8("EndType: ", p.EndType), hex8("OccurrenceCount: ", p.Occurrences), hex8("FirstDOW: ", p.FirstDayOfWeek))
	for _, dates := range [][]Minutes{p.Deleted, p.Modified} {
		facts = append(facts, hex8("Count: ", uint32(len(dates))))
		for _, m := range dates {
			facts = append(facts, hex8("", uint32(m)))
		}
	}
	return append(facts, hex8("StartDate: ", uint32(p.Start)), hex8("EndDate: ", uint32(p.End)))
}

func appointmentFacts(p AppointmentRecurrencePattern) []string {
	facts := append(recurrenceFacts(p.Pattern), hex8("WriterVersion2: ", p.WriterVersion2), hex8("StartTimeOffset: ", p.StartOffset),
		hex8("EndTimeOffset: ", p.EndOffset), fmt.Sprintf("ExceptionCount: 0x%04X", len(p.Exceptions)))
	for _, x := range p.Exceptions {
		facts = append(facts, hex8("StartDateTime: ", uint32(x.Start)), hex8("EndDateTime: ", uint32(x.End)), hex8("OriginalStartDate: ", uint32(x.OriginalStart)),
			fmt.Sprintf("OverrideFlags: 0x%04X", uint16(x.Flags)))
		if x.Subject != "" {
			facts = append(facts, "Subject: \""+x.Subject+"\"")
		}
		if x.Location != "" {
			facts = append(facts, "Location: \""+x.Location+"\"")
		}
	}
	return facts
}

func biasFacts(b Bias) []string {
	return []string{fmt.Sprintf("(%d)", b.Always), fmt.Sprintf("(%d)", b.Standard), fmt.Sprintf("(%d)", b.Daylight)}
}

func timeFacts(t SystemTime) []string {
	return []string{fmt.Sprintf("wMonth = 0x%X", t.Month), fmt.Sprintf("wDayOfWeek = 0x%X", t.DayOfWeek), fmt.Sprintf("wDay = 0x%X", t.Day), fmt.Sprintf("wHour = 0x%X", t.Hour)}
}

func zoneFacts(z TimeZoneDefinition) []string {
	facts := []string{"szKeyName = " + z.Name, fmt.Sprintf("cRules = 0x%04X", len(z.Rules))}
	for _, r := range z.Rules {
		facts = append(facts, fmt.Sprintf("wTZRuleFlags = 0x%04X", r.Flags), fmt.Sprintf("wYear = 0x%04X", r.Year))
		facts = append(facts, biasFacts(r.Bias)...)
		facts = append(append(facts, timeFacts(r.Standard)...), timeFacts(r.Daylight)...)
	}
	return facts
}

func goidFacts(id GlobalObjectID) []string {
	return []string{
		fmt.Sprintf("Year: 0x%04X", id.Year), fmt.Sprintf("Month: 0x%02X", id.Month), fmt.Sprintf("Day: 0x%02X", id.Day),
		fmt.Sprintf("0x%08X:0x%08X", uint32(id.Created>>32), uint32(id.Created)), fmt.Sprintf("cb: %d lpb: %X", len(id.Data), id.Data),
	}
}

func tombstoneFacts(list Tombstones) []string {
	var facts []string
	for _, t := range list {
		facts = append(facts, hex8("StartTime = ", uint32(t.Start)), hex8("Endtime = ", uint32(t.End)), hex8("GlobalObjectIdSize = ", uint32(len(t.Object))), "szUsername = "+t.User)
	}
	return facts
}

func conversationFacts(c ConversationIndex) []string {
	facts := []string{fmt.Sprintf("HighDateTime = 0x%08X", uint32(c.Time>>32)), strings.ToUpper(c.ID.String())}
	for _, l := range c.Levels {
		facts = append(facts, hex8("TimeDelta = ", l.Delta), fmt.Sprintf("Random = 0x%02X", l.Random), fmt.Sprintf("ResponseLevel = 0x%02X", l.Level))
	}
	return facts
}

func reportFacts(r ReportTag) []string {
	return []string{hex8("Version = ", r.Version), hex8("SearchFolderEntryIdSize = ", uint32(len(r.SearchFolder))), fmt.Sprintf("cb: %d lpb: %X", len(r.SearchKey), r.SearchKey)}
}

func verbFacts(s VerbStream) []string {
	facts := []string{hex8("Count = ", uint32(len(s.Verbs)))}
	for _, v := range s.Verbs {
		facts = append(facts, hex8("VerbType = ", v.Type), v.Name, v.Class, v.Form, v.Prefix, hex8("SendBehavior = ", v.SendBehavior), hex8("ID = ", v.ID))
	}
	for _, v := range s.Verbs {
		facts = append(facts, v.WideName, v.WidePrefix)
	}
	return facts
}

func persistFacts(p PersistData) []string {
	var facts []string
	for _, b := range p.Blocks {
		facts = append(facts, fmt.Sprintf("PersistID = 0x%04X", uint16(b.ID)))
		for _, e := range b.Elements {
			facts = append(facts, fmt.Sprintf("ElementID = 0x%04X", e.ID), fmt.Sprintf("ElementDataSize = 0x%04X", len(e.Data)), fmt.Sprintf("%X", e.Data))
		}
	}
	return facts
}

func folderFlagFacts(list []ExtendedFolderFlag) []string {
	facts := []string{fmt.Sprintf("Number of flags = %d", len(list))}
	for _, f := range list {
		facts = append(facts, fmt.Sprintf("Id = 0x%02X", f.ID), fmt.Sprintf("Cb = 0x%02X", len(f.Data)))
	}
	return facts
}

func searchFacts(s SearchFolderDefinition) []string {
	facts := []string{hex8("Flags = ", uint32(s.Flags)), hex8("Numeric Search = ", s.Number), s.Text, s.FolderNames}
	for _, id := range s.Folders {
		facts = append(facts, hex8("EntryLength = ", uint32(len(id))))
	}
	for _, props := range s.Addresses {
		for _, p := range props {
			facts = append(facts, hex8("PropTag = ", uint32(p.Tag)))
		}
	}
	if s.Restriction != nil {
		facts = append(facts, fmt.Sprintf("rt = 0x%X", uint8(s.Restriction.Type())))
	}
	return append(facts, fmt.Sprintf("%X", s.Filter))
}

func assignerFacts(list []TaskAssigner) []string {
	var facts []string
	for _, a := range list {
		facts = append(facts, fmt.Sprintf("cb: %d lpb: %X", len(a.EntryID), a.EntryID), "(ANSI) = "+a.Name, "(Unicode) = "+a.WideName)
	}
	return facts
}

func swappedFacts(s SwappedToDoData) []string {
	return []string{
		fmt.Sprintf("dwFlags = 0x%X", s.Flags), hex8("dwToDoItem = ", s.ToDoItem), "wszFlagTo = " + s.FlagTo, hex8("rtmStartDate = ", uint32(s.Start)),
		hex8("rtmDueDate = ", uint32(s.Due)), hex8("rtmReminder = ", uint32(s.Reminder)), fmt.Sprintf("fReminderSet: %v", s.ReminderSet),
	}
}

func aceFacts(a ACE) []string {
	facts := []string{fmt.Sprintf("Type: 0x%02X", a.Type), fmt.Sprintf("Flags: 0x%02X", a.Flags), hex8("Mask: ", a.Mask)}
	for _, g := range []mapi.GUID{a.Object, a.Inherited} {
		if !g.IsZero() {
			facts = append(facts, strings.ToUpper(g.String()))
		}
	}
	return append(facts, "Textual SID: "+a.SID.String())
}

func aclFacts(l ACL) []string {
	facts := []string{fmt.Sprintf("AceCount: 0x%04X", len(l.Entries))}
	for _, a := range l.Entries {
		facts = append(facts, aceFacts(a)...)
	}
	return facts
}

func descriptorFacts(s SecurityDescriptor) []string {
	facts := []string{fmt.Sprintf("Control: 0x%04X", s.Control)}
	for _, id := range []*SID{s.Owner, s.Group} {
		if id != nil {
			facts = append(facts, "Textual SID: "+id.String())
		}
	}
	if s.DACL != nil {
		facts = append(facts, aclFacts(*s.DACL)...)
	}
	return facts
}
