package peercred

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"syscall"
)

// Sender says which process sent a message over a Unix socket, as of its sendmsg(2) or
// write(2). Linux attaches it to the message:
//
//   - PID is the pid in our pid namespace. It is 0 if the process is not visible there, as
//     for a sender outside the container of the receiver.
//   - UID and GID are the real ids, 0 to 4294967294. [PeerCredentials] has the effective ids.
//     For a set-user-ID program the real uid is that of the user who started it. An id that
//     our user namespace does not map is the overflow id, 65534.
//
// A sender may choose between its own real, effective and saved ids. A sender with
// CAP_SETUID, CAP_SETGID or CAP_SYS_ADMIN in its user namespace can claim any uid and gid
// that are mapped there, or any pid that is visible there. So root can claim to be any user.
// No other user can claim to be root.
//
// Source: unix(7), scm_check_creds in net/core/scm.c of Linux.
type Sender struct {
	PID int32
	UID uint32
	GID uint32
}

// String returns the sender for logs, as in "pid=12345 uid=1000 gid=1000".
func (s Sender) String() string {
	return (&PeerCredentials{PID: s.PID, UID: s.UID, GID: s.GID}).String()
}

// LogValue returns the same as a slog group.
func (s Sender) LogValue() slog.Value {
	return (&PeerCredentials{PID: s.PID, UID: s.UID, GID: s.GID}).LogValue()
}

// Message is a message, or a part of a stream, from one sender.
type Message struct {
	// N is the number of bytes in the buffer.
	N int
	// Sender is the process that sent them.
	Sender Sender
	// From is the name of the socket that the message was sent from. It is empty for a
	// socket without a name. "@" precedes an abstract name. The sender chose it.
	From string

	// Process is a handle on the sender's process, if ReceiverConfig.Process asks for it.
	// The caller closes it. If it is nil, ProcessErr says why. That is
	// *[ErrPeerProcessGone] if the process has been reaped.
	Process    *PeerProcess
	ProcessErr error

	// SecurityLabel is the label of the sender, if ReceiverConfig.SecurityLabel asks for it
	// and a Linux security module labels processes. It is empty otherwise.
	SecurityLabel string

	// Control has the other control messages, if ReceiverConfig.Control asks for them. It
	// is for [syscall.ParseSocketControlMessage], and valid until the next Receive. The
	// descriptors in it are close-on-exec, and the caller closes them.
	Control []byte
}

// ReceiverConfig says what a [Receiver] asks for besides the sender.
type ReceiverConfig struct {
	Process       bool // a handle on the sender's process; requires Linux 6.5
	SecurityLabel bool // the security label of the sender's process
	Control       bool // other control messages, with the descriptors in them
}

// Receiver receives the messages of a Unix socket with their senders.
//
// A connection can change hands: a process can inherit it, or receive its descriptor. So the
// sender of a message may be another process than the one that connected, which
// [GetPeerCredentials] reports. One Receive never returns bytes of two senders.
//
// All methods are safe for concurrent use. Calls of Receive wait for one another. A socket
// may have several receivers.
type Receiver struct {
	conn    syscall.RawConn
	config  ReceiverConfig
	control []byte

	// What receive is about, made once, because a new closure is an allocation.
	mutex   sync.Mutex
	receive func(fd uintptr) bool
	payload []byte
	got     received
	err     error
}

// received is the type Received of the implementations.
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

// controlRoom is the room for SCM_CREDENTIALS and SCM_PIDFD, for all descriptors that one
// message can bring (SCM_MAX_FD, 253), for a label, and for what other options of the socket
// ask for, with headers. A label has no limit in Linux, and labels are far shorter.
const controlRoom = 128 + (1024 + 128) + (4096 + 128) + 512

const failedReceive = "failed to receive a message with its sender"

// NewReceiver makes a receiver for the Unix socket conn, of type "unix", "unixgram" or
// "unixpacket". From then on the kernel attaches its sender to each message that is sent to
// the socket. A message that was sent before has no sender, and Receive returns an error for
// it.
//
// It returns a receiver or an error:
//
//   - *[ErrPeerCredentialsUnavailable] or an error that wraps it on every system except
//     Linux. Also if config asks for Process, before Linux 6.5.
//   - An error that wraps [net.ErrClosed] if conn is closed.
//   - Otherwise an error that names the system and the call and wraps the errno.
//
// Source: SO_PASSCRED, SO_PASSPIDFD and SO_PASSSEC in unix(7) and socket(7).
func NewReceiver(conn *net.UnixConn, config ReceiverConfig) (*Receiver, error) {
	if conn == nil {
		return nil, fmt.Errorf("%s: %w", failedReceive, errNil)
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", failedReceive, err)
	}
	if err := config.Prepare("", "", raw); err != nil {
		return nil, err
	}
	r := &Receiver{conn: raw, config: config, control: make([]byte, controlRoom)}
	r.receive = r.receiveOnce
	return r, nil
}

// Prepare makes the kernel attach its sender to each message that the socket receives from now
// on, as [NewReceiver] does. It is for [net.ListenConfig] and [net.Dialer], whose Control
// functions run before the socket is bound or connected, so that no message comes before. The
// connections that a listener accepts are prepared too.
//
// The error is like that of NewReceiver.
func (c ReceiverConfig) Prepare(_, _ string, socket syscall.RawConn) error {
	var asked error
	if err := socket.Control(func(fd uintptr) { asked = askSenders(int(fd), c) }); err != nil {
		return fmt.Errorf("%s: %w", failedReceive, err)
	}
	return asked
}

func askSenders(fd int, config ReceiverConfig) error {
	if err := reportSenders(fd, config.Process, config.SecurityLabel); err != nil {
		return refusal(failedReceive, known.Sender.Call, err)
	}
	return nil
}

// Receive waits for a message, and reads it into p. On a stream it reads what one sender
// wrote, as far as it fits.
//
// Receive closes the descriptors that come with a message, unless ReceiverConfig.Control asks
// for them. Such a close can take as long as the sender likes. Linux 6.16 and newer do not
// accept descriptors on a socket with SO_PASSRIGHTS turned off, which package guard does.
//
// It returns a message or an error:
//
//   - *[ErrMessageLost] if the message cannot be used, because it is longer than p or because
//     its sender is not known. The next Receive returns the next message. A stream has lost
//     a part, so close it.
//   - [io.EOF] at the end of a connection.
//   - An error that wraps [os.ErrDeadlineExceeded] after the conn's read deadline, or
//     [net.ErrClosed] if it is closed.
//   - An error that wraps EINVAL if p is empty.
//   - Otherwise an error that names the system and the call and wraps the errno.
//
// It does not allocate, except for From, Process, SecurityLabel and errors.
//
// Source: recvmsg(2), unix(7).
func (r *Receiver) Receive(p []byte) (Message, error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.payload = p
	err := r.conn.Read(r.receive)
	got, asked := r.got, r.err
	r.payload, r.got = nil, received{}
	switch {
	case err != nil:
		return Message{}, fmt.Errorf("%s: %w", failedReceive, err)
	case asked != nil:
		return Message{}, receiveError(asked)
	case got.End:
		return Message{}, io.EOF
	}
	return r.message(got), nil
}

func (r *Receiver) receiveOnce(fd uintptr) bool {
	r.got, r.err = receive(int(fd), r.payload, r.control, r.config.Control)
	return !isNoMessage(r.err)
}

func receiveError(err error) error {
	if reason := whyLost(err); reason != "" {
		return &ErrMessageLost{Reason: reason, Err: err}
	}
	return refusal(failedReceive, "recvmsg", err)
}

func (r *Receiver) message(got received) Message {
	m := Message{
		N: got.N, Sender: Sender{got.PID, got.UID, got.GID}, From: got.From,
		SecurityLabel: got.Label, Control: got.Control,
	}
	switch {
	case r.config.Process:
		m.Process, m.ProcessErr = senderProcess(got)
	case got.Pidfd >= 0: // another receiver of the socket asked for it
		os.NewFile(uintptr(got.Pidfd), "pidfd").Close()
	}
	return m
}

// senderProcess returns a handle on the process that the message names as its sender.
func senderProcess(got received) (*PeerProcess, error) {
	if got.Pidfd < 0 {
		return nil, senderProcessError(got.PidfdError)
	}
	p, err := newPeerProcess(os.NewFile(uintptr(got.Pidfd), "pidfd"))
	if err != nil {
		return nil, err
	}
	pid, err := p.PID()
	if err == nil && pid != got.PID {
		err = fmt.Errorf("%s: the pidfd is of process %d, and the sender is %d", failedProcess, pid, got.PID)
	}
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		p.Close()
		return nil, err
	}
	return p, nil
}

func senderProcessError(err error) error {
	switch {
	case err == nil:
		return fmt.Errorf("%s: the message has no pidfd", failedProcess)
	case isGone(err):
		return &ErrPeerProcessGone{}
	}
	return fmt.Errorf("%s: %w", failedProcess, callError("SCM_PIDFD", err))
}
