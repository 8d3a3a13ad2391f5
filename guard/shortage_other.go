//go:build !unix

package guard

// isShortage knows no errnos here.
func isShortage(error) bool { return false }

func isInUse(error) bool { return false }
