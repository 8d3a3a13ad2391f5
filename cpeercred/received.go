package cpeercred

// Received is a message that [Receive] received.
type Received struct {
	N          int    // the bytes of the payload
	End        bool   // the connection has ended, and all else is zero
	PID        int32  // of the sender, or 0 if the kernel does not report it
	UID        uint32 // the sender's
	GID        uint32
	Label      string // the sender's security label, or empty
	From       string // the name of the sender's socket, or empty
	Control    []byte // the other control messages
	Pidfd      int    // of the sender, or -1. It is close-on-exec, and the caller closes it.
	PidfdError error  // why there is none
}
