package vectors

import (
	"regexp"
	"strings"
	"testing"
)

// kinds says how many vectors there are of each kind, and for those that nothing here reads, why: 166 in all.
var kinds = []struct {
	kind   string
	count  int
	reason string
}{
	{"ACECONTAINER", 1, ""}, {"ACEFB", 1, ""}, {"ACEMESSAGE", 2, ""}, {"ACL", 1, ""}, {"ADDITIONALRENENTRYIDSEX", 4, ""},
	{"APPOINTMENTRECURRENCEPATTERN", 4, ""}, {"CONVERSATIONINDEX", 4, ""}, {"ENTRYID", 40, ""}, {"ENTRYLIST", 2, ""},
	{"EXTENDEDFOLDERFLAGS", 2, ""}, {"EXTENDEDRULEACTION", 3, ""}, {"EXTENDEDRULECONDITION", 4, ""}, {"FBSECURITYDESCRIPTOR", 2, ""},
	{"FLATENTRYLIST", 3, ""}, {"GLOBALOBJECTID", 2, ""}, {"NTSD", 5, ""}, {"PCL", 3, ""}, {"PROPERTIES", 8, ""}, {"RECIPIENTROWSTREAM", 2, ""},
	{"RECURRENCEPATTERN", 3, ""}, {"REPORTTAG", 1, ""}, {"RESTRICTION", 4, ""}, {"RULECONDITION", 4, ""}, {"SEARCHFOLDERDEFINITION", 7, ""},
	{"SECURITYDESCRIPTOR", 1, ""}, {"SID", 7, ""}, {"SWAPPEDTODO", 2, ""}, {"TASKASSIGNERS", 1, ""}, {"TIMEZONE", 1, ""},
	{"TIMEZONEDEFINITION", 3, ""}, {"TOMBSTONE", 3, ""}, {"VERBSTREAM", 7, ""}, {"XID", 4, ""},

	{"DECODEENTRYID", 1, "how a URL of Outlook's search carries an entry id: no property, and no server sees it"},
	{"ENCODEENTRYID", 1, "the same the other way"},
	{"FOLDERUSERFIELDS", 5, "the client's list of its own columns, which a server keeps as bytes"},
	{"NICKNAMECACHE", 3, "a file of the client's, kept as bytes where it is kept in a mailbox"},
	{"PROPERTYDEFINITIONSTREAM", 8, "the client's definitions of its own fields, which a server keeps as bytes"},
	{"WEBVIEWPERSISTSTREAM", 7, "which page the client shows for a folder, which a server keeps as bytes"},
}

func TestEveryVectorIsAccountedFor(t *testing.T) {
	total := 0
	for _, k := range kinds {
		total += k.count
		if list := Of(t, k.kind); len(list) != k.count {
			t.Errorf("%s: %d vectors of %d", k.kind, len(list), k.count)
		}
	}
	if all := Of(t, ""); total != 166 || len(all) != total {
		t.Errorf("%d vectors, %d accounted for", len(all), total)
	}
}

func TestVectorsAreRead(t *testing.T) {
	letters := regexp.MustCompile("[A-Za-z]{3}")
	for _, v := range Of(t, "") {
		if empty := v.Name == "SID-1"; !unread(v.Name) && ((len(v.In) == 0) != empty || !empty && !letters.MatchString(v.Out)) {
			t.Errorf("%s: %d bytes, %.20q", v.Name, len(v.In), v.Out)
		}
	}
}

// unread reports whether nothing here reads a vector's kind.
func unread(name string) bool {
	for _, k := range kinds {
		if kind, _, _ := strings.Cut(name, "-"); kind == k.kind {
			return k.reason != ""
		}
	}
	return false
}

func TestSays(t *testing.T) {
	v := Vector{Out: "one two three"}
	if err := v.Says("one", "three"); err != nil {
		t.Error(err)
	}
	if v.Says("two", "one") == nil || v.Says("four") == nil {
		t.Error("what is not said, or not in that order")
	}
}
