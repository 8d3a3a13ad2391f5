//go:build !linux

package guard

import (
	"net"
	"syscall"
)

// refuseDescriptors does nothing: only Linux can be told to.
func refuseDescriptors(string, string, syscall.RawConn) error { return nil }

func descriptorsAreRefused(syscall.Conn) bool { return false }

// hasNoDescriptors cannot be found out here.
func hasNoDescriptors(net.Conn) bool { return false }
