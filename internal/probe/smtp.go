package probe

import (
	"fmt"
	"strconv"
	"strings"
)

// refusedError is an answer that says no.
type refusedError struct {
	command, line string
}

func (r *refusedError) Error() string { return r.command + " was answered " + r.line }

// reply reads a reply of SMTP (RFC 5321 4.2) and wants its code to begin with a digit. 421 is a goodbye wherever it
// stands, but only between two mails it does no harm.
func (l *link) reply(command string, want byte) error {
	for {
		line, err := l.in.ReadString('\n')
		if err != nil {
			return fmt.Errorf("%s: %w", command, err)
		}
		line = strings.TrimRight(line, "\r\n")
		if len(line) < 3 {
			return &refusedError{command, strconv.Quote(line)}
		}
		if len(line) > 3 && line[3] == '-' {
			continue
		}
		switch {
		case line[0] == want:
			return nil
		case strings.HasPrefix(line, "421") && (command == "MAIL" || command == "greeting" || command == "EHLO"):
			return fmt.Errorf("%s: %w", command, errGoodbye)
		}
		return &refusedError{command, line}
	}
}

func (l *link) command(name, line string, want byte) error {
	if _, err := l.conn.Write([]byte(line + "\r\n")); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return l.reply(name, want)
}

func (l *link) hello(lmtp bool) error {
	if err := l.reply("greeting", '2'); err != nil {
		return err
	}
	verb := "EHLO"
	if lmtp {
		verb = "LHLO" // RFC 2033 4.1
	}
	return l.command("EHLO", verb+" probe.example", '2')
}

// deliver sends one mail. Sent again it is the same mail, which the mailbox knows by its Message-ID (MAILBOX 7).
func (l *link) deliver(c *Client) error {
	if err := l.command("MAIL", "MAIL FROM:<probe@probe.example>", '2'); err != nil {
		return err
	}
	if err := l.command("RCPT", "RCPT TO:<"+c.Address+">", '2'); err != nil {
		return err
	}
	if err := l.command("DATA", "DATA", '3'); err != nil {
		return err
	}
	l.sent = true
	err := l.command("end of data", c.mail()+".", '2')
	if err == nil {
		l.sent = false
	}
	return err
}

// mail is the mail of the client's present number, with its last line's end.
func (c *Client) mail() string {
	return fmt.Sprintf("From: <probe@probe.example>\r\nTo: <%s>\r\nSubject: probe %s %d\r\nMessage-ID: <%s.%d@probe.example>\r\n\r\nA mail of a probe.\r\n",
		c.Address, c.Name, c.number, c.Name, c.number)
}
