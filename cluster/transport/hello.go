package transport

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/flotilla-mail/flotilla/cluster"
)

// After TLS the dialler sends one hello and the listener answers with one welcome; both are u32 length | body.
// They are the same in every version, so that two builds without a common version can say so to each other.
const (
	helloMagic  = "FLOT"
	maxHeader   = 64 << 10 // of a stream
	maxGreeting = maxHeader + 1024
)

type hello struct {
	versions    VersionRange
	class       Class
	incarnation uint64
	cluster     ClusterID
	from, to    cluster.NodeID
	group       cluster.GroupID // of a stream
	header      []byte          // of a stream
}

// welcomeStatus is how a hello was taken. Numbers are for ever.
type welcomeStatus uint8

const (
	welcomeOK      welcomeStatus = 0
	welcomeVersion welcomeStatus = 1 // no common version
	welcomeCluster welcomeStatus = 2 // hello for another cluster
	welcomeNode    welcomeStatus = 3 // hello for another node, or from one the certificate does not name
	welcomeBusy    welcomeStatus = 4 // too many connections of this class
	welcomeClass   welcomeStatus = 5 // class unknown, or not served here
	welcomeGone    welcomeStatus = 6 // hello from a process that another of the same node has replaced
	welcomeBarred  welcomeStatus = 7 // hello from a node that was taken out of the cluster
	welcomeVacant  welcomeStatus = 8 // like welcomeGone, but that other process is silent
)

type welcome struct {
	status      welcomeStatus
	versions    VersionRange
	version     uint16
	incarnation uint64
	text        string
}

func (h hello) encode() []byte {
	b := append(make([]byte, 4, 128+len(h.header)), helloMagic...)
	b = binary.LittleEndian.AppendUint16(b, h.versions.Min)
	b = binary.LittleEndian.AppendUint16(b, h.versions.Max)
	b = append(b, byte(h.class))
	b = binary.LittleEndian.AppendUint64(b, h.incarnation)
	b = appendShort(b, string(h.cluster))
	b = appendShort(b, string(h.from))
	b = appendShort(b, string(h.to))
	b = binary.LittleEndian.AppendUint32(b, uint32(h.group))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(h.header)))
	return withLength(append(b, h.header...))
}

func decodeHello(b []byte) (hello, error) {
	d := decoder{b: b}
	if string(d.bytes(len(helloMagic))) != helloMagic {
		return hello{}, errors.New("hello does not begin as one")
	}
	h := hello{versions: VersionRange{Min: d.u16(), Max: d.u16()}, class: Class(d.u8()), incarnation: d.u64()}
	h.cluster = ClusterID(d.bytes(int(d.u8())))
	h.from = cluster.NodeID(d.bytes(int(d.u8())))
	h.to = cluster.NodeID(d.bytes(int(d.u8())))
	h.group = cluster.GroupID(d.u32())
	n := d.u32()
	if n > maxHeader {
		return hello{}, fmt.Errorf("stream header of %d bytes, at most %d", n, maxHeader)
	}
	h.header = d.bytes(int(n))
	if err := d.finish(); err != nil {
		return hello{}, fmt.Errorf("hello: %w", err)
	}
	if h.incarnation == 0 {
		return hello{}, errors.New("hello without an incarnation")
	}
	return h, nil
}

func (w welcome) encode() []byte {
	b := append(make([]byte, 4, 64+len(w.text)), helloMagic...)
	b = append(b, byte(w.status))
	b = binary.LittleEndian.AppendUint16(b, w.versions.Min)
	b = binary.LittleEndian.AppendUint16(b, w.versions.Max)
	b = binary.LittleEndian.AppendUint16(b, w.version)
	b = binary.LittleEndian.AppendUint64(b, w.incarnation)
	return withLength(appendShort(b, w.text))
}

func decodeWelcome(b []byte) (welcome, error) {
	d := decoder{b: b}
	if string(d.bytes(len(helloMagic))) != helloMagic {
		return welcome{}, errors.New("welcome does not begin as one")
	}
	w := welcome{status: welcomeStatus(d.u8()), versions: VersionRange{Min: d.u16(), Max: d.u16()}}
	w.version, w.incarnation = d.u16(), d.u64()
	w.text = string(d.bytes(int(d.u8())))
	if err := d.finish(); err != nil {
		return welcome{}, fmt.Errorf("welcome: %w", err)
	}
	return w, nil
}

func appendShort(b []byte, s string) []byte {
	s = s[:min(len(s), 255)]
	return append(append(b, byte(len(s))), s...)
}

func withLength(b []byte) []byte {
	binary.LittleEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

func readGreeting(r io.Reader) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint32(head[:])
	if n > maxGreeting {
		return nil, fmt.Errorf("greeting of %d bytes, at most %d", n, maxGreeting)
	}
	b := make([]byte, n)
	_, err := io.ReadFull(r, b)
	return b, err
}

// judge decides on a peer's hello, which TLS has proved to be from node peer.
func (t *Transport) judge(h hello, peer cluster.NodeID) welcome {
	w := welcome{versions: t.cfg.Versions, incarnation: t.cfg.Incarnation}
	refuse := func(s welcomeStatus, format string, args ...any) welcome {
		w.status, w.text = s, fmt.Sprintf(format, args...)
		return w
	}
	version, ok := t.cfg.Versions.common(h.versions)
	switch {
	case h.cluster != t.cfg.Cluster:
		return refuse(welcomeCluster, "%s is of cluster %s, hello was for %s", t.cfg.Node, t.cfg.Cluster, h.cluster)
	case h.from != peer:
		return refuse(welcomeNode, "hello from %s with the certificate of %s", h.from, peer)
	case h.to != t.cfg.Node:
		return refuse(welcomeNode, "this is %s, hello was for %s", t.cfg.Node, h.to)
	case !ok:
		return refuse(welcomeVersion, "no common version: %s speaks %s, %s speaks %s",
			t.cfg.Node, t.cfg.Versions, h.from, h.versions)
	}
	if t.cfg.Barred != nil {
		if err := t.cfg.Barred(peer); err != nil {
			return refuse(welcomeBarred, "%v", err)
		}
	}
	w.version = version
	return w
}
