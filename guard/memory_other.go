//go:build !unix

package guard

// isShortOfMemory knows no errnos here.
func isShortOfMemory(error) bool { return false }
