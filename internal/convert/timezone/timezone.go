// Package timezone brings together the three ways in which calendars name a time zone: by the tz database (Europe/Berlin),
// by Windows (W. Europe Standard Time), and by rules of their own: iCalendar's VTIMEZONE, MAPI's PidLidTimeZoneStruct and
// PidLidAppointmentTimeZoneDefinitionStartDisplay with its siblings (MS-OXOCAL 2.2.1.39 to 2.2.1.43, MS-OXCICAL
// 2.1.3.1.1.19).
//
// It knows zones; it never knows an appointment. A zone whose name is known goes by the tz database, whatever rules came
// with it, because those are of one year only; the others go by their rule. The names come of CLDR (windows.tsv).
package timezone

import (
	_ "embed" // windows.tsv
	"strings"
	"time"
	_ "time/tzdata" // a server may have no tz database, and then no zone would be known
)

// names is a line for each of Windows' names: it, the zone that stands for it, all of its zones.
//
//go:embed windows.tsv
var names string

// rows yields the lines of names.
func rows(yield func(windows, zone, all string) bool) {
	for line := range strings.Lines(names) {
		parts := strings.SplitN(strings.TrimSuffix(line, "\n"), "\t", 3)
		if len(parts) == 3 && !yield(parts[0], parts[1], parts[2]) {
			return
		}
	}
}

// Windows is Windows' name of a zone of the tz database.
func Windows(zone string) (string, bool) {
	found := ""
	rows(func(windows, _, all string) bool {
		for name := range strings.SplitSeq(all, " ") {
			if strings.EqualFold(name, zone) {
				found = windows
			}
		}
		return found == ""
	})
	return found, found != ""
}

// Olson is the zone of the tz database that stands for one of Windows' names.
func Olson(windows string) (string, bool) {
	found := ""
	rows(func(name, zone, _ string) bool {
		if strings.EqualFold(name, windows) {
			found = zone
		}
		return found == ""
	})
	return found, found != ""
}

// Zones are the zones of the tz database that stand for Windows' names.
func Zones() []string {
	var list []string
	rows(func(_, zone, _ string) bool {
		list = append(list, zone)
		return true
	})
	return list
}

// maxName bounds the name of a zone.
const maxName = 256

// Load is the zone of a name, of either kind. Programs put their own path in front of a zone of the tz database
// (/mozilla.org/20050126_1/Europe/Berlin): the end of the path counts.
func Load(name string) (*time.Location, bool) {
	name = strings.TrimSpace(name)
	if name == "" || len(name) > maxName || name == "Local" {
		return nil, false
	}
	if zone, ok := Olson(name); ok {
		name = zone
	}
	if !strings.HasPrefix(name, "/") {
		return load(name)
	}
	parts := strings.Split(name, "/")
	for from := max(1, len(parts)-3); from < len(parts); from++ {
		if loc, ok := load(strings.Join(parts[from:], "/")); ok {
			return loc, true
		}
	}
	return nil, false
}

// load asks the tz database, which Go looks for in the system and then in the program.
func load(name string) (*time.Location, bool) {
	if name == "" {
		return nil, false
	}
	loc, err := time.LoadLocation(name)
	return loc, err == nil
}
