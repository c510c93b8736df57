package imap

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/frontends/imap/imapwire"
	"github.com/flotilla-mail/flotilla/internal/auth"
	"github.com/flotilla-mail/flotilla/internal/invariant"
)

// readBuffer is small because ten thousand of them may be idle; large literals are read past it.
const readBuffer = 1 << 10

// session is the dialogue with one client. All of it belongs to the goroutine that serves it; IDLE lends it to the
// watcher until the watcher has ended.
type session struct {
	server *Server
	conn   *conn
	in     *bufio.Reader
	dec    *imapwire.Decoder
	out    *imapwire.Encoder
	log    *slog.Logger

	state     state
	principal *auth.Principal
	enabled   enabled
	selected  *folder
	failures  int

	tag  string
	done reply // what the running command says when it succeeds
}

// enabled are the extensions that change what a client is sent (RFC 5161).
type enabled struct {
	condstore bool
}

func newSession(s *Server, c *conn) *session {
	sess := &session{server: s, conn: c, state: notAuthenticated, log: s.services.Log.With(slog.String("peer", c.remote()))}
	sess.out = imapwire.NewEncoder(c, &s.buffers)
	sess.in = bufio.NewReaderSize(c, readBuffer)
	sess.dec = imapwire.NewDecoder(sess.in, s.config.strangerLimits(), func() error {
		sess.out.Raw("+ OK\r\n")
		return sess.out.Flush()
	})
	c.flush = sess.out.Flush
	c.patience = s.config.LoginTimeout
	return sess
}

// serve runs the session to its end.
func (s *session) serve(ctx context.Context) {
	defer s.leave()
	defer s.contain()
	s.out.Raw("* OK [CAPABILITY ")
	s.out.Raw(s.capabilities())
	s.out.Raw("] " + s.server.config.ServerName + " ready\r\n")
	var err error
	for err == nil && s.state != loggedOut {
		err = s.next(ctx)
	}
	s.farewell(err)
	_ = s.out.Flush() // the client may be gone
}

func (s *session) leave() {
	if s.principal != nil {
		s.server.signOut(s.principal.Identity.User)
	}
}

// contain keeps a bug met in one session from ending the others; broken invariants go on to stop the process.
func (s *session) contain() {
	r := recover()
	if r == nil {
		return
	}
	if v, ok := r.(invariant.Violation); ok {
		panic(v)
	}
	s.log.Error("session ended by a bug", slog.String("code", "IM-9001"), slog.Any("panic", r),
		slog.String("stack", string(debug.Stack())))
}

// contained is contain for a goroutine that reads one message: a bug met in it fails the command.
func contained(f func() error) (err error) {
	defer func() {
		r := recover()
		if v, ok := r.(invariant.Violation); ok {
			panic(v)
		}
		if r != nil {
			err = fmt.Errorf("bug: %v\n%s", r, debug.Stack())
		}
	}()
	return f()
}

// farewell says BYE where the client can still hear it and does not know yet.
func (s *session) farewell(err error) {
	switch {
	case err == nil, isGone(err):
		return
	case errors.Is(err, errDrain) && s.conn.over.Load():
		s.out.Raw("* BYE The account has changed, sign in again\r\n")
	case errors.Is(err, errDrain):
		s.out.Raw("* BYE [UNAVAILABLE] Server is shutting down, connect again\r\n")
	case isTimeout(err):
		s.out.Raw("* BYE [UNAVAILABLE] Nothing heard for too long\r\n")
	case errors.Is(err, imapwire.ErrDrain):
		s.out.Raw("* BYE [TOOBIG] Too much data\r\n")
	case errors.Is(err, errTooManyFailures):
		s.out.Raw("* BYE [LIMIT] Too many failures\r\n")
	}
}

// errTooManyFailures ends a session that guesses passwords or talks another protocol.
var errTooManyFailures = errors.New("too many failures")

// next reads and performs one command.
func (s *session) next(ctx context.Context) error {
	s.conn.setWaiting(true)
	s.dec.Begin()
	s.dec.Peek()
	s.conn.setWaiting(false)
	if err := s.dec.Err(); err != nil {
		return err
	}
	begun := time.Now()
	cmd, err := s.perform(ctx)
	if imapwire.Fatal(s.dec.Err()) {
		return s.dec.Err()
	}
	if fatal := s.out.Err(); fatal != nil {
		return fatal
	}
	if errors.Is(err, errCut) {
		return err
	}
	status := imap.StatusResponseTypeOK
	if !errors.Is(err, errAnswered) {
		status = s.finish(err)
	}
	name := "unknown"
	if cmd != nil {
		name = cmd.name
	}
	if f := s.server.services.Events.Command; f != nil {
		f(name, string(status), time.Since(begun))
	}
	if s.failures > s.server.config.MaxFailures {
		return errTooManyFailures
	}
	return s.dec.Recover()
}

// perform parses a command's head, finds its row and runs it.
func (s *session) perform(ctx context.Context) (*command, error) {
	s.tag, s.done = "*", reply{}
	tag := s.dec.Tag()
	if s.dec.Err() == nil {
		s.tag = tag
	}
	s.dec.SP()
	name := s.dec.Keyword()
	if name == "UID" {
		s.dec.SP()
		name += " " + s.dec.Keyword()
	}
	if err := s.dec.Err(); err != nil {
		return nil, s.unknown(err)
	}
	cmd := s.server.commands[name]
	if cmd == nil {
		return nil, s.unknown(&imapwire.SyntaxError{Text: "Unknown command"})
	}
	if cmd.in&s.state == 0 {
		return cmd, bad("Command is not allowed now: the session is " + s.state.String())
	}
	limit := s.server.config.CommandTimeout
	switch cmd.pace {
	case transfers:
		limit = s.server.config.TransferTimeout
	case waits:
		return cmd, cmd.run(s, ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := cmd.run(s, ctx)
	if s.dec.Err() == nil && s.out.Err() == nil && !errors.Is(err, errCut) {
		s.tell(ctx, cmd.tells)
	}
	return cmd, err
}

// unknown counts lines that are no commands, so that a client of another protocol is not served for ever.
func (s *session) unknown(err error) error {
	if s.state == notAuthenticated {
		s.failures++
	}
	return err
}

// finish writes the tagged answer.
func (s *session) finish(err error) imap.StatusResponseType {
	r := s.done
	if err != nil {
		r = statusOf(err)
		s.report(err, r)
	}
	if r.kind == "" {
		r.kind = imap.StatusResponseTypeOK
	}
	if r.text == "" {
		r.text = "Completed"
	}
	s.out.Raw(s.tag)
	s.status(r)
	return r.kind
}

// status writes the rest of a status response: kind, code and text.
func (s *session) status(r reply) {
	s.out.Byte(' ')
	s.out.Raw(string(r.kind))
	s.out.Byte(' ')
	if r.code != "" {
		s.out.Raw("[" + r.code + "] ")
	}
	s.out.Raw(r.text)
	s.out.CRLF()
}

// untagged writes an untagged status response.
func (s *session) untagged(kind imap.StatusResponseType, code, text string) {
	s.out.Byte('*')
	s.status(reply{kind: kind, code: code, text: text})
}

// report logs what an operator may have to act on; mistakes of clients and refusals are not among it.
func (s *session) report(err error, r reply) {
	if r.code != string(imap.ResponseCodeServerBug) {
		return
	}
	s.log.Error("command failed", slog.String("code", "IM-9002"), slog.Any("err", err))
}

// do performs an op as the session's user on his mailbox.
func do[Q, R any](ctx context.Context, s *session, op exmdb.Op[Q, R], req *Q) (*R, error) {
	resp, err := exmdb.Do(ctx, s.server.services.Mailboxes, s.principal.Identity, s.principal.Mailbox, op, req)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", op.Name, err)
	}
	return resp, nil
}

func upper(text string) string { return strings.ToUpper(text) }
