// Command stamp prints the release and the test level that it was linked with.
package main

import (
	"fmt"

	"github.com/flotilla-mail/flotilla/internal/version"
)

func main() { fmt.Printf("%s %d", version.Get().Release, version.TestLevel()) }
