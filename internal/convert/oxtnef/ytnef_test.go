package oxtnef

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/flotilla-mail/flotilla/internal/convert/object"
	"github.com/flotilla-mail/flotilla/internal/convert/oxcical"
	"github.com/flotilla-mail/flotilla/internal/convert/oxcmsg"
	"github.com/flotilla-mail/flotilla/internal/convert/oxvcard"
	"github.com/flotilla-mail/flotilla/internal/formats/contentline"
	"github.com/flotilla-mail/flotilla/internal/formats/vcard"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/testkit/objects"
)

const weekly = `BEGIN:VCALENDAR
BEGIN:VEVENT
UID:one@example.test
DTSTAMP:20240101T000000Z
DTSTART;TZID=Europe/Berlin:20240110T090000
DTEND;TZID=Europe/Berlin:20240110T103000
RRULE:FREQ=WEEKLY;INTERVAL=2;COUNT=6;BYDAY=WE
SUMMARY:Harbour plans
LOCATION:Room 1
SEQUENCE:4
X-MS-OLK-CONFTYPE:2
X-MS-OLK-ORGALIAS:olga
ATTACH;FMTTYPE=text/plain;ENCODING=BASE64;VALUE=BINARY;X-FILENAME=plan.txt:dGhlIHBsYW4=
END:VEVENT
END:VCALENDAR
`

const berg = `BEGIN:VCARD
VERSION:4.0
FN:Anna Berg
N:Berg;Anna;M.;Dr.;jun.
NICKNAME:Anni
ORG:Example AG
TITLE:Leiterin
TEL;TYPE=work,voice:+49 2
TEL;TYPE=cell,voice:+49 3
EMAIL:anna@example.test
ADR;TYPE=work:;;Hauptstr. 1;Bonn;NW;53111;Germany
X-MS-TEXT:first field
UID:one@example.test
END:VCARD
`

// read by ytnef from a message: the files that it writes, and what ytnefprint says of each property, by its code.
func ytnef(t *testing.T, m *object.Message) (dir string, said map[string][]string) {
	t.Helper()
	names := &oxcmsg.Names{}
	dir = t.TempDir()
	path := filepath.Join(dir, "winmail.dat")
	if err := os.WriteFile(path, write(t, &Message{MessageContent: m.Content(names), CodePage: 1252}, names, content{}), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("ytnef", "-f", dir, path).CombinedOutput(); err != nil {
		t.Fatalf("ytnef: %v\n%s", err, out)
	}
	out, err := exec.Command("ytnefprint", path).CombinedOutput()
	if err != nil || strings.Contains(string(out), "ERROR") {
		t.Fatalf("ytnefprint: %v\n%s", err, out)
	}
	said = map[string][]string{}
	for _, found := range printed.FindAllStringSubmatch(string(out), -1) {
		name := found[1]
		if found[2] != "" {
			name = found[2]
		}
		said[name] = append(said[name], found[3])
	}
	return dir, said
}

// printed is a property in the words of ytnefprint: a code, below it a name where it has a text for one, and the value, of which
// the first line counts.
var printed = regexp.MustCompile(`(?m)Code: \[([^\]]*)\]\n(?: +Name: (.*)\n)? +Size: \d+ +Value: (.*)$`)

// wantNamed wants ytnefprint to say every named number, truth and text of a message.
func wantNamed(t *testing.T, m *object.Message, said map[string][]string) {
	t.Helper()
	compared := 0
	for n, v := range m.Named {
		want := ""
		switch v := v.(type) {
		case mapi.String:
			want, _, _ = strings.Cut("["+string(v)+"]", "\n")
		case mapi.Integer32:
			want = fmt.Sprint(int32(v))
		case mapi.Boolean:
			want = map[bool]string{true: "True", false: "False"}[bool(v)]
		default:
			continue
		}
		name := n.Name
		if n.Kind == mapi.NameByLID {
			name = fmt.Sprintf("UD:x%04x", n.LID)
		}
		if compared++; !slices.Contains(said[name], want) {
			t.Errorf("%s is %q, was written as %s", name, said[name], want)
		}
	}
	if compared < 10 {
		t.Errorf("%d named properties were compared", compared)
	}
}

// TestYtnefReadsItems: Debian's ytnef makes a calendar of our appointment, recurrence and all, and says what properties it and a contact have.
func TestYtnefReadsItems(t *testing.T) {
	objects.Need(t, "ytnef-tools", "ytnef", "ytnefprint")
	cal, err := oxcical.Parse([]byte(weekly))
	if err != nil {
		t.Fatal(err)
	}
	list, err := oxcical.Importer{}.Import(cal)
	if err != nil {
		t.Fatal(err)
	}
	list[0].SetText(mapi.PidTagConversationTopic, "Harbour plans") // ytnef takes this for the subject
	dir, said := ytnef(t, list[0])
	wantNamed(t, list[0], said)
	wantFile(t, filepath.Join(dir, "plan.txt"), "the plan")
	wantLines(t, filepath.Join(dir, "calendar.ics"), "SUMMARY:Harbour plans", "LOCATION: Room 1", "SEQUENCE:4", "DTSTART:20240110T080000Z", "DTEND:20240110T093000Z",
		"RRULE:FREQ=WEEKLY;INTERVAL=2;BYDAY=WE;COUNT=6")
	card, err := vcard.NewDecoder(strings.NewReader(berg), contentline.Default()).Next()
	if err != nil {
		t.Fatal(err)
	}
	m, err := oxvcard.Import(card)
	if err != nil {
		t.Fatal(err)
	}
	_, said = ytnef(t, m) // the card that ytnef makes has nothing of texts in Unicode, so what it prints has to do
	wantNamed(t, m, said)
	for name, want := range map[string]string{"PR_DISPLAY_NAME": "Anna Berg", "PR_SURNAME": "Berg", "PR_GIVEN_NAME": "Anna", "PR_COMPANY_NAME": "Example AG",
		"PR_TITLE": "Leiterin", "PR_MOBILE_TELEPHONE_NUMBER": "+49 3", "PR_BUSINESS_TELEPHONE_NUMBER": "+49 2"} {
		if !slices.Equal(said[name], []string{"[" + want + "]"}) {
			t.Errorf("%s is %q, was written as %s", name, said[name], want)
		}
	}
}

func wantFile(t *testing.T, path, want string) {
	t.Helper()
	if b, err := os.ReadFile(path); err != nil || string(b) != want {
		t.Errorf("%s has %q, %v", path, b, err)
	}
}

// wantLines wants lines in a file that ytnef wrote.
func wantLines(t *testing.T, path string, lines ...string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	found := strings.Split(strings.ReplaceAll(string(b), "\r\n", "\n"), "\n")
	for _, l := range lines {
		if !slices.Contains(found, l) {
			t.Errorf("no %q in\n%s", l, b)
		}
	}
}
