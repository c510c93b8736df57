// Package history is what clients saw of mailboxes that they used at the same time, and the verdict on it.
//
// It knows operations with their times, arguments and outcomes, one line of JSON each, and what a mailbox promises: one
// order of all operations in which each fits between its call and its return, mail that is there once, UIDs and change
// numbers that only rise, notifications that are not lost, replicas that are equal. It never knows how an operation
// reached the store.
package history

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

// Op is what a record is about.
type Op string

// The operations of clients, and what a judge of the whole looks at. The words reach files.
const (
	// Add brings a mail into a mailbox.
	Add Op = "add"
	// Flag sets and clears flags of one message.
	Flag Op = "flag"
	// Expunge removes one message.
	Expunge Op = "expunge"
	// Read shows the whole mailbox.
	Read Op = "read"
	// Final is a Read while nothing else happens: all of one Point are of the same moment.
	Final Op = "final"
	// View is what a client that was told of changes believes the mailbox to be, at a Point.
	View Op = "view"
	// Replica is what a node holds of a group at an index of its log.
	Replica Op = "replica"
	// Note is something that happened beside: a fault.
	Note Op = "note"
)

// Outcome is what the client knows of an operation.
type Outcome string

// The outcomes.
const (
	OK      Outcome = "ok"
	Fail    Outcome = "fail"    // it has certainly not happened, and will not
	Unknown Outcome = "unknown" // it may have happened, or may yet
)

// Record is one operation. Times are nanoseconds since the history began.
type Record struct {
	Client  string  `json:"client"`
	Op      Op      `json:"op"`
	Box     string  `json:"box,omitempty"`
	Call    int64   `json:"call"`
	Return  int64   `json:"return"`
	Outcome Outcome `json:"outcome,omitempty"`
	// By is the protocol, Node where the client was.
	By   string `json:"by,omitempty"`
	Node string `json:"node,omitempty"`

	// Mail names what is added: no two mails of a history have the same name.
	Mail  string   `json:"mail,omitempty"`
	UID   uint32   `json:"uid,omitempty"` // of an Add what the client was told, if it was
	Set   []string `json:"set,omitempty"`
	Clear []string `json:"clear,omitempty"`
	// ModSeq is the change number the client was told for its change, zero if it was not.
	ModSeq uint64 `json:"modseq,omitempty"`
	State  *State `json:"state,omitempty"`
	// Loose says of a Read that its rows are of different moments between its call and its return.
	Loose bool `json:"loose,omitempty"`
	// Point numbers the moments of Final and View.
	Point int `json:"point,omitempty"`

	Group uint64 `json:"group,omitempty"`
	Index uint64 `json:"index,omitempty"`
	Hash  string `json:"hash,omitempty"`
	// Text is why an operation failed, or what a Note says.
	Text string `json:"text,omitempty"`
}

// State is a mailbox as a client sees it. What it was not shown is zero.
type State struct {
	UIDValidity uint32 `json:"uidvalidity,omitempty"`
	UIDNext     uint32 `json:"uidnext,omitempty"`
	ModSeq      uint64 `json:"highest,omitempty"`
	Rows        []Row  `json:"rows,omitempty"` // in ascending UID
}

// Row is one message.
type Row struct {
	UID    uint32   `json:"uid"`
	Mail   string   `json:"mail"`
	Flags  []string `json:"flags,omitempty"` // sorted
	ModSeq uint64   `json:"modseq,omitempty"`
}

// String is the record as one line for people.
func (r *Record) String() string {
	s := fmt.Sprintf("%10.3f to %10.3f ms  %s", ms(r.Call), ms(r.Return), r.Client)
	if r.Node != "" {
		s += "@" + r.Node
	}
	s += " " + string(r.Op)
	for _, part := range []struct {
		name  string
		value any
		there bool
	}{{"", r.Mail, r.Mail != ""}, {"UID", r.UID, r.UID != 0}, {"+", r.Set, len(r.Set) > 0}, {"-", r.Clear, len(r.Clear) > 0},
		{"MODSEQ", r.ModSeq, r.ModSeq != 0}, {"", r.State, r.State != nil}, {"group", r.Group, r.Op == Replica},
		{"index", r.Index, r.Index != 0}, {"", r.Hash, r.Hash != ""}, {"", r.Outcome, r.Outcome != OK && r.Outcome != ""}, {"", r.Text, r.Text != ""}} {
		if part.there {
			s += fmt.Sprintf(" %s%v", blankAfter(part.name), part.value)
		}
	}
	return s
}

func ms(ns int64) float64 { return float64(ns) / 1e6 }

func blankAfter(name string) string {
	if len(name) > 1 {
		return name + " "
	}
	return name
}

// String shows the mailbox on one line.
func (s *State) String() string {
	text := "["
	for i, r := range s.Rows {
		if i > 0 {
			text += ", "
		}
		text += fmt.Sprintf("%d:%s%v", r.UID, r.Mail, r.Flags)
		if r.ModSeq != 0 {
			text += fmt.Sprintf("@%d", r.ModSeq)
		}
	}
	text += "]"
	if s.UIDNext != 0 {
		text += fmt.Sprintf(" UIDNEXT %d", s.UIDNext)
	}
	if s.ModSeq != 0 {
		text += fmt.Sprintf(" HIGHESTMODSEQ %d", s.ModSeq)
	}
	return text
}

// Log collects records from many goroutines, and writes them to a file as they come when it has one.
type Log struct {
	began time.Time

	mu      sync.Mutex
	records []Record      // guarded by mu
	words   words         // guarded by mu
	out     *bufio.Writer // guarded by mu; nil without a file
	file    *os.File
	err     error // the first of writing; guarded by mu
}

// NewLog begins a history, in memory only.
func NewLog() *Log {
	return &Log{began: time.Now(), words: newWords()}
}

// Create begins a history that is also written to a new file.
func Create(path string) (*Log, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("begin a history: %w", err)
	}
	l := NewLog()
	l.file, l.out = f, bufio.NewWriter(f)
	return l, nil
}

// words are the names of mails and the lists of flags of a history, each once: an hour's has a few million rows.
type words struct {
	mails map[string]string
	flags map[string][]string
}

func newWords() words { return words{map[string]string{}, map[string][]string{}} }

// share gives the rows of a state the words that others have.
func (w *words) share(s *State) {
	if s == nil {
		return
	}
	for i := range s.Rows {
		row := &s.Rows[i]
		if mail, known := w.mails[row.Mail]; known {
			row.Mail = mail
		} else {
			w.mails[row.Mail] = row.Mail
		}
		key := strings.Join(row.Flags, " ")
		if flags, known := w.flags[key]; known {
			row.Flags = flags
		} else {
			w.flags[key] = row.Flags
		}
	}
}

// Now is the time in the history.
func (l *Log) Now() int64 { return time.Since(l.began).Nanoseconds() }

// Do runs one operation and notes it with its times. do fills in what the client was told.
func (l *Log) Do(r Record, do func(r *Record)) Record {
	r.Call = l.Now()
	do(&r)
	r.Return = l.Now()
	l.Put(r)
	return r
}

// Put adds a record that has its times.
func (l *Log) Put(r Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.words.share(r.State)
	l.records = append(l.records, r)
	if l.out != nil && l.err == nil {
		l.err = json.NewEncoder(l.out).Encode(&r)
	}
}

// Note adds that something happened beside the clients.
func (l *Log) Note(format string, args ...any) {
	now := l.Now()
	l.Put(Record{Client: "-", Op: Note, Call: now, Return: now, Text: fmt.Sprintf(format, args...)})
}

// Records is all so far.
func (l *Log) Records() []Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]Record(nil), l.records...)
}

// Close ends the file.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	return errors.Join(l.err, l.out.Flush(), l.file.Close())
}

// Write writes records as a file has them.
func Write(w io.Writer, records []Record) error {
	enc := json.NewEncoder(w)
	for i := range records {
		if err := enc.Encode(&records[i]); err != nil {
			return err
		}
	}
	return nil
}

// ReadAll reads a history from a file. A line that is cut off at the end, as a process leaves it that was killed, is left out.
func ReadAll(r io.Reader) ([]Record, error) {
	var all []Record
	w := newWords()
	dec := json.NewDecoder(r)
	for {
		var one Record
		switch err := dec.Decode(&one); {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return all, nil
		case err != nil:
			return nil, fmt.Errorf("history, record %d: %w", len(all)+1, err)
		}
		w.share(one.State)
		all = append(all, one)
	}
}
