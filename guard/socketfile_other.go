//go:build !unix

package guard

import (
	"context"
	"errors"
	"net"
)

// maxPath is not known for these systems.
const maxPath = 0

// listenAtPath is not reached: these systems do not tell who connects, and the care
// that a socket file needs is for those with Unix permissions.
func listenAtPath(context.Context, string, string, socketAttributes) (net.Listener, error) {
	return nil, errors.ErrUnsupported
}
