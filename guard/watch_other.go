//go:build !linux

package guard

import "errors"

// watch is not reached: [Config.checkExit] refuses CloseOnExit where there is no handle on
// a process.
type watch struct{}

func newWatch(*closer) (*watch, error) { return nil, errors.ErrUnsupported }

func (*watch) add(*Conn) error { return errors.ErrUnsupported }

func (*watch) remove(*Conn) {}

func (*watch) close() {}
