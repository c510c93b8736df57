package queue

import (
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/content"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// header is the one record of a queue's space that everything moves.
type header struct {
	// Last is the highest number given out.
	Last uint64 `wire:"1"`
	// Due is when the space is due in the due index: when its first lane is; zero when there is none.
	Due     time.Time `wire:"2"`
	Unknown wire.Unknown
}

// mail is what is kept once of a mail and is read by every list.
type mail struct {
	From     string    `wire:"1"`
	Received time.Time `wire:"2"`
	// Size is the mail's octets without trace headers.
	Size uint64 `wire:"3"`
	// Sender is the mailbox that reports about the mail go to; zero when there is none.
	Sender mapi.MailboxID `wire:"4"`
	// Host names the system in reports.
	Host    string `wire:"5"`
	Unknown wire.Unknown
}

// body is the mail itself, in the form in which mailboxes take it.
type body struct {
	Recipe exmdb.Recipe `wire:"1"`
	Digest []byte       `wire:"2"`
	Props  []byte       `wire:"3"`
	// Converted is the message that it became.
	Converted *exmdb.Conversion `wire:"4"`
	Unknown   wire.Unknown
}

// message is the mail without trace and content.
func (b *body) message() exmdb.NewMessage {
	return exmdb.NewMessage{Recipe: b.Recipe, Digest: b.Digest, Props: b.Props, Converted: b.Converted}
}

// hashes is the content of the mail.
func (b *body) hashes() ([]space.Hash, error) {
	m := b.message()
	chunks, err := content.Chunks(&m)
	return content.ChunkHashes(chunks), err
}

// recipient is a mailbox that has not got the mail yet, or an address elsewhere that never will.
type recipient struct {
	// Mailbox is zero for an address elsewhere.
	Mailbox mapi.MailboxID `wire:"1"`
	Address string         `wire:"2"`
	Trace   []byte         `wire:"3"`
	Key     [32]byte       `wire:"4"`
	// Number is what the mailbox knows the delivery by, zero before the first attempt is due. It is drawn anew when a
	// failed recipient is tried again: its mailbox may have taken higher ones since.
	Number uint64 `wire:"5"`
	// Failed is set when the recipient is not tried any more.
	Failed *failure `wire:"6"`
	// About is what the mailbox is told beside the mail.
	About   exmdb.Circumstances `wire:"7"`
	Unknown wire.Unknown
}

// failure is why and when a recipient was given up.
type failure struct {
	At      time.Time    `wire:"1"`
	Kind    cluster.Kind `wire:"2"`
	Text    string       `wire:"3"`
	Unknown wire.Unknown
}

// lane is everything that waits for one mailbox. It is tried in order of number, and after a failure not before Next.
type lane struct {
	Next time.Time `wire:"1"`
	// Attempts counts failures in a row; Tried, Kind and Text are of the last.
	Attempts uint32       `wire:"2"`
	Tried    time.Time    `wire:"3"`
	Kind     cluster.Kind `wire:"4"`
	Text     string       `wire:"5"`
	// Told is the highest number whose sender was told that it is late.
	Told    uint64 `wire:"6"`
	Unknown wire.Unknown
}

// load reads the record at key; false means there is none.
func load(r space.Reader, key []byte, record any) (bool, error) {
	b, err := r.Get(key)
	if err != nil || b == nil {
		return false, err
	}
	if err := wire.Unmarshal(b, record); err != nil {
		return false, damaged(err.Error(), key)
	}
	return true, nil
}

// each calls fn with every pair whose key begins with prefix and is above after, until fn says stop. The pair is valid
// during the call only.
func each(r space.Reader, prefix, after []byte, fn func(key, value []byte) (more bool, err error)) (err error) {
	lo := prefix
	if after != nil {
		lo = append(append([]byte(nil), after...), 0)
	}
	it := r.Iter(lo, behind(prefix))
	for more := true; more && err == nil && it.Next(); {
		more, err = fn(it.Key(), it.Value())
	}
	if cerr := it.Close(); err == nil {
		err = cerr
	}
	return err
}

// first is the lowest key that begins with prefix, nil when there is none, and its value.
func first(r space.Reader, prefix []byte) (key, value []byte, err error) {
	err = each(r, prefix, nil, func(k, v []byte) (bool, error) {
		key, value = append([]byte(nil), k...), append([]byte(nil), v...)
		return false, nil
	})
	return key, value, err
}
