package schema

import (
	"encoding/binary"

	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// ReminderKey is there for each message that asks for a reminder (RowReminder): in the order in which they are due.
func ReminderKey(at mapi.FileTime, o mapi.ObjectNumber) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(newKey(PrefixReminder), uint64(max(at, 0))), uint64(o))
}

// ParseReminderKey reads what ReminderKey made.
func ParseReminderKey(k []byte) (mapi.FileTime, mapi.ObjectNumber, error) {
	if err := checkKey(k, PrefixReminder, 17); err != nil {
		return 0, 0, err
	}
	return mapi.FileTime(binary.BigEndian.Uint64(k[1:])), mapi.ObjectNumber(binary.BigEndian.Uint64(k[9:])), nil
}
