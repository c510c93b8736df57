package selftest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/flotilla-mail/flotilla/internal/selftest/history"
)

// session is an IMAP connection of one mailbox to one node.
type session struct {
	node   string
	box    *mailbox
	client *imapclient.Client
}

// open signs in. told, when set, gets what the server says without being asked.
func (t *Target) open(ctx context.Context, n Node, b *mailbox, told *imapclient.UnilateralDataHandler) (*session, error) {
	conn, err := t.dialTLS(ctx, n.IMAPS)
	if err != nil {
		return nil, err
	}
	s := &session{node: n.Name, box: b, client: imapclient.New(conn, &imapclient.Options{UnilateralDataHandler: told})}
	err = s.within(ctx, answerTime, func() error { return s.client.Login(b.address, b.password).Wait() })
	if err != nil {
		s.close()
		return nil, fmt.Errorf("sign in as %s at %s: %w", b.address, n.Name, err)
	}
	return s, nil
}

// close hangs up; the server may have done so before.
func (s *session) close() { _ = s.client.Close() }

// answerTime is how long a client waits for an answer: less than some faults last, so that it turns to another node while
// the first try is still under way behind a frozen or cut-off one.
const answerTime = 4 * time.Second

// within performs an exchange and hangs up when it takes too long.
func (s *session) within(ctx context.Context, limit time.Duration, do func() error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	stop := context.AfterFunc(ctx, s.close)
	err := do()
	if !stop() {
		return errors.Join(fmt.Errorf("%s does not answer: %w", s.node, ctx.Err()), err)
	}
	return err
}

// subjectOf is a mail's name in its subject, and back.
const subjectPrefix = "selftest "

// read shows the whole mailbox. loose says that it changed meanwhile, so that rows may be of different moments.
func (s *session) read() (state *history.State, loose bool, err error) {
	data, err := s.client.Select("INBOX", &imap.SelectOptions{CondStore: true}).Wait()
	if err != nil {
		return nil, false, err
	}
	state = &history.State{UIDValidity: data.UIDValidity, UIDNext: uint32(data.UIDNext), ModSeq: data.HighestModSeq}
	if data.NumMessages > 0 {
		if state.Rows, err = s.rows(imap.SeqSet{imap.SeqRange{Start: 1, Stop: 0}}); err != nil {
			return nil, false, err
		}
	}
	after, err := s.client.Status("INBOX", &imap.StatusOptions{HighestModSeq: true}).Wait()
	if err != nil {
		return nil, false, err
	}
	return state, after.HighestModSeq != data.HighestModSeq, nil
}

// rows fetches messages. One that is expunged meanwhile may be left out.
func (s *session) rows(set imap.NumSet) ([]history.Row, error) {
	found, err := s.client.Fetch(set, &imap.FetchOptions{UID: true, Flags: true, Envelope: true, ModSeq: true}).Collect()
	if err != nil {
		return nil, err
	}
	byUID := map[uint32]history.Row{}
	for _, m := range found {
		row := rowOf(m)
		if was, again := byUID[row.UID]; again && row.Mail == "" { // its flags came once more
			row.Mail = was.Mail
		}
		byUID[row.UID] = row
	}
	var all []history.Row
	for _, row := range byUID {
		if row.UID != 0 && row.Mail != "" {
			all = append(all, row)
		}
	}
	slices.SortFunc(all, func(x, y history.Row) int { return cmp.Compare(x.UID, y.UID) })
	return all, nil
}

func rowOf(m *imapclient.FetchMessageBuffer) history.Row {
	row := history.Row{UID: uint32(m.UID), Flags: flagNames(m.Flags), ModSeq: m.ModSeq}
	if m.Envelope != nil {
		row.Mail = strings.TrimPrefix(m.Envelope.Subject, subjectPrefix)
	}
	return row
}

// flagNames leaves \Recent out, which is the session's.
func flagNames(flags []imap.Flag) []string {
	var names []string
	for _, f := range flags {
		if !strings.EqualFold(string(f), `\Recent`) {
			names = append(names, string(f))
		}
	}
	slices.Sort(names)
	return names
}

// flag sets or clears a flag. The answer shows the message as it is by then, which may be later than the change: its
// MODSEQ is not the change's own.
func (s *session) flag(uid uint32, op imap.StoreFlagsOp, flag string) error {
	return s.client.Store(imap.UIDSetNum(imap.UID(uid)), &imap.StoreFlags{Op: op, Flags: []imap.Flag{imap.Flag(flag)}}, nil).Close()
}

// expunge removes a message that is flagged so.
func (s *session) expunge(uid uint32) error {
	return s.client.UIDExpunge(imap.UIDSetNum(imap.UID(uid))).Close()
}

// append stores a mail and returns its UID.
func (s *session) append(octets []byte, flag string) (uid uint32, err error) {
	c := s.client.Append("INBOX", int64(len(octets)), &imap.AppendOptions{Flags: []imap.Flag{imap.Flag(flag)}})
	_, err = c.Write(octets)
	if err = errors.Join(err, c.Close()); err != nil {
		return 0, err
	}
	data, err := c.Wait()
	if err != nil {
		return 0, err
	}
	return uint32(data.UID), nil
}
