package smtp

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/auth"
	"github.com/flotilla-mail/flotilla/internal/directory"
	"github.com/flotilla-mail/flotilla/internal/mailflow"
)

// session is what one client has said since its greeting; STARTTLS begins another (RFC 3207 4.2). The engine calls it
// from one goroutine, but for the mail of BDAT, which has its own.
type session struct {
	server *Server
	conn   *conn
	engine *smtp.Conn
	log    *slog.Logger

	user              *auth.Principal
	failures, refused int

	mu     sync.Mutex
	closed bool    // guarded by mu
	mail   *intake // guarded by mu; nil between mails
}

// intake is a mail from MAIL on.
type intake struct {
	env  mailflow.Envelope
	utf8 bool
	// announced is how long the client says the mail is (RFC 1870), zero when it does not say.
	announced int64
	to        []mailflow.Recipient
	// chunks is where the octets of a mail sent by BDAT come from, once they are read.
	chunks *io.PipeReader
	// given are the recipients as the engine knows them, in the order of to.
	given []string
}

// newSession begins one at the client's greeting.
func (s *Server) newSession(ec *smtp.Conn) (smtp.Session, error) {
	c := connOf(ec)
	x := &session{server: s, conn: c, engine: ec,
		log: s.services.Log.With("service", c.service.String(), "remote", c.remote)}
	if c.service == LMTP {
		return lmtpSession{x}, nil
	}
	return x, nil
}

// Reset implements smtp.Session.
func (x *session) Reset() {
	x.mu.Lock()
	in := x.mail
	x.mail = nil
	x.mu.Unlock()
	x.conn.setMail(false)
	if in != nil && in.chunks != nil {
		awaitClosed(in.chunks)
	}
}

// awaitClosed returns when the engine's goroutine for a BDAT mail is done with the session, which closing r is its
// last act: else it would hand its result to the next mail. The pipe's other end is closed already and Data has
// returned or is about to, so this is a matter of microseconds.
func awaitClosed(r *io.PipeReader) {
	for {
		if _, err := r.Read(nil); errors.Is(err, io.ErrClosedPipe) {
			return
		}
		runtime.Gosched()
	}
}

// Logout implements smtp.Session.
func (x *session) Logout() error {
	x.mu.Lock()
	x.closed, x.mail = true, nil
	x.mu.Unlock()
	return nil
}

func (x *session) answered(command string, code int) {
	x.server.services.Events.answered(x.conn.service, command, code)
}

// refuse counts a refusal and returns its reply.
func (x *session) refuse(command string, r *smtp.SMTPError) error {
	x.answered(command, r.Code)
	return r
}

// refuseFor is refuse for an error from below.
func (x *session) refuseFor(ctx context.Context, command string, err error) error {
	r, known := statusOf(err)
	if !known && x.conn.ctx.Err() == nil {
		x.log.LogAttrs(ctx, slog.LevelError, "command failed", slog.String("code", "SM-1002"),
			slog.String("command", command), slog.Any("err", err))
	}
	return x.refuse(command, r)
}

// end is refuse, and the connection ends with the reply.
func (x *session) end(command string, r *smtp.SMTPError) error {
	x.conn.spoil()
	return x.refuse(command, r)
}

// AuthMechanisms implements smtp.AuthSession.
func (x *session) AuthMechanisms() []string {
	if !x.conn.service.signsIn() {
		return nil
	}
	return []string{sasl.Plain, sasl.Login}
}

// Auth implements smtp.AuthSession.
func (x *session) Auth(mechanism string) (sasl.Server, error) {
	switch {
	case !x.conn.service.signsIn():
		return nil, x.refuse("AUTH", refusals.noSignIn)
	case x.inMail():
		return nil, x.refuse("AUTH", refusals.inMail)
	case mechanism == sasl.Plain:
		return &plainExchange{check: x.signIn}, nil
	case mechanism == sasl.Login:
		return &loginExchange{check: x.signIn}, nil
	}
	return nil, x.refuse("AUTH", refusals.noMechanism)
}

func (x *session) inMail() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.mail != nil
}

func (x *session) signIn(authorize, user, password string) error {
	if x.conn.isSpoiled() {
		return refusals.tooManyFailures
	}
	ctx, cancel := context.WithTimeout(x.conn.ctx, x.server.config.Check)
	defer cancel()
	p, err := x.server.services.Users.Authenticate(ctx, auth.Attempt{Protocol: auth.Submission, User: user,
		Password: password, Authorize: authorize, Remote: x.conn.remote})
	if err != nil {
		x.log.LogAttrs(ctx, slog.LevelInfo, "sign-in refused", slog.String("user", user), slog.Any("err", err))
		return x.refuseSignIn(ctx, err)
	}
	x.user = p
	x.conn.user.Store(p)
	x.answered("AUTH", 235)
	x.log = x.log.With("user", p.Address)
	return nil
}

// refuseSignIn ends the connection of a client that guesses.
func (x *session) refuseSignIn(ctx context.Context, err error) error {
	if r, _ := statusOf(err); !r.Temporary() {
		if x.failures++; x.failures >= x.server.config.MaxFailures {
			return x.end("AUTH", refusals.tooManyFailures)
		}
	}
	return x.refuseFor(ctx, "AUTH", err)
}

// Mail implements smtp.Session.
func (x *session) Mail(from string, opts *smtp.MailOptions) error {
	from = quoted(from)
	switch {
	case x.conn.isSpoiled():
		return refusals.closing
	case x.inMail():
		return x.refuse("MAIL", refusals.nested)
	case x.conn.service.signsIn() && x.user == nil:
		return x.refuse("MAIL", refusals.signIn)
	case from != "" && !plausible(from):
		return x.refuse("MAIL", refusals.badSender)
	case !opts.UTF8 && !isASCII(from):
		return x.refuse("MAIL", refusals.notUTF8)
	}
	if err := x.maySend(from); err != nil {
		return err
	}
	in := &intake{utf8: opts.UTF8, announced: opts.Size, env: mailflow.Envelope{From: from, Helo: x.engine.Hostname(), Remote: x.conn.remote, With: x.with()}}
	if x.user != nil {
		in.env.User = x.user.Address
	}
	x.mu.Lock()
	x.mail = in
	x.mu.Unlock()
	x.conn.setMail(true)
	x.answered("MAIL", 250)
	return nil
}

// maySend refuses a reverse-path that is neither the user's own nor one that he may send under.
func (x *session) maySend(from string) error {
	if !x.conn.service.signsIn() || owns(x.user, from) {
		return nil
	}
	if x.server.services.MaySendAs == nil {
		return x.refuse("MAIL", refusals.notYours)
	}
	ctx, cancel := context.WithTimeout(x.conn.ctx, x.server.config.Check)
	defer cancel()
	may, err := x.server.services.MaySendAs(ctx, x.user, from)
	switch {
	case err != nil:
		return x.refuseFor(ctx, "MAIL", err)
	case !may:
		return x.refuse("MAIL", refusals.notYours)
	}
	return nil
}

// owns reports whether an address is one of the user's own.
func owns(p *auth.Principal, from string) bool {
	a, err := directory.Normalise(from)
	return err == nil && slices.ContainsFunc(p.Addresses, func(own string) bool { return strings.EqualFold(own, a) })
}

// with is the protocol as RFC 3848 names it.
func (x *session) with() string {
	name := "ESMTP"
	switch {
	case x.conn.service == LMTP:
		name = "LMTP"
	case x.conn.greetedByHELO() && !x.conn.secure:
		return "SMTP"
	}
	if x.conn.secure {
		name += "S"
	}
	if x.user != nil {
		name += "A"
	}
	return name
}

// Rcpt implements smtp.Session.
func (x *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	x.mu.Lock()
	in := x.mail
	x.mu.Unlock()
	address := quoted(to)
	switch {
	case in == nil || x.conn.isSpoiled():
		return refusals.closing
	case !plausible(address):
		return x.refuse("RCPT", refusals.badRecipient)
	case !in.utf8 && !isASCII(address):
		return x.refuse("RCPT", refusals.notUTF8)
	}
	ctx, cancel := context.WithTimeout(x.conn.ctx, x.server.config.Check)
	defer cancel()
	r, err := x.server.services.Mail.Accept(ctx, &in.env, address)
	if err != nil {
		return x.refuseRecipient(ctx, err)
	}
	x.mu.Lock()
	in.to, in.given = append(in.to, r), append(in.given, to)
	x.mu.Unlock()
	x.answered("RCPT", 250)
	return nil
}

// refuseRecipient ends the connection of a client that tries out addresses. Who names one that is full knew it.
func (x *session) refuseRecipient(ctx context.Context, err error) error {
	if r, _ := statusOf(err); !r.Temporary() && x.conn.service == MX && cluster.KindOf(err) != exmdb.KindOverQuota {
		if x.refused++; x.refused >= x.server.config.MaxRefused {
			return x.end("RCPT", refusals.tooManyRefused)
		}
	}
	return x.refuseFor(ctx, "RCPT", err)
}

// quoted puts the quotes back that the engine took off a local part (RFC 5321 4.1.2).
func quoted(address string) string {
	at := strings.LastIndexByte(address, '@')
	if at < 0 || isDotString(address[:at]) {
		return address
	}
	local := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(address[:at])
	return `"` + local + `"` + address[at:]
}

// isDotString is generous about dots: addresses with two in a row, or one at the end, are in use.
func isDotString(local string) bool {
	return local != "" && !strings.ContainsAny(local, " \t\"(),:;<>@[\\]")
}

// plausible keeps out what no address may hold, whoever it belongs to (RFC 5321 4.1.2).
func plausible(address string) bool {
	at := strings.LastIndexByte(address, '@')
	return at > 0 && len(address) <= directory.MaxAddress && !strings.ContainsFunc(address, func(r rune) bool {
		return r < ' ' || r == 0x7f || r == '\uFFFD'
	}) && !strings.ContainsAny(address[at:], " <>\"")
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r > 0x7f })
}
