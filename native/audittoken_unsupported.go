//go:build !darwin

package native

// AuditTokenCall names the system's call behind [AuditToken]: here there is none.
const AuditTokenCall = "none"

// AuditToken always fails here, with an error that is errors.ErrUnsupported.
func AuditToken(int) ([8]uint32, error) { return [8]uint32{}, untold("audit token") }
