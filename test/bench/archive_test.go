package bench

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/internal/dev"
	"github.com/flotilla-mail/flotilla/test/devtest"
)

// Of imports and exports: the most memory that the command line takes, and the megabytes of the mailbox up to which that is asked.
const (
	transferMemory  = 200 << 20
	transferLargest = 10 << 10
)

// TestArchive: what the command line needs to bring a mailbox from an mbox, to write it into an archive, and to bring that
// into another mailbox: of mailboxes of FLOTILLA_ARCHIVE_MB, of a tenth and three tenths of that. As the memory grows
// over these, it may go on growing up to 10 GB and not be too much; below 100 MB the garbage collector is not at its pace yet.
func TestArchive(t *testing.T) {
	only(t)
	megabytes := count("FLOTILLA_ARCHIVE_MB", 1000)
	c := devtest.StartGroups(t, 3, 3)
	results := map[string]any{}
	least := map[string]int64{}
	for round, size := range []int{megabytes / 10, megabytes * 3 / 10, megabytes} {
		dir := t.TempDir()
		source, archive := filepath.Join(dir, "in.mbox"), filepath.Join(dir, "box.flotilla")
		mails := writeMbox(t, source, int64(size)<<20)
		from, to := fmt.Sprintf("u%d@%s", round+1, dev.Domain), []string{"alice@", "bob@", "carol@"}[round]+dev.Domain
		for _, x := range []struct {
			name string
			args []string
		}{
			{"import mbox", []string{"import", from, source}}, {"export archive", []string{"export", from, archive}},
			{"import archive", []string{"import", to, archive}}, {"import again", []string{"import", from, source}},
		} {
			took, peak := transfer(t, c, x.args)
			results[fmt.Sprintf("%s of %d MB, %d mails", x.name, size, mails)] = map[string]any{"s": took.Seconds(), "MB/s": float64(size) / took.Seconds(),
				"peak MB": peak >> 20}
			if peak > transferMemory {
				t.Errorf("%s of %d MB took %d MB", x.name, size, peak>>20)
			}
			if round == 0 {
				least[x.name] = peak
			}
			was, grown := least[x.name], int64(size-megabytes/10)
			if size == megabytes && peak+(peak-was)*int64(transferLargest-size)/grown > transferMemory {
				t.Errorf("%s took %d MB of memory for a mailbox of %d MB, %d MB for one of %d", x.name, was>>20, megabytes/10, peak>>20, size)
			}
		}
		if err := os.RemoveAll(dir); err != nil { // the disk is the nodes'
			t.Fatal(err)
		}
	}
	devtest.Record(t, "archive", results)
}

// writeMbox writes mails until there are so many bytes: mostly of 75 KiB, one in a hundred of 5 MB.
func writeMbox(t *testing.T, path string, size int64) (mails int) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriterSize(f, 1<<20)
	random := rand.New(rand.NewPCG(1, uint64(size)))
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	line := make([]byte, 76)
	for written := int64(0); written < size; mails++ {
		n, _ := fmt.Fprintf(w, "From a@example.org Mon Jan  1 00:00:00 2024\nSubject: mail %d\nMessage-ID: <%d@example.org>\nMIME-Version: 1.0\n"+
			"Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/html\n\n<p>mail %d\n--b\nContent-Type: application/octet-stream; name=a.bin\n"+
			"Content-Transfer-Encoding: base64\n\n", mails, mails, mails) // Flush tells
		lines := 75 << 10 / 77
		if mails%100 == 99 {
			lines = 5 << 20 / 77
		}
		for range lines {
			for i := range line {
				line[i] = letters[random.IntN(len(letters))]
			}
			_, _ = w.Write(line)  // Flush tells
			_ = w.WriteByte('\n') // Flush tells
		}
		_, _ = io.WriteString(w, "--b--\n\n") // Flush tells
		written += int64(n) + int64(lines)*77
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return mails
}

// transfer runs a command and says how long it took and how much memory at the most.
func transfer(t *testing.T, c *dev.Cluster, args []string) (took time.Duration, peak int64) {
	t.Helper()
	begun := time.Now()
	cmd := exec.CommandContext(t.Context(), c.Program, append([]string{"mailbox", "--dir", c.Dir}, args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		t.Fatal("how much memory a process took is not known here")
	}
	return time.Since(begun), usage.Maxrss << 10
}
