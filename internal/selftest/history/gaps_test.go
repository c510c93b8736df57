package history

import (
	"maps"
	"testing"
	"time"
)

func TestGaps(t *testing.T) {
	const s = int64(time.Second)
	try := func(by, box string, call, ret int64, o Outcome) Record {
		return Record{Op: Read, By: by, Box: box, Call: call * s, Return: ret * s, Outcome: o}
	}
	records := []Record{
		try("imap", "a", 0, 1, OK),
		try("imap", "a", 2, 6, Unknown), // from here on nothing was answered
		try("imap", "a", 1, 7, OK),      // an answer to what began before shows nothing of what begins now
		try("imap", "a", 7, 9, OK),
		try("imap", "b", 3, 5, OK), // another mailbox helps nobody
		try("smtp", "a", 0, 3, OK),
		try("smtp", "a", 8, 10, Unknown), // nobody tried again
		try("admin", "c", 5, 6, Fail),
		try("admin", "c", 6, 7, OK),
		{Op: Final, By: "imap", Box: "a", Call: 0, Return: 100 * s, Outcome: OK}, // the judge's own
		{Op: View, By: "imap", Box: "a", Call: 0, Return: 100 * s, Outcome: OK},
		{Op: Note},
	}
	want := map[string]time.Duration{"imap": 7 * time.Second, "smtp": 3 * time.Second, "admin": 2 * time.Second}
	if got := Gaps(records); !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got := Gaps(nil); len(got) != 0 {
		t.Errorf("nothing was tried: %v", got)
	}
}
