package smtp

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/internal/mailflow"
)

// Data implements smtp.Session. One answer stands for all recipients: 250 when the mail is stored for one at least and
// none is left that it could be stored for later; sending it again does no harm where it is stored (MAILBOX 7).
func (x *session) Data(r io.Reader) error {
	in, err := x.begin(r)
	if err != nil {
		return err
	}
	defer x.server.open.Done()
	results, err := x.take(in, r)
	if err != nil {
		return x.refuseFor(x.conn.ctx, "DATA", err)
	}
	ok, refusal := 0, (*smtp.SMTPError)(nil)
	for i := range results {
		if results[i].Err == nil {
			ok++
			continue
		}
		if st, _ := statusOf(results[i].Err); refusal == nil || st.Temporary() && !refusal.Temporary() {
			refusal = st
		}
	}
	if refusal != nil && (ok == 0 || refusal.Temporary()) {
		return x.refuse("DATA", refusal)
	}
	x.answered("DATA", stored.Code)
	return stored
}

// lmtpSession answers for each recipient (RFC 2033 4.2).
type lmtpSession struct{ *session }

// LMTPData implements smtp.LMTPSession.
func (x lmtpSession) LMTPData(r io.Reader, status smtp.StatusCollector) error {
	in, err := x.begin(r)
	if err != nil {
		return err
	}
	defer x.server.open.Done()
	results, err := x.take(in, r)
	if err != nil {
		return x.refuseFor(x.conn.ctx, "DATA", err)
	}
	for i := range results {
		if results[i].Err == nil {
			x.answered("DATA", stored.Code)
			status.SetStatus(in.given[i], stored)
			continue
		}
		st, _ := statusOf(results[i].Err)
		status.SetStatus(in.given[i], x.refuse("DATA", st))
	}
	return nil
}

// begin takes the mail out of the session, so that what the client says next cannot touch it, and counts it until the
// caller is Done.
func (x *session) begin(r io.Reader) (*intake, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed || x.mail == nil {
		return nil, refusals.cutOff
	}
	x.mail.chunks, _ = r.(*io.PipeReader)
	x.server.open.Add(1) // the connection is still counted, so Wait has not returned
	return x.mail, nil
}

// take reads the mail and stores it; there are as many results as recipients.
func (x *session) take(in *intake, r io.Reader) ([]mailflow.Result, error) {
	start := time.Now()
	x.conn.beginTransfer()
	octets := &octetReader{r: r}
	discard := func() {
		// The engine answers a chunk whose reader is gone at once, in LMTP with one reply where each recipient is due one.
		_, _ = io.Copy(io.Discard, r) // ends with the client's last chunk, or with the connection
	}
	if in.chunks == nil && x.conn.isLined() {
		dots := newDotReader(x.conn)
		octets.r, discard = dots, dots.drain
	}
	m, err := x.server.services.Mail.Receive(x.conn.ctx, octets, in.announced)
	if err != nil {
		discard()
		return nil, err
	}
	results, err := x.deliver(in, octets, m)
	size := m.Size()
	err = errors.Join(err, m.Close())
	if err != nil {
		return nil, err
	}
	x.report(in, results, size, time.Since(start))
	return results, nil
}

func (x *session) deliver(in *intake, octets *octetReader, m mailflow.Mail) ([]mailflow.Result, error) {
	if octets.received > x.server.config.MaxHops {
		return nil, refusals.loop
	}
	ctx, cancel := context.WithTimeout(x.conn.ctx, x.server.config.Store)
	defer cancel()
	ctx, stop := x.conn.watch(ctx)
	defer stop()
	results := x.server.services.Mail.Deliver(ctx, &in.env, in.to, m)
	if len(results) != len(in.to) {
		return nil, cluster.Errorf(cluster.KindInternal, "%d results for %d recipients", len(results), len(in.to))
	}
	return results, nil
}

// report tells operators what became of a mail.
func (x *session) report(in *intake, results []mailflow.Result, size int64, took time.Duration) {
	ctx, failed, again := x.conn.ctx, 0, false
	for i := range results {
		err := results[i].Err
		if err == nil {
			continue
		}
		failed++
		st, known := statusOf(err)
		again = again || st.Temporary()
		level, code := slog.LevelWarn, "SM-1001"
		if !known {
			level, code = slog.LevelError, "SM-1002"
		}
		x.log.LogAttrs(ctx, level, "not stored for a recipient", slog.String("code", code), slog.String("from", in.env.From),
			slog.String("recipient", results[i].Recipient), slog.Int("reply", st.Code), slog.Any("err", err))
	}
	n := len(results) - failed
	if n == 0 || again && x.conn.service != LMTP {
		return
	}
	x.log.LogAttrs(ctx, slog.LevelInfo, "mail stored", slog.String("from", in.env.From), slog.Int("recipients", n),
		slog.Int64("octets", size), slog.Duration("took", took))
	if f := x.server.services.Events.Taken; f != nil {
		f(x.conn.service, n, failed, size, took)
	}
}

// octetReader counts the Received fields of a mail that passes.
type octetReader struct {
	r io.Reader
	// received is how many Received fields the header has.
	received int
	body     bool
	line     []byte // the first octets of the present header line, as many as tell it
	length   int    // of the present line
}

// Read implements io.Reader.
func (o *octetReader) Read(p []byte) (int, error) {
	n, err := o.r.Read(p)
	if !o.body {
		o.scan(p[:n])
	}
	return n, err
}

const receivedField = "received:"

// scan looks at header lines until the empty one.
func (o *octetReader) scan(p []byte) {
	for _, c := range p {
		switch {
		case c == '\r':
		case c == '\n':
			if o.length == 0 {
				o.body = true
				return
			}
			o.line, o.length = o.line[:0], 0
		default:
			if o.length++; o.length > len(receivedField) {
				continue
			}
			if o.line = append(o.line, c); len(o.line) == len(receivedField) && bytes.EqualFold(o.line, []byte(receivedField)) {
				o.received++
			}
		}
	}
}
