package devtest

import (
	"context"
	"errors"
	"fmt"
	"net/smtp"
	"strings"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/internal/dev"
	"github.com/flotilla-mail/flotilla/internal/testkit"
)

// Send delivers a mail to a user over a node, without TLS, as the world does that has no certificate to check; again at the same
// node until it is taken, as an MTA would. Its Message-ID is the same each time, so that it is there once.
func Send(t testing.TB, c *dev.Cluster, node, user, subject, text string) {
	t.Helper()
	to := user + "@" + dev.Domain
	octets := fmt.Sprintf("From: x@example.net\r\nTo: %s\r\nSubject: %s\r\nMessage-ID: <%s.%s@example.net>\r\n\r\n%s",
		to, subject, strings.ReplaceAll(subject, " ", "-"), user, text)
	testkit.Eventually(t, 2*time.Minute, func(context.Context) error {
		return deliver(fmt.Sprintf("%s:%d", dev.Host(node), c.Port(2525)), to, octets)
	})
}

func deliver(at, to, octets string) error {
	client, err := smtp.Dial(at) // smtp.SendMail would ask for TLS
	if err != nil {
		return err
	}
	defer client.Close()
	if err := errors.Join(client.Mail("x@example.net"), client.Rcpt(to)); err != nil {
		return err
	}
	w, err := client.Data()
	if err != nil {
		return err
	}
	_, err = w.Write([]byte(octets))
	return errors.Join(err, w.Close(), client.Quit())
}
