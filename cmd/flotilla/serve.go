package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"

	"github.com/flotilla-mail/flotilla/internal/node"
)

// stopTime is how long the parts of a node may take to end once it has drained. Together with node.DrainTime it stays
// below TimeoutStopSec of the systemd unit.
const stopTime = 15 * time.Second

func serveCommand() *cobra.Command {
	var config string
	c := &cobra.Command{
		Use:     "serve",
		Short:   "Run this machine's node",
		Long:    "Run this machine's node until it is asked to stop. SIGTERM hands over what it leads and ends sessions in order.",
		Example: "  flotilla serve --config /etc/flotilla/flotilla.toml",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := node.ReadConfig(config)
			if err != nil {
				return err
			}
			return serve(c.Context(), cfg)
		},
	}
	c.Flags().StringVar(&config, "config", "/etc/flotilla/flotilla.toml", "configuration file")
	return c
}

func serve(ctx context.Context, cfg node.Config) error {
	if os.Getenv("GOGC") == "" {
		go tuneCollector(ctx)
	}
	log, err := newLogger(cfg.Log)
	if err != nil {
		return err
	}
	n, err := node.New(cfg, log, exit)
	if err != nil {
		return err
	}
	if err := n.WritePID(); err != nil {
		return errors.Join(err, n.Stop(context.Background()))
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-n.Stopping():
			cancel()
		case <-ctx.Done():
		}
	}()
	watchdog := startWatchdog(ctx, log, n.Alive)
	err = n.Start(ctx)
	if err == nil {
		notify(log, daemon.SdNotifyReady)
		<-ctx.Done()
	}
	if n.Restart() == "" {
		notify(log, daemon.SdNotifyStopping)
	}
	if err == nil {
		drain(n, log)
	} else if ctx.Err() != nil {
		err = nil // stopped while starting
	}
	cancel()
	<-watchdog
	end, stop := context.WithTimeout(context.Background(), stopTime)
	defer stop()
	if err := errors.Join(err, n.Stop(end)); err != nil || n.Restart() == "" {
		return err
	}
	return beginAnew(n.Restart())
}

// exit ends the process at once. With node.ExitAnew it begins anew, as it would under a supervisor: what it had open is gone,
// and nobody was told.
func exit(code int) {
	if code == node.ExitAnew {
		if self, err := os.Executable(); err == nil {
			_ = beginAnew(self) // it returns only when it failed; then the supervisor starts it
		}
		code = exitRestart
	}
	os.Exit(code)
}

// beginAnew puts another program in the place of this one. The process stays the same for whoever supervises it: systemd
// sees its service ready again, and a dev cluster needs nobody to start it.
func beginAnew(program string) error {
	// #nosec G204 -- the node has checked whose program it is
	err := syscall.Exec(program, append([]string{program}, os.Args[1:]...), os.Environ())
	return restartError{fmt.Errorf("begin %s: %w", program, err)}
}

func drain(n *node.Node, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(context.Background(), node.DrainTime)
	defer cancel()
	if _, err := n.Drain(ctx); err != nil {
		log.Warn("drain not complete", "code", "FL-1014", "err", err)
	}
}

func notify(log *slog.Logger, state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		log.Warn("cannot tell systemd", "code", "FL-1015", "state", state, "err", err)
	}
}

// startWatchdog tells systemd that the node works, as often as it wants to hear it, as long as alive says so.
func startWatchdog(ctx context.Context, log *slog.Logger, alive func(context.Context) error) <-chan struct{} {
	done := make(chan struct{})
	every, err := daemon.SdWatchdogEnabled(false)
	if err != nil || every == 0 {
		close(done)
		return done
	}
	go func() {
		defer close(done)
		t := time.NewTicker(every / 2)
		defer t.Stop()
		for {
			select {
			case <-t.C:
				feed(ctx, log, every/4, alive)
			case <-ctx.Done():
				return
			}
		}
	}()
	return done
}

func feed(ctx context.Context, log *slog.Logger, limit time.Duration, alive func(context.Context) error) {
	asked, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := alive(asked); err != nil && ctx.Err() == nil {
		log.Error("the node is stuck: systemd will end it unless it recovers", "code", "FL-1021", "err", err)
		return
	}
	_, _ = daemon.SdNotify(false, daemon.SdNotifyWatchdog) // if it does not arrive, systemd acts
}

func newLogger(c node.Log) (*slog.Logger, error) {
	level, err := c.Lowest()
	if err != nil {
		return nil, err
	}
	opts := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(os.Stderr, opts)), nil
	}
	return slog.New(slog.NewTextHandler(os.Stderr, opts)), nil
}
