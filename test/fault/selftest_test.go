package fault

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/internal/selftest"
	"github.com/flotilla-mail/flotilla/test/devtest"
)

// TestPromises lets clients use mailboxes over every protocol while faults come, and judges what they saw. The long form,
// `make chaos MINUTES=60`, has all kinds of faults.
func TestPromises(t *testing.T) {
	minutes := setting(t, "FLOTILLA_SELFTEST_MINUTES", 0)
	c := devtest.Start(t, 0)
	target, err := selftest.DevTarget(c)
	if err != nil {
		t.Fatal(err)
	}
	config := selftest.Config{Target: target, Duration: time.Duration(minutes) * time.Minute, Seed: uint64(setting(t, "SEED", 1)),
		Trouble: true, Faults: selftest.Kinds(), History: filepath.Join(t.TempDir(), "history")}
	if minutes == 0 {
		config.Duration, config.Faults = 8*time.Second, []selftest.Kind{selftest.CutIn, selftest.TornTail, selftest.DiskSlow, selftest.DiskFull}
	}
	config.Least = len(config.Faults)
	if dir := os.Getenv("FLOTILLA_HISTORY"); dir != "" {
		config.History = filepath.Join(dir, time.Now().UTC().Format("20060102-150405")+".history")
	}
	ctx, cancel := context.WithTimeout(context.Background(), config.Duration+15*time.Minute)
	defer cancel()
	report, err := selftest.Run(ctx, config)
	if err != nil {
		t.Fatal(err)
	}
	for i := range report.Verdict.Violations {
		t.Errorf("%s", report.Verdict.Violations[i].String())
	}
	t.Logf("%+v; faults %v; unavailable for %v ms", *report.Verdict, report.Faults, report.Gaps)
	for _, kind := range config.Faults {
		if report.Faults[kind] == 0 {
			t.Errorf("no fault of kind %s", kind)
		}
	}
	devtest.NoLateAnswers(ctx, t, c)
	for _, protocol := range []string{"imap", "smtp", "lmtp", "admin"} {
		if report.Gaps[protocol] <= 0 {
			t.Errorf("nothing is known of the availability for %s: %v", protocol, report.Gaps)
		}
	}
	if !report.Verdict.OK() || report.Verdict.Mails == 0 {
		t.Errorf("the history is in %s", kept(t, config.History))
	}
	if os.Getenv("FLOTILLA_RECORD") != "" && minutes > 0 {
		devtest.Record(t, "promises", map[string]any{"seed": report.Seed, "minutes": minutes, "faults": report.Faults,
			"operations": report.Verdict.Operations, "mails acknowledged": report.Verdict.Mails, "operations of unknown outcome": report.Verdict.Unknown,
			"violations": len(report.Verdict.Violations), "slowest acknowledged operation in ms": report.Slowest,
			"longest time without an answer in ms": report.Gaps})
	}
}

// kept takes a history out of the test's folder, which goes with the test.
func kept(t *testing.T, path string) string {
	t.Helper()
	to := filepath.Join(os.TempDir(), "flotilla-"+filepath.Base(filepath.Dir(filepath.Dir(path)))+".history")
	octets, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(to, octets, 0o600)
	}
	if err != nil {
		t.Error(err)
		return path
	}
	return to
}
