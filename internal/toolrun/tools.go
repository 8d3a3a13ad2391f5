package toolrun

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
)

// Tool is a command that must be there, and the Debian packages that bring it.
type Tool struct{ Command, Packages string }

// CCompiler is the one that Go calls.
func CCompiler() Tool {
	out, _ := exec.Command("go", "env", "CC").Output()
	name, _, _ := strings.Cut(strings.TrimSpace(string(out)), " ")
	return Tool{name, "gcc libc6-dev"}
}

// Missing names all tools that are not there, and what installs them. It returns nil if
// none is missing.
func Missing(tools ...Tool) error {
	var commands, packages []string
	for _, tool := range tools {
		if _, err := exec.LookPath(tool.Command); err != nil {
			commands = append(commands, tool.Command)
			packages = append(packages, strings.Fields(tool.Packages)...)
		}
	}
	if commands == nil {
		return nil
	}
	return fmt.Errorf("missing: %s; apt-get install --no-install-recommends %s", each(commands, ", "), each(packages, " "))
}

// each lists texts in order, each once.
func each(texts []string, separator string) string {
	slices.Sort(texts)
	return strings.Join(slices.Compact(texts), separator)
}
