package peercred_test

import (
	"os"
	"time"

	"example.com/peercred/native"
)

// implementation has the functions that cpeercred and native both export.
type implementation struct {
	name             string
	credentials      func(fd int) (pid int32, uid, gid uint32, err error)
	kind             func(fd int) (string, error)
	checkCanHavePeer func(fd int) error
	listens          func(fd int) (bool, error)
	answersForCaller func() (bool, error)
	groups           func(fd int) ([]uint32, error)
	securityLabel    func(fd int) (string, error)
	auditToken       func(fd int) ([8]uint32, error)
	loopbackPeerUID  func(fd int) (uint32, error)
	reportSenders    func(fd int, process, label bool) error
	receive          func(fd int, payload, control []byte, keep bool) (received, error)
	isNoMessage      func(error) bool
	whyLost          func(error) string
	openProcess      func(fd int) (pidfd int, err error)
	processExited    func(pidfd int) (bool, error)
	processPID       func(pidfd int) (int32, error)
	processIDs       func(pidfd int) ([8]uint32, error)
	signalProcess    func(pidfd int, signal os.Signal) error
	onSocketpair     func(ask func(fd int)) error
	sinceBoot        func() (time.Duration, error)
}

// received has the fields of the type Received of both.
type received struct {
	N          int
	End        bool
	PID        int32
	UID        uint32
	GID        uint32
	Label      string
	From       string
	Control    []byte
	Pidfd      int
	PidfdError error
}

var nativeFunctions = implementation{
	name:             "native",
	credentials:      native.Credentials,
	kind:             native.Kind,
	checkCanHavePeer: native.CheckCanHavePeer,
	listens:          native.Listens,
	answersForCaller: native.AnswersForCaller,
	groups:           native.Groups,
	securityLabel:    native.SecurityLabel,
	auditToken:       native.AuditToken,
	loopbackPeerUID:  native.LoopbackPeerUID,
	reportSenders:    native.ReportSenders,
	isNoMessage:      native.IsNoMessage,
	whyLost:          native.WhyLost,
	receive: func(fd int, payload, control []byte, keep bool) (received, error) {
		r, err := native.Receive(fd, payload, control, keep)
		return received(r), err
	},
	openProcess:   native.OpenProcess,
	processExited: native.ProcessExited,
	processPID:    native.ProcessPID,
	processIDs:    native.ProcessIDs,
	signalProcess: native.SignalProcess,
	onSocketpair:  native.OnSocketpair,
	sinceBoot:     native.SinceBoot,
}
