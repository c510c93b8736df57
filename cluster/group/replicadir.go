package group

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/internal/lsm"
)

// A replica's directory holds
//
//	IDENTITY           who it is: written once, after everything else
//	ACTIVE             the name of the state directory in use, replaced by rename
//	state-<n>          a state engine's files; the highest n that ACTIVE has named is in use
//	state-<n>.tmp      a snapshot on its way in, removed at open
//	send-<n>           a checkpoint on its way out, removed at open
const (
	identityFile = "IDENTITY"
	activeFile   = "ACTIVE"
	statePrefix  = "state-"
	sendPrefix   = "send-"
	tmpSuffix    = ".tmp"
)

// identity is the IDENTITY file: magic | version u8 | group u32 | incarnation u64 | suffrage u8 |
// recovery epoch u32 | level u32 | log store id 16 | stable store id 16 | crc32c u32.
type identity struct {
	group       cluster.GroupID
	incarnation uint64
	// suffrage is what the replica was made as; a witness never becomes anything else (CLUSTER 7.5).
	suffrage Suffrage
	// recovery is the recovery epoch the replica belongs to (CLUSTER 7.3).
	recovery uint32
	// level is the cluster level its forms were written at (CLUSTER 7.2).
	level uint32
	// logStore and stableStore are the stores it has its log and votes in (CLUSTER 5.3).
	logStore, stableStore [16]byte
}

const (
	identityMagic   = "FLRI"
	identityVersion = 1
	identitySize    = 4 + 1 + 4 + 8 + 1 + 4 + 4 + 16 + 16 + 4
)

func (i identity) encode() []byte {
	b := append([]byte(identityMagic), identityVersion)
	b = binary.LittleEndian.AppendUint32(b, uint32(i.group))
	b = binary.LittleEndian.AppendUint64(b, i.incarnation)
	b = append(b, byte(i.suffrage))
	b = binary.LittleEndian.AppendUint32(b, i.recovery)
	b = binary.LittleEndian.AppendUint32(b, i.level)
	b = append(b, i.logStore[:]...)
	b = append(b, i.stableStore[:]...)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func decodeIdentity(b []byte) (identity, error) {
	if len(b) != identitySize || string(b[:4]) != identityMagic {
		return identity{}, errors.New("identity file is not one")
	}
	body, sum := b[:identitySize-4], binary.LittleEndian.Uint32(b[identitySize-4:])
	if crc32.Checksum(body, castagnoli) != sum {
		return identity{}, errors.New("identity file is damaged")
	}
	if b[4] != identityVersion {
		return identity{}, fmt.Errorf("identity file of version %d", b[4])
	}
	r := &reader{b: body[5:]}
	i := identity{group: cluster.GroupID(r.u32()), incarnation: r.u64(), suffrage: Suffrage(r.u8()),
		recovery: r.u32(), level: r.u32()}
	copy(i.logStore[:], r.take(16))
	copy(i.stableStore[:], r.take(16))
	return i, r.done()
}

func drawIncarnation() (uint64, error) {
	var b [8]byte
	if _, err := rand.Read(b[:]); err != nil {
		return 0, fmt.Errorf("draw incarnation: %w", err)
	}
	return binary.LittleEndian.Uint64(b[:]) | 1, nil
}

// replicaDir is one replica's directory.
type replicaDir struct {
	fs   lsm.FS
	path string
	pace *pace // of the state's copies
}

func (d replicaDir) join(name string) string { return d.fs.PathJoin(d.path, name) }

// files are those of a folder in it.
func (d replicaDir) files(folder string) snapshotFiles {
	return snapshotFiles{d.fs, d.join(folder), d.pace}
}

// readIdentity returns nil without an error when the directory holds no replica.
func (d replicaDir) readIdentity() (*identity, error) {
	b, err := readFile(d.fs, d.join(identityFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	i, err := decodeIdentity(b)
	if err != nil {
		return nil, cluster.Errorf(cluster.KindDamaged, "%s: %v", d.path, err)
	}
	return &i, nil
}

// create makes the directory.
func (d replicaDir) create() error {
	if err := d.fs.MkdirAll(d.path, 0o755); err != nil {
		return err
	}
	return syncDir(d.fs, d.fs.PathDir(d.path))
}

// writeIdentity makes the directory a replica's.
func (d replicaDir) writeIdentity(i identity) error {
	return replaceFile(d.fs, d.path, identityFile, i.encode())
}

func removeIfThere(fs lsm.FS, path string) error {
	if err := fs.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// activeState is the ACTIVE file, one line: the directory, a blank, and the index of the snapshot it came from, 0 if
// the state was built from the log.
type activeState struct {
	name   string
	origin uint64
}

// active is the state directory in use; its name is empty before the first.
func (d replicaDir) active() (activeState, error) {
	b, err := readFile(d.fs, d.join(activeFile))
	if errors.Is(err, os.ErrNotExist) {
		return activeState{}, nil
	}
	if err != nil {
		return activeState{}, err
	}
	name, index, _ := strings.Cut(strings.TrimSuffix(string(b), "\n"), " ")
	origin, err := strconv.ParseUint(index, 10, 64)
	if _, ok := stateNumber(name); !ok || err != nil {
		return activeState{}, cluster.Errorf(cluster.KindDamaged, "%s: holds %q", d.join(activeFile), b)
	}
	return activeState{name, origin}, nil
}

// activate switches to a state directory, which must be whole and durable.
func (d replicaDir) activate(a activeState) error {
	return replaceFile(d.fs, d.path, activeFile, fmt.Appendf(nil, "%s %d\n", a.name, a.origin))
}

func stateName(n uint64) string { return fmt.Sprintf("%s%012d", statePrefix, n) }

func stateNumber(name string) (uint64, bool) {
	digits, ok := strings.CutPrefix(name, statePrefix)
	if !ok || len(digits) < 12 || len(digits) > 19 {
		return 0, false
	}
	var n uint64
	for _, c := range []byte(digits) {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	return n, true
}

// clean removes everything but the active state: snapshots that were received and never switched in, states that
// were switched out, checkpoints that were being sent. It returns the highest number a state has had.
func (d replicaDir) clean(active string) (uint64, error) {
	names, err := d.fs.List(d.path)
	if err != nil {
		return 0, err
	}
	highest, _ := stateNumber(active)
	for _, name := range names {
		n, isState := stateNumber(strings.TrimSuffix(name, tmpSuffix))
		if isState {
			highest = max(highest, n)
		}
		if name == active || !isState && !strings.HasPrefix(name, sendPrefix) {
			continue
		}
		if err := d.fs.RemoveAll(d.join(name)); err != nil {
			return 0, err
		}
	}
	return highest, nil
}

// replaceFile writes a small file durably: it holds either what it held or all of data.
func replaceFile(fs lsm.FS, dir, name string, data []byte) error {
	tmp := fs.PathJoin(dir, name+tmpSuffix)
	if err := writeFile(fs, tmp, data); err != nil {
		return err
	}
	if err := fs.Rename(tmp, fs.PathJoin(dir, name)); err != nil {
		return err
	}
	return syncDir(fs, dir)
}

func writeFile(fs lsm.FS, path string, data []byte) error {
	f, err := fs.Create(path, writeCategory)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func readFile(fs lsm.FS, path string) ([]byte, error) {
	f, err := fs.Open(path)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(f)
	return b, errors.Join(err, f.Close())
}

func syncDir(fs lsm.FS, path string) error {
	f, err := fs.OpenDir(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// writeCategory is what the engine's file systems account our own files under.
const writeCategory = "unspecified"

// snapshotFiles reads a directory as a stream's files.
type snapshotFiles struct {
	fs   lsm.FS
	dir  string
	pace *pace
}

// Files implements fileSource.
func (s snapshotFiles) Files() ([]streamFile, error) {
	names, err := s.fs.List(s.dir)
	if err != nil {
		return nil, err
	}
	var files []streamFile
	for _, name := range names {
		info, err := s.fs.Stat(s.fs.PathJoin(s.dir, name))
		if err != nil {
			return nil, err
		}
		if info.IsDir() {
			return nil, fmt.Errorf("snapshot holds a directory, %s", name)
		}
		files = append(files, streamFile{name: name, size: info.Size()})
	}
	return files, nil
}

// Open implements fileSource.
func (s snapshotFiles) Open(name string) (io.ReadCloser, error) {
	f, err := s.fs.Open(s.fs.PathJoin(s.dir, name))
	if err != nil {
		return nil, err
	}
	return pacedReader{f, s.pace}, nil
}

// Create implements fileTarget.
func (s snapshotFiles) Create(name string) (io.WriteCloser, error) {
	f, err := s.fs.Create(s.fs.PathJoin(s.dir, name), writeCategory)
	if err != nil {
		return nil, err
	}
	return newPacedWriter(f, s.pace), nil
}
