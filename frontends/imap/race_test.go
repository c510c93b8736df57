//go:build race

package imap

// underRace says that the race detector is on, which makes everything larger.
const underRace = true
