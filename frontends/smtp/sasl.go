package smtp

import (
	"strings"
	"unicode/utf8"
)

// signIn checks what an exchange brought.
type signIn func(authorize, user, password string) error

// plainExchange is PLAIN (RFC 4616): one response with everything.
type plainExchange struct{ check signIn }

// Next implements sasl.Server.
func (e *plainExchange) Next(response []byte) (challenge []byte, done bool, err error) {
	if response == nil {
		return nil, false, nil
	}
	parts := strings.Split(string(response), "\x00")
	if len(parts) != 3 || parts[1] == "" || !utf8.Valid(response) {
		return nil, true, refusals.badExchange
	}
	return nil, true, e.check(parts[0], parts[1], parts[2])
}

// loginExchange is LOGIN, older than any RFC and still what many clients send: a user name and a password, each to a
// prompt.
type loginExchange struct {
	check signIn
	user  string
}

// Next implements sasl.Server.
func (e *loginExchange) Next(response []byte) (challenge []byte, done bool, err error) {
	switch {
	case response == nil:
		return []byte("Username:"), false, nil
	case e.user == "" && len(response) == 0:
		return nil, true, refusals.badExchange
	case e.user == "":
		e.user = string(response)
		return []byte("Password:"), false, nil
	}
	return nil, true, e.check("", e.user, string(response))
}
