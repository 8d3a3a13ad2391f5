//go:build linux && (cgo || !android)

package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/sys/unix"

	"example.com/peercred/internal/toolrun"
)

// What the policy makes of processes, and of a socket file with a certain name.
const (
	processContext = "u:r:process_t"
	namedSocket    = "peercred-named"
	namedContext   = "u:object_r:named_t"
)

// policySource is the smallest policy in which a file's label depends on its name.
// It is in CIL, and allows everything that it does not know. The kernel takes no
// policy without the class process.
const policySource = `
(handleunknown allow)
(mls false)
(sensitivity s0)
(sensitivityorder (s0))
(class sock_file (create))
(class process (transition dyntransition))
(classorder (sock_file process))
(sid kernel)
(sid security)
(sid unlabeled)
(sidorder (kernel security unlabeled))
(user u)
(role r)
(role object_r)
(type process_t)
(type file_t)
(type named_t)
(userrole u r)
(userrole u object_r)
(userlevel u (s0))
(userrange u ((s0) (s0)))
(roletype r process_t)
(roletype object_r file_t)
(roletype object_r named_t)
(sidcontext kernel (u r process_t ((s0) (s0))))
(sidcontext security (u object_r file_t ((s0) (s0))))
(sidcontext unlabeled (u object_r file_t ((s0) (s0))))
(fsuse trans tmpfs (u object_r file_t ((s0) (s0))))
(allow process_t process_t (process (transition dyntransition)))
(allow process_t file_t (sock_file (create)))
(allow process_t named_t (sock_file (create)))
(typetransition process_t file_t sock_file "` + namedSocket + `" named_t)
`

func compilePolicy(ctx context.Context) ([]byte, error) {
	dir, err := os.MkdirTemp("", "peercred-selinux")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	source, compiled := filepath.Join(dir, "policy.cil"), filepath.Join(dir, "policy")
	if err := os.WriteFile(source, []byte(policySource), 0o644); err != nil {
		return nil, err
	}
	if _, err := toolrun.Output(exec.CommandContext(ctx, "secilc", "--filecontext="+os.DevNull, "--output="+compiled, source)); err != nil {
		return nil, err
	}
	return os.ReadFile(compiled)
}

func loadSELinuxPolicy(compiled []byte) error {
	const selinuxfs = "/sys/fs/selinux"
	if err := unix.Mount("selinuxfs", selinuxfs, "selinuxfs", 0, ""); err != nil {
		return &os.PathError{Op: "mount", Path: selinuxfs, Err: err}
	}
	return loadPolicy(compiled, selinuxfs+"/load")
}
