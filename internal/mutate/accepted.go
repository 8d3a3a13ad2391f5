//go:build linux && (cgo || !android)

package main

import "fmt"

// acceptance is mutants of one condition that may survive, and why: because nothing
// can tell them from the original here, or because they cost no more than time.
type acceptance struct {
	identity // without the change
	changes  []change
	reason   string
}

// theLongWay is what the short way to the credentials is there to save.
const theLongWay = "credentialsOf makes the same checks of a *net.UnixConn and gives the same answers; it costs a few per cent more time"

// asksProcToo is what a second opinion costs.
const asksProcToo = "equivalent: /proc says the same of a process that has been reaped, and of one that has not; it costs a read"

// idsFromProc is what a second opinion on ids costs.
const idsFromProc = "/proc tells the same ids; where it is not mounted it is an error, and no other ids"

// lowerFirst is how the kernel numbers the descriptors of a socketpair.
const lowerFirst = "equivalent: the lower of two new descriptors comes first, so that the second is not 0"

// noSuchDescriptor is what the kernel says itself of the greatest int.
const noSuchDescriptor = "equivalent: Linux gives no descriptor above 2147483584 (sysctl_nr_open_max in fs/file.c), and says EBADF itself"

// noSuchSignal is what the kernel says itself of the greatest int.
const noSuchSignal = "equivalent: the kernel has no such signal, and says EINVAL itself"

// goneIsSaid is why nothing is left to find out.
const goneIsSaid = "equivalent on kernels that say ESRCH of a process that has been reaped, as this one does, rather than that it has no pid here"

// Of statements in C:
const (
	unknownBefore  = "equivalent: the one caller passes a kind that is CPEERCRED_KIND_UNKNOWN, 0"
	hasCloseOnExec = "equivalent on Linux, whose SOCK_CLOEXEC has done it: the function is empty"
)

// Of constants:
const (
	otherPoison   = "equivalent: another value that no kernel writes"
	fiveArguments = "equivalent: getsockopt(2) has five arguments, and this is the sixth"
	besideAnError = "equivalent: no caller looks at the value beside an error"
	oneSize       = "equivalent: all elements have one size"
	protocolUnix  = "equivalent on Linux: unix_create in net/unix/af_unix.c takes protocol 1, PF_UNIX, for 0"
)

// Of guard:
const (
	noNumber = "an error still: an empty uid is no number"
)

// Of the example:
const (
	decodedAgain = "equivalent: what the decoder refuses here it refuses again, when it decodes the whole"
	refusesMore  = "it refuses more: the rules of root, or those of the server's own user, which are one as the tests run"
)

// pidOfASocketpair is why a report about other systems is not tested on Linux.
const pidOfASocketpair = "equivalent on Linux, which tells the pid of a socketpair's other end, our own, or an error that settle has seen to"

// noAuditToken is why a probe for one is not tested on Linux.
const noAuditToken = "equivalent on Linux, which has no audit token: settle leaves alone what is not available"

// accepted are in the order of their files.
var accepted = []acceptance{
	{identity{File: "ask.go", Function: "refusal", Condition: "errors.Is(err, errors.ErrUnsupported)"}, []change{always},
		"equivalent: where there is no call, both implementations say nothing but that"},
	{identity{File: "audittoken.go", Function: "askAuditToken", Condition: "err != nil"}, []change{always},
		"equivalent on Linux, where the call always fails"},
	{identity{File: "cpeercred/cpeercred.go", Function: "credentialsError", Condition: `runtime.GOOS == "netbsd" && errno == syscall.EOPNOTSUPP`}, []change{never},
		"equivalent on Linux, where it never holds: it gives an error of NetBSD its text, and both outcomes are errors"},
	{identity{File: "cpeercred/cpeercred.go", Function: "credentialsError", Condition: `errno == syscall.EOPNOTSUPP`}, []change{always, inverted},
		"equivalent on Linux, where the operand beside it never holds"},
	{identity{File: "cpeercred/cpeercred.go", Function: "descriptor", Condition: "fd > math.MaxInt32"}, []change{boundary},
		noSuchDescriptor},
	{identity{File: "cpeercred/cpeercred.go", Function: "Groups", Condition: `runtime.GOOS == "linux"`}, []change{always},
		"equivalent on Linux"},
	{identity{File: "cpeercred/linux.c", Function: "connect_to_deaf", Condition: "memset(&address, 0, sizeof(address));"}, []change{removed},
		"equivalent: bind(2) is given the family alone, and connect(2) what getsockname(2) wrote"},
	{identity{File: "cpeercred/linux.c", Function: "connect_to_deaf", Condition: "len = sizeof(address);"}, []change{removed},
		"the name is cut short then, and is nobody's: connect(2) is refused as well; were it somebody's, it is an error"},
	{identity{File: "cpeercred/linux.c", Function: "cpeercred_process_pid", Condition: "*pid = 0;"}, []change{removed},
		"equivalent: the one caller passes a pid that is 0"},
	{identity{File: "cpeercred/cpeercred.go", Function: "SignalProcess", Condition: "s > math.MaxInt32"}, []change{boundary},
		noSuchSignal},
	{identity{File: "cpeercred/linux.c", Function: "cpeercred_security_label", Condition: "len > 0", Nth: 1}, []change{always, boundary},
		"equivalent: of no bytes the first is one that was cleared, and then there are none"},
	{identity{File: "cpeercred/socket.c", Function: "internet_kind", Condition: "*kind = CPEERCRED_KIND_UNKNOWN;"}, []change{removed},
		unknownBefore},
	{identity{File: "cpeercred/socket.c", Function: "internet_kind", Condition: "break;", Nth: 2}, []change{removed},
		"equivalent: it is at the end of the switch"},
	{identity{File: "cpeercred/socket.c", Function: "cpeercred_kind", Condition: "*kind = CPEERCRED_KIND_UNKNOWN;"}, []change{removed},
		unknownBefore},
	{identity{File: "cpeercred/socket.c", Function: "cpeercred_kind", Condition: "*kind = CPEERCRED_KIND_UNKNOWN;", Nth: 1}, []change{removed},
		unknownBefore},
	{identity{File: "cpeercred/socket.c", Function: "close_on_exec", Condition: "(void)fd;"}, []change{removed},
		"equivalent: it is for the compiler to see"},
	{identity{File: "cpeercred/socket.c", Function: "unconnected_socket", Condition: "close_on_exec(s);"}, []change{removed},
		hasCloseOnExec},
	{identity{File: "cpeercred/socket.c", Function: "cpeercred_socketpair", Condition: "close_on_exec(pair[0]);"}, []change{removed},
		hasCloseOnExec},
	{identity{File: "cpeercred/socket.c", Function: "cpeercred_socketpair", Condition: "close_on_exec(pair[1]);"}, []change{removed},
		hasCloseOnExec},
	{identity{File: "cpeercred/socket.c", Function: "cpeercred_socketpair", Condition: "pair[1] < 0"}, []change{boundary},
		lowerFirst},
	{identity{File: "cpeercred/socket.c", Function: "cpeercred_answers_for_caller", Condition: "*answers = 0;"}, []change{removed},
		"equivalent: the one caller passes 0"},
	{identity{File: "cpeercred/socket.c", Function: "cpeercred_answers_for_caller", Condition: "case EINVAL"}, []change{dropped},
		"equivalent on Linux, where the preprocessor leaves it out"},
	{identity{File: "cpeercred/errors.go", Function: "untold", Condition: "!linked"}, []change{never},
		"equivalent with cgo, where a shim is linked"},
	{identity{File: "direct.go", Function: "credentialsOfConn", Condition: "!ok || c == nil || !supported || !isConnectedStream(c)"}, []change{always},
		theLongWay},
	{identity{File: "direct.go", Function: "credentialsOfConn", Condition: "!ok"}, []change{never},
		"equivalent: what is no *net.UnixConn leaves c nil, which is the next operand"},
	{identity{File: "direct.go", Function: "credentialsOfConn", Condition: "!ok"}, []change{inverted},
		theLongWay},
	{identity{File: "direct.go", Function: "credentialsOfConn", Condition: "!supported"}, []change{never},
		"equivalent on Linux, where supported is a constant and true"},
	{identity{File: "direct.go", Function: "credentialsOfConn", Condition: "!supported"}, []change{inverted},
		theLongWay},
	{identity{File: "direct.go", Function: "credentialsOfConn", Condition: "err != nil || r.err != nil || r.pid == self"}, []change{always},
		"unusual says the same of what is usual; it costs a call"},
	{identity{File: "direct.go", Function: "credentialsOfConn", Condition: "err != nil"}, []change{never},
		"equivalent: SyscallConn fails for a *net.UnixConn without a descriptor alone, and that has no remote address either"},
	{identity{File: "direct.go", Function: "credentialsOfConn", Condition: "err != nil", Nth: 1}, []change{never},
		"equivalent: where Control fails r.err still says that there is no descriptor, which is the next operand"},
	{identity{File: "direct.go", Function: "credentialsOfConn", Condition: "err != nil", Nth: 1}, []change{inverted},
		"unusual says the same of what is usual; it costs a call"},
	{identity{File: "examples/credentialserver/audit.go", Function: "executable", Condition: "err != nil"}, []change{never},
		"the line says why the path is not known in other words: a nil handle has none"},
	{identity{File: "examples/credentialserver/audit.go", Function: "executable", Condition: "err != nil", Nth: 1}, []change{never},
		"the line has an empty path in place of the reason; root, as which the tests run, may look at every process"},
	{identity{File: "examples/credentialserver/main.go", Function: "parseMode", Condition: "err != nil"}, []change{never},
		"equivalent: what is no number is 0, and what is too large the greatest, which are the next operands"},
	{identity{File: "examples/credentialserver/rules.go", Function: "named.policy", Condition: "len(n.Users) > 0"}, []change{always, boundary},
		"equivalent: guard.Users of nobody lets in nobody"},
	{identity{File: "examples/credentialserver/rules.go", Function: "checkObject", Condition: "err != nil"}, []change{never},
		decodedAgain},
	{identity{File: "examples/credentialserver/rules.go", Function: "checkKeys", Condition: "err != nil"}, []change{never},
		decodedAgain},
	{identity{File: "examples/credentialserver/rules.go", Function: "checkValue", Condition: "err != nil"}, []change{never},
		decodedAgain},
	{identity{File: "examples/credentialserver/rules.go", Function: "checkValue", Condition: "err != nil", Nth: 1}, []change{never},
		decodedAgain},
	{identity{File: "examples/credentialserver/rulesfile.go", Function: "readOwnFile", Condition: "err != nil", Nth: 1}, []change{never},
		"fstat(2) of an open file does not fail"},
	{identity{File: "examples/credentialserver/rulesfile.go", Function: "readOwnFile", Condition: "err != nil", Nth: 3}, []change{never},
		"reading a regular file fails for a failing disk alone; what was read until then is no JSON, or not the whole of it"},
	{identity{File: "examples/credentialserver/rulesfile.go", Function: "checkOwn", Condition: "owner != 0"}, []change{always},
		refusesMore},
	{identity{File: "examples/credentialserver/rulesfile.go", Function: "checkOwn", Condition: "owner != uint32(os.Geteuid())"}, []change{always},
		refusesMore},
	{identity{File: "examples/credentialserver/tokens.go", Function: "tokens.drop", Condition: "n >= 0"}, []change{always},
		"equivalent: a token is in both maps or in none"},
	{identity{File: "grpcpeer/interceptors.go", Function: "gate.check", Condition: "!ok"}, []change{never},
		"equivalent: guard.Policy.Allow returns nil or *guard.Denied, and nothing else"},
	{identity{File: "grpcpeer/server.go", Function: "serverCredentials.ServerHandshake", Condition: "ok"}, []change{always},
		"equivalent: the error of guard.Admit is always *guard.Denied"},
	{identity{File: "guard/conn.go", Function: "ask", Condition: "!plain"}, []change{always},
		"equivalent: find finds nothing in a *net.UnixConn; it saves the look"},
	{identity{File: "guard/conn.go", Function: "Conn.known", Condition: "f != nil"}, []change{never},
		"equivalent: CompareAndSwap leaves alone what is there; it saves an allocation"},
	{identity{File: "guard/conn.go", Function: "Conn.closeFacts", Condition: "!c.facts.CompareAndSwap(nil, closedFacts)"}, []change{always},
		"equivalent: closing closedFacts does nothing, since its facts are settled as errors"},
	{identity{File: "guard/descriptor_unix.go", Function: "onDescriptor", Condition: "err != nil"}, []change{never},
		"equivalent: SyscallConn fails for a nil *os.File alone, and nobody has one but lockDirectory, see there"},
	{identity{File: "guard/listen.go", Function: "isAbstract", Condition: `(runtime.GOOS == "linux" || runtime.GOOS == "android")`}, []change{always},
		"equivalent on Linux"},
	{identity{File: "guard/listen.go", Function: "isAbstract", Condition: `runtime.GOOS == "android"`}, []change{never, inverted},
		"equivalent on Linux, where the operand beside it holds"},
	{identity{File: "guard/lock.go", Function: "lockDirectory", Condition: "err != nil"}, []change{never},
		"equivalent: a nil *os.File cannot be locked, which is no reason to wait, and Close of it does nothing"},
	{identity{File: "guard/overflow_linux.go", Function: "overflowID", Condition: "err == nil"}, []change{always},
		"equivalent: what could not be read is empty, and maps nothing"},
	{identity{File: "guard/overflow_linux.go", Function: "overflowID", Condition: "err != nil"}, []change{never},
		"equivalent: what could not be read is empty, and no number, which has the same outcome"},
	{identity{File: "guard/passwd_nocgo.go", Function: "uidOf", Condition: "err != nil"}, []change{never},
		"an error still: nobody is in a file that could not be read"},
	{identity{File: "guard/passwd_nocgo.go", Function: "uidOf", Condition: "!ok"}, []change{never},
		noNumber},
	{identity{File: "guard/peer.go", Function: "facts.close", Condition: "f.process.err == nil"}, []change{always},
		"equivalent: with an error there is no handle, and Close of a nil one does nothing"},
	{identity{File: "guard/users.go", Function: "CurrentUser", Condition: "uid < 0"}, []change{never},
		"equivalent but on Windows, where nobody has a uid"},
	{identity{File: "inspect.go", Function: "PeerProcess.Executable", Condition: "err != nil"}, []change{never},
		"an error still: that of a nil file, in place of the reason why it could not be opened"},
	{identity{File: "inspect.go", Function: "pathOf", Condition: "err != nil"}, []change{never},
		"equivalent: SyscallConn fails for a nil *os.File alone, and this one is open"},
	{identity{File: "inspect.go", Function: "PeerProcess.StartTime", Condition: "err != nil", Nth: 1}, []change{never},
		"equivalent with cgo, where the C library reads the clock without a call that could fail; without cgo TestForgedAnswers fails"},
	{identity{File: "inspect.go", Function: "PeerProcess.CurrentCredentials", Condition: "err == nil"}, []change{never},
		"equivalent: of a process that has been reaped /proc says so, too"},
	{identity{File: "inspect.go", Function: "startTime", Condition: "0"}, []change{oneMore},
		"equivalent: a time has whole nanoseconds, and Round drops the monotonic clock either way"},
	{identity{File: "inspect.go", Function: "PeerProcess.procPID", Condition: "0"}, []change{oneMore},
		besideAnError},
	{identity{File: "inspect.go", Function: "PeerProcess.procPID", Condition: "0", Nth: 1}, []change{oneMore},
		besideAnError},
	{identity{File: "inspect.go", Function: "PeerProcess.CurrentCredentials", Condition: "err = p.ifReaped(asked)"}, []change{removed},
		"equivalent: of a process that has been reaped /proc says so, too"},
	{identity{File: "inspect.go", Function: "PeerProcess.CurrentCredentials", Condition: "err == nil && asked != nil"}, []change{always},
		idsFromProc},
	{identity{File: "inspect.go", Function: "PeerProcess.CurrentCredentials", Condition: "err == nil", Nth: 1}, []change{always},
		"equivalent: what has failed fails again with the same error"},
	{identity{File: "inspect.go", Function: "PeerProcess.CurrentCredentials", Condition: "asked != nil"}, []change{always},
		idsFromProc},
	{identity{File: "inspect.go", Function: "parseStatusIDs", Condition: "!ok"}, []change{never},
		"equivalent: a line that is not there has no four fields, which is the next operand"},
	{identity{File: "inspect.go", Function: "PeerProcess.procPID", Condition: "err != nil", Nth: 1}, []change{never},
		"an error still: that the process is not visible, in place of that of a malformed file"},
	{identity{File: "inspect.go", Function: "parseFdinfoPID", Condition: "!ok"}, []change{never},
		"equivalent: a line that is not there is no number, which is the next operand"},
	{identity{File: "inspect.go", Function: "checkOwnProc", Condition: "err != nil"}, []change{never},
		"an error still: that this /proc cannot be used, in place of why it cannot be read"},
	{identity{File: "inspect.go", Function: "checkOwnProc", Condition: "!ok"}, []change{never},
		"equivalent: a line that is not there has not one field, which is the next operand"},
	{identity{File: "native/linux.go", Function: "system.credentials", Condition: "fd > math.MaxInt32"}, []change{boundary},
		noSuchDescriptor},
	{identity{File: "native/linux.go", Function: "system.credentials", Condition: "0", Nth: 4}, []change{oneMore},
		fiveArguments},
	{identity{File: "native/decode.go", Function: "package", Condition: "0", Nth: 1}, []change{oneMore},
		otherPoison},
	{identity{File: "native/decode.go", Function: "poisonedLinuxUcred", Condition: "1"}, []change{oneMore},
		otherPoison},
	{identity{File: "native/decode.go", Function: "xucred.poison", Condition: "1"}, []change{oneMore},
		otherPoison},
	{identity{File: "native/decode.go", Function: "poisonedFreeBSDXucred", Condition: "0"}, []change{oneMore},
		otherPoison},
	{identity{File: "native/decode.go", Function: "decodeLabel", Condition: "0", Nth: 5}, []change{oneMore},
		"equivalent: a NUL at the beginning is the case before"},
	{identity{File: "native/decode.go", Function: "auditToken.isFilled", Condition: "4"}, []change{oneMore},
		"equivalent: it has the pid checked twice, and -1 is no pid either"},
	{identity{File: "native/decode.go", Function: "auditToken.isFilled", Condition: "1", Nth: 1}, []change{oneMore},
		"equivalent: it has the pid checked twice, and -1 is no pid either"},
	{identity{File: "native/decode.go", Function: "poisonedNetBSDUnpcbid", Condition: "1"}, []change{oneMore},
		otherPoison},
	{identity{File: "native/getsockopt.go", Function: "getsockopt", Condition: "0"}, []change{oneMore},
		besideAnError},
	{identity{File: "native/getsockopt.go", Function: "getsockopt", Condition: "0", Nth: 1}, []change{oneMore},
		fiveArguments},
	{identity{File: "native/getsockopt.go", Function: "socketOption", Condition: "0"}, []change{oneMore},
		besideAnError},
	{identity{File: "native/linux.go", Function: "package", Condition: "64"}, []change{oneMore},
		"equivalent: it says how many groups one call can tell, and not how many there can be"},
	{identity{File: "native/linux.go", Function: "system.groups", Condition: "0"}, []change{oneMore},
		oneSize},
	{identity{File: "native/linux.go", Function: "system.groups", Condition: "0", Nth: 2}, []change{oneMore},
		oneSize},
	{identity{File: "native/linux.go", Function: "packetSocket", Condition: "0"}, []change{oneMore},
		protocolUnix},
	{identity{File: "native/linux.go", Function: "system.openProcess", Condition: "1"}, []change{oneMore},
		otherPoison},
	{identity{File: "native/linux.go", Function: "system.processExited", Condition: "0"}, []change{oneMore},
		"it says the same, up to a millisecond later"},
	{identity{File: "native/linux.go", Function: "system.processExited", Condition: "0", Nth: 1}, []change{oneMore},
		"it says the same, up to a millisecond later"},
	{identity{File: "native/socket.go", Function: "socketType", Condition: "0"}, []change{oneMore},
		besideAnError},
	{identity{File: "native/socket.go", Function: "socketType", Condition: "0", Nth: 1}, []change{oneMore},
		besideAnError},
	{identity{File: "native/socket.go", Function: "unconnectedSocket", Condition: "0"}, []change{oneMore},
		protocolUnix},
	{identity{File: "native/socket.go", Function: "unconnectedSocket", Condition: "1"}, []change{oneMore},
		besideAnError},
	{identity{File: "native/socket.go", Function: "sockets.onSocketpair", Condition: "0", Nth: 1}, []change{oneMore},
		"equivalent: both ends are those of this process"},
	{identity{File: "native/socket.go", Function: "socketpair", Condition: "0"}, []change{oneMore},
		protocolUnix},
	{identity{File: "native/socket.go", Function: "socketpair", Condition: "0", Nth: 3}, []change{oneMore},
		lowerFirst},
	{identity{File: "native/decode.go", Function: "decodeLabel", Condition: "bytes.IndexByte(label, 0) >= 0"}, []change{boundary},
		"equivalent: a NUL at the beginning is the case before"},
	{identity{File: "native/linux.go", Function: "system.signalProcess", Condition: "s > math.MaxInt32"}, []change{boundary},
		noSuchSignal},
	{identity{File: "native/socket.go", Function: "socketpair", Condition: "fds[1] < 0"}, []change{boundary},
		lowerFirst},
	{identity{File: "native/socket.go", Function: "sockets.kind", Condition: "err != nil"}, []change{never},
		"equivalent on Linux, where getsockopt checks the descriptor too"},
	{identity{File: "native/socket.go", Function: "sockets.checkCanHavePeer", Condition: "err != nil"}, []change{never},
		"equivalent on Linux, where getsockopt checks the descriptor too"},
	{identity{File: "native/socket.go", Function: "sockets.listens", Condition: "err != nil"}, []change{never},
		"equivalent on Linux, where getsockopt checks the descriptor too"},
	{identity{File: "native/socket.go", Function: "listens", Condition: `runtime.GOOS == "openbsd" && errors.Is(err, unix.ENOPROTOOPT)`}, []change{never},
		"equivalent on Linux, where it never holds"},
	{identity{File: "native/socket.go", Function: "listens", Condition: "errors.Is(err, unix.ENOPROTOOPT)"}, []change{always, inverted},
		"equivalent on Linux, where the operand beside it never holds"},
	{identity{File: "native/socket.go", Function: "isNoPeer", Condition: `runtime.GOOS == "netbsd" && errors.Is(err, unix.EINVAL)`}, []change{never},
		"equivalent on Linux, where it never holds"},
	{identity{File: "native/socket.go", Function: "isNoPeer", Condition: "errors.Is(err, unix.EINVAL)"}, []change{always, inverted},
		"equivalent on Linux, where the operand beside it never holds"},
	{identity{File: "native/socket.go", Function: "checkDescriptor", Condition: "fd > math.MaxInt32"}, []change{boundary},
		noSuchDescriptor},
	{identity{File: "process.go", Function: "PeerProcess.ifGone", Condition: "err != nil && !isPeerProcessGone(err)"}, []change{always},
		asksProcToo},
	{identity{File: "process.go", Function: "PeerProcess.ifGone", Condition: "err != nil"}, []change{always},
		asksProcToo},
	{identity{File: "process.go", Function: "PeerProcess.ifGone", Condition: "!isPeerProcessGone(err)"}, []change{always},
		asksProcToo},
	{identity{File: "process.go", Function: "PeerProcess.awaitEnd", Condition: "err != nil"}, []change{never},
		"equivalent: SyscallConn fails for a nil *os.File alone, and Done has seen to that"},
	{identity{File: "process.go", Function: "PeerProcess.PID", Condition: "asked == nil"}, []change{always},
		"equivalent: beside an error the pid is 0, which is the next operand"},
	{identity{File: "process.go", Function: "PeerProcess.PID", Condition: "pid > 0"}, []change{always, boundary},
		goneIsSaid},
	{identity{File: "process.go", Function: "PeerProcess.ifReaped", Condition: "!isGone(asked)"}, []change{always, never, inverted},
		asksProcToo},
	{identity{File: "process.go", Function: "PeerProcess.pidFromFdinfo", Condition: "err != nil"}, []change{never},
		asksProcToo},
	{identity{File: "process.go", Function: "PeerProcess.pidFromFdinfo", Condition: "isPeerProcessGone(err)"}, []change{never},
		goneIsSaid},
	{identity{File: "process.go", Function: "PeerProcess.pidFromFdinfo", Condition: "err != nil", Nth: 1}, []change{never},
		"an error still: where one file of /proc cannot be read, checkOwnProc cannot read the other"},
	{identity{File: "process.go", Function: "PeerProcess.pidFromFdinfo", Condition: "err == nil && pid == 0"}, []change{never},
		"the same 0 still; or an error, where this /proc is that of another pid namespace"},
	{identity{File: "reach.go", Function: "isConnectedStream", Condition: "ok"}, []change{always},
		"equivalent: what is no *net.UnixAddr leaves peer nil, which is the next operand"},
	{identity{File: "reach.go", Function: "isConnectedStream", Condition: "peer != nil"}, []change{always},
		"package net gives a *net.UnixConn no such address; it would be a panic, and no answer"},
	{identity{File: "reach.go", Function: "question.ofUnixConn", Condition: "!supported"}, []change{never},
		"equivalent on Linux, where supported is a constant and true"},
	{identity{File: "reach.go", Function: "question.askChecked", Condition: "!supported"}, []change{never},
		"equivalent on Linux, where supported is a constant and true"},
	{identity{File: "reach.go", Function: "question.ofConn", Condition: "ok"}, []change{never},
		"equivalent: askWrapper knows a *net.UnixConn too; it costs the guard against panics"},
	{identity{File: "support.go", Function: "Info.probe", Condition: "i.PID.Available && err == nil && credentials.PID == 0"}, []change{never},
		pidOfASocketpair},
	{identity{File: "support.go", Function: "Info.probe", Condition: "i.PID.Available"}, []change{always, inverted},
		pidOfASocketpair},
	{identity{File: "support.go", Function: "Info.probe", Condition: "err == nil"}, []change{always, inverted},
		pidOfASocketpair},
	{identity{File: "support.go", Function: "Info.probe", Condition: `i.PID = Fact{Reason: "this kernel does not tell the pid"}`}, []change{removed},
		pidOfASocketpair},
	{identity{File: "support.go", Function: "Info.probe", Condition: "_, err = askAuditToken(fd)"}, []change{removed},
		noAuditToken},
	{identity{File: "support.go", Function: "Info.probe", Condition: "i.AuditToken.settle(err, sure)"}, []change{removed},
		noAuditToken},
}

// reasons are the acceptances by mutant. It is an error if there are two for one.
func reasons() (map[identity]string, error) {
	of := map[identity]string{}
	for _, a := range accepted {
		for _, c := range a.changes {
			i := a.identity
			i.Change = c
			if _, twice := of[i]; twice {
				return nil, fmt.Errorf("accepted twice: %v", i)
			}
			if a.reason == "" {
				return nil, fmt.Errorf("accepted without a reason: %v", i)
			}
			of[i] = a.reason
		}
	}
	return of, nil
}
