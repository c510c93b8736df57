// Command stamp prints the release and the test level that it was linked with.
package main

import (
	"fmt"

	"github.com/flotilla-mail/flotilla/internal/version"
)

func main() {
	first, last := version.TestLevels()
	fmt.Printf("%s %d %d", version.Get().Release, first, last)
}
