//go:build unix && !android && ((!cgo && !darwin) || osusergo)

package guard

func init() { readsFiles = true }
