// Package oxcical turns calendars into appointments, meeting requests, their answers and cancellations, tasks and journal
// entries, and back (MS-OXCICAL, MS-OXOCAL, MS-OXOTASK).
//
// It knows iCalendar's syntax and MAPI's values; it never knows a mailbox, does no I/O and has no state. What a message
// has no property for is kept beside it (package kept), so that a calendar comes back as it was up to the normal form of
// complete.go. An exception of a series is the message in an attachment of the series (MS-OXOCAL 2.2.10).
package oxcical

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/flotilla-mail/flotilla/internal/convert/kept"
	"github.com/flotilla-mail/flotilla/internal/convert/object"
	"github.com/flotilla-mail/flotilla/internal/convert/recurrence"
	"github.com/flotilla-mail/flotilla/internal/formats/contentline"
	"github.com/flotilla-mail/flotilla/internal/formats/ical"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// Importer makes messages of calendars. The zero Importer takes times without zone for UTC.
type Importer struct {
	// Zone is the zone, by either name, that days and times without one of their own are in: the mailbox's.
	Zone string
	// Own are the addresses of the mailbox. A meeting in a calendar that somebody else organizes is one that its owner was asked to;
	// without them every meeting is the owner's.
	Own []string
	// Expander is asked where rules end, rrule-go if it is nil.
	Expander recurrence.Expander
}

// group is the components of one UID: what stands for the whole, and what replaces single occurrences.
type group struct {
	master     *ical.Component
	exceptions []*ical.Component
	// extra are those that cannot be carried.
	extra []*ical.Component
	// beside is what else the calendar of a single group has.
	beside []*ical.Component
}

func (g *group) all() []*ical.Component {
	return append(append([]*ical.Component{g.master}, g.exceptions...), g.extra...)
}

// Import is the messages in a calendar, one for each UID; a calendar may have none.
func (im Importer) Import(cal *ical.Component) ([]*object.Message, error) {
	cal = complete(cal)
	return im.in(cal, newZones(cal, im.Zone))
}

// in is the messages in a calendar whose zones are known.
func (im Importer) in(cal *ical.Component, zones *zones) ([]*object.Message, error) {
	groups := groupsOf(cal)
	if im.Expander == nil {
		im.Expander = recurrence.Library{}
	}
	var list []*object.Message
	for _, g := range groups {
		if len(groups) == 1 {
			g.beside = slices.DeleteFunc(slices.Clone(cal.Children), carried)
		}
		m, err := im.message(cal, g, zones)
		if err != nil {
			return nil, err
		}
		list = append(list, m)
	}
	return list, nil
}

func carried(c *ical.Component) bool {
	return c.Name == vevent || c.Name == vtodo || c.Name == vjournal
}

const (
	vcalendar = "VCALENDAR"
	vevent    = "VEVENT"
	vtodo     = "VTODO"
	vjournal  = "VJOURNAL"
	valarm    = "VALARM"
	vtimezone = "VTIMEZONE"
)

// groupsOf sorts a calendar's components. Occurrences without the series they are of stand for themselves.
func groupsOf(cal *ical.Component) []*group {
	byUID := map[string]*group{}
	var groups []*group
	for _, c := range cal.Children {
		if !carried(c) {
			continue
		}
		key := c.Name + " " + c.Value("UID")
		g := byUID[key]
		if g == nil {
			g = &group{}
			byUID[key] = g
			groups = append(groups, g)
		}
		switch {
		case c.Get("RECURRENCE-ID") != nil:
			g.exceptions = append(g.exceptions, c)
		case g.master == nil:
			g.master = c
		default:
			g.extra = append(g.extra, c)
		}
	}
	var whole []*group
	for _, g := range groups {
		if g.master != nil {
			whole = append(whole, g)
			continue
		}
		for _, c := range g.exceptions {
			whole = append(whole, &group{master: c})
		}
	}
	return whole
}

// message makes one message.
func (im Importer) message(cal *ical.Component, g *group, zones *zones) (*object.Message, error) {
	in := &importer{Importer: im, zones: zones, method: strings.ToUpper(cal.Value("METHOD"))}
	m := in.component(g.master)
	in.series(m, g)
	made := build(m)
	if err := keepComponent(&m.Props, g.master, made.master); err != nil {
		return nil, err
	}
	for i, c := range in.exceptions {
		at := slices.IndexFunc(made.exceptions, func(x exception) bool { return x.props == &c.message.Props })
		if at < 0 {
			g.extra = append(g.extra, c.component)
			continue
		}
		if err := keepComponent(&in.exceptions[i].message.Props, c.component, made.exceptions[at].component); err != nil {
			return nil, err
		}
	}
	if err := kept.Keep(&m.Props, kept.Calendar, around(cal, g, zones, made.around()), made.around(), together); err != nil {
		return nil, fmt.Errorf("keep what surrounds an event: %w", err)
	}
	return m, nil
}

func keepComponent(p *object.Props, source, made *ical.Component) error {
	if err := kept.Keep(p, kept.Component, pieces(source), pieces(made), together); err != nil {
		return fmt.Errorf("keep what no message has: %w", err)
	}
	return nil
}

// families are names that say one thing together; alone stands what says it by itself.
var families = [][]string{
	{"DTSTART", "DTEND", "DURATION", "X-MICROSOFT-CDO-ALLDAYEVENT", "X-MICROSOFT-MSNCALENDAR-ALLDAYEVENT"}, {originalStart, originalEnd},
	{"TRANSP", "STATUS", "X-MICROSOFT-CDO-BUSYSTATUS", "X-MICROSOFT-CDO-INTENDEDSTATUS", "X-MICROSOFT-MSNCALENDAR-BUSYSTATUS",
		"X-MICROSOFT-MSNCALENDAR-INTENDEDSTATUS"},
	{"PERCENT-COMPLETE", "COMPLETED"}, {"RRULE", "EXRULE"}, {"PRIORITY", "X-MICROSOFT-CDO-IMPORTANCE", "X-MICROSOFT-MSNCALENDAR-IMPORTANCE"},
	{"SEQUENCE", "X-MICROSOFT-CDO-APPT-SEQUENCE"},
	{"CLASS"}, {"SUMMARY"}, {"DESCRIPTION"}, {altDesc}, {"LOCATION"}, {"CATEGORIES"}, {"ORGANIZER", senderLine}, {"COMMENT"}, {"RESOURCES"}, {"METHOD"}, {"UID"}, {"DTSTAMP"}, {"CREATED"}, {"LAST-MODIFIED"},
	{"RECURRENCE-ID"}, {"DUE"}, {"X-MICROSOFT-CDO-OWNER-CRITICAL-CHANGE"}, {"X-MICROSOFT-CDO-ATTENDEE-CRITICAL-CHANGE"},
}

func together(name string) []string {
	for _, f := range families {
		if slices.Contains(f, name) {
			return f
		}
	}
	if slices.ContainsFunc(direct, func(d directLine) bool { return d.name == name }) {
		return []string{name}
	}
	return nil
}

// around is what a group's message has of the calendar: its lines, and whatever there is beside the group, or if there are
// other groups the zones that this one names. A zone that is the very one that is made is no piece of its own.
func around(cal *ical.Component, g *group, zones *zones, made []kept.Piece) []kept.Piece {
	rest := &ical.Component{Lines: cal.Lines, Children: append(slices.Clone(g.extra), g.beside...)}
	for _, name := range zonesIn(g.all()...) {
		if c := zones.components[name]; c != nil && !slices.Contains(g.beside, c) {
			rest.Children = append(rest.Children, c)
		}
	}
	list := pieces(rest)
	for i := range list {
		same := func(m kept.Piece) bool { return m.Name == vtimezone && m.Text == list[i].Text }
		if at := slices.IndexFunc(made, same); at >= 0 {
			list[i].Key = made[at].Key
		}
	}
	return list
}

// zonesIn are the zones that components name, each once.
func zonesIn(list ...*ical.Component) []string {
	var names []string
	for _, c := range list {
		for i := range c.Lines {
			if zone := c.Lines[i].Param("TZID"); zone != "" && !slices.Contains(names, zone) {
				names = append(names, zone)
			}
		}
	}
	return names
}

// pieces are a component's lines and children as package kept compares them.
func pieces(c *ical.Component) []kept.Piece {
	var list []kept.Piece
	for i := range c.Lines {
		normal := c.Lines[i].Normal()
		list = append(list, kept.Piece{Name: normal.Name, Value: normal.Value, Text: c.Lines[i].String(), Key: normal.String()})
	}
	for _, child := range c.Children {
		list = append(list, kept.Piece{Name: child.Name, Value: child.Text("TZID"), Text: string(child.Append(nil)), Key: strings.Join(normalOf(child), "\n")})
	}
	return list
}

// normalOf is a component's normal form: its lines with their parameters in order, sorted, and its children.
func normalOf(c *ical.Component) []string {
	var lines []string
	for _, p := range pieces(c) {
		lines = append(lines, p.Key)
	}
	slices.Sort(lines)
	return append(append([]string{"BEGIN:" + c.Name}, lines...), "END:"+c.Name)
}

// restore is a component with what was kept of its source.
func restore(p *object.Props, name string, c *ical.Component, made []kept.Piece) *ical.Component {
	back := &ical.Component{Name: c.Name}
	for _, text := range kept.Restore(p, name, made) {
		if strings.HasPrefix(text, "BEGIN:") {
			if child := reread(text); child != nil {
				back.Children = append(back.Children, child)
			}
			continue
		}
		if line, ok := contentline.Parse([]byte(text)); ok {
			back.Lines = append(back.Lines, line)
		}
	}
	return back
}

// reread is the component that was written as text.
func reread(text string) *ical.Component {
	limit := int64(len(text)) + 1
	cal, err := ical.NewDecoder(strings.NewReader(text), contentline.Limits{Line: limit, Total: limit}).Next()
	if err != nil || cal.Name != vcalendar || len(cal.Children) != 1 {
		return nil
	}
	return cal.Children[0]
}

// Export is the calendar of a message.
func Export(m *object.Message) *ical.Component {
	made := build(m)
	cal := restore(&m.Props, kept.Calendar, &ical.Component{Name: vcalendar}, made.around())
	cal.Lines = append([]contentline.Line{{Name: "VERSION", Value: "2.0"}}, cal.Lines...)
	slices.SortStableFunc(cal.Children, func(a, b *ical.Component) int { return rank(a) - rank(b) })
	cal.Children = append(cal.Children, restore(&m.Props, kept.Component, made.master, pieces(made.master)))
	for _, x := range made.exceptions {
		cal.Children = append(cal.Children, restore(x.props, kept.Component, x.component, pieces(x.component)))
	}
	return cal
}

// rank puts zones first, as readers want them that do not look ahead.
func rank(c *ical.Component) int {
	if c.Name == vtimezone {
		return 0
	}
	return 1
}

// Bytes is Export as it is written.
func Bytes(m *object.Message) []byte { return Export(m).Append(nil) }

// exception is a component that replaces an occurrence, and where what is kept of it stands.
type exception struct {
	component *ical.Component
	props     *object.Props
}

// built is what the properties of a message say, before what was kept is put back.
type built struct {
	method     string
	zones      []*ical.Component
	master     *ical.Component
	exceptions []exception
}

// productID is written where no other program's is kept.
const productID = "-//Flotilla//Flotilla//EN"

// around is the pieces of the calendar. A zone is known by its name alone: its rules follow from it, and may be others in
// the next release of the tz database.
func (b *built) around() []kept.Piece {
	cal := &ical.Component{Children: b.zones}
	cal.Put("PRODID", productID)
	if b.method != "" {
		cal.Put("METHOD", b.method)
	}
	list := pieces(cal)
	for i := range list {
		if list[i].Name == vtimezone {
			list[i].Key = vtimezone + " " + list[i].Value
		}
	}
	return list
}

// build writes what a message's properties say.
func build(m *object.Message) *built {
	x := &exporter{m: m, zone: zoneOf(m), c: &ical.Component{Name: vevent}}
	b := &built{method: methodOf(m), master: x.c}
	class := strings.ToLower(m.Text(mapi.PidTagMessageClass))
	switch {
	case strings.HasPrefix(class, "ipm.task"):
		x.c.Name = vtodo
		x.task()
	case strings.HasPrefix(class, "ipm.activity"):
		x.c.Name = vjournal
		x.journal()
	default:
		x.event()
		b.exceptions = x.series()
	}
	all := []*ical.Component{b.master}
	for _, e := range b.exceptions {
		all = append(all, e.component)
	}
	b.zones = x.zoneComponents(all)
	return b
}

type importer struct {
	Importer
	zones  *zones
	method string
	// exceptions are the occurrences that have been made messages.
	exceptions []replaced
}

// replaced is an occurrence with its message.
type replaced struct {
	component *ical.Component
	message   *object.Message
}

// component makes the message of one component.
func (in *importer) component(c *ical.Component) *object.Message {
	m := &object.Message{}
	in.common(m, c)
	switch c.Name {
	case vtodo:
		in.task(m, c)
	case vjournal:
		in.journal(m, c)
	default:
		in.event(m, c)
	}
	return m
}

type exporter struct {
	m    *object.Message
	zone zone
	c    *ical.Component
}

// Same reports whether two calendars say the same, up to the normal form.
func Same(a, b *ical.Component) bool {
	return slices.Equal(normalOf(complete(a)), normalOf(complete(b)))
}

// Parse reads one calendar.
func Parse(b []byte) (*ical.Component, error) {
	return ical.NewDecoder(bytes.NewReader(b), contentline.Default()).Next()
}
