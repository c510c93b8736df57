package probe

import (
	"fmt"
	"io"
	"strconv"
	"strings"
)

// line reads one line of the server; BYE is a goodbye (RFC 9051 7.1.5).
func (l *link) line(command string) (string, error) {
	s, err := l.in.ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("%s: %w", command, err)
	}
	s = strings.TrimRight(s, "\r\n")
	if strings.HasPrefix(s, "* BYE") {
		return "", fmt.Errorf("%s: %w", command, errGoodbye)
	}
	// No answer to what is asked here has a literal, but an unsolicited one might.
	if i := strings.LastIndexByte(s, '{'); i >= 0 && strings.HasSuffix(s, "}") {
		if n, err := strconv.Atoi(s[i+1 : len(s)-1]); err == nil {
			_, err := io.CopyN(io.Discard, l.in, int64(n))
			return s, err
		}
	}
	return s, nil
}

// tagged reads until a command's answer and wants OK; go on is the continuation that a literal waits for. It hands on
// the untagged lines.
func (l *link) tagged(command, tag string, untagged func(string)) error {
	for {
		s, err := l.line(command)
		if err != nil {
			return err
		}
		rest, mine := strings.CutPrefix(s, tag+" ")
		switch {
		case mine && strings.HasPrefix(rest, "OK"):
			return nil
		case mine:
			return &refusedError{command, rest}
		case untagged != nil:
			untagged(s)
		}
	}
}

func (l *link) begin(command string) (tag string, err error) {
	l.tag++
	tag = "p" + strconv.Itoa(l.tag)
	if _, err := io.WriteString(l.conn, tag+" "+command+"\r\n"); err != nil {
		verb, _, _ := strings.Cut(command, " ")
		return tag, fmt.Errorf("%s: %w", verb, err)
	}
	return tag, nil
}

func (l *link) signIn(user, password string) error {
	s, err := l.line("greeting")
	if err != nil {
		return err
	}
	if !strings.HasPrefix(s, "* OK") {
		return &refusedError{"greeting", s}
	}
	tag, err := l.begin("LOGIN " + quoted(user) + " " + quoted(password))
	if err != nil {
		return err
	}
	return l.tagged("LOGIN", tag, nil)
}

func quoted(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// status reads at the mailbox's owner.
func (l *link) status() error {
	_, err := l.messages()
	return err
}

// messages is how many messages INBOX holds.
func (l *link) messages() (int, error) {
	tag, err := l.begin("STATUS INBOX (MESSAGES UIDNEXT)")
	if err != nil {
		return 0, err
	}
	count := -1
	err = l.tagged("STATUS", tag, func(s string) {
		if _, after, ok := strings.Cut(s, "(MESSAGES "); ok {
			digits, _, _ := strings.Cut(after, " ")
			if n, err := strconv.Atoi(digits); err == nil {
				count = n
			}
		}
	})
	if err == nil && count < 0 {
		err = &refusedError{"STATUS", "nothing"}
	}
	return count, err
}

// append writes at the mailbox's owner.
func (l *link) append(c *Client) error {
	mail := c.mail()
	tag, err := l.begin("APPEND INBOX {" + strconv.Itoa(len(mail)) + "}")
	if err != nil {
		return err
	}
	for {
		s, err := l.line("APPEND")
		if err != nil {
			return err
		}
		if strings.HasPrefix(s, "+") {
			break
		}
		if strings.HasPrefix(s, tag+" ") {
			return &refusedError{"APPEND", s}
		}
	}
	l.sent = true
	if _, err := io.WriteString(l.conn, mail+"\r\n"); err != nil {
		return fmt.Errorf("APPEND: %w", err)
	}
	if err := l.tagged("APPEND", tag, nil); err != nil {
		return err
	}
	l.sent = false
	return nil
}
