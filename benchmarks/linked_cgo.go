//go:build linux && cgo

package main

import "example.com/peercred/cpeercred"

const linkedName = "Receive of cpeercred or native"

func linkedReceive(fd int, payload, control []byte) error {
	_, err := cpeercred.Receive(fd, payload, control, false)
	return err
}
