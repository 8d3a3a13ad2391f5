package guard

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// needUnixDiag skips a test if the kernel has no unix_diag. That can be a module, and
// qemu-user has no such netlink socket. No socket has the inode number 0. For that number
// unix_diag answers EINVAL, and a kernel without it answers ENOENT.
func needUnixDiag(t *testing.T) {
	t.Helper()
	answer, err := askUnixDiag(0, 0)
	if errors.Is(err, unix.EPFNOSUPPORT) || errors.Is(err, unix.EPROTONOSUPPORT) {
		t.Skipf("needs unix_diag: %v", err)
	}
	if err != nil || len(answer) < unix.NLMSG_HDRLEN+4 {
		t.Fatalf("the answer about no socket is %x, %v, want an error number", answer, err)
	}
	if errno := syscall.Errno(-int32(binary.NativeEndian.Uint32(answer[unix.NLMSG_HDRLEN:]))); errno == unix.ENOENT {
		t.Skipf("needs unix_diag: %v", errno)
	}
}

// The kernel reports which file a socket is bound to.
func TestBoundInode(t *testing.T) {
	needUnixDiag(t)
	dir := t.TempDir()
	var sockets []*os.File
	var inodes []socketInode
	for n := range 2 {
		at := openAt(t, filepath.Join(dir, fmt.Sprint(n)))
		sockets = append(sockets, bindAt(t, at, ours(0o600)))
		inode, err := at.open()
		if err != nil {
			t.Fatal(err)
		}
		defer inode.close()
		inodes = append(inodes, inode)
	}
	for s, socket := range sockets {
		for i, inode := range inodes {
			if is, err := inode.isOf(socket); err != nil || is != (s == i) {
				t.Errorf("file %d is of socket %d: %v, %v", i, s, is, err)
			}
		}
	}
	unbound, err := newSocket("unix", ours(0o600))
	if err != nil {
		t.Fatal(err)
	}
	defer unbound.Close()
	if is, err := inodes[0].isOf(unbound); is || err == nil || !strings.Contains(err.Error(), "does not report") {
		t.Errorf("a socket without a file: %v, %v, want that the kernel does not report it", is, err)
	}
}

// An answer that is cut short, or another answer, reports nothing.
func TestParseUnixDiag(t *testing.T) {
	needUnixDiag(t)
	at := openAt(t, filepath.Join(t.TempDir(), "s"))
	socket := bindAt(t, at, ours(0o600))
	var stat unix.Stat_t
	if err := unix.Fstat(int(socket.Fd()), &stat); err != nil {
		t.Fatal(err)
	}
	answer, err := askUnixDiag(uint32(stat.Ino), ^uint64(0))
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := parseUnixDiag(answer); !ok {
		t.Fatalf("the kernel's answer reports nothing: %x", answer)
	}
	for n := range answer {
		if inode, ok := parseUnixDiag(answer[:n]); ok && n < len(answer)-8 {
			t.Errorf("%d of its %d bytes report %d", n, len(answer), inode)
		}
	}
	if none, err := askUnixDiag(0, ^uint64(0)); err != nil {
		t.Error(err)
	} else if inode, ok := parseUnixDiag(none); ok {
		t.Errorf("the kernel reports %d about no socket", inode)
	}
}

// Only a complete attribute for the file tells its inode number.
func TestParseUnixDiagAttributes(t *testing.T) {
	order := binary.NativeEndian
	attribute := func(length, kind uint16, value ...byte) []byte {
		return append(order.AppendUint16(order.AppendUint16(nil, length), kind), value...)
	}
	const other = unixDiagVFS + 1
	value := order.AppendUint32(order.AppendUint32(nil, 7), 0) // inode, device
	file := attribute(12, unixDiagVFS, value...)
	for _, test := range []struct {
		name       string
		message    uint16
		attributes [][]byte
		want       uint32 // 0 if none is told
	}{
		{"the file", unix.SOCK_DIAG_BY_FAMILY, [][]byte{file}, 7},
		{"after an empty one", unix.SOCK_DIAG_BY_FAMILY, [][]byte{attribute(4, other), file}, 7},
		{"after one with padding", unix.SOCK_DIAG_BY_FAMILY, [][]byte{attribute(5, other, 0, 0, 0, 0), file}, 7},
		{"after another of its length", unix.SOCK_DIAG_BY_FAMILY, [][]byte{attribute(12, other, make([]byte, 8)...), file}, 7},
		{"after one that is too short", unix.SOCK_DIAG_BY_FAMILY, [][]byte{attribute(3, other), file}, 0},
		{"one that is too long", unix.SOCK_DIAG_BY_FAMILY, [][]byte{attribute(13, unixDiagVFS, value...)}, 0},
		{"a part of it", unix.SOCK_DIAG_BY_FAMILY, [][]byte{attribute(11, unixDiagVFS, value...)}, 0},
		{"nothing", unix.SOCK_DIAG_BY_FAMILY, nil, 0},
		{"an error", unix.NLMSG_ERROR, [][]byte{file}, 0},
	} {
		answer := make([]byte, unix.NLMSG_HDRLEN+diagMsgLen)
		order.PutUint16(answer[4:], test.message)
		inode, ok := parseUnixDiag(append(answer, bytes.Join(test.attributes, nil)...))
		if inode != test.want || ok != (inode != 0) {
			t.Errorf("%s: %d, %v, want %d", test.name, inode, ok, test.want)
		}
	}
}

// The kernel compares both halves of the cookie.
func TestCookieInUnixDiagRequest(t *testing.T) {
	order, request := binary.NativeEndian, unixDiagRequest(1, 3<<32|2)
	if low, high := order.Uint32(request[32:]), order.Uint32(request[36:]); len(request) != 40 || low != 2 || high != 3 {
		t.Errorf("%d bytes, the cookie is %d and %d, want 2 and 3", len(request), low, high)
	}
}
