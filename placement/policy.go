package placement

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// Survive is what a group is to outlive: the loss of one node, of a zone, or of a whole site. Numbers reach disk.
type Survive uint8

// The levels.
const (
	SurviveNode Survive = 1
	SurviveZone Survive = 2
	SurviveSite Survive = 3
)

var survives = []string{SurviveNode: "node", SurviveZone: "zone", SurviveSite: "site"}

func (s Survive) String() string {
	if int(s) >= len(survives) {
		return fmt.Sprintf("survive %d", uint8(s))
	}
	return survives[s]
}

// Policy is what the administrator asks of placement.
type Policy struct {
	// Replicas is the number of voting copies of a group: 3 or 5.
	Replicas int `wire:"1" json:"replicas"`
	// Groups is the number of mailbox groups that are made for what no rule speaks of.
	Groups int `wire:"2" json:"groups"`
	// Survive says what two copies of a group never share, as long as that can be avoided.
	Survive Survive `wire:"3" json:"-"`
	// Home is the site whose nodes should lead; empty for any.
	Home string `wire:"4" json:"home,omitempty"`
	// Sites are those that copies may be in, in order; empty for all.
	Sites []string `wire:"5" json:"sites,omitempty"`
	// MaxGroup is the size in bytes from which a group is full: new mailboxes go to others. Zero is none.
	MaxGroup uint64 `wire:"6" json:"max_group,omitempty"`
	// Grace is how long a node may be silent before what it holds is made elsewhere.
	Grace time.Duration `wire:"7" json:"-"`
	// MaxOps is how many operations a second make a group hot: mailboxes leave it for others. Zero is none.
	MaxOps  uint32       `wire:"8" json:"max_ops,omitempty"`
	Unknown wire.Unknown `json:"-"`
	// Rules are for domains and mailboxes; each is a record of its own.
	Rules []Rule `wire:"-" json:"rules,omitempty"`
}

// Rule says where the mailboxes of a domain, or one mailbox, live. Exactly one of Domain and Mailbox is set.
type Rule struct {
	Domain  string          `wire:"1" json:"domain,omitempty"`
	Mailbox cluster.SpaceID `wire:"2" json:"-"`
	Home    string          `wire:"3" json:"home,omitempty"`
	Sites   []string        `wire:"4" json:"sites,omitempty"`
	// Groups is how many groups are made for what the rule speaks of, together with others that want the same.
	Groups int `wire:"5" json:"groups,omitempty"`
	// Of names the mailbox where a rule is shown.
	Of      string       `wire:"-" json:"mailbox,omitempty"`
	Unknown wire.Unknown `json:"-"`
}

// Class is what groups are made for: a home and the sites that copies may be in. The zero class is for what no rule
// speaks of.
type Class struct {
	Home string
	// Sites are joined by commas, so that classes can be compared.
	Sites string
}

// SiteList is Sites as a group has them.
func (c Class) SiteList() []string {
	if c.Sites == "" {
		return nil
	}
	return strings.Split(c.Sites, ",")
}

// Class is that of the groups which the rule's mailboxes live in.
func (r *Rule) Class() Class { return Class{r.Home, strings.Join(r.Sites, ",")} }

// Class is that of a group.
func (g *Group) Class() Class { return Class{g.Home, strings.Join(g.Sites, ",")} }

// DefaultGrace is long enough for a machine to be started anew.
const DefaultGrace = 30 * time.Minute

// DefaultPolicy is three copies, sixteen groups, and no two copies of one in a zone.
func DefaultPolicy() Policy {
	return Policy{Replicas: 3, Groups: 16, Survive: SurviveZone, Grace: DefaultGrace}
}

// Rule finds the rule for a mailbox: its own, else that of its domain; nil when none speaks of it.
func (p *Policy) Rule(box cluster.SpaceID, domain string) *Rule {
	var found *Rule
	for i := range p.Rules {
		switch r := &p.Rules[i]; {
		case r.Domain == "" && r.Mailbox == box:
			return r
		case r.Domain != "" && r.Domain == domain:
			found = r
		}
	}
	return found
}

// RuleOf is the rule that is for exactly a domain or a mailbox, nil when there is none.
func (p *Policy) RuleOf(box cluster.SpaceID, domain string) *Rule {
	i := slices.IndexFunc(p.Rules, func(r Rule) bool { return r.Domain == domain && r.Mailbox == box })
	if i < 0 {
		return nil
	}
	return &p.Rules[i]
}

// ClassOf is that of the groups which a mailbox is to live in.
func (p *Policy) ClassOf(box cluster.SpaceID, domain string) Class {
	if rule := p.Rule(box, domain); rule != nil {
		return rule.Class()
	}
	return Class{}
}

// Classes are the kinds of groups that are wanted, and how many of each.
func (p *Policy) Classes() map[Class]int {
	all := map[Class]int{{}: p.Groups}
	for i := range p.Rules {
		r := &p.Rules[i]
		all[r.Class()] = max(all[r.Class()], r.Groups, 1)
	}
	return all
}

// HomeOf and SitesOf are where a group should be led, and where its copies may be.
func (p *Policy) HomeOf(g *Group) string {
	if g.Class() == (Class{}) {
		return p.Home
	}
	return g.Home
}

// SitesOf is empty for all sites.
func (p *Policy) SitesOf(g *Group) []string {
	if g.Class() == (Class{}) {
		return p.Sites
	}
	return g.Sites
}

// MaxGroups is how many mailbox groups a cluster may be asked for.
const MaxGroups = 256

// setting is one thing that a policy or a rule says, by its name on the command line.
type setting struct {
	name string
	// rule: a rule for a domain or a mailbox may say it too.
	rule bool
	set  func(p *Policy, value string) error
}

var settings = []setting{
	{"replicas", false, func(p *Policy, v string) error {
		n, err := strconv.Atoi(v)
		if err != nil || n != 3 && n != 5 {
			return fmt.Errorf("want 3 or 5")
		}
		p.Replicas = n
		return nil
	}},
	{"groups", true, func(p *Policy, v string) error {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 || n > MaxGroups {
			return fmt.Errorf("want 1 to %d", MaxGroups)
		}
		p.Groups = n
		return nil
	}},
	{"survive", false, func(p *Policy, v string) error {
		i := slices.Index(survives, v)
		if i <= 0 {
			return fmt.Errorf("want node, zone or site")
		}
		p.Survive = Survive(i) // #nosec G115 -- a small table
		return nil
	}},
	{"home", true, func(p *Policy, v string) error {
		p.Home = v
		return nil
	}},
	{"sites", true, func(p *Policy, v string) error {
		p.Sites = nil
		if v != "" {
			p.Sites = slices.Compact(slices.Sorted(slices.Values(strings.Split(v, ","))))
		}
		if slices.Contains(p.Sites, "") {
			return fmt.Errorf("want names with commas between them, or nothing for all")
		}
		return nil
	}},
	{"max-group", false, func(p *Policy, v string) (err error) {
		p.MaxGroup, err = parseSize(v)
		return err
	}},
	{"max-ops", false, func(p *Policy, v string) error {
		n, err := strconv.ParseUint(v, 10, 32)
		if err != nil {
			return fmt.Errorf("want a number of operations a second, or 0 for no limit")
		}
		p.MaxOps = uint32(n)
		return nil
	}},
	{"grace", false, func(p *Policy, v string) error {
		d, err := time.ParseDuration(v)
		if err != nil || d < MinGrace {
			return fmt.Errorf("want a time of at least %v, as 30m", MinGrace)
		}
		p.Grace = d
		return nil
	}},
}

// MinGrace keeps a node that stumbles from having all its data copied.
const MinGrace = 5 * time.Second

// parseSize reads a number of bytes with the ending M, G or T; 0 is no limit.
func parseSize(v string) (uint64, error) {
	if v == "0" {
		return 0, nil
	}
	digits := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(v, "M"), "G"), "T")
	shift := map[string]int{"M": 20, "G": 30, "T": 40}[v[len(digits):]]
	n, err := strconv.ParseUint(digits, 10, 63-shift)
	if err != nil || shift == 0 {
		return 0, fmt.Errorf("want a size as 200G, or 0 for none")
	}
	return n << shift, nil
}

// SettingError says what is wrong with something that the administrator asks of placement.
type SettingError struct{ Name, Value, Text string }

func (e *SettingError) Error() string { return fmt.Sprintf("%s=%s: %s", e.Name, e.Value, e.Text) }

// Set changes what key=value pairs say.
func (p *Policy) Set(pairs []string) error { return p.set(pairs, func(setting) bool { return true }) }

// Set changes what key=value pairs say of a rule.
func (r *Rule) Set(pairs []string) error {
	p := Policy{Home: r.Home, Sites: r.Sites, Groups: r.Groups}
	err := p.set(pairs, func(s setting) bool { return s.rule })
	r.Home, r.Sites, r.Groups = p.Home, p.Sites, p.Groups
	return err
}

func (p *Policy) set(pairs []string, allowed func(setting) bool) error {
	for _, pair := range pairs {
		name, value, _ := strings.Cut(pair, "=")
		i := slices.IndexFunc(settings, func(s setting) bool { return s.name == name && allowed(s) })
		if i < 0 {
			var names []string
			for _, s := range settings {
				if allowed(s) {
					names = append(names, s.name)
				}
			}
			return &SettingError{name, value, "no such setting: there are " + strings.Join(names, ", ")}
		}
		if err := settings[i].set(p, value); err != nil {
			return &SettingError{name, value, err.Error()}
		}
	}
	return nil
}

// Check refuses what the cluster cannot do: sites that no node is in, a home outside of the sites, fewer groups than
// there are, where another number was asked for before.
func (p *Policy) Check(m *Map, before int) error {
	if err := checkSites(m, p.Home, p.Sites); err != nil {
		return err
	}
	if have := m.CountGroups(Class{}); p.Groups != before && p.Groups < have {
		return &SettingError{"groups", strconv.Itoa(p.Groups), fmt.Sprintf("there are %d, and no setting merges groups", have)}
	}
	return nil
}

// CountGroups is how many groups of a class there are, those that are merged included: they stay.
func (m *Map) CountGroups(c Class) int {
	n := 0
	for i := range m.Groups {
		if g := &m.Groups[i]; g.ID != cluster.SystemGroup && g.Class() == c {
			n++
		}
	}
	return n
}

// Full reports whether a group of a size, with so many operations a second, is to take nothing more.
func (p *Policy) Full(bytes uint64, ops float64) bool {
	return p.MaxGroup > 0 && bytes >= p.MaxGroup || p.MaxOps > 0 && ops >= float64(p.MaxOps)
}

// Check refuses a rule that the cluster cannot follow, or that says nothing.
func (r *Rule) Check(m *Map) error {
	if r.Class() == (Class{}) {
		return &SettingError{"home", "", "a rule says a home, sites, or both; without them it is to be removed"}
	}
	return checkSites(m, r.Home, r.Sites)
}

func checkSites(m *Map, home string, sites []string) error {
	var there []string
	for i := range m.Nodes {
		if n := &m.Nodes[i]; n.Status != Removed && n.Roles&RoleStore != 0 {
			there = append(there, n.Site())
		}
	}
	slices.Sort(there)
	there = slices.Compact(there)
	known := "no node that stores is there; the sites are " + strings.Join(there, ", ")
	for _, s := range sites {
		if !slices.Contains(there, s) {
			return &SettingError{"sites", s, known}
		}
	}
	switch {
	case home != "" && !slices.Contains(there, home):
		return &SettingError{"home", home, known}
	case home != "" && len(sites) > 0 && !slices.Contains(sites, home):
		return &SettingError{"home", home, "it is not one of the sites that copies may be in, " + strings.Join(sites, ", ")}
	}
	return nil
}

// String is the policy as it is set, one setting after the other.
func (p *Policy) String() string {
	s := []string{fmt.Sprintf("replicas=%d groups=%d survive=%s", p.Replicas, p.Groups, p.Survive)}
	if p.Home != "" {
		s = append(s, "home="+p.Home)
	}
	if len(p.Sites) > 0 {
		s = append(s, "sites="+strings.Join(p.Sites, ","))
	}
	return strings.Join(append(s, fmt.Sprintf("max-group=%s max-ops=%d grace=%v", sizeText(p.MaxGroup), p.MaxOps, p.Grace)), " ")
}

// sizeText is a size as it is set.
func sizeText(n uint64) string {
	for _, u := range []struct {
		shift int
		name  string
	}{{40, "T"}, {30, "G"}, {20, "M"}} {
		if n > 0 && n%(1<<u.shift) == 0 {
			return strconv.FormatUint(n>>u.shift, 10) + u.name
		}
	}
	return strconv.FormatUint(n, 10)
}
