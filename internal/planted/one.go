//go:build planted

package planted

import "os"

// Built says that bugs may be chosen in this build.
const Built = true

// Is says whether the bug is in this build.
func Is(b Bug) bool { return os.Getenv("FLOTILLA_PLANTED") == string(b) }
