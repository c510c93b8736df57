package selftest

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/flotilla-mail/flotilla/frontends/admin/adminclient"
	"github.com/flotilla-mail/flotilla/internal/dev"
	"github.com/flotilla-mail/flotilla/internal/lsm"
	"github.com/flotilla-mail/flotilla/internal/selftest/history"
)

// answers is an admin API that says what it is told to.
func answers(t *testing.T, path string, status any) *adminclient.Client {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != path {
			http.NotFound(w, r)
			return
		}
		if err := json.NewEncoder(w).Encode(status); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(s.Close)
	return adminclient.Port(s.URL, "")
}

type nodes map[string]any

func TestAClusterThatIsNotReadyIsRefused(t *testing.T) {
	well := nodes{"node": "n1", "ready": true}
	for text, second := range map[string]nodes{
		"":                        {"node": "n2", "ready": true},
		"n2: waits for its group": {"node": "n2", "progress": "waits for its group"},
		"n2 does not answer: cut": {"node": "n2", "error": "cut"},
	} {
		target := &Target{Admin: []*adminclient.Client{adminclient.Port("127.0.0.1:1", ""), answers(t, "/v1/status", nodes{"nodes": []nodes{well, second}})}}
		history := filepath.Join(t.TempDir(), "h")
		err := target.Ready(t.Context())
		if text == "" {
			if err != nil {
				t.Error(err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%v, want %q", err, text)
		}
		if _, err := Run(t.Context(), Config{Target: target, History: history}); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("a run: %v, want %q", err, text)
		}
		if _, err := os.Stat(history); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("a history was begun: %v", err)
		}
	}
}

func TestFaultsAreForDevClusters(t *testing.T) {
	target := &Target{Admin: []*adminclient.Client{answers(t, "/v1/status", nodes{"nodes": []nodes{}})}}
	if _, err := Run(t.Context(), Config{Target: target, Trouble: true}); err == nil || !strings.Contains(err.Error(), "dev clusters") {
		t.Errorf("%v", err)
	}
	if _, err := chosen([]Kind{Kill, "flood"}); err == nil || !strings.Contains(err.Error(), "flood") {
		t.Errorf("%v", err)
	}
	if all, err := chosen(nil); err != nil || len(all) != len(kinds) {
		t.Errorf("%v, %v", all, err)
	}
	if err := Inflict(t.Context(), &dev.Cluster{}, "n1", "flood"); err == nil {
		t.Error("a fault that there is not")
	}
}

// TestATornTailIsReadToItsEnd: octets come where the next batch would, what was written is there when the log is opened, the torn
// file goes, and no log at all is an error.
func TestATornTailIsReadToItsEnd(t *testing.T) {
	dir, crashed := t.TempDir(), t.TempDir()
	if _, err := tear(dir); err == nil {
		t.Error("no log was torn")
	}
	logs := filepath.Join("raft", "log", "pebble")
	db, err := lsm.Open(lsm.LogOptions(filepath.Join(dir, logs)))
	if err != nil {
		t.Fatal(err)
	}
	b := db.NewBatch()
	if err := errors.Join(b.Set([]byte("k"), []byte("v")), b.Commit(true), os.CopyFS(crashed, os.DirFS(dir)), db.Close()); err != nil {
		t.Fatal(err)
	}
	torn, err := tear(crashed)
	if err != nil || len(torn) != 1 || replaced(torn) == nil {
		t.Fatalf("%v, %v", torn, err)
	}
	if db, err = lsm.Open(lsm.LogOptions(filepath.Join(crashed, logs))); err != nil {
		t.Fatal(err)
	}
	if got, err := db.Get([]byte("k")); err != nil || string(got) != "v" {
		t.Errorf("%q, %v", got, err)
	}
	if err := errors.Join(await(t.Context(), func() error { return replaced(torn) }), db.Close()); err != nil {
		t.Error(err)
	}
}

// TestAFaultThatShowsNowhereIsAnError: what the log said before the fault does not count.
func TestAFaultThatShowsNowhereIsAnError(t *testing.T) {
	c := &dev.Cluster{Options: dev.Options{Dir: t.TempDir(), Nodes: 1}}
	if _, err := newVictim(c, "n1"); err == nil {
		t.Error("a node without a log")
	}
	if err := os.Mkdir(filepath.Join(c.Dir, "n1"), 0o700); err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(c.Dir, "n1", "log")
	if err := os.WriteFile(log, []byte("FL-1074\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	v, err := newVictim(c, "n1")
	if err != nil {
		t.Fatal(err)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := says("FL-1074")(over, v); err == nil {
		t.Error("an earlier line shows the fault")
	}
	if err := os.WriteFile(log, []byte("FL-1074\nFL-1074\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := says("FL-1074")(t.Context(), v); err != nil {
		t.Error(err)
	}
}

func TestGroupsThatDiffer(t *testing.T) {
	read := func(hashes string) Groups {
		var g Groups
		if err := json.Unmarshal([]byte(`[{"group":1,"leader":"n1","operations":3,"replicas":[`+hashes+`]},{"group":0,"leader":"n3","operations":9}]`), &g); err != nil {
			t.Fatal(err)
		}
		return g[:1]
	}
	same := `{"node":"n1","hash":"a","hash_index":5},{"node":"n2","hash":"a","hash_index":5}`
	if err := read(same).Differ(2); err != nil {
		t.Error(err)
	}
	for what, g := range map[string]Groups{"too few": read(same), "different": read(strings.Replace(same, `"a"`, `"b"`, 1)), "not known": read(`{"node":"n1"},{"node":"n2"},{"node":"n3"}`)} {
		if g.Differ(3) == nil {
			t.Error(what)
		}
	}
	if node, err := read(same).Busiest(); err != nil || node != "n1" {
		t.Errorf("%q, %v", node, err)
	}
	if _, err := (Groups{}).Busiest(); err == nil {
		t.Error("nobody leads nothing")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if g, err := sameHashes(ctx, 3, func() (Groups, error) { return read(same), nil }); err == nil || len(g) != 1 {
		t.Errorf("%v, %v", g, err)
	}
}

// TestAWatcherTakesInWhatItHears plays what a server says while a client idles.
func TestAWatcherTakesInWhatItHears(t *testing.T) {
	w := newWatcher(nil, &mailbox{}, 0)
	w.rows = []history.Row{{UID: 4, Mail: "a"}, {UID: 6, Mail: "b"}, {UID: 9, Mail: "c"}}
	told := w.handler()
	told.Expunge(2)
	two := uint32(2)
	told.Mailbox(&imapclient.UnilateralDataMailbox{NumMessages: &two}) // as many as are left: nothing to fetch
	w.hear(event{fetched: &imapclient.FetchMessageBuffer{UID: 9, Flags: []imap.Flag{`\Seen`, `\Recent`, `\Flagged`}, ModSeq: 12}})
	w.hear(event{fetched: &imapclient.FetchMessageBuffer{UID: 9, Flags: []imap.Flag{`\Seen`}, ModSeq: 11}}) // overtaken
	w.hear(event{fetched: &imapclient.FetchMessageBuffer{UID: 10}})                                         // not shown yet
	if err := w.takeIn(nil); err != nil {
		t.Fatal(err)
	}
	want := []history.Row{{UID: 4, Mail: "a"}, {UID: 9, Mail: "c", Flags: []string{`\Flagged`, `\Seen`}}}
	if got := w.view().Rows; !history.SameRows(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	w.hear(event{expunged: 3})
	if w.takeIn(nil) == nil {
		t.Error("a message that there is not was expunged")
	}
}

// TestAClaimIsMadeOnce: no two clients do the same to a message.
func TestAClaimIsMadeOnce(t *testing.T) {
	l := newLoad(nil, history.NewLog(), nil)
	c := claim{&mailbox{name: "b"}, 1, `\Seen`}
	if !l.take(c) || l.take(c) || !l.take(claim{c.box, 1, `\Flagged`}) {
		t.Error("claims")
	}
	of := func(uid uint32) func(claim) bool { return func(c claim) bool { return c.uid == uid } }
	l.push(&l.lit, claim{c.box, 2, `\Seen`})
	l.push(&l.lit, c)
	if _, ok := l.pop(&l.lit, of(3)); ok {
		t.Error("popped what does not fit")
	}
	if got, ok := l.pop(&l.lit, of(1)); !ok || got != c || len(l.lit) != 1 {
		t.Errorf("%v, %v", got, ok)
	}
}

// TestALongGapIsBeyondItsBound: without a bound it is only shown, and it never changes the verdict.
func TestALongGapIsBeyondItsBound(t *testing.T) {
	for bound, beyond := range map[time.Duration]int{0: 0, 3 * time.Second: 0, 2 * time.Second: 1} {
		log := history.NewLog()
		log.Put(history.Record{Client: "c", Op: history.Read, By: "imap", Box: "b", Return: int64(3 * time.Second), Outcome: history.OK,
			State: &history.State{}})
		r := (&run{Config: Config{MaxGap: bound}, log: log}).judge()
		if !r.Verdict.OK() || r.Gaps["imap"] != 3000 || len(r.Beyond) != beyond || r.OK() != (beyond == 0) {
			t.Errorf("bound %v: %+v", bound, r)
		}
	}
}

func TestReplicasThatCannotBeComparedAreAnError(t *testing.T) {
	replica := func(node, hash string, index int) nodes {
		return nodes{"Node": node, "Hash": hash, "hash_index": index}
	}
	for name, x := range map[string]struct {
		replicas []nodes
		fails    bool
		noted    int
	}{
		"equal":        {[]nodes{replica("n1", "a", 7), replica("n2", "a", 7), replica("n3", "a", 7)}, false, 3},
		"different":    {[]nodes{replica("n1", "a", 7), replica("n2", "b", 7), replica("n3", "a", 7)}, false, 3},
		"one missing":  {[]nodes{replica("n1", "a", 7), replica("n2", "a", 7)}, true, 0},
		"one silent":   {[]nodes{replica("n1", "a", 7), replica("n2", "", 0), replica("n3", "a", 7)}, true, 0},
		"one far back": {[]nodes{replica("n1", "a", 7), replica("n2", "b", 3), replica("n3", "a", 7)}, true, 0},
	} {
		t.Run(name, func(t *testing.T) {
			log := history.NewLog()
			admin := answers(t, "/v1/groups", []nodes{{"Group": 1, "Replicas": x.replicas}})
			r := &run{Config: Config{Lateness: time.Minute, Target: &Target{Admin: []*adminclient.Client{admin}, Dev: &dev.Cluster{Options: dev.Options{Nodes: 3}}}}, log: log}
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()
			if err := r.replicas(ctx); (err != nil) != x.fails {
				t.Errorf("%v", err)
			}
			if got := len(log.Records()); got != x.noted {
				t.Errorf("%d replicas noted, want %d", got, x.noted)
			}
		})
	}
}

// TestALongRunGoesOn: messages that nobody may remove any more do not keep clients from bringing others.
func TestALongRunGoesOn(t *testing.T) {
	b := &mailbox{name: "b"}
	l := newLoad(&Target{}, nil, []*mailbox{b})
	l.sizes["b"] = maxMessages
	if l.crowd(b) != maxMessages {
		t.Errorf("%d messages count as %d", maxMessages, l.crowd(b))
	}
	for range maxMessages {
		l.stay(b)
	}
	if l.crowd(b) != 0 {
		t.Errorf("%d messages that stay count as %d", maxMessages, l.crowd(b))
	}
}
