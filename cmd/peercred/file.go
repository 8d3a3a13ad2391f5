//go:build cgo || (!android && !ios)

package main

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"example.com/peercred/guard"
)

// fileFlags say how the socket file is made.
type fileFlags struct {
	mode         fileMode
	group, owner string
	shared       bool
}

func addFileFlags(flags *flag.FlagSet) *fileFlags {
	var f fileFlags
	flags.Var(&f.mode, "mode", "the socket file's `MODE` in octal, as for chmod(1): with 660 its group can also connect (default 0600, or 0660 with --group)")
	flags.StringVar(&f.group, "group", "", "the group of the socket file, by `NAME` or number (default our own)")
	flags.StringVar(&f.owner, "owner", "", "the owner of the socket file, by `NAME` or number (default our own; another requires root)")
	flags.BoolVar(&f.shared, "allow-shared-directory", false, "allow a directory in which others can replace the socket file")
	return &f
}

// config uses guard's default mode, unless there is a group. A group requires the permission
// to connect.
func (f fileFlags) config() guard.Config {
	mode := fs.FileMode(f.mode)
	if mode == 0 && f.group != "" {
		mode = 0o660
	}
	return guard.Config{Mode: mode, Group: f.group, Owner: f.owner, AllowSharedDirectory: f.shared}
}

// flagNames replaces the fields of [guard.Config] that errors name by our flags.
var flagNames = strings.NewReplacer(
	"(AllowSharedDirectory ", "(--allow-shared-directory ",
	": AllowSharedDirectory requires ", ": --allow-shared-directory requires ",
	": Config.Owner: ", ": --owner: ", ": Config.Group: ", ": --group: ",
)

// fileMode is a flag for permission bits.
type fileMode fs.FileMode

func (m *fileMode) String() string { return fmt.Sprintf("%04o", *m) }

func (m *fileMode) Set(text string) error {
	bits, err := strconv.ParseUint(strings.TrimPrefix(text, "0o"), 8, 32)
	if err != nil || bits == 0 || bits > 0o777 {
		return errors.New("want permission bits in octal, from 1 to 777, as in 660")
	}
	*m = fileMode(bits)
	return nil
}
