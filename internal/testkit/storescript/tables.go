package storescript

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

const tableKeys = "[kind=associated|hierarchy|attachments|recipients|permissions|rules|deleted|deletedassociated|deletedfolders] [columns=TAGS] [sort=TAG,-TAG] [categories=N] [open=N] [where=(R)] [deep=yes] [gone=yes]"

var tableCommands = []command{
	{"table", 1, "table PATH|MESSAGE [page=N] [say=count|pace] " + tableKeys, false, (*run).table},
	{"orders", 0, "orders: how many orders of tables each node keeps of the mailbox", false, (*run).orders},
	{"seek", 1, "seek PATH part=N/M " + tableKeys, false, (*run).seek},
	{"find", 1, "find PATH for=(R) [back=yes] " + tableKeys, false, (*run).find},
}

var tableKinds = map[string]exmdb.TableKind{"contents": exmdb.TableContents, "associated": exmdb.TableAssociated, "hierarchy": exmdb.TableHierarchy,
	"attachments": exmdb.TableAttachments, "recipients": exmdb.TableRecipients, "permissions": exmdb.TablePermissions, "rules": exmdb.TableRules,
	"deleted": exmdb.TableDeleted, "deletedassociated": exmdb.TableDeletedAssociated, "deletedfolders": exmdb.TableDeletedFolders}

// tableRequest is what a command's keys say of a table.
func (r *run) tableRequest() (*exmdb.Table, exmdb.TableRequest, error) {
	return r.tableRequestOf(r.cmd.words[0])
}

func (r *run) tableRequestOf(path string) (*exmdb.Table, exmdb.TableRequest, error) {
	t := &exmdb.Table{Caller: r.cmd.caller, As: r.cmd.as, Box: r.cmd.box.id}
	name := r.object
	if r.cmd.is("gone") {
		name = r.goneFolder
	}
	object, err := name(path)
	if err != nil {
		return t, exmdb.TableRequest{}, err
	}
	kind, ok := tableKinds[r.cmd.text("kind", "contents")]
	where, err := parseRestriction(r.cmd.text("where", ""))
	columns, err2 := r.tags(r.cmd.list("columns"))
	categories, err3 := r.number("categories", 0)
	open, err4 := r.number("open", categories)
	if err := errors.Join(err, err2, err3, err4); err != nil || !ok {
		return t, exmdb.TableRequest{}, mistake("kind or keys of a table: %v", err)
	}
	spec := exmdb.TableSpec{Kind: kind, Object: object, Depth: r.cmd.is("deep")}
	if where != nil {
		spec.Restriction = restrictionBytes(where)
	}
	spec.Sort.Categories, spec.Sort.Expanded = uint16(categories), uint16(open)
	for _, key := range r.cmd.list("sort") {
		name, down := strings.CutPrefix(key, "-")
		tag, err := parseTag(name)
		if err != nil {
			return t, exmdb.TableRequest{}, mistakeError{err}
		}
		order := mapi.SortOrder{Tag: tag}
		if down {
			order.Direction = mapi.SortDescending
		}
		spec.Sort.Orders = append(spec.Sort.Orders, order)
	}
	if len(columns) == 0 {
		columns = []mapi.Tag{mapi.PidTagSubject}
	}
	return t, exmdb.TableRequest{Spec: spec, Columns: columns}, nil
}

func (r *run) sayRow(row *exmdb.TableRow, columns []mapi.Tag) {
	var words []string
	for _, t := range columns {
		words = append(words, valueWords(row.Props.Get(mapi.NewTag(t.ID(), t.Type().Column()))))
	}
	line := strings.Join(words, " | ")
	if row.ID.Heading() {
		line = "+ " + line
	}
	r.say("%s", line)
}

// table reads all rows, page by page, and holds that none is missing or twice, also when the owner changes between.
func (r *run) table() error {
	t, req, err := r.tableRequest()
	page, err2 := r.number("page", 50)
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	from := exmdb.TablePosition{Origin: exmdb.TableBeginning}
	seen := make(map[exmdb.TableRowID]bool)
	say := r.cmd.text("say", "rows")
	asked := &pace{Caller: t.Caller}
	t.Caller = asked
	for {
		resp, err := t.Rows(r.cmd.ctx, exmdb.TableRowsRequest{Table: req, From: from, Count: uint32(page)})
		if err != nil {
			return err
		}
		for i := range resp.Rows {
			if seen[resp.Rows[i].ID] {
				return mistake("row %v is there twice", resp.Rows[i].ID)
			}
			seen[resp.Rows[i].ID] = true
			if say == "rows" {
				r.sayRow(&resp.Rows[i], req.Columns)
			}
		}
		if len(resp.Rows) == 0 {
			if len(seen) != int(resp.State.Rows) {
				return mistake("%d rows of %d", len(seen), resp.State.Rows)
			}
			break
		}
		if from.Origin == exmdb.TableBeginning {
			asked.atOnce = asked.requests == 1
		}
		from = exmdb.TablePosition{Origin: exmdb.TablePlace, Place: resp.After}
	}
	switch {
	case say == "pace" && asked.atOnce:
		r.say("%s, the first page at once", plural(uint64(len(seen)), "row"))
	case say == "pace":
		r.say("%s, the first page in steps", plural(uint64(len(seen)), "row"))
	case say != "rows":
		r.say("%s", plural(uint64(len(seen)), "row"))
	}
	return nil
}

// pace counts how often a table is asked before there is an answer.
type pace struct {
	exmdb.Caller
	requests int
	atOnce   bool
}

// Call implements exmdb.Caller.
func (p *pace) Call(ctx context.Context, as exmdb.Identity, box mapi.MailboxID, op exmdb.OpInfo, req, resp any) error {
	if op.ID == exmdb.OpTableRows.ID {
		p.requests++
	}
	return p.Caller.Call(ctx, as, box, op, req, resp)
}

func (r *run) orders() error {
	kept, err := r.site.Orders(r.cmd.ctx, r.cmd.box.id)
	if err != nil {
		return mistakeError{err}
	}
	for _, node := range slices.Sorted(maps.Keys(kept)) {
		r.say("%s: %d", node, kept[node])
	}
	return nil
}

func (r *run) seek() error {
	t, req, err := r.tableRequest()
	if err != nil {
		return err
	}
	var n, of uint32
	if _, err := fmt.Sscanf(r.cmd.text("part", "0/1"), "%d/%d", &n, &of); err != nil {
		return mistake("part=N/M: %v", err)
	}
	resp, err := t.Seek(r.cmd.ctx, exmdb.TableSeekRequest{Table: req, From: exmdb.TablePosition{Origin: exmdb.TableFraction, Numerator: n, Denominator: of}})
	if err == nil {
		r.say("%d of %d", resp.Index, resp.State.Rows)
	}
	return err
}

func (r *run) find() error {
	t, req, err := r.tableRequest()
	what, err2 := parseRestriction(r.cmd.text("for", "(and)"))
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	q := exmdb.TableFindRequest{Table: req, From: exmdb.TablePosition{Origin: exmdb.TableBeginning}, Restriction: restrictionBytes(what)}
	if q.Backward = r.cmd.is("back"); q.Backward {
		q.From.Origin = exmdb.TableEnd
	}
	resp, err := t.Find(r.cmd.ctx, q)
	switch {
	case err != nil:
		return err
	case !resp.Found:
		r.say("nothing")
	default:
		r.sayRow(&resp.Row, req.Columns)
	}
	return nil
}
