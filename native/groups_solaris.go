package native

// GroupsCall names the system's call behind [Groups]: here there is none.
const GroupsCall = "none"

// Groups always fails here, with an error that is errors.ErrUnsupported: the
// system tells groups, by ucred_getgroups(3C), but golang.org/x/sys does not have
// it.
func Groups(int) ([]uint32, error) {
	return nil, unsupportedError("golang.org/x/sys does not have ucred_getgroups(3C); build with CGO_ENABLED=1")
}
