package smtp

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write what the server said into the scripts")

// TestScripts plays the transcripts of testdata. Lines of a script:
//
//	service mx       begins a connection (mx, submission, submissions, lmtp)
//	C: text          the client says a line
//	C! "quoted\r\n"  the client sends just these octets
//	S: text          the server says a line
//	tls              the TLS handshake
//	end              the server ends the connection
//	got with=ESMTP from=… to=…,… "octets"   the next mail that was delivered
//	none             no further mail was delivered
func TestScripts(t *testing.T) {
	scripts, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(scripts) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, path := range scripts {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			p := &player{t: t, server: start(t, func(c *Config) { c.AllowPlaintext = strings.Contains(string(text), "# plaintext\n") })}
			lines := strings.Split(string(text), "\n")
			for i := range lines {
				p.at = i + 1
				lines[i] = p.play(lines[i])
			}
			if *rewrite {
				if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

type player struct {
	t      *testing.T
	server *testServer
	client *client
	at     int
	mails  int
}

func (p *player) play(line string) string {
	p.t.Helper()
	verb, rest, _ := strings.Cut(line, " ")
	switch verb {
	case "service":
		services := map[string]Service{"mx": MX, "submission": Submission, "submissions": Submissions, "lmtp": LMTP}
		p.client = p.server.dial(p.t, services[rest])
	case "C:":
		p.client.send("%s\r\n", rest)
	case "C!":
		octets, err := strconv.Unquote(rest)
		if err != nil {
			p.t.Fatalf("line %d: %v", p.at, err)
		}
		p.client.send("%s", octets)
	case "S:":
		return p.expect(rest)
	case "tls":
		p.client.startTLS(p.server.clientTLS())
	case "end":
		p.client.end()
	case "got":
		return p.got(rest)
	case "none":
		if all := p.server.mail.all(); len(all) != p.mails {
			p.t.Fatalf("line %d: also delivered: %+v", p.at, all[p.mails:])
		}
	case "", "#":
	default:
		p.t.Fatalf("line %d: %q", p.at, line)
	}
	return line
}

func (p *player) expect(want string) string {
	p.t.Helper()
	got, err := p.client.in.line()
	if err != nil {
		p.t.Fatalf("line %d: want %q: %v", p.at, want, err)
	}
	if strings.Contains(got, secret) {
		p.t.Errorf("line %d: the client was shown an internal error: %s", p.at, got)
	}
	if got != want && !*rewrite {
		p.t.Fatalf("line %d:\nwant %s\ngot  %s", p.at, want, got)
	}
	return "S: " + got
}

func (p *player) got(want string) string {
	p.t.Helper()
	all := p.server.mail.all()
	if len(all) <= p.mails {
		p.t.Fatalf("line %d: nothing was delivered", p.at)
	}
	m := all[p.mails]
	p.mails++
	got := fmt.Sprintf("with=%s helo=%s user=%s from=%s to=%s %q", m.env.With, m.env.Helo, m.env.User, m.env.From, strings.Join(m.to, ","), m.mail)
	if got != want && !*rewrite {
		p.t.Fatalf("line %d:\nwant %s\ngot  %s", p.at, want, got)
	}
	return "got " + got
}
