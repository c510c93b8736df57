package schema

import (
	"encoding/binary"

	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// Named properties have the ids from FirstNamedProp on, MaxNamedProps of them at most in a mailbox.
const (
	FirstNamedProp = 0x8000
	MaxNamedProps  = 0x7000
)

// NamedPropKey leads from the id of a named property to its name.
func NamedPropKey(id uint16) []byte {
	return binary.BigEndian.AppendUint16(newKey(PrefixNamedProp), id)
}

// ParseNamedPropKey reads what NamedPropKey made.
func ParseNamedPropKey(k []byte) (uint16, error) {
	if err := checkKey(k, PrefixNamedProp, 3); err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint16(k[1:]), nil
}

// PropertyNameKey leads from a name, in its canonical form, to the id.
func PropertyNameKey(n mapi.PropertyName) []byte {
	k := append(append(newKey(PrefixPropertyName), n.Set[:]...), byte(n.Kind))
	if n.Kind == mapi.NameByLID {
		return binary.BigEndian.AppendUint32(k, n.LID)
	}
	return append(k, n.Name...)
}

// AppendPropID is the value of PropertyNameKey.
func AppendPropID(id uint16) []byte { return binary.BigEndian.AppendUint16(nil, id) }

// ParsePropID reads what AppendPropID made.
func ParsePropID(b []byte) (uint16, error) {
	if len(b) != 2 {
		return 0, ErrBadRecord
	}
	return binary.BigEndian.Uint16(b), nil
}

// ReceiveKey is a row of the receive-folder table, by its message class in small letters.
func ReceiveKey(class string) []byte { return append(newKey(PrefixReceive), class...) }

// StoreBagKey is the one bag of what the mailbox itself has.
func StoreBagKey() []byte { return []byte{PrefixStoreBag} }
