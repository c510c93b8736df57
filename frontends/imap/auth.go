package imap

import (
	"context"
	"encoding/base64"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/frontends/imap/imapwire"
	"github.com/flotilla-mail/flotilla/internal/auth"
)

// capabilities are what the server advertises in the session's state (RFC 9051 6.1.1).
func (s *session) capabilities() string {
	caps := []imap.Cap{imap.CapIMAP4rev1, imap.CapSASLIR, imap.CapLiteralPlus, imap.CapEnable, imap.CapID, imap.CapIdle}
	if s.state == notAuthenticated {
		switch {
		case s.mayLogin():
			for _, m := range mechanisms() {
				caps = append(caps, imap.Cap("AUTH="+m.name))
			}
		default:
			caps = append(caps, imap.CapLoginDisabled)
		}
		if s.mayStartTLS() {
			caps = append(caps, imap.CapStartTLS)
		}
		return joinCaps(caps)
	}
	caps = append(caps, imap.CapNamespace, imap.CapChildren, imap.CapUnselect, imap.CapUIDPlus, imap.CapMove,
		imap.CapMultiAppend,
		imap.CapSpecialUse, imap.CapCreateSpecialUse, imap.CapListExtended, imap.CapListStatus, imap.CapStatusSize,
		imap.CapESearch, imap.CapSearchRes, imap.CapWithin, imap.CapCondStore, imap.CapObjectID, imap.CapSaveDate,
		imap.CapQuota, imap.Cap("QUOTA=RES-STORAGE"),
		imap.Cap("APPENDLIMIT="+strconv.FormatInt(s.server.config.MaxMessage, 10)))
	return joinCaps(caps)
}

func joinCaps(caps []imap.Cap) string {
	names := make([]string, len(caps))
	for i, c := range caps {
		names[i] = string(c)
	}
	return strings.Join(names, " ")
}

func (s *session) mayLogin() bool    { return s.server.config.AllowPlaintext || s.conn.secure() }
func (s *session) mayStartTLS() bool { return s.server.config.TLS != nil && !s.conn.secure() }

func (s *session) capability(context.Context) error {
	s.out.Raw("* CAPABILITY " + s.capabilities())
	s.out.CRLF()
	return nil
}

func (s *session) logout(context.Context) error {
	s.out.Raw("* BYE Logging out\r\n")
	s.state = loggedOut
	return nil
}

// noop is NOOP and CHECK: both bring the client up to date.
func (s *session) noop(ctx context.Context) error {
	if s.selected == nil {
		return nil
	}
	return s.poll(ctx, expunges)
}

func parseID(d *imapwire.Decoder) struct{} {
	d.SP()
	if d.Peek() != '(' {
		if _, ok := d.NString(); ok {
			d.Fail("expected a list or NIL")
		}
		return struct{}{}
	}
	fields := 0
	d.List(func() {
		_ = d.String()
		d.SP()
		d.NString()
		if fields++; fields > 30 {
			d.Fail("more than 30 fields") // RFC 2971 3.3
		}
	})
	return struct{}{}
}

func (s *session) id(context.Context, struct{}) error {
	s.out.Raw(`* ID ("name" `)
	s.out.String(s.server.config.ServerName)
	if v := s.server.config.ServerVersion; v != "" {
		s.out.Raw(` "version" `)
		s.out.String(v)
	}
	s.out.Raw(")\r\n")
	return nil
}

func (s *session) startTLS(ctx context.Context) error {
	if !s.mayStartTLS() {
		return bad("TLS is not available or already active")
	}
	if s.in.Buffered() > 0 {
		return errInjected // octets sent ahead of the handshake are not the client's (RFC 9051 11.1)
	}
	s.finish(nil)
	if err := s.out.Flush(); err != nil {
		return err
	}
	if err := s.conn.handshake(ctx, s.server.config.TLS); err != nil {
		return errCut
	}
	s.in.Reset(s.conn)
	s.dec.Reset(s.in)
	return errAnswered
}

type loginArgs struct{ user, password string }

func parseLogin(d *imapwire.Decoder) loginArgs {
	var a loginArgs
	d.SP()
	a.user = d.AString()
	d.SP()
	a.password = d.AString()
	return a
}

func (s *session) login(ctx context.Context, a loginArgs) error {
	return s.signIn(ctx, "LOGIN", auth.Attempt{User: a.user, Password: a.password})
}

type authenticateArgs struct {
	mechanism, initial string
	hasInitial         bool
}

func parseAuthenticate(d *imapwire.Decoder) authenticateArgs {
	d.SP()
	a := authenticateArgs{mechanism: d.Keyword()}
	if a.hasInitial = d.TrySP(); a.hasInitial {
		a.initial = d.Rest()
	}
	return a
}

// mechanism is a row of the table of SASL mechanisms: its name, and how it gets the client's credentials.
type mechanism struct {
	name string
	run  func(*session, *authenticateArgs) (auth.Attempt, error)
}

func mechanisms() []mechanism {
	return []mechanism{{"PLAIN", (*session).saslPlain}, {"LOGIN", (*session).saslLogin}}
}

// authenticate is AUTHENTICATE with or without initial response (RFC 9051 6.2.2, RFC 4959).
func (s *session) authenticate(ctx context.Context, a authenticateArgs) error {
	for _, m := range mechanisms() {
		if m.name != a.mechanism {
			continue
		}
		if !s.mayLogin() {
			return errPrivacy()
		}
		attempt, err := m.run(s, &a)
		if err != nil {
			return err
		}
		return s.signIn(ctx, m.name, attempt)
	}
	return no(imap.ResponseCodeCannot, "Mechanism is not supported")
}

// saslPlain is RFC 4616.
func (s *session) saslPlain(a *authenticateArgs) (auth.Attempt, error) {
	response, err := s.saslResponse(a, "")
	if err != nil {
		return auth.Attempt{}, err
	}
	parts := strings.Split(response, "\x00")
	if len(parts) != 3 || parts[1] == "" {
		return auth.Attempt{}, bad("Response is not of the form of PLAIN")
	}
	return auth.Attempt{Authorize: parts[0], User: parts[1], Password: parts[2]}, nil
}

// saslLogin is draft-murchison-sasl-login-00: obsolete, and all that some clients offer.
func (s *session) saslLogin(a *authenticateArgs) (auth.Attempt, error) {
	user, err := s.saslResponse(a, "Username:")
	if err != nil {
		return auth.Attempt{}, err
	}
	password, err := s.saslResponse(a, "Password:")
	return auth.Attempt{User: user, Password: password}, err
}

// saslResponse is what the client answers to a challenge; the first answer may have come with the command.
func (s *session) saslResponse(a *authenticateArgs, challenge string) (string, error) {
	coded := a.initial
	if !a.hasInitial {
		s.out.Raw("+ " + base64.StdEncoding.EncodeToString([]byte(challenge)) + "\r\n")
		s.dec.Begin()
		coded = s.dec.Rest()
		if s.dec.CRLF(); s.dec.Err() != nil {
			return "", s.dec.Err()
		}
	}
	a.hasInitial = false
	switch coded {
	case "*":
		return "", bad("Authentication is given up")
	case "=":
		return "", nil
	}
	raw, err := base64.StdEncoding.DecodeString(coded)
	if err != nil {
		return "", bad("Response is not base64")
	}
	return string(raw), nil
}

func errPrivacy() error {
	return no(imap.ResponseCodePrivacyRequired, "Start TLS first")
}

func (s *session) signIn(ctx context.Context, mechanism string, a auth.Attempt) error {
	if !s.mayLogin() {
		return errPrivacy()
	}
	a.Protocol, a.Remote = auth.IMAP, s.conn.remote()
	p, err := s.server.services.Users.Authenticate(ctx, a)
	if f := s.server.services.Events.SignedIn; f != nil {
		f(mechanism, err)
	}
	if err != nil {
		s.failures++
		s.log.Info("sign-in refused", slog.String("user", a.User), slog.Int("kind", int(kindOf(err))))
		return err
	}
	if p.Mailbox.IsZero() {
		return statusError(exmdb.KindNoMailbox)
	}
	if !s.server.signIn(p.Identity.User) {
		return no(imap.ResponseCodeLimit, "Too many connections of this user")
	}
	s.principal, s.state = p, authenticated
	s.conn.user.Store(p)
	s.log = s.log.With(slog.String("user", p.Address))
	s.conn.patience, s.conn.until = s.server.config.IdleTimeout, time.Time{}
	s.dec.SetLimits(s.server.config.limits())
	s.failures = 0
	s.done = reply{code: "CAPABILITY " + s.capabilities(), text: "Signed in"}
	return nil
}

func parseEnable(d *imapwire.Decoder) []string {
	var names []string
	for d.SP(); d.Err() == nil; d.SP() {
		names = append(names, d.Keyword())
		if d.AtEnd() {
			break
		}
	}
	return names
}

// enable answers with what has become active; unknown names are passed over (RFC 5161 3.1).
func (s *session) enable(_ context.Context, names []string) error {
	s.out.Raw("* ENABLED")
	for _, name := range names {
		if imap.Cap(name) == imap.CapCondStore && !s.enabled.condstore {
			s.enabled.condstore = true
			s.out.Raw(" " + name)
		}
	}
	s.out.CRLF()
	return nil
}

func (s *session) namespace(context.Context) error {
	s.out.Raw("* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n")
	return nil
}
