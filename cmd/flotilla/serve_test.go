package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/internal/node"
	"github.com/flotilla-mail/flotilla/internal/testkit"
)

// systemd is the socket that systemd listens on for a service.
func systemd(t *testing.T) *net.UnixConn {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() }) // nothing is said on it any more
	t.Setenv("NOTIFY_SOCKET", path)
	return c
}

func hear(c *net.UnixConn, within time.Duration) (string, error) {
	if err := c.SetReadDeadline(time.Now().Add(within)); err != nil {
		return "", err
	}
	b := make([]byte, 256)
	n, err := c.Read(b)
	return string(b[:n]), err
}

func TestWatchdogIsFedWhileTheNodeAnswers(t *testing.T) {
	c := systemd(t)
	t.Setenv("WATCHDOG_USEC", "40000")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	log := testkit.NewLog(t, "node")
	var stuck atomic.Bool
	asked := make(chan struct{}, 1000)
	done := startWatchdog(ctx, slog.New(slog.NewTextHandler(log, nil)), func(ctx context.Context) error {
		if _, limited := ctx.Deadline(); !limited {
			t.Error("asked without a limit")
		}
		asked <- struct{}{}
		if stuck.Load() {
			return errors.New("group 3 does not answer")
		}
		return nil
	})
	if said, err := hear(c, time.Minute); said != "WATCHDOG=1" {
		t.Fatalf("%q, %v", said, err)
	}
	stuck.Store(true)
	log.WaitFor(t, time.Minute, "FL-1021")
	for len(asked) > 0 {
		<-asked
	}
	for { // what was said before it was stuck
		if _, err := hear(c, 20*time.Millisecond); err != nil {
			break
		}
	}
	for range 3 {
		<-asked
	}
	if said, err := hear(c, 20*time.Millisecond); err == nil {
		t.Fatalf("a stuck node said %q", said)
	}
	stuck.Store(false)
	if said, err := hear(c, time.Minute); said != "WATCHDOG=1" {
		t.Fatalf("after it recovered: %q, %v", said, err)
	}
	cancel()
	<-done
}

func TestNoWatchdogUnlessAsked(t *testing.T) {
	<-startWatchdog(t.Context(), slog.New(slog.DiscardHandler), func(context.Context) error {
		t.Error("asked")
		return nil
	})
}

func TestLogger(t *testing.T) {
	for _, c := range []struct{ level, format, wrong string }{{"info", "text", ""}, {"debug", "json", ""},
		{"loud", "text", "log.level"}} {
		log, err := newLogger(node.Log{Level: c.level, Format: c.format})
		if c.wrong == "" && (err != nil || log == nil) || c.wrong != "" && (err == nil || !strings.Contains(err.Error(), c.wrong)) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	var b bytes.Buffer
	c := systemd(t)
	notify(slog.New(slog.NewTextHandler(&b, nil)), "READY=1")
	if said, err := hear(c, time.Minute); said != "READY=1" || b.Len() > 0 {
		t.Errorf("%q, %v, %s", said, err, &b)
	}
}
