package store

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

const (
	// maxReceiveFolders bounds the receive-folder table, maxClass a message class.
	maxReceiveFolders = 256
	maxClass          = 255
)

// givenReceiveFolders is what the table has before anyone says otherwise (MS-OXCSTOR 3.2.5.2).
var givenReceiveFolders = []struct {
	class  string
	folder mapi.FID
	// kept: the row is not changed by clients.
	kept bool
}{
	{"", schema.Inbox, false},
	{"IPC", schema.Root, false},
	{"IPM", schema.Inbox, true},
	{"REPORT.IPM", schema.Inbox, true},
}

func foldClass(class string) string { return strings.ToLower(class) }

// checkClass holds what a client may call a message class (MS-OXCSTOR 2.2.1.3.1).
func checkClass(class string) error {
	bad := len(class) > maxClass || strings.HasPrefix(class, ".") || strings.HasSuffix(class, ".") || strings.Contains(class, "..") ||
		strings.ContainsFunc(class, func(r rune) bool { return r < ' ' || r > '~' })
	if bad {
		return cluster.Errorf(cluster.KindBadRequest, "message class of %d bytes", len(class))
	}
	return nil
}

// receiveRows is the table by folded class.
func (v *view) receiveRows() (map[string]exmdb.ReceiveFolder, error) {
	rows := make(map[string]exmdb.ReceiveFolder)
	for _, given := range givenReceiveFolders {
		if fixed := schema.Fixed(given.folder); fixed.In(v.header.Kind) {
			rows[foldClass(given.class)] = exmdb.ReceiveFolder{Class: given.class, Folder: given.folder, Modified: v.header.Created}
		}
	}
	if v.header.ReceiveFolders == 0 {
		return rows, nil
	}
	it := v.r.Iter([]byte{schema.PrefixReceive}, []byte{schema.PrefixReceive + 1})
	var err error
	for it.Next() && err == nil {
		var row schema.ReceiveFolder
		err = schema.Decode(it.Value(), &row)
		rows[foldClass(row.Class)] = exmdb.ReceiveFolder{Class: row.Class, Folder: mapi.LocalFID(row.Folder), Modified: row.Modified.Time()}
	}
	if cerr := it.Close(); err == nil {
		err = cerr
	}
	return rows, err
}

// receives is where mail of a class comes in: by the row whose class is the longest beginning of it, up to a point.
// Rows of folders that are gone do not count.
func (v *view) receives(class string) (exmdb.ReceiveFolder, error) {
	rows, err := v.receiveRows()
	if err != nil {
		return exmdb.ReceiveFolder{}, err
	}
	for at := foldClass(class); ; at = at[:max(strings.LastIndexByte(at, '.'), 0)] {
		if row, found := rows[at]; found {
			_, err := v.folderCounts(row.Folder)
			if cluster.KindOf(err) != exmdb.KindNoFolder || err == nil {
				return row, err
			}
		}
		if at == "" {
			return exmdb.ReceiveFolder{}, cluster.Errorf(exmdb.KindNoFolder, "no folder receives %q", class)
		}
	}
}

// receiveFolder is OpReceiveFolder.
func receiveFolder(v *view, req *exmdb.ReceiveFolderRequest) (*exmdb.ReceiveFolder, error) {
	if err := checkClass(req.Class); err != nil {
		return nil, err
	}
	row, err := v.receives(req.Class)
	return &row, err
}

// receiveFolders is OpReceiveFolders.
func receiveFolders(v *view, _ *exmdb.Empty) (*exmdb.ReceiveFoldersResponse, error) {
	rows, err := v.receiveRows()
	resp := &exmdb.ReceiveFoldersResponse{Rows: slices.Collect(maps.Values(rows))}
	slices.SortFunc(resp.Rows, func(a, b exmdb.ReceiveFolder) int { return cmp.Compare(foldClass(a.Class), foldClass(b.Class)) })
	return resp, err
}

// setReceiveFolder is OpSetReceiveFolder (MS-OXCSTOR 3.2.5.3). What all mail of people comes into is not changed.
func setReceiveFolder(t *tx, req *exmdb.SetReceiveFolderRequest) (*exmdb.Empty, error) {
	if err := checkClass(req.Class); err != nil {
		return nil, err
	}
	if req.Class == "" && req.Folder == 0 {
		return nil, cluster.Errorf(cluster.KindBadRequest, "what has no class of its own comes in somewhere")
	}
	for _, given := range givenReceiveFolders {
		if given.kept && foldClass(given.class) == foldClass(req.Class) {
			return nil, cluster.Errorf(exmdb.KindAccessDenied, "the receive folder of %q stays", req.Class)
		}
	}
	key := schema.ReceiveKey(foldClass(req.Class))
	stored, err := t.r.Get(key)
	if err != nil {
		return nil, err
	}
	if req.Folder == 0 {
		if stored != nil {
			t.w.Delete(key)
			t.countReceiveFolders(t.header.ReceiveFolders - 1)
		}
		return &exmdb.Empty{}, nil
	}
	if c, err := t.folderCounts(req.Folder); err != nil || c.Search {
		return nil, orElse(err, errSearchFolder(req.Folder))
	}
	if stored == nil {
		if t.header.ReceiveFolders >= maxReceiveFolders {
			return nil, cluster.Errorf(cluster.KindTooLarge, "the receive-folder table has %d rows", t.header.ReceiveFolders)
		}
		t.countReceiveFolders(t.header.ReceiveFolders + 1)
	}
	t.set(key, &schema.ReceiveFolder{Class: req.Class, Folder: req.Folder.Counter(), Modified: mapi.FileTimeOf(t.now)})
	return &exmdb.Empty{}, nil
}

// countReceiveFolders keeps the number of rows in the header, so that a delivery looks for none where there are none.
func (t *tx) countReceiveFolders(n uint16) {
	t.header.ReceiveFolders = n
	t.set(schema.HeaderKey(), &t.header)
}

// inbox is where a delivery goes by the class of the mail.
func (v *view) inbox(bag *mapi.PropBag) (mapi.FID, error) {
	if v.header.ReceiveFolders == 0 {
		return schema.Inbox, nil
	}
	class, ok := bag.Get(mapi.PidTagMessageClass).(mapi.String)
	if !ok {
		class = defaultClass
	}
	row, err := v.receives(string(class))
	return row.Folder, err
}
