//go:build !linux

package guard

// checkPackets finds nothing to doubt: that a kernel confuses the ends of packet sockets
// is known of those alone that imitate Linux.
func checkPackets() error { return nil }
