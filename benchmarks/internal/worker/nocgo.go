//go:build !cgo

package main

func (*group) addCgo(int) {}
