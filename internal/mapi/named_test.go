package mapi

import (
	"slices"
	"strings"
	"testing"
)

func TestEveryNameLeadsToItsTagAndBack(t *testing.T) {
	n := 0
	for name, tag := range Canonicals {
		n++
		got, ok := TagByName(name)
		if !ok || got != tag {
			t.Errorf("%s is %v, want %v", name, got, tag)
		}
		if tag.Named() {
			t.Errorf("%s has %v, an id of the named range", name, tag)
		}
		back := tag.Name()
		if other, _ := TagByName(back); other != tag {
			t.Errorf("%v of %s is called %q, which is %v", tag, name, back, other)
		}
		if parsers[tag.Type()] == nil && !slices.Contains([]Type{TypeObject, TypeServerID, TypeRestriction, TypeRuleAction}, tag.Type()) {
			t.Errorf("%s has type %#x", name, tag.Type())
		}
	}
	if n < 450 {
		t.Errorf("%d tags", n)
	}
}

func TestTagName(t *testing.T) {
	for tag, want := range map[Tag]string{
		PidTagSubject:                       "PidTagSubject",
		PidTagSubject.WithType(TypeString8): "PidTagSubject",
		PidTagMessageSizeExtended:           "PidTagMessageSizeExtended",
		PidTagMessageSize:                   "PidTagMessageSize",
		NewTag(0x8001, TypeString):          "",
		NewTag(0x7EEE, TypeInteger32):       "",
		PidTagAttachDataObject:              "PidTagAttachDataObject",
		NewTag(0x3701, TypeUnspecified):     "PidTagAttachDataBinary",
		PidTagTransportHeaders:              "PidTagTransportMessageHeaders",
		NewTag(0x6847, TypeInteger32):       "PidTagFreeBusyPublishStart",
		NewTag(0x0FFA, TypeBinary):          "PidTagStoreRecordKey",
		PidTagPredecessorChangeList:         "PidTagPredecessorChangeList",
	} {
		if got := tag.Name(); got != want {
			t.Errorf("%v is called %q, want %q", tag, got, want)
		}
	}
	if _, ok := TagByName("PidTagNonsense"); ok {
		t.Error("PidTagNonsense is known")
	}
}

// TestKnownNumbers holds a few rows against the documents, so that a slip in the table's making shows.
func TestKnownNumbers(t *testing.T) {
	for tag, want := range map[Tag]Tag{
		PidTagMessageClass: 0x001A001F, PidTagMessageFlags: 0x0E070003, PidTagSourceKey: 0x65E00102, PidTagChangeKey: 0x65E20102,
		PidTagRuleCondition: 0x667900FD, PidTagRuleActions: 0x668000FE, PidTagSentMailSvrEID: 0x674000FB, PidTagSenderSmtpAddress: 0x5D01001F,
		PidTagBody: 0x1000001F, PidTagHtml: 0x10130102, PidTagRtfCompressed: 0x10090102, PidTagInternetMessageId: 0x1035001F,
		PidTagAdditionalRenEntryIds: 0x36D81102, PidTagMessageRecipients: 0x0E12000D, PidTagInstID: 0x674D0014,
	} {
		if tag != want {
			t.Errorf("%v, want %v", tag, want)
		}
	}
	for set, want := range map[GUID]string{
		PSETIDAppointment: "00062002-0000-0000-c000-000000000046", PSETIDMeeting: "6ed8da90-450b-101b-98da-00aa003f1305",
		PSInternetHeaders: "00020386-0000-0000-c000-000000000046", PSPublicStrings: "00020329-0000-0000-c000-000000000046",
	} {
		if set.String() != want {
			t.Errorf("set %v, want %v", set, want)
		}
	}
}

func TestNamedProperties(t *testing.T) {
	seen := map[PropertyName]string{}
	for _, k := range namedByName {
		p, ok := NamedByName(k.name)
		if !ok || p != *k.property {
			t.Errorf("%s is not found", k.name)
		}
		if other := seen[p.PropertyName]; other != "" {
			t.Errorf("%s and %s are one name", k.name, other)
		}
		seen[p.PropertyName] = k.name
		if (p.Kind == NameByLID) != strings.HasPrefix(k.name, "PidLid") || (p.Kind == NameByString) != (p.Name != "") {
			t.Errorf("%s is named by %+v", k.name, p.PropertyName)
		}
	}
	if _, ok := NamedByName("PidLidNonsense"); ok {
		t.Error("PidLidNonsense is known")
	}
	if PidLidReminderSet.LID != 0x8503 || PidLidReminderSet.Set != PSETIDCommon || PidLidReminderSet.Tag(0x8005) != 0x8005_000B {
		t.Errorf("%+v", PidLidReminderSet)
	}
	if got := PidNameContentClass.Canonical().Name; got != "content-class" {
		t.Errorf("canonical %q", got)
	}
	if got := PidNameKeywords.Canonical(); got != PidNameKeywords.PropertyName {
		t.Errorf("canonical %+v", got)
	}
}

func TestTypes(t *testing.T) {
	spread := TypeMultiString | MultiInstance
	if !spread.Multi() || spread.Column() != TypeString || TypeMultiString.Column() != TypeMultiString || TypeMultiString.Element() != TypeString {
		t.Error("types of lists")
	}
	if TypeString.Multi() || TypeString.Column() != TypeString {
		t.Error("types of single values")
	}
}
