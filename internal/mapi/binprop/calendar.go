package binprop

import (
	"bytes"

	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"
)

// SystemTime is a moment, or in time zones a rule for one: with no year, Day is which of the weekdays in the month, 5
// the last (MS-OXOCAL 2.2.1.41.1).
type SystemTime struct {
	Year, Month, DayOfWeek, Day, Hour, Minute, Second, Milliseconds uint16
}

func readSystemTime(d *oxcdata.Decoder) SystemTime {
	return SystemTime{d.Uint16(), d.Uint16(), d.Uint16(), d.Uint16(), d.Uint16(), d.Uint16(), d.Uint16(), d.Uint16()}
}

func putSystemTime(e *oxcdata.Encoder, t SystemTime) {
	for _, n := range [...]uint16{t.Year, t.Month, t.DayOfWeek, t.Day, t.Hour, t.Minute, t.Second, t.Milliseconds} {
		e.Uint16(n)
	}
}

// Bias is how far a zone's time lies behind UTC, in minutes: always, and in addition in winter and in summer.
type Bias struct{ Always, Standard, Daylight int32 }

func readBias(d *oxcdata.Decoder) Bias {
	return Bias{int32(d.Uint32()), int32(d.Uint32()), int32(d.Uint32())}
}

func putBias(e *oxcdata.Encoder, b Bias) {
	put32(e, uint32(b.Always), uint32(b.Standard), uint32(b.Daylight))
}

// TimeZoneStruct is PidLidTimeZoneStruct (MS-OXOCAL 2.2.1.39).
type TimeZoneStruct struct {
	Bias                       Bias
	StandardYear, DaylightYear uint16
	Standard, Daylight         SystemTime
}

// ParseTimeZoneStruct reads the 48 bytes.
func ParseTimeZoneStruct(b []byte) (TimeZoneStruct, error) {
	d := reader(b)
	z := TimeZoneStruct{Bias: readBias(d), StandardYear: d.Uint16(), Standard: readSystemTime(d)}
	z.DaylightYear, z.Daylight = d.Uint16(), readSystemTime(d)
	return z, d.Close()
}

// Append adds the 48 bytes.
func (z TimeZoneStruct) Append(dst []byte) ([]byte, error) {
	e := writer(dst)
	putBias(e, z.Bias)
	e.Uint16(z.StandardYear)
	putSystemTime(e, z.Standard)
	e.Uint16(z.DaylightYear)
	putSystemTime(e, z.Daylight)
	return e.Bytes()
}

// Flags of TimeZoneRule.
const (
	RuleRecurring = 0x0001 // the rule that meetings of the item recur by
	RuleEffective = 0x0002
)

// TimeZoneRule is a zone's rule from a year on.
type TimeZoneRule struct {
	Major, Minor       uint8
	Reserved           uint16
	Flags              uint16
	Year               uint16
	X                  [14]byte
	Bias               Bias
	Standard, Daylight SystemTime
}

// TimeZoneDefinition is PidLidAppointmentTimeZoneDefinitionRecur and its siblings (MS-OXOCAL 2.2.1.41).
type TimeZoneDefinition struct {
	Major, Minor uint8
	Reserved     uint16
	// Name is the zone's key in Windows.
	Name  string
	Rules []TimeZoneRule
}

const (
	zoneMajor, zoneMinor = 0x02, 0x01
	zoneReserved         = 0x0002
	ruleReserved         = 0x003E
)

// NewTimeZoneDefinition has the versions that are written today.
func NewTimeZoneDefinition(name string, rules ...TimeZoneRule) TimeZoneDefinition {
	for i := range rules {
		rules[i].Major, rules[i].Minor, rules[i].Reserved = zoneMajor, zoneMinor, ruleReserved
	}
	return TimeZoneDefinition{Major: zoneMajor, Minor: zoneMinor, Reserved: zoneReserved, Name: name, Rules: rules}
}

// ParseTimeZoneDefinition reads the property.
func ParseTimeZoneDefinition(b []byte) (TimeZoneDefinition, error) {
	d := reader(b)
	z := TimeZoneDefinition{Major: d.Uint8(), Minor: d.Uint8()}
	header := d.Inner(d.Number(2))
	z.Reserved = header.Uint16()
	z.Name = header.UTF16(header.Number(2))
	n := header.Number(2)
	if err := header.Close(); err != nil {
		d.Fail(err)
	}
	z.Rules = many(d, n, func() TimeZoneRule { return readRule(d) })
	return z, d.Close()
}

func readRule(d *oxcdata.Decoder) TimeZoneRule {
	r := TimeZoneRule{Major: d.Uint8(), Minor: d.Uint8(), Reserved: d.Uint16(), Flags: d.Uint16(), Year: d.Uint16()}
	copy(r.X[:], d.Bytes(len(r.X)))
	r.Bias, r.Standard, r.Daylight = readBias(d), readSystemTime(d), readSystemTime(d)
	return r
}

// Append adds the property.
func (z TimeZoneDefinition) Append(dst []byte) ([]byte, error) {
	e := writer(dst)
	e.Uint8(z.Major)
	e.Uint8(z.Minor)
	e.Sized(2, func() {
		e.Uint16(z.Reserved)
		e.UTF16(z.Name, 2)
		e.Number(len(z.Rules), 2)
	})
	for _, r := range z.Rules {
		e.Uint8(r.Major)
		e.Uint8(r.Minor)
		e.Uint16(r.Reserved)
		e.Uint16(r.Flags)
		e.Uint16(r.Year)
		e.Raw(r.X[:])
		putBias(e, r.Bias)
		putSystemTime(e, r.Standard)
		putSystemTime(e, r.Daylight)
	}
	return e.Bytes()
}

// globalObjectMark is what every global object id begins with.
var globalObjectMark = [16]byte{0x04, 0, 0, 0, 0x82, 0, 0xE0, 0, 0x74, 0xC5, 0xB7, 0x10, 0x1A, 0x82, 0xE0, 0x08}

// GlobalObjectID is PidLidGlobalObjectId (MS-OXOCAL 2.2.1.27): a meeting, and with a date one occurrence of it.
type GlobalObjectID struct {
	Year       uint16
	Month, Day uint8
	Created    mapi.FileTime
	Reserved   uint64
	// Data is 16 random bytes, or an iCalendar UID behind the mark "vCal-Uid".
	Data []byte
}

// vCalUID stands in front of a UID that came from outside (MS-OXCICAL 2.1.3.1.1.20.26).
var vCalUID = []byte("vCal-Uid\x01\x00\x00\x00")

// ParseGlobalObjectID reads the property.
func ParseGlobalObjectID(b []byte) (GlobalObjectID, error) {
	d := reader(b)
	if mark := d.Bytes(len(globalObjectMark)); !bytes.Equal(mark, globalObjectMark[:]) {
		d.Failf("global object id that begins with %x", mark)
	}
	// The year alone has its high byte first.
	id := GlobalObjectID{Year: uint16(d.Uint8())<<8 | uint16(d.Uint8()), Month: d.Uint8(), Day: d.Uint8()}
	id.Created, id.Reserved, id.Data = mapi.FileTime(d.Uint64()), d.Uint64(), block(d)
	return id, d.Close()
}

// Append adds the property.
func (id GlobalObjectID) Append(dst []byte) ([]byte, error) {
	e := writer(dst)
	e.Raw(globalObjectMark[:])
	e.Uint8(uint8(id.Year >> 8))
	e.Uint8(uint8(id.Year))
	e.Uint8(id.Month)
	e.Uint8(id.Day)
	e.Uint64(uint64(id.Created))
	e.Uint64(id.Reserved)
	putBlock(e, id.Data)
	return e.Bytes()
}

// Clean is the id of the whole meeting: PidLidCleanGlobalObjectId.
func (id GlobalObjectID) Clean() GlobalObjectID {
	id.Year, id.Month, id.Day = 0, 0, 0
	return id
}

// UID is the iCalendar UID that the id was made of, if it was.
func (id GlobalObjectID) UID() (string, bool) {
	uid, ok := bytes.CutPrefix(id.Data, vCalUID)
	return string(bytes.TrimRight(uid, "\x00")), ok
}

// GlobalObjectIDOf is the id of a meeting that has an iCalendar UID.
func GlobalObjectIDOf(uid string) GlobalObjectID {
	return GlobalObjectID{Data: append(append(bytes.Clone(vCalUID), uid...), 0)}
}

// Tombstone is a meeting that was declined or cancelled.
type Tombstone struct {
	Start, End Minutes
	// Object is its global object id, User who did it, in a code page.
	Object []byte
	User   string
}

// Tombstones is PidTagScheduleInfoAppointmentTombstone (MS-OXOCAL 2.2.12).
type Tombstones []Tombstone

const (
	tombstoneMark    = 0xBEDE_AFCD
	tombstoneSize    = 0x14 // of the header, and of a record's fixed part, as it says
	tombstoneVersion = 3
)

// ParseTombstones reads the property. Its count of records is not to be trusted: clients write one too few.
func ParseTombstones(b []byte) (Tombstones, error) {
	d := reader(b)
	mark, header, version := d.Uint32(), d.Uint32(), d.Uint32()
	if mark != tombstoneMark || header != tombstoneSize || version != tombstoneVersion {
		d.Failf("tombstones begin with %#x, %#x, %#x", mark, header, version)
	}
	d.Uint32()
	d.Uint32()
	var list Tombstones
	for d.Len() > 0 {
		list = append(list, Tombstone{Minutes(d.Uint32()), Minutes(d.Uint32()), block(d), string(d.Bytes(d.Number(2)))})
	}
	if err := d.Close(); err != nil {
		return nil, err
	}
	return list, nil
}

// Append adds the property.
func (list Tombstones) Append(dst []byte) ([]byte, error) {
	e := writer(dst)
	put32(e, tombstoneMark, tombstoneSize, tombstoneVersion)
	e.Number(len(list), 4)
	e.Uint32(tombstoneSize)
	for _, t := range list {
		put32(e, uint32(t.Start), uint32(t.End))
		putBlock(e, t.Object)
		e.Number(len(t.User), 2)
		e.Raw([]byte(t.User))
	}
	return e.Bytes()
}
