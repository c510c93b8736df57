package group

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"pgregory.net/rapid"
)

// memFiles are files in memory, in a fixed order.
type memFiles struct {
	names []string
	data  map[string][]byte
}

func (m *memFiles) Files() ([]streamFile, error) {
	var all []streamFile
	for _, n := range m.names {
		all = append(all, streamFile{n, int64(len(m.data[n]))})
	}
	return all, nil
}

func (m *memFiles) Open(name string) (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(m.data[name])), nil
}

type memFile struct {
	bytes.Buffer
	m    *memFiles
	name string
}

func (f *memFile) Close() error {
	f.m.names = append(f.m.names, f.name)
	f.m.data[f.name] = f.Bytes()
	return nil
}

func (m *memFiles) Create(name string) (io.WriteCloser, error) {
	if _, there := m.data[name]; there {
		return nil, errors.New("file is there")
	}
	return &memFile{m: m, name: name}, nil
}

func newMemFiles() *memFiles { return &memFiles{data: map[string][]byte{}} }

func streamOf(t interface{ Fatal(...any) }, src fileSource) []byte {
	r, err := newStreamReader(src)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if int64(len(b)) != r.Size() {
		t.Fatal("stream is not as long as it said")
	}
	return b
}

func TestStreamRoundTrip(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		src := newMemFiles()
		for i := range rapid.IntRange(1, 5).Draw(r, "files") {
			name := string(rune('a' + i))
			src.names = append(src.names, name)
			src.data[name] = rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(r, "data")
		}
		stream := streamOf(r, src)
		dst := newMemFiles()
		w := newStreamWriter(dst)
		for rest := stream; len(rest) > 0; {
			n := min(len(rest), rapid.IntRange(1, 300).Draw(r, "piece"))
			if _, err := w.Write(rest[:n]); err != nil {
				r.Fatal(err)
			}
			rest = rest[n:]
		}
		if err := w.finish(); err != nil {
			r.Fatal(err)
		}
		for _, n := range src.names {
			if !bytes.Equal(src.data[n], dst.data[n]) {
				r.Fatalf("file %s differs", n)
			}
		}
		if len(dst.data) != len(src.data) {
			r.Fatal("more files")
		}
	})
}

func TestStreamFindsDamage(t *testing.T) {
	src := newMemFiles()
	src.names = []string{"a", "b"}
	src.data = map[string][]byte{"a": []byte("hello"), "b": nil}
	stream := streamOf(t, src)
	receive := func(b []byte) error {
		w := newStreamWriter(newMemFiles())
		if _, err := w.Write(b); err != nil {
			return errors.Join(err, w.abort())
		}
		return errors.Join(w.finish(), w.abort())
	}
	if err := receive(stream); err != nil {
		t.Fatal(err)
	}
	for i := range stream {
		bad := bytes.Clone(stream)
		bad[i] ^= 0x10
		if receive(bad) == nil {
			t.Errorf("byte %d flipped and not noticed", i)
		}
		if receive(stream[:i]) == nil {
			t.Errorf("cut at %d and not noticed", i)
		}
	}
	if receive(append(bytes.Clone(stream), 0)) == nil {
		t.Error("a byte too many was not noticed")
	}
}

func TestStreamStaysInItsDirectory(t *testing.T) {
	for _, name := range []string{"", ".", "..", "../x", "a/b", `a\b`, ".hidden", "x\x00", string(bytes.Repeat([]byte("x"), 256))} {
		b := encodeStreamHeader([]streamFile{{name, 0}})
		if _, _, _, err := decodeStreamHeader(b); err == nil {
			t.Errorf("file name %q was taken", name)
		}
	}
}

func FuzzStream(f *testing.F) {
	src := newMemFiles()
	src.names = []string{"a", "b"}
	src.data = map[string][]byte{"a": []byte("hello"), "b": nil}
	f.Add(streamOf(f, src))
	f.Fuzz(func(t *testing.T, b []byte) {
		dst := newMemFiles()
		w := newStreamWriter(dst)
		_, err := w.Write(b)
		if err == nil && w.finish() == nil && !bytes.Equal(streamOf(t, dst), b) {
			t.Error("a stream was taken that does not read back the same")
		}
		if err := w.abort(); err != nil {
			t.Error(err)
		}
	})
}
