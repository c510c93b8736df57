package mapi

import (
	"math"
	"time"
)

// FileTime counts 100-nanosecond steps since 1601-01-01 UTC (MS-DTYP 2.3.3), the resolution of every time in MAPI.
type FileTime uint64

const (
	stepsPerSecond = 10_000_000
	// unixEpoch is 1970-01-01 in seconds since 1601.
	unixEpoch = 11_644_473_600
)

// FileTimeOf is t, cut to the resolution. Times before 1601 become the first one.
func FileTimeOf(t time.Time) FileTime {
	sec := t.Unix() + unixEpoch
	if sec < 0 {
		return 0
	}
	if sec >= math.MaxInt64/stepsPerSecond {
		return math.MaxInt64
	}
	return FileTime(sec*stepsPerSecond + int64(t.Nanosecond())/100)
}

// Time is f in UTC; the zero FileTime is the zero Time.
func (f FileTime) Time() time.Time {
	if f == 0 {
		return time.Time{}
	}
	return time.Unix(int64(f/stepsPerSecond)-unixEpoch, int64(f%stepsPerSecond)*100).UTC()
}
