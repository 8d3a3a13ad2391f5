//go:build !unix

package guard

import (
	"errors"
	"net"
)

// No service manager of these systems hands over sockets in this way.

func setCloseOnExec(int) error { return errors.ErrUnsupported }

func listenerOn(int) (net.Listener, error) { return nil, errors.ErrUnsupported }

func closeInherited(int) {}
