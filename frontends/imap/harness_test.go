package imap

import (
	"bufio"
	"context"
	"net"
	"strings"
	"testing"
	"time"
)

// testServer is a server on a loopback port.
type testServer struct {
	*Server
	box    *fakeBox
	ingest *fakeIngester
	addr   string
	t      testing.TB
}

func startServer(t testing.TB, change func(*Config)) *testServer {
	t.Helper()
	config := Config{AllowPlaintext: true}
	if change != nil {
		change(&config)
	}
	ts := &testServer{box: newFakeBox(), ingest: &fakeIngester{}, t: t}
	var err error
	ts.Server, err = New(config, Services{Mailboxes: ts.box, Users: fakeUsers{}, Messages: ts.ingest})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ts.addr = l.Addr().String()
	served := make(chan error, 1)
	go func() { served <- ts.Serve(context.Background(), l, StartTLS) }()
	t.Cleanup(func() {
		ts.Close()
		if err := <-served; err != ErrServerClosed {
			t.Errorf("Serve returned %v", err)
		}
	})
	return ts
}

// client is a plain dialogue with a server.
type client struct {
	t    testing.TB
	conn net.Conn
	r    *bufio.Reader
}

func (ts *testServer) dial() *client {
	ts.t.Helper()
	conn, err := net.Dial("tcp", ts.addr)
	if err != nil {
		ts.t.Fatal(err)
	}
	ts.t.Cleanup(func() { _ = conn.Close() })
	return &client{t: ts.t, conn: conn, r: bufio.NewReader(conn)}
}

// login dials and signs in.
func (ts *testServer) login() *client {
	ts.t.Helper()
	c := ts.dial()
	c.line()
	c.ok("l LOGIN alice@example.test secret")
	return c
}

func (c *client) send(text string) {
	c.t.Helper()
	_ = c.conn.SetWriteDeadline(time.Now().Add(20 * time.Second))
	if _, err := c.conn.Write([]byte(text)); err != nil {
		c.t.Fatalf("send: %v", err)
	}
}

// line reads one line without its end; it fails the test at the end of the connection.
func (c *client) line() string {
	c.t.Helper()
	line, err := c.tryLine()
	if err != nil {
		c.t.Fatalf("read: %v", err)
	}
	return line
}

func (c *client) tryLine() (string, error) {
	_ = c.conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	line, err := c.r.ReadString('\n')
	return strings.TrimRight(line, "\r\n"), err
}

// until reads lines up to the one that begins with prefix, which is the last one given.
func (c *client) until(prefix string) []string {
	c.t.Helper()
	var lines []string
	for {
		lines = append(lines, c.line())
		if strings.HasPrefix(lines[len(lines)-1], prefix) {
			return lines
		}
	}
}

// do sends a command and reads up to its tagged answer.
func (c *client) do(command string) []string {
	c.t.Helper()
	tag, _, _ := strings.Cut(command, " ")
	c.send(command + "\r\n")
	return c.until(tag + " ")
}

// ok is do for a command that has to succeed; it gives the untagged lines.
func (c *client) ok(command string) []string {
	c.t.Helper()
	lines := c.do(command)
	tag, _, _ := strings.Cut(command, " ")
	if last := lines[len(lines)-1]; !strings.HasPrefix(last, tag+" OK") {
		c.t.Fatalf("%s: %s", command, last)
	}
	return lines[:len(lines)-1]
}

// want is do for a command whose tagged answer has to begin with answer.
func (c *client) want(command, answer string) {
	c.t.Helper()
	lines := c.do(command)
	tag, _, _ := strings.Cut(command, " ")
	if last := lines[len(lines)-1]; !strings.HasPrefix(last, tag+" "+answer) {
		c.t.Fatalf("%s: got %q, want %s", command, last, answer)
	}
}
