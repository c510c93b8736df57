package store

import (
	"unicode/utf16"
	"unicode/utf8"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// maxPropertyName is the longest string of a property name in UTF-16, which MS-OXCDATA 2.6.1 counts in one byte, with
// the NUL behind it.
const maxPropertyName = 127 - 1

// nameTable is what one op has looked up of the names of properties (MAILBOX 5). Of a name that the mailbox does not
// know the id is zero.
type nameTable struct {
	ids   map[mapi.PropertyName]uint16
	names map[uint16]mapi.PropertyName
}

func (v *view) nameTable() *nameTable {
	if v.propNames == nil {
		v.propNames = &nameTable{ids: make(map[mapi.PropertyName]uint16), names: make(map[uint16]mapi.PropertyName)}
	}
	return v.propNames
}

func checkPropertyName(n mapi.PropertyName) error {
	switch {
	case n.Kind == mapi.NameByLID && n.Name == "":
		return nil
	case n.Kind != mapi.NameByString || n.LID != 0:
		return cluster.Errorf(cluster.KindBadRequest, "property name of kind %d", n.Kind)
	case n.Set == mapi.PSMAPI:
		return cluster.Errorf(cluster.KindBadRequest, "PS_MAPI has no strings")
	case n.Name == "" || !utf8.ValidString(n.Name) || len(utf16.Encode([]rune(n.Name))) > maxPropertyName:
		return cluster.Errorf(cluster.KindBadRequest, "property name of %d bytes", len(n.Name))
	}
	return nil
}

// propertyID is the id of a name, zero if the mailbox does not know it. The numbers of PS_MAPI are ids themselves
// (MS-OXCPRPT 3.2.5.9).
func (v *view) propertyID(name mapi.PropertyName) (uint16, error) {
	if err := checkPropertyName(name); err != nil {
		return 0, err
	}
	if name.Set == mapi.PSMAPI {
		if name.LID >= schema.FirstNamedProp {
			return 0, nil
		}
		return uint16(name.LID), nil
	}
	name = name.Canonical()
	table := v.nameTable()
	if id, looked := table.ids[name]; looked {
		return id, nil
	}
	b, err := v.r.Get(schema.PropertyNameKey(name))
	if err != nil {
		return 0, err
	}
	id := uint16(0)
	if b != nil {
		if id, err = schema.ParsePropID(b); err != nil {
			return 0, err
		}
	}
	table.ids[name] = id
	return id, nil
}

// internName is propertyID that makes the name known.
func (t *tx) internName(name mapi.PropertyName) (uint16, error) {
	id, err := t.propertyID(name)
	if err != nil || id != 0 || name.Set == mapi.PSMAPI {
		return id, err
	}
	if t.counters.NamedProp >= schema.MaxNamedProps {
		return 0, cluster.Errorf(exmdb.KindNameLimit, "mailbox knows %d property names", t.counters.NamedProp)
	}
	id = schema.FirstNamedProp + t.counters.NamedProp
	t.counters.NamedProp++
	t.set(schema.NamedPropKey(id), &schema.NamedProperty{Name: name})
	t.w.Set(schema.PropertyNameKey(name.Canonical()), schema.AppendPropID(id))
	t.nameTable().ids[name.Canonical()] = id
	return id, nil
}

// propertyName is the name of an id, of NameNone if it has none.
func (v *view) propertyName(id uint16) (mapi.PropertyName, error) {
	if id < schema.FirstNamedProp {
		return mapi.PropertyName{Set: mapi.PSMAPI, Kind: mapi.NameByLID, LID: uint32(id)}, nil
	}
	table := v.nameTable()
	if name, looked := table.names[id]; looked {
		return name, nil
	}
	var p schema.NamedProperty
	found, err := load(v.r, schema.NamedPropKey(id), &p)
	if err != nil {
		return mapi.PropertyName{}, err
	}
	if !found {
		p.Name = mapi.PropertyName{Kind: mapi.NameNone}
	}
	table.names[id] = p.Name
	return p.Name, nil
}

// namesIn are the names of the named properties of bags, each once.
func (v *view) namesIn(bags ...*mapi.PropBag) ([]exmdb.NamedID, error) {
	var out []exmdb.NamedID
	seen := make(map[uint16]bool)
	for _, bag := range bags {
		for _, p := range bag.All() {
			id := p.Tag.ID()
			if !p.Tag.Named() || seen[id] {
				continue
			}
			seen[id] = true
			name, err := v.propertyName(id)
			if err != nil {
				return nil, err
			}
			out = append(out, exmdb.NamedID{ID: id, Name: name})
		}
	}
	return out, nil
}

// names leads from the ids of a request to those of the mailbox.
type names struct {
	ids []uint16 // by the request's id less 0x8000; nil where the request uses the mailbox's
}

// internNames reads the names of a request that sets properties.
func (t *tx) internNames(p *exmdb.Payload) (names, error) {
	return readNames(p, t.internName)
}

func readNames(p *exmdb.Payload, id func(mapi.PropertyName) (uint16, error)) (names, error) {
	if len(p.Names) == 0 {
		return names{}, nil
	}
	ns := names{ids: make([]uint16, len(p.Names))}
	for i, name := range p.Names {
		var err error
		if ns.ids[i], err = id(name); err != nil {
			return ns, err
		}
	}
	return ns, nil
}

// tag is the mailbox's tag for one of the request's.
func (ns names) tag(t mapi.Tag) (mapi.Tag, error) {
	if ns.ids == nil || !t.Named() {
		return t, nil
	}
	i := int(t.ID() - schema.FirstNamedProp)
	if i >= len(ns.ids) || ns.ids[i] == 0 {
		return 0, cluster.Errorf(cluster.KindBadRequest, "property %v has no name in the request", t)
	}
	return mapi.NewTag(ns.ids[i], t.Type()), nil
}

// maxNamesAsked bounds the names of one request.
const maxNamesAsked = 4096

func checkNames(req *exmdb.NamesRequest) error {
	if len(req.Names) > maxNamesAsked {
		return cluster.Errorf(cluster.KindBadRequest, "%d names at once, %d at most", len(req.Names), maxNamesAsked)
	}
	return nil
}

// idsOfNames applies one of propertyID and internName to the names of a request.
func idsOfNames(req *exmdb.NamesRequest, id func(mapi.PropertyName) (uint16, error)) (*exmdb.PropertyIDsResponse, error) {
	if err := checkNames(req); err != nil {
		return nil, err
	}
	ns, err := readNames(&exmdb.Payload{Names: req.Names}, id)
	return &exmdb.PropertyIDsResponse{IDs: ns.ids}, err
}

// propertyIDs is OpPropertyIDs.
func propertyIDs(v *view, req *exmdb.NamesRequest) (*exmdb.PropertyIDsResponse, error) {
	return idsOfNames(req, v.propertyID)
}

// nameProperties is OpNameProperties.
func nameProperties(t *tx, req *exmdb.NamesRequest) (*exmdb.PropertyIDsResponse, error) {
	return idsOfNames(req, t.internName)
}

// propertyNames is OpPropertyNames.
func propertyNames(v *view, req *exmdb.PropertyNamesRequest) (*exmdb.PropertyNamesResponse, error) {
	resp := &exmdb.PropertyNamesResponse{}
	if len(req.IDs) == 0 {
		return resp, v.allNames(req.After, resp)
	}
	if len(req.IDs) > maxNamesAsked {
		return nil, cluster.Errorf(cluster.KindBadRequest, "%d ids at once, %d at most", len(req.IDs), maxNamesAsked)
	}
	for _, id := range req.IDs {
		name, err := v.propertyName(id)
		if err != nil {
			return nil, err
		}
		resp.Names = append(resp.Names, exmdb.NamedID{ID: id, Name: name})
	}
	return resp, nil
}

func (v *view) allNames(after uint16, resp *exmdb.PropertyNamesResponse) (err error) {
	from := max(schema.FirstNamedProp, int(after)+1)
	if from > 0xFFFF {
		return nil
	}
	it := v.r.Iter(schema.NamedPropKey(uint16(from)), []byte{schema.PrefixNamedProp + 1})
	for it.Next() && err == nil {
		if len(resp.Names) == maxNamesAsked {
			resp.More = true
			break
		}
		var p schema.NamedProperty
		var id uint16
		if id, err = schema.ParseNamedPropKey(it.Key()); err == nil {
			err = schema.Decode(it.Value(), &p)
		}
		resp.Names = append(resp.Names, exmdb.NamedID{ID: id, Name: p.Name})
	}
	if cerr := it.Close(); err == nil {
		err = cerr
	}
	return err
}
