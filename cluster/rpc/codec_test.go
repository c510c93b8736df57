package rpc

import (
	"bytes"
	"io"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestRequestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := request{
			size:    rapid.IntRange(0, MaxMessage).Draw(t, "size"),
			method:  rapid.Uint16().Draw(t, "method"),
			form:    rapid.SampledFrom([]uint8{formCall, formStream}).Draw(t, "form"),
			timeout: time.Duration(rapid.Int64Range(0, maxTimeout.Microseconds()).Draw(t, "timeout")) * time.Microsecond,
		}
		got, err := readRequest(bytes.NewReader(want.append(nil)), make([]byte, requestHead))
		if err != nil || got != want {
			t.Fatalf("%+v became %+v, %v", want, got, err)
		}
	})
}

func TestBadFrames(t *testing.T) {
	scratch := make([]byte, requestHead)
	good := request{size: 3, method: 1, form: formCall}
	for name, q := range map[string]request{
		"too large": {size: MaxMessage + 1, form: formCall}, "no form": {}, "unknown form": {form: 9},
		"timeout": {form: formCall, timeout: maxTimeout + time.Second},
	} {
		if _, err := readRequest(bytes.NewReader(q.append(nil)), scratch); err == nil {
			t.Errorf("request accepted: %s", name)
		}
	}
	if _, err := readRequest(bytes.NewReader(good.append(nil)[:5]), scratch); err != io.ErrUnexpectedEOF {
		t.Errorf("request cut short: %v", err)
	}
	for name, b := range map[string][]byte{
		"type 0":    appendMessageHead(nil, 0, 0),
		"type 9":    appendMessageHead(nil, 9, 0),
		"too large": appendMessageHead(nil, messageData, MaxMessage+1),
		"cut short": appendMessageHead(nil, messageData, 1),
	} {
		if _, _, err := readMessage(bytes.NewReader(b)); err == nil || err == io.EOF {
			t.Errorf("message accepted: %s: %v", name, err)
		}
	}
}

func FuzzFrames(f *testing.F) {
	f.Add(request{size: 3, method: 7, form: formCall, timeout: time.Second}.append(nil))
	f.Add(request{form: formStream}.append(nil))
	f.Add(append(appendMessageHead(nil, messageDone, 2), "ok"...))
	f.Add(append(appendMessageHead(nil, messageError, 200), "short"...))
	f.Add(bytes.Repeat([]byte{0xff}, 20))
	f.Fuzz(func(t *testing.T, b []byte) {
		if q, err := readRequest(bytes.NewReader(b), make([]byte, requestHead)); err == nil {
			if !bytes.Equal(q.append(nil), b[:requestHead]) {
				t.Errorf("request %+v is not what was read", q)
			}
		}
		if kind, payload, err := readMessage(bytes.NewReader(b)); err == nil {
			again := append(appendMessageHead(nil, kind, len(payload)), payload...)
			if !bytes.Equal(again, b[:len(again)]) {
				t.Errorf("message of type %d is not what was read", kind)
			}
		}
	})
}
