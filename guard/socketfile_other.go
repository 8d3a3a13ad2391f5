//go:build !unix

package guard

import (
	"context"
	"errors"
	"math"
	"net"
)

// maxPath is no limit, since that of these systems is not known.
const maxPath = math.MaxInt - 1

// listenAtPath is not reached: these systems do not tell who connects, and the care
// that a socket file needs is for those with Unix permissions.
func listenAtPath(context.Context, string, string, socketAttributes) (net.Listener, error) {
	return nil, errors.ErrUnsupported
}
