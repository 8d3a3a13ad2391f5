//go:build !linux

package guard

import "syscall"

// refuseDescriptors does nothing: only Linux can be told to.
func refuseDescriptors(string, string, syscall.RawConn) error { return nil }

func descriptorsAreRefused(syscall.Conn) bool { return false }
