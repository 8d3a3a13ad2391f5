//go:build !android

package peercred_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"example.com/peercred"
	"example.com/peercred/internal/reexec"
)

// groupsAgree compares every implementation with want and wantErr.
func groupsAgree(t testing.TB, fd int, want []uint32, wantErr error) {
	t.Helper()
	for _, i := range implementations {
		got, err := i.groups(fd)
		if !sameGroups(want, got) || !errors.Is(err, wantErr) {
			t.Errorf("%s.Groups: %d groups, %v, want %d groups, %v", i.name, len(got), err, len(want), wantErr)
		}
	}
}

// sameGroups compares up to 65536 groups. cmp takes minutes for them on an emulated processor.
func sameGroups(want, got []uint32) bool {
	return (want == nil) == (got == nil) && slices.Equal(want, got)
}

// The answer has all of a peer's groups as of its connect(2), however many there are.
func TestGroups(t *testing.T) {
	reexec.NeedRoot(t)
	for _, network := range []string{"unix", "unixpacket"} {
		for _, n := range []int{0, 1, 17, 64, 65, 65536} {
			t.Run(fmt.Sprintf("%s, %d", network, n), func(t *testing.T) {
				listener := listen(t, network)
				gid, then := uint32(5678), uint32(4321)
				peer := start(t, role{Do: "connect", Network: network, Address: listener.Addr().String(), GID: &gid, Groups: n, Then: &then})
				peer.Expect("connected")
				conn := accept(t, listener)

				want := []uint32{}
				for _, group := range manyGroups(n) {
					want = append(want, uint32(group))
				}
				assert := func(when string) {
					t.Helper()
					groupsAgree(t, descriptor(t, conn), want, nil)
					got, err := peercred.GetPeerGroups(conn)
					if !sameGroups(want, got) || err != nil {
						t.Errorf("GetPeerGroups, %s: %d groups, %v, want %d", when, len(got), err, len(want))
					}
				}
				assert("connected")
				peer.Proceed()
				peer.Expect("changed")
				assert("after the peer dropped them")
				peer.Finish()
				assert("after the peer died")
			})
		}
	}
}

// A group that our user namespace does not map is the overflow id. The effective group is
// not among the groups.
func TestGroupsOfThisProcess(t *testing.T) {
	server, client := connect(t)
	ours, err := unix.Getgroups()
	if err != nil {
		t.Fatal(err)
	}
	want := []uint32{}
	for _, group := range ours {
		want = append(want, uint32(group))
	}
	for _, conn := range []netAndSyscallConn{server, client} {
		groupsAgree(t, descriptor(t, conn), want, nil)
	}
}

// The groups of sockets without a peer and of other descriptors are an error.
func TestGroupsOnStates(t *testing.T) {
	for _, state := range states() {
		t.Run(state.name, func(t *testing.T) {
			fd := state.fd(t)
			var want error
			for _, errno := range []unix.Errno{unix.ENOTCONN, unix.ENOTSOCK, unix.EBADF} {
				if state.want == refused(errno) {
					want = errno
				}
			}
			for _, i := range implementations {
				got, err := i.groups(fd)
				if err != want || (got == nil) != (err != nil) {
					t.Errorf("%s.Groups = %v, %v, want %v", i.name, got, err, want)
				}
			}
		})
	}
}
