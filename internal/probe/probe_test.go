package probe

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// serve plays a server's side of each connection with the play of its number; the last one for all that follow.
func serve(t *testing.T, plays ...func(in *bufio.Reader, out io.Writer)) (dial func(context.Context) (net.Conn, error)) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; ; i++ {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer conn.Close()
				plays[min(i, len(plays)-1)](bufio.NewReader(conn), conn)
			})
		}
	})
	t.Cleanup(func() { _ = l.Close(); wg.Wait() })
	return InTurn(Plain, l.Addr().String())
}

// answers says each line after one was read; the empty one ends the connection. When there is none left all is well.
func answers(lines ...string) func(in *bufio.Reader, out io.Writer) {
	return func(in *bufio.Reader, out io.Writer) {
		_, _ = io.WriteString(out, "220 here\r\n")
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			if strings.HasPrefix(line, "DATA") {
				_, _ = io.WriteString(out, "354 go on\r\n")
				for err == nil && line != ".\r\n" {
					line, err = in.ReadString('\n')
				}
			}
			answer := "250 fine"
			if len(lines) > 0 {
				answer, lines = lines[0], lines[1:]
			}
			if answer == "" {
				return
			}
			_, _ = fmt.Fprintf(out, "%s\r\n", answer)
		}
	}
}

func TestWhatCountsAsAFailure(t *testing.T) {
	well := answers()
	for name, c := range map[string]struct {
		first           func(*bufio.Reader, io.Writer)
		moves, failures int
		unsure          int
	}{
		"all well":                        {well, 0, 0, 0},
		"421 between two mails":           {answers("250 hello", "421 closing"), 1, 0, 0},
		"the connection ends":             {answers("250 hello", "250 from", ""), 1, 0, 0},
		"the answer to a mail is lost":    {answers("250 hello", "250 from", "250 to", ""), 1, 0, 1},
		"refused":                         {answers("250 hello", "451 later"), 0, 1, 0},
		"421 in the middle of a mail":     {answers("250 hello", "250 from", "421 closing"), 0, 1, 0},
		"a mail is refused for good":      {answers("250 hello", "250 from", "250 to", "554 no"), 0, 1, 0},
		"nobody is at home for new ones":  {answers("421 full"), 1, 0, 0},
		"what is said makes no sense":     {answers("250 hello", "what?"), 0, 1, 0},
		"an answer of more lines is read": {answers("250-hello\r\n250 there"), 0, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			client := &Client{Protocol: SMTP, Address: "u@example.test", Name: "c", Dial: serve(t, c.first, well)}
			w := &Crew{Clients: []*Client{client}}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			w.Start(ctx)
			if err := w.Await(ctx, 2); err != nil {
				t.Fatal(err)
			}
			w.Stop()
			s := w.Take()[SMTP]
			if s.Moves != c.moves || len(s.Failures) != c.failures || s.Operations < 2 || s.Stored != s.Operations || s.Longest <= 0 {
				t.Fatalf("%+v", s)
			}
			if s.Unsure != c.unsure && len(s.Failures) == 0 {
				t.Fatalf("%+v", s)
			}
		})
	}
}

// mailbox plays an IMAP server that counts what is appended, and says BYE after so many commands.
func mailbox(mu *sync.Mutex, messages *int, commands int) func(in *bufio.Reader, out io.Writer) {
	return func(in *bufio.Reader, out io.Writer) {
		_, _ = io.WriteString(out, "* OK here\r\n")
		for range commands {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			var tag, verb, box string
			if _, err := fmt.Sscan(line, &tag, &verb, &box); err != nil {
				return
			}
			mu.Lock()
			if i := strings.IndexByte(line, '{'); verb == "APPEND" && i > 0 {
				var size int64
				_, _ = fmt.Sscanf(line[i:], "{%d}", &size)
				_, _ = io.WriteString(out, "+ go on\r\n")
				_, _ = io.CopyN(io.Discard, in, size+2)
				*messages++
			}
			_, _ = fmt.Fprintf(out, "* STATUS INBOX (MESSAGES %d UIDNEXT 9)\r\n%s OK done\r\n", *messages, tag)
			mu.Unlock()
		}
		_, _ = io.WriteString(out, "* BYE [UNAVAILABLE] connect again\r\n")
	}
}

func TestIMAPFollowsGoodbyes(t *testing.T) {
	var mu sync.Mutex
	messages := 0
	dial := serve(t, mailbox(&mu, &messages, 6))
	client := &Client{Protocol: IMAP, Address: "u@example.test", Password: `a "quoted" \ one`, Name: "c", Dial: dial}
	w := &Crew{Clients: []*Client{client}}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	w.Start(ctx)
	if err := w.Await(ctx, 20); err != nil {
		t.Fatal(err)
	}
	w.Finish()
	s := w.Take()[IMAP]
	if len(s.Failures) > 0 || s.Moves == 0 || s.Stored == 0 {
		t.Fatalf("%+v", s)
	}
	n, err := Count(ctx, dial, "u@example.test", "x")
	if err != nil || n != s.Stored || s.Unsure != 0 {
		t.Fatalf("%d messages, %v; %+v", n, err, s)
	}
}
