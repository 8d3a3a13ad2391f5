package guard

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// Calls other than a plain close that meet a socket that lingers: see prompt_linux_test.go.

// within fails the test if do takes as long as the peer likes.
func within(t *testing.T, what string, release func(), do func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		do()
	}()
	select {
	case <-done:
	case <-time.After(patience):
		t.Errorf("%s waits for the peer", what)
		release()
		<-done
	}
}

// lingeringConn is an accepted connection whose peer has sent count sockets that linger.
func lingeringConn(t *testing.T, count int) (conn *Conn, release func()) {
	t.Helper()
	inner := listenOpenly(t)
	listener := newGuarded(t, inner, Config{Policy: everybody(), ReceiveDescriptors: true})
	client, err := net.Dial("unix", inner.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	conn = acceptPeer(t, listener)
	var readers []net.Conn
	err = onDescriptor(client.(*net.UnixConn), func(fd int) (err error) {
		readers, err = sendLingering(fd, count)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	release = func() {
		for _, reader := range readers {
			reader.Close()
		}
	}
	t.Cleanup(release)
	return conn, release
}

// read(2) drops descriptors that come with what it reads, and waits for them itself.
func TestReadOfWhatLingers(t *testing.T) {
	conn, release := lingeringConn(t, 1)
	within(t, "Read", release, func() {
		if n, err := conn.Read(make([]byte, 10)); n != 1 || err != nil {
			t.Errorf("Read = %d, %v, want the byte that the socket came with", n, err)
		}
	})
}

// A goroutine that uses the connection keeps Close from being the one that closes it.
func TestCloseOfWhatLingersWhileInUse(t *testing.T) {
	conn, release := lingeringConn(t, 20)
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	waits := make(chan struct{}, 1)
	go raw.Read(func(uintptr) bool {
		select {
		case waits <- struct{}{}:
		default:
		}
		return false
	})
	<-waits
	within(t, "Close", release, func() { conn.Close() })
}

// A Read on a connection that can hold descriptors is like any other.
func TestReadOfAConnection(t *testing.T) {
	inner := listenOpenly(t)
	listener := newGuarded(t, inner, Config{Policy: everybody(), ReceiveDescriptors: true})
	client := dialPlain(t, listener)
	conn := acceptPeer(t, listener)
	if _, err := io.WriteString(client, "hello"); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 10)
	if n, err := conn.Read(b); string(b[:n]) != "hello" || err != nil {
		t.Errorf("Read = %q, %v", b[:n], err)
	}
	if n, err := conn.Read(nil); n != 0 || err != nil {
		t.Errorf("Read of nothing = %d, %v", n, err)
	}
	if err := conn.SetReadDeadline(time.Now()); err != nil {
		t.Fatal(err)
	}
	var op *net.OpError
	if n, err := conn.Read(b); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &op) || op.Op != "read" || !op.Timeout() {
		t.Errorf("Read after its deadline = %d, %v, want that error, of read", n, err)
	}
	if err := conn.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	client.Close()
	if n, err := conn.Read(b); n != 0 || err != io.EOF {
		t.Errorf("Read at the end = %d, %v, want io.EOF", n, err)
	}
	conn.Close()
	if n, err := conn.Read(b); n != 0 || !errors.Is(err, net.ErrClosed) {
		t.Errorf("Read after Close = %d, %v, want net.ErrClosed", n, err)
	}
}

// A listener that was handed over goes on serving, and Close ends it: to hand its file to a
// process must not make the socket blocking for us.
func TestServingAfterFile(t *testing.T) {
	listener := listenAs(t, Config{Policy: everybody()})
	file, err := listener.File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	_ = file.Fd() // as os/exec does with ExtraFiles
	dialPlain(t, listener)
	acceptPeer(t, listener)
	accepting := make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		close(accepting)
		_, err := listener.AcceptPeer()
		ended <- err
	}()
	<-accepting
	within(t, "Close", func() { dialPlain(t, listener) }, func() {
		listener.Close()
		if err := <-ended; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept = %v, want net.ErrClosed", err)
		}
	})
}

// A refused peer that has sent nothing is closed at once, even while all closers are busy.
func TestRefusedWithoutData(t *testing.T) {
	listener := newGuarded(t, listenOpenly(t), Config{Policy: Nobody(), OnDeny: func(*Denied) {}, ReceiveDescriptors: true})
	listener.closer.most = 0
	client := dialPlain(t, listener)
	go listener.Accept()
	isClosed(t, client)
	if waiting := len(listener.closer.waiting); waiting != 0 {
		t.Errorf("%d connections wait to be closed", waiting)
	}
}
