package guard

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"example.com/peercred"
)

// ErrNotActivated means that no service manager handed a socket to this process. A program
// that also serves without a service manager then calls [Listen].
var ErrNotActivated = errors.New("no service manager handed a socket to this process")

// Inherited guards a listening socket that the service manager handed to this process, as
// systemd does for a socket unit and for the sockets in its descriptor store. The name is
// the FileDescriptorName= of the socket unit. Its default is the name of the unit, such as
// "agent.socket". An empty name takes the only socket, whatever its name.
//
// Inherited sets close-on-exec on all descriptors that were handed over. It leaves the
// environment as it is, like sd_listen_fds(3) with 0, so it can be called for each name. A
// child process does not mistake the sockets for its own, because LISTEN_PID is not its
// pid. Each socket can be taken once. Close does not remove the socket file, because it
// belongs to the service manager.
//
// Inherited returns a listener, or an error that wraps:
//
//   - [ErrNotActivated] if LISTEN_FDS is not set, or if LISTEN_PID is the pid of another
//     process.
//   - [syscall.EINVAL] if the variables are malformed, if no socket or several sockets have
//     the name, if the socket was taken already, and if it does not listen.
//   - The error of [NewListener] for the config. The socket can still be taken then.
//   - Otherwise the error of the system call on the descriptor.
//
// It is safe for concurrent use.
//
// Source: sd_listen_fds(3).
func Inherited(name string, config Config) (*Listener, error) {
	inherited.Lock()
	defer inherited.Unlock()
	names, err := inheritedNames()
	if err != nil {
		return nil, err
	}
	for n := range names {
		if fd := firstInherited + n; !inherited.taken[fd] {
			if err := setCloseOnExec(fd); err != nil {
				return nil, fmt.Errorf("guard: descriptor %d, which LISTEN_FDS=%d names: %w", fd, len(names), err)
			}
		}
	}
	fd, err := findInherited(name, names)
	if err != nil {
		return nil, err
	}
	if inherited.taken[fd] {
		return nil, fmt.Errorf("guard: the socket %q was taken by an earlier call of Inherited: %w", names[fd-firstInherited], syscall.EINVAL)
	}
	if inherited.files[fd] == nil {
		inherited.files[fd] = os.NewFile(uintptr(fd), "inherited socket")
	}
	l, err := guardFile(inherited.files[fd], config)
	if err != nil {
		return nil, fmt.Errorf("guard: descriptor %d, the socket %q: %w", fd, names[fd-firstInherited], err)
	}
	inherited.taken[fd] = true
	inherited.files[fd].Close() // the listener has a duplicate
	return l, nil
}

func guardFile(file *os.File, config Config) (*Listener, error) {
	if err := checkListens(file); err != nil {
		return nil, err
	}
	inner, err := net.FileListener(file)
	if err != nil {
		return nil, err
	}
	l, err := guardListener(inner, config)
	if err == nil {
		return l, nil
	}
	if other, ok := errors.AsType[*peercred.ErrNotUnixSocket](err); ok {
		err = fmt.Errorf("it listens on %v, not on a Unix socket: set ListenStream= in the socket unit to a path, or set AllowLoopbackTCP for an address on loopback: %w", inner.Addr(), other)
	}
	inner.Close()
	return nil, err
}

// inherited records which descriptors were taken. Their numbers may mean other files by
// now. It keeps the files of the descriptors that were not taken, which the garbage
// collector would close.
var inherited = struct {
	sync.Mutex
	taken map[int]bool
	files map[int]*os.File
}{taken: map[int]bool{}, files: map[int]*os.File{}}

const (
	firstInherited = 3         // SD_LISTEN_FDS_START
	mostInherited  = 1 << 20   // descriptors, more than a process has
	namedUnknown   = "unknown" // without LISTEN_FDNAMES
)

// inheritedNames returns the names of the descriptors from firstInherited on.
func inheritedNames() ([]string, error) {
	count, ok := os.LookupEnv("LISTEN_FDS")
	if !ok {
		return nil, fmt.Errorf("guard: %w: LISTEN_FDS is not set; start this program from a systemd socket unit, or use Listen", ErrNotActivated)
	}
	if pid := os.Getenv("LISTEN_PID"); pid != strconv.Itoa(os.Getpid()) {
		return nil, fmt.Errorf("guard: %w: LISTEN_PID is %q and this process is %d; the process that the service manager starts must exec this program, not start it as a child", ErrNotActivated, pid, os.Getpid())
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 1 || n > mostInherited {
		return nil, fmt.Errorf("guard: LISTEN_FDS is %q, which is not a valid number of sockets: %w", count, syscall.EINVAL)
	}
	text, ok := os.LookupEnv("LISTEN_FDNAMES")
	if !ok {
		return slices.Repeat([]string{namedUnknown}, n), nil
	}
	names := strings.Split(text, ":")
	if len(names) != n {
		return nil, fmt.Errorf("guard: LISTEN_FDNAMES has %d names, %q, and LISTEN_FDS is %d: %w", len(names), text, n, syscall.EINVAL)
	}
	return names, nil
}

// findInherited returns the descriptor that has the name.
func findInherited(name string, names []string) (int, error) {
	found := 0 // none: the first is firstInherited
	for n, has := range names {
		switch {
		case name != "" && has != name:
		case found != 0:
			return 0, fmt.Errorf("guard: several sockets match the name %q, out of %q: set a different FileDescriptorName= in each socket unit, and give Inherited that name: %w", name, names, syscall.EINVAL)
		default:
			found = firstInherited + n
		}
	}
	if found == 0 {
		return 0, fmt.Errorf("guard: no socket has the name %q, the names are %q: set FileDescriptorName=%s in the socket unit, or use one of these names: %w", name, names, name, syscall.EINVAL)
	}
	return found, nil
}

// File returns a duplicate of the listener's descriptor, for a process that replaces this
// one: by exec, as an inherited descriptor, or from systemd's descriptor store. Close it
// after the handover. Connections that wait to be accepted stay in the queue for the next
// process that accepts. So no client loses its connection if the socket file stays: see
// [Listener.SetUnlinkOnClose]. The successor guards the socket with [Inherited] or
// [NewListener].
//
// This listener can go on accepting meanwhile. The error wraps [errors.ErrUnsupported] if
// the guarded listener gives no access to its socket.
func (l *Listener) File() (*os.File, error) {
	if l.socket == nil {
		return nil, l.noSocket()
	}
	fd, err := duplicate(l.socket)
	if err != nil {
		return nil, fmt.Errorf("guard: %w", err)
	}
	return os.NewFile(uintptr(fd), l.Addr().String()), nil
}

func (l *Listener) noSocket() error {
	return fmt.Errorf("guard: a listener of type %T gives no access to its socket: %w", l.inner, errors.ErrUnsupported)
}

// SyscallConn gives access to the listening socket. The error wraps [errors.ErrUnsupported]
// if the guarded listener gives none.
func (l *Listener) SyscallConn() (syscall.RawConn, error) {
	if l.socket == nil {
		return nil, l.noSocket()
	}
	return l.socket.SyscallConn()
}

// SetUnlinkOnClose sets whether Close removes the socket file. By default Close removes it
// for a listener of [Listen]. For a listener of [NewListener] the default is that of the
// guarded listener. SetUnlinkOnClose does nothing if there is no socket file, and if the
// guarded listener has no such method.
func (l *Listener) SetUnlinkOnClose(unlink bool) {
	if inner, ok := l.socket.(interface{ SetUnlinkOnClose(bool) }); ok {
		inner.SetUnlinkOnClose(unlink)
	}
}
