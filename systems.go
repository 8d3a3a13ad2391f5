package peercred

// This file holds what each system documents in its manual and source. doc.go names the
// sources.

// supportOn returns what is documented for a system.
func supportOn(system, implementation string) Info {
	info := knownSystem(system, implementation)
	info.System, info.Implementation = system, implementation
	for _, f := range info.facts() {
		if f.fact.Call == "" && f.fact.Reason == "" {
			f.fact.Reason = untold(f.name)
		}
		f.fact.Available = f.fact.Reason == ""
	}
	return info
}

// untold returns the reason for a fact that the system has no call for. It is the text of
// cpeercred and native.
func untold(fact string) string {
	switch fact {
	case "uid", "gid", "pid":
		return "the system does not report the uid and gid of a socket's peer"
	case "process":
		return "the system has no handle on the process of a socket's peer"
	case "loopback uid":
		return "the system does not report the uid of a loopback TCP peer"
	case "sender":
		return "the system does not report the sender of a message"
	}
	return "the system does not report the " + fact + " of a socket's peer"
}

func knownSystem(system, implementation string) Info {
	switch system {
	case "linux", "android":
		return onLinux()
	case "darwin", "ios":
		return onDarwin()
	case "freebsd":
		return onFreeBSD()
	case "dragonfly":
		return onDragonFly()
	case "openbsd":
		return onOpenBSD()
	case "netbsd":
		return onNetBSD()
	case "illumos", "solaris":
		return onSolaris(implementation)
	case "aix":
		return onAIX(implementation)
	}
	return Info{}
}

// told returns what is documented for a call that reports a server's client as of
// connect(2).
func told(call string, client Moment, survivesExit bool) Fact {
	return Fact{Call: call, Server: AtConnect, Client: client, SurvivesExit: survivesExit}
}

func onLinux() Info {
	credentials := told("getsockopt(SO_PEERCRED)", AtListen, true)
	credentials.Pair = AtSocketpair
	info := Info{PID: credentials, UID: credentials, GID: credentials, Groups: credentials, SecurityLabel: credentials, Process: credentials}
	info.PID.Note = "0 for a peer in a pid namespace that is not visible"
	info.Groups.Call = "getsockopt(SO_PEERGROUPS)"
	info.Groups.Note = "since Linux 4.13"
	info.SecurityLabel.Call = "getsockopt(SO_PEERSEC)"
	info.SecurityLabel.Client = AtConnect
	info.SecurityLabel.Note = "where a security module (SELinux, AppArmor, Smack) labels sockets"
	info.Process.Call = "getsockopt(SO_PEERPIDFD)"
	info.Process.SurvivesExit = false
	info.Process.Note = "since Linux 6.5; an open handle stays valid after the exit"
	info.LoopbackUID = Fact{
		Call: "sock_diag(7)", Server: AtCreation, Client: AtCreation,
		Note: "since Linux 5.14, with AF_NETLINK sockets; unavailable between network namespaces, and on gVisor",
	}
	info.Sender = Fact{
		Call: "recvmsg(SO_PASSCRED)", Server: AtSend, Client: AtSend, Pair: AtSend, SurvivesExit: true,
		Note: "real ids; root can claim others; 0 for a pid that is not visible",
	}
	return info
}

// xucredGroups is XU_NGROUPS.
const xucredGroups = 16

func xucred() Info {
	cred := told("getsockopt(LOCAL_PEERCRED)", AtListen, true)
	info := Info{UID: cred, GID: cred, Groups: cred}
	info.Groups.Limit = xucredGroups
	return info
}

func onDarwin() Info {
	info := xucred()
	info.PID = Fact{
		Call: "getsockopt(LOCAL_PEERPID)", Server: AtLastUse, Client: AtLastUse,
		Note: "0 once the peer has closed",
	}
	info.AuditToken = Fact{
		Call: "getsockopt(LOCAL_PEERTOKEN)", Server: WhenAsked, Client: WhenAsked,
		Note: "of the process that has the pid at that time: compare its euid with the uid",
	}
	return info
}

func onFreeBSD() Info {
	info := xucred()
	info.PID = info.UID
	info.PID.Note = "0 before FreeBSD 13.0 and 12.3"
	return info
}

func onDragonFly() Info {
	info := xucred()
	info.PID.Reason = "DragonFly does not report the pid"
	return info
}

func onOpenBSD() Info {
	cred := told("getsockopt(SO_PEERCRED)", AtBind, true)
	cred.Pair = AtSocketpair
	return Info{PID: cred, UID: cred, GID: cred}
}

func onNetBSD() Info {
	id := told("getsockopt(LOCAL_PEEREID)", "", false)
	id.Note = "unavailable on the connecting end, where some releases name the caller itself"
	return Info{PID: id, UID: id, GID: id}
}

func onSolaris(implementation string) Info {
	cred := told("getpeerucred(3C)", AtCreation, false)
	info := Info{PID: cred, UID: cred, GID: cred, Groups: cred}
	if implementation == "native" {
		info.Groups = Fact{Reason: "golang.org/x/sys has no ucred_getgroups(3C): build with CGO_ENABLED=1"}
	}
	return info
}

func onAIX(implementation string) Info {
	id := told("getpeereid", AtListen, false)
	if implementation == "native" {
		id.Call = "getsockopt(SO_PEERID)"
		id.Note = "uid 0 with gid 0 is an error, because golang.org/x/sys does not distinguish it from an answer that is too short"
	}
	return Info{PID: id, UID: id, GID: id}
}
