package group

import (
	"fmt"
	"io"
	"log"
	"strings"

	"github.com/hashicorp/go-hclog"
)

// raftLogger turns what raft logs into events: raft reports some things nowhere else.
type raftLogger struct {
	hclog.Logger // of the methods that are not overridden: a logger that writes nothing
	emit         func(level hclog.Level, text string)
	args         []interface{}
}

// newRaftLogger makes a logger that emits lines at or above level.
func newRaftLogger(level hclog.Level, emit func(level hclog.Level, text string)) hclog.Logger {
	null := hclog.New(&hclog.LoggerOptions{Output: io.Discard, Level: level})
	return &raftLogger{Logger: null, emit: emit}
}

// Log implements hclog.Logger.
func (l *raftLogger) Log(level hclog.Level, msg string, args ...interface{}) {
	if level < l.GetLevel() {
		return
	}
	var b strings.Builder
	b.WriteString(msg)
	for i, a := range append(append([]interface{}(nil), l.args...), args...) {
		switch {
		case i%2 == 0:
			fmt.Fprintf(&b, " %v=", a)
		default:
			fmt.Fprintf(&b, "%v", formatted(a))
		}
	}
	l.emit(level, b.String())
}

func formatted(a interface{}) interface{} {
	if f, ok := a.(hclog.Format); ok && len(f) > 0 {
		if format, ok := f[0].(string); ok {
			return fmt.Sprintf(format, f[1:]...)
		}
	}
	return a
}

// The levels of hclog.Logger.
func (l *raftLogger) Trace(msg string, args ...interface{}) { l.Log(hclog.Trace, msg, args...) }
func (l *raftLogger) Debug(msg string, args ...interface{}) { l.Log(hclog.Debug, msg, args...) }
func (l *raftLogger) Info(msg string, args ...interface{})  { l.Log(hclog.Info, msg, args...) }
func (l *raftLogger) Warn(msg string, args ...interface{})  { l.Log(hclog.Warn, msg, args...) }
func (l *raftLogger) Error(msg string, args ...interface{}) { l.Log(hclog.Error, msg, args...) }

// With implements hclog.Logger.
func (l *raftLogger) With(args ...interface{}) hclog.Logger {
	return &raftLogger{Logger: l.Logger, emit: l.emit, args: append(append([]interface{}(nil), l.args...), args...)}
}

// Named implements hclog.Logger; the group's number, which its owner adds, names it better.
func (l *raftLogger) Named(string) hclog.Logger { return l }

// ResetNamed implements hclog.Logger.
func (l *raftLogger) ResetNamed(string) hclog.Logger { return l }

// StandardLogger implements hclog.Logger.
func (l *raftLogger) StandardLogger(*hclog.StandardLoggerOptions) *log.Logger {
	return log.New(l.StandardWriter(nil), "", 0)
}

// StandardWriter implements hclog.Logger.
func (l *raftLogger) StandardWriter(*hclog.StandardLoggerOptions) io.Writer { return io.Discard }
