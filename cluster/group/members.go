package group

import (
	"fmt"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/hashicorp/raft"
)

// Suffrage is a member's say in a group. Numbers reach disk and wire, for ever.
type Suffrage uint8

// The suffrages.
const (
	// Voter counts in elections and commits.
	Voter Suffrage = 1
	// Nonvoter receives the log only.
	Nonvoter Suffrage = 2
	// Witness is a voter that keeps log and votes but no state (CLUSTER 7.5). It is reserved: no build makes one yet.
	Witness Suffrage = 3
)

func (s Suffrage) String() string {
	switch s {
	case Voter:
		return "voter"
	case Nonvoter:
		return "nonvoter"
	case Witness:
		return "witness"
	}
	return fmt.Sprintf("suffrage %d", uint8(s))
}

// Member is one replica of a group.
type Member struct {
	ID       cluster.ServerID
	Suffrage Suffrage
}

const (
	membersVersion = 1
	maxMembers     = 64
	maxServerID    = 255
)

// appendMembers codes a membership: version u8 | count u8 | { suffrage u8 | id (u8 length) }.
func appendMembers(b []byte, members []Member) []byte {
	b = append(b, membersVersion, byte(len(members)))
	for _, m := range members {
		b = append(b, byte(m.Suffrage))
		b = appendID(b, m.ID)
	}
	return b
}

// decodeMembers reads what appendMembers wrote.
func decodeMembers(b []byte) ([]Member, error) {
	d := &reader{b: b}
	if v := d.u8(); v != membersVersion && d.err == nil {
		return nil, fmt.Errorf("membership of version %d", v)
	}
	n := int(d.u8())
	if n > maxMembers {
		return nil, fmt.Errorf("membership of %d replicas, at most %d", n, maxMembers)
	}
	members := make([]Member, 0, n)
	for range n {
		m := Member{Suffrage: Suffrage(d.u8()), ID: d.id()}
		members = append(members, m)
	}
	if err := d.done(); err != nil {
		return nil, fmt.Errorf("membership: %w", err)
	}
	return members, checkMembers(members)
}

func checkMembers(members []Member) error {
	seen := map[cluster.ServerID]bool{}
	voters := 0
	for _, m := range members {
		switch {
		case m.ID == "" || len(m.ID) > maxServerID || !m.ID.Node().Valid():
			return fmt.Errorf("membership: server id %q", m.ID)
		case seen[m.ID]:
			return fmt.Errorf("membership: server %s twice", m.ID)
		case m.Suffrage != Voter && m.Suffrage != Nonvoter:
			return fmt.Errorf("membership: server %s has unknown %s", m.ID, m.Suffrage)
		}
		seen[m.ID] = true
		if m.Suffrage == Voter {
			voters++
		}
	}
	if len(members) > 0 && voters == 0 {
		return fmt.Errorf("membership without a voter")
	}
	return nil
}

func membersOf(c raft.Configuration) []Member {
	members := make([]Member, 0, len(c.Servers))
	for _, s := range c.Servers {
		m := Member{ID: cluster.ServerID(s.ID), Suffrage: Nonvoter}
		if s.Suffrage == raft.Voter {
			m.Suffrage = Voter
		}
		members = append(members, m)
	}
	return members
}

func configurationOf(members []Member) raft.Configuration {
	var c raft.Configuration
	for _, m := range members {
		s := raft.Server{ID: raft.ServerID(m.ID), Address: raft.ServerAddress(m.ID), Suffrage: raft.Nonvoter}
		if m.Suffrage == Voter {
			s.Suffrage = raft.Voter
		}
		c.Servers = append(c.Servers, s)
	}
	return c
}

func votersOf(members []Member) []cluster.ServerID {
	voters := make([]cluster.ServerID, 0, len(members))
	for _, m := range members {
		if m.Suffrage == Voter {
			voters = append(voters, m.ID)
		}
	}
	return voters
}

func suffrageOf(members []Member, id cluster.ServerID) Suffrage {
	for _, m := range members {
		if m.ID == id {
			return m.Suffrage
		}
	}
	return 0
}

// decodeRaftMembers reads the membership of a log entry, which raft itself has coded. raft panics on bytes that it
// did not write; here they are an error.
func decodeRaftMembers(data []byte) (members []Member, err error) {
	defer func() {
		if r := recover(); r != nil {
			members, err = nil, fmt.Errorf("membership entry: %v", r)
		}
	}()
	members = membersOf(raft.DecodeConfiguration(data))
	return members, checkMembers(members)
}
