package oxcmsg

import "github.com/flotilla-mail/flotilla/internal/mapi"

// FirstNamed is the first id of a named property.
const FirstNamed = 0x8000

// Names gives ids to the names of the named properties in a message that no mailbox holds yet: FirstNamed + i stands
// for the name i, as in a request (exmdb.Payload). One table serves a message with all that is embedded in it. The zero
// Names has room for as many names as there are ids; Max bounds them.
type Names struct {
	// Max is how many names there may be, 0 for as many as there are ids.
	Max int

	list []mapi.PropertyName
	ids  map[mapi.PropertyName]uint16
}

// maxNames is how many ids there are: the last is no id of a property.
const maxNames = 0xFFFF - FirstNamed

// ID is the id of a name, which is given one if it has none. It reports false where there are too many.
func (n *Names) ID(name mapi.PropertyName) (uint16, bool) {
	key := name.Canonical()
	if id, known := n.ids[key]; known {
		return id, true
	}
	if len(n.list) >= maxNames || n.Max > 0 && len(n.list) >= n.Max {
		return 0, false
	}
	if n.ids == nil {
		n.ids = map[mapi.PropertyName]uint16{}
	}
	id := uint16(FirstNamed + len(n.list))
	n.list, n.ids[key] = append(n.list, name), id
	return id, true
}

// Find is the id of a name that has one.
func (n *Names) Find(name mapi.PropertyName) (uint16, bool) {
	id, known := n.ids[name.Canonical()]
	return id, known
}

// Name is what an id stands for.
func (n *Names) Name(id uint16) (mapi.PropertyName, bool) {
	if id < FirstNamed || int(id-FirstNamed) >= len(n.list) {
		return mapi.PropertyName{}, false
	}
	return n.list[id-FirstNamed], true
}

// List is the names in the order of their ids; the caller does not change it.
func (n *Names) List() []mapi.PropertyName { return n.list }

// Set gives a named property a value in a bag, unless there are too many names.
func (n *Names) Set(bag *mapi.PropBag, p mapi.NamedProperty, v mapi.Value) {
	if id, ok := n.ID(p.PropertyName); ok {
		bag.Set(p.Tag(id), v)
	}
}

// Get is the value of a named property in a bag, nil when it is not there.
func (n *Names) Get(bag *mapi.PropBag, p mapi.NamedProperty) mapi.Value {
	id, known := n.Find(p.PropertyName)
	if !known {
		return nil
	}
	return bag.Get(p.Tag(id))
}
