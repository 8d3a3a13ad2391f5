//go:build !android

package peercred_test

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/peercred"
)

// datagramSocket is a bound datagram socket with a receiver.
func datagramSocket(t testing.TB, config peercred.ReceiverConfig) (*net.UnixConn, *peercred.Receiver) {
	t.Helper()
	address := &net.UnixAddr{Name: filepath.Join(t.TempDir(), "s"), Net: "unixgram"}
	conn, err := net.ListenUnixgram("unixgram", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	r, err := peercred.NewReceiver(conn, config)
	if err != nil {
		t.Fatal(err)
	}
	return conn, r
}

func dialDatagram(t testing.TB, to *net.UnixConn) *net.UnixConn {
	t.Helper()
	conn, err := net.DialUnix("unixgram", nil, to.LocalAddr().(*net.UnixAddr))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func thisSender() peercred.Sender {
	return peercred.Sender{PID: int32(os.Getpid()), UID: uint32(os.Getuid()), GID: uint32(os.Getgid())}
}

func TestReceive(t *testing.T) {
	conn, r := datagramSocket(t, peercred.ReceiverConfig{Process: true})
	client := dialDatagram(t, conn)
	if _, err := client.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	var p [10]byte
	m, err := r.Receive(p[:])
	if err != nil {
		t.Fatal(err)
	}
	if m.Process == nil {
		t.Fatalf("no process: %v", m.ProcessErr)
	}
	pid, err := m.Process.PID()
	if pid != int32(os.Getpid()) || err != nil {
		t.Errorf("the process is %d, %v", pid, err)
	}
	m.Process.Close()
	m.Process = nil
	if diff := cmp.Diff(peercred.Message{N: 5, Sender: thisSender()}, m); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestReceiveStream(t *testing.T) {
	server, client := connect(t)
	r, err := peercred.NewReceiver(server, peercred.ReceiverConfig{})
	if err != nil {
		t.Fatal(err)
	}
	client.Write([]byte("x"))
	client.Close()
	var p [10]byte
	m, err := r.Receive(p[:])
	if diff := cmp.Diff(peercred.Message{N: 1, Sender: thisSender()}, m); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if m, err := r.Receive(p[:]); err != io.EOF {
		t.Errorf("at the end: %+v, %v, want EOF", m, err)
	}
}

func TestReceiveAllocations(t *testing.T) {
	conn, r := datagramSocket(t, peercred.ReceiverConfig{})
	client := dialDatagram(t, conn)
	p := make([]byte, 10)
	n := testing.AllocsPerRun(100, func() {
		client.Write(p)
		if _, err := r.Receive(p); err != nil {
			t.Fatal(err)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkReceive(b *testing.B) {
	conn, r := datagramSocket(b, peercred.ReceiverConfig{})
	client := dialDatagram(b, conn)
	p := make([]byte, 10)
	b.Run("write", func(b *testing.B) {
		for b.Loop() {
			client.Write(p)
			conn.Read(p)
		}
	})
	b.Run("ReadMsgUnix", func(b *testing.B) {
		oob := make([]byte, 1000)
		for b.Loop() {
			client.Write(p)
			conn.ReadMsgUnix(p, oob)
		}
	})
	b.Run("Receive", func(b *testing.B) {
		for b.Loop() {
			client.Write(p)
			if _, err := r.Receive(p); err != nil {
				b.Fatal(err)
			}
		}
	})
}
