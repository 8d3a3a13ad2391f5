//go:build cgo || (!android && !ios)

package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"example.com/peercred"
)

var versionHelp = help{
	synopsis: "version",
	description: `Shows the version of this command, the Go release and the system that it was built
for, and the implementation that is linked. The version is "(devel)" if the build does
not record one.

Exit status: 0 success; 1 the output could not be written; 2 wrong usage.
`,
}

func runVersion(_ context.Context, args []string, stdout, stderr io.Writer) error {
	if _, err := versionHelp.parse(flag.NewFlagSet("version", flag.ContinueOnError), args, stdout, stderr); err != nil {
		return err
	}
	version := "(devel)"
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		version = info.Main.Version
	}
	_, err := fmt.Fprintf(stdout, "peercred %s %s %s/%s %s\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH, peercred.Implementation)
	return err
}
