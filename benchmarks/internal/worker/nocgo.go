//go:build linux && !cgo

package main

func (*group) addCgo(int) {}
