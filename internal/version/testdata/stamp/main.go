// Command stamp prints the release it was linked with.
package main

import (
	"os"

	"github.com/flotilla-mail/flotilla/internal/version"
)

func main() { _, _ = os.Stdout.WriteString(version.Get().Release) }
