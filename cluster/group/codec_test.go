package group

//lint:file-ignore SA1019 raft 1.8.0 still reads Leader

import (
	"bytes"
	"encoding/hex"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/hashicorp/raft"
	"pgregory.net/rapid"
)

func join(parts [][]byte) []byte { return bytes.Join(parts, nil) }

func someMembers() []Member {
	return []Member{{"n1.0000000000000001", Voter}, {"n2.0000000000000002", Voter}, {"n3.0000000000000003", Nonvoter}}
}

func someAppend(entries ...*raft.Log) *raft.AppendEntriesRequest {
	return &raft.AppendEntriesRequest{
		RPCHeader: header("n1.1"), Leader: []byte("n1.1"), Term: 7, PrevLogEntry: 41, PrevLogTerm: 6,
		LeaderCommitIndex: 40, Entries: entries,
	}
}

func TestAppendRoundTrip(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		var entries []*raft.Log
		first := rapid.Uint64Range(1, 1<<60).Draw(r, "first")
		for i := range rapid.IntRange(0, 5).Draw(r, "entries") {
			e := &raft.Log{Index: first + uint64(i), Term: rapid.Uint64Range(0, 7).Draw(r, "term"), Type: raft.LogCommand}
			if n := rapid.SampledFrom([]int{0, 1, copyBelow - 1, copyBelow, copyBelow + 1, 300 << 10}).Draw(r, "size"); n > 0 {
				e.Data = bytes.Repeat([]byte{byte(n)}, n)
			}
			if rapid.Bool().Draw(r, "stamped") {
				e.AppendedAt = time.Unix(0, rapid.Int64Range(1, 1<<60).Draw(r, "at"))
			}
			if rapid.Bool().Draw(r, "extended") {
				e.Extensions = []byte("ext")
			}
			if rapid.IntRange(0, 9).Draw(r, "membership") == 0 {
				e.Type, e.Data = raft.LogConfiguration, raft.EncodeConfiguration(configurationOf(someMembers()))
			}
			entries = append(entries, e)
		}
		a := someAppend(entries...)
		coded, err := encodeAppend("n2.2", a)
		if err != nil {
			r.Fatal(err)
		}
		to, back, err := decodeAppend(join(coded))
		if err != nil || to != "n2.2" {
			r.Fatalf("to %q: %v", to, err)
		}
		if !reflect.DeepEqual(a, back) {
			r.Fatalf("got %+v, want %+v", back, a)
		}
	})
}

func TestAppendRefuses(t *testing.T) {
	tooMany := make([]*raft.Log, maxAppend+1)
	for i := range tooMany {
		tooMany[i] = &raft.Log{Index: uint64(i + 1)}
	}
	for name, entries := range map[string][]*raft.Log{
		"too many":        tooMany,
		"gap":             {{Index: 1}, {Index: 3}},
		"too large":       {{Index: 1, Data: make([]byte, maxEntryData+1)}},
		"of a later term": {{Index: 1, Term: 7}, {Index: 2, Term: 8}},
	} {
		if _, err := encodeAppend("n2.2", someAppend(entries...)); err == nil {
			t.Errorf("%s: encoded", name)
		}
	}
	for name, e := range map[string]*raft.Log{
		"old type":       {Index: 1, Type: raft.LogAddPeerDeprecated},
		"unknown type":   {Index: 1, Type: 99},
		"bad membership": {Index: 1, Type: raft.LogConfiguration, Data: []byte("junk")},
	} {
		coded, err := encodeAppend("n2.2", someAppend(e))
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := decodeAppend(join(coded)); err == nil {
			t.Errorf("%s: decoded", name)
		}
	}
}

// TestLaterTerms is what raft may have a replica send that leads no more: entries of the next leader, in its own term.
func TestLaterTerms(t *testing.T) {
	a := someAppend(&raft.Log{Index: 42, Term: 8, Type: raft.LogNoop})
	a.Term = 8
	coded, err := encodeAppend("n2.2", a)
	if err != nil {
		t.Fatal(err)
	}
	b := join(coded)
	term := len(appendID(appendID(nil, "n1.1"), "n2.2"))
	if b[term]--; b[term] != 7 {
		t.Fatalf("term is %d", b[term])
	}
	if _, _, err := decodeAppend(b); err == nil {
		t.Error("an entry of term 8 was taken from a leader of term 7")
	}
	a = someAppend()
	a.PrevLogTerm = 8
	if _, err := encodeAppend("n2.2", a); err == nil {
		t.Error("a leader of term 7 sent that its log ends in term 8")
	}
	h := snapshotHeader{from: "n1.1", to: "n2.2", term: 7, lastIndex: 100, lastTerm: 8, size: 1, members: someMembers()}
	if _, err := decodeSnapshotHeader(h.encode()); err == nil {
		t.Error("a snapshot of term 8 was taken from a leader of term 7")
	}
}

func TestSmallMessagesRoundTrip(t *testing.T) {
	var p raft.AppendEntriesResponse
	want := raft.AppendEntriesResponse{RPCHeader: header("n2.2"), Term: 3, LastLog: 9, Success: true, NoRetryBackoff: true}
	if err := decodeAppendReply(encodeAppendReply(&want), &p); err != nil || !reflect.DeepEqual(p, want) {
		t.Errorf("append reply: %+v %v", p, err)
	}
	v := voteRequest{from: "n1.1", to: "n2.2", term: 5, lastIndex: 6, lastTerm: 4, transfer: true}
	if got, err := decodeVote(v.encode()); err != nil || got != v {
		t.Errorf("vote: %+v %v", got, err)
	}
	from, term, granted, err := decodeVoteReply(encodeVoteReply("n1.1", 8, true))
	if from != "n1.1" || term != 8 || !granted || err != nil {
		t.Errorf("vote reply: %v %v %v %v", from, term, granted, err)
	}
	h := snapshotHeader{from: "n1.1", to: "n2.2", group: 3, term: 5, lastIndex: 100, lastTerm: 4, memberIndex: 9,
		size: 1 << 40, members: someMembers()}
	if got, err := decodeSnapshotHeader(h.encode()); err != nil || !reflect.DeepEqual(got, h) {
		t.Errorf("snapshot header: %+v %v", got, err)
	}
	hb := &raft.AppendEntriesRequest{RPCHeader: header("n1.1"), Leader: []byte("n1.1"), Term: 7}
	to, got, err := decodeHeartbeat(encodeHeartbeat("n2.2", hb))
	if to != "n2.2" || err != nil || !reflect.DeepEqual(got, hb) || !isHeartbeat(got) {
		t.Errorf("heartbeat: %+v %v", got, err)
	}
	s := suspicion{node: "n3", evidence: refused, positions: []position{{group: 1, incarnation: 2, term: 3, index: 4}}}
	if got, err := decodeSuspicion(s.encode()); err != nil || !reflect.DeepEqual(got, s) {
		t.Errorf("suspicion: %+v %v", got, err)
	}
	i := identity{group: 4, incarnation: 5, suffrage: Voter, recovery: 6, level: 7, logStore: [16]byte{8}, stableStore: [16]byte{9}}
	if got, err := decodeIdentity(i.encode()); err != nil || got != i {
		t.Errorf("identity: %+v %v", got, err)
	}
	asked, err := decodeConfirms(encodeConfirm(map[cluster.GroupID]uint64{3: 4}), false)
	if err != nil || !reflect.DeepEqual(asked, []confirmation{{group: 3, term: 4}}) {
		t.Errorf("confirm: %+v %v", asked, err)
	}
}

// TestFormsAreForEver holds the bytes of what reaches disk or wire.
func TestFormsAreForEver(t *testing.T) {
	a := someAppend(&raft.Log{Index: 42, Term: 7, Data: []byte("ab"), AppendedAt: time.Unix(0, 1)})
	coded, err := encodeAppend("n2.2", a)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		got  []byte
		want string
	}{
		"members":  {appendMembers(nil, []Member{{"n1.1", Voter}, {"n2.2", Nonvoter}}), "0102" + "01046e312e31" + "02046e322e32"},
		"identity": {identity{group: 1, incarnation: 2, suffrage: Voter, recovery: 3, level: 4}.encode(), "464c524901" + "01000000" + "0200000000000000" + "01" + "03000000" + "04000000" + strings.Repeat("00", 32) + "ac70efcb"},
		"append": {join(coded), "046e312e31046e322e32" + "0700000000000000" + "2900000000000000" + "0600000000000000" + "2800000000000000" +
			"2a00000000000000" + "0100" + "0700000000000000" + "00" + "0100000000000000" + "00000000" + "02000000" + "6162"},
		"heartbeat": {encodeHeartbeat("n2.2", a), "046e312e31046e322e320700000000000000"},
		"vote":      {voteRequest{from: "n1.1", to: "n2.2", term: 1, lastIndex: 2, lastTerm: 3, transfer: true}.encode(), "046e312e31046e322e32" + "0100000000000000" + "0200000000000000" + "0300000000000000" + "01"},
		"confirm":   {encodeConfirm(map[cluster.GroupID]uint64{3: 4}), "0100" + "03000000" + "0400000000000000"},
		"hand over": {encodeHandOver("n1.1", "n2.2", 5), "046e312e31046e322e32" + "0500000000000000"},
		"suspicion": {suspicion{node: "n3", evidence: refused, positions: []position{{1, 2, 3, 4}}}.encode(), "026e33" + "02" + "0100" + "01000000" + "0200000000000000" + "0300000000000000" + "0400000000000000"},
		"compare":   {encodeCompare("n1.1", "n2.2"), "046e312e31" + "046e322e32"},
		"pledge":    {pledge{term: 1, index: 2, vote: 3}.encode(), "0100000000000000" + "0200000000000000" + "0300000000000000"},
		"declare":   {encodeDeclarations([]declaration{{1, 2, pledge{3, 4, 5}}}), "0100" + "01000000" + "0200000000000000" + "0300000000000000" + "0400000000000000" + "0500000000000000"},
		"stream":    {encodeStreamHeader([]streamFile{{"a", 5}}), "464c535301" + "01000000" + "0500000000000000" + "0100" + "61" + "8a567cf5"},
	} {
		if got := hex.EncodeToString(c.got); got != c.want {
			t.Errorf("%s is %s, was %s", name, got, c.want)
		}
	}
	kinds := []any{kindHeartbeat, kindAppend, kindVote, kindPreVote, kindTimeout, kindConfirm, kindReadIndex, kindHandOver, kindSuspect, kindIdentity, kindCompare, kindDeclare}
	for i, k := range kinds {
		if got := reflect.ValueOf(k).Uint(); got != uint64(16+i) {
			t.Errorf("kind %d is %d", i, got)
		}
	}
}

// fuzzForms are the decoders of what comes from the network; each must refuse or give what encodes to the same.
func FuzzMessages(f *testing.F) {
	coded, err := encodeAppend("n2.2", someAppend(&raft.Log{Index: 42, Term: 7, Data: []byte("ab")},
		&raft.Log{Index: 43, Term: 7, Type: raft.LogConfiguration, Data: raft.EncodeConfiguration(configurationOf(someMembers()))}))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint8(0), join(coded))
	f.Add(uint8(1), encodeHeartbeat("n2.2", someAppend()))
	f.Add(uint8(2), encodeAppendReply(&raft.AppendEntriesResponse{RPCHeader: header("n2.2"), Success: true}))
	f.Add(uint8(3), voteRequest{from: "n1.1", to: "n2.2", term: 1}.encode())
	f.Add(uint8(4), encodeVoteReply("n1.1", 2, true))
	f.Add(uint8(5), snapshotHeader{from: "n1.1", to: "n2.2", lastIndex: 1, size: 5, members: someMembers()}.encode())
	f.Add(uint8(6), encodeConfirm(map[cluster.GroupID]uint64{3: 4}))
	f.Add(uint8(7), suspicion{node: "n3", evidence: refused, positions: []position{{1, 2, 3, 4}}}.encode())
	f.Add(uint8(8), appendMembers(nil, someMembers()))
	f.Add(uint8(9), identity{group: 1}.encode())
	f.Add(uint8(10), raft.EncodeConfiguration(configurationOf(someMembers())))
	f.Add(uint8(11), pledge{term: 1, index: 2, vote: 3}.encode())
	f.Add(uint8(12), encodeDeclarations([]declaration{{1, 2, pledge{3, 4, 5}}}))
	f.Add(uint8(13), (&pledges{of: map[cluster.GroupID]map[cluster.ServerID]pledge{1: {"n2.2": {3, 4, 5}}}}).encode("n1"))
	f.Fuzz(func(t *testing.T, form uint8, b []byte) {
		if again := recode(form%14, b); again != nil && !bytes.Equal(again, b) {
			t.Errorf("form %d: %x came back as %x", form%14, b, again)
		}
	})
}

// recode decodes and encodes again; nil when refused or when the form has several codings of one meaning.
func recode(form uint8, b []byte) []byte {
	switch form {
	case 0:
		if to, a, err := decodeAppend(b); err == nil && len(a.Entries) > 0 {
			coded, err := encodeAppend(to, a)
			if err != nil {
				return []byte(err.Error())
			}
			return join(coded)
		}
	case 1:
		if to, a, err := decodeHeartbeat(b); err == nil {
			return encodeHeartbeat(to, a)
		}
	case 2:
		var p raft.AppendEntriesResponse
		_ = decodeAppendReply(b, &p)
	case 3:
		_, _ = decodeVote(b)
	case 4:
		_, _, _, _ = decodeVoteReply(b)
	case 5:
		if h, err := decodeSnapshotHeader(b); err == nil {
			return h.encode()
		}
	case 6:
		_, _ = decodeConfirms(b, false)
		_, _ = decodeConfirms(b, true)
	case 7:
		if s, err := decodeSuspicion(b); err == nil {
			return s.encode()
		}
	case 8:
		if m, err := decodeMembers(b); err == nil {
			return appendMembers(nil, m)
		}
	case 9:
		if i, err := decodeIdentity(b); err == nil {
			return i.encode()
		}
	case 10:
		_, _ = decodeRaftMembers(b)
	case 11:
		if p, err := decodePledge(b); err == nil {
			return p.encode()
		}
	case 12:
		if d, err := decodeDeclarations(b); err == nil {
			return encodeDeclarations(d)
		}
	case 13:
		_, _ = decodePledges(b)
	}
	return nil
}
