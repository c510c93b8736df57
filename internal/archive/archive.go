// Package archive carries mailboxes out of the store and into it: as mbox, Maildir, EML, TNEF, iCalendar and vCard, and in
// an archive of its own that has everything a message is.
//
// It knows files, formats and ops; never where a mailbox lives or how it is stored. Messages stream through it: what it has in
// memory does not grow with the mailbox but for a few bytes a message. Invariant: an import that is done again, after it was
// cut off or was whole, stores nothing twice, since each message that it stores carries an import key of what it was made of
// and where that belongs. docs/design/archive.md says what each format keeps.
package archive

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/auth"
	"github.com/flotilla-mail/flotilla/internal/convert/timezone"
	"github.com/flotilla-mail/flotilla/internal/mailflow/deliver"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// Job is one import or export.
type Job struct {
	Caller  exmdb.Caller
	Mailbox mapi.MailboxID
	// Format is one of Formats; empty goes by Path.
	Format string
	// Path is the file or folder that is read or written.
	Path string
	// Folder is the path of a folder of the mailbox, as Inbox/Projects: of an export what it is of, of an import where it goes.
	// Empty leaves it to the format.
	Folder string
	// Zone is the time zone, by its name in the tz database or Windows', that days and times of a calendar are in which name none;
	// empty is UTC.
	Zone string
	// Own are the addresses of the mailbox: of a calendar, the meetings of others are those that its owner was asked to. Empty makes all
	// of them his.
	Own []string
	// Spool is a folder for mails under way that are too long for memory; empty is the system's.
	Spool string
	// Limit is the longest mail in octets, zero the store's.
	Limit int64
	// Progress, if set, is told how far the job is, after each message.
	Progress func(Progress)
	// Warn, if set, is told what was passed over, and why.
	Warn func(what string, err error)
}

// Progress is how far a job is, and at its end what it has done.
type Progress struct {
	// Folder is what is being worked on.
	Folder string `json:"folder"`
	// Messages were carried; Known were there already; Failed were passed over.
	Messages int `json:"messages"`
	Known    int `json:"known"`
	Failed   int `json:"failed"`
	// Bytes of Of have been read or written; Of is zero where that is not known before.
	Bytes int64 `json:"bytes"`
	Of    int64 `json:"of,omitempty"`
}

// ErrInput says that what is to be imported is not of its format, or is damaged.
var ErrInput = errors.New("bad input")

// ErrJob says that a job cannot be done as it is asked for.
var ErrJob = errors.New("cannot be done so")

// format is a row of the table of formats.
type format struct {
	name string
	// suffixes are the ends of the names of its files; the first is that of files that are written.
	suffixes []string
	read     func(*job) error
	write    func(*job) error
	// carried says whether a folder is exported when none is named.
	carried func(*exmdb.Folder) bool
}

// formats is the table of formats.
func formats() []format {
	return []format{
		{"archive", []string{".flotilla"}, (*job).readArchive, (*job).writeArchive, everything},
		{"mbox", []string{".mbox", ".mbx"}, (*job).readMbox, (*job).writeMbox, showsMail},
		{"maildir", nil, (*job).readMaildir, (*job).writeMaildir, showsMail},
		{"eml", []string{".eml"}, (*job).readEML, (*job).writeEML, showsMail},
		{"tnef", []string{".tnef", ".dat"}, (*job).readTNEF, (*job).writeTNEF, inIPM},
		{"ical", []string{".ics", ".ical"}, (*job).readICal, (*job).writeICal, ofClass("IPF.Appointment", "IPF.Task", "IPF.Journal")},
		{"vcard", []string{".vcf", ".vcard"}, (*job).readVCard, (*job).writeVCard, ofClass("IPF.Contact")},
	}
}

// Formats are the names of the formats.
func Formats() []string {
	var names []string
	for _, f := range formats() {
		names = append(names, f.name)
	}
	return names
}

func everything(*exmdb.Folder) bool  { return true }
func showsMail(f *exmdb.Folder) bool { return f.IMAP && !f.Search }
func inIPM(f *exmdb.Folder) bool     { return !f.Search }

func ofClass(classes ...string) func(*exmdb.Folder) bool {
	return func(f *exmdb.Folder) bool {
		return !f.Search && slices.ContainsFunc(classes, func(c string) bool { return isClass(f.Class, c) })
	}
}

// isClass reports whether a class is another or below it.
func isClass(class, of string) bool {
	return len(class) >= len(of) && strings.EqualFold(class[:len(of)], of) && (len(class) == len(of) || class[len(of)] == '.')
}

// job is a Job under way.
type job struct {
	Job
	ctx    context.Context // of the one call that the job is
	format *format
	tree   *tree
	done   Progress
	// ingest takes mails in for owner. known are the import keys of folders.
	ingest *deliver.Deliverer
	owner  *auth.Principal
	known  map[place]*keys
	// granted are MIDs for messages to come.
	granted exmdb.LocalReplicaIDsResponse
	left    uint32
}

// Import brings what is at a path into a mailbox, and says how far it got, also with an error.
func Import(ctx context.Context, j Job) (Progress, error) {
	info, err := os.Stat(j.Path)
	if err != nil {
		return Progress{}, fmt.Errorf("%w: %w", ErrInput, err)
	}
	run, err := begin(ctx, &j, formatOf(&j, info))
	if err != nil {
		return Progress{}, err
	}
	if info.Mode().IsRegular() {
		run.done.Of = info.Size()
	}
	return run.end(run.format.read(run))
}

// Export writes a mailbox, or a folder with what is below it, to a path.
func Export(ctx context.Context, j Job) (Progress, error) {
	run, err := begin(ctx, &j, formatOf(&j, nil))
	if err != nil {
		return Progress{}, err
	}
	if j.Folder != "" && run.tree.find(j.Folder) == nil {
		return Progress{}, cluster.Errorf(exmdb.KindNoFolder, "no folder %q", j.Folder)
	}
	for _, f := range run.chosen() {
		run.done.Of += int64(f.Size)
	}
	return run.end(run.format.write(run))
}

// end is how a job ends: what failed by itself does not make it fail, but is told.
func (j *job) end(err error) (Progress, error) {
	j.tell()
	return j.done, err
}

func begin(ctx context.Context, j *Job, f *format) (*job, error) {
	run := &job{Job: *j, ctx: ctx, format: f, known: map[place]*keys{}}
	if run.Limit == 0 {
		run.Limit = exmdb.MaxMessage
	}
	if f == nil {
		return nil, fmt.Errorf("%w: the format of %s is not known by its name: say one of %s", ErrJob, j.Path, strings.Join(Formats(), ", "))
	}
	run.ingest = &deliver.Deliverer{Caller: j.Caller, Spool: j.Spool, Limit: run.Limit}
	run.owner = &auth.Principal{Identity: exmdb.System, Mailbox: j.Mailbox, Zone: j.Zone}
	if _, known := timezone.Load(j.Zone); j.Zone != "" && !known {
		return nil, fmt.Errorf("%w: %q is no time zone", ErrJob, j.Zone)
	}
	var err error
	run.tree, err = readTree(ctx, j.Caller, j.Mailbox)
	return run, err
}

// formatOf is the format that is named, or that a path has by its name or by what is there.
func formatOf(j *Job, info fs.FileInfo) *format {
	all := formats()
	suffix := strings.ToLower(filepath.Ext(j.Path))
	for i := range all {
		f := &all[i]
		maildir := f.name == "maildir" && info != nil && info.IsDir() && exists(filepath.Join(j.Path, "cur"))
		if j.Format == f.name || j.Format == "" && (slices.Contains(f.suffixes, suffix) || maildir) {
			return f
		}
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func do[Q, R any](j *job, op exmdb.Op[Q, R], req *Q) (*R, error) {
	return exmdb.Do(j.ctx, j.Caller, exmdb.System, j.Mailbox, op, req)
}

// tell says how far the job is.
func (j *job) tell() {
	if j.Progress != nil {
		j.Progress(j.done)
	}
}

// pass passes something over that cannot be carried.
func (j *job) pass(what string, err error) {
	j.done.Failed++
	if j.Warn != nil {
		j.Warn(what, err)
	}
}

// carried counts a message of so many bytes.
func (j *job) carried(bytes int64) {
	j.done.Messages++
	j.done.Bytes += bytes
	j.tell()
}

// bad reports whether an error is about one message, so that the others can still be carried.
func bad(err error) bool {
	switch cluster.KindOf(err) {
	case exmdb.KindTooBig, exmdb.KindBadContent, cluster.KindTooLarge, cluster.KindBadRequest, exmdb.KindNoMessage, exmdb.KindConflict,
		exmdb.KindNameLimit, exmdb.KindKeywordLimit:
		return true
	}
	return errors.Is(err, ErrInput)
}

// each does something with one message: what is bad about it is told and passed over, any other error ends the job.
func (j *job) each(what string, err error) error {
	if err != nil && bad(err) && j.ctx.Err() == nil {
		j.pass(what, err)
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// sum is the hash that import keys are made of.
type sum = [sha256.Size]byte
