package peercred

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
)

// ErrNotUnixSocket says that a connection is not a Unix socket. Find it with
// errors.As; it is always a pointer.
type ErrNotUnixSocket struct {
	// ConnType is the type of the connection: "TCP" for a stream over IP, "UDP" for
	// datagrams over IP, or "unknown". It is "Unix" for a wrapper that claims to be a
	// Unix socket and hides its descriptor.
	ConnType string
}

func (e *ErrNotUnixSocket) Error() string {
	return "peer credentials only available for Unix sockets, got " + e.ConnType
}

// ErrNotLoopback says that a connection is not a TCP connection over loopback. Find it with
// errors.As; it is always a pointer.
type ErrNotLoopback struct {
	// Got describes the connection for people: "a Unix socket", "UDP", "unknown", or "TCP
	// over another address". It is "TCP" for a wrapper that claims to be TCP and hides its
	// descriptor.
	Got string
}

func (e *ErrNotLoopback) Error() string {
	return "the peer's uid is only available for TCP over loopback, got " + e.Got
}

// ErrMessageLost says that a [Receiver] received a message that cannot be used. Find it with
// errors.As; it is always a pointer.
type ErrMessageLost struct {
	// Reason says why, for people.
	Reason string
	// Err is EMSGSIZE if the message is longer than the buffer, ENOBUFS if it brought more
	// control data than fits, ENODATA if the kernel did not report who sent it, or EPROTO.
	Err error
}

func (e *ErrMessageLost) Error() string { return "a message was lost: " + e.Reason }

func (e *ErrMessageLost) Unwrap() error { return e.Err }

// ErrPeerCredentialsUnavailable says that this system or kernel does not report the
// credentials of a Unix socket's peer, or another fact about a peer. Find it with
// errors.As; it is always a pointer. errors.Is(err, errors.ErrUnsupported) is true for it.
//
// If another fact is unavailable, an error that names the fact wraps this one, as in
// "failed to get the peer's security label: unavailable on linux: ...". So print the error
// that the function returned.
type ErrPeerCredentialsUnavailable struct {
	// Platform is the system, as runtime.GOOS names it.
	Platform string
	// Reason says, for people, what the system or kernel lacks or refuses.
	Reason string
}

func (e *ErrPeerCredentialsUnavailable) Error() string {
	return "peer credentials unavailable on " + e.Platform + ": " + e.Reason
}

// Is reports whether target is errors.ErrUnsupported.
func (e *ErrPeerCredentialsUnavailable) Is(target error) bool {
	return target == errors.ErrUnsupported
}

// ErrPeerProcessGone says that the process of a peer has been reaped, or that it ended
// while it was inspected. Another process may have its pid now. Find it with errors.As; it
// is always a pointer. errors.Is(err, os.ErrProcessDone) is true for it.
type ErrPeerProcessGone struct {
	// PID is the pid that the process had, or 0 if that is not known.
	PID int32
}

func (e *ErrPeerProcessGone) Error() string {
	if e.PID == 0 {
		return "the peer's process is gone"
	}
	return "the peer's process is gone (it was pid " + strconv.Itoa(int(e.PID)) + ")"
}

// Is reports whether target is os.ErrProcessDone.
func (e *ErrPeerProcessGone) Is(target error) bool { return target == os.ErrProcessDone }

func isPeerProcessGone(err error) bool {
	var gone *ErrPeerProcessGone
	return errors.As(err, &gone)
}

// known is what is documented for this system. It names the calls.
var known = supportOn(runtime.GOOS, Implementation)

// refusal returns the error for a call that gave no answer.
func refusal(failed, call string, err error) error {
	switch {
	case errors.Is(err, errors.ErrUnsupported) && call == "":
		return unavailable(failed, err.Error())
	case errors.Is(err, errors.ErrUnsupported):
		return unavailable(failed, call+": "+err.Error())
	}
	return fmt.Errorf("%s: %w", failed, callError(call, err))
}

// callError adds the system and the call to err.
func callError(call string, err error) error {
	return fmt.Errorf("%s: %s: %w", runtime.GOOS, call, err)
}

// unavailable returns an error that wraps *ErrPeerCredentialsUnavailable. Its text begins
// with failed if a fact other than the credentials is unavailable.
func unavailable(failed, reason string) error {
	err := &ErrPeerCredentialsUnavailable{Platform: runtime.GOOS, Reason: reason}
	if failed == failedCredentials {
		return err
	}
	return &factUnavailable{failed, err}
}

// factUnavailable means that a fact other than the credentials is unavailable. The
// credentials may be available, so the text of the wrapped error would be wrong.
type factUnavailable struct {
	failed string
	err    *ErrPeerCredentialsUnavailable
}

func (e *factUnavailable) Error() string {
	return e.failed + ": unavailable on " + e.err.Platform + ": " + e.err.Reason
}

func (e *factUnavailable) Unwrap() error { return e.err }
