//go:build !linux

package guard

import "errors"

// watch is never used: [Config.check] refuses CloseOnExit on systems without a handle on a
// process.
type watch struct{}

func newWatch(*closer) (*watch, error) { return nil, errors.ErrUnsupported }

func (*watch) add(*Conn) error { return errors.ErrUnsupported }

func (*watch) remove(*Conn) {}

func (*watch) close() {}
