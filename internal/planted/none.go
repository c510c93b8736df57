//go:build !planted

package planted

// Built says that bugs may be chosen in this build.
const Built = false

// Is says whether the bug is in this build.
func Is(Bug) bool { return false }
