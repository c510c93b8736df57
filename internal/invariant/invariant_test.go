package invariant

import (
	"errors"
	"fmt"
	"testing"
)

func caught(fn func()) (v any) {
	defer func() { v = recover() }()
	fn()
	return nil
}

func TestCheck(t *testing.T) {
	if v := caught(func() { Check(true, "never") }); v != nil {
		t.Fatalf("a rule that holds panicked: %v", v)
	}
	v := caught(func() { Check(1 > 2, "uid %d below %d", 7, 9) })
	violation, ok := v.(Violation)
	if !ok {
		t.Fatalf("panic value is %T, want Violation", v)
	}
	if want := "invariant broken: uid 7 below 9"; violation.Error() != want {
		t.Fatalf("got %q, want %q", violation.Error(), want)
	}
}

func TestViolationIsAnError(t *testing.T) {
	err := fmt.Errorf("replica 3: %w", Violation{Message: "x"})
	if v, ok := errors.AsType[Violation](err); !ok || v.Message != "x" {
		t.Fatalf("not found through wrapping: %v", err)
	}
}
