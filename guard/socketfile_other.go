//go:build !unix

package guard

import (
	"context"
	"errors"
	"math"
	"net"
)

// maxPath is no limit, because the limits of these systems are not known.
const maxPath = math.MaxInt - 1

// listenAtPath is never called: these systems do not tell who connects.
func listenAtPath(context.Context, string, string, socketAttributes) (net.Listener, error) {
	return nil, errors.ErrUnsupported
}
