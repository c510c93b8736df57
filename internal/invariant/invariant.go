// Package invariant stops a process, or the replica that recovers from it, when something is true that the program's
// own rules exclude. It never carries a mistake of a user, a peer or a disk: those are errors and have a kind.
// The panic value is always a Violation, so the owner of a replica can tell it from any other panic.
package invariant

import "fmt"

// Violation is the panic value of a broken invariant.
type Violation struct {
	// Message says which rule was broken and with what values.
	Message string
}

// Error makes a Violation printable as the reason of a stopped replica.
func (v Violation) Error() string { return "invariant broken: " + v.Message }

// Failf panics with a Violation.
func Failf(format string, args ...any) {
	panic(Violation{Message: fmt.Sprintf(format, args...)})
}

// Check panics with a Violation unless ok. The arguments are evaluated either way; on hot paths write the if and Failf.
func Check(ok bool, format string, args ...any) {
	if !ok {
		Failf(format, args...)
	}
}
