package imap

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/frontends/imap/imapwire"
	"github.com/flotilla-mail/flotilla/internal/formats/mime"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// benchRows are rows as a store would give them.
func benchRows(n int) []exmdb.Row {
	mail := "Received: from mx.example.test by store.example.test; Mon, 2 Mar 2026 08:00:00 +0100\r\n" + simpleMail("quarterly-report")
	digest := mime.MarshalDigest(mime.Scan([]byte(mail)))
	rows := make([]exmdb.Row, n)
	for i := range rows {
		rows[i] = exmdb.Row{UID: mapi.UID(i + 1), ModSeq: mapi.Stamp(i + 1), Size: uint64(len(mail)), Digest: digest,
			Flags: exmdb.Flags{Bits: exmdb.FlagSeen}}
	}
	return rows
}

// benchSession is a session whose output goes nowhere.
func benchSession(rows []exmdb.Row) *session {
	s := &session{out: imapwire.NewEncoder(io.Discard, &imapwire.Buffers{}), selected: &folder{}}
	s.dec = imapwire.NewDecoder(bufio.NewReader(strings.NewReader("")), imapwire.Limits{}, nil)
	s.selected.uids.add(exmdb.UIDRange{First: 1, Last: mapi.UID(len(rows))})
	return s
}

// fetchAll writes the response of FETCH 1:* to rows.
func fetchAll(tb testing.TB, rows []exmdb.Row, items string) func() {
	tb.Helper()
	s := benchSession(rows)
	d := imapwire.NewDecoder(bufio.NewReader(strings.NewReader(" 1:* "+items+"\r\n")), imapwire.Limits{}, nil)
	d.Begin()
	args := parseFetch(d)
	if d.Err() != nil {
		tb.Fatal(d.Err())
	}
	p := s.plan(args)
	return func() {
		for page := range slices.Chunk(rows, rowsPage) {
			if _, err := s.fetchPage(tb.Context(), p, page, &uidList{}); err != nil {
				tb.Fatal(err)
			}
		}
	}
}

// searchAll tests rows by SEARCH's keys.
func searchAll(tb testing.TB, rows []exmdb.Row, keys string) func() {
	tb.Helper()
	s := benchSession(rows)
	d := imapwire.NewDecoder(bufio.NewReader(strings.NewReader(" "+keys+"\r\n")), imapwire.Limits{}, nil)
	d.Begin()
	args := parseSearch(d)
	if d.Err() != nil {
		tb.Fatal(d.Err())
	}
	return func() {
		if _, err := s.testPage(tb.Context(), args.key, rows); err != nil {
			tb.Fatal(err)
		}
	}
}

// BenchmarkFetch is the server's own work for FETCH 1:* on 10,000 messages, the store's left out.
func BenchmarkFetch(b *testing.B) {
	rows := benchRows(10_000)
	for _, items := range []string{"(UID FLAGS)", "(UID ENVELOPE)", "(UID BODYSTRUCTURE)", "(UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE)"} {
		b.Run(items, func(b *testing.B) {
			run := fetchAll(b, rows, items)
			b.ReportAllocs()
			for b.Loop() {
				run()
			}
		})
	}
}

// BenchmarkSearch is the server's own work for SEARCH UNSEEN SUBJECT on 10,000 messages.
func BenchmarkSearch(b *testing.B) {
	rows := benchRows(10_000)
	for _, keys := range []string{"UNSEEN", "SEEN SUBJECT report"} {
		b.Run(keys, func(b *testing.B) {
			run := searchAll(b, rows, keys)
			b.ReportAllocs()
			for b.Loop() {
				run()
			}
		})
	}
}

// TestAllocationsOfAMessage bounds what the server allocates for each message of a FETCH or SEARCH: time varies from
// machine to machine, this does not.
func TestAllocationsOfAMessage(t *testing.T) {
	if underRace {
		t.Skip("the race detector allocates too")
	}
	rows := benchRows(2 * rowsPage)
	for _, c := range []struct {
		what string
		run  func()
		most float64
	}{
		{"FETCH (UID FLAGS)", fetchAll(t, rows, "(UID FLAGS)"), 2.1},
		{"FETCH (UID ENVELOPE)", fetchAll(t, rows, "(UID ENVELOPE)"), 7.1},
		{"FETCH (UID BODYSTRUCTURE)", fetchAll(t, rows, "(UID BODYSTRUCTURE)"), 8.1},
		{"SEARCH UNSEEN", searchAll(t, rows, "UNSEEN"), 1.1},
		{"SEARCH SUBJECT", searchAll(t, rows, "SUBJECT report"), 10.1},
	} {
		if each := testing.AllocsPerRun(2, c.run) / float64(len(rows)); each > c.most {
			t.Errorf("%s: %.2f allocations a message, at most %.1f", c.what, each, c.most)
		}
	}
}

// maxIdle is what one idle connection may cost the server, TLS left out.
const maxIdle = 20 << 10

// TestIdleConnectionsAreSmall measures sessions in IDLE on a folder of 2,000 messages with 19 gaps in its UIDs. The
// clients' ends, sockets without buffers, are counted too.
func TestIdleConnectionsAreSmall(t *testing.T) {
	if underRace {
		t.Skip("the race detector's own memory would be measured")
	}
	const n = 200
	ts := startServer(t, func(c *Config) { c.MaxPerUser = n })
	f := ts.box.named("Inbox")
	for i := range 2000 {
		f.messages = append(f.messages, &fakeMessage{row: exmdb.Row{UID: mapi.UID(i + 1 + i/100), ModSeq: 200}})
	}
	f.UIDNext = 3000
	before := memory()
	conns := make([]net.Conn, n)
	for i := range conns {
		conns[i] = idleClient(t, ts.addr)
	}
	each := (memory() - before) / n
	t.Logf("%d octets an idle connection", each)
	if each > maxIdle {
		t.Errorf("an idle connection holds %d octets, more than %d", each, maxIdle)
	}
	runtime.KeepAlive(conns)
}

// memory is what the heap and the stacks hold.
func memory() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// idleClient signs in, selects INBOX and stays in IDLE.
func idleClient(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := fmt.Fprintf(conn, "a LOGIN alice@example.test secret\r\nb SELECT INBOX\r\nc IDLE\r\n"); err != nil {
		t.Fatal(err)
	}
	var heard [8192]byte
	all := ""
	for !strings.Contains(all, "+ idling") {
		n, err := conn.Read(heard[:])
		if err != nil {
			t.Fatal(err)
		}
		all += string(heard[:n])
	}
	return conn
}
