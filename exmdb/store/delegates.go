package store

import (
	"slices"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// maxDelegates bounds the delegates of a mailbox.
const maxDelegates = 500

func (v *view) delegates() (*schema.Delegates, error) {
	list := new(schema.Delegates)
	_, err := load(v.r, schema.DelegatesKey(), list)
	return list, err
}

// listDelegates is OpDelegates.
func listDelegates(v *view, _ *exmdb.Empty) (*exmdb.Delegates, error) {
	list, err := v.delegates()
	resp := &exmdb.Delegates{}
	for _, d := range list.Members {
		resp.Members = append(resp.Members, exmdb.Delegate(d))
	}
	return resp, err
}

// setDelegates is OpSetDelegates: the whole list.
func setDelegates(t *tx, req *exmdb.Delegates) (*exmdb.Empty, error) {
	list, err := t.delegates()
	if err != nil {
		return nil, err
	}
	if len(req.Members) > maxDelegates {
		return nil, cluster.Errorf(cluster.KindTooLarge, "%d delegates, %d at most", len(req.Members), maxDelegates)
	}
	was := list.Members
	list.Members = nil
	for _, d := range req.Members {
		known := slices.ContainsFunc(list.Members, func(has schema.Delegate) bool { return has.User == d.User })
		if d.User.IsZero() || known || len(d.Name) > maxLabel {
			return nil, cluster.Errorf(cluster.KindBadRequest, "delegate %v, with a name of %d bytes", d.User, len(d.Name))
		}
		list.Members = append(list.Members, schema.Delegate(d))
	}
	t.putDelegates(list)
	return &exmdb.Empty{}, t.showDelegates(was, list.Members)
}

func (t *tx) putDelegates(list *schema.Delegates) {
	if len(list.Members) == 0 && len(list.Unknown) == 0 {
		t.w.Delete(schema.DelegatesKey())
		return
	}
	t.set(schema.DelegatesKey(), list)
}

// changeDelegate is OpChangeDelegate: one of the list, so that two who change it do not undo each other.
func changeDelegate(t *tx, req *exmdb.DelegateChange) (*exmdb.Empty, error) {
	list, err := t.delegates()
	if err != nil {
		return nil, err
	}
	if req.User.IsZero() || len(req.Name) > maxLabel {
		return nil, cluster.Errorf(cluster.KindBadRequest, "delegate %v, with a name of %d bytes", req.User, len(req.Name))
	}
	was := slices.Clone(list.Members)
	at := slices.IndexFunc(list.Members, func(d schema.Delegate) bool { return d.User == req.User })
	if at < 0 {
		at = len(list.Members)
		list.Members = append(list.Members, schema.Delegate{User: req.User})
	}
	d := &list.Members[at]
	if req.Name != "" {
		d.Name = req.Name
	}
	if req.SendOnBehalf != nil {
		d.SendOnBehalf = *req.SendOnBehalf
	}
	if req.SeePrivate != nil {
		d.SeePrivate = *req.SeePrivate
	}
	if !d.SendOnBehalf && !d.SeePrivate {
		list.Members = slices.Delete(list.Members, at, at+1)
	}
	if len(list.Members) > maxDelegates {
		return nil, cluster.Errorf(cluster.KindTooLarge, "%d delegates, %d at most", len(list.Members), maxDelegates)
	}
	t.putDelegates(list)
	return &exmdb.Empty{}, t.showDelegates(was, list.Members)
}

// delegated is what the caller has as a delegate, by himself or by a group.
func (v *view) delegated() (d schema.Delegate, err error) {
	if v.as.User.IsZero() {
		return d, nil
	}
	list, err := v.delegates()
	for _, m := range list.Members {
		if m.User == v.as.User || slices.Contains(v.as.Groups, m.User) {
			d.SendOnBehalf = d.SendOnBehalf || m.SendOnBehalf
			d.SeePrivate = d.SeePrivate || m.SeePrivate
		}
	}
	return d, err
}

// sendRights is OpSendRights. Full access is none to send as someone: that is the directory's to give.
func sendRights(v *view, _ *exmdb.Empty) (*exmdb.SendRights, error) {
	d, err := v.delegated()
	owner := v.header.Owner
	own := v.system() || v.as.User == owner && v.whole
	resp := &exmdb.SendRights{As: own || sendsAs(v.as, owner), OnBehalf: own || d.SendOnBehalf, SeePrivate: v.whole || d.SeePrivate}
	if resp.As || resp.OnBehalf {
		resp.Used, resp.Limit = v.counters.Used, v.sendLimit()
		resp.Full = resp.Limit != 0 && resp.Used >= resp.Limit
	}
	return resp, err
}

// sendsAs reports whether the directory lets a caller send as the owner of a mailbox.
func sendsAs(as *exmdb.Identity, owner mapi.GUID) bool {
	return !as.User.IsZero() && !owner.IsZero() && slices.Contains(as.SendAs, owner)
}
