package storescript

import (
	"slices"
	"strings"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/inspect"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

var rightCommands = []command{
	{"grant", 3, "grant PATH USER|default|anonymous RIGHTS|none [freebusy=no]: without them they stay as they are", false, (*run).grant},
	{"rights", 1, "rights PATH", false, (*run).rights},
	{"can", 1, "can PATH as=USER: what the caller may do", false, (*run).can},
	{"delegate", 1, "delegate USER [private=yes]", false, (*run).delegate},
	{"redelegate", 1, "redelegate USER [behalf=yes|no] [private=yes|no]: changes one delegate", false, (*run).changeDelegate},
	{"delegates", 0, "delegates", false, (*run).delegates},
	{"sending", 0, "sending as=USER: what the caller may send", false, (*run).sending},
}

// rightsOf reads names of rights between commas.
func rightsOf(s string) (exmdb.FolderRights, error) {
	var all exmdb.FolderRights
	for _, name := range strings.Split(s, ",") {
		found := name == "none"
		for bit := exmdb.FolderRights(1); bit <= exmdb.AllRights; bit <<= 1 {
			if slices.Contains(inspect.RightNames(bit), name) || name == "all" {
				all, found = all|bit&exmdb.AllRights, true
			}
		}
		if !found {
			return 0, mistake("no right %q", name)
		}
	}
	return all, nil
}

func (r *run) grant() error {
	fid, err := r.folder(r.cmd.words[0])
	if err != nil {
		return err
	}
	who := r.cmd.words[1]
	rights, err := rightsOf(r.cmd.words[2])
	if err != nil {
		return err
	}
	change := exmdb.PermissionChange{Kind: exmdb.PermissionModify, Member: exmdb.Member{Rights: rights}}
	switch who {
	case "default":
		change.Member.ID = exmdb.MemberDefault
	case "anonymous":
		change.Member.ID = exmdb.MemberAnonymous
	default:
		change.Kind, change.Member.User, change.Member.Name = exmdb.PermissionAdd, r.user(who), who
		list, err := do(r, exmdb.OpPermissions, &exmdb.FolderRequest{Folder: fid})
		if err != nil {
			return err
		}
		if i := slices.IndexFunc(list.Members, func(m exmdb.Member) bool { return m.User == r.user(who) }); i >= 0 {
			change.Kind, change.Member.ID = exmdb.PermissionModify, list.Members[i].ID
		}
	}
	_, err = do(r, exmdb.OpModifyPermissions, &exmdb.ModifyPermissionsRequest{Folder: fid, FreeBusy: r.cmd.text("freebusy", "yes") == "yes", Changes: []exmdb.PermissionChange{change}})
	return err
}

func (r *run) rights() error {
	v, err := r.look().Show(r.cmd.ctx, "rights", inspect.Query{Folder: r.cmd.words[0]})
	if err != nil {
		return err
	}
	for _, m := range v.(*inspect.Rights).Folders[0].Members {
		r.say("%s: %s", m.Name, joined(m.Rights))
	}
	return nil
}

func (r *run) can() error {
	fid, err := r.folder(r.cmd.words[0])
	if err != nil {
		return err
	}
	resp, err := do(r, exmdb.OpEffectiveRights, &exmdb.EffectiveRightsRequest{Folders: []mapi.FID{fid}})
	if err != nil {
		return err
	}
	r.say("%s", joined(inspect.RightNames(resp.Rights[0])))
	return nil
}

func (r *run) delegate() error {
	d := exmdb.Delegate{User: r.user(r.cmd.words[0]), Name: r.cmd.words[0], SendOnBehalf: true, SeePrivate: r.cmd.is("private")}
	_, err := do(r, exmdb.OpSetDelegates, &exmdb.Delegates{Members: []exmdb.Delegate{d}})
	return err
}

func (r *run) changeDelegate() error {
	c := &exmdb.DelegateChange{User: r.user(r.cmd.words[0]), Name: r.cmd.words[0]}
	for key, to := range map[string]**bool{"behalf": &c.SendOnBehalf, "private": &c.SeePrivate} {
		if word := r.cmd.text(key, ""); word != "" {
			yes := word == "yes"
			*to = &yes
		}
	}
	_, err := do(r, exmdb.OpChangeDelegate, c)
	return err
}

func (r *run) delegates() error {
	d, err := do(r, exmdb.OpDelegates, &exmdb.Empty{})
	if err != nil {
		return err
	}
	for _, m := range d.Members {
		may := []string{m.Name + ":"}
		if m.SendOnBehalf {
			may = append(may, "behalf")
		}
		if m.SeePrivate {
			may = append(may, "private")
		}
		r.say("%s", joined(may))
	}
	return nil
}

func (r *run) sending() error {
	s, err := do(r, exmdb.OpSendRights, &exmdb.Empty{})
	if err != nil {
		return err
	}
	var may []string
	for word, is := range map[string]bool{"as": s.As, "behalf": s.OnBehalf, "private": s.SeePrivate, "full": s.Full} {
		if is {
			may = append(may, word)
		}
	}
	slices.Sort(may)
	r.say("%s", joined(may))
	return nil
}
