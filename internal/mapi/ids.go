// Package mapi holds the nouns of a mailbox: the identities of mailboxes, folders, messages and changes, and the
// types of properties with their wire forms.
//
// It knows what the numbers mean (MS-OXCDATA 2.2, 2.11); it never knows where anything is stored, and does no I/O.
package mapi

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
)

// GUID is a 128-bit identity in the byte order in which MS-OXCDATA 2.3.5.2 puts it on the wire.
type GUID [16]byte

// NewGUID draws a random GUID (RFC 9562 version 4).
func NewGUID() GUID {
	var g GUID
	if _, err := rand.Read(g[:]); err != nil {
		panic(err) // crypto/rand never fails on the systems we run on; without it no identity is safe
	}
	g[7] = g[7]&0x0f | 0x40
	g[8] = g[8]&0x3f | 0x80
	return g
}

// IsZero reports whether g is the null GUID.
func (g GUID) IsZero() bool { return g == GUID{} }

// String is the registry form, 8-4-4-4-12 digits.
func (g GUID) String() string {
	return fmt.Sprintf("%02x%02x%02x%02x-%02x%02x-%02x%02x-%x-%x",
		g[3], g[2], g[1], g[0], g[5], g[4], g[7], g[6], g[8:10], g[10:])
}

// ParseGUID reads the registry form.
func ParseGUID(s string) (GUID, error) {
	var g GUID
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return g, fmt.Errorf("guid %q: want 8-4-4-4-12 hexadecimal digits", s)
	}
	b, err := hex.DecodeString(s[0:8] + s[9:13] + s[14:18] + s[19:23] + s[24:])
	if err != nil {
		return g, fmt.Errorf("guid %q: want 8-4-4-4-12 hexadecimal digits", s)
	}
	copy(g[:], b)
	g[0], g[1], g[2], g[3] = b[3], b[2], b[1], b[0]
	g[4], g[5], g[6], g[7] = b[5], b[4], b[7], b[6]
	return g, nil
}

// MailboxID is a mailbox's GUID: random, never derived from an address, group or node (MAILBOX 1).
type MailboxID GUID

// IsZero reports whether no mailbox is meant.
func (m MailboxID) IsZero() bool { return m == MailboxID{} }

func (m MailboxID) String() string { return GUID(m).String() }

// NewMailboxID draws the identity of a new mailbox.
func NewMailboxID() MailboxID { return MailboxID(NewGUID()) }

// GlobalCounter is the 48-bit counter of a replica: MS-OXCDATA 2.2.1's GlobalCounter. Everything a mailbox numbers
// (folders, messages, changes) draws from one counter (MAILBOX 2).
type GlobalCounter uint64

// MaxGlobalCounter is the largest counter value.
const MaxGlobalCounter GlobalCounter = 1<<48 - 1

// ReplicaID is the short, per-mailbox number of a replica GUID; LocalReplica is the mailbox's own.
type ReplicaID uint16

// LocalReplica is the replica id of the mailbox's own replica GUID.
const LocalReplica ReplicaID = 1

// FID identifies a folder: replica id in the upper 16 bits, counter in the lower 48.
type FID uint64

// NewFID joins the two halves.
func NewFID(r ReplicaID, c GlobalCounter) FID { return FID(uint64(r)<<48 | uint64(c)) }

// LocalFID is the folder with counter c of the mailbox's own replica.
func LocalFID(c GlobalCounter) FID { return NewFID(LocalReplica, c) }

// Replica is the replica id half.
func (f FID) Replica() ReplicaID { return ReplicaID(f >> 48) }

// Counter is the counter half.
func (f FID) Counter() GlobalCounter { return GlobalCounter(f) & MaxGlobalCounter }

// MID identifies a message object, in the same form as FID.
type MID uint64

// NewMID joins the two halves.
func NewMID(r ReplicaID, c GlobalCounter) MID { return MID(uint64(r)<<48 | uint64(c)) }

// Replica is the replica id half.
func (m MID) Replica() ReplicaID { return ReplicaID(m >> 48) }

// Counter is the counter half.
func (m MID) Counter() GlobalCounter { return GlobalCounter(m) & MaxGlobalCounter }

// Stamp is a value of the mailbox's one counter as a mark of change: change number, read change number, modseq and
// content sequence are all stamps, so they compare with each other (MAILBOX 2).
type Stamp uint64

// CN is a stamp used as MAPI's change number of the local replica.
type CN = Stamp

// ObjectNumber is given to an object once and kept over moves inside the mailbox: IMAP EMAILID, EAS ServerId, DAV
// href (MAILBOX 1).
type ObjectNumber uint64

// UID names one byte sequence in one folder (RFC 9051 2.3.1.1).
type UID uint32

// MarshalText is String, so that GUIDs read well in JSON.
func (g GUID) MarshalText() ([]byte, error) { return []byte(g.String()), nil }

// UnmarshalText is ParseGUID.
func (g *GUID) UnmarshalText(b []byte) (err error) {
	*g, err = ParseGUID(string(b))
	return err
}

// MarshalText is String.
func (m MailboxID) MarshalText() ([]byte, error) { return GUID(m).MarshalText() }

// UnmarshalText is ParseGUID.
func (m *MailboxID) UnmarshalText(b []byte) error { return (*GUID)(m).UnmarshalText(b) }
