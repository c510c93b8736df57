package binprop

import "github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"

// PatternType is how an appointment or task recurs (MS-OXOCAL 2.2.1.44.1).
type PatternType uint16

// The types; the last four are of the Hijri calendar.
const (
	PatternDay           PatternType = 0x0000
	PatternWeek          PatternType = 0x0001
	PatternMonth         PatternType = 0x0002
	PatternMonthNth      PatternType = 0x0003
	PatternMonthEnd      PatternType = 0x0004
	PatternHijriMonth    PatternType = 0x000A
	PatternHijriMonthNth PatternType = 0x000B
	PatternHijriMonthEnd PatternType = 0x000C
)

// How a recurrence ends (MS-OXOCAL 2.2.1.44.1); clients write 0xFFFFFFFF for never as well.
const (
	EndByDate    = 0x0000_2021
	EndAfterN    = 0x0000_2022
	EndNever     = 0x0000_2023
	EndNeverToo  = 0xFFFF_FFFF
	Daily        = 0x200A // of RecurrencePattern.Frequency
	Weekly       = 0x200B
	Monthly      = 0x200C
	Yearly       = 0x200D
	readerNumber = 0x3004
)

// RecurrencePattern is how an appointment or a task recurs (MS-OXOCAL 2.2.1.44.1).
type RecurrencePattern struct {
	ReaderVersion, WriterVersion uint16
	Frequency                    uint16
	Type                         PatternType
	Calendar                     uint16
	FirstDateTime, Period        uint32
	Sliding                      uint32
	// Days are bits of weekdays, Sunday the lowest, of PatternWeek and the Nth types; Day is the day of the month of the
	// other months; Nth is which of the days, 5 the last.
	Days, Day, Nth uint32
	EndType        uint32
	Occurrences    uint32
	FirstDayOfWeek uint32
	// Deleted are the days on which an occurrence was taken away or moved from, Modified those it is on now.
	Deleted, Modified []Minutes
	Start, End        Minutes
}

// NewRecurrencePattern has the versions that are written today.
func NewRecurrencePattern() RecurrencePattern {
	return RecurrencePattern{ReaderVersion: readerNumber, WriterVersion: readerNumber}
}

func readRecurrence(d *oxcdata.Decoder) RecurrencePattern {
	p := RecurrencePattern{
		ReaderVersion: d.Uint16(), WriterVersion: d.Uint16(), Frequency: d.Uint16(), Type: PatternType(d.Uint16()), Calendar: d.Uint16(),
		FirstDateTime: d.Uint32(), Period: d.Uint32(), Sliding: d.Uint32(),
	}
	switch p.Type {
	case PatternDay:
	case PatternWeek:
		p.Days = d.Uint32()
	case PatternMonth, PatternMonthEnd, PatternHijriMonth, PatternHijriMonthEnd:
		p.Day = d.Uint32()
	case PatternMonthNth, PatternHijriMonthNth:
		p.Days, p.Nth = d.Uint32(), d.Uint32()
	default:
		d.Failf("recurrence of type %#x", uint16(p.Type))
	}
	p.EndType, p.Occurrences, p.FirstDayOfWeek = d.Uint32(), d.Uint32(), d.Uint32()
	date := func() Minutes { return Minutes(d.Uint32()) }
	p.Deleted = many(d, d.Number(4), date)
	p.Modified = many(d, d.Number(4), date)
	p.Start, p.End = date(), date()
	return p
}

func putRecurrence(e *oxcdata.Encoder, p RecurrencePattern) {
	for _, n := range []uint16{p.ReaderVersion, p.WriterVersion, p.Frequency, uint16(p.Type), p.Calendar} {
		e.Uint16(n)
	}
	put32(e, p.FirstDateTime, p.Period, p.Sliding)
	switch p.Type {
	case PatternDay:
	case PatternWeek:
		put32(e, p.Days)
	case PatternMonthNth, PatternHijriMonthNth:
		put32(e, p.Days, p.Nth)
	default:
		put32(e, p.Day)
	}
	put32(e, p.EndType, p.Occurrences, p.FirstDayOfWeek)
	for _, dates := range [][]Minutes{p.Deleted, p.Modified} {
		e.Number(len(dates), 4)
		for _, m := range dates {
			e.Uint32(uint32(m))
		}
	}
	put32(e, uint32(p.Start), uint32(p.End))
}

func put32(e *oxcdata.Encoder, list ...uint32) {
	for _, n := range list {
		e.Uint32(n)
	}
}

// ParseRecurrencePattern reads PidLidTaskRecurrence.
func ParseRecurrencePattern(b []byte) (RecurrencePattern, error) {
	d := reader(b)
	p := readRecurrence(d)
	return p, d.Close()
}

// Append adds PidLidTaskRecurrence.
func (p RecurrencePattern) Append(dst []byte) ([]byte, error) {
	e := writer(dst)
	putRecurrence(e, p)
	return e.Bytes()
}

// OverrideFlags say what an exception has of its own (MS-OXOCAL 2.2.1.44.2).
type OverrideFlags uint16

// The flags.
const (
	OverrideSubject       OverrideFlags = 0x0001
	OverrideMeetingType   OverrideFlags = 0x0002
	OverrideReminderDelta OverrideFlags = 0x0004
	OverrideReminder      OverrideFlags = 0x0008
	OverrideLocation      OverrideFlags = 0x0010
	OverrideBusyStatus    OverrideFlags = 0x0020
	OverrideAttachment    OverrideFlags = 0x0040
	OverrideSubType       OverrideFlags = 0x0080
	OverrideColor         OverrideFlags = 0x0100
	OverrideBody          OverrideFlags = 0x0200
)

// Exception is one changed occurrence: ExceptionInfo and ExtendedException in one.
type Exception struct {
	Start, End, OriginalStart Minutes
	Flags                     OverrideFlags
	// Subject and Location are bytes in a code page; the wide ones say the same in Unicode.
	Subject, Location         string
	WideSubject, WideLocation string
	MeetingType               uint32
	ReminderDelta, Reminder   uint32
	BusyStatus, Attachment    uint32
	SubType, Color            uint32
	// ChangeHighlight is there from writer version 0x3009 on, with what lies behind it.
	ChangeHighlight uint32
	HighlightRest   []byte
	// Reserved are the blocks for later versions.
	Reserved1, Reserved2 []byte
}

// numbers are the exception's fields of 32 bits that a flag brings, in the order of the bytes; texts stand between.
func (x *Exception) numbers() [2][]override {
	return [2][]override{
		{{OverrideMeetingType, &x.MeetingType}, {OverrideReminderDelta, &x.ReminderDelta}, {OverrideReminder, &x.Reminder}},
		{{OverrideBusyStatus, &x.BusyStatus}, {OverrideAttachment, &x.Attachment}, {OverrideSubType, &x.SubType}, {OverrideColor, &x.Color}},
	}
}

type override struct {
	flag OverrideFlags
	n    *uint32
}

// AppointmentRecurrencePattern is how an appointment recurs, with its exceptions (MS-OXOCAL 2.2.1.44.5).
type AppointmentRecurrencePattern struct {
	Pattern                        RecurrencePattern
	ReaderVersion2, WriterVersion2 uint32
	// StartOffset and EndOffset are minutes after midnight.
	StartOffset, EndOffset uint32
	Exceptions             []Exception
	Reserved1, Reserved2   []byte
	// Trailer is what some clients leave behind the end.
	Trailer []byte
}

// highlightVersion is the writer version from which exceptions have a ChangeHighlight.
const highlightVersion = 0x3009

// NewAppointmentRecurrencePattern has the versions that are written today.
func NewAppointmentRecurrencePattern() AppointmentRecurrencePattern {
	return AppointmentRecurrencePattern{Pattern: NewRecurrencePattern(), ReaderVersion2: 0x3006, WriterVersion2: highlightVersion}
}

// ParseAppointmentRecurrencePattern reads PidLidAppointmentRecur.
func ParseAppointmentRecurrencePattern(b []byte) (AppointmentRecurrencePattern, error) {
	d := reader(b)
	p := AppointmentRecurrencePattern{
		Pattern: readRecurrence(d), ReaderVersion2: d.Uint32(), WriterVersion2: d.Uint32(), StartOffset: d.Uint32(), EndOffset: d.Uint32(),
	}
	p.Exceptions = many(d, d.Number(2), func() Exception { return readException(d) })
	p.Reserved1 = block(d)
	for i := range p.Exceptions {
		p.readExtended(d, &p.Exceptions[i])
	}
	p.Reserved2 = block(d)
	p.Trailer = d.Bytes(d.Len())
	return p, d.Err()
}

func readException(d *oxcdata.Decoder) Exception {
	x := Exception{Start: Minutes(d.Uint32()), End: Minutes(d.Uint32()), OriginalStart: Minutes(d.Uint32()), Flags: OverrideFlags(d.Uint16())}
	numbers := x.numbers()
	x.Subject = x.readText(d, OverrideSubject)
	x.readNumbers(d, numbers[0])
	x.Location = x.readText(d, OverrideLocation)
	x.readNumbers(d, numbers[1])
	return x
}

func (x *Exception) readNumbers(d *oxcdata.Decoder, list []override) {
	for _, o := range list {
		if x.Flags&o.flag != 0 {
			*o.n = d.Uint32()
		}
	}
}

// readText reads bytes behind two lengths, of which the first counts a NUL that is not there.
func (x *Exception) readText(d *oxcdata.Decoder, flag OverrideFlags) string {
	if x.Flags&flag == 0 {
		return ""
	}
	longer, n := d.Number(2), d.Number(2)
	if longer != n+1 {
		d.Failf("text of %d bytes is %d long", n, longer)
	}
	return string(d.Bytes(n))
}

func (p *AppointmentRecurrencePattern) readExtended(d *oxcdata.Decoder, x *Exception) {
	if p.WriterVersion2 >= highlightVersion {
		rest := d.Inner(d.Number(4))
		x.ChangeHighlight, x.HighlightRest = rest.Uint32(), rest.Bytes(rest.Len())
		if err := rest.Close(); err != nil {
			d.Fail(err)
		}
	}
	x.Reserved1 = block(d)
	if x.Flags&(OverrideSubject|OverrideLocation) == 0 {
		return
	}
	if s, e, o := Minutes(d.Uint32()), Minutes(d.Uint32()), Minutes(d.Uint32()); d.Err() == nil && (s != x.Start || e != x.End || o != x.OriginalStart) {
		d.Failf("an exception is at %d and at %d", x.Start, s)
	}
	if x.Flags&OverrideSubject != 0 {
		x.WideSubject = d.UTF16(d.Number(2))
	}
	if x.Flags&OverrideLocation != 0 {
		x.WideLocation = d.UTF16(d.Number(2))
	}
	x.Reserved2 = block(d)
}

// Append adds PidLidAppointmentRecur.
func (p AppointmentRecurrencePattern) Append(dst []byte) ([]byte, error) {
	e := writer(dst)
	putRecurrence(e, p.Pattern)
	put32(e, p.ReaderVersion2, p.WriterVersion2, p.StartOffset, p.EndOffset)
	e.Number(len(p.Exceptions), 2)
	for i := range p.Exceptions {
		p.Exceptions[i].put(e)
	}
	putBlock(e, p.Reserved1)
	for i := range p.Exceptions {
		p.putExtended(e, &p.Exceptions[i])
	}
	putBlock(e, p.Reserved2)
	e.Raw(p.Trailer)
	return e.Bytes()
}

func (x *Exception) put(e *oxcdata.Encoder) {
	put32(e, uint32(x.Start), uint32(x.End), uint32(x.OriginalStart))
	e.Uint16(uint16(x.Flags))
	numbers := x.numbers()
	x.putText(e, OverrideSubject, x.Subject)
	x.putNumbers(e, numbers[0])
	x.putText(e, OverrideLocation, x.Location)
	x.putNumbers(e, numbers[1])
}

func (x *Exception) putNumbers(e *oxcdata.Encoder, list []override) {
	for _, o := range list {
		if x.Flags&o.flag != 0 {
			e.Uint32(*o.n)
		}
	}
}

func (x *Exception) putText(e *oxcdata.Encoder, flag OverrideFlags, s string) {
	if x.Flags&flag != 0 {
		e.Number(len(s)+1, 2)
		e.Number(len(s), 2)
		e.Raw([]byte(s))
	}
}

func (p *AppointmentRecurrencePattern) putExtended(e *oxcdata.Encoder, x *Exception) {
	if p.WriterVersion2 >= highlightVersion {
		e.Number(len(x.HighlightRest)+4, 4)
		e.Uint32(x.ChangeHighlight)
		e.Raw(x.HighlightRest)
	}
	putBlock(e, x.Reserved1)
	if x.Flags&(OverrideSubject|OverrideLocation) == 0 {
		return
	}
	put32(e, uint32(x.Start), uint32(x.End), uint32(x.OriginalStart))
	if x.Flags&OverrideSubject != 0 {
		e.UTF16(x.WideSubject, 2)
	}
	if x.Flags&OverrideLocation != 0 {
		e.UTF16(x.WideLocation, 2)
	}
	putBlock(e, x.Reserved2)
}
