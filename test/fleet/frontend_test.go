package fleet

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/flotilla-mail/flotilla/frontends/admin"
	"github.com/flotilla-mail/flotilla/internal/dev"
	"github.com/flotilla-mail/flotilla/internal/testkit"
	"github.com/flotilla-mail/flotilla/test/devtest"
)

// The front-ends' own scripts that need no more of the world than mail that comes in. The others break a store in memory.
var (
	imapScripts = []string{"fetch", "folders", "literals", "search", "select"}
	smtpScripts = []string{"chunking", "helo", "mx", "pipelining", "smuggling", "syntax"}
)

// playsScripts plays the front-ends' scripts at a node that holds mailboxes and at n4, which holds none: both say the same.
func playsScripts(t *testing.T, s *site) {
	for i, name := range imapScripts {
		text := script(t, "imap", name)
		var said []string
		for j, node := range []string{"n1", "n4"} {
			user := fmt.Sprintf("im%c%c%c", 'a'+i, 'a'+j, 'x') // as long as alice, whose octets the scripts count
			s.addUser(t, user, "secret")
			p := &imapPlayer{player: s.dial(t, node, 2143), site: s, user: user}
			said = append(said, p.play(text))
		}
		same(t, "imap/"+name, said)
	}
	s.addUser(t, "anna", dev.Password)
	for _, name := range smtpScripts {
		var said []string
		for _, node := range []string{"n1", "n4"} {
			said = append(said, s.dial(t, node, 2525).smtp(script(t, "smtp", name)))
		}
		if same(t, "smtp/"+name, said); !strings.Contains(said[0], "\n250 ") {
			t.Errorf("smtp/%s: nothing was done:\n%s", name, said[0])
		}
	}
}

func same(t *testing.T, name string, said []string) {
	t.Helper()
	with, without := strings.Split(said[0], "\n"), strings.Split(said[1], "\n")
	for i := range max(len(with), len(without)) {
		if i >= len(with) || i >= len(without) || with[i] != without[i] {
			t.Errorf("%s: %d lines at a node with mailboxes, %d at one without; they differ from line %d on:\n%q\n%q", name,
				len(with), len(without), i+1, with[min(i, len(with)):min(i+3, len(with))], without[min(i, len(without)):min(i+3, len(without))])
			return
		}
	}
}

func script(t *testing.T, frontend, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(testkit.Root(t), "frontends", frontend, "testdata", name+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func (s *site) addUser(t *testing.T, name, password string) {
	t.Helper()
	err := s.Admin("n1").Do(t.Context(), "POST", "/v1/objects", admin.NewObject{Kind: "user", Address: name + "@" + dev.Domain, Password: password}, nil)
	if err != nil {
		t.Fatal(err)
	}
}

// player is a dialogue with a node; what is said there is kept without what differs by time and place.
type player struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
	said strings.Builder
}

func (s *site) dial(t *testing.T, node string, port int) *player {
	t.Helper()
	conn, err := net.Dial("tcp", net.JoinHostPort(dev.Host(node), strconv.Itoa(s.Port(port))))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() }) // the server may have
	return &player{t: t, conn: conn, in: bufio.NewReader(conn)}
}

func (p *player) send(text string) {
	p.t.Helper()
	if _, err := p.conn.Write([]byte(text)); err != nil {
		p.t.Fatalf("%v behind\n%s", err, p.said.String())
	}
}

// line is the next one of the server's, empty at the end of the connection.
func (p *player) line() string {
	p.t.Helper()
	if err := p.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		p.t.Fatal(err)
	}
	line, err := p.in.ReadString('\n')
	var late net.Error
	if errors.As(err, &late) && late.Timeout() {
		p.t.Fatalf("no answer behind\n%s", p.said.String())
	}
	return strings.TrimRight(line, "\r\n")
}

var (
	hosts   = regexp.MustCompile(`127\.0\.0\.\d+`)
	numbers = regexp.MustCompile(`\b[0-9A-Fa-f]*[0-9][0-9A-Fa-f]*\b`)
	counts  = regexp.MustCompile(`^\* \d+ `)
	months  = regexp.MustCompile(`-(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)-`)
)

// note keeps a line without addresses, and without numbers that mailboxes draw; how many messages there are stays.
func (p *player) note(line, user string) {
	first := counts.FindString(line)
	rest := strings.TrimPrefix(line, first)
	if user != "" {
		rest = strings.ReplaceAll(rest, user, "alice")
	}
	if user != "" || strings.HasPrefix(line, "220 ") {
		rest = months.ReplaceAllString(numbers.ReplaceAllString(hosts.ReplaceAllString(rest, "#"), "#"), "-#-")
	}
	p.said.WriteString(first + rest + "\n")
}

// smtp plays a script: as many lines are read as the script has, or up to the end of the connection.
func (p *player) smtp(text string) string {
	p.t.Helper()
	for line := range strings.Lines(text) {
		verb, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		switch verb {
		case "C:":
			p.send(rest + "\r\n")
		case "C!":
			octets, err := strconv.Unquote(rest)
			if err != nil {
				p.t.Fatal(err)
			}
			p.send(octets)
		case "S:":
			p.note(p.line(), "")
		}
	}
	return p.said.String()
}

// imapPlayer plays the scripts of frontends/imap, whose form TestScripts describes there, as another user than alice.
type imapPlayer struct {
	*player
	site  *site
	user  string
	tag   string
	left  int // octets of a literal still to be sent
	mails int
}

func (p *imapPlayer) play(text string) string {
	p.t.Helper()
	p.note(p.line(), p.user)
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if rest, ok := strings.CutPrefix(line, "C: "); ok {
			p.say(strings.ReplaceAll(rest, "alice@", p.user+"@"))
		}
		if rest, ok := strings.CutPrefix(line, "! "); ok {
			p.act(strings.Fields(rest))
		}
	}
	return p.said.String()
}

// say sends a line and reads what it is answered with: to the end of its command, or to what asks for a literal.
func (p *imapPlayer) say(line string) {
	p.t.Helper()
	if p.tag == "" {
		p.tag, _, _ = strings.Cut(line, " ")
	}
	p.send(line + "\r\n")
	if p.left > 0 {
		if p.left -= len(line) + 2; p.left >= 0 {
			return
		}
		line, p.left = line[min(len(line), len(line)+2+p.left):], 0
	}
	size, asks := strings.CutSuffix(line[strings.LastIndexByte(line, '{')+1:], "}")
	octets, now := strings.CutSuffix(size, "+")
	if asks {
		p.left, _ = strconv.Atoi(octets) // what is no number the server refuses
	}
	if asks && now {
		return
	}
	for {
		got := p.line()
		p.note(got, p.user)
		if strings.HasPrefix(got, "+") {
			return
		}
		if got == "" || strings.HasPrefix(got, p.tag+" ") {
			p.tag, p.left = "", 0
			return
		}
	}
}

// act lets mail come in by a third node, or sets a flag there.
func (p *imapPlayer) act(words []string) {
	p.t.Helper()
	switch words[0] {
	case "deliver":
		p.mails++
		devtest.Send(p.t, p.site.Cluster, "n2", p.user, words[2]+strconv.Itoa(p.mails), "Text.\r\n")
	case "mail":
		b, err := os.ReadFile(filepath.Join(testkit.Root(p.t), "frontends", "imap", "testdata", words[2]+".eml"))
		if err != nil {
			p.t.Fatal(err)
		}
		p.elsewhere(func(c *imapclient.Client) error {
			octets := strings.ReplaceAll(string(b), "\n", "\r\n")
			cmd := c.Append(words[1], int64(len(octets)), nil)
			_, err := cmd.Write([]byte(octets))
			if err := errors.Join(err, cmd.Close()); err != nil {
				return err
			}
			_, err = cmd.Wait()
			return err
		})
	case "flag":
		uid, err := strconv.Atoi(words[2])
		if err != nil {
			p.t.Fatal(err)
		}
		p.elsewhere(func(c *imapclient.Client) error {
			if _, err := c.Select(words[1], nil).Wait(); err != nil {
				return err
			}
			store := &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{imap.Flag(words[3])}}
			return c.Store(imap.UIDSetNum(imap.UID(uid)), store, nil).Close()
		})
	default:
		p.t.Fatalf("%v: nobody knows how", words)
	}
}

// elsewhere does something in a session of its own.
func (p *imapPlayer) elsewhere(do func(*imapclient.Client) error) {
	p.t.Helper()
	c, err := imapclient.DialInsecure(fmt.Sprintf("%s:%d", dev.Host("n2"), p.site.Port(2143)), nil)
	if err != nil {
		p.t.Fatal(err)
	}
	defer c.Close()
	if err := errors.Join(c.Login(p.user+"@"+dev.Domain, "secret").Wait(), do(c), c.Logout().Wait()); err != nil {
		p.t.Fatal(err)
	}
}
